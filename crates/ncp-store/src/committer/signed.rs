//! The thread that keeps the file `signed` at most [`SIGNED_DELAY_MS`] behind.
//!
//! The committer leaves the newest state and goes on; states that nobody took meanwhile are replaced, so that one sync
//! serves many groups. What is left when the committer ends is still written. A write that fails is fatal: the desk
//! closes, and the committer ends with it when it next looks.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::desk::Desk;
use crate::disk::Disk;
use crate::engine::Fatal;
use crate::limits::SIGNED_DELAY_MS;
use crate::signed::{Signed, SignedState};
use crate::state::Core;

/// The newest state that `signed` does not hold yet.
#[derive(Default)]
pub(super) struct SignedSlot {
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

    pub(super) fn put(&self, state: SignedState) {
        // Only a writer that waits for the first state needs to be told.
        if self.work().newest.replace(state).is_none() {
            self.changed.notify_all();
        }
    }

    pub(super) fn close(&self) {
        self.work().closed = true;
        self.changed.notify_all();
    }

    fn fail(&self) {
        self.work().failed = true;
    }

    pub(super) fn check(&self) -> Result<(), Fatal> {
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

pub(super) fn run_signed_writer<C: Core, D: Disk>(
    slot: &SignedSlot,
    mut signed: Signed<D>,
    desk: &Desk<C>,
) -> Result<(), Fatal> {
    while let Some(state) = slot.take() {
        if let Err(error) = signed.write(&state) {
            slot.fail();
            desk.close();
            return Err(Fatal::disk("writing the file signed", error));
        }
    }
    Ok(())
}
