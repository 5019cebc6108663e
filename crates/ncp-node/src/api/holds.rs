//! Holds: what is stopped from leaving, at once.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::release::{Hold, HoldScope, Holds, NewHold};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::event::Role;
use std::ops::ControlFlow;

use super::ask;
use super::work::submit;
use crate::core::command::Ask;
use crate::core::tables::{HOLD, HoldKey, HoldRow, OUT, QUEUE};
use crate::faults::Failed;
use crate::holds;
use crate::node::Node;
use crate::officer_auth::Repeats;

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    ask::reading_officer(&node, request).await?;
    answer(&node).await
}

pub(super) async fn set(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    asked.officer.require(Role::Supervisor, "a hold")?;
    let NewHold { scope } = asked.json()?;
    let known = HOLD.row(&node.reader().view(), &HoldKey::of(scope.into()))?;
    if let Some(row) = known {
        return Err(about(ErrorCode::HoldExists, &row).into());
    }
    submit(&node, &asked.officer, Ask::SetHold(scope.into()), "a hold", &scope).await?;
    answer(&node).await
}

pub(super) async fn lift(
    State(node): State<Arc<Node>>,
    Path(scope): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    asked.officer.require(Role::Supervisor, "lifting a hold")?;
    let scope: HoldScope = scope.parse().map_err(|_| ErrorCode::HoldUnknown.with("scope", &scope))?;
    submit(&node, &asked.officer, Ask::LiftHold(scope.into()), "lifting a hold", &scope).await?;
    answer(&node).await
}

fn about(code: ErrorCode, row: &HoldRow) -> Fault {
    let officer = row.officer.map_or_else(|| "of the daemon".to_owned(), |officer| officer.to_string());
    let fault = code.with("officer", officer).with("scope", HoldScope::from(row.scope));
    fault.with("since", ncp_api::time::Time(row.since))
}

async fn answer(node: &Arc<Node>) -> Result<Response, Failed> {
    let holds = node.blocking(all).await?;
    Ok(Json(holds).into_response())
}

/// All holds, each with the number of released messages that it stops now.
fn all(node: &Node) -> Result<Holds, Failed> {
    let view = node.reader().view();
    let mut queued = Vec::new();
    QUEUE.scan(&view, &(), |(_, _, message, recipient), ()| {
        queued.push((message, recipient));
        ControlFlow::Continue(())
    })?;
    let mut kinds = Vec::new();
    for (message, recipient) in queued {
        kinds.extend(OUT.row(&view, &message)?.map(|row| (message, recipient, row.draft.kind)));
    }
    let stops = |row: &HoldRow| {
        let stopped = kinds.iter().filter(|(_, recipient, kind)| match HoldScope::from(row.scope) {
            HoldScope::All => true,
            HoldScope::Recipient(held) => held == *recipient,
            HoldScope::Kind(held) => held == *kind,
        });
        stopped.map(|(message, ..)| message).collect::<std::collections::BTreeSet<_>>().len() as u64
    };
    let holds = holds::all(&view)?.into_iter().map(|row| Hold {
        scope: row.scope.into(),
        officer: row.officer.map(|officer| officer.0),
        since: row.since,
        stopped: stops(&row),
    });
    Ok(Holds { holds: holds.collect() })
}
