//! A data folder, opened to read: whose it is, in which network, with which log keys, and how far it is signed.

use std::io;
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::directory::{Chain, Entry, Fingerprint, SignedEntry};
use ncp_protocol::ids::{LogName, LogOrigin, NetworkId, ParticipantId};
use ncp_protocol::root::TrustedRoot;
use ncp_store::disk::RealDisk;
use ncp_store::fsck::{LogIdentity, fsck};
use ncp_store::journal::LogNote;
use ncp_store::keyfiles;
use ncp_store::lock::FORMAT;
use ncp_store::signed::{self, SignedState};

use crate::error::{Error, file};
use crate::joining::files::read_public;
use crate::joining::root::read_roots;

/// Most versions of an entry that are looked for.
const VERSIONS_MAX: u32 = 4_096;

/// A data folder.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    pub(super) disk: RealDisk,
    pub(super) root: TrustedRoot,
    pub(super) own: Chain,
    /// Entries that lie beside the journal: own ones, the hub's first.
    pub(super) entries: Vec<SignedEntry>,
    pub(super) signed: Option<SignedState>,
}

impl Folder {
    /// Opens a data folder, changing nothing.
    ///
    /// # Errors
    /// A fault that names the file.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let disk = RealDisk::open(path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                return ErrorCode::FileMissing.with("file", path.display());
            }
            ErrorCode::FileUnusable.with("file", path.display()).with("reason", error)
        })?;
        check_format(path)?;
        let root = read_roots(path)?.ok_or_else(|| missing(path, &keyfiles::root_path(1)))?;
        let mut entries = own_entries(path)?;
        let own = chain(&root.network(), &entries)?.ok_or_else(|| missing(path, &keyfiles::entry_path(0)))?;
        if let Some(bytes) = read_public(&path.join(keyfiles::HUB_ENTRY), "entry of the hub")? {
            entries.push(SignedEntry::decode(&bytes).map_err(|error| invalid(ParticipantId::HUB, 0, &error))?);
        }
        let signed = signed::read(&disk)
            .map_err(|error| ErrorCode::StoreDamaged.with("folder", path.display()).with("reason", error))?;
        Ok(Self { path: path.to_owned(), disk, root: root.newest, own, entries, signed })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub(crate) fn participant(&self) -> ParticipantId {
        self.entry().participant
    }

    /// The network.
    pub(crate) fn network(&self) -> NetworkId {
        self.root.network()
    }

    /// A checkpoint of one of the folder's logs, its signature verified.
    ///
    /// # Errors
    /// [`ErrorCode::StoreDamaged`].
    pub(crate) fn checkpoint(&self, note: &LogNote) -> Result<(LogOrigin, SignedCheckpoint), Fault> {
        let damaged = |reason: &dyn core::fmt::Display| {
            ErrorCode::StoreDamaged.with("folder", self.path.display()).with("reason", reason)
        };
        let log =
            self.log(note.log).ok_or_else(|| damaged(&"it is signed for a log that the own entry does not name"))?;
        let signed = SignedCheckpoint::open(&note.note, &log.origin, &log.key);
        Ok((log.origin, signed.map_err(|error| damaged(&error))?))
    }

    /// Judges journal and spool together, as the daemon's store does at a start: whether each record that an event rests on
    /// is there. Returns what is lost first.
    ///
    /// # Errors
    /// If the disk fails.
    pub(crate) fn check_store(&self) -> Result<Option<String>, Error> {
        let logs: Vec<LogIdentity> =
            [LogName::Node, LogName::Traffic, LogName::Public].into_iter().filter_map(|log| self.log(log)).collect();
        let report = fsck(&self.disk, &logs, None).map_err(|error| file(&self.path, &error))?;
        Ok(report.findings.iter().find(|finding| finding.is_loss()).map(|finding| format!("{finding:?}")))
    }

    /// A log of this folder as the newest entry names it.
    fn log(&self, log: LogName) -> Option<LogIdentity> {
        let named = self.entry().newest_log_key(log)?;
        let (network, participant) = (self.network(), self.participant());
        Some(LogIdentity { origin: LogOrigin { network, participant, log, epoch: named.epoch }, key: named.key })
    }

    pub(super) fn entry(&self) -> &Entry {
        self.own.entry()
    }

    /// Events below this sequence are signed.
    pub(super) fn signed_until(&self) -> u64 {
        self.signed.as_ref().map_or(0, |state| state.next)
    }
}

fn own_entries(path: &Path) -> Result<Vec<SignedEntry>, Fault> {
    let mut entries = Vec::new();
    for version in 0..VERSIONS_MAX {
        let file = path.join(keyfiles::entry_path(version));
        let Some(bytes) = read_public(&file, "directory entry")? else { break };
        let decoded = SignedEntry::decode(&bytes);
        let unusable = |error| ErrorCode::FileUnusable.with("file", file.display()).with("reason", error);
        entries.push(decoded.map_err(unusable)?);
    }
    Ok(entries)
}

/// The own chain: it lies in the owner's folder, so its first entry needs no pin.
fn chain(network: &NetworkId, entries: &[SignedEntry]) -> Result<Option<Chain>, Fault> {
    let mut newest: Option<Chain> = None;
    for entry in entries {
        let next = match &newest {
            None => Chain::first(network, &Fingerprint(entry.digest()), entry),
            Some(chain) => chain.next(entry),
        };
        let named = entry.unverified();
        newest = Some(next.map_err(|error| invalid(named.participant, named.version, &error))?);
    }
    Ok(newest)
}

fn invalid(participant: ParticipantId, version: u32, reason: &dyn core::fmt::Display) -> Fault {
    let fault = ErrorCode::EntryInvalid.with("participant", participant);
    fault.with("version", version).with("reason", reason)
}

fn missing(folder: &Path, name: &Path) -> Fault {
    ErrorCode::FileMissing.with("file", folder.join(name).display())
}

/// Whether this program knows the folder's layout; a folder without a journal has none yet.
fn check_format(path: &Path) -> Result<(), Fault> {
    let Some(bytes) = read_public(&path.join("format"), "format of the data folder")? else { return Ok(()) };
    let text = String::from_utf8_lossy(&bytes);
    let found = text.trim().strip_prefix("ncp-data ").unwrap_or("an unknown one");
    if found == FORMAT.to_string() {
        return Ok(());
    }
    let fault = ErrorCode::DataFolderNewer.with("folder", path.display()).with("found", found);
    Err(fault.with("known", FORMAT).with("needed", "that the folder was written by"))
}
