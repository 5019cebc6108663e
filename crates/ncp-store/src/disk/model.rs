//! A disk in memory that fails on demand, for tests and simulation.
//!
//! Content is durable only after a sync of its file, a name only after a sync of its folder. A file sees writes in units
//! of 512 bytes, each of them whole; between two syncs any version of a unit may be the one that reaches the disk. A
//! failed sync leaves what was to be synced readable but never durable, whatever later syncs say, until it is written
//! again: this is how Linux treats pages whose write-back failed. Names are kept by the file system's own journal, which
//! fails for good or not at all: a name whose sync failed is pending still. A rename is atomic unless only the folder it
//! left was synced.
//!
//! Operations that change something are numbered from 0, reads (open, list, read, length) by themselves; a fault is
//! planned for a number. After a crash every call fails until [`ModelDisk::reopen`], and handles from before it fail
//! for ever. Not modelled: units torn within, misdirected writes, a full table of files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::file::{Content, Fate};
use self::tree::{NodeId, Tree};
use super::{Disk, DiskFile, OpenMode};

mod file;
mod tree;

/// What goes wrong at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error, and nothing happened; after a failed sync the content is visible but lost to the disk.
    Fail,
    /// An error, although the operation took effect and is durable.
    FailButPersisted,
    /// The machine stops: the operation is pending, every later call fails.
    Crash,
}

/// What a restart finds of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Only the process ended: all is visible, nothing more is durable than before.
    Killed,
    /// Power was cut: nothing unsynced is left.
    Lost,
    /// Power was cut, but all had reached the disk.
    Kept,
    /// Power was cut: for each name and each 512 bytes this seed chooses.
    Torn(u64),
}

const UNLIMITED: u64 = 1 << 40;

/// A data folder in memory. Clones share it.
#[derive(Clone)]
pub struct ModelDisk {
    state: Arc<Mutex<State>>,
    life: u64,
}

/// An open file of a [`ModelDisk`].
pub struct ModelFile {
    disk: ModelDisk,
    node: NodeId,
}

struct State {
    tree: Tree,
    // Forks share content until one of them changes it.
    files: BTreeMap<NodeId, Arc<Content>>,
    // Raised by every restart: older handles are dead.
    life: u64,
    crashed: bool,
    operations: u64,
    reads: u64,
    faults: BTreeMap<u64, Fault>,
    read_faults: BTreeSet<u64>,
    capacity: u64,
}

impl Default for ModelDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl ModelDisk {
    /// An empty data folder with room for a tebibyte.
    #[must_use]
    pub fn new() -> Self {
        let state = State {
            tree: Tree::new(),
            files: BTreeMap::new(),
            life: 0,
            crashed: false,
            operations: 0,
            reads: 0,
            faults: BTreeMap::new(),
            read_faults: BTreeSet::new(),
            capacity: UNLIMITED,
        };
        Self { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    /// Plans a fault for the operation with this number.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.state().faults.insert(operation, fault);
    }

    /// Plans an error for the read with this number.
    pub fn fail_read_at(&self, read: u64) {
        self.state().read_faults.insert(read);
    }

    /// How many operations there were: the number of the next.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// How many reads there were: the number of the next.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Whether a crash struck and [`ModelDisk::reopen`] is due.
    #[must_use]
    pub fn crashed(&self) -> bool {
        self.state().crashed
    }

    /// Ends the life of all handles, this one included, and returns the disk as the next start finds it. Counts go on;
    /// planned faults are forgotten.
    #[must_use]
    pub fn reopen(&self, cut: Cut) -> Self {
        let mut state = self.state();
        state.life += 1;
        state.crashed = false;
        state.faults.clear();
        state.read_faults.clear();
        let mut fate = match cut {
            Cut::Killed => None,
            Cut::Lost => Some(Fate::Lost),
            Cut::Kept => Some(Fate::Kept),
            Cut::Torn(seed) => Some(Fate::seeded(seed)),
        };
        if let Some(fate) = &mut fate {
            state.tree.cut(fate);
            for content in state.files.values_mut().filter(|content| content.is_pending()).map(Arc::make_mut) {
                content.cut(fate);
            }
        }
        let State { tree, files, life, .. } = &mut *state;
        // Files that no name leads to have gone with the handles.
        files.retain(|node, _| tree.holds(*node));
        Self { state: Arc::clone(&self.state), life: *life }
    }

    /// Another disk with the same files, durable and pending, and the same counts: what happens to one is nothing to the
    /// other. Planned faults stay here; handles do not go along.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.state();
        let State { tree, files, life, crashed, operations, reads, capacity, .. } = &*state;
        let forked = State {
            tree: tree.clone(),
            files: files.clone(),
            life: *life,
            crashed: *crashed,
            operations: *operations,
            reads: *reads,
            faults: BTreeMap::new(),
            read_faults: BTreeSet::new(),
            capacity: *capacity,
        };
        Self { state: Arc::new(Mutex::new(forked)), life: self.life }
    }

    /// Inverts a bit of a file at every read until the place is written again or [`ModelDisk::heal`]: rot.
    ///
    /// # Errors
    /// As for opening; a bit beyond the end is [`io::ErrorKind::InvalidInput`].
    pub fn flip_bit(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut state = self.state();
        let node = state.tree.file(path)?;
        let content = state.content(node)?;
        if bit / 8 >= content.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        content.flip(bit);
        Ok(())
    }

    /// Undoes every flipped bit.
    pub fn heal(&self) {
        for content in self.state().files.values_mut().filter(|content| content.is_flipped()) {
            Arc::make_mut(content).heal();
        }
    }

