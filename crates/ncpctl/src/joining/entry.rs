//! A participant's first directory entry, made from its key files. The versions after it are made by
//! [`rotate`](super::rotate).

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Entry, EntryKeys, Fingerprint, LogKey, SealingEntryKey, SignedEntry, ValidKey};
use ncp_protocol::ids::{Epoch, LogName, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::{DAY_MS, OPEN_AFTER_SEAL_MS, SEAL_PERIOD_MAX_MS};
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyUse, Seed};

use super::authority;
use super::entries::{Entries, THE_NEW_ENTRY};
use super::files::{file_fault, fresh, make_folder, make_key, make_signing_key, read_tls};
use super::held::{OfflineKeys, check_keys, check_offline, entry_gone};

/// How long a signing key may sign.
pub(super) const SIGN_PERIOD_MS: u64 = 366 * DAY_MS;
/// The first suite, and the weakest that a new participant accepts.
const FIRST_SUITE: u16 = 1;
const FIRST_EPOCH: Epoch = Epoch(1);
/// What a store puts into a data folder first.
pub(super) const STORE_FORMAT: &str = "format";

/// Where a participant's keys go, and who it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker<'a> {
    /// The data folder.
    pub(crate) data: &'a Path,
    /// What seals the keys in it and opens them.
    pub(crate) keyring: &'a Keyring,
    /// The folder whose files are carried away; the keys in it are not sealed.
    pub(crate) offline: &'a Path,
    /// In which network.
    pub(crate) network: NetworkId,
    /// Who.
    pub(crate) participant: ParticipantId,
    /// When.
    pub(crate) now: UnixMillis,
}

/// A participant's entries and what belongs to them.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The signed entries; of a participant that only begins, one.
    pub(crate) entries: Entries,
    /// The TLS key to be certified, PEM.
    pub(crate) tls: zeroize::Zeroizing<String>,
    /// Where identity and recovery key are.
    pub(crate) offline: OfflineKeys,
}

impl Made {
    /// What people compare.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.entries.fingerprint()
    }
}

