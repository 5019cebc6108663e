//! The client against a server of its own on a real socket.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;

use super::*;
use crate::message::MessageName;
use crate::officer::{BODY_SHA256_HEADER, Received};

/// What the server saw of one request.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    path: String,
    headers: hyper::HeaderMap,
    body: Vec<u8>,
    complete: bool,
}

struct Server {
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(status: u16, answer: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let listener = UnixListener::bind(folder.path().join("api.sock")).expect("socket");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), answer.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), answer.clone());
                let service = service_fn(move |request| serve(request, Arc::clone(&log), status, answer.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { folder, seen }
    }

    fn client(&self) -> Client {
        Client::new(self.folder.path().join("api.sock"))
    }

    fn last(&self) -> Seen {
        self.seen.lock().expect("lock").last().expect("a request").clone()
    }
}

async fn serve(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Seen>>>,
    status: u16,
    answer: String,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    let complete = loop {
        match body.frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
        }
    };
    let (method, path) = (head.method.to_string(), head.uri.to_string());
    log.lock().expect("lock").push(Seen { method, path, headers: head.headers, body: bytes, complete });
    Ok(Response::builder().status(status).body(Full::from(answer)).expect("answer"))
}

fn officer() -> OfficerIdentity {
    OfficerIdentity {
        network: NetworkId(Digest([7; 32])),
        participant: "XA".parse().expect("id"),
        officer: OfficerNumber(12),
        key: SigningKey::from_seed(&[3; 32]),
        fresh: || Fresh { time: UnixMillis(1_000), idempotency_key: "fresh-1".to_owned() },
    }
}

fn check_signature(seen: &Seen, body: Digest) {
    let headers = OfficerHeaders::read(|name| seen.headers.get(name).and_then(|value| value.to_str().ok()));
    let received = Received {
        network: officer().network,
        participant: officer().participant,
        method: &seen.method,
        path: &seen.path,
        body_sha256: body,
    };
    assert_eq!(headers.expect("signed").verify(received, &officer().key.verifying_key()), Ok(()));
}

#[tokio::test]
async fn requests_are_signed_over_what_the_server_receives() {
    let server = Server::start(200, "null");
    let client = server.client().with_officer(officer());
    let () = client.post("/v1/x?y=1", &serde_json::json!({"a": 1}), Some("key-9")).await.expect("answered");
    let seen = server.last();
    assert_eq!(seen.headers.get(IDEMPOTENCY_KEY_HEADER).map(|value| value.as_bytes()), Some(b"key-9".as_slice()));
    check_signature(&seen, sha256(&seen.body));
    let () = client.get("/v1/y").await.expect("answered");
    check_signature(&server.last(), sha256(b""));
}

#[tokio::test]
async fn a_problem_comes_back_with_its_arguments() {
    let fault = ErrorCode::DrafterCannotRelease.with("count", 2);
    let server = Server::start(403, &serde_json::to_string(&Problem::from(&fault)).expect("json"));
    let name: MessageName = "XA-2026-000417".parse().expect("reference");
    let error = server.client().message(&name).await.expect_err("a problem");
    assert_eq!(server.last().path, "/v1/messages/XA-2026-000417");
    assert!(error.is(ErrorCode::DrafterCannotRelease));
    assert_eq!(error.exit(), Exit::Denied);
    assert_eq!(error.to_string(), fault.to_string());
}

#[tokio::test]
async fn an_answer_that_is_no_problem_is_unreadable() {
    let server = Server::start(500, "<html>");
    let error = server.client().health().await.expect_err("no problem");
    assert!(error.is(ErrorCode::DaemonAnswerUnreadable), "{error}");
    assert!(error.to_string().contains("status 500"), "{error}");
}

