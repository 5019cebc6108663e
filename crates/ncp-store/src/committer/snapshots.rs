//! The thread that takes snapshots of the index when segments of the journal have closed.
//!
//! It looks once at the start, for what earlier lives left, and then whenever the journal has gone on to another segment.
//! A snapshot on its way when the committer ends is given up. Any failure but those that cost the snapshot alone is
//! fatal: the desk is abandoned.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::OnDrop;
use super::desk::Desk;
use crate::disk::Disk;
use crate::engine::Fatal;
use crate::index::Index;
use crate::snapshot::Taker;
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

pub(super) fn run_taker<C: Core, D: Disk, I: Index>(
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
