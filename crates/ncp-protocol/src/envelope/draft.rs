//! From a frozen manifest to a sealed body and signed envelopes.
//!
//! Everything here is deterministic but for `r`, the content key and the seed of each wrap, which are arguments. The
//! same draft, rebuilt from its stored bytes, seals further recipients and raises seal numbers over the same body.

use thiserror::Error;
use zeroize::Zeroizing;

use super::SealedEnvelope;
use super::parts::{PartMismatch, PartsCheck};
use crate::body::{BodyCore, BodyDigest, BodyError, BodySealer, ContentKey, plain_length};
use crate::codes::Precedence;
use crate::header::{Header, HeaderError, SUITE, TimeError};
use crate::ids::{Digest, ParticipantId, SealNumber, UnixMillis};
use crate::keys::{Purpose, SigningKey};
use crate::limits::PROTOCOL_VERSION;
use crate::manifest::{Manifest, ManifestError, content_commitment};
use crate::padding::padded_len;
use crate::wrap::{ContentError, SealingPublicKey, WRAP_SEED_LEN, WrapContent, seal_wrap};

/// Bytes of the plaintext before the manifest: `r` and the manifest's length.
pub(super) const PREAMBLE_LEN: usize = 32 + 4;

/// A checked manifest with its `r`: what officers approve by its commitment.
#[derive(Clone)]
pub struct DraftMessage {
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    r: Zeroizing<[u8; 32]>,
    commitment: Digest,
}

/// Whom an envelope is for, and on what terms.
#[derive(Debug, Clone, Copy)]
pub struct SealTo<'a> {
    /// One of the manifest's recipients.
    pub recipient: ParticipantId,
    /// That recipient's sealing key.
    pub key: &'a SealingPublicKey,
    /// How often this envelope was sealed, from 1.
    pub seal: SealNumber,
    /// Order of service.
    pub precedence: Precedence,
    /// When the message was released.
    pub created: UnixMillis,
    /// When it expires.
    pub not_after: UnixMillis,
    /// What the recipient alone reads; its content key is the one that sealed the body.
    pub wrap: &'a WrapContent,
}

