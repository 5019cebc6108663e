//! Events in words, for auditors. Nothing here is content: events hold none.

use ncp_protocol::event::{
    Accepted, Actor, Alert, Approval, Change, Claim, Draft, EnvelopeKey, HoldScope, Lane, Outcome, Received, Role,
};
use ncp_protocol::ids::{MessageId, ParticipantId};

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
    let about = shared(change).or_else(|| hub(change)).or_else(|| control(change)).or_else(|| message(change));
    (name(change), about.unwrap_or_default())
}

fn name(change: &Change) -> &'static str {
    match change {
        Change::LogOpened { .. } => "log-opened",
        Change::Evidence(_) => "evidence",
        Change::EvidenceReceived { .. } => "evidence-received",
        Change::ConflictNoticed { .. } => "conflict-noticed",
        Change::EnvelopeAccepted(_) => "envelope-accepted",
        Change::EnvelopeOffered(_) => "envelope-offered",
        Change::EnvelopeSuperseded(_) => "envelope-superseded",
        Change::BodyDropped { .. } => "body-dropped",
        Change::EntryAdmitted { .. } => "entry-admitted",
        Change::MembershipAdmitted { .. } => "membership-admitted",
        Change::ParticipantSuspended { .. } => "participant-suspended",
        Change::ParticipantReinstated { .. } => "participant-reinstated",
        Change::PublicCheckpointRecorded { .. } => "public-checkpoint-recorded",
        Change::OfficerAdded { .. } => "officer-added",
        Change::OfficerDisabled { .. } => "officer-disabled",
        Change::RulesInForce { .. } => "rules-in-force",
        Change::HoldSet { .. } => "hold-set",
        Change::HoldLifted { .. } => "hold-lifted",
        Change::EntryAccepted { .. } => "entry-accepted",
        Change::EntryPinned { .. } => "entry-pinned",
        Change::ReceiptsStored { .. } => "receipts-stored",
        Change::RequestAlerted { .. } => "request-alerted",
        Change::DeadlineMoved { .. } => "deadline-moved",
        Change::MessageDrafted(_) => "message-drafted",
        Change::MessageEdited(_) => "message-edited",
        Change::MessageApproved(_) => "message-approved",
        Change::ReleaseRejected(_) => "release-rejected",
        Change::MessageReleased { .. } => "message-released",
        Change::EnvelopeSealed { .. } => "envelope-sealed",
        Change::MessageWithdrawn { .. } => "message-withdrawn",
        Change::RecallRequested { .. } => "recall-requested",
        Change::EnvelopeFailed { .. } => "envelope-failed",
        Change::MessageReceived(_) => "message-received",
        Change::TaskAssigned { .. } => "task-assigned",
        Change::ContributionAdded { .. } => "contribution-added",
        Change::ContentErased { .. } => "content-erased",
        Change::SequenceGapNoticed { .. } => "sequence-gap-noticed",
    }
}

/// Events of every daemon.
fn shared(change: &Change) -> Option<String> {
    Some(if let Change::LogOpened { origin, key, previous } = change {
        let before =
            previous.map_or_else(String::new, |(size, _)| format!(", after {size} events of the epoch before"));
        format!("{origin}, key {}{before}", key.0.short())
    } else if let Change::Evidence(claim) = change {
        claim_words(claim)
    } else if let Change::EvidenceReceived { claim, index, .. } = change {
        let place = format!("event {index} of {}", super::origin_words(&claim.origin));
        format!("{}; {place}", claim_words(claim))
    } else if let Change::ConflictNoticed { originator, message, .. } = change {
        format!("another content under {}", message_words(*originator, *message))
    } else {
        return None;
    })
}

