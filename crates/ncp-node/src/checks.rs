//! The checks of `doctor` and of the health list: stable ids, four results, a cause and what to do.
//!
//! None changes anything. A check that rests on a failed one is skipped and names it. What asks the hub has a time limit;
//! everything else looks at this machine alone.

mod storage;

use core::time::Duration;
use std::sync::Arc;

use ncp_api::health::{Check, CheckResult};
use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_policy::Recipients;
use ncp_protocol::event::Role;
use ncp_protocol::ids::{NetworkId, OfficerNumber, ParticipantId, UnixMillis};
use ncp_protocol::keys::{Purpose, SigningKey, VerifyingKey};
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::reject::Permanence;
use ncp_protocol::root::NetworkClass;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::config::Config;
use crate::core::tables::Standing;
use crate::holds;
use crate::node::Node;
use crate::officer_auth::officers;

/// Signs and verifies a canary: the keys work.
pub const CANARY: &str = "K02";
/// Room on the disk.
pub const SPACE: &str = "S01";
/// This machine's clock.
const CLOCKS: &str = "S03";
/// The link to the hub.
const LINK: &str = "N02";
/// How long the hub may take to answer a ping.
const PING_LIMIT: Duration = Duration::from_secs(5);
/// From when on an end that comes is a warning.
const SOON_MS: u64 = 30 * DAY_MS;

/// What a check found.
#[derive(Debug)]
pub(crate) enum Found {
    /// As it should be.
    Ok(String),
    /// Works, but somebody should look.
    Warn(String, Fault),
    /// Does not work.
    Fail(String, Fault),
    /// Not configured yet, or skipped.
    Unset(String),
}

/// The checks that cost next to nothing: for health and readiness.
#[must_use]
pub fn quick(node: &Node) -> Vec<Check> {
    vec![
        check(CANARY, || canary(node)),
        check("K03", || certificate(node)),
        check("K04", || sealing_key(node)),
        check("K06", || own_entry(node)),
        check(LINK, || link(node)),
        check("N04", || timestamp(node)),
        check("P03", || held(node)),
        check(SPACE, || storage::space(node)),
        check(CLOCKS, || storage::clocks(node)),
        check("S06", || storage::losses(node)),
        check("S07", || storage::ballast(node)),
    ]
}

/// All checks, by id.
pub async fn all(node: &Arc<Node>) -> Vec<Check> {
    let mut checks = node
        .blocking(|node| {
            let mut checks = quick(node);
            checks.extend([
                check("C01", || configuration(node)),
                check("C02", || network(node)),
                check("K01", || key_files(node)),
                check("K05", || signing_key(node)),
                check("N01", || addresses(node)),
                check("N03", || hub_entry(node)),
                check("N06", || taken_by_hub(node)),
                check("P01", || rules(node)),
                check("P02", || people(node)),
                check("P04", || unpinned(node)),
                check("S02", || storage::journal(node)),
                check("S04", || storage::folder(node)),
                check("S05", || storage::undelivered(node)),
                check("S08", || storage::moved_aside(node)),
                check("I01", || services(node)),
            ]);
            checks
        })
        .await;
    checks.push(round_trip(node).await);
    checks.sort_by(|a, b| a.id.cmp(&b.id));
    checks
}

/// Runs one check and times it.
fn check(id: &'static str, look: impl FnOnce() -> Found) -> Check {
    let begun = Instant::now();
    let found = look();
    shown(id, found, begun.elapsed())
}

fn shown(id: &'static str, found: Found, took: Duration) -> Check {
    let (result, title, fault) = match found {
        Found::Ok(title) => (CheckResult::Ok, title, None),
        Found::Warn(title, fault) => (CheckResult::Warn, title, Some(fault)),
        Found::Fail(title, fault) => (CheckResult::Fail, title, Some(fault)),
        Found::Unset(title) => (CheckResult::Unset, title, None),
    };
    Check {
        id: id.to_owned(),
        title,
        result,
        code: fault.as_ref().map(|fault| fault.code.to_string()),
        cause: fault.as_ref().map(Fault::cause),
        remedy: fault.as_ref().map(Fault::remedy),
        millis: u64::try_from(took.as_millis()).ok(),
    }
}

/// A store that cannot be read fails the check that met it.
pub(crate) fn unread(title: &str, error: &dyn core::fmt::Display) -> Found {
    Found::Fail(title.to_owned(), ErrorCode::StoreStopped.with("reason", error))
}

/// The configuration in force, and whether the next start would find what it needs: the files as they lie now.
fn configuration(node: &Node) -> Found {
    let settings = node.settings();
    if let Err(fault) = crate::api::officer_names(&settings) {
        return Found::Fail("the table of officers' names cannot be read".to_owned(), fault);
    }
    let title = format!("configuration of {}, {} rules", node.participant(), settings.rules.rules().len());
    let Some(file) = &node.config.file else { return Found::Ok(title) };
    match Config::load(file) {
        Ok(now) if now.settings != *settings => {
            Found::Ok(format!("{title}; the file was changed since, which counts after a reload"))
        }
        Ok(now) => {
            let same = Config { settings: node.config.settings.clone(), ..now } == node.config;
            Found::Ok(if same {
                title
            } else {
                format!("{title}; the file was changed since, which counts after a restart")
            })
        }
        Err(faults) => {
            let title = format!("the daemon would not start again: {} faults in the configuration", faults.len());
            let unknown =
                || ErrorCode::ConfigFileUnreadable.with("file", file.display()).with("reason", "it has faults");
            Found::Fail(title, faults.into_iter().next().unwrap_or_else(unknown))
        }
    }
}

