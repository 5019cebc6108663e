//! The tables of a node's index: what `apply` writes and `decide` reads. Numbers are the layout; a change of layout raises
//! [`SCHEMA`], and the next start rebuilds the index from the journal.

use ncp_protocol::codes::{Code, Precedence};
use ncp_protocol::event::{Alert, Draft, EnvelopeKey, HoldScope, Lane, Received, Role};
use ncp_protocol::ids::{
    ConversationId, Digest, Epoch, LogOrigin, MessageId, OfficerNumber, PairSequence, ParticipantId, Reference,
    SealNumber, UnixMillis,
};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::reject::RejectCode;
use ncp_store::state::{Key, Table};
use serde::{Deserialize, Serialize};

use super::meaning::quarters;

/// Version of this layout.
pub const SCHEMA: u32 = 5;

/// Messages of this node, by id.
pub const OUT: Table<MessageId, OutRow> = Table::new(32);
/// Envelopes of this node, by message and recipient.
pub const ENVELOPE: Table<(MessageId, ParticipantId), EnvelopeRow> = Table::new(33);
/// What the hub has not accepted yet: rank of precedence (0 is urgent), time of release, message, recipient.
pub const QUEUE: Table<(u8, u64, MessageId, ParticipantId), ()> = Table::new(34);
/// Every reference known here, this node's and others'.
pub const REFERENCE: Table<ReferenceKey, MessageKey> = Table::new(35);
/// Last number given in a year.
pub const REFERENCE_LAST: Table<u16, u32> = Table::new(36);
/// Numbering towards one recipient.
pub const PAIR_OUT: Table<(ParticipantId, u8), PairOutRow> = Table::new(37);
/// Numbers towards one recipient that have not ended, and of which message each is.
pub const PAIR_OPEN: Table<(ParticipantId, u8, u64), MessageId> = Table::new(38);
/// Numbers from one originator that were filled, by lane and pair epoch.
pub const PAIR_IN: Table<(ParticipantId, u8, u32, u64), MessageId> = Table::new(39);
/// Messages that arrived.
pub const IN: Table<MessageKey, InRow> = Table::new(40);
/// Messages that arrived, by the sequence of the event: the inbox's order and cursor.
pub const INBOX: Table<u64, MessageKey> = Table::new(41);
/// Messages of a conversation, by the sequence of the event that brought each.
pub const CONVERSATION: Table<(MessageId, u64), MessageKey> = Table::new(42);
/// Events that speak of a message.
pub const TIMELINE: Table<(ParticipantId, MessageId, u64), ()> = Table::new(43);
/// Tasks for national services over one request.
pub const TASK: Table<(ParticipantId, MessageId, u16), TaskRow> = Table::new(44);
/// Officers, by number.
pub const OFFICER: Table<u16, OfficerRow> = Table::new(45);
/// What is stopped from leaving.
pub const HOLD: Table<HoldKey, HoldRow> = Table::new(46);
/// Requests to the local API that were carried out, by who asked and their key.
pub const IDEMPOTENCY: Table<[u8; 32], IdempotencyRow> = Table::new(47);
/// Digest of the release rules in force.
pub const RULES: Table<(), Digest> = Table::new(48);
/// Directory entries accepted here.
pub const ENTRY: Table<ParticipantId, EntryRow> = Table::new(49);
/// The numbered stream of this node's evidence towards the hub: number to leaf index in the node's log.
pub const RECEIPT: Table<u64, u64> = Table::new(50);
/// Last number of that stream.
pub const RECEIPT_LAST: Table<(), u64> = Table::new(51);
/// What becomes due: time, clock, the other participant, message. A row stands until its event or its reason is gone.
pub const DUE: Table<(u64, u8, ParticipantId, MessageId), ()> = Table::new(52);
/// The log as it was opened last.
pub const LOG: Table<(), LogOrigin> = Table::new(53);
/// Evidence received, by envelope, kind and header, since each seal has its own: the record that holds the proof.
pub const EVIDENCE: Table<EvidenceKey, EvidenceRow> = Table::new(54);
/// Envelopes this node refused, by the digest of their header: leaf index of the evidence that says so.
pub const REFUSED: Table<[u8; 32], u64> = Table::new(56);
/// Numbers towards one recipient that will not be used.
pub const PAIR_VOIDED: Table<(ParticipantId, u8, u64), ()> = Table::new(57);
/// Up to which number (excluded) the numbers from one originator were looked at, by lane and pair epoch.
pub const PAIR_IN_FLOOR: Table<(ParticipantId, u8, u32), u64> = Table::new(58);
/// Newest checkpoint seen of the hub's `traffic` log, through evidence: record that proves it.
pub const HUB_SEEN: Table<(), HubSeenRow> = Table::new(55);

