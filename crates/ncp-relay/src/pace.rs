//! How fast one originator's envelopes are taken: a State that sends as fast as it can must not be what the others wait for.
//! Nothing is refused for it. The credit of an envelope returns later, so that its node waits, with the newest at hand to
//! be sent first if it is urgent.
//!
//! A window may come at once, and then so many a second: what comes fills a measure that drains evenly, and no more credit
//! is out than the measure has room for. The measure is the participant's, not the link's: whoever comes again for another
//! window waits for its hello until the last one has drained, though no longer than a hello may take.
//!
//! A window is one message to all, or what comes in a part of a second: to verify and store it at once would be a burst that the
//! others meet. So of what is not urgent a few are begun at once, and the others one by one as the measure drains.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{
    BEGUN_AT_ONCE, PACED_HELLO_MAX, READ_AT_ONCE, READ_FASTER, READ_PACE_MIN, WINDOW_MAX, WINDOW_MIN,
    WINDOWS_PER_SECOND,
};

/// When all that a participant sent has drained. Clones are one measure.
#[derive(Debug, Clone, Default)]
pub struct Paced(Arc<Mutex<Option<Instant>>>);

impl Paced {
    fn empty_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long what is in the measure takes to drain.
    fn level(&self, now: Instant) -> Duration {
        self.empty_at().map_or(Duration::ZERO, |empty| empty.saturating_duration_since(now))
    }
}

/// Envelopes that an originator may have in flight to the hub, at so many a second.
#[must_use]
pub(crate) fn window(per_second: u32) -> u32 {
    (per_second / WINDOWS_PER_SECOND).clamp(WINDOW_MIN, WINDOW_MAX)
}

/// Credit on its way back to one originator, on one link.
#[derive(Debug)]
pub(crate) struct Pace {
    paced: Paced,
    interval: Duration,
    /// Envelopes that are granted at once.
    pub(crate) window: u32,
    // Taken, and their credit not returned.
    outstanding: u32,
    // Of them, those that are settled.
    owed: u32,
}

impl Pace {
    pub(crate) fn new(paced: Paced, per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second.max(1);
        Self { paced, interval, window: window(per_second), outstanding: 0, owed: 0 }
    }

    /// How long a link waits before it grants its first window.
    pub(crate) fn before_hello(paced: &Paced, now: Instant) -> Duration {
        paced.level(now).min(PACED_HELLO_MAX)
    }

    /// An envelope is here.
    pub(crate) fn taken(&mut self, now: Instant) {
        self.outstanding += 1;
        let mut empty_at = self.paced.empty_at();
        let filled = empty_at.unwrap_or(now).max(now) + self.interval;
        // What more would come to is forgiven: hellos wait no longer.
        *empty_at = Some(filled.min(now + self.interval * (2 * self.window)));
    }

    /// How long until one more of `parked` envelopes may be begun, which are here and are not: zero if it may now.
    pub(crate) fn begins_in(&self, parked: usize, now: Instant) -> Duration {
        let ahead = u32::try_from(parked).unwrap_or(u32::MAX).saturating_add(BEGUN_AT_ONCE);
        self.paced.level(now).saturating_sub(self.interval.saturating_mul(ahead))
    }

    /// An envelope is settled.
    pub(crate) fn settled(&mut self) {
        self.owed += 1;
    }

    /// How many may be granted again now: as long as the measure has room for all credit that is out.
    pub(crate) fn due(&mut self, now: Instant) -> u32 {
        let filled = self.paced.level(now).as_nanos().div_ceil(self.interval.as_nanos());
        let room = self.outstanding.saturating_sub(u32::try_from(filled).unwrap_or(u32::MAX));
        let due = room.min(self.owed);
        self.owed -= due;
        self.outstanding -= due;
        due
    }

    /// How long until more are due; `None` if none is owed.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        let room = self.interval * self.outstanding.saturating_sub(1);
        (self.owed > 0).then(|| self.paced.level(now).saturating_sub(room))
    }
}

/// How fast a link reads the envelopes of a burst: to take a window from the wire at once is a burst of work, too. It reads
/// several times faster than the pace, so that what is urgent is not held up behind much that is not.
#[derive(Debug)]
pub(crate) struct Reading {
    interval: Duration,
    even_at: Option<Instant>,
}

