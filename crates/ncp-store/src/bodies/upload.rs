//! One upload, chunk by chunk.

use std::fmt;
use std::io;
use std::path::Path;

use ncp_protocol::body::{RootHasher, chunk_hash};
use ncp_protocol::codec::{self, Prefix};
use ncp_protocol::ids::{Digest, UnixMillis};
use ncp_protocol::limits::CHUNK_SEALED;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Bodies, Claim, Expect, FOLDER, Start, path, remove_beginning, remove_if_there};
use crate::disk::{Disk, DiskFile, OpenMode, create_afresh, exists, read_exact_at, read_file};
use crate::limits::UPLOAD_SYNC_BYTES;
use crate::spool::BodyName;

/// Why an upload does not go on.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The disk failed over this upload. Fatal for the daemon, unless the disk is merely full: nothing rests on an unfinished
    /// upload.
    #[error("an upload cannot be written")]
    Io(#[from] io::Error),
    /// The names of bodies could not be synced, now or earlier. Fatal for the daemon, also when the disk is merely full: what
    /// a look finds there may be in memory alone.
    #[error("the names of bodies cannot be made durable")]
    Names(#[source] io::Error),
    /// Someone is at this upload already.
    #[error("the same upload is under way")]
    Busy,
    /// The peer's uploads would come to more than its quota.
    #[error("the quota for uploads is used up")]
    Quota,
    /// A chunk that is empty or longer than a chunk, one behind a short one, or more bytes or fewer than declared.
    #[error("chunks of another length than declared")]
    Length,
    /// The chunks do not lead to the declared root. The upload has been thrown away.
    #[error("the chunks do not lead to the declared root")]
    Root,
    /// The upload failed before.
    #[error("the upload has failed before")]
    Stopped,
}

/// An upload under way. Dropping it keeps what has been synced.
pub struct Upload<D: Disk> {
    bodies: Bodies<D>,
    claim: Claim,
    file: D::File,
    note_file: D::File,
    touched: UnixMillis,
    root: RootHasher,
    length: u64,
    synced: u64,
    stopped: bool,
}

impl<D: Disk> fmt::Debug for Upload<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, length, synced, .. } = self;
        f.debug_struct("Upload").field("stem", &claim.stem).field("length", length).field("synced", synced).finish()
    }
}

impl<D: Disk> Upload<D> {
    pub(super) fn open(bodies: Bodies<D>, claim: Claim, start: Start, touched: UnixMillis) -> io::Result<Self> {
        let disk = &bodies.disk;
        let (part, note) = (claim.folder().join(claim.stem.part()), claim.folder().join(claim.stem.note()));
        let beginning = match start {
            Start::Resume => Beginning::find(disk, &part, &note)?,
            Start::Afresh => None,
        };
        let Beginning { file, note_file, root, length } = match beginning {
            Some(beginning) => beginning,
            None => Beginning {
                file: create_afresh(disk, &part)?,
                note_file: create_afresh(disk, &note)?,
                root: RootHasher::new(),
                length: 0,
            },
        };
        // What lies behind the synced chunks may be anything.
        file.truncate(length)?;
        let upload = Self { claim, file, note_file, touched, root, length, synced: length, stopped: false, bodies };
        upload.write_note()?;
        Ok(upload)
    }

