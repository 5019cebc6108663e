//! Finds records by name and content, without an index: reads the spool from its newest segments backwards, and no
//! further than it must.

use std::collections::BTreeMap;

use super::OpenError;
use crate::disk::Disk;
use crate::spool::{Class, Place, RecordName, SpoolReader};
use crate::tables::RecordSum;

/// Places of records, as far as the spool was read.
pub(super) struct Finder<D: Disk> {
    spool: SpoolReader<D>,
    // Segments of each class not read yet; the newest is the last.
    unread: BTreeMap<Class, Vec<u32>>,
    // All places of a name with the CRC-32C of what lies there, the newest segment's first.
    found: BTreeMap<RecordName, Vec<(Place, u32)>>,
}

impl<D: Disk> Finder<D> {
    pub(super) fn new(spool: SpoolReader<D>) -> Self {
        Self { spool, unread: BTreeMap::new(), found: BTreeMap::new() }
    }

    /// The segments of a class.
    pub(super) fn segments(&self, class: Class) -> Result<Vec<u32>, OpenError> {
        self.spool.segments(class).map_err(OpenError::spool)
    }

    /// The newest segment of each class, unless it is damaged: more will be appended to it, and neither its name nor its
    /// length need have reached the disk. To a damaged one nothing is appended, and it is left as it is.
    pub(super) fn sound_ends(&self) -> Result<Vec<(Class, u32)>, OpenError> {
        let mut ends = Vec::new();
        for class in Class::ALL {
            if let Some(newest) = self.segments(class)?.pop()
                && self.spool.scan(class, newest, &mut |_, _, _| {}).map_err(OpenError::spool)?.is_empty()
            {
                ends.push((class, newest));
            }
        }
        Ok(ends)
    }

    /// The newest whole record of this name and content.
    pub(super) fn find(&mut self, sum: &RecordSum) -> Result<Option<Place>, OpenError> {
        self.newest(sum.name, |place, crc| (place.length, crc) == (sum.len, sum.crc))
    }

    /// The newest whole record of this name and length: for a record that moved while the index did not learn of it.
    pub(super) fn find_moved(&mut self, name: RecordName, length: u32) -> Result<Option<Place>, OpenError> {
        self.newest(name, |place, _| place.length == length)
    }

    fn newest(&mut self, name: RecordName, wanted: impl Fn(Place, u32) -> bool) -> Result<Option<Place>, OpenError> {
        loop {
            let places = self.found.get(&name).map_or(&[][..], Vec::as_slice);
            if let Some((place, _)) = places.iter().find(|(place, crc)| wanted(*place, *crc)) {
                return Ok(Some(*place));
            }
            if !self.read_one(Class::of(name.kind))? {
                return Ok(None);
            }
        }
    }

    fn read_one(&mut self, class: Class) -> Result<bool, OpenError> {
        let unread = match self.unread.entry(class) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(self.spool.segments(class).map_err(OpenError::spool)?)
            }
        };
        let Some(segment) = unread.pop() else { return Ok(false) };
        let mut here: BTreeMap<RecordName, Vec<(Place, u32)>> = BTreeMap::new();
        let visit = &mut |name, place, crc| here.entry(name).or_default().insert(0, (place, crc));
        // Damage is no error here: a record that is needed and not found is.
        self.spool.scan(class, segment, visit).map_err(OpenError::spool)?;
        for (name, places) in here {
            self.found.entry(name).or_default().extend(places);
        }
        Ok(true)
    }
}
