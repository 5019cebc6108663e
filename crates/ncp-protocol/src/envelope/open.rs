//! Opening an envelope and its body. The relay never names this module, [`crate::body::open`],
//! [`crate::wrap::open_wrap`], [`SealingKey`] or [`crate::body::ContentKey`].
//!
//! The first pass over a body takes every sealed chunk once, at constant memory, and checks chunk tags, ciphertext root,
//! commitment, manifest, names, the SHA-256 of each part and the padding. Only then is an [`OpenedMessage`] handed over;
//! parts are read from the verified body by [`BodyOpener::slices`]. [`reopen_content`] reads the manifest of a body that
//! passed before.

use core::fmt;

use thiserror::Error;

use super::content::{Content, ContentReader};
pub use super::parts::PartMismatch;
use super::{Header, VerifiedEnvelope};
use crate::body::open::{BodyOpener, ChunkError};
use crate::body::{BodyCore, RootHasher, chunk_hash};
use crate::codes::Precedence;
use crate::ids::{Digest, NetworkId, ParticipantId};
use crate::manifest::{Manifest, ManifestError};
use crate::wrap::{SealingKey, WrapContent, WrapError, open_wrap};

/// Why an envelope or its body does not open. All but the first two are the originator's fault, or damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Addressed to another recipient.
    #[error("for another recipient")]
    Recipient,
    /// Sealed to another key than the given one.
    #[error("sealed to another key")]
    KeyId,
    /// The wrap does not open.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// A chunk does not open.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The chunks are not those that the header names.
    #[error("another ciphertext root")]
    Root,
    /// Fewer chunks than the header names.
    #[error("chunks missing")]
    Incomplete,
    /// The plaintext is not laid out as its lengths say.
    #[error("plaintext not laid out as its lengths say")]
    Layout,
    /// Manifest and `r` do not open the header's commitment.
    #[error("commitment does not open")]
    Commitment,
    /// The manifest breaks a rule.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Manifest and header disagree about network, message, originator or recipient.
    #[error("manifest and header disagree")]
    Names,
    /// Urgent without a ground in the manifest.
    #[error("urgent without a ground")]
    UrgentGround,
    /// A part is not the one that the manifest describes.
    #[error(transparent)]
    Part(#[from] PartMismatch),
    /// The padding is not zero.
    #[error("padding is not zero")]
    Padding,
}

/// Why a pass over a body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenBodyError<E> {
    /// The caller could not read a chunk.
    #[error("chunk not read")]
    Read(E),
    /// The body does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl VerifiedEnvelope {
    /// Opens the wrap with the key that the header names.
    ///
    /// # Errors
    /// [`OpenError::Recipient`], [`OpenError::KeyId`] or [`OpenError::Wrap`].
    pub fn open(self, recipient: &ParticipantId, key: &SealingKey) -> Result<OpenedEnvelope, OpenError> {
        if self.header.recipient != *recipient {
            return Err(OpenError::Recipient);
        }
        if self.header.recipient_key != key.public().id() {
            return Err(OpenError::KeyId);
        }
        let wrap_content = open_wrap(key, &self.header.network, &self.header.core_hash(), &self.wrap)?;
        Ok(OpenedEnvelope { header: self.header, header_digest: self.header_digest, wrap_content })
    }
}

/// An envelope whose wrap is open; its body is not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedEnvelope {
    header: Header,
    header_digest: Digest,
    wrap_content: WrapContent,
}

impl OpenedEnvelope {
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

    /// What the wrap held.
    #[must_use]
    pub fn wrap_content(&self) -> &WrapContent {
        &self.wrap_content
    }

    /// An opener for the body. What it opens may be shown only after the pass of [`OpenedEnvelope::open_body`].
    ///
    /// # Errors
    /// [`OpenError::Chunk`] if no body has the header's length; decoding the header excludes that.
    pub fn body_opener(&self) -> Result<BodyOpener, OpenError> {
        let core = BodyCore {
            network: self.header.network,
            suite: self.header.suite,
            originator: self.header.originator,
            message: self.header.message,
        };
        Ok(BodyOpener::new(&core, &self.wrap_content.cek, self.header.body_length)?)
    }

    /// Starts the pass over the body, for a caller that pushes the chunks.
    ///
    /// # Errors
    /// As [`OpenedEnvelope::body_opener`].
    pub fn verify_body(self) -> Result<BodyVerifier, OpenError> {
        let opener = self.body_opener()?;
        let reader = ContentReader::new(self.header.network, self.header.content_commitment, opener.plain_length());
        Ok(BodyVerifier { opened: self, opener, root: RootHasher::new(), reader })
    }

