//! The node's keys and what joining gave it, read from the data folder at start. The layout of these files is in
//! [`ncp_store::keyfiles`]; `ncpctl keys init` and `keys install` make them. A node needs
//!
//! | file | checked against |
//! |---|---|
//! | `keys/signing.key` | the entry's signing key |
//! | `keys/sealing-<n>.key`, from 1 without gap | each sealing key of the entry has its file |
//! | `keys/log-node-<epoch>.key` | the entry's newest log key and its epoch |
//! | `keys/witness.key` | the entry's witness key |
//! | `keys/storage.key` | nothing: it is in no entry |
//! | `keys/tls.key`, `network/tls.crt`, `network/ca.crt` | certificate names this participant, key is pinned in the entry |
//! | `network/root-1`, `root-2` … | each signed by the one before; version 1 makes the network |
//! | `network/entry-0`, `entry-1` … | this participant's chain in this network |
//! | `network/hub-entry` | the hub's first entry; what people compared at joining |
//!
//! Identity and recovery key may lie elsewhere: the daemon never reads them. A key that others can read stops the start.
//! All secrets wipe themselves.

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, Entry, Fingerprint, SignedEntry};
use ncp_protocol::ids::{Epoch, KeyId, LogName, LogOrigin, NetworkId, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::{NetworkClass, SignedRoot, TrustedRoot};
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyFileError, KeyUse, Seed};
use ncp_transport::tls::{SharedTls, TlsMaterial, TlsSettings};
use zeroize::Zeroizing;

/// Most sealing key files that are looked for: more than an entry can name.
const SEALING_FILES_MAX: u32 = 64;
/// Most versions of root or entry that are looked for.
const VERSIONS_MAX: u32 = 4_096;

/// Private keys of the running node.
pub struct Keys {
    /// Signs envelopes.
    pub signing: SigningKey,
    /// Open what others sealed; also those that no newer entry names any more.
    pub sealing: Vec<SealingKey>,
    /// Signs checkpoints of this node's log.
    pub log: SigningKey,
    /// Cosigns checkpoints of others.
    pub witness: SigningKey,
    /// Seals content at rest.
    pub storage: Seed,
    /// Certificates, swapped as a whole.
    pub tls: SharedTls,
    /// What opened the key files, for those that are read again.
    pub keyring: Keyring,
}

impl Keys {
    /// The sealing key with this id.
    #[must_use]
    pub fn sealing(&self, id: &KeyId) -> Option<&SealingKey> {
        self.sealing.iter().find(|key| key.public().id() == *id)
    }
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys")
    }
}

/// What joining gave: the network's root of trust, the own entry, the hub's.
#[derive(Debug, Clone)]
pub struct Network {
    /// The newest installed root of trust.
    pub root: TrustedRoot,
    /// Own entries, oldest first; at least one.
    pub own: Vec<SignedEntry>,
    /// The own chain up to the newest installed entry.
    pub own_chain: Chain,
    /// The hub's signed entry of version 0.
    pub hub: SignedEntry,
}

impl Network {
    /// The network's id.
    #[must_use]
    pub fn id(&self) -> NetworkId {
        self.root.network()
    }

    /// What the network is for.
    #[must_use]
    pub fn class(&self) -> NetworkClass {
        self.root.root().class
    }

    /// The origin of this node's log as it is open now.
    #[must_use]
    pub fn origin(&self) -> LogOrigin {
        let entry = self.own_chain.entry();
        let epoch = entry.newest_log_key(LogName::Node).map_or(Epoch(1), |key| key.epoch);
        LogOrigin { network: self.id(), participant: entry.participant, log: LogName::Node, epoch }
    }
}

/// What opens the key files: the passphrase is a credential, if the configuration names one.
///
/// # Errors
/// [`ErrorCode::CredentialUnusable`], [`ErrorCode::KeysSealed`], [`ErrorCode::KeysPassphraseWrong`].
pub fn keyring(folder: &Path, credential: Option<&str>) -> Result<Keyring, Fault> {
    let passphrase = credential.map(ncp_service::credential::read).transpose()?;
    Keyring::open(folder, passphrase.as_ref().map(|text| text.as_str())).map_err(|error| fault("key files", &error))
}

