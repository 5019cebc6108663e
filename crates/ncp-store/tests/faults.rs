//! Every disk operation of a whole life fails once, in every way; then the daemon starts again and goes on.
//!
//! Not a failure: a command whose commit returned an error may have happened or not, but wholly. Everything that was
//! acknowledged must be there, with the same evidence; at the end nothing is missing and nothing happened twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{
    COUNTS, Command, ModelEngine, ModelReader, add, message, note_name, open_short as open, origin, rows, verifying_key,
};
use ncp_protocol::ids::{LogName, ParticipantId, UnixMillis};
use ncp_protocol::limits::CHUNK_SEALED;
use ncp_store::bodies::{Begun, Expect, Start, UploadError, UploadRequest};
use ncp_store::disk::Disk as _;
use ncp_store::disk::model::{Cut, Fault, ModelDisk};
use ncp_store::fsck::{Finding, LogIdentity, fsck};
use ncp_store::index::{Index as _, MemoryIndex, MemoryPlace};
use ncp_store::recovery::Opened;
use ncp_store::snapshot;
use ncp_store::spool::{BodyName, RecordName};

/// What a daemon does in its life, step by step.
#[derive(Debug, Clone)]
enum Step {
    Group(Vec<Command>),
    Upload(u8),
    Drop(u8),
    Signed,
    Settle,
    Apply,
    Snapshot,
    Ahead,
}

fn life() -> Vec<Step> {
    let large = |byte| [byte; 60_000];
    vec![
        Step::Group(vec![add(1, b"one", 1), add(2, b"two", 2)]),
        Step::Apply,
        Step::Signed,
        Step::Upload(7),
        Step::Group(vec![add(7, &large(3), 3), add(1, &large(4), 4)]),
        // Fills segments of the spool, so that new ones are made.
        Step::Group(vec![add(3, &large(5), 5), add(3, &large(6), 6), add(3, &large(8), 8), add(3, &large(10), 10)]),
        Step::Ahead,
        Step::Group(vec![add(3, &large(7), 7), add(3, &large(9), 9), add(3, &large(11), 11), add(3, &large(12), 12)]),
        Step::Signed,
        Step::Snapshot,
        Step::Group(vec![Command::Erase { message: message(3), salt: 20 }]),
        Step::Settle,
        Step::Snapshot,
        Step::Drop(7),
        Step::Group(vec![
            add(1, b"after the erasure", 14),
            Command::Burst { message: message(4), events: 5, salt: 30 },
        ]),
        Step::Apply,
        Step::Group(vec![Command::Erase { message: message(2), salt: 21 }, add(2, b"again", 16)]),
        Step::Signed,
        // The third: the first goes.
        Step::Snapshot,
        Step::Group(vec![add(5, b"last", 18)]),
    ]
}

/// What must be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    counts: BTreeMap<u8, u16>,
    notes: BTreeMap<u8, Vec<(RecordName, Vec<u8>)>>,
    gone: Vec<RecordName>,
    bodies: BTreeSet<u8>,
}

impl Model {
    fn after(&self, step: &Step) -> Self {
        let mut model = self.clone();
        match step {
            Step::Group(commands) => commands.iter().for_each(|command| model.command(command)),
            Step::Upload(number) => drop(model.bodies.insert(*number)),
            Step::Drop(number) => {
                model.bodies.remove(number);
                *model.counts.entry(*number).or_default() += 1;
            }
            Step::Signed | Step::Settle | Step::Apply | Step::Snapshot | Step::Ahead => {}
        }
        model
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Add { message, content, salt } => {
                *self.counts.entry(message.0[0]).or_default() += 1;
                let note = (note_name(content, *salt), content.clone());
                self.notes.entry(message.0[0]).or_default().push(note);
            }
            Command::Burst { message, events, .. } => *self.counts.entry(message.0[0]).or_default() += events,
            Command::Erase { message, .. } => {
                let notes = self.notes.remove(&message.0[0]).unwrap_or_default();
                self.gone.extend(notes.into_iter().map(|(name, _)| name));
            }
            Command::Drop { .. } | Command::Look { .. } | Command::Panic => unreachable!("not in this life"),
        }
    }

    /// Whether the store is in exactly this state; a body that is there too early or still there is no fault.
    fn is(&self, reader: &ModelReader) -> bool {
        let counts = (0..10).all(|number| {
            COUNTS.row(&reader.view(), &message(number)).unwrap().unwrap_or(0)
                == self.counts.get(&number).copied().unwrap_or(0)
        });
        let has = |(name, content): &(RecordName, Vec<u8>)| reader.record(name).unwrap().as_ref() == Some(content);
        counts
            && self.notes.values().flatten().all(has)
            && self.gone.iter().all(|name| reader.record(name).unwrap().is_none())
    }

    fn check_bodies(&self, reader: &ModelReader) {
        for number in &self.bodies {
            let name = body_name(*number);
            let body =
                reader.body(&name).unwrap().unwrap_or_else(|| panic!("body {number} was acknowledged and is gone"));
            assert_eq!(body.root().unwrap(), name.root);
        }
    }
}

