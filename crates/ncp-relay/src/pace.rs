//! How fast one originator's envelopes are taken: a State that sends as fast as it can must not be what the others wait for.
//! Nothing is refused for it. The credit of an envelope returns later, so that its node waits, with the newest at hand to
//! be sent first if it is urgent.
//!
//! The account is the participant's, not the link's: a link begins with a window, and whoever comes again and again for
//! another one waits for its hello until the last one is paid off. The window is small beside the pace, since it is a burst that
//! the others meet: one message to all, or what comes in a part of a second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{PACED_HELLO_MAX, WINDOW_MAX, WINDOW_MIN, WINDOWS_PER_SECOND};

/// When the next envelope of a participant would come if they came evenly. Clones are one account.
#[derive(Debug, Clone, Default)]
pub struct Paced(Arc<Mutex<Option<Instant>>>);

impl Paced {
    fn next(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Envelopes that an originator may have in flight to the hub, at so many a second.
#[must_use]
pub(crate) fn window(per_second: u32) -> u32 {
    (per_second / WINDOWS_PER_SECOND).clamp(WINDOW_MIN, WINDOW_MAX)
}

/// Credit on its way back to one originator.
#[derive(Debug)]
pub(crate) struct Pace {
    paced: Paced,
    interval: Duration,
    /// Envelopes that are granted at once.
    pub(crate) window: u32,
    // Settled, and their credit not returned.
    owed: u32,
}

impl Pace {
    pub(crate) fn new(paced: Paced, per_second: u32) -> Self {
        Self { paced, interval: Duration::from_secs(1) / per_second.max(1), window: window(per_second), owed: 0 }
    }

    /// In what time a window comes.
    fn span(&self) -> Duration {
        self.interval * self.window
    }

    /// A link is about to grant its first window: how long it waits before that.
    pub(crate) fn open(&self, now: Instant) -> Duration {
        let mut next = self.paced.next();
        let due = next.unwrap_or(now).max(now);
        let early = due.saturating_duration_since(now).saturating_sub(self.span());
        let wait = early.min(PACED_HELLO_MAX);
        // What is not waited for is forgiven: two windows are the most that anyone owes.
        *next = Some((due + self.span()).min(now + wait + self.span() * 2));
        wait
    }

    /// The link ends, with so much of its window never used.
    pub(crate) fn close(&self, unused: u32) {
        let mut next = self.paced.next();
        *next = next.and_then(|next| next.checked_sub(self.interval * unused.min(self.window)));
    }

    /// An envelope is settled.
    pub(crate) fn settled(&mut self) {
        self.owed += 1;
    }

    /// How many may be granted again now.
    pub(crate) fn due(&mut self, now: Instant) -> u32 {
        let mut next = self.paced.next();
        let mut due = 0;
        while self.owed > 0 && next.is_none_or(|next| next < now + self.span()) {
            *next = Some(next.unwrap_or(now).max(now) + self.interval);
            self.owed -= 1;
            due += 1;
        }
        due
    }

    /// How long until more are due; `None` if none is owed.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let early = self.paced.next().map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        // One moment later than on the border, where it is not due yet.
        let wait = (early + Duration::from_micros(1)).saturating_sub(self.span());
        (self.owed > 0).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);
    // At a hundred a second.
    const WINDOW: u32 = WINDOW_MIN;

    #[test]
    fn a_window_holds_one_message_to_all_and_a_part_of_a_second() {
        assert_eq!([1, 200, 400, 600, 1_000_000].map(window), [96, 96, 96, 120, WINDOW_MAX]);
    }

    fn settle(pace: &mut Pace, count: u32) {
        (0..count).for_each(|_| pace.settled());
    }

    #[test]
    fn a_window_is_granted_at_once_and_then_so_many_a_second() {
        let begun = Instant::now();
        let mut pace = Pace::new(Paced::default(), 100);
        assert_eq!((pace.open(begun), pace.due(begun), pace.wait(begun)), (Duration::ZERO, 0, None));
        settle(&mut pace, 50);
        assert_eq!(pace.due(begun), 0, "the window was the first grant");
        assert!(pace.wait(begun).unwrap() <= INTERVAL);
        let later = begun + INTERVAL * 10 + Duration::from_millis(1);
        assert_eq!((pace.due(later), pace.due(later)), (11, 0));
        // All that is owed, and after some rest a window again, but no more than a window.
        let rested = begun + Duration::from_secs(60);
        assert_eq!((pace.due(rested), pace.wait(rested)), (39, None));
        settle(&mut pace, 2 * WINDOW);
        assert_eq!(pace.due(rested), WINDOW - 39);
    }

    #[test]
    fn whoever_comes_again_for_another_window_waits_for_it() {
        let begun = Instant::now();
        let paced = Paced::default();
        let open = |now| Pace::new(paced.clone(), 100).open(now);
        // One that sends nothing may come as often as it likes.
        for _ in 0..20 {
            assert_eq!(open(begun), Duration::ZERO);
            Pace::new(paced.clone(), 100).close(WINDOW);
        }
        assert_eq!((open(begun), open(begun)), (Duration::ZERO, Duration::ZERO));
        let mut now = begun;
        for _ in 0..20 {
            let wait = open(now);
            assert_eq!(wait, INTERVAL * WINDOW);
            now += wait;
        }
        assert_eq!(open(now + Duration::from_secs(3_600)), Duration::ZERO);
    }

    #[test]
    fn whatever_is_settled_is_granted_again_in_the_end() {
        let mut now = Instant::now();
        let mut pace = Pace::new(Paced::default(), 7);
        let mut granted = 0;
        pace.open(now);
        settle(&mut pace, 1_000);
        while let Some(wait) = pace.wait(now) {
            now += wait;
            granted += pace.due(now);
        }
        assert_eq!(granted, 1_000);
    }
}
