//! Ed25519 keys, signatures and the labels that keep one purpose's signatures from serving another.
//!
//! Verification is `verify_strict` alone (RFC 8032 with canonical points, small-order keys refused). A [`VerifyingKey`]
//! is checked once, when it is parsed. Secret keys wipe themselves and have no `Debug` that shows them.

use core::fmt;

use ed25519_dalek::Signer as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha512};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ids::{Digest, KeyId, NetworkId};

/// What a signature, digest or derived key is for. Each purpose has its own label, bound to one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Signature over an envelope's header.
    Header,
    /// HMAC over a content manifest.
    ContentCommitment,
    /// Signature over a directory entry.
    DirectoryEntry,
    /// Signature over the root of trust.
    RootOfTrust,
    /// Signature over a membership statement of the Secretariat.
    Membership,
    /// Signature over the timestamp statement of the hub.
    Timestamp,
    /// An officer's signature over what was approved.
    Approval,
    /// An officer's signature over a request to the local API.
    OfficerRequest,
    /// Key derivation for a body's payload.
    PayloadKey,
    /// HPKE info of a wrap.
    Wrap,
    /// Hash over a body's core.
    BodyCore,
    /// Hash over a header's core.
    HeaderCore,
    /// A canary that is signed to show that the key works.
    Canary,
    /// HPKE info of the wrap of a backup.
    BackupWrap,
    /// Key derivation for the content of a backup.
    BackupKey,
}

impl Purpose {
    /// The purpose's name inside its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::ContentCommitment => "content-commitment",
            Self::DirectoryEntry => "directory-entry",
            Self::RootOfTrust => "root-of-trust",
            Self::Membership => "membership",
            Self::Timestamp => "timestamp",
            Self::Approval => "approval",
            Self::OfficerRequest => "officer-request",
            Self::PayloadKey => "payload-key",
            Self::Wrap => "wrap",
            Self::BodyCore => "body-core",
            Self::HeaderCore => "header-core",
            Self::Canary => "canary",
            Self::BackupWrap => "backup-wrap",
            Self::BackupKey => "backup-key",
        }
    }

    /// The label: `ncp/v1/<purpose>`, a zero byte, the 32 bytes of the network id.
    #[must_use]
    pub fn label(self, network: &NetworkId) -> Vec<u8> {
        // With room for the hash that most of them come before.
        let mut label = Vec::with_capacity(160);
        label.extend_from_slice(b"ncp/v1/");
        label.extend_from_slice(self.as_str().as_bytes());
        label.push(0);
        label.extend_from_slice(&network.0.0);
        label
    }
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// SHA-256 of bytes that come in pieces.
#[derive(Debug, Clone, Default)]
pub struct Sha256Hasher(Sha256);

impl Sha256Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// Why bytes are not a key that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not 32 bytes that encode a curve point canonically.
    #[error("not a public key")]
    Malformed,
    /// A point of small order: anyone could sign for it.
    #[error("weak public key")]
    Weak,
}

/// The signature does not verify. A peer learns no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// An Ed25519 signature, 64 bytes (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::ids::hex(&self.0))
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (low, high) = self.0.split_at(32);
        let halves: (Option<[u8; 32]>, Option<[u8; 32]>) = (low.try_into().ok(), high.try_into().ok());
        match halves {
            (Some(low), Some(high)) => (low, high).serialize(serializer),
            _ => unreachable!("64 bytes split into twice 32"),
        }
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (low, high) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        let (first, second) = bytes.split_at_mut(32);
        first.copy_from_slice(&low);
        second.copy_from_slice(&high);
        Ok(Self(bytes))
    }
}

/// An Ed25519 public key that is canonical and not weak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Checks 32 bytes.
    ///
    /// # Errors
    /// [`KeyError`] if they are not a canonical point or the point has small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?;
        if key.to_edwards().compress().to_bytes() != *bytes {
            return Err(KeyError::Malformed);
        }
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// SHA-256 of the 32 bytes.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(sha256(self.0.as_bytes()))
    }

    /// Verifies a signature over `label ‖ SHA-512(bytes)`.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(
        &self,
        purpose: Purpose,
        network: &NetworkId,
        bytes: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        self.verify_raw(&signed_bytes(purpose, network, bytes), signature)
    }

    /// Verifies a signature over `bytes` as they are: for signed notes, whose format C2SP fixes.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_raw(&self, bytes: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(bytes, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.id().0.short())
    }
}

impl Serialize for VerifyingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for VerifyingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_bytes(&<[u8; 32]>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// An Ed25519 private key. Wipes itself; never shown.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032, section 5.1.5). The caller fills the seed from the system's generator.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The seed, for the one place that writes key files.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs `label ‖ SHA-512(bytes)`.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, network: &NetworkId, bytes: &[u8]) -> Signature {
        self.sign_raw(&signed_bytes(purpose, network, bytes))
    }

    /// Signs `bytes` as they are: for signed notes, whose format C2SP fixes.
    #[must_use]
    pub fn sign_raw(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifying_key().id().0.short())
    }
}

fn signed_bytes(purpose: Purpose, network: &NetworkId, bytes: &[u8]) -> Vec<u8> {
    let mut signed = purpose.label(network);
    signed.extend_from_slice(&Sha512::digest(bytes));
    signed
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId(Digest([7; 32]));

    #[test]
    fn signature_is_bound_to_purpose_network_and_bytes() {
        let key = SigningKey::from_seed(&[1; 32]);
        let signature = key.sign(Purpose::Header, &NETWORK, b"bytes");
        let public = key.verifying_key();
        assert_eq!(public.verify(Purpose::Header, &NETWORK, b"bytes", &signature), Ok(()));
        assert!(public.verify(Purpose::Approval, &NETWORK, b"bytes", &signature).is_err());
        assert!(public.verify(Purpose::Header, &NetworkId(Digest([8; 32])), b"bytes", &signature).is_err());
        assert!(public.verify(Purpose::Header, &NETWORK, b"other", &signature).is_err());
    }

    #[test]
    fn weak_and_non_canonical_keys_are_refused() {
        // The identity point, of order 1.
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(VerifyingKey::from_bytes(&identity), Err(KeyError::Weak));
        // y = p + 1: the identity again, with a second encoding.
        let mut second = [0xff; 32];
        second[0] = 0xee;
        second[31] = 0x7f;
        assert_eq!(VerifyingKey::from_bytes(&second), Err(KeyError::Malformed));
    }

    #[test]
    fn signature_takes_64_bytes_on_the_wire() {
        let signature = Signature([9; 64]);
        let bytes = crate::codec::encode(&signature);
        assert_eq!(bytes, [9; 64]);
        assert_eq!(crate::codec::decode(&bytes, 64), Ok(signature));
    }
}
