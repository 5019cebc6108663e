//! Bits that flip in journal, spool, level files, snapshots and `signed`: found or harmless, never believed and never an absence.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{
    Command, ModelReader, add, commit, copy, files, message, note_name, open_short as open, origin, verifying_key,
};
use ncp_protocol::ids::LogName;
use ncp_store::disk::model::ModelDisk;
use ncp_store::disk::read_file;
use ncp_store::fsck::{LogIdentity, fsck};
use ncp_store::index::MemoryPlace;
use ncp_store::recovery::Opened;
use ncp_store::spool::RecordName;

struct Life {
    disk: ModelDisk,
    index: MemoryPlace,
    records: Vec<(RecordName, Vec<u8>)>,
    evidence: BTreeMap<(LogName, u64), String>,
    counts: BTreeMap<u8, u16>,
}

fn identities() -> [LogIdentity; 2] {
    [LogName::Traffic, LogName::Public].map(|log| LogIdentity { origin: origin(log), key: verifying_key(log) })
}

/// A life that ended in good order.
fn life() -> (Life, ModelReader) {
    let (disk, index) = (ModelDisk::new(), MemoryPlace::default());
    let Opened { mut engine, mut signed, .. } = open(&disk, &index).unwrap();
    let mut life = Life { disk, index, records: Vec::new(), evidence: BTreeMap::new(), counts: BTreeMap::new() };
    for group in 0..4 {
        // Groups and batches of records that fill most of their blocks, so that few bits are padding.
        let mut commands = Vec::new();
        for salt in group * 14..group * 14 + 14 {
            let content = vec![u8::try_from(salt + 1).unwrap(); 1_700];
            let number = u8::try_from(salt % 5).unwrap();
            commands.push(add(number, &content, salt));
            life.records.push((note_name(&content, salt), content));
            *life.counts.entry(number).or_default() += 1;
        }
        commit(&mut engine, &[&commands]);
        if group == 2 {
            engine.apply().unwrap();
            engine.take_snapshot().unwrap();
        }
    }
    commit(&mut engine, &[&[Command::Erase { message: message(9), salt: 99 }]]);
    engine.apply().unwrap();
    engine.write_signed(&mut signed).unwrap();
    let reader = engine.reader();
    for log in [LogName::Traffic, LogName::Public] {
        for index in 0..reader.checkpoint(log).unwrap().checkpoint().size {
            life.evidence.insert((log, index), reader.evidence(log, index).unwrap().unwrap().to_string());
        }
    }
    (life, reader)
}

impl Life {
    /// Whether all can still be read; what can be read must be what was written.
    fn is_whole(&self, reader: &ModelReader) -> bool {
        let mut whole = true;
        for (name, content) in &self.records {
            match reader.record(name) {
                Ok(found) => assert_eq!(found.as_ref(), Some(content)),
                Err(_) => whole = false,
            }
        }
        for ((log, index), text) in &self.evidence {
            match reader.evidence(*log, *index) {
                Ok(found) => assert_eq!(found.map(|proof| proof.to_string()).as_ref(), Some(text)),
                Err(_) => whole = false,
            }
        }
        whole
    }
}

/// Numbers without pattern (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

/// Bits of the part of a file that was written, mostly; sometimes of the rest.
fn some_bit(disk: &ModelDisk, file: &Path, dice: &mut Dice) -> Option<u64> {
    let bytes = read_file(disk, file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let reach = if dice.roll(8) == 0 { bytes.len() as u64 } else { used };
    (reach > 0).then(|| dice.roll(reach * 8))
}

#[test]
fn each_flipped_bit_is_reported_or_harmless() {
    let (life, reader) = life();
    assert_eq!(fsck(&life.disk, &identities(), None).unwrap().findings, []);
    let files = files(&life.disk);
    let mut dice = Dice(1);
    let mut flips: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    while flips.values().map(|(all, _)| all).sum::<u32>() < 1_000 {
        let file = &files[usize::try_from(dice.roll(files.len() as u64)).unwrap()];
        let Some(bit) = some_bit(&life.disk, file, &mut dice) else { continue };
        life.disk.flip_bit(file, bit).unwrap();
        let reported = !fsck(&life.disk, &identities(), None).unwrap().findings.is_empty();
        // Level files are mended by whoever reads them, so the report comes first.
        let whole = life.is_whole(&reader);
        assert!(reported || whole, "bit {bit} of {} is neither found nor harmless", file.display());
        let folder = file.iter().next().and_then(|name| name.to_str()).unwrap();
        let (all, found) = flips.entry(folder).or_default();
        *all += 1;
        *found += u32::from(reported);
        life.disk.heal();
    }
    for folder in ["journal", "spool", "levels", "signed", "snapshots"] {
        assert!(flips[folder].0 > 20, "{flips:?}");
    }
    // In these every bit counts, padding as well.
    for folder in ["journal", "snapshots"] {
        assert_eq!(flips[folder].0, flips[folder].1, "{flips:?}");
    }
}

#[test]
fn start_over_a_flipped_bit_stops_or_finds_everything() {
    let (life, _) = life();
    let mut dice = Dice(2);
    let mut started = 0;
    for _ in 0..120 {
        let copy = copy(&life.disk).unwrap();
        let files = files(&copy);
        let file = &files[usize::try_from(dice.roll(files.len() as u64)).unwrap()];
        let Some(bit) = some_bit(&copy, file, &mut dice) else { continue };
        copy.flip_bit(file, bit).unwrap();
        let index = MemoryPlace::default();
        if dice.roll(2) == 0 {
            index.replace(life.index.rows());
        }
        // Where a record is damaged and the index does not need the spool, the start goes on and the read tells.
        if let Ok(Opened { engine, .. }) = open(&copy, &index) {
            started += 1;
            life.is_whole(&engine.reader());
            for (number, count) in &life.counts {
                let found = common::COUNTS.row(&engine.reader().view(), &message(*number)).unwrap();
                assert_eq!(found, Some(*count), "bit {bit} of {}", file.display());
            }
        }
    }
    // A record costs itself alone; what the journal alone holds stops the start.
    assert!((100..120).contains(&started), "{started} of 120 started");
}
