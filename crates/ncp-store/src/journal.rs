//! The journal: groups of events in segment files, the one truth of a daemon.
//!
//! A group is what one sync makes durable. It starts on a [`BLOCK_LEN`] boundary of `journal/<first sequence>.seg`, a file
//! preallocated with zeros, and is described in `journal/group.rs`. At most one group is on its way to the disk, and a
//! segment gets its name only when the group before it is durable: so only the last group can be torn, and only in the last
//! segment. [`scan`] tells a torn end from damage, [`renew`] copies what cannot be trusted to be on the disk; [`Journal`]
//! appends, [`JournalReader`] reads. Any failed write or sync is fatal: the journal takes nothing more until a restart.
//! Known gap: a whole group that turned to zeros looks like an end; the file `signed` and the peers tell.

use std::io;
use std::path::{Path, PathBuf};

use ncp_protocol::ids::LogName;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ahead::Ahead;
use crate::ballast::or_give_up;
use crate::disk::{Disk, DiskFile, OpenMode, remove_unfinished};
use crate::limits::{BLOCK_LEN, GROUP_LEN_MAX, JOURNAL_SEGMENT_LEN};

mod group;
mod read;
mod recover;

pub use group::encoded_len;
pub use read::{Groups, JournalReader};
pub use recover::{Gap, Scan, Tail, cut, gaps, renew, scan};

/// The journal's folder.
pub const FOLDER: &str = "journal";

/// A signed checkpoint of one of the daemon's own logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogNote {
    /// The log.
    pub log: LogName,
    /// The signed note, as C2SP tlog-checkpoint has it.
    pub note: String,
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// First sequence of the segment: its name.
    pub segment: u64,
    /// Bytes from its start.
    pub offset: u32,
}

/// Where a group lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlace {
    /// First sequence of the segment: its name.
    pub segment: u64,
    /// Bytes from the segment's start.
    pub offset: u32,
    /// Bytes of the group.
    pub length: u32,
    /// Sequence of its first event.
    pub first: u64,
    /// Number of its events.
    pub count: u32,
}

impl GroupPlace {
    /// Sequence of the first event behind the group.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// Where it starts.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { segment: self.segment, offset: self.offset }
    }
}

/// A group as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Where it lies.
    pub place: GroupPlace,
    /// Signed checkpoints of the logs that the group before it grew.
    pub previous: Vec<LogNote>,
    /// What the writer states beside the events, opaque here.
    pub manifest: Vec<u8>,
    /// Encoded events, in order.
    pub events: Vec<Vec<u8>>,
}

/// Why the journal cannot be read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The disk failed.
    #[error("the journal cannot be read")]
    Io(#[from] io::Error),
    /// What lies there is not what was written.
    #[error("the journal is damaged in segment {:016x} at byte {}", .0.segment, .0.offset)]
    Damaged(Position),
    /// No segment holds this sequence, or the one that did is gone.
    #[error("the journal lacks sequence {0}")]
    Missing(u64),
}

/// Why a group was not appended. Nothing of it counts, and the journal takes nothing more.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The disk failed.
    #[error("the journal cannot be written")]
    Io(#[from] io::Error),
    /// Longer than [`GROUP_LEN_MAX`] or a segment. The journal is unchanged and goes on.
    #[error("a group of {0} bytes is too long")]
    TooLong(usize),
    /// An earlier failure stopped the journal.
    #[error("the journal has stopped")]
    Stopped,
}

/// How the journal writes.
#[derive(Debug, Clone, Copy)]
pub struct JournalOptions {
    /// Length of new segments, a multiple of [`BLOCK_LEN`]; no group can be longer.
    pub segment_len: u32,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { segment_len: JOURNAL_SEGMENT_LEN }
    }
}

/// The end of the journal, open for appending.
pub struct Journal<D: Disk> {
    disk: D,
    ahead: Ahead<D>,
    options: JournalOptions,
    end: Option<End<D::File>>,
    next: u64,
    state: State,
}

struct End<F> {
    segment: u64,
    file: F,
    offset: u32,
    capacity: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Synced,
    Unsynced,
    Stopped,
}

impl<D: Disk> Journal<D> {
    /// Opens the journal behind its last group.
    ///
    /// Order: sync of the folder, since a killed process may have left a segment whose name a power cut would take; then the
    /// last segment is brought to its length. A crash leaves it as it was or longer by zeros.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] unless the scan found a whole journal; otherwise as the disk has it.
    ///
    /// # Panics
    /// If the length of segments is not a multiple of [`BLOCK_LEN`].
    pub fn open(disk: D, ahead: Ahead<D>, options: JournalOptions, scan: &Scan) -> Result<Self, JournalError> {
        assert!((options.segment_len as usize).is_multiple_of(BLOCK_LEN), "a segment consists of blocks");
        match scan.tail {
            Tail::Whole => {}
            Tail::Torn(at) | Tail::Damaged(at) => return Err(JournalError::Damaged(at)),
        }
        remove_unfinished(&disk, Path::new(FOLDER))?;
        disk.sync_dir(Path::new(FOLDER))?;
        let end = match scan.end {
            None => None,
            Some(Position { segment, offset }) => {
                let file = disk.open(&segment_path(segment), OpenMode::Write)?;
                // A crash while the segment was made may have left it short.
                or_give_up(&disk, || file.allocate(u64::from(options.segment_len)))?;
                let capacity = u32::try_from(file.len()?).unwrap_or(u32::MAX);
                Some(End { segment, file, offset, capacity })
            }
        };
        Ok(Self { disk, ahead, options, end, next: scan.next, state: State::Synced })
    }

