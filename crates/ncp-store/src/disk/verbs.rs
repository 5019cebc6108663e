//! Verbs that need several system calls in one order.

use std::io;
use std::path::{Path, PathBuf};

use super::{CORRUPT, Disk, DiskFile, OpenMode};

/// Ends the name of a file that is still being written.
pub(crate) const NEW: &str = ".new";

/// Reads a whole file.
///
/// # Errors
/// As the system has it.
pub fn read_file<D: Disk>(disk: &D, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    read_exact_at(&file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Fills `buffer` from `offset`; a file that ends before is an error.
pub(crate) fn read_exact_at(file: &impl DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    match file.read_at(buffer, offset)? {
        read if read == buffer.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Place of the first byte that is not zero. Compares whole blocks, since segments are mostly zeros.
pub(crate) fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    const ZEROS: [u8; 4 << 10] = [0; 4 << 10];
    let (number, block) =
        bytes.chunks(ZEROS.len()).enumerate().find(|(_, block)| ZEROS.get(..block.len()) != Some(*block))?;
    Some(number * ZEROS.len() + block.iter().position(|byte| *byte != 0)?)
}

/// Place of the last byte that is not zero. Compares whole blocks, as [`first_nonzero`] does.
pub(crate) fn last_nonzero(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 4 << 10;
    let (number, block) = bytes.chunks(BLOCK).enumerate().rfind(|(_, block)| first_nonzero(block).is_some())?;
    Some(number * BLOCK + block.iter().rposition(|byte| *byte != 0)?)
}

/// Whether there is a file or folder of this name. Only the folder's own list says no; an error never does.
pub(crate) fn exists<D: Disk>(disk: &D, path: &Path) -> io::Result<bool> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(disk.list(parent(path))?.iter().any(|other| other == name))
}

/// Whether the system said that there is no room, itself or within an error of another crate: the disk is full, or a quota
/// of it.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn core::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let found = error.downcast_ref::<io::Error>();
        if found.is_some_and(|found| matches!(found.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
        {
            return true;
        }
        // An error within an `io::Error` is not its source.
        cause = match found.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

/// Content that is not what was written.
pub(crate) fn io_damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Puts `bytes` in place of the file at `path`, or creates it.
///
/// Order: write `<path>.new`, sync it, rename it over `path`, sync the folder. A crash before the rename leaves the old
/// file and perhaps a `.new` that the next call overwrites; after it the old or the new file, each whole.
///
/// # Errors
/// As the system has it; after a failed sync fatal.
pub fn replace_file<D: Disk>(disk: &D, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = with_suffix(path, NEW);
    let file = create_afresh(disk, &new)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&new, path)?;
    disk.sync_dir(parent(path))
}

/// Creates a file, removing what an interrupted call left under the name.
pub(crate) fn create_afresh<D: Disk>(disk: &D, path: &Path) -> io::Result<D::File> {
    if exists(disk, path)? {
        disk.remove(path)?;
    }
    disk.open(path, OpenMode::CreateNew)
}

/// Removes what interrupted copies left in a folder: `.new` files, which nothing ever reads.
///
/// Order: unlink; not synced. A crash may bring them back, until the next start.
pub(crate) fn remove_unfinished<D: Disk>(disk: &D, folder: &Path) -> io::Result<()> {
    for name in disk.list(folder)?.iter().filter(|name| name.ends_with(NEW)) {
        disk.remove(&folder.join(name))?;
    }
    Ok(())
}

/// Writes a copy of damaged bytes to the folder `corrupt`, under a name that nothing bears yet, and syncs it.
///
/// Order: folder, file, content, sync of the file, of `corrupt`, of the data folder. A crash leaves the original, which
/// the caller removes only afterwards, and perhaps a part of the copy.
///
/// # Errors
/// As the system has it; after a failed sync fatal.
pub fn set_aside<D: Disk>(disk: &D, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = free_name(disk, name)?;
    let file = disk.open(&path, OpenMode::CreateNew)?;
    file.write_at(bytes, 0)?;
    file.sync_data()?;
    disk.sync_dir(Path::new(CORRUPT))?;
    disk.sync_dir(Path::new(""))?;
    Ok(path)
}

/// Moves a file or folder to the folder `corrupt`, under a name that nothing bears yet.
///
/// Order: folder, rename, sync of `corrupt`, of the folder it came from. A crash leaves it under the old or new name.
///
/// # Errors
/// As the system has it; after a failed sync fatal.
pub fn move_aside<D: Disk>(disk: &D, path: &Path, name: &str) -> io::Result<PathBuf> {
    let to = free_name(disk, name)?;
    disk.rename(path, &to)?;
    disk.sync_dir(Path::new(CORRUPT))?;
    disk.sync_dir(parent(path))?;
    if !parent(path).as_os_str().is_empty() {
        disk.sync_dir(Path::new(""))?;
    }
    Ok(to)
}

fn free_name<D: Disk>(disk: &D, name: &str) -> io::Result<PathBuf> {
    let corrupt = Path::new(CORRUPT);
    disk.create_dir(corrupt)?;
    let taken = disk.list(corrupt)?;
    let free = (0u32..).map(|number| format!("{name}.{number}")).find(|name| !taken.contains(name));
    free.map(|name| corrupt.join(name)).ok_or_else(|| io::Error::other("no free name in corrupt/"))
}

/// `path` with `suffix` behind its last component.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder of `path`; empty for a name in the data folder.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
