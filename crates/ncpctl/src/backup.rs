//! Backups of data folders: taken beside the running daemon, sealed for a keeper whose private key lies elsewhere, tried out
//! there, and put back.
//!
//! The content of a backup ([`ncp_protocol::backup`]) is a row of records, each behind its length (u32): a file, followed by
//! its bytes without the zeros at their end, until the last record lists all files with their digests. What goes in is
//! [`ncp_store::backup`]'s to say. A folder that is put back is marked, and no daemon opens it: its log would branch where
//! others have seen it go on.

mod archive;
mod recipient;

use std::io;
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::backup::{BackupHead, BackupSealer, LogPoint};
use ncp_protocol::body::ContentKey;
use ncp_protocol::ids::UnixMillis;
use ncp_protocol::wrap::{SealingKey, SealingPublicKey};
use ncp_store::backup::{CopyError, NewFile, Restoring, Survey, survey};
use ncp_store::disk::RealDisk;

pub(crate) use archive::Archive;
pub(crate) use recipient::{Recipient, make_recipient, read_key};

use crate::audit::{self, Audited, Folder};
use crate::error::{Error, file};
use crate::joining::files::{fresh, fresh_seed};

/// How often a copy is begun again that something was taken from.
const TRIES: usize = 5;

/// A backup that was made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// Its head.
    pub(crate) head: BackupHead,
    /// Files in it.
    pub(crate) files: usize,
    /// Its length in bytes.
    pub(crate) length: u64,
}

/// Seals a copy of the data folder `data` for `recipient` into the new file `out`.
///
/// # Errors
/// [`ErrorCode::OutputExists`], [`ErrorCode::StoreDamaged`], and what the disk says. Nothing of a file stays then.
pub(crate) fn create(data: &Path, recipient: &SealingPublicKey, out: &Path, now: UnixMillis) -> Result<Made, Error> {
    let folder = Folder::open(data)?;
    let disk = RealDisk::open(data).map_err(|error| file(data, &error))?;
    let mut gone = String::new();
    for _ in 0..TRIES {
        match attempt(&folder, &disk, recipient, out, now) {
            Err(Failed::Changed(path)) => gone = path,
            Err(Failed::Other(error)) => return Err(*error),
            Ok(made) => return Ok(made),
        }
    }
    let reason = format!("{gone} went while it was copied, {TRIES} times; try again when the daemon is less busy");
    Err(file(data, &reason))
}

/// Why an attempt failed.
enum Failed {
    /// A file went meanwhile.
    Changed(String),
    /// Anything else.
    Other(Box<Error>),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Other(Box::new(error))
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Error::from(fault).into()
    }
}

fn attempt(
    folder: &Folder,
    disk: &RealDisk,
    recipient: &SealingPublicKey,
    out: &Path,
    now: UnixMillis,
) -> Result<Made, Failed> {
    let survey = survey(disk).map_err(|error| copy_failed(folder.path(), error))?;
    let head = BackupHead {
        network: folder.network(),
        participant: folder.participant(),
        created: now,
        recipient: recipient.id(),
        next: survey.next,
        logs: points(folder, &survey)?,
    };
    let begun = seal(&head, recipient)?;
    let mut new = NewFile::create(out).map_err(|error| new_fault(out, &error))?;
    match archive::write(disk, &survey, begun, &mut new) {
        Ok(length) => {
            new.finish().map_err(|error| new_fault(out, &error))?;
            Ok(Made { head, files: survey.items.len(), length })
        }
        Err(error) => {
            // What failed counts, not what is left behind by it.
            let _ = new.discard();
            match error {
                archive::WriteError::Copy(error) => Err(copy_failed(folder.path(), error)),
                archive::WriteError::Out(error) => Err(file(out, &error).into()),
            }
        }
    }
}

fn seal(head: &BackupHead, recipient: &SealingPublicKey) -> Result<(BackupSealer, Vec<u8>), Fault> {
    let cek = ContentKey::from_bytes(&*fresh_seed()?);
    let begun = BackupSealer::begin(head, recipient, &cek, &fresh()?);
    begun.map_err(|error| ErrorCode::InternalFault.with("reason", error))
}

