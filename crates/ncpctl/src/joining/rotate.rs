//! `keys rotate` on files: the next version of a participant's entry, with the keys that are new in it.
//!
//! Order: key files, entry. A crash leaves key files that no entry names, and the next call uses them; but not where others
//! may know the old keys, or in place of the identity key.

use std::path::{Path, PathBuf};

use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{EntryKeys, SealingEntryKey, ValidKey};
use ncp_protocol::ids::{KeyId, ParticipantId, UnixMillis};
use ncp_protocol::keys::{SigningKey, VerifyingKey};
use ncp_protocol::limits::{CLOCK_SKEW_MAX_MS, DAY_MS, LIFETIME_MAX_MS, SEALING_KEYS_MAX};
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{KeyFileError, KeyUse, Seed};

use super::authority;
use super::entries::Entries;
use super::entry::{Made, SIGN_PERIOD_MS, make_tls_key, offline_path, sealing_entry_key};
use super::files::{file_fault, fresh, fresh_seed, make_key, make_signing_key};
use super::held::{KeyFiles, Series, check_keys, check_offline, entry_gone, fits, newest_certificate};

/// Rest of a signing key's time below which it is replaced unasked.
const SIGNING_BELOW_MS: u64 = 120 * DAY_MS;
/// How long the newest entry counts as the one that was just made.
const YOUNG_MS: u64 = DAY_MS;

/// What is asked for beside a new sealing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wish {
    /// A new signing key, whatever time the old one has left.
    pub(crate) signing: bool,
    /// A new TLS key.
    pub(crate) tls: bool,
    /// Another entry, although the newest was just made.
    pub(crate) again: bool,
    /// Others may have the old keys: the entry names none of them any more.
    pub(crate) compromised: bool,
    /// A new identity key, for which the recovery key signs.
    pub(crate) recovery: bool,
}

impl Wish {
    fn signing(self) -> bool {
        self.signing || self.compromised
    }

    fn tls(self) -> bool {
        self.tls || self.compromised
    }
}

/// Whose entry goes on, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rotation<'a> {
    /// The data folder.
    pub(crate) data: &'a Path,
    /// What seals the keys in it and opens them.
    pub(crate) keyring: &'a Keyring,
    /// The folder to which the identity key was brought.
    pub(crate) offline: &'a Path,
    /// What is asked for.
    pub(crate) wish: Wish,
    /// When.
    pub(crate) now: UnixMillis,
}

/// What a version has that the one before had not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct News {
    /// An identity key.
    pub(crate) identity: bool,
    /// A signing key.
    pub(crate) signing: bool,
    /// A TLS key.
    pub(crate) tls: bool,
}

impl News {
    /// Of the newest version.
    pub(crate) fn of(entries: &Entries) -> Self {
        let newest = &entries.newest().keys;
        let Some(previous) = entries.previous().map(|entry| &entry.keys) else {
            return Self { identity: true, signing: true, tls: true };
        };
        let key = |keys: &EntryKeys| keys.signing.map(|signing| signing.key);
        Self {
            identity: newest.identity != previous.identity,
            signing: key(newest) != key(previous),
            tls: newest.tls.iter().any(|pin| !previous.tls.contains(pin)),
        }
    }
}

/// Entries that go on.
#[derive(Debug, Clone)]
pub(crate) struct Rotated {
    /// All of them, and the TLS key to be certified.
    pub(crate) made: Made,
    /// Whether this call made the newest; else an earlier one did, a short while ago.
    pub(crate) is_new: bool,
}

