//! The header `H`: all that the hub reads of an envelope.
//!
//! One header names one recipient. It is signed as bytes and verified as received. The *header core*, all but the
//! digest of the wrap, is the associated data of the wrap, so that neither fits another's place.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::body::{self, root_of_one};
use crate::codec::{DecodeError, PREFIX_LEN, Prefix, encode};
use crate::codes::Precedence;
use crate::ids::{Digest, KeyId, MessageId, NetworkId, ParticipantId, SealNumber, UnixMillis};
use crate::keys::{Purpose, sha256};
use crate::limits::{CLOCK_SKEW_MAX_MS, HEADER_MAX, LIFETIME_MAX_MS, LIFETIME_MIN_MS, PROTOCOL_VERSION};

/// The prefix of an encoded header.
pub const HEADER_PREFIX: Prefix = Prefix::new(b'H', 1);

/// The one suite of version 1: Ed25519, X-Wing with HKDF-SHA-256 and ChaCha20-Poly1305, SHA-256.
pub const SUITE: u16 = 1;

/// All that the hub reads of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Protocol version, [`PROTOCOL_VERSION`].
    pub version: u16,
    /// Suite of algorithms, [`SUITE`].
    pub suite: u16,
    /// The network it belongs to.
    pub network: NetworkId,
    /// The message, which its other envelopes share.
    pub message: MessageId,
    /// How often this recipient's envelope was sealed, from 1.
    pub seal: SealNumber,
    /// Who signed and sealed.
    pub originator: ParticipantId,
    /// With which signing key.
    pub originator_key: KeyId,
    /// Who opens.
    pub recipient: ParticipantId,
    /// With which sealing key.
    pub recipient_key: KeyId,
    /// Order of service.
    pub precedence: Precedence,
    /// When the message was released.
    pub created: UnixMillis,
    /// When it expires.
    pub not_after: UnixMillis,
    /// Length of the sealed body in bytes.
    pub body_length: u64,
    /// SHA-256 over the hashes of the body's sealed chunks.
    pub ciphertext_root: Digest,
    /// Hiding commitment to the content manifest.
    pub content_commitment: Digest,
    /// SHA-256 of the wrap. Last, so that all before it is the header core.
    pub wrap_digest: Digest,
}

/// Why bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The bytes do not decode.
    #[error("header: {0}")]
    Decode(#[from] DecodeError),
    /// Another protocol version.
    #[error("unknown protocol version {0}")]
    Version(u16),
    /// A suite that this program does not know.
    #[error("unknown suite {0}")]
    Suite(u16),
    /// Originator and recipient are the same, or one of them is the hub.
    #[error("originator or recipient not allowed")]
    Names,
    /// Seal numbers count from 1.
    #[error("seal number 0")]
    Seal,
    /// No body has this length.
    #[error("no body has this length")]
    BodyLength,
}

/// Why a header is not acceptable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimeError {
    /// Created later than the clocks may differ.
    #[error("created in the future")]
    Future,
    /// Its not-after has passed.
    #[error("expired")]
    Expired,
    /// Its lifetime is shorter or longer than a message may live.
    #[error("lifetime out of range")]
    Lifetime,
}

impl Header {
    /// The canonical bytes, with their prefix: what is signed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        HEADER_PREFIX.encode(self)
    }

    /// Reads and checks a header. Times are not checked: see [`Header::check_times`].
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let header = Self::read(bytes)?;
        header.check()?;
        Ok(header)
    }

    /// Reads the layout alone. Nothing in it may be relied on before [`Header::check`] but the names under which a header
    /// that breaks a rule is refused.
    ///
    /// # Errors
    /// [`DecodeError`]: these bytes name no envelope.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        HEADER_PREFIX.decode(bytes, HEADER_MAX)
    }

    /// Checks every rule that the types alone do not hold.
    ///
    /// # Errors
    /// [`HeaderError`], the first rule that is broken.
    pub fn check(&self) -> Result<(), HeaderError> {
        if self.version != PROTOCOL_VERSION {
            return Err(HeaderError::Version(self.version));
        }
        if self.suite != SUITE {
            return Err(HeaderError::Suite(self.suite));
        }
        let hub = ParticipantId::HUB;
        if self.originator == self.recipient || self.originator == hub || self.recipient == hub {
            return Err(HeaderError::Names);
        }
        if self.seal.0 == 0 {
            return Err(HeaderError::Seal);
        }
        body::plain_length(self.body_length).map(|_| ()).ok_or(HeaderError::BodyLength)
    }

    /// Whether a sealed chunk is the whole body that this header names.
    #[must_use]
    pub fn names_body(&self, sealed: &[u8]) -> bool {
        sealed.len() as u64 == self.body_length && root_of_one(sealed) == self.ciphertext_root
    }

    /// Hash over the header core: the label and all fields but the last. The associated data of the wrap.
    #[must_use]
    pub fn core_hash(&self) -> Digest {
        let fields = encode(self);
        let Some((core, _)) = fields.split_last_chunk::<32>() else { unreachable!("a header ends with a digest") };
        let mut hashed = Purpose::HeaderCore.label(&self.network);
        hashed.extend_from_slice(core);
        sha256(&hashed)
    }

    /// Checks the times against `now`.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn check_times(&self, now: UnixMillis) -> Result<(), TimeError> {
        let lifetime = self.not_after.millis_since(self.created);
        if !(LIFETIME_MIN_MS..=LIFETIME_MAX_MS).contains(&lifetime) {
            return Err(TimeError::Lifetime);
        }
        if self.created > now.plus_millis(CLOCK_SKEW_MAX_MS) {
            return Err(TimeError::Future);
        }
        if self.not_after <= now { Err(TimeError::Expired) } else { Ok(()) }
    }
}

/// The header digest: SHA-256 of the header's bytes as received. Evidence names envelopes by it.
#[must_use]
pub fn header_digest(header_bytes: &[u8]) -> Digest {
    sha256(header_bytes)
}

/// Length of every encoded header of version 1, with its prefix.
pub const HEADER_LEN: usize = PREFIX_LEN + 260;

const _: () = assert!(HEADER_LEN <= HEADER_MAX);
