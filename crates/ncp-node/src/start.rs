//! How the daemon comes up and goes down.
//!
//! Up: keys and what joining gave are read and checked; the API socket is taken; the data folder is locked and the store
//! recovered; officers and rules of the configuration, the own entry and the hub's are put into the journal if they are
//! new; the tasks begin. Nothing in the data folder changes before all files and the socket are found good. Down: tasks are
//! told to end and given time for it, the committer commits what waits, the socket is removed.
//!
//! A crash between any two steps is like one before the first: each looks what is there already.

use core::time::Duration;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::event::Actor;
use ncp_protocol::ids::{LogName, ParticipantId};
use ncp_protocol::root::NetworkClass;
use ncp_store::ballast::{self, Ballast};
use ncp_store::clock::{Voices, WallClock};
use ncp_store::committer::Running as RunningStore;
use ncp_store::disk::RealDisk;
use ncp_store::engine::Fatal;
use ncp_store::journal::Position;
use ncp_store::lock::{FORMAT, FormatError, LockError, holder};
use ncp_store::recovery::{LogKey, OpenReport};
use ncp_store::spool::Record;
use ncp_store::store::{Store, StoreError, StoreOptions};
use ncp_transport::address::{HostPort, is_loopback};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Socket};
use crate::clock;
use crate::config::{Config, Limits};
use crate::core::NodeCore;
use crate::core::command::{Ask, Begin, Effect, EntryNews, Identity, Refusal};
use crate::core::tables::ENTRY;
use crate::entries::{DirectoryView, Statements, entry_record};
use crate::faults;
use crate::keys::{self, Keys, Network, Own};
use crate::node::{self, Hints, LinkStatus, Node, Submission, Work};
use crate::references::References;
use crate::timers;
use crate::vault::Vault;

/// How long tasks and requests may take to end once the daemon is to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take after them until what waits is durable.
pub const STORE_STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A daemon that serves.
pub struct Running {
    /// What its tasks share.
    pub node: Arc<Node>,
    tasks: JoinSet<()>,
    dispatch: tokio::task::JoinHandle<()>,
    committer: JoinHandle<Result<(), Fatal>>,
    socket: Socket,
}

/// Brings the daemon up.
///
/// # Errors
/// One fault with its exit code; what was there before is unchanged.
pub async fn start(config: Config) -> Result<Running, Fault> {
    let (config, read) = blocking(move || read(&config).map(|read| (config, read))).await?;
    let socket = api::listen(&config.api_socket).await?;
    let (config, opened) = match blocking(move || open(&config, read).map(|opened| (config, opened))).await {
        Ok(opened) => opened,
        Err(fault) => {
            socket.remove();
            return Err(fault);
        }
    };
    let Opened { identity, network, own, keys, disk, clock, ballast, store } = opened;
    let RunningStore { handle, effects, thread } = store;
    let (hints, work) = Hints::new();
    let address = config.settings.hub_addresses.first().map(ToString::to_string).unwrap_or_default();
    let events = handle.reader().checkpoint(LogName::Node).map_or(0, |newest| newest.checkpoint().size);
    let node = Arc::new(Node {
        vault: Vault::new(&keys.storage),
        store: handle,
        identity,
        network,
        keys,
        own: ArcSwap::from_pointee(own),
        directory: ArcSwap::from_pointee(DirectoryView::default()),
        statements: ArcSwap::from_pointee(Statements::default()),
        hints,
        link: watch::Sender::new(LinkStatus { address, connected: false, since: None, failure: None }),
        references: References::default(),
        seen: crate::officer_auth::SeenKeys::default(),
        contributed: crate::contributions::Taken::default(),
        proposals: crate::proposals::Proposals::default(),
        orphans: crate::blobs::Orphans::default(),
        started: clock::now(),
        hub_clock: crate::hub_clock::HubClock::default(),
        hub_refusals: crate::hub_refusals::HubRefusals::default(),
        clock,
        clock_believed: watch::Sender::new(true),
        ballast: watch::Sender::new(ballast),
        disk,
        bodies_out: crate::bodies_out::BodiesOut::default(),
        reloading: std::sync::Mutex::default(),
        foreign_entry: core::sync::atomic::AtomicBool::new(false),
        stopping: CancellationToken::new(),
        failure: std::sync::OnceLock::new(),
        pulse: ncp_service::pulse::Pulse::default(),
        metrics: crate::metrics::Metrics::new(events),
        settings: ArcSwap::from_pointee(config.settings.clone()),
        config,
    });
    match serve(&node, socket, effects, work).await {
        Ok((socket, tasks, dispatch)) => Ok(Running { node, tasks, dispatch, committer: thread, socket }),
        Err(fault) => {
            node.stopping.cancel();
            node.store.stop();
            let ended = tokio::task::spawn_blocking(|| thread.join()).await;
            // Whoever met the stopped store knew less.
            Err(store_failure(&node, ended.ok()).unwrap_or(fault))
        }
    }
}

