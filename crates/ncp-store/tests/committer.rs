//! The committer's threads, over a disk whose syncs wait at a gate.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

mod common;

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use common::{Command, Toy, add, message};
use ncp_protocol::ids::{Digest, LogName};
use ncp_store::committer::{self, Running, Stopped, StoreHandle};
use ncp_store::disk::model::{Cut, Fault, ModelDisk, ModelFile};
use ncp_store::disk::{Disk, OpenMode};
use ncp_store::engine::Fatal;
use ncp_store::index::{MemoryIndex, MemoryPlace};
use ncp_store::limits::{EFFECTS_WAITING_MAX, QUEUE_COMMANDS_PER_SOURCE_MAX};
use ncp_store::queue::{Source, Urgency};
use ncp_store::recovery::{self, Opened};
use ncp_store::signed::Signed;
use ncp_store::spool::BodyName;

/// A model disk whose group syncs can be held up.
#[derive(Clone)]
struct GatedDisk {
    disk: ModelDisk,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    // Syncs of folders fail.
    fails: bool,
    // Syncs that stand before the gate.
    waiting: usize,
    // Syncs that returned.
    done: usize,
}

impl Gate {
    fn close(&self) {
        self.state.lock().unwrap().closed = true;
    }

    fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        while state.closed {
            state = self.changed.wait(state).unwrap();
        }
        state.waiting -= 1;
    }

    fn wait_until_someone_waits(&self) {
        let mut state = self.state.lock().unwrap();
        while state.waiting == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn done(&self) -> usize {
        self.state.lock().unwrap().done
    }
}

impl Disk for GatedDisk {
    type File = ModelFile;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<ModelFile> {
        self.disk.open(path, mode)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.gate.state.lock().unwrap().fails {
            return Err(io::Error::other("a folder cannot be synced"));
        }
        self.disk.sync_dir(dir)
    }
    fn free_space(&self) -> io::Result<u64> {
        self.disk.free_space()
    }
    fn sync_all(&self, files: &[&ModelFile]) -> io::Result<()> {
        self.gate.pass();
        let synced = self.disk.sync_all(files);
        self.gate.state.lock().unwrap().done += 1;
        synced
    }
}

type Handle = StoreHandle<Toy, GatedDisk, MemoryIndex>;

struct Network {
    disk: GatedDisk,
    index: MemoryPlace,
}

impl Network {
    fn new() -> Self {
        let disk = GatedDisk { disk: ModelDisk::new(), gate: Arc::default() };
        Self { disk, index: MemoryPlace::default() }
    }

    fn start(&self) -> Running<Toy, GatedDisk, MemoryIndex> {
        // Long enough for the largest group here.
        let options = common::with_segments(common::options(self.index.clone()), 1 << 20);
        let Opened { engine, signed, .. } = recovery::open(self.disk.clone(), Toy, options).unwrap();
        committer::start(engine, signed, ()).unwrap()
    }

