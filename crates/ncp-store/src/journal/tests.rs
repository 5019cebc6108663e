//! What was synced is found again; what was torn or damaged is told apart.

use std::path::Path;

use proptest::prelude::*;

use super::group::{HEADER_LEN, encode};
use super::*;
use crate::disk::model::{Cut, Fault, ModelDisk};
use crate::disk::{RealDisk, read_file};

const OPTIONS: JournalOptions = JournalOptions { segment_len: 64 << 10 };

fn note(text: &str) -> LogNote {
    LogNote { log: LogName::Node, note: text.to_owned() }
}

/// Events that fill `len` bytes, each naming its sequence.
fn events(first: u64, count: u64, len: usize) -> Vec<Vec<u8>> {
    (first..first + count).map(|sequence| sequence.to_be_bytes().into_iter().cycle().take(len).collect()).collect()
}

fn bare(place: GroupPlace, events: Vec<Vec<u8>>) -> Group {
    Group { place, previous: Vec::new(), manifest: Vec::new(), events }
}

fn scan_all<D: Disk>(disk: &D) -> (Scan, Vec<Group>) {
    let mut groups = Vec::new();
    let found = scan(disk, 0, &mut |group| groups.push(group)).unwrap();
    (found, groups)
}

fn reopen<D: Disk>(disk: &D) -> Journal<D> {
    Journal::open(disk.clone(), Ahead::new(disk.clone()), OPTIONS, &scan_all(disk).0).unwrap()
}

fn fresh<D: Disk>(disk: &D) -> Journal<D> {
    create(disk).unwrap();
    reopen(disk)
}

/// Appends and syncs groups of these sizes (events of 100 bytes); returns what reads must give.
fn write<D: Disk>(journal: &mut Journal<D>, counts: &[u64]) -> Vec<Group> {
    let mut written = Vec::new();
    for count in counts {
        let events = events(journal.next(), *count, 100);
        let previous = vec![note(&format!("before {}\n", journal.next()))];
        let manifest = count.to_be_bytes().to_vec();
        let place = journal.append(&events, &previous, &manifest).unwrap();
        journal.sync().unwrap();
        written.push(Group { place, previous, manifest, events });
    }
    written
}

fn check_append_and_read<D: Disk>(disk: &D) {
    let mut journal = fresh(disk);
    let mut written = write(&mut journal, &[1, 3, 50]);
    let mut journal = reopen(disk);
    assert_eq!(journal.next(), 54);
    written.extend(write(&mut journal, &[2]));
    let (found, groups) = scan_all(disk);
    assert_eq!((found.oldest, found.next, found.tail), (0, 56, Tail::Whole));
    assert_eq!(groups, written);
    let reader = journal.reader();
    for group in &written {
        assert_eq!(reader.read(&group.place).unwrap(), *group);
        assert_eq!(group.place.offset as usize % BLOCK_LEN, 0);
    }
}

#[test]
fn synced_groups_read_back_on_the_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    check_append_and_read(&RealDisk::open(folder.path()).unwrap());
}

#[test]
fn synced_groups_read_back_on_the_model() {
    check_append_and_read(&ModelDisk::new());
}

/// A journal of three segments: groups of about 25 KB, two to a segment, and a small one.
fn long_journal(disk: &ModelDisk) -> Vec<Group> {
    let mut journal = fresh(disk);
    let mut written = Vec::new();
    for count in [500, 501, 502, 503, 504, 1] {
        let events = events(journal.next(), count, 50);
        let place = journal.append(&events, &[], &[]).unwrap();
        journal.sync().unwrap();
        written.push(bare(place, events));
    }
    written
}

#[test]
fn a_full_segment_is_followed_by_one_named_after_its_first_sequence() {
    let disk = ModelDisk::new();
    let written = long_journal(&disk);
    let names = disk.list(Path::new(FOLDER)).unwrap();
    assert_eq!(names, ["0000000000000000.seg", "00000000000003e9.seg", "00000000000007d6.seg"]);
    let (found, groups) = scan_all(&disk.reopen(Cut::Lost));
    assert_eq!((found.next, found.tail), (2_511, Tail::Whole));
    assert_eq!(groups, written);
}

