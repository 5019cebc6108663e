//! The thread that takes snapshots of the index when segments of the journal have closed.
//!
//! It looks once at the start, for what earlier lives left, and then whenever the journal has gone on to another segment.
//! It rests after each stretch, so that whoever waits for a commit hardly meets it: a snapshot of a long queue takes seconds
//! of a processor and of the disk. After one that was overtaken it rests half as long.
//! A snapshot on its way when the committer ends is given up. Any failure but those that cost the snapshot alone is
//! fatal: the desk is abandoned.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::OnDrop;
use super::desk::Desk;
use crate::disk::Disk;
use crate::engine::Fatal;
use crate::index::Index;
use crate::limits::SNAPSHOT_RESTS_MAX;
use crate::snapshot::{Taken, Taker};
use crate::state::Core;

/// Tells when the journal has gone on to another segment.
#[derive(Default)]
pub(super) struct SegmentWatch {
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

    pub(super) fn see(&self, segment: Option<u64>) {
        let mut state = self.state();
        if state.segment != segment {
            (state.segment, state.is_new) = (segment, true);
            self.changed.notify_all();
        }
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for so long, or until it is closed; false once closed.
    fn rest(&self, duration: Duration) -> bool {
        let rested = self.changed.wait_timeout_while(self.state(), duration, |state| !state.closed);
        !rested.unwrap_or_else(PoisonError::into_inner).0.closed
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

pub(super) fn run_taker<C: Core, D: Disk, I: Index>(
    taker: &Taker<D, I>,
    watch: &SegmentWatch,
    desk: &Desk<C>,
) -> Result<(), Fatal> {
    // However this fails, also by a panic: nobody waits for the answer of a store that has failed.
    let failed = OnDrop(|| desk.abandon());
    let mut rests = SNAPSHOT_RESTS_MAX;
    // The first look is for what earlier lives left.
    loop {
        if taker.is_due()? {
            let begun = Cell::new(Instant::now());
            let taken = taker.take(&|| {
                let goes_on = watch.rest(begun.get().elapsed() * rests);
                begun.set(Instant::now());
                goes_on
            })?;
            rests = if taken == Taken::Overtaken { rests / 2 } else { SNAPSHOT_RESTS_MAX.min(rests + 1) };
        }
        if !watch.wait() {
            failed.disarm();
            return Ok(());
        }
    }
}