/// Why an envelope cannot be sealed. All are the caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealError {
    /// The manifest does not name this recipient.
    #[error("not a recipient of the message")]
    Recipient,
    /// Urgent without a ground in the manifest.
    #[error("urgent without a ground")]
    UrgentGround,
    /// The body is not one of this message.
    #[error("body of another length")]
    Body,
    /// The terms break a rule of the header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The lifetime is out of range.
    #[error(transparent)]
    Times(#[from] TimeError),
    /// The content of the wrap breaks a rule.
    #[error(transparent)]
    Wrap(#[from] ContentError),
}

impl DraftMessage {
    /// Checks `manifest` and commits to it. `r` is 32 random bytes, fresh at every edit.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn new(manifest: Manifest, r: &[u8; 32]) -> Result<Self, ManifestError> {
        manifest.check()?;
        let manifest_bytes = manifest.encode();
        Ok(Self::commit(manifest, manifest_bytes, r))
    }

    /// Takes up a draft that was frozen earlier: its manifest's bytes as stored.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn from_frozen(manifest_bytes: Vec<u8>, r: &[u8; 32]) -> Result<Self, ManifestError> {
        let manifest = Manifest::decode(&manifest_bytes)?;
        Ok(Self::commit(manifest, manifest_bytes, r))
    }

    fn commit(manifest: Manifest, manifest_bytes: Vec<u8>, r: &[u8; 32]) -> Self {
        let commitment = content_commitment(&manifest.network, r, &manifest_bytes);
        Self { manifest, manifest_bytes, r: Zeroizing::new(*r), commitment }
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its frozen bytes.
    #[must_use]
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// `r`, for the one place that stores it under the storage key.
    #[must_use]
    pub fn r(&self) -> &[u8; 32] {
        &self.r
    }

    /// The content commitment: what officers approve and replies cite.
    #[must_use]
    pub fn commitment(&self) -> Digest {
        self.commitment
    }

    /// Length of the plaintext before padding.
    #[must_use]
    pub fn plain_length(&self) -> u64 {
        plain_length_of(&self.manifest, self.manifest_bytes.len())
    }

    /// What the body belongs to.
    #[must_use]
    pub fn body_core(&self) -> BodyCore {
        body_core_of(&self.manifest)
    }

    /// Starts to seal the body: `r` and the manifest go first, then the caller feeds the parts in order.
    ///
    /// # Errors
    /// [`SealBodyError::Body`] if the message is longer than a body; the manifest's check excludes that.
    pub fn seal_body(
        &self,
        cek: &ContentKey,
        out: &mut impl FnMut(u64, Vec<u8>),
    ) -> Result<PartsSealer, SealBodyError> {
        let mut sealer = BodySealer::new(&self.body_core(), cek, self.plain_length())?;
        let Ok(length) = u32::try_from(self.manifest_bytes.len()) else { unreachable!("MANIFEST_MAX fits 32 bits") };
        sealer.update(self.r.as_slice(), out)?;
        sealer.update(&length.to_le_bytes(), out)?;
        sealer.update(&self.manifest_bytes, out)?;
        Ok(PartsSealer { sealer, parts: PartsCheck::new(&self.manifest) })
    }

    /// Seals and signs the envelope for one recipient: core, wrap, header, signature. `seed` is fresh randomness.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_for(
        &self,
        body: &BodyDigest,
        to: &SealTo<'_>,
        key: &SigningKey,
        seed: &[u8; WRAP_SEED_LEN],
    ) -> Result<SealedEnvelope, SealError> {
        let network = &self.manifest.network;
        let mut header = self.header_for(body, to, key)?;
        let wrap = seal_wrap(to.key, network, &header.core_hash(), to.wrap, seed)?;
        header.wrap_digest = wrap.digest();
        let header_bytes = header.encode();
        let signature = key.sign(Purpose::Header, network, &header_bytes);
        Ok(SealedEnvelope { header_bytes, signature, wrap })
    }

    /// The header without its wrap digest, which the core does not cover.
    fn header_for(&self, body: &BodyDigest, to: &SealTo<'_>, key: &SigningKey) -> Result<Header, SealError> {
        if self.manifest.recipients.binary_search(&to.recipient).is_err() {
            return Err(SealError::Recipient);
        }
        if to.precedence == Precedence::Urgent && self.manifest.urgent_ground.is_none() {
            return Err(SealError::UrgentGround);
        }
        if plain_length(body.length) != Some(padded_len(self.plain_length())) {
            return Err(SealError::Body);
        }
        let header = Header {
            version: PROTOCOL_VERSION,
            suite: SUITE,
            network: self.manifest.network,
            message: self.manifest.message,
            seal: to.seal,
            originator: self.manifest.originator,
            originator_key: key.verifying_key().id(),
            recipient: to.recipient,
            recipient_key: to.key.id(),
            precedence: to.precedence,
            created: to.created,
            not_after: to.not_after,
            body_length: body.length,
            ciphertext_root: body.root,
            content_commitment: self.commitment,
            wrap_digest: Digest([0; 32]),
        };
        header.check()?;
        header.check_times(to.created)?;
        Ok(header)
    }
}

impl core::fmt::Debug for DraftMessage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DraftMessage").field("message", &self.manifest.message).finish_non_exhaustive()
    }
}

/// What the body of a message belongs to.
pub(super) fn body_core_of(manifest: &Manifest) -> BodyCore {
    BodyCore { network: manifest.network, suite: SUITE, originator: manifest.originator, message: manifest.message }
}

/// Length of the plaintext before padding, for a checked manifest of `encoded` bytes.
pub(super) fn plain_length_of(manifest: &Manifest, encoded: usize) -> u64 {
    let Some(parts) = manifest.parts_length() else { unreachable!("a checked manifest has parts of 1 GiB at most") };
    (PREAMBLE_LEN + encoded) as u64 + parts
}

/// Why a body cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SealBodyError {
    /// The length is not the declared one.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A part is not the one that the manifest describes.
    #[error(transparent)]
    Part(#[from] PartMismatch),
}

/// Seals the parts behind the manifest, and refuses bytes that the manifest does not describe: what was approved is
/// what is sealed.
#[derive(Debug)]
pub struct PartsSealer {
    sealer: BodySealer,
    parts: PartsCheck,
}

impl PartsSealer {
    /// Takes the next bytes of the parts, which follow one another without a gap. See [`BodySealer::update`].
    ///
    /// # Errors
    /// [`SealBodyError`]; a body that was begun is then to be thrown away.
    pub fn update(&mut self, plain: &[u8], out: &mut impl FnMut(u64, Vec<u8>)) -> Result<(), SealBodyError> {
        if self.parts.take(plain)? != plain.len() {
            return Err(BodyError::Length.into());
        }
        Ok(self.sealer.update(plain, out)?)
    }

    /// Pads, seals what is left, and says what the header needs.
    ///
    /// # Errors
    /// [`SealBodyError`] if parts are missing.
    pub fn finish(mut self, out: &mut impl FnMut(u64, Vec<u8>)) -> Result<BodyDigest, SealBodyError> {
        self.parts.finish()?;
        Ok(self.sealer.finish(out)?)
    }
}
