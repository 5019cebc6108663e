use std::collections::BTreeMap;

use super::*;
use crate::state::Rows;

mod sled;

use sled::SledIndex;

fn place(root: &std::path::Path) -> RedbPlace {
    RedbPlace { folder: root.join("index"), aside: root.join("index.old") }
}

fn put(key: &[u8], value: &[u8]) -> Rows {
    let mut rows = Rows::default();
    rows.put(key.to_vec(), value.to_vec());
    rows
}

#[test]
fn redb_sled_and_map_answer_alike() {
    use proptest::prelude::*;
    let key = proptest::collection::vec(1u8..=254, 1..3);
    let write = (key.clone(), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4)));
    let group = proptest::collection::vec(write, 0..8);
    let case = (proptest::collection::vec((group, any::<bool>()), 0..8), key.clone(), key);
    proptest!(ProptestConfig::with_cases(16), |((groups, from, to) in case)| {
        let folder = tempfile::tempdir().unwrap();
        let redb = RedbIndex::open(&place(folder.path())).unwrap();
        let sled = SledIndex::open(&folder.path().join("sled")).unwrap();
        let memory = MemoryIndex::open(&MemoryPlace::default()).unwrap();
        let mut trust = [(); 3].map(|()| Trust::empty((1, 1)));
        for (group, persisted) in groups {
            let mut rows = Rows::default();
            for (key, value) in group {
                match value {
                    Some(value) => rows.put(key, value),
                    None => rows.remove(key),
                }
            }
            let [of_redb, of_sled, of_memory] = &mut trust;
            redb.write(&rows.writes(), Some(of_redb)).unwrap();
            sled.write(&rows.writes(), Some(of_sled)).unwrap();
            memory.write(&rows.writes(), Some(of_memory)).unwrap();
            if persisted {
                redb.persist().unwrap();
            }
        }
        prop_assert_eq!(redb.row(&from).unwrap(), memory.row(&from).unwrap());
        prop_assert_eq!(sled.row(&from).unwrap(), memory.row(&from).unwrap());
        prop_assert_eq!(rows_between(&redb, &from, &to), rows_between(&memory, &from, &to));
        prop_assert_eq!(rows_between(&redb, &[], KEYS_END), rows_between(&memory, &[], KEYS_END));
        prop_assert_eq!(rows_between(&redb, &[], KEYS_END), rows_between(&sled, &[], KEYS_END));
        prop_assert_eq!(trust[0].tally, Tally::scan(&redb).unwrap());
        prop_assert!(trust[0] == trust[1] && trust[1] == trust[2]);
        // What was written and not persisted is there again after a stop in order.
        let all = rows_between(&redb, &[], KEYS_END);
        redb.persist().unwrap();
        drop(redb);
        prop_assert_eq!(rows_between(&RedbIndex::open(&place(folder.path())).unwrap(), &[], KEYS_END), all);
    });
}

fn rows_between(view: &impl View, from: &[u8], to: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut seen = BTreeMap::new();
    view.scan(from, to, &mut |key, value| {
        seen.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    seen
}

#[test]
fn a_damaged_index_is_unreadable_and_begins_anew_when_set_aside() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    std::fs::write(&place.folder, b"no folder at all").unwrap();
    assert!(RedbIndex::open(&place).is_err());
    RedbIndex::set_aside(&place).unwrap();
    RedbIndex::open(&place).unwrap().write(&put(&[40], b"a").writes(), None).unwrap();
    // A second time: what was set aside before makes room.
    RedbIndex::set_aside(&place).unwrap();
    assert_eq!(RedbIndex::open(&place).unwrap().row(&[40]), Ok(None));
}

#[test]
fn a_crash_costs_what_was_not_persisted_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let (place, copy) = (place(root.path()), root.path().join("copy"));
    let index = RedbIndex::open(&place).unwrap();
    let mut trust = Trust::empty((1, 1));
    index.write(&put(&[40], b"persisted").writes(), Some(&mut trust)).unwrap();
    index.persist().unwrap();
    let persisted = trust.clone();
    index.write(&put(&[41], b"not").writes(), Some(&mut trust)).unwrap();
    // The file as a killed process leaves it.
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(place.folder.join("rows.redb"), copy.join("rows.redb")).unwrap();
    let after = RedbIndex::open(&RedbPlace { folder: copy, aside: root.path().join("aside") }).unwrap();
    assert_eq!(Trust::read(&after).unwrap(), Some(persisted));
    assert_eq!((after.row(&[40]).unwrap(), after.row(&[41]).unwrap()), (Some(b"persisted".to_vec()), None));
}

#[test]
fn tally_of_writes_equals_tally_of_a_scan() {
    let index = MemoryIndex::open(&MemoryPlace::default()).unwrap();
    let mut trust = Trust::empty((1, 1));
    for (key, value) in [([40], b"a"), ([41], b"b"), ([40], b"c"), ([40], b"c")] {
        let rows = put(&key, value);
        index.write(&rows.writes(), Some(&mut trust)).unwrap();
        assert_eq!(trust.tally, Tally::scan(&index).unwrap());
    }
    assert_ne!(trust.tally, Tally::default());
    let mut moved = Tally::default();
    moved.add(&[40, 41], b"b");
    let mut other = Tally::default();
    other.add(&[40], b"\x29b");
    assert_ne!(moved, other, "the border of key and value counts");
}
