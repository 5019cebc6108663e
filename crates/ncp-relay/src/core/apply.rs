//! Folding one event into rows: the only writer of the tables, live and in recovery alike.
//!
//! Frozen per event version; what it reads beside event and rows stands in [`meaning`](super::meaning). What an event cannot find is left alone: only events that `decide` chose get here, and a
//! journal that says otherwise must still replay.

use ncp_protocol::event::Change;
use ncp_store::state::{Placed, Rows, Unreadable, View};

use self::fold::Fold;
use super::tables::{Ending, MEMBERSHIP, MembershipRow, PUBLIC, PublicRow, SUSPENDED};

mod fold;
mod forget;

/// Folds one event.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn apply(view: &dyn View, placed: Placed<'_>, rows: &mut Rows) -> Result<(), Unreadable> {
    let mut fold = Fold::new(view, rows, &placed);
    match &placed.event.change {
        Change::EnvelopeAccepted(accepted) => fold.envelope_accepted(accepted),
        Change::Evidence(claim) => fold.claimed(claim),
        Change::EvidenceReceived { claim, index, record, .. } => fold.evidence_received(claim, *index, *record),
        Change::ConflictNoticed { originator, message, .. } => fold.conflict_noticed(*originator, *message),
        Change::EnvelopeOffered(envelope) => fold.offered(envelope),
        Change::EnvelopeSuperseded(envelope) => fold.end(envelope, Ending::Superseded, None),
        Change::BodyDropped { originator, message } => fold.body_dropped(*originator, *message),
        Change::EntryAdmitted { participant, version, entry } => fold.entry_admitted(*participant, *version, *entry),
        Change::MembershipAdmitted { version, membership } => {
            let row = MembershipRow { version: *version, membership: *membership };
            MEMBERSHIP.put(fold.rows, &(), &row);
            Ok(())
        }
        Change::ParticipantSuspended { participant, reason } => {
            SUSPENDED.put(fold.rows, participant, reason);
            Ok(())
        }
        Change::ParticipantReinstated { participant } => {
            SUSPENDED.remove(fold.rows, participant);
            Ok(())
        }
        Change::PublicCheckpointRecorded { size, .. } => {
            PUBLIC.put(fold.rows, &(), &PublicRow { size: *size });
            Ok(())
        }
        // A log's opening is the store's; the rest happens at nodes alone. It is passed over and not refused as a node refuses
        // the hub's: the hub must start on any journal that its own log key signed, for the whole network waits for it.
        Change::LogOpened { .. }
        | Change::OfficerAdded { .. }
        | Change::OfficerDisabled { .. }
        | Change::RulesInForce { .. }
        | Change::HoldSet { .. }
        | Change::HoldLifted { .. }
        | Change::MessageDrafted(_)
        | Change::MessageEdited(_)
        | Change::MessageApproved(_)
        | Change::ReleaseRejected(_)
        | Change::MessageReleased { .. }
        | Change::EnvelopeSealed { .. }
        | Change::MessageWithdrawn { .. }
        | Change::RecallRequested { .. }
        | Change::EnvelopeFailed { .. }
        | Change::MessageReceived(_)
        | Change::TaskAssigned { .. }
        | Change::ContributionAdded { .. }
        | Change::RequestAlerted { .. }
        | Change::DeadlineMoved { .. }
        | Change::ContentErased { .. }
        | Change::SequenceGapNoticed { .. }
        | Change::EntryAccepted { .. }
        | Change::EntryPinned { .. }
        | Change::ReceiptsStored { .. } => Ok(()),
    }
}
