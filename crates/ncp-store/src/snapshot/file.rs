//! Layout of a snapshot, integers little-endian:
//!
//! ```text
//!   8  prefix 'NCP' 'I', version 1
//!   4  length of the summary
//!   n  summary, in the canonical encoding
//!   each row, keys ascending: 1 length of the key, 2 length of the value, key, value
//!   1  zero: no key is that long, the rows end
//!  32  SHA-256 of everything above
//! ```
//!
//! The rows must add up to the summary's tally. Every length is checked before anything is read or stored; memory is one
//! buffer and one row.

use std::io;

use ncp_protocol::codec::{self, PREFIX_LEN, Prefix};
use ncp_protocol::keys::Sha256Hasher;
use thiserror::Error;

use super::Summary;
use crate::disk::DiskFile;
use crate::index::Tally;
use crate::limits::{SNAPSHOT_SUMMARY_MAX, SNAPSHOT_SYNC_BYTES};
use crate::state::{KEY_MAX, ROW_MAX, Unreadable};

const PREFIX: Prefix = Prefix::new(b'I', 1);
const DIGEST_LEN: usize = 32;
const BUFFER: usize = 256 << 10;

const _: () = assert!(KEY_MAX <= u8::MAX as usize && ROW_MAX <= u16::MAX as usize, "lengths of a row fit");

/// Why a snapshot was not read to its end.
#[derive(Debug, Error)]
pub(crate) enum LoadError {
    /// The disk failed.
    #[error("the snapshot cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// Whoever takes the rows failed.
    #[error(transparent)]
    Taker(#[from] Unreadable),
}

/// Writes a file from its front, hashing what it writes.
pub(super) struct Writer<'a, F> {
    file: &'a F,
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
    hasher: Sha256Hasher,
}

impl<'a, F: DiskFile> Writer<'a, F> {
    pub(super) fn new(file: &'a F) -> Self {
        Self { file, buffer: Vec::new(), written: 0, synced: 0, hasher: Sha256Hasher::default() }
    }

    pub(super) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let bytes = codec::encode(summary);
        assert!(bytes.len() <= SNAPSHOT_SUMMARY_MAX, "a summary is bounded by its logs");
        self.put(&PREFIX.to_bytes())?;
        self.put(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        self.put(&bytes)
    }

    pub(super) fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.put(&row_head(key, value))?;
        self.put(key)?;
        self.put(value)
    }

    /// Ends the rows. What was written is not synced.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.put(&[0])?;
        self.flush()?;
        let digest = core::mem::take(&mut self.hasher).finish();
        self.put(&digest.0)?;
        self.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.written)?;
        self.hasher.update(&self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SNAPSHOT_SYNC_BYTES {
            // Little at a time: a journal that syncs beside it must not wait for all of it.
            self.file.sync_data()?;
            self.synced = self.written;
        }
        Ok(())
    }
}

/// Lengths of key and value.
///
/// # Panics
/// If the row breaks the limits of the index, which lets none in.
fn row_head(key: &[u8], value: &[u8]) -> [u8; 3] {
    assert!((1..=KEY_MAX).contains(&key.len()) && value.len() <= ROW_MAX, "a row breaks its limits");
    let [low, high] = u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes();
    [u8::try_from(key.len()).unwrap_or(u8::MAX), low, high]
}

/// Rows as the copier leaves them, before their summary is known.
pub(super) fn encode_row(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(&row_head(key, value));
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

/// What [`load`] calls for each row, with key and value, in key order.
pub(crate) type TakeRow<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), LoadError> + 'a;

