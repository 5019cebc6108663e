//! One request and the head of its answer, over a connection of its own.

use std::io;
use std::path::Path;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{CONTENT_TYPE, Client, ClientError, JSON, unreadable};
use crate::registry::{ErrorCode, Fault};

/// The body of a request: a value in memory, or a stream.
pub(super) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

impl Client {
    /// Sends a request and waits for the head of the answer; its body follows as it is read.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: Vec<(&'static str, String)>,
        body: RequestBody,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&self.socket, &error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        // Ends with the connection, which ends when the answer was read or dropped.
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        if headers.iter().all(|(name, _)| *name != CONTENT_TYPE.as_str()) {
            request = request.header(CONTENT_TYPE, JSON);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|error| unreadable(&error))?;
        sender.send_request(request).await.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &hyper::Error) -> ClientError {
        let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        at_socket(ErrorCode::DaemonUnreachable, &self.socket, &cause).into()
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> ClientError {
    let (code, reason) = if error.kind() == io::ErrorKind::PermissionDenied {
        (ErrorCode::DaemonForbidden, "permission denied".to_owned())
    } else if error.kind() == io::ErrorKind::NotFound {
        (ErrorCode::DaemonUnreachable, "there is no such socket".to_owned())
    } else if error.kind() == io::ErrorKind::ConnectionRefused {
        (ErrorCode::DaemonUnreachable, "nothing listens there".to_owned())
    } else {
        (ErrorCode::DaemonUnreachable, error.to_string())
    };
    at_socket(code, socket, &reason).into()
}

/// The fault with the socket and, for the hint, the unit that by convention owns its folder.
fn at_socket(code: ErrorCode, socket: &Path, reason: &str) -> Fault {
    let folder = socket.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let unit = folder.filter(|name| name.starts_with("ncp-")).unwrap_or_else(|| "ncp-node".to_owned());
    code.with("socket", socket.display()).with("reason", reason).with("unit", unit)
}
