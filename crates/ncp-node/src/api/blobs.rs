//! Uploads: streamed, sealed on the way, durable before the answer. Memory does not grow with the file.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use ncp_api::ErrorCode;
use ncp_api::message::BlobCreated;
use ncp_api::officer::BODY_SHA256_HEADER;
use ncp_protocol::event::Role;
use ncp_protocol::ids::Digest;
use tokio::sync::mpsc;

use super::ask;
use crate::blobs::{BlobHead, BlobWriter};
use crate::faults::Failed;
use crate::node::Node;
use crate::officer_auth::Repeats;

/// Pieces on their way between socket and disk.
const PIECES_AHEAD: usize = 4;

pub(super) async fn create(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let (parts, body) = request.into_parts();
    let (length, sha256) = announced(&parts)?;
    let officer = ask::officer(&node, &parts, sha256, Repeats::Refused).await?;
    officer.require(Role::Drafter, "an upload")?;
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    let writing = node.blocking(move |node| write(node, length, sha256, receiver));
    let (written, ()) = tokio::join!(writing, forward(body, pieces));
    let (id, head) = written?;
    let created = BlobCreated { id: id.to_string(), length: head.length, sha256: head.sha256 };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Length and digest, which stand before the bytes.
fn announced(parts: &Parts) -> Result<(u64, Digest), Failed> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let missing =
        |name: &str| ErrorCode::RequestMalformed.with("reason", format!("the header {name} is missing or malformed"));
    let length = text(header::CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
    let sha256 = text(BODY_SHA256_HEADER).and_then(|text| text.parse().ok());
    Ok((
        length.ok_or_else(|| missing(header::CONTENT_LENGTH.as_str()))?,
        sha256.ok_or_else(|| missing(BODY_SHA256_HEADER))?,
    ))
}

/// Hands the bytes to the writing thread; ends early if that has given up, and without the last piece if the caller has.
async fn forward(mut body: Body, pieces: mpsc::Sender<Option<Bytes>>) {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        let Ok(piece) = frame.into_data() else { continue };
        if pieces.send(Some(piece)).await.is_err() {
            return;
        }
    }
    // The writer may have given up: its own error says why.
    let _ = pieces.send(None).await;
}

fn write(
    node: &Node,
    length: u64,
    sha256: Digest,
    mut pieces: mpsc::Receiver<Option<Bytes>>,
) -> Result<(ncp_protocol::ids::MessageId, BlobHead), Failed> {
    let mut writer = BlobWriter::begin(node, length, sha256)?;
    loop {
        match pieces.blocking_recv() {
            Some(Some(piece)) => {
                if let Err(error) = writer.write(node, &piece) {
                    writer.abandon();
                    return Err(error);
                }
            }
            Some(None) => return writer.finish(node),
            None => {
                writer.abandon();
                return Err(ErrorCode::BlobMismatch.with("reason", "the upload was broken off").into());
            }
        }
    }
}
