//! The local API of the hub: HTTP/1.1 and JSON over a Unix socket. Everyone whom the socket's mode lets in may read;
//! only root and the daemon's own user may change anything, known by the socket's peer credentials.

mod admin;
mod reading;
mod socket;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::connect_info::Connected;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use ncp_api::{ErrorCode, Fault, PROBLEM_MEDIA_TYPE, Problem, path};
use ncp_protocol::event::Actor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixListener;

pub use self::socket::Socket;
use crate::hub::Hub;
use crate::limits::API_BODY_MAX;

/// Serves the API until the daemon stops.
pub async fn serve(hub: Arc<Hub>, listener: UnixListener) {
    let stopping = hub.stopping.clone();
    let service = router(hub).into_make_service_with_connect_info::<Caller>();
    let served = axum::serve(listener, service).with_graceful_shutdown(stopping.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the local API ended");
    }
}

fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route(path::HEALTH, get(reading::health))
        .route(path::LIVE, get(reading::live))
        .route(path::METRICS, get(reading::metrics))
        .route(path::READY, get(reading::ready))
        .route(path::HUB_STATUS, get(reading::status))
        .route(path::AUDIT_HEAD, get(reading::audit_head))
        .route(path::HUB_ADMIT, post(admin::admit))
        .route(path::HUB_SUSPEND, post(admin::change_membership))
        .route(path::HUB_REINSTATE, post(admin::change_membership))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(API_BODY_MAX))
        .with_state(hub)
}

/// Who is at the other end of the socket.
#[derive(Debug, Clone, Copy)]
struct Caller {
    /// The user, if the system says.
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Caller {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().ok().map(|credentials| credentials.uid()) }
    }
}

impl Caller {
    /// The operator: root or the daemon's own user.
    fn operator(self) -> Result<Actor, Answer> {
        let own = rustix::process::geteuid().as_raw();
        match self.uid {
            Some(uid) if uid == 0 || uid == own => Ok(Actor::Operator(uid)),
            Some(uid) => Err(ErrorCode::OperatorOnly.with("found", uid).into()),
            None => Err(ErrorCode::OperatorOnly.with("found", "unknown").into()),
        }
    }
}

/// A fault as the answer to a request.
struct Answer(Box<Fault>);

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self(Box::new(fault))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let problem = Problem::from(&*self.0);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json(status, PROBLEM_MEDIA_TYPE, &problem)
    }
}

fn json(status: StatusCode, media_type: &'static str, body: &impl Serialize) -> Response {
    let Ok(bytes) = serde_json::to_vec(body) else {
        // The API's types always have a JSON form.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let media_type = HeaderValue::from_static(media_type);
    (status, [(header::CONTENT_TYPE, media_type)], bytes).into_response()
}

fn answer(body: &impl Serialize) -> Response {
    json(StatusCode::OK, "application/json", body)
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| ErrorCode::RequestMalformed.with("reason", error).into())
}

async fn unknown(request: Request) -> Answer {
    about(ErrorCode::EndpointUnknown, &request)
}

async fn wrong_method(request: Request) -> Answer {
    about(ErrorCode::MethodNotAllowed, &request)
}

fn about(code: ErrorCode, request: &Request) -> Answer {
    code.with("method", request.method()).with("path", request.uri().path()).into()
}
