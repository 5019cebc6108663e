//! Timers: a tick each second, and housekeeping each hour. What is due follows from the index; a tick only says what time
//! it is.
//!
//! Messages expire and clocks strike by the wall clock, and only while it is believed, see [`ncp_store::clock`]: no tick is
//! sent meanwhile, so that a wrong clock kills no message.

use std::sync::Arc;
use std::time::Duration;

use ncp_protocol::event::Actor;
use ncp_store::ballast;
use ncp_store::committer::Stopped;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::core::command::Ask;
use crate::core::limits::TICK_MS;
use crate::faults::Failed;
use crate::keys;
use crate::node::{Node, Submission};

/// Pause between two rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);

/// Ticks until the daemon stops.
pub async fn run(node: Arc<Node>) {
    let mut ticks = interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = node.stopping.cancelled() => return,
            _ = ticks.tick() => {
                if tick(&node).await.is_err() {
                    return;
                }
            }
            _ = housekeeping.tick() => {
                match node.blocking(crate::blobs::purge).await {
                    Ok(()) => {}
                    // Something that is lost alone says what may go: nothing goes until it is back.
                    Err(Failed::Fault(fault)) => tracing::error!(code = %fault.code, cause = fault.cause(), "uploads are not tidied"),
                    Err(Failed::Store(fault)) => node.stop_because(*fault),
                }
                destroy_ended_keys(&node).await;
            }
        }
    }
}

/// Ends the sealing keys that have served, if the wall clock is believed: this is not undone.
async fn destroy_ended_keys(node: &Arc<Node>) {
    if !node.believes_clock() {
        return;
    }
    let destroyed = node.blocking(|node| {
        let (folder, keyring) = (&node.config.data_dir, &node.keys.keyring);
        let own = node.own.load_full();
        let destroyed = keys::destroy_ended(folder, keyring, &own, &node.own_entry(), clock::now());
        if !matches!(destroyed, Ok(0)) {
            // Those before a failure are gone, from memory too.
            node.read_own_again()?;
        }
        destroyed
    });
    match destroyed.await {
        Ok(0) => {}
        Ok(destroyed) => tracing::info!(destroyed, "sealing keys that have ended are destroyed"),
        Err(fault) => {
            tracing::error!(code = %fault.code, cause = fault.cause(), "a sealing key that has ended is not destroyed")
        }
    }
}

/// Has what is due by now decided, if the wall clock is believed; says whether it is.
///
/// # Errors
/// [`Stopped`].
pub async fn tick(node: &Arc<Node>) -> Result<bool, Stopped> {
    let believed = node.believes_clock();
    note(node, believed).await;
    keep_ballast(node).await;
    if believed {
        node.submit(Submission::DAEMON, Actor::Daemon, Ask::Tick).await?;
    }
    Ok(believed)
}

/// Holds room for journal and evidence, or lets it go for them.
async fn keep_ballast(node: &Arc<Node>) {
    let kept = node.blocking(|node| {
        let limits = node.settings().limits;
        ballast::keep(&node.disk, limits.ballast_bytes, limits.free_min_bytes)
    });
    match kept.await {
        Ok(ballast) => drop(node.ballast.send_if_modified(|known| core::mem::replace(known, ballast) != ballast)),
        Err(error) => tracing::warn!(%error, "the ballast cannot be looked after now"),
    }
}

/// Shows to all tasks, and writes down for the next start, whether the wall clock is believed.
async fn note(node: &Arc<Node>, believed: bool) {
    if node.clock_believed.send_if_modified(|known| core::mem::replace(known, believed) != believed) {
        tracing::warn!(believed, "whether the wall clock is believed has changed; nothing expires while it is not");
        // What could not be judged by such a clock is looked at again.
        node.hints.directory.send_modify(|count| *count = count.wrapping_add(1));
    }
    if let Err(error) = node.blocking(move |node| node.clock.remember(believed)).await {
        tracing::warn!(%error, "whether the wall clock is believed cannot be written down now");
    }
}
