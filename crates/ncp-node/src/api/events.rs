//! The event feed as JSON Lines, replayable from a cursor: a place in the journal.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ncp_api::ErrorCode;
use ncp_api::feed::FeedEvent;

use super::ask;
use super::query::{Page, long_poll};
use crate::events;
use crate::faults::Failed;
use crate::node::Node;

/// Journal events that one answer looks at.
const LOOK: usize = 500;

pub(super) async fn list(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let page = Page::read(request.uri())?;
    let after = page.sequence()?;
    ask::reading_officer(&node, request).await?;
    let look = || {
        let node = Arc::clone(&node);
        async move { node.blocking(move |node| events::after(node, after, LOOK)).await.map_err(Failed::from) }
    };
    let found = long_poll(&node, page.wait, look, |found: &Vec<FeedEvent>| !found.is_empty()).await?;
    let mut lines = Vec::new();
    for event in found {
        serde_json::to_writer(&mut lines, &event).map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
        lines.push(b'\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response())
}
