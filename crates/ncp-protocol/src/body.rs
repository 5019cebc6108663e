//! The body: a message's content, sealed once and shared by all its envelopes.
//!
//! Plaintext `r` (32 bytes) ‖ length of `M` (u32 little-endian) ‖ `M` ‖ parts, zero-padded to its bucket
//! ([`crate::padding`]) and sealed in chunks of 64 KiB by STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the nonce is
//! a 7-byte prefix, the chunk number (u32 big-endian) and a byte that marks the last chunk, so that no chunk moves,
//! repeats or goes missing. Key and prefix come from the content key by HKDF with the message id as salt; the associated
//! data is the hash of the [`BodyCore`]. One content key seals one body, so no nonce is used twice.
//!
//! Length and `ciphertext_root` stand in the signed header. Opening is in [`open`], a module that the relay never
//! names; it checks lengths and chunk hashes with [`RootHasher`] alone.

pub mod open;

#[cfg(test)]
mod tests;

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::codec::encode;
use crate::ids::{Digest, MessageId, NetworkId, ParticipantId};
use crate::keys::{Purpose, sha256};
use crate::limits::{BODY_BUCKET_MIN, CHUNK_PLAIN, CHUNK_SEALED, CHUNK_TAG, CHUNKS_MAX};
use crate::padding::padded_len;
use crate::symmetric::{AEAD_KEY_LEN, AEAD_NONCE_LEN, Aead, hkdf_sha256};

/// What a body belongs to. Its hash is the associated data of every chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyCore {
    /// The network.
    pub network: NetworkId,
    /// Suite of algorithms, [`crate::header::SUITE`].
    pub suite: u16,
    /// Who sealed it.
    pub originator: ParticipantId,
    /// The message.
    pub message: MessageId,
}

impl BodyCore {
    fn hash(&self) -> Digest {
        let mut hashed = Purpose::BodyCore.label(&self.network);
        hashed.extend_from_slice(&encode(self));
        sha256(&hashed)
    }
}

/// The content key (CEK): 32 random bytes, one for each body. Wipes itself; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentKey(Zeroizing<[u8; 32]>);

impl ContentKey {
    /// Takes 32 bytes, which the caller filled from the system's generator or from a store under its storage key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The 32 bytes, for the one place that stores them under the storage key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey")
    }
}

impl Serialize for ContentKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ContentKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <[u8; 32]>::deserialize(deserializer).map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

/// What the header says about a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyDigest {
    /// The ciphertext root.
    pub root: Digest,
    /// Length of the sealed body in bytes.
    pub length: u64,
}

/// Number of chunks of a sealed body of `body_length` bytes.
#[must_use]
pub const fn chunk_count(body_length: u64) -> u64 {
    body_length.div_ceil(CHUNK_SEALED as u64)
}

/// Length of the sealed body whose plaintext, padded, has `padded` bytes.
const fn sealed_length(padded: u64) -> u64 {
    padded + padded.div_ceil(CHUNK_PLAIN as u64) * CHUNK_TAG as u64
}

/// Length of the padded plaintext of a sealed body; `None` if no body has this length.
#[must_use]
pub const fn plain_length(body_length: u64) -> Option<u64> {
    let chunks = chunk_count(body_length);
    if chunks == 0 || chunks > CHUNKS_MAX {
        return None;
    }
    let Some(padded) = body_length.checked_sub(chunks * CHUNK_TAG as u64) else { return None };
    if padded < BODY_BUCKET_MIN || padded_len(padded) != padded || sealed_length(padded) != body_length {
        return None;
    }
    Some(padded)
}

/// Where sealed chunk `index` lies in a body of `body_length` bytes; `None` beyond the last.
#[must_use]
pub fn sealed_range(index: u64, body_length: u64) -> Option<core::ops::Range<u64>> {
    let start = index.checked_mul(CHUNK_SEALED as u64).filter(|&start| start < body_length)?;
    Some(start..body_length.min(start + CHUNK_SEALED as u64))
}

/// SHA-256 of a sealed chunk.
#[must_use]
pub fn chunk_hash(sealed: &[u8]) -> Digest {
    sha256(sealed)
}

/// Root of a body of one chunk.
#[must_use]
pub fn root_of_one(sealed: &[u8]) -> Digest {
    let mut root = RootHasher::new();
    root.push(chunk_hash(sealed));
    root.finish()
}

/// Builds the ciphertext root: SHA-256 over the chunk hashes in order. It needs no key, so the relay checks an upload
/// with it.
#[derive(Debug, Clone, Default)]
pub struct RootHasher {
    hasher: Sha256,
    chunks: u64,
}

impl RootHasher {
    /// A root over no chunks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the hash of the next chunk.
    pub fn push(&mut self, chunk_hash: Digest) {
        self.hasher.update(chunk_hash.0);
        self.chunks += 1;
    }

    /// How many chunks were added.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// The root.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.hasher.finalize().into())
    }
}

/// Why a body cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The declared length is more than a body can hold.
    #[error("body too long")]
    TooLong,
    /// More or less plaintext came than was declared.
    #[error("plaintext of another length than declared")]
    Length,
}

/// Key, nonce prefix and associated data of one body.
struct ChunkCipher {
    aead: Aead,
    prefix: [u8; NONCE_PREFIX_LEN],
    associated: Digest,
}

/// Bytes before the counter of a STREAM nonce.
pub(crate) const NONCE_PREFIX_LEN: usize = 7;