impl Rotation<'_> {
    /// Makes the next version, or finds the one that an earlier call made a short while ago.
    ///
    /// # Errors
    /// [`ErrorCode::UsageInvalid`] for the hub's folder, or if the young entry lacks what is asked for;
    /// [`ErrorCode::KeyFileMissing`] if identity key, entry or another key is not here; the faults of the files.
    pub(crate) fn rotate(&self) -> Result<Rotated, Fault> {
        let entries = Entries::read(self.data)?;
        let entries = entries.ok_or_else(|| {
            let remedy = "ncpctl keys init  makes the first; one that was lost comes back from the hub's newest answer:  \
                          ncpctl keys install";
            entry_gone(self.data, remedy)
        })?;
        if entries.participant() == ParticipantId::HUB {
            let remedy = "ncpctl hub renew  goes on with what the hub has";
            return Err(usage("the folder is the hub's, which has no such keys", remedy));
        }
        let created = entries.newest().created;
        if created > self.now.plus_millis(CLOCK_SKEW_MAX_MS) {
            let reason = format!("version {} was made at {}, which is still to come", entries.version(), Time(created));
            let remedy = "put the clock right; if the entry is what is wrong, the hub does not take it: remove its file in DIR/network";
            return Err(usage(&reason, remedy));
        }
        let young = entries.version() > 0 && self.now.millis_since(created) < YOUNG_MS;
        let (entries, is_new) = if young && !self.wish.again && !self.wish.compromised && !self.wish.recovery {
            self.check_wish(&entries)?;
            (entries, false)
        } else {
            (self.next(&entries)?, true)
        };
        let tls = check_keys(self.data, self.keyring, &entries)?;
        let offline = check_offline(self.offline, entries.newest())?;
        Ok(Rotated { made: Made { entries, tls, offline }, is_new })
    }

    fn check_wish(&self, entries: &Entries) -> Result<(), Fault> {
        let news = News::of(entries);
        for (wished, there, what, flag) in
            [(self.wish.signing, news.signing, "signing", "--signing"), (self.wish.tls, news.tls, "TLS", "--tls")]
        {
            if wished && !there {
                let reason =
                    format!("version {} was made less than a day ago, without a new {what} key", entries.version());
                return Err(usage(&reason, &format!("add --again to make another version, or leave {flag} out")));
            }
        }
        Ok(())
    }

    /// Makes the keys and the version after the newest.
    fn next(&self, before: &Entries) -> Result<Entries, Fault> {
        let (signer, identity) = self.signer(before)?;
        let keys = EntryKeys {
            identity,
            signing: self.signing(before)?,
            sealing: self.sealing(before)?,
            tls: self.pins(before)?,
            ..before.newest().keys.clone()
        };
        let entries = before.sign_next(self.now, keys, &signer)?;
        // Before others hear of it: every key that it names is here.
        check_keys(self.data, self.keyring, &entries)?;
        entries.put(self.data)?;
        Ok(entries)
    }

    /// What signs the next version, and the identity key that it names: the identity key both, or the recovery key for a
    /// new one.
    fn signer(&self, before: &Entries) -> Result<(SigningKey, VerifyingKey), Fault> {
        if !self.wish.recovery {
            let identity = identity(self.offline, before)?;
            let named = identity.verifying_key();
            return Ok((identity, named));
        }
        let (old, path) = (&before.newest().keys, offline_path(self.offline, KeyUse::Recovery));
        let recovery = SigningKey::from_seed(&*carried(&path, KeyUse::Recovery)?);
        fits(&path, KeyUse::Recovery.as_str(), &recovery.verifying_key().id(), &[old.recovery.id()])?;
        let path = offline_path(self.offline, KeyUse::Identity);
        let seed = fresh_seed()?;
        match Keyring::OPEN.create_key(&path, KeyUse::Identity, &seed, fresh()?) {
            // The old one, one that its thief knows, somebody else's, or what an interrupted call left: no file tells which.
            Err(KeyFileError::Exists(_)) => {
                let reason = format!("{} is there, and the identity key is to be made anew", path.display());
                return Err(usage(
                    &reason,
                    "move it away; if it is the one of the newest entry, it signs without --recovery",
                ));
            }
            created => created.map_err(|error| file_fault(KeyUse::Identity.as_str(), &error))?,
        }
        Ok((recovery, SigningKey::from_seed(&seed).verifying_key()))
    }

    /// Where the next key lies. What an interrupted call left may be known to whoever has the others.
    fn new_path(&self, files: &KeyFiles, before: &Entries) -> PathBuf {
        if self.wish.compromised { files.fresh_path() } else { files.next_path(before) }
    }

    /// The old signing key as it is, or a new one. What was released under the old and not delivered yet is sealed again
    /// under the new one with its old release time, so the new one is valid as far back as a message lives.
    fn signing(&self, before: &Entries) -> Result<Option<ValidKey>, Fault> {
        let Some(old) = before.newest().keys.signing else { return Ok(None) };
        if !self.wish.signing() && old.until.millis_since(self.now) >= SIGNING_BELOW_MS {
            return Ok(Some(old));
        }
        let path = self.new_path(&KeyFiles::read(self.data, self.keyring, Series::Signing)?, before);
        let reach = UnixMillis(self.now.0.saturating_sub(LIFETIME_MAX_MS));
        Ok(Some(ValidKey {
            key: make_signing_key(self.keyring, &path, KeyUse::Signing)?.verifying_key(),
            from: old.from.min(self.now).max(reach),
            until: self.now.plus_millis(SIGN_PERIOD_MS),
        }))
    }

    /// A new sealing key beside those that may still have to open something: as many as an entry takes, those that open
    /// longest.
    fn sealing(&self, before: &Entries) -> Result<Vec<SealingEntryKey>, Fault> {
        let path = self.new_path(&KeyFiles::read(self.data, self.keyring, Series::Sealing)?, before);
        let seed = make_key(self.keyring, &path, KeyUse::Sealing)?;
        let mut kept = before.newest().keys.sealing.clone();
        kept.retain(|key| self.now < key.open_until && !self.wish.compromised);
        kept.sort_by_key(|key| core::cmp::Reverse(key.open_until));
        kept.truncate(SEALING_KEYS_MAX - 1);
        kept.push(sealing_entry_key(&seed, self.now));
        kept.sort_by_key(|key| key.public.id());
        Ok(kept)
    }

    /// With a new TLS key: the one that serves, and the new one. Else those that are pinned, without an old one that no
    /// certificate serves any more.
    fn pins(&self, before: &Entries) -> Result<Vec<KeyId>, Fault> {
        let pinned = &before.newest().keys.tls;
        let files = KeyFiles::read(self.data, self.keyring, Series::Tls)?;
        let serving = match newest_certificate(self.data)? {
            Some(certificate) => {
                certificate.check_held(&files)?;
                Some(certificate.parsed.key)
            }
            None => None,
        };
        if !self.wish.tls() {
            let over_newest = serving.filter(|key| files.newest() == Some(key) && pinned.contains(key));
            return Ok(over_newest.map_or_else(|| pinned.clone(), |key| vec![key]));
        }
        let path = self.new_path(&files, before);
        let pem = make_tls_key(self.keyring, &path)?;
        let new = authority::key_id(&authority::read_key(pem.as_bytes(), &path.display())?);
        let old = serving.or_else(|| pinned.iter().find(|pin| files.hold(pin)).copied());
        let old = old.filter(|_| !self.wish.compromised);
        let mut pins: Vec<KeyId> = old.into_iter().chain([new]).collect();
        pins.sort_unstable();
        pins.dedup();
        Ok(pins)
    }
}

