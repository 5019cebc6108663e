//! Bodies too large for a record: files of their own, and the uploads that bring them.
//!
//! An upload grows in `incoming/<peer>/`, is synced every few MiB and resumes at the last synced chunk; when its root
//! agrees it is synced and renamed to `bodies/<originator>-<message>-<root>`. A body is therefore whole, verified and
//! durable before any event names it. What lies in `incoming` counts against its peer's quota with its full declared
//! length and may be removed when it is old; a body goes only when the caller says so. A failed sync of names is fatal, like
//! everywhere in this crate; one of an upload's own file for want of room costs that upload alone. Known gap: a body file has no checksum but its root, which a reader of single chunks does not
//! compute; whoever opens the body finds out, and [`BodyReader::root`] tells.
//!
//! [`Bodies`] is shared by all links; an [`Upload`] belongs to one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ncp_protocol::ids::{Digest, MessageId, ParticipantId, UnixMillis};

use crate::disk::{
    Disk, DiskFile, NEW, OpenMode, create_afresh, exists, parent, read_file, remove_unfinished, with_suffix,
};
use crate::spool::BodyName;

mod name;
mod names;
mod read;
mod upload;

use name::Stem;
use names::Names;
pub use read::BodyReader;
pub use upload::{Upload, UploadError};

/// Folder of whole bodies.
pub const FOLDER: &str = "bodies";
/// Folder of uploads, one folder for each peer.
pub const INCOMING: &str = "incoming";

/// What an upload must turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expect {
    /// A body of this root and length.
    Root {
        /// Root over its chunks.
        root: Digest,
        /// Bytes.
        length: u64,
    },
    /// Anything up to this length: what this daemon seals itself, and blobs of its own services.
    Any {
        /// Most bytes.
        limit: u64,
    },
}

impl Expect {
    /// Bytes that count against the quota.
    fn reserved(self) -> u64 {
        match self {
            Self::Root { length, .. } => length,
            Self::Any { limit } => limit,
        }
    }
}

/// What to do with the beginning that an earlier upload of the same name left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Go on behind its last synced chunk.
    Resume,
    /// Begin anew: the same name brings other bytes, as after sealing afresh.
    Afresh,
}

/// An upload that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct UploadRequest {
    /// Who brings it; this daemon's own id for what it makes itself.
    pub peer: ParticipantId,
    /// Whose message it belongs to.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// What it must turn out to be.
    pub expect: Expect,
    /// What to do with an earlier beginning.
    pub start: Start,
    /// The time, for finding old leftovers later.
    pub now: UnixMillis,
    /// Most bytes that the peer's uploads together may declare.
    pub quota: u64,
}

/// How an upload begins.
#[derive(Debug)]
pub enum Begun<D: Disk> {
    /// The body is there already.
    Complete(BodyReader<D>),
    /// Chunks are wanted from [`Upload::next_chunk`] on.
    Upload(Box<Upload<D>>),
}

/// A beginning that nobody works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leftover {
    /// Who brought it.
    pub peer: ParticipantId,
    stem: Stem,
}

/// Body files and uploads. Clones share them.
pub struct Bodies<D: Disk> {
    disk: D,
    shared: Arc<Mutex<Shared>>,
    names: Arc<Names>,
}

#[derive(Default)]
struct Shared {
    // Bytes that each beginning in `incoming` may come to.
    reserved: BTreeMap<ParticipantId, BTreeMap<Stem, u64>>,
    // Uploads that someone works on.
    active: BTreeSet<(ParticipantId, Stem)>,
}

impl<D: Disk> Clone for Bodies<D> {
    fn clone(&self) -> Self {
        Self { disk: self.disk.clone(), shared: Arc::clone(&self.shared), names: Arc::clone(&self.names) }
    }
}

impl<D: Disk> fmt::Debug for Bodies<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bodies").finish_non_exhaustive()
    }
}