/// How much of the hub's stream of receipts is stored, as it was noted last.
pub const RECEIPTS_STORED: Table<(), ReceiptsStoredRow> = Table::new(59);

/// A message of any originator.
pub type MessageKey = (ParticipantId, MessageId);

/// A reference as key: originator, year, number.
pub type ReferenceKey = (ParticipantId, u16, u32);

/// The key of a reference.
#[must_use]
pub fn reference_key(reference: Reference) -> ReferenceKey {
    (reference.originator, reference.year, reference.number)
}

/// The byte of a lane in keys.
#[must_use]
pub fn lane_byte(lane: Lane) -> u8 {
    match lane {
        Lane::Ordinary => 0,
        Lane::Urgent => 1,
    }
}

/// The place of an envelope in [`QUEUE`]: urgent first, then in the order of release.
#[must_use]
pub fn queue_key(
    precedence: Precedence,
    released: UnixMillis,
    message: MessageId,
    recipient: ParticipantId,
) -> (u8, u64, MessageId, ParticipantId) {
    (precedence.rank(), released.0, message, recipient)
}

/// A message of this node. It must fit [`ROW_MAX`](ncp_store::state::ROW_MAX), as must [`InRow`]: the committer panics at a longer one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutRow {
    /// As it stands after the last edit.
    pub draft: Draft,
    /// Who drafted or edited it, each once: none of them may approve.
    pub drafters: Vec<OfficerNumber>,
    /// Who approved this revision.
    pub approved_by: Vec<OfficerNumber>,
    /// Where it stands.
    pub state: OutState,
    /// When it was first put up for release.
    pub created: UnixMillis,
    /// When it was released.
    pub released: Option<UnixMillis>,
    /// When the hub was asked to delete what waits.
    pub recall_requested: Option<UnixMillis>,
}

impl OutRow {
    /// The place in [`QUEUE`] of its envelope to `recipient`.
    #[must_use]
    pub fn place(&self, recipient: ParticipantId) -> (u8, u64, MessageId, ParticipantId) {
        queue_key(self.draft.precedence, self.released.unwrap_or(self.created), self.draft.message, recipient)
    }
}

/// Where a message of this node stands before its envelopes go their own ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutState {
    /// Waits for approvals.
    WaitingForRelease,
    /// An officer refused release; an edit puts it up again.
    ReturnedToDrafter,
    /// Released: see its envelopes.
    Released,
    /// Withdrawn before anything left.
    Withdrawn,
}

/// One envelope of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeRow {
    /// Number of the newest seal; 0 before the first.
    pub seal: SealNumber,
    /// Header of that seal.
    pub header: Option<Digest>,
    /// Number in the pair sequence.
    pub sequence: PairSequence,
    /// Epoch of that number.
    pub epoch: Epoch,
    /// Where it stands.
    pub stage: EnvelopeStage,
    /// When the recipient's clock for the answer began (R2) and when it ends, if an answer is expected.
    pub answer_clock: Option<(UnixMillis, UnixMillis)>,
    /// The answer that came.
    pub answer: Option<MessageId>,
}

