//! What of a data folder goes into a backup, and how a folder comes out of one.
//!
//! A copy is taken beside the running daemon, which is not asked. It is one of a single moment: the one that the file
//! `signed` states. Events from there on are left out, and the file itself is written anew to say the same. Everything that
//! is copied grows at its end or never changes: what lay there at that moment lies there still, at the same place, as long
//! as its file does. Files go when a later event lets their content go; a file that was there before the moment was read
//! and is gone when it is to be copied spoils the copy, and whoever takes it begins again ([`CopyError::Changed`]).
//!
//! | copied | not copied |
//! |---|---|
//! | `format`, `held`, `forked`, `credential.conf`, all of `keys/` and `network/` | `lock`, `restored`, `ballast` |
//! | `journal/`: segments up to the last group of the moment | `index/`, `index.old/`, `levels/`: made again by a start |
//! | `spool/`, `bodies/`, `snapshots/` up to the moment | `incoming/`: sent again; `corrupt/`: never read |
//! | `signed`, with what it stated at the moment | |
//!
//! Zeros at the end of a file are not copied, only counted.
//!
//! A folder that came out of a backup bears the mark [`RESTORED`], and no daemon opens it: its log would go on from a place
//! that others have seen it pass.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::disk::{Disk, DiskFile, OpenMode, RealDisk, RealFile, exists, io_damaged, last_nonzero, read_exact_at};
use crate::forked::FORKED;
use crate::journal::{self, JournalError, JournalReader, LogNote};
use crate::keyfiles::{KEYS, NETWORK};
use crate::signed::{self, SignedError, SignedState};
use crate::spool::Class;
use crate::{bodies, snapshot, spool};

/// The mark of a folder that came out of a backup.
pub const RESTORED: &str = "restored";
/// Files at the top of a data folder that are copied as they are.
const TOP: [&str; 4] = ["format", "held", FORKED, "credential.conf"];
/// How much is read at a time.
const PIECE: usize = 1 << 20;

/// Why a copy failed.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something went while it was copied; the next try may succeed.
    #[error("{0} went while it was copied")]
    Changed(String),
    /// The folder is not whole.
    #[error("{0}")]
    Damaged(String),
}

/// A file of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its path in the data folder, with `/`.
    pub path: String,
    /// Its length.
    pub length: u64,
    /// How much of it is copied; zeros follow.
    pub stored: u64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    File,
    Bytes(Vec<u8>),
}

/// A copy to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Events below this sequence are in it.
    pub next: u64,
    /// Signed checkpoint of each log at that place.
    pub notes: Vec<LogNote>,
    /// Its files, in order.
    pub items: Vec<Item>,
}

/// Looks what a copy of the folder consists of. Changes nothing.
///
/// # Errors
/// [`CopyError`].
pub fn survey<D: Disk>(disk: &D) -> Result<Survey, CopyError> {
    let before = passing(disk)?;
    let state = signed::read(disk).map_err(|error| match error {
        SignedError::Io(error) => CopyError::Io(error),
        SignedError::Damaged => CopyError::Damaged(error.to_string()),
    })?;
    let state = state.unwrap_or(SignedState { next: 0, notes: Vec::new() });
    let after = passing(disk)?;
    if let Some(gone) = before.iter().find(|path| !after.contains(path)) {
        return Err(CopyError::Changed(gone.clone()));
    }
    let mut items = Vec::new();
    for path in TOP.iter().map(|name| (*name).to_owned()).chain(names(disk, KEYS)?).chain(names(disk, NETWORK)?) {
        if exists(disk, Path::new(&path))? {
            items.push(item(disk, path)?);
        }
    }
    journal_items(disk, state.next, &mut items)?;
    for path in after {
        items.push(item(disk, path)?);
    }
    for applied in snapshot::list(disk)?.into_iter().filter(|applied| *applied <= state.next) {
        items.push(item(disk, snapshot::path(applied).display().to_string())?);
    }
    if state.next > 0 {
        let bytes = signed::file_of(&state);
        let (length, stored) = (bytes.len() as u64, bytes.len() as u64);
        items.push(Item { path: signed::FILE.to_owned(), length, stored, content: Content::Bytes(bytes) });
    }
    Ok(Survey { next: state.next, notes: state.notes, items })
}

/// Files that may go: segments of the spool, and bodies.
fn passing<D: Disk>(disk: &D) -> io::Result<Vec<String>> {
    let mut paths = Vec::new();
    for class in Class::ALL {
        paths.extend(names(disk, &format!("{}/{}", spool::FOLDER, class.as_str()))?);
    }
    paths.extend(names(disk, bodies::FOLDER)?);
    Ok(paths)
}

