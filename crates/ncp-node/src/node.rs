//! The running node: what every task of the shell shares.
//!
//! [`Node::submit`] is the one way to change anything; [`Node::reader`] shows what is synced. After a commit the store
//! hands out effects; [`dispatch`] takes them as they come and turns each into a hint for the task it concerns. A hint
//! may be missed or come twice: what is to be done always follows from the index, so each task looks there when it starts
//! and whenever it is hinted.
//!
//! A store that has stopped is fatal: whoever meets [`Stopped`] or a [`ReadError`] lets the daemon end, by
//! [`Node::stop_because`].

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ncp_api::Fault;
use ncp_protocol::codes::Precedence;
use ncp_protocol::directory::Entry;
use ncp_protocol::event::Actor;
use ncp_protocol::ids::{MessageId, ParticipantId, UnixMillis};
use ncp_store::ballast::Ballast;
use ncp_store::clock::WallClock;
use ncp_store::committer::{Stopped, StoreHandle};
use ncp_store::disk::RealDisk;
use ncp_store::engine::Committed;
use ncp_store::queue::{Source, Urgency};
use ncp_store::reader::{ReadError, Reader};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::clock;
use crate::config::{Config, Settings};
use crate::core::NodeCore;
use crate::core::command::{Ask, Command, Effect, Identity, Reply};
use crate::entries::{DirectoryView, Statements};
use crate::hub_clock::Difference;
use crate::keys::{self, Keys, Network, Own};
use crate::means::Means;
use crate::officer_auth::SeenKeys;
use crate::references::References;
use crate::vault::Vault;

/// Weight of a small command in the store's queue, in bytes.
pub const COMMAND_WEIGHT: usize = 4 << 10;

/// What all tasks share.
#[derive(Debug)]
pub struct Node {
    /// As configured at the start.
    pub config: Config,
    /// What the newest reload made of [`Config::settings`].
    pub settings: ArcSwap<Settings>,
    /// Takes commands.
    pub store: StoreHandle<NodeCore>,
    /// What the core knows about itself.
    pub identity: Identity,
    /// What joining gave.
    pub network: Network,
    /// Private keys that stay.
    pub keys: Keys,
    /// Own entries and their keys for envelopes, as they lay in the data folder when it was read last.
    pub own: ArcSwap<Own>,
    /// Content at rest.
    pub vault: Vault,
    /// Parsed entries.
    pub directory: ArcSwap<DirectoryView>,
    /// The hub's newest statements; the link swaps them in.
    pub statements: ArcSwap<Statements>,
    /// Wakes tasks.
    pub hints: Hints,
    /// How the link stands; the link says.
    pub link: watch::Sender<LinkStatus>,
    /// Numbers for new messages.
    pub references: References,
    /// Idempotency keys of signed requests seen lately.
    pub seen: SeenKeys,
    /// Contributions taken lately.
    pub contributed: crate::contributions::Taken,
    /// Officers that one supervisor proposed.
    pub proposals: crate::proposals::Proposals,
    /// Bodies that no event names yet.
    pub orphans: crate::blobs::Orphans,
    /// When this process began to serve.
    pub started: UnixMillis,
    /// The hub's clock beside this machine's.
    pub hub_clock: crate::hub_clock::HubClock,
    /// Envelopes that the hub refused and that are offered again.
    pub hub_refusals: crate::hub_refusals::HubRefusals,
    /// Whether the wall clock is believed, asked at any moment.
    pub clock: WallClock,
    /// Whether it was at the newest tick; the timer says.
    pub clock_believed: watch::Sender<bool>,
    /// Whether the room for evidence is held; the timer says.
    pub ballast: watch::Sender<Ballast>,
    /// The data folder.
    pub disk: RealDisk,
    /// How far large bodies are on their way to the hub.
    pub bodies_out: crate::bodies_out::BodiesOut,
    /// Held while the directory is read anew.
    pub reloading: Mutex<()>,
    /// Whether `public` holds an entry in this participant's name that it did not sign; the link says.
    pub foreign_entry: core::sync::atomic::AtomicBool,
    /// Ends all tasks.
    pub stopping: CancellationToken,
    /// Why, if it was a failure.
    pub failure: std::sync::OnceLock<Fault>,
    /// When the daemon was last seen to get on.
    pub pulse: ncp_service::pulse::Pulse,
    /// What is counted for `/metrics`.
    pub metrics: crate::metrics::Metrics,
}

/// How the link to the hub stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// The address in use, or the first one configured.
    pub address: String,
    /// Whether both have said hello and frames flow.
    pub connected: bool,
    /// Since when that is so.
    pub since: Option<UnixMillis>,
    /// Why the last attempt failed: codes and names, never content.
    pub failure: Option<Fault>,
}

