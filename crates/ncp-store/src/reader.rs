//! Read access to what is synced: rows, events, evidence, records, bodies. Clones are cheap and serve many threads.
//!
//! Nothing here waits for the committer, and nothing shows what a crash could take back. `Ok(None)` means that there is
//! no such thing; what cannot be read is an error, and fatal: the daemon stops, `fsck` tells more. Two cost no more than the
//! answer that needs them: [`ReadError::Lost`], what the start knew to be lost, and [`ReadError::RecordLost`], one record.

mod recomputed;

use std::io;
use std::sync::{Arc, PoisonError};

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::frame::BodyChunk;
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, LogName};
use ncp_protocol::limits::BODY_AHEAD_MAX;
use ncp_protocol::merkle::{self, leaf_hash};
use ncp_protocol::proof::LogProof;
use thiserror::Error;

use self::recomputed::MemoryNodes;
use crate::bodies::{Bodies, BodyReader};
use crate::disk::{Disk, RealDisk, is_full};
use crate::engine::{Engine, Newest};
use crate::index::{Index, RedbIndex};
use crate::journal::{Gap, Group, GroupPlace, JournalError, JournalReader};
use crate::levels::Levels;
use crate::limits::EVENTS_PER_READ_MAX;
use crate::losses::{Loss, Losses};
use crate::overlay::{Projection, SyncedView};
use crate::spool::{self, BodyName, RecordKind, RecordName, SpoolReader};
use crate::state::{Core, Unreadable};
use crate::tables::{self, GroupCheckpoint, LeafRow};

/// Why something that is there cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] Unreadable),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk failed over a record.
    #[error(transparent)]
    Spool(spool::ReadError),
    /// A record is damaged or gone. That one is lost, and nothing else: whoever can do without it goes on.
    #[error("the record {:?} {} is lost: {cause}", .name.kind, .name.id.short())]
    RecordLost {
        /// Which record.
        name: RecordName,
        /// What lies in its place.
        #[source]
        cause: spool::ReadError,
    },
    /// A body or a level file cannot be read.
    #[error("the disk cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// The event lies where the journal was damaged when the store opened, below a snapshot: it is lost until that segment
    /// is restored. Everything else goes on.
    #[error("the event at sequence {sequence} is lost: segment {segment:016x} of the journal is damaged")]
    Lost {
        /// First sequence of its group.
        sequence: u64,
        /// The segment that held it.
        segment: u64,
    },
    /// Index, journal and level files disagree about this leaf.
    #[error("leaf {index} of the log {log} cannot be proved from what is stored")]
    Disagree {
        /// Which log.
        log: LogName,
        /// Which leaf, or the size of the tree.
        index: u64,
    },
}

/// An event as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Position in the journal.
    pub sequence: u64,
    /// The leaf's bytes.
    pub bytes: Vec<u8>,
}

/// What a log says of a checkpoint that somebody holds of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// It is of this log.
    Agrees,
    /// It is of another history, or of more than there is.
    Contradicts {
        /// Leaves that the log has.
        size: u64,
    },
    /// What would tell is lost with a part of the journal.
    Unknown,
}

/// Read access to a store.
pub struct Reader<D: Disk = RealDisk, I: Index = RedbIndex> {
    projection: Arc<Projection<I>>,
    journal: JournalReader<D>,
    spool: SpoolReader<D>,
    levels: Levels<D>,
    bodies: Bodies<D>,
    disk: D,
    gaps: Arc<[Gap]>,
    newest: Newest,
    losses: Losses,
}

/// For whoever can do without: what is lost alone is as good as absent. The reader has noted it.
///
/// # Errors
/// Every other [`ReadError`].
pub fn unless_lost<T>(found: Result<Option<T>, ReadError>) -> Result<Option<T>, ReadError> {
    match found {
        Err(ReadError::Lost { .. } | ReadError::RecordLost { .. }) => Ok(None),
        found => found,
    }
}

