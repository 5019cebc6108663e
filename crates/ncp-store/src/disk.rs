//! The disk as the store sees it: positioned reads and writes, syncs, names.
//!
//! A write is durable once [`DiskFile::sync_data`] has returned; a name (created, renamed, removed) once
//! [`Disk::sync_dir`] has returned for its folder. A failed sync is fatal and never retried: the kernel may have dropped
//! the pages and report success the second time. Paths are relative to the data folder and have plain components only.
//! [`RealDisk`] is the operating system's disk, [`model::ModelDisk`] one in memory that fails on demand.

use std::io;
use std::path::Path;

pub mod model;
mod real;
mod verbs;

pub use real::{RealDisk, RealFile};
pub(crate) use verbs::{
    NEW, create_afresh, exists, first_nonzero, io_damaged, last_nonzero, parent, read_exact_at, remove_unfinished,
    with_suffix,
};
pub use verbs::{is_full, move_aside, read_file, replace_file, set_aside};

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to read.
    Read,
    /// An existing file, to read and write.
    Write,
    /// A file that must not exist yet, to read and write.
    CreateNew,
}

/// The folder `corrupt`: what recovery moved out of the way. Nothing in it is ever read again or removed.
pub const CORRUPT: &str = "corrupt";

/// A data folder.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile + 'static;

    /// Opens a file. A created name is durable after [`Disk::sync_dir`] of its folder.
    ///
    /// # Errors
    /// As the system has it; a link in place of a file is refused.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Self::File>;

    /// Names in a folder, sorted; the empty path is the data folder.
    ///
    /// # Errors
    /// As the system has it; [`io::ErrorKind::NotFound`] if there is no such folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates a folder in an existing one; one that exists is fine.
    ///
    /// # Errors
    /// As the system has it.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of whatever file bears it: after a crash the old or the new name stands,
    /// never neither. To make it durable, sync first the folder of `to`, then that of `from`.
    ///
    /// # Errors
    /// As the system has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the system has it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable; the empty path is the data folder.
    ///
    /// # Errors
    /// Fatal: what is durable is unknown.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// As the system has it.
    fn free_space(&self) -> io::Result<u64>;

    /// Syncs several files; a disk may do so at the same time. All have been tried when it returns.
    ///
    /// # Errors
    /// Fatal: the first failure; what is durable is unknown.
    fn sync_all(&self, files: &[&Self::File]) -> io::Result<()>;
}

/// An open file. Positions and lengths are bytes.
#[expect(clippy::len_without_is_empty, reason = "the length of a file is a system call that can fail")]
pub trait DiskFile: Send + Sync {
    /// Reads at `offset`; fewer bytes than asked only at the end of the file.
    ///
    /// # Errors
    /// As the system has it.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may stand.
    ///
    /// # Errors
    /// As the system has it.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes content and length durable (`fdatasync`).
    ///
    /// # Errors
    /// Fatal: what is durable is unknown.
    fn sync_data(&self) -> io::Result<()>;

    /// Length of the file.
    ///
    /// # Errors
    /// As the system has it.
    fn len(&self) -> io::Result<u64>;

    /// Grows the file to `len` with zeros, in blocks of its own where the file system can, so that later writes need no
    /// space and their sync touches no other structure. Never shortens.
    ///
    /// # Errors
    /// As the system has it, above all if the disk is full.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// As [`DiskFile::allocate`], but nothing will ever be written there: where the file system can, its blocks are only
    /// taken.
    ///
    /// # Errors
    /// As the system has it, above all if the disk is full.
    fn reserve(&self, len: u64) -> io::Result<()> {
        self.allocate(len)
    }

    /// Sets the length.
    ///
    /// # Errors
    /// As the system has it.
    fn truncate(&self, len: u64) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
