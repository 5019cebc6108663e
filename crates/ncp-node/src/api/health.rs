//! How the daemon is: alive, ready, its health, the heads of its log. Readiness never depends on the hub.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ncp_api::health::{AuditHead, Health, HubLink, LogHead};
use ncp_protocol::ids::LogName;
use ncp_service::checks::{blocks_readiness, overall};

use super::ask;
use crate::checks;
use crate::clock;
use crate::faults::Failed;
use crate::metrics;
use crate::node::Node;
use crate::space;

/// Alive: the newest round through committer, disk and API came back lately.
pub(super) async fn live(State(node): State<Arc<Node>>) -> Result<Response, Failed> {
    let health = node.blocking(health_of).await;
    Ok((status(node.pulse.is_fresh()), Json(health)).into_response())
}

/// Ready: can sign and store now.
pub(super) async fn ready(State(node): State<Arc<Node>>) -> Result<Response, Failed> {
    let health = node.blocking(health_of).await;
    Ok((status(health.ready), Json(health)).into_response())
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

pub(super) async fn metrics(State(node): State<Arc<Node>>) -> Result<Response, Failed> {
    let text = node.blocking(metrics::text).await?;
    Ok(([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], text).into_response())
}

pub(super) async fn health(State(node): State<Arc<Node>>) -> Result<Response, Failed> {
    let health = node.blocking(health_of).await;
    Ok(Json(health).into_response())
}

fn health_of(node: &Node) -> Health {
    let checks = checks::quick(node);
    let folder = &node.config.data_dir;
    Health {
        overall: overall(&checks),
        ready: !node.stopping.is_cancelled()
            && node.pulse.is_fresh()
            && checks.iter().all(|check| !blocks_readiness(check)),
        version: concat!("ncp-node ", env!("CARGO_PKG_VERSION")).to_owned(),
        participant: node.participant(),
        network: node.network.id(),
        class: node.network.class().into(),
        now: clock::now(),
        started: node.started,
        hub: Some(hub_link(node)),
        journal_events: node.reader().checkpoint(LogName::Node).map_or(0, |newest| newest.checkpoint().size),
        free_bytes: space::free_bytes(folder).unwrap_or(0),
        checks,
    }
}

/// How the link to the hub stands.
pub(super) fn hub_link(node: &Node) -> HubLink {
    let status = node.link.borrow().clone();
    HubLink {
        address: status.address,
        connected: status.connected,
        since: status.since,
        reason: status.failure.map(|fault| format!("{}: {}", fault.code, fault.cause())),
    }
}

pub(super) async fn audit_head(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    ask::reader(&node, request).await?;
    let newest = node.reader().checkpoint(LogName::Node);
    let head = |signed: ncp_protocol::checkpoint::SignedCheckpoint| LogHead {
        log: LogName::Node,
        origin: signed.checkpoint().origin.clone(),
        size: signed.checkpoint().size,
        root: signed.checkpoint().root,
        checkpoint: signed.note().to_owned(),
    };
    Ok(Json(AuditHead { logs: newest.into_iter().map(head).collect() }).into_response())
}
