//! Admitting what the operator brings: roots of trust, membership statements, entries, all signed elsewhere. Everything is
//! verified here, recorded as events of `public`, and in force when the answer leaves.
//!
//! One admission at a time; the same bytes again are answered as the first time.

use core::fmt::Display;
use std::sync::Arc;

use ncp_api::hub::{HubAdmit, HubMembership, HubRecorded};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, Entry, Membership, SignedEntry, SignedMembership};
use ncp_protocol::event::Actor;
use ncp_protocol::ids::{Digest, ParticipantId};
use ncp_protocol::limits::CLOCK_SKEW_MAX_MS;
use ncp_protocol::root::SignedRoot;
use ncp_store::keyfiles;

use super::refresh;
use crate::clock;
use crate::core::command::{AdmitEntry, AdmitMembership, Command, Reply};
use crate::core::query;
use crate::directory::Trust;
use crate::hub::{Asked, Hub, Stopping};

/// Admits a participant, or the next versions of its entry.
///
/// # Errors
/// What is wrong with the statements, or that the daemon is stopping. Statements before the faulty one stay in force.
pub async fn admit(hub: &Hub, request: &HubAdmit, actor: Actor) -> Result<HubRecorded, Fault> {
    let _turn = hub.directory.admitting.lock().await;
    for root in &request.roots {
        admit_root(hub, root)?;
    }
    let unreadable = |error: &dyn Display| {
        ErrorCode::EntryInvalid.with("participant", "?").with("version", "?").with("reason", error)
    };
    let entries: Result<Vec<_>, _> = request.entries.iter().map(|bytes| SignedEntry::decode(bytes)).collect();
    let entries = entries.map_err(|error| unreadable(&error))?;
    let participant = entries.first().ok_or_else(|| unreadable(&"there is none"))?.unverified().participant;
    // Entries are judged before anything is recorded, so that a bad one leaves no trace.
    let statement = verify_membership(hub, &request.membership)?;
    let new = verify_entries(hub, participant, &entries, statement.unverified())?;
    admit_membership(hub, &statement, actor.clone()).await?;
    for signed in new {
        admit_entry(hub, signed, statement.digest(), actor.clone()).await?;
    }
    recorded(hub, participant)
}

/// Puts a membership statement in force that suspends or reinstates.
///
/// # Errors
/// As [`admit`].
pub async fn change_membership(hub: &Hub, request: &HubMembership, actor: Actor) -> Result<HubRecorded, Fault> {
    let _turn = hub.directory.admitting.lock().await;
    let statement = verify_membership(hub, &request.membership)?;
    admit_membership(hub, &statement, actor).await?;
    recorded(hub, request.participant)
}

/// At a start: the statements that `hub init` left, unless the journal has them or newer ones.
///
/// # Errors
/// As [`admit`].
pub async fn install(hub: &Hub, membership: Option<&[u8]>, entries: &[SignedEntry]) -> Result<(), Fault> {
    let _turn = hub.directory.admitting.lock().await;
    refresh(hub).await.map_err(stopping)?;
    if hub.directory.load().membership.is_none() {
        let bytes = membership.ok_or_else(|| missing_membership(hub))?;
        let statement = verify_membership(hub, bytes)?;
        admit_membership(hub, &statement, Actor::Daemon).await?;
    }
    for entry in entries {
        let directory = hub.directory.load();
        let Some(statement) = directory.membership.as_ref() else { return Err(missing_membership(hub)) };
        let known = directory.entry(ParticipantId::HUB).map(|entry| entry.version);
        if known.is_some_and(|known| known >= entry.unverified().version) {
            continue;
        }
        verify_entries(hub, ParticipantId::HUB, core::slice::from_ref(entry), statement.unverified())?;
        admit_entry(hub, entry, statement.digest(), Actor::Daemon).await?;
    }
    Ok(())
}

fn missing_membership(hub: &Hub) -> Fault {
    let file = hub.config.data_dir.join(keyfiles::NETWORK).join("membership-1");
    let fault = ErrorCode::KeyFileMissing.with("what", "membership statement").with("file", file.display());
    fault.with("remedy", "make the hub once with  ncpctl hub init,  or put back the copy from your backup")
}

fn admit_root(hub: &Hub, bytes: &[u8]) -> Result<(), Fault> {
    let trust = hub.trust.load_full();
    if trust.versions.iter().any(|known| known == bytes) {
        return Ok(());
    }
    let invalid = |reason: &dyn Display| ErrorCode::RootInvalid.with("file", "roots").with("reason", reason);
    let signed = SignedRoot::decode(bytes).map_err(|error| invalid(&error))?;
    let newest = signed.verify_next(&trust.newest).map_err(|error| invalid(&error))?;
    let path = hub.config.data_dir.join(keyfiles::root_path(newest.root().version));
    // The file is what the next start reads; it is there before anyone is told.
    keyfiles::create_public(&path, bytes)
        .map_err(|error| ErrorCode::FileUnusable.with("file", path.display()).with("reason", error))?;
    let mut versions = trust.versions.clone();
    versions.push(bytes.to_vec());
    hub.trust.store(Arc::new(Trust { newest, versions }));
    Ok(())
}

