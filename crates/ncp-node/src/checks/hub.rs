//! Checks of the hub, as this node meets it: name, link, entry, directory, what it refuses, how fast it answers.

use core::time::Duration;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use ncp_api::health::Check;
use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::reject::Permanence;
use ncp_transport::address::HostPort;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{CLOCKS, Found, LINK, shown};
use crate::clock;
use crate::node::Node;

/// How long the hub may take to answer a ping.
const PING_LIMIT: Duration = Duration::from_secs(5);

/// Whether a name or address of the hub can be dialled from here at all.
pub(super) fn addresses(node: &Node) -> Found {
    let mut found = Vec::new();
    let settings = node.settings();
    for host in &settings.hub_addresses {
        let resolved = host.to_string().to_socket_addrs().map(Iterator::count);
        match resolved {
            Ok(count) if count > 0 => found.push(host.to_string()),
            Ok(_) | Err(_) if settings.proxy.is_some() => found.push(host.to_string()),
            Ok(_) => return unresolved(host, &"no address"),
            Err(error) => return unresolved(host, &error),
        }
    }
    Found::Ok(format!("hub at {}", found.join(", ")))
}

fn unresolved(host: &HostPort, reason: &dyn core::fmt::Display) -> Found {
    let fault = ErrorCode::HubUnreachable.with("address", host).with("reason", reason);
    Found::Fail("the hub's name does not resolve".to_owned(), fault)
}

pub(super) fn link(node: &Node) -> Found {
    let status = node.link.borrow().clone();
    match status.failure.clone() {
        None if status.connected => return Found::Ok(format!("linked with the hub at {}", status.address)),
        Some(fault) if status.connected => {
            return Found::Fail("linked with the hub for directory data alone: no mail passes".to_owned(), fault);
        }
        Some(_) | None => {}
    }
    let fault = status.failure.unwrap_or_else(|| {
        ErrorCode::HubUnreachable.with("address", &status.address).with("reason", "no attempt has ended yet")
    });
    Found::Fail("not linked with the hub".to_owned(), fault)
}

pub(super) fn hub_entry(node: &Node) -> Found {
    let directory = node.directory.load();
    match directory.entry(ParticipantId::HUB) {
        Some(known) if known.is_usable() => {
            Found::Ok(format!("the hub's entry, version {}, leads back to the pinned one", known.newest().version))
        }
        Some(_) | None => {
            let fault = ErrorCode::EntrySubstituted.with("participant", ParticipantId::HUB);
            Found::Fail("the hub's entry".to_owned(), fault)
        }
    }
}

pub(super) fn timestamp(node: &Node) -> Found {
    let statements = node.statements.load();
    let Some(timestamp) = &statements.timestamp else {
        return Found::Unset("no timestamp of the directory yet".to_owned());
    };
    let until = timestamp.expires;
    if until <= clock::now() && node.hub_clock.compared(clock::now()).is_some_and(|clocks| clocks.fault().is_some()) {
        return Found::Unset(format!("age of the directory: skipped because of {CLOCKS}"));
    }
    if until <= clock::now() {
        let fault = ErrorCode::DirectoryStale.with("until", Time(until));
        return Found::Fail("the directory is too old".to_owned(), fault);
    }
    Found::Ok(format!("directory vouched for until {}", Time(until)))
}

/// Envelopes that the hub does not take. What passes by itself warns; the rest needs somebody.
pub(super) fn taken_by_hub(node: &Node) -> Found {
    let refusals = node.hub_refusals.all();
    let worst = refusals.iter().max_by_key(|(_, refused)| refused.code.permanence() == Permanence::Permanent);
    let Some(((message, recipient), refused)) = worst else {
        return Found::Ok("the hub takes what it is offered".to_owned());
    };
    let reference = match crate::views::reference(node, (node.participant(), *message)) {
        Ok(reference) => reference.map_or_else(|| message.to_string(), |reference| reference.to_string()),
        Err(_) => message.to_string(),
    };
    let shown = refused.shown(*recipient);
    let fault = ErrorCode::EnvelopeRefused.with("reference", reference).with("recipient", recipient);
    let fault = fault.with("since", Time(shown.since)).with("next", Time(shown.next));
    let fault = fault.with("reject", &shown).with("remedy", &shown.remedy);
    let title = format!("envelopes that the hub refuses: {}", refusals.len());
    match refused.code.permanence() {
        Permanence::Transient => Found::Warn(title, fault),
        Permanence::Permanent => Found::Fail(title, fault),
    }
}

/// One ping over the link, if it stands.
pub(super) async fn round_trip(node: &Arc<Node>) -> Check {
    let begun = Instant::now();
    let found = if node.link.borrow().connected {
        ping(node).await
    } else {
        Found::Unset(format!("round trip to the hub: skipped because of {LINK}"))
    };
    shown("N05", found, begun.elapsed())
}

async fn ping(node: &Arc<Node>) -> Found {
    match ping_hub(node, PING_LIMIT).await {
        Ok(millis) => Found::Ok(format!("round trip to the hub, {millis} ms")),
        Err(fault) => Found::Fail("the hub does not answer".to_owned(), fault),
    }
}

/// Asks the hub for an answer over the link; milliseconds.
///
/// # Errors
/// [`ErrorCode::PingUnanswered`], or why the link does not stand.
pub async fn ping_hub(node: &Arc<Node>, limit: Duration) -> Result<u64, Fault> {
    let unanswered = |reason: &str| ErrorCode::PingUnanswered.with("peer", ParticipantId::HUB).with("reason", reason);
    let (answer, asked) = oneshot::channel();
    let exchange = async {
        node.hints.hub_ping.send(answer).await.map_err(|_| unanswered("the link has ended"))?;
        asked.await.map_err(|_| unanswered("the link broke"))?
    };
    timeout(limit, exchange).await.map_err(|_| unanswered("no answer in time"))?
}