/// Reads all of it.
///
/// # Errors
/// A fault of group 2 or 7 that names the file; nothing is changed.
pub fn load(folder: &Path, participant: ParticipantId, keyring: &Keyring) -> Result<(Keys, Network), Fault> {
    let keyring = keyring.clone();
    for part in [PathBuf::new(), PathBuf::from(keyfiles::KEYS)] {
        let part = folder.join(part);
        keyfiles::check_folder(&part).map_err(|error| folder_fault(&part, &error))?;
    }
    let network = load_network(folder, participant)?;
    let entry = network.own_chain.entry();
    let epoch = network.origin().epoch;
    let signing = signing_key(
        (folder, &keyring),
        &keyfiles::key_path(KeyUse::Signing),
        KeyUse::Signing,
        entry.keys.signing.map(|key| key.key.id()),
    )?;
    let log_id = entry.log_key(LogName::Node, epoch).map(ncp_protocol::keys::VerifyingKey::id);
    let log = signing_key((folder, &keyring), &keyfiles::log_key_path(LogName::Node, epoch), KeyUse::Log, log_id)?;
    let witness = signing_key(
        (folder, &keyring),
        &keyfiles::key_path(KeyUse::Witness),
        KeyUse::Witness,
        Some(entry.keys.witness.id()),
    )?;
    let sealing = sealing_keys(folder, &keyring, entry)?;
    let storage = read_key(&keyring, &folder.join(keyfiles::key_path(KeyUse::Storage)), KeyUse::Storage)?;
    let tls = SharedTls::new(load_tls(folder, &keyring, &network)?);
    Ok((Keys { signing, sealing, log, witness, storage, tls, keyring }, network))
}

/// Reads certificates and TLS key, at the start and for a reload.
///
/// # Errors
/// A fault that names the file.
pub fn load_tls(folder: &Path, keyring: &Keyring, network: &Network) -> Result<TlsSettings, Fault> {
    let (chain, key) = (folder.join(keyfiles::TLS_CHAIN), folder.join(keyfiles::TLS_KEY));
    let material = TlsMaterial {
        certificate_chain: read_public(&chain, "certificate")?,
        private_key: keyring.read_tls(&key).map_err(|error| key_fault("TLS key", &error))?,
        authorities: read_public(&folder.join(keyfiles::TLS_AUTHORITY), "certificate of the authority")?,
        revocation_lists: Vec::new(),
    };
    let damaged = |error: &dyn core::fmt::Display| foreign(&chain, error);
    let settings = TlsSettings::new(&material, network.id()).map_err(|error| damaged(&error))?;
    let (entry, own) = (network.own_chain.entry(), settings.own());
    if own.participant != entry.participant {
        return Err(damaged(&format!("it names {}, this node is {}", own.participant, entry.participant)));
    }
    if !entry.pins(&own.certificate_key) {
        let expected: Vec<String> = entry.keys.tls.iter().map(ToString::to_string).collect();
        return Err(not_of_entry("TLS key", &key, &own.certificate_key, &expected.join(" or ")));
    }
    Ok(settings)
}

fn load_network(folder: &Path, participant: ParticipantId) -> Result<Network, Fault> {
    let root = load_root(folder)?;
    let own = versions(folder, keyfiles::entry_path, 0, "own directory entry", SignedEntry::decode)?;
    let (path, first) =
        own.first().ok_or_else(|| missing("own directory entry", &folder.join(keyfiles::entry_path(0))))?;
    let entry = first.unverified();
    if entry.participant != participant || entry.network != root.network() {
        let found = format!("{} in network {}", entry.participant, entry.network.label());
        let expected = format!("{participant} in network {}", root.network().label());
        return Err(ErrorCode::DataFolderForeign
            .with("folder", path.display())
            .with("found", found)
            .with("expected", expected));
    }
    let invalid = |version: u32, reason: &dyn core::fmt::Display| {
        let fault = ErrorCode::EntryInvalid.with("participant", participant);
        fault.with("version", version).with("reason", reason)
    };
    let mut chain =
        Chain::first(&root.network(), &Fingerprint(first.digest()), first).map_err(|error| invalid(0, &error))?;
    for (_, next) in own.iter().skip(1) {
        chain = chain.next(next).map_err(|error| invalid(next.unverified().version, &error))?;
    }
    let hub = load_hub(folder, root.network())?;
    Ok(Network { root, own: own.into_iter().map(|(_, entry)| entry).collect(), own_chain: chain, hub })
}

