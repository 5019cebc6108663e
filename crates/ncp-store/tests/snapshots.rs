//! Snapshots of the index: a rebuild from one is the rebuild from the whole journal; one that is bad is found; what the
//! journal loses below one costs its own evidence and nothing else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod common;

mod snapshots {
    mod damage;
}

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use common::{
    Command, ModelEngine, ModelOpened, Toy, add, commit, message, open_short, options, origin, rows, short,
    verifying_key,
};
use ncp_protocol::ids::LogName;
use ncp_store::disk::model::{Cut, Fault, ModelDisk};
use ncp_store::disk::{Disk as _, read_file, replace_file};
use ncp_store::fsck::{Finding, FsckReport, LogIdentity, fsck};
use ncp_store::index::{Index as _, MemoryIndex, MemoryPlace};
use ncp_store::recovery::{self, OpenError, Opened};
use ncp_store::snapshot::{self, Taken};
use ncp_store::state::{Core, Decision, Placed, Rows, Unreadable, View};

const LOGS: [LogName; 2] = [LogName::Traffic, LogName::Public];

/// What a start finds of something that can be made again.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Kept,
    Lost,
}

/// A store on a model disk between two lives.
struct Place {
    disk: ModelDisk,
    index: MemoryPlace,
}

impl Place {
    fn new() -> Self {
        Self { disk: ModelDisk::new(), index: MemoryPlace::default() }
    }

    fn open(&self) -> ModelOpened {
        open_short(&self.disk, &self.index)
    }

    fn fork(&self) -> Self {
        let index = MemoryPlace::default();
        index.replace(self.index.rows());
        Self { disk: self.disk.fork(), index }
    }

    /// The next life, with or without its index.
    fn restart(&mut self, index: Fate) -> ModelOpened {
        self.disk = self.disk.reopen(Cut::Killed);
        match index {
            Fate::Kept => {}
            Fate::Lost => self.index.replace(BTreeMap::new()),
        }
        self.open()
    }

    fn fsck(&self) -> FsckReport {
        let identities = LOGS.map(|log| LogIdentity { origin: origin(log), key: verifying_key(log) });
        fsck(&self.disk, &identities, Some(&MemoryIndex::open(&self.index).unwrap())).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        let folder = Path::new("journal");
        self.disk.list(folder).unwrap().into_iter().map(|name| folder.join(name)).collect()
    }

    fn snapshots(&self) -> Vec<u64> {
        snapshot::list(&self.disk).unwrap()
    }
}

fn file(applied: u64) -> PathBuf {
    Path::new(snapshot::FOLDER).join(format!("{applied:016x}.snap"))
}

/// Commits groups with these numbers: two notes each, sometimes an erasure.
fn grow(engine: &mut ModelEngine, groups: Range<u64>) {
    for number in groups {
        let name = u8::try_from(number % 7).unwrap();
        let mut group = vec![add(name, &[name; 700], 2 * number), add(name + 1, b"public", 2 * number + 1)];
        if number % 5 == 4 {
            group.push(Command::Erase { message: message(name), salt: number });
        }
        commit(engine, &[&group]);
    }
    engine.apply().unwrap();
}

fn evidence(engine: &ModelEngine) -> BTreeMap<(LogName, u64), String> {
    let reader = engine.reader();
    let all = LOGS.into_iter().flat_map(|log| {
        let size = reader.checkpoint(log).unwrap().checkpoint().size;
        (0..size).map(move |index| (log, index))
    });
    all.map(|(log, index)| ((log, index), reader.evidence(log, index).unwrap().unwrap().to_string())).collect()
}

/// A life of several closed segments with snapshots at two places, settled, and its evidence.
fn life() -> (Place, BTreeMap<(LogName, u64), String>) {
    let place = Place::new();
    let Opened { mut engine, mut signed, .. } = place.open().unwrap();
    for groups in [0..9, 9..17] {
        grow(&mut engine, groups);
        assert!(matches!(engine.take_snapshot(), Ok(Taken::New(_))));
    }
    grow(&mut engine, 17..30);
    engine.write_signed(&mut signed).unwrap();
    let evidence = evidence(&engine);
    assert!(place.segments().len() > 4);
    (place, evidence)
}

#[test]
fn rebuild_from_a_snapshot_is_the_rebuild_from_the_journal_to_the_last_bit() {
    let (mut place, known) = life();
    let [older, newer] = place.snapshots()[..] else { panic!("two snapshots") };
    let live = place.index.rows();
    let total = place.fsck().events;
    // With the trust row: its sum over all rows as well.
    let check = |place: &mut Place, expected: Option<u64>| {
        let Opened { engine, report, .. } = place.restart(Fate::Lost).unwrap();
        assert_eq!((report.loaded, report.replayed), (expected, total - expected.unwrap_or(0)));
        assert_eq!(report.rebuilt, None);
        assert_eq!(place.index.rows(), live, "from {expected:?}");
        assert_eq!(evidence(&engine), known);
    };
    check(&mut place, Some(newer));
    place.disk.remove(&file(newer)).unwrap();
    check(&mut place, Some(older));
    place.disk.remove(&file(older)).unwrap();
    check(&mut place, None);
}

