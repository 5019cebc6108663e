//! The link to the hub: dialled, greeted, served, dialled again.
//!
//! A node only ever dials out. Each connection passes from `AwaitingHello` (`link/hello.rs`) to `Serving`
//! (`link/serving.rs`); when it ends, for whatever reason, the next one is dialled after a delay with full jitter, for ever.
//! Nothing here counts as an attempt of a message and nothing is lost with a connection: what is to be sent follows from
//! the index, bodies resume at the last synced chunk, receipts at the hub's cursor.
//!
//! Fatal is one thing: a hub that holds a checkpoint of this node's log that the log does not have. Then this data folder
//! is older than what was signed before, and the daemon stops before it signs anything more.

mod desk;
mod faults;
mod hello;
pub(crate) mod limits;
mod outbound;
mod serving;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::root::NetworkClass;
use ncp_store::disk::RealDisk;
use ncp_store::held::Held;
use ncp_transport::address::Reach;
use ncp_transport::backoff::Reconnect;
use ncp_transport::dial::{Dialler, Route};
use ncp_transport::frame::IdleLimit;
use ncp_transport::identity::PinLookup;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

pub(crate) use self::desk::Desk;
pub(crate) use self::hello::hub_checkpoint;
pub(crate) use self::outbound::Outbound;
use crate::clock;
use crate::directory::Directory;
use crate::node::{HubPing, LinkStatus, Node, Work};
use crate::reception::leftovers;
use crate::sealing;

/// Talks to the hub until the node stops: seals what is released, submits it, receives, keeps the directory.
pub async fn run(node: Arc<Node>, work: Work) {
    let disk = match RealDisk::open(&node.config.data_dir) {
        Ok(disk) => disk,
        Err(error) => return node.stop_because(crate::faults::unreadable(&error)),
    };
    let held = match Held::open(disk.clone()) {
        Ok(held) => Arc::new(held),
        Err(error) => {
            let folder = node.config.data_dir.display();
            return node.stop_because(ErrorCode::StoreDamaged.with("folder", folder).with("reason", error));
        }
    };
    let desk = match Desk::new(Arc::clone(&node), Arc::clone(&held)) {
        Ok(desk) => Arc::new(desk),
        Err(error) => return node.stop_because(crate::faults::unreadable(&error)),
    };
    let directory = Directory::open(Arc::clone(&desk), disk).await;
    let Work { sealing, recall, hub_ping } = work;
    let mut tasks = JoinSet::new();
    tasks.spawn(sealing::run(Arc::clone(&desk), sealing));
    tasks.spawn(leftovers::run(Arc::clone(&node)));
    tasks.spawn(desk::keep_held(Arc::clone(&node), held));
    let linking = Linking {
        desk,
        directory: Arc::new(Mutex::new(directory)),
        asks: serving::Asks { recall, hub_ping },
        reconnect: Reconnect::new(),
    };
    tasks.spawn(linking.run());
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            node.stop_because(ncp_api::ErrorCode::InternalFault.with("reason", error));
        }
    }
}

/// Dials as configured; under a test root on this machine alone.
fn dialler(node: &Arc<Node>) -> Dialler {
    let reach = match node.network.class() {
        NetworkClass::Test => Reach::LoopbackOnly,
        NetworkClass::Live => Reach::Anywhere,
    };
    let settings = node.settings();
    let route = Route { targets: settings.hub_addresses.clone(), proxy: settings.proxy.clone(), reach };
    let pinning = Arc::clone(node);
    let pins: PinLookup = Arc::new(move |participant: ParticipantId| pinning.directory.load().tls_pins(participant));
    Dialler::new(route, node.keys.tls.clone(), pins, IdleLimit::fixed(settings.limits.idle_timeout))
}

/// Why and how a connection ended, or did not begin.
struct Ended {
    fault: Option<Fault>,
    lived: Duration,
}

struct Linking {
    desk: Arc<Desk>,
    directory: Arc<Mutex<Directory>>,
    asks: serving::Asks,
    reconnect: Reconnect,
}