/// Reads the snapshot of sequence `applied` and calls `take` for each row. What was taken counts only if this returns
/// without error: the hash stands at the end.
pub(crate) fn load(file: &impl DiskFile, applied: u64, take: &mut TakeRow<'_>) -> Result<Summary, LoadError> {
    let mut input = Input::new(file);
    if input.take(PREFIX_LEN)? != PREFIX.to_bytes() {
        return Err(LoadError::Damaged("it does not begin as one"));
    }
    let len = u32::from_le_bytes(input.array()?) as usize;
    if len > SNAPSHOT_SUMMARY_MAX {
        return Err(LoadError::Damaged("its summary is too long"));
    }
    let summary = codec::decode::<Summary>(input.take(len)?, SNAPSHOT_SUMMARY_MAX);
    let summary = summary.map_err(|_| LoadError::Damaged("its summary is malformed"))?;
    let mut tally = Tally::default();
    rows(&mut input, &mut |key, value| {
        tally.add(key, value);
        take(key, value)
    })?;
    let digest = input.digest();
    if input.take(DIGEST_LEN)? != digest.0 {
        return Err(LoadError::Damaged("its hash is another"));
    }
    if !input.at_end()? || tally != summary.tally || summary.applied != applied {
        return Err(LoadError::Damaged("its rows are not those of its summary"));
    }
    Ok(summary)
}

/// Reads the rows that a copier left in a file of their own.
pub(super) fn copied(file: &impl DiskFile, take: &mut TakeRow<'_>) -> Result<(), LoadError> {
    rows(&mut Input::new(file), take)
}

fn rows<F: DiskFile>(input: &mut Input<'_, F>, take: &mut TakeRow<'_>) -> Result<(), LoadError> {
    let mut last = Vec::new();
    loop {
        let [len] = input.array()?;
        if len == 0 {
            return Ok(());
        }
        let value_len = u16::from_le_bytes(input.array()?) as usize;
        let key_len = usize::from(len);
        if key_len > KEY_MAX || value_len > ROW_MAX {
            return Err(LoadError::Damaged("a row is too long"));
        }
        let row = input.take(key_len + value_len)?;
        let (key, value) = row.split_at_checked(key_len).ok_or(LoadError::Damaged("a row is cut off"))?;
        if key <= last.as_slice() || key.first() == Some(&0) {
            return Err(LoadError::Damaged("its rows are not in order"));
        }
        take(key, value)?;
        last.clear();
        last.extend_from_slice(key);
    }
}

/// Reads a file from its front, hashing what it reads.
struct Input<'a, F> {
    file: &'a F,
    // Read and not taken yet: from `taken` on.
    buffer: Vec<u8>,
    taken: usize,
    read: u64,
    hasher: Sha256Hasher,
}

impl<'a, F: DiskFile> Input<'a, F> {
    fn new(file: &'a F) -> Self {
        Self { file, buffer: Vec::new(), taken: 0, read: 0, hasher: Sha256Hasher::default() }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let bytes = self.take(N)?;
        bytes.first_chunk().copied().ok_or(LoadError::Damaged("it is cut off"))
    }

    /// The next `len` bytes.
    fn take(&mut self, len: usize) -> Result<&[u8], LoadError> {
        if self.buffer.len() - self.taken < len {
            self.fill(len)?;
        }
        let from = self.taken;
        self.taken += len;
        self.buffer.get(from..self.taken).ok_or(LoadError::Damaged("it is cut off"))
    }

    /// Digest of everything taken so far.
    fn digest(&mut self) -> ncp_protocol::ids::Digest {
        self.forget();
        core::mem::take(&mut self.hasher).finish()
    }

    fn at_end(&mut self) -> Result<bool, LoadError> {
        Ok(self.buffer.len() == self.taken && self.file.len()? == self.read)
    }

    fn forget(&mut self) {
        self.hasher.update(self.buffer.get(..self.taken).unwrap_or_default());
        self.buffer.drain(..self.taken);
        self.taken = 0;
    }

    fn fill(&mut self, len: usize) -> Result<(), LoadError> {
        self.forget();
        let had = self.buffer.len();
        self.buffer.resize(len.max(BUFFER), 0);
        let read = self.file.read_at(self.buffer.get_mut(had..).unwrap_or_default(), self.read)?;
        self.read += read as u64;
        self.buffer.truncate(had + read);
        if self.buffer.len() < len { Err(LoadError::Damaged("it is cut off")) } else { Ok(()) }
    }
}