fn chunks(number: u8) -> [Vec<u8>; 2] {
    [vec![number; CHUNK_SEALED], vec![number; 100]]
}

fn request(number: u8) -> UploadRequest {
    UploadRequest {
        peer: "XA".parse().unwrap(),
        originator: "XA".parse().unwrap(),
        message: message(number),
        expect: Expect::Root {
            root: body_name(number).root,
            length: chunks(number).iter().map(Vec::len).sum::<usize>() as u64,
        },
        start: Start::Resume,
        now: UnixMillis(1),
        quota: 1 << 30,
    }
}

fn body_name(number: u8) -> BodyName {
    // Learned once from a disk that never fails.
    let disk = ModelDisk::new();
    let bodies = ncp_store::bodies::Bodies::open(disk).unwrap();
    let originator: ParticipantId = "XA".parse().unwrap();
    let any = UploadRequest {
        peer: originator,
        originator,
        message: message(number),
        expect: Expect::Any { limit: 1 << 20 },
        start: Start::Resume,
        now: UnixMillis(1),
        quota: 1 << 30,
    };
    let Begun::Upload(mut upload) = bodies.upload(&any).unwrap() else { panic!("a new disk has no bodies") };
    chunks(number).iter().for_each(|chunk| upload.append(chunk).unwrap());
    upload.finish().unwrap()
}

fn upload(reader: &ModelReader, number: u8) -> Result<(), UploadError> {
    match reader.uploads().upload(&request(number))? {
        Begun::Complete(_) => Ok(()),
        Begun::Upload(mut upload) => {
            let next = usize::try_from(upload.next_chunk()).unwrap();
            for chunk in &chunks(number)[next..] {
                upload.append(chunk)?;
            }
            upload.finish().map(drop)
        }
    }
}

/// A daemon that is killed and started again until its life is lived.
#[derive(Clone)]
struct Daemon {
    disk: ModelDisk,
    index: MemoryPlace,
    cut: Cut,
    model: Model,
    // Proofs that were handed out: they must never change.
    proofs: BTreeMap<(LogName, u64), String>,
    starts: usize,
}

impl Daemon {
    fn new(cut: Cut) -> Self {
        let (disk, index) = (ModelDisk::new(), MemoryPlace::default());
        Self { disk, index, cut, model: Model::default(), proofs: BTreeMap::new(), starts: 0 }
    }

    /// The same daemon on a disk and an index of its own.
    fn fork(&self) -> Self {
        let index = MemoryPlace::default();
        index.replace(self.index.rows());
        Self { disk: self.disk.fork(), index, ..self.clone() }
    }

    fn live(&mut self) {
        let steps = life();
        let mut next = 0;
        while next < steps.len() {
            let Some(opened) = self.start() else { continue };
            let Opened { mut engine, mut signed, .. } = opened;
            next = self.find_out(&engine.reader(), &steps, next);
            while let Some(step) = steps.get(next) {
                if !self.take(&mut engine, &mut signed, step) {
                    break;
                }
                next += 1;
            }
        }
    }

    /// Starts, or ends the process in the attempt.
    fn start(&mut self) -> Option<Opened<common::Toy, ModelDisk, MemoryIndex>> {
        self.starts += 1;
        assert!(self.starts < 10, "one fault needs no more starts");
        let operations = self.disk.operations();
        match open(&self.disk, &self.index) {
            Ok(opened) => Some(opened),
            Err(error) => {
                assert!(self.starts <= 2, "a start without fault failed after operation {operations}: {error}");
                self.end();
                None
            }
        }
    }