/// An envelope to be sealed, or recalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeHint {
    /// Which message.
    pub message: MessageId,
    /// To whom.
    pub recipient: ParticipantId,
}

/// Asks the link for one ping to the hub; the answer is the round trip in milliseconds.
pub type HubPing = oneshot::Sender<Result<u64, Fault>>;

/// Wakes tasks. The counters only grow; their values mean nothing.
#[derive(Debug)]
pub struct Hints {
    /// Envelopes to seal.
    pub sealing: mpsc::UnboundedSender<EnvelopeHint>,
    /// Envelopes to recall at the hub.
    pub recall: mpsc::UnboundedSender<EnvelopeHint>,
    /// Pings to the hub.
    pub hub_ping: mpsc::Sender<HubPing>,
    /// The queue towards the hub changed.
    pub submission: watch::Sender<u64>,
    /// A receipt of ours waits for the hub.
    pub receipts: watch::Sender<u64>,
    /// Holds changed.
    pub holds: watch::Sender<u64>,
    /// The directory changed; [`Node::directory`] holds the new one already.
    pub directory: watch::Sender<u64>,
    /// Something that a person may wait for happened.
    pub news: watch::Sender<u64>,
}

/// The other ends of [`Hints`], for the tasks of the link.
#[derive(Debug)]
pub struct Work {
    /// Envelopes to seal.
    pub sealing: mpsc::UnboundedReceiver<EnvelopeHint>,
    /// Envelopes to recall at the hub.
    pub recall: mpsc::UnboundedReceiver<EnvelopeHint>,
    /// Pings to the hub.
    pub hub_ping: mpsc::Receiver<HubPing>,
}

impl Hints {
    /// Hints nobody has been given yet.
    #[must_use]
    pub fn new() -> (Self, Work) {
        let (sealing, sealing_work) = mpsc::unbounded_channel();
        let (recall, recall_work) = mpsc::unbounded_channel();
        let (hub_ping, hub_ping_work) = mpsc::channel(8);
        let counter = || watch::Sender::new(0);
        let hints = Self {
            sealing,
            recall,
            hub_ping,
            submission: counter(),
            receipts: counter(),
            holds: counter(),
            directory: counter(),
            news: counter(),
        };
        (hints, Work { sealing: sealing_work, recall: recall_work, hub_ping: hub_ping_work })
    }
}

fn bump(counter: &watch::Sender<u64>) {
    counter.send_modify(|count| *count = count.wrapping_add(1));
}

impl Node {
    /// Read access to synced state. Its calls block on the disk: off the runtime's threads, see [`Node::blocking`].
    #[must_use]
    pub fn reader(&self) -> &Reader {
        self.store.reader()
    }