impl ChunkCipher {
    fn new(core: &BodyCore, cek: &ContentKey) -> Self {
        let info = Purpose::PayloadKey.label(&core.network);
        let derived = hkdf_sha256::<{ AEAD_KEY_LEN + NONCE_PREFIX_LEN }>(&core.message.0, cek.as_bytes(), &info);
        let (mut key, mut prefix) = (Zeroizing::new([0; AEAD_KEY_LEN]), [0; NONCE_PREFIX_LEN]);
        let (head, tail) = derived.split_at(AEAD_KEY_LEN);
        key.copy_from_slice(head);
        prefix.copy_from_slice(tail);
        Self { aead: Aead::new(&key), prefix, associated: core.hash() }
    }

    /// The STREAM nonce of chunk `index` of `count`.
    fn nonce(&self, index: u64, count: u64) -> [u8; AEAD_NONCE_LEN] {
        let Ok(counter) = u32::try_from(index) else { unreachable!("a body has at most CHUNKS_MAX chunks") };
        stream_nonce(self.prefix, counter, index + 1 == count)
    }
}

/// The STREAM nonce of a chunk.
pub(crate) fn stream_nonce(prefix: [u8; NONCE_PREFIX_LEN], counter: u32, last: bool) -> [u8; AEAD_NONCE_LEN] {
    let [p0, p1, p2, p3, p4, p5, p6] = prefix;
    let [c0, c1, c2, c3] = counter.to_be_bytes();
    [p0, p1, p2, p3, p4, p5, p6, c0, c1, c2, c3, u8::from(last)]
}

/// Seals a body chunk by chunk, at constant memory: one chunk of plaintext.
///
/// Each call hands the finished chunks, with their numbers, to `out`. A call with at most 64 KiB of plaintext finishes at
/// most one chunk, so a caller whose `out` can fail keeps the error aside and stops before the next call.
pub struct BodySealer {
    cipher: ChunkCipher,
    /// Plaintext of the chunk that is being filled.
    buffer: Zeroizing<Vec<u8>>,
    /// Plaintext still to come before the padding.
    remaining: u64,
    /// Zeros after the plaintext.
    padding: u64,
    count: u64,
    root: RootHasher,
    length: u64,
}

impl BodySealer {
    /// A sealer for `plain_length` bytes of plaintext before padding.
    ///
    /// # Errors
    /// [`BodyError::TooLong`] if no body holds as much.
    pub fn new(core: &BodyCore, cek: &ContentKey, plain_length: u64) -> Result<Self, BodyError> {
        let padded = padded_len(plain_length);
        if padded > CHUNKS_MAX * CHUNK_PLAIN as u64 {
            return Err(BodyError::TooLong);
        }
        Ok(Self {
            cipher: ChunkCipher::new(core, cek),
            buffer: empty_buffer(),
            remaining: plain_length,
            padding: padded - plain_length,
            count: padded.div_ceil(CHUNK_PLAIN as u64),
            root: RootHasher::new(),
            length: sealed_length(padded),
        })
    }

    /// Takes the next piece of plaintext, of any length.
    ///
    /// # Errors
    /// [`BodyError::Length`] if more comes than was declared; nothing of the piece is sealed then.
    pub fn update(&mut self, plain: &[u8], out: &mut impl FnMut(u64, Vec<u8>)) -> Result<(), BodyError> {
        self.remaining = self.remaining.checked_sub(plain.len() as u64).ok_or(BodyError::Length)?;
        self.fill(plain, out);
        Ok(())
    }

    /// Pads, seals what is left, and says what the header needs.
    ///
    /// # Errors
    /// [`BodyError::Length`] if less came than was declared.
    pub fn finish(mut self, out: &mut impl FnMut(u64, Vec<u8>)) -> Result<BodyDigest, BodyError> {
        if self.remaining != 0 {
            return Err(BodyError::Length);
        }
        let zeros = vec![0; CHUNK_PLAIN];
        while self.padding > 0 {
            let piece = usize::try_from(self.padding).map_or(CHUNK_PLAIN, |padding| padding.min(CHUNK_PLAIN));
            self.padding -= piece as u64;
            self.fill(zeros.split_at(piece).0, out);
        }
        if !self.buffer.is_empty() {
            self.seal_chunk(out);
        }
        debug_assert_eq!(self.root.chunks(), self.count, "the padded length names the number of chunks");
        Ok(BodyDigest { root: self.root.finish(), length: self.length })
    }

    fn fill(&mut self, mut plain: &[u8], out: &mut impl FnMut(u64, Vec<u8>)) {
        while !plain.is_empty() {
            let room = CHUNK_PLAIN - self.buffer.len();
            let (piece, rest) = plain.split_at(room.min(plain.len()));
            self.buffer.extend_from_slice(piece);
            plain = rest;
            if self.buffer.len() == CHUNK_PLAIN {
                self.seal_chunk(out);
            }
        }
    }

    fn seal_chunk(&mut self, out: &mut impl FnMut(u64, Vec<u8>)) {
        let index = self.root.chunks();
        // The number of each chunk enters its nonce, and the content key belongs to this body alone. The plaintext is
        // sealed in place, so nothing of it stays behind in the buffer that is handed out.
        let mut sealed = core::mem::take(&mut *self.buffer);
        self.buffer = empty_buffer();
        self.cipher.aead.seal(self.cipher.nonce(index, self.count), &self.cipher.associated.0, &mut sealed);
        self.root.push(chunk_hash(&sealed));
        out(index, sealed);
    }
}

impl fmt::Debug for BodySealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodySealer").field("sealed", &self.root.chunks()).field("of", &self.count).finish()
    }
}

/// Room for one chunk and its tag, so that sealing in place never moves plaintext to another allocation.
fn empty_buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(CHUNK_SEALED))
}
