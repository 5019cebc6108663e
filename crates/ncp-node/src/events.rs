//! The event feed: journal events that a person or a program may wait for, as CloudEvents without content.
//!
//! The feed is the journal seen through [`feed_event`]: ordered, durable, replayable, each event at least once. Its cursor is
//! the position behind an event.

use ncp_api::feed::{FeedEvent, FeedType};
use ncp_protocol::codes::Kind;
use ncp_protocol::event::{Alert, Change, Claim, EvidenceKind, Outcome};
use ncp_protocol::ids::{MessageId, ParticipantId};
use ncp_protocol::reject::RejectCode;
use ncp_store::reader::ReadError;
use serde_json::{Map, Value};

use crate::history::{self, Recorded};
use crate::node::Node;
use crate::views;

/// Feed events behind journal position `after`, from at most `look` journal events that tell something; none if there is
/// none up to now. Blocks on the disk.
///
/// # Errors
/// [`ReadError`].
pub fn after(node: &Node, after: u64, look: usize) -> Result<Vec<FeedEvent>, ReadError> {
    let mut next = after;
    loop {
        let recorded = history::from(node, next, look)?;
        let Some(last) = recorded.last() else { return Ok(Vec::new()) };
        next = last.sequence.saturating_add(1);
        let mut found = Vec::new();
        for one in &recorded {
            found.extend(feed_event(node, one)?);
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
}

/// What an event is about.
struct Told {
    kind: FeedType,
    message: Option<(ParticipantId, MessageId)>,
    participant: Option<ParticipantId>,
    code: Option<String>,
}

impl Told {
    fn message(kind: FeedType, originator: ParticipantId, message: MessageId) -> Self {
        Self { kind, message: Some((originator, message)), participant: None, code: None }
    }

    fn about(self, participant: ParticipantId) -> Self {
        Self { participant: Some(participant), ..self }
    }
}

/// The feed's view of a journal event, if it has one.
fn feed_event(node: &Node, recorded: &Recorded) -> Result<Option<FeedEvent>, ReadError> {
    let Some(told) = told(node.participant(), &recorded.event.change) else { return Ok(None) };
    let reference = match told.message {
        Some(key) => views::reference(node, key)?.map(|reference| reference.to_string()),
        None => None,
    };
    let mut data = Map::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            data.insert(name.to_owned(), Value::String(value));
        }
    };
    put("message", told.message.map(|(_, message)| message.to_string()));
    put("originator", told.message.map(|(originator, _)| originator.to_string()));
    put("participant", told.participant.map(|participant| participant.to_string()));
    put("code", told.code);
    let subject = reference.or_else(|| told.participant.map(|participant| participant.to_string()));
    Ok(Some(FeedEvent {
        specversion: "1.0".to_owned(),
        id: recorded.sequence.saturating_add(1).to_string(),
        source: format!("urn:ncp:{}:{}", node.network.id().label(), node.participant()),
        kind: told.kind,
        subject,
        time: recorded.event.time,
        data,
    }))
}

fn told(us: ParticipantId, change: &Change) -> Option<Told> {
    message_told(us, change).or_else(|| request_told(change)).or_else(|| node_told(change))
}

/// What happened to a message, sent or received.
fn message_told(us: ParticipantId, change: &Change) -> Option<Told> {
    if let Change::MessageDrafted(draft) = change {
        return Some(Told::message(FeedType::MessageCreated, us, draft.message));
    }
    if let Change::MessageReleased { message, .. } = change {
        return Some(Told::message(FeedType::MessageReleased, us, *message));
    }
    if let Change::MessageWithdrawn { message } = change {
        return Some(Told::message(FeedType::MessageWithdrawn, us, *message));
    }
    if let Change::EnvelopeFailed { envelope, code } = change {
        let kind = if *code == RejectCode::Expired { FeedType::MessageExpired } else { FeedType::MessageFailed };
        let told = Told::message(kind, us, envelope.message).about(envelope.recipient);
        return Some(Told { code: Some(views::state::reject(*code)), ..told });
    }
    if let Change::EvidenceReceived { claim, .. } = change {
        return evidence(claim).filter(|_| claim.envelope.originator == us);
    }
    if let Change::Evidence(claim) = change {
        let envelope = claim.envelope;
        let taken = claim.kind == EvidenceKind::ContentHandover;
        return taken.then(|| Told::message(FeedType::MessageHandedOver, envelope.originator, envelope.message));
    }
    if let Change::MessageReceived(received) = change {
        let envelope = received.envelope;
        return arrival(received.kind).map(|kind| Told::message(kind, envelope.originator, envelope.message));
    }
    None
}

/// What arrived; a test message reaches no person.
fn arrival(kind: Kind) -> Option<FeedType> {
    if !kind.reaches_a_person() {
        None
    } else if kind == Kind::Response {
        Some(FeedType::RequestAnswered)
    } else if kind.expects_answer() {
        Some(FeedType::RequestReceived)
    } else {
        Some(FeedType::MessageReceived)
    }
}

/// Work on a request, and its clocks.
fn request_told(change: &Change) -> Option<Told> {
    if let Change::TaskAssigned { originator, message, service, .. } = change {
        let told = Told::message(FeedType::RequestAssigned, *originator, *message);
        return Some(Told { code: Some(service.to_string()), ..told });
    }
    if let Change::RequestAlerted { originator, message, recipient, alert } = change {
        let kind = match alert {
            Alert::Unread => FeedType::RequestUnread,
            Alert::DueSoon => FeedType::RequestDueSoon,
            Alert::Overdue => FeedType::RequestOverdue,
        };
        return Some(Told::message(kind, *originator, *message).about(*recipient));
    }
    None
}

/// What concerns the node as a whole.
fn node_told(change: &Change) -> Option<Told> {
    let plain = |kind, participant| Told { kind, message: None, participant, code: None };
    if let Change::EntryAccepted { participant, .. }
    | Change::EntryPinned { participant, .. }
    | Change::ParticipantSuspended { participant, .. }
    | Change::ParticipantReinstated { participant } = change
    {
        return Some(plain(FeedType::DirectoryChanged, Some(*participant)));
    }
    if let Change::HoldSet { .. } | Change::HoldLifted { .. } = change {
        return Some(plain(FeedType::HealthChanged, None));
    }
    None
}

/// What another party's evidence tells about a message of this node.
fn evidence(claim: &Claim) -> Option<Told> {
    let kind = match (claim.kind, claim.outcome) {
        (EvidenceKind::RelayAcceptance, _) => FeedType::MessageAccepted,
        (EvidenceKind::ContentConsignment, _) => FeedType::MessageDelivered,
        (EvidenceKind::ContentHandover, _) => FeedType::MessageHandedOver,
        (_, Outcome::Recalled | Outcome::RecalledAfterOffer) => FeedType::MessageWithdrawn,
        (_, Outcome::Expired | Outcome::Rejected(RejectCode::Expired)) => FeedType::MessageExpired,
        (_, Outcome::Rejected(RejectCode::Duplicate)) => return None,
        (EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure, _) => FeedType::MessageFailed,
    };
    let envelope = claim.envelope;
    let told = Told::message(kind, envelope.originator, envelope.message).about(envelope.recipient);
    let code = match claim.outcome {
        Outcome::Rejected(code) => Some(views::state::reject(code)),
        Outcome::Done
        | Outcome::Confirmed
        | Outcome::Blind
        | Outcome::Expired
        | Outcome::Recalled
        | Outcome::RecalledAfterOffer => None,
    };
    Some(Told { code, ..told })
}
