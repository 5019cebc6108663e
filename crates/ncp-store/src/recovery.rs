//! How a store starts: from nothing, after a clean stop, or after a crash.
//!
//! Recovery runs the code of the normal path: the same fold, the same leaves, the same checkpoints. It keeps whole groups.
//! Only the last group can be torn, or lack the records it rests on, and only if it starts at or beyond what the file
//! `signed` says is durable; it goes to `corrupt/`. Any other damage stops the start and says where: nothing good is
//! deleted, and what cannot be read is never taken for absent. Whatever lies beyond `signed` is copied to new files and
//! synced before anything is decided, because what calls see may be in memory alone.
//!
//! The index is trusted if its trust row agrees with the journal and with a full scan of the rows; otherwise it is set
//! aside and built anew, from the newest good snapshot and the groups behind it, or from the whole journal. Level files are
//! checked at their edge and computed again if that is wrong.
//!
//! Every start reads the closed segments too. Damage wholly below the newest good snapshot costs the events there, whose
//! evidence cannot be read any more, and nothing else: the start says so loudly and goes on.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::codec::DecodeError;
use ncp_protocol::event::{Actor, Change, Event};
use ncp_protocol::ids::{LogName, LogOrigin, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::merkle::{self, Frontier};

use crate::ahead::Ahead;
use crate::bodies::Bodies;
use crate::disk::Disk;
use crate::engine::draft::{Draft, erased_record};
use crate::engine::records::Records;
use crate::engine::{Engine, Fatal, Log, Newest};
use crate::index::{Index, Trust};
use crate::journal::{
    self, Gap, Group, GroupPlace, Journal, JournalError, JournalOptions, JournalReader, LogNote, Position, Scan, Tail,
};
use crate::levels::Levels;
use crate::limits::LOSSES_MAX;
use crate::losses::{Loss, Losses};
use crate::overlay::Projection;
use crate::signed::{Signed, SignedState};
use crate::snapshot::{self, Summary, Taker};
use crate::spool::{Class, Place, RecordName, Spool, SpoolOptions};
use crate::state::{Core, Rows, Unreadable};
use crate::tables::{self, Manifest, RecordSum, STORE_SCHEMA};

mod error;
mod finder;
mod replay;
mod trust;
mod unused;

pub use error::OpenError;
use finder::Finder;
use replay::{Done, Replay};
use trust::Ground;

/// A log that the daemon keeps, with the key that signs its checkpoints.
#[derive(Debug, Clone)]
pub struct LogKey {
    /// Its name; [`LogOrigin::log`] is the name of events.
    pub origin: LogOrigin,
    /// Its key.
    pub key: SigningKey,
    /// Random, for the salt of the log's first event if this start writes it.
    pub salt: [u8; 16],
}

/// How an engine opens.
#[derive(Debug, Clone)]
pub struct EngineOptions<P> {
    /// Where the index lives.
    pub index: P,
    /// The daemon's logs.
    pub logs: Vec<LogKey>,
    /// Now, for the first event of a log if this start writes it.
    pub now: UnixMillis,
    /// How the journal writes.
    pub journal: JournalOptions,
    /// How the spool writes.
    pub spool: SpoolOptions,
}

/// What a start did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// A torn last group was moved to `corrupt/`: where it lay.
    pub torn: Option<Position>,
    /// The index was built anew, for this reason.
    pub rebuilt: Option<String>,
    /// The index was loaded from the snapshot of this sequence.
    pub loaded: Option<u64>,
    /// Snapshots, by their sequence, that were not good and moved to `corrupt/`.
    pub snapshots_rejected: Vec<u64>,
    /// Damage of the journal below the newest good snapshot: events there cannot be read any more.
    pub gaps: Vec<Gap>,
    /// Events that were folded into the index.
    pub replayed: u64,
    /// Level files of these logs were computed again.
    pub levels_rebuilt: Vec<LogName>,
    /// Records that events rest on and the spool lacks: whatever needs one of them fails, all else goes on.
    pub lost: Vec<RecordName>,
    /// Stretches of the journal that should be zero and are not: the disk decays.
    pub stains: Vec<Position>,
}

/// An engine that is ready, and the file that keeps its newest checkpoints.
pub struct Opened<C: Core, D: Disk, I: Index> {
    /// The engine.
    pub engine: Engine<C, D, I>,
    /// For the task that writes `signed`.
    pub signed: Signed<D>,
    /// What the start did.
    pub report: OpenReport,
}

