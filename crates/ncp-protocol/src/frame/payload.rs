//! Payloads of frames: what each kind carries and the bounds of its lists.

use serde::{Deserialize, Serialize};

use crate::envelope::SealedEnvelope;
use crate::event::EnvelopeKey;
use crate::header::SUITE;
use crate::ids::{Digest, Epoch, MessageId, NetworkId, ParticipantId};
use crate::limits::{
    CHUNK_SEALED, DIGESTS_PER_FRAME_MAX, ENTRIES_PER_FRAME_MAX, ENTRY_MAX, EVENT_MAX, HELLO_VERSIONS_MAX, LOG_KEYS_MAX,
    MEMBERSHIP_MAX, NOTE_MAX, PROOF_HASHES_MAX, PROTOCOL_VERSION, PUBLIC_EVENTS_PER_FRAME_MAX, RECEIPTS_PER_FRAME_MAX,
    ROOT_MAX, ROOTS_PER_FRAME_MAX, TIMESTAMP_MAX,
};
use crate::proof::LogProof;
use crate::reject::RejectCode;

/// Bounds that the encoding does not hold by itself.
pub(super) trait Bounded {
    /// Whether all lists are within their bounds and in order.
    fn is_within_bounds(&self) -> bool {
        true
    }
}

/// Place in a numbered stream of receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// The stream's life: the epoch of the log that numbers it. 0 if nothing of any was ever stored.
    pub epoch: Epoch,
    /// Number of a receipt, from 1; 0 is before the first.
    pub number: u64,
}

/// How much more the peer may send. It returns when what it was spent on is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// Envelopes.
    pub envelopes: u32,
    /// Bytes of body chunks.
    pub bytes: u64,
}

/// First frame of each side, the node's first. The version is the highest that both name; nothing else is negotiated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Protocol versions that the sender speaks, rising.
    pub versions: Vec<u16>,
    /// Suites that the sender knows, rising. For the log: a suite is signed in each header, and never negotiated.
    pub suites: Vec<u16>,
    /// The network.
    pub network: NetworkId,
    /// Who speaks; has to be the name in the certificate.
    pub participant: ParticipantId,
    /// The last receipt from the peer that is stored here.
    pub receipts: Cursor,
    /// Newest signed checkpoints held of the peer's logs: it sees by them whether it forgot something.
    pub checkpoints: Vec<String>,
    /// Newest signed checkpoints of the sender's own logs.
    pub own: Vec<String>,
    /// How many leaves of the log `public` the sender has.
    pub public_size: u64,
    /// What the peer may send at first.
    pub credit: Credit,
}

impl Hello {
    /// Whether `participant` may speak so in `network`: what either side checks of the other's hello, in the order in which
    /// it is told.
    ///
    /// # Errors
    /// What the other side is told.
    pub fn check(&self, network: &NetworkId, participant: ParticipantId) -> Result<(), RejectCode> {
        if highest_common(&[PROTOCOL_VERSION], &self.versions).is_none() {
            return Err(RejectCode::VersionUnsupported);
        }
        if !self.suites.contains(&SUITE) {
            return Err(RejectCode::SuiteUnsupported);
        }
        if self.network != *network {
            return Err(RejectCode::NetworkMismatch);
        }
        // The certificate says otherwise, and it is the certificate that counts.
        if self.participant == participant { Ok(()) } else { Err(RejectCode::OriginatorMismatch) }
    }
}

/// The highest version that both lists name.
#[must_use]
pub fn highest_common(ours: &[u16], theirs: &[u16]) -> Option<u16> {
    ours.iter().filter(|version| theirs.contains(version)).max().copied()
}

/// An envelope to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// The envelope. Its body travels when the hub asks for it.
    pub envelope: SealedEnvelope,
}

/// Asks the other end for a body, from a chunk on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyWanted {
    /// Whose message.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// The body's root, as the header names it.
    pub root: Digest,
    /// First chunk that is missing, from 0.
    pub from_chunk: u64,
}

/// One sealed chunk of a body. Chunks come in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyChunk {
    /// Whose message.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// The chunk's place, from 0.
    pub index: u64,
    /// The chunk, 1 to [`CHUNK_SEALED`] bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// An envelope for the node's participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliver {
    /// The envelope. Its body travels when the node asks for it.
    pub envelope: SealedEnvelope,
    /// The hub's acceptance of it (R1).
    pub acceptance: LogProof,
}

/// Evidence from the numbered stream for the other side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// Epoch of the stream.
    pub epoch: Epoch,
    /// Number of the first receipt; the others follow without a gap.
    pub first: u64,
    /// The receipts, 1 to [`RECEIPTS_PER_FRAME_MAX`].
    pub proofs: Vec<LogProof>,
}

/// Receipts up to this number are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptsStored {
    /// Up to here.
    pub cursor: Cursor,
}

/// An envelope was not taken. Nothing of it is stored, so this proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which envelope.
    pub envelope: EnvelopeKey,
    /// Why.
    pub code: RejectCode,
}

/// Asks the hub to delete what waits of a message for one recipient. Evidence answers, or [`Refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// Which message of this node's participant.
    pub message: MessageId,
    /// For whom.
    pub recipient: ParticipantId,
}

/// Asks for leaves of the log `public`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicGet {
    /// First leaf, from 0.
    pub from: u64,
    /// End, excluded: the size that a timestamp statement names.
    pub until: u64,
}

/// Leaves of the log `public`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicLog {
    /// Place of the first leaf.
    pub from: u64,
    /// The leaves, at most [`PUBLIC_EVENTS_PER_FRAME_MAX`].
    pub events: Vec<Vec<u8>>,
    /// A signed checkpoint of `public` that covers them.
    pub checkpoint: String,
}