/// Each log as the newest signed checkpoint has it, verified.
fn points(folder: &Folder, survey: &Survey) -> Result<Vec<LogPoint>, Fault> {
    let point = |note: &ncp_store::journal::LogNote| {
        let (origin, signed) = folder.checkpoint(note)?;
        let checkpoint = signed.checkpoint();
        Ok(LogPoint { origin, size: checkpoint.size, root: checkpoint.root })
    };
    survey.notes.iter().map(point).collect()
}

fn copy_failed(folder: &Path, error: CopyError) -> Failed {
    match error {
        CopyError::Changed(path) => Failed::Changed(path),
        CopyError::Io(error) => file(folder, &error).into(),
        CopyError::Damaged(reason) => {
            ErrorCode::StoreDamaged.with("folder", folder.display()).with("reason", reason).into()
        }
    }
}

fn new_fault(path: &Path, error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::AlreadyExists {
        let remedy = "name another file with --out: a backup is never overwritten";
        return ErrorCode::OutputExists.with("file", path.display()).with("remedy", remedy);
    }
    ErrorCode::FileUnusable.with("file", path.display()).with("reason", error)
}

/// A backup that was unpacked and judged.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Its head.
    pub(crate) head: BackupHead,
    /// Files in it.
    pub(crate) files: usize,
    /// Bytes in them, zeros at the end included.
    pub(crate) bytes: u64,
    /// The logs as recomputed.
    pub(crate) audited: Audited,
}

/// Unpacks a backup into the empty folder `into` and judges what came out: every file by its digest, every log by its
/// checkpoints, every record that an event rests on, and the whole by what the head says.
///
/// # Errors
/// [`ErrorCode::BackupUnusable`], or whatever the audit finds first. The folder is left as far as it came.
pub(crate) fn unpack(path: &Path, key: &SealingKey, into: &Path, now: UnixMillis) -> Result<Checked, Error> {
    let mut archive = Archive::open(path, key)?;
    let head = archive.head().clone();
    let about = format!(
        "put back at {now} from a backup of {participant} made at {created}, journal up to {next}: no daemon opens this folder",
        now = ncp_api::time::Time(now),
        participant = head.participant,
        created = ncp_api::time::Time(head.created),
        next = head.next,
    );
    let mut restoring = Restoring::begin(into, &about).map_err(|error| {
        let used = error.kind() == io::ErrorKind::AlreadyExists;
        let reason = if used { "it is not empty".to_owned() } else { error.to_string() };
        ErrorCode::DataFolderUnusable.with("folder", into.display()).with("reason", reason)
    })?;
    let (files, bytes) = archive.unpack(&mut restoring)?;
    restoring.finish().map_err(|error| file(into, &error))?;
    let audited = judge(path, into, &head)?;
    Ok(Checked { head, files, bytes, audited })
}

/// Whether a folder holds what the head of its backup says, without a finding.
fn judge(path: &Path, folder: &Path, head: &BackupHead) -> Result<Audited, Error> {
    let audited = audit::verify(folder)?;
    let opened = Folder::open(folder)?;
    let differs = |reason: String| ErrorCode::BackupUnusable.with("file", path.display()).with("reason", reason);
    if opened.participant() != head.participant || opened.network() != head.network {
        return Err(differs(format!("it holds the folder of {}, not what its head says", opened.participant())).into());
    }
    for point in &head.logs {
        let found = audited.logs.iter().find(|log| log.origin == point.origin);
        if found.is_none_or(|log| log.size != point.size || log.root != point.root) {
            return Err(differs(format!("the log {} is not the one that its head names", point.origin)).into());
        }
    }
    if audited.logs.len() != head.logs.len() || audited.newer != 0 {
        return Err(differs("it holds more than its head says".to_owned()).into());
    }
    if head.next > 0
        && let Some(finding) = opened.check_store()?
    {
        return Err(differs(finding).into());
    }
    Ok(audited)
}

/// A folder for a trial, which goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Trial(PathBuf);

impl Trial {
    /// A new folder below `above`.
    ///
    /// # Errors
    /// [`ErrorCode::DataFolderUnusable`].
    pub(crate) fn new(above: &Path) -> Result<Self, Fault> {
        let name = ncp_protocol::ids::hex(&fresh::<8>()?);
        Ok(Self(above.join(format!("ncp-backup-{name}"))))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Whatever stays is a copy of what the keeper has anyway.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
