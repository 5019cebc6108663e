//! An index for which there is no room: the one that was set aside makes it, or the start is refused and loses nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Toy, add, commit, open, options, rows};
use ncp_store::disk::model::ModelDisk;
use ncp_store::index::{Index, MemoryIndex, MemoryPlace, Trust, Writes};
use ncp_store::recovery::{self, OpenError, Opened};
use ncp_store::state::{Unreadable, View, Visit};

/// Where a [`Tight`] lives.
#[derive(Clone, Default)]
struct TightPlace {
    rows: MemoryPlace,
    // An index was set aside, and takes all the room that there was.
    aside: Arc<AtomicBool>,
    // It is not the only one that does.
    full: Arc<AtomicBool>,
}

/// An index that can be written only while none is set aside.
struct Tight(MemoryIndex, TightPlace);

impl View for Tight {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        self.0.row(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        self.0.scan(from, to, visit)
    }
}

impl Index for Tight {
    type Place = TightPlace;

    fn open(place: &TightPlace) -> Result<Self, Unreadable> {
        Ok(Self(MemoryIndex::open(&place.rows)?, place.clone()))
    }

    fn set_aside(place: &TightPlace) -> Result<(), Unreadable> {
        place.aside.store(true, Ordering::SeqCst);
        MemoryIndex::set_aside(&place.rows)
    }

    fn drop_aside(place: &TightPlace) -> Result<bool, Unreadable> {
        Ok(place.aside.swap(false, Ordering::SeqCst))
    }

    fn write(&self, writes: &Writes<'_>, trust: Option<&mut Trust>) -> Result<(), Unreadable> {
        let TightPlace { aside, full, .. } = &self.1;
        let has_room = !aside.load(Ordering::SeqCst) && !full.load(Ordering::SeqCst);
        if has_room { self.0.write(writes, trust) } else { Err(Unreadable::NoRoom) }
    }

    fn persist(&self) -> Result<(), Unreadable> {
        self.0.persist()
    }

    fn size_on_disk(&self) -> u64 {
        self.0.size_on_disk()
    }
}

/// A disk with some events, and the rows that follow from them.
fn life() -> (ModelDisk, std::collections::BTreeMap<Vec<u8>, Vec<u8>>) {
    let disk = ModelDisk::new();
    let Opened { mut engine, .. } = open(&disk, &MemoryPlace::default()).unwrap();
    for salt in 0..20 {
        commit(&mut engine, &[&[add(1, b"x", salt)]]);
    }
    engine.apply().unwrap();
    let known = rows(&engine.reader().view());
    (disk, known)
}

#[test]
fn an_index_that_was_set_aside_makes_room_for_the_new_one() {
    let (disk, known) = life();
    let place = TightPlace::default();
    // A row that the journal knows nothing of: the index is distrusted and set aside.
    place.rows.replace([(vec![40, 1], vec![1])].into());
    let opened: Opened<Toy, ModelDisk, Tight> = recovery::open(disk, Toy, options(place.clone())).unwrap();
    assert!(opened.report.replayed > 0);
    assert_eq!(rows(&opened.engine.reader().view()), known);
    assert!(!place.aside.load(Ordering::SeqCst));
}

#[test]
fn without_room_the_start_is_refused_as_a_full_disk_and_loses_nothing() {
    let (disk, known) = life();
    let place = TightPlace::default();
    place.full.store(true, Ordering::SeqCst);
    let refused = recovery::open::<Toy, ModelDisk, Tight>(disk.clone(), Toy, options(place)).unwrap_err();
    assert!(matches!(refused, OpenError::Index(Unreadable::NoRoom)) && refused.is_disk_full(), "{refused:?}");
    let Opened { engine, .. } = open(&disk, &MemoryPlace::default()).unwrap();
    assert_eq!(rows(&engine.reader().view()), known);
}