/// Events of the hub.
fn hub(change: &Change) -> Option<String> {
    Some(if let Change::EnvelopeAccepted(Accepted { envelope, precedence, body_length, .. }) = change {
        format!("{}, {precedence}, body {body_length} bytes", envelope_words(envelope))
    } else if let Change::EnvelopeOffered(envelope) = change {
        envelope_words(envelope)
    } else if let Change::EnvelopeSuperseded(envelope) = change {
        envelope_words(envelope)
    } else if let Change::BodyDropped { originator, message } = change {
        message_words(*originator, *message)
    } else if let Change::EntryAdmitted { participant, version, entry } = change {
        format!("{participant}, version {version}, {}", entry.short())
    } else if let Change::MembershipAdmitted { version, membership } = change {
        format!("version {version}, {}", membership.short())
    } else if let Change::ParticipantSuspended { participant, reason } = change {
        format!("{participant}: {reason}")
    } else if let Change::ParticipantReinstated { participant } = change {
        participant.to_string()
    } else if let Change::PublicCheckpointRecorded { size, root } = change {
        format!("{size} events, root {}", root.short())
    } else {
        return None;
    })
}

/// Officers, rules, holds, directory and clocks at a node.
fn control(change: &Change) -> Option<String> {
    Some(if let Change::OfficerAdded { officer, uid, roles, .. } = change {
        let roles: Vec<&str> = roles.iter().map(|role| role_word(*role)).collect();
        format!("officer {officer}, uid {uid}, {}", roles.join(" and "))
    } else if let Change::OfficerDisabled { officer } = change {
        format!("officer {officer}")
    } else if let Change::RulesInForce { rules } = change {
        rules.short()
    } else if let Change::HoldSet { scope } = change {
        scope_words(scope)
    } else if let Change::HoldLifted { scope } = change {
        scope_words(scope)
    } else if let Change::EntryAccepted { participant, version, entry } = change {
        format!("{participant}, version {version}, {}", entry.short())
    } else if let Change::EntryPinned { participant, fingerprint } = change {
        format!("{participant}, {}", fingerprint.short())
    } else if let Change::ReceiptsStored { epoch, number } = change {
        format!("up to {number} of epoch {}", epoch.0)
    } else if let Change::RequestAlerted { originator, message, recipient, alert } = change {
        let what = match alert {
            Alert::Unread => "unread",
            Alert::DueSoon => "due soon",
            Alert::Overdue => "overdue",
        };
        format!("{}, answer of {recipient}: {what}", message_words(*originator, *message))
    } else if let Change::DeadlineMoved { originator, message, recipient, due, reason } = change {
        let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        let due = ncp_api::time::Time(*due);
        let about = message_words(*originator, *message);
        format!("{about}, answer of {recipient} due {due}{reason}")
    } else {
        return None;
    })
}

/// Messages at a node.
fn message(change: &Change) -> Option<String> {
    Some(if let Change::MessageDrafted(draft) = change {
        draft_words(draft)
    } else if let Change::MessageEdited(draft) = change {
        draft_words(draft)
    } else if let Change::MessageApproved(approval) = change {
        approval_words(approval)
    } else if let Change::ReleaseRejected(approval) = change {
        approval_words(approval)
    } else if let Change::MessageReleased { message, sequences, epoch } = change {
        format!("{message}, {} recipients, pair epoch {}", sequences.len(), epoch.0)
    } else if let Change::EnvelopeSealed { envelope, recipient_key, .. } = change {
        format!("{}, key {}", envelope_words(envelope), recipient_key.0.short())
    } else if let Change::MessageWithdrawn { message } = change {
        message.to_string()
    } else if let Change::RecallRequested { message } = change {
        message.to_string()
    } else if let Change::EnvelopeFailed { envelope, code } = change {
        format!("{}: {code}", envelope_words(envelope))
    } else if let Change::MessageReceived(Received { envelope, reference, kind, .. }) = change {
        format!("{reference}, {kind}; {}", envelope_words(envelope))
    } else if let Change::TaskAssigned { originator, message, task, service } = change {
        format!("{}, task {task} to {service}", message_words(*originator, *message))
    } else if let Change::ContributionAdded { originator, message, task, .. } = change {
        format!("{}, task {task}", message_words(*originator, *message))
    } else if let Change::ContentErased { originator, message } = change {
        message_words(*originator, *message)
    } else if let Change::SequenceGapNoticed { originator, lane, first, last } = change {
        let lane = match lane {
            Lane::Ordinary => "ordinary",
            Lane::Urgent => "urgent",
        };
        format!("{lane} mail from {originator}, {} to {}", first.0, last.0)
    } else {
        return None;
    })
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
