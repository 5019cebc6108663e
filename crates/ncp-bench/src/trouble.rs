//! What goes wrong in a measurement: one line that says what, one that says what to do next.

use core::fmt;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    what: String,
    next: String,
}

impl Trouble {
    /// What happened and what to do next, each one sentence without full stop.
    pub(crate) fn new(what: impl fmt::Display, next: impl fmt::Display) -> Self {
        Self { what: line(&what), next: line(&next) }
    }

    /// Something of the system that a measurement needs does not work.
    pub(crate) fn system(doing: &str, error: impl fmt::Display) -> Self {
        Self::new(format_args!("{doing}: {error}"), "mend this and run the same command again")
    }

    /// A daemon or the network did what it should not do.
    pub(crate) fn network(what: impl fmt::Display) -> Self {
        Self::new(what, "run again with --keep and read the logs of the daemons in the folder")
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n  try: {}", self.what, self.next)
    }
}

/// Text of other programs has lines of its own; here it has one.
fn line(text: &impl fmt::Display) -> String {
    text.to_string().lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_one_line_and_the_next_step() {
        let trouble = Trouble::new("no relay\n\n  at 127.0.0.1\n", "start one");
        assert_eq!(trouble.to_string(), "error: no relay; at 127.0.0.1\n  try: start one");
    }
}
