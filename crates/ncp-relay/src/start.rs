//! How the daemon comes up and goes down.
//!
//! Up: keys and statements are read and checked; address and API socket are taken; the data folder is locked and the store
//! recovered; what `hub init` left is put into the log `public` if it is new; API and listener begin. Nothing in the data
//! folder changes before everything else is found good, and a crash between two steps is like one before the first.
//! Down: no new links, a last word to those that stand, the committer commits what waits, the socket is removed.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::root::NetworkClass;
use ncp_store::ballast::{self, Ballast};
use ncp_store::clock::{Voices, WallClock};
use ncp_store::committer::{Running as RunningStore, StoreHandle};
use ncp_store::disk::RealDisk;
use ncp_store::engine::Fatal;
use ncp_store::forked::Fork;
use ncp_store::held::Held;
use ncp_store::lock::{FORMAT, FormatError, LockError, holder};
use ncp_store::reader::Reader;
use ncp_store::recovery::LogKey;
use ncp_store::store::{Store, StoreError, StoreOptions};
use ncp_transport::address::is_loopback;
use ncp_transport::frame::IdleLimit;
use ncp_transport::identity::PinLookup;
use ncp_transport::listener::{Arrival, Listener, ListenerLimits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Socket};
use crate::clock;
use crate::config::Config;
use crate::core::Relay;
use crate::directory::{SharedDirectory, Trust, admission};
use crate::hub::{Hub, Stopping};
use crate::keys::{HubLog, Keys};
use crate::limits::{DRAIN_TIMEOUT, STORE_STOP_TIMEOUT};
use crate::link;
use crate::links::Links;
use crate::seldom::Seldom;
use crate::timers;
use crate::workers::Workers;

/// Connections that wait to be served.
const ARRIVALS_MAX: usize = 16;

/// A daemon that serves.
pub struct Running {
    /// What its tasks share.
    pub hub: Arc<Hub>,
    /// Where nodes connect.
    pub address: SocketAddr,
    tasks: JoinSet<Result<(), Stopping>>,
    committer: JoinHandle<Result<(), Fatal>>,
    _socket: Socket,
}

/// Brings the daemon up.
///
/// # Errors
/// One fault with its exit code.
pub async fn start(config: Config) -> Result<Running, Fault> {
    raise_descriptors();
    let (opened, config) = tokio::task::spawn_blocking(move || open(&config).map(|opened| (opened, config)))
        .await
        .map_err(|panic| ErrorCode::InternalFault.with("reason", panic))??;
    let listener = bind(&config)?;
    let mut socket = Socket::bind(&config.api_socket).await?;
    let address = listener.local_addr();
    let Recovered { store, folder, keys } = recover(opened, &config).await?;
    let RunningStore { handle, effects, thread } = store.start().map_err(|error| store_io(&config, &error))?;
    let hub = Arc::new(hub(config, &keys, handle, folder));
    let mut tasks = JoinSet::new();
    let dispatcher = tokio::spawn(timers::dispatch(Arc::clone(&hub), effects));
    let served = prepare(&hub, &keys, &mut socket).await;
    let api = match served {
        Ok(api) => api,
        Err(fault) => {
            hub.store.stop();
            dispatcher.abort();
            join(thread).await?;
            return Err(fault);
        }
    };
    hub.listening.get_or_init(|| address);
    tasks.spawn(unfailing(api::serve(Arc::clone(&hub), api)));
    tasks.spawn(unfailing(accept(Arc::clone(&hub), listener)));
    tasks.spawn(unfailing(ncp_service::pulse::run(Arc::clone(&hub))));
    tasks.spawn(timers::expire(Arc::clone(&hub)));
    tasks.spawn(timers::keep_house(Arc::clone(&hub)));
    tasks.spawn(timers::keep_held(Arc::clone(&hub)));
    tracing::info!(%address, network = %hub.network.label(), "the hub serves");
    Ok(Running { hub, address, tasks, committer: thread, _socket: socket })
}

impl Running {
    /// Goes down, within [`DRAIN_TIMEOUT`] and [`STORE_STOP_TIMEOUT`].
    ///
    /// # Errors
    /// Why it had stopped before, or did not stop well.
    pub async fn stop(mut self) -> Result<(), Fault> {
        self.hub.stopping.cancel();
        // A link that does not end in time is cut with the process; what was acknowledged is durable.
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, self.hub.links.drained()).await;
        if drained.is_err() {
            tracing::warn!("some links did not end in time");
        }
        let last = async {
            self.tasks.shutdown().await;
            let held = timers::write_held(&self.hub).await;
            self.hub.store.stop();
            // Whoever met the stopped store knew less.
            join(self.committer).await.and(self.hub.failure.get().cloned().map_or(held, Err))
        };
        let ended = tokio::time::timeout(STORE_STOP_TIMEOUT, last).await;
        ended.unwrap_or_else(|_| Err(ErrorCode::StoreStopped.with("reason", "it did not end in time: the disk hangs")))
    }
}