impl<D: Disk> Bodies<D> {
    /// Opens the folders, making them at the first start, and counts what earlier uploads left.
    ///
    /// Order: folders, sync of the data folder, of `bodies`: a process that was killed between rename and sync left a body
    /// whose name a power cut would take. A crash leaves some of the folders.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn open(disk: D) -> io::Result<Self> {
        for folder in [FOLDER, INCOMING] {
            disk.create_dir(Path::new(folder))?;
        }
        disk.sync_dir(Path::new(""))?;
        disk.sync_dir(Path::new(FOLDER))?;
        remove_unfinished(&disk, Path::new(FOLDER))?;
        let mut shared = Shared::default();
        for peer in disk.list(Path::new(INCOMING))? {
            let Ok(peer) = peer.parse() else { continue };
            shared.reserved.insert(peer, beginnings(&disk, peer)?);
        }
        Ok(Self { disk, shared: Arc::new(Mutex::new(shared)), names: Arc::default() })
    }

    /// Begins or resumes an upload.
    ///
    /// Order: the peer's folder, synced; the file, not synced: a crash before the first sync leaves nothing or a beginning
    /// that counts for nothing.
    ///
    /// # Errors
    /// [`UploadError`].
    pub fn upload(&self, request: &UploadRequest) -> Result<Begun<D>, UploadError> {
        let stem = Stem { originator: request.originator, message: request.message, expect: request.expect };
        if let Some(body) = self.complete(request)? {
            // It may have been renamed by somebody who has not come to the sync yet.
            self.sync_names(Path::new(FOLDER)).map_err(UploadError::Names)?;
            return Ok(Begun::Complete(body));
        }
        let claim = self.claim(request, stem)?;
        let folder = incoming(request.peer);
        if !exists(&self.disk, &folder)? {
            self.disk.create_dir(&folder)?;
            self.sync_names(Path::new(INCOMING)).map_err(UploadError::Names)?;
        }
        Ok(Begun::Upload(Box::new(Upload::open(self.clone(), claim, request.start, request.now)?)))
    }

    /// The body, if it is there.
    fn complete(&self, request: &UploadRequest) -> Result<Option<BodyReader<D>>, UploadError> {
        let Expect::Root { root, length } = request.expect else { return Ok(None) };
        let name = BodyName { originator: request.originator, message: request.message, root };
        let Some(body) = self.read(&name)? else { return Ok(None) };
        // One root has one length; whoever declares another cannot bring it.
        if body.len() == length { Ok(Some(body)) } else { Err(UploadError::Length) }
    }

    /// Syncs the names in a folder, unless that failed before.
    fn sync_names(&self, folder: &Path) -> io::Result<()> {
        self.names.sync(folder, || self.disk.sync_dir(folder))
    }

    /// Reserves the bytes and the name.
    fn claim(&self, request: &UploadRequest, stem: Stem) -> Result<Claim, UploadError> {
        let mut shared = self.shared();
        if shared.active.contains(&(request.peer, stem)) {
            return Err(UploadError::Busy);
        }
        let reserved = shared.reserved.entry(request.peer).or_default();
        let others = reserved.iter().filter(|(other, _)| **other != stem).map(|(_, bytes)| bytes);
        let others = others.fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        if others.saturating_add(stem.expect.reserved()) > request.quota {
            return Err(UploadError::Quota);
        }
        reserved.insert(stem, stem.expect.reserved());
        shared.active.insert((request.peer, stem));
        Ok(Claim { shared: Arc::clone(&self.shared), peer: request.peer, stem })
    }

    /// A body file, `None` if there is none of this name.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn read(&self, name: &BodyName) -> io::Result<Option<BodyReader<D>>> {
        match self.disk.open(&path(name), OpenMode::Read) {
            Ok(file) => Ok(Some(BodyReader::from_file(file)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a body file; one that is not there is fine.
    ///
    /// Order: unlink, sync the folder. A crash leaves it there or gone.
    ///
    /// # Errors
    /// As the disk has it; after a failed sync fatal.
    pub fn remove(&self, name: &BodyName) -> io::Result<()> {
        remove_if_there(&self.disk, &path(name))?;
        self.sync_names(Path::new(FOLDER))
    }

    /// Writes a body to a new file, since after an unclean start what calls see may be in memory alone; checks its root.
    ///
    /// Order: `<name>.new` written and synced, renamed over the body, folder synced. A crash leaves the old or the new file,
    /// with the same bytes, and perhaps a `.new` that is never read.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if the bytes do not lead to the root, and then nothing is changed; otherwise as the
    /// disk has it.
    pub fn renew(&self, name: &BodyName) -> io::Result<()> {
        let path = path(name);
        let body = BodyReader::<D>::from_file(self.disk.open(&path, OpenMode::Read)?)?;
        let new = with_suffix(&path, NEW);
        let file = create_afresh(&self.disk, &new)?;
        let mut end = 0;
        let root = body.each_chunk(|chunk| {
            file.write_at(chunk, end)?;
            end += chunk.len() as u64;
            Ok(())
        })?;
        if root != name.root {
            self.disk.remove(&new)?;
            return Err(crate::disk::io_damaged("a body does not lead to its root"));
        }
        file.sync_data()?;
        self.disk.rename(&new, &path)?;
        self.disk.sync_dir(parent(&path))
    }

    /// Names of all body files, in order.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn list(&self) -> io::Result<Vec<BodyName>> {
        Ok(self.disk.list(Path::new(FOLDER))?.iter().filter_map(|name| name::parse_body(name)).collect())
    }

    /// Bytes that count against a peer's quota.
    #[must_use]
    pub fn incoming(&self, peer: ParticipantId) -> u64 {
        let shared = self.shared();
        shared.reserved.get(&peer).map_or(0, |stems| stems.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)))
    }

    /// Beginnings that were last taken up before `before`, or at a time that cannot be read, and on which nobody works.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn leftovers(&self, before: UnixMillis) -> io::Result<Vec<Leftover>> {
        let candidates: Vec<(ParticipantId, Stem)> = {
            let shared = self.shared();
            let all = shared.reserved.iter().flat_map(|(peer, stems)| stems.keys().map(|stem| (*peer, *stem)));
            all.filter(|candidate| !shared.active.contains(candidate)).collect()
        };
        let mut leftovers = Vec::new();
        for (peer, stem) in candidates {
            let path = incoming(peer).join(stem.note());
            let note =
                if exists(&self.disk, &path)? { upload::Note::decode(&read_file(&self.disk, &path)?) } else { None };
            if note.is_none_or(|note| note.touched < before) {
                leftovers.push(Leftover { peer, stem });
            }
        }
        Ok(leftovers)
    }

    /// Removes a beginning, unless someone works on it by now.
    ///
    /// Order: unlink; not synced. A crash may bring it back, as a leftover again.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn discard(&self, leftover: &Leftover) -> io::Result<()> {
        let mut shared = self.shared();
        if shared.active.contains(&(leftover.peer, leftover.stem)) {
            return Ok(());
        }
        remove_beginning(&self.disk, leftover.peer, leftover.stem)?;
        shared.release(leftover.peer, leftover.stem);
        Ok(())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Shared {
    fn release(&mut self, peer: ParticipantId, stem: Stem) {
        if let Some(stems) = self.reserved.get_mut(&peer) {
            stems.remove(&stem);
        }
    }
}

