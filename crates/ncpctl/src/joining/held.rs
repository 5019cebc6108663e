//! The private keys that an entry names: where each lies, and whether it is the one that the entry names. Reads only.
//!
//! No command makes a key anew under an entry that is there: a key that no entry names fits nothing. Signing keys, sealing
//! keys and TLS keys have one file each, numbered from 1 without gap; those that no entry names yet are what an interrupted
//! `keys rotate` left, and serve its next call.

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Entry, SealingEntryKey};
use ncp_protocol::ids::KeyId;
use ncp_protocol::keys::SigningKey;
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyUse};
use zeroize::Zeroizing;

use super::authority::{self, Parsed};
use super::entries::Entries;
use super::entry::offline_path;
use super::files::{file_fault, read_public, read_tls};

/// What somebody is told whose key is gone.
const PUT_BACK: &str =
    "put back the copy from the backup, or from where it was carried: no command makes a key anew under an entry";

/// Where identity and recovery key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfflineKeys {
    /// One or both still lie where they were made.
    Here,
    /// Neither does.
    CarriedAway,
}

/// A kind of key with numbered files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Series {
    /// Signing keys.
    Signing,
    /// Sealing keys.
    Sealing,
    /// Private keys of certificates.
    Tls,
}

impl Series {
    fn key(self) -> KeyUse {
        match self {
            Self::Signing => KeyUse::Signing,
            Self::Sealing => KeyUse::Sealing,
            Self::Tls => KeyUse::Tls,
        }
    }

    fn place(self) -> fn(u32) -> PathBuf {
        match self {
            Self::Signing => keyfiles::signing_key_path,
            Self::Sealing => keyfiles::sealing_key_path,
            Self::Tls => keyfiles::tls_key_path,
        }
    }
}

/// The key files of one kind in a data folder.
#[derive(Debug, Clone)]
pub(crate) struct KeyFiles {
    series: Series,
    data: PathBuf,
    /// The key of file 1, 2, …; none of a sealing key that the daemon destroyed when it had ended.
    keys: Vec<Option<KeyId>>,
}

impl KeyFiles {
    /// Reads them all.
    ///
    /// # Errors
    /// The faults of the files.
    pub(crate) fn read(data: &Path, keyring: &Keyring, series: Series) -> Result<Self, Fault> {
        let what = series.key().as_str();
        let count = keyfiles::count(data, series.place()).map_err(|error| file_fault(what, &error))?;
        let key = |number| {
            let path = data.join(series.place()(number));
            let destroyed = || keyfiles::is_destroyed(&path).map_err(|error| file_fault(what, &error));
            match series {
                Series::Sealing if destroyed()? => Ok(None),
                Series::Signing => {
                    let seed = seed(keyring, &path, series.key())?;
                    Ok(Some(SigningKey::from_seed(&seed).verifying_key().id()))
                }
                Series::Sealing => Ok(Some(SealingKey::from_seed(&*seed(keyring, &path, series.key())?).public().id())),
                Series::Tls => {
                    let pem = read_tls(keyring, &path)?.ok_or_else(|| gone(&path, what))?;
                    Ok(Some(authority::key_id(&authority::read_key(&pem, &path.display())?)))
                }
            }
        };
        let keys = (1..=count).map(key).collect::<Result<_, Fault>>()?;
        Ok(Self { series, data: data.to_owned(), keys })
    }

    /// Whether one of the files holds this key.
    pub(crate) fn hold(&self, key: &KeyId) -> bool {
        self.keys.contains(&Some(*key))
    }

    /// The key of the file with the highest number.
    pub(crate) fn newest(&self) -> Option<&KeyId> {
        self.keys.last()?.as_ref()
    }

    /// Where the next key of this kind is made: the newest file, if no entry names its key, else one behind it.
    pub(crate) fn next_path(&self, entries: &Entries) -> PathBuf {
        let unnamed = self.newest().is_some_and(|key| !entries.ever_named(key));
        self.path(if unnamed { self.keys.len() } else { self.keys.len() + 1 })
    }

