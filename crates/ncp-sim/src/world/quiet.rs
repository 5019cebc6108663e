//! Quiet points and the end: what is checked when nothing is wrong at the moment.

use std::collections::BTreeMap;

use super::{Counts, Happening, Violation, World};
use crate::check::{Ledger, settle};
use crate::machine::End;
use crate::shell::{HUB, Halt, Place};
use crate::wire::Weather;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The store's table of the trust row, and that of the places of records.
const TRUST: u8 = 0;
const RECORDS: u8 = 3;

/// How long everything may take to drain once all faults have healed. A delivery that was refused rests for half a
/// minute, a link that broke is dialled after seconds, a machine that is down starts within a minute.
const DRAIN_MS: u64 = 300_000;

impl World {
    /// Reads a machine's journal whole and holds it against what was shown of it.
    pub(super) fn audit(&mut self, place: Place) -> Result<Ledger, Halt> {
        self.counts.audits += 1;
        let reader = match place.checked_sub(1) {
            None => self.hub.machine.reader(),
            Some(node) => self.nodes.get(node).and_then(|node| node.machine.reader()),
        };
        let reader = reader.cloned().ok_or_else(|| Halt::wrong("the machine is down"))?;
        self.history.audit(place, &reader)
    }

    /// A period of calm ends: every machine that is up is checked.
    pub(super) fn quiet(&mut self) -> Result<(), Halt> {
        for place in 0..self.names.len() {
            if self.is_up(place) && !self.doomed.contains(&place) {
                self.audit(place)?;
                self.compare_index(place)?;
            }
        }
        Ok(())
    }

    /// I5: an index rebuilt from the journal equals the live one.
    fn compare_index(&mut self, place: Place) -> Result<(), Halt> {
        let now = self.moment(place).wall;
        let (live, rebuilt) = match place.checked_sub(1) {
            None => (self.hub.machine.live_rows()?, self.hub.machine.rebuilt(now)),
            Some(node) => match self.nodes.get_mut(node) {
                Some(node) => (node.machine.live_rows()?, node.machine.rebuilt(now)),
                None => return Ok(()),
            },
        };
        let rebuilt = rebuilt.map_err(|error| Halt::wrong(format_args!("I5: a rebuild stops: {error:?}")))?;
        // The newest copy of a record may stand in two places: compaction moved it, and its old segment is not yet gone.
        // So where it lies may differ; that it is there, and all else, may not. The trust row counts these rows, too.
        let comparable = |rows: Rows| -> Rows {
            let named = rows.into_iter().filter(|(key, _)| key.first() != Some(&TRUST));
            named
                .map(|(key, value)| if key.first() == Some(&RECORDS) { (key, Vec::new()) } else { (key, value) })
                .collect()
        };
        let (live, rebuilt) = (comparable(live), comparable(rebuilt));
        let differs = live
            .iter()
            .find(|(key, value)| rebuilt.get(*key) != Some(value))
            .or_else(|| rebuilt.iter().find(|(key, value)| live.get(*key) != Some(value)));
        let Some((key, _)) = differs else { return Ok(()) };
        let (has, would) = (live.get(key), rebuilt.get(key));
        Err(Halt::wrong(format_args!(
            "I5: the index of place {place} differs from a rebuilt one at {key:?}: {has:?}, rebuilt {would:?}"
        )))
    }

    /// All faults heal; everything drains; then all journals are held against each other.
    pub(super) fn wind_up(&mut self) -> Result<(), Violation> {
        self.winding_up = true;
        self.weather = Weather::FAIR;
        self.bad_starts = 0;
        for place in 0..self.names.len() {
            self.wire(place).heal();
            if self.paused.contains_key(&place) {
                self.push(0, place, Happening::Resume);
            }
            if self.doomed.contains(&place) {
                self.crash(place, End::Killed);
            }
        }
        let healed = self.now;
        let mut look = healed;
        loop {
            self.step()?;
            if self.now < look {
                continue;
            }
            look = self.now + 1_000;
            let waits = self.waits().map_err(|halt| self.violation(HUB, format!("{halt:?}")))?;
            match waits {
                None => break,
                Some(what) if self.now > healed + DRAIN_MS => {
                    return Err(self.violation(HUB, format!("I7: not drained after {} s: {what}", DRAIN_MS / 1_000)));
                }
                Some(_) => {}
            }
        }
        self.tell(HUB, &format!("drained after {} ms", self.now - healed));
        self.counts.drained_ms = self.now - healed;
        self.compare_all().map_err(|halt| self.violation(HUB, format!("{halt:?}")))
    }

    fn waits(&mut self) -> Result<Option<String>, Halt> {
        if let Some(down) = (0..self.names.len()).find(|place| !self.is_up(*place)) {
            return Ok(Some(format!("place {down} is down")));
        }
        if let Some(busy) = self.offices.iter().position(|office| !office.is_idle()) {
            return Ok(Some(format!("an officer at place {busy} waits for an answer")));
        }
        for node in &mut self.nodes {
            if let Some(what) = node.waits()? {
                return Ok(Some(what));
            }
        }
        self.hub.waits()
    }

    fn compare_all(&mut self) -> Result<(), Halt> {
        let mut ledgers = Vec::new();
        for place in 0..self.names.len() {
            ledgers.push(self.audit(place)?);
            self.compare_index(place)?;
        }
        let papers: BTreeMap<_, _> =
            self.names.iter().copied().zip(self.offices.iter().map(|office| &office.papers)).collect();
        settle(&self.names, &ledgers, &papers)?;
        let (leaves, checkpoints) = self.history.counts();
        self.counts = Counts {
            messages: self.offices.iter().map(|office| office.papers.len() as u64).sum(),
            envelopes: ledgers.first().map_or(0, |hub| hub.accepted.len() as u64),
            consigned: ledgers.iter().map(|ledger| ledger.received.len() as u64).sum(),
            shown: (leaves + checkpoints) as u64,
            ..self.counts
        };
        Ok(())
    }
}