#[tokio::test]
async fn a_missing_daemon_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let error = Client::new(folder.path().join("none.sock")).health().await.expect_err("nobody there");
    assert!(error.is(ErrorCode::DaemonUnreachable));
    assert_eq!(error.exit(), Exit::Unavailable);
    // A socket file whose owner is gone.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("old.sock")).expect("socket"));
    let error = Client::new(folder.path().join("old.sock")).health().await.expect_err("nobody there");
    assert!(error.to_string().contains("nothing listens there"), "{error}");
}

#[tokio::test]
async fn a_silent_daemon_is_given_up() {
    let folder = tempfile::tempdir().expect("folder");
    let _listener = UnixListener::bind(folder.path().join("api.sock")).expect("socket");
    let client = Client::new(folder.path().join("api.sock")).with_timeout(Duration::from_millis(20));
    assert!(client.health().await.expect_err("silent").is(ErrorCode::DaemonTimeout));
}

fn file_of(length: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap_or_default()).collect();
    file.write_all(&bytes).expect("written");
    file
}

const BLOB: &str =
    r#"{"id":"b1","length":0,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}"#;

#[tokio::test]
async fn uploads_arrive_whole_and_signed() {
    let server = Server::start(201, BLOB);
    let client = server.client().with_officer(officer());
    for length in [0, 1, PIECE_LEN, PIECE_LEN + 1, 5 * PIECE_LEN] {
        let file = file_of(length);
        let mut last = 0;
        client.upload(file.path(), |progress| last = progress.done).await.expect("uploaded");
        let seen = server.last();
        assert_eq!(seen.body.len(), length);
        assert_eq!(last, length as u64);
        let digest = sha256(&seen.body);
        check_signature(&seen, digest);
        let announced = seen.headers.get(BODY_SHA256_HEADER).and_then(|value| value.to_str().ok());
        assert_eq!(announced, Some(digest.to_string().as_str()));
    }
}

const PIECE_LEN: usize = 64 << 10;

/// The file is cut as soon as the first piece left, so that the rest cannot be read.
#[tokio::test]
async fn a_file_that_shrinks_while_being_sent_is_an_error() {
    let server = Server::start(201, BLOB);
    let file = file_of(20 * PIECE_LEN);
    let handle = file.reopen().expect("handle");
    let result = server.client().upload(file.path(), |_| handle.set_len(10).expect("cut")).await;
    assert!(result.expect_err("changed").is(ErrorCode::AttachmentChanged));
    assert!(!server.seen.lock().expect("lock").iter().any(|seen| seen.complete), "an upload was completed");
}

#[tokio::test]
async fn a_file_that_changes_while_being_sent_is_an_error() {
    let server = Server::start(201, BLOB);
    let file = file_of(20 * PIECE_LEN);
    let mut handle = std::fs::OpenOptions::new().append(true).open(file.path()).expect("handle");
    let result = server.client().upload(file.path(), |_| handle.write_all(b"more").expect("longer")).await;
    assert!(result.expect_err("changed").is(ErrorCode::AttachmentChanged));
    assert!(!server.seen.lock().expect("lock").iter().any(|seen| seen.complete), "an upload was completed");
}

#[tokio::test]
async fn folders_and_missing_files_are_not_uploaded() {
    let server = Server::start(201, BLOB);
    for path in
        [server.folder.path().to_owned(), server.folder.path().join("none"), server.folder.path().join("api.sock")]
    {
        let error = server.client().upload(&path, |_| ()).await.expect_err("no file");
        assert!(error.is(ErrorCode::AttachmentMissing), "{error}");
        assert_eq!(error.exit(), Exit::NotFound);
    }
}

#[tokio::test]
async fn downloads_arrive_whole() {
    let text = "x".repeat(3 * PIECE_LEN);
    let server = Server::start(200, &text);
    let mut out = Vec::new();
    let digest = server.client().download("/v1/part", &mut out, |_| ()).await.expect("downloaded");
    assert_eq!(digest, sha256(text.as_bytes()));
    assert_eq!(out, text.as_bytes());
}
