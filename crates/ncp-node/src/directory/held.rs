//! The hub's statements that this node believed last, kept in one small file beside the keys.
//!
//! `network/statements` holds newer roots of trust, membership and timestamp as they were signed. It is read through their
//! signatures, so nobody gains by changing it; losing it costs one download and the memory of which statements are old.

use std::io;
use std::path::PathBuf;

use ncp_protocol::codec;
use ncp_protocol::directory::{Membership, SignedMembership, SignedTimestamp, Timestamp};
use ncp_protocol::limits::{MEMBERSHIP_MAX, ROOT_MAX, TIMESTAMP_MAX};
use ncp_protocol::root::{SignedRoot, TrustedRoot};
use ncp_store::disk::{RealDisk, read_file, replace_file};
use ncp_store::keyfiles::NETWORK;
use serde::{Deserialize, Serialize};

use crate::entries::Statements;

/// Most roots of trust that the file holds: one a year is usual.
const ROOTS_MAX: usize = 64;
const FILE_MAX: usize = ROOTS_MAX * (ROOT_MAX + 8) + MEMBERSHIP_MAX + TIMESTAMP_MAX + 64;

/// The file's content.
#[derive(Default, Serialize, Deserialize)]
struct Saved {
    roots: Vec<Vec<u8>>,
    membership: Option<Vec<u8>>,
    timestamp: Option<Vec<u8>>,
}

/// What this node believes about the network.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// The newest root of trust.
    pub(super) root: TrustedRoot,
    /// Those after the installed one, as signed.
    roots: Vec<Vec<u8>>,
    pub(super) membership: Option<SignedMembership>,
    pub(super) timestamp: Option<SignedTimestamp>,
}

impl Held {
    /// Reads the file; what does not verify under the installed root is left out.
    pub(super) fn load(disk: &RealDisk, installed: TrustedRoot) -> Self {
        let saved = match read_file(disk, &path()) {
            Ok(bytes) => codec::decode::<Saved>(&bytes, FILE_MAX).unwrap_or_else(|error| {
                tracing::warn!(%error, "the file of the hub's statements cannot be read: they are fetched again");
                Saved::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Saved::default(),
            Err(error) => {
                tracing::warn!(%error, "the file of the hub's statements cannot be read: they are fetched again");
                Saved::default()
            }
        };
        let mut held = Self { root: installed, roots: Vec::new(), membership: None, timestamp: None };
        for bytes in saved.roots {
            held.take_root(bytes);
        }
        let (network, roles) = (held.root.network(), held.root.root().roles.clone());
        let membership = saved.membership.and_then(|bytes| SignedMembership::decode(&bytes).ok());
        held.membership = membership.filter(|signed| signed.verify(&roles.membership, &network).is_ok());
        let timestamp = saved.timestamp.and_then(|bytes| SignedTimestamp::decode(&bytes).ok());
        held.timestamp = timestamp.filter(|signed| signed.verify(&roles.timestamp, &network).is_ok());
        held
    }

    /// Takes the next root of trust, if this is one; says whether it was. A statement falls with the keys of its role (TUF
    /// specification 5.3.11): whoever stole one may have signed a statement that no true one could ever follow.
    pub(super) fn take_root(&mut self, bytes: Vec<u8>) -> bool {
        let next = SignedRoot::decode(&bytes).ok().and_then(|signed| signed.verify_next(&self.root).ok());
        let Some(next) = next.filter(|_| self.roots.len() < ROOTS_MAX) else { return false };
        let (before, after) = (&self.root.root().roles, &next.root().roles);
        if before.timestamp != after.timestamp {
            self.timestamp = None;
        }
        if before.membership != after.membership {
            self.membership = None;
        }
        self.root = next;
        self.roots.push(bytes);
        true
    }

    /// Writes the file. Blocks on the disk.
    ///
    /// # Errors
    /// As the disk has it.
    pub(super) fn save(&self, disk: &RealDisk) -> io::Result<()> {
        let saved = Saved {
            roots: self.roots.clone(),
            membership: self.membership.as_ref().map(SignedMembership::encode),
            timestamp: self.timestamp.as_ref().map(SignedTimestamp::encode),
        };
        replace_file(disk, &path(), &codec::encode(&saved))
    }

    /// The timestamp last believed.
    pub(super) fn timestamp(&self) -> Option<&Timestamp> {
        self.timestamp.as_ref().map(SignedTimestamp::unverified)
    }

    /// The membership last believed.
    pub(super) fn membership(&self) -> Option<&Membership> {
        self.membership.as_ref().map(SignedMembership::unverified)
    }

    /// For all other tasks.
    pub(super) fn statements(&self) -> Statements {
        Statements {
            membership: self.membership().cloned(),
            timestamp: self.timestamp().copied(),
            root_until: Some(self.root.root().expires),
        }
    }
}

fn path() -> PathBuf {
    PathBuf::from(NETWORK).join("statements")
}

#[cfg(test)]
mod tests {
    use ncp_protocol::ids::{Digest, UnixMillis};
    use ncp_protocol::keys::SigningKey;
    use ncp_protocol::root::{NetworkClass, Role, Roles, RootOfTrust};

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32])
    }

    fn root(version: u32, timestamp: &SigningKey) -> RootOfTrust {
        let role = |key: &SigningKey| Role::new(1, vec![key.verifying_key()]);
        let roles = Roles { root: role(&key(1)), membership: role(&key(2)), timestamp: role(timestamp) };
        let created = UnixMillis(1_800_000_000_000);
        RootOfTrust { version, class: NetworkClass::Test, created, expires: created.plus_millis(86_400_000), roles }
    }

    #[test]
    fn a_timestamp_falls_with_the_key_of_its_role_and_only_then() {
        let (stolen, fresh) = (key(3), key(4));
        let first = root(1, &stolen);
        let network = first.network_id().unwrap();
        let signed = |root| SignedRoot::sign(root, &network, &[&key(1)]).unwrap();
        let statement = Timestamp {
            network,
            issued: UnixMillis(1_800_000_000_000),
            expires: UnixMillis(1_800_000_100_000),
            membership_version: 1,
            membership_digest: Digest([0; 32]),
            public_size: 1 << 40,
            public_root: Digest([6; 32]),
        };
        let timestamp = SignedTimestamp::sign(statement, &network, &[&stolen]).ok();
        let root_now = signed(first).verify_first().unwrap();
        let mut held = Held { root: root_now, roots: Vec::new(), membership: None, timestamp };
        assert!(held.take_root(signed(root(2, &stolen)).encode()));
        assert_eq!(held.timestamp(), Some(&statement), "its key is still the role's");
        assert!(held.take_root(signed(root(3, &fresh)).encode()));
        assert_eq!(held.timestamp(), None);
    }
}
