//! The bytes of a backup: records and files, sealed as they are read and opened as they are written; one chunk in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::backup::{self, BackupHead, BackupOpener, BackupSealer, Place, SEALED_LEN, WRAP_LEN};
use ncp_protocol::codec;
use ncp_protocol::ids::Digest;
use ncp_protocol::keys::Sha256Hasher;
use ncp_protocol::wrap::SealingKey;
use ncp_store::backup::{CopyError, NewFile, Restoring, Survey, read};
use ncp_store::disk::RealDisk;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, file};

/// Longest record: the list of some hundred thousand files.
const RECORD_MAX: usize = 64 << 20;
/// How much is sealed before it is written.
const BUFFER_LEN: usize = 1 << 20;

/// What stands between the bytes of files. Order is the format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Record {
    /// A file, whose stored bytes follow.
    File {
        /// Its path in the data folder.
        path: String,
        /// Its length.
        length: u64,
        /// How many bytes follow; the rest is zeros.
        stored: u64,
    },
    /// All files, in order; nothing follows.
    End(Vec<Listed>),
}

/// A file in the list at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    path: String,
    length: u64,
    /// SHA-256 of the stored bytes.
    digest: Digest,
}

/// Why a backup is not written.
pub(super) enum WriteError {
    /// The folder.
    Copy(CopyError),
    /// The file.
    Out(io::Error),
}

/// The file, and what is sealed for it.
struct Out<'a> {
    sealer: BackupSealer,
    sealed: Vec<u8>,
    written: u64,
    new: &'a mut NewFile,
}

impl Out<'_> {
    fn take(&mut self, plain: &[u8]) -> io::Result<()> {
        self.sealer.update(plain, &mut self.sealed).map_err(io::Error::other)?;
        if self.sealed.len() < BUFFER_LEN { Ok(()) } else { self.flush() }
    }

    fn record(&mut self, record: &Record) -> io::Result<()> {
        let bytes = codec::encode(record);
        let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= RECORD_MAX);
        let length = length.ok_or_else(|| io::Error::other("more files than a backup can list"))?;
        self.take(&length.to_le_bytes())?;
        self.take(&bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.new.write(&self.sealed)?;
        self.written += self.sealed.len() as u64;
        self.sealed.clear();
        Ok(())
    }
}

/// Writes all of a survey; returns the length of the file.
pub(super) fn write(
    disk: &RealDisk,
    survey: &Survey,
    (sealer, begin): (BackupSealer, Vec<u8>),
    new: &mut NewFile,
) -> Result<u64, WriteError> {
    let mut out = Out { sealer, sealed: begin, written: 0, new };
    let mut list = Vec::new();
    for item in &survey.items {
        let record = Record::File { path: item.path.clone(), length: item.length, stored: item.stored };
        out.record(&record).map_err(WriteError::Out)?;
        let mut hasher = Sha256Hasher::default();
        let mut failed = None;
        let copied = read(disk, item, &mut |bytes| {
            hasher.update(bytes);
            out.take(bytes).map_err(|error| {
                let kind = error.kind();
                failed = Some(error);
                kind.into()
            })
        });
        if let Some(error) = failed {
            return Err(WriteError::Out(error));
        }
        copied.map_err(WriteError::Copy)?;
        list.push(Listed { path: item.path.clone(), length: item.length, digest: hasher.finish() });
    }
    out.record(&Record::End(list)).map_err(WriteError::Out)?;
    let Out { sealer, mut sealed, written, new } = out;
    sealer.finish(&mut sealed).map_err(|error| WriteError::Out(io::Error::other(error)))?;
    new.write(&sealed).map_err(WriteError::Out)?;
    Ok(written + sealed.len() as u64)
}

/// A backup, open to read.
pub(crate) struct Archive<'a> {
    path: &'a Path,
    head: BackupHead,
    content: Content,
}

/// The content as it is opened, chunk by chunk.
struct Content {
    source: BufReader<File>,
    opener: BackupOpener,
    chunk: Zeroizing<Vec<u8>>,
    at: usize,
    ended: bool,
}

impl<'a> Archive<'a> {
    /// Opens a backup with its keeper's key.
    ///
    /// # Errors
    /// [`ErrorCode::FileMissing`], [`ErrorCode::BackupUnusable`].
    pub(crate) fn open(path: &'a Path, key: &SealingKey) -> Result<Self, Error> {
        let source = File::open(path).map_err(|error| {
            let missing = || Error::from(ErrorCode::FileMissing.with("file", path.display()));
            if error.kind() == io::ErrorKind::NotFound { missing() } else { file(path, &error) }
        })?;
        let mut source = BufReader::with_capacity(2 * SEALED_LEN, source);
        let mut take = |length: usize| -> Result<Vec<u8>, Error> {
            let mut bytes = vec![0; length];
            source.read_exact(&mut bytes).map(|()| bytes).map_err(|error| {
                let short = || Error::from(unusable(path, &"it ends in its head"));
                if error.kind() == io::ErrorKind::UnexpectedEof { short() } else { file(path, &error) }
            })
        };
        let length: [u8; 4] = take(4)?.try_into().map_err(|_| unusable(path, &"it ends in its head"))?;
        let length = backup::head_len(length).map_err(|error| unusable(path, &error))?;
        let (head, wrap) = (take(length)?, take(WRAP_LEN)?);
        let opener = BackupOpener::begin(&head, &wrap, key).map_err(|error| unusable(path, &error))?;
        let head = backup::read_head(&head).map_err(|error| unusable(path, &error))?;
        let content = Content { source, opener, chunk: Zeroizing::new(Vec::new()), at: 0, ended: false };
        Ok(Self { path, head, content })
    }