impl EnvelopeRow {
    /// The envelope's identity at its newest seal.
    #[must_use]
    pub fn key(&self, originator: ParticipantId, message: MessageId, recipient: ParticipantId) -> EnvelopeKey {
        EnvelopeKey { originator, message, recipient, seal: self.seal }
    }
}

/// Where an envelope of this node stands. Later stages outrank earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvelopeStage {
    /// Released; its bytes are not fixed yet.
    Released,
    /// Its bytes are fixed; the hub has not accepted them.
    Sealed,
    /// R1.
    Accepted,
    /// R2.
    Delivered,
    /// R3.
    HandedOver,
    /// Ended without the recipient's evidence.
    Failed(RejectCode),
    /// Not-after passed; `provisional` if the recipient may have it: it had been offered, or the hub may have forgotten it.
    Expired {
        /// Whether the recipient may yet have taken it.
        provisional: bool,
    },
    /// Deleted at the hub; `provisional` as above.
    Recalled {
        /// Whether the recipient may yet have taken it.
        provisional: bool,
    },
    /// Not-after passed by this node's clock while its bytes stood here: whether the hub had them is not known, and it is
    /// still submitted to hear that.
    GivenUp,
}

impl EnvelopeStage {
    /// A provisional end when the recipient has said that it did not take it.
    pub(super) fn without_doubt(self) -> Option<Self> {
        match self {
            Self::Expired { provisional: true } => Some(Self::Expired { provisional: false }),
            Self::Recalled { provisional: true } => Some(Self::Recalled { provisional: false }),
            Self::Released
            | Self::Sealed
            | Self::Accepted
            | Self::Delivered
            | Self::HandedOver
            | Self::Failed(_)
            | Self::Expired { provisional: false }
            | Self::Recalled { provisional: false }
            | Self::GivenUp => None,
        }
    }

    /// Whether nothing more is owed to this envelope.
    #[must_use]
    pub fn has_ended(self) -> bool {
        match self {
            Self::Released | Self::Sealed | Self::Accepted | Self::GivenUp => false,
            Self::Delivered | Self::HandedOver | Self::Failed(_) | Self::Expired { .. } | Self::Recalled { .. } => true,
        }
    }
}

/// Numbering towards one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairOutRow {
    /// Epoch of the numbers.
    pub epoch: Epoch,
    /// Next number to give.
    pub next: u64,
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InRow {
    /// What the journal says about it.
    pub received: Received,
    /// When it was consigned.
    pub time: UnixMillis,
    /// Leaf index of R2.
    pub consignment: u64,
    /// Leaf index of R3, once somebody took it.
    pub handover: Option<u64>,
    /// This node's answer to it, if one was released.
    pub answer: Option<MessageId>,
    /// Number of the last task given.
    pub tasks: u16,
}

/// A task for one national service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Which service.
    pub service: Code,
    /// When it was assigned.
    pub assigned: UnixMillis,
    /// Records of its contributions, oldest first.
    pub contributions: Vec<Digest>,
}

/// An officer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfficerRow {
    /// Public key.
    pub key: VerifyingKey,
    /// Unix user.
    pub uid: u32,
    /// What the officer may do.
    pub roles: Vec<Role>,
    /// Whether the officer may act at all.
    pub standing: Standing,
    /// When the officer was added.
    pub since: UnixMillis,
    /// When the officer was disabled.
    pub disabled: Option<UnixMillis>,
}

/// Whether an officer may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// May act.
    Active,
    /// May not; kept because old events name the officer.
    Disabled,
}

/// A hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRow {
    /// What is stopped.
    pub scope: HoldScope,
    /// Since when.
    pub since: UnixMillis,
    /// By whom, if by an officer.
    pub officer: Option<OfficerNumber>,
}

/// A hold's scope as key: its encoding, padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldKey(pub [u8; 16]);

impl HoldKey {
    /// The key of a scope.
    #[must_use]
    pub fn of(scope: HoldScope) -> Self {
        let mut key = [0; 16];
        for (slot, byte) in key.iter_mut().zip(ncp_protocol::codec::encode(&scope)) {
            *slot = byte;
        }
        Self(key)
    }
}

