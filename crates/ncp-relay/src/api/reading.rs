//! What everyone at the socket may read: health, status, the newest checkpoints.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ncp_api::health::{AuditHead, Check, CheckResult, Health, LogHead};
use ncp_api::hub::{HubPeer, HubStatus};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, SignedMembership, SignedTimestamp};
use ncp_protocol::ids::{LogName, ParticipantId};
use ncp_protocol::keys::Purpose;
use ncp_store::ballast::Ballast;
use ncp_store::disk::{CORRUPT, Disk as _};

use super::{Answer, answer, json};
use crate::core::query;
use crate::desk;
use crate::hub::{Hub, Stopping};
use crate::intake::free_space;
use crate::metrics;

/// The check that a signature verifies.
const SIGNING: &str = "K01";
/// The check that there is room.
const SPACE: &str = "S01";
const VERSION: &str = concat!("ncp-relay ", env!("CARGO_PKG_VERSION"));

pub(super) async fn health(State(hub): State<Arc<Hub>>) -> Response {
    answer(&state(&hub))
}

/// 503 unless the newest round through committer, disk and API came back lately.
pub(super) async fn live(State(hub): State<Arc<Hub>>) -> Response {
    json(status_of(hub.pulse.is_fresh()), "application/json", &state(&hub))
}

/// 503 unless the daemon can sign and store now; it never depends on any peer.
pub(super) async fn ready(State(hub): State<Arc<Hub>>) -> Response {
    let health = state(&hub);
    json(status_of(health.ready), "application/json", &health)
}