fn load_root(folder: &Path) -> Result<TrustedRoot, Fault> {
    let roots = versions(folder, keyfiles::root_path, 1, "root of trust", SignedRoot::decode)?;
    let (path, first) = roots.first().ok_or_else(|| missing("root of trust", &folder.join(keyfiles::root_path(1))))?;
    let invalid = |path: &Path, reason: &dyn core::fmt::Display| {
        ErrorCode::RootInvalid.with("file", path.display()).with("reason", reason)
    };
    let mut trusted = first.verify_first().map_err(|error| invalid(path, &error))?;
    for (path, next) in roots.iter().skip(1) {
        trusted = next.verify_next(&trusted).map_err(|error| invalid(path, &error))?;
    }
    Ok(trusted)
}

fn load_hub(folder: &Path, network: NetworkId) -> Result<SignedEntry, Fault> {
    let path = folder.join(keyfiles::HUB_ENTRY);
    let bytes = read_public(&path, "entry of the hub")?;
    let invalid = |reason: &dyn core::fmt::Display| {
        let fault = ErrorCode::EntryInvalid.with("participant", ParticipantId::HUB);
        fault.with("version", 0).with("reason", reason)
    };
    let entry = SignedEntry::decode(&bytes).map_err(|error| invalid(&error))?;
    if !entry.unverified().is_hub() {
        return Err(invalid(&format!("{} holds the entry of {}", path.display(), entry.unverified().participant)));
    }
    Chain::first(&network, &Fingerprint(entry.digest()), &entry).map_err(|error| invalid(&error))?;
    Ok(entry)
}