    fn restart(&mut self, cut: Cut) -> Running<Toy, GatedDisk, MemoryIndex> {
        // A copy: threads of the life before may still write to theirs.
        let rows = self.index.rows();
        self.index = MemoryPlace::default();
        self.index.replace(rows);
        self.disk.disk = self.disk.disk.reopen(cut);
        self.start()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

type Submission<'a> = Pin<Box<dyn Future<Output = Result<u16, Stopped>> + 'a>>;

fn submit(handle: &Handle, source: Source, command: Command) -> Submission<'_> {
    Box::pin(async move {
        let committed = handle.submit(source, Urgency::Routine, 1_000, command).await?;
        Ok(committed.reply)
    })
}

fn poll_once(submission: &mut Submission<'_>) -> Poll<Result<u16, Stopped>> {
    submission.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn receipt_waits_for_sync() {
    let network = Network::new();
    let Running { handle, mut effects, thread } = network.start();
    network.disk.gate.close();
    let before = network.disk.gate.done();
    let mut answer = submit(&handle, Source::Local, add(1, b"a", 1));
    assert_eq!(poll_once(&mut answer), Poll::Pending);
    network.disk.gate.wait_until_someone_waits();
    // The group is written and stands before its sync. Nothing of it may be known.
    assert_eq!(poll_once(&mut answer), Poll::Pending);
    assert!(effects.try_recv().is_err());
    assert_eq!(handle.reader().event(LogName::Public, 1).unwrap(), None);
    assert_eq!(handle.reader().evidence(LogName::Public, 1).unwrap(), None);
    assert_eq!(handle.reader().checkpoint(LogName::Public).unwrap().checkpoint().size, 1);
    assert_eq!(common::COUNTS.row(&handle.reader().view(), &message(1)).unwrap(), None);
    assert_eq!(network.disk.gate.done(), before);
    network.disk.gate.open();
    assert_eq!(block_on(answer), Ok(1));
    assert_eq!(network.disk.gate.done(), before + 1);
    assert_eq!(effects.blocking_recv(), Some(message(1)));
    assert!(handle.reader().evidence(LogName::Public, 1).unwrap().is_some());
    handle.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn reply_without_events_waits_for_what_it_saw() {
    let network = Network::new();
    let Running { handle, thread, .. } = network.start();
    network.disk.gate.close();
    let mut added = submit(&handle, Source::Local, add(1, b"a", 1));
    assert_eq!(poll_once(&mut added), Poll::Pending);
    network.disk.gate.wait_until_someone_waits();
    let mut looked = submit(&handle, Source::Daemon, Command::Look { message: message(1) });
    assert_eq!(poll_once(&mut looked), Poll::Pending);
    network.disk.gate.open();
    assert_eq!(block_on(looked), Ok(1));
    assert_eq!(poll_once(&mut added), Poll::Ready(Ok(1)), "told no later than the one that saw it");
    handle.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn one_sync_serves_all_that_waited() {
    let network = Network::new();
    let Running { handle, mut effects, thread } = network.start();
    network.disk.gate.close();
    let mut first = submit(&handle, Source::Local, add(1, b"a", 1));
    assert_eq!(poll_once(&mut first), Poll::Pending);
    network.disk.gate.wait_until_someone_waits();
    let before = network.disk.gate.done();
    let mut rest: Vec<_> = (2..102).map(|salt| submit(&handle, Source::Local, add(1, b"a", salt))).collect();
    assert!(rest.iter_mut().all(|answer| poll_once(answer).is_pending()));
    network.disk.gate.open();
    let replies: Vec<_> = rest.into_iter().map(|answer| block_on(answer).unwrap()).collect();
    assert_eq!(replies, (2..102).collect::<Vec<_>>(), "one source keeps its order");
    let syncs = network.disk.gate.done() - before;
    assert!(syncs < 50, "{syncs} syncs for a hundred commands");
    handle.stop();
    thread.join().unwrap().unwrap();
    assert_eq!(core::iter::from_fn(|| effects.blocking_recv()).count(), 101, "no effect is lost");
}

#[test]
fn proof_of_progress_waits_for_the_disk() {
    let network = Network::new();
    let Running { handle, thread, .. } = network.start();
    let proof =
        |handle: Handle| -> Submission<'static> { Box::pin(async move { handle.prove_progress().await.map(|_| 0) }) };
    let before = network.disk.gate.done();
    assert_eq!(block_on(proof(handle.clone())), Ok(0));
    assert_eq!(network.disk.gate.done(), before + 1, "an idle store syncs for it");
    network.disk.gate.close();
    let mut hung = proof(handle.clone());
    assert_eq!(poll_once(&mut hung), Poll::Pending);
    network.disk.gate.wait_until_someone_waits();
    assert_eq!(poll_once(&mut hung), Poll::Pending, "the disk hangs");
    network.disk.gate.open();
    assert_eq!(block_on(hung), Ok(0));
    (0..64).for_each(|ahead| network.disk.disk.fail_at(network.disk.disk.operations() + ahead, Fault::Fail));
    assert_eq!(block_on(proof(handle.clone())), Err(Stopped), "a sync that fails is fatal, whatever it was for");
    assert!(matches!(thread.join().unwrap(), Err(Fatal::Disk { .. })));
    assert_eq!(block_on(proof(handle)), Err(Stopped));
}

#[test]
fn source_with_too_much_waiting_waits_and_loses_nothing() {
    let network = Network::new();
    let Running { handle, thread, .. } = network.start();
    network.disk.gate.close();
    let mut first = submit(&handle, Source::Local, add(1, b"a", 1));
    assert_eq!(poll_once(&mut first), Poll::Pending);
    network.disk.gate.wait_until_someone_waits();
    let more = u64::try_from(QUEUE_COMMANDS_PER_SOURCE_MAX).unwrap() + 100;
    let burst = |salt| Command::Burst { message: message(2), events: 1, salt };
    let mut rest: Vec<_> = (0..more).map(|salt| submit(&handle, Source::Local, burst(salt))).collect();
    assert!(rest.iter_mut().all(|answer| poll_once(answer).is_pending()));
    let mut other = submit(&handle, Source::Daemon, Command::Look { message: message(2) });
    assert_eq!(poll_once(&mut other), Poll::Pending);
    network.disk.gate.open();
    let mut replies: Vec<_> = rest.into_iter().map(|answer| u64::from(block_on(answer).unwrap())).collect();
    replies.sort_unstable();
    assert_eq!(replies, (1..=more).collect::<Vec<_>>());
    assert!(u64::from(block_on(other).unwrap()) < more, "another source did not wait for all of them");
    handle.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn a_shell_that_takes_no_effects_is_waited_for_and_loses_none() {
    let network = Network::new();
    let Running { handle, mut effects, thread } = network.start();
    let all = EFFECTS_WAITING_MAX + 1;
    let mut answers = Vec::new();
    for salt in 0..all {
        let burst = Command::Burst { message: message(1), events: 1, salt: salt as u64 };
        let source = Source::Peer(format!("X{}", salt % 40).parse().unwrap());
        let mut answer = submit(&handle, source, burst);
        // Either it is done already, or it waits for its turn.
        if poll_once(&mut answer).is_pending() {
            answers.push(answer);
        }
    }
    // One effect more than there is room for: somebody's reply waits until one is taken.
    while effects.len() < EFFECTS_WAITING_MAX {
        thread::yield_now();
    }
    answers.retain_mut(|answer| poll_once(answer).is_pending());
    assert!(!answers.is_empty(), "every reply came, though an effect found no room");
    assert_eq!(effects.blocking_recv(), Some(message(1)));
    for answer in answers {
        block_on(answer).unwrap();
    }
    handle.stop();
    thread.join().unwrap().unwrap();
    assert_eq!(core::iter::from_fn(|| effects.blocking_recv()).count(), EFFECTS_WAITING_MAX, "no effect is lost");
}

#[test]
fn a_shell_that_has_gone_is_not_waited_for() {
    let network = Network::new();
    let Running { handle, effects, thread } = network.start();
    drop(effects);
    for salt in 0..10 {
        block_on(submit(&handle, Source::Local, Command::Burst { message: message(1), events: 1, salt })).unwrap();
    }
    handle.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn failed_sync_stops_everything_and_is_not_tried_again() {
    let mut network = Network::new();
    let Running { handle, mut effects, thread } = network.start();
    assert_eq!(block_on(submit(&handle, Source::Local, add(1, b"a", 1))), Ok(1));
    assert_eq!(effects.blocking_recv(), Some(message(1)));
    network.disk.gate.close();
    let mut failing = submit(&handle, Source::Local, add(1, b"b", 2));
    assert_eq!(poll_once(&mut failing), Poll::Pending);
    network.disk.gate.wait_until_someone_waits();
    let mut behind = submit(&handle, Source::Local, add(1, b"c", 3));
    assert_eq!(poll_once(&mut behind), Poll::Pending);
    // The file `signed` may still be written beside it, so every sync from here on fails.
    (0..64).for_each(|ahead| network.disk.disk.fail_at(network.disk.disk.operations() + ahead, Fault::Fail));
    let before = network.disk.gate.done();
    network.disk.gate.open();
    assert_eq!(block_on(failing), Err(Stopped));
    assert_eq!(block_on(behind), Err(Stopped));
    assert!(matches!(thread.join().unwrap(), Err(Fatal::Disk { .. })));
    assert_eq!(network.disk.gate.done(), before + 1, "no second sync");
    assert_eq!(effects.blocking_recv(), None);
    assert_eq!(block_on(submit(&handle, Source::Local, add(1, b"d", 4))), Err(Stopped));
    let Running { handle, thread, .. } = network.restart(Cut::Lost);
    assert_eq!(block_on(submit(&handle, Source::Local, Command::Look { message: message(1) })), Ok(1));
    handle.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn a_failure_behind_the_reply_ends_the_store_too() {
    let mut network = Network::new();
    let Running { handle, thread, .. } = network.start();
    assert_eq!(block_on(submit(&handle, Source::Local, add(1, b"a", 1))), Ok(1));
    network.disk.gate.state.lock().unwrap().fails = true;
    let body = BodyName { originator: "XA".parse().unwrap(), message: message(1), root: Digest([0; 32]) };
    assert_eq!(block_on(submit(&handle, Source::Local, Command::Drop { body, salt: 2 })), Ok(1));
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || tell.send(thread.join().unwrap()));
    let ended = told.recv_timeout(Duration::from_secs(60)).expect("it ends");
    assert!(matches!(ended, Err(Fatal::Disk { .. })), "{ended:?}");
    assert_eq!(block_on(submit(&handle, Source::Local, add(1, b"b", 3))), Err(Stopped));
    network.disk.gate.state.lock().unwrap().fails = false;
    let Running { handle, thread, .. } = network.restart(Cut::Lost);
    assert_eq!(
        block_on(submit(&handle, Source::Local, add(1, b"b", 4))),
        Ok(3),
        "two stand, and what was refused does not"
    );
    handle.stop();
    thread.join().unwrap().unwrap();
}

#[test]
fn core_that_panics_tells_every_submitter() {
    let network = Network::new();
    let Running { handle, thread, .. } = network.start();
    network.disk.gate.close();
    let mut first = submit(&handle, Source::Local, add(1, b"a", 1));
    assert_eq!(poll_once(&mut first), Poll::Pending);
    network.disk.gate.wait_until_someone_waits();
    let mut broken = submit(&handle, Source::Local, Command::Panic);
    let mut behind = submit(&handle, Source::Local, add(1, b"b", 2));
    assert!(poll_once(&mut broken).is_pending() && poll_once(&mut behind).is_pending());
    network.disk.gate.open();
    assert_eq!(block_on(first), Ok(1));
    assert_eq!(block_on(broken), Err(Stopped));
    assert_eq!(block_on(behind), Err(Stopped));
    assert!(thread.join().is_err(), "the panic reaches whoever joins");
}

#[test]
fn stop_commits_what_waits_and_leaves_signed_and_index_at_the_end() {
    let mut network = Network::new();
    let Running { handle, thread, .. } = network.start();
    network.disk.gate.close();
    let mut waiting: Vec<_> = (1..=20).map(|salt| submit(&handle, Source::Local, add(1, b"a", salt))).collect();
    assert!(waiting.iter_mut().all(|answer| poll_once(answer).is_pending()));
    handle.stop();
    assert_eq!(block_on(submit(&handle, Source::Local, add(1, b"a", 99))), Err(Stopped));
    network.disk.gate.open();
    let replies: Vec<_> = waiting.into_iter().map(|answer| block_on(answer).unwrap()).collect();
    assert_eq!(replies, (1..=20).collect::<Vec<_>>());
    thread.join().unwrap().unwrap();
    let (_, state) = Signed::open(network.disk.clone()).unwrap();
    assert_eq!(state.unwrap().next, 22);
    network.disk.disk = network.disk.disk.reopen(Cut::Lost);
    let options = common::options(network.index.clone());
    let opened = recovery::open::<_, _, MemoryIndex>(network.disk.clone(), Toy, options).unwrap();
    assert_eq!((opened.report.replayed, opened.report.rebuilt), (0, None), "a clean stop leaves nothing to do");
}

#[test]
fn many_threads_are_served_and_each_reply_is_durable() {
    let mut network = Network::new();
    let Running { handle, thread, .. } = network.start();
    let peers: Vec<_> = (0..8u8)
        .map(|number| {
            let handle = handle.clone();
            thread::spawn(move || {
                let source = Source::Peer(format!("P{number}").parse().unwrap());
                let salts = (0..50u64).map(|salt| u64::from(number) * 1_000 + salt);
                salts
                    .map(|salt| block_on(submit(&handle, source, add(number, b"x", salt))).unwrap())
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    for peer in peers {
        assert_eq!(peer.join().unwrap(), (1..=50).collect::<Vec<_>>());
    }
    // Power is cut while the threads idle: all that was replied is there.
    let disk = network.disk.disk.clone();
    let Running { handle: later, thread: later_thread, .. } = network.restart(Cut::Lost);
    for number in 0..8 {
        assert_eq!(block_on(submit(&later, Source::Daemon, Command::Look { message: message(number) })), Ok(50));
    }
    assert!(!disk.crashed());
    later.stop();
    later_thread.join().unwrap().unwrap();
    handle.stop();
    // The old committer meets a disk that is no longer its own, or had nothing left to write.
    drop(thread.join().unwrap());
}

#[test]
fn closed_segments_bring_snapshots_and_the_next_start_needs_no_more() {
    let mut network = Network::new();
    let Running { handle, thread, .. } = network.start();
    let mut salt = 0;
    while ncp_store::snapshot::list(&network.disk).unwrap().len() < 2 {
        salt += 1;
        assert!(salt < 20_000, "no snapshot is taken");
        block_on(submit(&handle, Source::Local, add(1, b"a", salt))).unwrap();
    }
    handle.stop();
    thread.join().unwrap().unwrap();
    let newest = ncp_store::snapshot::list(&network.disk).unwrap().pop();
    network.index.replace(Default::default());
    network.disk.disk = network.disk.disk.reopen(Cut::Lost);
    let options = common::with_segments(common::options(network.index.clone()), 1 << 20);
    let opened = recovery::open::<_, _, MemoryIndex>(network.disk.clone(), Toy, options).unwrap();
    assert_eq!((opened.report.loaded, opened.report.replayed), (newest, 2 + salt - newest.unwrap()));
    assert_eq!(common::COUNTS.row(&opened.engine.reader().view(), &message(1)).unwrap().map(u64::from), Some(salt));
}
