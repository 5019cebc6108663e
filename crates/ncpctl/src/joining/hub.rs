//! `hub init` on files: a network is made. What its keys state and certify afterwards is made here too.

use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::codes::Code;
use ncp_protocol::directory::{MembershipClass, SignedEntry, SignedMembership};
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::{NetworkClass, Role, TrustedRoot};
use ncp_store::keyfiles::keyring::Keyring;
use ncp_store::keyfiles::{self, KeyUse};

use super::authority::{self, Authority, CertificateFault, Subject};
use super::entry::{Made, Maker};
use super::files::{create_private, make_signing_key, put_public, read_private, read_public};
use super::folder::HubFolder;
use super::held::{OfflineKeys, entry_gone};
use super::membership::{self, Admission, Next};
use super::protection::CREDENTIAL;
use super::renewal::{CERTIFICATE_BELOW_MS, Renew};
use super::root::{InstalledRoot, RoleSize, RootPlan, keys_at_hand, make_role, make_root, read_roots};

/// What a network is to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The folder of the hub's operator.
    pub(crate) folder: HubFolder,
    /// What seals the relay's keys and opens them.
    pub(crate) keyring: Keyring,
    /// What the network is for.
    pub(crate) class: NetworkClass,
    /// Where the relay will listen.
    pub(crate) listen: String,
    /// Where its API will listen.
    pub(crate) socket: PathBuf,
    /// Size of the root role.
    pub(crate) root: RoleSize,
    /// Size of the membership role.
    pub(crate) membership: RoleSize,
    /// When.
    pub(crate) now: UnixMillis,
}

/// A network as it was made.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// Its root of trust.
    pub(crate) root: InstalledRoot,
    /// The hub's first entry.
    pub(crate) hub: SignedEntry,
    /// Where the hub's identity and recovery key are.
    pub(crate) offline: OfflineKeys,
}

/// Makes a network, or goes on where an earlier call stopped.
///
/// Order: folders, role keys, timestamp key, root of trust, authority, the hub's keys and entry, its certificate, first
/// membership statement, network files in the relay's data folder, configuration last. A crash leaves some of them; the
/// same call again makes the rest.
///
/// # Errors
/// A fault that names the file; [`ErrorCode::RoleTooWeak`]; [`ErrorCode::EntryInstalledAlready`] if the folder holds a
/// network of another class.
pub(crate) fn make_network(plan: &Plan) -> Result<Network, Fault> {
    check_sizes(plan)?;
    let folder = &plan.folder;
    check_data(folder)?;
    folder.make()?;
    let root = make_or_read_root(plan)?;
    let network = root.network();
    root.put(&folder.authority())?;
    let authority = make_or_open_authority(folder, network, plan.class, plan.now)?;
    let offline = folder.offline();
    let maker = Maker {
        data: folder.data(),
        keyring: &plan.keyring,
        offline: &offline,
        network,
        participant: ParticipantId::HUB,
        now: plan.now,
    };
    let made = maker.hub()?;
    put_public(&folder.authority().join(keyfiles::HUB_ENTRY), &made.entries.oldest().encode(), "entry of the hub")?;
    let subject = Subject { network, class: plan.class, participant: ParticipantId::HUB };
    let certificate = first_certificate(folder, &authority, &subject, &made, plan.now)?;
    let membership = first_membership(folder, &root, &made, plan.now)?;
    for (name, bytes) in [
        (PathBuf::from(keyfiles::TLS_AUTHORITY), authority.certificate().as_bytes()),
        (PathBuf::from(keyfiles::TLS_CHAIN), certificate.as_bytes()),
        (first_membership_path(), membership.as_slice()),
    ] {
        put_public(&folder.data().join(name), bytes, "network file")?;
    }
    root.put_first(folder.data())?;
    put_config(plan)?;
    Ok(Network { root, hub: made.entries.oldest().clone(), offline: made.offline })
}

