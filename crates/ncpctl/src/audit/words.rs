//! Events in words, for auditors. Nothing here is content: events hold none.

use ncp_protocol::event::{
    Accepted, Actor, Alert, Approval, Change, Claim, Draft, EnvelopeKey, HoldScope, Lane, Outcome, Received, Role,
};
use ncp_protocol::ids::{Digest, KeyId, LogOrigin, MessageId, ParticipantId};

/// On whose behalf something happened.
pub(crate) fn actor_words(actor: &Actor) -> String {
    match actor {
        Actor::Daemon => "daemon".to_owned(),
        Actor::Officer { number, .. } => format!("officer {number}"),
        Actor::Application(name) => format!("application {name}"),
        Actor::Peer(participant) => format!("peer {participant}"),
        Actor::Operator(uid) => format!("operator, uid {uid}"),
    }
}

/// The event's name, and what it is about.
pub(crate) fn change_words(change: &Change) -> (&'static str, String) {
    match change {
        Change::LogOpened { origin, key, previous } => ("log-opened", opening_words(origin, key, *previous)),
        Change::Evidence(claim) => ("evidence", claim_words(claim)),
        Change::EvidenceReceived { claim, index, .. } => {
            let place = format!("event {index} of {}", super::origin_words(&claim.origin));
            ("evidence-received", format!("{}; {place}", claim_words(claim)))
        }
        Change::ConflictNoticed { originator, message, .. } => {
            ("conflict-noticed", format!("another content under {}", message_words(*originator, *message)))
        }
        Change::EnvelopeAccepted(Accepted { envelope, precedence, body_length, .. }) => {
            ("envelope-accepted", format!("{}, {precedence}, body {body_length} bytes", envelope_words(envelope)))
        }
        Change::EnvelopeOffered(envelope) => ("envelope-offered", envelope_words(envelope)),
        Change::EnvelopeSuperseded(envelope) => ("envelope-superseded", envelope_words(envelope)),
        Change::BodyDropped { originator, message } => ("body-dropped", message_words(*originator, *message)),
        Change::EntryAdmitted { participant, version, entry } => {
            ("entry-admitted", entry_words(*participant, *version, entry))
        }
        Change::MembershipAdmitted { version, membership } => {
            ("membership-admitted", format!("version {version}, {}", membership.short()))
        }
        Change::ParticipantSuspended { participant, reason } => {
            ("participant-suspended", format!("{participant}: {reason}"))
        }
        Change::ParticipantReinstated { participant } => ("participant-reinstated", participant.to_string()),
        Change::PublicCheckpointRecorded { size, root } => {
            ("public-checkpoint-recorded", format!("{size} events, root {}", root.short()))
        }
        Change::OfficerAdded { officer, uid, roles, .. } => {
            let roles: Vec<&str> = roles.iter().map(|role| role_word(*role)).collect();
            ("officer-added", format!("officer {officer}, uid {uid}, {}", roles.join(" and ")))
        }
        Change::OfficerDisabled { officer } => ("officer-disabled", format!("officer {officer}")),
        Change::RulesInForce { rules } => ("rules-in-force", rules.short()),
        Change::HoldSet { scope } => ("hold-set", scope_words(scope)),
        Change::HoldLifted { scope } => ("hold-lifted", scope_words(scope)),
        Change::MessageDrafted(draft) => ("message-drafted", draft_words(draft)),
        Change::MessageEdited(draft) => ("message-edited", draft_words(draft)),
        Change::MessageApproved(approval) => ("message-approved", approval_words(approval)),
        Change::ReleaseRejected(approval) => ("release-rejected", approval_words(approval)),
        Change::MessageReleased { message, sequences, epoch } => {
            ("message-released", format!("{message}, {} recipients, pair epoch {}", sequences.len(), epoch.0))
        }
        Change::EnvelopeSealed { envelope, recipient_key, .. } => {
            ("envelope-sealed", format!("{}, key {}", envelope_words(envelope), recipient_key.0.short()))
        }
        Change::MessageWithdrawn { message } => ("message-withdrawn", message.to_string()),
        Change::RecallRequested { message } => ("recall-requested", message.to_string()),
        Change::EnvelopeFailed { envelope, code } => {
            ("envelope-failed", format!("{}: {code}", envelope_words(envelope)))
        }
        Change::MessageReceived(Received { envelope, reference, kind, .. }) => {
            ("message-received", format!("{reference}, {kind}; {}", envelope_words(envelope)))
        }
        Change::TaskAssigned { originator, message, task, service } => {
            ("task-assigned", format!("{}, task {task} to {service}", message_words(*originator, *message)))
        }
        Change::ContributionAdded { originator, message, task, .. } => {
            ("contribution-added", format!("{}, task {task}", message_words(*originator, *message)))
        }
        Change::ReceiptsStored { epoch, number } => ("receipts-stored", format!("up to {number} of epoch {}", epoch.0)),
        Change::RequestAlerted { originator, message, recipient, alert } => {
            let about = message_words(*originator, *message);
            ("request-alerted", format!("{about}, answer of {recipient}: {}", alert_words(*alert)))
        }
        Change::DeadlineMoved { originator, message, recipient, due, reason } => {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            let (about, due) = (message_words(*originator, *message), ncp_api::time::Time(*due));
            ("deadline-moved", format!("{about}, answer of {recipient} due {due}{reason}"))
        }
        Change::ContentErased { originator, message } => ("content-erased", message_words(*originator, *message)),
        Change::SequenceGapNoticed { originator, lane, first, last } => {
            let lane = lane_word(*lane);
            ("sequence-gap-noticed", format!("{lane} mail from {originator}, {} to {}", first.0, last.0))
        }
        Change::EntryAccepted { participant, version, entry } => {
            ("entry-accepted", entry_words(*participant, *version, entry))
        }
        Change::EntryPinned { participant, fingerprint } => ("entry-pinned", format!("{participant}, {fingerprint}")),
    }
}