/// Takes as many descriptors as the system grants: each link has its socket, and a few bodies open.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, ?limit, "the limit of descriptors stays as it is");
    }
}

/// What is read before anything is taken.
struct Opened {
    keys: Keys,
    relay: Relay,
}

fn open(config: &Config) -> Result<Opened, Fault> {
    let keys = Keys::load(&config.data_dir, config.passphrase_credential.as_deref())?;
    if keys.root.root().class == NetworkClass::Test && !is_loopback(&config.listen) {
        return Err(ErrorCode::ConfigLoopbackOnly.with("key", "listen").with("address", config.listen));
    }
    let relay = Relay {
        network: keys.root.network(),
        traffic: keys.traffic.origin,
        traffic_key: keys.traffic.key.verifying_key().id(),
        quotas: config.quotas,
    };
    Ok(Opened { keys, relay })
}

fn bind(config: &Config) -> Result<Listener, Fault> {
    let limits = ListenerLimits {
        connections_max: config.connections_max,
        idle: IdleLimit::fixed(config.idle_timeout),
        ..ListenerLimits::default()
    };
    Listener::bind(config.listen, limits).map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            return ErrorCode::ListenAddressInUse.with("address", config.listen).with("key", "listen");
        }
        ErrorCode::ListenAddressUnavailable.with("address", config.listen).with("reason", error)
    })
}

/// What the data folder held.
struct Recovered {
    store: Store<Relay>,
    folder: Folder,
    keys: Keys,
}

/// What the data folder holds beside the store.
struct Folder {
    disk: RealDisk,
    held: Held,
    clock: WallClock,
    ballast: Ballast,
}

impl Folder {
    fn open(config: &Config, reader: &Reader) -> Result<Self, Fault> {
        let io = |error| store_io(config, &error);
        let disk = RealDisk::open(&config.data_dir).map_err(io)?;
        let held = Held::open(disk.clone()).map_err(|error| damaged(&config.data_dir.display(), &error))?;
        let clock = WallClock::open(disk.clone(), reader, Voices::TwoParticipants, clock::now()).map_err(io)?;
        let ballast = ballast::keep(&disk, config.ballast_bytes, config.free_min_bytes).map_err(io)?;
        Ok(Self { disk, held, clock, ballast })
    }
}

async fn recover(opened: Opened, config: &Config) -> Result<Recovered, Fault> {
    let Opened { keys, relay } = opened;
    let log = |HubLog { origin, key }: &HubLog| LogKey { origin: *origin, key: key.clone(), salt: clock::random() };
    let options = StoreOptions {
        folder: config.data_dir.clone(),
        logs: vec![log(&keys.traffic), log(&keys.public)],
        now: clock::now(),
    };
    let folder = config.data_dir.clone();
    let configured = config.clone();
    refuse_forked(config)?;
    let store = tokio::task::spawn_blocking(move || {
        let store = Store::open(relay, options)?;
        let strays = timers::discard_strays(&store.reader());
        let folder = Folder::open(&configured, &store.reader());
        Ok::<_, StoreError>((store, strays, folder))
    });
    let (store, strays, opened) = store
        .await
        .map_err(|panic| ErrorCode::InternalFault.with("reason", panic))?
        .map_err(|error| store_fault(&folder, &error))?;
    let strays = strays.map_err(|error| match error.is_disk_full() {
        true => full(&folder.display()),
        false => ErrorCode::StoreStopped.with("reason", error),
    })?;
    let folder = opened?;
    tracing::info!(report = ?store.report(), strays, "the store has recovered");
    Ok(Recovered { store, folder, keys })
}

/// An earlier run was shown that its log excludes what it had signed: nothing is signed until somebody has restored.
fn refuse_forked(config: &Config) -> Result<(), Fault> {
    let fork = RealDisk::open(&config.data_dir).and_then(|disk| ncp_store::forked::read(&disk));
    match fork.map_err(|error| store_io(config, &error))? {
        Some(fork) => Err(forked(&fork)),
        None => Ok(()),
    }
}

pub(crate) fn forked(fork: &Fork) -> Fault {
    ErrorCode::OwnLogForked.with("peer", &fork.peer).with("found", fork.found).with("size", fork.size)
}

