//! The node's keys and what joining gave it, read from the data folder. The layout of these files is in
//! [`ncp_store::keyfiles`]; `ncpctl keys init`, `keys rotate` and `keys install` make them. A node needs
//!
//! | file | checked against |
//! |---|---|
//! | `keys/signing.key`, `signing-2.key` … | the entry's signing key is one of them |
//! | `keys/sealing-1.key`, `sealing-2.key` … | each sealing key of the entry is one of them; an empty file was destroyed |
//! | `keys/log-node-<epoch>.key` | the entry's newest log key and its epoch |
//! | `keys/witness.key` | the entry's witness key |
//! | `keys/storage.key` | nothing: it is in no entry |
//! | `keys/tls.key`, `tls-2.key` …, `network/ca.crt` | one belongs to the certificate |
//! | `network/tls.crt`, `tls-2.crt` … | the last one names this participant, its key is pinned in the entry |
//! | `network/root-1`, `root-2` … | each signed by the one before; version 1 makes the network |
//! | `network/entry-0`, `entry-1` … | this participant's chain in this network |
//! | `network/hub-entry` | the hub's first entry; what people compared at joining |
//!
//! The entry is the newest that lies there. Whether it is in force is another question: the hub has to admit it first, and
//! until then envelopes are signed with the key of the one before. Entries, the keys for envelopes and certificates may be
//! added while the daemon runs.
//!
//! Identity and recovery key may lie elsewhere: the daemon never reads them. A key that others can read stops the start.
//! All secrets wipe themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, Entry, Fingerprint, SignedEntry};
use ncp_protocol::ids::{Epoch, KeyId, LogName, LogOrigin, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::{NetworkClass, SignedRoot, TrustedRoot};
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyFileError, KeyUse, Seed};
use ncp_transport::tls::{SettingsError, SharedTls, TlsMaterial, TlsSettings};
use zeroize::Zeroizing;

/// Most versions of root or entry that are looked for.
const VERSIONS_MAX: u32 = 4_096;

/// Private keys of the running node that stay while it runs.
pub struct Keys {
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

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Keys")
    }
}

/// The private keys that sign and open envelopes: those of all own entries, the ones no newer entry names among them.
pub struct EnvelopeKeys {
    signing: Vec<SigningKey>,
    sealing: Vec<SealingKey>,
}

impl EnvelopeKeys {
    /// These keys.
    #[must_use]
    pub fn new(signing: Vec<SigningKey>, sealing: Vec<SealingKey>) -> Self {
        Self { signing, sealing }
    }

    /// The signing key with this id.
    #[must_use]
    pub fn signing(&self, id: &KeyId) -> Option<&SigningKey> {
        self.signing.iter().find(|key| key.verifying_key().id() == *id)
    }

    /// The sealing key with this id.
    #[must_use]
    pub fn sealing(&self, id: &KeyId) -> Option<&SealingKey> {
        self.sealing.iter().find(|key| key.public().id() == *id)
    }
}

impl core::fmt::Debug for EnvelopeKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EnvelopeKeys")
    }
}

/// The participant's own entries as they lie in the data folder, and the keys for envelopes that they name.
#[derive(Debug, Clone)]
pub struct Own {
    /// The entries, oldest first; at least one.
    pub entries: Vec<SignedEntry>,
    /// Their chain. Its entry may be one that the hub has not admitted yet.
    pub chain: Chain,
    /// The keys.
    pub keys: Arc<EnvelopeKeys>,
}

