//! The engine: decides, makes durable, signs. Synchronous and single-threaded; the committer and the simulator run it.
//!
//! One group is in flight at a time. For each: decide every command against index, overlay and what the group decided so
//! far; write records to the spool and the group to the journal; sync both, in parallel; append the leaves and sign one
//! checkpoint for each log that grew; only then return replies and effects. Nothing leaves before the sync returned.
//!
//! Any failure of disk or index is fatal and never retried: the engine is poisoned, the next start recovers. A crash
//! before the sync leaves a torn group that recovery cuts; between the two syncs a group whose records are missing, which
//! its manifest tells and recovery cuts alike; after both a group that nobody has been told of, which stands.

use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use ncp_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use ncp_protocol::ids::{Digest, LogName, LogOrigin};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::merkle::{Frontier, leaf_hash};
use thiserror::Error;

use crate::ahead::Ahead;
use crate::bodies::Bodies;
use crate::disk::{Disk, is_full};
use crate::index::{Index, LogHead};
use crate::journal::{Gap, Journal, LogNote};
use crate::levels::Levels;
use crate::losses::Losses;
use crate::overlay::{Applied, Projection, SyncedGroup, SyncedView};
use crate::reader::Reader;
use crate::signed::{Signed, SignedState};
use crate::snapshot::{Taken, Taker};
use crate::spool::{BodyName, Record};
use crate::state::{Core, Erase, Unreadable};
use crate::tables::{self, GroupRow, Manifest, RecordSum};

pub(crate) mod draft;
pub(crate) mod records;

use draft::{Draft, Fold, Leaf};
use records::{Moved, Records};

/// Why the store stops. The process is expected to exit; the next start recovers.
#[derive(Debug, Error)]
pub enum Fatal {
    /// The disk failed. What it holds is known only after a restart.
    #[error("the disk failed while {doing}: {cause}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The index failed: the next start goes on with what of it is good, or builds it anew.
    #[error(transparent)]
    Index(#[from] Unreadable),
    /// The file `signed` could not be written.
    #[error("the file `signed` could not be written")]
    Signed,
    /// It failed before and was used again.
    #[error("the store has failed before")]
    Poisoned,
}

impl Fatal {
    pub(crate) fn disk(doing: &'static str, cause: impl Into<io::Error>) -> Self {
        Self::Disk { doing, cause: cause.into() }
    }

    /// Whether it stopped for want of room: the next start goes on once there is some.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Disk { cause, .. } => is_full(cause),
            Self::Index(Unreadable::NoRoom) => true,
            Self::Index(Unreadable::Damaged(_)) | Self::Signed | Self::Poisoned => false,
        }
    }
}

/// What became of a command, durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed<R> {
    /// What the core replied.
    pub reply: R,
    /// Log and leaf index of each of the decision's events, in order.
    pub places: Vec<(LogName, u64)>,
}

/// What a commit returns for one command.
#[derive(Debug)]
pub struct Outcome<C: Core> {
    /// For the asker.
    pub committed: Committed<C::Reply>,
    /// For the shell.
    pub effects: Vec<C::Effect>,
}

/// A log of this daemon, as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub origin: LogOrigin,
    pub key: SigningKey,
    pub frontier: Frontier,
}

impl Log {
    pub(crate) fn head(&self) -> LogHead {
        LogHead { log: self.origin.log, size: self.frontier.size(), root: self.frontier.root() }
    }

    pub(crate) fn sign(&self) -> SignedCheckpoint {
        let LogHead { size, root, .. } = self.head();
        Checkpoint { origin: self.origin.to_string(), size, root }.sign(&self.key)
    }
}

/// The newest signed checkpoint of each log, shared with readers.
pub(crate) type Newest = Arc<RwLock<BTreeMap<LogName, SignedCheckpoint>>>;

/// The one writer of journal, spool and index.
pub struct Engine<C: Core, D: Disk, I: Index> {
    pub(crate) core: Arc<C>,
    pub(crate) disk: D,
    pub(crate) ahead: Ahead<D>,
    pub(crate) journal: Journal<D>,
    pub(crate) records: Records<D>,
    pub(crate) levels: Levels<D>,
    pub(crate) bodies: Bodies<D>,
    pub(crate) projection: Arc<Projection<I>>,
    pub(crate) logs: BTreeMap<LogName, Log>,
    // Signed checkpoints of the newest group, for the header of the next.
    pub(crate) previous: Vec<LogNote>,
    pub(crate) newest: Newest,
    pub(crate) losses: Losses,
    // What the journal had lost when it was opened.
    pub(crate) gaps: Arc<[Gap]>,
    pub(crate) taker: Taker<D, I>,
    // Bodies that the newest group let go of and that still lie on the disk.
    pub(crate) unsettled: Vec<BodyName>,
    pub(crate) poisoned: bool,
}

