//! Housekeeping: what deliveries left on the disk and nothing names.
//!
//! A body is whole before its message is decided, so a refusal leaves it behind: it is removed at once. What a crash or a
//! delivery that never came again left is removed when it has been without a message for [`KEPT`]: until then the same
//! delivery would find it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ncp_protocol::ids::{ParticipantId, UnixMillis};
use ncp_store::reader::ReadError;
use ncp_store::spool::BodyName;
use tokio::time::{Instant, interval};

use crate::clock;
use crate::core::tables::IN;
use crate::node::Node;

/// How long a body without a message, or the beginning of one, is kept.
const KEPT: Duration = Duration::from_secs(48 * 60 * 60);
/// How often leftovers are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);

/// Looks for leftovers until the node stops.
pub(crate) async fn run(node: Arc<Node>) {
    let mut ticks = interval(LOOK_EVERY);
    let mut seen: BTreeMap<BodyName, Instant> = BTreeMap::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = node.stopping.cancelled() => return,
        }
        let known = core::mem::take(&mut seen);
        match node.blocking(move |node| sweep(node, &known)).await {
            Ok(left) => seen = left,
            Err(error) => node.stop_because(crate::faults::unreadable(&error)),
        }
    }
}

/// Removes what is old; returns what is left, with when this process first saw it so.
fn sweep(node: &Node, known: &BTreeMap<BodyName, Instant>) -> Result<BTreeMap<BodyName, Instant>, ReadError> {
    let bodies = node.reader().uploads();
    let mut left = BTreeMap::new();
    for name in bodies.list()?.into_iter().filter(|name| name.originator != node.participant()) {
        let since = known.get(&name).copied().unwrap_or_else(Instant::now);
        if is_named(node, &name)? {
            continue;
        }
        if since.elapsed() < KEPT {
            left.insert(name, since);
        } else {
            bodies.remove(&name)?;
        }
    }
    let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
    let before = UnixMillis(clock::now().0.saturating_sub(kept));
    for leftover in bodies.leftovers(before)?.into_iter().filter(|leftover| leftover.peer == ParticipantId::HUB) {
        bodies.discard(&leftover)?;
    }
    Ok(left)
}

/// Removes the body of a delivery that was refused, unless a message of the same body is here. Blocks on the disk.
pub(super) fn drop_refused(node: &Node, name: &BodyName) -> Result<(), ReadError> {
    if !is_named(node, name)? {
        node.reader().uploads().remove(name)?;
    }
    Ok(())
}

fn is_named(node: &Node, name: &BodyName) -> Result<bool, ReadError> {
    let row = IN.row(&node.reader().view(), &(name.originator, name.message))?;
    Ok(row.is_some_and(|row| row.received.root == name.root))
}