#[test]
fn groups_iterate_from_any_sequence_to_any_other() {
    let disk = ModelDisk::new();
    let written = long_journal(&disk);
    let reader = JournalReader::new(disk.clone());
    for (from, until, expected) in [
        (0, 2_511, 0..6),
        (499, 500, 0..1),
        (500, 1_500, 1..3),
        (1_001, 1_002, 2..3),
        (2_510, 2_511, 5..6),
        (7, 7, 0..0),
    ] {
        let groups: Vec<Group> = reader.groups(from, until).map(Result::unwrap).collect();
        assert_eq!(groups, written[expected], "{from}..{until}");
    }
    let mut beyond = reader.groups(2_510, 2_512);
    assert!(beyond.next().unwrap().is_ok());
    assert!(matches!(beyond.next(), Some(Err(JournalError::Damaged(_)))));
    assert!(beyond.next().is_none());
}

#[test]
fn a_scan_can_begin_at_a_later_segment() {
    let disk = ModelDisk::new();
    let written = long_journal(&disk);
    let mut groups = Vec::new();
    let found = scan(&disk, 1_001, &mut |group| groups.push(group)).unwrap();
    assert_eq!((found.oldest, found.next, found.tail), (0, 2_511, Tail::Whole));
    assert_eq!(groups, written[2..]);
}

#[test]
fn a_missing_segment_is_damage() {
    let disk = ModelDisk::new();
    long_journal(&disk);
    disk.remove(&segment_path(1_001)).unwrap();
    assert!(matches!(scan_all(&disk).0.tail, Tail::Damaged(_)));
    assert!(matches!(JournalReader::new(disk).groups(900, 1_100).nth(1), Some(Err(JournalError::Damaged(_)))));
}

#[test]
fn damage_before_other_groups_is_no_torn_end() {
    let disk = ModelDisk::new();
    let written = write(&mut fresh(&disk), &[1, 1, 1]);
    let place = written[1].place;
    let file = disk.open(&segment_path(0), OpenMode::Write).unwrap();
    file.write_at(&[0; BLOCK_LEN], u64::from(place.offset)).unwrap();
    let (found, groups) = scan_all(&disk);
    assert_eq!(found.tail, Tail::Damaged(place.position()));
    assert_eq!(groups, written[..1]);
    let opened = Journal::open(disk.clone(), Ahead::new(disk.clone()), OPTIONS, &found);
    assert!(matches!(opened, Err(JournalError::Damaged(_))));
    assert!(matches!(renew(&disk, &found, 0), Err(JournalError::Damaged(_))));
}

#[test]
fn what_looks_like_a_header_inside_a_torn_group_is_no_later_group() {
    let disk = ModelDisk::new();
    let written = write(&mut fresh(&disk), &[1]);
    let end = written[0].place.offset as usize + BLOCK_LEN;
    // The next group lost its first block. In its second stands what an event was made to hold: the head of a group.
    let mut event = vec![7; BLOCK_LEN];
    event[..HEADER_LEN].copy_from_slice(&encode(900, &[vec![1]], &[], &[]).blocks[..HEADER_LEN]);
    let file = disk.open(&segment_path(0), OpenMode::Write).unwrap();
    file.write_at(&event, (end + BLOCK_LEN) as u64).unwrap();
    let (found, groups) = scan_all(&disk);
    assert_eq!(
        (found.tail, groups),
        (Tail::Torn(Position { segment: 0, offset: u32::try_from(end).unwrap() }), written)
    );
}

#[test]
fn a_later_group_in_place_of_the_next_is_damage() {
    let disk = ModelDisk::new();
    let written = write(&mut fresh(&disk), &[1, 1, 1]);
    let bytes = read_file(&disk, &segment_path(0)).unwrap();
    let third = written[2].place.offset as usize;
    let file = disk.open(&segment_path(0), OpenMode::Write).unwrap();
    file.write_at(&bytes[third..third + BLOCK_LEN], u64::from(written[1].place.offset)).unwrap();
    file.write_at(&[0; BLOCK_LEN], third as u64).unwrap();
    assert_eq!(scan_all(&disk).0.tail, Tail::Damaged(written[1].place.position()));
}

