//! Signs of life: a ping now and then, and the newest checkpoints when a log grew.

use std::sync::Arc;

use ncp_protocol::frame::{Checkpoint, Ping};
use ncp_protocol::ids::LogName;
use tokio::time::{MissedTickBehavior, interval};

use super::{Link, TaskEnd};
use crate::clock;
use crate::limits::{CHECKPOINT_EVERY, PING_EVERY_MAX, PINGS_PER_IDLE};

pub(super) async fn run(link: Arc<Link>) -> TaskEnd {
    // A peer that only listens is to be heard of, however short its silence may be.
    let mut pings = interval((link.hub.config.idle_timeout / PINGS_PER_IDLE).min(PING_EVERY_MAX));
    let mut looks = interval(CHECKPOINT_EVERY);
    for ticks in [&mut pings, &mut looks] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is now, when hello has just said all there is.
        ticks.tick().await;
    }
    let mut shown = newest(&link);
    loop {
        tokio::select! {
            _ = pings.tick() => {
                link.frames.send(Ping { nonce: u64::from_le_bytes(clock::random()) }).await?;
            }
            _ = looks.tick() => {
                let notes = newest(&link);
                if notes != shown && !notes.is_empty() {
                    shown.clone_from(&notes);
                    link.frames.send(Checkpoint { notes }).await?;
                }
            }
        }
    }
}

fn newest(link: &Link) -> Vec<String> {
    let reader = link.hub.store.reader();
    let notes = [LogName::Traffic, LogName::Public].map(|log| reader.checkpoint(log));
    notes.into_iter().flatten().map(|signed| signed.note().to_owned()).collect()
}