    /// What one job of a worker has at hand: fresh ones for each.
    #[must_use]
    pub fn means(&self) -> Means<'_> {
        Means {
            participant: self.participant(),
            network: self.network.id(),
            reader: self.reader(),
            directory: self.directory.load_full(),
            statements: self.statements.load_full(),
            keys: Arc::clone(&self.own.load().keys),
            vault: &self.vault,
            now: clock::now(),
            believes_clock: self.believes_clock(),
            wrap_seed: Zeroizing::new(clock::random()),
            nonce: clock::random(),
        }
    }

    /// The own entry in force: the newest that the hub has admitted, as far as this node knows.
    #[must_use]
    pub fn own_entry(&self) -> Entry {
        let directory = self.directory.load();
        match directory.entry(self.participant()) {
            Some(known) => known.newest().clone(),
            // Before the first of them is in the journal.
            None => self.own.load().chain.entry().clone(),
        }
    }

    /// When the root of trust ends: the newest that the hub showed, or the installed one.
    #[must_use]
    pub fn root_until(&self) -> UnixMillis {
        self.statements.load().root_until.unwrap_or(self.network.root.root().expires)
    }

    /// Reads own entries and their keys for envelopes as they lie in the data folder now. Blocks on the disk.
    ///
    /// # Errors
    /// A fault that names the file.
    pub fn read_own(&self) -> Result<Own, Fault> {
        keys::load_own(&self.config.data_dir, &self.keys.keyring, self.network.id(), self.participant())
    }

    /// The same, and uses them from now on.
    ///
    /// # Errors
    /// A fault that names the file; all stays as it was.
    pub fn read_own_again(&self) -> Result<Arc<Own>, Fault> {
        let own = Arc::new(self.read_own()?);
        self.own.store(Arc::clone(&own));
        Ok(own)
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Whether the wall clock is believed now: it runs evenly, journal or hub confirmed it since the start, and the hub does
    /// not say another time.
    #[must_use]
    pub fn believes_clock(&self) -> bool {
        let now = clock::now();
        match self.hub_clock.compared(now) {
            // Also without another word of the hub: a clock that is put right is right at once.
            Some(Difference::Small) => self.clock.heard(ParticipantId::HUB, now, now),
            Some(Difference::Ahead(_) | Difference::Behind(_)) => return false,
            None => {}
        }
        self.clock.holds(now)
    }

    /// Whose node this is.
    #[must_use]
    pub fn participant(&self) -> ParticipantId {
        self.identity.origin.participant
    }

    /// Has `ask` decided and made durable.
    ///
    /// # Errors
    /// [`Stopped`]: the daemon ends.
    pub async fn submit(&self, task: Submission, actor: Actor, ask: Ask) -> Result<Committed<Reply>, Stopped> {
        let Submission { source, urgency, weight } = task;
        let committed = self.store.submit(source, urgency, weight, Command { stamp: clock::stamp(), actor, ask }).await;
        if committed.is_err() {
            self.stopping.cancel();
        }
        committed
    }

    /// Runs what blocks on a thread of its own.
    ///
    /// # Panics
    /// If `work` does.
    pub async fn blocking<T: Send + 'static>(self: &Arc<Self>, work: impl FnOnce(&Self) -> T + Send + 'static) -> T {
        let node = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&node)).await {
            Ok(done) => done,
            // Only a panic ends such a task early: it is never aborted.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Ends the daemon because of a failure; the first one stands.
    pub fn stop_because(&self, fault: Fault) {
        tracing::error!(code = %fault.code, cause = fault.cause(), "the daemon stops");
        let _ = self.failure.set(fault);
        self.stopping.cancel();
    }

    /// Reads the directory anew. Blocks on the disk.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn reload_directory(&self) -> Result<(), ReadError> {
        // One at a time, so that a view which was read earlier never replaces a later one.
        let _turn = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let view = DirectoryView::load(self.reader(), &self.network.id())?;
        self.directory.store(Arc::new(view));
        Ok(())
    }
}

/// How a command goes into the store's queue.
#[derive(Debug, Clone, Copy)]
pub struct Submission {
    /// Whose turn it takes.
    pub source: Source,
    /// Whether it goes first.
    pub urgency: Urgency,
    /// Its share of the turn, in bytes.
    pub weight: usize,
}

impl Submission {
    /// A small command of the daemon itself.
    pub const DAEMON: Self = Self { source: Source::Daemon, urgency: Urgency::Routine, weight: COMMAND_WEIGHT };
    /// A small command through the local API.
    pub const LOCAL: Self = Self { source: Source::Local, urgency: Urgency::Routine, weight: COMMAND_WEIGHT };

    /// As urgent as the message it is about.
    #[must_use]
    pub fn for_precedence(self, precedence: Precedence) -> Self {
        let urgency = match precedence {
            Precedence::Urgent => Urgency::Urgent,
            Precedence::Priority | Precedence::Routine => Urgency::Routine,
        };
        Self { urgency, ..self }
    }
}

/// Turns effects into hints until the store ends. Reads, and waits for no command: the committer may be waiting for it.
pub async fn dispatch(node: Arc<Node>, mut effects: mpsc::Receiver<Effect>) {
    while let Some(effect) = effects.recv().await {
        let mut batch = vec![effect];
        while let Ok(effect) = effects.try_recv() {
            batch.push(effect);
        }
        route(&node, batch).await;
    }
    node.stopping.cancel();
}

async fn route(node: &Arc<Node>, batch: Vec<Effect>) {
    let hints = &node.hints;
    if batch.contains(&Effect::DirectoryChanged) {
        match node.blocking(Node::reload_directory).await {
            Ok(()) => bump(&hints.directory),
            Err(error) => node.stop_because(crate::faults::unreadable(&error)),
        }
    }
    for effect in batch {
        match effect {
            // A task that has ended needs no hints any more: its receiver is gone.
            Effect::SealEnvelope { message, recipient } => {
                let _ = hints.sealing.send(EnvelopeHint { message, recipient });
            }
            Effect::SendRecall { message, recipient } => {
                let _ = hints.recall.send(EnvelopeHint { message, recipient });
            }
            Effect::SubmitEnvelope { .. } => bump(&hints.submission),
            Effect::SendReceipts => bump(&hints.receipts),
            Effect::HoldsChanged => bump(&hints.holds),
            Effect::DirectoryChanged | Effect::Announce => {}
        }
    }
    // Every commit may be what somebody waits for.
    bump(&hints.news);
}
