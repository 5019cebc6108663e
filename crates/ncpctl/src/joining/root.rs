//! The root of trust as `hub init` makes it and `hub renew` goes on with it, and the role keys that sign for it.
//!
//! Each private role key is a file of its own, `root-<i>.key` and `membership-<i>.key`, in a folder that is meant to be
//! emptied: every file goes to another person. A later statement is signed with whatever keys of its role are at hand, as
//! long as the threshold is reached.

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::{NetworkId, UnixMillis};
use ncp_protocol::keys::{SigningKey, VerifyingKey};
use ncp_protocol::limits::{ROLE_KEYS_MAX, ROOT_LIFETIME_MAX_MS};
use ncp_protocol::root::{NetworkClass, Role, Roles, RootOfTrust, SignedRoot, TrustedRoot};
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyFileError, KeyUse};

use super::files::{file_fault, make_signing_key, put_public, read_public};

/// Most versions of a root of trust that are looked for.
const VERSIONS_MAX: u32 = 4_096;

/// How many keys a role has, and how many of them must sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoleSize {
    /// How many must sign.
    pub(crate) threshold: u16,
    /// How many there are.
    pub(crate) keys: u16,
}

impl RoleSize {
    /// The size of the root role unless the operator says otherwise (ASSURANCE, directory trust).
    pub(crate) fn of_root(class: NetworkClass) -> Self {
        match class {
            NetworkClass::Test => Self { threshold: 1, keys: 1 },
            NetworkClass::Live => Self { threshold: 3, keys: 5 },
        }
    }

    /// The size of the membership role unless the operator says otherwise.
    pub(crate) fn of_membership(class: NetworkClass) -> Self {
        match class {
            NetworkClass::Test => Self { threshold: 1, keys: 1 },
            NetworkClass::Live => Self { threshold: 2, keys: 3 },
        }
    }
}

impl core::fmt::Display for RoleSize {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} of {}", self.threshold, self.keys)
    }
}

impl core::str::FromStr for RoleSize {
    type Err = &'static str;

    /// Reads `3/5` and `3-of-5`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text
            .split_once('/')
            .or_else(|| text.split_once("-of-"))
            .and_then(|(threshold, keys)| Some(Self { threshold: threshold.parse().ok()?, keys: keys.parse().ok()? }));
        parsed
            .filter(|size| (1..=size.keys).contains(&size.threshold) && usize::from(size.keys) <= ROLE_KEYS_MAX)
            .ok_or("a role is written THRESHOLD/KEYS, such as 3/5, with at most 20 keys")
    }
}

/// Makes the keys of a role, or reads those that an earlier call made.
///
/// # Errors
/// A fault that names the file.
pub(crate) fn make_role(offline: &Path, key: KeyUse, size: RoleSize) -> Result<Vec<SigningKey>, Fault> {
    (1..=size.keys).map(|number| make_signing_key(&Keyring::OPEN, &role_key_path(offline, key, number), key)).collect()
}

/// Where a role's key lies.
fn role_key_path(offline: &Path, key: KeyUse, number: u16) -> PathBuf {
    let name = key.as_str().split(' ').next().unwrap_or_default();
    offline.join(format!("{name}-{number}.key"))
}

