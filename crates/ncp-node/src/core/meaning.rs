//! What events mean beyond their fields. Replay depends on every line here: a journal of any age is folded by this code, so
//! nothing is changed, only added beside. The tunable limits of `decide` stand in [`limits`](super::limits).
//!
//! From the protocol crate come, under the same rule: [`Kind::columns`], [`Precedence::answer_time_ms`], [`Lane::of`], the
//! numbers [`SEALS_MAX`], [`CLOCK_SKEW_MAX_MS`] and [`RECEIPTS_KEPT_MS`]. A recorded journal (`tests/golden.rs`) fails when one of them moves.
//!
//! [`Lane::of`]: ncp_protocol::event::Lane::of

use ncp_protocol::codes::{Kind, Precedence, ResponseStatus};
use ncp_protocol::event::{Claim, EvidenceKind, Outcome};
use ncp_protocol::ids::UnixMillis;
use ncp_protocol::limits::{CLOCK_SKEW_MAX_MS, RECEIPTS_KEPT_MS, SEALS_MAX};
use ncp_protocol::reject::RejectCode;

/// Which evidence stands beside which: one of each sort per envelope, positive or negative.
pub(super) fn evidence_byte(kind: EvidenceKind) -> u8 {
    match kind {
        EvidenceKind::RelayAcceptance => 0,
        EvidenceKind::RelayFailure => 1,
        EvidenceKind::ContentConsignment => 2,
        EvidenceKind::ContentConsignmentFailure => 3,
        EvidenceKind::ContentHandover => 4,
    }
}

/// Most numbers below a floor that one message makes the node look at; its successor goes on from there.
pub(super) const NUMBERS_PER_LOOK: u64 = 1_000;

/// Whether the recipient says that a key of the envelope is no longer one: its own, to which the envelope is sealed, or
/// this node's, which signed it. The same message goes under another seal, unless it has had them all.
pub(super) fn asks_for_another_seal(claim: &Claim) -> bool {
    claim.kind == EvidenceKind::ContentConsignmentFailure
        && matches!(claim.outcome, Outcome::Rejected(code) if names_a_key(code))
        && claim.envelope.seal.0 < SEALS_MAX
}

/// Whether a refusal is about one of the keys of an envelope.
pub(crate) fn names_a_key(code: RejectCode) -> bool {
    code == RejectCode::RecipientKeyUnknown || code == RejectCode::OriginatorKeyUnknown
}

/// Whether a response of this status ends the wait for an answer; an extension only moves it.
pub(super) fn ends_the_wait(status: Option<ResponseStatus>) -> bool {
    match status {
        Some(ResponseStatus::Final | ResponseStatus::Partial | ResponseStatus::Refusal) => true,
        Some(ResponseStatus::Extension) | None => false,
    }
}

/// When the answer to a message is due, whose R2 was stated at `consigned`: both ends compute it so. None if the kind expects
/// none.
pub(super) fn answer_due(
    kind: Kind,
    answer_by: Option<UnixMillis>,
    precedence: Precedence,
    consigned: UnixMillis,
) -> Option<UnixMillis> {
    let due = answer_by.unwrap_or_else(|| consigned.plus_millis(precedence.answer_time_ms()));
    kind.expects_answer().then_some(due)
}

/// When the time of an envelope is over by this node's clock: the two clocks may differ.
pub(crate) fn expiry(not_after: UnixMillis) -> UnixMillis {
    not_after.plus_millis(CLOCK_SKEW_MAX_MS)
}

/// Until when it proves something that the hub knows nothing of an envelope: then it may have forgotten one that the recipient
/// took, and no longer bring the evidence.
pub(super) fn hub_remembers_until(released: UnixMillis) -> UnixMillis {
    released.plus_millis(RECEIPTS_KEPT_MS)
}

/// Until when a request that came at `from` and is due at `due` may lie unread, and from when it is due soon: a quarter of
/// the time from either end.
pub(super) fn quarters(from: UnixMillis, due: UnixMillis) -> (u64, u64) {
    let quarter = due.millis_since(from) / 4;
    (from.0.saturating_add(quarter), due.0.saturating_sub(quarter))
}
