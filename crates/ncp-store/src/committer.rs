//! The committer: one thread around the [`Engine`], fed by a fair queue.
//!
//! Four threads of the operating system: the committer decides, syncs, signs and releases; the applier writes synced
//! groups to the index behind it; the third keeps the file `signed` at most [`SIGNED_DELAY_MS`] behind; the fourth takes
//! snapshots of the index when segments of the journal have closed. Async callers meet them only through tokio's channels, so that no runtime thread ever waits for a disk.
//!
//! Effects wait in a channel of [`EFFECTS_WAITING_MAX`]. If the shell falls so far behind, the committer waits for it with
//! the replies of the group in hand, and commands behind it wait in their queues: nothing is lost and nothing grows. So
//! that this cannot be a deadlock, whoever takes effects must not wait for a command.
//!
//! A reply, an effect or [`Stopped`]: a command gets nothing else. After [`Stopped`] its fate is unknown, as after a
//! crash: ask again after the restart. Whatever fails here is fatal; the process is expected to exit and to recover.

use core::fmt;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Notify, oneshot};

use crate::disk::{Disk, RealDisk};
use crate::engine::{Committed, Engine, Fatal};
use crate::index::{Index, RedbIndex};
use crate::limits::{EFFECTS_WAITING_MAX, GATHER_COMMANDS, GATHER_DELAY, GROUP_DECIDE_MS, SIGNED_DELAY_MS};
use crate::overlay::Projection;
use crate::queue::{FairQueue, Source, Urgency};
use crate::reader::Reader;
use crate::signed::{Signed, SignedState};
use crate::snapshot::Taker;
use crate::state::{Core, Unreadable};

/// The store has stopped. Whether the command happened is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the store has stopped")]
pub struct Stopped;

/// A running store.
pub struct Running<C: Core, D: Disk = RealDisk, I: Index = RedbIndex> {
    /// Takes commands.
    pub handle: StoreHandle<C, D, I>,
    /// What the shell is to do, in commit order. Take effects as they come, and wait for no command meanwhile: beyond
    /// [`EFFECTS_WAITING_MAX`] of them the committer waits. Once this is dropped effects go nowhere.
    pub effects: Receiver<C::Effect>,
    /// Ends after [`StoreHandle::stop`], or with the failure that stopped the store.
    pub thread: JoinHandle<Result<(), Fatal>>,
}

/// Takes commands for a running store.
pub struct StoreHandle<C: Core, D: Disk = RealDisk, I: Index = RedbIndex> {
    desk: Arc<Desk<C>>,
    reader: Reader<D, I>,
}

impl<C: Core, D: Disk, I: Index> Clone for StoreHandle<C, D, I> {
    fn clone(&self) -> Self {
        Self { desk: Arc::clone(&self.desk), reader: self.reader.clone() }
    }
}

impl<C: Core, D: Disk, I: Index> fmt::Debug for StoreHandle<C, D, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreHandle")
    }
}

impl<C: Core, D: Disk, I: Index> StoreHandle<C, D, I> {
    /// Has `command` decided and its events made durable, then returns what was decided and where the events stand.
    /// `weight` is the command's share of the source's turn, in bytes: what the source sent for it.
    ///
    /// Waits as long as the source has too much waiting. If the caller goes away, the command may still happen.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn submit(
        &self,
        source: Source,
        urgency: Urgency,
        weight: usize,
        command: C::Command,
    ) -> Result<Committed<C::Reply>, Stopped> {
        let (reply, answer) = oneshot::channel();
        let mut waiting = Waiting { command, reply };
        loop {
            let mut room = pin!(self.desk.room.notified());
            // Listen before looking, or room made in between would go unnoticed.
            room.as_mut().enable();
            match self.desk.push(source, urgency, weight, waiting) {
                Push::Taken => break,
                Push::Stopped => return Err(Stopped),
                Push::Full(back) => waiting = back,
            }
            room.await;
        }
        answer.await.map_err(|_| Stopped)
    }

    /// Goes once round the committer and to the disk: returns after the committer has come by and a sync of the journal has
    /// returned. For watchdogs: while the disk hangs this does not return, however idle the daemon is. Says how long the sync
    /// took.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn prove_progress(&self) -> Result<Duration, Stopped> {
        let (proof, proved) = oneshot::channel();
        if !self.desk.ask_for_proof(proof) {
            return Err(Stopped);
        }
        proved.await.map_err(|_| Stopped)
    }

    /// Read access to synced state.
    #[must_use]
    pub fn reader(&self) -> &Reader<D, I> {
        &self.reader
    }

    /// Lets the committer end once all that waits is committed, and refuses more.
    pub fn stop(&self) {
        self.desk.close();
    }
}

