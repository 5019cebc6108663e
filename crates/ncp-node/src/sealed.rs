//! Sealed bodies on their way to the disk and back: where the chunks of a sealer go, and ranges of an opened body.
//!
//! A body of one chunk becomes a record that is committed with its event; a larger one is an upload of this node's own,
//! synced and complete before its event. A crash in between leaves a body that no event names, which
//! [`crate::blobs::purge`] removes.

use std::io;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::body::open::BodyOpener;
use ncp_protocol::ids::MessageId;
use ncp_protocol::limits::{CHUNK_PLAIN, CHUNK_TAG};
use ncp_protocol::padding::padded_len;
use ncp_store::bodies::{Begun, BodyReader, Expect, Start, Upload, UploadError, UploadRequest};
use ncp_store::disk::{RealDisk, is_full};
use ncp_store::spool::BodyName;

use crate::clock;
use crate::faults::{Failed, unreadable};
use crate::node::Node;

/// Length of the sealed body of `plain` bytes before padding.
#[must_use]
pub fn sealed_length(plain: u64) -> u64 {
    let padded = padded_len(plain);
    padded + padded.div_ceil(CHUNK_PLAIN as u64) * CHUNK_TAG as u64
}

/// Whether the sealed body of `plain` bytes is one chunk.
#[must_use]
pub fn is_one_chunk(plain: u64) -> bool {
    padded_len(plain) <= CHUNK_PLAIN as u64
}

/// Takes the chunks of a sealer.
#[derive(Debug)]
pub enum ChunkSink {
    /// The one chunk, kept in memory.
    Record(Vec<u8>),
    /// An upload; the first error stays aside until somebody asks.
    Upload(Box<Upload<RealDisk>>, Option<UploadError>),
}

/// What became of the chunks.
#[derive(Debug)]
pub enum Sunk {
    /// One chunk, to be committed as a record.
    Record(Vec<u8>),
    /// A body file.
    File(BodyName),
}

impl ChunkSink {
    /// A sink for the body of `message` with `plain` bytes before padding.
    ///
    /// # Errors
    /// Quota or disk.
    pub fn new(node: &Node, message: MessageId, plain: u64) -> Result<Self, Failed> {
        if is_one_chunk(plain) {
            crate::space::check(node, sealed_length(plain))?;
            return Ok(Self::Record(Vec::new()));
        }
        Self::file(node, message, plain)
    }

    /// A sink that becomes a body file, whatever its length.
    ///
    /// # Errors
    /// Quota or disk.
    pub fn file(node: &Node, message: MessageId, plain: u64) -> Result<Self, Failed> {
        let limit = sealed_length(plain);
        crate::space::check(node, limit)?;
        let request = UploadRequest {
            peer: node.participant(),
            originator: node.participant(),
            message,
            expect: Expect::Any { limit },
            start: Start::Afresh,
            now: clock::now(),
            quota: node.settings().limits.blobs_max_bytes,
        };
        match node.reader().uploads().upload(&request).map_err(|error| upload_failed(node, error))? {
            Begun::Upload(upload) => Ok(Self::Upload(upload, None)),
            Begun::Complete(_) => Err(ErrorCode::InternalFault.with("reason", "a fresh body was there already").into()),
        }
    }

    /// Takes one chunk. After an error further ones are dropped.
    pub fn take(&mut self, chunk: Vec<u8>) {
        match self {
            Self::Record(record) => *record = chunk,
            Self::Upload(upload, failed) => {
                if failed.is_none() {
                    *failed = upload.append(&chunk).err();
                }
            }
        }
    }

    /// Whether all chunks so far were taken.
    ///
    /// # Errors
    /// Quota or disk.
    pub fn check(&mut self, node: &Node) -> Result<(), Failed> {
        match self {
            Self::Record(_) => Ok(()),
            Self::Upload(_, failed) => failed.take().map_or(Ok(()), |error| Err(upload_failed(node, error))),
        }
    }

    /// Throws away what came.
    pub fn abandon(self) {
        if let Self::Upload(upload, _) = self
            && let Err(error) = upload.abandon()
        {
            tracing::warn!(%error, "the beginning of a body stays until housekeeping finds it");
        }
    }

    /// The whole body; a file is durable.
    ///
    /// # Errors
    /// Quota or disk.
    pub fn finish(mut self, node: &Node) -> Result<Sunk, Failed> {
        self.check(node)?;
        match self {
            Self::Record(record) => Ok(Sunk::Record(record)),
            Self::Upload(upload, _) => Ok(Sunk::File(upload.finish().map_err(|error| upload_failed(node, error))?)),
        }
    }
}

fn upload_failed(node: &Node, error: UploadError) -> Failed {
    let fault: Fault = match error {
        UploadError::Io(error) if is_full(&error) => ErrorCode::DiskFull
            .with("free", "0 MiB")
            .with("needed", "more")
            .with("folder", node.config.data_dir.display()),
        // What a failed sync left is known only after a restart.
        UploadError::Io(error) | UploadError::Names(error) => return Failed::Store(Box::new(unreadable(&error))),
        UploadError::Quota => ErrorCode::QuotaExceeded
            .with("what", "uploads")
            .with("used", format!("{} MiB", node.reader().uploads().incoming(node.participant()) >> 20))
            .with("limit", format!("{} MiB", node.settings().limits.blobs_max_bytes >> 20)),
        UploadError::Busy => {
            ErrorCode::TooManyRequests.with("reason", "the same is being written now").with("seconds", 1)
        }
        UploadError::Length | UploadError::Root | UploadError::Stopped => {
            ErrorCode::InternalFault.with("reason", error)
        }
    };
    fault.into()
}

/// A stretch of an opened body's plaintext.
#[derive(Debug)]
pub struct Stretch {
    /// The sealed body.
    pub body: BodyReader<RealDisk>,
    /// Opens its chunks.
    pub opener: BodyOpener,
    /// Where it begins in the plaintext.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

impl Stretch {
    /// Reads `length` bytes from `from` on, piece by piece, as long as `out` wants more.
    ///
    /// # Errors
    /// As the disk has it; [`io::ErrorKind::InvalidData`] if a chunk does not open.
    pub fn read(&self, from: u64, length: u64, out: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let inside = from.checked_add(length).is_some_and(|end| end <= self.length);
        if !inside {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for slice in self.opener.slices(self.offset + from, length).map_err(damaged)? {
            let sealed = self.body.chunk(slice.index)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let plain = self.opener.open_slice(&slice, sealed).map_err(damaged)?;
            if !out(&plain) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// All of it, for what is known to be short.
    ///
    /// # Errors
    /// As [`Stretch::read`].
    pub fn all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(0, self.length, &mut |piece| {
            bytes.extend_from_slice(piece);
            true
        })?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use ncp_protocol::body::plain_length;

    use super::*;

    #[test]
    fn sealed_length_is_one_that_a_body_can_have() {
        for plain in [0, 1, 4_000, 65_536, 65_537, 20 << 20] {
            assert_eq!(plain_length(sealed_length(plain)), Some(padded_len(plain)), "{plain}");
            assert_eq!(is_one_chunk(plain), plain <= 65_536, "{plain}");
        }
    }
}