impl Maker<'_> {
    /// Makes the keys of a node and its entry of version 0, or reads what an earlier call made: beside an entry no key is
    /// made, and each that it names has to be there.
    ///
    /// Order: folders, identity and recovery key, TLS key, other keys, entry. A crash leaves some of them; the next call
    /// goes on from there.
    ///
    /// # Errors
    /// A fault that names the file; [`ErrorCode::EntryInstalledAlready`] if the folder belongs to somebody else;
    /// [`ErrorCode::KeyFileMissing`] if a key or the entry itself was there and is gone.
    pub(crate) fn node(&self) -> Result<Made, Fault> {
        self.make(|maker| {
            let seed = make_key(maker.keyring, &maker.path(&keyfiles::sealing_key_path(1)), KeyUse::Sealing)?;
            make_key(maker.keyring, &maker.path(&keyfiles::key_path(KeyUse::Storage)), KeyUse::Storage)?;
            Ok(Part {
                signing: Some(ValidKey {
                    key: maker.signing(&keyfiles::key_path(KeyUse::Signing), KeyUse::Signing)?.verifying_key(),
                    from: maker.now,
                    until: maker.now.plus_millis(SIGN_PERIOD_MS),
                }),
                sealing: vec![sealing_entry_key(&seed, maker.now)],
                logs: vec![maker.log(LogName::Node)?],
                timestamp: None,
            })
        })
    }

    /// The same for the hub.
    ///
    /// # Errors
    /// As [`Maker::node`].
    pub(crate) fn hub(&self) -> Result<Made, Fault> {
        self.make(|maker| {
            let timestamp = maker.signing(&keyfiles::key_path(KeyUse::Timestamp), KeyUse::Timestamp)?;
            Ok(Part {
                signing: None,
                sealing: Vec::new(),
                logs: vec![maker.log(LogName::Traffic)?, maker.log(LogName::Public)?],
                timestamp: Some(timestamp.verifying_key()),
            })
        })
    }

    fn make(&self, part: impl FnOnce(&Self) -> Result<Part, Fault>) -> Result<Made, Fault> {
        if let Some(entries) = self.made_before()? {
            let tls = check_keys(self.data, self.keyring, &entries)?;
            let offline = check_offline(self.offline, entries.newest())?;
            return Ok(Made { entries, tls, offline });
        }
        self.check_unused()?;
        make_folder(self.offline)?;
        let carried = |key| make_signing_key(&Keyring::OPEN, &offline_path(self.offline, key), key);
        let (identity, recovery) = (carried(KeyUse::Identity)?, carried(KeyUse::Recovery)?);
        let tls = make_tls_key(self.keyring, &self.path(Path::new(keyfiles::TLS_KEY)))?;
        let pin =
            authority::key_id(&authority::read_key(tls.as_bytes(), &self.data.join(keyfiles::TLS_KEY).display())?);
        let Part { signing, sealing, logs, timestamp } = part(self)?;
        let entry = Entry {
            network: self.network,
            participant: self.participant,
            version: 0,
            previous: None,
            created: self.now,
            keys: EntryKeys {
                identity: identity.verifying_key(),
                recovery: recovery.verifying_key(),
                signing,
                sealing,
                logs,
                witness: self.signing(&keyfiles::key_path(KeyUse::Witness), KeyUse::Witness)?.verifying_key(),
                timestamp,
                tls: vec![pin],
            },
            suite_floor: FIRST_SUITE,
        };
        let entry = SignedEntry::sign(entry, &identity).map_err(|error| self.invalid(&error))?;
        let entries = Entries::first(&entry, &THE_NEW_ENTRY)?;
        entries.put(self.data)?;
        Ok(Made { entries, tls, offline: OfflineKeys::Here })
    }

    /// The entries that earlier calls made, if they are this participant's in this network.
    fn made_before(&self) -> Result<Option<Entries>, Fault> {
        let Some(entries) = Entries::read(self.data)? else { return Ok(None) };
        if entries.participant() == self.participant && entries.network() == self.network {
            return Ok(Some(entries));
        }
        let found = format!("of {} in network {}", entries.participant(), entries.network().label());
        Err(ErrorCode::EntryInstalledAlready.with("folder", self.data.display()).with("found", found))
    }

    /// Whether there never was an entry. It comes after all keys and before everything else, so it is lost, not still to
    /// be made, where a daemon ran, where an answer was installed, or where the identity key was carried away from beside
    /// keys that are made after it.
    fn check_unused(&self) -> Result<(), Fault> {
        let later = [PathBuf::from(STORE_FORMAT), keyfiles::TLS_CHAIN.into(), keyfiles::root_path(1)];
        let carried =
            self.path(Path::new(keyfiles::TLS_KEY)).exists() && !offline_path(self.offline, KeyUse::Identity).exists();
        if !carried && !later.iter().any(|file| self.path(file).exists()) {
            return Ok(());
        }
        let remedy = if self.participant == ParticipantId::HUB {
            "put back the newest backup of the folder".to_owned()
        } else {
            let participant = self.participant;
            format!("put back the newest backup of the folder, or  ncpctl keys install {participant}-answer.json")
        };
        Err(entry_gone(self.data, &remedy))
    }

    fn log(&self, log: LogName) -> Result<LogKey, Fault> {
        let key = self.signing(&keyfiles::log_key_path(log, FIRST_EPOCH), KeyUse::Log)?.verifying_key();
        Ok(LogKey { log, epoch: FIRST_EPOCH, key })
    }

    fn signing(&self, path: &Path, key: KeyUse) -> Result<SigningKey, Fault> {
        make_signing_key(self.keyring, &self.path(path), key)
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.data.join(path)
    }

    fn invalid(&self, reason: &dyn core::fmt::Display) -> Fault {
        let fault = ErrorCode::EntryInvalid.with("participant", self.participant);
        fault.with("version", 0).with("reason", reason)
    }
}

/// What a node and the hub differ in.
struct Part {
    signing: Option<ValidKey>,
    sealing: Vec<SealingEntryKey>,
    logs: Vec<LogKey>,
    timestamp: Option<ncp_protocol::keys::VerifyingKey>,
}

/// Where a key that is carried away lies first.
pub(crate) fn offline_path(offline: &Path, key: KeyUse) -> std::path::PathBuf {
    offline.join(keyfiles::key_path(key).file_name().unwrap_or_default())
}

/// The private TLS key of a file, PEM, which is made if there is none.
pub(super) fn make_tls_key(keyring: &Keyring, path: &Path) -> Result<zeroize::Zeroizing<String>, Fault> {
    let damaged = || ErrorCode::KeyFileDamaged.with("what", "TLS key").with("file", path.display());
    if let Some(bytes) = read_tls(keyring, path)? {
        return String::from_utf8(bytes.to_vec()).map(Into::into).map_err(|_| damaged());
    }
    let pem = authority::fresh_key()?;
    let created = keyring.create_tls(path, pem.as_bytes(), fresh()?);
    created.map_err(|error| file_fault("TLS key", &error))?;
    Ok(pem)
}

/// What an entry says about a new sealing key: others seal to it for 90 days.
pub(super) fn sealing_entry_key(seed: &Seed, now: UnixMillis) -> SealingEntryKey {
    let seal_until = now.plus_millis(SEAL_PERIOD_MAX_MS);
    let public = SealingKey::from_seed(seed).public();
    SealingEntryKey { public, seal_until, open_until: seal_until.plus_millis(OPEN_AFTER_SEAL_MS) }
}

/// An entry of version 0 that its own identity key signed.
///
/// # Errors
/// [`ErrorCode::EntryInvalid`] with the source.
pub(crate) fn first_entry(bytes: &[u8], source: &dyn core::fmt::Display) -> Result<SignedEntry, Fault> {
    let entries = Entries::decode(&[bytes.to_vec()], source)?;
    Ok(entries.oldest().clone())
}
