//! A backup: one file of bytes, sealed to a recipient whose private key lies elsewhere.
//!
//! | part | bytes |
//! |---|---|
//! | length of the head | `u32` |
//! | head | prefix `Z`, then [`BackupHead`] in canonical encoding, at most [`HEAD_MAX`] bytes |
//! | wrap | 1,168: encapsulation (1,120), then the sealed content key (32) and its tag |
//! | content | STREAM chunks of 64 KiB, each with its tag; the last may be shorter, down to none |
//!
//! HPKE and STREAM are those of an envelope ([`crate::wrap`], [`crate::body`]), under labels of their own. The head is read
//! without a key; its digest is the associated data of the wrap and of every chunk, and the salt of the payload key, so
//! that no part of one backup opens in another. The content key is random and seals one backup. What the content is, the
//! caller says. Nothing here is part of the wire: a backup goes from a data folder to its keeper.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::body::{ContentKey, NONCE_PREFIX_LEN, stream_nonce};
use crate::codec::{PREFIX_LEN, Prefix};
use crate::ids::{Digest, KeyId, LogName, LogOrigin, NetworkId, ParticipantId, UnixMillis};
use crate::keys::{Purpose, sha256};
use crate::limits::{CHUNK_PLAIN, CHUNK_SEALED, XWING_ENCAPSULATION};
use crate::symmetric::{AEAD_KEY_LEN, AEAD_TAG_LEN, Aead, hkdf_sha256};
use crate::wrap::{SealingKey, SealingPublicKey, WRAP_SEED_LEN, open_to, seal_to};

const PREFIX: Prefix = Prefix::new(b'Z', 1);
/// Longest head in bytes.
pub const HEAD_MAX: usize = 4 << 10;
/// Bytes of the wrap behind the head.
pub const WRAP_LEN: usize = XWING_ENCAPSULATION + 32 + AEAD_TAG_LEN;
/// Bytes of a sealed chunk; the last may be shorter.
pub const SEALED_LEN: usize = CHUNK_SEALED;

/// How far a log stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPoint {
    /// Which log, in which epoch.
    pub origin: LogOrigin,
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

/// What everybody may know of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHead {
    /// The network.
    pub network: NetworkId,
    /// Whose data folder.
    pub participant: ParticipantId,
    /// When, by the clock of that machine.
    pub created: UnixMillis,
    /// For whom it is sealed.
    pub recipient: KeyId,
    /// Events of the journal below this sequence are in it.
    pub next: u64,
    /// Each log at that place.
    pub logs: Vec<LogPoint>,
}

impl BackupHead {
    /// The point of a log.
    #[must_use]
    pub fn log(&self, log: LogName) -> Option<&LogPoint> {
        self.logs.iter().find(|point| point.origin.log == log)
    }
}

/// Why a backup does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BackupError {
    /// No backup, or one of another version.
    #[error("it is no backup of this version")]
    Form,
    /// Sealed for somebody else.
    #[error("it is sealed for the key {0}")]
    ForAnother(KeyId),
    /// Damaged, cut off or put together from several.
    #[error("it is damaged or cut off")]
    Sealed,
}

/// Whether more chunks follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Others follow.
    Within,
    /// The last one.
    Last,
}

/// Key, nonce prefix and associated data of one backup.
struct Chunks {
    aead: Aead,
    prefix: [u8; NONCE_PREFIX_LEN],
    head: Digest,
    next: u32,
}

impl Chunks {
    fn new(network: &NetworkId, head: Digest, cek: &ContentKey) -> Self {
        let info = Purpose::BackupKey.label(network);
        let derived = hkdf_sha256::<{ AEAD_KEY_LEN + NONCE_PREFIX_LEN }>(&head.0, cek.as_bytes(), &info);
        let (mut key, mut prefix) = (Zeroizing::new([0; AEAD_KEY_LEN]), [0; NONCE_PREFIX_LEN]);
        let (first, second) = derived.split_at(AEAD_KEY_LEN);
        key.copy_from_slice(first);
        prefix.copy_from_slice(second);
        Self { aead: Aead::new(&key), prefix, head, next: 0 }
    }

    /// The nonce of the next chunk: each number once, so no nonce is used twice under this key. `None` behind 2^32 chunks,
    /// 256 TiB.
    fn nonce(&mut self, place: Place) -> Option<[u8; 12]> {
        let number = self.next;
        self.next = number.checked_add(1)?;
        Some(stream_nonce(self.prefix, number, place == Place::Last))
    }
}

/// Seals a backup, chunk by chunk.
pub struct BackupSealer {
    chunks: Chunks,
    buffer: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for BackupSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupSealer").field("chunks", &self.chunks.next).finish_non_exhaustive()
    }
}

