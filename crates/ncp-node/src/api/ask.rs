//! What every handler begins with: who asks, and what exactly.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use ncp_api::officer::{OfficerHeaders, OfficerHeadersError};
use ncp_api::{ErrorCode, Fault, REQUEST_MAX};
use ncp_protocol::ids::Digest;
use ncp_protocol::keys::sha256;
use serde::de::DeserializeOwned;

use super::Peer;
use crate::clock;
use crate::faults::Failed;
use crate::node::Node;
use crate::officer_auth::{self, Asked, Officer, Repeats, is_operator};

/// An officer's request.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) officer: Officer,
    pub(super) body: Bytes,
    /// Path with its query, as signed.
    pub(super) path: String,
}

impl Signed {
    /// The body as a value; unknown members are refused.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| ErrorCode::RequestMalformed.with("reason", error))
    }

    /// The body as a value; none is the default.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Fault> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }
}

/// Who may read how the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// An officer, who may read content too.
    Officer,
    /// Root or the daemon's own account, who may not.
    Operator,
}

impl Reader {
    /// Whether content may be shown.
    pub(super) fn sees_content(self) -> bool {
        self == Self::Officer
    }
}

/// An officer's request with its body.
pub(super) async fn signed(node: &Arc<Node>, request: Request, repeats: Repeats) -> Result<Signed, Failed> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, REQUEST_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(ErrorCode::RequestTooLarge.with("limit", REQUEST_MAX).into());
        }
        Err(error) => return Err(ErrorCode::RequestMalformed.with("reason", error).into()),
    };
    let path = path_of(&parts);
    let officer = officer(node, &parts, sha256(&body), repeats).await?;
    Ok(Signed { officer, body, path })
}

/// An officer's request that only reads.
pub(super) async fn reading_officer(node: &Arc<Node>, request: Request) -> Result<Officer, Failed> {
    let (parts, _) = request.into_parts();
    officer(node, &parts, sha256(b""), Repeats::Refused).await
}

/// A request that an officer or the operator may make.
pub(super) async fn reader(node: &Arc<Node>, request: Request) -> Result<Reader, Failed> {
    let (parts, _) = request.into_parts();
    if headers(&parts) == Err(OfficerHeadersError::Absent) && is_operator(uid(&parts)) {
        return Ok(Reader::Operator);
    }
    officer(node, &parts, sha256(b""), Repeats::Refused).await?;
    Ok(Reader::Officer)
}

/// The officer who signed the head of a request whose body has this digest.
pub(super) async fn officer(
    node: &Arc<Node>,
    parts: &Parts,
    body_sha256: Digest,
    repeats: Repeats,
) -> Result<Officer, Failed> {
    let (headers, method, path, uid) = (headers(parts), parts.method.as_str().to_owned(), path_of(parts), uid(parts));
    let now = clock::now();
    node.blocking(move |node| {
        let asked = Asked { method: &method, path: &path, body_sha256, uid };
        officer_auth::authenticate(node, headers, asked, repeats, now)
    })
    .await
}

fn headers(parts: &Parts) -> Result<OfficerHeaders, OfficerHeadersError> {
    OfficerHeaders::read(|name| parts.headers.get(name).and_then(|value| value.to_str().ok()))
}

fn path_of(parts: &Parts) -> String {
    parts.uri.path_and_query().map_or_else(String::new, |path| path.as_str().to_owned())
}

fn uid(parts: &Parts) -> u32 {
    parts.extensions.get::<ConnectInfo<Peer>>().map_or(u32::MAX, |ConnectInfo(peer)| peer.uid)
}

/// Splits `{name}:{verb}`, the last piece of a path.
pub(super) fn verb(piece: &str) -> Result<(&str, &str), Fault> {
    let unknown = || ErrorCode::EndpointUnknown.with("method", "POST").with("path", piece);
    piece.rsplit_once(':').ok_or_else(unknown)
}
