//! The directory: membership first, entries under it, suspensions as the membership says, and `public` in `traffic`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ncp_protocol::event::{Actor, Change};
use ncp_protocol::ids::LogName;
use ncp_protocol::keys::sha256;
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::{Record, RecordKind, RecordName};
use ncp_store::state::{Decision, View};

use super::{Decided, Scribe};
use crate::core::command::{AdmitEntry, AdmitMembership, Effect, RecordPublicCheckpoint, Reply};
use crate::core::tables::{DIRECTORY, MEMBERSHIP, PUBLIC, SUSPENDED};

/// The reason of a suspension whose participant the membership statement no longer names.
const NOT_A_MEMBER: &str = "not-a-member";

pub(super) fn admit_entry(view: &dyn View, admit: AdmitEntry) -> Decided {
    let AdmitEntry { participant, version, bytes, follows, membership, actor, stamp } = admit;
    let entry = sha256(&bytes);
    let current = DIRECTORY.row(view, &participant)?;
    if current.is_some_and(|row| row.entry == entry) {
        return Ok(Decision::reply(Reply::Recorded));
    }
    if current.is_some_and(|row| row.version >= version) {
        return Ok(Decision::reply(Reply::Refused(RejectCode::EntryVersionOld)));
    }
    let in_force = MEMBERSHIP.row(view, &())?.map(|row| row.membership);
    if in_force != Some(membership) || current.map(|row| row.entry) != follows {
        return Ok(Decision::reply(Reply::DirectoryChanged));
    }
    let mut scribe = Scribe::new(stamp, actor);
    scribe.note(LogName::Public, Change::EntryAdmitted { participant, version, entry });
    scribe.records.push(Record { name: RecordName { kind: RecordKind::Entry, id: entry }, bytes });
    scribe.effect(Effect::PublishDirectory);
    Ok(scribe.done(Reply::Recorded))
}

pub(super) fn admit_membership(view: &dyn View, admit: AdmitMembership) -> Decided {
    let AdmitMembership { version, membership, bytes, members, actor, stamp } = admit;
    if let Some(current) = MEMBERSHIP.row(view, &())? {
        if current.membership == membership {
            return Ok(Decision::reply(Reply::Recorded));
        }
        if current.version >= version {
            return Ok(Decision::reply(Reply::Refused(RejectCode::EntryVersionOld)));
        }
    }
    let mut scribe = Scribe::new(stamp, actor);
    scribe.note(LogName::Public, Change::MembershipAdmitted { version, membership });
    scribe.records.push(Record { name: RecordName { kind: RecordKind::Entry, id: membership }, bytes });
    note_suspensions(&mut scribe, view, members.into_iter().collect())?;
    scribe.effect(Effect::PublishDirectory);
    Ok(scribe.done(Reply::Recorded))
}

type Members = BTreeMap<ncp_protocol::ids::ParticipantId, Option<ncp_protocol::codes::Code>>;

/// Whoever the statement suspends, or no longer names, is suspended; whoever it no longer suspends is reinstated.
fn note_suspensions(
    scribe: &mut Scribe,
    view: &dyn View,
    mut members: Members,
) -> Result<(), ncp_store::state::Unreadable> {
    DIRECTORY.scan(view, &(), |participant, _| {
        members.entry(participant).or_insert_with(|| NOT_A_MEMBER.parse().ok());
        ControlFlow::Continue(())
    })?;
    for (participant, reason) in members {
        let current = SUSPENDED.row(view, &participant)?;
        if current == reason {
            continue;
        }
        let change = match reason {
            Some(reason) => Change::ParticipantSuspended { participant, reason },
            None => Change::ParticipantReinstated { participant },
        };
        scribe.note(LogName::Public, change);
    }
    Ok(())
}

/// Records how far `public` has grown, so that the order of `traffic` judges keys.
pub(super) fn record_public(view: &dyn View, record: RecordPublicCheckpoint) -> Decided {
    let RecordPublicCheckpoint { size, root, stamp } = record;
    if PUBLIC.row(view, &())?.unwrap_or_default().size >= size {
        return Ok(Decision::reply(Reply::Recorded));
    }
    let mut scribe = Scribe::new(stamp, Actor::Daemon);
    scribe.traffic(Change::PublicCheckpointRecorded { size, root });
    Ok(scribe.done(Reply::Recorded))
}
