use core::ops::ControlFlow;

use super::*;
use crate::index::{MemoryIndex, MemoryPlace, Tally};
use crate::limits::SNAPSHOT_LATE_BYTES_MAX;

fn rows(writes: &[(&[u8], Option<&[u8]>)]) -> Rows {
    let mut rows = Rows::default();
    for (key, value) in writes {
        match value {
            Some(value) => rows.put(key.to_vec(), value.to_vec()),
            None => rows.remove(key.to_vec()),
        }
    }
    rows
}

fn all(view: &impl View, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut seen = Vec::new();
    view.scan(from, to, &mut |key, value| {
        seen.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    seen
}

fn projection() -> (MemoryPlace, Arc<Projection<MemoryIndex>>) {
    let place = MemoryPlace::default();
    let index = MemoryIndex::open(&place).unwrap();
    (place, Arc::new(Projection::new(index, Trust::empty((1, 1)))))
}

fn group(number: u64, writes: &[(&[u8], Option<&[u8]>)]) -> SyncedGroup {
    SyncedGroup { rows: rows(writes), next_sequence: number, heads: Vec::new() }
}

#[test]
fn layers_agree_with_the_same_writes_in_a_map() {
    use proptest::prelude::*;
    let key = proptest::collection::vec(0u8..4, 1..3);
    let write = (key.clone(), proptest::option::of(proptest::collection::vec(0u8..3, 0..2)));
    let layer = proptest::collection::vec(write, 0..8);
    let case = (proptest::collection::vec(layer, 1..5), key.clone(), key, 0usize..6);
    proptest!(|((layers, from, to, limit) in case)| {
        let mut model = BTreeMap::new();
        let layers: Vec<Rows> = layers.into_iter().map(|writes| {
            let mut rows = Rows::default();
            for (key, value) in writes {
                match value {
                    Some(value) => { model.insert(key.clone(), value.clone()); rows.put(key, value); }
                    None => { model.remove(&key); rows.remove(key); }
                }
            }
            rows
        }).collect();
        let index = MemoryIndex::open(&MemoryPlace::default()).unwrap();
        let (base, over) = layers.split_first().unwrap();
        index.write(&base.writes(), None).unwrap();
        let view = Layers::new(&index, over);
        let mut seen = Vec::new();
        view.scan(&from, &to, &mut |key, value| {
            seen.push((key.to_vec(), value.to_vec()));
            if seen.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }).unwrap();
        let expected: Vec<_> = model.iter().filter(|(key, _)| **key >= from && **key < to)
            .take(limit + 1).map(|(k, v)| (k.clone(), v.clone())).collect();
        prop_assert_eq!(seen, expected);
        for (key, value) in &model {
            prop_assert_eq!(view.row(key).unwrap(), Some(value.clone()));
        }
    });
}

#[test]
fn view_sees_its_groups_and_none_later() {
    let (place, projection) = projection();
    projection.push(group(1, &[(&[40], Some(b"a"))]));
    let view = projection.view();
    projection.push(group(2, &[(&[40], Some(b"b")), (&[41], Some(b"b"))]));
    projection.settle();
    assert_eq!(projection.apply(), Ok(Applied::Groups(1)));
    assert_eq!(projection.apply(), Ok(Applied::Held));
    assert_eq!(all(&view, &[1], &[255]), [(vec![40], b"a".to_vec())]);
    assert_eq!(all(&projection.view(), &[1], &[255]).len(), 2);
    drop(view);
    assert_eq!(projection.apply(), Ok(Applied::Groups(1)));
    assert_eq!(projection.apply(), Ok(Applied::None));
    assert_eq!(place.rows().get(&vec![41]), Some(&b"b".to_vec()));
}

#[test]
fn trust_row_follows_the_rows() {
    let (place, projection) = projection();
    projection.push(group(1, &[(&[40], Some(b"a")), (&[41], Some(b"a"))]));
    projection.push(group(5, &[(&[40], None), (&[41], Some(b"b")), (&[42], None)]));
    assert_eq!(projection.apply(), Ok(Applied::Held), "not settled yet");
    projection.settle();
    while let Applied::Groups(_) = projection.apply().unwrap() {}
    let index = MemoryIndex::open(&place).unwrap();
    let trust = Trust::read(&index).unwrap().unwrap();
    assert_eq!(trust.applied, 5);
    assert_eq!(trust.tally, Tally::scan(&index).unwrap());
    assert_eq!((trust.tally.rows, trust.tally.bytes), (1, 2));
}

#[test]
fn committer_makes_room_itself_if_nobody_else_applies() {
    let (_, projection) = projection();
    for number in 0..3 * INDEX_LAG_GROUPS_MAX as u64 {
        projection.make_room().unwrap();
        assert!(projection.lag() < INDEX_LAG_GROUPS_MAX);
        projection.push(group(number, &[]));
        projection.settle();
    }
}

#[test]
fn committer_waits_at_the_lag_limit_until_the_view_goes() {
    let (_, projection) = projection();
    let (taken, view_is_taken) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let reader = {
        let projection = Arc::clone(&projection);
        std::thread::spawn(move || {
            let view = projection.view();
            taken.send(()).unwrap();
            may_go.recv().unwrap();
            projection.waiting().views.len() + usize::from(all(&view, &[1], &[255]).is_empty())
        })
    };
    view_is_taken.recv().unwrap();
    for number in 0..INDEX_LAG_GROUPS_MAX as u64 {
        projection.make_room().unwrap();
        projection.push(group(number, &[(&[40], Some(b"a"))]));
        projection.settle();
    }
    assert_eq!(projection.apply(), Ok(Applied::Held));
    go.send(()).unwrap();
    projection.make_room().unwrap();
    assert!(projection.lag() < INDEX_LAG_GROUPS_MAX);
    assert_eq!(reader.join().unwrap(), 2, "one view, which saw nothing of what came after it");
}

#[test]
fn applier_applies_what_waits_and_ends_when_closed() {
    let (place, projection) = projection();
    let applier = Arc::clone(&projection);
    let applier = std::thread::spawn(move || applier.run());
    for number in 1..50u8 {
        projection.make_room().unwrap();
        projection.push(group(number.into(), &[(&[40, number], Some(b"a"))]));
        projection.settle();
    }
    projection.close();
    assert_eq!(applier.join().unwrap(), Ok(()));
    assert_eq!((projection.lag(), place.rows().len()), (0, 50));
}

#[test]
fn applier_that_is_closed_waits_for_no_group_that_nobody_settles() {
    let (place, projection) = projection();
    projection.push(group(1, &[(&[40, 1], Some(b"a"))]));
    projection.settle();
    projection.push(group(2, &[(&[40, 2], Some(b"a"))]));
    projection.close();
    let (tell, told) = std::sync::mpsc::channel();
    let applier = Arc::clone(&projection);
    std::thread::spawn(move || tell.send(applier.run()));
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(60)), Ok(Ok(())), "it ends");
    assert_eq!((projection.lag(), place.rows().len()), (1, 2), "a row, the trust row, and nothing of the second group");
}

