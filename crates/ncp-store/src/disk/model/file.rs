//! Content of a file of the model: durable units, and the versions that were written since.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes that reach the disk together.
const UNIT: u64 = 512;

type Unit = [u8; 512];
const ZEROS: Unit = [0; 512];
const _: () = assert!(ZEROS.len() as u64 == UNIT);

/// Who decides what survives a power cut.
pub(super) enum Fate {
    Lost,
    Kept,
    /// State of a splitmix64 generator (Steele, Lea, Flood 2014), and of a hundred pending units how many are not the newest.
    Seeded {
        state: u64,
        damaged_percent: u64,
    },
}

impl Fate {
    pub(super) fn seeded(seed: u64) -> Self {
        Self::Seeded { state: seed, damaged_percent: 50 + seed % 51 }
    }

    /// Chooses among `0..=pending`: 0 is what was durable, `pending` the newest version.
    pub(super) fn choose(&mut self, pending: usize) -> usize {
        match self {
            Self::Lost => 0,
            Self::Kept => pending,
            Self::Seeded { state, damaged_percent } => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut word = *state;
                word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                word ^= word >> 31;
                let is_newest = word % 100 >= *damaged_percent;
                let older = usize::try_from((word / 100).checked_rem(pending as u64).unwrap_or_default());
                if is_newest { pending } else { older.unwrap_or_default() }
            }
        }
    }
}

/// A file. Units that no map names are zeros.
#[derive(Clone, Default)]
pub(super) struct Content {
    len: u64,
    durable_len: u64,
    durable: BTreeMap<u64, Unit>,
    // Versions since the last sync, oldest first; the last is what reads see.
    pending: BTreeMap<u64, Vec<Unit>>,
    // Units whose write-back failed: no sync promotes them until they are written again.
    doomed: BTreeSet<u64>,
    doomed_len: bool,
    flipped: BTreeSet<u64>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn unit(&self, number: u64) -> &Unit {
        let pending = self.pending.get(&number).and_then(|versions| versions.last());
        pending.or_else(|| self.durable.get(&number)).unwrap_or(&ZEROS)
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let end = self.len.min(offset + buffer.len() as u64);
        let wanted = usize::try_from(end.saturating_sub(offset)).unwrap_or(0);
        if let Some(buffer) = buffer.get_mut(..wanted) {
            buffer.fill(0);
            let (first, behind) = (offset / UNIT, end.max(offset).div_ceil(UNIT));
            let pending = self.pending.range(first..behind).filter_map(|(n, versions)| Some((n, versions.last()?)));
            // Newer over older: what is pending comes second.
            for (number, unit) in self.durable.range(first..behind).chain(pending) {
                overlay(buffer, offset, unit, number * UNIT);
            }
        }
        for bit in self.flipped.range(offset * 8..end.max(offset) * 8) {
            let place = usize::try_from(bit / 8 - offset).unwrap_or(usize::MAX);
            if let Some(byte) = buffer.get_mut(place) {
                *byte ^= 1 << (bit % 8);
            }
        }
        wanted
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        for (place, number, part) in parts(offset, bytes.len()) {
            let mut unit = *self.unit(number);
            let new = bytes.get(place..place + part.len()).unwrap_or_default();
            if let Some(slot) = unit.get_mut(part) {
                slot.copy_from_slice(new);
            }
            self.put(number, unit);
        }
        let end = offset + bytes.len() as u64;
        self.flipped.retain(|bit| !(offset..end).contains(&(bit / 8)));
        self.raise_len(self.len.max(end));
    }

    fn put(&mut self, number: u64, unit: Unit) {
        self.pending.entry(number).or_default().push(unit);
        self.doomed.remove(&number);
    }

