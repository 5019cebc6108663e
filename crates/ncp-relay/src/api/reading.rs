//! What everyone at the socket may read: health, status, the newest checkpoints.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use ncp_api::ErrorCode;
use ncp_api::health::{AuditHead, Health, LogHead};
use ncp_api::hub::{HubPeer, HubStatus};
use ncp_protocol::directory::{Chain, SignedMembership, SignedTimestamp};
use ncp_protocol::ids::{LogName, ParticipantId};
use ncp_service::checks::{blocks_readiness, overall};

use super::{Answer, answer, json};
use crate::checks;
use crate::core::query;
use crate::desk;
use crate::hub::{Hub, Stopping};
use crate::intake::free_space;
use crate::metrics;

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
    let text = hub.read(move |_| metrics::text(&known, &checks::all(&known))).await.map_err(stopping)?;
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

fn state(hub: &Hub) -> Health {
    let checks = checks::all(hub);
    Health {
        overall: overall(&checks),
        ready: !checks.iter().any(blocks_readiness)
            && hub.pulse.is_fresh()
            && !hub.stopping.is_cancelled()
            && hub.listening.get().is_some(),
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

fn size(hub: &Hub, log: LogName) -> u64 {
    hub.store.reader().checkpoint(log).map_or(0, |signed| signed.checkpoint().size)
}

fn stopping(_: Stopping) -> Answer {
    ErrorCode::ShuttingDown.fault().into()
}
