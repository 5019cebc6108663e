//! The hub's keys and what `ncpctl hub init` put beside them, read from the data folder at start
//! ([`ncp_store::keyfiles`] has the layout). The relay needs
//!
//! | file | checked against |
//! |---|---|
//! | `network/root-1`, `root-2` … | each signed by the one before; version 1 makes the network |
//! | `network/entry-0`, `entry-1` … | the hub's chain in this network |
//! | `network/membership-1` | the membership role of the root of trust |
//! | `keys/log-traffic-<epoch>.key`, `keys/log-public-<epoch>.key` | the newest entry's newest log keys |
//! | `keys/timestamp.key` | the entry's timestamp key |
//! | `keys/tls.key`, `network/tls.crt`, `network/ca.crt` | certificate names the hub, key is pinned in the entry |
//!
//! A key that others can read stops the start. There is no key here that could open an envelope.

use core::fmt::Display;
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, Fingerprint, SignedEntry};
use ncp_protocol::ids::{Epoch, KeyId, LogName, LogOrigin, NetworkId, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::{SignedRoot, TrustedRoot};
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyFileError, KeyUse};
use ncp_transport::tls::{SharedTls, TlsMaterial, TlsSettings};

/// Most versions of root or entry that are looked for.
const VERSIONS_MAX: u32 = 4_096;

/// A log of the hub with the key that signs its checkpoints.
#[derive(Clone)]
pub struct HubLog {
    /// Its origin.
    pub origin: LogOrigin,
    /// Its key.
    pub key: SigningKey,
}

/// All that the relay needs from the data folder before it opens the store.
pub struct Keys {
    /// The newest root of trust.
    pub root: TrustedRoot,
    /// All its versions as signed, from 1.
    pub roots: Vec<Vec<u8>>,
    /// The hub's own entries as signed, from version 0.
    pub entries: Vec<SignedEntry>,
    /// The first membership statement as signed, if it is there.
    pub membership: Option<Vec<u8>>,
    /// The log of envelopes.
    pub traffic: HubLog,
    /// The log of the directory.
    pub public: HubLog,
    /// Signs timestamp statements.
    pub timestamp: SigningKey,
    /// Certificates and TLS key.
    pub tls: SharedTls,
    /// What opened the key files, for those that are read again.
    pub keyring: Keyring,
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keys").field("network", &self.root.network()).finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads and checks everything. Nothing is changed.
    ///
    /// # Errors
    /// The first fault, with the file that it is in.
    pub fn load(folder: &Path, credential: Option<&str>) -> Result<Self, Fault> {
        let keyring = keyring(folder, credential)?;
        for part in [folder.to_owned(), folder.join(keyfiles::KEYS)] {
            keyfiles::check_folder(&part).map_err(|error| folder_fault(&part, &error))?;
        }
        let (root, roots) = roots(folder)?;
        let chain = chain(folder, &root)?;
        let newest = chain.last().ok_or_else(|| lacks("hub's own entry", &folder.join(keyfiles::entry_path(0))))?;
        let log = |name| hub_log((folder, &keyring), &root, newest, name);
        let membership = match keyfiles::read_public(&folder.join(membership_path())) {
            Ok(bytes) => Some(bytes),
            Err(KeyFileError::Missing(_)) => None,
            Err(error) => return Err(file_fault("membership statement", &error)),
        };
        Ok(Self {
            traffic: log(LogName::Traffic)?,
            public: log(LogName::Public)?,
            timestamp: timestamp_key((folder, &keyring), newest)?,
            tls: SharedTls::new(tls((folder, &keyring), &root.network(), newest)?),
            entries: chain.iter().map(|entry| entry.signed().clone()).collect(),
            membership,
            root,
            roots,
            keyring,
        })
    }
}

/// What opens the key files: the passphrase is a credential, if the configuration names one.
fn keyring(folder: &Path, credential: Option<&str>) -> Result<Keyring, Fault> {
    let passphrase = credential.map(ncp_service::credential::read).transpose()?;
    let opened = Keyring::open(folder, passphrase.as_ref().map(|text| text.as_str()));
    opened.map_err(|error| file_fault("key files", &error))
}

/// Where `hub init` puts the first membership statement.
fn membership_path() -> PathBuf {
    Path::new(keyfiles::NETWORK).join("membership-1")
}

