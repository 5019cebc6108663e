//! One link, from the authenticated connection to its end.
//!
//! Its states are types: [`AwaitingHello`] takes the peer's hello or nothing; [`Serving`] runs one task for each duty. A
//! peer that breaks the protocol is told a code and cut off, with one line in the log; nothing that it does delays another
//! link: each has its own tasks, bounded channels and its own turn at the committer. A link that ends is never fatal.

mod dispatch;
pub mod hello;
mod pulse;
mod writer;

use core::convert::Infallible;
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ncp_protocol::frame::{Bye, FrameDecodeError};
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::reject::RejectCode;
use ncp_transport::connection::{Connection, LinkReader};
use ncp_transport::credit::{Credit, CreditViolation, ReceiveCredit, SendCredit};
use ncp_transport::frame::FrameError;
use ncp_transport::identity::PinStatus;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use self::dispatch::Outlets;
pub use self::dispatch::{Asked, Submitted};
use self::hello::AwaitingHello;
pub use self::writer::FrameSender;
use self::writer::Writing;
use crate::hub::{Hub, Stopping};
use crate::limits::CREDIT_BYTES;
use crate::links::LinkSignals;
use crate::pace::{self, Pace};
use crate::workers::Turns;
use crate::{bodies, delivery, desk, evidence, intake, receipts};

/// How long the writer may take for the last frames of a link, and an upload for its last sync.
const PARTING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer that was told something may take to close.
const LINGER: Duration = Duration::from_secs(1);

/// Why a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// The peer broke the protocol, or may not be here.
    Cut(RejectCode),
    /// The hub wants it so: a newer link, a suspension, another key.
    Told(RejectCode),
    /// The transport failed.
    Broken(FrameError),
    /// The peer said good-bye.
    Bye(Option<RejectCode>),
    /// The peer closed the connection.
    Closed,
    /// The daemon is stopping.
    Stopping,
}

impl LinkEnd {
    /// What the peer is told, if it is still worth telling.
    fn parting_word(self) -> Option<Bye> {
        let code = match self {
            Self::Cut(code) | Self::Told(code) => code,
            Self::Broken(FrameError::TooLong { .. }) => RejectCode::FrameTooLong,
            Self::Broken(FrameError::UnknownKind { .. } | FrameError::Empty) => RejectCode::FrameMalformed,
            Self::Stopping => RejectCode::ShuttingDown,
            Self::Broken(
                FrameError::Truncated { .. }
                | FrameError::Cut
                | FrameError::Idle
                | FrameError::TooSlow
                | FrameError::Stalled
                | FrameError::RefusedByPeer(_)
                | FrameError::Tls
                | FrameError::OwnTooLong { .. }
                | FrameError::Io(_),
            )
            | Self::Bye(_)
            | Self::Closed => return None,
        };
        Some(Bye { code: Some(code) })
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(code) => write!(f, "cut off, {code}"),
            Self::Told(code) => write!(f, "ended, {code}"),
            Self::Broken(error) => error.fmt(f),
            Self::Bye(Some(code)) => write!(f, "the peer left, {code}"),
            Self::Bye(None) => f.write_str("the peer left"),
            Self::Closed => f.write_str("the peer closed the connection"),
            Self::Stopping => f.write_str("this daemon is stopping"),
        }
    }
}

impl From<Stopping> for LinkEnd {
    fn from(_: Stopping) -> Self {
        Self::Stopping
    }
}

impl From<FrameError> for LinkEnd {
    fn from(error: FrameError) -> Self {
        Self::Broken(error)
    }
}

impl From<FrameDecodeError> for LinkEnd {
    fn from(_: FrameDecodeError) -> Self {
        Self::Cut(RejectCode::FrameMalformed)
    }
}

impl From<CreditViolation> for LinkEnd {
    fn from(_: CreditViolation) -> Self {
        Self::Cut(RejectCode::CreditExceeded)
    }
}

/// What a task of a link ends with: never well, as a link ends only for a reason.
pub type TaskEnd = Result<Infallible, LinkEnd>;

/// What the tasks of one link share.
pub struct Link {
    /// The daemon.
    pub hub: Arc<Hub>,
    /// Who is at the other end.
    pub peer: ParticipantId,
    /// Frames to the peer.
    pub frames: FrameSender,
    /// What others tell the link.
    pub signals: Arc<LinkSignals>,
    /// Number of the last receipt that the peer stored.
    pub acknowledged: watch::Sender<u64>,
    /// More envelopes may be sent.
    pub envelopes_granted: Notify,
    /// More bytes may be sent.
    pub bytes_granted: Notify,
    window: Mutex<ReceiveCredit>,
    credit: Mutex<SendCredit>,
    turns: Turns,
}