    /// Number of the chunk that is wanted next.
    #[must_use]
    pub fn next_chunk(&self) -> u64 {
        self.root.chunks()
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next chunk, all of them full but the last.
    ///
    /// Order: one write; after every few MiB the file is synced, then its note. A crash leaves what was synced and noted.
    ///
    /// # Errors
    /// [`UploadError`]; what came before stays.
    pub fn append(&mut self, chunk: &[u8]) -> Result<(), UploadError> {
        self.check_length(chunk.len())?;
        self.guard(|upload| {
            upload.file.write_at(chunk, upload.length)?;
            upload.length += chunk.len() as u64;
            upload.root.push(chunk_hash(chunk));
            if upload.length - upload.synced >= UPLOAD_SYNC_BYTES { upload.sync() } else { Ok(()) }
        })
    }

    fn check_length(&self, chunk: usize) -> Result<(), UploadError> {
        let after_full = self.length.is_multiple_of(CHUNK_SEALED as u64);
        let rest = self.claim.stem.expect.reserved() - self.length;
        let fits = match self.claim.stem.expect {
            Expect::Root { .. } => chunk as u64 == rest.min(CHUNK_SEALED as u64),
            Expect::Any { .. } => chunk as u64 <= rest && chunk <= CHUNK_SEALED,
        };
        if chunk > 0 && after_full && fits { Ok(()) } else { Err(UploadError::Length) }
    }

    /// Syncs what has come so far, so that nothing of it has to come again: for a link that ends in good order.
    ///
    /// # Errors
    /// [`UploadError::Io`] and [`UploadError::Names`], as fatal as they say.
    pub fn pause(mut self) -> Result<(), UploadError> {
        self.guard(Self::sync)
    }

    /// Syncs the file, then says so in its note: a note never claims more than is durable.
    fn sync(&mut self) -> Result<(), UploadError> {
        // A short chunk is the last one, which finishing writes anew if it must: only full chunks can be gone on from.
        if self.length == self.synced || !self.length.is_multiple_of(CHUNK_SEALED as u64) {
            return Ok(());
        }
        self.file.sync_data()?;
        self.synced = self.length;
        self.write_note()?;
        self.note_file.sync_data()?;
        self.bodies.sync_names(&self.claim.folder()).map_err(UploadError::Names)
    }

    fn write_note(&self) -> io::Result<()> {
        let Self { touched, synced, .. } = *self;
        self.note_file.write_at(&Note { touched, synced, root: self.root.clone().finish() }.encode(), 0)
    }

    /// Verifies the body and makes it one: whole, durable, under its name.
    ///
    /// Order: sync the file; rename it; sync `bodies`, then the peer's folder; remove the note. A crash leaves the upload to
    /// be resumed, or the body.
    ///
    /// # Errors
    /// [`UploadError::Length`] if chunks are missing, and the upload stays to be resumed; [`UploadError::Root`], and it is
    /// thrown away; [`UploadError::Io`]; [`UploadError::Names`].
    pub fn finish(mut self) -> Result<BodyName, UploadError> {
        let stem = self.claim.stem;
        let root = self.root.clone().finish();
        let (whole, agrees) = match stem.expect {
            Expect::Root { root: expected, length } => (self.length == length, root == expected),
            Expect::Any { .. } => (self.length > 0, true),
        };
        if !whole {
            return Err(UploadError::Length);
        }
        if !agrees {
            self.guard(|upload| upload.throw_away())?;
            return Err(UploadError::Root);
        }
        let name = BodyName { originator: stem.originator, message: stem.message, root };
        self.guard(|upload| upload.complete(&name))?;
        Ok(name)
    }

    /// Gives the upload up and removes what came.
    ///
    /// # Errors
    /// [`UploadError::Io`].
    pub fn abandon(mut self) -> Result<(), UploadError> {
        self.guard(|upload| upload.throw_away())
    }

    fn throw_away(&self) -> io::Result<()> {
        remove_beginning(&self.bodies.disk, self.claim.peer, self.claim.stem)?;
        self.claim.release_bytes();
        Ok(())
    }

    fn complete(&self, name: &BodyName) -> Result<(), UploadError> {
        let disk = &self.bodies.disk;
        let folder = self.claim.folder();
        self.file.sync_data()?;
        disk.rename(&folder.join(self.claim.stem.part()), &path(name))?;
        self.bodies.sync_names(Path::new(FOLDER)).map_err(UploadError::Names)?;
        self.bodies.sync_names(&folder).map_err(UploadError::Names)?;
        remove_if_there(disk, &folder.join(self.claim.stem.note()))?;
        self.claim.release_bytes();
        Ok(())
    }

    /// Runs what writes; after an error nothing more is written.
    fn guard<E>(&mut self, write: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), UploadError>
    where
        UploadError: From<E>,
    {
        if self.stopped {
            return Err(UploadError::Stopped);
        }
        let result = write(self);
        self.stopped = result.is_err();
        Ok(result?)
    }
}

/// What an earlier upload of the same name left.
struct Beginning<F> {
    file: F,
    note_file: F,
    root: RootHasher,
    length: u64,
}

impl<F: DiskFile> Beginning<F> {
    /// The synced chunks, read again: only what the disk still gives, and what leads to the noted root, is gone on from.
    fn find<D: Disk<File = F>>(disk: &D, part: &Path, note: &Path) -> io::Result<Option<Self>> {
        if !exists(disk, part)? || !exists(disk, note)? {
            return Ok(None);
        }
        let note_file = disk.open(note, OpenMode::Write)?;
        let Some(note) = Note::decode(&read_file(disk, note)?) else { return Ok(None) };
        let file = disk.open(part, OpenMode::Write)?;
        if file.len()? < note.synced || !note.synced.is_multiple_of(CHUNK_SEALED as u64) {
            return Ok(None);
        }
        let (mut root, mut length) = (RootHasher::new(), 0);
        let mut chunk = vec![0; CHUNK_SEALED];
        while length < note.synced {
            read_exact_at(&file, &mut chunk, length)?;
            root.push(chunk_hash(&chunk));
            length += CHUNK_SEALED as u64;
        }
        Ok((root.clone().finish() == note.root).then_some(Self { file, note_file, root, length }))
    }
}

const NOTE_PREFIX: Prefix = Prefix::new(b'U', 1);
const NOTE_LEN_MAX: usize = 64;

/// What is written beside an upload: how much of it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// When someone last took the upload up.
    pub(super) touched: UnixMillis,
    /// Bytes that are synced: full chunks.
    synced: u64,
    /// Root over these chunks.
    root: Digest,
}

impl Note {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = NOTE_PREFIX.encode(self);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk()?;
        let whole = crc32c::crc32c(body) == u32::from_le_bytes(*crc);
        NOTE_PREFIX.decode(body, NOTE_LEN_MAX).ok().filter(|_: &Self| whole)
    }
}

const _: () = assert!(codec::PREFIX_LEN + 8 + 8 + 32 <= NOTE_LEN_MAX);
