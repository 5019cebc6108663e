//! The desk: where commands and questions after progress wait for the committer.
//!
//! A mutex around the fair queue, and two ways to be told: the committer waits on a condition variable, submitters on a
//! [`Notify`]. The committer is woken only while it waits, once for all that comes meanwhile. A desk that is closed takes
//! nothing more: after [`Desk::close`] the committer still finds what was queued, after [`Desk::abandon`] that goes
//! unanswered, which tells whoever waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::engine::Committed;
use crate::limits::{GATHER_COMMANDS, GATHER_DELAY};
use crate::queue::{FairQueue, Source, Urgency};
use crate::state::Core;

pub(super) struct Waiting<C: Core> {
    pub(super) command: C::Command,
    pub(super) reply: oneshot::Sender<Committed<C::Reply>>,
}

pub(super) enum Push<C: Core> {
    Taken,
    Full(Waiting<C>),
    Stopped,
}

/// Where commands wait for the committer.
pub(super) struct Desk<C: Core> {
    tray: Mutex<Tray<C>>,
    arrived: Condvar,
    pub(super) room: Notify,
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
    pub(super) fn new() -> Self {
        let tray = Tray { queue: FairQueue::default(), proofs: Vec::new(), idle: false, closed: false };
        Self { tray: Mutex::new(tray), arrived: Condvar::new(), room: Notify::new() }
    }

    fn tray(&self) -> MutexGuard<'_, Tray<C>> {
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, source: Source, urgency: Urgency, weight: usize, waiting: Waiting<C>) -> Push<C> {
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

    pub(super) fn pop(&self) -> Option<Waiting<C>> {
        self.tray().queue.pop()
    }

    /// Whether the proof will be given or its sender dropped; false once the desk is closed.
    pub(super) fn ask_for_proof(&self, proof: oneshot::Sender<Duration>) -> bool {
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
    pub(super) fn gather(&self) {
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
    pub(super) fn wait(&self) -> Option<Work> {
        let mut tray = self.tray();
        while tray.queue.is_empty() && tray.proofs.is_empty() && !tray.closed {
            tray.idle = true;
            tray = self.arrived.wait(tray).unwrap_or_else(PoisonError::into_inner);
        }
        tray.idle = false;
        let (commands, proofs) = (!tray.queue.is_empty(), core::mem::take(&mut tray.proofs));
        (commands || !proofs.is_empty()).then_some(Work { commands, proofs })
    }

    pub(super) fn close(&self) {
        self.tray().closed = true;
        self.arrived.notify_all();
        self.room.notify_waiters();
    }

    /// Closes and lets all that waits go unanswered, which tells the submitters.
    pub(super) fn abandon(&self) {
        let mut tray = self.tray();
        tray.closed = true;
        drop(core::mem::take(&mut tray.queue));
        tray.proofs.clear();
        drop(tray);
        self.room.notify_waiters();
    }
}

/// What the committer finds when it looks.
pub(super) struct Work {
    /// Whether commands wait.
    pub(super) commands: bool,
    pub(super) proofs: Vec<oneshot::Sender<Duration>>,
}
