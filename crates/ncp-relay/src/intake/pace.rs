//! How fast one originator's envelopes are taken: a State that sends as fast as it can must not be what the others wait for.
//! Nothing is refused for it. The credit of an envelope returns later, so that its node waits, with the newest at hand to
//! be sent first if it is urgent.

use std::time::{Duration, Instant};

use crate::limits::CREDIT_ENVELOPES;

/// Credit on its way back to one originator: at most a window at once, then so many a second.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    // When the next envelope would come if they came evenly.
    next: Instant,
    // Settled, and their credit not returned.
    owed: u32,
}

impl Pace {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), next: now, owed: 0 }
    }

    /// An envelope is settled.
    pub(super) fn settled(&mut self) {
        self.owed += 1;
    }

    /// How many may be granted again now.
    pub(super) fn due(&mut self, now: Instant) -> u32 {
        let mut due = 0;
        while self.owed > 0 && self.next <= now + self.interval * (CREDIT_ENVELOPES - 1) {
            self.next = self.next.max(now) + self.interval;
            self.owed -= 1;
            due += 1;
        }
        due
    }

    /// How long until more are due; `None` if none is owed.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let early = self.next.saturating_duration_since(now);
        (self.owed > 0).then(|| early.saturating_sub(self.interval * (CREDIT_ENVELOPES - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_passes_at_once_and_then_so_many_a_second() {
        let begun = Instant::now();
        let mut pace = Pace::new(100, begun);
        assert_eq!((pace.due(begun), pace.wait(begun)), (0, None));
        (0..CREDIT_ENVELOPES + 50).for_each(|_| pace.settled());
        assert_eq!(pace.due(begun), CREDIT_ENVELOPES);
        assert_eq!(pace.wait(begun), Some(Duration::from_millis(10)));
        let later = begun + Duration::from_millis(100);
        assert_eq!(pace.due(later), 10);
        assert_eq!(pace.due(later), 0);
        // All that is owed, and then a window again, but no more than a window.
        assert_eq!(pace.due(begun + Duration::from_secs(60)), 40);
        assert_eq!(pace.wait(begun + Duration::from_secs(60)), None);
        (0..2 * CREDIT_ENVELOPES).for_each(|_| pace.settled());
        assert_eq!(pace.due(begun + Duration::from_secs(60)), CREDIT_ENVELOPES - 40);
    }

    #[test]
    fn whatever_is_settled_is_granted_again_in_the_end() {
        let mut now = Instant::now();
        let mut pace = Pace::new(7, now);
        let mut granted = 0;
        (0..1_000).for_each(|_| pace.settled());
        while let Some(wait) = pace.wait(now) {
            now += wait;
            granted += pace.due(now);
        }
        assert_eq!(granted, 1_000);
    }
}
