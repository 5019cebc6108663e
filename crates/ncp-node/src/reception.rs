//! Reception: what the hub delivers becomes a consigned message, a refusal with evidence, or waits at the hub.
//!
//! Each delivery goes its own way: judged by header, signature and R1 ([`judge`]); its body fetched, unless it is here
//! ([`body`]); opened and verified to the last byte on a worker, at constant memory ([`open`]); then decided by the core.
//! Only what is the envelope's own fault is refused, with a code that becomes evidence. What this node cannot judge yet
//! (an originator that nobody pinned, a directory that is behind) is left where it is: the hub keeps it and delivers it
//! again on the next link, and it is looked at again as soon as the directory changes. What is the hub's fault (a delivery
//! without R1, a body that is not the one that the header names) is an error in the log and is left, too.
//!
//! Nothing of a delivery reaches the disk in the clear: the body stays sealed, key and manifest go under the storage key.
//! The credit of a delivery returns when it is committed, refused or left.

pub mod body;
pub mod judge;
pub(crate) mod leftovers;
pub mod open;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{Actor, EnvelopeKey};
use ncp_protocol::frame::{BodyChunk, BodyWanted, Credit, Deliver, Refused};
use ncp_protocol::ids::{Digest, MessageId, ParticipantId};
use ncp_protocol::limits::BODY_AHEAD_MAX;
use ncp_protocol::reject::RejectCode;
use ncp_store::queue::Source;
use ncp_store::reader::ReadError;
use ncp_store::spool::BodyName;
use ncp_transport::credit::{Credit as Amount, CreditViolation, ReceiveCredit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::body::{Body, Chunks, Heard, Unfetched};
use self::judge::{Judged, Verified};
use self::open::Opened;
use crate::core::command::{Ask, Done, Refusal};
use crate::link::limits::{BYTES_PER_GRANT, UNJUDGED_MAX, WINDOW};
use crate::link::{Desk, Outbound};
use crate::node::{Node, Submission};

/// One message at a time: two envelopes of one message share a body.
type MessageOf = (ParticipantId, MessageId);

/// Deliveries of one link.
pub(crate) struct Reception {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// A delivery and the credit that returns when it is settled: none for one that is looked at again.
struct Delivery {
    deliver: Deliver,
    credit: Amount,
    /// What came ahead of it.
    body: Option<BodyChunk>,
}

/// What the deliveries of a link share.
struct Shared {
    desk: Arc<Desk>,
    outbound: Outbound,
    resend: mpsc::UnboundedSender<u64>,
    state: Mutex<State>,
}

struct State {
    credit: ReceiveCredit,
    /// Bytes committed and not granted again.
    returned: u64,
    /// When a chunk of any body came, and how many did.
    last_chunk: Instant,
    chunks: u64,
    /// A chunk that nobody asked for, until the next delivery says what it was.
    ahead: Option<BodyChunk>,
    /// Bodies that are asked for, by message: where their chunks go. None once the link has ended.
    inflows: Option<BTreeMap<MessageOf, mpsc::UnboundedSender<BodyChunk>>>,
    /// Messages that a delivery is busy with, and what waits for it to end.
    busy: BTreeMap<MessageOf, VecDeque<Box<Delivery>>>,
    /// What could not be judged.
    unjudged: BTreeMap<Digest, Box<Delivery>>,
    /// Headers that are on their way through here, so that the same delivery twice does no work twice.
    seen: BTreeSet<Digest>,
}

/// How a delivery gets its turn.
enum Entered {
    /// At once.
    First(Box<Delivery>),
    /// Behind another one of the same message.
    Behind,
    /// Never: it is on its way already. Its credit returns.
    Twice(Amount),
}

impl State {
    fn heard(&self) -> Heard {
        let bodies = self.inflows.as_ref().map_or(0, BTreeMap::len);
        Heard { last: self.last_chunk, chunks: self.chunks, bodies }
    }

    fn enter(&mut self, header: Digest, message: MessageOf, delivery: Box<Delivery>) -> Entered {
        if !self.seen.insert(header) {
            return Entered::Twice(delivery.credit);
        }
        match self.busy.entry(message) {
            Entry::Occupied(mut queue) => {
                queue.get_mut().push_back(delivery);
                Entered::Behind
            }
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Entered::First(delivery)
            }
        }
    }
}

/// What becomes of what could not be judged.
enum Unjudged {
    /// It is looked at again when the directory changes.
    Kept,
    /// The directory has changed: it is looked at again at once.
    LookAgain,
    /// The hub has to deliver it again.
    NoRoom,
}

/// How a delivery ended.
enum Outcome {
    /// Committed, or refused with evidence.
    Settled,
    /// This node has stated its outcome before: leaf of that evidence.
    StatedBefore(u64),
    /// It stays at the hub, to be looked at again when the directory changes.
    NotYet,
    /// It stays at the hub; the code tells the hub why, so that it delivers it again after a while.
    Left(RejectCode),
    /// It stays at the hub until the next link.
    Cut,
}

impl Reception {
    /// Reception on a new link, whose hello granted the whole window.
    pub(crate) fn new(desk: Arc<Desk>, outbound: Outbound, resend: mpsc::UnboundedSender<u64>) -> Self {
        let mut credit = ReceiveCredit::new(WINDOW);
        // The hello carried it.
        let _ = credit.take_grant();
        let state = State {
            credit,
            returned: 0,
            last_chunk: Instant::now(),
            chunks: 0,
            ahead: None,
            inflows: Some(BTreeMap::new()),
            busy: BTreeMap::new(),
            unjudged: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        Self { shared: Arc::new(Shared { desk, outbound, resend, state: Mutex::new(state) }), tasks: JoinSet::new() }
    }

    /// Takes a delivery.
    ///
    /// # Errors
    /// [`CreditViolation`]: the hub had no credit for it.
    pub(crate) fn deliver(&mut self, deliver: Deliver) -> Result<(), CreditViolation> {
        let ahead = {
            let mut state = self.shared.state();
            state.credit.arrived(ONE)?;
            state.ahead.take()
        };
        let bytes = ahead.as_ref().map_or(0, |chunk| chunk.bytes.len() as u64);
        self.shared.give_back(Amount { envelopes: 0, bytes });
        let body = ahead.filter(|chunk| is_of(chunk, &deliver));
        while let Some(ended) = self.tasks.try_join_next() {
            resume(ended);
        }
        self.begin(Box::new(Delivery { deliver, credit: ONE, body }));
        Ok(())
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// [`CreditViolation`]: the hub had no credit for it.
    pub(crate) fn chunk(&self, chunk: BodyChunk) -> Result<(), CreditViolation> {
        let bytes = chunk.bytes.len() as u64;
        let mut state = self.shared.state();
        state.credit.arrived(Amount { envelopes: 0, bytes })?;
        state.last_chunk = Instant::now();
        state.chunks += 1;
        let message = (chunk.originator, chunk.message);
        let inflow = state.inflows.as_ref().and_then(|inflows| inflows.get(&message)).cloned();
        let dropped = match inflow {
            // A body that is not wanted any more.
            Some(inflow) => inflow.send(chunk).map_or(bytes, |()| 0),
            None if bytes > BODY_AHEAD_MAX => bytes,
            // It comes ahead of its delivery, or late.
            None => state.ahead.replace(chunk).map_or(0, |before| before.bytes.len() as u64),
        };
        drop(state);
        self.shared.give_back(Amount { envelopes: 0, bytes: dropped });
        Ok(())
    }

    /// The directory changed: what could not be judged is judged again.
    pub(crate) fn look_again(&mut self) {
        let again = core::mem::take(&mut self.shared.state().unjudged);
        for delivery in again.into_values() {
            self.begin(delivery);
        }
    }

    /// Ends with the link: bodies on their way are synced, everything else is delivered again.
    pub(crate) async fn finish(mut self) {
        self.shared.state().inflows = None;
        while let Some(ended) = self.tasks.join_next().await {
            resume(ended);
        }
    }

    fn begin(&mut self, delivery: Box<Delivery>) {
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move { shared.run(delivery).await });
    }
}

fn resume(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one step, so whatever panicked left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One delivery, and those of the same message that came meanwhile.
    async fn run(self: Arc<Self>, delivery: Box<Delivery>) {
        let digest = delivery.deliver.envelope.header_digest();
        let Ok(header) = delivery.deliver.envelope.unverified_header() else {
            tracing::error!(%digest, "the hub delivered a header that cannot be read");
            return self.give_back(delivery.credit);
        };
        let message = (header.originator, header.message);
        let entered = self.state().enter(digest, message, delivery);
        let mut next = match entered {
            Entered::First(delivery) => Some(delivery),
            Entered::Behind => return,
            Entered::Twice(credit) => return self.give_back(credit),
        };
        while let Some(delivery) = next {
            self.settle(*delivery).await;
            let mut state = self.state();
            next = state.busy.get_mut(&message).and_then(VecDeque::pop_front);
            if next.is_none() {
                state.busy.remove(&message);
            }
        }
    }

    async fn settle(&self, delivery: Delivery) {
        let Delivery { deliver, credit, mut body } = delivery;
        let digest = deliver.envelope.header_digest();
        let key = deliver.envelope.unverified_header().ok().map(|header| judge::key_of(&header));
        let outcome = loop {
            let directory = *self.desk.node.hints.directory.borrow();
            let outcome = match self.take(&deliver, body.take()).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    self.desk.node.stop_because(crate::faults::unreadable(&error));
                    Outcome::Cut
                }
            };
            if !matches!(outcome, Outcome::NotYet) {
                break outcome;
            }
            match self.keep_unjudged(digest, &deliver, directory) {
                Unjudged::Kept => break Outcome::NotYet,
                Unjudged::NoRoom => break Outcome::Left(RejectCode::QuotaExceeded),
                Unjudged::LookAgain => {}
            }
        };
        match outcome {
            Outcome::Settled | Outcome::NotYet | Outcome::Cut => {}
            // A link that is ending repeats nothing.
            Outcome::StatedBefore(leaf) => drop(self.resend.send(leaf)),
            Outcome::Left(code) => {
                if let Some(envelope) = key {
                    self.outbound.send(Refused { envelope, code });
                }
            }
        }
        self.state().seen.remove(&digest);
        self.give_back(credit);
    }

    /// Keeps what could not be judged until the directory changes, unless it has changed since `directory`.
    fn keep_unjudged(&self, header: Digest, deliver: &Deliver, directory: u64) -> Unjudged {
        let mut state = self.state();
        // Under the lock: whoever changes the directory has what is kept looked at afterwards.
        if *self.desk.node.hints.directory.borrow() != directory {
            return Unjudged::LookAgain;
        }
        if state.unjudged.len() >= UNJUDGED_MAX {
            return Unjudged::NoRoom;
        }
        let again = Delivery { deliver: deliver.clone(), credit: Amount::NONE, body: None };
        state.unjudged.insert(header, Box::new(again));
        state.seen.remove(&header);
        Unjudged::Kept
    }

    async fn take(&self, deliver: &Deliver, ahead: Option<BodyChunk>) -> Result<Outcome, ReadError> {
        if self.desk.is_reception_closed() {
            tracing::error!("a delivery is left at the hub: `public` holds a foreign entry in this node's name");
            return Ok(Outcome::Cut);
        }
        let (desk, offered) = (Arc::clone(&self.desk), deliver.clone());
        let verified = match self
            .desk
            .node
            .blocking(move |node| judge::judge(&node.means(), &desk.admissions.load(), &desk.newest, &offered))
            .await?
        {
            Judged::Good(verified) => verified,
            Judged::Refused { envelope, header, code } => return Ok(self.refuse(envelope, header, code).await),
            Judged::StatedBefore(leaf) => return Ok(Outcome::StatedBefore(leaf)),
            Judged::NotYet(reason) => {
                tracing::info!(%reason, "a delivery waits at the hub");
                self.desk.refresh.notify_one();
                return Ok(Outcome::NotYet);
            }
            Judged::HubAtFault(reason) => {
                tracing::error!(%reason, "a delivery is left at the hub");
                return Ok(Outcome::Left(RejectCode::EvidenceInvalid));
            }
        };
        let body = match self.fetch(&verified, ahead).await {
            Ok(body) => body,
            Err(Unfetched::LinkEnded) => return Ok(Outcome::Cut),
            Err(Unfetched::Read(error)) => return Err(error),
            Err(reason) => {
                tracing::error!(msg = %verified.key.message, %reason, "a body is not taken in");
                return Ok(Outcome::Left(reason.code()));
            }
        };
        let header = verified.envelope.header();
        let name = BodyName { originator: header.originator, message: header.message, root: header.ciphertext_root };
        let outcome = self.consign(*verified, body, name).await?;
        if matches!(outcome, Outcome::Settled) {
            self.desk.node.blocking(move |node| leftovers::drop_refused(node, &name)).await?;
        }
        Ok(outcome)
    }

    /// Opens on a worker and has the core decide.
    async fn consign(&self, verified: Verified, body: Body, name: BodyName) -> Result<Outcome, ReadError> {
        let (key, header) = (verified.key, verified.envelope.header_digest());
        let precedence = verified.envelope.header().precedence;
        let weight = usize::try_from(verified.envelope.header().body_length).unwrap_or(usize::MAX);
        let _worker = self.desk.workers[lane(precedence)].acquire().await;
        let sealed_to = verified.envelope.header().recipient_key;
        // A refusal is final: before it, keys are looked for as they lie there now.
        if self.desk.node.own.load().keys.sealing(&sealed_to).is_none()
            && let Err(fault) = self.desk.node.blocking(Node::read_own_again).await
        {
            tracing::error!(msg = %key.message, code = %fault.code, cause = fault.cause(), "own keys cannot be read");
            return Ok(Outcome::NotYet);
        }
        let opened = self.desk.node.blocking(move |node| open::open(&node.means(), verified, &body)).await?;
        let consigned = match opened {
            Opened::Good(consigned) => consigned,
            Opened::Refused(code) => return Ok(self.refuse(key, header, code).await),
            Opened::Rotten => {
                tracing::error!(msg = %key.message, "a body went bad on this disk before it was decided: it is fetched again");
                self.desk.node.blocking(move |node| node.reader().uploads().remove(&name)).await?;
                return Ok(Outcome::Left(RejectCode::BodyMissing));
            }
        };
        let task = Submission { source: Source::Peer(key.originator), weight, ..Submission::DAEMON };
        let task = task.for_precedence(precedence);
        let actor = Actor::Peer(key.originator);
        let Ok(committed) = self.desk.node.submit(task, actor, Ask::Consign(consigned)).await else {
            return Ok(Outcome::Cut);
        };
        Ok(match committed.reply {
            Ok(done) => stated(&done),
            Err(Refusal::UnknownParticipant(_) | Refusal::NotPinned(_) | Refusal::Suspended(_)) => Outcome::NotYet,
            Err(refusal) => {
                tracing::error!(msg = %key.message, originator = %key.originator, %refusal, "the core takes no message");
                Outcome::Cut
            }
        })
    }

    async fn refuse(&self, envelope: EnvelopeKey, header: Digest, code: RejectCode) -> Outcome {
        tracing::warn!(msg = %envelope.message, originator = %envelope.originator, reject = code.number(), "a delivery is refused: {code}");
        let task = Submission { source: Source::Peer(envelope.originator), ..Submission::DAEMON };
        let ask = Ask::RefuseDelivery { envelope, header, code };
        match self.desk.node.submit(task, Actor::Peer(envelope.originator), ask).await.map(|committed| committed.reply)
        {
            Ok(Ok(done)) => stated(&done),
            Ok(Err(refusal)) => {
                tracing::error!(msg = %envelope.message, %refusal, "the core takes no refusal");
                Outcome::Cut
            }
            // The store has stopped, and with it the node.
            Err(_) => Outcome::Cut,
        }
    }

    /// The body: from the disk, as it came ahead, or from the hub.
    async fn fetch(&self, verified: &Verified, ahead: Option<BodyChunk>) -> Result<Body, Unfetched> {
        let header = verified.envelope.header().clone();
        let message = (header.originator, header.message);
        let found = self.desk.node.blocking(move |node| body::begin(node, &header)).await?;
        let inflow = match found {
            body::Found::Here(body) => return Ok(body),
            body::Found::Wanted(inflow) => inflow,
        };
        if let Some(body) = ahead.and_then(|chunk| inflow.whole(chunk)) {
            return Ok(body);
        }
        let (sender, chunks) = mpsc::unbounded_channel();
        self.state().inflows.as_mut().ok_or(Unfetched::LinkEnded)?.insert(message, sender);
        let header = verified.envelope.header();
        let (originator, message_id, root) = (header.originator, header.message, header.ciphertext_root);
        let from_chunk = inflow.next_chunk();
        self.outbound.send(BodyWanted { originator, message: message_id, root, from_chunk });
        let taken = |bytes| self.give_back(Amount { envelopes: 0, bytes });
        let body = inflow.receive(&self.desk.node, Chunks::new(chunks, || self.state().heard()), taken).await;
        if let Some(inflows) = &mut self.state().inflows {
            inflows.remove(&message);
        }
        body
    }

    /// Returns credit, and grants it again in pieces.
    fn give_back(&self, amount: Amount) {
        let mut state = self.state();
        if let Err(error) = state.credit.committed(amount) {
            tracing::error!(%error, "the account of a link's credit does not add up");
            return;
        }
        state.returned += amount.bytes;
        if amount.envelopes == 0 && state.returned < BYTES_PER_GRANT {
            return;
        }
        state.returned = 0;
        if let Some(Amount { envelopes, bytes }) = state.credit.take_grant() {
            self.outbound.send(Credit { envelopes, bytes });
        }
    }
}

/// Whether a chunk is of the message that is delivered.
fn is_of(chunk: &BodyChunk, deliver: &Deliver) -> bool {
    let header = deliver.envelope.unverified_header();
    header.is_ok_and(|header| (header.originator, header.message) == (chunk.originator, chunk.message))
}

/// The credit of one delivery.
const ONE: Amount = Amount { envelopes: 1, bytes: 0 };

/// Urgent mail has workers of its own.
fn lane(precedence: Precedence) -> usize {
    match precedence {
        Precedence::Routine | Precedence::Priority => 0,
        Precedence::Urgent => 1,
    }
}

/// What the core's answer means for the hub: fresh evidence leaves with the stream, earlier evidence is sent again.
fn stated(done: &Done) -> Outcome {
    match done {
        Done::Evidence { earlier: Some(leaf), .. } => Outcome::StatedBefore(*leaf),
        Done::Evidence { earlier: None, .. }
        | Done::Noted
        | Done::Message { .. }
        | Done::Tasks { .. }
        | Done::Withdrawal(_) => Outcome::Settled,
    }
}
