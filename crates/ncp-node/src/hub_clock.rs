//! The hub's clock beside this machine's. The hub signs a timestamp statement at most [`STATEMENT_AGE_MAX_MS`] before it
//! hands it out; from when that was, the monotonic clock tells the hub's time now. So a clock that is put right here is
//! right at once, without another word of the hub.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::UnixMillis;

/// How old a statement may be when the hub hands it out.
const STATEMENT_AGE_MAX_MS: u64 = 60_000;
/// From when on two clocks differ too much. The hub refuses what is made more than ten minutes ahead of its own.
const DIFFERENCE_MAX_MS: u64 = 5 * 60_000;

/// What the newest statement of the hub told.
#[derive(Debug, Default)]
pub struct HubClock(Mutex<Option<(UnixMillis, Instant)>>);

impl HubClock {
    /// The hub has just handed out a statement of this time, and signed it.
    pub(crate) fn note(&self, issued: UnixMillis) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((issued, Instant::now()));
    }

    /// Whether this machine's clock, which says `now`, goes with the hub's; `None` before the hub told its time.
    #[must_use]
    pub fn compared(&self, now: UnixMillis) -> Option<Difference> {
        let (issued, at) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let elapsed = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Some(Difference::between(now, issued.plus_millis(elapsed)))
    }
}

/// How two clocks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// By less than matters.
    Small,
    /// This machine's is ahead by at least so many milliseconds.
    Ahead(u64),
    /// This machine's is behind by so many milliseconds.
    Behind(u64),
}

impl Difference {
    fn between(own: UnixMillis, stated: UnixMillis) -> Self {
        // The hub's clock is between what it stated and a statement's greatest age later.
        let (ahead, behind) = (own.millis_since(stated.plus_millis(STATEMENT_AGE_MAX_MS)), stated.millis_since(own));
        if behind >= DIFFERENCE_MAX_MS {
            Self::Behind(behind)
        } else if ahead >= DIFFERENCE_MAX_MS {
            Self::Ahead(ahead)
        } else {
            Self::Small
        }
    }

    /// The fault, unless they go together.
    #[must_use]
    pub fn fault(self) -> Option<Fault> {
        let (millis, direction) = match self {
            Self::Small => return None,
            Self::Ahead(millis) => (millis, "ahead of"),
            Self::Behind(millis) => (millis, "behind"),
        };
        Some(ErrorCode::ClockDiffers.with("minutes", millis / 60_000).with("direction", direction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn five_minutes_are_too_many_in_both_directions() {
        let hub = UnixMillis(100 * MINUTE);
        let of = |own| Difference::between(UnixMillis(own), hub);
        assert_eq!(of(hub.0), Difference::Small);
        assert_eq!(of(95 * MINUTE + 1), Difference::Small);
        assert_eq!(of(95 * MINUTE), Difference::Behind(5 * MINUTE));
        // A statement may be a minute old when it comes.
        assert_eq!(of(106 * MINUTE - 1), Difference::Small);
        assert_eq!(of(106 * MINUTE), Difference::Ahead(5 * MINUTE));
        let fault = of(40 * MINUTE).fault().expect("a fault");
        assert_eq!(fault.cause(), "this machine's clock is 60 min behind the hub's");
        assert_eq!(of(hub.0).fault(), None);
    }

    #[test]
    fn nothing_is_said_before_the_hub_told_its_time() {
        let clock = HubClock::default();
        assert_eq!(clock.compared(UnixMillis(0)), None);
        clock.note(UnixMillis(10 * MINUTE));
        assert!(matches!(clock.compared(UnixMillis(0)), Some(Difference::Behind(_))));
        assert_eq!(clock.compared(UnixMillis(10 * MINUTE)), Some(Difference::Small));
    }
}