#[test]
fn a_torn_group_is_told_set_aside_and_left_out() {
    let mut torn = 0;
    for seed in 0..100 {
        let disk = ModelDisk::new();
        let mut journal = fresh(&disk);
        let mut written = write(&mut journal, &[1, 2]);
        let events = events(3, 200, 100);
        let place = journal.append(&events, &[], &[]).unwrap();
        let disk = disk.reopen(Cut::Torn(seed));
        let (found, groups) = scan_all(&disk);
        assert_eq!(groups[..2], written);
        match found.tail {
            Tail::Whole if groups.len() == 3 => written.push(bare(place, events)),
            Tail::Whole => assert_eq!(found.next, 3),
            Tail::Torn(at) => assert_eq!(at, place.position()),
            Tail::Damaged(at) => panic!("seed {seed}: a torn end taken for damage at {at:?}"),
        }
        torn += usize::from(matches!(found.tail, Tail::Torn(_)));
        let renewed = renew(&disk, &found, found.next).unwrap();
        let disk = disk.reopen(Cut::Lost);
        let (found, groups) = scan_all(&disk);
        assert_eq!(found, renewed);
        assert_eq!(groups, written);
        let mut journal = reopen(&disk);
        written.extend(write(&mut journal, &[3]));
        assert_eq!(scan_all(&disk).1, written);
    }
    assert!(torn > 50, "{torn} of 100 were torn");
}

#[test]
fn what_is_left_out_lies_in_corrupt() {
    let disk = ModelDisk::new();
    let mut journal = fresh(&disk);
    write(&mut journal, &[1]);
    let file = disk.open(&segment_path(0), OpenMode::Write).unwrap();
    file.write_at(b"half a group", BLOCK_LEN as u64).unwrap();
    let (found, _) = scan_all(&disk);
    assert_eq!(found.tail, Tail::Torn(Position { segment: 0, offset: 4_096 }));
    renew(&disk, &found, 0).unwrap();
    assert_eq!(read_file(&disk, Path::new("corrupt/journal-0000000000000000-4096.0")).unwrap(), b"half a group");
    assert_eq!(disk.list(Path::new(FOLDER)).unwrap(), ["0000000000000000.seg"]);
}

#[test]
fn the_last_group_can_be_cut_off() {
    for counts in [vec![1, 2, 3], vec![1, 600, 300]] {
        let disk = ModelDisk::new();
        let mut written = write(&mut fresh(&disk), &counts);
        let last = written.pop().unwrap();
        let bytes = read_file(&disk, &segment_path(last.place.segment)).unwrap();
        let (found, _) = scan_all(&disk);
        let rest = cut(&disk, &found, last.place.first).unwrap();
        let disk = disk.reopen(Cut::Lost);
        let (found, groups) = scan_all(&disk);
        assert_eq!((&found, &groups), (&rest, &written));
        let corrupt = disk.list(Path::new("corrupt")).unwrap();
        let aside = read_file(&disk, &Path::new("corrupt").join(&corrupt[0])).unwrap();
        let offset = last.place.offset as usize;
        assert_eq!(aside, bytes[offset..offset + last.place.length as usize]);
        assert!(matches!(cut(&disk, &found, found.next - 1).map(|scan| scan.next), Err(JournalError::Missing(_))));
        written.extend(write(&mut reopen(&disk), &[2]));
        assert_eq!(scan_all(&disk).1, written);
    }
}

#[test]
fn renewal_makes_durable_what_a_failed_sync_left_in_memory() {
    let disk = ModelDisk::new();
    let mut journal = fresh(&disk);
    let mut written = write(&mut journal, &[1]);
    let events = events(1, 1, 100);
    let place = journal.append(&events, &[], &[]).unwrap();
    written.push(bare(place, events));
    disk.fail_at(disk.operations(), Fault::Fail);
    assert!(matches!(journal.sync(), Err(AppendError::Io(_))));
    assert!(matches!(journal.sync(), Err(AppendError::Stopped)));
    assert!(matches!(journal.append(&[vec![1]], &[], &[]), Err(AppendError::Stopped)));
    assert!(journal.unsynced().is_none());
    let disk = disk.reopen(Cut::Killed);
    let (found, groups) = scan_all(&disk);
    assert_eq!(groups, written, "the page cache shows it");
    renew(&disk, &found, 1).unwrap();
    assert_eq!(scan_all(&disk.reopen(Cut::Lost)).1, written);
}