#[test]
fn untrusted_index_is_loaded_from_the_newest_snapshot() {
    let (mut place, _) = life();
    let live = place.index.rows();
    let newest = place.snapshots().last().copied();
    for key in live.keys().step_by(11) {
        let mut damaged = live.clone();
        damaged.insert(key.clone(), vec![0xee; 3]);
        place.index.replace(damaged);
        let Opened { report, .. } = place.restart(Fate::Kept).unwrap();
        assert!(report.rebuilt.is_some());
        assert_eq!(report.loaded, newest);
        assert_eq!(place.index.rows(), live);
    }
    let Opened { report, .. } = place.restart(Fate::Kept).unwrap();
    assert_eq!((report.rebuilt, report.loaded, report.replayed), (None, None, 0), "an index that is good stays");
}

#[test]
fn flipped_bit_of_a_snapshot_is_found_and_service_goes_on() {
    let (place, known) = life();
    let [older, newer] = place.snapshots()[..] else { panic!("two snapshots") };
    let live = place.index.rows();
    let len = u64::try_from(read_file(&place.disk, &file(newer)).unwrap().len()).unwrap();
    for byte in (0..len).step_by(usize::try_from(len / 60).unwrap()) {
        let mut place = place.fork();
        place.disk.flip_bit(&file(newer), byte * 8 + byte % 8).unwrap();
        assert!(
            matches!(&place.fsck().findings[..], [Finding::Snapshot { applied, .. }] if *applied == newer),
            "byte {byte}"
        );
        assert!(place.fsck().is_sound(), "nothing is lost");
        let Opened { mut engine, report, .. } = place.restart(Fate::Lost).unwrap();
        assert_eq!((report.loaded, report.snapshots_rejected), (Some(older), vec![newer]));
        assert_eq!(place.index.rows(), live);
        assert_eq!(place.snapshots(), [older]);
        assert_eq!(place.disk.list(Path::new("corrupt")).unwrap(), [format!("snapshot-{newer:016x}.0")]);
        grow(&mut engine, 30..32);
    }
    // Both: the whole journal serves.
    let mut place = place;
    for applied in [older, newer] {
        place.disk.flip_bit(&file(applied), 900).unwrap();
    }
    let Opened { engine, report, .. } = place.restart(Fate::Lost).unwrap();
    assert_eq!((report.loaded, report.snapshots_rejected), (None, vec![newer, older]));
    assert_eq!(place.index.rows(), live);
    assert_eq!(evidence(&engine), known);
}

#[test]
fn snapshot_of_another_journal_is_refused() {
    // The same keys and lengths, other content.
    let other = Place::new();
    let Opened { mut engine, .. } = other.open().unwrap();
    commit(&mut engine, &[&[add(1, b"another", 1), add(2, b"life", 2)]]);
    grow(&mut engine, 1..9);
    engine.take_snapshot().unwrap();
    grow(&mut engine, 9..17);
    engine.take_snapshot().unwrap();
    drop(engine);
    let (mut place, known) = life();
    let live = place.index.rows();
    assert_eq!(place.snapshots(), other.snapshots(), "at the same sequences");
    for applied in other.snapshots() {
        let bytes = read_file(&other.disk, &file(applied)).unwrap();
        replace_file(&place.disk, &file(applied), &bytes).unwrap();
    }
    assert_eq!(place.fsck().findings.len(), 2);
    let Opened { engine, report, .. } = place.restart(Fate::Lost).unwrap();
    assert_eq!((report.loaded, report.snapshots_rejected.len()), (None, 2));
    assert_eq!(place.index.rows(), live);
    assert_eq!(evidence(&engine), known);
}

