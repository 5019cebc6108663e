//! Time and chance: the one place of the shell that asks the system for either, and whether the wall clock is believed.
//!
//! Expiry is signed evidence, so a wrong clock must not cause it (DESIGN, "Failure is ordinary"): the wall clock counts
//! only while it runs with the monotonic one, and after a restart only once the journal's newest event says the same. Else
//! two participants have to: the word of one is no more than that, and it may have an interest in what expires.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ncp_protocol::ids::{ParticipantId, UnixMillis};
use ncp_protocol::limits::CLOCK_SKEW_MAX_MS;

use crate::core::command::Stamp;
use crate::limits::{CLOCK_DRIFT_OVER, CLOCK_STEP_MAX};

/// Now, by the wall clock.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Random bytes from the system's generator.
///
/// # Panics
/// If the system has none to give: nothing that needs secrets can go on then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no random bytes: {error}");
    }
    bytes
}

/// Time and chance for one command.
#[must_use]
pub fn stamp() -> Stamp {
    Stamp { now: now(), seed: random() }
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: UnixMillis,
    /// The monotonic clock, since any fixed point.
    pub steady: Duration,
}

impl Reading {
    /// Whether both clocks ran together from this reading to another.
    fn in_step(&self, later: &Self) -> bool {
        let elapsed = later.steady.saturating_sub(self.steady).as_millis();
        let expected = self.wall.plus_millis(u64::try_from(elapsed).unwrap_or(u64::MAX));
        u128::from(later.wall.0.abs_diff(expected.0)) <= CLOCK_STEP_MAX.as_millis()
    }
}

/// Whether the wall clock is believed. Pure: readings come as values.
#[derive(Debug)]
pub struct Belief {
    base: Reading,
    confirmed: bool,
    // The first who said that a wall clock that is not believed is right, and when.
    first: Option<(ParticipantId, Reading)>,
}

impl Belief {
    /// Begins at a start; `newest` is when the journal's newest event was decided.
    #[must_use]
    pub fn new(first: Reading, newest: Option<UnixMillis>) -> Self {
        let confirmed = newest.is_none_or(|newest| is_near(newest, first.wall));
        Self { base: first, confirmed, first: None }
    }

    /// A peer signed this time just now. What two of them confirm is the wall clock as it stands, also after a step.
    pub fn heard(&mut self, peer: ParticipantId, time: UnixMillis, reading: Reading) {
        if !is_near(time, reading.wall) || self.holds(reading) {
            return;
        }
        match self.first {
            Some((first, then)) if then.in_step(&reading) => {
                if first != peer {
                    *self = Self { base: reading, confirmed: true, first: None };
                }
            }
            Some(_) | None => self.first = Some((peer, reading)),
        }
    }

    /// Whether the wall clock is believed now. Slow corrections are followed, [`CLOCK_STEP_MAX`] in each
    /// [`CLOCK_DRIFT_OVER`]; a step is not.
    pub fn holds(&mut self, reading: Reading) -> bool {
        let in_step = self.base.in_step(&reading);
        if in_step && reading.steady.saturating_sub(self.base.steady) >= CLOCK_DRIFT_OVER {
            self.base = reading;
        }
        in_step && self.confirmed
    }
}

fn is_near(time: UnixMillis, wall: UnixMillis) -> bool {
    time.0.abs_diff(wall.0) <= CLOCK_SKEW_MAX_MS
}

/// The daemon's belief, shared.
#[derive(Debug)]
pub struct SharedBelief {
    begun: Instant,
    belief: Mutex<Belief>,
}

impl SharedBelief {
    /// Begins now.
    #[must_use]
    pub fn new(newest: Option<UnixMillis>) -> Self {
        let first = Reading { wall: now(), steady: Duration::ZERO };
        Self { begun: Instant::now(), belief: Mutex::new(Belief::new(first, newest)) }
    }

