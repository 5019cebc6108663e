use std::collections::BTreeMap;

use super::*;

fn place(root: &std::path::Path) -> SledPlace {
    SledPlace { folder: root.join("index"), aside: root.join("index.old") }
}

fn put(key: &[u8], value: &[u8]) -> Rows {
    let mut rows = Rows::default();
    rows.put(key.to_vec(), value.to_vec());
    rows
}

#[test]
fn sled_and_map_answer_alike() {
    use proptest::prelude::*;
    let key = proptest::collection::vec(any::<u8>(), 1..3);
    let write = (key.clone(), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4)));
    let group = proptest::collection::vec(write, 0..8);
    let case = (proptest::collection::vec(group, 0..8), key.clone(), key);
    proptest!(ProptestConfig::with_cases(16), |((groups, from, to) in case)| {
        let folder = tempfile::tempdir().unwrap();
        let sled = SledIndex::open(&place(folder.path())).unwrap();
        let memory = MemoryIndex::open(&MemoryPlace::default()).unwrap();
        for group in groups {
            let mut rows = Rows::default();
            for (key, value) in group {
                match value {
                    Some(value) => rows.put(key, value),
                    None => rows.remove(key),
                }
            }
            sled.write(&rows).unwrap();
            memory.write(&rows).unwrap();
        }
        prop_assert_eq!(sled.row(&from).unwrap(), memory.row(&from).unwrap());
        prop_assert_eq!(rows_between(&sled, &from, &to), rows_between(&memory, &from, &to));
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
fn damaged_sled_is_unreadable_and_begins_anew_when_set_aside() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    std::fs::write(&place.folder, b"no folder at all").unwrap();
    assert!(SledIndex::open(&place).is_err());
    SledIndex::set_aside(&place).unwrap();
    SledIndex::open(&place).unwrap().write(&put(&[40], b"a")).unwrap();
    // A second time: what was set aside before makes room.
    SledIndex::set_aside(&place).unwrap();
    assert_eq!(SledIndex::open(&place).unwrap().row(&[40]), Ok(None));
}

#[test]
fn largest_rows_stay_out_of_blobs() {
    let root = tempfile::tempdir().unwrap();
    let place = place(root.path());
    let index = SledIndex::open(&place).unwrap();
    for number in 0..400u32 {
        let mut key = vec![40; 100];
        key.extend_from_slice(&number.to_be_bytes());
        index.write(&put(&key, &[7; ROW_MAX])).unwrap();
    }
    drop(index);
    let blobs = place.folder.join("blobs");
    assert_eq!(std::fs::read_dir(blobs).map_or(0, Iterator::count), 0);
}

#[test]
fn tally_of_writes_equals_tally_of_a_scan() {
    let index = MemoryIndex::open(&MemoryPlace::default()).unwrap();
    let mut tally = Tally::default();
    for (key, value) in [([40], b"a"), ([41], b"b"), ([40], b"c"), ([40], b"c")] {
        let rows = put(&key, value);
        tally = tally.after(&index, &rows).unwrap();
        index.write(&rows).unwrap();
        assert_eq!(tally, Tally::scan(&index).unwrap());
    }
    assert_ne!(tally, Tally::default());
    let mut moved = Tally::default();
    moved.add(&[40, 41], b"b");
    let mut other = Tally::default();
    other.add(&[40], b"\x29b");
    assert_ne!(moved, other, "the border of key and value counts");
}
