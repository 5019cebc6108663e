//! The directory as this node accepted it, and the pin that people set after they compared a fingerprint.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::ErrorCode;
use ncp_api::directory::{Directory, DirectoryEntry, DirectoryLog, Pin};
use ncp_protocol::codes::Code;
use ncp_protocol::event::Role;
use ncp_protocol::ids::ParticipantId;

use super::ask;
use super::work::submit;
use crate::clock;
use crate::core::command::Ask;
use crate::entries::{KnownEntry, Statements};
use crate::faults::Failed;
use crate::node::Node;
use crate::officer_auth::Repeats;

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    ask::reader(&node, request).await?;
    Ok(Json(shown(&node)).into_response())
}

fn shown(node: &Node) -> Directory {
    let (directory, statements) = (node.directory.load(), node.statements.load());
    Directory {
        network: node.network.id(),
        class: node.network.class().into(),
        membership_version: statements.membership.as_ref().map_or(0, |membership| membership.version),
        valid_until: statements.timestamp.as_ref().map(|timestamp| timestamp.expires),
        entries: directory.iter().map(|(participant, known)| entry(*participant, known, &statements)).collect(),
    }
}

fn entry(participant: ParticipantId, known: &KnownEntry, statements: &Statements) -> DirectoryEntry {
    let newest = known.newest();
    let member = statements.membership.as_ref().and_then(|membership| membership.member(participant));
    let reason = || member.and_then(|member| member.suspended.clone()).or_else(|| "suspended".parse::<Code>().ok());
    let now = clock::now();
    let seal_until = newest.keys.sealing.iter().map(|key| key.seal_until).max();
    let is_hub = newest.is_hub();
    DirectoryEntry {
        participant,
        class: member.map(|member| member.class.into()),
        version: newest.version,
        fingerprint: known.chain.fingerprint(),
        pinned: known.row.pinned.is_some(),
        suspended: if known.row.suspended { reason() } else { None },
        created: newest.created,
        seal_until,
        sign_until: newest.keys.signing.map(|key| key.until),
        logs: newest
            .keys
            .logs
            .iter()
            .map(|key| DirectoryLog { log: key.log.to_string(), epoch: key.epoch.0, key: key.key.id() })
            .collect(),
        usable: known.is_usable() && (is_hub || newest.sealing_key(now).is_some()),
    }
}

pub(super) async fn verb(
    State(node): State<Arc<Node>>,
    Path(piece): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let (participant, verb) = ask::verb(&piece)?;
    if verb != "pin" {
        return Err(ErrorCode::EndpointUnknown.with("method", "POST").with("path", &piece).into());
    }
    let unknown = || ErrorCode::ParticipantUnknown.with("participant", participant);
    let participant: ParticipantId = participant.parse().map_err(|_| unknown())?;
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    asked.officer.require(Role::Supervisor, "pinning")?;
    let Pin { fingerprint } = asked.json()?;
    let known = node.directory.load().entry(participant).map(|known| (known.chain.fingerprint(), known.row.pinned));
    let (found, pinned) = known.ok_or_else(unknown)?;
    if let Some(other) = pinned.filter(|other| *other != fingerprint.0) {
        let fault = ErrorCode::PinnedOtherwise.with("participant", participant);
        return Err(fault.with("pinned", ncp_protocol::directory::Fingerprint(other)).into());
    }
    if found != fingerprint {
        let fault = ErrorCode::FingerprintDiffers.with("participant", participant);
        let reason = format!("the entry of {participant} that the hub delivered has another fingerprint");
        return Err(fault.with("reason", reason).field("fingerprint").into());
    }
    let ask = Ask::PinEntry { participant, fingerprint: fingerprint.0 };
    submit(&node, &asked.officer, ask, "pinning", &participant).await?;
    // The caller sees what it did, also before the hint has come round.
    node.blocking(Node::reload_directory).await?;
    Ok(Json(shown(&node)).into_response())
}
