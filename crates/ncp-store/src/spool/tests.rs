//! Records read back as they were written, and what is not as it was written is told.

use ncp_protocol::ids::Digest;
use proptest::prelude::*;

use super::*;
use crate::disk::RealDisk;
use crate::disk::model::{Cut, Fault, ModelDisk};

const SEGMENT_LEN: u32 = 136 << 10;
const OPTIONS: SpoolOptions = SpoolOptions { passing: SEGMENT_LEN, lasting: SEGMENT_LEN, erasable: SEGMENT_LEN };

fn record(kind: RecordKind, id: u8, len: usize) -> Record {
    let bytes = (0..len).map(|place| id ^ u8::try_from(place % 251).unwrap()).collect();
    Record { name: RecordName { kind, id: Digest([id; 32]) }, bytes }
}

fn open<D: Disk>(disk: &D) -> Spool<D> {
    Spool::open(disk.clone(), Ahead::new(disk.clone()), OPTIONS).unwrap()
}

/// Appends and syncs as one batch.
fn write<D: Disk>(spool: &mut Spool<D>, records: &[Record]) -> Vec<Place> {
    let places = records.iter().map(|record| spool.append(record).unwrap()).collect();
    spool.sync().unwrap();
    places
}

type Found = (Vec<(RecordName, Place)>, Vec<(u32, Damage)>);

/// All that a scan finds in one class, and the damage.
fn scan<D: Disk>(disk: &D, class: Class) -> Found {
    let reader = SpoolReader::new(disk.clone());
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for segment in reader.segments(class).unwrap() {
        let damage = reader.scan(class, segment, &mut |name, place, _| found.push((name, place))).unwrap();
        damaged.extend(damage.into_iter().map(|damage| (segment, damage)));
    }
    (found, damaged)
}

fn check_append_and_read<D: Disk>(disk: &D) {
    let records = [
        record(RecordKind::Envelope, 1, 3_000),
        record(RecordKind::Evidence, 2, 0),
        record(RecordKind::Body, 3, 64 << 10),
        record(RecordKind::Content, 4, 64),
        record(RecordKind::Envelope, 5, RECORD_MAX),
    ];
    let mut spool = open(disk);
    let mut places = write(&mut spool, &records[..2]);
    let mut spool = open(disk);
    places.extend(write(&mut spool, &records[2..]));
    let reader = spool.reader();
    for (record, place) in records.iter().zip(&places) {
        assert_eq!(reader.read(&record.name, place).unwrap(), record.bytes);
    }
    assert_eq!(places[4], Place { segment: 1, offset: 0, length: u32::try_from(RECORD_MAX).unwrap() });
    let passing: Vec<_> = [0, 2, 4].map(|number: usize| (records[number].name, places[number])).into();
    assert_eq!(scan(disk, Class::Passing), (passing, vec![]));
    assert_eq!(scan(disk, Class::Lasting).0, [(records[1].name, places[1])]);
    assert_eq!(scan(disk, Class::Erasable).0, [(records[3].name, places[3])]);
}

#[test]
fn records_read_back_on_the_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    check_append_and_read(&RealDisk::open(folder.path()).unwrap());
}

#[test]
fn records_read_back_on_the_model() {
    check_append_and_read(&ModelDisk::new());
}

#[test]
fn each_batch_starts_on_a_block_of_its_own() {
    let disk = ModelDisk::new();
    let mut spool = open(&disk);
    let small = |id| record(RecordKind::Evidence, id, 100);
    let first = write(&mut spool, &[small(1), small(2)]);
    let second = write(&mut spool, &[small(3)]);
    let third = write(&mut open(&disk), &[small(4)]);
    let offsets: Vec<u32> = [first, second, third].concat().iter().map(|place| place.offset).collect();
    assert_eq!(offsets, [0, 192, 4_096, 8_192]);
}