impl<C: Core, D: Disk, I: Index> fmt::Debug for Engine<C, D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("next", &self.journal.next()).field("poisoned", &self.poisoned).finish()
    }
}

impl<C: Core, D: Disk, I: Index> Engine<C, D, I> {
    /// Decides `commands` until they end or the group is full, and makes durable what they decided. An outcome per
    /// command taken, in order; what the iterator still holds is untouched.
    ///
    /// # Errors
    /// [`Fatal`]: nothing is known of these commands, and every later call fails.
    ///
    /// # Panics
    /// If the core breaks a limit or names a log that the daemon does not keep.
    pub fn commit(&mut self, commands: &mut dyn Iterator<Item = C::Command>) -> Result<Vec<Outcome<C>>, Fatal> {
        self.guarded(|engine| {
            engine.settle_now()?;
            engine.projection.make_room()?;
            let view = engine.projection.view();
            let core = Arc::clone(&engine.core);
            let mut draft = Draft::new(core.as_ref(), &view, engine.fold());
            while draft.has_room()
                && let Some(command) = commands.next()
            {
                draft.decide(command)?;
            }
            let (pending, outcomes) = draft.finish();
            engine.write(pending, view)?;
            Ok(outcomes)
        })
    }

    /// Removes from the disk what the newest group let go of, then lets the index take the group. Also the next
    /// [`commit`](Self::commit) does; a crash before it is done repeats it at the next start.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn settle(&mut self) -> Result<(), Fatal> {
        self.guarded(Self::settle_now)
    }

    /// Settles, and applies all groups that wait to the index: for callers without an applier thread.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn apply(&mut self) -> Result<(), Fatal> {
        self.settle()?;
        self.guarded(|engine| {
            while let Applied::Groups(_) = engine.projection.apply()? {}
            Ok(())
        })
    }

    /// Writes the newest checkpoints to `signed`: for callers without a thread that does.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn write_signed(&mut self, signed: &mut Signed<D>) -> Result<(), Fatal> {
        self.guarded(|engine| {
            signed.write(&engine.signed_state()).map_err(|error| Fatal::disk("writing the file signed", error))
        })
    }

    /// Syncs the end of the journal although nothing waits for it: only a disk that works lets this return.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn touch_disk(&mut self) -> Result<(), Fatal> {
        self.guarded(|engine| {
            let files: Vec<&D::File> = engine.journal.end_file().into_iter().collect();
            engine.disk.sync_all(&files).map_err(|error| Fatal::disk("syncing the journal", error))
        })
    }

    /// Takes a snapshot of what the index holds: for callers without a thread that does.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn take_snapshot(&mut self) -> Result<Taken, Fatal> {
        self.guarded(|engine| engine.taker.take(&|| true))
    }

    /// Makes the segments that are wanted soon: for callers without a thread that does.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn make_ahead(&mut self) -> Result<(), Fatal> {
        self.guarded(|engine| engine.ahead.make().map_err(|error| Fatal::disk("making a segment ahead", error)))
    }

    /// The state that the file `signed` is to hold: next sequence and newest checkpoints.
    #[must_use]
    pub fn signed_state(&self) -> SignedState {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        SignedState { next: self.journal.next(), notes: log_notes(&newest) }
    }

    /// The segment of the journal that is written to: its first sequence, `None` before there is one.
    pub(crate) fn segment(&self) -> Option<u64> {
        self.journal.segment()
    }

    /// Read access to synced state.
    #[must_use]
    pub fn reader(&self) -> Reader<D, I> {
        Reader::new(self)
    }

    /// The index with the groups on the way to it.
    #[must_use]
    pub fn projection(&self) -> &Arc<Projection<I>> {
        &self.projection
    }

    pub(crate) fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fatal>) -> Result<T, Fatal> {
        if core::mem::replace(&mut self.poisoned, true) {
            return Err(Fatal::Poisoned);
        }
        // A failure, and a panic as well, leaves the engine poisoned.
        let outcome = work(self)?;
        self.poisoned = false;
        Ok(outcome)
    }

    pub(crate) fn fold(&self) -> Fold {
        let sizes = self.logs.iter().map(|(name, log)| (*name, log.frontier.size())).collect();
        Fold::new(self.journal.next(), sizes)
    }

    pub(crate) fn heads(&self) -> Vec<LogHead> {
        self.logs.values().map(Log::head).collect()
    }

    /// Makes a decided group durable and hands it on.
    pub(crate) fn write(&mut self, pending: Pending, view: SyncedView<I>) -> Result<(), Fatal> {
        let Pending { mut fold, leaves, records, erases } = pending;
        if leaves.is_empty() {
            return Ok(());
        }
        let manifest = Manifest {
            heads: self.heads(),
            records: records.iter().map(|record| RecordSum::of(record.name, &record.bytes)).collect(),
            erases,
        };
        self.records.write(&records, &view, &mut fold.rows)?;
        self.records.forget(&manifest.erases, &view, &mut fold.rows)?;
        drop(view);
        let (names, events): (Vec<LogName>, Vec<Vec<u8>>) =
            leaves.into_iter().map(|leaf| (leaf.log, leaf.bytes)).unzip();
        let appended = self.journal.append(&events, &self.previous, &manifest.encode());
        let place = appended.map_err(|error| Fatal::disk("writing the journal", io::Error::other(error)))?;
        self.sync()?;
        // Durable from here on. A crash now leaves a group that nobody was told of; it stands.
        let checkpoints = self.grow(&names, &events)?;
        tables::put_group(&mut fold.rows, &GroupRow::new(place, &checkpoints));
        self.unsettled.extend(manifest.erases.iter().filter_map(erased_body));
        self.projection.push(SyncedGroup { rows: fold.rows, next_sequence: fold.next, heads: self.heads() });
        self.publish(checkpoints);
        Ok(())
    }

    /// Syncs spool and journal, at the same time where the disk can.
    fn sync(&mut self) -> Result<(), Fatal> {
        let mut files = self.records.unsynced();
        files.extend(self.journal.unsynced());
        self.disk.sync_all(&files).map_err(|error| Fatal::disk("syncing journal and spool", error))?;
        drop(files);
        self.records.confirm_sync();
        self.journal.confirm_sync();
        Ok(())
    }

    /// Appends the leaves of a durable group to their logs and signs each log that grew.
    fn grow(&mut self, names: &[LogName], leaves: &[Vec<u8>]) -> Result<BTreeMap<LogName, SignedCheckpoint>, Fatal> {
        let mut nodes: BTreeMap<LogName, Vec<(u8, u64, Digest)>> = BTreeMap::new();
        for (name, bytes) in names.iter().zip(leaves) {
            if let Some(log) = self.logs.get_mut(name) {
                let nodes = nodes.entry(*name).or_default();
                log.frontier.push(leaf_hash(bytes), |level, index, hash| nodes.push((level, index, hash)));
            }
        }
        for (name, nodes) in &nodes {
            // Not synced: what a crash loses here is computed again from the journal.
            self.levels.write(*name, nodes).map_err(|error| Fatal::disk("writing level files", error))?;
        }
        let grown = self.logs.iter().filter(|(name, _)| nodes.contains_key(name));
        Ok(grown.map(|(name, log)| (*name, log.sign())).collect())
    }

    /// Shows the checkpoints of the newest group to readers and keeps them for the next group's header.
    fn publish(&mut self, checkpoints: BTreeMap<LogName, SignedCheckpoint>) {
        self.previous = log_notes(&checkpoints);
        self.newest.write().unwrap_or_else(PoisonError::into_inner).extend(checkpoints);
    }

    fn settle_now(&mut self) -> Result<(), Fatal> {
        for body in core::mem::take(&mut self.unsettled) {
            self.bodies.remove(&body).map_err(|error| Fatal::disk("removing a body", error))?;
        }
        let view = self.projection.view();
        let moved = self.records.compact(&view)?;
        drop(view);
        self.relocate(moved)?;
        self.projection.settle();
        Ok(())
    }

    /// Tells views where records lie now, then removes the segments that they have left.
    fn relocate(&mut self, moved: Moved) -> Result<(), Fatal> {
        if !moved.rows.is_empty() {
            let (rows, next_sequence) = (moved.rows, self.journal.next());
            self.projection.push(SyncedGroup { rows, next_sequence, heads: self.heads() });
        }
        self.records.unlink(&moved.emptied)
    }
}

/// A group that is decided and not yet written.
pub(crate) struct Pending {
    pub fold: Fold,
    pub leaves: Vec<Leaf>,
    pub records: Vec<Record>,
    pub erases: Vec<Erase>,
}

pub(crate) fn log_notes(checkpoints: &BTreeMap<LogName, SignedCheckpoint>) -> Vec<LogNote> {
    checkpoints.iter().map(|(log, signed)| LogNote { log: *log, note: signed.note().to_owned() }).collect()
}

pub(crate) fn erased_body(erase: &Erase) -> Option<BodyName> {
    match erase {
        Erase::Body(name) => Some(*name),
        Erase::Record(_) => None,
    }
}
