//! The index: a disposable projection of the journal, written behind it.
//!
//! Nothing acknowledged rests on an index. At start it is trusted only if its [`Trust`] row agrees with the journal *and*
//! with the sum over a full scan; otherwise, or on any error, it is set aside and built anew. One writer, one
//! transaction per group; readers need no lock. A row's key begins with its table's number; table 0 holds the trust row
//! alone, tables below [`FIRST_CORE_TABLE`](crate::state::FIRST_CORE_TABLE) are the store's own.

use core::ops::ControlFlow;

use ncp_protocol::codec;
use ncp_protocol::ids::{Digest, LogName};
use ncp_protocol::keys::Sha256Hasher;
use serde::{Deserialize, Serialize};

use crate::state::{ROW_MAX, Unreadable, View};

mod memory;
mod redb;

pub use memory::{MemoryIndex, MemoryPlace};
pub use redb::{RedbIndex, RedbPlace};

/// Key of the trust row: table 0.
pub(crate) const TRUST_KEY: &[u8] = &[0];

/// Key after every row of an index: no table has this number.
pub(crate) const KEYS_END: &[u8] = &[u8::MAX];

/// A key and what is written under it: `None` removes.
pub type Write<'a> = (&'a [u8], Option<&'a [u8]>);

/// Writes in key order, borrowed from whoever keeps them, each key once.
#[derive(Debug)]
pub struct Writes<'a>(Vec<Write<'a>>);

impl<'a> Writes<'a> {
    /// The writes, in key order.
    pub fn iter(&self) -> impl Iterator<Item = Write<'a>> {
        self.0.iter().copied()
    }

    /// The writes with `from <= key < to`, in key order.
    pub(crate) fn range(&self, from: &[u8], to: &[u8]) -> &[Write<'a>] {
        let below = |end: &[u8]| self.0.partition_point(|(key, _)| *key < end);
        self.0.get(below(from)..below(to)).unwrap_or_default()
    }
}

impl<'a> FromIterator<Write<'a>> for Writes<'a> {
    /// Of the writes to one key the last stands.
    fn from_iter<W: IntoIterator<Item = Write<'a>>>(writes: W) -> Self {
        let mut writes: Vec<Write<'a>> = writes.into_iter().collect();
        sort_last_stands(&mut writes, |(key, _)| key);
        Self(writes)
    }
}

/// Sorts by key and keeps of each key the last.
pub(crate) fn sort_last_stands<'a, T: Copy>(writes: &mut Vec<T>, key: impl Fn(&T) -> &'a [u8]) {
    // Stable, and fast where long stretches are in order.
    writes.sort_by(|one, other| key(one).cmp(key(other)));
    writes.dedup_by(|later, kept| {
        let same = key(later) == key(kept);
        if same {
            *kept = *later;
        }
        same
    });
}

/// Something that keeps rows. Reads come through [`View`] and see each transaction wholly or, for a scan that runs beside
/// it, in part: the overlay above hides what is being written.
pub trait Index: View + Sized + Send + Sync + 'static {
    /// Where such an index lives.
    type Place: Clone + Send + Sync + 'static;

    /// Opens the index, an empty one if there is none.
    ///
    /// # Errors
    /// [`Unreadable`] if what is there is not an index that can be read.
    fn open(place: &Self::Place) -> Result<Self, Unreadable>;

    /// Moves what is there out of the way, so that the next [`open`](Self::open) begins with nothing.
    ///
    /// # Errors
    /// [`Unreadable`] if it cannot be moved.
    fn set_aside(place: &Self::Place) -> Result<(), Unreadable>;

    /// Makes room: removes what was set aside; says whether there was anything.
    ///
    /// # Errors
    /// [`Unreadable`] if it cannot be removed.
    fn drop_aside(place: &Self::Place) -> Result<bool, Unreadable>;

    /// Writes all of `writes` or nothing, in one transaction; `trust` counts them and is written with them.
    ///
    /// # Errors
    /// [`Unreadable`] if the index failed: it is not to be used again.
    fn write(&self, writes: &Writes<'_>, trust: Option<&mut Trust>) -> Result<(), Unreadable>;

    /// Brings what was written to the disk. What is written after it a crash may take: the next start replays that.
    ///
    /// # Errors
    /// [`Unreadable`] if the index failed: it is not to be used again.
    fn persist(&self) -> Result<(), Unreadable>;

    /// Bytes on disk, 0 if that means nothing here.
    fn size_on_disk(&self) -> u64;
}

/// Size and root of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Which log.
    pub log: LogName,
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree of these leaves.
    pub root: Digest,
}

/// The row by which an index is trusted, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// All events below this sequence are applied.
    pub applied: u64,
    /// The logs as of that sequence, by name.
    pub heads: Vec<LogHead>,
    /// Version of the row layout: the store's and the core's.
    pub schema: (u32, u32),
    /// Number and sum of all other rows.
    pub tally: Tally,
}

impl Trust {
    /// The row of an empty index.
    #[must_use]
    pub fn empty(schema: (u32, u32)) -> Self {
        Self { applied: 0, heads: Vec::new(), schema, tally: Tally::default() }
    }

    /// The row of `view`, `None` if it has none.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell or the row is malformed.
    pub fn read(view: &(impl View + ?Sized)) -> Result<Option<Self>, Unreadable> {
        let decode =
            |bytes: Vec<u8>| codec::decode(&bytes, ROW_MAX).map_err(|e| Unreadable::Damaged(format!("trust row: {e}")));
        view.row(TRUST_KEY)?.map(decode).transpose()
    }

    /// The row's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

/// Number of rows, their bytes, and the sum modulo 2^128 of their hashes: it does not depend on the order in which rows
/// came and went. A guard against rot and lost writes, not against an enemy who writes to the index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of rows.
    pub rows: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Sum of the rows' hashes, little-endian.
    sum: [u8; 16],
}

impl Tally {
    /// Counts a row in.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes += row_bytes(key, value);
        self.sum = u128::from_le_bytes(self.sum).wrapping_add(row_hash(key, value)).to_le_bytes();
    }

    /// Counts a row out that was counted in.
    pub fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.rows -= 1;
        self.bytes -= row_bytes(key, value);
        self.sum = u128::from_le_bytes(self.sum).wrapping_sub(row_hash(key, value)).to_le_bytes();
    }

    /// Counts every row of `view` but the trust row.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell.
    pub fn scan(view: &(impl View + ?Sized)) -> Result<Self, Unreadable> {
        let mut tally = Self::default();
        view.scan(&[1], KEYS_END, &mut |key, value| {
            tally.add(key, value);
            ControlFlow::Continue(())
        })?;
        Ok(tally)
    }

    /// Counts one write: what stood under the key before it, and what does after it.
    pub fn replace(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if let Some(old) = old {
            self.subtract(key, old);
        }
        if let Some(new) = new {
            self.add(key, new);
        }
    }
}

fn row_bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

fn row_hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = Sha256Hasher::default();
    for part in [key, value] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let Some((half, _)) = hasher.finish().0.split_first_chunk().map(|(half, rest)| (*half, rest.len())) else {
        unreachable!("32 bytes begin with 16");
    };
    u128::from_le_bytes(half)
}

#[cfg(test)]
mod tests;