#[derive(Debug)]
struct Broken;

impl View for Broken {
    fn row(&self, _: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable::Damaged("broken".to_owned()))
    }
    fn scan(&self, _: &[u8], _: &[u8], _: &mut Visit<'_>) -> Result<(), Unreadable> {
        Err(Unreadable::Damaged("broken".to_owned()))
    }
}

impl Index for Broken {
    type Place = ();
    fn open((): &()) -> Result<Self, Unreadable> {
        Ok(Self)
    }
    fn set_aside((): &()) -> Result<(), Unreadable> {
        Ok(())
    }
    fn drop_aside((): &()) -> Result<bool, Unreadable> {
        Ok(false)
    }
    fn write(&self, _: &Writes<'_>, _: Option<&mut Trust>) -> Result<(), Unreadable> {
        Err(Unreadable::Damaged("broken".to_owned()))
    }
    fn persist(&self) -> Result<(), Unreadable> {
        Err(Unreadable::Damaged("broken".to_owned()))
    }
    fn size_on_disk(&self) -> u64 {
        0
    }
}

#[test]
fn failed_index_tells_applier_and_committer() {
    let projection = Arc::new(Projection::new(Broken, Trust::empty((1, 1))));
    projection.push(group(1, &[(&[40], Some(b"a"))]));
    projection.settle();
    assert!(projection.run().is_err());
    assert!(projection.make_room().is_err());
    assert!(projection.apply().is_err(), "and is not tried again");
}

