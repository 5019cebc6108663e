//! Places of a listener: who has one, and who gives way when there are none left.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::limits::{HANDSHAKE_PATIENCE, TURNED_AWAY_AT_ONCE, TURNED_AWAY_INTERVAL};

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
    pub(crate) async fn take(&self) -> (HandshakePlace, Others) {
        loop {
            let oldest = {
                let mut unfinished = lock(&self.shared.unfinished);
                if unfinished.by_age.len() < self.max {
                    return (self.insert(&mut unfinished), Others::Stay);
                }
                if unfinished.evict() {
                    return (self.insert(&mut unfinished), Others::OneGaveWay);
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

/// What became of the others when somebody took a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// They have theirs.
    Stay,
    /// One lost its own.
    OneGaveWay,
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

/// What lets peers in: [`TURNED_AWAY_AT_ONCE`] may be turned away in a row, and then one in each [`TURNED_AWAY_INTERVAL`].
#[derive(Debug)]
pub(crate) struct Turnstile {
    // When all that were turned away are made up for.
    quiet_at: Instant,
}

impl Default for Turnstile {
    fn default() -> Self {
        Self { quiet_at: Instant::now() }
    }
}

impl Turnstile {
    /// Waits until the next peer may come.
    pub(crate) async fn opens(&self) {
        let wait = self.quiet_at.saturating_duration_since(Instant::now());
        let wait = wait.saturating_sub(TURNED_AWAY_INTERVAL * (TURNED_AWAY_AT_ONCE - 1));
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// Somebody was turned away.
    pub(crate) fn turned_away(&mut self) {
        self.quiet_at = self.quiet_at.max(Instant::now()) + TURNED_AWAY_INTERVAL;
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
        let ((first, _), (second, others)) = (handshakes.take().await, handshakes.take().await);
        assert_eq!(others, Others::Stay);
        first.spoke();
        let begin = Instant::now();
        let (third, others) = handshakes.take().await;
        assert_eq!(others, Others::OneGaveWay);
        second.lost().await;
        third.spoke();
        assert_eq!(begin.elapsed().as_secs(), 0);
        let (fourth, _) = handshakes.take().await;
        first.lost().await;
        assert_eq!(begin.elapsed(), HANDSHAKE_PATIENCE);
        // What is dropped frees its place, unless another has it already.
        fourth.spoke();
        drop((first, second));
        let waiting = tokio::time::timeout(HANDSHAKE_PATIENCE / 2, handshakes.take());
        let (fifth, ()) = tokio::join!(waiting, async { drop(fourth) });
        assert!(fifth.is_ok() && begin.elapsed() == HANDSHAKE_PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_turned_away_in_a_row_and_then_one_at_a_time() {
        let mut turnstile = Turnstile::default();
        let begin = Instant::now();
        for _ in 0..TURNED_AWAY_AT_ONCE {
            turnstile.opens().await;
            turnstile.turned_away();
        }
        assert!(begin.elapsed().is_zero());
        for _ in 0..50 {
            turnstile.opens().await;
            turnstile.turned_away();
        }
        assert_eq!(begin.elapsed(), TURNED_AWAY_INTERVAL * 50);
        // Whoever is let in costs nothing: after some rest as many as at first.
        tokio::time::advance(TURNED_AWAY_INTERVAL * TURNED_AWAY_AT_ONCE).await;
        let rested = Instant::now();
        for _ in 0..TURNED_AWAY_AT_ONCE {
            turnstile.opens().await;
            turnstile.turned_away();
        }
        assert!(rested.elapsed().is_zero());
    }
}
