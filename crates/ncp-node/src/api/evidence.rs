//! A message's life and its receipts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};

use super::ask;
use super::messages::find;
use crate::faults::Failed;
use crate::node::Node;
use crate::{hub_view as as_hub, receipts_shown, timeline as life};

/// Names, times and codes: the operator may read them too.
pub(super) async fn timeline(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    let reader = ask::reader(&node, request).await?;
    let words = if reader.sees_content() { life::Words::Told } else { life::Words::Withheld };
    let key = find(&node, &name).await?;
    let timeline = node.blocking(move |node| life::timeline(node, key, words)).await?;
    Ok(Json(timeline).into_response())
}

pub(super) async fn evidence(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    ask::reader(&node, request).await?;
    let key = find(&node, &name).await?;
    let bundle = node.blocking(move |node| receipts_shown::bundle(node, key)).await?;
    Ok(Json(bundle).into_response())
}

pub(super) async fn hub_view(
    State(node): State<Arc<Node>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Failed> {
    ask::reading_officer(&node, request).await?;
    let key = find(&node, &name).await?;
    let view = node.blocking(move |node| as_hub::of(node, key)).await?;
    Ok(Json(view).into_response())
}
