//! The one registry of error codes, for daemons, API, command line and pages.
//!
//! A code has a number whose first digit is its group (1 configuration, 2 identity and keys, 3 link, 4 national control,
//! 5 storage and daemon, 6 evidence, 7 directory), a title, sentences for cause and remedy with named places, an exit
//! code, an HTTP status and a paragraph that `ncpctl explain` prints. Numbers are never reused. Codes and arguments
//! travel; sentences are made where they are shown.

mod table;

use core::fmt;
use std::collections::BTreeMap;

pub use table::ErrorCode;

/// How a process ends, after sysexits (OPERATORS: exit codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done and durable.
    Done = 0,
    /// Failed, see the code; `doctor` found a failure.
    Failed = 1,
    /// The command line itself is wrong.
    Usage = 2,
    /// Bad data: form, marking, size, signature.
    Data = 65,
    /// No such message, State or file.
    NotFound = 66,
    /// Daemon or hub unavailable.
    Unavailable = 69,
    /// A bug of ours.
    Bug = 70,
    /// Input or output failed.
    Io = 74,
    /// Later: still pending, address or data folder in use.
    Later = 75,
    /// Denied by policy or role.
    Denied = 77,
    /// Configuration, permissions of a key, data folder of a newer version.
    Config = 78,
    /// Interrupted from the keyboard.
    Interrupted = 130,
}

impl Exit {
    /// The number that the process returns.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// The first digit of a code's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Configuration.
    Configuration,
    /// Identity and keys.
    Identity,
    /// Link, to the daemon and to the hub.
    Link,
    /// National control: what may leave, and the requests that officers make.
    National,
    /// Storage, and the daemon itself.
    Storage,
    /// Evidence.
    Evidence,
    /// Directory.
    Directory,
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("NCP-E{:04}", self.number()))
    }
}

/// A text is not the code of a known error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no error has this code")]
pub struct UnknownCode;

impl core::str::FromStr for ErrorCode {
    type Err = UnknownCode;

    /// Reads `NCP-E4203`, also `E4203` and `4203`, in either case.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let upper = text.to_ascii_uppercase();
        let digits = upper.strip_prefix("NCP-").unwrap_or(&upper);
        let digits = digits.strip_prefix('E').unwrap_or(digits);
        if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(UnknownCode);
        }
        digits.parse().ok().and_then(Self::from_number).ok_or(UnknownCode)
    }
}

impl ErrorCode {
    /// The group that the first digit names.
    #[must_use]
    pub fn group(self) -> Group {
        match self.number() / 1_000 {
            1 => Group::Configuration,
            2 => Group::Identity,
            3 => Group::Link,
            4 => Group::National,
            5 => Group::Storage,
            6 => Group::Evidence,
            _ => Group::Directory,
        }
    }

    /// This error, without arguments yet.
    #[must_use]
    pub fn fault(self) -> Fault {
        Fault { code: self, field: None, args: BTreeMap::new() }
    }

    /// This error with one argument.
    #[must_use]
    pub fn with(self, name: &'static str, value: impl fmt::Display) -> Fault {
        self.fault().with(name, value)
    }
}

/// An error with its arguments: what daemons return, the API carries and the command line shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which error.
    pub code: ErrorCode,
    /// The member of the request that is wrong, as a path: `attachments[0].name`.
    pub field: Option<String>,
    /// Values for the places in the sentences.
    pub args: BTreeMap<String, String>,
}

impl Fault {
    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.args.insert(name.to_owned(), value.to_string());
        self
    }

    /// Names the member of the request that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// What happened, in one line.
    #[must_use]
    pub fn title(&self) -> String {
        fill(self.code.title(), &self.args)
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> String {
        fill(self.code.cause(), &self.args)
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> String {
        fill(self.code.remedy(), &self.args)
    }

    /// How a process ends that stops because of this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.code.exit()
    }
}

impl fmt::Display for Fault {
    /// The three lines that operators read (OPERATORS: errors).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.code, self.title())?;
        writeln!(f, "  cause: {}", self.cause())?;
        write!(f, "  try:   {}   more: ncpctl explain {}", self.remedy(), self.code)
    }
}

impl std::error::Error for Fault {}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        code.fault()
    }
}

/// Puts arguments into the places `{name}` of a sentence. A place without argument shows its name as `<name>`. Control
/// characters of arguments become blanks: a peer's text must not forge lines of ours.
#[must_use]
pub fn fill(template: &str, args: &BTreeMap<String, String>) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            text.push('{');
            rest = after;
            continue;
        };
        match args.get(name) {
            Some(value) => text.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c })),
            None => {
                text.push('<');
                text.push_str(name);
                text.push('>');
            }
        }
        rest = tail;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_rise_and_texts_read_back() {
        for pair in ErrorCode::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{:?} {:?}", pair[0], pair[1]);
        }
        for &code in ErrorCode::ALL {
            assert_eq!(code.to_string().parse(), Ok(code));
            assert_eq!(code.number().to_string().parse(), Ok(code));
            assert!((1_000..8_000).contains(&code.number()), "{code}");
        }
        for text in ["", "NCP-E0000", "NCP-E99999", "E+104", "X2104"] {
            assert!(text.parse::<ErrorCode>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_sentence_is_complete() {
        for &code in ErrorCode::ALL {
            let explanation = code.explanation();
            for text in [code.title(), code.cause(), code.remedy()] {
                assert!(!text.is_empty() && !text.ends_with('.') && text.trim() == text, "{code}: {text:?}");
            }
            assert!(explanation.ends_with('.') && explanation.len() > 40, "{code}: {explanation:?}");
            assert!((400..600).contains(&code.status()), "{code}");
        }
        let titles: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.title()).collect();
        assert_eq!(titles.len(), ErrorCode::ALL.len(), "two codes share a title");
    }

    #[test]
    fn fault_shows_three_lines() {
        let fault = ErrorCode::KeyFileOpenToOthers
            .with("what", "signing key")
            .with("file", "signing.key")
            .with("mode", "0644")
            .with("path", "/var/lib/ncp-node/keys/signing.key");
        assert_eq!(
            fault.to_string(),
            "error[NCP-E2104]: the signing key is readable by others\n  \
             cause: signing.key has mode 0644; only its owner may read it\n  \
             try:   chmod 0600 /var/lib/ncp-node/keys/signing.key   more: ncpctl explain NCP-E2104"
        );
        assert_eq!(fault.exit().number(), 78);
    }

    #[test]
    fn places_without_argument_and_control_characters() {
        let args = BTreeMap::from([("a".to_owned(), "x\n  try: rm".to_owned())]);
        assert_eq!(fill("{a} {b} {", &args), "x   try: rm <b> {");
    }
}