fn hub(config: Config, keys: &Keys, store: StoreHandle<Relay>, folder: Folder) -> Hub {
    let Folder { disk, held, clock, ballast } = folder;
    let events = store.reader().size();
    Hub {
        config,
        network: keys.root.network(),
        class: keys.root.root().class,
        traffic: keys.traffic.origin,
        traffic_key: keys.traffic.key.verifying_key(),
        public: keys.public.origin,
        public_key: keys.public.key.verifying_key(),
        timestamp: keys.timestamp.clone(),
        tls: keys.tls.clone(),
        keyring: keys.keyring.clone(),
        trust: ArcSwap::from_pointee(Trust { newest: keys.root.clone(), versions: keys.roots.clone() }),
        store,
        held,
        directory: SharedDirectory::default(),
        links: Links::default(),
        clock,
        disk,
        ballast: watch::Sender::new(ballast),
        started: clock::now(),
        listening: OnceLock::new(),
        workers: Workers::default(),
        stopping: CancellationToken::new(),
        failure: OnceLock::new(),
        pulse: ncp_service::pulse::Pulse::default(),
        metrics: crate::metrics::Metrics::new(events),
    }
}

async fn prepare(hub: &Arc<Hub>, keys: &Keys, socket: &mut Socket) -> Result<tokio::net::UnixListener, Fault> {
    admission::install(hub, keys.membership.as_deref(), &keys.entries).await?;
    socket.listener()
}

async fn unfailing(task: impl Future<Output = ()>) -> Result<(), Stopping> {
    task.await;
    Ok(())
}

/// Accepts links until the daemon stops; each is served by a task of its own.
async fn accept(hub: Arc<Hub>, listener: Listener) {
    let (sender, mut arrivals) = mpsc::channel(ARRIVALS_MAX);
    let mut refusals = Seldom::every(Duration::from_secs(1));
    let known = Arc::clone(&hub);
    let pins: PinLookup = Arc::new(move |participant| known.directory.load().pins(participant));
    let listening = tokio::spawn(listener.run(hub.tls.clone(), pins, sender));
    loop {
        tokio::select! {
            () = hub.stopping.cancelled() => break,
            arrival = arrivals.recv() => match arrival {
                Some(Arrival::Connected(connection)) => {
                    tokio::spawn(link::serve(Arc::clone(&hub), *connection));
                }
                Some(Arrival::Refused { peer_addr, error, unheard }) => {
                    refusals.skip(unheard);
                    if let Some(left_out) = refusals.note() {
                        tracing::warn!(address = %peer_addr, blame = ?error.blame(), left_out, "handshake failed: {error}");
                    }
                }
                None => break,
            },
        }
    }
    listening.abort();
}

async fn join(committer: JoinHandle<Result<(), Fatal>>) -> Result<(), Fault> {
    let joined = tokio::task::spawn_blocking(move || committer.join()).await;
    match joined {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(fatal))) if fatal.is_disk_full() => Err(full(&"the data folder")),
        Ok(Ok(Err(fatal))) => Err(ErrorCode::StoreStopped.with("reason", fatal)),
        Ok(Err(_)) | Err(_) => Err(ErrorCode::InternalFault.with("reason", "the committer panicked")),
    }
}

fn store_fault(path: &Path, error: &StoreError) -> Fault {
    let folder = &path.display();
    match error {
        StoreError::Lock(LockError::Held) => {
            let holder = holder(path).map_or_else(|| "of another daemon".to_owned(), |pid| pid.to_string());
            ErrorCode::DataFolderInUse.with("folder", folder).with("pid", holder)
        }
        StoreError::Lock(LockError::Restored) => ErrorCode::DataFolderRestored.with("folder", folder),
        StoreError::Lock(LockError::Format(FormatError::Newer { found })) => {
            let fault = ErrorCode::DataFolderNewer.with("folder", folder).with("found", found);
            fault.with("known", FORMAT).with("needed", format!("that knows format {found}"))
        }
        StoreError::Lock(
            error @ (LockError::Io(_) | LockError::OpenToOthers(_) | LockError::ForeignOwner(_) | LockError::Format(_)),
        ) => ErrorCode::DataFolderUnusable.with("folder", folder).with("reason", error),
        StoreError::Open(error) if error.is_disk_full() => full(folder),
        StoreError::Open(error) if error.is_failure() => ErrorCode::StoreStopped.with("reason", error),
        StoreError::Open(error) => damaged(folder, error),
    }
}

/// The store could not go on for want of room: nothing is damaged, and a start goes on once there is some.
fn full(folder: &dyn core::fmt::Display) -> Fault {
    let needed = format!("{} MiB", crate::limits::FREE_MIN >> 20);
    ErrorCode::DiskFull.with("free", "nearly nothing").with("needed", needed).with("folder", folder)
}

fn damaged(folder: &dyn core::fmt::Display, reason: &dyn core::fmt::Display) -> Fault {
    ErrorCode::StoreDamaged.with("folder", folder).with("reason", reason)
}

fn store_io(config: &Config, error: &io::Error) -> Fault {
    ErrorCode::StoreIo.with("folder", config.data_dir.display()).with("reason", error)
}

const _: () = assert!(DRAIN_TIMEOUT.as_secs() > Duration::from_secs(5).as_secs(), "a link's last word fits");
