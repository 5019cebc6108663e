//! The engine over a model disk: groups, evidence, erasure, recovery, the index rebuilt.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod common;

use std::path::Path;

use common::{Command, ModelEngine, Toy, add, commit, copy, message, note_name, open, origin, rows, verifying_key};
use ncp_protocol::event::{Change, Event};
use ncp_protocol::ids::LogName;
use ncp_store::disk::model::{Cut, Fault, ModelDisk};
use ncp_store::disk::{Disk as _, read_file, replace_file};
use ncp_store::engine::Fatal;
use ncp_store::fsck::{LogIdentity, fsck};
use ncp_store::index::{Index as _, MemoryIndex, MemoryPlace};
use ncp_store::limits::{DECISION_EVENTS_MAX, GROUP_COMMANDS_MAX, LOSSES_MAX};
use ncp_store::losses::Loss;
use ncp_store::reader::ReadError;
use ncp_store::recovery::{OpenError, Opened};
use ncp_store::state::{Unreadable, View as _};

fn identities() -> Vec<LogIdentity> {
    [LogName::Traffic, LogName::Public].map(|log| LogIdentity { origin: origin(log), key: verifying_key(log) }).to_vec()
}

fn fresh() -> (ModelDisk, MemoryPlace, Opened<Toy, ModelDisk, MemoryIndex>) {
    let (disk, index) = (ModelDisk::new(), MemoryPlace::default());
    let opened = open(&disk, &index).unwrap();
    (disk, index, opened)
}

fn look(engine: &mut ModelEngine, number: u8) -> u16 {
    commit(engine, &[&[Command::Look { message: message(number) }]])[0]
}

