//! Messages: create, dry run, list, show, edit, and the verbs that follow a colon.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ncp_api::message::{MessageItem, MessageName, MessagePage, MessageView, NewMessage};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::event::Role;
use ncp_protocol::ids::MessageId;

use super::ask::{self, Signed};
use super::query::Page;
use super::work;
use crate::compose::{self, Caller};
use crate::core::tables::MessageKey;
use crate::faults::Failed;
use crate::node::Node;
use crate::officer_auth::Repeats;
use crate::views::{self, Listed};

pub(super) async fn create(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let asked = ask::signed(&node, request, Repeats::Answered).await?;
    asked.officer.require(Role::Drafter, "drafting")?;
    let message: NewMessage = asked.json()?;
    let made = compose::create(&node, caller(&node, asked), message).await?;
    created(&node, made).await
}

pub(super) async fn validate(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    let message: NewMessage = asked.json()?;
    let validation = node.blocking(move |node| compose::validate(node, &message)).await?;
    Ok(Json(validation).into_response())
}

pub(super) async fn edit(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let asked = ask::signed(&node, request, Repeats::Refused).await?;
    asked.officer.require(Role::Drafter, "an edit")?;
    let message: NewMessage = asked.json()?;
    let (_, edited) = own(&node, &name).await?;
    let made = compose::edit(&node, caller(&node, asked), edited, message).await?;
    Ok(Json(shown(&node, made).await?).into_response())
}

pub(super) async fn show(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    ask::reading_officer(&node, request).await?;
    let key = find(&node, &name).await?;
    let view = node.blocking(move |node| views::message(node, key)).await?;
    Ok(Json(view).into_response())
}

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let page = Page::read(request.uri())?;
    ask::reading_officer(&node, request).await?;
    let page = node.blocking(move |node| listed(node, &page)).await?;
    Ok(Json(page).into_response())
}

pub(super) async fn verb(
    State(node): State<Arc<Node>>,
    Path(piece): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let (name, verb) = ask::verb(&piece)?;
    let repeats = match verb {
        "respond" | "contribute" => Repeats::Answered,
        _ => Repeats::Refused,
    };
    // Whoever has no key does not learn which references there are.
    let asked = ask::signed(&node, request, repeats).await?;
    let key = find(&node, name).await?;
    match verb {
        "respond" => work::respond(&node, key, asked).await,
        "assign" => work::assign(&node, key, asked).await,
        "contribute" => work::contribute(&node, key, asked).await,
        "withdraw" => work::withdraw(&node, key, asked).await,
        "retry" => work::retry(&node, key, &asked).await,
        other => Err(ErrorCode::EndpointUnknown.with("method", "POST").with("path", other).into()),
    }
}

/// Who asks for a message to be made, with the request's own mark.
pub(super) fn caller(node: &Node, asked: Signed) -> Caller {
    Caller::new(node, asked.officer, &asked.path, &asked.body)
}

/// The message of a name in a path.
pub(super) async fn find(node: &Arc<Node>, name: &str) -> Result<MessageKey, Failed> {
    let unknown = || ErrorCode::MessageUnknown.with("message", name);
    let parsed: MessageName = name.parse().map_err(|_| unknown())?;
    let found = node.blocking(move |node| views::find(node, &node.reader().view(), &parsed)).await?;
    Ok(found.ok_or_else(unknown)?)
}

/// The same, if this node is its originator.
pub(super) async fn own(node: &Arc<Node>, name: &str) -> Result<MessageKey, Failed> {
    let key = find(node, name).await?;
    if key.0 == node.participant() {
        return Ok(key);
    }
    let fault = ErrorCode::MessageStateWrong.with("action", "this").with("reference", name);
    Err(fault.with("state", "a message of another participant").into())
}

/// A message of this node as it stands now.
pub(super) async fn shown(node: &Arc<Node>, message: MessageId) -> Result<MessageView, Failed> {
    let key = (node.participant(), message);
    node.blocking(move |node| views::message(node, key)).await
}

/// A message that was made, or had been made by the same request.
pub(super) async fn created(node: &Arc<Node>, message: MessageId) -> Result<Response, Failed> {
    Ok((StatusCode::CREATED, Json(shown(node, message).await?)).into_response())
}

/// Sent and received, by time.
fn listed(node: &Node, page: &Page) -> Result<MessagePage, Failed> {
    let mut all = views::sent(node)?;
    all.extend(views::received(node, 0)?.into_iter().map(|(_, listed)| listed));
    all.sort_by_key(|listed| listed.place);
    paged(node, page, all, true)
}

/// The page behind the cursor, which is the place of the last row before it.
pub(super) fn paged(node: &Node, page: &Page, all: Vec<Listed>, with_content: bool) -> Result<MessagePage, Failed> {
    let after = page.after.as_deref().map(place_of_cursor).transpose()?;
    let rest = all.into_iter().filter(|listed| after.is_none_or(|after| listed.place > after));
    let mut items: Vec<MessageItem> = Vec::new();
    let mut cursor = page.after.clone().unwrap_or_default();
    let mut more = false;
    for listed in rest {
        let item = views::item(node, &listed, with_content)?;
        if page.state.is_some_and(|state| state != item.state) {
            continue;
        }
        if items.len() >= page.limit {
            more = true;
            break;
        }
        cursor = cursor_of_place(listed.place);
        items.push(item);
    }
    Ok(MessagePage { items, cursor, more })
}

fn cursor_of_place((time, message): (u64, [u8; 16])) -> String {
    format!("{time}-{}", MessageId(message))
}

fn place_of_cursor(cursor: &str) -> Result<(u64, [u8; 16]), Fault> {
    let parsed = cursor
        .split_once('-')
        .and_then(|(time, message)| Some((time.parse().ok()?, message.parse::<MessageId>().ok()?.0)));
    parsed.ok_or_else(|| ErrorCode::CursorUnknown.with("cursor", cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        let place = (1_795_348_930_123, MessageId::from_random([7; 16]).0);
        assert_eq!(place_of_cursor(&cursor_of_place(place)), Ok(place));
        for bad in ["", "7", "x-y", "7-00"] {
            assert!(place_of_cursor(bad).is_err(), "{bad}");
        }
    }
}
