//! The sealed body of a delivery: found on the disk, or fetched chunk by chunk and resumed after a cut.
//!
//! A body of one chunk stays in memory until the core has it as a record; a larger one grows in the store's `incoming`
//! folder, is verified against the root that the header names, and is a file before anything of it is opened.

use std::sync::Arc;

use ncp_protocol::body::root_of_one;
use ncp_protocol::frame::BodyChunk;
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, ParticipantId};
use ncp_protocol::limits::CHUNK_SEALED;
use ncp_protocol::reject::RejectCode;
use ncp_store::bodies::{Begun, BodyReader, Expect, Start, Upload, UploadError, UploadRequest};
use ncp_store::disk::{Disk, RealDisk, is_full};
use ncp_store::reader::{ReadError, unless_lost};
use ncp_store::spool::BodyName;
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::link::limits::{CHUNK_PATIENCE, CHUNKS_OF_OTHERS_MAX, INCOMING_MAX, WINDOW};
use crate::node::Node;
use crate::space;

/// A body that is whole.
pub enum Body<D: Disk = RealDisk> {
    /// One chunk, not on the disk yet.
    Inline(Vec<u8>),
    /// On the disk.
    Stored(BodyReader<D>),
}

/// Why a body is not here.
#[derive(Debug, Error)]
pub(super) enum Unfetched {
    /// The link ended; what came is kept as far as it is synced.
    #[error("the link ended")]
    LinkEnded,
    /// A chunk of another length than the header says.
    #[error("the hub sent chunks of another length than the header says")]
    Chunks,
    /// The chunks do not have the root that the header names.
    #[error("the hub sent a body that is not the one that the header names")]
    Root,
    /// No chunk of any body came for a long time: the hub may have nothing to send any more.
    #[error("the hub sends no chunk")]
    Silent,
    /// The disk is nearly full: what room is left is for evidence.
    #[error("the disk is nearly full")]
    NoRoom,
    /// The store takes no more, or the same body comes from elsewhere.
    #[error("the store does not take it: {0}")]
    Upload(UploadError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Unfetched {
    /// What the hub is told, which keeps the envelope and delivers it again.
    pub(super) fn code(&self) -> RejectCode {
        match self {
            Self::Chunks => RejectCode::ChunkOutOfOrder,
            Self::Root => RejectCode::BodyRootMismatch,
            Self::NoRoom => RejectCode::StoreFull,
            Self::Upload(UploadError::Quota) => RejectCode::QuotaExceeded,
            Self::LinkEnded | Self::Silent | Self::Upload(_) | Self::Read(_) => RejectCode::BodyMissing,
        }
    }
}

impl From<UploadError> for Unfetched {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Io(error) if is_full(&error) => Self::NoRoom,
            UploadError::Io(error) | UploadError::Names(error) => Self::Read(error.into()),
            UploadError::Length => Self::Chunks,
            UploadError::Root => Self::Root,
            UploadError::Busy | UploadError::Quota | UploadError::Stopped => Self::Upload(error),
        }
    }
}

/// What the disk has of a body.
pub(super) enum Found {
    /// All of it.
    Here(Body),
    /// Not all: chunks are wanted.
    Wanted(Inflow),
}

/// A body on its way in.
pub(super) enum Inflow {
    /// One chunk of this length and root.
    Inline { length: usize, root: Digest },
    /// An upload of the store.
    Upload { upload: Box<Upload<RealDisk>>, name: BodyName, length: u64 },
}