impl<C: Core, D: Disk, I: Index> fmt::Debug for Opened<C, D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("engine", &self.engine).field("report", &self.report).finish_non_exhaustive()
    }
}

/// Opens a store on `disk`, mending what a crash left.
///
/// # Errors
/// [`OpenError`].
///
/// # Panics
/// If two of the logs have one name.
pub fn open<C: Core, D: Disk, I: Index>(
    disk: D,
    core: C,
    options: EngineOptions<I::Place>,
) -> Result<Opened<C, D, I>, OpenError> {
    let mut report = OpenReport::default();
    let names: Vec<LogName> = options.logs.iter().map(|log| log.origin.log).collect();
    unused::check(&disk, &names)?;
    let (mut signed, state) = Signed::open(disk.clone())?;
    if state.is_none() {
        journal::create(&disk).map_err(OpenError::disk("creating the journal"))?;
    }
    let durable = state.as_ref().map_or(0, |state| state.next);
    let ahead = Ahead::new(disk.clone());
    let mut spool = Spool::open(disk.clone(), ahead.clone(), options.spool).map_err(OpenError::Spool)?;
    let mut finder = Finder::new(spool.reader());
    let scan = mend(&disk, durable, &mut spool, &mut finder, &mut report)?;
    report.stains.clone_from(&scan.stains);
    report.gaps = journal::gaps(&disk, durable).map_err(OpenError::disk("reading the journal"))?;

    let levels = Levels::open(disk.clone()).map_err(OpenError::disk("opening level files"))?;
    let reader = JournalReader::new(disk.clone());
    let logs = own_logs(&options.logs);
    let gaps = report.gaps.clone();
    let ground = Ground {
        disk: &disk,
        journal: &reader,
        levels: &levels,
        schema: (STORE_SCHEMA, core.schema()),
        logs: &logs,
        next: scan.next,
        gaps: &gaps,
    };
    let done = fold_in_room::<C, D, I>(&core, &options.index, &ground, state.as_ref(), &mut finder, &mut report)?;
    let records = Records::open(spool, &done.index)?;
    let journal = Journal::open(disk.clone(), ahead.clone(), options.journal, &scan)?;
    let bodies = Bodies::open(disk.clone()).map_err(OpenError::disk("opening bodies"))?;
    let projection = Arc::new(Projection::new(done.index, done.trust));
    snapshot::clean(&disk).map_err(OpenError::disk("removing unfinished snapshots"))?;
    let taker = Taker {
        disk: disk.clone(),
        levels: levels.clone(),
        projection: Arc::clone(&projection),
        logs: done.logs.values().map(|log| (log.origin, log.key.verifying_key().id())).collect(),
        segment_len: options.journal.segment_len,
    };
    let mut engine = Engine {
        core: Arc::new(core),
        disk,
        ahead,
        journal,
        records,
        levels,
        bodies,
        projection,
        taker,
        newest: newest(&done.logs),
        logs: done.logs,
        previous: done.previous,
        gaps: gaps.into(),
        losses: Losses::new(report.lost.iter().copied().map(Loss::Record)),
        unsettled: done.unsettled,
        poisoned: false,
    };
    engine.bury_dead()?;
    engine.apply()?;
    engine.open_logs(&options)?;
    engine.write_signed(&mut signed)?;
    Ok(Opened { engine, signed, report })
}

/// The checkpoint of each log that has events.
fn newest(logs: &BTreeMap<LogName, Log>) -> Newest {
    let grown = logs.iter().filter(|(_, log)| log.frontier.size() > 0);
    Arc::new(RwLock::new(grown.map(|(name, log)| (*name, log.sign())).collect()))
}

/// Folds; where there is no room for the index, once more without the one that was set aside: nothing else here makes room.
fn fold_in_room<C: Core, D: Disk, I: Index>(
    core: &C,
    place: &I::Place,
    ground: &Ground<'_, D>,
    state: Option<&SignedState>,
    finder: &mut Finder<D>,
    report: &mut OpenReport,
) -> Result<Done<I>, OpenError> {
    let found = report.clone();
    let folded = fold(core, place, ground, state, finder, report);
    if !matches!(folded, Err(OpenError::Index(Unreadable::NoRoom))) || !I::drop_aside(place)? {
        return folded;
    }
    tracing::warn!("the disk is full: an index that was set aside is removed");
    *report = found;
    fold(core, place, ground, state, finder, report)
}

