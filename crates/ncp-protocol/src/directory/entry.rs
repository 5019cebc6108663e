//! A directory entry: one participant's keys, signed by its identity key.
//!
//! An entry is checked when it is made and when it is read; who signed it is a matter of the [`Chain`](super::Chain).

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::{DecodeError, Prefix};
use crate::ids::{Digest, Epoch, IdError, KeyId, LogName, NetworkId, ParticipantId, UnixMillis};
use crate::keys::{Purpose, Signature, SigningKey, VerifyingKey, sha256};
use crate::limits::{ENTRY_MAX, LOG_KEYS_MAX, OPEN_AFTER_SEAL_MS, SEAL_PERIOD_MAX_MS, SEALING_KEYS_MAX, TLS_PINS_MAX};
use crate::wrap::SealingPublicKey;

const PREFIX: Prefix = Prefix::new(b'D', 1);
const SIGNED_PREFIX: Prefix = Prefix::new(b'd', 1);

/// One version of a participant's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The network it belongs to.
    pub network: NetworkId,
    /// Whose keys these are.
    pub participant: ParticipantId,
    /// From 0; each version adds one.
    pub version: u32,
    /// [`SignedEntry::digest`] of the version before; none for version 0.
    pub previous: Option<Digest>,
    /// When it was made, by the participant's clock.
    pub created: UnixMillis,
    /// The keys.
    pub keys: EntryKeys,
    /// Weakest suite that this participant accepts; never falls.
    pub suite_floor: u16,
}

/// Keys of a participant; all distinct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryKeys {
    /// Signs the next version of the entry. May be offline.
    pub identity: VerifyingKey,
    /// Signs a next version that replaces the identity key. Offline; the same in all versions.
    pub recovery: VerifyingKey,
    /// Signs envelopes. The hub has none.
    pub signing: Option<ValidKey>,
    /// Others seal to these, sorted by key id. The hub has none, everyone else 1 to 4.
    pub sealing: Vec<SealingEntryKey>,
    /// Sign the checkpoints of the participant's logs, sorted by log and epoch; those of past epochs stay.
    pub logs: Vec<LogKey>,
    /// Cosigns checkpoints of others.
    pub witness: VerifyingKey,
    /// Signs timestamp statements. The hub alone has one.
    pub timestamp: Option<VerifyingKey>,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo, DER) of its TLS certificates, sorted: the one in use and,
    /// during a change, the next.
    pub tls: Vec<KeyId>,
}

/// A signing key and when it may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidKey {
    /// The key.
    pub key: VerifyingKey,
    /// First point in time.
    pub from: UnixMillis,
    /// End, excluded.
    pub until: UnixMillis,
}

impl ValidKey {
    /// Whether it may sign at `time`.
    #[must_use]
    pub fn is_valid_at(&self, time: UnixMillis) -> bool {
        self.from <= time && time < self.until
    }
}

/// A sealing key and how long it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingEntryKey {
    /// The key.
    pub public: SealingPublicKey,
    /// Nobody seals to it from here on: at most 90 days after the entry was made.
    pub seal_until: UnixMillis,
    /// The recipient destroys the private half here: at least the longest lifetime and 48 hours after `seal_until`.
    pub open_until: UnixMillis,
}

/// The key of one log in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKey {
    /// Which log.
    pub log: LogName,
    /// Which life of it.
    pub epoch: Epoch,
    /// Signs its checkpoints.
    pub key: VerifyingKey,
}

