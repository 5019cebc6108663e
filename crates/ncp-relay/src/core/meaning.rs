//! What events mean beyond their fields. Replay depends on every line here: a journal of any age is folded by this code, so
//! nothing is changed, only added beside. A recorded journal (`tests/golden.rs`) fails when something moves.
//! Under the same rule stand `after` of the counts in [`tables`](super::tables), which carry a day's and an epoch's tally on.

use ncp_protocol::event::Outcome;
pub use ncp_protocol::limits::{DEDUPLICATION_MS, RECEIPTS_KEPT_MS};

use super::tables::Ending;

/// Most rows that one event forgets: more than an event leaves to be forgotten, so that forgetting keeps up.
pub const FORGET_PER_EVENT_MAX: usize = 4;

/// How the hub's own negative evidence ends an envelope.
pub(super) fn ending(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Recalled | Outcome::RecalledAfterOffer => Ending::Recalled,
        Outcome::Expired | Outcome::ExpiredAfterOffer => Ending::Expired,
        Outcome::Done | Outcome::Confirmed | Outcome::Blind | Outcome::Rejected(_) => Ending::Rejected,
    }
}
