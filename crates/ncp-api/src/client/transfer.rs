//! Files: uploads and downloads in pieces, with progress. Memory does not grow with the file.
//!
//! A file is read twice: once for the digest that the officer signs, once to send it. If it differs the second time the
//! upload ends with [`ErrorCode::AttachmentChanged`] and nothing refers to what was sent.

use std::io;
use std::path::Path;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::{Method, Response};
use ncp_protocol::ids::Digest;
use ncp_protocol::keys::Sha256Hasher;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Client, ClientError, read_all, read_json, read_problem, unreadable};
use crate::message::BlobCreated;
use crate::officer::BODY_SHA256_HEADER;
use crate::path;
use crate::pieces::{PieceSender, Pieces};
use crate::registry::ErrorCode;

/// Bytes read from a file at once.
const PIECE: usize = 64 << 10;

/// How far a transfer is, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes moved so far.
    pub done: u64,
    /// All bytes.
    pub total: u64,
}

/// Length and digest of a file, as it was when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Measure {
    length: u64,
    sha256: Digest,
}

impl Client {
    /// Uploads a file.
    ///
    /// # Errors
    /// [`ClientError`]; [`ErrorCode::AttachmentMissing`] if the file cannot be opened, [`ErrorCode::AttachmentChanged`] if
    /// it changes while it is read.
    pub async fn upload(
        &self,
        file: &Path,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<BlobCreated, ClientError> {
        let mut opened = open_plain(file).await?;
        let measure = measure(&mut opened).await.map_err(|error| changed(file, &error))?;
        opened.rewind().await.map_err(|error| changed(file, &error))?;

        let mut headers = self.headers(&Method::POST, path::BLOBS, &measure.sha256, None);
        headers.push((BODY_SHA256_HEADER, measure.sha256.to_string()));
        headers.push((CONTENT_TYPE_NAME, "application/octet-stream".to_owned()));
        headers.push((CONTENT_LENGTH_NAME, measure.length.to_string()));
        let (pieces, body) = Pieces::new(measure.length);
        let body = body.boxed_unsync();

        let exchange = async {
            let answer = self.exchange(Method::POST, path::BLOBS, headers, body).await?;
            read_json::<BlobCreated>(answer).await
        };
        let feeding = feed(&mut opened, measure, pieces, &mut progress);
        let (answer, fed) = tokio::join!(exchange, feeding);
        // A file that changed breaks the upload: its own error says more than the broken connection.
        match fed {
            Err(FeedError::Changed(reason)) => Err(changed(file, &reason)),
            Ok(()) | Err(FeedError::Refused) => answer,
        }
    }

    /// Downloads what is at `path` into `out` and returns the SHA-256 of what came.
    ///
    /// # Errors
    /// [`ClientError`]; [`ErrorCode::FileUnusable`] if `out` cannot be written.
    pub async fn download(
        &self,
        path: &str,
        out: &mut (impl AsyncWrite + Unpin),
        mut progress: impl FnMut(Progress),
    ) -> Result<Digest, ClientError> {
        let headers = self.headers(&Method::GET, path, &ncp_protocol::keys::sha256(b""), None);
        let exchange = self.exchange(Method::GET, path, headers, super::json_body(Bytes::new()));
        let answer = tokio::time::timeout(self.timeout, exchange).await.map_err(|_| self.timed_out())??;
        let status = answer.status();
        if !status.is_success() {
            return Err(read_problem(status.as_u16(), &read_all(answer).await?));
        }
        self.copy(answer, out, &mut progress).await
    }

    async fn copy(
        &self,
        answer: Response<Incoming>,
        out: &mut (impl AsyncWrite + Unpin),
        progress: &mut impl FnMut(Progress),
    ) -> Result<Digest, ClientError> {
        let mut body = answer.into_body();
        let total = body.size_hint().exact().unwrap_or(0);
        let (mut hasher, mut done) = (Sha256Hasher::default(), 0_u64);
        loop {
            // The limit is for one piece: a slow transfer goes on, one that stands still does not.
            let frame = tokio::time::timeout(self.timeout, body.frame()).await.map_err(|_| self.timed_out())?;
            let Some(frame) = frame else { break };
            let Ok(piece) = frame.map_err(|error| unreadable(&error))?.into_data() else { continue };
            out.write_all(&piece).await.map_err(unwritable)?;
            hasher.update(&piece);
            done += piece.len() as u64;
            progress(Progress { done, total: total.max(done) });
        }
        out.flush().await.map_err(unwritable)?;
        Ok(hasher.finish())
    }
}

const CONTENT_TYPE_NAME: &str = "content-type";
const CONTENT_LENGTH_NAME: &str = "content-length";

fn unwritable(error: io::Error) -> ClientError {
    ErrorCode::FileUnusable.with("file", "the output").with("reason", error).into()
}

fn changed(file: &Path, reason: &dyn core::fmt::Display) -> ClientError {
    ErrorCode::AttachmentChanged.with("file", file.display()).with("reason", reason).into()
}

/// Opens a file that is one: not a folder, socket or pipe.
async fn open_plain(file: &Path) -> Result<File, ClientError> {
    let missing = |reason: &dyn core::fmt::Display| {
        ClientError::from(ErrorCode::AttachmentMissing.with("file", file.display()).with("reason", reason))
    };
    // Looked at before it is opened: opening a pipe would wait for its other end.
    let kind = tokio::fs::metadata(file).await.map_err(|error| missing(&error))?;
    if !kind.is_file() {
        return Err(missing(&"not a plain file"));
    }
    File::open(file).await.map_err(|error| missing(&error))
}

async fn measure(file: &mut File) -> io::Result<Measure> {
    let (mut hasher, mut length) = (Sha256Hasher::default(), 0_u64);
    let mut buffer = vec![0; PIECE];
    loop {
        let read = file.read(&mut buffer).await?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        hasher.update(piece);
        length += piece.len() as u64;
    }
    Ok(Measure { length, sha256: hasher.finish() })
}

/// Why not all of a file was sent.
enum FeedError {
    /// The file is no longer what it was.
    Changed(String),
    /// The daemon stopped reading; its answer says why.
    Refused,
}

/// Reads the file again and sends it. The last piece leaves only when the whole is what was measured: so the daemon never
/// has a complete upload of a file that changed.
async fn feed(
    file: &mut File,
    measure: Measure,
    pieces: PieceSender,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<(), FeedError> {
    let changed = |reason: &str| FeedError::Changed(reason.to_owned());
    let (mut hasher, mut done) = (Sha256Hasher::default(), 0_u64);
    while done < measure.length {
        let mut piece = vec![0; usize::try_from(measure.length - done).unwrap_or(PIECE).min(PIECE)];
        if let Err(error) = file.read_exact(&mut piece).await {
            break_off(&pieces).await;
            return Err(FeedError::Changed(error.to_string()));
        }
        hasher.update(&piece);
        done += piece.len() as u64;
        if done == measure.length && (hasher.clone().finish() != measure.sha256 || longer(file).await) {
            break_off(&pieces).await;
            return Err(changed("other bytes than at the first reading"));
        }
        pieces.send(Ok(Bytes::from(piece))).await.map_err(|_| FeedError::Refused)?;
        progress(Progress { done, total: measure.length });
    }
    Ok(())
}

async fn longer(file: &mut File) -> bool {
    !matches!(file.read(&mut [0]).await, Ok(0))
}

async fn break_off(pieces: &PieceSender) {
    // If nobody reads any more the upload is broken off already.
    let _ = pieces.send(Err(io::Error::other("the file changed"))).await;
}
