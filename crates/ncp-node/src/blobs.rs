//! Uploads of local callers, sealed while they stream, and what becomes of those that no message names.
//!
//! A blob is a body file of this node's own under a random id. Its content key follows from the id and the storage key, so
//! an upload needs no event and no record; its plaintext begins with length, SHA-256 and time. Blobs that messages took
//! are sealed anew into the message's body; contributions go on naming theirs. All others go after a day.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::body::open::BodyOpener;
use ncp_protocol::body::{BodyCore, BodySealer};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Digest, MessageId, UnixMillis};
use ncp_protocol::keys::Sha256Hasher;
use ncp_protocol::limits::{CHUNK_PLAIN, DAY_MS};
use ncp_store::spool::BodyName;

use crate::clock;
use crate::contributions;
use crate::core::tables::{OUT, TASK};
use crate::faults::Failed;
use crate::node::Node;
use crate::sealed::{ChunkSink, Stretch, Sunk};

/// How long an upload waits for a message that names it.
pub const BLOB_LIFETIME_MS: u64 = DAY_MS;
/// How long a body of a draft may lie without its event.
const ORPHAN_LIFETIME_MS: u64 = 30 * 60 * 1_000;
/// Length, SHA-256 and time before the bytes.
const HEAD_LEN: usize = 8 + 32 + 8;

/// What an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobHead {
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// When it came.
    pub created: UnixMillis,
}

impl BlobHead {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.sha256.0);
        bytes.extend_from_slice(&self.created.0.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (sha256, rest) = rest.split_first_chunk::<32>()?;
        let (created, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            length: u64::from_le_bytes(*length),
            sha256: Digest(*sha256),
            created: UnixMillis(u64::from_le_bytes(*created)),
        })
    }
}

/// An upload under way. Dropping it leaves a beginning, which housekeeping removes.
pub struct BlobWriter {
    id: MessageId,
    head: BlobHead,
    sealer: BodySealer,
    sink: ChunkSink,
    hasher: Sha256Hasher,
    taken: u64,
}