    fn end(&mut self) {
        let cut = if self.disk.crashed() { self.cut } else { Cut::Killed };
        self.disk = self.disk.reopen(cut);
    }

    /// Whether the step that was on its way when the process ended took place.
    fn find_out(&mut self, reader: &ModelReader, steps: &[Step], next: usize) -> usize {
        self.check_proofs(reader);
        let happened = !self.model.is(reader);
        if happened {
            self.model = steps.get(next).map(|step| self.model.after(step)).unwrap();
            assert!(self.model.is(reader), "neither before nor after {:?}", steps.get(next));
        }
        self.model.check_bodies(reader);
        next + usize::from(happened)
    }

    fn take(
        &mut self,
        engine: &mut ModelEngine,
        signed: &mut ncp_store::signed::Signed<ModelDisk>,
        step: &Step,
    ) -> bool {
        let done = match step {
            Step::Group(commands) => engine.commit(&mut commands.iter().cloned()).is_ok(),
            Step::Drop(number) => {
                let drop = Command::Drop { body: body_name(*number), salt: 40 };
                engine.commit(&mut [drop].into_iter()).is_ok()
            }
            Step::Upload(number) => upload(&engine.reader(), *number).is_ok(),
            Step::Signed => engine.write_signed(signed).is_ok(),
            Step::Settle => engine.settle().is_ok(),
            Step::Apply => engine.apply().is_ok(),
            Step::Ahead => engine.make_ahead().is_ok(),
            Step::Snapshot => engine.apply().is_ok() && engine.take_snapshot().is_ok(),
        };
        if done {
            self.model = self.model.after(step);
            self.note_proofs(&engine.reader());
        } else {
            self.end();
        }
        done
    }

    fn note_proofs(&mut self, reader: &ModelReader) {
        for log in [LogName::Traffic, LogName::Public] {
            let size = reader.checkpoint(log).unwrap().checkpoint().size;
            let index = size - 1;
            if let Ok(Some(proof)) = reader.evidence(log, index) {
                self.proofs.insert((log, index), proof.to_string());
            }
        }
    }

    fn check_proofs(&self, reader: &ModelReader) {
        for ((log, index), text) in &self.proofs {
            let proof = reader.evidence(*log, *index).unwrap().unwrap();
            assert_eq!(proof.to_string(), *text, "evidence changed");
            proof.verify(&origin(*log), &verifying_key(*log)).unwrap();
        }
    }

    /// Cuts the power once more: what the last start showed must have been on the disk.
    fn finish(mut self) {
        for cut in [Cut::Lost, Cut::Killed] {
            self.disk = self.disk.reopen(cut);
            let Opened { mut engine, .. } = open(&self.disk, &self.index).unwrap();
            let reader = engine.reader();
            assert!(self.model.is(&reader), "at the end");
            self.model.check_bodies(&reader);
            self.check_proofs(&reader);
            engine.apply().unwrap();
            assert!(reader.body(&body_name(7)).unwrap().is_none(), "what was let go is gone");
        }
        let index = MemoryIndex::open(&self.index).unwrap();
        let report = fsck(&self.disk, &identities(), Some(&index)).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        assert!(
            !report.findings.iter().any(|found| matches!(found, Finding::Snapshot { .. })),
            "{:?}",
            report.findings
        );
        assert_eq!(
            report.events,
            2 + 2 + 2 + 4 + 4 + 1 + 1 + 6 + 2 + 1,
            "nothing is missing and nothing happened twice"
        );
        assert!((1..=3).contains(&report.snapshots), "{} snapshots", report.snapshots);
        self.check_rebuilds();
    }

    /// The index from a snapshot and the groups behind it is that from the whole journal, to the last bit.
    fn check_rebuilds(mut self) {
        let taken: Vec<_> = snapshot::list(&self.disk).unwrap();
        let live = self.rebuilt(taken.last().copied());
        let folder = Path::new(snapshot::FOLDER);
        for applied in taken {
            self.disk.remove(&folder.join(format!("{applied:016x}.snap"))).unwrap();
        }
        self.disk.sync_dir(folder).unwrap();
        assert!(live == self.rebuilt(None), "rows of a rebuild from a snapshot");
    }