impl ReadError {
    /// The record that is lost, if this is about one record alone.
    #[must_use]
    pub fn lost_record(&self) -> Option<RecordName> {
        match self {
            Self::RecordLost { name, .. } => Some(*name),
            Self::Index(_)
            | Self::Journal(_)
            | Self::Spool(_)
            | Self::Disk(_)
            | Self::Lost { .. }
            | Self::Disagree { .. } => None,
        }
    }

    /// Whether the system said that there is no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Index(Unreadable::NoRoom) => true,
            Self::Disk(error) | Self::Journal(JournalError::Io(error)) | Self::Spool(spool::ReadError::Io(error)) => {
                is_full(error)
            }
            Self::Index(Unreadable::Damaged(_))
            | Self::Journal(_)
            | Self::Spool(_)
            | Self::RecordLost { .. }
            | Self::Lost { .. }
            | Self::Disagree { .. } => false,
        }
    }

    /// Whether a part of the journal is damaged or gone, other than a disk that failed over this read.
    fn is_damage(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Damaged(_) | JournalError::Missing(_)) | Self::Lost { .. })
    }
}

impl<D: Disk, I: Index> Clone for Reader<D, I> {
    fn clone(&self) -> Self {
        Self {
            projection: Arc::clone(&self.projection),
            journal: self.journal.clone(),
            spool: self.spool.clone(),
            levels: self.levels.clone(),
            bodies: self.bodies.clone(),
            disk: self.disk.clone(),
            gaps: Arc::clone(&self.gaps),
            newest: Arc::clone(&self.newest),
            losses: self.losses.clone(),
        }
    }
}

impl<D: Disk, I: Index> Reader<D, I> {
    pub(crate) fn new<C: Core>(engine: &Engine<C, D, I>) -> Self {
        Self {
            projection: Arc::clone(&engine.projection),
            journal: engine.journal.reader(),
            spool: engine.records.reader(),
            levels: engine.levels.clone(),
            bodies: engine.bodies.clone(),
            disk: engine.disk.clone(),
            gaps: Arc::clone(&engine.gaps),
            newest: Arc::clone(&engine.newest),
            losses: engine.losses.clone(),
        }
    }

    /// Rows as of the newest synced group. Hold it briefly: the index does not advance while it lives.
    #[must_use]
    pub fn view(&self) -> SyncedView<I> {
        self.projection.view()
    }

