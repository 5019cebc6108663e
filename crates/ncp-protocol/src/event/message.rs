//! A message in its originator's journal and in its recipient's: what was drafted and approved, what arrived.
//!
//! Parts of [`Change`](super::Change): the order of their fields and variants is the wire format, too.

use serde::{Deserialize, Serialize};

use super::{EnvelopeKey, sorted};
use crate::approval::ApprovalCode;
use crate::codes::{Code, Handling, Kind, Precedence, ResponseStatus};
use crate::ids::{
    ConversationId, Digest, Epoch, KeyId, MessageId, OfficerNumber, PairSequence, ParticipantId, Reference, UnixMillis,
};
use crate::keys::Signature;

/// A message that waits for release: all that the hub or an auditor may know, nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Its id.
    pub message: MessageId,
    /// From 1; each edit adds one.
    pub revision: u32,
    /// What people call it.
    pub reference: Reference,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// What it is.
    pub kind: Kind,
    /// For a response: what sort of answer.
    pub response_status: Option<ResponseStatus>,
    /// For a refusal or an extension: why, as a code.
    pub reason: Option<Code>,
    /// How fast.
    pub precedence: Precedence,
    /// What the recipients may do with it.
    pub handling: Handling,
    /// To whom, sorted.
    #[serde(deserialize_with = "sorted")]
    pub recipients: Vec<ParticipantId>,
    /// When it is void.
    pub not_after: UnixMillis,
    /// When the originator expects an answer.
    pub answer_by: Option<UnixMillis>,
    /// Commitment to manifest and parts.
    pub commitment: Digest,
    /// Root of the sealed body.
    pub root: Digest,
    /// Length of the sealed body.
    pub body_length: u64,
    /// The rule that allowed it.
    pub rule: Code,
    /// Digest of the rules in force.
    pub rules: Digest,
    /// The request that made it, so that the same request again makes nothing.
    pub asked: Asked,
    /// How many approvals it needs.
    pub approvals_needed: u8,
}

/// A request to the local API, by two values that only the node can compute: they are keyed, so that they say nothing about
/// what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// MAC over who asked and their idempotency key.
    pub key: Digest,
    /// MAC over what was asked.
    pub request: Digest,
}

/// One officer's signature over what was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Which message.
    pub message: MessageId,
    /// Which revision of it.
    pub revision: u32,
    /// Who signed.
    pub officer: OfficerNumber,
    /// With which key.
    pub key: KeyId,
    /// The short code that was shown, which the statement repeats.
    pub code: ApprovalCode,
    /// Over [`crate::approval::ApprovalStatement`].
    pub signature: Signature,
}

/// A message that arrived: what the recipient's journal says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Which envelope brought it.
    pub envelope: EnvelopeKey,
    /// SHA-256 of its header.
    pub header: Digest,
    /// What the originator calls it.
    pub reference: Reference,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// What it is.
    pub kind: Kind,
    /// For a response: what sort of answer.
    pub response_status: Option<ResponseStatus>,
    /// For a refusal or an extension: why, as a code.
    pub reason: Option<Code>,
    /// How fast.
    pub precedence: Precedence,
    /// What may be done with it.
    pub handling: Handling,
    /// The time that the originator set for an answer or, in an extension, for the answer to come.
    pub answer_by: Option<UnixMillis>,
    /// When an answer is due.
    pub due: Option<UnixMillis>,
    /// Commitment to manifest and parts.
    pub commitment: Digest,
    /// Root of the sealed body.
    pub root: Digest,
    /// Length of the sealed body.
    pub body_length: u64,
    /// Number of the envelope from this originator.
    pub sequence: PairSequence,
    /// Pair epoch of that number.
    pub epoch: Epoch,
    /// Lowest number that the originator still had open.
    pub floor: PairSequence,
    /// Ranges of numbers, ends included, that the originator will not use.
    pub voided: Vec<(PairSequence, PairSequence)>,
}

/// Urgent mail is numbered by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Routine and priority.
    Ordinary,
    /// Urgent.
    Urgent,
}

impl Lane {
    /// The lane of a precedence.
    #[must_use]
    pub fn of(precedence: Precedence) -> Self {
        match precedence {
            Precedence::Routine | Precedence::Priority => Self::Ordinary,
            Precedence::Urgent => Self::Urgent,
        }
    }
}
