//! The data folder: who may use it, and by whose rules it is laid out.
//!
//! One process at a time holds it, by `flock` on the file `lock`, which the system releases however the process ends. The
//! file `format` names the layout; a program that does not know it touches nothing. The folder must be the user's own and
//! closed to others. Nothing is retried: a folder that is held is an error at once.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use thiserror::Error;

use crate::backup::RESTORED;
use crate::disk::{Disk, OpenMode, RealDisk, RealFile, exists, read_file, replace_file};
use crate::journal;

/// The layout that this program reads and writes.
pub const FORMAT: u32 = 1;

const LOCK: &str = "lock";
const FORMAT_FILE: &str = "format";
const FORMAT_NAME: &str = "ncp-data";

/// Why a data folder cannot be used. Nothing in it was changed.
#[derive(Debug, Error)]
pub enum LockError {
    /// The disk failed, or there is no such folder.
    #[error("the data folder cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// Others than its owner may enter or read it; the folder's mode.
    #[error("the data folder is open to others (mode {0:03o}): it must be 700")]
    OpenToOthers(u32),
    /// It belongs to another user, whose id this is.
    #[error("the data folder belongs to user {0}, not to the user of this process")]
    ForeignOwner(u32),
    /// Another process holds it.
    #[error("another process uses the data folder")]
    Held,
    /// It came out of a backup: its log would go on where others have seen it pass.
    #[error("the data folder was put back from a backup")]
    Restored,
    /// Its layout is not this program's.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Why the layout of a data folder is not known.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The disk failed.
    #[error("the file `format` cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A newer program wrote it.
    #[error("the data folder has format {found}; this program knows formats up to {FORMAT}")]
    Newer {
        /// What the folder says.
        found: u32,
    },
    /// The file is missing from a folder that has a journal.
    #[error("the data folder has a journal but no file `format`")]
    Missing,
    /// The file is not what any version writes.
    #[error("the file `format` is damaged")]
    Damaged,
}

