//! Checks of what people decide: rules, officers, holds, fingerprints.

use ncp_api::ErrorCode;
use ncp_api::release::HoldScope;
use ncp_api::time::Time;
use ncp_policy::Recipients;
use ncp_protocol::event::Role;
use ncp_protocol::ids::OfficerNumber;

use super::{Found, unread};
use crate::core::tables::Standing;
use crate::holds;
use crate::node::Node;
use crate::officer_auth::officers;

pub(super) fn rules(node: &Node) -> Found {
    let settings = node.settings();
    let count = settings.rules.rules().len();
    let directory = node.directory.load();
    let unknown = settings.rules.rules().iter().find_map(|rule| match &rule.to {
        Recipients::All => None,
        Recipients::Listed(listed) => listed.iter().find(|id| directory.entry(**id).is_none()).map(|id| (rule, *id)),
    });
    if let Some((rule, participant)) = unknown {
        let title = format!("rule {} names {participant}, whom the directory does not know", rule.name);
        return Found::Warn(title, ErrorCode::ParticipantUnknown.with("participant", participant));
    }
    if count > 0 {
        return Found::Ok(format!("rules that say what may leave: {count}"));
    }
    let fault = ErrorCode::DeniedByDefault
        .with("kind", "anything")
        .with("handling", "any handling")
        .with("recipient", "anybody");
    Found::Warn("no rule: nothing leaves".to_owned(), fault)
}

/// Release takes a drafter and another officer; the officer table takes two supervisors.
pub(super) fn people(node: &Node) -> Found {
    let all = match officers(&node.reader().view()) {
        Ok(all) => all,
        Err(error) => return unread("officers", &error),
    };
    // By role, who may act in it.
    let active = |role| -> Vec<OfficerNumber> {
        let able = all.iter().filter(|(_, row)| row.standing == Standing::Active && row.roles.contains(&role));
        able.map(|(number, _)| *number).collect()
    };
    let (drafting, releasing) = (active(Role::Drafter), active(Role::Releaser));
    let (drafters, releasers, supervisors) = (drafting.len(), releasing.len(), active(Role::Supervisor).len());
    let title = format!("enabled officers: {drafters} draft, {releasers} release, {supervisors} supervise");
    // One person who drafts and releases is no second one.
    let two_persons = drafting.iter().any(|drafter| releasing.iter().any(|releaser| releaser != drafter));
    if !two_persons {
        let fault = ErrorCode::NobodyReleases.with("drafters", drafters).with("releasers", releasers);
        return Found::Fail(title, fault);
    }
    if supervisors < 2 {
        return Found::Warn(title, ErrorCode::SupervisorsTooFew.with("count", supervisors));
    }
    Found::Ok(title)
}

pub(super) fn held(node: &Node) -> Found {
    match holds::all(&node.reader().view()) {
        Ok(holds) => match holds.first() {
            None => Found::Ok("no hold".to_owned()),
            Some(hold) => {
                let officer = hold.officer.map_or_else(|| "of the daemon".to_owned(), |officer| officer.to_string());
                let fault = ErrorCode::HoldActive
                    .with("officer", officer)
                    .with("scope", HoldScope::from(hold.scope))
                    .with("since", Time(hold.since));
                Found::Warn(format!("holds that stop what would leave: {}", holds.len()), fault)
            }
        },
        Err(error) => unread("holds", &error),
    }
}

pub(super) fn unpinned(node: &Node) -> Found {
    let directory = node.directory.load();
    let mut waiting = directory.iter().filter(|(_, known)| known.row.pinned.is_none()).map(|(id, _)| *id);
    match waiting.next() {
        None => Found::Ok(format!("participants: {}, all pinned", directory.iter().count())),
        Some(first) => {
            let title = format!("fingerprints that were not compared yet: {}", 1 + waiting.count());
            Found::Warn(title, ErrorCode::ParticipantNotPinned.with("participant", first))
        }
    }
}
