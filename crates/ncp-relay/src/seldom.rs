//! A line in the log at the peer's pace would be the peer's: the first is written, then one a minute that counts the rest.

use core::time::Duration;

use tokio::time::Instant;

/// Pause between two lines.
const EVERY: Duration = Duration::from_secs(60);

/// When the next line may be written, and how many were left out.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    next: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Whether to write a line now: if so, how many were left out since the last.
    pub(crate) fn note(&mut self) -> Option<u64> {
        self.note_at(Instant::now())
    }

    fn note_at(&mut self, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.left_out += 1;
            return None;
        }
        self.next = Some(now + EVERY);
        Some(core::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_written_and_then_one_a_minute() {
        let (mut seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!([start; 4].map(|now| seldom.note_at(now)), [Some(0), None, None, None]);
        assert_eq!([start + EVERY; 2].map(|now| seldom.note_at(now)), [Some(3), None]);
        assert_eq!(seldom.note_at(start + EVERY * 5), Some(1));
    }
}