/// Looks for the body on the disk. Blocks.
pub(super) fn begin(node: &Node, header: &Header) -> Result<Found, Unfetched> {
    let name = BodyName { originator: header.originator, message: header.message, root: header.ciphertext_root };
    if header.body_length <= CHUNK_SEALED as u64 {
        let stored = unless_lost(node.reader().body(&name))?.filter(|body| body.len() == header.body_length);
        if stored.is_none() {
            room(node, header)?;
        }
        let length = usize::try_from(header.body_length).unwrap_or(CHUNK_SEALED);
        let wanted = Inflow::Inline { length, root: header.ciphertext_root };
        return Ok(stored.map_or(Found::Wanted(wanted), |body| Found::Here(Body::Stored(body))));
    }
    if unless_lost(node.reader().body(&name))?.is_none() {
        room(node, header)?;
    }
    let request = UploadRequest {
        peer: ParticipantId::HUB,
        originator: header.originator,
        message: header.message,
        expect: Expect::Root { root: header.ciphertext_root, length: header.body_length },
        start: Start::Resume,
        now: clock::now(),
        quota: INCOMING_MAX,
    };
    Ok(match node.reader().uploads().upload(&request)? {
        Begun::Complete(body) => Found::Here(Body::Stored(body)),
        Begun::Upload(upload) => Found::Wanted(Inflow::Upload { upload, name, length: header.body_length }),
    })
}

/// Refuses early what would use up the room that is kept for evidence; the hub keeps it and offers it again.
fn room(node: &Node, header: &Header) -> Result<(), Unfetched> {
    space::check(node, header.body_length).map_err(|_| Unfetched::NoRoom)
}

impl Inflow {
    /// The first chunk that is missing.
    pub(super) fn next_chunk(&self) -> u64 {
        match self {
            Self::Inline { .. } => 0,
            Self::Upload { upload, .. } => upload.next_chunk(),
        }
    }

    /// The body, if this chunk is all of it.
    pub(super) fn whole(&self, chunk: BodyChunk) -> Option<Body> {
        match self {
            Self::Inline { length, root } => inline(chunk, *length, root).ok(),
            Self::Upload { .. } => None,
        }
    }

    /// Takes chunks until the body is whole; `taken` is told of the bytes that are no longer held in memory.
    pub(super) async fn receive(
        self,
        node: &Arc<Node>,
        mut chunks: Chunks<impl Fn() -> Heard>,
        taken: impl Fn(u64),
    ) -> Result<Body, Unfetched> {
        let body = match self {
            Self::Inline { length, root } => match chunks.next().await {
                Ok(Some(chunk)) => {
                    taken(chunk.bytes.len() as u64);
                    inline(chunk, length, &root)
                }
                ended @ (Ok(None) | Err(_)) => Err(ended.err().unwrap_or(Unfetched::LinkEnded)),
            },
            Self::Upload { upload, name, length } => receive(node, *upload, (name, length), &mut chunks, &taken).await,
        };
        chunks.drain(taken);
        body
    }
}

/// What came of all bodies that are on their way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// When the last chunk came.
    pub(super) last: Instant,
    /// How many came.
    pub(super) chunks: u64,
    /// How many bodies there are.
    pub(super) bodies: usize,
}

/// As many chunks may come ahead of their deliveries as there may be deliveries on their way.
const AHEAD_MAX: u64 = WINDOW.envelopes as u64;

/// Chunks of one body as they come. On a slow line others may have their turn for long, but not more often than a hub lets them:
/// one that is recalled or lost there is passed over without a word.
pub(super) struct Chunks<H> {
    chunks: UnboundedReceiver<BodyChunk>,
    heard: H,
}

impl<H: Fn() -> Heard> Chunks<H> {
    pub(super) fn new(chunks: UnboundedReceiver<BodyChunk>, heard: H) -> Self {
        Self { chunks, heard }
    }

    /// The next chunk, `None` once the link has ended.
    async fn next(&mut self) -> Result<Option<BodyChunk>, Unfetched> {
        let before = (self.heard)().chunks;
        loop {
            if let Ok(chunk) = timeout(CHUNK_PATIENCE, self.chunks.recv()).await {
                return Ok(chunk);
            }
            let Heard { last, chunks, bodies } = (self.heard)();
            let of_others = chunks.saturating_sub(before);
            if last.elapsed() >= CHUNK_PATIENCE || of_others > AHEAD_MAX + CHUNKS_OF_OTHERS_MAX * bodies as u64 {
                return Err(Unfetched::Silent);
            }
        }
    }

