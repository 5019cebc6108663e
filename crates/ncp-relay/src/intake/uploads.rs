//! Bodies on their way in. A body of one chunk stays in memory until its envelope is decided; a larger one is an upload of
//! the store, which syncs, resumes and verifies it.

use std::sync::Arc;

use ncp_protocol::body::{root_of_one, sealed_range};
use ncp_protocol::frame::{BodyChunk, BodyWanted};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, MessageId, ParticipantId};
use ncp_protocol::reject::RejectCode;
use ncp_store::bodies::{Begun, Expect, Start, Upload, UploadError, UploadRequest};
use ncp_store::disk::{RealDisk, is_full};

use crate::core::command::BodySource;
use crate::core::query;
use crate::hub::{Hub, Stopping};
use crate::limits::BODY_INLINE_MAX;
use crate::link::Link;
use crate::verify::Verified;

/// A body on its way in, with the envelopes that wait for it.
pub(super) struct Pending {
    originator: ParticipantId,
    message: MessageId,
    root: Digest,
    length: u64,
    drops: u32,
    next: u64,
    sink: Sink,
    waiting: Vec<Arc<Verified>>,
}

enum Sink {
    Memory(Vec<u8>),
    Store(Box<Upload<RealDisk>>),
    /// Handed to a thread that writes; there again before anyone looks.
    Away,
}

/// How an upload begins.
pub(super) enum Begin {
    /// Chunks are to come.
    Wanted(Pending),
    /// The body is there: an earlier link brought it, and nothing was decided about it yet.
    Complete,
    /// It may not come now.
    Refused(RejectCode),
}

/// What became of a chunk.
pub(super) enum Chunk {
    /// Written; more are to come.
    Taken,
    /// Written; it was the last.
    Last,
    /// Not the one that was due.
    OutOfOrder,
    /// The upload cannot go on.
    Refused(RejectCode),
}

/// Begins, or resumes, the upload of a body that a decision wants.
pub(super) async fn begin(link: &Link, verified: Arc<Verified>, drops: u32) -> Result<Begin, Stopping> {
    let Header { message, ciphertext_root: root, body_length: length, .. } = verified.header;
    let hub = &link.hub;
    if !has_room(hub, length) {
        return Ok(Begin::Refused(RejectCode::StoreFull));
    }
    let (originator, waiting) = (link.peer, vec![verified]);
    if length <= BODY_INLINE_MAX {
        let sink = Sink::Memory(Vec::new());
        return Ok(Begin::Wanted(Pending { originator, message, root, length, drops, next: 0, sink, waiting }));
    }
    let used = hub.look(|view| query::peer_row(view, originator))?.submitted.bytes;
    let request = UploadRequest {
        peer: originator,
        originator,
        message,
        expect: Expect::Root { root, length },
        start: Start::Resume,
        now: hub.now(),
        quota: hub.config.quotas.originator_bytes.saturating_sub(used),
    };
    let begun = hub.read(move |reader| Ok::<_, core::convert::Infallible>(reader.uploads().upload(&request))).await?;
    Ok(match begun {
        Ok(Begun::Complete(_)) => Begin::Complete,
        Ok(Begun::Upload(upload)) => {
            let next = upload.next_chunk();
            let sink = Sink::Store(upload);
            Begin::Wanted(Pending { originator, message, root, length, drops, next, sink, waiting })
        }
        Err(error) => Begin::Refused(upload_code(hub, &error)?),
    })
}

impl Pending {
    /// Whether a header names this body.
    pub(super) fn is_of(&self, header: &Header) -> bool {
        (self.root, self.length) == (header.ciphertext_root, header.body_length)
    }

    /// One more envelope waits for it.
    pub(super) fn add(&mut self, verified: Arc<Verified>, drops: u32) {
        self.drops = self.drops.max(drops);
        self.waiting.push(verified);
    }

    /// Those that wait for it and are for `recipient`; they wait no more.
    pub(super) fn take_waiting(&mut self, recipient: ParticipantId) -> Vec<Arc<Verified>> {
        self.waiting.extract_if(.., |verified| verified.header.recipient == recipient).collect()
    }

    /// Whether any envelope still waits for it.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What the peer is asked.
    pub(super) fn wanted(&self) -> BodyWanted {
        BodyWanted { originator: self.originator, message: self.message, root: self.root, from_chunk: self.next }
    }

