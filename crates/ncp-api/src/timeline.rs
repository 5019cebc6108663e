//! A message's life, step by step, and the evidence for it.
//!
//! The node says which receipt belongs to which step; whoever shows a timeline verifies the receipts itself, with the
//! bytes of [`EvidenceBundle`], and does not take the node's word.

use ncp_protocol::codes::{Code, Kind};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::event::EvidenceKind;
use ncp_protocol::ids::{
    Digest, Epoch, LogName, MessageId, NetworkId, ParticipantId, Reference, SealNumber, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::message::{Direction, MessageState};
use crate::refusal::HubRefusal;
use crate::text::names;

names! {
    /// What happened in one step.
    Step {
        /// Drafted here.
        Created = "created",
        /// Edited; approvals were void.
        Edited = "edited",
        /// An officer approved, and more approvals are needed.
        Approved = "approved",
        /// An officer sent it back to its drafter.
        Rejected = "rejected",
        /// All required approvals stand.
        Released = "released",
        /// A hold stops it.
        Held = "held",
        /// Sealed and in the outbox.
        Queued = "queued",
        /// R1: the hub holds it durably.
        Accepted = "accepted",
        /// R2: stored, verified and opened at the recipient's node. For an incoming message: it arrived here.
        Delivered = "delivered",
        /// R3: a service or an officer took it.
        HandedOver = "handed-over",
        /// A national service was asked to contribute.
        Assigned = "assigned",
        /// A national service contributed.
        Contributed = "contributed",
        /// The answer is due at another time.
        DeadlineMoved = "deadline-moved",
        /// Answered, in part or finally.
        Answered = "answered",
        /// The hub was asked to delete what waits.
        RecallRequested = "recall-requested",
        /// The hub deleted what waited.
        Recalled = "recalled",
        /// Withdrawn.
        Withdrawn = "withdrawn",
        /// Not-after passed.
        Expired = "expired",
        /// Rejected by hub or recipient, with a code.
        Failed = "failed",
        /// The answer is overdue.
        Overdue = "overdue",
        /// The content keys were destroyed.
        Erased = "erased",
    }
}

names! {
    /// What the node knows about a step's evidence.
    EvidenceState {
        /// The step needs none.
        None = "none",
        /// A receipt is stored and verified when it came.
        Ok = "ok",
        /// The stored receipt does not verify.
        Bad = "bad",
        /// The step happened, by what is known, but no receipt proves it.
        Missing = "missing",
    }
}

/// One step of a message's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When it happened; absent for a step that is still expected.
    #[serde(with = "crate::time::option", default)]
    pub time: Option<UnixMillis>,
    /// What happened.
    pub step: Step,
    /// For which recipient, if the step belongs to one.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<ParticipantId>,
    /// Which officer acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub officer: Option<u16>,
    /// What else there is to say: `rule XA-R7`, `confirmed`, a reject code in words. Never content.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// For a refusal, an extension or a moved deadline: why, see [`crate::reasons`].
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    /// For a rejection: the officer's words for the drafter. Shown to officers alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// For an expected step: when it is due.
    #[serde(with = "crate::time::option", default, skip_serializing_if = "Option::is_none")]
    pub due: Option<UnixMillis>,
    /// The message that this step speaks of, such as the answer.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Reference>,
    /// What the node knows about its evidence.
    pub evidence: EvidenceState,
    /// [`Receipt::id`] of the receipt that proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// `GET /v1/messages/{ref}/timeline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// What people call it.
    #[serde(with = "crate::text")]
    pub reference: Reference,
    /// Its id.
    #[serde(with = "crate::text")]
    pub message: MessageId,
    /// What it is.
    #[serde(with = "crate::text")]
    pub kind: Kind,
    /// Sent or received.
    pub direction: Direction,
    /// Recipients of what was sent; the originator of what was received.
    #[serde(with = "crate::text::list")]
    pub counterparts: Vec<ParticipantId>,
    /// Where it stands.
    pub state: MessageState,
    /// When an answer is due.
    #[serde(with = "crate::time::option", default)]
    pub due: Option<UnixMillis>,
    /// When it is void, as long as it is not delivered.
    #[serde(with = "crate::time::option", default)]
    pub not_after: Option<UnixMillis>,
    /// The steps in order of time, expected ones last.
    pub entries: Vec<TimelineEntry>,
    /// Envelopes that the hub does not take; they are offered again.
    #[serde(default)]
    pub refusals: Vec<HubRefusal>,
    /// What else the reader should know, one sentence each; never content.
    #[serde(default)]
    pub notes: Vec<String>,
}

