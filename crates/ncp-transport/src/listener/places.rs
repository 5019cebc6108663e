//! Places of a listener: who has one, and who gives way when there are none left.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::limits::HANDSHAKE_PATIENCE;

/// Places counted by something, as many of each as allowed. Clones share them.
pub(crate) struct Counts<K> {
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
    max: usize,
}

impl<K> Clone for Counts<K> {
    fn clone(&self) -> Self {
        Self { taken: Arc::clone(&self.taken), max: self.max }
    }
}

impl<K: Ord + Copy> Counts<K> {
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    /// A place; `None` if there are too many of this kind.
    pub(crate) fn take(&self, of: K) -> Option<CountedPlace<K>> {
        let mut taken = lock(&self.taken);
        let count = taken.get(&of).copied().unwrap_or_default();
        if count >= self.max {
            return None;
        }
        taken.insert(of, count + 1);
        Some(CountedPlace { taken: Arc::clone(&self.taken), of })
    }
}

/// A counted place; given up when dropped.
pub(crate) struct CountedPlace<K: Ord + Copy> {
    taken: Arc<Mutex<BTreeMap<K, usize>>>,
    of: K,
}

impl<K: Ord + Copy> fmt::Debug for CountedPlace<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountedPlace").finish_non_exhaustive()
    }
}

impl<K: Ord + Copy> Drop for CountedPlace<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

/// Unfinished handshakes, by age.
pub(crate) struct Handshakes {
    shared: Arc<Shared>,
    max: usize,
}

struct Shared {
    unfinished: Mutex<Unfinished>,
    freed: Notify,
}

#[derive(Default)]
struct Unfinished {
    next: u64,
    by_age: BTreeMap<u64, Entry>,
}

struct Entry {
    begun: Instant,
    has_spoken: bool,
    lost: Arc<Notify>,
}

impl Handshakes {
    pub(crate) fn new(max: usize) -> Self {
        let shared = Shared { unfinished: Mutex::default(), freed: Notify::new() };
        Self { shared: Arc::new(shared), max }
    }

    /// Takes a place. If there is none, the oldest silent handshake loses its own, or the oldest of all once it has taken
    /// [`HANDSHAKE_PATIENCE`]; until then this waits.
    pub(crate) async fn take(&self) -> HandshakePlace {
        loop {
            let oldest = {
                let mut unfinished = lock(&self.shared.unfinished);
                if unfinished.by_age.len() < self.max || unfinished.evict() {
                    return self.insert(&mut unfinished);
                }
                unfinished.by_age.first_key_value().map(|(_, oldest)| oldest.begun)
            };
            tokio::select! {
                () = self.shared.freed.notified() => {}
                () = sleep_until(oldest.unwrap_or_else(Instant::now) + HANDSHAKE_PATIENCE) => {}
            }
        }
    }

    fn insert(&self, unfinished: &mut Unfinished) -> HandshakePlace {
        let (age, lost) = (unfinished.next, Arc::new(Notify::new()));
        unfinished.next += 1;
        let entry = Entry { begun: Instant::now(), has_spoken: false, lost: Arc::clone(&lost) };
        unfinished.by_age.insert(age, entry);
        HandshakePlace { shared: Arc::clone(&self.shared), age, lost }
    }
}

impl Unfinished {
    /// Takes a place away from whoever deserves it least; false if nobody does yet.
    fn evict(&mut self) -> bool {
        let silent = self.by_age.iter().find(|(_, entry)| !entry.has_spoken);
        let slow = || self.by_age.iter().find(|(_, entry)| entry.begun.elapsed() >= HANDSHAKE_PATIENCE);
        let Some(age) = silent.or_else(slow).map(|(age, _)| *age) else { return false };
        if let Some(entry) = self.by_age.remove(&age) {
            entry.lost.notify_one();
        }
        true
    }
}

/// The place of an unfinished handshake; given up when dropped.
pub(crate) struct HandshakePlace {
    shared: Arc<Shared>,
    age: u64,
    lost: Arc<Notify>,
}

impl HandshakePlace {
    /// The peer has sent something.
    pub(crate) fn spoke(&self) {
        if let Some(entry) = lock(&self.shared.unfinished).by_age.get_mut(&self.age) {
            entry.has_spoken = true;
        }
    }

    /// Waits until another takes this place.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        lock(&self.shared.unfinished).by_age.remove(&self.age);
        self.shared.freed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under these locks leaves whole values, whatever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_goes_on_gives_way_after_a_while_and_a_silent_one_before_it() {
        let handshakes = Handshakes::new(2);
        let (first, second) = (handshakes.take().await, handshakes.take().await);
        first.spoke();
        let begin = Instant::now();
        let third = handshakes.take().await;
        second.lost().await;
        third.spoke();
        assert_eq!(begin.elapsed().as_secs(), 0);
        let fourth = handshakes.take().await;
        first.lost().await;
        assert_eq!(begin.elapsed(), HANDSHAKE_PATIENCE);
        // What is dropped frees its place, unless another has it already.
        fourth.spoke();
        drop((first, second));
        let waiting = tokio::time::timeout(HANDSHAKE_PATIENCE / 2, handshakes.take());
        let (fifth, ()) = tokio::join!(waiting, async { drop(fourth) });
        assert!(fifth.is_ok() && begin.elapsed() == HANDSHAKE_PATIENCE);
    }
}