    /// Takes a chunk.
    pub(super) async fn take(&mut self, hub: &Hub, chunk: BodyChunk) -> Result<Chunk, Stopping> {
        if chunk.index != self.next {
            return Ok(Chunk::OutOfOrder);
        }
        let Some(range) = sealed_range(chunk.index, self.length) else { return Ok(Chunk::OutOfOrder) };
        if chunk.bytes.len() as u64 != range.end - range.start {
            return Ok(Chunk::Refused(RejectCode::BodyLengthMismatch));
        }
        let is_last = range.end == self.length;
        if let Err(error) = self.write(hub, chunk.bytes).await? {
            return Ok(Chunk::Refused(upload_code(hub, &error)?));
        }
        self.next += 1;
        Ok(if is_last { Chunk::Last } else { Chunk::Taken })
    }

    async fn write(&mut self, hub: &Hub, bytes: Vec<u8>) -> Result<Result<(), UploadError>, Stopping> {
        match core::mem::replace(&mut self.sink, Sink::Away) {
            Sink::Memory(mut body) => {
                body.extend_from_slice(&bytes);
                self.sink = Sink::Memory(body);
                Ok(Ok(()))
            }
            Sink::Store(mut upload) => {
                let (upload, written) = blocking(hub, move || {
                    let written = upload.append(&bytes);
                    (upload, written)
                })
                .await?;
                self.sink = Sink::Store(upload);
                Ok(written)
            }
            Sink::Away => Ok(Err(UploadError::Stopped)),
        }
    }

    /// Verifies the whole body. Returns what waits for it with where it is now, or with why it is none.
    pub(super) async fn finish(
        self,
        link: &Link,
    ) -> Result<Result<(Vec<Arc<Verified>>, BodySource), (Vec<Arc<Verified>>, RejectCode)>, Stopping> {
        let Self { root, sink, waiting, drops, .. } = self;
        let hub = &link.hub;
        let source = match sink {
            Sink::Memory(body) => {
                let body: Arc<[u8]> = Arc::from(body);
                let checked = Arc::clone(&body);
                let found = link.work(move || root_of_one(&checked)).await?;
                if found == root { Ok(BodySource::Inline(body)) } else { Err(RejectCode::BodyRootMismatch) }
            }
            Sink::Store(upload) => match blocking(hub, move || upload.finish()).await? {
                Ok(_) => Ok(BodySource::Uploaded { drops }),
                Err(error) => Err(upload_code(hub, &error)?),
            },
            Sink::Away => Err(RejectCode::BodyMissing),
        };
        Ok(match source {
            Ok(source) => Ok((waiting, source)),
            Err(code) => Err((waiting, code)),
        })
    }

    /// Throws away what came, and returns what waits for it.
    pub(super) async fn abandon(self, hub: &Hub) -> Result<Vec<Arc<Verified>>, Stopping> {
        if let Sink::Store(upload) = self.sink {
            let abandoned = blocking(hub, move || upload.abandon()).await?;
            abandoned.or_else(|error| upload_code(hub, &error).map(|_| ()))?;
        }
        Ok(self.waiting)
    }

    /// Syncs what came, so that the next link goes on from there.
    pub(super) async fn pause(self, hub: &Hub) -> Result<(), Stopping> {
        if let Sink::Store(upload) = self.sink {
            let paused = blocking(hub, move || upload.pause()).await?;
            paused.or_else(|error| upload_code(hub, &error).map(|_| ()))?;
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(hub: &Hub, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopping> {
    tokio::task::spawn_blocking(job).await.map_err(|panic| hub.fail(&panic))
}

/// What a peer is told. A disk that fails ends the daemon: it must not go on as if nothing had happened.
fn upload_code(hub: &Hub, error: &UploadError) -> Result<RejectCode, Stopping> {
    match error {
        UploadError::Io(error) if is_full(error) => Ok(RejectCode::StoreFull),
        UploadError::Io(error) | UploadError::Names(error) => Err(hub.fail(error)),
        UploadError::Quota => Ok(RejectCode::QuotaExceeded),
        // An older link of the same peer lets go of it in a moment.
        UploadError::Busy | UploadError::Stopped => Ok(RejectCode::BodyMissing),
        UploadError::Length => Ok(RejectCode::BodyLengthMismatch),
        UploadError::Root => Ok(RejectCode::BodyRootMismatch),
    }
}

/// Whether a body of this length may come, as far as the disk is concerned.
pub(super) fn has_room(hub: &Hub, length: u64) -> bool {
    free_space(hub).is_none_or(|free| free >= hub.config.free_min_bytes.saturating_add(length))
}

/// Free bytes of the data folder's file system, if the system says.
pub(crate) fn free_space(hub: &Hub) -> Option<u64> {
    let found = rustix::fs::statvfs(&hub.config.data_dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