impl Key for HoldKey {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (key, rest) = Key::read(bytes)?;
        Some((Self(key), rest))
    }
}

/// A request that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRow {
    /// MAC over what was asked.
    pub request: Digest,
    /// What it made.
    pub message: MessageId,
}

/// A directory entry accepted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRow {
    /// Newest version.
    pub version: u32,
    /// Digest of that version, which names the record.
    pub entry: Digest,
    /// Fingerprint that people compared.
    pub pinned: Option<Digest>,
    /// Whether the Secretariat suspended the participant.
    pub suspended: bool,
}

/// Evidence by what it speaks of: message, recipient, and the byte that `meaning::evidence_byte` gives its kind, and header.
pub type EvidenceKey = (ParticipantId, MessageId, ParticipantId, u8, [u8; 32]);

/// Another party's evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// Record that holds the proof.
    pub record: Digest,
    /// Sequence of the event that noted it.
    pub sequence: u64,
}

/// The newest checkpoint of the hub's log that evidence showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubSeenRow {
    /// Leaf index in the hub's log: the checkpoint is larger.
    pub index: u64,
    /// Record that holds the proof.
    pub record: Digest,
}

/// A place in the hub's stream of receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptsStoredRow {
    /// Epoch of the stream.
    pub epoch: Epoch,
    /// Number of the last receipt that is stored, or was passed over for good.
    pub number: u64,
}

/// The conversation's own key.
#[must_use]
pub fn conversation_key(conversation: ConversationId) -> MessageId {
    conversation.0
}

/// Clocks of [`DUE`], in the order of their bytes. A row goes when its clock struck, so [`DUE`] is no list of deadlines: a
/// deadline stands in the message's own row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// A message of this node ends if the hub has not accepted it.
    Expiry,
    /// Nobody has opened an incoming request.
    Unread,
    /// An answer is due soon.
    DueSoon,
    /// An answer is overdue.
    Overdue,
    /// The answer of a recipient to a request of this node is due soon.
    AnswerDueSoon,
    /// The answer of a recipient to a request of this node is overdue.
    AnswerOverdue,
}

impl Clock {
    /// Its byte in keys.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Expiry => 0,
            Self::Unread => 1,
            Self::DueSoon => 2,
            Self::Overdue => 3,
            Self::AnswerDueSoon => 4,
            Self::AnswerOverdue => 5,
        }
    }

    /// The clock of a byte.
    #[must_use]
    pub fn of_byte(byte: u8) -> Option<Self> {
        [Self::Expiry, Self::Unread, Self::DueSoon, Self::Overdue, Self::AnswerDueSoon, Self::AnswerOverdue]
            .into_iter()
            .find(|clock| clock.byte() == byte)
    }

    /// Whether this is the clock that the alert speaks of.
    #[must_use]
    pub fn strikes(self, alert: Alert) -> bool {
        match alert {
            Alert::Unread => self == Self::Unread,
            Alert::DueSoon => matches!(self, Self::DueSoon | Self::AnswerDueSoon),
            Alert::Overdue => matches!(self, Self::Overdue | Self::AnswerOverdue),
        }
    }

    /// When the clocks of an incoming request strike that came at `from`.
    #[must_use]
    pub fn of_request(from: UnixMillis, due: UnixMillis) -> [(u64, Self); 3] {
        let (unread, soon) = quarters(from, due);
        [(unread, Self::Unread), (soon, Self::DueSoon), (due.0, Self::Overdue)]
    }

    /// The same clock as the requester sees it.
    #[must_use]
    pub fn of_answer(from: UnixMillis, due: UnixMillis) -> [(u64, Self); 2] {
        let (_, soon) = quarters(from, due);
        [(soon, Self::AnswerDueSoon), (due.0, Self::AnswerOverdue)]
    }
}
