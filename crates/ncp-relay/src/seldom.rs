//! A line in the log at the peer's pace would be the peer's: the first is written, then one now and then that counts
//! the rest.

use core::time::Duration;

use tokio::time::Instant;

/// When the next line may be written, and how many were left out.
#[derive(Debug)]
pub(crate) struct Seldom {
    every: Duration,
    next: Option<Instant>,
    left_out: u64,
}

impl Default for Seldom {
    /// One line a minute.
    fn default() -> Self {
        Self::every(Duration::from_secs(60))
    }
}

impl Seldom {
    /// One line in this time.
    pub(crate) fn every(every: Duration) -> Self {
        Self { every, next: None, left_out: 0 }
    }

    /// As many more were left out, by somebody else.
    pub(crate) fn skip(&mut self, count: u64) {
        self.left_out += count;
    }

    /// Whether to write a line now: if so, how many were left out since the last.
    pub(crate) fn note(&mut self) -> Option<u64> {
        self.note_at(Instant::now())
    }

    fn note_at(&mut self, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            self.left_out += 1;
            return None;
        }
        self.next = Some(now + self.every);
        Some(core::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_written_and_then_one_a_minute() {
        const EVERY: Duration = Duration::from_secs(60);
        let (mut seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!([start; 4].map(|now| seldom.note_at(now)), [Some(0), None, None, None]);
        assert_eq!([start + EVERY; 2].map(|now| seldom.note_at(now)), [Some(3), None]);
        seldom.skip(6);
        assert_eq!(seldom.note_at(start + EVERY * 5), Some(7));
    }
}
