//! Taking a snapshot, beside the committer.
//!
//! The copier reads the index in key order, a stretch at a time; between two stretches the index takes groups. What these
//! write behind the copier is kept in memory and merged in at the end, so that the snapshot is the index as of one group.
//! Memory: a stretch, two buffers, and `SNAPSHOT_LATE_BYTES_MAX` of late writes. If more was written meanwhile, or the
//! disk has no room, this snapshot is given up and the next closed segment tries again.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ncp_protocol::ids::{KeyId, LogOrigin};

use super::file::{LoadError, Writer, copied, encode_row};
use super::{FOLDER, LogEdge, Summary, clean, digest, file_name, list, path};
use crate::disk::{Disk, DiskFile, OpenMode, create_afresh, exists, is_full};
use crate::engine::Fatal;
use crate::index::{Index, Tally, Trust};
use crate::journal::{self, JournalReader, LogNote};
use crate::levels::Levels;
use crate::limits::{
    SNAPSHOT_SEGMENTS_MIN, SNAPSHOT_SHARE, SNAPSHOT_SPARE_BYTES, SNAPSHOT_STRETCH_BYTES, SNAPSHOTS_KEPT,
};
use crate::overlay::{Copied, Late, Projection};
use crate::state::Unreadable;
use crate::tables;

/// Rows as copied, before they are merged.
const ROWS: &str = "rows.new";
/// The snapshot before it is whole.
const UNFINISHED: &str = "snapshot.new";

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It stands: all events below this sequence.
    New(u64),
    /// Nothing was applied since the newest one.
    Nothing,
    /// The disk has no room for it.
    NoRoom,
    /// The index changed faster than it was copied.
    Overtaken,
    /// The daemon stops.
    Stopped,
    /// The level files do not lead to the roots of the logs. The next start mends them.
    LevelsDamaged,
}

/// Takes snapshots of one store.
pub(crate) struct Taker<D: Disk, I> {
    pub(crate) disk: D,
    pub(crate) levels: Levels<D>,
    pub(crate) projection: Arc<Projection<I>>,
    /// The daemon's logs, by name.
    pub(crate) logs: Vec<(LogOrigin, KeyId)>,
    /// Length of the journal's segments.
    pub(crate) segment_len: u32,
}

impl<D: Disk, I> Clone for Taker<D, I> {
    fn clone(&self) -> Self {
        let Self { disk, levels, projection, logs, segment_len } = self;
        let (projection, segment_len) = (Arc::clone(projection), *segment_len);
        Self { disk: disk.clone(), levels: levels.clone(), projection, logs: logs.clone(), segment_len }
    }
}

/// Why a snapshot was given up.
enum TakeError {
    /// The store stops.
    Fatal(Fatal),
    /// It goes on without this snapshot.
    GivenUp(Taken),
}

impl TakeError {
    fn disk(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| {
            if is_full(&cause) { Self::GivenUp(Taken::NoRoom) } else { Self::Fatal(Fatal::disk(doing, cause)) }
        }
    }
}

impl From<Unreadable> for TakeError {
    fn from(error: Unreadable) -> Self {
        Self::Fatal(error.into())
    }
}

impl<D: Disk, I: Index> Taker<D, I> {
    /// Whether enough of the journal was closed since the newest snapshot.
    pub(crate) fn is_due(&self) -> Result<bool, Fatal> {
        self.count_closed().map_err(|error| Fatal::disk("looking for snapshots", error))
    }

    fn count_closed(&self) -> io::Result<bool> {
        let newest = list(&self.disk)?.last().copied();
        let len = newest.map_or(Ok(0), |newest| self.disk.open(&path(newest), OpenMode::Read)?.len())?;
        let from = newest.unwrap_or(0);
        let closed = journal::segments(&self.disk)?.into_iter().filter(|first| *first > from).count() as u64;
        let due = SNAPSHOT_SEGMENTS_MIN.max(len / SNAPSHOT_SHARE / u64::from(self.segment_len));
        Ok(closed >= due && self.projection.trust().applied > from)
    }