/// Whether the relay's data folder is there, if the network was made before. The operator's folder gets the hub's entry
/// after the data folder has it, so one without the other is a loss, or another data folder than before.
fn check_data(folder: &HubFolder) -> Result<(), Fault> {
    let made = read_public(&folder.authority().join(keyfiles::HUB_ENTRY), "entry of the hub")?;
    let Some(bytes) = made else { return Ok(()) };
    let remedy =
        "put back the newest backup of that folder; if the relay's data folder is another, name it with --data-dir";
    match read_public(&folder.data().join(keyfiles::entry_path(0)), "directory entry")? {
        Some(found) if found == bytes => Ok(()),
        Some(_) => Err(ErrorCode::EntryInstalledAlready
            .with("folder", folder.data().display())
            .with("found", "of another hub than the operator's folder")),
        None => Err(entry_gone(folder.data(), remedy)),
    }
}

/// Where the relay finds the statement with which its log `public` begins.
pub(crate) fn first_membership_path() -> PathBuf {
    Path::new(keyfiles::NETWORK).join("membership-1")
}

fn check_sizes(plan: &Plan) -> Result<(), Fault> {
    let too_weak = |reason: String| Err(ErrorCode::RoleTooWeak.with("reason", reason));
    if plan.class == NetworkClass::Test {
        return Ok(());
    }
    let (root, membership) = (RoleSize::of_root(plan.class), RoleSize::of_membership(plan.class));
    // The protocol's own check stands behind this one and also asks for two thirds of a larger root role.
    if plan.root.keys < root.keys || plan.root.threshold < root.threshold {
        return too_weak(format!("the root role is {}, needed are at least {root}", plan.root));
    }
    if plan.membership.keys < membership.keys || plan.membership.threshold < membership.threshold {
        return too_weak(format!("the membership role is {}, needed are at least {membership}", plan.membership));
    }
    Ok(())
}

fn make_or_read_root(plan: &Plan) -> Result<InstalledRoot, Fault> {
    let folder = &plan.folder;
    if let Some(root) = read_roots(&folder.authority())? {
        if root.newest.root().class == plan.class {
            return Ok(root);
        }
        let found = format!("of network {}, which has another class", root.network().label());
        return Err(ErrorCode::EntryInstalledAlready.with("folder", folder.authority().display()).with("found", found));
    }
    let offline = folder.offline();
    let keys = make_role(&offline, KeyUse::Root, plan.root)?;
    let membership = make_role(&offline, KeyUse::Membership, plan.membership)?;
    let timestamp = folder.data().join(keyfiles::key_path(KeyUse::Timestamp));
    let timestamp = make_signing_key(&plan.keyring, &timestamp, KeyUse::Timestamp)?;
    let root_plan = RootPlan {
        class: plan.class,
        root_threshold: plan.root.threshold,
        membership: Role::new(plan.membership.threshold, membership.iter().map(SigningKey::verifying_key).collect()),
        timestamp: timestamp.verifying_key(),
        now: plan.now,
    };
    let signed = make_root(root_plan, &keys)?;
    super::root::verify_roots(&[signed.encode()], &"the new root of trust")
}

fn make_or_open_authority(
    folder: &HubFolder,
    network: NetworkId,
    class: NetworkClass,
    now: UnixMillis,
) -> Result<Authority, Fault> {
    let path = folder.authority_key();
    if read_private(&path, "key of the authority")?.is_none() {
        create_private(&path, authority::fresh_key()?.as_bytes(), "key of the authority")?;
    }
    let certificate = folder.authority().join(keyfiles::TLS_AUTHORITY);
    if read_public(&certificate, "certificate of the authority")?.is_none() {
        let pem = Authority::generate(network, class, &text(&path)?, now)?;
        put_public(&certificate, pem.as_bytes(), "certificate of the authority")?;
    }
    open_authority(folder)
}