/// Why an entry cannot stand, whoever signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EntryFault {
    /// Version 0 names an entry before it, or a later version does not.
    #[error("version and previous entry do not fit")]
    Previous,
    /// A participant without signing or sealing key, the hub with one, or a timestamp key elsewhere than at the hub.
    #[error("keys do not fit the participant's part")]
    Part,
    /// A signing key that is never valid.
    #[error("a key's validity is empty")]
    Validity,
    /// A sealing key that seals too long or opens too short.
    #[error("a sealing key's times are out of range")]
    SealingTimes,
    /// More keys of a kind than allowed, or none.
    #[error("too many or too few keys of a kind")]
    Count,
    /// A list is not sorted or names something twice.
    #[error("a list is not sorted or not unique")]
    Order,
    /// A log that the participant does not keep, or a missing one, or epoch 0.
    #[error("logs do not fit the participant's part")]
    Logs,
    /// One key serves two purposes.
    #[error("one key serves two purposes")]
    SharedKey,
    /// Suites count from 1.
    #[error("suite floor 0")]
    SuiteFloor,
}

impl Entry {
    /// Whether the entry agrees with itself and its limits.
    ///
    /// # Errors
    /// [`EntryFault`].
    pub fn check(&self) -> Result<(), EntryFault> {
        if (self.version == 0) != self.previous.is_none() {
            return Err(EntryFault::Previous);
        }
        if self.suite_floor == 0 {
            return Err(EntryFault::SuiteFloor);
        }
        self.check_part()?;
        self.check_sealing()?;
        self.check_logs()?;
        self.check_pins()?;
        self.check_distinct()
    }

    /// Whether this is the hub's entry.
    #[must_use]
    pub fn is_hub(&self) -> bool {
        self.participant == ParticipantId::HUB
    }

    /// The key of a log in an epoch.
    #[must_use]
    pub fn log_key(&self, log: LogName, epoch: Epoch) -> Option<&VerifyingKey> {
        self.keys.logs.iter().find(|named| named.log == log && named.epoch == epoch).map(|named| &named.key)
    }

    /// The newest epoch of a log, with its key.
    #[must_use]
    pub fn newest_log_key(&self, log: LogName) -> Option<&LogKey> {
        self.keys.logs.iter().rev().find(|named| named.log == log)
    }

    /// The key to seal to at `now`: of those that may still seal, the one that may do so longest.
    #[must_use]
    pub fn sealing_key(&self, now: UnixMillis) -> Option<&SealingEntryKey> {
        self.keys.sealing.iter().filter(|key| now < key.seal_until).max_by_key(|key| key.seal_until)
    }

    /// Whether a TLS certificate with this public key is the participant's.
    #[must_use]
    pub fn pins(&self, spki: &KeyId) -> bool {
        self.keys.tls.contains(spki)
    }

    fn check_part(&self) -> Result<(), EntryFault> {
        let EntryKeys { signing, sealing, timestamp, .. } = &self.keys;
        if self.is_hub() != signing.is_none()
            || self.is_hub() != sealing.is_empty()
            || self.is_hub() != timestamp.is_some()
        {
            return Err(EntryFault::Part);
        }
        match signing {
            Some(key) if key.from >= key.until => Err(EntryFault::Validity),
            Some(_) | None => Ok(()),
        }
    }

    fn check_sealing(&self) -> Result<(), EntryFault> {
        if self.keys.sealing.len() > SEALING_KEYS_MAX {
            return Err(EntryFault::Count);
        }
        if !self.keys.sealing.is_sorted_by(|a, b| a.public.id() < b.public.id()) {
            return Err(EntryFault::Order);
        }
        let in_range = |key: &SealingEntryKey| {
            key.seal_until.millis_since(self.created) <= SEAL_PERIOD_MAX_MS
                && key.open_until.millis_since(key.seal_until) >= OPEN_AFTER_SEAL_MS
        };
        if self.keys.sealing.iter().all(in_range) { Ok(()) } else { Err(EntryFault::SealingTimes) }
    }