    fn rebuilt(&mut self, expected: Option<u64>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.disk = self.disk.reopen(Cut::Lost);
        self.index.replace(BTreeMap::new());
        let Opened { engine, report, .. } = open(&self.disk, &self.index).unwrap();
        assert_eq!((report.loaded, report.snapshots_rejected), (expected, vec![]));
        assert!(self.model.is(&engine.reader()), "after a rebuild");
        rows(&engine.reader().view())
    }
}

fn identities() -> [LogIdentity; 2] {
    [LogName::Traffic, LogName::Public].map(|log| LogIdentity { origin: origin(log), key: verifying_key(log) })
}

/// Operations of a life without faults.
fn operations() -> u64 {
    let mut daemon = Daemon::new(Cut::Killed);
    daemon.live();
    let operations = daemon.disk.operations();
    assert!(operations > 100, "a life is more than {operations} operations");
    daemon.finish();
    operations
}

/// What a start finds of the index.
#[derive(Clone, Copy)]
enum IndexFate {
    Kept,
    Lost,
}

impl IndexFate {
    fn befall(self, index: &MemoryPlace) {
        match self {
            Self::Kept => {}
            Self::Lost => index.replace(BTreeMap::new()),
        }
    }
}

fn sweep(fault: Fault, cut: impl Fn(u64) -> Cut, fate: IndexFate) {
    for operation in 0..operations() {
        let mut daemon = Daemon::new(cut(operation));
        daemon.disk.fail_at(operation, fault);
        daemon.live();
        fate.befall(&daemon.index);
        daemon.finish();
    }
}

#[test]
fn operation_that_fails() {
    sweep(Fault::Fail, |_| Cut::Killed, IndexFate::Kept);
}

#[test]
fn operation_that_fails_but_persists() {
    sweep(Fault::FailButPersisted, |_| Cut::Killed, IndexFate::Lost);
}

#[test]
fn crash_that_loses_what_was_not_synced() {
    sweep(Fault::Crash, |_| Cut::Lost, IndexFate::Kept);
}

#[test]
fn crash_that_keeps_everything() {
    sweep(Fault::Crash, |_| Cut::Kept, IndexFate::Lost);
}

#[test]
fn crash_that_tears() {
    sweep(Fault::Crash, Cut::Torn, IndexFate::Kept);
}

#[test]
fn kill_without_power_cut() {
    sweep(Fault::Crash, |_| Cut::Killed, IndexFate::Lost);
}

#[test]
fn fault_in_the_start_after_a_fault() {
    let steps = life();
    for operation in (0..operations()).step_by(17) {
        let mut daemon = Daemon::new(Cut::Torn(operation));
        daemon.disk.fail_at(operation, Fault::Crash);
        // The first life, up to its end.
        let mut next = 0;
        if let Some(Opened { mut engine, mut signed, .. }) = daemon.start() {
            while next < steps.len() && daemon.take(&mut engine, &mut signed, &steps[next]) {
                next += 1;
            }
        }
        for fate in [IndexFate::Kept, IndexFate::Lost] {
            for later in 0.. {
                let mut daemon = daemon.fork();
                fate.befall(&daemon.index);
                daemon.disk.fail_at(daemon.disk.operations() + later, Fault::Crash);
                let struck = open(&daemon.disk, &daemon.index).is_err();
                daemon.end();
                let Opened { engine, .. } = open(&daemon.disk, &daemon.index).unwrap();
                let reached = daemon.find_out(&engine.reader(), &steps, next);
                assert!(reached - next <= 1);
                if !struck {
                    break;
                }
            }
        }
    }
}

#[test]
fn read_that_fails_is_never_taken_for_absence() {
    let reads = {
        let mut daemon = Daemon::new(Cut::Killed);
        daemon.live();
        let before = daemon.disk.reads();
        daemon.disk = daemon.disk.reopen(Cut::Killed);
        daemon.index.replace(BTreeMap::new());
        open(&daemon.disk, &daemon.index).unwrap();
        daemon.disk.reads() - before
    };
    let mut daemon = Daemon::new(Cut::Killed);
    daemon.live();
    for read in 0..reads {
        daemon.disk = daemon.disk.reopen(Cut::Killed);
        daemon.index.replace(BTreeMap::new());
        daemon.disk.fail_read_at(daemon.disk.reads() + read);
        if let Ok(Opened { engine, .. }) = open(&daemon.disk, &daemon.index) {
            assert!(daemon.model.is(&engine.reader()), "read {read}");
        }
    }
    daemon.finish();
}