    /// Takes a snapshot of what the index holds. After each stretch `go_on` is called, which may rest; the snapshot is given
    /// up if it says no.
    ///
    /// Order: folder, synced; rows to `rows.new`; the snapshot to `snapshot.new`, synced; renamed; the folder synced; older
    /// ones unlinked. A crash leaves a `.new`, which is never read and which the next start removes, or the snapshot under
    /// its name, whole; and perhaps an older one that the next snapshot removes.
    ///
    /// # Errors
    /// [`Fatal`]: the disk failed, or the rows of the index do not add up.
    pub(crate) fn take(&self, go_on: &dyn Fn() -> bool) -> Result<Taken, Fatal> {
        let taken = self.try_take(go_on);
        self.projection.end_copy();
        match taken {
            Ok(taken) => Ok(taken),
            Err(TakeError::Fatal(error)) => Err(error),
            Err(TakeError::GivenUp(why)) => {
                tracing::warn!(?why, "no snapshot of the index was taken; the next closed segment tries again");
                clean(&self.disk).map_err(|error| Fatal::disk("removing a snapshot", error))?;
                Ok(why)
            }
        }
    }

    fn try_take(&self, go_on: &dyn Fn() -> bool) -> Result<Taken, TakeError> {
        let before = self.projection.trust();
        let newest = list(&self.disk).map_err(TakeError::disk("looking for snapshots"))?.last().copied();
        if before.applied <= newest.unwrap_or(0) {
            return Ok(Taken::Nothing);
        }
        let free = self.disk.free_space().map_err(TakeError::disk("looking for free space"))?;
        if free < SNAPSHOT_SPARE_BYTES.saturating_add(before.tally.bytes.saturating_mul(2)) {
            return Err(TakeError::GivenUp(Taken::NoRoom));
        }
        self.make_folder().map_err(TakeError::disk("making the folder of snapshots"))?;
        let rows = create_afresh(&self.disk, &unfinished(ROWS)).map_err(TakeError::disk("writing a snapshot"))?;
        let (late, trust) = self.copy(&rows, go_on)?;
        let summary = self.summary(&trust)?;
        self.merge(&rows, &late, &summary, go_on)?;
        self.publish(trust.applied).map_err(TakeError::disk("writing a snapshot"))?;
        tracing::info!(applied = trust.applied, rows = trust.tally.rows, "a snapshot of the index was taken");
        Ok(Taken::New(trust.applied))
    }

    fn make_folder(&self) -> io::Result<()> {
        let folder = Path::new(FOLDER);
        if exists(&self.disk, folder)? {
            return Ok(());
        }
        self.disk.create_dir(folder)?;
        self.disk.sync_dir(Path::new(""))
    }

