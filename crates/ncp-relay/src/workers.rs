//! Signature checks, a few at a time over all peers, and each link in its turn: however many checks one peer has waiting,
//! those of another wait for no more of them than run at once.

use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::limits::WORKERS_MAX;

/// The places for checks.
#[derive(Debug)]
pub struct Workers(Semaphore);

/// The checks of one link: as many as there are places may wait for one, the others for these.
#[derive(Debug)]
pub struct Turns(Semaphore);

impl Default for Workers {
    fn default() -> Self {
        Self(Semaphore::new(WORKERS_MAX))
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(WORKERS_MAX))
    }
}

impl Workers {
    /// Runs a check on a thread that may take its time.
    ///
    /// # Errors
    /// If it panics, or the daemon ends meanwhile.
    pub async fn run<T: Send + 'static>(
        &self,
        turns: &Turns,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // Neither is ever closed; without a permit a check would run all the same, which costs others a moment.
        let _turn = turns.0.acquire().await.ok();
        let _place = self.0.acquire().await.ok();
        tokio::task::spawn_blocking(check).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    #[tokio::test]
    async fn one_who_has_much_to_check_keeps_nobody_waiting() {
        const MANY: usize = 50;
        let (workers, done): (Arc<Workers>, Arc<Mutex<Vec<&str>>>) = Default::default();
        let (open, gate) = mpsc::channel();
        let gate = Arc::new(Mutex::new(gate));
        let mut tasks = tokio::task::JoinSet::new();
        let mut ask = |turns: &Arc<Turns>, name: &'static str| {
            let (workers, turns) = (Arc::clone(&workers), Arc::clone(turns));
            let (done, gate) = (Arc::clone(&done), Arc::clone(&gate));
            let check = move || {
                gate.lock().unwrap().recv().unwrap();
                done.lock().unwrap().push(name);
            };
            tasks.spawn(async move { workers.run(&turns, check).await.unwrap() });
        };
        let greedy = Arc::default();
        (0..MANY).for_each(|_| ask(&greedy, "greedy"));
        // All of them wait before the other one comes.
        tokio::task::yield_now().await;
        ask(&Arc::default(), "modest");
        tokio::task::yield_now().await;
        (0..=MANY).for_each(|_| open.send(()).unwrap());
        tasks.join_all().await;
        let place = done.lock().unwrap().iter().position(|name| *name == "modest");
        assert!(place.is_some_and(|place| place <= WORKERS_MAX), "{place:?}");
    }
}
