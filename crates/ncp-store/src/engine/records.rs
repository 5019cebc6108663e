//! The engine's side of the spool: which records live, where they lie, which segments are worth emptying.
//!
//! A record lives as long as its row does. Erasing removes the row with the group, and the bytes behind it: the living of
//! the segment are copied forward and synced, views learn the new places, the segment is unlinked. A crash before the
//! unlink leaves two copies of the living and one of the dead; the next start empties the segment again.

use std::collections::{BTreeMap, BTreeSet};

use super::Fatal;
use crate::disk::Disk;
use crate::overlay::Layers;
use crate::spool::{Class, Place, ReadError, Record, RecordName, Spool, SpoolReader};
use crate::state::{Erase, Rows, Unreadable, View};
use crate::tables;

/// A segment of the spool.
pub(crate) type Segment = (Class, u32);

/// The spool with what is known of its records.
pub(crate) struct Records<D: Disk> {
    spool: Spool<D>,
    // Bytes of living records.
    live: BTreeMap<Segment, u64>,
    // Segments that hold something dead.
    stale: BTreeSet<Segment>,
}

/// What emptying segments did.
#[derive(Default)]
pub(crate) struct Moved {
    /// The new places.
    pub rows: Rows,
    /// Segments in which nothing lives any more.
    pub emptied: Vec<Segment>,
}

impl<D: Disk> Records<D> {
    /// Takes stock of the living.
    pub(crate) fn open(spool: Spool<D>, view: &dyn View) -> Result<Self, Unreadable> {
        let mut live: BTreeMap<Segment, u64> = BTreeMap::new();
        tables::records(view, |name, place| {
            if !place.is_lost() {
                *live.entry(segment(name, place)).or_default() += bytes(place);
            }
        })?;
        Ok(Self { spool, live, stale: BTreeSet::new() })
    }

    pub(crate) fn reader(&self) -> SpoolReader<D> {
        self.spool.reader()
    }

    pub(crate) fn unsynced(&self) -> Vec<&D::File> {
        self.spool.unsynced()
    }

    pub(crate) fn confirm_sync(&mut self) {
        self.spool.confirm_sync();
    }

    /// Finds segments worth emptying that a crash made us forget: keys that are dead and still there, and segments in
    /// which little lives.
    pub(crate) fn find_stale(&mut self, view: &dyn View) -> Result<(), Fatal> {
        let reader = self.spool.reader();
        for class in Class::ALL {
            for number in reader.segments(class).map_err(|error| Fatal::disk("listing the spool", error))? {
                if class != Class::Erasable || self.holds_dead(number, view)? {
                    self.stale.insert((class, number));
                }
            }
        }
        Ok(())
    }

    fn holds_dead(&self, number: u32, view: &dyn View) -> Result<bool, Fatal> {
        let mut dead = false;
        let mut failed = None;
        let mut look = |name: RecordName, place: Place, _| match tables::record(view, name) {
            Ok(row) => dead |= row != Some(place),
            Err(error) => failed = Some(error),
        };
        let scanned = self.spool.reader().scan(Class::Erasable, number, &mut look);
        scanned.map_err(|error| Fatal::disk("reading the spool", error))?;
        failed.map_or(Ok(dead), |error| Err(error.into()))
    }

    /// Writes records and their places. The same name with the same bytes is there already.
    pub(crate) fn write(&mut self, records: &[Record], base: &dyn View, rows: &mut Rows) -> Result<(), Fatal> {
        for record in records {
            let known = tables::record(&Layers::new(base, [&*rows]), record.name)?;
            if let Some(place) = known {
                if self.holds(record, place)? {
                    continue;
                }
                // The daemon sealed something afresh under its old name: the newer stands.
                self.bury(record.name, place);
            }
            let place = self.spool.append(record).map_err(|error| Fatal::disk("writing the spool", error))?;
            *self.live.entry(segment(record.name, place)).or_default() += bytes(place);
            tables::put_record(rows, record.name, place);
        }
        Ok(())
    }

