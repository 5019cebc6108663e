//! `keys new-epoch` on files: a participant whose log was lost, or branched, begins again with fresh keys in a fresh folder.
//! It stays who it was: the identity key signs the next version of its entry, which names the key of the log's next epoch
//! beside those of its past ones.
//!
//! Order: folders, key files, entry. A crash leaves some of them; the same call again goes on from there.

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Entry, EntryKeys, LogKey, ValidKey};
use ncp_protocol::ids::{Epoch, LogName, UnixMillis};
use ncp_protocol::limits::LIFETIME_MAX_MS;
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyUse};

use super::authority;
use super::entries::Entries;
use super::entry::{Made, SIGN_PERIOD_MS, STORE_FORMAT, make_tls_key, sealing_entry_key};
use super::files::{make_key, make_signing_key};
use super::folder::make_data_folders;
use super::held::{check_keys, check_offline};
use super::rotate::identity;

/// Whose log begins again, and where.
#[derive(Debug, Clone)]
pub(crate) struct NewEpoch<'a> {
    /// The new data folder.
    pub(crate) data: &'a Path,
    /// What seals the keys in it and opens them.
    pub(crate) keyring: &'a Keyring,
    /// The folder to which the identity key was brought.
    pub(crate) offline: &'a Path,
    /// All entries that the hub has admitted.
    pub(crate) before: Entries,
    /// When.
    pub(crate) now: UnixMillis,
}

impl NewEpoch<'_> {
    /// Makes keys and entry, or finds what an earlier call made of the same entries.
    ///
    /// # Errors
    /// [`ErrorCode::EntryInstalledAlready`] if the folder is another's, or in use;
    /// [`ErrorCode::KeyFileMissing`] without the identity key; the faults of the files.
    pub(crate) fn open(&self) -> Result<Made, Fault> {
        make_data_folders(self.data)?;
        let entries = match Entries::read(self.data)? {
            Some(found) => self.made_before(found)?,
            None => self.make()?,
        };
        let tls = check_keys(self.data, self.keyring, &entries)?;
        let offline = check_offline(self.offline, entries.newest())?;
        Ok(Made { entries, tls, offline })
    }

    fn made_before(&self, found: Entries) -> Result<Entries, Fault> {
        let follows = found.version() == self.before.version() + 1
            && found.newest().previous == Some(self.before.digest())
            && epoch(found.newest()) > epoch(self.before.newest());
        if follows {
            return Ok(found);
        }
        let whose =
            format!("of {}, version {}, which is not the one after --from", found.participant(), found.version());
        Err(self.taken(&whose))
    }

    fn make(&self) -> Result<Entries, Fault> {
        if self.path(Path::new(STORE_FORMAT)).exists() {
            return Err(self.taken(&"of a participant whose daemon ran here"));
        }
        let identity = identity(self.offline, &self.before)?;
        let keys = self.keys(self.before.newest())?;
        self.check_anew(&keys)?;
        let entries = self.before.sign_next(self.now, keys, &identity)?;
        entries.put(self.data)?;
        Ok(entries)
    }

    /// Everything anew but identity, recovery and the log keys of past epochs.
    fn keys(&self, old: &Entry) -> Result<EntryKeys, Fault> {
        let signing = |place: &Path, key| make_signing_key(self.keyring, &self.path(place), key);
        let tls_path = self.path(Path::new(keyfiles::TLS_KEY));
        let tls = make_tls_key(self.keyring, &tls_path)?;
        let epoch = Epoch(epoch(old).0 + 1);
        let log = signing(&keyfiles::log_key_path(LogName::Node, epoch), KeyUse::Log)?.verifying_key();
        let mut logs = old.keys.logs.clone();
        logs.push(LogKey { log: LogName::Node, epoch, key: log });
        make_key(self.keyring, &self.path(&keyfiles::key_path(KeyUse::Storage)), KeyUse::Storage)?;
        let sealing = make_key(self.keyring, &self.path(&keyfiles::sealing_key_path(1)), KeyUse::Sealing)?;
        Ok(EntryKeys {
            signing: Some(ValidKey {
                key: signing(&keyfiles::signing_key_path(1), KeyUse::Signing)?.verifying_key(),
                from: UnixMillis(self.now.0.saturating_sub(LIFETIME_MAX_MS)),
                until: self.now.plus_millis(SIGN_PERIOD_MS),
            }),
            sealing: vec![sealing_entry_key(&sealing, self.now)],
            logs,
            witness: signing(&keyfiles::key_path(KeyUse::Witness), KeyUse::Witness)?.verifying_key(),
            tls: vec![authority::key_id(&authority::read_key(tls.as_bytes(), &tls_path.display())?)],
            ..old.keys.clone()
        })
    }

    /// Whether all keys were made here. One that an earlier entry named is an old key: others may have it.
    fn check_anew(&self, keys: &EntryKeys) -> Result<(), Fault> {
        let signing = keys.signing.iter().map(|key| key.key.id());
        let mut ids = signing.chain(keys.sealing.iter().map(|key| key.public.id())).chain(keys.tls.iter().copied());
        let witness = self.before.versions().any(|signed| signed.unverified().keys.witness == keys.witness);
        if witness || ids.any(|id| self.before.ever_named(&id)) {
            return Err(self.taken(&"to which keys in its folder keys belong"));
        }
        Ok(())
    }

    fn taken(&self, found: &dyn core::fmt::Display) -> Fault {
        ErrorCode::EntryInstalledAlready.with("folder", self.data.display()).with("found", found)
    }

    fn path(&self, place: &Path) -> PathBuf {
        self.data.join(place)
    }
}

/// The newest epoch of a participant's log.
pub(crate) fn epoch(entry: &Entry) -> Epoch {
    entry.newest_log_key(LogName::Node).map_or(Epoch(1), |named| named.epoch)
}