    /// What it says of itself, proved by the key that opened it.
    pub(crate) fn head(&self) -> &BackupHead {
        &self.head
    }

    /// Writes all files, compares each with the list at the end, and returns their number and bytes.
    ///
    /// # Errors
    /// [`ErrorCode::BackupUnusable`], and what the disk says.
    pub(crate) fn unpack(&mut self, into: &mut Restoring) -> Result<(usize, u64), Error> {
        let mut found = Vec::new();
        loop {
            match self.record()? {
                Record::File { path, length, stored } => {
                    let digest = self.file(into, &path, length, stored)?;
                    found.push(Listed { path, length, digest });
                }
                Record::End(list) => {
                    self.compare(&found, &list)?;
                    return Ok((list.len(), list.iter().map(|listed| listed.length).sum()));
                }
            }
        }
    }

    /// Nothing is missing, nothing was added, and nothing follows.
    fn compare(&mut self, found: &[Listed], list: &[Listed]) -> Result<(), Error> {
        let by_path = |files: &[Listed]| -> BTreeMap<String, Listed> {
            files.iter().map(|listed| (listed.path.clone(), listed.clone())).collect()
        };
        let (found, listed) = (by_path(found), by_path(list));
        let differs = listed.iter().find(|(path, listed)| found.get(*path) != Some(listed));
        if let Some((path, _)) = differs {
            return Err(unusable(self.path, &format!("{path} is not the file that was copied")).into());
        }
        let mut rest = [0; 1];
        let more = self.content.read(&mut rest).map_err(|error| self.failed(&error))?;
        if found.len() != listed.len() || more > 0 {
            return Err(unusable(self.path, &"it holds more than it lists").into());
        }
        Ok(())
    }

    fn record(&mut self) -> Result<Record, Error> {
        let mut length = [0; 4];
        self.content.read_exact(&mut length).map_err(|error| self.failed(&error))?;
        let length = u32::from_le_bytes(length) as usize;
        if length > RECORD_MAX {
            return Err(unusable(self.path, &"a record is too long").into());
        }
        let mut bytes = vec![0; length];
        self.content.read_exact(&mut bytes).map_err(|error| self.failed(&error))?;
        Ok(codec::decode(&bytes, RECORD_MAX).map_err(|error| unusable(self.path, &error))?)
    }

    fn file(&mut self, into: &mut Restoring, path: &str, length: u64, stored: u64) -> Result<Digest, Error> {
        let out = |error: io::Error| file(Path::new(path), &error);
        let mut restored = into.create(path, length).map_err(out)?;
        let mut hasher = Sha256Hasher::default();
        let mut piece = vec![0; BUFFER_LEN];
        let mut left = stored;
        while left > 0 {
            let bytes = piece.get_mut(..usize::try_from(left).map_or(BUFFER_LEN, |left| left.min(BUFFER_LEN)));
            let bytes = bytes.unwrap_or_default();
            self.content.read_exact(bytes).map_err(|error| self.failed(&error))?;
            hasher.update(bytes);
            restored.write(bytes).map_err(out)?;
            left -= bytes.len() as u64;
        }
        restored.finish().map_err(out)?;
        Ok(hasher.finish())
    }

    fn failed(&self, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::InvalidData {
            return unusable(self.path, error).into();
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return unusable(self.path, &"it ends before its list").into();
        }
        file(self.path, error)
    }
}

impl Content {
    /// The next chunk; the last is the one behind which the file ends.
    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(SEALED_LEN);
        (&mut self.source).take(SEALED_LEN as u64).read_to_end(&mut chunk)?;
        let place = if io::BufRead::fill_buf(&mut self.source)?.is_empty() { Place::Last } else { Place::Within };
        let opened = self.opener.open(&mut chunk, place);
        opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.chunk = Zeroizing::new(chunk);
        self.at = 0;
        self.ended = place == Place::Last;
        Ok(())
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() && !self.ended {
            self.fill()?;
        }
        let rest = self.chunk.get(self.at..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        let (to, from) = (buffer.get_mut(..length).unwrap_or_default(), rest.get(..length).unwrap_or_default());
        to.copy_from_slice(from);
        self.at += length;
        Ok(length)
    }
}

fn unusable(path: &Path, reason: &dyn core::fmt::Display) -> Fault {
    ErrorCode::BackupUnusable.with("file", path.display()).with("reason", reason)
}