impl Link {
    /// What the peer may send and has not sent yet, and what of it is not settled.
    pub fn window(&self) -> MutexGuard<'_, ReceiveCredit> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be sent to the peer.
    pub fn credit(&self) -> MutexGuard<'_, SendCredit> {
        self.credit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a signature check for this peer.
    ///
    /// # Errors
    /// [`Stopping`] if the daemon ends meanwhile.
    pub async fn work<T: Send + 'static>(&self, check: impl FnOnce() -> T + Send + 'static) -> Result<T, Stopping> {
        self.hub.workers.run(&self.turns, check).await.map_err(|panic| self.hub.fail(&panic))
    }

    /// The peer granted more.
    ///
    /// # Errors
    /// If that is more than a link may carry.
    fn granted(&self, grant: Credit) -> Result<(), LinkEnd> {
        self.credit().granted(grant)?;
        if grant.envelopes > 0 {
            self.envelopes_granted.notify_one();
        }
        if grant.bytes > 0 {
            self.bytes_granted.notify_one();
        }
        Ok(())
    }
}

/// Serves a connection until it ends. Never fails: what ends it is logged.
pub async fn serve(hub: Arc<Hub>, connection: Connection) {
    let peer = connection.peer.participant;
    let address = connection.peer_addr;
    let end = match hub.directory.load().refuses(peer, &connection.peer.certificate_key) {
        Some(code) if code != RejectCode::PinMismatch => refuse(connection, code).await,
        Some(_) | None => converse(&hub, connection).await,
    };
    match end {
        LinkEnd::Cut(code) => {
            tracing::warn!(%peer, %address, reject = code.number(), "link {end}");
        }
        LinkEnd::Broken(error) => tracing::warn!(%peer, %address, blame = ?error.blame(), "link ended: {end}"),
        LinkEnd::Told(_) | LinkEnd::Bye(_) | LinkEnd::Closed | LinkEnd::Stopping => {
            tracing::info!(%peer, %address, "link: {end}");
        }
    }
}

/// A participant that is not served at all learns why.
async fn refuse(connection: Connection, code: RejectCode) -> LinkEnd {
    let Connection { mut reader, writer, .. } = connection;
    let (frames, writing) = writer::start(writer);
    part(frames, writing, &mut reader, LinkEnd::Cut(code)).await
}

async fn converse(hub: &Arc<Hub>, connection: Connection) -> LinkEnd {
    let (peer, pin) = (connection.peer, connection.pin);
    let place = hub.links.take(peer.participant, peer.certificate_key, pin).await;
    if pin == PinStatus::Pinned {
        let wait = Pace::before_hello(&place.signals.paced, Instant::now());
        // Whoever ends the link meanwhile is heard below.
        let _ = tokio::time::timeout(wait, place.signals.end.cancelled()).await;
    }
    let (frames, writing) = writer::start(connection.writer);
    let window = Credit { envelopes: pace::window(hub.config.envelopes_per_second), bytes: CREDIT_BYTES };
    let link = Arc::new(Link {
        hub: Arc::clone(hub),
        peer: peer.participant,
        frames: frames.clone(),
        signals: Arc::clone(&place.signals),
        acknowledged: watch::Sender::new(0),
        envelopes_granted: Notify::new(),
        bytes_granted: Notify::new(),
        window: Mutex::new(ReceiveCredit::new(window)),
        credit: Mutex::new(SendCredit::new()),
        turns: Turns::default(),
    });
    let outside = Outside { hub, signals: &place.signals, writing: &writing };
    let mut reader = connection.reader;
    let awaiting = AwaitingHello { link: Arc::clone(&link), reader: &mut reader };
    let greeted = tokio::select! {
        greeted = awaiting.receive() => greeted,
        end = outside.ends() => Err(end),
    };
    let end = match (greeted, pin) {
        (Ok(serving), PinStatus::Pinned) => serving.run(&outside).await,
        (Ok(serving), PinStatus::Mismatch | PinStatus::Unknown) => serving.run_restricted(&outside).await,
        (Err(end), _) => end,
    };
    drop(link);
    place.leave();
    let end = part(frames, writing, &mut reader, end).await;
    drop(place);
    end
}

