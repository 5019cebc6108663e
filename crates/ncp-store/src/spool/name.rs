//! Names of records and bodies, and where records go by their kind.

use std::path::{Path, PathBuf};

use ncp_protocol::ids::{Digest, MessageId, ParticipantId};
use serde::{Deserialize, Serialize};

use super::FOLDER;

/// What a record of the spool is. Order is the format on disk: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordKind {
    /// A sealed envelope: header, signature, wrap.
    Envelope,
    /// A body of one chunk.
    Body,
    /// Content key, `r`, manifest and title of a message, sealed under the node's storage key.
    Content,
    /// Another party's evidence: the text of its proof.
    Evidence,
    /// A signed directory entry, or the root of trust.
    Entry,
    /// The text of release rules.
    Rules,
    /// A contribution of a national service, sealed under the node's storage key.
    Contribution,
    /// Key of an uploaded blob, sealed under the node's storage key.
    BlobKey,
    /// A signed checkpoint of another party's log.
    Checkpoint,
}

/// Name of a record. Names are unique; the same name again must bring the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordName {
    /// What it is.
    pub kind: RecordKind,
    /// A digest or 32 random bytes; the event that needs the record names it.
    pub id: Digest,
}

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: RecordName,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Name of a body: one originator and message have one root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BodyName {
    /// Who sealed it.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// Root over its sealed chunks.
    pub root: Digest,
}

/// How long the records of a segment are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Class {
    /// Days: what travels.
    Passing,
    /// Years: evidence, entries, rules.
    Lasting,
    /// Until erased: keys, and what only they guard.
    Erasable,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Passing, Self::Lasting, Self::Erasable];

    /// Where records of this kind go.
    #[must_use]
    pub fn of(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Envelope | RecordKind::Body | RecordKind::Contribution => Self::Passing,
            RecordKind::Evidence | RecordKind::Entry | RecordKind::Rules | RecordKind::Checkpoint => Self::Lasting,
            RecordKind::Content | RecordKind::BlobKey => Self::Erasable,
        }
    }

    /// Name of the folder.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Lasting => "lasting",
            Self::Erasable => "erasable",
        }
    }

    pub(crate) fn folder(self) -> PathBuf {
        Path::new(FOLDER).join(self.as_str())
    }

    pub(super) fn segment_path(self, segment: u32) -> PathBuf {
        self.folder().join(format!("{segment:08x}.seg"))
    }
}

/// Where a record lies, within the class of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Number of the segment.
    pub segment: u32,
    /// Bytes from the segment's start to the record's header.
    pub offset: u32,
    /// Bytes of the record, without header and padding.
    pub length: u32,
}

impl Place {
    /// Nowhere: of a record of this length that was not found. No segment ever bears that number.
    pub(crate) fn lost(length: u32) -> Self {
        Self { segment: u32::MAX, offset: 0, length }
    }

    /// Whether the record was looked for in vain.
    pub(crate) fn is_lost(&self) -> bool {
        self.segment == u32::MAX
    }
}