impl BlobWriter {
    /// Begins an upload of the announced length and digest.
    ///
    /// # Errors
    /// Too large, quota or disk.
    pub fn begin(node: &Node, length: u64, sha256: Digest) -> Result<Self, Failed> {
        let limit = node.settings().limits.blob_max_bytes;
        if length > limit {
            return Err(ErrorCode::MessageTooLarge.with("length", length).with("limit", limit).into());
        }
        let id = MessageId::from_random(clock::random());
        let head = BlobHead { length, sha256, created: clock::now() };
        let plain = HEAD_LEN as u64 + length;
        let mut sink = ChunkSink::file(node, id, plain)?;
        let mut sealer = BodySealer::new(&core(node, id), &node.vault.blob_key(id), plain).map_err(internal)?;
        sealer.update(&head.to_bytes(), &mut |_, chunk| sink.take(chunk)).map_err(internal)?;
        Ok(Self { id, head, sealer, sink, hasher: Sha256Hasher::default(), taken: 0 })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ErrorCode::BlobMismatch`] if more comes than was announced; quota or disk.
    pub fn write(&mut self, node: &Node, bytes: &[u8]) -> Result<(), Failed> {
        self.taken += bytes.len() as u64;
        if self.taken > self.head.length {
            return Err(mismatch("more bytes than announced").into());
        }
        for piece in bytes.chunks(CHUNK_PLAIN) {
            self.hasher.update(piece);
            self.sealer.update(piece, &mut |_, chunk| self.sink.take(chunk)).map_err(internal)?;
            self.sink.check(node)?;
        }
        Ok(())
    }

    /// Throws away what came.
    pub fn abandon(self) {
        self.sink.abandon();
    }

    /// Ends the upload: durable when it returns.
    ///
    /// # Errors
    /// [`ErrorCode::BlobMismatch`] if something else came than was announced; nothing of it is kept.
    pub fn finish(self, node: &Node) -> Result<(MessageId, BlobHead), Failed> {
        let Self { id, head, sealer, mut sink, hasher, taken } = self;
        let fault = if taken != head.length {
            Some("fewer bytes than announced")
        } else if hasher.finish() != head.sha256 {
            Some("other bytes than announced")
        } else {
            None
        };
        if let Some(reason) = fault {
            sink.abandon();
            return Err(mismatch(reason).into());
        }
        sealer.finish(&mut |_, chunk| sink.take(chunk)).map_err(internal)?;
        match sink.finish(node)? {
            Sunk::File(_) => Ok((id, head)),
            Sunk::Record(_) => Err(internal("a blob is a file").into()),
        }
    }
}

/// A whole upload.
#[derive(Debug)]
pub struct Blob {
    /// Its id.
    pub id: MessageId,
    /// What it is.
    pub head: BlobHead,
    /// Its bytes.
    pub bytes: Stretch,
}

/// Opens an upload; `None` if there is none of this id.
///
/// # Errors
/// [`Failed::Store`] if the disk cannot be read.
pub fn open(node: &Node, id: MessageId) -> Result<Option<Blob>, Failed> {
    let bodies = node.reader().uploads().list().map_err(ncp_store::reader::ReadError::from)?;
    let own = node.participant();
    let Some(name) = bodies.into_iter().find(|name| name.originator == own && name.message == id) else {
        return Ok(None);
    };
    open_body(node, &name)
}

fn open_body(node: &Node, name: &BodyName) -> Result<Option<Blob>, Failed> {
    let Some(body) = node.reader().uploads().read(name).map_err(ncp_store::reader::ReadError::from)? else {
        return Ok(None);
    };
    let id = name.message;
    let Ok(opener) = BodyOpener::new(&core(node, id), &node.vault.blob_key(id), body.len()) else { return Ok(None) };
    let mut bytes = Stretch { body, opener, offset: 0, length: HEAD_LEN as u64 };
    let head = match bytes.all() {
        Ok(head) => BlobHead::from_bytes(&head),
        // Another kind of body, or one that went bad. What the disk cannot read is never taken for that.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => None,
        Err(error) => return Err(ncp_store::reader::ReadError::from(error).into()),
    };
    let Some(head) = head else { return Ok(None) };
    bytes.offset = HEAD_LEN as u64;
    bytes.length = head.length;
    Ok(Some(Blob { id, head, bytes }))
}

/// Bodies without event, with the time at which this process first saw each so.
#[derive(Debug, Default)]
pub struct Orphans(Mutex<BTreeMap<BodyName, UnixMillis>>);

impl Orphans {
    /// How long this process has known the body to be without event.
    fn seen_for(&self, name: BodyName, now: UnixMillis) -> u64 {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.millis_since(*seen.entry(name).or_insert(now))
    }
}

/// Removes uploads that nobody took within a day, bodies that no event names, and beginnings as old.
///
/// # Errors
/// [`Failed::Store`].
pub fn purge(node: &Node) -> Result<(), Failed> {
    let bodies = node.reader().uploads().clone();
    let now = clock::now();
    let before = UnixMillis(now.0.saturating_sub(BLOB_LIFETIME_MS));
    let failed = |error: std::io::Error| Failed::from(ncp_store::reader::ReadError::from(error));
    let kept = taken_by_contributions(node)?;
    for name in bodies.list().map_err(failed)? {
        let ours = name.originator == node.participant();
        if !ours || kept.contains(&name.message) || is_of_message(node, &name)? {
            continue;
        }
        let gone = match open_body(node, &name)? {
            Some(blob) => blob.head.created < before,
            // It belongs to a draft that is being put up right now, or that a crash stopped.
            None => node.orphans.seen_for(name, now) >= ORPHAN_LIFETIME_MS,
        };
        if gone {
            tracing::info!(blob = %name.message, "removing an upload that no message names");
            bodies.remove(&name).map_err(failed)?;
        }
    }
    for leftover in bodies.leftovers(before).map_err(failed)? {
        if leftover.peer == node.participant() {
            bodies.discard(&leftover).map_err(failed)?;
        }
    }
    Ok(())
}

fn is_of_message(node: &Node, name: &BodyName) -> Result<bool, Failed> {
    let view = node.reader().view();
    Ok(OUT.row(&view, &name.message)?.is_some_and(|row| row.draft.root == name.root))
}

/// Ids of uploads that contributions name.
fn taken_by_contributions(node: &Node) -> Result<BTreeSet<MessageId>, Failed> {
    let mut records = Vec::new();
    TASK.scan(&node.reader().view(), &(), |_, row| {
        records.extend(row.contributions);
        ControlFlow::Continue(())
    })?;
    let mut taken = BTreeSet::new();
    for record in records {
        if let Some(contribution) = contributions::open(node, record)? {
            taken.extend(contribution.files.iter().map(|file| file.blob));
        }
    }
    Ok(taken)
}

fn core(node: &Node, id: MessageId) -> BodyCore {
    BodyCore { network: node.network.id(), suite: SUITE, originator: node.participant(), message: id }
}

fn mismatch(reason: &str) -> Fault {
    ErrorCode::BlobMismatch.with("reason", reason)
}

fn internal(reason: impl core::fmt::Display) -> Fault {
    ErrorCode::InternalFault.with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_reads_back() {
        let head = BlobHead { length: 7, sha256: Digest([3; 32]), created: UnixMillis(9) };
        assert_eq!(head.to_bytes().len(), HEAD_LEN);
        assert_eq!(BlobHead::from_bytes(&head.to_bytes()), Some(head));
        assert_eq!(BlobHead::from_bytes(&[0; HEAD_LEN - 1]), None);
    }
}