impl BackupSealer {
    /// Begins a backup for `recipient`, whom `head` names. Returns what stands before the first chunk. Content key and seed
    /// are fresh randomness, used for nothing else.
    ///
    /// # Errors
    /// [`BackupError::Form`] if the head is longer than [`HEAD_MAX`]; [`BackupError::ForAnother`] if it names another
    /// recipient.
    pub fn begin(
        head: &BackupHead,
        recipient: &SealingPublicKey,
        cek: &ContentKey,
        seed: &[u8; WRAP_SEED_LEN],
    ) -> Result<(Self, Vec<u8>), BackupError> {
        if recipient.id() != head.recipient {
            return Err(BackupError::ForAnother(head.recipient));
        }
        let bytes = PREFIX.encode(head);
        let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= HEAD_MAX).ok_or(BackupError::Form)?;
        let digest = sha256(&bytes);
        let wrap = seal_to(recipient, &Purpose::BackupWrap.label(&head.network), &digest, cek.as_bytes(), seed);
        let mut begin = length.to_le_bytes().to_vec();
        begin.extend_from_slice(&bytes);
        begin.extend_from_slice(&wrap);
        Ok((Self { chunks: Chunks::new(&head.network, digest, cek), buffer: empty() }, begin))
    }

    /// Takes the next piece of content; sealed chunks are appended to `out`.
    ///
    /// # Errors
    /// [`BackupError::Form`] behind 256 TiB.
    pub fn update(&mut self, mut plain: &[u8], out: &mut Vec<u8>) -> Result<(), BackupError> {
        while !plain.is_empty() {
            // A full chunk waits for what follows it: it may be the last.
            if self.buffer.len() == CHUNK_PLAIN {
                self.seal(Place::Within, out)?;
            }
            let (piece, rest) = plain.split_at(plain.len().min(CHUNK_PLAIN - self.buffer.len()));
            self.buffer.extend_from_slice(piece);
            plain = rest;
        }
        Ok(())
    }

    /// Seals the last chunk.
    ///
    /// # Errors
    /// [`BackupError::Form`] behind 256 TiB.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BackupError> {
        self.seal(Place::Last, out)
    }

    fn seal(&mut self, place: Place, out: &mut Vec<u8>) -> Result<(), BackupError> {
        let nonce = self.chunks.nonce(place).ok_or(BackupError::Form)?;
        let mut sealed = core::mem::take(&mut *self.buffer);
        self.buffer = empty();
        self.chunks.aead.seal(nonce, &self.chunks.head.0, &mut sealed);
        out.extend_from_slice(&sealed);
        Ok(())
    }
}

/// Room for one chunk and its tag: sealing in place moves no plaintext.
fn empty() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(CHUNK_SEALED))
}

/// How many bytes the head takes, its length excluded, from the first four bytes of a file.
///
/// # Errors
/// [`BackupError::Form`].
pub fn head_len(length: [u8; 4]) -> Result<usize, BackupError> {
    let length = u32::from_le_bytes(length) as usize;
    if (PREFIX_LEN..=HEAD_MAX).contains(&length) { Ok(length) } else { Err(BackupError::Form) }
}

/// Reads a head. Without the recipient's key nothing in it is proved.
///
/// # Errors
/// [`BackupError::Form`].
pub fn read_head(bytes: &[u8]) -> Result<BackupHead, BackupError> {
    PREFIX.decode(bytes, HEAD_MAX).map_err(|_| BackupError::Form)
}

/// Opens a backup, chunk by chunk.
pub struct BackupOpener(Chunks);

impl fmt::Debug for BackupOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupOpener").field("chunks", &self.0.next).finish_non_exhaustive()
    }
}