    fn holds(&self, record: &Record, place: Place) -> Result<bool, Fatal> {
        // Written in this very group: then it lies in memory's cache, and reading it is as good.
        match self.spool.reader().read(&record.name, &place) {
            Ok(held) => Ok(held == record.bytes),
            // What is damaged comes again: now it lies elsewhere, whole.
            Err(ReadError::Damaged(_) | ReadError::Gone(_)) => Ok(false),
            Err(error @ ReadError::Io(_)) => Err(Fatal::disk("reading the spool", error)),
        }
    }

    /// Removes the rows of what a group lets go of.
    pub(crate) fn forget(&mut self, erases: &[Erase], base: &dyn View, rows: &mut Rows) -> Result<(), Unreadable> {
        for erase in erases {
            let Erase::Record(name) = erase else { continue };
            if let Some(place) = tables::record(&Layers::new(base, [&*rows]), *name)? {
                self.bury(*name, place);
                tables::remove_record(rows, *name);
            }
        }
        Ok(())
    }

    fn bury(&mut self, name: RecordName, place: Place) {
        if place.is_lost() {
            return;
        }
        let segment = segment(name, place);
        if let Some(live) = self.live.get_mut(&segment) {
            *live = live.saturating_sub(bytes(place));
        }
        self.stale.insert(segment);
    }

    /// Copies the living out of segments that are worth it, and syncs the copies.
    pub(crate) fn compact(&mut self, view: &dyn View) -> Result<Moved, Fatal> {
        let mut moved = Moved::default();
        for segment in self.stale.clone() {
            if self.is_worth_emptying(segment) {
                self.empty(segment, view, &mut moved)?;
                self.stale.remove(&segment);
            }
        }
        if !moved.rows.is_empty() {
            self.spool.sync().map_err(|error| Fatal::disk("syncing the spool", error))?;
        }
        Ok(moved)
    }

    /// Content keys go at once. Others when little of their segment lives and nothing more is written to it.
    fn is_worth_emptying(&self, (class, number): Segment) -> bool {
        let live = self.live.get(&(class, number)).copied().unwrap_or(0);
        match class {
            Class::Erasable => true,
            Class::Passing | Class::Lasting => {
                !self.spool.is_open(class, number) && live <= u64::from(self.spool.segment_len(class)) / 4
            }
        }
    }

    fn empty(&mut self, from: Segment, view: &dyn View, moved: &mut Moved) -> Result<(), Fatal> {
        let mut living = Vec::new();
        let mut failed = None;
        let mut keep = |name: RecordName, place: Place, _| match tables::record(view, name) {
            Ok(row) if row == Some(place) => living.push((name, place)),
            Ok(_) => {}
            Err(error) => failed = Some(error),
        };
        let (class, number) = from;
        self.spool.seal(class, number).map_err(|error| Fatal::disk("closing a segment", error))?;
        let scanned = self.spool.reader().scan(class, number, &mut keep);
        scanned.map_err(|error| Fatal::disk("reading the spool", error))?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let kept: u64 = living.iter().map(|(_, place)| bytes(*place)).sum();
        if kept != self.live.get(&from).copied().unwrap_or(0) {
            // Something that lives cannot be read: what is unreadable is never removed.
            tracing::error!(?class, number, "a spool segment is damaged and is kept");
            return Ok(());
        }
        let places = self.spool.copy_forward(&living).map_err(|error| Fatal::disk("copying records", error))?;
        for ((name, _), place) in living.into_iter().zip(places) {
            *self.live.entry(segment(name, place)).or_default() += bytes(place);
            tables::put_record(&mut moved.rows, name, place);
        }
        self.live.remove(&from);
        moved.emptied.push(from);
        Ok(())
    }

    /// Unlinks segments in which nothing lives.
    pub(crate) fn unlink(&mut self, segments: &[Segment]) -> Result<(), Fatal> {
        for (class, number) in segments {
            self.spool.unlink(*class, *number).map_err(|error| Fatal::disk("removing a segment", error))?;
        }
        Ok(())
    }
}

fn segment(name: RecordName, place: Place) -> Segment {
    (Class::of(name.kind), place.segment)
}

fn bytes(place: Place) -> u64 {
    u64::from(place.length)
}