pub(super) fn open_authority(folder: &HubFolder) -> Result<Authority, Fault> {
    let certificate = folder.authority().join(keyfiles::TLS_AUTHORITY);
    let pem = read_public(&certificate, "certificate of the authority")?;
    let pem = pem.ok_or_else(|| ErrorCode::FileMissing.with("file", certificate.display()))?;
    Authority::open(&String::from_utf8_lossy(&pem), &text(&folder.authority_key())?)
}

/// A private text file that must be there.
fn text(path: &Path) -> Result<zeroize::Zeroizing<String>, Fault> {
    let bytes = read_private(path, "key of the authority")?;
    let bytes = bytes.ok_or_else(|| ErrorCode::FileMissing.with("file", path.display()))?;
    let damaged = |_| ErrorCode::KeyFileDamaged.with("what", "key of the authority").with("file", path.display());
    core::str::from_utf8(&bytes).map(|text| zeroize::Zeroizing::new(text.to_owned())).map_err(damaged)
}

/// The hub's first certificate, however long it lasts: later ones lie behind it.
fn first_certificate(
    folder: &HubFolder,
    authority: &Authority,
    subject: &Subject,
    made: &Made,
    now: UnixMillis,
) -> Result<String, Fault> {
    let key = authority::read_key(made.tls.as_bytes(), &folder.data().join(keyfiles::TLS_KEY).display())?;
    let path = folder.certificate(subject.participant, &authority::key_id(&key), 1);
    match read_public(&path, "certificate")? {
        Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        None => certify(folder, authority, subject, &key, Renew::WhatIsDue, now),
    }
}

/// The certificate over a key: the newest one issued, if it has enough time left, else a new one, which is kept behind it.
pub(super) fn certify(
    folder: &HubFolder,
    authority: &Authority,
    subject: &Subject,
    key: &impl rcgen::PublicKeyData,
    renew: Renew,
    now: UnixMillis,
) -> Result<String, Fault> {
    let pin = authority::key_id(key);
    let mut newest = None;
    for number in 1.. {
        let path = folder.certificate(subject.participant, &pin, number);
        let Some(bytes) = read_public(&path, "certificate")? else { break };
        newest = Some((number, path, String::from_utf8_lossy(&bytes).into_owned()));
    }
    if let Some((_, path, pem)) = &newest {
        let unusable = |reason: &dyn core::fmt::Display| {
            ErrorCode::FileUnusable.with("file", path.display()).with("reason", reason)
        };
        let parsed = authority::parse_one(pem).ok_or_else(|| unusable(&CertificateFault::Malformed))?;
        if !renew.applies(parsed.until, CERTIFICATE_BELOW_MS, now) {
            let checked = authority::check_certificate(pem, authority.certificate(), subject, now);
            return checked.map(|_| pem.clone()).map_err(|error| unusable(&error));
        }
    }
    let number = newest.map_or(1, |(number, ..)| number + 1);
    let pem = authority.issue(subject, key, now)?;
    put_public(&folder.certificate(subject.participant, &pin, number), pem.as_bytes(), "certificate")?;
    Ok(pem)
}

/// The statement with the hub as its only member: version 1.
fn first_membership(folder: &HubFolder, root: &InstalledRoot, made: &Made, now: UnixMillis) -> Result<Vec<u8>, Fault> {
    if let Some(bytes) = read_public(&folder.membership(1), "membership statement")? {
        return membership::verified(&bytes, &root.newest).map(|_| bytes);
    }
    let admission = Admission {
        participant: ParticipantId::HUB,
        class: Some(MembershipClass::Secretariat),
        fingerprint: made.fingerprint(),
    };
    state_membership(folder, root, &admission, &[], now).map(|signed| signed.encode())
}

