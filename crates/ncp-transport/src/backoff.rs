//! When to dial again: full jitter under a ceiling that doubles from 1 s to 5 min.
//!
//! Pure: chance is an argument. The delay is uniform between nothing and the ceiling, so that many nodes that lost the
//! hub at one moment come back spread out. Link failures never count as attempts of a message.

use core::time::Duration;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX, STABLE_AFTER};

/// The delay before attempt `attempt` (from 0), for 64 uniformly random bits.
#[must_use]
pub fn delay(attempt: u32, random: u64) -> Duration {
    let ceiling = ceiling(attempt).as_millis();
    // The product's upper half is uniform over 0..=ceiling, but for a bias below 2^-45.
    let millis = ((ceiling + 1) * u128::from(random)) >> 64;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The longest delay before attempt `attempt` (from 0).
#[must_use]
pub fn ceiling(attempt: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempt).unwrap_or(u32::MAX);
    BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX)
}

/// How many attempts failed since the last stable link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconnect {
    attempt: u32,
}

impl Reconnect {
    /// Before the first attempt.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A dial failed, or a link ended after `lived` (zero for a dial): how long to wait, for 64 random bits.
    ///
    /// A link that lived at least [`STABLE_AFTER`] starts the schedule anew. A shorter one counts as a failure, so that
    /// a hub that accepts and then drops its peers is not dialled in a tight loop.
    pub fn after(&mut self, lived: Duration, random: u64) -> Duration {
        if lived >= STABLE_AFTER {
            self.attempt = 0;
        }
        let delay = delay(self.attempt, random);
        self.attempt = self.attempt.saturating_add(1);
        delay
    }

    /// Failures since the last stable link.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceiling_doubles_from_one_second_to_five_minutes() {
        let seconds: Vec<_> = (0..11).map(|attempt| ceiling(attempt).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(ceiling(u32::MAX), BACKOFF_MAX);
    }

    #[test]
    fn jitter_covers_the_whole_range() {
        for attempt in [0, 5, 40] {
            assert_eq!(delay(attempt, 0), Duration::ZERO);
            assert_eq!(delay(attempt, u64::MAX), ceiling(attempt));
            let half = delay(attempt, u64::MAX / 2).as_millis();
            assert!(half.abs_diff(ceiling(attempt).as_millis() / 2) <= 1, "{half}");
        }
    }

    #[test]
    fn only_a_stable_link_starts_the_schedule_anew() {
        let mut reconnect = Reconnect::new();
        for expected in [1, 2, 4, 8] {
            assert_eq!(reconnect.after(Duration::ZERO, u64::MAX).as_secs(), expected);
        }
        let brief = STABLE_AFTER.saturating_sub(Duration::from_millis(1));
        assert_eq!(reconnect.after(brief, u64::MAX).as_secs(), 16);
        assert_eq!(reconnect.after(STABLE_AFTER, u64::MAX).as_secs(), 1);
        assert_eq!(reconnect.attempts(), 1);
    }
}