/// Keys of a role that are at hand, each once: those in `offline`, and the files that the operator named.
///
/// # Errors
/// A fault that names a file that is no key of this role; [`ErrorCode::RoleKeysMissing`] below the threshold.
pub(crate) fn keys_at_hand(
    offline: &Path,
    named: &[PathBuf],
    key: KeyUse,
    role: &Role,
) -> Result<Vec<SigningKey>, Fault> {
    let mut found: Vec<SigningKey> = Vec::new();
    let numbered =
        (1..=u16::try_from(ROLE_KEYS_MAX).unwrap_or(u16::MAX)).map(|i| (role_key_path(offline, key, i), true));
    for (path, may_be_absent) in numbered.chain(named.iter().map(|path| (path.clone(), false))) {
        let seed = match keyfiles::read_key(&path, key) {
            Err(KeyFileError::Missing(_)) if may_be_absent => continue,
            seed => seed.map_err(|error| file_fault(key.as_str(), &error))?,
        };
        let signing = SigningKey::from_seed(&seed);
        let is_new = found.iter().all(|other| other.verifying_key() != signing.verifying_key());
        if is_new && role.keys.contains(&signing.verifying_key()) {
            found.push(signing);
        }
    }
    if found.len() >= usize::from(role.threshold) {
        return Ok(found);
    }
    let fault = ErrorCode::RoleKeysMissing.with("role", key.as_str().split(' ').next().unwrap_or_default());
    Err(fault.with("needed", role.threshold).with("found", found.len()))
}

/// What a first root of trust says beside its root role.
#[derive(Debug, Clone)]
pub(crate) struct RootPlan {
    /// What the network is for.
    pub(crate) class: NetworkClass,
    /// Threshold of the root role, whose keys sign.
    pub(crate) root_threshold: u16,
    /// The membership role.
    pub(crate) membership: Role,
    /// The hub's timestamp key.
    pub(crate) timestamp: VerifyingKey,
    /// When it is made.
    pub(crate) now: UnixMillis,
}

/// Makes and signs version 1.
///
/// # Errors
/// [`ErrorCode::RootInvalid`] if the class does not allow it, such as a live network with too few keys.
pub(crate) fn make_root(plan: RootPlan, keys: &[SigningKey]) -> Result<SignedRoot, Fault> {
    let root = RootOfTrust {
        version: 1,
        class: plan.class,
        created: plan.now,
        expires: plan.now.plus_millis(ROOT_LIFETIME_MAX_MS),
        roles: Roles {
            root: Role::new(plan.root_threshold, keys.iter().map(SigningKey::verifying_key).collect()),
            membership: plan.membership,
            timestamp: Role::new(1, vec![plan.timestamp]),
        },
    };
    let refused = |reason: &dyn core::fmt::Display| {
        ErrorCode::RootInvalid.with("file", "the new root of trust").with("reason", reason)
    };
    let network = root.network_id().ok_or_else(|| refused(&"it is not version 1"))?;
    SignedRoot::sign(root, &network, &keys.iter().collect::<Vec<_>>()).map_err(|error| refused(&error))
}

/// Makes and signs the version after the newest: the same roles for another year.
///
/// # Errors
/// [`ErrorCode::RootInvalid`] if it does not follow.
pub(crate) fn next_root(before: &InstalledRoot, keys: &[SigningKey], now: UnixMillis) -> Result<InstalledRoot, Fault> {
    let source = "the next root of trust";
    let refused = |reason: &dyn core::fmt::Display| ErrorCode::RootInvalid.with("file", source).with("reason", reason);
    let known = before.newest.root();
    let created = now.max(known.created);
    let root = RootOfTrust {
        version: known.version + 1,
        class: known.class,
        created,
        expires: created.plus_millis(ROOT_LIFETIME_MAX_MS),
        roles: known.roles.clone(),
    };
    let signed = SignedRoot::sign(root, &before.network(), &keys.iter().collect::<Vec<_>>());
    let signed = signed.map_err(|error| refused(&error))?;
    let newest = signed.verify_next(&before.newest).map_err(|error| refused(&error))?;
    Ok(InstalledRoot { newest, versions: before.versions.iter().cloned().chain([signed.encode()]).collect() })
}

