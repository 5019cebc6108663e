use ncp_protocol::ids::{Epoch, NetworkId};

use super::file::Writer;
use super::*;
use crate::disk::DiskFile as _;
use crate::disk::model::ModelDisk;
use crate::state::{KEY_MAX, ROW_MAX};

type Row = (Vec<u8>, Vec<u8>);

fn summary(rows: &[Row]) -> Summary {
    let mut tally = Tally::default();
    rows.iter().for_each(|(key, value)| tally.add(key, value));
    let origin = LogOrigin {
        network: NetworkId(Digest([7; 32])),
        participant: "HUB".parse().unwrap(),
        log: LogName::Traffic,
        epoch: Epoch(1),
    };
    let subtrees = vec![(1, 0, Digest([1; 32])), (0, 2, Digest([2; 32]))];
    let logs = vec![LogEdge { origin, key: KeyId(Digest([3; 32])), size: 3, subtrees }];
    let notes = vec![LogNote { log: LogName::Traffic, note: "a note\n".to_owned() }];
    Summary { applied: 3, schema: (1, 2), tally, logs, group: Digest([4; 32]), notes }
}

fn written(rows: &[Row]) -> (ModelDisk, u64) {
    let disk = ModelDisk::new();
    disk.create_dir(Path::new(FOLDER)).unwrap();
    let file = disk.open(&path(3), OpenMode::CreateNew).unwrap();
    let mut writer = Writer::new(&file);
    writer.summary(&summary(rows)).unwrap();
    rows.iter().for_each(|(key, value)| writer.row(key, value).unwrap());
    writer.finish().unwrap();
    let len = file.len().unwrap();
    (disk, len)
}

fn some_rows() -> Vec<Row> {
    vec![(vec![1], b"one".to_vec()), (vec![1, 0], Vec::new()), (vec![32; KEY_MAX], vec![9; 200])]
}

fn read(disk: &ModelDisk, applied: u64) -> Result<(Summary, Vec<Row>), LoadError> {
    let mut rows = Vec::new();
    let summary = load(&disk.open(&path(applied), OpenMode::Read).unwrap(), applied, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(())
    })?;
    Ok((summary, rows))
}

#[test]
fn what_was_written_is_read() {
    let rows = some_rows();
    let (disk, _) = written(&rows);
    assert_eq!(read(&disk, 3).unwrap(), (summary(&rows), rows));
    assert_eq!(read(&written(&[]).0, 3).unwrap().1, []);
    // More than a buffer, so that rows lie over its ends.
    let many: Vec<Row> = (1..=999u16).map(|n| (n.to_be_bytes().map(|b| b | 1).to_vec(), vec![7; ROW_MAX])).collect();
    let many: Vec<Row> = many.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect();
    assert_eq!(read(&written(&many).0, 3).unwrap().1, many);
}

#[test]
fn every_flipped_bit_is_found() {
    let (disk, len) = written(&some_rows());
    for bit in 0..len * 8 {
        disk.flip_bit(&path(3), bit).unwrap();
        assert!(matches!(read(&disk, 3), Err(LoadError::Damaged(_))), "bit {bit}");
        disk.heal();
    }
    assert!(read(&disk, 3).is_ok());
}

#[test]
fn every_other_length_is_found() {
    let (disk, len) = written(&some_rows());
    let whole = crate::disk::read_file(&disk, &path(3)).unwrap();
    for other in (0..len).chain([len + 1, len + 4_096]) {
        let mut bytes = whole.clone();
        bytes.resize(usize::try_from(other).unwrap(), 0);
        crate::disk::replace_file(&disk, &path(3), &bytes).unwrap();
        assert!(matches!(read(&disk, 3), Err(LoadError::Damaged(_))), "{other} bytes");
    }
}

#[test]
fn rows_out_of_order_or_of_another_sum_or_sequence_are_found() {
    let [one, two, three] = some_rows().try_into().unwrap();
    let (disk, _) = written(&[two.clone(), one.clone(), three.clone()]);
    assert!(matches!(read(&disk, 3), Err(LoadError::Damaged("its rows are not in order"))));
    let (disk, _) = written(&[one.clone(), one, three]);
    assert!(matches!(read(&disk, 3), Err(LoadError::Damaged("its rows are not in order"))));
    // The row by which an index is trusted is none of a snapshot's.
    let (disk, _) = written(&[(vec![0], b"trust".to_vec())]);
    assert!(matches!(read(&disk, 3), Err(LoadError::Damaged("its rows are not in order"))));
    let (disk, _) = written(&some_rows());
    disk.rename(&path(3), &path(4)).unwrap();
    assert!(matches!(read(&disk, 4), Err(LoadError::Damaged(_))), "under another name");
}

#[test]
fn any_bytes_are_refused_without_panic() {
    use proptest::prelude::*;
    let (disk, _) = written(&some_rows());
    let whole = crate::disk::read_file(&disk, &path(3)).unwrap();
    let changed = (0..whole.len(), proptest::collection::vec(any::<u8>(), 0..40));
    proptest!(|((at, bytes) in changed)| {
        let mut other = whole.clone();
        let end = (at + bytes.len()).min(other.len());
        other.splice(at..end, bytes);
        crate::disk::replace_file(&disk, &path(3), &other).unwrap();
        prop_assert_eq!(read(&disk, 3).is_ok(), other == whole);
    });
}

#[test]
fn edge_that_is_not_of_its_size_is_no_frontier() {
    let mut edge = summary(&[]).logs.remove(0);
    assert_eq!(edge.head().map(|head| head.size), Some(3));
    edge.size = 2;
    assert_eq!(edge.head(), None, "one subtree too many");
    edge.size = 7;
    assert_eq!(edge.head(), None, "one too few");
}

#[test]
fn only_names_of_snapshots_are_listed() {
    let disk = ModelDisk::new();
    assert_eq!(list(&disk).unwrap(), []);
    disk.create_dir(Path::new(FOLDER)).unwrap();
    for name in [file_name(16), file_name(9), "10.snap".to_owned(), "snapshot.new".to_owned(), "x".to_owned()] {
        disk.open(&Path::new(FOLDER).join(name), OpenMode::CreateNew).unwrap();
    }
    assert_eq!(list(&disk).unwrap(), [9, 16]);
    clean(&disk).unwrap();
    assert_eq!(disk.list(Path::new(FOLDER)).unwrap().len(), 4, "what is unfinished goes");
}