impl BackupOpener {
    /// Begins with the bytes of the head and of the wrap. Once it is there, head and wrap are proved to belong together.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn begin(head: &[u8], wrap: &[u8], key: &SealingKey) -> Result<Self, BackupError> {
        let named = read_head(head)?;
        if named.recipient != key.public().id() {
            return Err(BackupError::ForAnother(named.recipient));
        }
        let digest = sha256(head);
        let opened = open_to(key, &Purpose::BackupWrap.label(&named.network), &digest, wrap);
        let cek = opened.as_ref().and_then(|cek| cek.as_slice().try_into().ok().map(Zeroizing::new));
        let cek = ContentKey::from_bytes(&*cek.ok_or(BackupError::Sealed)?);
        Ok(Self(Chunks::new(&named.network, digest, &cek)))
    }

    /// Opens the next chunk in place.
    ///
    /// # Errors
    /// [`BackupError::Sealed`]; nothing of the chunk may be used then, and nothing that follows opens.
    pub fn open(&mut self, chunk: &mut Vec<u8>, place: Place) -> Result<(), BackupError> {
        let nonce = self.0.nonce(place).ok_or(BackupError::Sealed)?;
        self.0.aead.open(nonce, &self.0.head.0, chunk).map_err(|_| BackupError::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    const CEK: [u8; 32] = [5; 32];

    fn key() -> SealingKey {
        SealingKey::from_seed(&[3; 32])
    }

    fn head() -> BackupHead {
        let network = NetworkId(Digest([7; 32]));
        let participant = "XA".parse().unwrap();
        let origin = LogOrigin { network, participant, log: LogName::Node, epoch: Epoch(1) };
        BackupHead {
            network,
            participant,
            created: UnixMillis(1_795_348_930_000),
            recipient: key().public().id(),
            next: 12,
            logs: vec![LogPoint { origin, size: 12, root: Digest([9; 32]) }],
        }
    }

    fn seal(plain: &[u8]) -> Vec<u8> {
        let cek = ContentKey::from_bytes(&CEK);
        let (mut sealer, mut file) = BackupSealer::begin(&head(), &key().public(), &cek, &[1; WRAP_SEED_LEN]).unwrap();
        for piece in plain.chunks(50_000) {
            sealer.update(piece, &mut file).unwrap();
        }
        sealer.finish(&mut file).unwrap();
        file
    }

    fn open(file: &[u8], key: &SealingKey) -> Result<Vec<u8>, BackupError> {
        let (length, rest) = file.split_first_chunk::<4>().ok_or(BackupError::Form)?;
        let (head, rest) = rest.split_at_checked(head_len(*length)?).ok_or(BackupError::Form)?;
        let (wrap, mut rest) = rest.split_at_checked(WRAP_LEN).ok_or(BackupError::Form)?;
        let mut opener = BackupOpener::begin(head, wrap, key)?;
        let mut plain = Vec::new();
        loop {
            let (chunk, behind) = rest.split_at(rest.len().min(SEALED_LEN));
            let mut chunk = chunk.to_vec();
            let place = if behind.is_empty() { Place::Last } else { Place::Within };
            opener.open(&mut chunk, place)?;
            plain.extend_from_slice(&chunk);
            rest = behind;
            if place == Place::Last {
                return Ok(plain);
            }
        }
    }

    #[test]
    fn what_was_sealed_opens_at_every_length() {
        for length in [0, 1, CHUNK_PLAIN - 1, CHUNK_PLAIN, CHUNK_PLAIN + 1, 3 * CHUNK_PLAIN, 200_001] {
            let plain: Vec<u8> = (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect();
            assert_eq!(open(&seal(&plain), &key()).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn no_chunk_moves_and_none_is_left_out() {
        let plain = vec![1; 3 * CHUNK_PLAIN];
        let file = seal(&plain);
        let begin = file.len() - 3 * SEALED_LEN;
        let chunk = |number: usize| file.get(begin + number * SEALED_LEN..begin + (number + 1) * SEALED_LEN).unwrap();
        let of = |numbers: &[usize]| {
            let mut bytes = file.get(..begin).unwrap().to_vec();
            numbers.iter().for_each(|number| bytes.extend_from_slice(chunk(*number)));
            open(&bytes, &key())
        };
        assert_eq!(of(&[0, 1, 2]).unwrap(), plain);
        for wrong in [&[0, 1][..], &[1, 0, 2], &[0, 2], &[0, 1, 1], &[0, 1, 2, 2], &[]] {
            assert_eq!(of(wrong), Err(BackupError::Sealed), "{wrong:?}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed_and_so_is_another_key() {
        let file = seal(b"content");
        for place in 0..file.len() {
            let mut bad = file.clone();
            bad[place] ^= 1;
            assert!(open(&bad, &key()).is_err(), "byte {place}");
        }
        let other = SealingKey::from_seed(&[4; 32]);
        assert_eq!(open(&file, &other), Err(BackupError::ForAnother(key().public().id())));
        let cek = ContentKey::from_bytes(&CEK);
        let refused = BackupSealer::begin(&head(), &other.public(), &cek, &[1; WRAP_SEED_LEN]);
        assert_eq!(refused.map(|_| ()), Err(BackupError::ForAnother(key().public().id())));
    }

    #[test]
    fn the_head_is_read_without_a_key() {
        let file = seal(b"content");
        let (length, rest) = file.split_first_chunk::<4>().unwrap();
        assert_eq!(read_head(rest.get(..head_len(*length).unwrap()).unwrap()), Ok(head()));
        assert_eq!(head_len(u32::MAX.to_le_bytes()), Err(BackupError::Form));
    }
}