impl Reading {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(READ_PACE_MIN).saturating_mul(READ_FASTER);
        Self { interval: Duration::from_secs(1) / per_second, even_at: None }
    }

    /// An envelope was read: how long the link waits until it reads on.
    pub(crate) fn read(&mut self, now: Instant) -> Duration {
        let even_at = self.even_at.unwrap_or(now).max(now) + self.interval;
        self.even_at = Some(even_at);
        even_at.saturating_duration_since(now).saturating_sub(self.interval * READ_AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);
    // At a hundred a second.
    const WINDOW: u32 = WINDOW_MIN;

    fn pace(paced: &Paced) -> Pace {
        Pace::new(paced.clone(), 100)
    }

    fn send(pace: &mut Pace, count: u32, now: Instant) {
        (0..count).for_each(|_| pace.taken(now));
    }

    fn settle(pace: &mut Pace, count: u32) {
        (0..count).for_each(|_| pace.settled());
    }

    #[test]
    fn a_window_holds_one_message_to_all_and_a_part_of_a_second() {
        assert_eq!([1, 200, 400, 600, 1_000_000].map(window), [96, 96, 96, 120, WINDOW_MAX]);
    }

    #[test]
    fn a_window_is_taken_at_once_and_then_so_many_a_second() {
        let begun = Instant::now();
        let mut pace = pace(&Paced::default());
        assert_eq!((pace.due(begun), pace.wait(begun)), (0, None));
        send(&mut pace, WINDOW, begun);
        settle(&mut pace, 50);
        assert_eq!((pace.due(begun), pace.wait(begun)), (0, Some(INTERVAL)));
        let later = begun + INTERVAL * 10 + Duration::from_millis(1);
        assert_eq!((pace.due(later), pace.due(later)), (10, 0));
        // After some rest all that is owed, and then no more at once than a window.
        let rested = begun + Duration::from_secs(60);
        assert_eq!((pace.due(rested), pace.wait(rested)), (40, None));
        send(&mut pace, 50, rested);
        settle(&mut pace, WINDOW);
        assert_eq!(pace.due(rested), WINDOW - 50, "what was in flight meanwhile");
        send(&mut pace, WINDOW - 50, rested);
        settle(&mut pace, WINDOW - 50);
        assert_eq!(pace.due(rested), 0, "a window came");
    }

    #[test]
    fn of_a_burst_a_few_are_begun_at_once_and_the_others_as_the_measure_drains() {
        let begun = Instant::now();
        let mut pace = pace(&Paced::default());
        let mut parked = 0;
        for taken in 1..=WINDOW {
            send(&mut pace, 1, begun);
            parked += 1;
            let may_begin = pace.begins_in(parked, begun).is_zero();
            assert_eq!(may_begin, taken <= BEGUN_AT_ONCE + 1, "envelope {taken}");
            parked -= usize::from(may_begin);
        }
        let mut now = begun;
        while parked > 0 {
            assert_eq!(pace.begins_in(parked, now), INTERVAL, "{parked} are parked");
            now += INTERVAL;
            assert_eq!(pace.begins_in(parked, now), Duration::ZERO);
            parked -= 1;
        }
        assert_eq!(now - begun, INTERVAL * (WINDOW - BEGUN_AT_ONCE - 1));
    }

    #[test]
    fn a_burst_is_read_evenly_behind_its_first_envelopes() {
        let begun = Instant::now();
        let mut reading = Reading::new(READ_PACE_MIN);
        let step = INTERVAL / READ_FASTER;
        for _ in 0..READ_AT_ONCE {
            assert_eq!(reading.read(begun), Duration::ZERO);
        }
        let mut now = begun;
        for _ in READ_AT_ONCE..WINDOW {
            let wait = reading.read(now);
            assert_eq!(wait, step);
            now += wait;
        }
        // What comes late catches up, and after a rest all is as at first.
        assert_eq!(reading.read(now + step), Duration::ZERO);
        let rested = now + Duration::from_secs(1);
        assert!((0..READ_AT_ONCE).all(|_| reading.read(rested).is_zero()));
        assert_eq!(reading.read(rested), step);
        assert_eq!(Reading::new(1).interval, step, "however slow the pace is");
    }

    #[test]
    fn whoever_sends_little_has_its_credit_back_at_once() {
        let mut now = Instant::now();
        let mut pace = pace(&Paced::default());
        for _ in 0..3 {
            send(&mut pace, 1, now);
            settle(&mut pace, 1);
            assert_eq!((pace.due(now), pace.wait(now)), (0, Some(INTERVAL)));
            now += INTERVAL;
            assert_eq!((pace.due(now), pace.wait(now)), (1, None));
        }
    }

    #[test]
    fn whoever_comes_again_for_another_window_waits_for_it() {
        let begun = Instant::now();
        let paced = Paced::default();
        // One that sends nothing may come as often as it likes.
        assert_eq!(Pace::before_hello(&paced, begun), Duration::ZERO);
        let mut now = begun;
        for _ in 0..20 {
            send(&mut pace(&paced), WINDOW, now);
            let wait = Pace::before_hello(&paced, now);
            assert_eq!(wait, INTERVAL * WINDOW);
            now += wait;
        }
        // It waits no longer than a hello may, and owes no more than two windows.
        send(&mut pace(&paced), 1_000 * WINDOW, now);
        assert_eq!(Pace::before_hello(&paced, now), INTERVAL * (2 * WINDOW));
        send(&mut Pace::new(paced.clone(), 1), WINDOW, now);
        assert_eq!(Pace::before_hello(&paced, now), PACED_HELLO_MAX);
        assert_eq!(Pace::before_hello(&paced, now + Duration::from_secs(3_600)), Duration::ZERO);
    }

    #[test]
    fn whatever_is_settled_is_granted_again_in_the_end() {
        let mut now = Instant::now();
        let mut pace = Pace::new(Paced::default(), 7);
        let mut granted = 0;
        send(&mut pace, WINDOW, now);
        settle(&mut pace, WINDOW);
        while let Some(wait) = pace.wait(now) {
            now += wait;
            let due = pace.due(now);
            assert!(due > 0, "it is woken when there is something to grant");
            granted += due;
        }
        assert_eq!(granted, WINDOW);
    }
}