#[test]
fn synced_records_survive_and_a_torn_batch_harms_no_other() {
    let mut torn = 0;
    for seed in 0..60 {
        let disk = ModelDisk::new();
        let mut spool = open(&disk);
        let kept = record(RecordKind::Envelope, 1, 700);
        let place = write(&mut spool, std::slice::from_ref(&kept))[0];
        let lost: Vec<Record> = (2..6).map(|id| record(RecordKind::Envelope, id, 900)).collect();
        for record in &lost {
            spool.append(record).unwrap();
        }
        let disk = disk.reopen(Cut::Torn(seed));
        let mut spool = open(&disk);
        assert_eq!(spool.reader().read(&kept.name, &place).unwrap(), kept.bytes);
        let (found, damage) = scan(&disk, Class::Passing);
        for (name, place) in &found {
            let written = lost.iter().chain([&kept]).find(|record| record.name == *name).unwrap();
            assert_eq!(spool.reader().read(name, place).unwrap(), written.bytes);
        }
        torn += usize::from(!damage.is_empty());
        // What comes next goes behind everything good and never behind damage.
        let next = record(RecordKind::Envelope, 9, 10);
        let next_place = write(&mut spool, std::slice::from_ref(&next))[0];
        assert_eq!(next_place.segment == 1, !damage.is_empty());
        spool.renew(Class::Passing, 0).unwrap();
        let disk = disk.reopen(Cut::Lost);
        let (again, damage) = scan(&disk, Class::Passing);
        assert_eq!(damage, []);
        assert_eq!(again, [found, vec![(next.name, next_place)]].concat());
    }
    assert!(torn > 30, "{torn} of 60 were torn");
}

#[test]
fn a_failed_sync_stops_the_spool_and_renewal_mends_it() {
    let disk = ModelDisk::new();
    let mut spool = open(&disk);
    let record = record(RecordKind::Content, 1, 700);
    let place = spool.append(&record).unwrap();
    assert_eq!(spool.unsynced().len(), 1);
    disk.fail_at(disk.operations(), Fault::Fail);
    assert!(matches!(spool.sync(), Err(WriteError::Io(_))));
    assert!(matches!(spool.sync(), Err(WriteError::Stopped)));
    assert!(matches!(spool.append(&record), Err(WriteError::Stopped)));
    let disk = disk.reopen(Cut::Killed);
    let mut spool = open(&disk);
    spool.renew(Class::Erasable, 0).unwrap();
    let next = write(&mut spool, std::slice::from_ref(&record))[0];
    assert_eq!((next.segment, next.offset), (0, 4_096), "the newest segment goes on");
    let disk = disk.reopen(Cut::Lost);
    assert_eq!(open(&disk).reader().read(&record.name, &place).unwrap(), record.bytes);
    assert_eq!(open(&disk).reader().read(&record.name, &next).unwrap(), record.bytes);
}

#[test]
fn renewal_survives_a_stop_at_every_operation() {
    let records: Vec<Record> = (1..4).map(|id| record(RecordKind::Evidence, id, 3_000)).collect();
    for fault in [Fault::Fail, Fault::FailButPersisted, Fault::Crash] {
        for cut in [Cut::Lost, Cut::Kept, Cut::Torn(3), Cut::Killed] {
            for operation in 0..16 {
                let disk = ModelDisk::new();
                let mut spool = open(&disk);
                let places = write(&mut spool, &records);
                let damaged = disk.open(&Class::Lasting.segment_path(0), OpenMode::Write).unwrap();
                damaged.write_at(b"torn", 20 << 10).unwrap();
                damaged.sync_data().unwrap();
                disk.fail_at(disk.operations() + operation, fault);
                let renewed = spool.renew(Class::Lasting, 0).is_ok();
                let disk = disk.reopen(cut);
                let (found, damage) = scan(&disk, Class::Lasting);
                let expected: Vec<_> = records.iter().map(|record| record.name).zip(places.clone()).collect();
                assert_eq!(found, expected, "{fault:?} {cut:?} at {operation}");
                assert!(!renewed || damage.is_empty(), "{fault:?} {cut:?} at {operation}");
                let aside = disk.list(Path::new("corrupt")).unwrap_or_default();
                assert!(!damage.is_empty() || !aside.is_empty(), "{fault:?} {cut:?} at {operation}");
                open(&disk).renew(Class::Lasting, 0).unwrap();
                assert_eq!(scan(&disk, Class::Lasting), (expected, vec![]));
            }
        }
    }
}

