//! Snapshots of the index: what bounds a rebuild.
//!
//! A snapshot is a file `snapshots/<applied sequence>.snap` with all rows of the index as of a group of the journal, sorted,
//! under one hash, behind a [`Summary`] of what it stands on; its layout is in `snapshot/file.rs`. It is copied from the
//! index after segments of the journal were closed (`snapshot/take.rs`), beside the committer and off the reply path, and
//! only if its rows add up to what the trust row says. The newest two are kept; an older one is removed only once the newer
//! is on the disk under its name. Rows hold nothing in the clear that the index does not: sealed values stay sealed.
//!
//! Nothing rests on a snapshot alone. A start uses one if it needs it: when the index is missing or untrusted, or when the
//! journal is damaged below it. Then its hash must hold, and its place, tree sizes, roots and checkpoints must be those of
//! the journal at that sequence. One that fails is moved to `corrupt/`, and the older one, or the whole journal, serves. One
//! of another row layout is of no use and stays until newer ones replace it.
//!
//! The right edge of each log's tree is part of the summary. With it every leaf behind the snapshot can be proved, and the
//! tree be grown, whatever became of the journal and the level files below: no proof for a later leaf needs an older node
//! that is not on that edge.
//!
//! A disk that is full costs the snapshot, not the service; any other failure of the disk is fatal, as everywhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::codec;
use ncp_protocol::ids::{Digest, KeyId, LogName, LogOrigin};
use ncp_protocol::keys::{VerifyingKey, sha256};
use ncp_protocol::merkle::{Frontier, Nodes};
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, OpenMode, exists, move_aside, remove_unfinished};
use crate::index::{LogHead, Tally};
use crate::journal::{Group, JournalError, JournalReader, LogNote};

mod file;
mod take;

pub(crate) use file::{LoadError, load};
pub use take::Taken;
pub(crate) use take::Taker;

/// The folder of snapshots.
pub const FOLDER: &str = "snapshots";

/// What a snapshot stands on. It stands at its head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The events below this sequence are applied.
    pub applied: u64,
    /// Version of the row layout: the store's and the core's.
    pub schema: (u32, u32),
    /// Number and sum of the rows.
    pub tally: Tally,
    /// Each log as of that sequence, by name.
    pub logs: Vec<LogEdge>,
    /// Digest of the group that ends at that sequence, which names the checkpoints of the group before it.
    pub group: Digest,
    /// The signed checkpoints of that group.
    pub notes: Vec<LogNote>,
}

/// A log at a snapshot: whose it is, and the right edge of its tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEdge {
    /// Name and epoch.
    pub origin: LogOrigin,
    /// The key that signs its checkpoints.
    pub key: KeyId,
    /// Number of leaves.
    pub size: u64,
    /// The maximal complete subtrees, largest first: level, index, hash.
    pub subtrees: Vec<(u8, u64, Digest)>,
}

impl LogEdge {
    /// The edge of a tree of `size` leaves, whose nodes are `nodes`.
    ///
    /// # Errors
    /// Whatever keeps a hash from being read.
    pub(crate) fn read<N: Nodes>(origin: LogOrigin, key: KeyId, size: u64, nodes: &N) -> Result<Self, N::Error> {
        let levels = (0..64u8).rev().filter(|level| size >> level & 1 == 1);
        let subtree = |level: u8| {
            let index = (size >> level) - 1;
            nodes.node(level, index).map(|hash| (level, index, hash))
        };
        Ok(Self { origin, key, size, subtrees: levels.map(subtree).collect::<Result<_, _>>()? })
    }

    /// What appending to the log needs; `None` if the subtrees are not those of its size.
    #[must_use]
    pub fn frontier(&self) -> Option<Frontier> {
        let edge = Edge(self.subtrees.iter().map(|(level, index, hash)| ((*level, *index), *hash)).collect());
        let frontier = Frontier::from_nodes(&edge, self.size).ok()?;
        (self.subtrees.len() == self.size.count_ones() as usize).then_some(frontier)
    }

    /// Size and root; `None` if the subtrees are not those of its size.
    #[must_use]
    pub fn head(&self) -> Option<LogHead> {
        Some(LogHead { log: self.origin.log, size: self.size, root: self.frontier()?.root() })
    }
}

struct Edge(BTreeMap<(u8, u64), Digest>);

struct Absent;

impl Nodes for Edge {
    type Error = Absent;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Absent> {
        self.0.get(&(level, index)).copied().ok_or(Absent)
    }
}

impl Summary {
    /// Size and root of each log; `None` if an edge is malformed.
    #[must_use]
    pub fn heads(&self) -> Option<Vec<LogHead>> {
        self.logs.iter().map(LogEdge::head).collect()
    }

