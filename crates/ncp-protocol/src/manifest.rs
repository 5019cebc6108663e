//! The content manifest `M`: what a message says about itself, inside the seal.
//!
//! Officers approve the hiding commitment to it, replies cite that commitment, and a court is shown the manifest with
//! `r`. [`Manifest::decode`] accepts a manifest only if every rule of [`Manifest::check`] holds; whoever drafts one
//! passes the same check. The bytes are frozen when the message is put up for release and are never encoded again.

mod text;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::text::{MediaType, PartName, Subject, TextError};
use crate::codec::{DecodeError, Prefix};
use crate::codes::{Code, Form, Handling, Kind, ResponseStatus, UrgentGround};
use crate::ids::{ConversationId, Digest, MessageId, NetworkId, ParticipantId, Reference, UnixMillis};
use crate::keys::Purpose;
use crate::limits::{ALSO_SENT_THROUGH_MAX, MANIFEST_MAX, MESSAGE_MAX, PARTS_MAX, PROTOCOL_VERSION, RECIPIENTS_MAX};
use crate::symmetric::hmac_sha256;

/// The prefix of an encoded manifest.
pub const MANIFEST_PREFIX: Prefix = Prefix::new(b'M', 1);

/// One part of a message: a file, or an encoded form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, unique in the message.
    pub name: PartName,
    /// What it holds.
    pub media_type: MediaType,
    /// Its length in bytes; may be 0.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// The message that this one answers. The commitment binds the answer to exactly that content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InReplyTo {
    /// Its id.
    pub message: MessageId,
    /// Its content commitment.
    pub commitment: Digest,
}

/// What a message says about itself, inside the seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Protocol version, [`PROTOCOL_VERSION`].
    pub version: u16,
    /// The network it belongs to.
    pub network: NetworkId,
    /// The message id.
    pub message: MessageId,
    /// The name that people use; of the originator's own numbering.
    pub reference: Reference,
    /// Whose message it is.
    pub originator: ParticipantId,
    /// To whom it goes: sorted, unique, 1 to 80, never the originator, never the hub.
    pub recipients: Vec<ParticipantId>,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// What it answers; required of a response, clarification, consent and withdrawal.
    pub in_reply_to: Option<InReplyTo>,
    /// What it is.
    pub kind: Kind,
    /// Present exactly in a response.
    pub response_status: Option<ResponseStatus>,
    /// The subject line.
    pub subject: Subject,
    /// Subject of the catalogue.
    pub subject_code: Option<Code>,
    /// Schema of the coded part, if there is one.
    pub form: Option<Form>,
    /// The originator's restriction.
    pub handling: Handling,
    /// The restriction in words; present exactly with [`Handling::H3`].
    pub restriction: Option<Subject>,
    /// Required if the envelope is urgent.
    pub urgent_ground: Option<UrgentGround>,
    /// When an answer is wanted, or, in an extension, when it will come.
    pub answer_by: Option<UnixMillis>,
    /// Other channels through which the same was sent; sorted, unique, at most 16.
    pub also_sent_through: Vec<Code>,
    /// Why; required of a refusal and an extension.
    pub reason: Option<Code>,
    /// The parts, in the order in which their bytes follow; 1 to 64, names unique.
    pub parts: Vec<Part>,
}

/// Why a manifest is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// The bytes are not a manifest.
    #[error("manifest: {0}")]
    Decode(#[from] DecodeError),
    /// Another protocol version.
    #[error("unknown protocol version {0}")]
    Version(u16),
    /// Originator or recipients: none or too many, not sorted and unique, the originator among them, or the hub.
    #[error("originator or recipients not allowed")]
    Recipients,
    /// The reference was not given by the originator.
    #[error("reference of another participant")]
    Reference,
    /// A reply is missing where the kind needs one, or names this very message.
    #[error("reply missing or to itself")]
    InReplyTo,
    /// A response without status, or a status without response.
    #[error("response status and kind disagree")]
    ResponseStatus,
    /// A refusal without reason, or an extension without reason or time.
    #[error("reason or time missing")]
    Reason,
    /// Handling code H3 without words, or words without H3.
    #[error("restriction and handling code disagree")]
    Restriction,
    /// Channels not sorted and unique, or too many.
    #[error("channels not sorted and unique, or too many")]
    AlsoSentThrough,
    /// No part, too many, or two of one name.
    #[error("no parts, too many parts, or two of one name")]
    Parts,
    /// Longer than a message may be.
    #[error("message too long")]
    TooLong,
}

