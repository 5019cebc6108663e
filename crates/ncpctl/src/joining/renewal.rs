//! `hub renew` on files: the next root of trust, the next membership statement, the hub's next certificate.
//!
//! Each is made when little of its time is left, and lies in the operator's folder before anybody is told. A part that an
//! interrupted call made is found by the next one, which goes on behind it.

use std::path::PathBuf;

use ncp_api::hub::HubAdmit;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::SignedMembership;
use ncp_protocol::ids::{ParticipantId, UnixMillis};
use ncp_protocol::limits::DAY_MS;
use ncp_store::keyfiles::{self, KeyUse};

use super::authority::{self, Subject};
use super::entries::Entries;
use super::files::{file_fault, put_public, read_public};
use super::folder::HubFolder;
use super::held::entry_gone;
use super::hub::{certify, kept_root, open_authority, settle};
use super::membership::{self, Next};
use super::root::{InstalledRoot, by_role, keys_at_hand, next_root};

/// Rest of a certificate's time below which a new one is issued.
pub(super) const CERTIFICATE_BELOW_MS: u64 = 60 * DAY_MS;
/// Rest of a root's time below which the next version is made: its keepers have to come together.
const ROOT_BELOW_MS: u64 = 180 * DAY_MS;

/// What is to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renew {
    /// What has little time left.
    WhatIsDue,
    /// Everything, whatever time is left.
    Everything,
}

impl Renew {
    /// Whether that includes something that ends at `until` and is due when less than `below_ms` are left.
    pub(super) fn applies(self, until: UnixMillis, below_ms: u64, now: UnixMillis) -> bool {
        match self {
            Self::WhatIsDue => until.millis_since(now) < below_ms,
            Self::Everything => true,
        }
    }
}

/// What became of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has enough time left.
    Stands,
    /// It was made.
    Renewed,
    /// It is due, and its keys are not here. What stands goes on until it ends.
    Lacking(Box<Fault>),
}

/// What the hub states about itself, after a renewal.
#[derive(Debug, Clone)]
pub(crate) struct Renewed {
    /// The root of trust, all versions.
    pub(crate) root: InstalledRoot,
    /// What became of it.
    pub(crate) root_outcome: Outcome,
    /// The membership statement.
    pub(crate) membership: SignedMembership,
    /// What became of it.
    pub(crate) membership_outcome: Outcome,
    /// When the hub's newest certificate ends.
    pub(crate) certificate_until: UnixMillis,
    /// What became of it.
    pub(crate) certificate_outcome: Outcome,
    entries: Entries,
}

impl Renewed {
    /// What the running relay is told.
    pub(crate) fn told(&self) -> HubAdmit {
        HubAdmit { entries: self.entries.encode(), membership: self.membership.encode(), roots: self.root.later() }
    }

    /// Whether this call made anything.
    pub(crate) fn made_something(&self) -> bool {
        [&self.root_outcome, &self.membership_outcome, &self.certificate_outcome].contains(&&Outcome::Renewed)
    }
}

/// Renews what has little time left, also what has ended already, with the role keys at hand. What is left is to tell the
/// relay.
///
/// Order: root of trust, membership, which ends no later than the root, certificate. A root that is still in force and whose
/// keys are elsewhere holds up nothing else.
///
/// # Errors
/// [`ErrorCode::RoleKeysMissing`] for the membership, or for a root that has expired; a fault that names the file.
pub(crate) fn renew(folder: &HubFolder, role_keys: &[PathBuf], what: Renew, now: UnixMillis) -> Result<Renewed, Fault> {
    folder.check()?;
    let (root_keys, membership_keys) = by_role(role_keys)?;
    let remedy =
        "put back the newest backup of that folder; if the relay's data folder is another, name it with --data-dir";
    let entries = Entries::read(folder.data())?.ok_or_else(|| entry_gone(folder.data(), remedy))?;
    let (root, root_outcome) = renew_root(folder, &root_keys, what, now)?;
    if root.network() != entries.network() || entries.participant() != ParticipantId::HUB {
        let fault = ErrorCode::EntryInstalledAlready.with("folder", folder.data().display());
        return Err(fault.with("found", "of another hub than the operator's folder"));
    }
    let newest = membership::newest(folder, &root.newest)?;
    let known = newest.as_ref().ok_or_else(|| ErrorCode::FileMissing.with("file", folder.membership(1).display()))?;
    let next = membership::next_renewed(known.unverified(), &root.newest, what, now);
    let membership_outcome = if next == Next::Stands { Outcome::Stands } else { Outcome::Renewed };
    let membership = settle(folder, &root.newest, next, newest, &membership_keys)?;
    let (certificate_until, certificate_outcome) = renew_certificate(folder, &root, &entries, what, now)?;
    Ok(Renewed { root, root_outcome, membership, membership_outcome, certificate_until, certificate_outcome, entries })
}

fn renew_root(
    folder: &HubFolder,
    role_keys: &[PathBuf],
    what: Renew,
    now: UnixMillis,
) -> Result<(InstalledRoot, Outcome), Fault> {
    let root = kept_root(folder)?;
    let said = root.newest.root();
    if !what.applies(said.expires, ROOT_BELOW_MS, now) {
        return Ok((root, Outcome::Stands));
    }
    let keys = match keys_at_hand(&folder.offline(), role_keys, KeyUse::Root, &said.roles.root) {
        Ok(keys) => keys,
        Err(fault) if fault.code == ErrorCode::RoleKeysMissing && !root.newest.is_expired(now) => {
            return Ok((root, Outcome::Lacking(Box::new(fault))));
        }
        Err(fault) => return Err(fault),
    };
    let next = next_root(&root, &keys, now)?;
    next.put(&folder.authority())?;
    Ok((next, Outcome::Renewed))
}

/// The hub's certificate, over the key of the one that serves: the private key is not needed for it.
fn renew_certificate(
    folder: &HubFolder,
    root: &InstalledRoot,
    entries: &Entries,
    what: Renew,
    now: UnixMillis,
) -> Result<(UnixMillis, Outcome), Fault> {
    let count = keyfiles::count(folder.data(), keyfiles::tls_chain_path);
    let count = count.map_err(|error| file_fault("certificate", &error))?;
    let path = folder.data().join(keyfiles::tls_chain_path(count));
    let foreign = |reason: &str| {
        let remedy = "move it away and give  ncpctl hub init  again: it puts back what is lost of these files";
        ErrorCode::NetworkFileForeign.with("file", path.display()).with("reason", reason).with("remedy", remedy)
    };
    let pem = read_public(&path, "certificate")?.ok_or_else(|| foreign("it is not there"))?;
    let pem = String::from_utf8_lossy(&pem);
    let parsed = authority::parse_leaf(&pem).ok_or_else(|| foreign("it holds no certificate"))?;
    if !entries.newest().pins(&parsed.key) {
        return Err(foreign("its key is not the one of the hub's entry"));
    }
    if !what.applies(parsed.until, CERTIFICATE_BELOW_MS, now) {
        return Ok((parsed.until, Outcome::Stands));
    }
    let key = authority::leaf_key(&pem).ok_or_else(|| foreign("its key is of an unknown kind"))?;
    let class = root.newest.root().class;
    let subject = Subject { network: root.network(), class, participant: ParticipantId::HUB };
    let next = certify(folder, &open_authority(folder)?, &subject, &key, what, now)?;
    let until = authority::parse_leaf(&next).map_or(parsed.until, |next| next.until);
    put_public(&folder.data().join(keyfiles::tls_chain_path(count + 1)), next.as_bytes(), "certificate")?;
    Ok((until, Outcome::Renewed))
}