    /// The edge of a log.
    #[must_use]
    pub fn edge(&self, log: LogName) -> Option<&LogEdge> {
        self.logs.iter().find(|edge| edge.origin.log == log)
    }

    /// Why this is no snapshot of the journal that ends at `next`, whose logs are `logs`; `None` if it is one.
    ///
    /// Looks at the group before it and the group behind it: one of them can be read unless the journal is damaged, and each
    /// names logs and checkpoints at that place.
    pub(crate) fn disagrees<D: Disk>(
        &self,
        journal: &JournalReader<D>,
        logs: &[(LogOrigin, VerifyingKey)],
        next: u64,
    ) -> Result<Option<&'static str>, JournalError> {
        let Some(heads) = self.heads() else { return Ok(Some("its trees are malformed")) };
        if self.applied > next {
            return Ok(Some("it is ahead of the journal"));
        }
        if !self.logs.iter().map(|edge| (edge.origin, edge.key)).eq(logs.iter().map(|(o, key)| (*o, key.id()))) {
            return Ok(Some("it is of other logs"));
        }
        if !self.notes.iter().all(|note| is_checkpoint(note, logs, &heads)) {
            return Ok(Some("its checkpoints are not those of its logs"));
        }
        let before = self.applied.checked_sub(1).map(|last| seen(journal, last, next)).transpose()?.flatten();
        if before.is_some_and(|group| group.place.next() != self.applied || digest(&group) != self.group) {
            return Ok(Some("the journal holds another group before it"));
        }
        if self.applied == next {
            return Ok(None);
        }
        let Some(behind) = seen(journal, self.applied, next)? else { return Ok(None) };
        let manifest = crate::tables::Manifest::decode(&behind.manifest).ok();
        if behind.place.first != self.applied
            || behind.previous != self.notes
            || manifest.is_none_or(|manifest| manifest.heads != heads)
        {
            return Ok(Some("the journal goes on from other logs"));
        }
        Ok(None)
    }
}

/// The group that holds a sequence, `None` if it is damaged.
fn seen<D: Disk>(journal: &JournalReader<D>, sequence: u64, next: u64) -> Result<Option<Group>, JournalError> {
    match journal.groups(sequence, next).next().transpose() {
        Err(JournalError::Damaged(_) | JournalError::Missing(_)) => Ok(None),
        read => read,
    }
}

fn is_checkpoint(note: &LogNote, logs: &[(LogOrigin, VerifyingKey)], heads: &[LogHead]) -> bool {
    let Some((origin, key)) = logs.iter().find(|(origin, _)| origin.log == note.log) else { return false };
    let Ok(signed) = SignedCheckpoint::open(&note.note, origin, key) else { return false };
    let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
    heads.contains(&LogHead { log: note.log, size, root })
}

/// Digest of a group: of all that it says, not of where it lies.
pub(crate) fn digest(group: &Group) -> Digest {
    sha256(&codec::encode(&(group.place.first, &group.previous, &group.manifest, &group.events)))
}

/// Sequences of the snapshots in a data folder, ascending. Other names in the folder are none of theirs.
///
/// # Errors
/// As the disk has it.
pub fn list<D: Disk>(disk: &D) -> io::Result<Vec<u64>> {
    let folder = Path::new(FOLDER);
    if !exists(disk, folder)? {
        return Ok(Vec::new());
    }
    let parse = |name: &String| {
        let applied = u64::from_str_radix(name.strip_suffix(".snap")?, 16).ok()?;
        (file_name(applied) == *name).then_some(applied)
    };
    Ok(disk.list(folder)?.iter().filter_map(parse).collect())
}

/// Reads the snapshot of a sequence through, its hash and its rows.
///
/// # Errors
/// [`LoadError`].
pub(crate) fn verify<D: Disk>(disk: &D, applied: u64) -> Result<Summary, LoadError> {
    load(&disk.open(&path(applied), OpenMode::Read)?, applied, &mut |_, _| Ok(()))
}

/// Moves a snapshot that is not good to `corrupt/`.
///
/// # Errors
/// As for [`move_aside`].
pub(crate) fn reject<D: Disk>(disk: &D, applied: u64) -> io::Result<()> {
    move_aside(disk, &path(applied), &format!("snapshot-{applied:016x}")).map(drop)
}

/// Removes what a snapshot that was not finished left behind.
///
/// # Errors
/// As the disk has it.
pub(crate) fn clean<D: Disk>(disk: &D) -> io::Result<()> {
    let folder = Path::new(FOLDER);
    if exists(disk, folder)? { remove_unfinished(disk, folder) } else { Ok(()) }
}

fn file_name(applied: u64) -> String {
    format!("{applied:016x}.snap")
}

pub(crate) fn path(applied: u64) -> PathBuf {
    Path::new(FOLDER).join(file_name(applied))
}

#[cfg(test)]
mod tests;