#[test]
fn the_living_are_copied_forward_and_the_rest_goes() {
    let disk = ModelDisk::new();
    let mut spool = open(&disk);
    let records: Vec<Record> = (1..5).map(|id| record(RecordKind::Content, id, 200)).collect();
    let places = write(&mut spool, &records);
    assert!(spool.is_open(Class::Erasable, 0));
    let living: Vec<_> = [1, 3].map(|number: usize| (records[number].name, places[number])).into();
    let moved = spool.copy_forward(&living).unwrap();
    assert!(moved.iter().all(|place| place.segment == 1));
    spool.sync().unwrap();
    spool.unlink(Class::Erasable, 0).unwrap();
    let disk = disk.reopen(Cut::Lost);
    let spool = open(&disk);
    assert_eq!(spool.reader().read(&records[1].name, &moved[0]).unwrap(), records[1].bytes);
    assert!(matches!(spool.reader().read(&records[0].name, &places[0]), Err(ReadError::Gone(0))));
    let erased = &records[0].bytes[..64];
    for segment in spool.reader().segments(Class::Erasable).unwrap() {
        let bytes = read_file(&disk, &Class::Erasable.segment_path(segment)).unwrap();
        assert!(!bytes.windows(erased.len()).any(|window| window == erased));
    }
}

#[test]
fn a_segment_number_is_never_given_twice() {
    let disk = ModelDisk::new();
    let mut spool = open(&disk);
    write(&mut spool, &[record(RecordKind::Content, 1, 10)]);
    spool.unlink(Class::Erasable, 0).unwrap();
    spool.unlink(Class::Erasable, 0).unwrap();
    let mut spool = open(&disk.reopen(Cut::Lost));
    assert_eq!(write(&mut spool, &[record(RecordKind::Content, 1, 10)])[0].segment, 1);
}

#[test]
fn a_record_longer_than_its_limit_leaves_the_spool_as_it_was() {
    let mut spool = open(&ModelDisk::new());
    let long = record(RecordKind::Body, 1, RECORD_MAX + 1);
    assert!(matches!(spool.append(&long), Err(WriteError::TooLong(_))));
    assert!(spool.append(&record(RecordKind::Body, 1, 1)).is_ok());
}

#[test]
fn a_record_is_read_at_its_own_place_and_under_its_own_name_only() {
    let disk = ModelDisk::new();
    let mut spool = open(&disk);
    let records = [record(RecordKind::Evidence, 1, 100), record(RecordKind::Evidence, 2, 100)];
    let places = write(&mut spool, &records);
    let reader = spool.reader();
    let (name, place) = (records[0].name, places[0]);
    let other_kind = RecordName { kind: RecordKind::Entry, ..name };
    for (name, place) in [
        (records[1].name, place),
        (other_kind, place),
        (name, places[1]),
        (name, Place { length: 99, ..place }),
        (name, Place { length: u32::MAX, ..place }),
        (name, Place { offset: SEGMENT_LEN - 64, ..place }),
        (name, Place { offset: u32::MAX, ..place }),
    ] {
        assert!(matches!(reader.read(&name, &place), Err(ReadError::Damaged(_))), "{place:?}");
    }
    assert!(matches!(reader.read(&name, &Place { segment: 7, ..place }), Err(ReadError::Gone(7))));
}

#[test]
fn bytes_that_imitate_a_record_are_none() {
    let disk = ModelDisk::new();
    let mut spool = open(&disk);
    // An envelope that carries a copy of another record; its own header then rots.
    let inner = record(RecordKind::Envelope, 7, 10);
    let imitation = record::encode(&inner, Place { segment: 0, offset: 0, length: 10 });
    let outer = Record { name: record(RecordKind::Envelope, 1, 0).name, bytes: imitation };
    write(&mut spool, &[outer]);
    disk.flip_bit(&Class::Passing.segment_path(0), 300).unwrap();
    let (found, damage) = scan(&disk, Class::Passing);
    assert_eq!(found, []);
    assert_eq!(damage, [(0, Damage { from: 0, to: 192, name: None })]);
}

