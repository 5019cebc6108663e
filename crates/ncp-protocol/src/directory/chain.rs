//! The chain of a participant's entries, from the first, which is pinned, to the newest.

use thiserror::Error;

use super::entry::{Entry, Fingerprint, LogKey, SignedEntry};
use crate::ids::{Digest, NetworkId};

/// Why an entry does not continue, or begin, a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChainError {
    /// Not the first entry that people compared.
    #[error("another fingerprint than the pinned one")]
    Fingerprint,
    /// An entry of another network.
    #[error("an entry of another network")]
    Network,
    /// An entry of another participant.
    #[error("an entry of another participant")]
    Participant,
    /// Not the next version.
    #[error("version {found} instead of {expected}")]
    Version {
        /// The version that could be accepted.
        expected: u32,
        /// The version that was offered.
        found: u32,
    },
    /// Another entry stands before it.
    #[error("does not follow the entry before")]
    Previous,
    /// Signed neither by the identity key of the version before nor by the recovery key.
    #[error("not signed by the participant")]
    Signature,
    /// The recovery key changed: it is named in version 0 once and for all.
    #[error("the recovery key changed")]
    Recovery,
    /// The recovery key signed, but the identity key stayed.
    #[error("recovery without a new identity key")]
    IdentityKept,
    /// Made before the version before it.
    #[error("older than the version before it")]
    Created,
    /// A weaker suite than before would be accepted.
    #[error("the suite floor fell")]
    SuiteFloor,
    /// A key of a log's epoch changed or is gone, or an epoch came in behind a newer one.
    #[error("the key of a past epoch changed")]
    Logs,
}

/// A participant's entries up to the newest accepted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    fingerprint: Fingerprint,
    newest: SignedEntry,
    digest: Digest,
}

impl Chain {
    /// Begins with version 0, which has to have the fingerprint that people compared.
    ///
    /// # Errors
    /// [`ChainError`].
    pub fn first(network: &NetworkId, fingerprint: &Fingerprint, signed: &SignedEntry) -> Result<Self, ChainError> {
        let entry = signed.unverified();
        let digest = signed.digest();
        if entry.network != *network {
            return Err(ChainError::Network);
        }
        if entry.version != 0 {
            return Err(ChainError::Version { expected: 0, found: entry.version });
        }
        if digest != fingerprint.0 {
            return Err(ChainError::Fingerprint);
        }
        if !signed.is_signed_by(&entry.keys.identity) {
            return Err(ChainError::Signature);
        }
        Ok(Self { fingerprint: *fingerprint, newest: signed.clone(), digest })
    }

    /// Goes on with the next version.
    ///
    /// # Errors
    /// [`ChainError`]; the chain stays as it was.
    pub fn next(&self, signed: &SignedEntry) -> Result<Self, ChainError> {
        let (old, new) = (self.entry(), signed.unverified());
        if new.network != old.network {
            return Err(ChainError::Network);
        }
        if new.participant != old.participant {
            return Err(ChainError::Participant);
        }
        if old.version.checked_add(1) != Some(new.version) {
            return Err(ChainError::Version { expected: old.version.saturating_add(1), found: new.version });
        }
        if new.previous != Some(self.digest) {
            return Err(ChainError::Previous);
        }
        if !signed.is_signed_by(&old.keys.identity) {
            if !signed.is_signed_by(&old.keys.recovery) {
                return Err(ChainError::Signature);
            }
            if new.keys.identity == old.keys.identity {
                return Err(ChainError::IdentityKept);
            }
        }
        check_continuity(old, new)?;
        Ok(Self { fingerprint: self.fingerprint, newest: signed.clone(), digest: signed.digest() })
    }

    /// The newest entry.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        self.newest.unverified()
    }

    /// The newest entry as it was signed.
    #[must_use]
    pub fn signed(&self) -> &SignedEntry {
        &self.newest
    }

    /// [`SignedEntry::digest`] of the newest entry.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The first entry's digest, which people compared.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// What an identity key, also a stolen one, cannot change.
fn check_continuity(old: &Entry, new: &Entry) -> Result<(), ChainError> {
    if new.keys.recovery != old.keys.recovery {
        return Err(ChainError::Recovery);
    }
    if new.created < old.created {
        return Err(ChainError::Created);
    }
    if new.suite_floor < old.suite_floor {
        return Err(ChainError::SuiteFloor);
    }
    // Old evidence is judged by the keys of its epoch: those stay, and new ones come behind them.
    let stays = |key: &LogKey| new.log_key(key.log, key.epoch) == Some(&key.key);
    let follows = |key: &LogKey| {
        old.log_key(key.log, key.epoch).is_some()
            || old.newest_log_key(key.log).is_none_or(|newest| key.epoch > newest.epoch)
    };
    if old.keys.logs.iter().all(stays) && new.keys.logs.iter().all(follows) { Ok(()) } else { Err(ChainError::Logs) }
}
