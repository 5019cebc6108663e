//! Synced groups that the index does not hold yet, and views through them.
//!
//! A [`Projection`] is an index with the groups still to be written to it. The committer pushes each synced group, one
//! applier writes them to the index in order, and a [`SyncedView`] sees the journal as of the newest group synced when it
//! was taken: the index advances no further than the oldest view alive. So hold a view briefly; it cannot cross an
//! `await` of a task that moves between threads. When the index lags [`INDEX_LAG_GROUPS_MAX`] groups the committer waits.
//!
//! Groups are small and many: the applier lets [`APPLY_DELAY`] pass after the first that waits and takes all that came
//! meanwhile in one transaction. Nobody is woken who does not wait, since a wake-up costs more than a small group.
//!
//! An index that fails is fatal: whoever asks next is told. The next start goes on from its newest durable state, or builds
//! it anew where that is damaged.
//!
//! `layers` is how a view looks through the groups; `copy` takes all rows while the index goes on, `late` what was written
//! behind it.

mod copy;
mod late;
mod layers;

use core::marker::PhantomData;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::copy::Copying;
use crate::index::{Index, LogHead, Trust, Writes};
use crate::limits::{APPLY_DELAY, INDEX_LAG_GROUPS_MAX, INDEX_PERSIST_EVERY};
use crate::state::{Rows, Unreadable, View, Visit};

pub(crate) use self::copy::Copied;
pub(crate) use self::late::Late;
pub use self::layers::Layers;

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

/// What became of an attempt to apply what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// That many groups more are in the index now.
    Groups(usize),
    /// No group waits.
    None,
    /// The oldest group is not settled, or a view older than it is still alive.
    Held,
}

/// An index and the groups it does not hold yet.
#[derive(Debug)]
pub struct Projection<I> {
    index: I,
    // Its lock is held while groups are written, so that there is one writer.
    written: Mutex<Written>,
    waiting: Mutex<Waiting>,
    // For the applier: there is something to do.
    work: Condvar,
    // For the committer: there may be room.
    room: Condvar,
}

#[derive(Debug)]
struct Written {
    // The trust row.
    trust: Trust,
    // Whether something was written since the last sync of the index.
    unsynced: bool,
    copying: Option<Copying>,
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
    // For what the applier and the committer wait.
    applier: Wait,
    committer: Wait,
}

/// For what a thread waits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// It works.
    #[default]
    Not,
    /// For a group.
    Group,
    /// For more groups, until a moment.
    More,
    /// For the oldest group to be settled, or for views older than it to go.
    Held,
}

impl Waiting {
    fn oldest(&self) -> Option<u64> {
        let waiting = self.groups.len() as u64;
        (waiting > 0).then(|| self.pushed + 1 - waiting)
    }

    /// Whether the index lags as far as it may.
    fn is_full(&self) -> bool {
        self.groups.len() >= INDEX_LAG_GROUPS_MAX
    }

    /// The newest group that may be applied, with all before it.
    fn limit(&self) -> u64 {
        let seen = self.views.first_key_value().map_or(u64::MAX, |(seen, _)| *seen);
        self.settled.min(seen)
    }

    /// How many groups may be applied.
    fn ready(&self) -> usize {
        let oldest = self.oldest().unwrap_or(u64::MAX);
        let ready = self.limit().saturating_add(1).saturating_sub(oldest);
        usize::try_from(ready).unwrap_or(usize::MAX).min(self.groups.len())
    }

    fn check(&self) -> Result<(), Unreadable> {
        self.failed.clone().map_or(Ok(()), Err)
    }
}

