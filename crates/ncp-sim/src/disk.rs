//! The disk of one machine: the store's model disk, and what a faulty machine does to it.
//!
//! Crashes and failed operations are the model's own. Here stand a write that goes astray, on files whose loss recovery
//! makes good, and the two defects that the tests for deliberate breaks need: a sync that is put off, and thereby every
//! receipt that left before it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ncp_store::disk::model::{ModelDisk, ModelFile};
use ncp_store::disk::{Disk, DiskFile, OpenMode};

/// Whether a sync does its work when it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// Yes.
    AtOnce,
    /// Only when the next one is asked for: whatever left in between left before its sync.
    PutOff,
}

/// A disk with faults. Clones share it.
#[derive(Clone)]
pub struct SimDisk {
    /// The model beneath.
    pub model: ModelDisk,
    syncs: Syncs,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    owed: Vec<Arc<ModelFile>>,
    astray: u32,
    strayed: u64,
}

/// An open file.
pub struct SimFile {
    file: Arc<ModelFile>,
    disk: SimDisk,
    may_stray: bool,
}

impl SimDisk {
    /// A disk over a model.
    #[must_use]
    pub fn new(model: ModelDisk, syncs: Syncs) -> Self {
        Self { model, syncs, state: Arc::default() }
    }

    /// Lets the next write to a level file go to another place.
    pub fn lead_astray(&self) {
        self.state().astray = 1;
    }

    /// How many writes went astray.
    #[must_use]
    pub fn strayed(&self) -> u64 {
        self.state().strayed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what a stray write destroys there is computed again from the journal.
fn may_stray(path: &Path) -> bool {
    path.starts_with("levels")
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<SimFile> {
        let file = Arc::new(self.model.open(path, mode)?);
        Ok(SimFile { file, disk: self.clone(), may_stray: may_stray(path) })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.model.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.model.create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.model.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.model.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.model.sync_dir(dir)
    }

    fn free_space(&self) -> io::Result<u64> {
        self.model.free_space()
    }

    fn sync_all(&self, files: &[&SimFile]) -> io::Result<()> {
        let due: Vec<Arc<ModelFile>> = files.iter().map(|file| Arc::clone(&file.file)).collect();
        let due = match self.syncs {
            Syncs::AtOnce => due,
            Syncs::PutOff => core::mem::replace(&mut self.state().owed, due),
        };
        let due: Vec<&ModelFile> = due.iter().map(Arc::as_ref).collect();
        self.model.sync_all(&due)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if self.may_stray && state.astray > 0 && offset >= 512 {
            state.astray -= 1;
            state.strayed += 1;
            drop(state);
            return self.file.write_at(bytes, offset - 512);
        }
        drop(state);
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}
