//! Reading a body, whether it is a file of its own or a record of one chunk.

use std::fmt;
use std::io;
use std::sync::Arc;

use ncp_protocol::body::{RootHasher, chunk_hash, sealed_range};
use ncp_protocol::ids::Digest;

use crate::disk::{Disk, DiskFile, read_exact_at};

/// A body, open for reading. A file that is removed stays readable here.
pub struct BodyReader<D: Disk> {
    source: Source<D::File>,
    len: u64,
}

enum Source<F> {
    File(Arc<F>),
    Record(Arc<[u8]>),
}

impl<D: Disk> Clone for BodyReader<D> {
    fn clone(&self) -> Self {
        let source = match &self.source {
            Source::File(file) => Source::File(Arc::clone(file)),
            Source::Record(bytes) => Source::Record(Arc::clone(bytes)),
        };
        Self { source, len: self.len }
    }
}

impl<D: Disk> fmt::Debug for BodyReader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<D: Disk> BodyReader<D> {
    pub(super) fn from_file(file: D::File) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { source: Source::File(Arc::new(file)), len })
    }

    /// The body that a record holds.
    #[must_use]
    pub fn from_record(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len() as u64, source: Source::Record(bytes.into()) }
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] beyond the end; otherwise as the disk has it.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.source {
            Source::File(file) => read_exact_at(&**file, buffer, offset),
            Source::Record(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let wanted = bytes.get(from..from.saturating_add(buffer.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(wanted);
                Ok(())
            }
        }
    }

    /// Sealed chunk `index`, `None` beyond the last.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn chunk(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(range) = sealed_range(index, self.len) else { return Ok(None) };
        let mut chunk = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        self.read_at(&mut chunk, range.start)?;
        Ok(Some(chunk))
    }

    /// Root over the chunks as they are on the disk now: for whoever suspects rot. Reads the whole body.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn root(&self) -> io::Result<Digest> {
        self.each_chunk(|_| Ok(()))
    }

    /// Visits all chunks in order; returns the root over them.
    pub(super) fn each_chunk(&self, mut visit: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Digest> {
        let mut root = RootHasher::new();
        while let Some(chunk) = self.chunk(root.chunks())? {
            visit(&chunk)?;
            root.push(chunk_hash(&chunk));
        }
        Ok(root.finish())
    }
}