fn opening_words(origin: &LogOrigin, key: &KeyId, previous: Option<(u64, Digest)>) -> String {
    let before = previous.map_or_else(String::new, |(size, _)| format!(", after {size} events of the epoch before"));
    format!("{origin}, key {}{before}", key.0.short())
}

fn entry_words(participant: ParticipantId, version: u32, entry: &Digest) -> String {
    format!("{participant}, version {version}, {}", entry.short())
}

fn alert_words(alert: Alert) -> &'static str {
    match alert {
        Alert::Unread => "unread",
        Alert::DueSoon => "due soon",
        Alert::Overdue => "overdue",
    }
}

fn lane_word(lane: Lane) -> &'static str {
    match lane {
        Lane::Ordinary => "ordinary",
        Lane::Urgent => "urgent",
    }
}

/// A claim in one line.
pub(crate) fn claim_words(claim: &Claim) -> String {
    let kind = ncp_api::timeline::ReceiptKind::from(claim.kind);
    let outcome = match claim.outcome {
        Outcome::Done => String::new(),
        Outcome::Confirmed => ", confirmed".to_owned(),
        Outcome::Blind => ", blind".to_owned(),
        Outcome::Expired => ", expired".to_owned(),
        Outcome::Recalled => ", recalled".to_owned(),
        Outcome::ExpiredAfterOffer => ", expired after it was offered".to_owned(),
        Outcome::RecalledAfterOffer => ", recalled after it was offered".to_owned(),
        Outcome::Rejected(code) => format!(", rejected: {code}"),
    };
    format!("{kind}{outcome}; {}", envelope_words(&claim.envelope))
}

fn envelope_words(envelope: &EnvelopeKey) -> String {
    let EnvelopeKey { originator, message, recipient, seal } = envelope;
    let seal = if seal.0 == 1 { String::new() } else { format!(", seal {}", seal.0) };
    format!("{originator} to {recipient} {message}{seal}")
}

fn message_words(originator: ParticipantId, message: MessageId) -> String {
    format!("{originator} {message}")
}

fn draft_words(draft: &Draft) -> String {
    let recipients: Vec<&str> = draft.recipients.iter().map(ParticipantId::as_str).collect();
    let Draft { reference, kind, revision, rule, message, .. } = draft;
    format!("{reference}, {kind} to {}, revision {revision}, rule {rule}; {message}", recipients.join(" "))
}

fn approval_words(approval: &Approval) -> String {
    format!("{}, revision {}, by officer {}", approval.message, approval.revision, approval.officer)
}

fn scope_words(scope: &HoldScope) -> String {
    match scope {
        HoldScope::All => "everything".to_owned(),
        HoldScope::Recipient(participant) => format!("everything to {participant}"),
        HoldScope::Kind(kind) => format!("every {kind}"),
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Drafter => "drafter",
        Role::Releaser => "releaser",
        Role::Supervisor => "supervisor",
    }
}
