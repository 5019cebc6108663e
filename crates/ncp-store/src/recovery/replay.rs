//! Folding the journal into the index: the code of the live path, over what the journal says instead of what a core
//! decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::event::{Change, Event};
use ncp_protocol::ids::{Digest, LogName};
use ncp_protocol::merkle::leaf_hash;

use super::OpenError;
use super::finder::Finder;
use super::trust::Base;
use crate::disk::Disk;
use crate::engine::draft::Fold;
use crate::engine::{Log, erased_body, log_notes};
use crate::index::{Index, Trust};
use crate::journal::{Group, JournalReader, LogNote};
use crate::levels::Levels;
use crate::limits::{REPLAY_BATCH_BYTES, REPLAY_BATCH_EVENTS};
use crate::overlay::Layers;
use crate::spool::{BodyName, Place, RecordName};
use crate::state::{Core, Erase, Rows, Unreadable};
use crate::tables::{self, GroupRow, Manifest};

/// A replay on its way. Rows are written by a thread of their own while the next ones are folded.
pub(super) struct Replay<'a, C: Core, D: Disk, I: Index> {
    core: &'a C,
    index: Arc<I>,
    trust: Trust,
    logs: BTreeMap<LogName, Log>,
    previous: Vec<LogNote>,
    writing: Option<Writing>,
    levels: &'a Levels<D>,
    finder: &'a mut Finder<D>,
    // Rows of groups that are not in the index yet.
    rows: Rows,
    next: u64,
    // Events since the last write to the index.
    batched: u64,
    // Their bytes in the journal.
    bytes: u64,
    events: u64,
    // Records that a group names and the spool lacks: lost, unless a later group lets them go or brings them again.
    lost: BTreeSet<RecordName>,
    // Bodies that the newest group lets go.
    unsettled: Vec<BodyName>,
}

/// Rows on their way to the index, and the trust row that it will have.
struct Writing {
    rows: Arc<Rows>,
    // None once it was waited for.
    thread: Option<JoinHandle<Result<Trust, Unreadable>>>,
}