/// Asks for signed directory data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryGet {
    /// The root of trust held: the answer brings the versions after it.
    pub root_version: u32,
    /// Entries wanted, by digest; at most [`DIGESTS_PER_FRAME_MAX`].
    pub digests: Vec<Digest>,
}

/// Signed directory data, as its signers made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Roots of trust after the one held, in order, at most [`ROOTS_PER_FRAME_MAX`]: [`crate::root::SignedRoot`].
    pub roots: Vec<Vec<u8>>,
    /// The newest membership statement: [`crate::directory::SignedMembership`].
    pub membership: Option<Vec<u8>>,
    /// The newest timestamp statement: [`crate::directory::SignedTimestamp`].
    pub timestamp: Option<Vec<u8>>,
    /// Entries that were asked for, at most [`ENTRIES_PER_FRAME_MAX`]: [`crate::directory::SignedEntry`]. Those that are
    /// missing are asked for again.
    pub entries: Vec<Vec<u8>>,
}

/// The directory changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntriesChanged {
    /// The newest timestamp statement: [`crate::directory::SignedTimestamp`].
    #[serde(with = "serde_bytes")]
    pub timestamp: Vec<u8>,
}

/// Newest signed checkpoints of the sender's own logs, sent when they grew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The notes.
    pub notes: Vec<String>,
}

/// Asks for a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back unchanged.
    pub nonce: u64,
}

/// The sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// As asked.
    pub nonce: u64,
}

/// The hub's word before its hello, if it pins another key than the node's certificate has: nothing but signed directory
/// data is exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restricted {
    /// Why.
    pub code: RejectCode,
}

/// The sender closes the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Why, unless everything is in order.
    pub code: Option<RejectCode>,
}

impl Bounded for Hello {
    fn is_within_bounds(&self) -> bool {
        let rising = |list: &[u16]| {
            (1..=HELLO_VERSIONS_MAX).contains(&list.len()) && list.is_sorted_by(|lower, higher| lower < higher)
        };
        rising(&self.versions)
            && rising(&self.suites)
            && (self.receipts.epoch.0 > 0 || self.receipts.number == 0)
            && are_notes(&self.checkpoints)
            && are_notes(&self.own)
    }
}

impl Bounded for BodyChunk {
    fn is_within_bounds(&self) -> bool {
        (1..=CHUNK_SEALED).contains(&self.bytes.len())
    }
}

impl Bounded for Deliver {
    fn is_within_bounds(&self) -> bool {
        is_proof(&self.acceptance)
    }
}

impl Bounded for Receipts {
    fn is_within_bounds(&self) -> bool {
        let numbers_fit =
            self.epoch.0 > 0 && self.first > 0 && self.first.checked_add(RECEIPTS_PER_FRAME_MAX as u64).is_some();
        numbers_fit && (1..=RECEIPTS_PER_FRAME_MAX).contains(&self.proofs.len()) && self.proofs.iter().all(is_proof)
    }
}

impl Bounded for PublicGet {
    fn is_within_bounds(&self) -> bool {
        self.from < self.until
    }
}

impl Bounded for PublicLog {
    fn is_within_bounds(&self) -> bool {
        self.events.len() <= PUBLIC_EVENTS_PER_FRAME_MAX
            && self.events.iter().all(|event| event.len() <= EVENT_MAX)
            && self.checkpoint.len() <= NOTE_MAX
    }
}

impl Bounded for EntryGet {
    fn is_within_bounds(&self) -> bool {
        self.digests.len() <= DIGESTS_PER_FRAME_MAX
    }
}

impl Bounded for Entries {
    fn is_within_bounds(&self) -> bool {
        self.roots.len() <= ROOTS_PER_FRAME_MAX
            && self.roots.iter().all(|root| root.len() <= ROOT_MAX)
            && self.membership.as_ref().is_none_or(|statement| statement.len() <= MEMBERSHIP_MAX)
            && self.timestamp.as_ref().is_none_or(|statement| statement.len() <= TIMESTAMP_MAX)
            && self.entries.len() <= ENTRIES_PER_FRAME_MAX
            && self.entries.iter().all(|entry| entry.len() <= ENTRY_MAX)
    }
}

impl Bounded for EntriesChanged {
    fn is_within_bounds(&self) -> bool {
        self.timestamp.len() <= TIMESTAMP_MAX
    }
}

impl Bounded for Checkpoint {
    fn is_within_bounds(&self) -> bool {
        !self.notes.is_empty() && are_notes(&self.notes)
    }
}

impl Bounded for ReceiptsStored {
    fn is_within_bounds(&self) -> bool {
        self.cursor.epoch.0 > 0
    }
}

impl Bounded for Refused {
    fn is_within_bounds(&self) -> bool {
        self.envelope.seal.0 > 0
    }
}

impl Bounded for Submit {}
impl Bounded for BodyWanted {}
impl Bounded for Restricted {}
impl Bounded for Recall {}
impl Bounded for Credit {}
impl Bounded for Ping {}
impl Bounded for Pong {}
impl Bounded for Bye {}

fn are_notes(notes: &[String]) -> bool {
    notes.len() <= LOG_KEYS_MAX && notes.iter().all(|note| note.len() <= NOTE_MAX)
}

fn is_proof(proof: &LogProof) -> bool {
    (1..=EVENT_MAX).contains(&proof.event.len())
        && proof.hashes.len() <= PROOF_HASHES_MAX
        && proof.checkpoint_note.len() <= NOTE_MAX
}
