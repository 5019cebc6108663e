//! Timers: a tick each second, and housekeeping each hour. What is due follows from the index; a tick only says what time
//! it is.
//!
//! Messages expire and clocks strike by the wall clock, and only while it agrees with the monotonic one: after a jump no
//! tick is sent until the wall clock has run evenly for [`DISTRUST`], so that a wrong clock kills no message.

use std::sync::Arc;
use std::time::Duration;

use ncp_protocol::event::Actor;
use ncp_protocol::ids::UnixMillis;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::clock;
use crate::core::command::Ask;
use crate::core::limits::TICK_MS;
use crate::node::{Node, Submission};

/// How far the clocks may drift apart between two looks before it counts as a jump.
const JUMP_MAX_MS: u64 = 5_000;
/// How long the wall clock must run evenly after a jump before it is believed again.
const DISTRUST: Duration = Duration::from_secs(600);
/// Pause between two rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);

/// Compares wall and monotonic clock from look to look. Pure, so that a jump is a unit test.
#[derive(Debug)]
pub struct ClockWatch {
    last: (UnixMillis, Duration),
    trusted_from: Duration,
}

impl ClockWatch {
    /// Starts with a first look; `monotonic` counts from any fixed point.
    #[must_use]
    pub fn new(wall: UnixMillis, monotonic: Duration) -> Self {
        Self { last: (wall, monotonic), trusted_from: monotonic }
    }

    /// Whether the wall clock can be believed now.
    pub fn look(&mut self, wall: UnixMillis, monotonic: Duration) -> bool {
        let (last_wall, last_monotonic) = self.last;
        let elapsed = u64::try_from(monotonic.saturating_sub(last_monotonic).as_millis()).unwrap_or(u64::MAX);
        let expected = last_wall.plus_millis(elapsed);
        if wall.0.abs_diff(expected.0) > JUMP_MAX_MS {
            tracing::warn!(
                wall = wall.0,
                expected = expected.0,
                "the wall clock jumped; nothing expires until clocks agree"
            );
            self.trusted_from = monotonic.saturating_add(DISTRUST);
        }
        self.last = (wall, monotonic);
        monotonic >= self.trusted_from
    }
}

/// Ticks until the daemon stops.
pub async fn run(node: Arc<Node>) {
    let begun = Instant::now();
    let mut watch = ClockWatch::new(clock::now(), Duration::ZERO);
    let mut ticks = interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut housekeeping = interval(HOUSEKEEPING);
    housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = node.stopping.cancelled() => return,
            _ = ticks.tick() => {
                let agree = watch.look(clock::now(), begun.elapsed());
                node.clocks_agree.send_if_modified(|known| core::mem::replace(known, agree) != agree);
                if agree && node.submit(Submission::DAEMON, Actor::Daemon, Ask::Tick).await.is_err() {
                    return;
                }
            }
            _ = housekeeping.tick() => {
                if let Err(error) = node.blocking(crate::blobs::purge).await {
                    node.stop_because(error.fault().clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn even_clocks_are_believed() {
        let mut watch = ClockWatch::new(UnixMillis(1_000_000), seconds(0));
        assert!(watch.look(UnixMillis(1_001_010), seconds(1)));
        // A machine that slept: both clocks may stand still or run on together.
        assert!(watch.look(UnixMillis(9_001_010), seconds(8_001)));
    }

    #[test]
    fn a_jump_is_distrusted_until_the_clock_ran_evenly() {
        for jumped in [UnixMillis(2_000_000), UnixMillis(10_000)] {
            let mut watch = ClockWatch::new(UnixMillis(1_000_000), seconds(0));
            assert!(!watch.look(jumped, seconds(1)));
            assert!(!watch.look(jumped.plus_millis(599_000), seconds(600)));
            assert!(watch.look(jumped.plus_millis(600_000), seconds(601)));
        }
    }
}
