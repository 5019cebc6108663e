//! The envelope: what travels to one recipient beside the shared body.
//!
//! `DraftMessage → SealedEnvelope → VerifiedEnvelope → OpenedMessage`, each step a type. A [`DraftMessage`] holds the
//! frozen manifest and `r`; it seals the body once and then one envelope for each recipient, in the order payload, root,
//! header core, wrap, signature. [`SealedEnvelope::verify`] needs no secret: the relay does it, the recipient does it,
//! and a court can. Everything beyond lies in [`open`], a module that the relay never names.
//!
//! One signature covers a hiding commitment to the plaintext as well as the ciphertext, so that neither stripping and
//! signing anew, nor forwarding by stealth, nor a ciphertext that opens in two ways passes [`open`].

mod content;
mod draft;
pub mod open;
mod parts;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

pub use self::content::Content;
pub use self::draft::{DraftMessage, PartsSealer, SealBodyError, SealError, SealTo};
use crate::codec::{DecodeError, Prefix};
use crate::header::{Header, HeaderError, header_digest};
use crate::ids::{Digest, NetworkId, ParticipantId};
use crate::keys::{Purpose, Signature, VerifyingKey};
use crate::limits::{ENVELOPE_MAX, HEADER_MAX};
use crate::wrap::Wrap;

/// The prefix of an encoded envelope.
pub const ENVELOPE_PREFIX: Prefix = Prefix::new(b'V', 1);

/// Header, signature and wrap as they travel; nothing is verified yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedEnvelope {
    /// The encoded header, as signed and as received: at most [`HEADER_MAX`] bytes.
    #[serde(deserialize_with = "bounded_header")]
    pub header_bytes: Vec<u8>,
    /// The originator's signature over it.
    pub signature: Signature,
    /// The wrap that it names.
    pub wrap: Wrap,
}

fn bounded_header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let bytes = Vec::deserialize(deserializer)?;
    if bytes.len() <= HEADER_MAX { Ok(bytes) } else { Err(serde::de::Error::custom("header too long")) }
}

/// Why an envelope is not what its originator signed. All are the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The header does not decode, or breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It belongs to another network.
    #[error("another network")]
    Network,
    /// It names another originator than expected.
    #[error("another originator")]
    Originator,
    /// It names another signing key than the given one.
    #[error("another signing key")]
    KeyId,
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
    /// The wrap is not the one that the header names.
    #[error("another wrap")]
    Wrap,
}

impl SealedEnvelope {
    /// The canonical bytes, with their prefix.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        ENVELOPE_PREFIX.encode(self)
    }

    /// Reads an envelope. Its header is not looked at.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        ENVELOPE_PREFIX.decode(bytes, ENVELOPE_MAX)
    }

    /// What the header says, unverified: to find the keys and rows to verify against, never to act on.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn unverified_header(&self) -> Result<Header, HeaderError> {
        Header::decode(&self.header_bytes)
    }

    /// The header digest.
    #[must_use]
    pub fn header_digest(&self) -> Digest {
        header_digest(&self.header_bytes)
    }

    /// Verifies that `originator` signed this header with `key` in `network`, and that the wrap is the header's.
    /// Whether the key was valid, and whether the times are, is for the caller: the directory and the clock know.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(
        &self,
        network: &NetworkId,
        originator: &ParticipantId,
        key: &VerifyingKey,
    ) -> Result<VerifiedEnvelope, VerifyError> {
        let header = self.unverified_header()?;
        if header.network != *network {
            return Err(VerifyError::Network);
        }
        if header.originator != *originator {
            return Err(VerifyError::Originator);
        }
        if header.originator_key != key.id() {
            return Err(VerifyError::KeyId);
        }
        key.verify(Purpose::Header, network, &self.header_bytes, &self.signature)
            .map_err(|_| VerifyError::Signature)?;
        if header.wrap_digest != self.wrap.digest() {
            return Err(VerifyError::Wrap);
        }
        Ok(VerifiedEnvelope { header, header_digest: self.header_digest(), wrap: self.wrap.clone() })
    }
}

/// An envelope whose signature and wrap digest were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEnvelope {
    header: Header,
    header_digest: Digest,
    wrap: Wrap,
}

impl VerifiedEnvelope {
    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 of the header's bytes as received.
    #[must_use]
    pub fn header_digest(&self) -> Digest {
        self.header_digest
    }
}