fn roots(folder: &Path) -> Result<(TrustedRoot, Vec<Vec<u8>>), Fault> {
    let files = versions(folder, "root of trust", 1, keyfiles::root_path)?;
    let mut trusted: Option<TrustedRoot> = None;
    for (path, bytes) in &files {
        let invalid = |reason: &dyn Display| ErrorCode::RootInvalid.with("file", path.display()).with("reason", reason);
        let signed = SignedRoot::decode(bytes).map_err(|error| invalid(&error))?;
        let verified = match &trusted {
            None => signed.verify_first(),
            Some(previous) => signed.verify_next(previous),
        };
        trusted = Some(verified.map_err(|error| invalid(&error))?);
    }
    let root = trusted.ok_or_else(|| lacks("root of trust", &folder.join(keyfiles::root_path(1))))?;
    Ok((root, files.into_iter().map(|(_, bytes)| bytes).collect()))
}

/// The hub's chain, one link for each version.
fn chain(folder: &Path, root: &TrustedRoot) -> Result<Vec<Chain>, Fault> {
    let mut chain: Vec<Chain> = Vec::new();
    for (path, bytes) in versions(folder, "hub's own entry", 0, keyfiles::entry_path)? {
        let foreign = |found: ParticipantId| {
            ErrorCode::DataFolderForeign
                .with("folder", folder.display())
                .with("found", found)
                .with("expected", "the hub")
        };
        let invalid =
            |reason: &dyn Display| ErrorCode::FileUnusable.with("file", path.display()).with("reason", reason);
        let signed = SignedEntry::decode(&bytes).map_err(|error| invalid(&error))?;
        if !signed.unverified().is_hub() {
            return Err(foreign(signed.unverified().participant));
        }
        let link = match chain.last() {
            None => Chain::first(&root.network(), &Fingerprint(signed.digest()), &signed),
            Some(previous) => previous.next(&signed),
        };
        chain.push(link.map_err(|error| invalid(&error))?);
    }
    Ok(chain)
}

/// Where keys lie, and what opens them.
type KeyFolder<'a> = (&'a Path, &'a Keyring);

fn hub_log((folder, keyring): KeyFolder<'_>, root: &TrustedRoot, entry: &Chain, log: LogName) -> Result<HubLog, Fault> {
    // Every entry of the hub names both logs: its own check holds it to that.
    let (epoch, expected) =
        entry.entry().newest_log_key(log).map_or((Epoch(1), None), |named| (named.epoch, Some(named.key.id())));
    let path = folder.join(keyfiles::log_key_path(log, epoch));
    let key = signing_key(keyring, &path, KeyUse::Log, &format!("key of the log {log}"), expected)?;
    Ok(HubLog { origin: LogOrigin { network: root.network(), participant: ParticipantId::HUB, log, epoch }, key })
}

fn timestamp_key((folder, keyring): KeyFolder<'_>, entry: &Chain) -> Result<SigningKey, Fault> {
    let path = folder.join(keyfiles::key_path(KeyUse::Timestamp));
    let expected = entry.entry().keys.timestamp.map(|key| key.id());
    signing_key(keyring, &path, KeyUse::Timestamp, KeyUse::Timestamp.as_str(), expected)
}

fn signing_key(
    keyring: &Keyring,
    path: &Path,
    key: KeyUse,
    what: &str,
    expected: Option<KeyId>,
) -> Result<SigningKey, Fault> {
    let seed = keyring.read_key(path, key).map_err(|error| file_fault(what, &error))?;
    let key = SigningKey::from_seed(&seed);
    check_entry_names(what, path, key.verifying_key().id(), expected.as_slice())?;
    Ok(key)
}

