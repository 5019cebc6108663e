//! Reads a body's plaintext as it comes: `r`, the manifest, the parts, the padding. Holds `r` and the manifest, no part.

use core::fmt;

use zeroize::Zeroizing;

use super::draft::{PREAMBLE_LEN, plain_length_of};
use super::open::OpenError;
use super::parts::PartsCheck;
use crate::ids::{Digest, NetworkId};
use crate::limits::MANIFEST_MAX;
use crate::manifest::{Manifest, content_commitment};
use crate::padding::padded_len;

/// The manifest and `r` of an opened body, and where its parts lie.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    manifest: Manifest,
    manifest_bytes: Vec<u8>,
    r: Zeroizing<[u8; 32]>,
}

impl Content {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its bytes as received, for a court.
    #[must_use]
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.manifest_bytes
    }

    /// `r`, with which anyone checks the commitment.
    #[must_use]
    pub fn r(&self) -> &[u8; 32] {
        &self.r
    }

    /// Offset and length of part `index` in the plaintext, for [`crate::body::open::BodyOpener::slices`].
    #[must_use]
    pub fn part_span(&self, index: usize) -> Option<(u64, u64)> {
        let part = self.manifest.parts.get(index)?;
        let before: u64 = self.manifest.parts.iter().take(index).map(|part| part.length).sum();
        Some(((PREAMBLE_LEN + self.manifest_bytes.len()) as u64 + before, part.length))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("message", &self.manifest.message).finish_non_exhaustive()
    }
}

/// What the next bytes are.
enum Stage {
    /// `r` and the manifest's length, then the manifest: collected here.
    Manifest(Zeroizing<Vec<u8>>),
    /// The parts.
    Parts(Content, PartsCheck),
    /// The padding.
    Padding(Content),
}

/// Takes the plaintext in order and checks all that the plaintext itself can show.
pub(super) struct ContentReader {
    network: NetworkId,
    commitment: Digest,
    plain_length: u64,
    stage: Stage,
}

impl ContentReader {
    /// A reader for a padded plaintext of `plain_length` bytes under `commitment`.
    pub(super) fn new(network: NetworkId, commitment: Digest, plain_length: u64) -> Self {
        let collected = Zeroizing::new(Vec::with_capacity(PREAMBLE_LEN + MANIFEST_MAX));
        Self { network, commitment, plain_length, stage: Stage::Manifest(collected) }
    }

    /// The manifest with `r`, once they have passed.
    pub(super) fn content(&self) -> Option<&Content> {
        match &self.stage {
            Stage::Manifest(_) => None,
            Stage::Parts(content, _) | Stage::Padding(content) => Some(content),
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut plain: &[u8]) -> Result<(), OpenError> {
        while !plain.is_empty() {
            plain = self.step(plain)?;
        }
        Ok(())
    }

    /// Ends after the last byte, and hands over the content if nothing was missing.
    pub(super) fn finish(self) -> Result<Content, OpenError> {
        match self.stage {
            Stage::Manifest(_) => Err(OpenError::Layout),
            Stage::Padding(content) => Ok(content),
            Stage::Parts(content, mut parts) => {
                parts.finish()?;
                Ok(content)
            }
        }
    }

    /// Takes a piece that belongs to one stage and returns what follows it.
    fn step<'a>(&mut self, plain: &'a [u8]) -> Result<&'a [u8], OpenError> {
        match &mut self.stage {
            Stage::Manifest(collected) => {
                let rest = collect(collected, plain)?;
                if collected.len() >= PREAMBLE_LEN && collected.len() == wanted_length(collected)? {
                    let content = read_manifest(&self.network, &self.commitment, self.plain_length, collected)?;
                    let parts = PartsCheck::new(&content.manifest);
                    self.stage = Stage::Parts(content, parts);
                }
                Ok(rest)
            }
            Stage::Parts(content, parts) => {
                let taken = parts.take(plain)?;
                let rest = plain.get(taken..).unwrap_or_default();
                if !rest.is_empty() {
                    self.stage = Stage::Padding(content.clone());
                }
                Ok(rest)
            }
            Stage::Padding(_) if plain.iter().all(|&byte| byte == 0) => Ok(&[]),
            Stage::Padding(_) => Err(OpenError::Padding),
        }
    }
}

/// Collects what is missing of `r`, length and manifest, and returns what follows.
fn collect<'a>(collected: &mut Vec<u8>, plain: &'a [u8]) -> Result<&'a [u8], OpenError> {
    let missing = wanted_length(collected)?.saturating_sub(collected.len());
    let (piece, rest) = plain.split_at(missing.min(plain.len()));
    collected.extend_from_slice(piece);
    Ok(rest)
}

fn read_manifest(
    network: &NetworkId,
    commitment: &Digest,
    plain_length: u64,
    collected: &[u8],
) -> Result<Content, OpenError> {
    let (r, rest) = collected.split_first_chunk::<32>().ok_or(OpenError::Layout)?;
    let (_, manifest_bytes) = rest.split_first_chunk::<4>().ok_or(OpenError::Layout)?;
    if content_commitment(network, r, manifest_bytes) != *commitment {
        return Err(OpenError::Commitment);
    }
    let manifest = Manifest::decode(manifest_bytes)?;
    if padded_len(plain_length_of(&manifest, manifest_bytes.len())) != plain_length {
        return Err(OpenError::Layout);
    }
    Ok(Content { manifest, manifest_bytes: manifest_bytes.to_vec(), r: Zeroizing::new(*r) })
}

/// How much belongs before the parts, as far as the bytes so far tell.
fn wanted_length(collected: &[u8]) -> Result<usize, OpenError> {
    let Some((_, rest)) = collected.split_first_chunk::<32>() else { return Ok(PREAMBLE_LEN) };
    let Some((length, _)) = rest.split_first_chunk::<4>() else { return Ok(PREAMBLE_LEN) };
    match usize::try_from(u32::from_le_bytes(*length)) {
        Ok(length) if length <= MANIFEST_MAX => Ok(PREAMBLE_LEN + length),
        Ok(_) | Err(_) => Err(OpenError::Layout),
    }
}
