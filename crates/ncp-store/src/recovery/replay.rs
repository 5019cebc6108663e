//! Folding the journal into the index: the code of the live path, over what the journal says instead of what a core
//! decides.

use std::collections::{BTreeMap, BTreeSet};

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
use crate::limits::REPLAY_BATCH_EVENTS;
use crate::overlay::Layers;
use crate::spool::{BodyName, Place, RecordName};
use crate::state::{Core, Erase, Rows};
use crate::tables::{self, GroupRow, Manifest};

/// A replay on its way.
pub(super) struct Replay<'a, C: Core, D: Disk, I: Index> {
    core: &'a C,
    base: Base<I>,
    levels: &'a Levels<D>,
    finder: &'a mut Finder<D>,
    // Rows of groups that are not in the index yet.
    rows: Rows,
    next: u64,
    // Events since the last write to the index.
    batched: u64,
    events: u64,
    // Records that a group names and the spool lacks: lost, unless a later group lets them go or brings them again.
    lost: BTreeSet<RecordName>,
    // Bodies that the newest group lets go.
    unsettled: Vec<BodyName>,
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
        let next = base.trust.applied;
        Self {
            core,
            base,
            levels,
            finder,
            rows: Rows::default(),
            next,
            batched: 0,
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
            if self.batched >= REPLAY_BATCH_EVENTS {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// What stands now; all rows are in the index.
    pub(super) fn finish(mut self) -> Result<Done<I>, OpenError> {
        self.flush()?;
        let Base { index, trust, logs, previous } = self.base;
        let Self { unsettled, events, lost, .. } = self;
        Ok(Done { index, trust, logs, previous, unsettled, events, lost })
    }

    fn group(&mut self, group: &Group) -> Result<(), OpenError> {
        let sequence = group.place.first;
        let contradiction = |what| Err(OpenError::Contradiction { sequence, what });
        let manifest = manifest(group)?;
        if manifest.heads != self.base.logs.values().map(Log::head).collect::<Vec<_>>() {
            return contradiction("the logs before it are not what it found");
        }
        if group.previous != self.base.previous {
            return contradiction("the checkpoints before it are not what it names");
        }
        let mut rows = self.fold(group)?;
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
        let checkpoints = self.grow(group)?;
        tables::put_group(&mut rows, &GroupRow::new(group.place, &checkpoints));
        self.base.previous = log_notes(&checkpoints);
        self.rows.absorb(rows);
        self.next = group.place.next();
        self.batched += u64::from(group.place.count);
        self.events += u64::from(group.place.count);
        Ok(())
    }

    fn fold(&self, group: &Group) -> Result<Rows, OpenError> {
        let sizes = self.base.logs.iter().map(|(name, log)| (*name, log.frontier.size())).collect();
        let mut fold = Fold::new(group.place.first, sizes);
        let view = Layers::new(&self.base.index, [&self.rows]);
        for bytes in &group.events {
            let Ok(event) = Event::decode(bytes) else {
                return Err(OpenError::Contradiction { sequence: fold.next, what: "it is no event" });
            };
            self.check_log(&event)?;
            fold.apply(self.core, &view, &event)?;
        }
        Ok(fold.rows)
    }

    /// Whether the event belongs to a log of this daemon, and opens it under the daemon's key.
    fn check_log(&self, event: &Event) -> Result<(), OpenError> {
        let log = self.base.logs.get(&event.log).ok_or(OpenError::OtherLog(event.log))?;
        if let Change::LogOpened { origin, key, .. } = &event.change
            && (*origin != log.origin || *key != log.key.verifying_key().id())
        {
            return Err(OpenError::OtherLog(event.log));
        }
        Ok(())
    }

    fn grow(&mut self, group: &Group) -> Result<BTreeMap<LogName, SignedCheckpoint>, OpenError> {
        let mut nodes: BTreeMap<LogName, Vec<(u8, u64, Digest)>> = BTreeMap::new();
        for bytes in &group.events {
            let Ok(Event { log: name, .. }) = Event::decode(bytes) else { continue };
            let Some(log) = self.base.logs.get_mut(&name) else { continue };
            let nodes = nodes.entry(name).or_default();
            log.frontier.push(leaf_hash(bytes), |level, index, hash| nodes.push((level, index, hash)));
        }
        for (name, nodes) in &nodes {
            self.levels.write(*name, nodes).map_err(OpenError::disk("writing level files"))?;
        }
        Ok(self
            .base
            .logs
            .iter()
            .filter(|(name, _)| nodes.contains_key(name))
            .map(|(n, log)| (*n, log.sign()))
            .collect())
    }

    fn flush(&mut self) -> Result<(), OpenError> {
        if self.next == self.base.trust.applied {
            return Ok(());
        }
        self.base.trust.applied = self.next;
        self.base.trust.heads = self.base.logs.values().map(Log::head).collect();
        self.base.trust.advance(&self.base.index, core::mem::take(&mut self.rows))?;
        self.batched = 0;
        Ok(())
    }
}

fn manifest(group: &Group) -> Result<Manifest, OpenError> {
    let malformed = OpenError::Contradiction { sequence: group.place.first, what: "its manifest is malformed" };
    Manifest::decode(&group.manifest).map_err(|_| malformed)
}

fn bodies(erases: &[Erase]) -> Vec<BodyName> {
    erases.iter().filter_map(erased_body).collect()
}
