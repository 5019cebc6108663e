//! The private keys that an entry names: where each lies, and whether it is the one that the entry names. Reads only.
//!
//! Once an entry is there, no command makes a key beside it: a key that the entry does not name fits nothing.

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::Entry;
use ncp_protocol::ids::KeyId;
use ncp_protocol::keys::SigningKey;
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyUse};
use zeroize::Zeroizing;

use super::authority;
use super::entry::offline_path;
use super::files::{file_fault, read_tls};

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

/// The keys in `data` that `entry` names; all are there and fit. Returns the TLS key, PEM.
///
/// # Errors
/// [`ErrorCode::KeyFileMissing`] or [`ErrorCode::KeyNotOfEntry`] for the first that is not, and the faults of the files.
pub(crate) fn check_keys(data: &Path, keyring: &Keyring, entry: &Entry) -> Result<Zeroizing<String>, Fault> {
    let keys = &entry.keys;
    let check_signing = |path: &Path, key, named: &KeyId| check_signing(keyring, path, key, named);
    if let Some(signing) = &keys.signing {
        check_signing(&data.join(keyfiles::key_path(KeyUse::Signing)), KeyUse::Signing, &signing.key.id())?;
        seed(keyring, &data.join(keyfiles::key_path(KeyUse::Storage)), KeyUse::Storage)?;
    }
    for (number, sealing) in (1..).zip(&keys.sealing) {
        let path = data.join(keyfiles::sealing_key_path(number));
        let found = SealingKey::from_seed(&*seed(keyring, &path, KeyUse::Sealing)?).public().id();
        fits(&path, KeyUse::Sealing.as_str(), &found, &[sealing.public.id()])?;
    }
    for log in &keys.logs {
        check_signing(&data.join(keyfiles::log_key_path(log.log, log.epoch)), KeyUse::Log, &log.key.id())?;
    }
    check_signing(&data.join(keyfiles::key_path(KeyUse::Witness)), KeyUse::Witness, &keys.witness.id())?;
    if let Some(timestamp) = &keys.timestamp {
        check_signing(&data.join(keyfiles::key_path(KeyUse::Timestamp)), KeyUse::Timestamp, &timestamp.id())?;
    }
    let path = data.join(keyfiles::TLS_KEY);
    let pem = read_tls(keyring, &path)?.ok_or_else(|| gone(&path, "TLS key"))?;
    let found = authority::key_id(&authority::read_key(&pem, &path.display())?);
    fits(&path, "TLS key", &found, &keys.tls)?;
    let damaged = |_| ErrorCode::KeyFileDamaged.with("what", "TLS key").with("file", path.display());
    String::from_utf8(pem.to_vec()).map(Zeroizing::new).map_err(damaged)
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

fn fits(path: &Path, what: &str, found: &KeyId, named: &[KeyId]) -> Result<(), Fault> {
    if named.contains(found) {
        return Ok(());
    }
    let expected: Vec<String> = named.iter().map(ToString::to_string).collect();
    let fault = ErrorCode::KeyNotOfEntry.with("what", what).with("file", path.display());
    Err(fault.with("found", found).with("expected", expected.join(" or ")))
}
