//! What the relay's core is asked, what it answers, and what the shell does after commit.
//!
//! Commands carry what worker threads verified and what they assumed while doing so; `decide` checks the assumptions
//! again. Every command brings its own time and a seed from which the salts of its events follow.

use std::sync::Arc;

use ncp_protocol::codes::Code;
use ncp_protocol::event::{Actor, Claim, EnvelopeKey};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, Epoch, MessageId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
pub use ncp_store::state::Stamp;

use super::tables::ReceiptPlace;

/// What the core is asked.
#[derive(Debug)]
pub enum Command {
    /// A verified envelope arrived.
    AcceptSubmission(Box<AcceptSubmission>),
    /// A recipient is ready for these envelopes.
    OfferEnvelopes(OfferEnvelopes),
    /// Verified evidence of a recipient arrived.
    StoreEvidence(StoreEvidence),
    /// An originator wants deleted what waits.
    Recall(Recall),
    /// Time passed.
    ExpireDue(Stamp),
    /// A verified directory entry is to take force.
    AdmitEntry(AdmitEntry),
    /// A verified membership statement is to take force.
    AdmitMembership(AdmitMembership),
    /// The log `public` grew.
    RecordPublicCheckpoint(RecordPublicCheckpoint),
}

/// A verified envelope: signature, wrap digest and root of an uploaded body are checked already.
#[derive(Debug)]
pub struct AcceptSubmission {
    /// The link's peer.
    pub peer: ParticipantId,
    /// The header, as signed.
    pub header: Header,
    /// SHA-256 of the header's bytes.
    pub header_digest: Digest,
    /// The whole envelope: header, signature, wrap.
    pub envelope: Arc<[u8]>,
    /// The originator's entry under which the signature verified.
    pub originator_entry: Digest,
    /// The recipient's entry that has the sealing key.
    pub recipient_entry: Digest,
    /// The body.
    pub body: BodySource,
    /// Time and chance.
    pub stamp: Stamp,
}

/// Where the body of a submission is.
#[derive(Debug, Clone)]
pub enum BodySource {
    /// At the hub, if the message has one there; else it is still to come.
    AtHub,
    /// Here: one chunk, of the root that the header names.
    Inline(Arc<[u8]>),
    /// Uploaded, complete and synced, when the body of this message had been deleted `drops` times.
    Uploaded {
        /// From [`Reply::BodyWanted`].
        drops: u32,
    },
}

/// A recipient is ready for these envelopes.
#[derive(Debug)]
pub struct OfferEnvelopes {
    /// Whose mailbox.
    pub recipient: ParticipantId,
    /// Which envelopes, at most [`crate::limits::OFFER_BATCH_MAX`].
    pub envelopes: Vec<EnvelopeKey>,
    /// Time and chance.
    pub stamp: Stamp,
}

/// Verified evidence of a recipient.
#[derive(Debug)]
pub struct StoreEvidence {
    /// The link's peer, in whose log the evidence is.
    pub peer: ParticipantId,
    /// What it claims.
    pub claim: Claim,
    /// Its leaf index there.
    pub index: u64,
    /// Place of the piece that came right before it, and has to be stored before it.
    pub behind: Option<(Epoch, u64)>,
    /// When the peer decided it, by its own clock.
    pub stated: UnixMillis,
    /// The proof's text.
    pub proof: Vec<u8>,
    /// Time and chance.
    pub stamp: Stamp,
}

/// An originator wants deleted what waits.
#[derive(Debug)]
pub struct Recall {
    /// The link's peer.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// For whom.
    pub recipient: ParticipantId,
    /// Time and chance.
    pub stamp: Stamp,
}

/// A directory entry whose chain was verified against the one in force.
#[derive(Debug)]
pub struct AdmitEntry {
    /// Whose.
    pub participant: ParticipantId,
    /// Its version.
    pub version: u32,
    /// The signed entry.
    pub bytes: Vec<u8>,
    /// SHA-256 of the entry that it follows.
    pub follows: Option<Digest>,
    /// SHA-256 of the membership statement that names its fingerprint.
    pub membership: Digest,
    /// On whose behalf.
    pub actor: Actor,
    /// Time and chance.
    pub stamp: Stamp,
}

/// A membership statement whose signatures were verified.
#[derive(Debug)]
pub struct AdmitMembership {
    /// Its version.
    pub version: u32,
    /// SHA-256 of the statement without its signatures.
    pub membership: Digest,
    /// The signed statement.
    pub bytes: Vec<u8>,
    /// All members, each with the reason if it is suspended.
    pub members: Vec<(ParticipantId, Option<Code>)>,
    /// On whose behalf.
    pub actor: Actor,
    /// Time and chance.
    pub stamp: Stamp,
}

/// The log `public` grew.
#[derive(Debug)]
pub struct RecordPublicCheckpoint {
    /// Its size.
    pub size: u64,
    /// Its root at that size.
    pub root: Digest,
    /// Time and chance.
    pub stamp: Stamp,
}

/// What the asker is told, once the events are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The envelope waits for its recipient; R1 stands in the originator's stream.
    Accepted,
    /// The same envelope was accepted before: this is its R1.
    AcceptedBefore(ReceiptPlace),
    /// The envelope is welcome; its body is not here.
    BodyWanted {
        /// How often the body of this message was deleted; comes back in [`BodySource::Uploaded`].
        drops: u32,
    },
    /// No, and why.
    Refused(RejectCode),
    /// The directory changed while the envelope or entry was verified: verify again.
    DirectoryChanged,
    /// These envelopes are offered now, or were before, and have not ended.
    Offered(Vec<Offered>),
    /// The evidence is stored, now or before.
    Stored(EvidenceCursor),
    /// The evidence is stored and reaches nobody: its envelope has another header here, or an originator who is not in the
    /// directory.
    Kept(EvidenceCursor),
    /// Everything that waited is deleted; the evidence stands in the originator's stream.
    Recalled,
    /// It was recalled before: this is the evidence; or it was consigned: this is its R1.
    EndedBefore(ReceiptPlace),
    /// This many envelopes expired.
    Expired(usize),
    /// The entry, statement or checkpoint is in force or recorded, now or before.
    Recorded,
}

/// An envelope that is with its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    /// Which.
    pub envelope: EnvelopeKey,
    /// Whether it is offered for the first time.
    pub is_new: bool,
}

/// How much of a peer's evidence is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceCursor {
    /// Epoch of the peer's log.
    pub epoch: Epoch,
    /// Pieces stored.
    pub number: u64,
}

/// What the shell does once the events are durable. Hints: after a restart they follow from the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A participant has new receipts.
    SendReceipts(ParticipantId),
    /// A participant has new mail.
    DeliverMail(ParticipantId),
    /// The directory changed: parse it anew, tell every peer, record the log `public` in `traffic`.
    PublishDirectory,
    /// Two contents under one message id: an operator should know.
    RaiseConflict {
        /// Whose message.
        originator: ParticipantId,
        /// Which message.
        message: MessageId,
    },
}