#[test]
fn every_flipped_bit_is_noticed_and_names_whom_it_can() {
    let disk = ModelDisk::new();
    let mut spool = open(&disk);
    let records = [record(RecordKind::Rules, 1, 70), record(RecordKind::Rules, 2, 64), record(RecordKind::Rules, 3, 1)];
    let mut places = write(&mut spool, &records[..2]);
    places.extend(write(&mut spool, &records[2..]));
    let path = Class::Lasting.segment_path(0);
    for bit in (0..320 * 8).chain(4_096 * 8..(4_096 + 128) * 8) {
        disk.flip_bit(&path, bit).unwrap();
        let (found, damage) = scan(&disk, Class::Lasting);
        assert!(!damage.is_empty(), "bit {bit}");
        let readable = records.iter().zip(&places).filter(|(record, place)| {
            spool.reader().read(&record.name, place).is_ok_and(|bytes| bytes == record.bytes)
        });
        assert_eq!(readable.count(), found.len(), "bit {bit}");
        assert!(found.len() >= 2, "bit {bit} harms one record");
        for (_, Damage { name, .. }) in damage {
            assert!(name.is_none_or(|name| !found.iter().any(|(found, _)| *found == name)), "bit {bit}");
        }
        disk.heal();
    }
}

#[test]
fn a_record_lies_on_the_disk_as_its_page_says() {
    let record = Record { name: RecordName { kind: RecordKind::Evidence, id: Digest([0xab; 32]) }, bytes: b"x".into() };
    let bytes = record::encode(&record, Place { segment: 2, offset: 192, length: 1 });
    let expected = [
        "4e43505001000000", // prefix
        "02000000",         // segment
        "c0000000",         // offset
        "03000000",         // kind
        &"ab".repeat(32),   // id
        "01000000",         // length
    ]
    .concat();
    assert_eq!(ncp_protocol::ids::hex(&bytes[..56]), expected);
    assert_eq!(bytes[56..60], crc32c::crc32c(b"x").to_le_bytes());
    assert_eq!(bytes[60..64], crc32c::crc32c(&bytes[..60]).to_le_bytes());
    assert!(bytes.len() == 128 && bytes[64] == b'x' && bytes[65..].iter().all(|byte| *byte == 0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn arbitrary_bytes_are_no_records(bytes in proptest::collection::vec(any::<u8>(), 0..10_000)) {
        let disk = ModelDisk::new();
        drop(open(&disk));
        disk.open(&Class::Passing.segment_path(3), OpenMode::CreateNew).unwrap().write_at(&bytes, 0).unwrap();
        let (found, damage) = scan(&disk, Class::Passing);
        prop_assert!(found.is_empty());
        prop_assert_eq!(damage.is_empty(), bytes.iter().all(|byte| *byte == 0));
        let mut spool = open(&disk);
        spool.renew(Class::Passing, 3).unwrap();
        prop_assert_eq!(scan(&disk, Class::Passing), (vec![], vec![]));
    }

    #[test]
    fn changed_segments_never_show_what_was_not_written(
        changes in proptest::collection::vec((0usize..40_000, any::<u8>(), 1usize..300), 1..6),
        cut in 0usize..40_000,
    ) {
        let disk = ModelDisk::new();
        let mut spool = open(&disk);
        let records: Vec<Record> = (0..20).map(|id| record(RecordKind::Envelope, id, 1 + usize::from(id) * 150)).collect();
        let places = records.chunks(3).flat_map(|batch| write(&mut spool, batch)).collect::<Vec<_>>();
        let path = Class::Passing.segment_path(0);
        let mut bytes = read_file(&disk, &path).unwrap();
        bytes.truncate(40_000);
        for (at, byte, len) in changes {
            let end = (at + len).min(bytes.len());
            bytes[at..end].fill(byte);
        }
        bytes.truncate(bytes.len() - cut);
        disk.remove(&path).unwrap();
        disk.open(&path, OpenMode::CreateNew).unwrap().write_at(&bytes, 0).unwrap();
        let (found, _) = scan(&disk, Class::Passing);
        for found in &found {
            prop_assert!(records.iter().zip(&places).any(|(record, place)| (record.name, *place) == *found));
        }
        for (record, place) in records.iter().zip(&places) {
            let read = SpoolReader::new(disk.clone()).read(&record.name, place);
            prop_assert_eq!(read.is_ok(), found.contains(&(record.name, *place)));
            prop_assert!(read.is_err() || read.is_ok_and(|bytes| bytes == record.bytes));
        }
        open(&disk).renew(Class::Passing, 0).unwrap();
        prop_assert_eq!(scan(&disk, Class::Passing), (found, vec![]));
    }
}