#[test]
fn snapshot_at_the_very_end_is_used_and_one_ahead_of_the_journal_is_refused() {
    let (mut place, _) = life();
    let Opened { mut engine, mut signed, .. } = place.restart(Fate::Kept).unwrap();
    let Ok(Taken::New(end)) = engine.take_snapshot() else { panic!("something was applied") };
    assert_eq!(engine.take_snapshot().unwrap(), Taken::Nothing);
    engine.write_signed(&mut signed).unwrap();
    drop(engine);
    let live = place.index.rows();
    let Opened { report, .. } = place.restart(Fate::Lost).unwrap();
    assert_eq!((report.loaded, report.replayed), (Some(end), 0));
    assert_eq!(place.index.rows(), live);
    // A journal of yesterday with the snapshot of today.
    let (mut old, _) = life();
    let today = read_file(&place.disk, &file(end)).unwrap();
    replace_file(&old.disk, &file(end + 100), &today).unwrap();
    let Opened { report, .. } = old.restart(Fate::Kept).unwrap();
    assert_eq!(report.snapshots_rejected, [end + 100], "it is not what its name says");
    let mut cut = place;
    let Opened { mut engine, mut signed, .. } = cut.restart(Fate::Kept).unwrap();
    commit(&mut engine, &[&[add(1, b"today", 7_777)]]);
    engine.apply().unwrap();
    let Ok(Taken::New(end)) = engine.take_snapshot() else { panic!("something was applied") };
    engine.write_signed(&mut signed).unwrap();
    drop((engine, signed));
    for name in cut.disk.list(Path::new("journal")).unwrap() {
        cut.disk.remove(&Path::new("journal").join(name)).unwrap();
    }
    for name in old.disk.list(Path::new("journal")).unwrap() {
        let path = Path::new("journal").join(name);
        replace_file(&cut.disk, &path, &read_file(&old.disk, &path).unwrap()).unwrap();
    }
    replace_file(&cut.disk, Path::new("signed"), &read_file(&old.disk, Path::new("signed")).unwrap()).unwrap();
    for _ in 0..2 {
        match cut.restart(Fate::Lost) {
            Err(OpenError::JournalBehindSnapshot { known, .. }) => assert_eq!(known, end),
            other => panic!("{other:?}"),
        }
    }
}

/// The toy with another row layout.
struct Newer;

impl Core for Newer {
    type Command = Command;
    type Reply = u16;
    type Effect = common::Effect;

    fn decide(&self, view: &dyn View, command: Command) -> Result<Decision<u16, common::Effect>, Unreadable> {
        Toy.decide(view, command)
    }

    fn apply(&self, view: &dyn View, event: Placed<'_>, rows: &mut Rows) -> Result<(), Unreadable> {
        Toy.apply(view, event, rows)
    }

    fn schema(&self) -> u32 {
        2
    }
}

#[test]
fn snapshot_of_another_layout_is_not_used_and_stays_until_newer_ones_replace_it() {
    let (place, _) = life();
    let before = place.snapshots();
    let live = rows(&MemoryIndex::open(&place.index).unwrap());
    let Opened { mut engine, report, .. } =
        recovery::open::<_, _, MemoryIndex>(place.disk.reopen(Cut::Killed), Newer, short(options(place.index.clone())))
            .unwrap();
    assert_eq!((report.loaded, report.snapshots_rejected), (None, vec![]));
    assert!(report.rebuilt.is_some() && report.replayed > before[1]);
    assert_eq!(rows(&MemoryIndex::open(&place.index).unwrap()), live);
    let disk = place.disk.reopen(Cut::Killed);
    drop(engine);
    let place = Place { disk, ..place };
    assert_eq!(place.snapshots(), before);
    let reopened = recovery::open::<_, _, MemoryIndex>(place.disk.clone(), Newer, short(options(place.index.clone())));
    engine = reopened.unwrap().engine;
    assert!(matches!(engine.take_snapshot(), Ok(Taken::New(_))));
    assert_eq!(place.snapshots()[0], before[1]);
}

#[test]
fn older_snapshot_stands_until_the_newer_is_durable() {
    let place = Place::new();
    let Opened { mut engine, mut signed, .. } = place.open().unwrap();
    for groups in [0..3, 3..6, 6..9] {
        grow(&mut engine, groups);
        engine.write_signed(&mut signed).unwrap();
        if place.snapshots().len() < 2 {
            engine.take_snapshot().unwrap();
        }
    }
    drop(engine);
    let before = place.snapshots();
    assert_eq!(before.len(), 2);
    for cut in [Cut::Lost, Cut::Kept, Cut::Killed, Cut::Torn(1), Cut::Torn(2)] {
        for operation in 0.. {
            let mut place = place.fork();
            let Opened { mut engine, .. } = place.restart(Fate::Kept).unwrap();
            place.disk.fail_at(place.disk.operations() + operation, Fault::Crash);
            let ended = engine.take_snapshot().is_ok();
            drop(engine);
            place.disk = place.disk.reopen(cut);
            let left = place.snapshots();
            assert!(left.contains(&before[1]) && left.len() >= 2, "{cut:?} at {operation}: {left:?}");
            let found = place.fsck().findings;
            assert!(!found.iter().any(|f| matches!(f, Finding::Snapshot { .. }) || f.is_loss()), "{found:?}");
            if ended {
                break;
            }
        }
    }
}

#[test]
fn disk_without_room_costs_the_snapshot_and_not_the_service() {
    let place = Place::new();
    let Opened { mut engine, .. } = place.open().unwrap();
    grow(&mut engine, 0..9);
    place.disk.set_capacity(512 << 20);
    assert_eq!(engine.take_snapshot().unwrap(), Taken::NoRoom);
    grow(&mut engine, 9..12);
    place.disk.set_capacity(1 << 40);
    assert!(matches!(engine.take_snapshot(), Ok(Taken::New(_))));
    assert_eq!(place.snapshots().len(), 1);
}
