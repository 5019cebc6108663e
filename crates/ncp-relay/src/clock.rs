//! Time and chance: the one place of the shell that asks the system for either, and whether the wall clock is believed.
//!
//! Expiry is signed evidence, so a wrong clock must not cause it (DESIGN, "Failure is ordinary"): the wall clock counts
//! only while it runs with the monotonic one, and after a restart only once the journal's newest event or a peer's signed
//! time says the same.

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ncp_protocol::ids::UnixMillis;
use ncp_protocol::limits::CLOCK_SKEW_MAX_MS;

use crate::core::command::Stamp;
use crate::limits::CLOCK_STEP_MAX;

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

/// Whether the wall clock is believed. Pure: readings come as values.
#[derive(Debug)]
pub struct Belief {
    base: Reading,
    confirmed: bool,
}

impl Belief {
    /// Begins at a start; `newest` is when the journal's newest event was decided.
    #[must_use]
    pub fn new(first: Reading, newest: Option<UnixMillis>) -> Self {
        let confirmed = newest.is_none_or(|newest| is_near(newest, first.wall));
        Self { base: first, confirmed }
    }

    /// A peer signed this time just now. What it confirms is the wall clock as it stands, also after a step.
    pub fn heard(&mut self, time: UnixMillis, reading: Reading) {
        if is_near(time, reading.wall) {
            *self = Self { base: reading, confirmed: true };
        }
    }

    /// Whether the wall clock is believed now. Slow corrections are followed; a step is not.
    pub fn holds(&mut self, reading: Reading) -> bool {
        let elapsed = reading.steady.saturating_sub(self.base.steady).as_millis();
        let expected = self.base.wall.plus_millis(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let in_step = u128::from(reading.wall.0.abs_diff(expected.0)) <= CLOCK_STEP_MAX.as_millis();
        if in_step {
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
    pub fn heard(&self, time: UnixMillis) {
        self.with(|belief, reading| belief.heard(time, reading));
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
    fn a_step_is_not_believed_until_it_is_taken_back_or_a_peer_agrees() {
        for step in [61_000, YEAR_MS] {
            let mut belief = Belief::new(reading(0, 0), None);
            assert!(!belief.holds(reading(1_000 + step, 1)));
            assert!(!belief.holds(reading(3_600_000 + step, 3_600)), "time alone heals nothing");
            assert!(belief.holds(reading(3_600_000, 3_600)));
            assert!(!belief.holds(reading(3_601_000 + step, 3_601)));
            let stepped = reading(3_602_000 + step, 3_602);
            belief.heard(START, Reading { wall: START.plus_millis(YEAR_MS * 2), ..stepped });
            assert!(!belief.holds(stepped), "a peer that says otherwise confirms nothing");
            belief.heard(stepped.wall, stepped);
            assert!(belief.holds(stepped));
        }
    }

    #[test]
    fn after_a_restart_journal_or_peer_must_confirm() {
        let mut belief = Belief::new(reading(YEAR_MS, 0), Some(START));
        assert!(!belief.holds(reading(YEAR_MS, 0)));
        belief.heard(START, reading(YEAR_MS, 1));
        assert!(!belief.holds(reading(YEAR_MS + 1_000, 1)));
        belief.heard(START.plus_millis(YEAR_MS), reading(YEAR_MS + 2_000, 2));
        assert!(belief.holds(reading(YEAR_MS + 3_000, 3)));
    }
}
