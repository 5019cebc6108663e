//! The operating system's disk. Files are created 0600, folders 0700; links are never followed below the data folder.
//!
//! Several files are synced at the same time by threads that stay: each group syncs, and a thread for each sync would cost
//! more than a fast disk does.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Disk, DiskFile, OpenMode};

const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);

/// How long to wait for a descriptor before the next attempt.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(50);

/// Threads that sync files beside the one that asks: as many as a group has files, less one.
const SYNCERS: usize = 3;

/// A data folder on the operating system's disk.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: Arc<File>,
    // Where files wait to be synced; begun with the first, ends with the last clone of the disk.
    syncers: Arc<OnceLock<Sender<Waiting>>>,
}

/// An open file. Clones share it.
#[derive(Debug, Clone)]
pub struct RealFile(Arc<File>);

impl AsFd for RealFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A file that waits to be synced, and who wants to know.
struct Waiting {
    file: RealFile,
    done: Sender<io::Result<()>>,
}

impl RealDisk {
    /// Opens the data folder `root`, which must exist.
    ///
    /// # Errors
    /// As the system has it.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        Ok(Self { root: Arc::new(File::from(root)), syncers: Arc::default() })
    }

    /// The data folder's own handle.
    pub(crate) fn root(&self) -> &File {
        &self.root
    }

    fn open_dir(&self, dir: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = inside(dir)?;
        opened(|| rustix::fs::openat(&self.root, &dir, flags, Mode::empty()))
    }
}

/// Opens, waiting while process or system have no descriptor left. That passes as connections end, and nothing was written
/// or lost: a daemon that stopped for it would come back to the same load.
fn opened(open: impl Fn() -> rustix::io::Result<OwnedFd>) -> io::Result<File> {
    let mut told = false;
    loop {
        match open() {
            Ok(file) => return Ok(File::from(file)),
            Err(error @ (Errno::MFILE | Errno::NFILE)) => {
                if !told {
                    tracing::warn!(%error, "no descriptor left: waiting for one");
                    told = true;
                }
                thread::sleep(DESCRIPTOR_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// `path` if it stays inside the data folder; the empty path becomes `.`.
fn inside(path: &Path) -> io::Result<PathBuf> {
    if !path.components().all(|component| matches!(component, Component::Normal(_))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() })
}

impl Disk for RealDisk {
    type File = RealFile;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<RealFile> {
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let flags = flags
            | match mode {
                OpenMode::Read => OFlags::RDONLY,
                OpenMode::Write => OFlags::RDWR,
                OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
            };
        let path = inside(path)?;
        opened(|| rustix::fs::openat(&self.root, &path, flags, FILE_MODE)).map(|file| RealFile(Arc::new(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(self.open_dir(dir)?)? {
            let entry = entry?;
            let name = entry.file_name().to_str().map_err(|_| super::io_damaged("a name that is not text"))?;
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.root, inside(dir)?, FOLDER_MODE) {
            Ok(()) => Ok(()),
            // What bears the name must be a folder.
            Err(Errno::EXIST) => self.open_dir(dir).map(drop),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.root, inside(from)?, &self.root, inside(to)?)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.root, inside(path)?, AtFlags::empty())?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let system = rustix::fs::fstatvfs(&self.root)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    fn sync_all(&self, files: &[&RealFile]) -> io::Result<()> {
        let Some((first, others)) = files.split_first() else { return Ok(()) };
        let (done, results) = channel();
        let mut outcomes = Vec::with_capacity(files.len());
        for file in others {
            let waiting = Waiting { file: (*file).clone(), done: done.clone() };
            if let Err(back) = self.syncers.get_or_init(start_syncers).send(waiting) {
                // No thread could be had: it is synced here.
                outcomes.push(back.0.file.sync_data());
            }
        }
        drop(done);
        outcomes.push(first.sync_data());
        // Ends when each of them was synced or let go of.
        outcomes.extend(results);
        if outcomes.len() < files.len() {
            outcomes.push(Err(io::Error::other("a sync panicked")));
        }
        outcomes.into_iter().collect()
    }
}

/// Threads that sync what waits, and tell.
fn start_syncers() -> Sender<Waiting> {
    let (sender, files) = channel();
    let files = Arc::new(Mutex::new(files));
    for _ in 0..SYNCERS {
        let files = Arc::clone(&files);
        // Fewer threads are slower and no less right; without any the channel is closed.
        let _ = thread::Builder::new().name("sync".to_owned()).spawn(move || sync_waiting(&files));
    }
    sender
}

fn sync_waiting(files: &Mutex<Receiver<Waiting>>) {
    loop {
        let next = files.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Waiting { file, done }) = next else { return };
        // Whoever asked waits for it.
        let _ = done.send(file.sync_data());
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut end = DiskFile::len(self)?;
        if end >= len {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), end, len - end) {
            // A file system without the call gets its blocks from the zeros alone.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
        // Blocks that are reserved but never written are marked at their first write, and each sync would carry the mark.
        while end < len {
            let part = usize::try_from(len - end).unwrap_or(usize::MAX).min(ZEROS.len());
            self.0.write_all_at(ZEROS.get(..part).unwrap_or(&ZEROS), end)?;
            end += part as u64;
        }
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.allocate(len),
            reserved => Ok(reserved?),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}