/// The newest statement, if it says what the admission asks for, else a new version.
pub(super) fn state_membership(
    folder: &HubFolder,
    root: &InstalledRoot,
    admission: &Admission,
    role_keys: &[PathBuf],
    now: UnixMillis,
) -> Result<SignedMembership, Fault> {
    let trusted = &root.newest;
    let newest = membership::newest(folder, trusted)?;
    let known = newest.as_ref().map(SignedMembership::unverified);
    let next = membership::next(known, trusted, admission, now)?;
    settle(folder, trusted, next, newest, role_keys)
}

/// The statement that stands, or the next one, signed with the keys at hand and kept.
pub(super) fn settle(
    folder: &HubFolder,
    root: &TrustedRoot,
    next: Next,
    newest: Option<SignedMembership>,
    role_keys: &[PathBuf],
) -> Result<SignedMembership, Fault> {
    match (next, newest) {
        (Next::Stands, Some(newest)) => Ok(newest),
        (Next::Stands, None) => Err(ErrorCode::InternalFault.with("reason", "no statement stands")),
        (Next::Sign(next), _) => {
            let role = &root.root().roles.membership;
            let keys = keys_at_hand(&folder.offline(), role_keys, KeyUse::Membership, role)?;
            membership::sign(folder, root, *next, &keys)
        }
    }
}

/// Suspends a member for a reason, or ends its suspension, as far as files go: the statement is signed and kept, or found
/// from an earlier call. What is left is to tell the relay.
///
/// # Errors
/// [`ErrorCode::NotMember`], and the faults of the parts.
pub(crate) fn change_standing(
    folder: &HubFolder,
    participant: ParticipantId,
    suspended: Option<Code>,
    role_keys: &[PathBuf],
    now: UnixMillis,
) -> Result<SignedMembership, Fault> {
    folder.check()?;
    let root = installed_root(folder, now)?;
    let newest = membership::newest(folder, &root.newest)?;
    let known = newest.as_ref().ok_or_else(|| ErrorCode::NotMember.with("participant", participant))?;
    let next = membership::next_standing(known.unverified(), &root.newest, participant, suspended, now)?;
    settle(folder, &root.newest, next, newest, role_keys)
}

/// The root of trust of the operator's folder, whether it has expired or not.
pub(super) fn kept_root(folder: &HubFolder) -> Result<InstalledRoot, Fault> {
    let file = folder.authority().join(keyfiles::root_path(1));
    read_roots(&folder.authority())?.ok_or_else(|| ErrorCode::FileMissing.with("file", file.display()))
}

/// The same, which must not have expired.
pub(super) fn installed_root(folder: &HubFolder, now: UnixMillis) -> Result<InstalledRoot, Fault> {
    let root = kept_root(folder)?;
    if root.newest.is_expired(now) {
        let fault = ErrorCode::KeyExpired.with("what", "root of trust");
        return Err(fault.with("until", ncp_api::time::Time(root.newest.root().expires)));
    }
    Ok(root)
}

/// The configuration with which the relay starts.
fn put_config(plan: &Plan) -> Result<(), Fault> {
    let absolute = |path: &Path| {
        let failed = |error| ErrorCode::FileUnusable.with("file", path.display()).with("reason", error);
        std::path::absolute(path).map_err(failed)
    };
    let (data, socket) = (absolute(plan.folder.data())?, absolute(&plan.socket)?);
    let path = plan.folder.config();
    if read_public(&path, "configuration")?.is_some() {
        // The operator may have changed it.
        return Ok(());
    }
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let credential = if Keyring::is_protected(plan.folder.data()) {
        format!("passphrase-credential = \"{CREDENTIAL}\"\n")
    } else {
        String::new()
    };
    let text = format!(
        "# Written by ncpctl hub init. Every other key has its default; config/relay.toml of the distribution lists them.\n\
         listen = \"{}\"\n\
         data-dir = \"{}\"\n\
         api-socket = \"{}\"\n{credential}",
        quoted(&plan.listen),
        quoted(&data.to_string_lossy()),
        quoted(&socket.to_string_lossy()),
    );
    put_public(&path, text.as_bytes(), "configuration")
}