/// What a copy gave: its rows with the late writes over them.
fn whole(mut rows: BTreeMap<Vec<u8>, Vec<u8>>, late: &Late) -> BTreeMap<Vec<u8>, Vec<u8>> {
    for (key, value) in late.sorted() {
        match value {
            Some(value) => drop(rows.insert(key.to_vec(), value.to_vec())),
            None => drop(rows.remove(key)),
        }
    }
    rows
}

#[test]
fn copy_is_the_index_as_of_its_end_whatever_was_written_meanwhile() {
    use proptest::prelude::*;
    let key = proptest::collection::vec(1u8..5, 1..3);
    let write = (key, proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3)));
    let writes = proptest::collection::vec(write, 0..6);
    // A stretch of so many bytes, then a group.
    let steps = proptest::collection::vec((1usize..12, writes), 1..24);
    proptest!(|(steps in steps)| {
        let (place, projection) = projection();
        let mut number = 0;
        let mut apply = |writes: &[(Vec<u8>, Option<Vec<u8>>)]| {
            number += 1;
            let writes: Vec<_> = writes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
            projection.push(group(number, &writes));
            projection.settle();
            assert_eq!(projection.apply(), Ok(Applied::Groups(1)));
        };
        let (before, after) = steps.split_at(steps.len() / 2);
        before.iter().for_each(|(_, writes)| apply(writes));
        projection.begin_copy();
        let mut copied = BTreeMap::new();
        let mut groups = after.iter().chain(before).cycle();
        loop {
            let (bytes, writes) = groups.next().unwrap();
            let mut take = |key: &[u8], value: &[u8]| {
                assert!(copied.insert(key.to_vec(), value.to_vec()).is_none(), "each row once");
            };
            match projection.copy_next(*bytes, &mut take).unwrap() {
                Copied::Part => apply(writes),
                Copied::Overtaken => panic!("little was written"),
                Copied::All { late, trust } => {
                    let mut rows = place.rows();
                    rows.remove(&[0][..]);
                    prop_assert_eq!(whole(copied, &late), rows);
                    prop_assert_eq!(trust, projection.trust());
                    break;
                }
            }
        }
    });
}

#[test]
fn copy_that_is_overtaken_gives_up() {
    let (_, projection) = projection();
    let write = |number: u64, value: &[u8]| {
        projection.push(group(number, &[(&[40], Some(value)), (&[60], Some(value))]));
        projection.settle();
        assert_eq!(projection.apply(), Ok(Applied::Groups(1)));
    };
    write(1, b"a");
    projection.begin_copy();
    assert!(matches!(projection.copy_next(1, &mut |_, _| {}).unwrap(), Copied::Part));
    let large = vec![7; crate::state::ROW_MAX];
    let groups = (SNAPSHOT_LATE_BYTES_MAX / large.len()) as u64 + 1;
    (2..2 + groups).for_each(|number| write(number, &large));
    assert!(matches!(projection.copy_next(1, &mut |_, _| {}).unwrap(), Copied::Overtaken));
    // Nothing more is kept for it.
    assert!(matches!(projection.copy_next(1, &mut |_, _| {}).unwrap(), Copied::Overtaken));
}
