//! The local API: HTTP/1.1 and JSON over a Unix socket (OPERATORS: local API). One module per resource; what is asked is
//! checked in [`ask`], what is answered is made in [`crate::views`].
//!
//! The socket is mode 0660: its group may ask, the officer table decides. A socket that a crash left is removed; one at
//! which something answers is not, nor is any other file. Every error is a problem of the registry; one that means that the store cannot be
//! read or has stopped ends the daemon.

mod ask;
mod blobs;
mod body;
mod directory;
mod doctor;
mod events;
mod evidence;
mod health;
mod holds;
mod inbox;
mod messages;
mod officers;
mod outbox;
mod parts;
mod ping;
mod query;
mod release;
mod work;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::serve::IncomingStream;
use ncp_api::{ErrorCode, Fault, PROBLEM_MEDIA_TYPE, Problem, path};
use tokio::net::UnixListener;

pub(crate) use officers::officer_names;

use crate::faults::Failed;
use crate::node::Node;

/// The API's socket file.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl Socket {
    /// The listener; given once.
    ///
    /// # Errors
    /// If it was given before.
    pub fn listener(&mut self) -> Result<UnixListener, Fault> {
        self.listener.take().ok_or_else(|| ErrorCode::InternalFault.with("reason", "the socket serves already"))
    }

    /// Removes the file: the next start finds a free place.
    pub fn remove(&self) {
        if let Err(error) = ncp_api::socket::remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket file stays behind");
        }
    }
}

/// Makes the socket.
///
/// # Errors
/// [`ErrorCode::SocketInUse`] if something answers there; [`ErrorCode::SocketFolderUnusable`].
pub async fn listen(path: &Path) -> Result<Socket, Fault> {
    let unusable = |error: std::io::Error| ncp_api::socket::unusable(path, &error);
    ncp_api::socket::clear(path).await?;
    let listener = UnixListener::bind(path).map_err(unusable)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(unusable)?;
    Ok(Socket { path: path.to_owned(), listener: Some(listener) })
}

/// The account at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// User id; nobody's if the kernel does not say.
    uid: u32,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self { uid: stream.io().peer_cred().map_or(u32::MAX, |credentials| credentials.uid()) }
    }
}

/// Serves until the daemon stops; requests that have begun are answered.
pub async fn serve(node: Arc<Node>, listener: UnixListener) {
    let stopping = node.stopping.clone();
    let service = router(Arc::clone(&node)).into_make_service_with_connect_info::<Peer>();
    let served = axum::serve(listener, service).with_graceful_shutdown(async move { stopping.cancelled().await }).await;
    if let Err(error) = served {
        node.stop_because(ErrorCode::InternalFault.with("reason", error));
    }
}

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route(path::LIVE, get(health::live))
        .route(path::READY, get(health::ready))
        .route(path::METRICS, get(health::metrics))
        .route(path::HEALTH, get(health::health))
        .route(path::DOCTOR, get(doctor::doctor))
        .route(path::AUDIT_HEAD, get(health::audit_head))
        .route(path::ME, get(work::me))
        .route(path::OFFICERS, get(officers::list).post(officers::add))
        .route("/v1/officers/{verb}", post(officers::verb))
        .route(path::BLOBS, post(blobs::create))
        .route(path::VALIDATE, post(messages::validate))
        .route(path::MESSAGES, get(messages::list).post(messages::create))
        .route("/v1/messages/{name}", get(messages::show).patch(messages::edit).post(messages::verb))
        .route("/v1/messages/{name}/timeline", get(evidence::timeline))
        .route("/v1/messages/{name}/evidence", get(evidence::evidence))
        .route("/v1/messages/{name}/hub-view", get(evidence::hub_view))
        .route("/v1/messages/{name}/parts/{part}", get(parts::part))
        .route("/v1/messages/{name}/tasks/{task}/{contribution}/parts/{part}", get(parts::contribution_part))
        .route(path::INBOX, get(inbox::list))
        .route("/v1/inbox/{verb}", post(inbox::verb))
        .route(path::OUTBOX, get(outbox::list))
        .route(path::RELEASE, get(release::list))
        .route("/v1/release/{name}", get(release::show).post(release::verb))
        .route(path::HOLDS, get(holds::list).post(holds::set))
        .route("/v1/holds/{scope}", delete(holds::lift))
        .route(path::DIRECTORY, get(directory::list))
        .route("/v1/directory/{verb}", post(directory::verb))
        .route(path::EVENTS, get(events::list))
        .route(path::PING, post(ping::ping))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&node), end_with_the_store))
        .with_state(node)
}

async fn unknown(request: Request) -> Failed {
    let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
    ErrorCode::EndpointUnknown.with("method", method).with("path", path).into()
}

async fn wrong_method(request: Request) -> Failed {
    let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
    ErrorCode::MethodNotAllowed.with("method", method).with("path", path).into()
}

/// Marks an answer whose cause is the store.
#[derive(Debug, Clone)]
struct StoreFailed(Fault);

/// A store that cannot be read ends the daemon, whoever met it first.
async fn end_with_the_store(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    if let Some(StoreFailed(fault)) = answer.extensions().get::<StoreFailed>() {
        node.stop_because(fault.clone());
    }
    answer
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let fault = self.fault();
        let status = StatusCode::from_u16(fault.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = serde_json::to_vec(&Problem::from(fault)).unwrap_or_default();
        let mut answer = (status, [(header::CONTENT_TYPE, PROBLEM_MEDIA_TYPE)], problem).into_response();
        if let Self::Store(fault) = self {
            answer.extensions_mut().insert(StoreFailed(*fault));
        }
        answer
    }
}
