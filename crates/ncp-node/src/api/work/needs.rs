//! What needs an officer at this moment: `ncpctl` without a word shows it.

use std::ops::ControlFlow;

use ncp_api::health::{Me, Need, NeedKind};
use ncp_api::message::MessageState;
use ncp_protocol::event::Role;
use ncp_protocol::ids::{ParticipantId, Reference, UnixMillis};

use super::super::health;
use crate::clock;
use crate::core::tables::{Clock, InRow, OutRow, OutState, TASK};
use crate::faults::Failed;
use crate::holds;
use crate::node::Node;
use crate::officer_auth::Officer;
use crate::views::{self, Row, state};

/// References shown of each need.
const FIRST: usize = 5;

/// Everything that needs this officer, most pressing first.
pub(super) fn of(node: &Node, officer: &Officer) -> Result<Me, Failed> {
    let mut needs = Vec::new();
    let now = clock::now();
    let incoming: Vec<InRow> = views::received(node, 0)?
        .into_iter()
        .filter_map(|(_, listed)| match listed.row {
            Row::In(row) => Some(*row),
            Row::Out(_) => None,
        })
        .collect();
    let outgoing: Vec<OutRow> = views::sent(node)?
        .into_iter()
        .filter_map(|listed| match listed.row {
            Row::Out(row) => Some(*row),
            Row::In(_) => None,
        })
        .collect();
    let open = |row: &&InRow| views::due_in(row).is_some();
    let due = |row: &InRow| (row.received.reference, views::due_in(row));
    let is_overdue = |row: &&InRow| views::due_in(row).is_some_and(|due| due <= now);
    let is_soon = |row: &&InRow| views::due_in(row).is_some_and(|due| due > now && soon(row.time, due) <= now);
    needs.push(need(NeedKind::Overdue, incoming.iter().filter(is_overdue).map(due).collect()));
    if officer.roles.contains(&Role::Releaser) {
        let waiting = outgoing.iter().filter(|row| {
            row.state == OutState::WaitingForRelease
                && !row.drafters.contains(&officer.number)
                && !row.approved_by.contains(&officer.number)
        });
        needs.push(need(
            NeedKind::Release,
            waiting.map(|row| (row.draft.reference, Some(row.draft.not_after))).collect(),
        ));
    }
    needs.push(need(NeedKind::DueSoon, incoming.iter().filter(is_soon).map(due).collect()));
    needs.push(need(NeedKind::Unread, incoming.iter().filter(|row| row.handover.is_none()).map(due).collect()));
    let returned = outgoing
        .iter()
        .filter(|row| row.state == OutState::ReturnedToDrafter && row.drafters.contains(&officer.number));
    needs.push(need(NeedKind::Rejected, returned.map(|row| (row.draft.reference, None)).collect()));
    let mut contributed = Vec::new();
    for row in incoming.iter().filter(open) {
        if has_contribution(node, row)? {
            contributed.push(due(row));
        }
    }
    needs.push(need(NeedKind::Contributions, contributed));
    needs.push(need(NeedKind::Failed, failed(node, &outgoing)?));
    if officer.roles.contains(&Role::Supervisor) {
        let holds = holds::all(&node.reader().view())?.len() as u64;
        needs.push(Need { what: NeedKind::Holds, count: holds, first: Vec::new(), due: None });
        let directory = node.directory.load();
        let unpinned = directory.iter().filter(|(_, known)| known.row.pinned.is_none()).count() as u64;
        needs.push(Need { what: NeedKind::Unpinned, count: unpinned, first: Vec::new(), due: None });
    }
    needs.retain(|need| need.count > 0);
    Ok(Me {
        officer: officer.number.0,
        roles: officer.roles.iter().map(|role| (*role).into()).collect(),
        participant: node.participant(),
        hub: health::hub_link(node),
        outbox: views::outbox_count(node)?,
        needs,
    })
}

/// From when on an answer counts as due soon: the clock that also alerts.
fn soon(from: UnixMillis, due: UnixMillis) -> UnixMillis {
    let strikes = Clock::of_request(from, due).into_iter().find(|(_, clock)| *clock == Clock::DueSoon);
    strikes.map_or(due, |(time, _)| UnixMillis(time))
}

/// A need with its nearest times first.
fn need(what: NeedKind, mut items: Vec<(Reference, Option<UnixMillis>)>) -> Need {
    items.sort_by_key(|(_, due)| due.unwrap_or(UnixMillis(u64::MAX)));
    Need {
        what,
        count: items.len() as u64,
        first: items.iter().take(FIRST).map(|(reference, _)| *reference).collect(),
        due: items.first().and_then(|(_, due)| *due),
    }
}

fn has_contribution(node: &Node, row: &InRow) -> Result<bool, Failed> {
    let envelope = row.received.envelope;
    let prefix: (ParticipantId, _) = (envelope.originator, envelope.message);
    let mut found = false;
    TASK.scan(&node.reader().view(), &prefix, |_, task| {
        found |= !task.contributions.is_empty();
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}

fn failed(node: &Node, outgoing: &[OutRow]) -> Result<Vec<(Reference, Option<UnixMillis>)>, Failed> {
    let view = node.reader().view();
    let mut failed = Vec::new();
    for row in outgoing.iter().filter(|row| row.state == OutState::Released) {
        match state::of_out(&view, row)? {
            MessageState::Failed | MessageState::Expired => failed.push((row.draft.reference, None)),
            MessageState::Draft
            | MessageState::WaitingForRelease
            | MessageState::Queued
            | MessageState::Held
            | MessageState::Accepted
            | MessageState::Delivered
            | MessageState::HandedOver
            | MessageState::Answered
            | MessageState::Withdrawn => {}
        }
    }
    Ok(failed)
}