    fn check_logs(&self) -> Result<(), EntryFault> {
        let logs = &self.keys.logs;
        if logs.len() > LOG_KEYS_MAX {
            return Err(EntryFault::Count);
        }
        if !logs.is_sorted_by(|a, b| (a.log, a.epoch) < (b.log, b.epoch)) {
            return Err(EntryFault::Order);
        }
        let kept: &[LogName] = if self.is_hub() { &[LogName::Traffic, LogName::Public] } else { &[LogName::Node] };
        let all_kept = logs.iter().all(|named| named.epoch.0 > 0 && kept.contains(&named.log));
        let all_named = kept.iter().all(|&log| self.newest_log_key(log).is_some());
        if all_kept && all_named { Ok(()) } else { Err(EntryFault::Logs) }
    }

    fn check_pins(&self) -> Result<(), EntryFault> {
        if !(1..=TLS_PINS_MAX).contains(&self.keys.tls.len()) {
            return Err(EntryFault::Count);
        }
        if self.keys.tls.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(EntryFault::Order) }
    }

    fn check_distinct(&self) -> Result<(), EntryFault> {
        let EntryKeys { identity, recovery, signing, sealing, logs, witness, timestamp, tls } = &self.keys;
        let mut ids = vec![identity.id(), recovery.id(), witness.id()];
        ids.extend(signing.iter().map(|key| key.key.id()));
        ids.extend(timestamp.iter().map(VerifyingKey::id));
        ids.extend(sealing.iter().map(|key| key.public.id()));
        ids.extend(logs.iter().map(|named| named.key.id()));
        ids.extend(tls);
        ids.sort_unstable();
        if ids.is_sorted_by(|a, b| a < b) { Ok(()) } else { Err(EntryFault::SharedKey) }
    }
}

/// Why bytes are not a signed entry. Says nothing about the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EntryError {
    /// The bytes do not decode.
    #[error("entry: {0}")]
    Decode(#[from] DecodeError),
    /// The entry contradicts itself or its limits.
    #[error("entry: {0}")]
    Fault(#[from] EntryFault),
}

/// An entry with its signature, as it arrived: the signature is not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEntry {
    entry: Entry,
    bytes: Vec<u8>,
    signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    signature: Signature,
}

impl SignedEntry {
    /// Signs an entry: version 0 with its own identity key, a later one with that of the version before, or with the
    /// recovery key.
    ///
    /// # Errors
    /// [`EntryFault`].
    pub fn sign(entry: Entry, key: &SigningKey) -> Result<Self, EntryFault> {
        entry.check()?;
        let bytes = PREFIX.encode(&entry);
        let signature = key.sign(Purpose::DirectoryEntry, &entry.network, &bytes);
        Ok(Self { entry, bytes, signature })
    }

    /// Reads an entry with its signature, which is not checked.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let Wire { bytes, signature } = SIGNED_PREFIX.decode(bytes, ENTRY_MAX)?;
        let entry: Entry = PREFIX.decode(&bytes, ENTRY_MAX)?;
        entry.check()?;
        Ok(Self { entry, bytes, signature })
    }

    /// Entry and signature, as [`SignedEntry::decode`] reads them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        SIGNED_PREFIX.encode(&Wire { bytes: self.bytes.clone(), signature: self.signature })
    }

    /// What it says, before the signature was looked at.
    #[must_use]
    pub fn unverified(&self) -> &Entry {
        &self.entry
    }

    /// SHA-256 of the signed entry, [`SignedEntry::encode`]: names this version in the next one and in `public`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(&self.encode())
    }

    /// Whether `key` signed it.
    pub(super) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verify(Purpose::DirectoryEntry, &self.entry.network, &self.bytes, &self.signature).is_ok()
    }
}

/// The digest of a participant's signed version 0, which people compare when they meet or by note.
///
/// Shown as 16 groups of 4 hexadecimal digits; read with or without the spaces. All 256 bits are shown: whoever compares
/// fewer has compared fewer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub Digest);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pair) in self.0.0.chunks(2).enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{}", crate::ids::hex(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Fingerprint {
    type Err = IdError;

    /// Accepts the 64 digits with any white space between them.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let digits: String = text.split_whitespace().collect();
        digits.parse().map(Self)
    }
}
