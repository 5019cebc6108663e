//! A group while it is decided: pure but for the view that it reads.

use std::collections::BTreeMap;

use ncp_protocol::event::{Change, Event};
use ncp_protocol::ids::LogName;
use ncp_protocol::limits::EVENT_MAX;

use super::{Committed, Outcome, Pending};
use crate::limits::{
    DECISION_ERASES_MAX, DECISION_EVENTS_MAX, DECISION_RECORDS_MAX, GROUP_BYTES_SOFT, GROUP_COMMANDS_MAX,
};
use crate::overlay::Layers;
use crate::spool::{Record, RecordName};
use crate::state::{Core, Decision, Erase, FIRST_CORE_TABLE, Placed, Rows, Unreadable, View};
use crate::tables::{self, LeafRow, LogRow, MANIFEST_ENTRIES_SOFT};

/// An encoded event and its leaf index.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub log: LogName,
    pub bytes: Vec<u8>,
}

/// Folds events of one group into rows: the live path and recovery alike.
#[derive(Debug)]
pub(crate) struct Fold {
    /// Sequence of the group's first event.
    pub first: u64,
    /// Sequence of the next event.
    pub next: u64,
    /// Number of leaves of each log.
    pub sizes: BTreeMap<LogName, u64>,
    /// What the events changed so far.
    pub rows: Rows,
}

impl Fold {
    pub(crate) fn new(first: u64, sizes: BTreeMap<LogName, u64>) -> Self {
        Self { first, next: first, sizes, rows: Rows::default() }
    }

    /// Applies the next event; returns its log and index.
    ///
    /// # Panics
    /// If a core names a log that the daemon does not have or writes to the store's own tables: bugs of ours.
    pub(crate) fn apply<C: Core>(
        &mut self,
        core: &C,
        base: &dyn View,
        event: &Event,
    ) -> Result<(LogName, u64), Unreadable> {
        let Some(size) = self.sizes.get_mut(&event.log) else {
            panic!("an event names the log {}, which this daemon does not keep", event.log);
        };
        let placed = Placed { sequence: self.next, index: *size, event };
        let mut rows = Rows::default();
        core.apply(&Layers::new(base, [&self.rows]), placed, &mut rows)?;
        let foreign = rows.iter().any(|(key, _)| key.first().is_none_or(|table| *table < FIRST_CORE_TABLE));
        assert!(!foreign, "a core wrote to a table of the store");
        tables::put_leaf(&mut rows, event.log, *size, LeafRow { sequence: self.next, group: self.first });
        if let Change::LogOpened { origin, key, .. } = &event.change {
            tables::put_log(&mut rows, event.log, &LogRow { origin: *origin, key: *key });
        }
        self.rows.absorb(rows);
        *size += 1;
        self.next += 1;
        Ok((event.log, placed.index))
    }
}

/// Commands decided so far.
pub(crate) struct Draft<'a, C: Core> {
    core: &'a C,
    view: &'a dyn View,
    fold: Fold,
    leaves: Vec<Leaf>,
    records: Vec<Record>,
    erases: Vec<Erase>,
    outcomes: Vec<Outcome<C>>,
    bytes: usize,
}

impl<'a, C: Core> Draft<'a, C> {
    pub(crate) fn new(core: &'a C, view: &'a dyn View, fold: Fold) -> Self {
        Self {
            core,
            view,
            fold,
            leaves: Vec::new(),
            records: Vec::new(),
            erases: Vec::new(),
            outcomes: Vec::new(),
            bytes: 0,
        }
    }

    /// Whether the group takes another command: it can still hold the largest decision.
    pub(crate) fn has_room(&self) -> bool {
        self.outcomes.len() < GROUP_COMMANDS_MAX
            && self.bytes < GROUP_BYTES_SOFT
            && self.records.len() + self.erases.len() < MANIFEST_ENTRIES_SOFT
    }

    /// Decides a command on all that was decided before it, and applies what it decides.
    pub(crate) fn decide(&mut self, command: C::Command) -> Result<(), Unreadable> {
        let decision = self.core.decide(&Layers::new(self.view, [&self.fold.rows]), command)?;
        self.take(decision)
    }

    /// Adds events of the store's own.
    pub(crate) fn add_event(&mut self, event: &Event) -> Result<(LogName, u64), Unreadable> {
        let bytes = event.encode();
        assert!(bytes.len() <= EVENT_MAX, "an event is longer than its limit");
        let place = self.fold.apply(self.core, self.view, event)?;
        self.bytes += bytes.len();
        self.leaves.push(Leaf { log: event.log, bytes });
        Ok(place)
    }

    /// What was decided.
    pub(crate) fn finish(self) -> (Pending, Vec<Outcome<C>>) {
        let Self { fold, leaves, records, erases, outcomes, .. } = self;
        (Pending { fold, leaves, records, erases }, outcomes)
    }

    fn take(&mut self, decision: Decision<C::Reply, C::Effect>) -> Result<(), Unreadable> {
        let Decision { events, records, erase, reply, effects } = decision;
        assert!(
            events.len() <= DECISION_EVENTS_MAX
                && records.len() <= DECISION_RECORDS_MAX
                && erase.len() <= DECISION_ERASES_MAX,
            "a decision is larger than its limits"
        );
        assert!(
            !events.is_empty() || (records.is_empty() && erase.is_empty()),
            "nothing is kept or let go without event"
        );
        let places = events.iter().map(|event| self.add_event(event)).collect::<Result<_, _>>()?;
        self.bytes += records.iter().map(|record| record.bytes.len()).sum::<usize>();
        // A name that comes back within the group is not let go; one that comes and goes is.
        self.erases.retain(|old| !records.iter().any(|record| erased_record(old) == Some(record.name)));
        self.records.extend(records);
        self.erases.extend(erase);
        self.outcomes.push(Outcome { committed: Committed { reply, places }, effects });
        Ok(())
    }
}

/// The record that an erasure lets go.
pub(crate) fn erased_record(erase: &Erase) -> Option<RecordName> {
    match erase {
        Erase::Record(name) => Some(*name),
        Erase::Body(_) => None,
    }
}
