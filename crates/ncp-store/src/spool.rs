//! The spool: whatever is not an event, in records and body files, and the names of both.
//!
//! Small records share segment files `spool/<class>/<number>.seg`, preallocated with zeros and split by how long their
//! records are kept. A record describes itself (`spool/record.rs`) and is bound to its place, so that a scan rebuilds every
//! place. What is appended between two syncs starts on a block boundary: a torn write never reaches what was durable.
//! [`Spool`] appends, [`SpoolReader`] reads, [`Spool::renew`] rewrites a segment that cannot be trusted to be on the disk.
//! Segments are numbered from 0, and no number is given twice. Any failed write or sync is fatal: the spool takes nothing
//! more until a restart. Whether a record is needed is for the index to know; nothing here removes one unasked.
//! Known gap: a record that turned to zeros is not seen by a scan; whoever misses it knows its name.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use thiserror::Error;

use crate::ahead::Ahead;
use crate::ballast::or_give_up;
use crate::disk::{Disk, DiskFile, NEW, OpenMode, create_afresh, read_file, remove_unfinished, set_aside, with_suffix};
use crate::limits::{
    BLOCK_LEN, RECORD_MAX, SPOOL_ERASABLE_SEGMENT_LEN, SPOOL_LASTING_SEGMENT_LEN, SPOOL_PASSING_SEGMENT_LEN,
};

mod name;
mod read;
mod record;

pub use name::{BodyName, Class, Place, Record, RecordKind, RecordName};
pub use read::{Damage, ReadError, SpoolReader};

use read::Walk;

/// The spool's folder.
pub const FOLDER: &str = "spool";

/// Why nothing was written. The spool takes nothing more, except after [`WriteError::TooLong`].
#[derive(Debug, Error)]
pub enum WriteError {
    /// The disk failed.
    #[error("the spool cannot be written")]
    Io(#[from] io::Error),
    /// Longer than [`RECORD_MAX`]. The spool is unchanged and goes on.
    #[error("a record of {0} bytes is too long")]
    TooLong(usize),
    /// An earlier failure stopped the spool.
    #[error("the spool has stopped")]
    Stopped,
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Io(error) => error,
            WriteError::TooLong(_) | WriteError::Stopped => io::Error::other(error),
        }
    }
}

/// Why records were not copied.
#[derive(Debug, Error)]
pub enum CopyError {
    /// One of them cannot be read. Nothing is lost; some may have been copied.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A copy cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Read(error) => error.into(),
            CopyError::Write(error) => error.into(),
        }
    }
}

/// Lengths of new segments, multiples of [`BLOCK_LEN`].
#[derive(Debug, Clone, Copy)]
pub struct SpoolOptions {
    /// Of [`Class::Passing`].
    pub passing: u32,
    /// Of [`Class::Lasting`].
    pub lasting: u32,
    /// Of [`Class::Erasable`].
    pub erasable: u32,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            passing: SPOOL_PASSING_SEGMENT_LEN,
            lasting: SPOOL_LASTING_SEGMENT_LEN,
            erasable: SPOOL_ERASABLE_SEGMENT_LEN,
        }
    }
}

impl SpoolOptions {
    fn segment_len(&self, class: Class) -> u32 {
        match class {
            Class::Passing => self.passing,
            Class::Lasting => self.lasting,
            Class::Erasable => self.erasable,
        }
    }
}

/// The ends of the spool, open for appending.
pub struct Spool<D: Disk> {
    disk: D,
    ahead: Ahead<D>,
    options: SpoolOptions,
    // Number of the next segment and the open one, if any.
    ends: BTreeMap<Class, End<D::File>>,
    // Full segments that hold something unsynced.
    full: Vec<D::File>,
    stopped: bool,
}

struct End<F> {
    next_segment: u32,
    open: Option<OpenSegment<F>>,
}

struct OpenSegment<F> {
    segment: u32,
    file: F,
    offset: u32,
    capacity: u32,
    unsynced: bool,
}

impl<D: Disk> Spool<D> {
    /// Opens the spool behind its last records, making its folders at the first start.
    ///
    /// Order: folders; sync of each class, since a killed process may have left a segment whose name a power cut would take;
    /// sync of `spool`, of the data folder. A crash leaves some of the folders.
    ///
    /// # Errors
    /// As the disk has it.
    ///
    /// # Panics
    /// If a segment of these lengths cannot hold the longest record in whole blocks.
    pub fn open(disk: D, ahead: Ahead<D>, options: SpoolOptions) -> io::Result<Self> {
        make_folders(&disk)?;
        let mut ends = BTreeMap::new();
        for class in Class::ALL {
            let len = options.segment_len(class) as usize;
            assert!(len.is_multiple_of(BLOCK_LEN) && len >= record::padded_len(RECORD_MAX), "a record fits a segment");
            remove_unfinished(&disk, &class.folder())?;
            let segments = SpoolReader::new(disk.clone()).segments(class)?;
            let end = match segments.last() {
                None => End { next_segment: 0, open: None },
                Some(last) => {
                    let next_segment = last.checked_add(1).ok_or_else(|| io::Error::other("too many segments"))?;
                    End { next_segment, open: open_last(&disk, class, *last)? }
                }
            };
            ends.insert(class, end);
        }
        Ok(Self { disk, ahead, options, ends, full: Vec::new(), stopped: false })
    }

