//! One network for the tests of one executable, as long as one of them runs.
//!
//! A network that no test holds any more is ended; whoever comes later makes a new one. So nothing is left when the
//! executable ends, and each test can run alone.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use crate::network::{Network, Plan};

/// A place for a network that tests share.
#[derive(Debug)]
pub struct Shared(Mutex<Weak<Network>>);

impl Shared {
    /// An empty place.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::const_new(Weak::new()))
    }

    /// The network, made as planned if nobody has it now.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn network(&self, plan: impl FnOnce() -> Plan) -> Arc<Network> {
        let mut place = self.0.lock().await;
        if let Some(network) = place.upgrade() {
            return network;
        }
        let network = Arc::new(plan().start().await);
        *place = Arc::downgrade(&network);
        network
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}