    /// Where a key of this kind is made that nobody can have seen: behind all files.
    pub(crate) fn fresh_path(&self) -> PathBuf {
        self.path(self.keys.len() + 1)
    }

    /// The newest file that holds one of the keys that an entry names.
    ///
    /// # Errors
    /// [`ErrorCode::KeyNotOfEntry`] if a file holds a key that no entry ever named, [`ErrorCode::KeyFileMissing`] if the
    /// file itself is gone.
    pub(crate) fn find(&self, named: &[KeyId], entries: &Entries) -> Result<PathBuf, Fault> {
        if let Some(at) = self.keys.iter().rposition(|key| key.is_some_and(|key| named.contains(&key))) {
            return Ok(self.path(at + 1));
        }
        let what = self.series.key().as_str();
        let mut held = (1..).zip(&self.keys).filter_map(|(number, key)| Some((number, key.as_ref()?)));
        match held.find(|(_, key)| !entries.ever_named(key)) {
            Some((number, stranger)) => Err(not_of_entry(&self.path(number), what, stranger, named)),
            None => Err(gone(&self.path(self.keys.len() + 1), what)),
        }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.data.join(self.series.place()(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

/// The keys in `data` that the newest entry names; all are there and fit, and so does the newest certificate. Returns the
/// newest TLS key that the entry pins, PEM.
///
/// # Errors
/// [`ErrorCode::KeyFileMissing`] or [`ErrorCode::KeyNotOfEntry`] for the first that is not;
/// [`ErrorCode::NetworkFileForeign`] for the certificate; the faults of the files.
pub(crate) fn check_keys(data: &Path, keyring: &Keyring, entries: &Entries) -> Result<Zeroizing<String>, Fault> {
    let keys = &entries.newest().keys;
    let check_signing = |path: &Path, key, named: &KeyId| check_signing(keyring, path, key, named);
    if let Some(signing) = &keys.signing {
        KeyFiles::read(data, keyring, Series::Signing)?.find(&[signing.key.id()], entries)?;
        seed(keyring, &data.join(keyfiles::key_path(KeyUse::Storage)), KeyUse::Storage)?;
        let files = KeyFiles::read(data, keyring, Series::Sealing)?;
        for sealing in &keys.sealing {
            files.find(&[sealing.public.id()], entries)?;
        }
    }
    // A log goes on in its newest epoch: the keys of those before signed what they had to.
    for log in keys.logs.iter().filter(|log| entries.newest().newest_log_key(log.log) == Some(log)) {
        check_signing(&data.join(keyfiles::log_key_path(log.log, log.epoch)), KeyUse::Log, &log.key.id())?;
    }
    check_signing(&data.join(keyfiles::key_path(KeyUse::Witness)), KeyUse::Witness, &keys.witness.id())?;
    if let Some(timestamp) = &keys.timestamp {
        check_signing(&data.join(keyfiles::key_path(KeyUse::Timestamp)), KeyUse::Timestamp, &timestamp.id())?;
    }
    let files = KeyFiles::read(data, keyring, Series::Tls)?;
    let path = files.find(&keys.tls, entries)?;
    if let Some(installed) = newest_certificate(data)? {
        installed.check_held(&files)?;
    }
    let pem = read_tls(keyring, &path)?.ok_or_else(|| gone(&path, "TLS key"))?;
    let damaged = |_| ErrorCode::KeyFileDamaged.with("what", "TLS key").with("file", path.display());
    String::from_utf8(pem.to_vec()).map(Zeroizing::new).map_err(damaged)
}

/// A certificate in a data folder.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    path: PathBuf,
    /// What it says.
    pub(crate) parsed: Parsed,
}

impl Certificate {
    /// Whether its key is one of the TLS keys beside it.
    ///
    /// # Errors
    /// [`ErrorCode::NetworkFileForeign`].
    pub(crate) fn check_held(&self, files: &KeyFiles) -> Result<(), Fault> {
        if files.hold(&self.parsed.key) {
            return Ok(());
        }
        Err(foreign(&self.path, "it is over none of the TLS keys in this folder"))
    }
}

/// The certificate that serves: the one with the highest number. `None` if there is none.
///
/// # Errors
/// [`ErrorCode::NetworkFileForeign`] if the file holds none.
pub(crate) fn newest_certificate(data: &Path) -> Result<Option<Certificate>, Fault> {
    let count = keyfiles::count(data, keyfiles::tls_chain_path).map_err(|error| file_fault("certificate", &error))?;
    if count == 0 {
        return Ok(None);
    }
    let path = data.join(keyfiles::tls_chain_path(count));
    let pem = read_public(&path, "certificate")?.unwrap_or_default();
    let parsed = authority::parse_leaf(&String::from_utf8_lossy(&pem));
    let parsed = parsed.ok_or_else(|| foreign(&path, "it holds no certificate"))?;
    Ok(Some(Certificate { path, parsed }))
}

fn foreign(path: &Path, reason: &str) -> Fault {
    let remedy =
        "put back the key that belongs to it; if the file may go, move it away and give  ncpctl keys install  again";
    ErrorCode::NetworkFileForeign.with("file", path.display()).with("reason", reason).with("remedy", remedy)
}

/// The newest sealing key of an entry: others may seal to it longest.
pub(crate) fn newest_sealing(entry: &Entry) -> Option<&SealingEntryKey> {
    entry.keys.sealing.iter().max_by_key(|key| key.seal_until)
}

/// Where identity and recovery key are. Such as still lie in `offline` have to be those that the entry names: whoever
/// carries away others loses nothing else, but would find out too late.
///
/// # Errors
/// As [`check_keys`].
pub(crate) fn check_offline(offline: &Path, entry: &Entry) -> Result<OfflineKeys, Fault> {
    let mut found = OfflineKeys::CarriedAway;
    for (key, named) in [(KeyUse::Identity, &entry.keys.identity), (KeyUse::Recovery, &entry.keys.recovery)] {
        let path = offline_path(offline, key);
        if path.exists() {
            check_signing(&Keyring::OPEN, &path, key, &named.id())?;
            found = OfflineKeys::Here;
        }
    }
    Ok(found)
}

/// A key file that an entry names is not where it was made.
pub(crate) fn gone(path: &Path, what: &str) -> Fault {
    let fault = ErrorCode::KeyFileMissing.with("what", what).with("file", path.display());
    fault.with("remedy", PUT_BACK)
}

/// The entry of `data` is gone, although it was there: nobody makes another beside the keys of the first.
pub(crate) fn entry_gone(data: &Path, remedy: &str) -> Fault {
    let entry: PathBuf = data.join(keyfiles::entry_path(0));
    let fault = ErrorCode::KeyFileMissing.with("what", "own directory entry").with("file", entry.display());
    fault.with("remedy", remedy)
}

fn check_signing(keyring: &Keyring, path: &Path, key: KeyUse, named: &KeyId) -> Result<(), Fault> {
    let found = SigningKey::from_seed(&*seed(keyring, path, key)?).verifying_key().id();
    fits(path, key.as_str(), &found, &[*named])
}

fn seed(keyring: &Keyring, path: &Path, key: KeyUse) -> Result<keyfiles::Seed, Fault> {
    match keyring.read_key(path, key) {
        Err(keyfiles::KeyFileError::Missing(path)) => Err(gone(&path, key.as_str())),
        found => found.map_err(|error| file_fault(key.as_str(), &error)),
    }
}

/// Whether a key file holds one of the keys that an entry names.
///
/// # Errors
/// [`ErrorCode::KeyNotOfEntry`].
pub(super) fn fits(path: &Path, what: &str, found: &KeyId, named: &[KeyId]) -> Result<(), Fault> {
    if named.contains(found) { Ok(()) } else { Err(not_of_entry(path, what, found, named)) }
}

fn not_of_entry(path: &Path, what: &str, found: &KeyId, named: &[KeyId]) -> Fault {
    let expected: Vec<String> = named.iter().map(ToString::to_string).collect();
    let fault = ErrorCode::KeyNotOfEntry.with("what", what).with("file", path.display());
    fault.with("found", found).with("expected", expected.join(" or "))
}
