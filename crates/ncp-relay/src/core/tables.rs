//! The tables of the relay's index. Rows follow from events alone and are rebuilt from the journal at any time.

use ncp_protocol::codes::{Code, Precedence};
use ncp_protocol::event::{Claim, EnvelopeKey, EvidenceKind};
use ncp_protocol::ids::{Digest, Epoch, MessageId, ParticipantId, SealNumber, UnixMillis};
use ncp_protocol::limits::DAY_MS;
use ncp_store::state::{FIRST_CORE_TABLE, Table};
use serde::{Deserialize, Serialize};

use crate::limits::SURPLUS_EVIDENCE_PER_DAY;

/// Version of these layouts; another number rebuilds the index.
pub const SCHEMA: u32 = 3;

/// Originator, message, recipient, seal number: the key of an envelope's row.
pub type EnvelopeRowKey = (ParticipantId, MessageId, ParticipantId, u32);

/// Recipient, rank, originator, place in the journal: mail in the order of service, first come first served within
/// one originator.
pub type MailboxKey = (ParticipantId, u8, ParticipantId, u64);

/// The entry in force of each participant.
pub const DIRECTORY: Table<ParticipantId, DirectoryRow> = Table::new(FIRST_CORE_TABLE);
/// The membership statement in force.
pub const MEMBERSHIP: Table<(), MembershipRow> = Table::new(FIRST_CORE_TABLE + 1);
/// Who is suspended, and why.
pub const SUSPENDED: Table<ParticipantId, Code> = Table::new(FIRST_CORE_TABLE + 2);
/// What stands under a message id.
pub const MESSAGES: Table<(ParticipantId, MessageId), MessageRow> = Table::new(FIRST_CORE_TABLE + 3);
/// Every envelope that was accepted and is not forgotten.
pub const ENVELOPES: Table<EnvelopeRowKey, EnvelopeRow> = Table::new(FIRST_CORE_TABLE + 4);
/// What waits for each recipient.
pub const MAILBOXES: Table<MailboxKey, EnvelopeKey> = Table::new(FIRST_CORE_TABLE + 5);
/// When waiting envelopes expire: not-after, place in the journal.
pub const DUE: Table<(u64, u64), EnvelopeKey> = Table::new(FIRST_CORE_TABLE + 6);
/// Receipts to each participant, by number from 1.
pub const RECEIPTS: Table<(ParticipantId, u64), ReceiptRow> = Table::new(FIRST_CORE_TABLE + 7);
/// What each participant has at the hub.
pub const PEERS: Table<ParticipantId, PeerRow> = Table::new(FIRST_CORE_TABLE + 9);
/// What may be forgotten: from when, place in the journal, running number.
pub const FORGET: Table<(u64, u64, u8), Forget> = Table::new(FIRST_CORE_TABLE + 10);
/// How far `traffic` has recorded the log `public`.
pub const PUBLIC: Table<(), PublicRow> = Table::new(FIRST_CORE_TABLE + 11);
/// How many messages have a stored body of this root. A body of one chunk is a record named by its root, which nothing
/// keeps another originator from copying: the record goes with the last of them.
pub const ROOTS: Table<[u8; 32], u32> = Table::new(FIRST_CORE_TABLE + 13);
/// All that waits.
pub const WAITING: Table<(), Tally> = Table::new(FIRST_CORE_TABLE + 12);

/// A participant's entry in force; its bytes are a record of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryRow {
    /// Version of the entry.
    pub version: u32,
    /// SHA-256 of the signed entry.
    pub entry: Digest,
    /// Where `public` says so.
    pub index: u64,
}

/// The membership statement in force; its bytes are a record of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipRow {
    /// Its version.
    pub version: u32,
    /// SHA-256 of the statement without its signatures: the name of its record.
    pub membership: Digest,
}