#[test]
fn renewal_of_a_long_journal_touches_only_the_segments_it_must() {
    let disk = ModelDisk::new();
    let written = long_journal(&disk);
    let (found, _) = scan_all(&disk);
    let before = disk.operations();
    renew(&disk, &found, 2_400).unwrap();
    let last = disk.operations() - before;
    renew(&disk, &found, 1_001).unwrap();
    assert_eq!(disk.operations() - before, 3 * last);
    assert_eq!(scan_all(&disk.reopen(Cut::Lost)).1, written);
}

#[test]
fn rolling_survives_a_stop_at_every_operation() {
    for (fault, made_ahead) in [Fault::Fail, Fault::FailButPersisted, Fault::Crash]
        .into_iter()
        .flat_map(|fault| [(fault, false), (fault, true)])
    {
        for cut in [Cut::Lost, Cut::Kept, Cut::Torn(1), Cut::Torn(2), Cut::Killed] {
            for operation in 0..6 {
                let disk = ModelDisk::new();
                let mut journal = fresh(&disk);
                let full = events(0, 1_000, 50);
                journal.append(&full, &[], &[]).unwrap();
                journal.sync().unwrap();
                if made_ahead {
                    journal.ahead.make().unwrap();
                }
                let spares = disk.list(Path::new(FOLDER)).unwrap().len() - 1;
                assert_eq!(spares, usize::from(made_ahead));
                disk.fail_at(disk.operations() + operation, fault);
                let next = events(1_000, 100, 500);
                let acknowledged = journal.append(&next, &[], &[]).and_then(|_| journal.sync()).is_ok();
                let disk = disk.reopen(cut);
                let (found, _) = scan_all(&disk);
                let found = renew(&disk, &found, 1_000).unwrap();
                let disk = disk.reopen(Cut::Lost);
                let (again, groups) = scan_all(&disk);
                assert_eq!(again.next, found.next, "{fault:?} {cut:?} at {operation}");
                assert_eq!(groups[0].events, full);
                assert!(!acknowledged || groups.len() == 2, "{fault:?} {cut:?} at {operation}");
                let mut journal = reopen(&disk);
                write(&mut journal, &[1]);
                assert_eq!(scan_all(&disk).0.tail, Tail::Whole);
            }
        }
    }
}

#[test]
fn groups_that_are_too_long_leave_the_journal_as_it_was() {
    let disk = ModelDisk::new();
    let mut journal = fresh(&disk);
    for too_long in [events(0, 1_050, 4_000), events(0, 20, 4_000)] {
        assert!(matches!(journal.append(&too_long, &[], &[]), Err(AppendError::TooLong(_))));
    }
    let written = write(&mut journal, &[1]);
    assert_eq!(scan_all(&disk).1, written);
}

#[test]
fn encoded_length_is_an_upper_bound() {
    let events = events(0, 3, 77);
    let notes = vec![note(&"x".repeat(crate::limits::OWN_NOTE_MAX)); crate::limits::GROUP_NOTES_MAX];
    assert_eq!(
        group::encode(9, &events, &notes, &[1; crate::limits::MANIFEST_MAX]).length as usize,
        encoded_len(&events)
    );
}

#[test]
fn every_flipped_bit_of_a_written_block_is_noticed() {
    let disk = ModelDisk::new();
    let written = write(&mut fresh(&disk), &[1, 2, 1]);
    let clean = scan_all(&disk).0;
    for bit in 0..(3 * BLOCK_LEN as u64) * 8 {
        if bit % 8 != bit / 8 % 8 {
            continue;
        }
        disk.flip_bit(&segment_path(0), bit).unwrap();
        let (found, groups) = scan_all(&disk);
        assert_ne!(found, clean, "bit {bit}");
        assert_eq!(groups, written[..groups.len()]);
        assert!(groups.len() == 3 || found.tail != Tail::Whole, "bit {bit}");
        disk.heal();
    }
}