    /// The newest synced checkpoint of a log, `None` if the daemon keeps no such log.
    #[must_use]
    pub fn checkpoint(&self, log: LogName) -> Option<SignedCheckpoint> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).get(&log).cloned()
    }

    /// What is lost alone, as far as it was met since the start.
    #[must_use]
    pub fn losses(&self) -> Vec<Loss> {
        self.losses.all()
    }

    /// Events in the journal, those of all logs: the sequence of the next one.
    #[must_use]
    pub fn size(&self) -> u64 {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        newest.values().map(|signed| signed.checkpoint().size).sum()
    }

    /// Leaf `index` of `log`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn event(&self, log: LogName, index: u64) -> Result<Option<StoredEvent>, ReadError> {
        Ok(self.located(log, index)?.map(|found| found.event))
    }

    /// At most `max` events, all logs, from journal position `from` on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn events(&self, from: u64, max: usize) -> Result<Vec<StoredEvent>, ReadError> {
        let max = max.min(EVENTS_PER_READ_MAX);
        let mut events = Vec::new();
        let mut next = from;
        while events.len() < max {
            let Some(row) = tables::group_of(&self.view(), next)?.filter(|row| row.place.next() > next) else { break };
            let group = self.group(&row.place)?;
            let numbered = (row.place.first..).zip(&group.events).filter(|(sequence, _)| *sequence >= from);
            events.extend(numbered.map(|(sequence, bytes)| StoredEvent { sequence, bytes: bytes.clone() }));
            next = row.place.next();
        }
        events.truncate(max);
        Ok(events)
    }

    /// The proof that leaf `index` stands in `log`, under the checkpoint of that event's own group: the same bytes
    /// whenever it is asked for.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn evidence(&self, log: LogName, index: u64) -> Result<Option<LogProof>, ReadError> {
        let Some(Located { event, checkpoint }) = self.located(log, index)? else { return Ok(None) };
        let (size, root) = (checkpoint.head.size, checkpoint.head.root);
        let leaf = leaf_hash(&event.bytes);
        let proves = |hashes: &Vec<Digest>| merkle::verify_inclusion(&leaf, index, size, hashes, &root).is_ok();
        let hashes = match merkle::inclusion_proof(&self.levels.nodes(log), index, size) {
            Ok(hashes) if proves(&hashes) => hashes,
            Ok(_) | Err(_) => {
                let again = |nodes: &MemoryNodes| merkle::inclusion_proof(nodes, index, size).ok().filter(proves);
                self.recomputed(log, (size, root), again)?
            }
        };
        Ok(Some(LogProof { event: event.bytes, index, hashes, checkpoint_note: checkpoint.note }))
    }

    /// Shows that the first `old` leaves of `log` are a prefix of the first `new`; `None` if it has fewer.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn consistency(&self, log: LogName, old: u64, new: u64) -> Result<Option<Vec<Digest>>, ReadError> {
        let (Some(old_root), Some(new_root)) = (self.root(log, old)?, self.root(log, new)?) else { return Ok(None) };
        if old > new {
            return Ok(None);
        }
        let proves = |hashes: &Vec<Digest>| merkle::verify_consistency(old, &old_root, new, &new_root, hashes).is_ok();
        match merkle::consistency_proof(&self.levels.nodes(log), old, new) {
            Ok(hashes) if proves(&hashes) => Ok(Some(hashes)),
            Ok(_) | Err(_) => {
                let again = |nodes: &MemoryNodes| merkle::consistency_proof(nodes, old, new).ok().filter(proves);
                self.recomputed(log, (new, new_root), again).map(Some)
            }
        }
    }

    /// The root of the first `size` leaves of `log`, `None` if it has fewer.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn root(&self, log: LogName, size: u64) -> Result<Option<Digest>, ReadError> {
        let Some(newest) = self.checkpoint(log).filter(|newest| size <= newest.checkpoint().size) else {
            return Ok(None);
        };
        let (full, root) = (newest.checkpoint().size, newest.checkpoint().root);
        let nodes = self.levels.nodes(log);
        // The levels vouch for an old root only if they lead to the signed one.
        let vouched = merkle::root(&nodes, size).ok().filter(|old| {
            let path = merkle::consistency_proof(&nodes, size, full);
            path.is_ok_and(|path| merkle::verify_consistency(size, old, full, &root, &path).is_ok())
        });
        match vouched {
            Some(old) => Ok(Some(old)),
            None => self.recomputed(log, (full, root), |nodes| merkle::root(nodes, size).ok()).map(Some),
        }
    }

    /// Holds a root that somebody knows of the first `size` leaves of `log` against it. What cannot be told any more is no
    /// contradiction: it is lost, and so noted.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn compare(&self, log: LogName, size: u64, root: &Digest) -> Result<Comparison, ReadError> {
        match self.root(log, size) {
            Ok(Some(found)) if found == *root => Ok(Comparison::Agrees),
            Ok(_) => Ok(Comparison::Contradicts { size: self.checkpoint(log).map_or(0, |own| own.checkpoint().size) }),
            Err(error @ ReadError::Lost { .. }) => {
                tracing::error!(%log, size, %error, "an old checkpoint cannot be compared with the log any more");
                Ok(Comparison::Unknown)
            }
            Err(error) => Err(error),
        }
    }

    /// The bytes of a record.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn record(&self, name: &RecordName) -> Result<Option<Vec<u8>>, ReadError> {
        let mut tried = None;
        loop {
            let Some(place) = tables::record(&self.view(), *name)? else { return Ok(None) };
            match self.spool.read(name, &place) {
                Ok(bytes) => {
                    self.losses.clear(Loss::Record(*name));
                    return Ok(Some(bytes));
                }
                // Between the look and the read the record may have moved, and its segment gone.
                Err(_) if tried != Some(place) => tried = Some(place),
                Err(error @ spool::ReadError::Io(_)) => return Err(ReadError::Spool(error)),
                Err(cause @ (spool::ReadError::Damaged(_) | spool::ReadError::Gone(_))) => {
                    self.losses.note(Loss::Record(*name));
                    return Err(ReadError::RecordLost { name: *name, cause });
                }
            }
        }
    }

    /// A body: a file of its own or a record of one chunk, which bears the body's root as its name.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn body(&self, name: &BodyName) -> Result<Option<BodyReader<D>>, ReadError> {
        // Most bodies are small: the index knows, and no folder is searched.
        let record = RecordName { kind: RecordKind::Body, id: name.root };
        match self.record(&record) {
            Ok(None) => Ok(self.bodies.read(name)?),
            Err(lost @ ReadError::RecordLost { .. }) => self.bodies.read(name)?.map(Some).ok_or(lost),
            found => Ok(found?.map(BodyReader::from_record)),
        }
    }

    /// The body of an envelope, if it may go ahead of it: at most [`BODY_AHEAD_MAX`] and `room` bytes, and not lost. Whoever
    /// misses it asks for it.
    ///
    /// # Errors
    /// [`ReadError`] if the disk cannot be read.
    pub fn body_ahead(&self, envelope: &SealedEnvelope, room: u64) -> Result<Option<BodyChunk>, ReadError> {
        let Ok(header) = envelope.unverified_header() else { return Ok(None) };
        if header.body_length > BODY_AHEAD_MAX.min(room) {
            return Ok(None);
        }
        let Header { originator, message, ciphertext_root: root, .. } = header;
        let body = unless_lost(self.body(&BodyName { originator, message, root }))?;
        let Some(bytes) = body.map(|body| body.chunk(0)).transpose()?.flatten() else { return Ok(None) };
        Ok(Some(BodyChunk { originator, message, index: 0, bytes }))
    }

    /// Bodies on their way in, and body files.
    #[must_use]
    pub fn uploads(&self) -> &Bodies<D> {
        &self.bodies
    }

    fn group(&self, place: &GroupPlace) -> Result<Arc<Group>, ReadError> {
        let read = self.journal.read(place).map(Arc::new);
        read.map_err(|error| {
            let is_lost = self.gaps.iter().any(|gap| (gap.from..gap.until).contains(&place.first));
            if !is_lost {
                return error.into();
            }
            self.losses.note(Loss::Group(place.first));
            ReadError::Lost { sequence: place.first, segment: place.segment }
        })
    }

    fn located(&self, log: LogName, index: u64) -> Result<Option<Located>, ReadError> {
        let disagree = || ReadError::Disagree { log, index };
        let (leaf, row) = {
            let view = self.view();
            let Some(leaf) = tables::leaf(&view, log, index)? else { return Ok(None) };
            (leaf, tables::group_of(&view, leaf.group)?.ok_or_else(disagree)?)
        };
        let LeafRow { sequence, group } = leaf;
        let place = sequence.checked_sub(group).and_then(|place| usize::try_from(place).ok());
        let group = self.group(&row.place)?;
        let bytes = place.and_then(|place| group.events.get(place)).cloned().ok_or_else(disagree)?;
        let checkpoint = row.checkpoint(log).cloned().ok_or_else(disagree)?;
        Ok(Some(Located { event: StoredEvent { sequence, bytes }, checkpoint }))
    }
}

struct Located {
    event: StoredEvent,
    checkpoint: GroupCheckpoint,
}