impl Linking {
    async fn run(mut self) {
        let stopping = self.desk.node.stopping.clone();
        while !stopping.is_cancelled() {
            let Ended { fault, lived } = self.connect().await;
            if stopping.is_cancelled() {
                break;
            }
            let delay = self.reconnect.after(lived, u64::from_le_bytes(clock::random()));
            match &fault {
                Some(fault) => {
                    tracing::warn!(code = %fault.code, cause = fault.cause(), ?delay, "no link to the hub");
                }
                None => tracing::info!(?delay, "the link to the hub ended"),
            }
            self.show(false, fault);
            self.wait(delay).await;
        }
        self.show(false, None);
    }

    /// One connection from dial to end.
    async fn connect(&mut self) -> Ended {
        let began = Instant::now();
        let stopping = self.desk.node.stopping.clone();
        let greeted = tokio::select! {
            greeted = self.greet_with_newest_certificate() => greeted,
            // Nothing was exchanged yet that has to end in good order.
            () = stopping.cancelled() => return Ended { fault: None, lived: Duration::ZERO },
        };
        match greeted {
            Ok(greeting) => {
                self.show(true, faults::restricted(greeting.pin, greeting.restricted));
                let fault = serving::serve(&self.desk, greeting, &self.directory, &mut self.asks).await;
                Ended { fault, lived: began.elapsed() }
            }
            Err(fault) => Ended { fault: Some(fault), lived: Duration::ZERO },
        }
    }

    /// A link that the hub restricts is tried once more if another certificate was installed meanwhile.
    async fn greet_with_newest_certificate(&self) -> Result<hello::Greeting, Fault> {
        let greeting = self.greet().await?;
        let is_restricted = greeting.restricted.is_some();
        if is_restricted && self.has_another_certificate().await { self.greet().await } else { Ok(greeting) }
    }

    /// Dials, and waits for the hub's hello.
    async fn greet(&self) -> Result<hello::Greeting, Fault> {
        let connection = dialler(&self.desk.node).dial().await.map_err(|error| faults::dial(&error))?;
        let address = connection.peer_addr;
        let greeting = hello::AwaitingHello::new(Arc::clone(&self.desk), connection).greet().await?;
        tracing::info!(%address, pin = ?greeting.pin, "linked to the hub");
        Ok(greeting)
    }

    /// Whether a certificate over another key lies there since, which is taken up.
    async fn has_another_certificate(&self) -> bool {
        match self.desk.node.blocking(crate::reload::take_up_certificate).await {
            Ok(taken_up) => taken_up,
            Err(fault) => {
                tracing::warn!(code = %fault.code, cause = fault.cause(), "own certificates cannot be read again");
                false
            }
        }
    }

    fn show(&self, connected: bool, failure: Option<Fault>) {
        self.desk.node.link.send_modify(|status| {
            if status.connected != connected {
                status.since = Some(clock::now());
            }
            *status = LinkStatus { connected, failure, ..status.clone() };
        });
    }

    /// Waits before the next dial; whoever asks for the hub meanwhile is told that there is no link.
    async fn wait(&mut self, delay: Duration) {
        let node = Arc::clone(&self.desk.node);
        let mut until = std::pin::pin!(tokio::time::sleep(delay));
        loop {
            tokio::select! {
                () = &mut until => return,
                () = node.stopping.cancelled() => return,
                Some(ping) = self.asks.hub_ping.recv() => answer_unlinked(&node, ping),
                // Recalls follow from the index when a link stands again.
                Some(_) = self.asks.recall.recv() => {}
            }
        }
    }
}

fn answer_unlinked(node: &Node, ping: HubPing) {
    let status = node.link.borrow().clone();
    let fault = status.failure.unwrap_or_else(|| {
        ncp_api::ErrorCode::HubUnreachable.with("address", &status.address).with("reason", "there is no link yet")
    });
    // Whoever asked may have gone away.
    let _ = ping.send(Err(fault));
}