/// Paths of the finished files in a folder; none if there is no folder.
fn names<D: Disk>(disk: &D, folder: &str) -> io::Result<Vec<String>> {
    match disk.list(Path::new(folder)) {
        Ok(names) => {
            let whole = names.iter().filter(|name| !name.ends_with(".new"));
            Ok(whole.map(|name| format!("{folder}/{name}")).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn item<D: Disk>(disk: &D, path: String) -> Result<Item, CopyError> {
    let file = open(disk, &path)?;
    let length = file.len()?;
    let stored = stored_len(&file, length)?;
    Ok(Item { path, length, stored, content: Content::File })
}

fn open<D: Disk>(disk: &D, path: &str) -> Result<D::File, CopyError> {
    disk.open(Path::new(path), OpenMode::Read).map_err(|error| {
        let gone = error.kind() == io::ErrorKind::NotFound;
        if gone { CopyError::Changed(path.to_owned()) } else { CopyError::Io(error) }
    })
}

/// Length without the zeros at the end.
fn stored_len(file: &impl DiskFile, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let piece = usize::try_from(end).map_or(PIECE, |end| end.min(PIECE));
        let begin = end - piece as u64;
        let mut bytes = vec![0; piece];
        read_exact_at(file, &mut bytes, begin)?;
        if let Some(last) = last_nonzero(&bytes) {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Segments of the journal below `next`, the last one up to its last group below it.
fn journal_items<D: Disk>(disk: &D, next: u64, items: &mut Vec<Item>) -> Result<(), CopyError> {
    if next == 0 {
        return Ok(());
    }
    let segments: Vec<u64> = journal::segments(disk)?.into_iter().filter(|first| *first < next).collect();
    let damaged = |error: JournalError| match error {
        JournalError::Io(error) => CopyError::Io(error),
        JournalError::Damaged(_) | JournalError::Missing(_) => CopyError::Damaged(error.to_string()),
    };
    let Some(last) = segments.last() else { return Err(damaged(JournalError::Missing(0))) };
    let mut end = 0;
    for group in JournalReader::new(disk.clone()).groups(*last, next) {
        let place = group.map_err(damaged)?.place;
        end = u64::from(place.offset) + u64::from(place.length);
    }
    for first in &segments {
        let mut item = item(disk, journal::segment_path(*first).display().to_string())?;
        if first == last {
            item.stored = end;
        }
        items.push(item);
    }
    Ok(())
}

/// Hands the stored bytes of a file to `out`, piece by piece.
///
/// # Errors
/// [`CopyError`], and whatever `out` fails with.
pub fn read<D: Disk>(disk: &D, item: &Item, out: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), CopyError> {
    if let Content::Bytes(bytes) = &item.content {
        return Ok(out(bytes)?);
    }
    let file = open(disk, &item.path)?;
    let mut bytes = vec![0; PIECE];
    let mut at = 0;
    while at < item.stored {
        let piece = usize::try_from(item.stored - at).map_or(PIECE, |left| left.min(PIECE));
        let bytes = bytes.get_mut(..piece).ok_or_else(|| io_damaged("a piece"))?;
        read_exact_at(&file, bytes, at)?;
        out(bytes)?;
        at += piece as u64;
    }
    Ok(())
}

/// A folder that is being made from a backup.
pub struct Restoring {
    disk: RealDisk,
    folders: Vec<PathBuf>,
}

/// A file of it.
pub struct RestoredFile {
    file: RealFile,
    length: u64,
    at: u64,
}

impl Restoring {
    /// Takes an empty folder, or makes one, closed to others, and marks it. `about` is what the mark says.
    ///
    /// Order: folder, mark, sync of both; everything else comes after, first the folders that every store has. A crash leaves
    /// a folder that no daemon opens.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if the folder holds anything; otherwise as the system has it.
    pub fn begin(folder: &Path, about: &str) -> io::Result<Self> {
        match std::fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let disk = RealDisk::open(folder)?;
        if !disk.list(Path::new(""))?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty"));
        }
        let mut mark = String::new();
        let _ = writeln!(mark, "{about}");
        let file = disk.open(Path::new(RESTORED), OpenMode::CreateNew)?;
        file.write_at(mark.as_bytes(), 0)?;
        file.sync_data()?;
        disk.sync_dir(Path::new(""))?;
        // A store has these from its first start on, also where nothing lies in one of them.
        let classes = Class::ALL.iter().map(|class| Path::new(spool::FOLDER).join(class.as_str()));
        let folders: Vec<PathBuf> =
            [PathBuf::from(bodies::FOLDER), PathBuf::from(spool::FOLDER)].into_iter().chain(classes).collect();
        for folder in &folders {
            disk.create_dir(folder)?;
        }
        Ok(Self { disk, folders })
    }

    /// Makes a file that will have `length` bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a path that no backup has; otherwise as the system has it.
    pub fn create(&mut self, path: &str, length: u64) -> io::Result<RestoredFile> {
        let path = Path::new(path);
        if !is_of_backup(path) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path that no backup has"));
        }
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for folder in above.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
            if !self.folders.iter().any(|made| made == folder) {
                self.disk.create_dir(folder)?;
                self.folders.push(folder.to_owned());
            }
        }
        let file = self.disk.open(path, OpenMode::CreateNew)?;
        Ok(RestoredFile { file, length, at: 0 })
    }

    /// Makes all names durable.
    ///
    /// # Errors
    /// As the system has it.
    pub fn finish(self) -> io::Result<()> {
        for folder in &self.folders {
            self.disk.sync_dir(folder)?;
        }
        self.disk.sync_dir(Path::new(""))
    }
}

impl RestoredFile {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// As the system has it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its length, with zeros, and syncs it.
    ///
    /// # Errors
    /// As the system has it; if more was written than the file has.
    pub fn finish(self) -> io::Result<()> {
        if self.at > self.length {
            return Err(io_damaged("more bytes than the file has"));
        }
        self.file.truncate(self.length)?;
        self.file.sync_data()
    }
}

/// Whether a backup can hold a file of this path: a file in one of the folders that are copied, or one of those at the top.
fn is_of_backup(path: &Path) -> bool {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    match parts.as_deref() {
        _ if !plain => false,
        Some([name]) => TOP.contains(name) || *name == signed::FILE,
        Some([folder, _]) => [KEYS, NETWORK, journal::FOLDER, bodies::FOLDER, snapshot::FOLDER].contains(folder),
        Some([folder, class, _]) => *folder == spool::FOLDER && Class::ALL.iter().any(|known| known.as_str() == *class),
        Some(_) | None => false,
    }
}

/// A file that is written piece by piece under a name that stands only once it is whole.
pub struct NewFile {
    file: std::fs::File,
    new: PathBuf,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file that only its owner may read. Nothing may bear the name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]; otherwise as the system has it.
    pub fn create(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let new = crate::disk::with_suffix(path, crate::disk::NEW);
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        Ok(Self { file, new, path: path.to_owned() })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// As the system has it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, bytes)
    }

    /// Gives the file its name.
    ///
    /// Order: sync of the file, link under the name, unlink the temporary name, sync of the folder. A crash leaves no file
    /// of this name or the whole one.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something took the name meanwhile; otherwise as the system has it.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        let linked = std::fs::hard_link(&self.new, &self.path);
        std::fs::remove_file(&self.new)?;
        linked?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(folder)?.sync_all()
    }

    /// Gives up: nothing of it stays.
    ///
    /// # Errors
    /// As the system has it.
    pub fn discard(self) -> io::Result<()> {
        std::fs::remove_file(&self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_a_backup_come_out_of_one() {
        for good in
            ["format", "signed", "keys/tls.key", "journal/0.seg", "spool/passing/0.seg", "bodies/x", "snapshots/y"]
        {
            assert!(is_of_backup(Path::new(good)), "{good}");
        }
        for bad in [
            "",
            "lock",
            "restored",
            "../keys/x",
            "/etc/passwd",
            "keys",
            "keys/a/b",
            "spool/x",
            "spool/other/x",
            "index/db",
            "keys/../x",
        ] {
            assert!(!is_of_backup(Path::new(bad)), "{bad}");
        }
    }

    #[test]
    fn the_mark_stands_before_anything_else_and_a_used_folder_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("restored");
        let mut restoring = Restoring::begin(&folder, "about").unwrap();
        assert_eq!(std::fs::read_to_string(folder.join(RESTORED)).unwrap(), "about\n");
        assert!(folder.join("spool/erasable").is_dir() && folder.join("bodies").is_dir());
        let mut file = restoring.create("spool/lasting/00000000.seg", 10_000).unwrap();
        file.write(b"head").unwrap();
        file.finish().unwrap();
        assert_eq!(restoring.create("lock", 0).err().unwrap().kind(), io::ErrorKind::InvalidInput);
        restoring.finish().unwrap();
        let bytes = std::fs::read(folder.join("spool/lasting/00000000.seg")).unwrap();
        assert!(bytes.len() == 10_000 && bytes.starts_with(b"head\0") && bytes.ends_with(&[0]));
        assert_eq!(Restoring::begin(&folder, "again").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn zeros_at_the_end_are_counted_and_not_read() {
        let disk = crate::disk::model::ModelDisk::new();
        let file = disk.open(Path::new("held"), OpenMode::CreateNew).unwrap();
        for (at, length) in [(0, 3 * PIECE as u64), (PIECE as u64 - 1, 3 * PIECE as u64), (7, 8)] {
            file.truncate(length).unwrap();
            assert_eq!(stored_len(&file, length).unwrap(), 0);
            file.write_at(b"x", at).unwrap();
            assert_eq!(stored_len(&file, length).unwrap(), at + 1);
            file.truncate(0).unwrap();
        }
    }

    #[test]
    fn what_is_written_under_a_new_name_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut new = NewFile::create(&path).unwrap();
        new.write(b"half").unwrap();
        assert!(!path.exists());
        new.discard().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut new = NewFile::create(&path).unwrap();
        new.write(b"whole").unwrap();
        new.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(NewFile::create(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