type Served = (Socket, JoinSet<()>, tokio::task::JoinHandle<()>);

async fn serve(
    node: &Arc<Node>,
    mut socket: Socket,
    effects: mpsc::Receiver<Effect>,
    work: Work,
) -> Result<Served, Fault> {
    node.blocking(|node| node.seen.recall(node)).await.map_err(|error| faults::unreadable(&error))?;
    begin(node).await?;
    node.blocking(Node::reload_directory).await.map_err(|error| faults::unreadable(&error))?;
    let dispatch = tokio::spawn(node::dispatch(Arc::clone(node), effects));
    let mut tasks = JoinSet::new();
    tasks.spawn(timers::run(Arc::clone(node)));
    tasks.spawn(ncp_service::pulse::run(Arc::clone(node)));
    tasks.spawn(api::serve(Arc::clone(node), socket.listener()?));
    spawn_link(node, work, &mut tasks);
    tracing::info!(participant = %node.participant(), network = %node.network.id().label(), "serving");
    Ok((socket, tasks, dispatch))
}

/// Begins the tasks that talk to the hub.
fn spawn_link(node: &Arc<Node>, work: Work, tasks: &mut JoinSet<()>) {
    tasks.spawn(crate::link::run(Arc::clone(node), work));
}

impl Running {
    /// Brings the daemon down, within [`DRAIN_TIMEOUT`] and [`STORE_STOP_TIMEOUT`].
    ///
    /// # Errors
    /// The failure that stopped it, if one did; [`ErrorCode::StoreStopped`] if the store does not end in time.
    pub async fn stop(mut self) -> Result<(), Fault> {
        self.node.stopping.cancel();
        if timeout(DRAIN_TIMEOUT, self.drained()).await.is_err() {
            tracing::warn!(after = ?DRAIN_TIMEOUT, "what did not end in time is cut; what was answered is durable");
        }
        self.socket.remove();
        let last = async {
            self.tasks.shutdown().await;
            self.node.store.stop();
            let ended = tokio::task::spawn_blocking(|| self.committer.join()).await;
            let _ = self.dispatch.await;
            ended
        };
        let Ok(ended) = timeout(STORE_STOP_TIMEOUT, last).await else {
            return Err(ErrorCode::StoreStopped.with("reason", "it did not end in time: the disk hangs"));
        };
        // Whoever met the stopped store knew less.
        let failure = store_failure(&self.node, ended.ok());
        failure.or_else(|| self.node.failure.get().cloned()).map_or(Ok(()), Err)
    }

    /// Waits until every task has ended by itself.
    async fn drained(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                self.node.stop_because(ErrorCode::InternalFault.with("reason", error));
            }
        }
    }
}

/// Why the store ended, if it did not because it was told to. None stands for a thread that was not joined.
fn store_failure(node: &Node, ended: Option<std::thread::Result<Result<(), Fatal>>>) -> Option<Fault> {
    match ended {
        Some(Ok(Ok(()))) => None,
        Some(Ok(Err(fatal))) if fatal.is_disk_full() => Some(crate::space::none_to_start(&node.config.data_dir)),
        Some(Ok(Err(fatal))) => Some(faults::unreadable(&fatal)),
        Some(Err(_)) | None => Some(ErrorCode::InternalFault.with("reason", "the committer panicked")),
    }
}

