//! Damage of the journal below the newest snapshot and above it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use ncp_protocol::ids::{Digest, LogName};
use ncp_store::disk::Disk as _;
use ncp_store::disk::model::ModelDisk;
use ncp_store::fsck::Finding;
use ncp_store::index::MemoryIndex;
use ncp_store::journal::JournalError;
use ncp_store::reader::{Comparison, ReadError, Reader};
use ncp_store::recovery::{OpenError, OpenReport, Opened};
use ncp_store::snapshot::Taken;

use crate::common::{COUNTS, ModelEngine, ModelOpened, message, note_name, origin, verifying_key};
use crate::{Fate, LOGS, Place, file, grow, life};

fn assert_damaged(result: ModelOpened, what: &str) {
    assert!(matches!(result, Err(OpenError::Journal(JournalError::Damaged(_)))), "{what}: {:?}", result.err());
}

/// Damages a file so that nothing of it can be used, or takes it away.
fn spoil(disk: &ModelDisk, path: &Path, how: Spoiled) {
    match how {
        Spoiled::Rotten => disk.flip_bit(path, 8 * 40).unwrap(),
        Spoiled::Gone => disk.remove(path).unwrap(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Spoiled {
    Rotten,
    Gone,
}

#[test]
fn damage_below_the_newest_snapshot_costs_its_own_evidence_and_nothing_else() {
    let (place, known) = life();
    let newest = *place.snapshots().last().unwrap();
    let segments = place.segments();
    let first = |segment: usize| {
        let name = segments[segment].file_stem().unwrap().to_str().unwrap();
        u64::from_str_radix(name, 16).unwrap()
    };
    for (segment, how) in [(0, Spoiled::Rotten), (0, Spoiled::Gone), (1, Spoiled::Rotten), (2, Spoiled::Gone)] {
        let lost = first(segment)..first(segment + 1);
        assert!(lost.end <= newest, "wholly below");
        for index in [Fate::Kept, Fate::Lost] {
            for levels in [Fate::Kept, Fate::Lost] {
                let mut place = place.fork();
                spoil(&place.disk, &segments[segment], how);
                if matches!(levels, Fate::Lost) {
                    lose_levels(&place.disk);
                }
                let found = place.fsck().findings;
                let is_lost = |finding: &Finding| {
                    matches!(finding, Finding::EventsLost { gap, snapshot }
                        if gap.until == lost.end && *snapshot == newest)
                };
                assert!(found.iter().any(is_lost), "{found:?}");
                assert!(found.iter().all(|f| is_lost(f) || matches!(f, Finding::Level { .. })), "{found:?}");
                let Opened { engine, report, .. } = place.restart(index).unwrap();
                let unread = check_gap(&report, &lost, how);
                let still = check_evidence(&engine, &known, &unread, newest);
                assert!(
                    matches!(levels, Fate::Lost)
                        || still >= known.len() - usize::try_from(lost.end - lost.start).unwrap()
                );
                drop(engine);
                go_on(&mut place);
            }
        }
    }
}

fn lose_levels(disk: &ModelDisk) {
    for log in LOGS {
        let folder = Path::new("levels").join(log.as_str());
        for level in disk.list(&folder).unwrap() {
            disk.remove(&folder.join(level)).unwrap();
        }
    }
}

/// The sequences that no read may show.
fn check_gap(report: &OpenReport, lost: &Range<u64>, how: Spoiled) -> Range<u64> {
    let [gap] = report.gaps[..] else { panic!("{report:?}") };
    assert!(lost.contains(&gap.from) && gap.until == lost.end, "{gap:?} of {lost:?}");
    match how {
        // Whole groups behind the damaged one can still be read by their place.
        Spoiled::Rotten => gap.from..gap.from + 1,
        Spoiled::Gone => lost.clone(),
    }
}

/// Evidence is what it was or cannot be read, and cannot be read only for what is lost or, without level files, old.
fn check_evidence(
    engine: &ModelEngine,
    known: &BTreeMap<(LogName, u64), String>,
    unread: &Range<u64>,
    newest: u64,
) -> usize {
    let reader = engine.reader();
    let mut still = 0;
    for ((log, index), text) in known {
        let sequence = reader.event(*log, *index).map(|found| found.unwrap().sequence);
        match (&sequence, reader.evidence(*log, *index)) {
            (Ok(sequence), Ok(proof)) => {
                assert!(!unread.contains(sequence));
                assert_eq!(proof.unwrap().to_string(), *text);
                still += 1;
            }
            (Err(ReadError::Lost { sequence, .. }), Err(ReadError::Lost { .. })) => assert!(*sequence < newest),
            (Ok(sequence), Err(ReadError::Lost { .. })) => {
                assert!(*sequence < newest, "what is behind the snapshot can be proved");
            }
            other => panic!("{other:?}"),
        }
    }
    LOGS.into_iter().for_each(|log| check_old_roots(&reader, log));
    still
}

/// A peer may hold a checkpoint of any size: what the log cannot tell any more is unknown, and never another history.
fn check_old_roots(reader: &Reader<ModelDisk, MemoryIndex>, log: LogName) {
    let size = reader.checkpoint(log).unwrap().checkpoint().size;
    let other = Digest([7; 32]);
    for old in 0..=size {
        match reader.root(log, old) {
            Ok(root) => {
                assert_eq!(reader.compare(log, old, &root.unwrap()).unwrap(), Comparison::Agrees);
                assert_eq!(reader.compare(log, old, &other).unwrap(), Comparison::Contradicts { size });
            }
            Err(ReadError::Lost { .. }) => {
                assert!(old < size, "the newest is signed");
                assert_eq!(reader.compare(log, old, &other).unwrap(), Comparison::Unknown);
            }
            Err(other) => panic!("{log} at {old} of {size}: {other:?}"),
        }
    }
    assert_eq!(reader.compare(log, size + 1, &other).unwrap(), Comparison::Contradicts { size });
}

/// Service goes on: new events, their evidence, further snapshots, further starts.
fn go_on(place: &mut Place) {
    let Opened { mut engine, .. } = place.restart(Fate::Kept).unwrap();
    let sizes = LOGS.map(|log| engine.reader().checkpoint(log).unwrap().checkpoint().size);
    grow(&mut engine, 40..48);
    for (log, size) in LOGS.into_iter().zip(sizes) {
        let newest = engine.reader().checkpoint(log).unwrap().checkpoint().size;
        for index in size..newest {
            let proof = engine.reader().evidence(log, index).unwrap().unwrap();
            proof.verify(&origin(log), &verifying_key(log)).unwrap();
        }
        assert!(engine.reader().consistency(log, size, newest).unwrap().is_some());
    }
    assert!(matches!(engine.take_snapshot(), Ok(Taken::New(_))));
    let counts =
        |engine: &ModelEngine| [0, 1, 2, 3, 4, 5, 6].map(|n| COUNTS.row(&engine.reader().view(), &message(n)).unwrap());
    let live = counts(&engine);
    let record = note_name(&[5; 700], 2 * 47);
    let bytes = engine.reader().record(&record).unwrap();
    drop(engine);
    let Opened { engine, report, .. } = place.restart(Fate::Lost).unwrap();
    assert_eq!(report.gaps.len(), 1);
    assert_eq!(counts(&engine), live);
    assert_eq!(engine.reader().record(&record).unwrap(), bytes);
}

#[test]
fn damage_above_the_newest_snapshot_stops_the_start() {
    let (place, _) = life();
    let newest = *place.snapshots().last().unwrap();
    let segments = place.segments();
    let holder = segments
        .iter()
        .rposition(|path| u64::from_str_radix(path.file_stem().unwrap().to_str().unwrap(), 16).unwrap() < newest);
    for how in [Spoiled::Rotten, Spoiled::Gone] {
        // The segment that holds the end of the snapshot is not wholly below it.
        for segment in [holder.unwrap(), holder.unwrap() + 1] {
            assert!(segment + 1 < segments.len(), "a closed one");
            for index in [Fate::Kept, Fate::Lost] {
                let mut place = place.fork();
                spoil(&place.disk, &segments[segment], how);
                assert!(!place.fsck().is_sound());
                assert_damaged(place.restart(index), "above");
            }
        }
    }
    // Without a good snapshot above it, all damage does.
    for index in [Fate::Kept, Fate::Lost] {
        let mut place = place.fork();
        place.snapshots().into_iter().for_each(|applied| place.disk.flip_bit(&file(applied), 4_000).unwrap());
        spoil(&place.disk, &segments[0], Spoiled::Rotten);
        assert!(!place.fsck().is_sound());
        assert_damaged(place.restart(index), "no snapshot is good");
    }
}
