//! Copying all rows of the index while it goes on taking groups.
//!
//! The copier takes the rows in key order, a stretch at a time ([`Projection::copy_next`]), and what is written behind it
//! meanwhile is kept for its end. Rows and these late writes together are the index as of the end.
//!
//! The late writes lie in memory and are bounded: a copier that is overtaken by too many gives up. One copy is on its way
//! at a time. The index takes no group while a stretch is read, and a commit waits for that only where the index lags as
//! far as it may. A copy ends with the index that cannot be read; the caller is told ([`Unreadable`]).

use core::ops::ControlFlow;

use super::{Late, Projection};
use crate::index::{Index, KEYS_END, Trust, Writes};
use crate::limits::SNAPSHOT_LATE_BYTES_MAX;
use crate::state::Unreadable;

/// The least key that is not the trust row's.
const FIRST_KEY: &[u8] = &[1];

/// A copy on its way.
#[derive(Debug)]
pub(super) struct Copying {
    // Rows below this key are copied.
    reached: Vec<u8>,
    // What was written below it since.
    late: Late,
}

impl Copying {
    /// Keeps of what the index took what lies behind the copier.
    pub(super) fn note(&mut self, writes: &Writes<'_>) {
        for write in writes.range(FIRST_KEY, &self.reached) {
            if self.is_overtaken() {
                break;
            }
            self.late.push(*write);
        }
    }

    fn is_overtaken(&self) -> bool {
        self.late.len() > SNAPSHOT_LATE_BYTES_MAX
    }
}

/// What a step of a copy gave.
#[derive(Debug)]
pub(crate) enum Copied {
    /// There is more.
    Part,
    /// All rows are copied; with these writes over them they are the index of this trust row.
    All {
        /// Written behind the copier.
        late: Late,
        /// The trust row.
        trust: Trust,
    },
    /// Too much was written behind the copier: the copy is given up.
    Overtaken,
}

impl<I: Index> Projection<I> {
    /// Begins a copy of all rows but the trust row. One at a time: a copy begun before is given up.
    pub(crate) fn begin_copy(&self) {
        let copying = Copying { reached: FIRST_KEY.to_vec(), late: Late::default() };
        self.written().copying = Some(copying);
    }

    /// Ends a copy without its end.
    pub(crate) fn end_copy(&self) {
        self.written().copying = None;
    }

    /// Visits the next rows of the copy that was begun, in key order, about `bytes` of them. The index takes no group
    /// meanwhile.
    ///
    /// # Errors
    /// [`Unreadable`] if the index has failed or cannot tell.
    pub(crate) fn copy_next(&self, bytes: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<Copied, Unreadable> {
        let mut written = self.written();
        self.waiting().check()?;
        let Some(mut copying) = written.copying.take() else { return Ok(Copied::Overtaken) };
        if copying.is_overtaken() {
            return Ok(Copied::Overtaken);
        }
        let (mut left, mut last) = (bytes, None);
        self.index.scan(&copying.reached, KEYS_END, &mut |key, value| {
            visit(key, value);
            left = left.saturating_sub(key.len() + value.len());
            if left > 0 {
                return ControlFlow::Continue(());
            }
            last = Some(key.to_vec());
            ControlFlow::Break(())
        })?;
        let Some(mut reached) = last else {
            return Ok(Copied::All { late: copying.late, trust: written.trust.clone() });
        };
        // The key that follows directly on the last one.
        reached.push(0);
        copying.reached = reached;
        written.copying = Some(copying);
        Ok(Copied::Part)
    }
}