    /// Copies the index to `rows`; returns what was written behind the copier, and the trust row of the whole.
    fn copy(&self, rows: &D::File, go_on: &dyn Fn() -> bool) -> Result<(Late, Trust), TakeError> {
        self.projection.begin_copy();
        let mut written = 0;
        loop {
            if !go_on() {
                return Err(TakeError::GivenUp(Taken::Stopped));
            }
            let mut stretch = Vec::new();
            let copied = self.projection.copy_next(SNAPSHOT_STRETCH_BYTES, &mut |key, value| {
                encode_row(&mut stretch, key, value);
            })?;
            let ended = match copied {
                Copied::Part => None,
                Copied::Overtaken => return Err(TakeError::GivenUp(Taken::Overtaken)),
                Copied::All { late, trust } => {
                    // No key has this length: the end of the rows.
                    stretch.push(0);
                    Some((late, trust))
                }
            };
            rows.write_at(&stretch, written).map_err(TakeError::disk("writing a snapshot"))?;
            written += stretch.len() as u64;
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// What the snapshot stands on, read from the journal and the level files.
    fn summary(&self, trust: &Trust) -> Result<Summary, TakeError> {
        let damaged = || TakeError::GivenUp(Taken::LevelsDamaged);
        let mut logs = Vec::new();
        for (origin, key) in &self.logs {
            let head = trust.heads.iter().find(|head| head.log == origin.log).ok_or_else(damaged)?;
            let nodes = self.levels.nodes(origin.log);
            let edge = LogEdge::read(*origin, *key, head.size, &nodes).ok();
            logs.push(edge.filter(|edge| edge.head() == Some(*head)).ok_or_else(damaged)?);
        }
        let lacks = || Unreadable::Damaged("it lacks its newest group".to_owned());
        let last = trust.applied.checked_sub(1).ok_or_else(lacks)?;
        let row = tables::group_of(&self.projection.view(), last)?.ok_or_else(lacks)?;
        let group = JournalReader::new(self.disk.clone()).read(&row.place);
        let group =
            group.map_err(|error| TakeError::Fatal(Fatal::disk("reading the journal", io::Error::other(error))))?;
        let notes = row.checkpoints.into_iter().map(|found| LogNote { log: found.head.log, note: found.note });
        Ok(Summary {
            applied: trust.applied,
            schema: trust.schema,
            tally: trust.tally,
            logs,
            group: digest(&group),
            notes: notes.collect(),
        })
    }

    /// Writes the snapshot: `rows` with `late` over them.
    fn merge(&self, rows: &D::File, late: &Late, summary: &Summary, go_on: &dyn Fn() -> bool) -> Result<(), TakeError> {
        let file = create_afresh(&self.disk, &unfinished(UNFINISHED)).map_err(TakeError::disk("writing a snapshot"))?;
        let mut writer = Writer::new(&file);
        writer.summary(summary).map_err(TakeError::disk("writing a snapshot"))?;
        let (mut tally, mut stretch, stopped) = (Tally::default(), 0, Cell::new(false));
        let mut put = |key: &[u8], value: Option<&[u8]>| {
            let Some(value) = value else { return Ok(()) };
            tally.add(key, value);
            stretch += key.len() + value.len();
            if stretch >= SNAPSHOT_STRETCH_BYTES {
                stretch = 0;
                stopped.set(!go_on());
            }
            if stopped.get() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            writer.row(key, value)
        };
        let mut late = late.sorted().peekable();
        let merged = copied(rows, &mut |key, value| {
            while let Some((new_key, new)) = late.next_if(|(new_key, _)| *new_key < key) {
                put(new_key, new)?;
            }
            let new = late.next_if(|(new_key, _)| *new_key == key);
            Ok(put(key, new.map_or(Some(value), |(_, new)| new))?)
        });
        let merged = merged.and_then(|()| late.try_for_each(|(key, value)| Ok(put(key, value)?)));
        if stopped.get() {
            return Err(TakeError::GivenUp(Taken::Stopped));
        }
        merged.map_err(|error| match error {
            LoadError::Io(cause) => TakeError::disk("writing a snapshot")(cause),
            error @ (LoadError::Damaged(_) | LoadError::Taker(_)) => {
                TakeError::Fatal(Fatal::disk("writing a snapshot", io::Error::other(error)))
            }
        })?;
        if tally != summary.tally {
            // What decisions rest on is not what the journal says: the next start builds the index anew.
            return Err(Unreadable::Damaged("its rows do not add up".to_owned()).into());
        }
        writer.finish().and_then(|()| file.sync_data()).map_err(TakeError::disk("writing a snapshot"))
    }

    fn publish(&self, applied: u64) -> io::Result<()> {
        let folder = Path::new(FOLDER);
        self.disk.rename(&unfinished(UNFINISHED), &path(applied))?;
        self.disk.sync_dir(folder)?;
        // Only now, with the newer one on the disk for certain.
        let all = list(&self.disk)?;
        let older = all.len().saturating_sub(SNAPSHOTS_KEPT);
        for applied in all.into_iter().take(older) {
            self.disk.remove(&folder.join(file_name(applied)))?;
        }
        self.disk.remove(&unfinished(ROWS))
    }
}

fn unfinished(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}