#[test]
fn a_group_is_read_at_its_own_place_only() {
    let disk = ModelDisk::new();
    let mut journal = fresh(&disk);
    let written = write(&mut journal, &[1, 1]);
    let reader = journal.reader();
    let place = written[1].place;
    for wrong in [
        GroupPlace { offset: 0, ..place },
        GroupPlace { length: place.length - 1, ..place },
        GroupPlace { length: u32::MAX, ..place },
        GroupPlace { first: 0, ..place },
        GroupPlace { count: 2, ..place },
        GroupPlace { offset: u32::MAX, ..place },
    ] {
        assert!(matches!(reader.read(&wrong), Err(JournalError::Damaged(_))), "{wrong:?}");
    }
}

#[test]
fn a_group_lies_on_the_disk_as_its_page_says() {
    let bytes = group::encode(258, &[b"event".to_vec()], &[note("n\n")], b"m").blocks;
    let expected = [
        "4e43504a01000000", // prefix
        "0201000000000000", // first sequence
        "01000000",         // count
        "4c000000",         // length of the group
        "1f000000",         // length of notes and manifest
    ]
    .concat();
    assert_eq!(ncp_protocol::ids::hex(&bytes[..28]), expected);
    assert_eq!(bytes[28..32], crc32c::crc32c(&bytes[..28]).to_le_bytes());
    assert_eq!(bytes[63..72], *b"\x05\0\0\0event");
    assert_eq!(bytes[72..76], crc32c::crc32c(&bytes[..72]).to_le_bytes());
    assert!(bytes.len() == BLOCK_LEN && bytes[76..].iter().all(|byte| *byte == 0));
}

fn segment_with(disk: &ModelDisk, first: u64, bytes: &[u8]) {
    disk.create_dir(Path::new(FOLDER)).unwrap();
    disk.open(&segment_path(first), OpenMode::CreateNew).unwrap().write_at(bytes, 0).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn arbitrary_bytes_are_no_groups(first: u64, bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        let disk = ModelDisk::new();
        segment_with(&disk, first, &bytes);
        let (found, groups) = scan_all(&disk);
        prop_assert!(groups.is_empty());
        prop_assert_eq!(found.next, first);
        let zeros = bytes.iter().all(|byte| *byte == 0);
        prop_assert_eq!(found.tail == Tail::Whole, zeros);
        prop_assert!(JournalReader::new(disk).groups(first, u64::MAX).all(|group| group.is_err()));
    }

    #[test]
    fn changed_segments_never_show_a_group_that_was_not_written(
        changes in proptest::collection::vec((0usize..30_000, any::<u8>(), 1usize..600), 1..6),
        cut in 0usize..30_000,
    ) {
        let disk = ModelDisk::new();
        let written = write(&mut fresh(&disk), &[1, 60, 3, 120]);
        let mut bytes = read_file(&disk, &segment_path(0)).unwrap();
        bytes.truncate(30_000);
        for (at, byte, len) in changes {
            let end = (at + len).min(bytes.len());
            bytes[at..end].fill(byte);
        }
        bytes.truncate(bytes.len() - cut);
        let other = ModelDisk::new();
        segment_with(&other, 0, &bytes);
        let (found, groups) = scan_all(&other);
        prop_assert_eq!(&groups[..], &written[..groups.len()]);
        for group in &written {
            if let Ok(read) = JournalReader::new(other.clone()).read(&group.place) {
                prop_assert_eq!(&read, group);
            }
        }
        if let Tail::Torn(_) = found.tail {
            renew(&other, &found, 0).unwrap();
            let (renewed, again) = scan_all(&other);
            prop_assert_eq!(again, groups);
            prop_assert_eq!(renewed.tail, Tail::Whole);
        }
    }

    #[test]
    fn decoding_arbitrary_groups_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 32..200)) {
        // A header with a valid CRC, so that what lies behind it is reached.
        bytes[..8].copy_from_slice(b"NCPJ\x01\0\0\0");
        let crc = crc32c::crc32c(&bytes[..28]).to_le_bytes();
        bytes[28..32].copy_from_slice(&crc);
        let len = u32::from_le_bytes(bytes[20..24].try_into().unwrap()) as usize;
        prop_assert!(group::decode(&bytes).is_none() || len <= bytes.len());
    }
}