impl core::fmt::Debug for Running {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Running")
    }
}

struct Opened {
    identity: Identity,
    network: Network,
    own: Own,
    keys: Keys,
    disk: RealDisk,
    clock: WallClock,
    ballast: Ballast,
    store: RunningStore<NodeCore>,
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ErrorCode::InternalFault.with("reason", error))?
}

/// What the key files and those of the network hold.
type Read = (Keys, Own, Network);

/// Everything that only reads files.
fn read(config: &Config) -> Result<Read, Fault> {
    let keyring = keys::keyring(&config.data_dir, config.passphrase_credential.as_deref())?;
    let read = keys::load(&config.data_dir, config.participant, &keyring)?;
    stay_on_this_machine(config, read.2.class())?;
    Ok(read)
}

/// Locks the data folder and recovers the store.
fn open(config: &Config, (keys, own, network): Read) -> Result<Opened, Fault> {
    let origin = network.origin;
    let identity = Identity { origin, log_key: keys.log.verifying_key().id() };
    let logs = vec![LogKey { origin, key: keys.log.clone(), salt: clock::random() }];
    let options = StoreOptions { folder: config.data_dir.clone(), logs, now: clock::now() };
    refuse_forked(config)?;
    let io = |error| ErrorCode::StoreIo.with("folder", config.data_dir.display()).with("reason", error);
    let store = Store::open(NodeCore::new(identity), options).map_err(|error| store_fault(&config.data_dir, &error))?;
    tell_damage(store.report());
    let disk = RealDisk::open(&config.data_dir).map_err(io)?;
    let clock = WallClock::open(disk.clone(), &store.reader(), Voices::Hub, clock::now()).map_err(io)?;
    let Limits { ballast_bytes, free_min_bytes, .. } = config.settings.limits;
    let ballast = ballast::keep(&disk, ballast_bytes, free_min_bytes).map_err(io)?;
    let store = store.start().map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
    Ok(Opened { identity, network, own, keys, disk, clock, ballast, store })
}

/// An earlier run was shown that its log excludes what it had signed: nothing is signed until somebody has restored.
fn refuse_forked(config: &Config) -> Result<(), Fault> {
    let io = |error| ErrorCode::StoreIo.with("folder", config.data_dir.display()).with("reason", error);
    let fork = RealDisk::open(&config.data_dir).and_then(|disk| ncp_store::forked::read(&disk)).map_err(io)?;
    let Some(ncp_store::forked::Fork { peer, found, size, .. }) = fork else { return Ok(()) };
    Err(ErrorCode::OwnLogForked.with("peer", peer).with("found", found).with("size", size))
}

/// Says what the start moved to `corrupt/`, so that whoever finds something there knows where it came from.
fn tell_damage(report: &OpenReport) {
    if let Some(Position { segment, offset }) = report.torn {
        tracing::warn!(
            segment,
            byte = offset,
            "a torn end of the journal was moved to corrupt/: a power cut leaves such"
        );
    }
    for Position { segment, offset } in &report.stains {
        tracing::warn!(
            segment,
            byte = offset,
            "the journal has bytes where none were written: the disk decays; see corrupt/"
        );
    }
}

/// Daemons under a test root use loopback only. A name is resolved when it is dialled and checked again there.
pub(crate) fn stay_on_this_machine(config: &Config, class: NetworkClass) -> Result<(), Fault> {
    if class == NetworkClass::Live {
        return Ok(());
    }
    let outside = |host: &&HostPort| match host.address() {
        Some(address) => !is_loopback(&address),
        None => host.name() != Some("localhost"),
    };
    let named = config.settings.hub_addresses.iter().map(|host| ("hub-addresses", host));
    let named = named.chain(config.settings.proxy.iter().map(|host| ("proxy", host)));
    match named.into_iter().find(|(_, host)| outside(host)) {
        Some((key, address)) => Err(ErrorCode::ConfigLoopbackOnly.with("key", key).with("address", address)),
        None => Ok(()),
    }
}