names! {
    /// Kinds of evidence, with the names of ETSI EN 319 522-1.
    ReceiptKind {
        /// R1.
        RelayAcceptance = "relay-acceptance",
        /// R2.
        ContentConsignment = "content-consignment",
        /// R3.
        ContentHandover = "content-handover",
        /// Negative, by the hub.
        RelayFailure = "relay-failure",
        /// Negative, by the recipient's node.
        ContentConsignmentFailure = "content-consignment-failure",
    }
}

impl From<EvidenceKind> for ReceiptKind {
    fn from(kind: EvidenceKind) -> Self {
        match kind {
            EvidenceKind::RelayAcceptance => Self::RelayAcceptance,
            EvidenceKind::ContentConsignment => Self::ContentConsignment,
            EvidenceKind::ContentHandover => Self::ContentHandover,
            EvidenceKind::RelayFailure => Self::RelayFailure,
            EvidenceKind::ContentConsignmentFailure => Self::ContentConsignmentFailure,
        }
    }
}

/// One receipt: an event, its path and its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its name within the bundle; [`TimelineEntry::receipt`] refers to it.
    pub id: String,
    /// What it claims.
    pub kind: ReceiptKind,
    /// Whose log proves it.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// Which log.
    #[serde(with = "crate::text")]
    pub log: LogName,
    /// Which epoch of it.
    pub epoch: u32,
    /// The event's place in that log.
    pub index: u64,
    /// About the envelope to whom.
    #[serde(with = "crate::text")]
    pub recipient: ParticipantId,
    /// About which sealing.
    pub seal: u32,
    /// The proof (C2SP tlog-proof), as text.
    pub proof: String,
}

impl Receipt {
    /// The sealing as a protocol value.
    #[must_use]
    pub fn seal_number(&self) -> SealNumber {
        SealNumber(self.seal)
    }

    /// The epoch as a protocol value.
    #[must_use]
    pub fn log_epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }
}

/// What a receipt must speak of, as this node sealed or received it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeFacts {
    /// The recipient.
    #[serde(with = "crate::text")]
    pub recipient: ParticipantId,
    /// The sealing.
    pub seal: u32,
    /// SHA-256 of the header.
    #[serde(with = "crate::text")]
    pub header: Digest,
    /// The header's not-after: an expiry before it is invalid.
    #[serde(with = "crate::time")]
    pub not_after: UnixMillis,
}

/// A participant's signed entries, from version 0 to the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryChain {
    /// Whose.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// SHA-256 of the signed entry of version 0, as officers of this node pinned it; absent if nobody did.
    #[serde(with = "crate::text::option", default)]
    pub pinned: Option<Fingerprint>,
    /// The signed entries, each as stored, oldest first.
    #[serde(with = "crate::text::base64_list")]
    pub entries: Vec<Vec<u8>>,
}

/// `GET /v1/messages/{ref}/evidence`: all that is needed to verify a message's receipts without this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceBundle {
    /// The network.
    #[serde(with = "crate::text")]
    pub network: NetworkId,
    /// What people call the message.
    #[serde(with = "crate::text")]
    pub reference: Reference,
    /// Its id.
    #[serde(with = "crate::text")]
    pub message: MessageId,
    /// Who signed its envelopes.
    #[serde(with = "crate::text")]
    pub originator: ParticipantId,
    /// Its envelopes: all for the originator, its own for a recipient.
    pub envelopes: Vec<EnvelopeFacts>,
    /// The receipts that are here.
    pub receipts: Vec<Receipt>,
    /// The entries that name the log keys.
    pub directory: Vec<EntryChain>,
}
