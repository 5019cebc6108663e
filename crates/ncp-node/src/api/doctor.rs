//! All checks, for people who look for a fault.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::health::Doctor;

use super::ask;
use crate::checks;
use crate::faults::Failed;
use crate::node::Node;

pub(super) async fn doctor(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    ask::reader(&node, request).await?;
    let checks = checks::all(&node).await;
    Ok(Json(Doctor { checks }).into_response())
}
