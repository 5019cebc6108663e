//! What is lost alone, as far as it was met: single records of the spool, and events where the journal was damaged below a
//! snapshot. Each costs the one answer that needs it; all else goes on, and people are told.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::LOSSES_MAX;
use crate::spool::RecordName;

/// One thing that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// A record: damaged, or gone.
    Record(RecordName),
    /// The events of the group that begins at this sequence.
    Group(u64),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(RecordName { kind, id }) => write!(f, "the record {kind:?} {}", id.short()),
            Self::Group(sequence) => write!(f, "the events from sequence {sequence} on"),
        }
    }
}

/// All losses that were met since the start, at most [`LOSSES_MAX`]. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Losses(Arc<Mutex<BTreeSet<Loss>>>);

impl Losses {
    /// Those that the start found.
    pub(crate) fn new(found: impl IntoIterator<Item = Loss>) -> Self {
        Self(Arc::new(Mutex::new(found.into_iter().take(LOSSES_MAX).collect())))
    }

    /// Notes a loss, and logs it the first time.
    pub(crate) fn note(&self, loss: Loss) {
        let mut met = self.met();
        if met.len() < LOSSES_MAX && met.insert(loss) {
            tracing::error!(%loss, "something is lost: the one thing that needs it fails, all else goes on");
        }
    }

    /// It is there again: the same bytes came once more.
    pub(crate) fn clear(&self, loss: Loss) {
        self.met().remove(&loss);
    }

    /// What is lost, as far as it was met.
    #[must_use]
    pub fn all(&self) -> Vec<Loss> {
        self.met().iter().copied().collect()
    }

    fn met(&self) -> MutexGuard<'_, BTreeSet<Loss>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