    /// Read access.
    #[must_use]
    pub fn reader(&self) -> SpoolReader<D> {
        SpoolReader::new(self.disk.clone())
    }

    /// Whether records may still be appended to this segment.
    #[must_use]
    pub fn is_open(&self, class: Class, segment: u32) -> bool {
        self.ends.get(&class).and_then(|end| end.open.as_ref()).is_some_and(|open| open.segment == segment)
    }

    /// Length of new segments.
    #[must_use]
    pub fn segment_len(&self, class: Class) -> u32 {
        self.options.segment_len(class)
    }

    /// Writes a record; it counts only once it is synced.
    ///
    /// Order: if the segment is full, the next (see [`Ahead::segment`]); then one write. A crash leaves an empty segment,
    /// any part of the record, or all of it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn append(&mut self, record: &Record) -> Result<Place, WriteError> {
        if record.bytes.len() > RECORD_MAX {
            return Err(WriteError::TooLong(record.bytes.len()));
        }
        self.guard(|spool| spool.write(record))
    }

    fn write(&mut self, record: &Record) -> io::Result<Place> {
        let class = Class::of(record.name.kind);
        let needed = u32::try_from(record::padded_len(record.bytes.len())).map_err(io::Error::other)?;
        let fits = |open: &OpenSegment<D::File>| open.capacity - open.offset >= needed;
        if !self.end(class).open.as_ref().is_some_and(fits) {
            self.close(class);
            self.roll(class)?;
        }
        let Some(open) = &mut self.end(class).open else {
            unreachable!("a segment has just been opened");
        };
        let length = u32::try_from(record.bytes.len()).map_err(io::Error::other)?;
        let place = Place { segment: open.segment, offset: open.offset, length };
        open.file.write_at(&record::encode(record, place), u64::from(place.offset))?;
        open.offset += needed;
        open.unsynced = true;
        if open.offset >= open.capacity / 2 {
            self.ahead.want(&class.folder(), self.options.segment_len(class));
        }
        Ok(place)
    }

    fn end(&mut self, class: Class) -> &mut End<D::File> {
        self.ends.entry(class).or_insert(End { next_segment: 0, open: None })
    }

    fn close(&mut self, class: Class) {
        if let Some(open) = self.end(class).open.take().filter(|open| open.unsynced) {
            self.full.push(open.file);
        }
    }

    fn roll(&mut self, class: Class) -> io::Result<()> {
        let segment = self.end(class).next_segment;
        let capacity = self.options.segment_len(class);
        let file = self.ahead.segment(&class.segment_path(segment), capacity)?;
        let next_segment = segment.checked_add(1).ok_or_else(|| io::Error::other("too many segments"))?;
        let open = Some(OpenSegment { segment, file, offset: 0, capacity, unsynced: false });
        self.ends.insert(class, End { next_segment, open });
        Ok(())
    }

    /// Ends a segment: what comes next goes to a new one. Does nothing if it has ended before.
    ///
    /// Order: if it is the newest, a new one is made as by [`Spool::append`], so that its number is never given again.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn seal(&mut self, class: Class, segment: u32) -> Result<(), WriteError> {
        if self.end(class).next_segment != segment.saturating_add(1) {
            return Ok(());
        }
        self.close(class);
        self.guard(|spool| spool.roll(class))
    }

    /// The files to sync: for whoever syncs several files at once and then calls [`Spool::confirm_sync`], or drops the
    /// spool if a sync failed.
    #[must_use]
    pub fn unsynced(&self) -> Vec<&D::File> {
        let open = self.ends.values().filter_map(|end| end.open.as_ref()).filter(|open| open.unsynced);
        self.full.iter().chain(open.map(|open| &open.file)).collect()
    }

    /// Notes that the files of [`Spool::unsynced`] were synced: their records count, and the next batch starts on a block
    /// of its own.
    pub fn confirm_sync(&mut self) {
        self.full.clear();
        for open in self.ends.values_mut().filter_map(|end| end.open.as_mut()).filter(|open| open.unsynced) {
            open.unsynced = false;
            open.offset = open.offset.next_multiple_of(BLOCK_STEP).min(open.capacity);
        }
    }

    /// Syncs what was appended. Before it a crash may leave any part of it; after it all counts.
    ///
    /// # Errors
    /// Fatal: the spool stops, and no sync is tried again.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.guard(|spool| spool.disk.sync_all(&spool.unsynced()))?;
        self.confirm_sync();
        Ok(())
    }

    /// Copies living records, all of one class, behind the last one of their class; returns the new places in the same
    /// order. The originals stay. The copies count once they are synced; only then may a segment be unlinked.
    ///
    /// # Errors
    /// [`CopyError`].
    pub fn copy_forward(&mut self, living: &[(RecordName, Place)]) -> Result<Vec<Place>, CopyError> {
        let reader = self.reader();
        for (name, place) in living {
            // A copy must not land where the original is about to go.
            if self.is_open(Class::of(name.kind), place.segment) {
                self.seal(Class::of(name.kind), place.segment)?;
            }
        }
        let copy = |(name, place): &(RecordName, Place)| {
            let bytes = reader.read(name, place)?;
            Ok(self.append(&Record { name: *name, bytes })?)
        };
        living.iter().map(copy).collect()
    }

    /// Removes a segment in which nothing lives.
    ///
    /// Order: seal it, unlink, sync the folder. A crash leaves it there or gone; a reader that still knows an old place is
    /// told [`ReadError::Gone`].
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn unlink(&mut self, class: Class, segment: u32) -> Result<(), WriteError> {
        self.seal(class, segment)?;
        self.guard(|spool| {
            match spool.disk.remove(&class.segment_path(segment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            spool.disk.sync_dir(&class.folder())
        })
    }

    /// Writes a segment to a new file with the same records at the same places: after an unclean start what calls see may
    /// be in memory alone, and no later sync need ever write it. What is damaged is copied to `corrupt/` and left out; it is
    /// for the caller to know that nothing needs it.
    ///
    /// Order: what is left out to `corrupt/`, synced; `<segment>.new` written and synced; renamed over the segment; the
    /// folder synced. A crash leaves the old or the new segment, with the same records, and perhaps a `.new` that is never
    /// read.
    ///
    /// # Errors
    /// [`WriteError`].
    ///
    /// # Panics
    /// If something appended has not been synced.
    pub fn renew(&mut self, class: Class, segment: u32) -> Result<(), WriteError> {
        assert!(self.unsynced().is_empty(), "only a quiet spool is renewed");
        self.guard(|spool| {
            renew(&spool.disk, class, segment)?;
            let newest = spool.end(class).next_segment == segment.saturating_add(1);
            if newest {
                // The handle leads to the old file, which has no name any more.
                spool.end(class).open = open_last(&spool.disk, class, segment)?;
            }
            Ok(())
        })
    }

    /// Runs what writes; after an error nothing more is written.
    fn guard<T>(&mut self, write: impl FnOnce(&mut Self) -> io::Result<T>) -> Result<T, WriteError> {
        if self.stopped {
            return Err(WriteError::Stopped);
        }
        let result = write(self);
        self.stopped = result.is_err();
        Ok(result?)
    }
}

const BLOCK_STEP: u32 = 4 << 10;
const _: () = assert!(BLOCK_STEP as usize == BLOCK_LEN);

fn make_folders<D: Disk>(disk: &D) -> io::Result<()> {
    let spool = Path::new(FOLDER);
    disk.create_dir(spool)?;
    let there = disk.list(spool)?;
    for class in Class::ALL {
        if !there.iter().any(|name| name == class.as_str()) {
            disk.create_dir(&class.folder())?;
        }
        disk.sync_dir(&class.folder())?;
    }
    disk.sync_dir(spool)?;
    disk.sync_dir(Path::new(""))
}

/// Opens the newest segment behind its last byte; `None` if it is damaged, so that nothing good follows what is not.
fn open_last<D: Disk>(disk: &D, class: Class, segment: u32) -> io::Result<Option<OpenSegment<D::File>>> {
    let path = class.segment_path(segment);
    let walk = Walk::through(class, segment, &read_file(disk, &path)?, &mut |_, _, _| ());
    if !walk.damage.is_empty() {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::Write)?;
    let capacity = u32::try_from(file.len()?).unwrap_or(u32::MAX);
    let offset = walk.end.next_multiple_of(BLOCK_STEP).min(capacity);
    Ok(Some(OpenSegment { segment, file, offset, capacity, unsynced: false }))
}

fn renew<D: Disk>(disk: &D, class: Class, segment: u32) -> io::Result<()> {
    let path = class.segment_path(segment);
    let mut bytes = read_file(disk, &path)?;
    let walk = Walk::through(class, segment, &bytes, &mut |_, _, _| ());
    for damage in &walk.damage {
        if let Some(stretch) = bytes.get_mut(damage.from as usize..damage.to as usize) {
            let name = format!("spool-{}-{segment:08x}-{}", class.as_str(), damage.from);
            set_aside(disk, &name, stretch)?;
            stretch.fill(0);
        }
    }
    let new = with_suffix(&path, NEW);
    let file = create_afresh(disk, &new)?;
    or_give_up(disk, || file.allocate(bytes.len() as u64))?;
    file.write_at(bytes.get(..walk.end as usize).unwrap_or(&bytes), 0)?;
    file.sync_data()?;
    disk.rename(&new, &path)?;
    disk.sync_dir(&class.folder())
}

#[cfg(test)]
mod tests;