fn status_of(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

pub(super) async fn metrics(State(hub): State<Arc<Hub>>) -> Result<Response, Answer> {
    let known = Arc::clone(&hub);
    let text = hub.read(move |_| metrics::text(&known, &checks(&known))).await.map_err(stopping)?;
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}

pub(super) async fn audit_head(State(hub): State<Arc<Hub>>) -> Response {
    let logs = [(LogName::Traffic, hub.traffic), (LogName::Public, hub.public)];
    let heads = logs.iter().filter_map(|(log, origin)| {
        let signed = hub.store.reader().checkpoint(*log)?;
        let head = signed.checkpoint();
        let (size, root) = (head.size, head.root);
        Some(LogHead { log: *log, origin: origin.to_string(), size, root, checkpoint: signed.note().to_owned() })
    });
    answer(&AuditHead { logs: heads.collect() })
}

pub(super) async fn status(State(hub): State<Arc<Hub>>) -> Result<Response, Answer> {
    let directory = hub.directory.load();
    let mut peers = Vec::new();
    for (participant, chain) in &directory.chains {
        if *participant != ParticipantId::HUB {
            let suspended = directory.suspended.get(participant).cloned();
            peers.push(peer(&hub, *participant, chain, suspended).map_err(stopping)?);
        }
    }
    let listening = hub.listening.get().copied().unwrap_or(hub.config.listen);
    Ok(answer(&HubStatus {
        version: VERSION.to_owned(),
        network: hub.network,
        class: hub.class.into(),
        listen: listening.to_string(),
        started: hub.started,
        traffic_size: size(&hub, LogName::Traffic),
        public_size: size(&hub, LogName::Public),
        membership_version: directory
            .membership
            .as_ref()
            .map_or(0, |signed: &SignedMembership| signed.unverified().version),
        timestamp_until: directory.timestamp.as_ref().map(|signed: &SignedTimestamp| signed.unverified().expires),
        peers,
    }))
}

fn peer(
    hub: &Hub,
    participant: ParticipantId,
    chain: &Chain,
    suspended: Option<ncp_protocol::codes::Code>,
) -> Result<HubPeer, Stopping> {
    let (connected, since) = hub.links.status(participant);
    let (row, oldest) =
        hub.look(|view| Ok((query::peer_row(view, participant)?, query::oldest_waiting(view, participant)?)))?;
    Ok(HubPeer {
        participant,
        connected,
        since,
        waiting: row.mailbox.envelopes,
        waiting_bytes: row.mailbox.bytes,
        oldest,
        last_accepted: row.accepted,
        entry_version: chain.entry().version,
        fingerprint: chain.fingerprint(),
        suspended,
        forked: desk::forked(hub, participant),
    })
}

fn checks(hub: &Hub) -> Vec<Check> {
    vec![signing(hub), space(hub), losses(hub), ballast(hub), moved_aside(hub), membership(hub), forks(hub), clock(hub)]
}

fn state(hub: &Hub) -> Health {
    let checks = checks(hub);
    // What decides about readiness: whether it can sign and store.
    let unable = checks.iter().any(|check| check.result == CheckResult::Fail && [SIGNING, SPACE].contains(&&*check.id));
    let failed = checks.iter().any(|check| check.result == CheckResult::Fail);
    let warned = checks.iter().any(|check| check.result == CheckResult::Warn);
    Health {
        overall: match (failed, warned) {
            (true, _) => CheckResult::Fail,
            (false, true) => CheckResult::Warn,
            (false, false) => CheckResult::Ok,
        },
        ready: !unable && hub.pulse.is_fresh() && !hub.stopping.is_cancelled() && hub.listening.get().is_some(),
        version: VERSION.to_owned(),
        participant: ParticipantId::HUB,
        network: hub.network,
        class: hub.class.into(),
        now: hub.now(),
        started: hub.started,
        hub: None,
        journal_events: size(hub, LogName::Traffic).saturating_add(size(hub, LogName::Public)),
        free_bytes: free_space(hub).unwrap_or_default(),
        checks,
    }
}

/// Signs a canary with the key that no group of events tries, and verifies it.
///
/// # Errors
/// [`ErrorCode::InternalFault`]: the signature does not verify.
pub(crate) fn sign_canary(hub: &Hub) -> Result<(), Fault> {
    let canary = crate::clock::random::<32>();
    let signature = hub.timestamp.sign(Purpose::Canary, &hub.network, &canary);
    let verified = hub.timestamp.verifying_key().verify(Purpose::Canary, &hub.network, &canary, &signature);
    verified.map_err(|_| ErrorCode::InternalFault.with("reason", "a canary that was just signed does not verify"))
}

fn signing(hub: &Hub) -> Check {
    let code = sign_canary(hub).err().map(|fault| fault.code);
    check(SIGNING, "signing with the timestamp key", code, "a canary's signature does not verify")
}

fn space(hub: &Hub) -> Check {
    let (free, needed) = (free_space(hub), hub.config.free_min_bytes);
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let full = free.filter(|free| *free < needed).map(|free| {
        let fault = ErrorCode::DiskFull.with("free", mebibytes(free)).with("needed", mebibytes(needed));
        fault.with("folder", hub.config.data_dir.display())
    });
    let cause = |fault: &Fault| format!("{}: new messages are refused for the time being", fault.cause());
    Check {
        id: SPACE.to_owned(),
        title: free.map_or_else(|| "free space is not known".to_owned(), |free| format!("{} free", mebibytes(free))),
        result: if full.is_some() { CheckResult::Fail } else { CheckResult::Ok },
        code: full.as_ref().map(|fault| fault.code.to_string()),
        cause: full.as_ref().map(cause),
        remedy: full.as_ref().map(Fault::remedy),
        millis: None,
    }
}

/// Single records that are lost, as far as somebody needed them since the start.
fn losses(hub: &Hub) -> Check {
    let lost = hub.store.reader().losses();
    let fault = lost.first().map(|first| ErrorCode::RecordsLost.with("count", lost.len()).with("first", first));
    let cause = fault.as_ref().map(Fault::cause).unwrap_or_default();
    check("S03", "records of the store", fault.map(|fault| fault.code), &cause)
}

/// Room is held for journal and evidence.
fn ballast(hub: &Hub) -> Check {
    let given_up = (*hub.ballast.borrow() == Ballast::GivenUp).then(|| {
        let size = format!("{} MiB", hub.config.ballast_bytes >> 20);
        ErrorCode::BallastGivenUp.with("size", size).with("folder", hub.config.data_dir.display())
    });
    warning("S04", "room held for evidence", given_up)
}

/// What starts moved out of the way and nobody has looked at.
fn moved_aside(hub: &Hub) -> Check {
    let names = hub.disk.list(Path::new(CORRUPT)).unwrap_or_default();
    let kept = names.first().map(|first| {
        let fault = ErrorCode::DamageKept.with("count", names.len()).with("first", first);
        fault.with("folder", hub.config.data_dir.join(CORRUPT).display())
    });
    warning("S05", "what was moved aside", kept)
}

/// Works, but somebody should look.
fn warning(id: &str, title: &str, fault: Option<Fault>) -> Check {
    let cause = fault.as_ref().map(Fault::cause).unwrap_or_default();
    let check = check(id, title, fault.as_ref().map(|fault| fault.code), &cause);
    let result = if fault.is_some() { CheckResult::Warn } else { CheckResult::Ok };
    Check { result, remedy: fault.as_ref().map(Fault::remedy), ..check }
}

fn membership(hub: &Hub) -> Check {
    let directory = hub.directory.load();
    let expired = directory.members().is_none_or(|members| hub.now() >= members.expires);
    let code = expired.then_some(ErrorCode::MembershipInvalid);
    check("P01", "membership statement", code, "there is none, or it has expired: nodes admit nobody new")
}

/// Whether a participant's log went two ways. The hub serves on: the others are no worse for it.
fn forks(hub: &Hub) -> Check {
    let directory = hub.directory.load();
    let forked = directory.chains.keys().filter(|peer| desk::forked(hub, **peer).is_some());
    let forked: Vec<String> = forked.map(ToString::to_string).collect();
    let cause = format!("{} showed a log that excludes what it had shown before", forked.join(", "));
    let code = (!forked.is_empty()).then_some(ErrorCode::PeerForked);
    let check = check("N01", "logs of the participants", code, &cause);
    let result = if code.is_some() { CheckResult::Warn } else { CheckResult::Ok };
    Check { result, ..check }
}

fn clock(hub: &Hub) -> Check {
    warning("S02", "wall clock", (!hub.believes_clock()).then(|| ErrorCode::ClockDoubted.fault()))
}

fn check(id: &str, title: &str, failed: Option<ErrorCode>, cause: &str) -> Check {
    Check {
        id: id.to_owned(),
        title: title.to_owned(),
        result: if failed.is_some() { CheckResult::Fail } else { CheckResult::Ok },
        code: failed.map(|code| code.to_string()),
        cause: failed.map(|_| cause.to_owned()),
        remedy: failed.map(|code| code.fault().remedy()),
        millis: None,
    }
}

fn size(hub: &Hub, log: LogName) -> u64 {
    hub.store.reader().checkpoint(log).map_or(0, |signed| signed.checkpoint().size)
}

fn stopping(_: Stopping) -> Answer {
    ErrorCode::ShuttingDown.fault().into()
}
