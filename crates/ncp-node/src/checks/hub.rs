//! Checks of the hub, as this node meets it: name, link, entry, directory, what it refuses, how fast it answers.

use core::time::Duration;
use std::sync::Arc;

use ncp_api::health::Check;
use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::reject::Permanence;
use ncp_transport::address::HostPort;
use tokio::net::lookup_host;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::{CLOCKS, Found, LINK};
use crate::clock;
use crate::config::Settings;
use crate::node::Node;

/// How long the hub may take to answer a ping.
const PING_LIMIT: Duration = Duration::from_secs(5);
/// How long the system may take to resolve the hub's names.
const NAMES_LIMIT: Duration = Duration::from_secs(5);

/// Whether the names of the hub can be dialled from here at all.
pub(super) async fn addresses(node: &Node) -> Check {
    let begun = Instant::now();
    resolved(&node.settings()).await.shown("N01", begun.elapsed())
}

/// Behind a proxy the names are its to resolve.
async fn resolved(settings: &Settings) -> Found {
    let ends = Instant::now() + NAMES_LIMIT;
    let names: Vec<String> = settings.hub_addresses.iter().map(ToString::to_string).collect();
    if settings.proxy.is_none() {
        for (name, host) in names.iter().zip(&settings.hub_addresses) {
            match timeout_at(ends, lookup_host(name)).await.map(|found| found.map(Iterator::count)) {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => return unresolved(host, &"no address"),
                Ok(Err(error)) => return unresolved(host, &error),
                Err(_) => return unresolved(host, &format!("no answer within {} s", NAMES_LIMIT.as_secs())),
            }
        }
    }
    Found::Ok(format!("hub at {}", names.join(", ")))
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
    found.shown("N05", begun.elapsed())
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