/// The process that holds the folder, as far as the system tells.
#[must_use]
pub fn holder(folder: &Path) -> Option<u32> {
    let inode = std::fs::metadata(folder.join(LOCK)).ok()?.ino();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234567 0 EOF`; a waiter has `->` behind its number.
    let holders = locks.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields.as_slice() else { return None };
        let number: u64 = file.rsplit(':').next()?.parse().ok()?;
        if number == inode { pid.parse().ok() } else { None }
    });
    holders.into_iter().next()
}

/// A data folder that this process holds. Dropping it lets go.
pub struct DataFolder {
    disk: RealDisk,
    _lock: RealFile,
}

impl fmt::Debug for DataFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFolder").field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl DataFolder {
    /// Takes hold of an existing folder; a new one gets its format.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn open(folder: &Path) -> Result<Self, LockError> {
        let disk = RealDisk::open(folder)?;
        check_access(&disk)?;
        let lock = lock_file(&disk)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockError::Held),
            Err(error) => return Err(LockError::Io(error.into())),
        }
        if exists(&disk, Path::new(RESTORED))? {
            return Err(LockError::Restored);
        }
        check_format(&disk)?;
        Ok(Self { disk, _lock: lock })
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &RealDisk {
        &self.disk
    }
}

fn check_access(disk: &RealDisk) -> Result<(), LockError> {
    let folder = disk.root().metadata()?;
    if folder.uid() != rustix::process::geteuid().as_raw() {
        return Err(LockError::ForeignOwner(folder.uid()));
    }
    match folder.mode() & 0o7_777 {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(LockError::OpenToOthers(mode)),
    }
}

/// Opens the file `lock`, making it if there is none. Its name need not be durable: it holds nothing.
fn lock_file(disk: &RealDisk) -> io::Result<RealFile> {
    let path = Path::new(LOCK);
    match disk.open(path, OpenMode::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        lock => return lock,
    }
    match disk.open(path, OpenMode::CreateNew) {
        // Another process made it in between.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(path, OpenMode::Write),
        lock => lock,
    }
}

/// Checks that a folder has the layout of [`FORMAT`]; a folder without a journal is new and is given it.
///
/// Order for a new one: as [`replace_file`] has it. A crash leaves no file `format`, and the folder is still new, or the
/// whole file.
///
/// # Errors
/// [`FormatError`].
pub fn check_format<D: Disk>(disk: &D) -> Result<(), FormatError> {
    let path = Path::new(FORMAT_FILE);
    if !exists(disk, path)? {
        if exists(disk, Path::new(journal::FOLDER))? {
            return Err(FormatError::Missing);
        }
        replace_file(disk, path, format!("{FORMAT_NAME} {FORMAT}\n").as_bytes())?;
        return Ok(());
    }
    match parse(&read_file(disk, path)?) {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(FormatError::Newer { found }),
        Some(_) | None => Err(FormatError::Damaged),
    }
}

/// The number in `ncp-data <number>` and a line feed.
fn parse(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number = text.strip_prefix(FORMAT_NAME)?.strip_prefix(' ')?.strip_suffix('\n')?;
    number.parse().ok().filter(|parsed: &u32| parsed.to_string() == number)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::disk::model::{Cut, Fault, ModelDisk};

    fn private_folder() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    #[test]
    fn one_process_at_a_time_holds_the_folder() {
        let folder = private_folder();
        let held = DataFolder::open(folder.path()).unwrap();
        assert!(matches!(DataFolder::open(folder.path()), Err(LockError::Held)));
        assert_eq!(holder(folder.path()), Some(std::process::id()));
        drop(held);
        assert_eq!(holder(folder.path()), None);
        DataFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_came_out_of_a_backup_is_refused_and_nothing_in_it_changes() {
        let folder = private_folder();
        fs::write(folder.path().join(RESTORED), "").unwrap();
        assert!(matches!(DataFolder::open(folder.path()), Err(LockError::Restored)));
        assert!(!folder.path().join(FORMAT_FILE).exists());
        fs::remove_file(folder.path().join(RESTORED)).unwrap();
        DataFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let folder = private_folder();
        for mode in [0o710, 0o701, 0o755, 0o740] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let error = DataFolder::open(folder.path()).unwrap_err();
            assert!(matches!(error, LockError::OpenToOthers(found) if found == mode), "{error}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        DataFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = private_folder();
        assert!(matches!(DataFolder::open(&folder.path().join("none")), Err(LockError::Io(_))));
    }

    #[test]
    fn only_the_known_format_is_used() {
        let folder = private_folder();
        let format = folder.path().join(FORMAT_FILE);
        drop(DataFolder::open(folder.path()).unwrap());
        assert_eq!(fs::read_to_string(&format).unwrap(), "ncp-data 1\n");
        fs::write(&format, "ncp-data 2\n").unwrap();
        let error = DataFolder::open(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "the data folder has format 2; this program knows formats up to 1");
        for damaged in
            ["", "1\n", "ncp-data 1", "ncp-data 01\n", "ncp-data -1\n", "ncp-data 0\n", "ncp-data 1\n\n", "\u{0}"]
        {
            fs::write(&format, damaged).unwrap();
            let error = DataFolder::open(folder.path()).unwrap_err();
            assert!(matches!(error, LockError::Format(FormatError::Damaged)), "{damaged:?}: {error}");
        }
    }

    #[test]
    fn a_journal_without_a_format_is_not_taken_for_new() {
        let disk = ModelDisk::new();
        journal::create(&disk).unwrap();
        assert!(matches!(check_format(&disk), Err(FormatError::Missing)));
    }

    #[test]
    fn a_stop_while_the_format_is_written_leaves_a_folder_that_opens() {
        for fault in [Fault::Fail, Fault::FailButPersisted, Fault::Crash] {
            for cut in [Cut::Lost, Cut::Kept, Cut::Torn(1), Cut::Killed] {
                for operation in 0..5 {
                    let disk = ModelDisk::new();
                    disk.fail_at(operation, fault);
                    assert!(check_format(&disk).is_err());
                    let disk = disk.reopen(cut);
                    check_format(&disk).unwrap();
                    assert_eq!(read_file(&disk, Path::new(FORMAT_FILE)).unwrap(), b"ncp-data 1\n");
                }
            }
        }
    }
}
