//! What the tasks of the daemon share: the store, the directory, the links, the clock, and how it ends.

use core::fmt::Display;
use core::net::SocketAddr;
use std::sync::OnceLock;

use arc_swap::ArcSwap;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::{LogOrigin, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::{SigningKey, VerifyingKey};
use ncp_protocol::root::NetworkClass;
use ncp_service::pulse::Pulse;
use ncp_store::ballast::Ballast;
use ncp_store::clock::WallClock;
use ncp_store::committer::{Stopped, StoreHandle};
use ncp_store::disk::RealDisk;
use ncp_store::engine::Committed;
use ncp_store::held::Held;
use ncp_store::queue::{Source, Urgency};
use ncp_store::reader::Reader;
use ncp_store::state::Unreadable;
use ncp_transport::tls::SharedTls;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::Config;
use crate::core::Relay;
use crate::core::command::{Command, Reply};
use crate::directory::{SharedDirectory, Trust};
use crate::links::Links;
use crate::metrics::Metrics;
use crate::workers::Workers;

/// What the tasks of the daemon share.
pub struct Hub {
    /// The configuration.
    pub config: Config,
    /// The network.
    pub network: NetworkId,
    /// What it is for.
    pub class: NetworkClass,
    /// The log of envelopes.
    pub traffic: LogOrigin,
    /// Verifies checkpoints of `traffic` that others show.
    pub traffic_key: VerifyingKey,
    /// The log of the directory.
    pub public: LogOrigin,
    /// Verifies checkpoints of `public` that others show.
    pub public_key: VerifyingKey,
    /// Signs timestamp statements.
    pub timestamp: SigningKey,
    /// The root of trust, all versions; who admits a version holds the directory's lock for that.
    pub trust: ArcSwap<Trust>,
    /// Certificates, swapped as a whole by a reload.
    pub tls: SharedTls,
    /// What opens the key files that a reload reads again.
    pub keyring: ncp_store::keyfiles::keyring::Keyring,
    /// The store.
    pub store: StoreHandle<Relay>,
    /// Newest checkpoints of the participants' logs.
    pub held: Held,
    /// The directory in force, parsed.
    pub directory: SharedDirectory,
    /// One link for each participant.
    pub links: Links,
    /// Whether the wall clock is believed.
    pub clock: WallClock,
    /// The data folder.
    pub disk: RealDisk,
    /// Whether the room for evidence is held; the timer says.
    pub ballast: watch::Sender<Ballast>,
    /// When the daemon started.
    pub started: UnixMillis,
    /// Where it listens, once it does.
    pub listening: OnceLock<SocketAddr>,
    /// Places for signature checks.
    pub workers: Workers,
    /// Cancelled when the daemon is to stop.
    pub stopping: CancellationToken,
    /// Why it stops, unless it was asked to.
    pub failure: OnceLock<Fault>,
    /// When the daemon was last seen to get on.
    pub pulse: Pulse,
    /// What is counted for `/metrics`.
    pub metrics: Metrics,
}

/// The daemon is stopping: whoever reads this ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopping;

impl Hub {
    /// Has a command decided and made durable.
    ///
    /// # Errors
    /// [`Stopping`] if the store has stopped, and with it the daemon.
    pub async fn submit(&self, asked: Asked, command: Command) -> Result<Committed<Reply>, Stopping> {
        let Asked { source, urgency, weight } = asked;
        self.store.submit(source, urgency, weight, command).await.map_err(|Stopped| {
            self.fail(&"the store has stopped");
            Stopping
        })
    }

    /// Reads from the store, on a thread that may wait for the disk.
    ///
    /// # Errors
    /// [`Stopping`] if it cannot be read: the daemon ends, the next start recovers.
    pub async fn read<T: Send + 'static, E: Display + Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Stopping> {
        let reader = self.store.reader().clone();
        match tokio::task::spawn_blocking(move || read(&reader)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(self.fail(&error)),
            Err(panic) => Err(self.fail(&panic)),
        }
    }

    /// Looks up rows, on the spot: the index answers from memory or a short read.
    ///
    /// # Errors
    /// [`Stopping`] if the index cannot be read: the daemon ends, the next start rebuilds it.
    pub fn look<T>(
        &self,
        look: impl FnOnce(&dyn ncp_store::state::View) -> Result<T, Unreadable>,
    ) -> Result<T, Stopping> {
        look(&self.store.reader().view()).map_err(|error| self.fail(&error))
    }

    /// Notes why the daemon cannot go on, and stops it. The first reason stands.
    pub fn fail(&self, reason: &dyn Display) -> Stopping {
        self.fail_with(ErrorCode::StoreStopped.with("reason", reason))
    }

    /// As [`Hub::fail`], with another fault.
    pub fn fail_with(&self, fault: Fault) -> Stopping {
        if !self.stopping.is_cancelled() {
            tracing::error!(code = %fault.code, cause = %fault.cause(), "{}", fault.title());
            // A second fault follows from the first.
            let _ = self.failure.set(fault);
            self.stopping.cancel();
        }
        Stopping
    }

    /// Now, by the wall clock.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        clock::now()
    }

    /// Whether the wall clock is believed now.
    #[must_use]
    pub fn believes_clock(&self) -> bool {
        self.clock.holds(self.now())
    }
}

/// On whose turn a command goes, and how it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    source: Source,
    urgency: Urgency,
    weight: usize,
}

impl Asked {
    /// By the daemon itself.
    pub const BY_DAEMON: Self = Self { source: Source::Daemon, urgency: Urgency::Routine, weight: 0 };
    /// By the operator.
    pub const BY_OPERATOR: Self = Self { source: Source::Local, urgency: Urgency::Urgent, weight: 0 };

    /// By a peer, who sent `weight` bytes for it.
    #[must_use]
    pub fn by(peer: ParticipantId, urgency: Urgency, weight: usize) -> Self {
        Self { source: Source::Peer(peer), urgency, weight }
    }
}