/// Which of the key files that an operator named are of the root role, and which of the membership role.
///
/// # Errors
/// A fault that names a file that is neither.
pub(crate) fn by_role(named: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Fault> {
    let (mut root, mut membership) = (Vec::new(), Vec::new());
    for path in named {
        match keyfiles::read_key(path, KeyUse::Root) {
            Ok(_) => root.push(path.clone()),
            Err(KeyFileError::Damaged(_)) => {
                let other = keyfiles::read_key(path, KeyUse::Membership);
                other.map_err(|error| file_fault("root or membership key", &error))?;
                membership.push(path.clone());
            }
            Err(error) => return Err(file_fault("root or membership key", &error)),
        }
    }
    Ok((root, membership))
}

/// All versions in a data folder, verified one by the other; `None` if there is none.
///
/// # Errors
/// [`ErrorCode::RootInvalid`] with the file.
pub(crate) fn read_roots(data: &Path) -> Result<Option<InstalledRoot>, Fault> {
    let mut versions: Vec<Vec<u8>> = Vec::new();
    let mut trusted: Option<TrustedRoot> = None;
    for version in 1..VERSIONS_MAX {
        let path = data.join(keyfiles::root_path(version));
        let Some(bytes) = read_public(&path, "root of trust")? else { break };
        trusted = Some(verify_root(trusted.as_ref(), &bytes, &path.display())?);
        versions.push(bytes);
    }
    Ok(trusted.map(|newest| InstalledRoot { newest, versions }))
}

/// Verifies versions that arrived together, oldest first.
///
/// # Errors
/// [`ErrorCode::RootInvalid`] with the source.
pub(crate) fn verify_roots(versions: &[Vec<u8>], source: &dyn core::fmt::Display) -> Result<InstalledRoot, Fault> {
    let mut trusted: Option<TrustedRoot> = None;
    for bytes in versions {
        trusted = Some(verify_root(trusted.as_ref(), bytes, source)?);
    }
    let newest = trusted.ok_or_else(|| ErrorCode::RootInvalid.with("file", source).with("reason", "it is missing"))?;
    Ok(InstalledRoot { newest, versions: versions.to_vec() })
}

fn verify_root(
    before: Option<&TrustedRoot>,
    bytes: &[u8],
    source: &dyn core::fmt::Display,
) -> Result<TrustedRoot, Fault> {
    let invalid = |reason: &dyn core::fmt::Display| ErrorCode::RootInvalid.with("file", source).with("reason", reason);
    let signed = SignedRoot::decode(bytes).map_err(|error| invalid(&error))?;
    match before {
        None => signed.verify_first(),
        Some(before) => signed.verify_next(before),
    }
    .map_err(|error| invalid(&error))
}

/// A root of trust with all its versions as signed.
#[derive(Debug, Clone)]
pub(crate) struct InstalledRoot {
    /// The newest version.
    pub(crate) newest: TrustedRoot,
    /// All versions as signed, from 1.
    pub(crate) versions: Vec<Vec<u8>>,
}

impl InstalledRoot {
    /// The network.
    pub(crate) fn network(&self) -> NetworkId {
        self.newest.network()
    }

    /// Puts version 1 into the relay's data folder: those behind it are the relay's to write, once it is told.
    ///
    /// # Errors
    /// A fault that names the file.
    pub(crate) fn put_first(&self, data: &Path) -> Result<(), Fault> {
        match self.versions.first() {
            Some(bytes) => put_public(&data.join(keyfiles::root_path(1)), bytes, "root of trust"),
            None => Ok(()),
        }
    }

    /// The versions behind the first, as the relay is told them.
    pub(crate) fn later(&self) -> Vec<Vec<u8>> {
        self.versions.iter().skip(1).cloned().collect()
    }

    /// Puts every version into a data folder.
    ///
    /// # Errors
    /// A fault that names the file.
    pub(crate) fn put(&self, data: &Path) -> Result<(), Fault> {
        for (version, bytes) in (1..).zip(&self.versions) {
            put_public(&data.join(keyfiles::root_path(version)), bytes, "root of trust")?;
        }
        Ok(())
    }
}

/// The network's fingerprint: its id, as people read it to each other.
pub(crate) fn network_fingerprint(network: NetworkId) -> Fingerprint {
    Fingerprint(network.0)
}
