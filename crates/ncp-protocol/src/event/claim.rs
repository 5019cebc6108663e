//! What is stated about one envelope: which one, what the hub reads of it, what became of it.
//!
//! Parts of [`Change`](super::Change): the order of their fields and variants is the wire format, too.

use serde::{Deserialize, Serialize};

use crate::codes::Precedence;
use crate::ids::{Digest, KeyId, LogOrigin, MessageId, ParticipantId, SealNumber, UnixMillis};
use crate::reject::RejectCode;

/// Identity of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EnvelopeKey {
    /// Who signed it.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// To whom it is sealed.
    pub recipient: ParticipantId,
    /// Which sealing of it.
    pub seal: SealNumber,
}

/// What the hub reads of an envelope that it accepted and needs to serve it: order, time, quota, body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Which envelope.
    pub envelope: EnvelopeKey,
    /// SHA-256 of its header.
    pub header: Digest,
    /// How fast.
    pub precedence: Precedence,
    /// When it expires.
    pub not_after: UnixMillis,
    /// Root of the sealed body.
    pub root: Digest,
    /// Length of the sealed body.
    pub body_length: u64,
    /// Commitment to manifest and parts.
    pub commitment: Digest,
}

/// What a party states about one envelope. Verifiers compare all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The log whose event makes the claim.
    pub origin: LogOrigin,
    /// The key that signs that log's checkpoints.
    pub key: KeyId,
    /// What is claimed.
    pub kind: EvidenceKind,
    /// About which envelope.
    pub envelope: EnvelopeKey,
    /// SHA-256 of the envelope's header.
    pub header: Digest,
    /// How it ended.
    pub outcome: Outcome,
}

/// Kinds of evidence, with the names of ETSI EN 319 522-1, clause 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EvidenceKind {
    /// R1: the hub holds the envelope durably.
    RelayAcceptance,
    /// R2: the recipient's node stored, verified and opened it.
    ContentConsignment,
    /// R3: a service or an officer took it.
    ContentHandover,
    /// Negative, by the hub: rejected, expired or recalled there.
    RelayFailure,
    /// Negative, by the recipient's node: rejected there.
    ContentConsignmentFailure,
}

/// How what a claim speaks of ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// As the kind says.
    Done,
    /// Handover: the taker confirmed.
    Confirmed,
    /// Handover: the taker takes files and never confirms.
    Blind,
    /// Not-after passed while the envelope waited and had not been offered to the recipient.
    Expired,
    /// Deleted on the originator's wish before it was offered to the recipient.
    Recalled,
    /// Deleted on the originator's wish after it was offered: the recipient's evidence, if it comes, outranks this.
    RecalledAfterOffer,
    /// Refused, for this reason.
    Rejected(RejectCode),
    /// Not-after passed after it was offered: the recipient's evidence, if it comes, outranks this.
    ExpiredAfterOffer,
}