fn assert_clean(disk: &ModelDisk, index: &MemoryPlace) {
    let index = MemoryIndex::open(index).unwrap();
    let report = fsck(disk, &identities(), Some(&index)).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn first_start_opens_each_log_once() {
    let (disk, index, Opened { mut engine, .. }) = fresh();
    engine.apply().unwrap();
    let reader = engine.reader();
    for log in [LogName::Traffic, LogName::Public] {
        let event = Event::decode(&reader.event(log, 0).unwrap().unwrap().bytes).unwrap();
        assert!(matches!(event.change, Change::LogOpened { origin: named, .. } if named == origin(log)));
        assert_eq!(reader.checkpoint(log).unwrap().checkpoint().size, 1);
    }
    drop(engine);
    let Opened { engine, report, .. } = open(&disk.reopen(Cut::Killed), &index).unwrap();
    assert_eq!((report.replayed, report.rebuilt, report.torn), (0, None, None));
    assert_eq!(engine.reader().events(0, 10).unwrap().len(), 2);
}

#[test]
fn commands_of_a_group_see_each_others_rows() {
    let (_, _, Opened { mut engine, .. }) = fresh();
    let group: &[Command] = &[add(1, b"a", 1), add(2, b"b", 2), add(1, b"c", 3), Command::Look { message: message(1) }];
    assert_eq!(commit(&mut engine, &[group]), [1, 1, 2, 2]);
    assert_eq!(commit(&mut engine, &[&[add(1, b"d", 4)]]), [3]);
}

#[test]
fn decision_stands_in_one_group_and_groups_are_bounded() {
    let (disk, _, Opened { mut engine, .. }) = fresh();
    let events = u16::try_from(DECISION_EVENTS_MAX).unwrap();
    let bursts = (0..100).map(|salt| Command::Burst { message: message(1), events, salt });
    let mut commands = bursts.collect::<Vec<_>>().into_iter();
    let mut groups = 0;
    let mut outcomes = Vec::new();
    while commands.len() > 0 {
        outcomes.extend(engine.commit(&mut commands).unwrap());
        groups += 1;
    }
    assert!(groups > 1, "a hundred bursts do not fit one group");
    assert_eq!(outcomes.len(), 100);
    let mut border = 2;
    let mut seen = 0;
    for group in ncp_store::journal::JournalReader::new(disk.clone()).groups(2, 2 + 100 * u64::from(events)) {
        let group = group.unwrap();
        assert_eq!(group.place.first, border, "groups follow one another");
        assert_eq!(group.place.count % u32::from(events), 0, "and hold whole decisions");
        border = group.place.next();
        seen += 1;
    }
    assert_eq!(seen, groups);
    let many = (0..).map(|_| Command::Look { message: message(1) });
    assert_eq!(engine.commit(&mut many.into_iter()).unwrap().len(), GROUP_COMMANDS_MAX);
}

#[test]
fn rebuilt_index_equals_the_live_one() {
    let (disk, index, Opened { mut engine, .. }) = fresh();
    let mut salt = 0;
    for round in 0..20u8 {
        let mut group = Vec::new();
        for number in 0..5 {
            salt += 1;
            group.push(add(number, &[round; 300], salt));
        }
        if round % 4 == 3 {
            group.push(Command::Erase { message: message(round % 5), salt: 10_000 + salt });
        }
        commit(&mut engine, &[&group]);
    }
    engine.apply().unwrap();
    let live = rows(&engine.reader().view());
    assert_eq!(live.len(), index.rows().len() - 1, "all rows but the trust row");
    drop(engine);
    index.replace(Default::default());
    let disk = disk.reopen(Cut::Lost);
    let Opened { engine, .. } = open(&disk, &index).unwrap();
    assert_eq!(rows(&engine.reader().view()), live);
    assert_clean(&disk, &index);
}

#[test]
fn index_deleted_damaged_or_stale_is_rebuilt_and_one_that_is_ahead_stops_the_start() {
    let (disk, index, Opened { mut engine, .. }) = fresh();
    commit(&mut engine, &[&[add(1, b"a", 1)], &[add(1, b"b", 2)]]);
    engine.apply().unwrap();
    let stale = index.rows();
    commit(&mut engine, &[&[add(1, b"c", 3)], &[add(2, b"d", 4)]]);
    engine.apply().unwrap();
    let (whole, live) = (index.rows(), rows(&engine.reader().view()));
    drop(engine);
    let start = |what: &str, rows_before| {
        index.replace(rows_before);
        let Opened { engine, report, .. } = open(&disk.reopen(Cut::Killed), &index).unwrap();
        assert_eq!(rows(&engine.reader().view()), live, "{what}");
        (report.replayed, report.rebuilt.is_some())
    };
    assert_eq!(start("as it was", whole.clone()), (0, false));
    assert_eq!(start("deleted", Default::default()), (6, false));
    assert_eq!(start("stale", stale.clone()), (2, false), "only what it lacks");
    for key in whole.keys() {
        let mut damaged = whole.clone();
        damaged.remove(key);
        assert_eq!(start("a row lost", damaged), (6, true));
    }
    let mut damaged = whole.clone();
    *damaged.last_entry().unwrap().get_mut() = vec![0; 2];
    assert_eq!(start("a row changed", damaged), (6, true));
    // A row of the past in an index of today: a write that was lost.
    let changed = stale.iter().find(|(key, value)| whole.get(*key) != Some(value) && key.len() > 1).unwrap();
    let mut mixed = whole.clone();
    mixed.insert(changed.0.clone(), changed.1.clone());
    assert_eq!(start("a write lost", mixed), (6, true));

    // Ahead: the journal of a younger life of the same daemon.
    let (other, _, Opened { engine, .. }) = fresh();
    drop(engine);
    index.replace(whole.clone());
    match open(&other.reopen(Cut::Killed), &index) {
        Err(OpenError::JournalBehindIndex { has: 2, known: 6 }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(index.rows(), whole, "the index is the proof, and stays");
    // Another journal of the same length.
    let (other, other_index, Opened { mut engine, .. }) = fresh();
    commit(&mut engine, &[&[add(1, b"a", 1)], &[add(1, b"b", 2)], &[add(1, b"c", 3)], &[add(2, b"D", 4)]]);
    engine.apply().unwrap();
    let live = rows(&engine.reader().view());
    drop(engine);
    other_index.replace(whole);
    let Opened { engine, report, .. } = open(&other.reopen(Cut::Killed), &other_index).unwrap();
    assert!(report.rebuilt.is_some(), "an index of another journal");
    assert_eq!(rows(&engine.reader().view()), live);
}

#[test]
fn erased_records_are_gone_from_the_disk_and_old_proofs_verify() {
    let (disk, index, Opened { mut engine, .. }) = fresh();
    let secret = b"nobody shall read this again after it was erased";
    commit(&mut engine, &[&[add(1, secret, 2), add(2, b"kept", 4), add(3, b"kept too", 6)]]);
    let proof = engine.reader().evidence(LogName::Traffic, 1).unwrap();
    assert_eq!(engine.reader().record(&note_name(secret, 2)).unwrap(), Some(secret.to_vec()));
    assert!(on_disk(&disk, secret));
    commit(&mut engine, &[&[Command::Erase { message: message(1), salt: 50 }]]);
    engine.settle().unwrap();
    assert!(!on_disk(&disk, secret));
    assert_eq!(engine.reader().record(&note_name(secret, 2)).unwrap(), None);
    assert_eq!(engine.reader().record(&note_name(b"kept", 4)).unwrap(), Some(b"kept".to_vec()));
    assert_eq!(engine.reader().evidence(LogName::Traffic, 1).unwrap(), proof);
    drop(engine);
    index.replace(Default::default());
    let disk = disk.reopen(Cut::Lost);
    let Opened { engine, .. } = open(&disk, &index).unwrap();
    assert_eq!(engine.reader().record(&note_name(secret, 2)).unwrap(), None);
    assert_eq!(engine.reader().record(&note_name(b"kept too", 6)).unwrap(), Some(b"kept too".to_vec()));
    assert_clean(&disk, &index);
}

fn on_disk(disk: &ModelDisk, bytes: &[u8]) -> bool {
    let folder = Path::new("spool/erasable");
    disk.list(folder).unwrap().iter().any(|file| {
        let content = ncp_store::disk::read_file(disk, &folder.join(file)).unwrap();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn torn_last_group_is_cut_and_the_journal_goes_on() {
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (disk, index, Opened { mut engine, mut signed, .. }) = fresh();
        commit(&mut engine, &[&[add(1, b"a", 1), add(1, b"b", 2)]]);
        engine.settle().unwrap();
        engine.write_signed(&mut signed).unwrap();
        // Two records, the group, then the syncs: at the first of these all is pending, in whatever part.
        disk.fail_at(disk.operations() + 3, Fault::Crash);
        assert!(engine.commit(&mut [add(1, &[3; 3_000], 3), add(2, &[4; 3_000], 4)].into_iter()).is_err());
        drop(engine);
        let disk = disk.reopen(Cut::Torn(seed));
        let Opened { mut engine, report, .. } = open(&disk, &index).unwrap();
        let (one, two) = (look(&mut engine, 1), look(&mut engine, 2));
        assert!((one, two) == (2, 0) || (one, two) == (3, 1), "all of the group or nothing: {one} {two}");
        outcomes.insert((one, report.torn.is_some()));
        if one == 3 {
            assert_eq!(engine.reader().record(&note_name(&[3; 3_000], 3)).unwrap(), Some(vec![3; 3_000]));
            assert_eq!(engine.reader().record(&note_name(&[4; 3_000], 4)).unwrap(), Some(vec![4; 3_000]));
        }
        assert_eq!(commit(&mut engine, &[&[add(1, b"e", 5)]]), [one + 1]);
        engine.apply().unwrap();
        let report = fsck(&disk, &identities(), Some(&MemoryIndex::open(&index).unwrap())).unwrap();
        assert!(report.is_sound(), "seed {seed}: {:?}", report.findings);
    }
    assert!(outcomes.contains(&(2, true)), "none was torn: {outcomes:?}");
}

#[test]
fn poisoned_engine_takes_nothing_more() {
    let (disk, _, Opened { mut engine, .. }) = fresh();
    disk.fail_at(disk.operations(), Fault::Fail);
    assert!(matches!(engine.commit(&mut [add(1, b"a", 1)].into_iter()), Err(Fatal::Disk { .. })));
    let before = disk.operations();
    assert!(matches!(engine.commit(&mut [add(1, b"a", 1)].into_iter()), Err(Fatal::Poisoned)));
    assert!(matches!(engine.settle(), Err(Fatal::Poisoned)));
    assert_eq!(disk.operations(), before, "the disk is not touched again");
}

#[test]
fn core_that_panics_poisons_the_engine_and_leaves_nothing() {
    let (disk, index, Opened { mut engine, .. }) = fresh();
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(engine.commit(&mut [add(1, b"a", 1), Command::Panic].into_iter()));
    }));
    assert!(broken.is_err());
    assert!(matches!(engine.commit(&mut [add(1, b"a", 1)].into_iter()), Err(Fatal::Poisoned)));
    drop(engine);
    let Opened { mut engine, .. } = open(&disk.reopen(Cut::Kept), &index).unwrap();
    assert_eq!(look(&mut engine, 1), 0);
}

#[test]
fn journal_that_ends_before_what_was_signed_stops_the_start() {
    let (disk, index, Opened { mut engine, mut signed, .. }) = fresh();
    commit(&mut engine, &[&[add(1, b"a", 1)]]);
    engine.write_signed(&mut signed).unwrap();
    let size = 2 + 1;
    drop(engine);
    let disk = disk.reopen(Cut::Killed);
    let (old, _, Opened { engine, .. }) = fresh();
    drop(engine);
    // The journal of yesterday's backup.
    let segment = Path::new("journal/0000000000000000.seg");
    let bytes = ncp_store::disk::read_file(&old.reopen(Cut::Killed), segment).unwrap();
    ncp_store::disk::replace_file(&disk, segment, &bytes).unwrap();
    let report = fsck(&disk, &identities(), None).unwrap();
    assert!(!report.is_sound());
    match open(&disk, &index) {
        Err(OpenError::JournalShort { has: 2, signed }) => assert_eq!(signed, size),
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_key_or_other_log_stops_the_start() {
    let (disk, index, Opened { engine, .. }) = fresh();
    drop(engine);
    let disk = disk.reopen(Cut::Killed);
    let mut options = common::options(index.clone());
    options.logs[0].key = ncp_protocol::keys::SigningKey::from_seed(&[77; 32]);
    let opened = ncp_store::recovery::open::<_, _, MemoryIndex>(disk.clone(), Toy, options);
    assert!(matches!(opened, Err(OpenError::OtherLog(LogName::Traffic))), "{opened:?}");
    let mut options = common::options(index);
    options.logs.truncate(1);
    let opened = ncp_store::recovery::open::<_, _, MemoryIndex>(disk, Toy, options);
    assert!(opened.is_err(), "the journal names a log that the daemon does not keep");
}

#[test]
fn same_record_again_is_not_written_twice() {
    let (disk, _, Opened { mut engine, .. }) = fresh();
    commit(&mut engine, &[&[add(1, b"once", 1)]]);
    let before = count(&disk, b"once");
    commit(&mut engine, &[&[add(2, b"once", 1)], &[add(3, b"once", 1), add(4, b"once", 1)]]);
    assert_eq!((before, count(&disk, b"once")), (1, 1));
    assert_eq!(engine.reader().record(&note_name(b"once", 1)).unwrap(), Some(b"once".to_vec()));
}

fn count(disk: &ModelDisk, bytes: &[u8]) -> usize {
    let content = ncp_store::disk::read_file(disk, Path::new("spool/passing/00000000.seg")).unwrap();
    content.windows(bytes.len()).filter(|window| *window == bytes).count()
}

#[test]
fn view_sees_synced_groups_before_the_index_does() {
    let (_, index, Opened { mut engine, .. }) = fresh();
    let before = index.rows();
    commit(&mut engine, &[&[add(1, b"a", 1)]]);
    assert_eq!(index.rows(), before, "the index is behind");
    let key = rows(&engine.reader().view());
    assert!(key.len() >= before.len(), "and views are not");
    assert_eq!(engine.reader().view().row(&[0xee]).unwrap(), None);
    assert_eq!(common::COUNTS.row(&engine.reader().view(), &message(1)).unwrap(), Some(1));
}

#[test]
fn a_used_folder_without_signed_does_not_pass_for_a_new_one() {
    let (disk, index, Opened { mut engine, mut signed, .. }) = fresh();
    let older = read_file(&disk, Path::new("signed")).unwrap();
    commit(&mut engine, &[&[add(1, b"a", 1)], &[add(1, b"b", 2)]]);
    engine.apply().unwrap();
    engine.write_signed(&mut signed).unwrap();
    let events = engine.reader().events(0, 100).unwrap().len();
    drop((engine, signed));
    let files = |folders: &[&str]| -> Vec<String> {
        let list = |folder: &str| disk.list(Path::new(folder)).unwrap();
        folders.iter().flat_map(|folder| list(folder).into_iter().map(move |name| format!("{folder}/{name}"))).collect()
    };
    let journal = files(&["journal"]);
    let records = files(&["spool/passing", "spool/lasting", "spool/erasable"]);
    let levels = files(&["levels/traffic", "levels/public"]);
    let without = |files: &[&[String]]| {
        let copy = copy(&disk).unwrap();
        files.iter().copied().flatten().for_each(|file| copy.remove(Path::new(file)).unwrap());
        copy
    };
    let refused = |copy: &ModelDisk, words: &str| {
        let error = open(copy, &MemoryPlace::default()).unwrap_err();
        assert!(matches!(error, OpenError::SignedLost { .. }), "{error}");
        assert!(error.to_string().contains(words) && !error.is_disk_full(), "{error}");
    };
    let signed = ["signed".to_owned()];
    refused(&without(&[&signed]), &format!("the journal holds {events} events"));
    refused(&without(&[&signed, &journal]), "know");
    refused(&without(&[&signed, &journal, &levels]), "the spool holds records");
    // Its index alone is enough, too.
    let copy = without(&[&signed, &journal, &levels, &records]);
    match open(&copy, &index) {
        Err(OpenError::JournalBehindIndex { has: 0, known }) => assert_eq!(known, events as u64),
        other => panic!("{other:?}"),
    }
    // Empty is as good as gone.
    let empty = without(&[&signed]);
    replace_file(&empty, Path::new("signed"), &[]).unwrap();
    refused(&empty, "the journal holds");
    // An older one is lower and still true.
    let copy = without(&[&signed]);
    replace_file(&copy, Path::new("signed"), &older).unwrap();
    let Opened { engine, .. } = open(&copy, &index).unwrap();
    assert_eq!(engine.reader().events(0, 100).unwrap().len(), events);
}

#[test]
fn want_of_room_is_told_from_damage() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(OpenError::Spool(full()).is_disk_full());
    assert!(OpenError::Spool(std::io::Error::other(full())).is_disk_full());
    assert!(OpenError::Disk { doing: "x", cause: full() }.is_disk_full());
    assert!(!OpenError::Spool(std::io::ErrorKind::NotFound.into()).is_disk_full());
    assert!(!OpenError::SignedLost { known: String::new() }.is_disk_full());
    assert!(OpenError::Index(Unreadable::NoRoom).is_disk_full());
    assert!(!OpenError::Index(Unreadable::Damaged(String::new())).is_disk_full());
    for fatal in [Fatal::Disk { doing: "x", cause: full() }, Fatal::Index(Unreadable::NoRoom)] {
        assert!(fatal.is_disk_full() && OpenError::Commit(fatal).is_disk_full());
    }
    assert!(!Fatal::Index(Unreadable::Damaged(String::new())).is_disk_full());
}

#[test]
fn a_damaged_record_is_told_by_name_and_written_afresh_when_it_comes_again() {
    let (disk, index, Opened { mut engine, mut signed, .. }) = fresh();
    commit(&mut engine, &[&[add(1, b"a", 1)], &[add(1, b"b", 3)]]);
    engine.apply().unwrap();
    engine.write_signed(&mut signed).unwrap();
    let (lost, kept) = (note_name(b"a", 1), note_name(b"b", 3));
    let segment = Path::new("spool/passing/00000000.seg");
    // The first byte behind the first header.
    disk.flip_bit(segment, 64 * 8).unwrap();
    let reader = engine.reader();
    match reader.record(&lost) {
        Err(ReadError::RecordLost { name, .. }) => assert_eq!(name, lost),
        other => panic!("{other:?}"),
    }
    assert_eq!(reader.record(&kept).unwrap().as_deref(), Some(b"b".as_slice()));
    // The store lives on, also over a start, and the same bytes under the same name heal it.
    drop((engine, signed));
    let Opened { mut engine, .. } = open(&disk, &index).unwrap();
    commit(&mut engine, &[&[add(2, b"c", 5)]]);
    assert!(engine.reader().record(&lost).is_err());
    commit(&mut engine, &[&[add(1, b"a", 1)]]);
    assert_eq!(engine.reader().record(&lost).unwrap().as_deref(), Some(b"a".as_slice()));
    engine.apply().unwrap();
    assert_eq!(engine.reader().record(&note_name(b"c", 5)).unwrap().as_deref(), Some(b"c".as_slice()));
}

#[test]
fn a_lost_record_costs_a_rebuild_nothing_but_itself() {
    let (disk, index, Opened { mut engine, mut signed, .. }) = fresh();
    commit(&mut engine, &[&[add(1, b"a", 1)], &[add(1, b"b", 3)]]);
    engine.apply().unwrap();
    engine.write_signed(&mut signed).unwrap();
    drop((engine, signed));
    let (lost, kept) = (note_name(b"a", 1), note_name(b"b", 3));
    let segment = Path::new("spool/passing/00000000.seg");
    disk.flip_bit(segment, 64 * 8).unwrap();
    let check = |reader: common::ModelReader| {
        match reader.record(&lost) {
            Err(ReadError::RecordLost { name, .. }) => assert_eq!(name, lost),
            other => panic!("{other:?}"),
        }
        assert_eq!(reader.losses(), [Loss::Record(lost)]);
        assert_eq!(reader.record(&kept).unwrap().as_deref(), Some(b"b".as_slice()));
    };
    check(open(&disk, &index).unwrap().engine.reader());
    // Without its index the start has to find every record that the journal names.
    let rebuilt = MemoryPlace::default();
    for salt in [5, 7] {
        let Opened { mut engine, report, .. } = open(&disk, &rebuilt).unwrap();
        assert_eq!(report.lost, [lost]);
        check(engine.reader());
        // Nothing stumbles over a row that leads nowhere.
        commit(&mut engine, &[&[add(2, b"c", salt)]]);
        engine.apply().unwrap();
        engine.settle().unwrap();
    }
    let Opened { mut engine, .. } = open(&disk, &rebuilt).unwrap();
    commit(&mut engine, &[&[add(1, b"a", 1)]]);
    assert_eq!(engine.reader().record(&lost).unwrap().as_deref(), Some(b"a".as_slice()));
    assert_eq!(engine.reader().losses(), [], "the same bytes under the same name heal it");
}

#[test]
fn a_spool_that_lacks_many_records_stops_the_start() {
    let (disk, _, Opened { mut engine, mut signed, .. }) = fresh();
    for salt in 0..4 * u64::try_from(LOSSES_MAX).unwrap() {
        commit(&mut engine, &[&[add(1, b"a", salt)]]);
    }
    engine.apply().unwrap();
    engine.write_signed(&mut signed).unwrap();
    drop((engine, signed));
    let passing = Path::new("spool/passing");
    for name in disk.list(passing).unwrap() {
        disk.remove(&passing.join(name)).unwrap();
    }
    match open(&disk, &MemoryPlace::default()) {
        Err(OpenError::RecordsLost { count, .. }) => assert!(count > LOSSES_MAX),
        other => panic!("{other:?}"),
    }
}