/// What stands under (originator, message id): one commitment, one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Commitment to the content manifest.
    pub commitment: Digest,
    /// Root of the body.
    pub root: Digest,
    /// Length of the body.
    pub body_length: u64,
    /// Envelopes that have not ended. The body is stored exactly while this is above 0.
    pub waiting: u32,
    /// Envelopes that are not forgotten.
    pub known: u32,
    /// How often the body was deleted. A body that was uploaded before a deletion is gone with it.
    pub drops: u32,
    /// Whether other content under this id was seen.
    pub conflict: bool,
}

/// An envelope that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeRow {
    /// SHA-256 of its header; the envelope is the record of this name until it ends.
    pub header: Digest,
    /// How fast.
    pub precedence: Precedence,
    /// When it expires.
    pub not_after: UnixMillis,
    /// Length of the body.
    pub body_length: u64,
    /// When the hub accepted it.
    pub accepted: UnixMillis,
    /// Place in the journal: part of its keys in mailbox and due table.
    pub sequence: u64,
    /// Where it stands.
    pub state: EnvelopeState,
    /// R1.
    pub acceptance: Option<ReceiptPlace>,
    /// The hub's negative evidence.
    pub failure: Option<ReceiptPlace>,
    /// What its recipient stated about it.
    pub stated: Stated,
}

/// Which kinds of evidence a recipient stated about an envelope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// R2.
    pub consigned: bool,
    /// A refusal.
    pub refused: bool,
    /// R3.
    pub handed_over: bool,
}

/// Where an envelope stands at the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvelopeState {
    /// No byte of it went to the recipient.
    Waiting,
    /// The recipient may have it.
    Offered,
    /// Nothing of it is kept but this row.
    Ended(Ending),
}

/// How an envelope ended at the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// R2.
    Consigned,
    /// The recipient's node refused it, with evidence.
    Rejected,
    /// Not-after passed.
    Expired,
    /// The originator recalled it.
    Recalled,
    /// A higher seal took its place.
    Superseded,
}

/// A receipt that the hub's own log `traffic` proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptPlace {
    /// Its number in the originator's stream.
    pub number: u64,
    /// Its leaf in `traffic`.
    pub index: u64,
}

/// Where a receipt's proof comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptRow {
    /// The leaf of `traffic` with this index.
    Own(u64),
    /// The record of another party's evidence.
    Foreign(Digest),
}

/// Envelopes and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Envelopes.
    pub envelopes: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

/// What one participant has at the hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its own envelopes that have not ended; each body counts once.
    pub submitted: Tally,
    /// What waits for it; a body counts for each envelope.
    pub mailbox: Tally,
    /// Number of the newest receipt to it.
    pub receipts: u64,
    /// When the hub last accepted something of it.
    pub accepted: Option<UnixMillis>,
    /// When it last consigned something.
    pub consigned: Option<UnixMillis>,
    /// How much of its own evidence the hub stored.
    pub evidence: EvidenceCount,
    /// The record of the newest piece: its checkpoint is the newest of that log that is held durably.
    pub newest_evidence: Option<Digest>,
    /// How much of it was about nothing that waits for it here.
    pub surplus: Surplus,
}

/// How many pieces of evidence of one log the hub stored. A node's stream to the hub is all its own evidence, in the order
/// of its log, so this is the cursor that hello carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceCount {
    /// Epoch of the node's log.
    pub epoch: Epoch,
    /// Pieces stored in that epoch.
    pub number: u64,
    /// Leaf behind the last of them: what stands before it there is counted, or is no evidence.
    pub next: u64,
}

impl Default for EvidenceCount {
    fn default() -> Self {
        Self { epoch: Epoch(0), number: 0, next: 0 }
    }
}

/// Evidence of one participant that no envelope here was waiting for, since a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surplus {
    /// When the counting began.
    pub since: UnixMillis,
    /// Pieces since then.
    pub pieces: u32,
}

impl Default for Surplus {
    fn default() -> Self {
        Self { since: UnixMillis(0), pieces: 0 }
    }
}

