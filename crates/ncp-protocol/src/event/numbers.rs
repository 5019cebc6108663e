//! Numbers in events that count from 1, and lists of them that have one order: what the layout alone does not hold.

use super::{Change, Claim, EnvelopeKey, Received};
use crate::wrap::PairNumbers;

impl Change {
    /// Whether every number that counts from 1 does.
    pub(super) fn numbers_are_in_range(&self) -> bool {
        match self {
            Self::LogOpened { origin, .. } => origin.epoch.0 > 0,
            Self::Evidence(claim) | Self::EvidenceReceived { claim, .. } => is_claim(claim),
            Self::EnvelopeAccepted(accepted) => is_sealed(&accepted.envelope),
            Self::EnvelopeOffered(envelope)
            | Self::EnvelopeSuperseded(envelope)
            | Self::EnvelopeSealed { envelope, .. } => is_sealed(envelope),
            Self::MessageReleased { sequences, epoch, .. } => {
                epoch.0 > 0 && sequences.iter().all(|sequence| sequence.0 > 0)
            }
            Self::MessageReceived(received) => is_received(received),
            Self::SequenceGapNoticed { first, last, .. } => first.0 > 0 && first <= last,
            Self::ReceiptsStored { epoch, .. } => epoch.0 > 0,
            // An envelope may fail before it is sealed.
            Self::EnvelopeFailed { .. }
            | Self::ConflictNoticed { .. }
            | Self::BodyDropped { .. }
            | Self::EntryAdmitted { .. }
            | Self::MembershipAdmitted { .. }
            | Self::ParticipantSuspended { .. }
            | Self::ParticipantReinstated { .. }
            | Self::PublicCheckpointRecorded { .. }
            | Self::OfficerAdded { .. }
            | Self::OfficerDisabled { .. }
            | Self::RulesInForce { .. }
            | Self::HoldSet { .. }
            | Self::HoldLifted { .. }
            | Self::MessageDrafted(_)
            | Self::MessageEdited(_)
            | Self::MessageApproved(_)
            | Self::ReleaseRejected(_)
            | Self::MessageWithdrawn { .. }
            | Self::RecallRequested { .. }
            | Self::TaskAssigned { .. }
            | Self::ContributionAdded { .. }
            | Self::RequestAlerted { .. }
            | Self::DeadlineMoved { .. }
            | Self::ContentErased { .. }
            | Self::EntryAccepted { .. }
            | Self::EntryPinned { .. } => true,
        }
    }
}

fn is_sealed(envelope: &EnvelopeKey) -> bool {
    envelope.seal.0 > 0
}

fn is_claim(claim: &Claim) -> bool {
    claim.origin.epoch.0 > 0 && is_sealed(&claim.envelope)
}

fn is_received(received: &Received) -> bool {
    let Received { envelope, epoch, sequence, floor, ref voided, .. } = *received;
    is_sealed(&envelope) && PairNumbers { epoch, sequence, floor, voided }.check().is_ok()
}