impl<I: Index> Projection<I> {
    /// An index that holds all that `trust` says.
    pub fn new(index: I, trust: Trust) -> Self {
        let written = Mutex::new(Written { trust, unsynced: false, copying: None });
        Self { index, written, waiting: Mutex::default(), work: Condvar::new(), room: Condvar::new() }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for what has come true.
    fn wake(&self, waiting: &Waiting) {
        let over = waiting.closed || waiting.failed.is_some();
        let work = match waiting.applier {
            Wait::Not => false,
            Wait::Group | Wait::Held => waiting.ready() > 0 || over,
            Wait::More => waiting.groups.len() >= INDEX_LAG_GROUPS_MAX / 2 || over,
        };
        if work {
            self.work.notify_one();
        }
        if waiting.committer == Wait::Held && (waiting.ready() > 0 || !waiting.is_full() || over) {
            self.room.notify_one();
        }
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
        self.wake(&waiting);
    }

    /// Adds the newest synced group. The index takes it after [`settle`](Self::settle).
    pub fn push(&self, group: SyncedGroup) {
        let mut waiting = self.waiting();
        waiting.groups.push_back(Arc::new(group));
        waiting.pushed += 1;
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
        while self.waiting().is_full() {
            if self.apply()? != Applied::Held {
                continue;
            }
            let mut waiting = self.waiting();
            while waiting.failed.is_none() && waiting.is_full() && waiting.ready() == 0 {
                waiting.committer = Wait::Held;
                waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                waiting.committer = Wait::Not;
            }
        }
        self.waiting().check()
    }

    /// Writes all groups that may be applied to the index, in one transaction with the trust row.
    ///
    /// # Errors
    /// [`Unreadable`] if the index failed, now or earlier.
    pub fn apply(&self) -> Result<Applied, Unreadable> {
        let mut written = self.written();
        let groups: Vec<Arc<SyncedGroup>> = {
            let waiting = self.waiting();
            waiting.check()?;
            waiting.groups.iter().take(waiting.ready()).map(Arc::clone).collect()
        };
        let Some(newest) = groups.last() else {
            return Ok(if self.lag() == 0 { Applied::None } else { Applied::Held });
        };
        let writes: Writes<'_> = groups.iter().flat_map(|group| group.rows.iter()).collect();
        let (applied, heads) = (newest.next_sequence, newest.heads.clone());
        let mut newer = Trust { applied, heads, ..written.trust.clone() };
        let advanced = self.index.write(&writes, Some(&mut newer));
        let mut waiting = self.waiting();
        let outcome = match advanced {
            Ok(()) => {
                written.trust = newer;
                written.unsynced = true;
                if let Some(copying) = &mut written.copying {
                    copying.note(&writes);
                }
                waiting.groups.drain(..groups.len());
                Ok(Applied::Groups(groups.len()))
            }
            Err(error) => {
                waiting.failed = Some(error.clone());
                Err(error)
            }
        };
        self.wake(&waiting);
        outcome
    }

    /// Brings what the index holds to the disk.
    ///
    /// # Errors
    /// [`Unreadable`] if the index failed.
    pub fn persist(&self) -> Result<(), Unreadable> {
        let mut written = self.written();
        self.waiting().check()?;
        self.index.persist().inspect_err(|error| self.fail(error.clone()))?;
        written.unsynced = false;
        Ok(())
    }

    /// Applies groups as they come until [`close`](Self::close), and then those that still wait and are settled: nobody
    /// settles the others any more, and the next start applies them.
    ///
    /// # Errors
    /// [`Unreadable`] if the index failed.
    pub fn run(&self) -> Result<(), Unreadable> {
        let mut persist_at = None;
        while self.wait_for_groups(persist_at)? {
            let now = Instant::now();
            self.apply()?;
            // Also what the committer applied when it made room.
            if self.written().unsynced {
                persist_at.get_or_insert(now + INDEX_PERSIST_EVERY);
            }
            if persist_at.is_some_and(|at| at <= now) {
                self.persist()?;
                persist_at = None;
            }
        }
        self.persist()
    }

    /// Waits until groups may be applied, and then for more; or until `persist_at`. False once closed, with nothing left that
    /// may ever be applied.
    fn wait_for_groups(&self, persist_at: Option<Instant>) -> Result<bool, Unreadable> {
        let mut waiting = self.waiting();
        while waiting.ready() == 0 {
            waiting.check()?;
            if waiting.closed && waiting.oldest().is_none_or(|number| number > waiting.settled) {
                return Ok(false);
            }
            if persist_at.is_some_and(|at| at <= Instant::now()) {
                return Ok(true);
            }
            waiting.applier = if waiting.groups.is_empty() { Wait::Group } else { Wait::Held };
            waiting = self.sleep(waiting, persist_at);
        }
        let until = Instant::now() + APPLY_DELAY;
        while waiting.groups.len() < INDEX_LAG_GROUPS_MAX / 2 && !waiting.closed && Instant::now() < until {
            waiting.check()?;
            waiting.applier = Wait::More;
            waiting = self.sleep(waiting, Some(until));
        }
        waiting.check().map(|()| true)
    }

    fn sleep<'a>(&self, waiting: MutexGuard<'a, Waiting>, until: Option<Instant>) -> MutexGuard<'a, Waiting> {
        let mut waiting = match until {
            None => self.work.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left: Duration = until.saturating_duration_since(Instant::now());
                self.work.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        waiting.applier = Wait::Not;
        waiting
    }

    /// Marks the index as failed: nobody waits for it any more.
    pub fn fail(&self, error: Unreadable) {
        let mut waiting = self.waiting();
        waiting.failed.get_or_insert(error);
        self.wake(&waiting);
    }

    /// Lets [`run`](Self::run) return once nothing waits that is settled.
    pub fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        self.wake(&waiting);
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
                self.projection.wake(&waiting);
            }
        }
    }
}

#[cfg(test)]
mod tests;
