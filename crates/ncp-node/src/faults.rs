//! From the shell's and the core's errors to those of the registry, which people and programs read.

use ncp_api::officer::OfficerRole;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::event::Role;
use ncp_protocol::ids::OfficerNumber;
use ncp_store::committer::Stopped;
use ncp_store::reader::ReadError;

use crate::core::command::Refusal;
use crate::core::tables::OutState;
use crate::node::Node;

/// The store cannot be read.
#[must_use]
pub fn unreadable(error: &dyn core::fmt::Display) -> Fault {
    ErrorCode::StoreStopped.with("reason", error)
}

/// An error of the store inside a request: the request fails, and so does the daemon.
#[derive(Debug)]
pub enum Failed {
    /// The asker is told.
    Fault(Box<Fault>),
    /// The store has stopped or cannot be read.
    Store(Box<Fault>),
}

impl Failed {
    /// What the asker is told.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        match self {
            Self::Fault(fault) | Self::Store(fault) => fault,
        }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<ErrorCode> for Failed {
    fn from(code: ErrorCode) -> Self {
        code.fault().into()
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        // What the start knew to be lost fails the request that needs it and nothing else.
        if matches!(error, ReadError::Lost { .. }) {
            return ErrorCode::StoreDamaged.with("folder", "the journal").with("reason", error).into();
        }
        match error.lost_record() {
            // One record is lost, and with it one answer: everything else is as it was.
            Some(_) => ErrorCode::RecordMissing.with("record", &error).into(),
            None => Self::Store(Box::new(unreadable(&error))),
        }
    }
}

impl From<ncp_store::state::Unreadable> for Failed {
    fn from(error: ncp_store::state::Unreadable) -> Self {
        Self::Store(Box::new(unreadable(&error)))
    }
}

impl From<Stopped> for Failed {
    fn from(error: Stopped) -> Self {
        Self::Store(Box::new(unreadable(&error)))
    }
}

/// What a refused command was about, for the sentences.
#[derive(Debug, Clone)]
pub struct About {
    /// What was asked, such as `an edit`.
    pub action: &'static str,
    /// Reference of the message, or what else it is about.
    pub reference: String,
    /// Who asked.
    pub officer: OfficerNumber,
}

/// The core's refusal as an error that people read.
#[must_use]
pub fn refused(node: &Node, refusal: Refusal, about: &About) -> Fault {
    let About { action, reference, officer } = about;
    match refusal {
        Refusal::Denied { recipient, kind, handling } => ErrorCode::DeniedByDefault
            .with("kind", kind)
            .with("handling", ncp_api::text::handling::show(handling))
            .with("recipient", recipient),
        Refusal::UnknownMessage => ErrorCode::MessageUnknown.with("message", reference),
        Refusal::UnknownParticipant(id) => ErrorCode::ParticipantUnknown.with("participant", id),
        Refusal::NotPinned(id) => ErrorCode::ParticipantNotPinned.with("participant", id),
        Refusal::FingerprintDiffers(id) => {
            ErrorCode::PinnedOtherwise.with("participant", id).with("pinned", "another fingerprint")
        }
        Refusal::Suspended(id) => {
            ErrorCode::ParticipantSuspended.with("participant", id).with("reason", crate::views::suspension(node, id))
        }
        Refusal::WrongState(state) => ErrorCode::MessageStateWrong
            .with("action", action)
            .with("reference", reference)
            .with("state", state_name(state)),
        Refusal::Edited => ErrorCode::ReleaseEditedMeanwhile.with("reference", reference),
        Refusal::DrafterCannotRelease => ErrorCode::DrafterCannotRelease.fault(),
        Refusal::ApprovedAlready => ErrorCode::ApprovedAlready.with("officer", officer).with("reference", reference),
        Refusal::UnknownOfficer => ErrorCode::OfficerUnknown.with("officer", officer),
        // It happened while the request was carried out.
        Refusal::OfficerDisabled => {
            ErrorCode::OfficerDisabled.with("officer", officer).with("since", ncp_api::time::Time(crate::clock::now()))
        }
        Refusal::RoleMissing(role) => ErrorCode::OfficerRoleMissing
            .with("action", action)
            .with("role", OfficerRole::from(role))
            .with("officer", officer)
            .with("roles", "others"),
        // Told before it comes here, unless another officer was entered meanwhile.
        Refusal::OfficerTaken => {
            ErrorCode::OfficerNumberTaken.with("what", "number, account or key").with("officer", reference)
        }
        Refusal::LastOfficer(Role::Supervisor | Role::Drafter) => ErrorCode::OfficerLastSupervisor.fault(),
        Refusal::LastOfficer(Role::Releaser) => ErrorCode::OfficerLastReleaser.with("officer", reference),
        Refusal::SamePerson => ErrorCode::OfficerSecondNeeded.with("action", action).with("count", 1),
        Refusal::IdempotencyConflict { message } => ErrorCode::IdempotencyKeyReused.with("reference", message),
        Refusal::LifetimeOutOfRange => ErrorCode::DateInvalid
            .with("field", "not_after")
            .with("value", reference)
            .with("reason", "the message's last date has passed; an edit gives it a new one"),
        Refusal::CitationUnknown => ErrorCode::ReplyTargetInvalid
            .with("reference", reference)
            .with("reason", "it is not here, has other content, or belongs to another conversation"),
        Refusal::UnknownTask => ErrorCode::TaskUnknown.with("reference", reference).with("task", "of this number"),
        Refusal::NotAssignable => {
            ErrorCode::MessageStateWrong.with("action", action).with("reference", reference).with("state", "not open")
        }
        Refusal::TooMany => ErrorCode::TooManyRequests
            .with("reason", format!("{reference} has as many tasks or contributions as it may have"))
            .with("seconds", 0),
        Refusal::UnknownHold => ErrorCode::HoldUnknown.with("scope", reference),
        Refusal::RulesChanged | Refusal::ReferenceTaken | Refusal::Stale => ErrorCode::TooManyRequests
            .with("reason", "something changed while the request was carried out")
            .with("seconds", 1),
        Refusal::Rejected(code) => ErrorCode::InternalFault.with("reason", code),
    }
}

/// What people call a state.
fn state_name(state: OutState) -> &'static str {
    match state {
        OutState::WaitingForRelease => "waiting for release",
        OutState::ReturnedToDrafter => "returned to its drafter",
        OutState::Released => "released",
        OutState::Withdrawn => "withdrawn",
    }
}