    /// Sequence that the next event will have.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The segment that is written to: its first sequence, `None` before there is one.
    #[must_use]
    pub fn segment(&self) -> Option<u64> {
        self.end.as_ref().map(|end| end.segment)
    }

    /// Read access.
    #[must_use]
    pub fn reader(&self) -> JournalReader<D> {
        JournalReader::new(self.disk.clone())
    }

    /// Writes a group behind the last one; it counts only once it is synced.
    ///
    /// Order: if the segment is full, the next (see [`Journal::roll`]); then one write of whole blocks. A crash leaves any
    /// part of the group, which the next start finds torn, or the whole, which then counts.
    ///
    /// # Errors
    /// [`AppendError`].
    ///
    /// # Panics
    /// If there are no events, or the group before this one has not been synced.
    pub fn append(
        &mut self,
        events: &[Vec<u8>],
        previous: &[LogNote],
        manifest: &[u8],
    ) -> Result<GroupPlace, AppendError> {
        assert!(!events.is_empty(), "a group has events");
        match self.state {
            State::Synced => {}
            State::Unsynced => panic!("one group at a time is on its way to the disk"),
            State::Stopped => return Err(AppendError::Stopped),
        }
        let group = group::encode(self.next, events, previous, manifest);
        if group.length as usize > GROUP_LEN_MAX || group.length > self.options.segment_len {
            return Err(AppendError::TooLong(group.length as usize));
        }
        let written = self.write(&group);
        if written.is_err() {
            self.state = State::Stopped;
        }
        Ok(written?)
    }

    fn write(&mut self, group: &group::Encoded) -> io::Result<GroupPlace> {
        let blocks = u32::try_from(group.blocks.len()).map_err(io::Error::other)?;
        let end = match self.end.take().filter(|end| end.capacity - end.offset >= blocks) {
            Some(end) => end,
            None => self.roll()?,
        };
        let end = self.end.insert(end);
        end.file.write_at(&group.blocks, u64::from(end.offset))?;
        let place = GroupPlace {
            segment: end.segment,
            offset: end.offset,
            length: group.length,
            first: self.next,
            count: group.count,
        };
        end.offset += blocks;
        if end.offset >= end.capacity / 2 {
            self.ahead.want(Path::new(FOLDER), self.options.segment_len);
        }
        self.next = place.next();
        self.state = State::Unsynced;
        Ok(place)
    }

    /// Begins the next segment, see [`Ahead::segment`]. All groups before it are durable. One that a crash leaves short or
    /// all zeros is the end of the journal for the next start.
    fn roll(&self) -> io::Result<End<D::File>> {
        let capacity = self.options.segment_len;
        let file = self.ahead.segment(&segment_path(self.next), capacity)?;
        Ok(End { segment: self.next, file, offset: 0, capacity })
    }

    /// The file that the next group goes to; none before the first.
    #[must_use]
    pub fn end_file(&self) -> Option<&D::File> {
        self.end.as_ref().map(|end| &end.file)
    }

    /// The file to sync, if a group waits for it: for whoever syncs several files at once and then calls
    /// [`Journal::confirm_sync`], or drops the journal if the sync failed.
    #[must_use]
    pub fn unsynced(&self) -> Option<&D::File> {
        match self.state {
            State::Unsynced => self.end.as_ref().map(|end| &end.file),
            State::Synced | State::Stopped => None,
        }
    }

    /// Notes that the file of [`Journal::unsynced`] was synced: the group counts.
    pub fn confirm_sync(&mut self) {
        if self.state == State::Unsynced {
            self.state = State::Synced;
        }
    }

    /// Syncs the last group. Before it a crash may leave any part of the group; after it the group counts.
    ///
    /// # Errors
    /// Fatal: the journal stops, and no sync is tried again.
    pub fn sync(&mut self) -> Result<(), AppendError> {
        let result = match self.state {
            State::Stopped => return Err(AppendError::Stopped),
            State::Synced | State::Unsynced => self.unsynced().map_or(Ok(()), DiskFile::sync_data),
        };
        match result {
            Ok(()) => {
                self.confirm_sync();
                Ok(())
            }
            Err(error) => {
                self.state = State::Stopped;
                Err(error.into())
            }
        }
    }
}

/// Makes the journal's folder: at a daemon's first start, and only then.
///
/// Order: create, sync the data folder. A crash leaves no folder or an empty one; either way the first start goes on.
///
/// # Errors
/// As the disk has it.
pub fn create<D: Disk>(disk: &D) -> io::Result<()> {
    disk.create_dir(Path::new(FOLDER))?;
    disk.sync_dir(Path::new(""))
}

pub(crate) fn segment_path(first: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("{first:016x}.seg"))
}

/// First sequences of the segments, ascending. Other names in the folder, such as `.new` of an interrupted copy, are none
/// of the journal's.
pub(crate) fn segments<D: Disk>(disk: &D) -> io::Result<Vec<u64>> {
    let names = disk.list(Path::new(FOLDER))?;
    let parse = |name: &str| {
        let first = u64::from_str_radix(name.strip_suffix(".seg")?, 16).ok()?;
        (format!("{first:016x}.seg") == name).then_some(first)
    };
    Ok(names.iter().filter_map(|name| parse(name)).collect())
}

/// Rounds up to a block boundary.
fn blocks(len: usize) -> usize {
    len.next_multiple_of(BLOCK_LEN)
}

#[cfg(test)]
mod tests;
