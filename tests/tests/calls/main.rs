//! The daemons at their system calls (`tests/shims/calls.c`): killed and failed at each over one life cycle, and shown to let
//! nothing out before the sync it rests on.
//!
//! The gate hits a few calls of each daemon, others at each run. The variable `NCP_CALLS` asks for more: `1` hits every call
//! in every way, `7` every seventh hit, `7+3` the same from the fourth on, and a text such as `Hub sync:39:eio:lost`, as a
//! failure names it, the hits that begin so. `NCP_CALLS_WORKERS` is how many lives are lived at the same time.
#![cfg(test)]

mod keys;
mod life;
mod order;
mod sweep;

use std::collections::VecDeque;
use std::env;
use std::sync::{Arc, Mutex};

use life::{Life, Role, World};
use sweep::{Hit, Tally, hits, in_turn};

/// Hits that chance picks for a run of the gate.
const IN_GATE: usize = 10;

/// `None` where no program can be looked on: then the test has not run, and says so.
async fn world() -> Option<Arc<World>> {
    match World::make().await {
        Ok(world) => Some(Arc::new(world)),
        Err(reason) => {
            e2e::tell(&format!("not run: {reason}"));
            None
        }
    }
}

/// What this run is to hit: in the gate also what is hit always.
fn chosen(all: &[Hit]) -> VecDeque<Hit> {
    let mut chosen = in_turn(all, IN_GATE, "");
    if env::var_os("NCP_CALLS").is_none() {
        chosen.extend(all.iter().filter(|hit| hit.is_always_made()).cloned());
    }
    chosen.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_or_failed_at_any_call_loses_and_doubles_nothing() {
    let Some(world) = world().await else { return };
    let mut all = Vec::new();
    for role in Role::ALL {
        let seen = Life::live(&world, role, None).await;
        assert!(!seen.early && seen.ended.status.success(), "a life without a fault");
        all.extend(hits(role, &seen.calls));
    }
    let left = Arc::new(Mutex::new(chosen(&all)));
    let workers = env::var("NCP_CALLS_WORKERS").ok().and_then(|number| number.parse().ok()).unwrap_or(1);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(work(world, Arc::clone(&left)));
    for _ in 1..workers {
        let world = World::make().await.expect("as before");
        running.spawn(work(Arc::new(world), Arc::clone(&left)));
    }
    let mut tally = Tally::default();
    while let Some(part) = running.join_next().await {
        tally.join(part.expect("a worker's task"));
    }
    e2e::tell(&format!("{}{}", tally.table(), tally.notes()));
    assert!(tally.failures().is_empty(), "{} lives failed; they are told above", tally.failures().len());
}

async fn work(world: Arc<World>, left: Arc<Mutex<VecDeque<Hit>>>) -> Tally {
    let mut tally = Tally::default();
    loop {
        let next = left.lock().expect("no worker panics").pop_front();
        let Some(hit) = next else { return tally };
        tally.add(&world, &hit).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_before_the_sync_it_rests_on() {
    let Some(world) = world().await else { return };
    order::r1(&world).await;
    order::r2(&world).await;
    order::r3(&world).await;
    order::replies(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_init_ended_at_any_call_is_completed_by_the_same_command() {
    let Some(world) = world().await else { return };
    let failures = tokio::task::spawn_blocking(move || keys::sweep(&world)).await.expect("a task");
    assert_eq!(failures, Vec::<String>::new());
}