/// The right to work on one upload; ends with its owner.
struct Claim {
    shared: Arc<Mutex<Shared>>,
    peer: ParticipantId,
    stem: Stem,
}

impl Claim {
    fn folder(&self) -> PathBuf {
        incoming(self.peer)
    }

    /// Nothing is in `incoming` any more.
    fn release_bytes(&self) {
        lock(&self.shared).release(self.peer, self.stem);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.shared).active.remove(&(self.peer, self.stem));
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // The sets are whole whatever panicked with the lock held: each change to them is one call.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn incoming(peer: ParticipantId) -> PathBuf {
    Path::new(INCOMING).join(peer.as_str())
}

fn path(name: &BodyName) -> PathBuf {
    Path::new(FOLDER).join(name::body_file(name))
}

/// What lies in a peer's folder, with the bytes it may come to. Notes whose upload has become a body are removed.
fn beginnings<D: Disk>(disk: &D, peer: ParticipantId) -> io::Result<BTreeMap<Stem, u64>> {
    let names = disk.list(&incoming(peer))?;
    let stems = |suffix| names.iter().filter_map(move |name: &String| Stem::parse(name.strip_suffix(suffix)?));
    let parts: BTreeMap<Stem, u64> = stems(".part").map(|stem| (stem, stem.expect.reserved())).collect();
    for stem in stems(".note").filter(|stem| !parts.contains_key(stem)) {
        disk.remove(&incoming(peer).join(stem.note()))?;
    }
    Ok(parts)
}

fn remove_if_there<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_beginning<D: Disk>(disk: &D, peer: ParticipantId, stem: Stem) -> io::Result<()> {
    remove_if_there(disk, &incoming(peer).join(stem.part()))?;
    remove_if_there(disk, &incoming(peer).join(stem.note()))
}

#[cfg(test)]
mod tests;
