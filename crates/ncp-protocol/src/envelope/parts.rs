//! Compares the bytes of the parts with the manifest while they pass, when sealing and when opening.

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::ids::Digest;
use crate::manifest::Manifest;

/// Part `0` of the message, counted from 0, is not the one that the manifest describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("part {0} is not the one that the manifest describes")]
pub struct PartMismatch(pub usize);

/// The parts that are still to come.
#[derive(Debug)]
pub(super) struct PartsCheck {
    expected: Vec<(u64, Digest)>,
    current: usize,
    hasher: Sha256,
    taken: u64,
}

impl PartsCheck {
    pub(super) fn new(manifest: &Manifest) -> Self {
        let expected = manifest.parts.iter().map(|part| (part.length, part.sha256)).collect();
        Self { expected, current: 0, hasher: Sha256::new(), taken: 0 }
    }

    /// Takes bytes up to the end of the last part and says how many.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, PartMismatch> {
        let mut rest = bytes;
        while let Some((length, _)) = self.expected.get(self.current) {
            let missing = usize::try_from(length - self.taken).unwrap_or(usize::MAX);
            let (piece, after) = rest.split_at(missing.min(rest.len()));
            self.hasher.update(piece);
            self.taken += piece.len() as u64;
            rest = after;
            if piece.len() < missing {
                break;
            }
            self.close()?;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Succeeds if all parts have passed.
    pub(super) fn finish(&mut self) -> Result<(), PartMismatch> {
        // Parts of no bytes at the end are not closed before something follows them.
        self.take(&[])?;
        if self.current == self.expected.len() { Ok(()) } else { Err(PartMismatch(self.current)) }
    }

    fn close(&mut self) -> Result<(), PartMismatch> {
        let hashed = Digest(core::mem::take(&mut self.hasher).finalize().into());
        match self.expected.get(self.current) {
            Some((_, digest)) if *digest == hashed => {
                self.current += 1;
                self.taken = 0;
                Ok(())
            }
            Some(_) | None => Err(PartMismatch(self.current)),
        }
    }
}