/// Something that may be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forget {
    /// An ended envelope: the same header would be accepted as new.
    Envelope(EnvelopeKey),
    /// A receipt: it can no longer be fetched again.
    Receipt(ParticipantId, u64),
}

/// How far `traffic` has recorded the log `public`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicRow {
    /// Size of `public`.
    pub size: u64,
}

/// The key of an envelope's row.
#[must_use]
pub fn envelope_key(envelope: &EnvelopeKey) -> EnvelopeRowKey {
    (envelope.originator, envelope.message, envelope.recipient, envelope.seal.0)
}

/// The envelope that a row's key names.
#[must_use]
pub fn envelope_of(key: &EnvelopeRowKey) -> EnvelopeKey {
    EnvelopeKey { originator: key.0, message: key.1, recipient: key.2, seal: SealNumber(key.3) }
}

impl EnvelopeRow {
    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            EnvelopeState::Waiting | EnvelopeState::Offered => true,
            EnvelopeState::Ended(_) => false,
        }
    }

    /// Whether it waits for what the recipient claims: one piece of each kind, whatever became of it meanwhile. So what
    /// an honest recipient owes is never counted against it, whoever recalls or lets expire what it received.
    #[must_use]
    pub fn awaits(&self, claim: &Claim) -> bool {
        self.header == claim.header && self.stated.mark(claim.kind).is_some_and(|stated| stated != self.stated)
    }

    /// The key of its mailbox row.
    #[must_use]
    pub fn mailbox_key(&self, envelope: &EnvelopeKey) -> MailboxKey {
        (envelope.recipient, self.precedence.rank(), envelope.originator, self.sequence)
    }
}

impl Stated {
    /// With one more kind; `None` if it is not a recipient's to state.
    #[must_use]
    pub fn mark(self, kind: EvidenceKind) -> Option<Self> {
        match kind {
            EvidenceKind::ContentConsignment => Some(Self { consigned: true, ..self }),
            EvidenceKind::ContentConsignmentFailure => Some(Self { refused: true, ..self }),
            EvidenceKind::ContentHandover => Some(Self { handed_over: true, ..self }),
            EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure => None,
        }
    }
}

impl EvidenceCount {
    /// Whether the piece at this leaf is not counted yet. A log's leaves come in order, and so do its epochs.
    #[must_use]
    pub fn is_new(&self, epoch: Epoch, leaf: u64) -> bool {
        epoch > self.epoch || (epoch == self.epoch && leaf >= self.next)
    }

    /// The count with the piece at this leaf; a new epoch begins at 1.
    #[must_use]
    pub fn after(self, epoch: Epoch, leaf: u64) -> Self {
        if !self.is_new(epoch, leaf) {
            return self;
        }
        let number = if epoch == self.epoch { self.number + 1 } else { 1 };
        Self { epoch, number, next: leaf + 1 }
    }
}

impl Surplus {
    /// Whether no more may come now.
    #[must_use]
    pub fn is_used_up(&self, now: UnixMillis) -> bool {
        self.pieces >= SURPLUS_EVIDENCE_PER_DAY && self.is_of_the_day(now)
    }

    /// With one more piece.
    #[must_use]
    pub fn after(self, now: UnixMillis) -> Self {
        if self.is_of_the_day(now) {
            Self { pieces: self.pieces.saturating_add(1), ..self }
        } else {
            Self { since: now, pieces: 1 }
        }
    }

    /// Either way: a wall clock that was put back must not keep the day from ending.
    fn is_of_the_day(&self, now: UnixMillis) -> bool {
        now.0.abs_diff(self.since.0) < DAY_MS
    }
}

impl Tally {
    /// One more envelope with this many more bytes.
    pub(super) fn add(&mut self, bytes: u64) {
        self.envelopes += 1;
        self.bytes += bytes;
    }

    /// One envelope fewer with this many fewer bytes.
    pub(super) fn subtract(&mut self, bytes: u64) {
        self.envelopes = self.envelopes.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