/// The identity key in the folder to which it was brought; it has to be the one of the newest entry.
///
/// # Errors
/// [`ErrorCode::KeyFileMissing`], [`ErrorCode::KeyNotOfEntry`].
pub(super) fn identity(offline: &Path, before: &Entries) -> Result<SigningKey, Fault> {
    let seed = carried(&offline_path(offline, KeyUse::Identity), KeyUse::Identity)?;
    check_offline(offline, before.newest())?;
    Ok(SigningKey::from_seed(&seed))
}

/// A key that was carried away, and brought.
fn carried(path: &Path, key: KeyUse) -> Result<Seed, Fault> {
    Keyring::OPEN.read_key(path, key).map_err(|error| match error {
        KeyFileError::Missing(_) => {
            let remedy = "bring it from where it was carried, and name its folder with --offline";
            let fault = ErrorCode::KeyFileMissing.with("what", key.as_str()).with("file", path.display());
            fault.with("remedy", remedy)
        }
        KeyFileError::Exists(_)
        | KeyFileError::OpenToOthers { .. }
        | KeyFileError::ForeignOwner { .. }
        | KeyFileError::Sealed(_)
        | KeyFileError::PassphraseWrong(_)
        | KeyFileError::Damaged(_)
        | KeyFileError::Io { .. } => file_fault(key.as_str(), &error),
    })
}

pub(super) fn usage(reason: &str, remedy: &str) -> Fault {
    ErrorCode::UsageInvalid.with("reason", reason).with("remedy", remedy)
}