fn network(node: &Node) -> Found {
    let label = node.network.id().label();
    let expires = node.network.root.root().expires;
    let class = match node.network.class() {
        NetworkClass::Test => "test, on this machine alone",
        NetworkClass::Live => "live",
    };
    let title = format!("network {label}, class {class}");
    ending(title, "root of trust", expires, clock::now())
}

/// Something that ends: an end that has passed fails, one that is near warns.
fn ending(title: String, what: &str, until: UnixMillis, now: UnixMillis) -> Found {
    let fault = || ErrorCode::KeyExpired.with("what", what).with("until", ncp_api::time::Time(until));
    if until <= now {
        return Found::Fail(format!("{title}: the {what} has expired"), fault());
    }
    let days = until.millis_since(now) / DAY_MS;
    if until.millis_since(now) <= SOON_MS {
        return Found::Warn(format!("{title}: the {what} ends in {days} d"), fault());
    }
    Found::Ok(title)
}

/// The files as they lie now: what was fine at the start may have been opened to others, damaged or replaced since.
fn key_files(node: &Node) -> Found {
    match crate::keys::load(&node.config.data_dir, node.participant(), &node.keys.keyring) {
        Ok(_) => Found::Ok("key files closed to others, and those of the own entry".to_owned()),
        Err(fault) => Found::Fail("key files".to_owned(), fault),
    }
}

/// A signature made now verifies under the keys that the own entry gives to others.
fn canary(node: &Node) -> Found {
    let entry = node.network.own_chain.entry();
    let origin = node.identity.origin;
    let signing = entry.keys.signing.as_ref().map(|valid| &valid.key);
    let log = entry.log_key(origin.log, origin.epoch);
    let keys = [("signing key", &node.keys.signing, signing), ("log key", &node.keys.log, log)];
    canary_of(&node.network.id(), keys)
}

/// Signs a canary with each key that evidence rests on, as a check does.
///
/// # Errors
/// [`ErrorCode::InternalFault`]: a signature does not verify.
pub fn sign_canary(node: &Node) -> Result<(), Fault> {
    match canary(node) {
        Found::Fail(_, fault) => Err(fault),
        Found::Ok(_) | Found::Warn(..) | Found::Unset(_) => Ok(()),
    }
}

/// Each key by name, with the half that others verify by.
fn canary_of(network: &NetworkId, keys: [(&str, &SigningKey, Option<&VerifyingKey>); 2]) -> Found {
    let bytes: [u8; 32] = clock::random();
    for (name, key, public) in keys {
        let signature = key.sign(Purpose::Canary, network, &bytes);
        if public.is_none_or(|public| public.verify(Purpose::Canary, network, &bytes, &signature).is_err()) {
            let reason = format!("a canary signed with the {name} does not verify under the own entry");
            return Found::Fail(format!("the {name} does not work"), ErrorCode::InternalFault.with("reason", reason));
        }
    }
    Found::Ok("signing key and log key work".to_owned())
}

fn certificate(node: &Node) -> Found {
    let settings = node.keys.tls.load();
    let until = settings.own().expires;
    let now = clock::now();
    let title = format!("certificate of {} until {}", settings.own().participant, ncp_api::time::Time(until));
    if until > now
        && let Err(error) = settings.check_own(now)
    {
        let fault = ErrorCode::NetworkFileForeign
            .with("file", node.config.data_dir.join(ncp_store::keyfiles::TLS_CHAIN).display())
            .with("reason", error)
            .with("remedy", "move it and ca.crt away, then  ncpctl keys install  with the hub's answer");
        return Found::Fail(title, fault);
    }
    ending(title, "certificate", until, now)
}

fn sealing_key(node: &Node) -> Found {
    let until = node.network.own_chain.entry().keys.sealing.iter().map(|key| key.seal_until).max();
    let until = until.unwrap_or(UnixMillis(0));
    ending(
        format!("others can seal to this node until {}", ncp_api::time::Time(until)),
        "sealing key",
        until,
        clock::now(),
    )
}

fn signing_key(node: &Node) -> Found {
    let until = node.network.own_chain.entry().keys.signing.map_or(UnixMillis(0), |key| key.until);
    ending(format!("envelopes are signed until {}", ncp_api::time::Time(until)), "signing key", until, clock::now())
}