/// Says the last word and lets it arrive: a connection that is closed with bytes unread would take it back. What still
/// comes is read for a moment and forgotten.
async fn part(frames: FrameSender, writing: Writing, reader: &mut LinkReader, end: LinkEnd) -> LinkEnd {
    // A task may have noticed the end of the writer before anyone looked at why it ended.
    let end = match (end, writing.failure()) {
        (LinkEnd::Closed, Some(failed)) => LinkEnd::Broken(failed),
        (end, _) => end,
    };
    let Some(bye) = end.parting_word() else {
        writer::finish(frames, writing).await;
        return end;
    };
    frames.offer(bye);
    let linger = async {
        let forget = async { while let Ok(Some(_)) = reader.next().await {} };
        // Whether the peer closed or the time is up does not matter.
        let _ = tokio::time::timeout(LINGER, forget).await;
    };
    tokio::join!(writer::finish(frames, writing), linger);
    end
}

/// What ends a link from outside its own tasks.
struct Outside<'a> {
    hub: &'a Hub,
    signals: &'a LinkSignals,
    writing: &'a Writing,
}

impl Outside<'_> {
    async fn ends(&self) -> LinkEnd {
        tokio::select! {
            () = self.hub.stopping.cancelled() => LinkEnd::Stopping,
            () = self.signals.end.cancelled() => self.signals.reason().map_or(LinkEnd::Closed, LinkEnd::Told),
            // The writer notices first if the peer does not read or is gone.
            failed = self.writing.failed() => LinkEnd::Broken(failed),
        }
    }
}

/// A link whose peer has said hello: every frame of the protocol may follow, but no second hello.
struct Serving<'a> {
    link: Arc<Link>,
    reader: &'a mut LinkReader,
    /// Number of the last receipt that the peer has, of this life of `traffic`.
    receipts_after: u64,
}

impl Serving<'_> {
    async fn run(self, outside: &Outside<'_>) -> LinkEnd {
        let Self { link, reader, receipts_after } = self;
        let (inlets, outlets) = dispatch::channels();
        let Outlets { intake, evidence, bodies, refusals, desk } = outlets;
        // Not among the tasks: when its channel closes it has the last bytes of its uploads synced.
        let mut uploads = tokio::spawn(intake::run(Arc::clone(&link), intake));
        let mut tasks: JoinSet<TaskEnd> = JoinSet::new();
        tasks.spawn(evidence::run(Arc::clone(&link), evidence));
        tasks.spawn(bodies::run(Arc::clone(&link), bodies));
        tasks.spawn(delivery::run(Arc::clone(&link), refusals));
        tasks.spawn(receipts::run(Arc::clone(&link), receipts_after));
        tasks.spawn(desk::run(Arc::clone(&link), desk));
        tasks.spawn(pulse::run(Arc::clone(&link)));
        // The channels live in `inlets` until the reason of the end is known: no task ends because another did.
        let (end, intake_ended) = tokio::select! {
            end = dispatch::run(&link, reader, &inlets) => (end, false),
            end = first_end(&link.hub, &mut tasks) => (end, false),
            end = outside.ends() => (end, false),
            ended = &mut uploads => (intake_end(&link.hub, ended), true),
        };
        tasks.shutdown().await;
        drop(inlets);
        if !intake_ended && tokio::time::timeout(PARTING_TIMEOUT, &mut uploads).await.is_err() {
            uploads.abort();
        }
        end
    }

    /// Signed directory data and nothing else: the peer may need it to mend what does not fit.
    async fn run_restricted(self, outside: &Outside<'_>) -> LinkEnd {
        let Self { link, reader, .. } = self;
        let (inlet, asked) = dispatch::restricted();
        let mut tasks: JoinSet<TaskEnd> = JoinSet::new();
        tasks.spawn(desk::run(Arc::clone(&link), asked));
        let end = tokio::select! {
            end = dispatch::run_restricted(&link, reader, &inlet) => end,
            end = first_end(&link.hub, &mut tasks) => end,
            end = outside.ends() => end,
        };
        tasks.shutdown().await;
        end
    }
}

async fn first_end(hub: &Hub, tasks: &mut JoinSet<TaskEnd>) -> LinkEnd {
    match tasks.join_next().await {
        Some(Ok(Err(end))) => end,
        Some(Ok(Ok(never))) => match never {},
        // A panic is our bug: the daemon stops rather than serve with half a state.
        Some(Err(panic)) => hub.fail(&panic).into(),
        None => LinkEnd::Closed,
    }
}

fn intake_end(hub: &Hub, ended: Result<Result<(), LinkEnd>, tokio::task::JoinError>) -> LinkEnd {
    match ended {
        Ok(Ok(())) => LinkEnd::Closed,
        Ok(Err(end)) => end,
        Err(panic) => hub.fail(&panic).into(),
    }
}
