//! Synced groups that the index does not hold yet, and views through them.
//!
//! A [`Projection`] is an index with the groups still to be written to it. The committer pushes each synced group, one
//! applier writes them to the index in order, and a [`SyncedView`] sees the journal as of the newest group synced when it
//! was taken: the index advances no further than the oldest view alive. So hold a view briefly; it cannot cross an
//! `await` of a task that moves between threads. When the index lags [`INDEX_LAG_GROUPS_MAX`] groups the committer waits.
//!
//! An index that fails is fatal: whoever asks next is told, and the next start builds it anew.
//!
//! All rows can be copied while the index goes on ([`Projection::begin_copy`]): the copier takes them in key order, a
//! stretch at a time, and what is written behind it meanwhile is kept for its end. Rows and these late writes together are
//! the index as of the end. The late writes are bounded: a copier that is overtaken by too many gives up.

use core::marker::PhantomData;
use core::ops::ControlFlow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::index::{Index, KEYS_END, LogHead, Trust};
use crate::limits::{INDEX_LAG_GROUPS_MAX, SNAPSHOT_LATE_BYTES_MAX};
use crate::state::{Rows, Unreadable, View, Visit};

/// A view through layers of writes over a base: the last layer is the newest.
pub struct Layers<'a> {
    base: &'a dyn View,
    layers: Vec<&'a Rows>,
}

impl<'a> Layers<'a> {
    /// `layers`, oldest first, over `base`.
    pub fn new(base: &'a dyn View, layers: impl IntoIterator<Item = &'a Rows>) -> Self {
        Self { base, layers: layers.into_iter().collect() }
    }
}

impl View for Layers<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        match self.layers.iter().rev().find_map(|rows| rows.written(key)) {
            Some(written) => Ok(written.map(<[u8]>::to_vec)),
            None => self.base.row(key),
        }
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        let over: BTreeMap<&[u8], Option<&[u8]>> = self.layers.iter().flat_map(|rows| rows.range(from, to)).collect();
        let mut over = over.into_iter().peekable();
        let mut broken = false;
        self.base.scan(from, to, &mut |key, value| {
            // Rows of the layers that stand before this one.
            while let Some((new_key, new)) = over.next_if(|(new_key, _)| *new_key < key) {
                if let Some(new) = new
                    && visit(new_key, new).is_break()
                {
                    broken = true;
                    return ControlFlow::Break(());
                }
            }
            let flow = match over.next_if(|(new_key, _)| *new_key == key) {
                Some((_, Some(new))) => visit(key, new),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, value),
            };
            broken = flow.is_break();
            flow
        })?;
        if broken {
            return Ok(());
        }
        for (key, value) in over {
            if let Some(value) = value
                && visit(key, value).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

/// A synced group on its way to the index.
#[derive(Debug)]
pub struct SyncedGroup {
    /// All that its events changed, the store's own rows among it.
    pub rows: Rows,
    /// The sequence after its last event.
    pub next_sequence: u64,
    /// All logs as of that sequence, by name.
    pub heads: Vec<LogHead>,
}

/// What became of an attempt to apply a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The oldest group is in the index now.
    One,
    /// No group waits.
    None,
    /// The oldest group is not settled, or a view older than it is still alive.
    Held,
}

/// An index and the groups it does not hold yet.
#[derive(Debug)]
pub struct Projection<I> {
    index: I,
    // Its lock is held while a group is written, so that there is one writer.
    written: Mutex<Written>,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug)]
struct Written {
    // The trust row.
    trust: Trust,
    copying: Option<Copying>,
}

/// A copy on its way.
#[derive(Debug)]
struct Copying {
    // Rows below this key are copied.
    reached: Vec<u8>,
    // What was written below it since.
    late: Rows,
    late_bytes: usize,
}

impl Copying {
    fn note(&mut self, rows: &Rows) {
        for (key, value) in rows.range(&[1], &self.reached) {
            // Counts a key again whenever it is written: an upper bound.
            self.late_bytes += key.len() + value.map_or(0, <[u8]>::len);
            match value {
                Some(value) => self.late.put(key.to_vec(), value.to_vec()),
                None => self.late.remove(key.to_vec()),
            }
        }
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
        late: Rows,
        /// The trust row.
        trust: Trust,
    },
    /// Too much was written behind the copier: the copy is given up.
    Overtaken,
}

#[derive(Debug, Default)]
struct Waiting {
    groups: VecDeque<Arc<SyncedGroup>>,
    // Groups ever pushed: the number of the newest.
    pushed: u64,
    // Groups that may be applied: up to this number.
    settled: u64,
    // Views alive, by the number of the newest group that they see.
    views: BTreeMap<u64, usize>,
    failed: Option<Unreadable>,
    closed: bool,
}

impl Waiting {
    fn oldest(&self) -> Option<u64> {
        let waiting = self.groups.len() as u64;
        (waiting > 0).then(|| self.pushed + 1 - waiting)
    }

    fn held(&self, group: u64) -> bool {
        group > self.settled || self.views.first_key_value().is_some_and(|(seen, _)| *seen < group)
    }

    fn check(&self) -> Result<(), Unreadable> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}