/// Whether a name or address of the hub can be dialled from here at all.
fn addresses(node: &Node) -> Found {
    use std::net::ToSocketAddrs as _;
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

fn unresolved(host: &ncp_transport::address::HostPort, reason: &dyn core::fmt::Display) -> Found {
    let fault = ErrorCode::HubUnreachable.with("address", host).with("reason", reason);
    Found::Fail("the hub's name does not resolve".to_owned(), fault)
}

fn link(node: &Node) -> Found {
    let status = node.link.borrow().clone();
    if status.connected {
        return Found::Ok(format!("linked with the hub at {}", status.address));
    }
    let fault = status.failure.unwrap_or_else(|| {
        ErrorCode::HubUnreachable.with("address", &status.address).with("reason", "no attempt has ended yet")
    });
    Found::Fail("not linked with the hub".to_owned(), fault)
}

/// An entry that this participant did not sign means that somebody at the hub tries to take its place.
fn own_entry(node: &Node) -> Found {
    if !node.foreign_entry.load(core::sync::atomic::Ordering::Relaxed) {
        return Found::Ok("`public` names no key for this participant that is not its own".to_owned());
    }
    let fault = ErrorCode::EntrySubstituted.with("participant", node.participant());
    Found::Fail("an entry in this participant's name is foreign: nothing is received".to_owned(), fault)
}

fn hub_entry(node: &Node) -> Found {
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

fn timestamp(node: &Node) -> Found {
    let statements = node.statements.load();
    let Some(timestamp) = &statements.timestamp else {
        return Found::Unset("no timestamp of the directory yet".to_owned());
    };
    let until = timestamp.expires;
    if until <= clock::now() && node.hub_clock.compared(clock::now()).is_some_and(|clocks| clocks.fault().is_some()) {
        return Found::Unset(format!("age of the directory: skipped because of {CLOCKS}"));
    }
    if until <= clock::now() {
        let fault = ErrorCode::DirectoryStale.with("until", ncp_api::time::Time(until));
        return Found::Fail("the directory is too old".to_owned(), fault);
    }
    Found::Ok(format!("directory vouched for until {}", ncp_api::time::Time(until)))
}

/// Envelopes that the hub does not take. What passes by itself warns; the rest needs somebody.
fn taken_by_hub(node: &Node) -> Found {
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
async fn round_trip(node: &Arc<Node>) -> Check {
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

fn rules(node: &Node) -> Found {
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
fn people(node: &Node) -> Found {
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

fn held(node: &Node) -> Found {
    match holds::all(&node.reader().view()) {
        Ok(holds) => match holds.first() {
            None => Found::Ok("no hold".to_owned()),
            Some(hold) => {
                let officer = hold.officer.map_or_else(|| "of the daemon".to_owned(), |officer| officer.to_string());
                let fault = ErrorCode::HoldActive
                    .with("officer", officer)
                    .with("scope", ncp_api::release::HoldScope::from(hold.scope))
                    .with("since", ncp_api::time::Time(hold.since));
                Found::Warn(format!("holds that stop what would leave: {}", holds.len()), fault)
            }
        },
        Err(error) => unread("holds", &error),
    }
}

fn unpinned(node: &Node) -> Found {
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

fn services(node: &Node) -> Found {
    match node.settings().services.len() {
        0 => Found::Unset("no national service is configured yet".to_owned()),
        count => Found::Ok(format!("national services: {count}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(found: &Found) -> CheckResult {
        match found {
            Found::Ok(_) => CheckResult::Ok,
            Found::Warn(..) => CheckResult::Warn,
            Found::Fail(..) => CheckResult::Fail,
            Found::Unset(_) => CheckResult::Unset,
        }
    }

    #[test]
    fn a_canary_fails_under_any_key_but_the_entrys() {
        let network = NetworkId(ncp_protocol::ids::Digest([1; 32]));
        let (signing, log) = (SigningKey::from_seed(&[2; 32]), SigningKey::from_seed(&[3; 32]));
        let (signing_half, log_half) = (signing.verifying_key(), log.verifying_key());
        let check = |first, second| {
            let found = canary_of(&network, [("signing key", &signing, first), ("log key", &log, second)]);
            (result(&found), format!("{found:?}"))
        };
        assert_eq!(check(Some(&signing_half), Some(&log_half)).0, CheckResult::Ok);
        for (first, second, named) in [
            (Some(&log_half), Some(&log_half), "signing key"),
            (None, Some(&log_half), "signing key"),
            (Some(&signing_half), Some(&signing_half), "log key"),
            (Some(&signing_half), None, "log key"),
        ] {
            let (result, said) = check(first, second);
            assert_eq!(result, CheckResult::Fail);
            assert!(said.contains(named), "{said}");
        }
    }

    #[test]
    fn an_end_warns_before_it_comes() {
        let now = UnixMillis(100 * DAY_MS);
        for (days, expected) in
            [(99, CheckResult::Fail), (100, CheckResult::Fail), (120, CheckResult::Warn), (131, CheckResult::Ok)]
        {
            let found = ending("x".to_owned(), "certificate", UnixMillis(days * DAY_MS), now);
            assert_eq!(result(&found), expected, "{days}");
        }
    }
}