/// Brings the index to the journal's end, and holds what stands there against what was signed.
fn fold<C: Core, D: Disk, I: Index>(
    core: &C,
    place: &I::Place,
    ground: &Ground<'_, D>,
    state: Option<&SignedState>,
    finder: &mut Finder<D>,
    report: &mut OpenReport,
) -> Result<Done<I>, OpenError> {
    let start = trust::open_index::<D, I>(place, ground)?;
    report.rebuilt = start.rebuilt;
    report.loaded = start.loaded;
    report.snapshots_rejected = start.rejected;
    report.levels_rebuilt = start.levels_rebuilt;
    let mut replay = Replay::new(core, start.base, ground.levels, finder);
    replay.run(ground.journal, ground.next)?;
    let mut done = replay.finish()?;
    report.replayed = done.events;
    let mut lost = find_moved(&done.index, &mut done.trust, finder)?;
    lost.append(&mut done.lost);
    if let Some(first) = lost.first().copied().filter(|_| lost.len() > LOSSES_MAX) {
        return Err(OpenError::RecordsLost { first, count: lost.len() });
    }
    report.lost = lost.into_iter().collect();
    let mended = check_signed(state, &done.logs, ground, start.anchor.as_ref())?;
    report.levels_rebuilt.extend(mended);
    Ok(done)
}

fn own_logs(keys: &[LogKey]) -> BTreeMap<LogName, Log> {
    let log =
        |LogKey { origin, key, .. }: &LogKey| Log { origin: *origin, key: key.clone(), frontier: Frontier::new() };
    let logs: BTreeMap<_, _> = keys.iter().map(|log_key| (log_key.origin.log, log(log_key))).collect();
    assert!(logs.len() == keys.len(), "two logs have one name");
    logs
}

/// A group beyond what was durable for certain.
struct Beyond {
    place: GroupPlace,
    manifest: Manifest,
}

/// Finds the journal's end, cuts what is torn, and copies what may be in memory alone to the disk.
fn mend<D: Disk>(
    disk: &D,
    durable: u64,
    spool: &mut Spool<D>,
    finder: &mut Finder<D>,
    report: &mut OpenReport,
) -> Result<Scan, OpenError> {
    let mut beyond = Vec::new();
    let mut scan = journal::scan(disk, durable, &mut |group: Group| {
        if group.place.next() > durable {
            beyond.push((group.place, Manifest::decode(&group.manifest)));
        }
    })?;
    let mut beyond = beyond.into_iter().map(Beyond::read).collect::<Result<Vec<_>, _>>()?;
    match scan.tail {
        Tail::Damaged(at) => return Err(JournalError::Damaged(at).into()),
        Tail::Whole | Tail::Torn(_) if scan.next < durable => {
            return Err(OpenError::JournalShort { has: scan.next, signed: durable });
        }
        Tail::Torn(at) => report.torn = Some(at),
        Tail::Whole => {
            // The last group was synced beside its records: it may be here and they not.
            if let Some(last) = beyond.last().filter(|last| last.place.first >= durable)
                && lacks_record(&last.manifest, finder)?
            {
                report.torn = Some(last.place.position());
                scan = journal::cut(disk, &scan, last.place.first)?;
                beyond.pop();
            }
        }
    }
    let mut segments = places(&beyond, finder)?;
    segments.extend(finder.sound_ends()?);
    for (class, number) in segments {
        spool.renew(class, number).map_err(OpenError::spool)?;
    }
    // Also if nothing lies beyond: the last segment may be one whose name never reached the disk.
    Ok(journal::renew(disk, &scan, durable)?)
}

impl Beyond {
    fn read((place, manifest): (GroupPlace, Result<Manifest, DecodeError>)) -> Result<Self, OpenError> {
        let malformed = OpenError::Contradiction { sequence: place.first, what: "its manifest is malformed" };
        Ok(Self { place, manifest: manifest.map_err(|_| malformed)? })
    }
}