fn check_entry_names(what: &str, path: &Path, found: KeyId, expected: &[KeyId]) -> Result<(), Fault> {
    if expected.contains(&found) {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    let fault = ErrorCode::KeyNotOfEntry.with("what", what).with("file", path.display());
    Err(fault.with("found", found).with("expected", expected.join(" or ")))
}

/// Reads certificates and TLS key anew, against the entry as it lies there now.
///
/// # Errors
/// The first fault, with the file that it is in.
pub fn load_tls(folder: &Path, keyring: &Keyring, network: &NetworkId) -> Result<TlsSettings, Fault> {
    let (root, _) = roots(folder)?;
    let chain = chain(folder, &root)?;
    let newest = chain.last().ok_or_else(|| lacks("hub's own entry", &folder.join(keyfiles::entry_path(0))))?;
    tls((folder, keyring), network, newest)
}

fn tls((folder, keyring): KeyFolder<'_>, network: &NetworkId, entry: &Chain) -> Result<TlsSettings, Fault> {
    let count = |place| keyfiles::count(folder, place).map_err(|error| file_fault("certificate", &error));
    let chain = folder.join(keyfiles::tls_chain_path(count(keyfiles::tls_chain_path)?));
    let public = |path: &Path, what| keyfiles::read_public(path).map_err(|error| file_fault(what, &error));
    let key_path = folder.join(keyfiles::TLS_KEY);
    let material = TlsMaterial {
        certificate_chain: public(&chain, "certificate")?,
        private_key: keyring.read_tls(&key_path).map_err(|error| file_fault("TLS key", &error))?,
        authorities: public(&folder.join(keyfiles::TLS_AUTHORITY), "certificate of the authority")?,
        revocation_lists: Vec::new(),
    };
    let unusable = |reason: &dyn Display| ErrorCode::FileUnusable.with("file", chain.display()).with("reason", reason);
    let settings = TlsSettings::new(&material, *network).map_err(|error| unusable(&error))?;
    let own = settings.own();
    if own.participant != ParticipantId::HUB {
        return Err(unusable(&format!("it names {} instead of the hub", own.participant)));
    }
    check_entry_names("TLS key", &key_path, own.certificate_key, &entry.entry().keys.tls)?;
    Ok(settings)
}

/// Files with numbers that rise without gap.
fn versions(folder: &Path, what: &str, from: u32, place: fn(u32) -> PathBuf) -> Result<Vec<(PathBuf, Vec<u8>)>, Fault> {
    let mut files = Vec::new();
    for version in from..VERSIONS_MAX {
        let path = folder.join(place(version));
        match keyfiles::read_public(&path) {
            Ok(bytes) => files.push((path, bytes)),
            Err(KeyFileError::Missing(_)) => break,
            Err(error) => return Err(file_fault(what, &error)),
        }
    }
    Ok(files)
}

fn lacks(what: &str, path: &Path) -> Fault {
    file_fault(what, &KeyFileError::Missing(path.to_owned()))
}

/// What an operator is told about a file that cannot be used.
fn file_fault(what: &str, error: &KeyFileError) -> Fault {
    match error {
        KeyFileError::Missing(path) => {
            let fault = ErrorCode::KeyFileMissing.with("what", what).with("file", path.display());
            fault.with("remedy", "make the hub once with  ncpctl hub init,  or put back the copy from your backup")
        }
        KeyFileError::OpenToOthers { path, mode } => {
            let fault = ErrorCode::KeyFileOpenToOthers.with("what", what).with("file", path.display());
            fault.with("mode", format!("{mode:04o}")).with("path", path.display())
        }
        KeyFileError::Damaged(path) => ErrorCode::KeyFileDamaged.with("what", what).with("file", path.display()),
        KeyFileError::Sealed(path) => ErrorCode::KeysSealed.with("file", path.display()),
        KeyFileError::PassphraseWrong(path) => ErrorCode::KeysPassphraseWrong.with("file", path.display()),
        KeyFileError::ForeignOwner { path, owner } => {
            ErrorCode::KeyFileForeign.with("what", what).with("file", path.display()).with("owner", owner)
        }
        KeyFileError::Exists(path) => {
            ErrorCode::FileUnusable.with("file", path.display()).with("reason", "it exists already")
        }
        KeyFileError::Io { path, cause } => ErrorCode::FileUnusable.with("file", path.display()).with("reason", cause),
    }
}

fn folder_fault(folder: &Path, error: &KeyFileError) -> Fault {
    let reason = match error {
        KeyFileError::Missing(_) => "there is no such folder".to_owned(),
        KeyFileError::OpenToOthers { mode, .. } => format!("it has mode {mode:04o}, not 0700"),
        KeyFileError::Damaged(_) => "it is not a folder".to_owned(),
        KeyFileError::Exists(_)
        | KeyFileError::ForeignOwner { .. }
        | KeyFileError::Sealed(_)
        | KeyFileError::PassphraseWrong(_)
        | KeyFileError::Io { .. } => error.to_string(),
    };
    ErrorCode::DataFolderUnusable.with("folder", folder.display()).with("reason", reason)
}
