//! Segments made ahead. A new segment is zeros to its end, and they take the disk longer than many groups: so while one
//! fills, the next is made beside it under the name `ahead.new`, and gets its own name when it is needed.
//!
//! Nothing rests on such a file, and it takes no room that others may need: on a disk that is nearly full it is not made, and
//! one that is there goes when a segment finds no room. Whoever needs a segment then makes it. What a crash leaves of it is
//! removed at the next start. A disk that fails over it has failed: the store stops, as after any failed sync.

use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::ballast::or_give_up;
use crate::disk::{Disk, DiskFile, OpenMode, create_afresh, is_full, parent, remove_unfinished};
use crate::journal;
use crate::limits::{AHEAD_ROOM_MIN, AHEAD_STEP};
use crate::spool::Class;

/// Its name in the folder of the segments. It ends like everything that is unfinished.
const NAME: &str = "ahead.new";

/// Makes segments, ahead where it can. Clones share what is made.
pub struct Ahead<D: Disk> {
    disk: D,
    shared: Arc<Shared<D::File>>,
}

struct Shared<F> {
    state: Mutex<State<F>>,
    changed: Condvar,
}

struct State<F> {
    // At most one in each folder.
    spares: BTreeMap<PathBuf, Spare<F>>,
    closed: bool,
}

enum Spare<F> {
    /// To be made, so many bytes long.
    Wanted(u32),
    Making,
    Made(u32, F),
    /// There was no room for it, and it is not tried again for this segment.
    DoneWithout,
}

impl<D: Disk> Clone for Ahead<D> {
    fn clone(&self) -> Self {
        Self { disk: self.disk.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<D: Disk> fmt::Debug for Ahead<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ahead")
    }
}

impl<D: Disk> Ahead<D> {
    /// Nothing is made yet.
    #[must_use]
    pub fn new(disk: D) -> Self {
        let state = State { spares: BTreeMap::new(), closed: false };
        Self { disk, shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Has the next segment of a folder made when somebody comes to it: call it when the one before is half full, as often
    /// as may be.
    pub(crate) fn want(&self, folder: &Path, len: u32) {
        let mut state = self.state();
        if !state.spares.contains_key(folder) {
            state.spares.insert(folder.to_owned(), Spare::Wanted(len));
            self.shared.changed.notify_all();
        }
    }

    /// The next segment, at `path`, zeros to its end.
    ///
    /// Order: what was made and synced ahead gets its name, or the file is created, allocated and synced; then the folder is
    /// synced. A crash leaves no segment, or one that is short or all zeros.
    ///
    /// # Errors
    /// As the disk has it; after a failed sync fatal.
    pub(crate) fn segment(&self, path: &Path, len: u32) -> io::Result<D::File> {
        let folder = parent(path);
        let file = match self.take(folder, len) {
            Some(file) => {
                // A name is given once: what bears it must not go.
                match self.disk.open(path, OpenMode::Read) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    borne => return Err(borne.err().unwrap_or_else(|| io::ErrorKind::AlreadyExists.into())),
                }
                self.disk.rename(&folder.join(NAME), path)?;
                file
            }
            None => {
                let file = self.disk.open(path, OpenMode::CreateNew)?;
                or_give_up(&self.disk, || self.or_give_back(|| file.allocate(u64::from(len))))?;
                file.sync_data()?;
                file
            }
        };
        self.disk.sync_dir(folder)?;
        Ok(file)
    }

    /// Runs what needs room; where there is none what is made goes, and it is tried once more.
    fn or_give_back(&self, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match write() {
            Err(error) if is_full(&error) && self.give_back() => write(),
            written => written,
        }
    }

    /// Removes what is made; says whether there was anything. Not synced: a crash may bring it back, until the next start.
    fn give_back(&self) -> bool {
        let mut given_back = false;
        for (folder, spare) in &mut self.state().spares {
            if matches!(spare, Spare::Made(..)) {
                *spare = Spare::DoneWithout;
                given_back |= self.disk.remove(&folder.join(NAME)).is_ok();
            }
        }
        given_back
    }

    fn take(&self, folder: &Path, len: u32) -> Option<D::File> {
        let mut state = self.state();
        match state.spares.remove(folder)? {
            Spare::Made(made, file) if made == len => Some(file),
            // It serves the segment after this one.
            Spare::Making => {
                state.spares.insert(folder.to_owned(), Spare::Making);
                None
            }
            Spare::Wanted(_) | Spare::Made(..) | Spare::DoneWithout => None,
        }
    }

    /// Makes what is wanted until this is closed, and leaves nothing behind then.
    ///
    /// # Errors
    /// Fatal: the disk failed.
    pub(crate) fn run(&self) -> io::Result<()> {
        while self.wait() {
            self.make()?;
        }
        self.give_back();
        Ok(())
    }

    /// Makes what is wanted now.
    ///
    /// # Errors
    /// As [`Ahead::run`].
    pub(crate) fn make(&self) -> io::Result<()> {
        while let Some((folder, len)) = self.begin() {
            let spare = self.make_in(&folder, len)?.map_or(Spare::DoneWithout, |file| Spare::Made(len, file));
            self.state().spares.insert(folder, spare);
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// `None` if there is no room, or this was closed meanwhile.
    ///
    /// Order: create, then a part of the zeros and a sync of it in turn, so that the syncs of groups wait for little.
    fn make_in(&self, folder: &Path, len: u32) -> io::Result<Option<D::File>> {
        if !self.has_room(len)? {
            return Ok(None);
        }
        let path = folder.join(NAME);
        let file = create_afresh(&self.disk, &path)?;
        let mut made = 0;
        while made < len {
            let upto = len.min(made + AHEAD_STEP);
            let goes_on = !self.state().closed && self.has_room(len - made)?;
            if !goes_on || !grow(&file, upto)? {
                self.disk.remove(&path)?;
                return Ok(None);
            }
            made = upto;
        }
        Ok(Some(file))
    }

    fn has_room(&self, len: u32) -> io::Result<bool> {
        Ok(self.disk.free_space()? >= AHEAD_ROOM_MIN + u64::from(len))
    }

    fn begin(&self) -> Option<(PathBuf, u32)> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let (folder, spare) = state.spares.iter_mut().find(|(_, spare)| matches!(spare, Spare::Wanted(_)))?;
        let Spare::Wanted(len) = core::mem::replace(spare, Spare::Making) else { return None };
        Some((folder.clone(), len))
    }

    /// Waits until something is wanted; false once closed.
    fn wait(&self) -> bool {
        let mut state = self.state();
        let is_wanted = |state: &State<D::File>| state.spares.values().any(|spare| matches!(spare, Spare::Wanted(_)));
        while !state.closed && !is_wanted(&state) {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed
    }

    /// Lets [`Ahead::run`] return.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.shared.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<D::File>> {
        // Each change under this lock leaves whole values.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings a file to this length, durably; false if there is no room.
fn grow(file: &impl DiskFile, upto: u32) -> io::Result<bool> {
    match file.allocate(u64::from(upto)).and_then(|()| file.sync_data()) {
        Err(error) if is_full(&error) => Ok(false),
        grown => grown.map(|()| true),
    }
}

/// Removes what an earlier life made ahead. To be called at a start, before anything looks for room.
///
/// # Errors
/// As the disk has it.
pub fn remove_leftovers<D: Disk>(disk: &D) -> io::Result<()> {
    let spool = Class::ALL.map(|class| class.folder());
    for folder in spool.iter().map(PathBuf::as_path).chain([Path::new(journal::FOLDER)]) {
        match remove_unfinished(disk, folder) {
            // A first start makes them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
