//! The root of trust: a signed file that names the keys of all roles.
//!
//! Its first version makes the network: the SHA-256 of that version's encoding, without signatures, is the network id,
//! and all signatures of all versions are bound to it. A daemon is given version 1 by hand and trusts a later one only
//! through every version between (TUF specification, section 5.3): signed by the old role and by the new, the version
//! exactly one higher. An expired root still verifies old evidence; it carries no new statement.

mod quorum;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::quorum::{QuorumError, Role, RoleFault, RoleSignature, Signed, Statement, StatementError};
use crate::codec::Prefix;
use crate::ids::{NetworkId, UnixMillis};
use crate::keys::{Purpose, sha256};
use crate::limits::{ROOT_LIFETIME_MAX_MS, ROOT_MAX};

/// What a network is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NetworkClass {
    /// Drills and trials: daemons use loopback alone, and one key may stand for a role.
    Test,
    /// The real network.
    Live,
}

/// Keys of all roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// State keys, offline: name the keys of all roles.
    pub root: Role,
    /// The Secretariat: adds, suspends and classifies participants.
    pub membership: Role,
    /// The hub, online: states the newest membership and `public` checkpoint.
    pub timestamp: Role,
}

/// One version of the root of trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootOfTrust {
    /// From 1; each version adds one.
    pub version: u32,
    /// What the network is for; never changes.
    pub class: NetworkClass,
    /// When this version was made.
    pub created: UnixMillis,
    /// When it carries no new statement any more: at most 12 months after `created`.
    pub expires: UnixMillis,
    /// Who may state what.
    pub roles: Roles,
}

/// Why a root of trust cannot stand, whoever signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RootFault {
    /// Versions count from 1.
    #[error("version 0")]
    Version,
    /// It expires before it begins, or more than 12 months later.
    #[error("validity out of range")]
    Validity,
    /// A role cannot stand.
    #[error("role: {0}")]
    Role(#[from] RoleFault),
    /// A live network with too few keys, or too low a threshold, for a role.
    #[error("too few keys for a live network")]
    TooFewKeys,
    /// One key serves two roles.
    #[error("one key in two roles")]
    SharedKey,
}

/// A root of trust with its signatures, as it arrived.
pub type SignedRoot = Signed<RootOfTrust>;

/// Why a root of trust is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RootError {
    /// The version is not the next one.
    #[error("version {found} instead of {expected}")]
    Version {
        /// The version that could be accepted.
        expected: u32,
        /// The version that was offered.
        found: u32,
    },
    /// The class differs from the version before.
    #[error("the class of a network never changes")]
    Class,
    /// Made before the version before it.
    #[error("older than the version before it")]
    Created,
    /// Not signed by the root role of the version before.
    #[error("by the old keys: {0}")]
    OldQuorum(QuorumError),
    /// Not signed by its own root role.
    #[error("by its own keys: {0}")]
    OwnQuorum(QuorumError),
}

/// Fewest keys and lowest threshold of a role in a live network.
struct Floor {
    threshold: u16,
    keys: usize,
}

impl Floor {
    fn holds(&self, role: &Role) -> bool {
        role.threshold >= self.threshold && role.keys.len() >= self.keys
    }

    /// Of the root role: 3 of 5 at first, two thirds of the keys when there are more.
    fn of_root(keys: usize) -> Self {
        let two_thirds = u16::try_from((2 * keys).div_ceil(3)).unwrap_or(u16::MAX);
        Self { threshold: if keys <= 5 { 3 } else { two_thirds }, keys: 5 }
    }

    const MEMBERSHIP: Self = Self { threshold: 2, keys: 3 };
}

impl Statement for RootOfTrust {
    type Fault = RootFault;
    const PREFIX: Prefix = Prefix::new(b'R', 1);
    const SIGNED_PREFIX: Prefix = Prefix::new(b'r', 1);
    const PURPOSE: Purpose = Purpose::RootOfTrust;
    const LIMIT: usize = ROOT_MAX;

    fn check(&self) -> Result<(), RootFault> {
        if self.version == 0 {
            return Err(RootFault::Version);
        }
        if !(1..=ROOT_LIFETIME_MAX_MS).contains(&self.expires.millis_since(self.created)) {
            return Err(RootFault::Validity);
        }
        let Roles { root, membership, timestamp } = &self.roles;
        for role in [root, membership, timestamp] {
            role.check()?;
        }
        let mut all: Vec<_> = [root, membership, timestamp].iter().flat_map(|role| &role.keys).collect();
        all.sort_by_key(|key| key.to_bytes());
        if all.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(RootFault::SharedKey);
        }
        match self.class {
            NetworkClass::Test => Ok(()),
            NetworkClass::Live
                if Floor::of_root(root.keys.len()).holds(root) && Floor::MEMBERSHIP.holds(membership) =>
            {
                Ok(())
            }
            NetworkClass::Live => Err(RootFault::TooFewKeys),
        }
    }
}

impl RootOfTrust {
    /// The id of the network that this root makes, if it is version 1.
    #[must_use]
    pub fn network_id(&self) -> Option<NetworkId> {
        (self.version == 1).then(|| NetworkId(sha256(&self.encode())))
    }
}

impl SignedRoot {
    /// Trusts the first version: it was handed over by people, and its own root role signed it.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn verify_first(&self) -> Result<TrustedRoot, RootError> {
        let root = self.unverified();
        if root.version != 1 {
            return Err(RootError::Version { expected: 1, found: root.version });
        }
        let network = NetworkId(self.digest());
        self.verify(&root.roles.root, &network).map_err(RootError::OwnQuorum)?;
        Ok(TrustedRoot { network, root: root.clone() })
    }

    /// Trusts the version after `previous`.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn verify_next(&self, previous: &TrustedRoot) -> Result<TrustedRoot, RootError> {
        let root = self.unverified();
        let expected = previous.root.version.saturating_add(1);
        if root.version != expected || root.version == previous.root.version {
            return Err(RootError::Version { expected, found: root.version });
        }
        if root.class != previous.root.class {
            return Err(RootError::Class);
        }
        if root.created < previous.root.created {
            return Err(RootError::Created);
        }
        self.verify(&previous.root.roles.root, &previous.network).map_err(RootError::OldQuorum)?;
        self.verify(&root.roles.root, &previous.network).map_err(RootError::OwnQuorum)?;
        Ok(TrustedRoot { network: previous.network, root: root.clone() })
    }
}

/// A root of trust whose signatures stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRoot {
    network: NetworkId,
    root: RootOfTrust,
}

impl TrustedRoot {
    /// The network it governs.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// What it says.
    #[must_use]
    pub fn root(&self) -> &RootOfTrust {
        &self.root
    }

    /// Whether it carries no new statement at `now` any more.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        now >= self.root.expires
    }
}