struct Waiting<C: Core> {
    command: C::Command,
    reply: oneshot::Sender<Committed<C::Reply>>,
}

enum Push<C: Core> {
    Taken,
    Full(Waiting<C>),
    Stopped,
}

/// Where commands wait for the committer.
struct Desk<C: Core> {
    tray: Mutex<Tray<C>>,
    arrived: Condvar,
    room: Notify,
}

struct Tray<C: Core> {
    queue: FairQueue<Waiting<C>>,
    // Who wants to know that the committer gets on.
    proofs: Vec<oneshot::Sender<Duration>>,
    // Whether the committer waits: only then is it woken.
    idle: bool,
    closed: bool,
}

impl<C: Core> Desk<C> {
    fn new() -> Self {
        let tray = Tray { queue: FairQueue::default(), proofs: Vec::new(), idle: false, closed: false };
        Self { tray: Mutex::new(tray), arrived: Condvar::new(), room: Notify::new() }
    }

    fn tray(&self) -> MutexGuard<'_, Tray<C>> {
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, source: Source, urgency: Urgency, weight: usize, waiting: Waiting<C>) -> Push<C> {
        let mut tray = self.tray();
        if tray.closed {
            return Push::Stopped;
        }
        match tray.queue.push(source, urgency, weight, waiting) {
            Ok(()) => {
                self.rouse(&mut tray);
                Push::Taken
            }
            Err(back) => Push::Full(back),
        }
    }

    fn pop(&self) -> Option<Waiting<C>> {
        self.tray().queue.pop()
    }

    /// Whether the proof will be given or its sender dropped; false once the desk is closed.
    fn ask_for_proof(&self, proof: oneshot::Sender<Duration>) -> bool {
        let mut tray = self.tray();
        if tray.closed {
            return false;
        }
        tray.proofs.push(proof);
        self.rouse(&mut tray);
        true
    }

    fn rouse(&self, tray: &mut Tray<C>) {
        if core::mem::replace(&mut tray.idle, false) {
            self.arrived.notify_one();
        }
    }

    /// Lets commands come that are on their way, for at most [`GATHER_DELAY`].
    fn gather(&self) {
        let until = Instant::now() + GATHER_DELAY;
        let mut tray = self.tray();
        while !tray.closed && tray.proofs.is_empty() && tray.queue.len() < GATHER_COMMANDS {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            tray = self.arrived.wait_timeout(tray, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for work; none once the desk is closed and empty.
    fn wait(&self) -> Option<Work> {
        let mut tray = self.tray();
        while tray.queue.is_empty() && tray.proofs.is_empty() && !tray.closed {
            tray.idle = true;
            tray = self.arrived.wait(tray).unwrap_or_else(PoisonError::into_inner);
        }
        tray.idle = false;
        let (commands, proofs) = (!tray.queue.is_empty(), core::mem::take(&mut tray.proofs));
        (commands || !proofs.is_empty()).then_some(Work { commands, proofs })
    }

    fn close(&self) {
        self.tray().closed = true;
        self.arrived.notify_all();
        self.room.notify_waiters();
    }

    /// Closes and lets all that waits go unanswered, which tells the submitters.
    fn abandon(&self) {
        let mut tray = self.tray();
        tray.closed = true;
        drop(core::mem::take(&mut tray.queue));
        tray.proofs.clear();
        drop(tray);
        self.room.notify_waiters();
    }
}

/// What the committer finds when it looks.
struct Work {
    /// Whether commands wait.
    commands: bool,
    proofs: Vec<oneshot::Sender<Duration>>,
}

/// Starts the committer's threads around an engine. `hold` is kept until they have ended: the lock of the data folder.
///
/// # Errors
/// If the system gives no thread.
pub fn start<C: Core, D: Disk, I: Index>(
    engine: Engine<C, D, I>,
    signed: Signed<D>,
    hold: impl Send + 'static,
) -> std::io::Result<Running<C, D, I>> {
    let desk = Arc::new(Desk::new());
    let (effects, receiver) = channel(EFFECTS_WAITING_MAX);
    let handle = StoreHandle { desk: Arc::clone(&desk), reader: engine.reader() };
    let thread = thread::Builder::new().name("committer".to_owned()).spawn(move || {
        // Also when this thread panics: nobody waits for an answer that cannot come.
        let abandon = OnDrop(|| desk.abandon());
        let outcome = Committer { engine, desk: &desk, effects }.run(signed);
        drop(abandon);
        drop(hold);
        if let Err(error) = &outcome {
            tracing::error!(%error, "the store stops");
        }
        outcome
    })?;
    Ok(Running { handle, effects: receiver, thread })
}

struct Committer<'a, C: Core, D: Disk, I: Index> {
    engine: Engine<C, D, I>,
    desk: &'a Desk<C>,
    effects: Sender<C::Effect>,
}

impl<C: Core, D: Disk, I: Index> Committer<'_, C, D, I> {
    fn run(mut self, signed: Signed<D>) -> Result<(), Fatal> {
        let projection = Arc::clone(self.engine.projection());
        let taker = self.engine.taker.clone();
        let (slot, watch) = (SignedSlot::default(), SegmentWatch::default());
        let desk = self.desk;
        thread::scope(|scope| {
            let applier = scope.spawn(|| run_applier(&projection, desk));
            let writer = scope.spawn(|| run_signed_writer(&slot, signed, desk));
            let copier = scope.spawn(|| run_taker(&taker, &watch, desk));
            let ended = {
                // However this ends, the other threads end too.
                let _close = OnDrop(|| {
                    projection.close();
                    slot.close();
                    watch.close();
                });
                self.serve(&slot, &watch)
            };
            let (applied, written, copied) = (join(applier.join()), join(writer.join()), join(copier.join()));
            ended.and(applied).and(written).and(copied)
        })
    }

    fn serve(&mut self, slot: &SignedSlot, watch: &SegmentWatch) -> Result<(), Fatal> {
        // Commands of the newest group: one after the other comes alone, and waits for nobody.
        let mut together = 0;
        while let Some(Work { commands, proofs }) = self.desk.wait() {
            slot.check()?;
            if commands {
                if together > 1 {
                    self.desk.gather();
                }
                together = self.commit_group()?;
                slot.put(self.engine.signed_state());
                // What the group lets go is removed now, behind the replies: the index holds nothing of a group before that.
                self.engine.settle()?;
                watch.see(self.engine.segment());
            }
            if !proofs.is_empty() {
                let begun = Instant::now();
                self.engine.touch_disk()?;
                for proof in proofs {
                    // Whoever asked may have gone away.
                    let _ = proof.send(begun.elapsed());
                }
            }
        }
        slot.check()
    }

    /// Commits what waits, as one group; says how many commands it took.
    fn commit_group(&mut self) -> Result<usize, Fatal> {
        let until = Instant::now() + Duration::from_millis(GROUP_DECIDE_MS);
        let mut replies = Vec::new();
        let mut commands = core::iter::from_fn(|| {
            let in_time = replies.is_empty() || Instant::now() < until;
            let waiting = in_time.then(|| self.desk.pop()).flatten()?;
            replies.push(waiting.reply);
            Some(waiting.command)
        });
        let outcomes = self.engine.commit(&mut commands)?;
        self.desk.room.notify_waiters();
        let taken = outcomes.len();
        for (outcome, reply) in outcomes.into_iter().zip(replies) {
            for effect in outcome.effects {
                // Nobody listens while the daemon stops; effects follow from the index at the next start.
                let _ = self.effects.blocking_send(effect);
            }
            // The submitter may have gone away: what was decided stands.
            let _ = reply.send(outcome.committed);
        }
        Ok(taken)
    }
}