fn verify_membership(hub: &Hub, bytes: &[u8]) -> Result<SignedMembership, Fault> {
    let invalid = |reason: &dyn Display| ErrorCode::MembershipInvalid.with("reason", reason);
    let statement = SignedMembership::decode(bytes).map_err(|error| invalid(&error))?;
    let trust = hub.trust.load();
    let role = &trust.newest.root().roles.membership;
    let said = statement.verify(role, &hub.network).map_err(|error| invalid(&error))?;
    let now = hub.now();
    if said.network != hub.network {
        return Err(invalid(&"it belongs to another network"));
    }
    if trust.newest.is_expired(now) {
        return Err(invalid(&"the root of trust has expired"));
    }
    if said.issued > now.plus_millis(CLOCK_SKEW_MAX_MS) || now >= said.expires {
        return Err(invalid(&"it is not valid now"));
    }
    let directory = hub.directory.load();
    let known = directory.membership.as_ref();
    if known.is_some_and(|known| known.unverified().version > said.version) {
        let version = known.map_or(0, |known| known.unverified().version);
        return Err(ErrorCode::DirectoryRollback.with("found", said.version).with("known", version));
    }
    if known.is_some_and(|known| known.unverified().version == said.version && known.digest() != statement.digest()) {
        return Err(invalid(&"another statement of this version is in force"));
    }
    Ok(statement)
}

/// Verifies that entries follow the one in force, each the one before; the first one must be the member's. Returns those
/// that are not in force yet: what is known may come again.
fn verify_entries<'a>(
    hub: &Hub,
    participant: ParticipantId,
    entries: &'a [SignedEntry],
    membership: &Membership,
) -> Result<Vec<&'a SignedEntry>, Fault> {
    let Some(member) = membership.member(participant) else {
        return Err(ErrorCode::NotMember.with("participant", participant));
    };
    let mut chain = hub.directory.load().chains.get(&participant).cloned();
    if chain.as_ref().is_some_and(|chain| chain.fingerprint() != member.fingerprint) {
        return Err(ErrorCode::EntrySubstituted.with("participant", participant));
    }
    let mut new = Vec::new();
    for signed in entries {
        let version = signed.unverified().version;
        let invalid = |reason: &dyn Display| {
            let fault = ErrorCode::EntryInvalid.with("participant", participant);
            fault.with("version", version).with("reason", reason)
        };
        let verified = match &chain {
            Some(chain) if version < chain.entry().version || chain.digest() == signed.digest() => continue,
            Some(chain) => chain.next(signed),
            None => Chain::first(&hub.network, &member.fingerprint, signed),
        };
        chain = Some(verified.map_err(|error| invalid(&error))?);
        // Its keys would not be valid yet, and nothing made later could be older.
        if signed.unverified().created > hub.now().plus_millis(CLOCK_SKEW_MAX_MS) {
            return Err(invalid(&"it was made in the future, by a clock that is ahead"));
        }
        new.push(signed);
    }
    Ok(new)
}

async fn admit_membership(hub: &Hub, statement: &SignedMembership, actor: Actor) -> Result<(), Fault> {
    let said = statement.unverified();
    let members = said.members.iter().map(|member| (member.participant, member.suspended.clone())).collect();
    let command = AdmitMembership {
        version: said.version,
        membership: statement.digest(),
        bytes: statement.encode(),
        members,
        actor,
        stamp: clock::stamp(),
    };
    decide(hub, Command::AdmitMembership(command)).await
}

async fn admit_entry(hub: &Hub, signed: &SignedEntry, membership: Digest, actor: Actor) -> Result<(), Fault> {
    let Entry { participant, version, previous, .. } = signed.unverified();
    let command = AdmitEntry {
        participant: *participant,
        version: *version,
        bytes: signed.encode(),
        follows: *previous,
        membership,
        actor,
        stamp: clock::stamp(),
    };
    decide(hub, Command::AdmitEntry(command)).await
}

/// Has an admission decided and puts it in force.
async fn decide(hub: &Hub, command: Command) -> Result<(), Fault> {
    let committed = hub.submit(Asked::BY_OPERATOR, command).await.map_err(stopping)?;
    if let Reply::Recorded = committed.reply {
        return refresh(hub).await.map_err(stopping);
    }
    // Admissions go one at a time, so what was verified is what is decided on.
    Err(ErrorCode::InternalFault.with("reason", format!("an admission was answered by {:?}", committed.reply)))
}

/// What is in force for a participant now, and where `public` says so.
fn recorded(hub: &Hub, participant: ParticipantId) -> Result<HubRecorded, Fault> {
    let state = hub.look(query::directory).map_err(stopping)?;
    let row = state.entries.iter().find(|(named, _)| *named == participant).map(|(_, row)| row);
    let row = row.ok_or_else(|| ErrorCode::ParticipantUnknown.with("participant", participant))?;
    Ok(HubRecorded {
        participant,
        entry_version: row.version,
        membership_version: state.membership.map_or(0, |row| row.version),
        public_index: row.index,
    })
}

fn stopping(_: Stopping) -> Fault {
    ErrorCode::ShuttingDown.fault()
}