    /// Passes over the whole body: `read` yields sealed chunk by sealed chunk.
    ///
    /// # Errors
    /// [`OpenBodyError`].
    pub fn open_body<E>(
        self,
        mut read: impl FnMut(u64) -> Result<Vec<u8>, E>,
    ) -> Result<OpenedMessage, OpenBodyError<E>> {
        let mut verifier = self.verify_body()?;
        for index in 0..verifier.opener.chunks() {
            verifier.push(read(index).map_err(OpenBodyError::Read)?)?;
        }
        Ok(verifier.finish()?)
    }
}

/// The pass over a body: takes its sealed chunks in order and hands over nothing before the last.
pub struct BodyVerifier {
    opened: OpenedEnvelope,
    opener: BodyOpener,
    root: RootHasher,
    reader: ContentReader,
}

impl BodyVerifier {
    /// Takes the next sealed chunk.
    ///
    /// # Errors
    /// [`OpenError`]; the body is then refused for good.
    pub fn push(&mut self, sealed: Vec<u8>) -> Result<(), OpenError> {
        let (index, hash) = (self.root.chunks(), chunk_hash(&sealed));
        let plain = self.opener.open_chunk(index, sealed)?;
        self.root.push(hash);
        self.reader.push(&plain)
    }

    /// Ends the pass after the last chunk.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn finish(self) -> Result<OpenedMessage, OpenError> {
        if self.root.chunks() != self.opener.chunks() {
            return Err(OpenError::Incomplete);
        }
        if self.root.finish() != self.opened.header.ciphertext_root {
            return Err(OpenError::Root);
        }
        let content = self.reader.finish()?;
        check_names(&self.opened.header, content.manifest())?;
        Ok(OpenedMessage { envelope: self.opened, content })
    }
}

impl fmt::Debug for BodyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyVerifier").field("opened", &self.opened).field("root", &self.root).finish_non_exhaustive()
    }
}

fn check_names(header: &Header, manifest: &Manifest) -> Result<(), OpenError> {
    let agree = manifest.network == header.network
        && manifest.message == header.message
        && manifest.originator == header.originator
        && manifest.recipients.binary_search(&header.recipient).is_ok();
    if !agree {
        return Err(OpenError::Names);
    }
    if header.precedence == Precedence::Urgent && manifest.urgent_ground.is_none() {
        return Err(OpenError::UrgentGround);
    }
    Ok(())
}

/// A message that was verified from the signature to the last byte of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedMessage {
    envelope: OpenedEnvelope,
    content: Content,
}

impl OpenedMessage {
    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.envelope.header
    }

    /// SHA-256 of the header's bytes as received.
    #[must_use]
    pub fn header_digest(&self) -> Digest {
        self.envelope.header_digest
    }

    /// What the wrap held: content key, pair sequence, checkpoint.
    #[must_use]
    pub fn wrap_content(&self) -> &WrapContent {
        &self.envelope.wrap_content
    }

    /// Manifest and `r`, and where the parts lie.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.content.manifest()
    }

    /// An opener for the verified body.
    ///
    /// # Errors
    /// As [`OpenedEnvelope::body_opener`].
    pub fn body_opener(&self) -> Result<BodyOpener, OpenError> {
        self.envelope.body_opener()
    }
}

/// Reads manifest and `r` of a stored body that passed before, or that this node sealed; `read` yields sealed chunks, of
/// which only the first are asked for. The commitment vouches for the manifest.
///
/// # Errors
/// [`OpenBodyError`].
pub fn reopen_content<E>(
    opener: &BodyOpener,
    network: &NetworkId,
    commitment: &Digest,
    mut read: impl FnMut(u64) -> Result<Vec<u8>, E>,
) -> Result<Content, OpenBodyError<E>> {
    let mut reader = ContentReader::new(*network, *commitment, opener.plain_length());
    for index in 0..opener.chunks() {
        let sealed = read(index).map_err(OpenBodyError::Read)?;
        let plain = opener.open_chunk(index, sealed).map_err(OpenError::from)?;
        reader.push(&plain)?;
        if let Some(content) = reader.content() {
            return Ok(content.clone());
        }
    }
    Err(OpenError::Layout.into())
}