/// What joining gave: the network's root of trust, who this is, the hub's entry.
#[derive(Debug, Clone)]
pub struct Network {
    /// The newest installed root of trust.
    pub root: TrustedRoot,
    /// The hub's signed entry of version 0.
    pub hub: SignedEntry,
    /// This node's log as it is open now.
    pub origin: LogOrigin,
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
pub fn load(folder: &Path, participant: ParticipantId, keyring: &Keyring) -> Result<(Keys, Own, Network), Fault> {
    let keyring = keyring.clone();
    for part in [PathBuf::new(), PathBuf::from(keyfiles::KEYS)] {
        let part = folder.join(part);
        keyfiles::check_folder(&part).map_err(|error| folder_fault(&part, &error))?;
    }
    let root = load_root(folder)?;
    let own = load_own(folder, &keyring, root.network(), participant)?;
    let entry = own.chain.entry();
    let hub = load_hub(folder, root.network())?;
    let epoch = entry.newest_log_key(LogName::Node).map_or(Epoch(1), |key| key.epoch);
    let log_id = entry.log_key(LogName::Node, epoch).map(ncp_protocol::keys::VerifyingKey::id);
    let log = signing_key((folder, &keyring), &keyfiles::log_key_path(LogName::Node, epoch), KeyUse::Log, log_id)?;
    let witness = signing_key(
        (folder, &keyring),
        &keyfiles::key_path(KeyUse::Witness),
        KeyUse::Witness,
        Some(entry.keys.witness.id()),
    )?;
    let storage = read_key(&keyring, &folder.join(keyfiles::key_path(KeyUse::Storage)), KeyUse::Storage)?;
    let tls = SharedTls::new(load_tls(folder, &keyring, entry)?);
    let origin = LogOrigin { network: root.network(), participant, log: LogName::Node, epoch };
    Ok((Keys { log, witness, storage, tls, keyring }, own, Network { root, hub, origin }))
}

/// Reads the own entries and the keys for envelopes that they name, at the start and again later.
///
/// # Errors
/// A fault that names the file.
pub fn load_own(
    folder: &Path,
    keyring: &Keyring,
    network: NetworkId,
    participant: ParticipantId,
) -> Result<Own, Fault> {
    let (entries, chain) = load_entries(folder, network, participant)?;
    let signing = signing_keys(folder, keyring, chain.entry())?;
    let sealing = sealing_keys(folder, keyring, chain.entry())?;
    Ok(Own { entries, chain, keys: Arc::new(EnvelopeKeys::new(signing, sealing)) })
}

/// Destroys the sealing keys that nothing can be sealed to any more and that the newest entries name no longer: what was
/// sealed to them stays closed for whoever takes this disk. Returns how many.
///
/// # Errors
/// A fault that names the file; keys before it are destroyed.
pub fn destroy_ended(
    folder: &Path,
    keyring: &Keyring,
    own: &Own,
    in_force: &Entry,
    now: UnixMillis,
) -> Result<usize, Fault> {
    let named_now = [in_force, own.chain.entry()].map(|entry| &entry.keys.sealing);
    let all = || own.entries.iter().flat_map(|signed| &signed.unverified().keys.sealing);
    let has_ended = |id: KeyId| {
        let still_named = named_now.iter().any(|keys| keys.iter().any(|key| key.public.id() == id));
        let end = all().filter(|key| key.public.id() == id).map(|key| key.open_until).max();
        !still_named && end.is_some_and(|end| end <= now)
    };
    let failed = |error| fault(KeyUse::Sealing.as_str(), &error);
    let mut destroyed = 0;
    for number in 1..=keyfiles::count(folder, keyfiles::sealing_key_path).map_err(failed)? {
        let path = folder.join(keyfiles::sealing_key_path(number));
        if keyfiles::is_destroyed(&path).map_err(failed)? {
            continue;
        }
        if has_ended(SealingKey::from_seed(&*read_key(keyring, &path, KeyUse::Sealing)?).public().id()) {
            keyfiles::destroy_key(&path).map_err(failed)?;
            destroyed += 1;
        }
    }
    Ok(destroyed)
}

/// Reads the newest certificate and its TLS key, at the start and for a reload.
///
/// # Errors
/// A fault that names the file.
pub fn load_tls(folder: &Path, keyring: &Keyring, entry: &Entry) -> Result<TlsSettings, Fault> {
    let count = |place| keyfiles::count(folder, place).map_err(|error| fault("certificate", &error));
    let chain = folder.join(keyfiles::tls_chain_path(count(keyfiles::tls_chain_path)?));
    let newest = count(keyfiles::tls_key_path)?.max(1);
    let mut material = TlsMaterial {
        certificate_chain: read_public(&chain, "certificate")?,
        private_key: Zeroizing::default(),
        authorities: read_public(&folder.join(keyfiles::TLS_AUTHORITY), "certificate of the authority")?,
        revocation_lists: Vec::new(),
    };
    let damaged = |error: &dyn core::fmt::Display| foreign(&chain, error);
    let mut settings = Err(SettingsError::KeyMismatch);
    for number in (1..=newest).rev() {
        let key = folder.join(keyfiles::tls_key_path(number));
        material.private_key = keyring.read_tls(&key).map_err(|error| key_fault("TLS key", &error))?;
        settings = TlsSettings::new(&material, entry.network);
        if settings.as_ref().err() != Some(&SettingsError::KeyMismatch) {
            break;
        }
    }
    let settings = settings.map_err(|error| damaged(&error))?;
    let own = settings.own();
    if own.participant != entry.participant {
        return Err(damaged(&format!("it names {}, this node is {}", own.participant, entry.participant)));
    }
    if !entry.pins(&own.certificate_key) {
        let expected: Vec<String> = entry.keys.tls.iter().map(ToString::to_string).collect();
        return Err(not_of_entry("TLS key", &chain, &own.certificate_key, &expected.join(" or ")));
    }
    Ok(settings)
}

fn load_entries(
    folder: &Path,
    network: NetworkId,
    participant: ParticipantId,
) -> Result<(Vec<SignedEntry>, Chain), Fault> {
    let own = versions(folder, keyfiles::entry_path, 0, "own directory entry", SignedEntry::decode)?;
    let (path, first) =
        own.first().ok_or_else(|| missing("own directory entry", &folder.join(keyfiles::entry_path(0))))?;
    let entry = first.unverified();
    if entry.participant != participant || entry.network != network {
        let found = format!("{} in network {}", entry.participant, entry.network.label());
        let expected = format!("{participant} in network {}", network.label());
        return Err(ErrorCode::DataFolderForeign
            .with("folder", path.display())
            .with("found", found)
            .with("expected", expected));
    }
    let invalid = |version: u32, reason: &dyn core::fmt::Display| {
        let fault = ErrorCode::EntryInvalid.with("participant", participant);
        fault.with("version", version).with("reason", reason)
    };
    let mut chain = Chain::first(&network, &Fingerprint(first.digest()), first).map_err(|error| invalid(0, &error))?;
    for (_, next) in own.iter().skip(1) {
        chain = chain.next(next).map_err(|error| invalid(next.unverified().version, &error))?;
    }
    Ok((own.into_iter().map(|(_, entry)| entry).collect(), chain))
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

/// All keys of a kind that has several files; the entry names some of them.
fn numbered_keys<K>(
    (folder, keyring): (&Path, &Keyring),
    (key, place): (KeyUse, fn(u32) -> PathBuf),
    make: impl Fn(&Seed) -> (K, KeyId),
    named: &[KeyId],
) -> Result<Vec<K>, Fault> {
    let count = keyfiles::count(folder, place).map_err(|error| fault(key.as_str(), &error))?;
    let mut keys = Vec::new();
    for number in 1..=count.max(1) {
        let path = folder.join(place(number));
        if count == 0 || !keyfiles::is_destroyed(&path).map_err(|error| fault(key.as_str(), &error))? {
            keys.push(make(&read_key(keyring, &path, key)?));
        }
    }
    if let Some(lacking) = named.iter().find(|id| keys.iter().all(|(_, found)| found != *id)) {
        let path = folder.join(place(count.max(1)));
        let found: Vec<String> = keys.iter().map(|(_, id)| id.to_string()).collect();
        return Err(not_of_entry(key.as_str(), &path, &found.join(", "), &lacking.to_string()));
    }
    Ok(keys.into_iter().map(|(key, _)| key).collect())
}

fn signing_keys(folder: &Path, keyring: &Keyring, entry: &Entry) -> Result<Vec<SigningKey>, Fault> {
    let named: Vec<KeyId> = entry.keys.signing.iter().map(|key| key.key.id()).collect();
    let make = |seed: &Seed| {
        let key = SigningKey::from_seed(seed);
        let id = key.verifying_key().id();
        (key, id)
    };
    numbered_keys((folder, keyring), (KeyUse::Signing, keyfiles::signing_key_path), make, &named)
}

fn sealing_keys(folder: &Path, keyring: &Keyring, entry: &Entry) -> Result<Vec<SealingKey>, Fault> {
    let named: Vec<KeyId> = entry.keys.sealing.iter().map(|key| key.public.id()).collect();
    let make = |seed: &Seed| {
        let key = SealingKey::from_seed(seed);
        let id = key.public().id();
        (key, id)
    };
    numbered_keys((folder, keyring), (KeyUse::Sealing, keyfiles::sealing_key_path), make, &named)
}

fn read_key(keyring: &Keyring, path: &Path, key: KeyUse) -> Result<Seed, Fault> {
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
