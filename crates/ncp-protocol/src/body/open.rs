//! Opening a body: any chunk by its number, or a range of the plaintext.
//!
//! A single chunk that opens is what the originator sealed at that place of that body. It may be handed over only when
//! the whole body was verified once ([`crate::envelope::open`]); later reads of a verified body need no second pass.

use core::fmt;
use core::ops::Range;

use thiserror::Error;
use zeroize::Zeroizing;

use super::{BodyCore, ChunkCipher, ContentKey, chunk_count, plain_length, sealed_range};
use crate::limits::CHUNK_PLAIN;

/// Why a chunk does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// No body has this length, or there is no such chunk or range in it.
    #[error("outside the body")]
    Outside,
    /// The chunk is damaged, stands elsewhere, or belongs to another body or key.
    #[error("chunk does not open")]
    Sealed,
}

/// A piece of the plaintext inside one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSlice {
    /// Number of the chunk.
    pub index: u64,
    /// Where the sealed chunk lies in the body.
    pub sealed: Range<u64>,
    /// What of the chunk's plaintext is meant.
    pub plain: Range<usize>,
}

/// Opens the chunks of one body.
pub struct BodyOpener {
    cipher: ChunkCipher,
    body_length: u64,
    plain_length: u64,
}

impl BodyOpener {
    /// An opener for the sealed body of `body_length` bytes.
    ///
    /// # Errors
    /// [`ChunkError::Outside`] if no body has this length.
    pub fn new(core: &BodyCore, cek: &ContentKey, body_length: u64) -> Result<Self, ChunkError> {
        let plain_length = plain_length(body_length).ok_or(ChunkError::Outside)?;
        Ok(Self { cipher: ChunkCipher::new(core, cek), body_length, plain_length })
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        chunk_count(self.body_length)
    }

    /// Length of the plaintext with its padding.
    #[must_use]
    pub fn plain_length(&self) -> u64 {
        self.plain_length
    }

    /// Opens chunk `index`; `sealed` is all of it.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn open_chunk(&self, index: u64, sealed: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, ChunkError> {
        let range = sealed_range(index, self.body_length).ok_or(ChunkError::Outside)?;
        if sealed.len() as u64 != range.end - range.start {
            return Err(ChunkError::Sealed);
        }
        let mut buffer = Zeroizing::new(sealed);
        let nonce = self.cipher.nonce(index, self.chunks());
        self.cipher.aead.open(nonce, &self.cipher.associated.0, &mut buffer).map_err(|_| ChunkError::Sealed)?;
        Ok(buffer)
    }

    /// The pieces of chunks that make up `length` bytes of plaintext from `offset`, in order.
    ///
    /// # Errors
    /// [`ChunkError::Outside`] if the range leaves the plaintext.
    pub fn slices(&self, offset: u64, length: u64) -> Result<impl Iterator<Item = ChunkSlice> + use<>, ChunkError> {
        let end = offset.checked_add(length).filter(|&end| end <= self.plain_length).ok_or(ChunkError::Outside)?;
        let (chunk, body_length) = (CHUNK_PLAIN as u64, self.body_length);
        let first = offset / chunk;
        let last = if length == 0 { first } else { end.div_ceil(chunk) };
        Ok((first..last).filter_map(move |index| {
            let start = index * chunk;
            let within = |place: u64| usize::try_from(place.saturating_sub(start)).unwrap_or(CHUNK_PLAIN);
            let plain = within(offset)..within(end).min(CHUNK_PLAIN);
            sealed_range(index, body_length).map(|sealed| ChunkSlice { index, sealed, plain })
        }))
    }

    /// Opens the chunk of `slice` and keeps what is meant of it.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn open_slice(&self, slice: &ChunkSlice, sealed: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, ChunkError> {
        let plain = self.open_chunk(slice.index, sealed)?;
        let piece = plain.get(slice.plain.clone()).ok_or(ChunkError::Outside)?;
        Ok(Zeroizing::new(piece.to_vec()))
    }
}

impl fmt::Debug for BodyOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyOpener").field("body_length", &self.body_length).finish()
    }
}