/// Puts into the journal what the configuration and joining say, if it is new.
async fn begin(node: &Arc<Node>) -> Result<(), Fault> {
    bring_rules_into_force(node, &node.settings().rules).await?;
    let (own, participant) = (node.own.load_full(), node.participant());
    let known = ENTRY.row(&node.reader().view(), &participant).map_err(|error| faults::unreadable(&error))?;
    // What joining installed counts at once. A later version counts when the hub has admitted it, as everybody else's does.
    let joined = if known.is_none() { own.entries.as_slice() } else { &[] };
    for signed in joined.iter().chain([&node.network.hub]) {
        accept_installed(node, signed).await?;
    }
    Ok(())
}

/// Puts the rules into the journal, and the configuration's officers as long as it names none.
pub(crate) async fn bring_rules_into_force(node: &Arc<Node>, rules: &ncp_policy::Rules) -> Result<(), Fault> {
    settle(node, Ask::Begin(Begin { officers: node.config.officers.clone(), rules: rules.clone() })).await
}

/// Accepts an entry that joining installed, and pins it: people compared its fingerprint then.
async fn accept_installed(node: &Arc<Node>, signed: &SignedEntry) -> Result<(), Fault> {
    let entry = signed.unverified();
    let (participant, version) = (entry.participant, entry.version);
    let known = {
        let view = node.reader().view();
        ENTRY.row(&view, &participant).map_err(|error| faults::unreadable(&error))?
    };
    if known.is_none_or(|row| row.version < version) {
        let record = Record { name: entry_record(signed.digest()), bytes: signed.encode() };
        settle(node, Ask::AcceptEntries(vec![EntryNews::Entry { participant, version, record }])).await?;
    }
    if version == 0 && known.is_none_or(|row| row.pinned.is_none()) {
        settle(node, Ask::PinEntry { participant, fingerprint: signed.digest() }).await?;
    }
    Ok(())
}

async fn settle(node: &Arc<Node>, ask: Ask) -> Result<(), Fault> {
    let committed = node.submit(Submission::DAEMON, Actor::Daemon, ask).await;
    match committed.map_err(|error| faults::unreadable(&error))?.reply {
        Ok(_) => Ok(()),
        Err(Refusal::FingerprintDiffers(participant)) => {
            let hub = participant == ParticipantId::HUB;
            let reason = if hub { "another hub is pinned here" } else { "another own entry is pinned here" };
            Err(ErrorCode::EntrySubstituted.with("participant", participant).with("reason", reason))
        }
        Err(refusal) => Err(ErrorCode::InternalFault.with("reason", refusal)),
    }
}

fn store_fault(folder: &Path, error: &StoreError) -> Fault {
    let damaged = |reason: &dyn core::fmt::Display| {
        ErrorCode::StoreDamaged.with("folder", folder.display()).with("reason", reason)
    };
    match error {
        StoreError::Lock(error) => lock_fault(folder, error),
        StoreError::Open(error) if error.is_disk_full() => crate::space::none_to_start(folder),
        StoreError::Open(error) if error.is_failure() => faults::unreadable(error),
        StoreError::Open(error) => damaged(error),
    }
}

fn lock_fault(folder: &Path, error: &LockError) -> Fault {
    let unusable = |reason: &dyn core::fmt::Display| {
        ErrorCode::DataFolderUnusable.with("folder", folder.display()).with("reason", reason)
    };
    match error {
        LockError::Held => {
            let holder = holder(folder).map_or_else(|| "of another daemon".to_owned(), |pid| pid.to_string());
            ErrorCode::DataFolderInUse.with("folder", folder.display()).with("pid", holder)
        }
        LockError::Restored => ErrorCode::DataFolderRestored.with("folder", folder.display()),
        LockError::Format(FormatError::Newer { found }) => ErrorCode::DataFolderNewer
            .with("folder", folder.display())
            .with("found", found)
            .with("known", FORMAT)
            .with("needed", "that wrote it"),
        LockError::Format(error @ (FormatError::Missing | FormatError::Damaged)) => {
            ErrorCode::StoreDamaged.with("folder", folder.display()).with("reason", error)
        }
        LockError::Io(error) | LockError::Format(FormatError::Io(error)) => unusable(error),
        LockError::OpenToOthers(_) | LockError::ForeignOwner(_) => unusable(error),
    }
}
