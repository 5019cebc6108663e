//! Why a store does not start, and what of it is damage, a failing disk, or want of room.

use std::io;

use ncp_protocol::ids::LogName;
use thiserror::Error;

use crate::disk::is_full;
use crate::engine::Fatal;
use crate::journal::JournalError;
use crate::signed::SignedError;
use crate::spool::RecordName;
use crate::state::Unreadable;

/// Why a store does not start. Nothing was deleted; `fsck` tells more.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("the disk failed while {doing}: {cause}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The journal is damaged where no crash reaches. Restore it, or the whole data folder, from the backup.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal ends before what was durable. Restore it from the backup.
    #[error("the journal ends at sequence {has}, yet {signed} events were durable")]
    JournalShort {
        /// Sequence behind the journal's last whole group.
        has: u64,
        /// Events that the file `signed` vouches for.
        signed: u64,
    },
    /// The index has taken events that the journal does not have: it takes none that is not durable, so they are lost.
    /// Restore the journal from the backup.
    #[error("the journal ends at {has}, the index knows {known} events: the journal is not the newest")]
    JournalBehindIndex {
        /// Sequence behind the journal's last whole group.
        has: u64,
        /// Events that the index has taken.
        known: u64,
    },
    /// A whole snapshot of the index holds events that the journal does not have: the journal is not the newest. Restore it
    /// from the backup.
    #[error("the journal ends at {has}, a snapshot covers {known} events: the journal is not the newest")]
    JournalBehindSnapshot {
        /// Sequence behind the journal's last whole group.
        has: u64,
        /// Events that the snapshot covers.
        known: u64,
    },
    /// The file `signed` states nothing, yet the folder is none that was never used: something was removed.
    #[error(
        "the file `signed` is missing or empty, yet {known}: put back what was removed (of `signed` an older copy serves, too)"
    )]
    SignedLost {
        /// What shows it.
        known: String,
    },
    /// The journal's checksums hold, but its content contradicts itself at this sequence.
    #[error("the journal contradicts itself at sequence {sequence}: {what}")]
    Contradiction {
        /// First sequence of the group.
        sequence: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// More records that events rest on are gone or damaged than a start makes do without. Restore the spool from the backup.
    #[error("the spool lacks {count} records that events rest on, the first is {:?} {}", .first.kind, .first.id)]
    RecordsLost {
        /// One of them.
        first: RecordName,
        /// How many.
        count: usize,
    },
    /// The journal is another log's, or the key is not the one that the journal names.
    #[error("the journal holds another {0} log, or the key is not its key")]
    OtherLog(LogName),
    /// The file `signed` cannot be read.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// The spool cannot be read.
    #[error("the spool cannot be read: {0}")]
    Spool(io::Error),
    /// The journal is not the one whose checkpoint was signed and durable. Restore it from the backup.
    #[error("the log {log} is not what was signed at size {size}")]
    Forked {
        /// Which log.
        log: LogName,
        /// Size of the signed checkpoint.
        size: u64,
    },
    /// The index cannot be read or made anew, or there is no room for it.
    #[error(transparent)]
    Index(#[from] Unreadable),
    /// The first commit failed.
    #[error(transparent)]
    Commit(#[from] Fatal),
}

impl OpenError {
    pub(crate) fn disk(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Disk { doing, cause }
    }

    pub(crate) fn spool(error: impl Into<io::Error>) -> Self {
        Self::Spool(error.into())
    }

    /// Whether a read, write or sync failed, or the index, which holds nothing of its own: nothing that was read says that
    /// the store is damaged.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        let damage =
            |cause: &io::Error| matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        self.io().map_or(matches!(self, Self::Index(_) | Self::Commit(_)), |cause| !damage(cause))
    }

    /// Whether the start stopped for want of room alone: nothing is damaged, and the next one goes on where this one was.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        if let Self::Commit(fatal) = self {
            return fatal.is_disk_full();
        }
        matches!(self, Self::Index(Unreadable::NoRoom)) || self.io().is_some_and(is_full)
    }

    /// What the system said, where that was why.
    fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Disk { cause, .. }
            | Self::Spool(cause)
            | Self::Journal(JournalError::Io(cause))
            | Self::Signed(SignedError::Io(cause)) => Some(cause),
            Self::Journal(_)
            | Self::Signed(SignedError::Damaged)
            | Self::JournalShort { .. }
            | Self::JournalBehindIndex { .. }
            | Self::JournalBehindSnapshot { .. }
            | Self::SignedLost { .. }
            | Self::Contradiction { .. }
            | Self::RecordsLost { .. }
            | Self::OtherLog(_)
            | Self::Forked { .. }
            | Self::Index(_)
            | Self::Commit(_) => None,
        }
    }
}