/// Whether the spool lacks a record that a group brought and did not let go of itself.
fn lacks_record<D: Disk>(manifest: &Manifest, finder: &mut Finder<D>) -> Result<bool, OpenError> {
    let erased: BTreeSet<RecordName> = manifest.erases.iter().filter_map(erased_record).collect();
    for sum in manifest.records.iter().filter(|sum| !erased.contains(&sum.name)) {
        if finder.find(sum)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The segments in which the records lie that these groups rest on. What a group lets go of need not be there, unless a later
/// one brings it again; what is not found is lost, which the fold tells.
fn places<D: Disk>(groups: &[Beyond], finder: &mut Finder<D>) -> Result<BTreeSet<(Class, u32)>, OpenError> {
    let mut living: BTreeMap<RecordName, &RecordSum> = BTreeMap::new();
    for Beyond { manifest, .. } in groups {
        living.extend(manifest.records.iter().map(|sum| (sum.name, sum)));
        for erased in manifest.erases.iter().filter_map(erased_record) {
            living.remove(&erased);
        }
    }
    let mut segments = BTreeSet::new();
    for (name, sum) in living {
        if let Some(place) = finder.find(sum)? {
            segments.insert((Class::of(name.kind), place.segment));
        }
    }
    Ok(segments)
}

/// Finds the records whose segment is gone: compaction moved them, and the index did not learn of it in time. Returns those
/// that are lost: their segment was taken, or an earlier start did not find them either.
fn find_moved<D: Disk, I: Index>(
    index: &I,
    trust: &mut Trust,
    finder: &mut Finder<D>,
) -> Result<BTreeSet<RecordName>, OpenError> {
    let mut there = BTreeSet::new();
    for class in Class::ALL {
        there.extend(finder.segments(class)?.into_iter().map(|segment| (class, segment)));
    }
    let mut missing = Vec::new();
    tables::records(index, |name, place| {
        if !there.contains(&(Class::of(name.kind), place.segment)) {
            missing.push((name, place));
        }
    })?;
    let (mut rows, mut lost) = (Rows::default(), BTreeSet::new());
    for (name, place) in missing {
        let moved = finder.find_moved(name, place.length)?;
        if moved.is_none() {
            lost.insert(name);
        }
        let now = moved.unwrap_or(Place::lost(place.length));
        if now != place {
            tables::put_record(&mut rows, name, now);
        }
    }
    if !rows.is_empty() {
        index.write(&rows.writes(), Some(trust))?;
    }
    Ok(lost)
}

/// Holds what was signed and durable against what the journal says now. Returns the logs whose level files had lost a node
/// below their edge, which a power cut does to files that are not synced, and were computed again.
fn check_signed<D: Disk>(
    state: Option<&SignedState>,
    logs: &BTreeMap<LogName, Log>,
    ground: &Ground<'_, D>,
    anchor: Option<&Summary>,
) -> Result<Vec<LogName>, OpenError> {
    let mut mended = Vec::new();
    for LogNote { log: name, note } in state.map_or(&[][..], |state| &state.notes) {
        let log = logs.get(name).ok_or(OpenError::OtherLog(*name))?;
        let signed = SignedCheckpoint::open(note, &log.origin, &log.key.verifying_key());
        let signed = signed.map_err(|_| OpenError::OtherLog(*name))?;
        let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
        let stands =
            || size <= log.frontier.size() && merkle::root(&ground.levels.nodes(*name), size).ok() == Some(root);
        if stands() {
            continue;
        }
        if ground.gaps.is_empty() {
            ground.compute_levels(*name, ground.next)?;
            mended.push(*name);
        }
        // The nodes below the edge of a snapshot may be lost with the journal there.
        let is_lost = anchor.and_then(|anchor| anchor.edge(*name)).is_some_and(|edge| size < edge.size);
        if !is_lost && !stands() {
            return Err(OpenError::Forked { log: *name, size });
        }
    }
    Ok(mended)
}

impl<C: Core, D: Disk, I: Index> Engine<C, D, I> {
    /// Finds what compaction left behind: dead records in segments of keys, and segments in which little lives.
    fn bury_dead(&mut self) -> Result<(), OpenError> {
        let view = self.projection.view();
        self.records.find_stale(&view)?;
        Ok(())
    }

    /// Writes the first event of each log that has none.
    fn open_logs<P>(&mut self, options: &EngineOptions<P>) -> Result<(), Fatal> {
        self.guarded(|engine| {
            let view = engine.projection.view();
            let core = Arc::clone(&engine.core);
            let mut draft = Draft::new(core.as_ref(), &view, engine.fold());
            for LogKey { origin, key, salt } in &options.logs {
                if tables::log(&view, origin.log)?.is_none() {
                    let change = Change::LogOpened { origin: *origin, key: key.verifying_key().id(), previous: None };
                    let (log, time, salt) = (origin.log, options.now, *salt);
                    draft.add_event(&Event { log, time, actor: Actor::Daemon, salt, change })?;
                }
            }
            let (pending, _) = draft.finish();
            engine.write(pending, view)
        })?;
        self.apply()
    }
}