    /// What came and was not taken is held no longer.
    fn drain(mut self, taken: impl Fn(u64)) {
        self.chunks.close();
        while let Ok(chunk) = self.chunks.try_recv() {
            taken(chunk.bytes.len() as u64);
        }
    }
}

fn inline(chunk: BodyChunk, length: usize, root: &Digest) -> Result<Body, Unfetched> {
    if chunk.index != 0 || chunk.bytes.len() != length {
        return Err(Unfetched::Chunks);
    }
    if root_of_one(&chunk.bytes) == *root { Ok(Body::Inline(chunk.bytes)) } else { Err(Unfetched::Root) }
}

async fn receive(
    node: &Arc<Node>,
    mut upload: Upload<RealDisk>,
    (name, length): (BodyName, u64),
    chunks: &mut Chunks<impl Fn() -> Heard>,
    taken: &impl Fn(u64),
) -> Result<Body, Unfetched> {
    while upload.length() < length {
        let chunk = match chunks.next().await {
            Ok(Some(chunk)) => chunk,
            // What came need not come again.
            ended @ (Ok(None) | Err(_)) => {
                node.blocking(move |_| upload.pause()).await?;
                return Err(ended.err().unwrap_or(Unfetched::LinkEnded));
            }
        };
        let (bytes, index) = (chunk.bytes.len() as u64, chunk.index);
        if index != upload.next_chunk() {
            // On its way since before this body was asked for again.
            taken(bytes);
            continue;
        }
        let (back, appended) = node
            .blocking(move |_| {
                let appended = upload.append(&chunk.bytes);
                (upload, appended)
            })
            .await;
        upload = back;
        taken(bytes);
        appended?;
    }
    let stored = node.blocking(move |node| -> Result<Option<BodyReader<RealDisk>>, Unfetched> {
        upload.finish()?;
        Ok(node.reader().body(&name)?)
    });
    stored.await?.map(Body::Stored).ok_or(Unfetched::Root)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn chunks(
        heard: impl Fn() -> Heard,
    ) -> (tokio::sync::mpsc::UnboundedSender<BodyChunk>, Chunks<impl Fn() -> Heard>) {
        let (sender, chunks) = unbounded_channel();
        (sender, Chunks::new(chunks, heard))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_waits_while_others_have_their_turn_and_no_longer() {
        let busy_until = Instant::now() + CHUNK_PATIENCE * 3;
        let (sender, mut chunks) = chunks(|| Heard { last: Instant::now().min(busy_until), chunks: 7, bodies: 2 });
        assert!(matches!(chunks.next().await, Err(Unfetched::Silent)));
        let patience = busy_until + CHUNK_PATIENCE;
        assert!((patience..patience + CHUNK_PATIENCE).contains(&Instant::now()));
        drop(sender);
        assert!(matches!(chunks.next().await, Ok(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_whose_turn_never_comes_is_given_up_while_others_flow() {
        let begun = Instant::now();
        // One chunk a second, of three bodies.
        let flowing = || Heard { last: Instant::now(), chunks: begun.elapsed().as_secs(), bodies: 3 };
        let (_sender, mut chunks) = chunks(flowing);
        assert!(matches!(chunks.next().await, Err(Unfetched::Silent)));
        assert!(begun.elapsed() < CHUNK_PATIENCE * 2);
        // So slow a line that its turn has not come in all that time.
        let begun = Instant::now();
        let slow = || Heard { last: Instant::now(), chunks: begun.elapsed().as_secs() / 100, bodies: 3 };
        let (_sender, mut chunks) = self::chunks(slow);
        assert!(matches!(chunks.next().await, Err(Unfetched::Silent)));
        assert!(begun.elapsed() > Duration::from_secs(100 * (AHEAD_MAX + 3 * CHUNKS_OF_OTHERS_MAX)));
    }
}