    /// Sets how many bytes all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked with the lock held has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        state.alive(self.life)?;
        let number = state.reads;
        state.reads += 1;
        if state.read_faults.remove(&number) {
            return Err(io::Error::other("planned fault at a read"));
        }
        read(&mut state)
    }

    /// Runs a numbered operation: `pending` makes it visible, `persist` makes what it did durable, `failed` leaves the
    /// trace of a failure.
    fn operate<T>(&self, operation: Operation<'_, T>) -> io::Result<T> {
        let mut state = self.state();
        state.alive(self.life)?;
        let number = state.operations;
        state.operations += 1;
        let fault = state.faults.remove(&number);
        match fault {
            None => (operation.perform)(&mut state),
            Some(Fault::Fail) => {
                (operation.fail)(&mut state);
                Err(io::Error::other("planned fault"))
            }
            Some(Fault::FailButPersisted) => {
                (operation.perform)(&mut state)?;
                (operation.persist)(&mut state);
                Err(io::Error::other("planned fault after the fact"))
            }
            Some(Fault::Crash) => {
                if operation.leaves_pending {
                    (operation.perform)(&mut state)?;
                }
                state.crashed = true;
                Err(io::Error::other("planned crash"))
            }
        }
    }
}

/// A step of the state, boxed so that one runner serves all operations.
type Step<'a, T> = Box<dyn FnOnce(&mut State) -> T + 'a>;

struct Operation<'a, T> {
    perform: Step<'a, io::Result<T>>,
    persist: Step<'a, ()>,
    fail: Step<'a, ()>,
    // A sync that a crash interrupts promotes nothing by itself; what it meant to promote is pending already.
    leaves_pending: bool,
}

impl State {
    fn alive(&self, life: u64) -> io::Result<()> {
        if self.crashed || self.life != life {
            return Err(io::Error::other("the machine has stopped"));
        }
        Ok(())
    }

    fn shown(&self, node: NodeId) -> io::Result<&Content> {
        self.files.get(&node).map(Arc::as_ref).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn content(&mut self, node: NodeId) -> io::Result<&mut Content> {
        self.files.get_mut(&node).map(Arc::make_mut).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used(&self) -> u64 {
        self.tree.visible().filter_map(|node| self.files.get(&node)).map(|content| content.len()).sum()
    }

    fn grow(&self, node: NodeId, len: u64) -> io::Result<()> {
        let old = self.files.get(&node).map_or(0, |content| content.len());
        if self.capacity < UNLIMITED && self.used() + len.saturating_sub(old) > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn nothing<'a>() -> Step<'a, ()> {
    Box::new(|_| ())
}

impl Disk for ModelDisk {
    type File = ModelFile;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<ModelFile> {
        let node = match mode {
            OpenMode::Read | OpenMode::Write => self.read(|state| state.tree.file(path))?,
            OpenMode::CreateNew => self.operate(Operation {
                perform: Box::new(|state| {
                    let node = state.tree.create_file(path)?;
                    state.files.insert(node, Arc::default());
                    Ok(node)
                }),
                persist: Box::new(|state| state.tree.persist(path)),
                fail: nothing(),
                leaves_pending: true,
            })?,
        };
        Ok(ModelFile { disk: self.clone(), node })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.read(|state| state.tree.list(dir))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(Operation {
            perform: Box::new(|state| state.tree.create_dir(dir)),
            persist: Box::new(|state| state.tree.persist(dir)),
            fail: nothing(),
            leaves_pending: true,
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.operate(Operation {
            perform: Box::new(|state| state.tree.rename(from, to)),
            persist: Box::new(|state| {
                state.tree.persist(to);
                state.tree.persist(from);
            }),
            fail: nothing(),
            leaves_pending: true,
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(Operation {
            perform: Box::new(|state| state.tree.remove(path)),
            persist: Box::new(|state| state.tree.persist(path)),
            fail: nothing(),
            leaves_pending: true,
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.operate(Operation {
            perform: Box::new(|state| state.tree.sync(dir)),
            persist: nothing(),
            fail: nothing(),
            leaves_pending: false,
        })
    }

    fn free_space(&self) -> io::Result<u64> {
        self.read(|state| Ok(state.capacity.saturating_sub(state.used())))
    }

    fn sync_all(&self, files: &[&ModelFile]) -> io::Result<()> {
        let mut result = Ok(());
        for file in files {
            result = result.and(file.sync_data());
        }
        result
    }
}

impl DiskFile for ModelFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read(|state| Ok(state.shown(self.node)?.read(buffer, offset)))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.operate(Operation {
            perform: Box::new(|state| {
                state.grow(self.node, offset + bytes.len() as u64)?;
                state.content(self.node)?.write(bytes, offset);
                Ok(())
            }),
            persist: Box::new(|state| self.persist(state)),
            fail: nothing(),
            leaves_pending: true,
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.operate(Operation {
            perform: Box::new(|state| {
                state.content(self.node)?.sync();
                Ok(())
            }),
            persist: nothing(),
            fail: Box::new(|state| {
                if let Ok(content) = state.content(self.node) {
                    content.doom();
                }
            }),
            leaves_pending: false,
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.read(|state| Ok(state.shown(self.node)?.len()))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.operate(Operation {
            perform: Box::new(|state| {
                state.grow(self.node, len)?;
                let content = state.content(self.node)?;
                if content.len() < len {
                    content.set_len(len);
                }
                Ok(())
            }),
            persist: Box::new(|state| self.persist(state)),
            fail: nothing(),
            leaves_pending: true,
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.operate(Operation {
            perform: Box::new(|state| {
                state.content(self.node)?.set_len(len);
                Ok(())
            }),
            persist: Box::new(|state| self.persist(state)),
            fail: nothing(),
            leaves_pending: true,
        })
    }
}

impl ModelFile {
    fn persist(&self, state: &mut State) {
        if let Ok(content) = state.content(self.node) {
            content.sync();
        }
    }
}