impl Manifest {
    /// The canonical bytes, with their prefix.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        MANIFEST_PREFIX.encode(self)
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] if the bytes are not canonical or a rule is broken.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = MANIFEST_PREFIX.decode(bytes, MANIFEST_MAX)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks every rule that the types alone do not hold.
    ///
    /// # Errors
    /// [`ManifestError`], the first rule that is broken.
    pub fn check(&self) -> Result<(), ManifestError> {
        if self.version != PROTOCOL_VERSION {
            return Err(ManifestError::Version(self.version));
        }
        self.check_names()?;
        self.check_kind()?;
        if self.also_sent_through.len() > ALSO_SENT_THROUGH_MAX || !sorted_and_unique(&self.also_sent_through) {
            return Err(ManifestError::AlsoSentThrough);
        }
        if (self.handling == Handling::H3) != self.restriction.is_some() {
            return Err(ManifestError::Restriction);
        }
        self.check_parts()
    }

    fn check_names(&self) -> Result<(), ManifestError> {
        let count = self.recipients.len();
        let fits = (1..=RECIPIENTS_MAX).contains(&count) && sorted_and_unique(&self.recipients);
        let excluded = |id: &ParticipantId| *id == self.originator || *id == ParticipantId::HUB;
        if !fits || self.recipients.iter().any(excluded) || self.originator == ParticipantId::HUB {
            return Err(ManifestError::Recipients);
        }
        if self.reference.originator != self.originator {
            return Err(ManifestError::Reference);
        }
        Ok(())
    }

    fn check_kind(&self) -> Result<(), ManifestError> {
        match self.in_reply_to {
            None if self.kind.must_cite() => return Err(ManifestError::InReplyTo),
            Some(reply) if reply.message == self.message => return Err(ManifestError::InReplyTo),
            None | Some(_) => {}
        }
        if (self.kind == Kind::Response) != self.response_status.is_some() {
            return Err(ManifestError::ResponseStatus);
        }
        match self.response_status {
            Some(ResponseStatus::Refusal) if self.reason.is_none() => Err(ManifestError::Reason),
            Some(ResponseStatus::Extension) if self.reason.is_none() || self.answer_by.is_none() => {
                Err(ManifestError::Reason)
            }
            None | Some(_) => Ok(()),
        }
    }

    fn check_parts(&self) -> Result<(), ManifestError> {
        let mut names: Vec<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
        names.sort_unstable();
        if !(1..=PARTS_MAX).contains(&self.parts.len()) || !sorted_and_unique(&names) {
            return Err(ManifestError::Parts);
        }
        let encoded = self.encode().len();
        let message = self.parts_length().and_then(|parts| parts.checked_add(encoded as u64));
        match message {
            Some(length) if length <= MESSAGE_MAX && encoded <= MANIFEST_MAX => Ok(()),
            None | Some(_) => Err(ManifestError::TooLong),
        }
    }

    /// Total length of the parts in bytes, `None` if it overflows.
    #[must_use]
    pub fn parts_length(&self) -> Option<u64> {
        self.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.length))
    }
}

/// `true` if each item is smaller than the next.
pub(crate) fn sorted_and_unique<T: Ord>(items: &[T]) -> bool {
    items.is_sorted_by(|earlier, later| earlier < later)
}

/// The content commitment: HMAC-SHA-256 under `r` over the label and the manifest's bytes as they are.
///
/// It hides the manifest as long as `r` stays secret, and binds to it: `r` has the full length of the digest.
#[must_use]
pub fn content_commitment(network: &NetworkId, r: &[u8; 32], manifest_bytes: &[u8]) -> Digest {
    hmac_sha256(r, &[&Purpose::ContentCommitment.label(network), manifest_bytes])
}
