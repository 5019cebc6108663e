//! Client of the local API over a Unix socket: one connection for each request, no pool, no retries.
//!
//! Every error is one of the registry or the daemon's own problem. A request that got no answer may have been carried
//! out: whoever repeats it sends the same idempotency key. Signed requests need a key, a clock and chance, which come as
//! values in [`OfficerIdentity`].

mod endpoints;
mod exchange;
mod transfer;

#[cfg(test)]
mod tests;

use core::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Response, header};
use ncp_protocol::approval::OfficerRequest;
use ncp_protocol::ids::{Digest, NetworkId, OfficerNumber, ParticipantId, UnixMillis};
use ncp_protocol::keys::{SigningKey, sha256};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::officer::{IDEMPOTENCY_KEY_HEADER, OfficerHeaders};
use crate::problem::Problem;
use crate::registry::{ErrorCode, Exit, Fault};
pub use endpoints::PageQuery;
use exchange::RequestBody;
pub use transfer::Progress;

/// Longest JSON answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// How long an answer may take unless the caller says otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Time and chance for one signed request.
#[derive(Debug, Clone)]
pub struct Fresh {
    /// Now.
    pub time: UnixMillis,
    /// A value that was never used, such as 16 random bytes in hexadecimal.
    pub idempotency_key: String,
}

/// In whose name requests are signed.
#[derive(Debug, Clone)]
pub struct OfficerIdentity {
    /// The daemon's network.
    pub network: NetworkId,
    /// The daemon's participant.
    pub participant: ParticipantId,
    /// The officer's number.
    pub officer: OfficerNumber,
    /// The officer's private key.
    pub key: SigningKey,
    /// Where time and chance come from.
    pub fresh: fn() -> Fresh,
}

/// What went wrong: here, or at the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientError {
    /// On this side: the daemon cannot be reached or understood, a local file cannot be used.
    Local(Box<Fault>),
    /// The daemon answered with a problem.
    Answered(Box<Problem>),
}

impl ClientError {
    /// How a process ends because of it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Local(fault) => fault.exit(),
            Self::Answered(problem) => problem.exit(),
        }
    }

    /// Whether it is this error.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        match self {
            Self::Local(fault) => fault.code == code,
            Self::Answered(problem) => problem.code.parse() == Ok(code),
        }
    }

    /// The problem, as `--json` prints it.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Local(fault) => Problem::from(&**fault),
            Self::Answered(problem) => (**problem).clone(),
        }
    }
}

impl fmt::Display for ClientError {
    /// Three lines; for a code that this program does not know, the daemon's own sentences.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(fault) => fault.fmt(f),
            Self::Answered(problem) => match problem.fault() {
                Some(fault) => fault.fmt(f),
                None => {
                    writeln!(f, "error[{}]: {}", plain(&problem.code), plain(&problem.title))?;
                    writeln!(f, "  cause: {}", plain(&problem.detail))?;
                    write!(f, "  try:   {}", plain(&problem.remedy))
                }
            },
        }
    }
}

impl std::error::Error for ClientError {}

impl From<Fault> for ClientError {
    fn from(fault: Fault) -> Self {
        Self::Local(Box::new(fault))
    }
}

/// Text of another program without its control characters.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    officer: Option<OfficerIdentity>,
    timeout: Duration,
}

impl Client {
    /// A client of the daemon at this socket. Nothing is opened yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), officer: None, timeout: TIMEOUT_DEFAULT }
    }

    /// The same, signing each request in this officer's name.
    #[must_use]
    pub fn with_officer(mut self, officer: OfficerIdentity) -> Self {
        self.officer = Some(officer);
        self
    }

    /// The same, waiting this long for an answer. A transfer may take longer, as long as it moves.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where the daemon listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// In whose name requests are signed.
    #[must_use]
    pub fn officer(&self) -> Option<&OfficerIdentity> {
        self.officer.as_ref()
    }

    /// Asks for a value.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new(), None).await
    }

    /// Sends a value and reads the answer. `key` is the idempotency key; without one a fresh one is used.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        key: Option<&str>,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, to_json(body)?, key).await
    }

    /// Replaces a value.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn patch<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        key: Option<&str>,
    ) -> Result<T, ClientError> {
        self.call(Method::PATCH, path, to_json(body)?, key).await
    }

    /// Removes a value.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::DELETE, path, Bytes::new(), None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        key: Option<&str>,
    ) -> Result<T, ClientError> {
        let headers = self.headers(&method, path, &sha256(&body), key);
        let exchange = async {
            let answer = self.exchange(method, path, headers, json_body(body)).await?;
            read_json(answer).await
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out()),
        }
    }

    /// The headers that name the officer, or only the idempotency key where the caller gave one.
    fn headers(&self, method: &Method, path: &str, body: &Digest, key: Option<&str>) -> Vec<(&'static str, String)> {
        let Some(identity) = &self.officer else {
            return key.map(|key| (IDEMPOTENCY_KEY_HEADER, key.to_owned())).into_iter().collect();
        };
        let fresh = (identity.fresh)();
        let request = OfficerRequest {
            network: identity.network,
            participant: identity.participant,
            officer: identity.officer,
            method: method.as_str().to_owned(),
            path: path.to_owned(),
            idempotency_key: key.map_or(fresh.idempotency_key, ToOwned::to_owned),
            time: fresh.time,
            body_sha256: *body,
        };
        OfficerHeaders::sign(&request, &identity.key).to_headers().into()
    }

    fn timed_out(&self) -> ClientError {
        ErrorCode::DaemonTimeout.with("seconds", self.timeout.as_secs()).into()
    }
}

fn to_json<B: Serialize>(body: &B) -> Result<Bytes, ClientError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|error| ErrorCode::InternalFault.with("reason", error).into())
}

fn json_body(body: Bytes) -> RequestBody {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// Reads an answer as JSON, or as the problem that its status announces.
async fn read_json<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ClientError> {
    let status = answer.status();
    let bytes = read_all(answer).await?;
    if status.is_success() {
        // An answer without body stands for `null`: it reads as `()`.
        let bytes = if bytes.is_empty() { b"null".as_slice() } else { &bytes };
        return serde_json::from_slice(bytes).map_err(|error| unreadable(&error));
    }
    Err(read_problem(status.as_u16(), &bytes))
}

async fn read_all(answer: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| unreadable(&error))
}

fn read_problem(status: u16, bytes: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(bytes) {
        Ok(problem) => ClientError::Answered(Box::new(problem)),
        Err(_) => unreadable(&format_args!("status {status} without a problem")),
    }
}

fn unreadable(reason: &dyn fmt::Display) -> ClientError {
    ErrorCode::DaemonAnswerUnreadable.with("reason", reason).into()
}

const JSON: &str = "application/json";
const CONTENT_TYPE: header::HeaderName = header::CONTENT_TYPE;