fn join(outcome: thread::Result<Result<(), Fatal>>) -> Result<(), Fatal> {
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run_applier<C: Core, I: Index>(projection: &Projection<I>, desk: &Desk<C>) -> Result<(), Fatal> {
    // Also when this thread panics: the committer must not wait for room that nobody makes.
    let _close = OnDrop(|| {
        if thread::panicking() {
            projection.fail(Unreadable::Damaged("the applier panicked".to_owned()));
        }
    });
    projection.run().map_err(|error| {
        desk.close();
        Fatal::Index(error)
    })
}

/// The newest state that `signed` does not hold yet.
#[derive(Default)]
struct SignedSlot {
    state: Mutex<SignedWork>,
    changed: Condvar,
}

#[derive(Default)]
struct SignedWork {
    newest: Option<SignedState>,
    closed: bool,
    failed: bool,
}

impl SignedSlot {
    fn work(&self) -> MutexGuard<'_, SignedWork> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, state: SignedState) {
        // Only a writer that waits for the first state needs to be told.
        if self.work().newest.replace(state).is_none() {
            self.changed.notify_all();
        }
    }

    fn close(&self) {
        self.work().closed = true;
        self.changed.notify_all();
    }

    fn fail(&self) {
        self.work().failed = true;
    }

    fn check(&self) -> Result<(), Fatal> {
        if self.work().failed { Err(Fatal::Signed) } else { Ok(()) }
    }

    /// Waits for a state, lets [`SIGNED_DELAY_MS`] pass so that one sync serves many groups, and takes the newest. `None`
    /// once closed and nothing is left.
    fn take(&self) -> Option<SignedState> {
        let mut work = self.work();
        while work.newest.is_none() && !work.closed {
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + Duration::from_millis(SIGNED_DELAY_MS);
        while !work.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            work = self.changed.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        work.newest.take()
    }
}

fn run_signed_writer<C: Core, D: Disk>(slot: &SignedSlot, mut signed: Signed<D>, desk: &Desk<C>) -> Result<(), Fatal> {
    while let Some(state) = slot.take() {
        if let Err(error) = signed.write(&state) {
            slot.fail();
            desk.close();
            return Err(Fatal::disk("writing the file signed", error));
        }
    }
    Ok(())
}

/// Tells when the journal has gone on to another segment.
#[derive(Default)]
struct SegmentWatch {
    state: Mutex<Watched>,
    changed: Condvar,
}

#[derive(Default)]
struct Watched {
    segment: Option<u64>,
    // Whether the segment changed since somebody looked.
    is_new: bool,
    closed: bool,
}

impl SegmentWatch {
    fn state(&self) -> MutexGuard<'_, Watched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, segment: Option<u64>) {
        let mut state = self.state();
        if state.segment != segment {
            (state.segment, state.is_new) = (segment, true);
            self.changed.notify_all();
        }
    }

    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn is_open(&self) -> bool {
        !self.state().closed
    }

    /// Waits for another segment; false once closed.
    fn wait(&self) -> bool {
        let mut state = self.state();
        while !state.is_new && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_new = false;
        !state.closed
    }
}

fn run_taker<C: Core, D: Disk, I: Index>(
    taker: &Taker<D, I>,
    watch: &SegmentWatch,
    desk: &Desk<C>,
) -> Result<(), Fatal> {
    // However this fails, also by a panic: nobody waits for the answer of a store that has failed.
    let failed = OnDrop(|| desk.abandon());
    // The first look is for what earlier lives left.
    loop {
        if taker.is_due()? {
            taker.take(&|| watch.is_open())?;
        }
        if !watch.wait() {
            failed.disarm();
            return Ok(());
        }
    }
}

/// Runs a closure when dropped: at the end of a scope, or when a panic leaves it.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> OnDrop<F> {
    /// Lets it go without a call.
    fn disarm(self) {
        core::mem::forget(self);
    }
}

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}
