//! The network that these tests share, and what it holds.

use std::sync::Arc;

use e2e::folder::stored;
use e2e::shared::Shared;
use e2e::{Network, Plan};
use tokio::sync::{Mutex, MutexGuard};

static HUB: Shared = Shared::new();
static PAIR: Shared = Shared::new();
static TURN: Mutex<()> = Mutex::const_new(());

/// A hub without nodes; XA, XC and XD are admitted, and the tests speak for them. One test at a time: a participant has
/// one link, and what the hub holds must not change under a look.
pub(crate) async fn hub_alone() -> (Arc<Network>, MutexGuard<'static, ()>) {
    // Whoever waits for its turn has the network already, so that it lives from the first test to the last.
    let network = HUB.network(|| Plan::of(&[]).and_puppets(&["XA", "XC", "XD"])).await;
    (network, TURN.lock().await)
}

/// A network in which XB runs, and a test speaks for XA; one test at a time.
pub(crate) async fn with_xb() -> (Arc<Network>, MutexGuard<'static, ()>) {
    let network = PAIR.network(|| Plan::of(&["XB"]).and_puppets(&["XA", "XC"])).await;
    (network, TURN.lock().await)
}

/// What the hub holds: leaves of its logs, and every byte beside the journal.
pub(crate) async fn held(network: &Network) -> impl PartialEq + core::fmt::Debug + use<> {
    (network.relay().sizes().await, stored(&network.relay().data()))
}
