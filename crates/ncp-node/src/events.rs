//! The event feed: journal events that a person or a program may wait for, as CloudEvents without content.
//!
//! The feed is the journal seen through [`feed_event`]: ordered, durable, replayable, each event at least once. Its cursor is
//! the position behind an event.

use ncp_api::feed::{FeedEvent, FeedType};
use ncp_protocol::codes::Kind;
use ncp_protocol::event::{Alert, Change, Claim, EvidenceKind, Outcome, Received};
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

/// What an event tells those who wait; each is listed, those that tell nothing too.
fn told(us: ParticipantId, change: &Change) -> Option<Told> {
    let plain = |kind, participant| Some(Told { kind, message: None, participant, code: None });
    match change {
        Change::MessageDrafted(draft) => Some(Told::message(FeedType::MessageCreated, us, draft.message)),
        Change::MessageReleased { message, .. } => Some(Told::message(FeedType::MessageReleased, us, *message)),
        Change::MessageWithdrawn { message } => Some(Told::message(FeedType::MessageWithdrawn, us, *message)),
        Change::EnvelopeFailed { envelope, code } => {
            let kind = if *code == RejectCode::Expired { FeedType::MessageExpired } else { FeedType::MessageFailed };
            let told = Told::message(kind, us, envelope.message).about(envelope.recipient);
            Some(Told { code: Some(views::state::reject(*code)), ..told })
        }
        Change::EvidenceReceived { claim, .. } => evidence(claim).filter(|_| claim.envelope.originator == us),
        Change::Evidence(Claim { kind, envelope, .. }) => (*kind == EvidenceKind::ContentHandover)
            .then(|| Told::message(FeedType::MessageHandedOver, envelope.originator, envelope.message)),
        Change::MessageReceived(Received { envelope, kind, .. }) => {
            arrival(*kind).map(|kind| Told::message(kind, envelope.originator, envelope.message))
        }
        Change::TaskAssigned { originator, message, service, .. } => {
            let told = Told::message(FeedType::RequestAssigned, *originator, *message);
            Some(Told { code: Some(service.to_string()), ..told })
        }
        Change::RequestAlerted { originator, message, recipient, alert } => {
            Some(Told::message(alarm(*alert), *originator, *message).about(*recipient))
        }
        Change::EntryAccepted { participant, .. }
        | Change::EntryPinned { participant, .. }
        | Change::ParticipantSuspended { participant, .. }
        | Change::ParticipantReinstated { participant } => plain(FeedType::DirectoryChanged, Some(*participant)),
        Change::HoldSet { .. } | Change::HoldLifted { .. } => plain(FeedType::HealthChanged, None),
        // Steps that the message's own timeline tells, work inside the node, and what stands in the hub's journal alone.
        Change::LogOpened { .. }
        | Change::ConflictNoticed { .. }
        | Change::OfficerAdded { .. }
        | Change::OfficerDisabled { .. }
        | Change::RulesInForce { .. }
        | Change::MessageEdited(_)
        | Change::MessageApproved(_)
        | Change::ReleaseRejected(_)
        | Change::EnvelopeSealed { .. }
        | Change::RecallRequested { .. }
        | Change::ContributionAdded { .. }
        | Change::DeadlineMoved { .. }
        | Change::ContentErased { .. }
        | Change::SequenceGapNoticed { .. }
        | Change::ReceiptsStored { .. }
        | Change::EnvelopeAccepted(_)
        | Change::EnvelopeOffered(_)
        | Change::EnvelopeSuperseded(_)
        | Change::BodyDropped { .. }
        | Change::EntryAdmitted { .. }
        | Change::MembershipAdmitted { .. }
        | Change::PublicCheckpointRecorded { .. } => None,
    }
}

fn alarm(alert: Alert) -> FeedType {
    match alert {
        Alert::Unread => FeedType::RequestUnread,
        Alert::DueSoon => FeedType::RequestDueSoon,
        Alert::Overdue => FeedType::RequestOverdue,
    }
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

/// What another party's evidence tells about a message of this node.
fn evidence(claim: &Claim) -> Option<Told> {
    let kind = match (claim.kind, claim.outcome) {
        (EvidenceKind::RelayAcceptance, _) => FeedType::MessageAccepted,
        (EvidenceKind::ContentConsignment, _) => FeedType::MessageDelivered,
        (EvidenceKind::ContentHandover, _) => FeedType::MessageHandedOver,
        (_, Outcome::Recalled | Outcome::RecalledAfterOffer) => FeedType::MessageWithdrawn,
        (_, Outcome::Expired | Outcome::ExpiredAfterOffer | Outcome::Rejected(RejectCode::Expired)) => {
            FeedType::MessageExpired
        }
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
        | Outcome::ExpiredAfterOffer
        | Outcome::Recalled
        | Outcome::RecalledAfterOffer => None,
    };
    Some(Told { code, ..told })
}
