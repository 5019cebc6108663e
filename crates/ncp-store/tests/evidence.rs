//! Evidence: every event can be proved, by the same bytes whatever became of the index, the level files and single reads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod common;

use std::path::{Path, PathBuf};

use common::{ModelEngine, Toy, add, commit, open, open_short, origin, verifying_key};
use ncp_protocol::ids::LogName;
use ncp_protocol::merkle;
use ncp_store::disk::model::{Cut, ModelDisk};
use ncp_store::disk::{Disk as _, DiskFile as _, OpenMode};
use ncp_store::index::{MemoryIndex, MemoryPlace};
use ncp_store::journal::JournalError;
use ncp_store::reader::{ReadError, Reader};
use ncp_store::recovery::Opened;
use ncp_store::snapshot::Taken;

fn fresh() -> (ModelDisk, MemoryPlace, Opened<Toy, ModelDisk, MemoryIndex>) {
    let (disk, index) = (ModelDisk::new(), MemoryPlace::default());
    let opened = open(&disk, &index).unwrap();
    (disk, index, opened)
}

#[test]
fn evidence_proves_each_event_and_names_its_place() {
    let (_, _, Opened { mut engine, .. }) = fresh();
    for salt in 0..20 {
        let outcomes = engine.commit(&mut [add(1, b"x", salt), add(2, b"y", salt + 100)].into_iter()).unwrap();
        for outcome in outcomes {
            let [(log, index)] = outcome.committed.places[..] else { panic!("one event, one place") };
            let proof = engine.reader().evidence(log, index).unwrap().unwrap();
            let signed = proof.verify(&origin(log), &verifying_key(log)).unwrap();
            assert_eq!(Some(signed), engine.reader().checkpoint(log), "under the checkpoint of its own group");
        }
    }
    let reader = engine.reader();
    assert_eq!(reader.evidence(LogName::Traffic, 10_000).unwrap(), None);
    assert_eq!(reader.evidence(LogName::Node, 0).unwrap(), None);
    let size = reader.checkpoint(LogName::Traffic).unwrap().checkpoint().size;
    for old in 0..=size {
        let proof = reader.consistency(LogName::Traffic, old, size).unwrap().unwrap();
        let (old_root, root) =
            (reader.root(LogName::Traffic, old).unwrap(), reader.root(LogName::Traffic, size).unwrap());
        merkle::verify_consistency(old, &old_root.unwrap(), size, &root.unwrap(), &proof).unwrap();
    }
    assert_eq!(reader.consistency(LogName::Traffic, 0, size + 1).unwrap(), None);
}

#[test]
fn evidence_is_the_same_after_restart_rebuild_and_lost_level_files() {
    let (disk, index, Opened { mut engine, .. }) = fresh();
    for salt in 0..30 {
        commit(&mut engine, &[&[add(1, b"x", salt), add(2, b"y", salt + 100)]]);
    }
    let all = |engine: &ModelEngine| {
        let proof = |log, index| engine.reader().evidence(log, index).unwrap().map(|proof| proof.to_string());
        let log = |log| (0..).map_while(move |index| proof(log, index)).collect::<Vec<_>>();
        [log(LogName::Traffic), log(LogName::Public)].concat()
    };
    let before = all(&engine);
    assert_eq!(before.len(), 62);
    drop(engine);
    let disk = disk.reopen(Cut::Lost);
    let Opened { engine, .. } = open(&disk, &index).unwrap();
    assert_eq!(all(&engine), before, "after a power cut");
    index.replace(Default::default());
    let disk = disk.reopen(Cut::Killed);
    let Opened { engine, report, .. } = open(&disk, &index).unwrap();
    assert_eq!(report.replayed, 62);
    assert_eq!(all(&engine), before, "after a rebuild");
    let disk = disk.reopen(Cut::Killed);
    rot_levels(&disk);
    let Opened { engine, .. } = open(&disk, &index).unwrap();
    assert_eq!(all(&engine), before, "with level files rotten");
}

fn level_files(disk: &ModelDisk) -> Vec<PathBuf> {
    let root = Path::new("levels");
    let logs = disk.list(root).unwrap();
    let files = |log: &String| {
        let folder = root.join(log);
        disk.list(&folder).unwrap().into_iter().map(move |file| folder.join(file))
    };
    let files: Vec<_> = logs.iter().flat_map(files).collect();
    assert!(!files.is_empty());
    files
}

fn rot_levels(disk: &ModelDisk) {
    for file in level_files(disk) {
        let len = disk.open(&file, OpenMode::Read).unwrap().len().unwrap();
        (0..len).step_by(7).for_each(|byte| disk.flip_bit(&file, byte * 8).unwrap());
    }
}

/// What needs the tree of `traffic`, and tells whether it holds.
type Question = fn(&Reader<ModelDisk, MemoryIndex>) -> Result<String, ReadError>;

const QUESTIONS: [Question; 3] = [
    |reader| Ok(reader.evidence(LogName::Traffic, 3)?.unwrap().to_string()),
    |reader| Ok(format!("{:?}", reader.consistency(LogName::Traffic, 5, 20)?.unwrap())),
    |reader| Ok(reader.root(LogName::Traffic, 5)?.unwrap().to_string()),
];

#[test]
fn a_read_that_fails_is_the_disks_failure_and_never_a_tree_that_disagrees() {
    let (disk, index) = (ModelDisk::new(), MemoryPlace::default());
    let Opened { mut engine, .. } = open_short(&disk, &index).unwrap();
    for salt in 0..30 {
        commit(&mut engine, &[&[add(1, &[7; 700], salt), add(2, b"y", salt + 100)]]);
    }
    engine.apply().unwrap();
    // A snapshot's edge serves in place of a damaged journal. It knows no old leaf, and a read that failed is no damage.
    assert!(matches!(engine.take_snapshot(), Ok(Taken::New(_))));
    let known = QUESTIONS.map(|ask| ask(&engine.reader()).unwrap());
    drop(engine);
    for (ask, known) in QUESTIONS.into_iter().zip(known) {
        for are_rotten in [false, true] {
            let failed = (0..).map_while(|read| ask_with_a_failed_read(&disk.fork(), ask, &known, are_rotten, read));
            let failed: Vec<bool> = failed.collect();
            // A level file that cannot be read is made good from the journal; the journal is not made good from anything.
            assert!(failed.contains(&are_rotten), "{failed:?}");
        }
    }
}

/// Whether the question failed; `None` if it asked for fewer reads.
fn ask_with_a_failed_read(disk: &ModelDisk, ask: Question, known: &str, are_rotten: bool, read: u64) -> Option<bool> {
    let Opened { mut engine, .. } = open_short(disk, &MemoryPlace::default()).unwrap();
    engine.apply().unwrap();
    let reader = engine.reader();
    if are_rotten {
        rot_levels(disk);
    }
    let failing = disk.reads() + read;
    disk.fail_read_at(failing);
    let failed = match ask(&reader) {
        Ok(answer) => {
            assert_eq!(answer, known);
            false
        }
        Err(ReadError::Journal(JournalError::Io(_)) | ReadError::Disk(_)) => true,
        Err(other) => panic!("read {read} of a tree that is rotten ({are_rotten}): {other:?}"),
    };
    (disk.reads() > failing).then_some(failed)
}
