//! `hub admit` on files: a participant is taken in, or goes on with the next version of its entry.

use std::path::{Path, PathBuf};

use ncp_api::hub::HubAdmit;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Fingerprint, Member, MembershipClass};
use ncp_protocol::ids::UnixMillis;
use ncp_protocol::limits::CLOCK_SKEW_MAX_MS;
use ncp_store::keyfiles;

use super::answer::Answer;
use super::authority::Subject;
use super::entries::Entries;
use super::entry::first_entry;
use super::files::read_public;
use super::folder::HubFolder;
use super::hub::{certify, installed_root, open_authority, state_membership};
use super::membership::{self, Admission};
use super::renewal::Renew;
use super::request::{Request, invalid};
use super::root::InstalledRoot;

/// What the hub's operator decides about a request.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    /// The fingerprint as the participant read it out; of a member that the newest statement names with it, none is needed.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// As what the participant takes part; unless named, as what it does already, and as a participating State at first.
    pub(crate) class: Option<MembershipClass>,
    /// Membership keys that lie elsewhere than in the hub's folder.
    pub(crate) role_keys: Vec<PathBuf>,
}

/// Whether a request comes from a member whose fingerprint people compared before: the newest statement names it.
///
/// # Errors
/// The faults of the request and of the folder.
pub(crate) fn is_from_member(folder: &HubFolder, path: &Path, now: UnixMillis) -> Result<bool, Fault> {
    folder.check()?;
    let request = Request::read(path)?;
    let root = installed_root(folder, now)?;
    Ok(known(folder, &root, &request)?.is_some())
}

/// Takes a participant in, or goes on with it, as far as files go: certificate and membership statement are made and kept,
/// or found from an earlier call. What is left is to tell the relay and to write the answer.
///
/// # Errors
/// [`ErrorCode::FingerprintDiffers`] and [`ErrorCode::InputNeeded`] before anything is signed, and the faults of the parts.
pub(crate) fn admit(folder: &HubFolder, path: &Path, decision: &Decision, now: UnixMillis) -> Result<Admitted, Fault> {
    folder.check()?;
    let request = Request::read(path)?;
    let participant = request.participant();
    if decision.fingerprint.is_some_and(|told| told != request.fingerprint()) {
        let fault = ErrorCode::FingerprintDiffers.with("participant", participant);
        return Err(fault.with("reason", format!("{} holds an entry with another fingerprint", path.display())));
    }
    let root = installed_root(folder, now)?;
    if request.network() != root.network() {
        let reason = format!("it asks for network {}, this is {}", request.network().label(), root.network().label());
        return Err(invalid(path, &reason));
    }
    if request.entries.newest().created > now.plus_millis(CLOCK_SKEW_MAX_MS) {
        return Err(invalid(path, &"its newest entry was made in the future, by a clock that is ahead"));
    }
    let joined = known(folder, &root, &request)?.is_none();
    if joined && decision.fingerprint.is_none() {
        let fault = ErrorCode::InputNeeded.with("what", "the participant's fingerprint");
        return Err(fault.with("flag", "--fingerprint"));
    }
    let hub_path = folder.authority().join(keyfiles::HUB_ENTRY);
    let hub = read_public(&hub_path, "entry of the hub")?;
    let hub = hub.ok_or_else(|| ErrorCode::FileMissing.with("file", hub_path.display()))?;
    let admission = Admission { participant, class: decision.class, fingerprint: request.fingerprint() };
    let membership = state_membership(folder, &root, &admission, &decision.role_keys, now)?;
    let authority = open_authority(folder)?;
    let subject = Subject { network: root.network(), class: root.newest.root().class, participant };
    let certificate = certify(folder, &authority, &subject, &request.key, Renew::WhatIsDue, now)?;
    let answer = Answer {
        participant,
        entries: request.entries,
        hub: first_entry(&hub, &hub_path.display())?,
        root,
        membership,
        certificate,
        authority: authority.certificate().to_owned(),
    };
    Ok(Admitted { answer, joined })
}

/// What the newest statement says of the participant whose request this is, if it names the same fingerprint.
fn known(folder: &HubFolder, root: &InstalledRoot, request: &Request) -> Result<Option<Member>, Fault> {
    let newest = membership::newest(folder, &root.newest)?;
    let member = newest.and_then(|newest| newest.unverified().member(request.participant()).cloned());
    Ok(member.filter(|member| member.fingerprint == request.fingerprint()))
}

/// A participant taken in, or gone on with.
#[derive(Debug, Clone)]
pub(crate) struct Admitted {
    /// The answer to write, once the relay knows.
    pub(crate) answer: Answer,
    /// Whether it was no member before.
    pub(crate) joined: bool,
}

impl Admitted {
    /// Its signed entries.
    pub(crate) fn entries(&self) -> &Entries {
        &self.answer.entries
    }

    /// As what it takes part.
    pub(crate) fn class(&self) -> MembershipClass {
        let member = self.answer.membership.unverified().member(self.answer.participant);
        member.map_or(MembershipClass::ParticipatingState, |member| member.class)
    }

    /// What the running relay is told, which records entries and statement in the log `public`. The same again is answered
    /// the same.
    pub(crate) fn told(&self) -> HubAdmit {
        HubAdmit {
            entries: self.entries().encode(),
            membership: self.answer.membership.encode(),
            roots: self.answer.root.later(),
        }
    }
}