    /// A peer signed this time just now.
    pub fn heard(&self, peer: ParticipantId, time: UnixMillis) {
        self.with(|belief, reading| belief.heard(peer, time, reading));
    }

    /// Whether the wall clock is believed now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.with(Belief::holds)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Belief, Reading) -> T) -> T {
        let mut belief = self.belief.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut belief, Reading { wall: now(), steady: self.begun.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis(1_800_000_000_000);
    const YEAR_MS: u64 = 365 * 24 * 3_600_000;

    fn reading(wall_ms: u64, steady_s: u64) -> Reading {
        Reading { wall: START.plus_millis(wall_ms), steady: Duration::from_secs(steady_s) }
    }

    #[test]
    fn clocks_that_run_together_are_believed_and_small_corrections_followed() {
        let mut belief = Belief::new(reading(0, 0), Some(START));
        assert!(belief.holds(reading(1_000, 1)));
        for hour in 1..=24 {
            // The wall clock is slewed by half a minute an hour.
            assert!(belief.holds(reading(hour * 3_630_000, hour * 3_600)));
        }
    }

    #[test]
    fn a_clock_that_is_driven_away_slowly_is_not_followed() {
        let mut belief = Belief::new(reading(0, 0), Some(START));
        // Each second half a second too much: after two minutes it is a minute off.
        let believed = (1..=600).take_while(|second| belief.holds(reading(second * 1_500, *second))).count();
        assert_eq!(believed, 120);
    }

    fn peer(name: &str) -> ParticipantId {
        name.parse().unwrap()
    }

    #[test]
    fn a_step_is_not_believed_until_it_is_taken_back_or_two_peers_agree() {
        for step in [61_000, YEAR_MS] {
            let mut belief = Belief::new(reading(0, 0), None);
            assert!(!belief.holds(reading(1_000 + step, 1)));
            assert!(!belief.holds(reading(3_600_000 + step, 3_600)), "time alone heals nothing");
            assert!(belief.holds(reading(3_600_000, 3_600)));
            assert!(!belief.holds(reading(3_601_000 + step, 3_601)));
            let stepped = reading(3_602_000 + step, 3_602);
            for name in ["XA", "XB"] {
                belief.heard(peer(name), START, Reading { wall: START.plus_millis(YEAR_MS * 2), ..stepped });
            }
            assert!(!belief.holds(stepped), "peers that say otherwise confirm nothing");
            for _ in 0..2 {
                belief.heard(peer("XA"), stepped.wall, stepped);
                assert!(!belief.holds(stepped), "one peer is not enough, however often it says so");
            }
            belief.heard(peer("XB"), stepped.wall, stepped);
            assert!(belief.holds(stepped));
        }
    }

    #[test]
    fn two_peers_that_confirm_different_clocks_confirm_none() {
        let mut belief = Belief::new(reading(0, 0), Some(START));
        let (one, other) = (reading(YEAR_MS, 1), reading(2 * YEAR_MS, 2));
        belief.heard(peer("XA"), one.wall, one);
        belief.heard(peer("XB"), other.wall, other);
        assert!(!belief.holds(other));
        belief.heard(peer("XA"), other.wall, other);
        assert!(belief.holds(other));
    }

    #[test]
    fn after_a_restart_journal_or_peers_must_confirm() {
        let mut belief = Belief::new(reading(YEAR_MS, 0), Some(START));
        assert!(!belief.holds(reading(YEAR_MS, 0)));
        for name in ["XA", "XB"] {
            belief.heard(peer(name), START, reading(YEAR_MS, 1));
        }
        assert!(!belief.holds(reading(YEAR_MS + 1_000, 1)));
        for name in ["XA", "XB"] {
            belief.heard(peer(name), START.plus_millis(YEAR_MS), reading(YEAR_MS + 2_000, 2));
        }
        assert!(belief.holds(reading(YEAR_MS + 3_000, 3)));
    }
}
