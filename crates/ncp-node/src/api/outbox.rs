//! What is on its way: released, and not with every recipient yet.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::message::{MessagePage, MessageState};

use super::ask;
use super::messages::paged;
use super::query::Page;
use crate::core::tables::{ENVELOPE, OutState};
use crate::faults::Failed;
use crate::node::Node;
use crate::views::{self, Listed, Row};

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let page = Page::read(request.uri())?;
    let with_content = ask::reader(&node, request).await?.sees_content();
    let page = node.blocking(move |node| listed(node, &page, with_content)).await?;
    Ok(Json(page).into_response())
}

fn listed(node: &Node, page: &Page, with_content: bool) -> Result<MessagePage, Failed> {
    let mut on_its_way = Vec::new();
    for listed in views::sent(node)? {
        if is_on_its_way(node, &listed)? {
            on_its_way.push(listed);
        }
    }
    // A caller who names a state wants all of that state, also those that ended.
    let all = match page.state {
        Some(MessageState::Failed | MessageState::Expired | MessageState::Withdrawn) => views::sent(node)?,
        Some(_) | None => on_its_way,
    };
    paged(node, page, all, with_content)
}

fn is_on_its_way(node: &Node, listed: &Listed) -> Result<bool, Failed> {
    let Row::Out(row) = &listed.row else { return Ok(false) };
    if row.state != OutState::Released {
        return Ok(false);
    }
    let view = node.reader().view();
    for recipient in &row.draft.recipients {
        let envelope = ENVELOPE.row(&view, &(row.draft.message, *recipient))?;
        if envelope.is_some_and(|envelope| !envelope.stage.has_ended()) {
            return Ok(true);
        }
    }
    Ok(false)
}
