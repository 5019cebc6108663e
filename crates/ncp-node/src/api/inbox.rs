//! What arrived, and the confirmation that somebody took it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::ErrorCode;
use ncp_api::message::{Confirm, MessagePage};
use ncp_protocol::codes::Handling;

use super::ask;
use super::messages::find;
use super::query::{Page, long_poll};
use super::work::{submit, view};
use crate::content::{self, ContentKey};
use crate::core::command::Ask;
use crate::core::tables::{IN, MessageKey};
use crate::faults::Failed;
use crate::node::Node;
use crate::officer_auth::Repeats;
use crate::views;

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let page = Page::read(request.uri())?;
    let after = page.sequence()?;
    ask::reading_officer(&node, request).await?;
    let look = || {
        let (node, page) = (Arc::clone(&node), page.clone());
        async move { node.blocking(move |node| listed(node, &page, after)).await }
    };
    let found = long_poll(&node, page.wait, look, |page: &MessagePage| !page.items.is_empty()).await?;
    Ok(Json(found).into_response())
}

/// The cursor counts journal events: the next page begins behind the last row's event.
fn listed(node: &Node, page: &Page, after: u64) -> Result<MessagePage, Failed> {
    let mut rows = views::received(node, after)?.into_iter();
    let mut items = Vec::new();
    let mut cursor = after;
    let mut more = false;
    for (sequence, listed) in rows.by_ref() {
        let item = views::item(node, &listed, true)?;
        if page.state.is_some_and(|state| state != item.state) {
            continue;
        }
        if items.len() >= page.limit {
            more = true;
            break;
        }
        cursor = sequence.saturating_add(1);
        items.push(item);
    }
    Ok(MessagePage { items, cursor: cursor.to_string(), more })
}

pub(super) async fn verb(
    State(node): State<Arc<Node>>,
    Path(piece): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let (name, verb) = ask::verb(&piece)?;
    if verb != "confirm" {
        return Err(ErrorCode::EndpointUnknown.with("method", "POST").with("path", piece).into());
    }
    let key = find(&node, name).await?;
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    let confirm: Confirm = asked.json()?;
    let reference = node.blocking(move |node| check_restriction(node, key, &confirm)).await?;
    let ask = Ask::HandOver { message: key };
    submit(&node, &asked.officer, ask, "confirming", &reference).await?;
    view(&node, key).await
}

/// Content under a restriction opens after somebody said that the words were read.
fn check_restriction(node: &Node, key: MessageKey, confirm: &Confirm) -> Result<String, Failed> {
    let row = IN.row(&node.reader().view(), &key)?;
    let Some(row) = row else {
        let fault = ErrorCode::MessageStateWrong.with("action", "confirming").with("reference", key.1);
        return Err(fault.with("state", "a message of this participant").into());
    };
    let reference = row.received.reference.to_string();
    let unread = row.received.handling == Handling::H3 && row.handover.is_none() && !confirm.restriction_acknowledged;
    if !unread {
        return Ok(reference);
    }
    let words = content::stored(node, &ContentKey::of_in(&row))?
        .and_then(|(_, manifest)| manifest.restriction.as_ref().map(ToString::to_string));
    let fault = ErrorCode::RestrictionNotAcknowledged.with("reference", reference);
    Err(fault.with("restriction", words.unwrap_or_default()).into())
}
