//! The committer: one thread around the [`Engine`], fed by a fair queue.
//!
//! Five threads of the operating system: the committer decides, syncs, signs and releases; the applier writes synced
//! groups to the index behind it; the third keeps the file `signed` a moment behind (`committer/signed.rs`); the fourth
//! takes snapshots of the index when segments of the journal have closed (`committer/snapshots.rs`); the fifth makes the
//! next segments before the committer needs them ([`crate::ahead`]). Async callers meet them only at the desk
//! (`committer/desk.rs`) and through tokio's channels, so that no runtime thread ever waits for a disk.
//!
//! Effects wait in a channel of [`EFFECTS_WAITING_MAX`]. If the shell falls so far behind, the committer waits for it with
//! the replies of the group in hand, and commands behind it wait in their queues: nothing is lost and nothing grows. So
//! that this cannot be a deadlock, whoever takes effects must not wait for a command.
//!
//! A reply, an effect or [`Stopped`]: a command gets nothing else. After [`Stopped`] its fate is unknown, as after a
//! crash: ask again after the restart. Whatever fails here is fatal; the process is expected to exit and to recover.

mod desk;
mod signed;
mod snapshots;

use core::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use self::desk::{Desk, Push, Waiting, Work};
use self::signed::{SignedSlot, run_signed_writer};
use self::snapshots::{SegmentWatch, run_taker};
use crate::ahead::Ahead;
use crate::disk::{Disk, RealDisk};
use crate::engine::{Committed, Engine, Fatal};
use crate::index::{Index, RedbIndex};
use crate::limits::{EFFECTS_WAITING_MAX, GROUP_DECIDE_MS};
use crate::overlay::Projection;
use crate::queue::{Source, Urgency};
use crate::reader::Reader;
use crate::signed::Signed;
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
        let (taker, ahead) = (self.engine.taker.clone(), self.engine.ahead.clone());
        let (slot, watch) = (SignedSlot::default(), SegmentWatch::default());
        let desk = self.desk;
        thread::scope(|scope| {
            let applier = scope.spawn(|| run_applier(&projection, desk));
            let writer = scope.spawn(|| run_signed_writer(&slot, signed, desk));
            let copier = scope.spawn(|| run_taker(&taker, &watch, desk));
            let maker = scope.spawn(|| run_maker(&ahead, desk));
            let ended = {
                // However this ends, the other threads end too.
                let _close = OnDrop(|| {
                    projection.close();
                    slot.close();
                    watch.close();
                    ahead.close();
                });
                self.serve(&slot, &watch)
            };
            let (applied, written) = (join(applier.join()), join(writer.join()));
            let (copied, made) = (join(copier.join()), join(maker.join()));
            // The committer meets a failed index after the applier, which knows why.
            let ended = if matches!(ended, Err(Fatal::Index(_))) { applied.and(ended) } else { ended.and(applied) };
            ended.and(written).and(copied).and(made)
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

/// Makes segments ahead; a disk that fails over it has failed for all.
fn run_maker<C: Core, D: Disk>(ahead: &Ahead<D>, desk: &Desk<C>) -> Result<(), Fatal> {
    // However this fails, also by a panic: nobody waits for the answer of a store that has failed.
    let failed = OnDrop(|| desk.abandon());
    ahead.run().map_err(|error| Fatal::disk("making a segment ahead", error))?;
    failed.disarm();
    Ok(())
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