impl Writing {
    fn wait(&mut self) -> Option<Result<Trust, Unreadable>> {
        self.thread.take().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for Writing {
    /// A replay that fails leaves nobody who writes behind.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What a replay leaves.
pub(super) struct Done<I> {
    pub index: I,
    pub trust: Trust,
    pub logs: BTreeMap<LogName, Log>,
    pub previous: Vec<LogNote>,
    pub unsettled: Vec<BodyName>,
    pub events: u64,
    pub lost: BTreeSet<RecordName>,
}

impl<'a, C: Core, D: Disk, I: Index> Replay<'a, C, D, I> {
    pub(super) fn new(core: &'a C, base: Base<I>, levels: &'a Levels<D>, finder: &'a mut Finder<D>) -> Self {
        let Base { index, trust, logs, previous } = base;
        let next = trust.applied;
        Self {
            core,
            index: Arc::new(index),
            trust,
            logs,
            previous,
            writing: None,
            levels,
            finder,
            rows: Rows::default(),
            next,
            batched: 0,
            bytes: 0,
            events: 0,
            lost: BTreeSet::new(),
            unsettled: Vec::new(),
        }
    }

    /// Folds all groups up to sequence `until`.
    pub(super) fn run(&mut self, journal: &JournalReader<D>, until: u64) -> Result<(), OpenError> {
        // The newest group may have let go of bodies that still lie there, also if the index holds it.
        if let Some(last) = until.checked_sub(1).filter(|_| self.next == until)
            && let Some(group) = journal.groups(last, until).next().transpose()?
        {
            self.unsettled = bodies(&manifest(&group)?.erases);
        }
        for group in journal.groups(self.next, until) {
            self.group(&group?)?;
            if self.batched >= REPLAY_BATCH_EVENTS || self.bytes >= REPLAY_BATCH_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// What stands now; all rows are in the index.
    pub(super) fn finish(mut self) -> Result<Done<I>, OpenError> {
        self.flush()?;
        self.written()?;
        let Self { index, trust, logs, previous, unsettled, events, lost, .. } = self;
        let Some(index) = Arc::into_inner(index) else { unreachable!("the thread that wrote to the index has ended") };
        Ok(Done { index, trust, logs, previous, unsettled, events, lost })
    }

    fn group(&mut self, group: &Group) -> Result<(), OpenError> {
        let sequence = group.place.first;
        let contradiction = |what| Err(OpenError::Contradiction { sequence, what });
        let manifest = manifest(group)?;
        if manifest.heads != self.logs.values().map(Log::head).collect::<Vec<_>>() {
            return contradiction("the logs before it are not what it found");
        }
        if group.previous != self.previous {
            return contradiction("the checkpoints before it are not what it names");
        }
        let events = decoded(group)?;
        let mut rows = self.fold(group, &events)?;
        for sum in &manifest.records {
            let place = self.finder.find(sum)?;
            match place {
                Some(_) => self.lost.remove(&sum.name),
                None => self.lost.insert(sum.name),
            };
            // One record costs the one answer that needs it. Its row stays: what is lost is never taken for absent.
            tables::put_record(&mut rows, sum.name, place.unwrap_or(Place::lost(sum.len)));
        }
        for erase in &manifest.erases {
            if let Erase::Record(name) = erase {
                self.lost.remove(name);
                tables::remove_record(&mut rows, *name);
            }
        }
        self.unsettled = bodies(&manifest.erases);
        let checkpoints = self.grow(group, &events)?;
        tables::put_group(&mut rows, &GroupRow::new(group.place, &checkpoints));
        self.previous = log_notes(&checkpoints);
        self.rows.absorb(rows);
        self.next = group.place.next();
        self.batched += u64::from(group.place.count);
        self.bytes += u64::from(group.place.length);
        self.events += u64::from(group.place.count);
        Ok(())
    }

    fn fold(&self, group: &Group, events: &[Event]) -> Result<Rows, OpenError> {
        let sizes = self.logs.iter().map(|(name, log)| (*name, log.frontier.size())).collect();
        let mut fold = Fold::new(group.place.first, sizes);
        let writing = self.writing.as_ref().map(|writing| &*writing.rows);
        let view = Layers::new(&*self.index, writing.into_iter().chain([&self.rows]));
        for event in events {
            self.check_log(event)?;
            fold.apply(self.core, &view, event)?;
        }
        Ok(fold.rows)
    }

    /// Whether the event belongs to a log of this daemon, and opens it under the daemon's key.
    fn check_log(&self, event: &Event) -> Result<(), OpenError> {
        let log = self.logs.get(&event.log).ok_or(OpenError::OtherLog(event.log))?;
        if let Change::LogOpened { origin, key, .. } = &event.change
            && (*origin != log.origin || *key != log.key.verifying_key().id())
        {
            return Err(OpenError::OtherLog(event.log));
        }
        Ok(())
    }

    fn grow(&mut self, group: &Group, events: &[Event]) -> Result<BTreeMap<LogName, SignedCheckpoint>, OpenError> {
        let mut nodes: BTreeMap<LogName, Vec<(u8, u64, Digest)>> = BTreeMap::new();
        for (bytes, Event { log: name, .. }) in group.events.iter().zip(events) {
            let Some(log) = self.logs.get_mut(name) else { continue };
            let nodes = nodes.entry(*name).or_default();
            log.frontier.push(leaf_hash(bytes), |level, index, hash| nodes.push((level, index, hash)));
        }
        for (name, nodes) in &nodes {
            self.levels.write(*name, nodes).map_err(OpenError::disk("writing level files"))?;
        }
        let grown = self.logs.iter().filter(|(name, _)| nodes.contains_key(name));
        Ok(grown.map(|(name, log)| (*name, log.sign())).collect())
    }

    /// Begins to write what is folded, once what is on its way is written.
    fn flush(&mut self) -> Result<(), OpenError> {
        self.written()?;
        if self.next == self.trust.applied {
            return Ok(());
        }
        let (index, rows) = (Arc::clone(&self.index), Arc::new(core::mem::take(&mut self.rows)));
        let heads = self.logs.values().map(Log::head).collect();
        let mut trust = Trust { applied: self.next, heads, ..self.trust.clone() };
        let writes = Arc::clone(&rows);
        let write = move || {
            index.write(&writes.writes(), Some(&mut trust))?;
            index.persist()?;
            Ok(trust)
        };
        let thread = thread::Builder::new().name("replay".to_owned()).spawn(write);
        let thread = thread.map_err(|error| Unreadable::Damaged(format!("no thread to write it: {error}")))?;
        self.writing = Some(Writing { rows, thread: Some(thread) });
        (self.batched, self.bytes) = (0, 0);
        Ok(())
    }

    /// Waits until what is on its way is in the index.
    fn written(&mut self) -> Result<(), OpenError> {
        let written = self.writing.as_mut().and_then(Writing::wait);
        self.writing = None;
        if let Some(trust) = written {
            self.trust = trust?;
        }
        Ok(())
    }
}

fn decoded(group: &Group) -> Result<Vec<Event>, OpenError> {
    let event = |(sequence, bytes): (u64, &Vec<u8>)| {
        Event::decode(bytes).map_err(|_| OpenError::Contradiction { sequence, what: "it is no event" })
    };
    (group.place.first..).zip(&group.events).map(event).collect()
}

fn manifest(group: &Group) -> Result<Manifest, OpenError> {
    let malformed = OpenError::Contradiction { sequence: group.place.first, what: "its manifest is malformed" };
    Manifest::decode(&group.manifest).map_err(|_| malformed)
}

fn bodies(erases: &[Erase]) -> Vec<BodyName> {
    erases.iter().filter_map(erased_body).collect()
}