/// Numbered files without gap, each read and decoded.
fn versions<T, E: core::fmt::Display>(
    folder: &Path,
    place: fn(u32) -> PathBuf,
    from: u32,
    what: &'static str,
    decode: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<Vec<(PathBuf, T)>, Fault> {
    let mut found = Vec::new();
    for version in from..VERSIONS_MAX {
        let path = folder.join(place(version));
        let bytes = match keyfiles::read_public(&path) {
            Ok(bytes) => bytes,
            Err(KeyFileError::Missing(_)) => break,
            Err(error) => return Err(fault(what, &error)),
        };
        let value = decode(&bytes).map_err(|error| foreign(&path, &error))?;
        found.push((path, value));
    }
    Ok(found)
}

fn signing_key(
    (folder, keyring): (&Path, &Keyring),
    place: &Path,
    key: KeyUse,
    expected: Option<KeyId>,
) -> Result<SigningKey, Fault> {
    let path = folder.join(place);
    let signing = SigningKey::from_seed(&*read_key(keyring, &path, key)?);
    let found = signing.verifying_key().id();
    if expected == Some(found) {
        return Ok(signing);
    }
    let expected = expected.map_or_else(|| "none".to_owned(), |id| id.to_string());
    Err(not_of_entry(key.as_str(), &path, &found, &expected))
}

fn sealing_keys(folder: &Path, keyring: &Keyring, entry: &Entry) -> Result<Vec<SealingKey>, Fault> {
    let mut keys = Vec::new();
    for number in 1..=SEALING_FILES_MAX {
        let path = folder.join(keyfiles::sealing_key_path(number));
        match keyring.read_key(&path, KeyUse::Sealing) {
            Ok(seed) => keys.push(SealingKey::from_seed(&seed)),
            Err(KeyFileError::Missing(_)) if number > 1 => break,
            Err(error) => return Err(key_fault(KeyUse::Sealing.as_str(), &error)),
        }
    }
    for named in &entry.keys.sealing {
        let id = named.public.id();
        if !keys.iter().any(|key| key.public().id() == id) {
            let path = folder.join(keyfiles::sealing_key_path(1));
            let found = keys.first().map_or_else(|| "none".to_owned(), |key| key.public().id().to_string());
            return Err(not_of_entry(KeyUse::Sealing.as_str(), &path, &found, &id.to_string()));
        }
    }
    Ok(keys)
}

fn read_key(keyring: &Keyring, path: &Path, key: KeyUse) -> Result<Zeroizing<[u8; 32]>, Fault> {
    keyring.read_key(path, key).map_err(|error| key_fault(key.as_str(), &error))
}

fn read_public(path: &Path, what: &str) -> Result<Vec<u8>, Fault> {
    keyfiles::read_public(path).map_err(|error| fault(what, &error))
}

fn not_of_entry(what: &str, path: &Path, found: &dyn core::fmt::Display, expected: &str) -> Fault {
    let fault = ErrorCode::KeyNotOfEntry.with("what", what).with("file", path.display());
    fault.with("found", found).with("expected", expected)
}

/// A file that joining gave is not this node's.
fn foreign(path: &Path, reason: &dyn core::fmt::Display) -> Fault {
    let fault = ErrorCode::NetworkFileForeign.with("file", path.display()).with("reason", reason);
    fault.with("remedy", "move it away, then  ncpctl keys install  with the hub's answer")
}

/// A key that the entry names is gone: no command makes it anew.
fn key_fault(what: &str, error: &KeyFileError) -> Fault {
    let fault = fault(what, error);
    if fault.code == ErrorCode::KeyFileMissing {
        return fault.with("remedy", "put back the copy from your backup; no command makes it anew");
    }
    fault
}

fn missing(what: &str, path: &Path) -> Fault {
    fault(what, &KeyFileError::Missing(path.to_owned()))
}

/// What an operator is told about a file that cannot be used.
pub(crate) fn fault(what: &str, error: &KeyFileError) -> Fault {
    match error {
        KeyFileError::Missing(path) => ErrorCode::KeyFileMissing
            .with("what", what)
            .with("file", path.display())
            .with("remedy", "ncpctl keys init  makes keys,  ncpctl keys install FILE  the hub's answer to them"),
        KeyFileError::Exists(path) => ErrorCode::KeyFileExists.with("file", path.display()),
        KeyFileError::OpenToOthers { path, mode } => ErrorCode::KeyFileOpenToOthers
            .with("what", what)
            .with("file", path.display())
            .with("mode", format!("{mode:04o}"))
            .with("path", path.display()),
        KeyFileError::Damaged(path) => ErrorCode::KeyFileDamaged.with("what", what).with("file", path.display()),
        KeyFileError::Sealed(path) => ErrorCode::KeysSealed.with("file", path.display()),
        KeyFileError::PassphraseWrong(path) => ErrorCode::KeysPassphraseWrong.with("file", path.display()),
        KeyFileError::ForeignOwner { path, owner } => {
            ErrorCode::KeyFileForeign.with("what", what).with("file", path.display()).with("owner", owner)
        }
        KeyFileError::Io { path, cause } => ErrorCode::FileUnusable.with("file", path.display()).with("reason", cause),
    }
}

fn folder_fault(folder: &Path, error: &KeyFileError) -> Fault {
    let reason = match error {
        KeyFileError::Missing(_) => "there is no such folder".to_owned(),
        KeyFileError::OpenToOthers { mode, .. } => format!("it has mode {mode:04o} and must be closed to others, 0700"),
        KeyFileError::Damaged(_) => "it is not a folder".to_owned(),
        KeyFileError::Exists(_)
        | KeyFileError::ForeignOwner { .. }
        | KeyFileError::Sealed(_)
        | KeyFileError::PassphraseWrong(_)
        | KeyFileError::Io { .. } => error.to_string(),
    };
    ErrorCode::DataFolderUnusable.with("folder", folder.display()).with("reason", reason)
}
