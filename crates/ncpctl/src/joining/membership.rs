//! The membership statement from version to version: kept as files by the hub's operator, signed by the membership role.

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::codes::Code;
use ncp_protocol::directory::accept::MembershipRefusal;
use ncp_protocol::directory::{Fingerprint, Member, Membership, MembershipClass, SignedMembership};
use ncp_protocol::ids::{ParticipantId, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::{DAY_MS, MEMBERSHIP_LIFETIME_MAX_MS};
use ncp_protocol::root::TrustedRoot;

use super::files::{put_public, read_public};
use super::folder::HubFolder;
use super::renewal::Renew;

/// Rest of a statement's lifetime below which the next admission or renewal signs a new one even if nobody is added.
const RENEW_BELOW_MS: u64 = 60 * DAY_MS;

/// The newest statement of a hub's folder, verified; `None` before the first.
///
/// # Errors
/// [`ErrorCode::MembershipInvalid`] if it is damaged or not signed by the role.
pub(crate) fn newest(folder: &HubFolder, root: &TrustedRoot) -> Result<Option<SignedMembership>, Fault> {
    let mut newest = None;
    for version in 1.. {
        let Some(bytes) = read_public(&folder.membership(version), "membership statement")? else { break };
        let signed = verified(&bytes, root)?;
        if signed.unverified().version != version {
            return Err(invalid(&format!("the file of version {version} holds another version")));
        }
        newest = Some(signed);
    }
    Ok(newest)
}

/// A statement that enough keys of the membership role signed for this network. Whether it has expired is not asked.
///
/// # Errors
/// [`ErrorCode::MembershipInvalid`].
pub(crate) fn verified(bytes: &[u8], root: &TrustedRoot) -> Result<SignedMembership, Fault> {
    let signed = SignedMembership::decode(bytes).map_err(|error| invalid(&error))?;
    if signed.unverified().network != root.network() {
        return Err(invalid(&MembershipRefusal::Network));
    }
    signed.verify(&root.root().roles.membership, &root.network()).map_err(|error| invalid(&error))?;
    Ok(signed)
}

/// Whom to add, or whose place to confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Who.
    pub(crate) participant: ParticipantId,
    /// As what; unless named, as what it is already, and a participating State at first.
    pub(crate) class: Option<MembershipClass>,
    /// Of its first entry.
    pub(crate) fingerprint: Fingerprint,
}

/// What is to be done about the membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// The newest statement says it already and lasts long enough.
    Stands,
    /// A new version is to be signed.
    Sign(Box<Membership>),
}

/// The statement after `newest` that has the participant as a member.
///
/// # Errors
/// [`ErrorCode::FingerprintDiffers`] if it is a member under another fingerprint: a lost identity is not replaced here.
pub(crate) fn next(
    newest: Option<&Membership>,
    root: &TrustedRoot,
    admission: &Admission,
    now: UnixMillis,
) -> Result<Next, Fault> {
    let Admission { participant, class, fingerprint } = *admission;
    let known = newest.and_then(|newest| newest.member(participant));
    if known.is_some_and(|known| known.fingerprint != fingerprint) {
        let fault = ErrorCode::FingerprintDiffers.with("participant", participant);
        let reason = format!("{participant} is a member with other keys; taking it in anew is not possible");
        return Err(fault.with("reason", reason));
    }
    let class = class.or(known.map(|known| known.class)).unwrap_or(MembershipClass::ParticipatingState);
    let lasts = newest.is_some_and(|newest| lasts(newest, root, now));
    if lasts && known.is_some_and(|known| known.class == class) {
        return Ok(Next::Stands);
    }
    let suspended = known.and_then(|known| known.suspended.clone());
    Ok(following(newest, root, Member { participant, class, fingerprint, suspended }, now))
}

/// The statement after `newest` in which a member is suspended for a reason, or no longer suspended.
///
/// # Errors
/// [`ErrorCode::NotMember`].
pub(crate) fn next_standing(
    newest: &Membership,
    root: &TrustedRoot,
    participant: ParticipantId,
    suspended: Option<Code>,
    now: UnixMillis,
) -> Result<Next, Fault> {
    let known = newest.member(participant).ok_or_else(|| ErrorCode::NotMember.with("participant", participant))?;
    if known.suspended == suspended {
        return Ok(Next::Stands);
    }
    Ok(following(Some(newest), root, Member { suspended, ..known.clone() }, now))
}

/// The statement after `newest` with the same members, if `newest` does not last long enough, or whatever is to be renewed.
pub(crate) fn next_renewed(newest: &Membership, root: &TrustedRoot, renew: Renew, now: UnixMillis) -> Next {
    match renew {
        Renew::WhatIsDue if lasts(newest, root, now) => Next::Stands,
        Renew::WhatIsDue | Renew::Everything => stated(Some(newest), root, newest.members.clone(), now),
    }
}

/// Whether a statement has enough time left, or as much as a new one would have: the root of trust ends first.
fn lasts(newest: &Membership, root: &TrustedRoot, now: UnixMillis) -> bool {
    newest.expires.millis_since(now) >= RENEW_BELOW_MS || newest.expires >= end(root, now)
}

/// When a statement of now ends.
fn end(root: &TrustedRoot, now: UnixMillis) -> UnixMillis {
    now.plus_millis(MEMBERSHIP_LIFETIME_MAX_MS).min(root.root().expires)
}

/// The statement after `newest` with this member in it.
fn following(newest: Option<&Membership>, root: &TrustedRoot, member: Member, now: UnixMillis) -> Next {
    let mut members = newest.map_or_else(Vec::new, |newest| newest.members.clone());
    members.retain(|other| other.participant != member.participant);
    members.push(member);
    members.sort_by_key(|member| member.participant);
    stated(newest, root, members, now)
}

/// The statement after `newest` with these members.
fn stated(newest: Option<&Membership>, root: &TrustedRoot, members: Vec<Member>, now: UnixMillis) -> Next {
    Next::Sign(Box::new(Membership {
        network: root.network(),
        version: newest.map_or(1, |newest| newest.version + 1),
        issued: now,
        expires: end(root, now),
        members,
    }))
}

/// Signs a statement and keeps it in the hub's folder.
///
/// # Errors
/// [`ErrorCode::MembershipInvalid`] if it cannot stand; a fault that names the file.
pub(crate) fn sign(
    folder: &HubFolder,
    root: &TrustedRoot,
    membership: Membership,
    keys: &[SigningKey],
) -> Result<SignedMembership, Fault> {
    let version = membership.version;
    let keys: Vec<&SigningKey> = keys.iter().collect();
    let signed = SignedMembership::sign(membership, &root.network(), &keys).map_err(|error| invalid(&error))?;
    put_public(&folder.membership(version), &signed.encode(), "membership statement")?;
    Ok(signed)
}

fn invalid(reason: &dyn core::fmt::Display) -> Fault {
    ErrorCode::MembershipInvalid.with("reason", reason)
}