impl<I: Index> Projection<I> {
    /// An index that holds all that `trust` says.
    pub fn new(index: I, trust: Trust) -> Self {
        let written = Mutex::new(Written { trust, copying: None });
        Self { index, written, waiting: Mutex::default(), changed: Condvar::new() }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as of the newest synced group.
    pub fn view(self: &Arc<Self>) -> SyncedView<I> {
        let mut waiting = self.waiting();
        let number = waiting.pushed;
        *waiting.views.entry(number).or_default() += 1;
        let groups = waiting.groups.iter().map(Arc::clone).collect();
        SyncedView { projection: Arc::clone(self), number, groups, not_send: PhantomData }
    }

    /// Lets the index take all groups pushed so far: whatever they let go of is gone for good.
    pub fn settle(&self) {
        let mut waiting = self.waiting();
        waiting.settled = waiting.pushed;
        self.changed.notify_all();
    }

    /// Adds the newest synced group. The index takes it after [`settle`](Self::settle).
    pub fn push(&self, group: SyncedGroup) {
        let mut waiting = self.waiting();
        waiting.groups.push_back(Arc::new(group));
        waiting.pushed += 1;
        self.changed.notify_all();
    }

    /// How many groups wait.
    pub fn lag(&self) -> usize {
        self.waiting().groups.len()
    }

    /// What the index holds.
    pub fn trust(&self) -> Trust {
        self.written().trust.clone()
    }

    /// Returns once the index lags less than it may: helps the applier, and waits for views that hold it up.
    ///
    /// # Errors
    /// [`Unreadable`] if the index has failed.
    pub fn make_room(&self) -> Result<(), Unreadable> {
        while self.lag() >= INDEX_LAG_GROUPS_MAX {
            if self.apply_next()? == Applied::Held {
                let waiting = self.waiting();
                let still_held = |waiting: &Waiting| waiting.oldest().is_some_and(|number| waiting.held(number));
                if waiting.failed.is_none() && still_held(&waiting) {
                    drop(self.wait(waiting));
                }
            }
        }
        self.waiting().check()
    }

    /// Writes the oldest waiting group to the index, in one transaction with the trust row.
    ///
    /// # Errors
    /// [`Unreadable`] if the index failed, now or earlier.
    pub fn apply_next(&self) -> Result<Applied, Unreadable> {
        let mut written = self.written();
        let group = {
            let waiting = self.waiting();
            waiting.check()?;
            let (Some(number), Some(group)) = (waiting.oldest(), waiting.groups.front()) else {
                return Ok(Applied::None);
            };
            if waiting.held(number) {
                return Ok(Applied::Held);
            }
            Arc::clone(group)
        };
        let mut newer = Trust { applied: group.next_sequence, heads: group.heads.clone(), ..written.trust.clone() };
        let advanced = newer.advance(&self.index, group.rows.clone());
        let mut waiting = self.waiting();
        let outcome = match advanced {
            Ok(()) => {
                written.trust = newer;
                if let Some(copying) = &mut written.copying {
                    copying.note(&group.rows);
                }
                waiting.groups.pop_front();
                Ok(Applied::One)
            }
            Err(error) => {
                waiting.failed = Some(error.clone());
                Err(error)
            }
        };
        self.changed.notify_all();
        outcome
    }

    /// Applies groups as they come until [`close`](Self::close), and then those that still wait and are settled: nobody
    /// settles the others any more, and the next start applies them.
    ///
    /// # Errors
    /// [`Unreadable`] if the index failed.
    pub fn run(&self) -> Result<(), Unreadable> {
        loop {
            while self.apply_next()? == Applied::One {}
            let mut waiting = self.waiting();
            loop {
                match waiting.oldest() {
                    Some(number) if !waiting.held(number) => break,
                    Some(number) if waiting.closed && number > waiting.settled => return waiting.check(),
                    None if waiting.closed => return waiting.check(),
                    Some(_) | None => waiting = self.wait(waiting),
                }
            }
        }
    }

    /// Begins a copy of all rows but the trust row. One at a time: a copy begun before is given up.
    pub(crate) fn begin_copy(&self) {
        let copying = Copying { reached: vec![1], late: Rows::default(), late_bytes: 0 };
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
        if copying.late_bytes > SNAPSHOT_LATE_BYTES_MAX {
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

    /// Marks the index as failed: nobody waits for it any more.
    pub fn fail(&self, error: Unreadable) {
        self.waiting().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Lets [`run`](Self::run) return once nothing waits that is settled.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_all();
    }
}

/// The state as of one synced group. The index waits while it lives.
#[derive(Debug)]
pub struct SyncedView<I: Index> {
    projection: Arc<Projection<I>>,
    number: u64,
    groups: Vec<Arc<SyncedGroup>>,
    // Keeps a view from being held across an await: a task that waits for a commit would hold up that commit.
    not_send: PhantomData<*const ()>,
}

impl<I: Index> SyncedView<I> {
    fn layers(&self) -> Layers<'_> {
        Layers::new(&self.projection.index, self.groups.iter().map(|group| &group.rows))
    }
}

impl<I: Index> View for SyncedView<I> {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        self.layers().row(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        self.layers().scan(from, to, visit)
    }
}

impl<I: Index> Drop for SyncedView<I> {
    fn drop(&mut self) {
        let mut waiting = self.projection.waiting();
        if let Some(count) = waiting.views.get_mut(&self.number) {
            *count -= 1;
            if *count == 0 {
                waiting.views.remove(&self.number);
            }
        }
        self.projection.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