    fn raise_len(&mut self, len: u64) {
        if len != self.len {
            self.len = len;
            self.doomed_len = false;
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let last = len / UNIT;
            let behind: BTreeSet<u64> = self
                .durable
                .range(last..)
                .map(|(n, _)| *n)
                .chain(self.pending.range(last..).map(|(n, _)| *n))
                .collect();
            for number in behind {
                let mut unit = *self.unit(number);
                let kept = usize::try_from(len.saturating_sub(number * UNIT)).unwrap_or(0).min(unit.len());
                if let Some(cut) = unit.get_mut(kept..) {
                    cut.fill(0);
                }
                self.put(number, unit);
            }
            self.flipped.retain(|bit| bit / 8 < len);
        }
        self.raise_len(len);
    }

    pub(super) fn sync(&mut self) {
        let doomed = &self.doomed;
        let durable = &mut self.durable;
        self.pending.retain(|number, versions| {
            if doomed.contains(number) {
                return true;
            }
            durable.extend(versions.last().map(|unit| (*number, *unit)));
            false
        });
        if !self.doomed_len {
            self.durable_len = self.len;
        }
    }

    /// Whether a power cut may change anything.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty() || !self.doomed.is_empty() || self.doomed_len || self.len != self.durable_len
    }

    pub(super) fn is_flipped(&self) -> bool {
        !self.flipped.is_empty()
    }

    /// A sync failed: what it was to promote stays readable and is promoted by no later one.
    pub(super) fn doom(&mut self) {
        self.doomed.extend(self.pending.keys());
        self.doomed_len = self.len != self.durable_len;
    }

    pub(super) fn cut(&mut self, fate: &mut Fate) {
        for (number, versions) in std::mem::take(&mut self.pending) {
            if let Some(chosen) = fate.choose(versions.len()).checked_sub(1) {
                self.durable.extend(versions.get(chosen).map(|unit| (number, *unit)));
            }
        }
        if self.len != self.durable_len && fate.choose(1) == 0 {
            self.len = self.durable_len;
            self.durable.retain(|number, _| *number < self.len.div_ceil(UNIT));
            // What the last unit holds behind the end is not part of the file and reads as zeros if it grows again.
            if let Some(unit) = self.durable.get_mut(&(self.len / UNIT)) {
                let kept = usize::try_from(self.len % UNIT).unwrap_or(0);
                unit.iter_mut().skip(kept).for_each(|byte| *byte = 0);
            }
        }
        self.durable_len = self.len;
        self.doomed.clear();
        self.doomed_len = false;
    }

    pub(super) fn flip(&mut self, bit: u64) {
        if !self.flipped.remove(&bit) {
            self.flipped.insert(bit);
        }
    }

    pub(super) fn heal(&mut self) {
        self.flipped.clear();
    }
}

/// Copies what `unit`, which begins at `unit_offset`, shares with `buffer`, which begins at `offset`.
fn overlay(buffer: &mut [u8], offset: u64, unit: &Unit, unit_offset: u64) {
    let skip = usize::try_from(offset.saturating_sub(unit_offset)).unwrap_or(usize::MAX);
    let place = usize::try_from(unit_offset.saturating_sub(offset)).unwrap_or(usize::MAX);
    let shared = unit.get(skip..).unwrap_or_default();
    let len = shared.len().min(buffer.len().saturating_sub(place));
    if let (Some(slots), Some(shared)) = (buffer.get_mut(place..place.saturating_add(len)), shared.get(..len)) {
        slots.copy_from_slice(shared);
    }
}

/// Cuts `len` bytes at `offset` into units: place in the buffer, number of the unit, range within it.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (usize, u64, std::ops::Range<usize>)> {
    let mut place = 0;
    std::iter::from_fn(move || {
        if place >= len {
            return None;
        }
        let at = offset + place as u64;
        let within = usize::try_from(at % UNIT).unwrap_or(0);
        let part = within..(within + len - place).min(ZEROS.len());
        let item = (place, at / UNIT, part.clone());
        place += part.len();
        Some(item)
    })
}
