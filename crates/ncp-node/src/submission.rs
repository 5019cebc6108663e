//! The outbox towards one link: what is offered to the hub next.
//!
//! The queue of the index is the outbox; this is the view that one link has of it. A new link begins with all of the queue,
//! so what an earlier one sent without answer is sent again, the same bytes, and the hub answers with the same evidence.
//! Holds are looked up when an envelope has been read and is about to be written, and between two chunks of a body. A
//! body leaves only right ahead of an envelope over it, or while one is on its way on this link, so a hub that asks for a draft
//! gets nothing. A small one goes ahead of an envelope that was sealed on this link: of an older one the hub may have it.
//!
//! A refusal that may pass is tried again after a delay with full jitter; it never counts as an attempt, and the node shows
//! it as long as it stands. One that will not pass goes to the core. What the hub says about times and keys is compared with what is known here first.

mod flows;
mod rows;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::codes::{Kind, Precedence};
use ncp_protocol::event::{Actor, EnvelopeKey};
use ncp_protocol::frame::{BodyWanted, Credit, Frame, Recall, Refused, Submit};
use ncp_protocol::ids::{MessageId, ParticipantId};
use ncp_protocol::limits::SEALS_MAX;
use ncp_protocol::reject::{Permanence, RejectCode};
use ncp_store::reader::ReadError;
use ncp_transport::backoff;
use ncp_transport::credit::{Credit as Amount, CreditViolation, SendCredit, Spend};
use tokio::time::Instant;

use self::flows::Flow;
use self::rows::drop_ended_refusals;
pub(crate) use self::rows::sealed_key_changed;
pub use self::rows::{Look, Unended, is_credible, is_held, look, read_queue, unended};
use crate::clock;
use crate::core::command::Ask;
use crate::core::meaning::names_a_key;
use crate::core::tables::ENVELOPE;
use crate::hub_clock::Difference;
use crate::link::Desk;
use crate::link::limits::QUEUE_PAGE;
use crate::node::{Node, Submission};

/// Place of an envelope in the queue: rank, time of release, message, recipient.
pub type QueueKey = (u8, u64, MessageId, ParticipantId);

/// Something that the outbox has to know.
#[derive(Debug)]
pub(crate) enum Note {
    /// The hub asks for a body.
    Wanted(BodyWanted),
    /// The hub may be sent more.
    Granted(Credit),
    /// The hub refused an envelope.
    Refused(Refused),
    /// Evidence about an envelope is stored: the hub has answered.
    Settled(EnvelopeKey),
    /// An envelope was sealed.
    Sealed(QueueKey),
    /// The hub is to delete what waits.
    Recall {
        /// Which message.
        message: MessageId,
        /// For whom.
        recipient: ParticipantId,
    },
    /// The hub has said what time it is.
    HubTime,
}

/// An envelope that was submitted on this link and not answered.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    place: QueueKey,
    kind: Kind,
}

/// How far the queue of the index was read on this link.
#[derive(Debug, Clone, Copy)]
enum Position {
    /// Up to this place; from the beginning if there is none.
    Behind(Option<QueueKey>),
    /// All of it. What is sealed from now on is told.
    End,
}

/// What one link has to send.
pub(crate) struct Outbox {
    desk: Arc<Desk>,
    credit: SendCredit,
    position: Position,
    candidates: BTreeSet<QueueKey>,
    // Sealed on this link and not looked at yet.
    fresh: BTreeSet<QueueKey>,
    held: BTreeSet<QueueKey>,
    deferred: BTreeMap<(Instant, QueueKey), ()>,
    refusals: BTreeMap<QueueKey, u32>,
    in_flight: BTreeMap<EnvelopeKey, InFlight>,
    flows: VecDeque<Flow>,
    wanted: VecDeque<BodyWanted>,
    recalls: VecDeque<(MessageId, ParticipantId)>,
    // Whether a recall goes before the next envelope: they go by turns.
    recall_first: bool,
    // Asked while an envelope of it was on its way.
    recalls_again: BTreeSet<(MessageId, ParticipantId)>,
    // Answered while the clocks did not agree.
    recalls_in_doubt: BTreeSet<(MessageId, ParticipantId)>,
    // Whether the hub has said on this link what time it is.
    hub_time_told: bool,
    looked_back: bool,
    // What the hub took and has not ended, though its time is over.
    overdue: Vec<QueueKey>,
    chunks: u64,
    violation: Option<CreditViolation>,
}

impl Outbox {
    /// The outbox of a link on which the hub grants `credit` at first.
    ///
    /// # Errors
    /// [`CreditViolation`] if that is more than a link may carry.
    pub(crate) fn new(desk: Arc<Desk>, credit: Credit) -> Result<Self, CreditViolation> {
        let mut outbox = Self {
            desk,
            credit: SendCredit::new(),
            position: Position::Behind(None),
            candidates: BTreeSet::new(),
            fresh: BTreeSet::new(),
            held: BTreeSet::new(),
            deferred: BTreeMap::new(),
            refusals: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            flows: VecDeque::new(),
            wanted: VecDeque::new(),
            recalls: VecDeque::new(),
            recall_first: false,
            recalls_again: BTreeSet::new(),
            recalls_in_doubt: BTreeSet::new(),
            hub_time_told: false,
            looked_back: false,
            overdue: Vec::new(),
            chunks: 0,
            violation: None,
        };
        outbox.credit.granted(Amount { envelopes: credit.envelopes, bytes: credit.bytes })?;
        Ok(outbox)
    }

    /// When the outbox wants to be asked again, if nothing happens before.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        self.deferred.keys().next().map(|(at, _)| *at)
    }

    /// Takes note of something.
    pub(crate) fn note(&mut self, note: Note) {
        match note {
            Note::Wanted(wanted) => self.wanted.push_back(wanted),
            Note::Granted(Credit { envelopes, bytes }) => {
                self.violation = self.credit.granted(Amount { envelopes, bytes }).err().or(self.violation);
            }
            Note::Refused(refused) => self.refused(refused),
            Note::Settled(envelope) => self.settled(&envelope),
            Note::Sealed(place) => {
                self.candidates.insert(place);
                self.fresh.insert(place);
            }
            Note::Recall { message, recipient } => self.recalls.push_back((message, recipient)),
            Note::HubTime => self.hub_time_told = true,
        }
    }

    /// Holds changed: what was held is looked at again.
    pub(crate) fn holds_changed(&mut self) {
        self.candidates.append(&mut self.held);
    }

    /// The next frames to write, one behind the other, which no hold stops at this moment; none if there is nothing to do or no
    /// credit for it.
    ///
    /// # Errors
    /// The fault that ends the link, or the daemon.
    pub(crate) async fn next(&mut self) -> Result<Vec<Frame>, Fault> {
        if let Some(error) = self.violation {
            return Err(ErrorCode::PeerViolation.with("peer", ParticipantId::HUB).with("reason", error));
        }
        self.look_back().await?;
        self.recall_first = !self.recall_first;
        if self.recall_first
            && let Some(recall) = self.recall()
        {
            return Ok(vec![recall.into()]);
        }
        self.due();
        while self.credit.left().envelopes > 0 {
            let Some(place) = self.candidate().await? else { break };
            if place.0 != Precedence::Urgent.rank() && self.credit.left_for_common() == 0 {
                self.candidates.insert(place);
                break;
            }
            match self.look(place).await? {
                Look::Submit { envelope, key, kind, body } => {
                    let bytes = body.as_ref().map_or(0, |chunk| chunk.bytes.len() as u64);
                    let spend = self.credit.spend(Amount { envelopes: 1, bytes });
                    debug_assert_eq!(spend, Spend::Spent, "there is credit for one");
                    self.in_flight.insert(key, InFlight { place, kind });
                    let submit = Frame::from(Submit { envelope: *envelope });
                    return Ok(body.map(Frame::from).into_iter().chain([submit]).collect());
                }
                Look::Held => drop(self.held.insert(place)),
                Look::Lost(envelope) => self.tell_core(Actor::Daemon, envelope, RejectCode::Expired),
                Look::Gone => self.desk.node.hub_refusals.clear((place.2, place.3)),
            }
        }
        self.begin_flows().await?;
        let chunk = self.chunk().await?;
        Ok(chunk.or_else(|| self.recall().map(Frame::from)).into_iter().collect())
    }

    /// The next message that the hub is to delete. While an envelope is on its way there, nobody can say on which side of it
    /// the answer was given: the hub is asked, and once more when it has answered that.
    fn recall(&mut self) -> Option<Recall> {
        if !self.recalls_in_doubt.is_empty() && self.clocks_agree() {
            self.recalls.extend(core::mem::take(&mut self.recalls_in_doubt));
        }
        let (message, recipient) = self.recalls.pop_front()?;
        if self.is_on_its_way(message, recipient) {
            self.recalls_again.insert((message, recipient));
        }
        Some(Recall { message, recipient })
    }

    /// The hub has answered one of a message's envelopes: what was asked while it was on its way is asked again.
    fn recall_again(&mut self, EnvelopeKey { message, recipient, .. }: EnvelopeKey) {
        if !self.is_on_its_way(message, recipient) && self.recalls_again.remove(&(message, recipient)) {
            self.recalls.push_back((message, recipient));
        }
    }

    fn is_on_its_way(&self, message: MessageId, recipient: ParticipantId) -> bool {
        self.in_flight.keys().any(|key| (key.message, key.recipient) == (message, recipient))
    }

    async fn candidate(&mut self) -> Result<Option<QueueKey>, Fault> {
        while self.candidates.is_empty() {
            let Position::Behind(last) = self.position else {
                return Ok(if self.clocks_agree() { self.overdue.pop() } else { None });
            };
            if last.is_none() {
                self.blocking(drop_ended_refusals).await?;
            }
            let page = self.blocking(move |node| read_queue(node.reader(), last)).await?;
            let more = page.len() == QUEUE_PAGE;
            self.position = if more { Position::Behind(page.last().copied()) } else { Position::End };
            let known: BTreeSet<QueueKey> = self.in_flight.values().map(|flight| flight.place).collect();
            self.candidates.extend(page.into_iter().filter(|place| !known.contains(place)));
        }
        Ok(self.candidates.pop_first())
    }

    async fn look(&mut self, place: QueueKey) -> Result<Look, Fault> {
        // The first envelope of a message brings the body of all, unless a body that is more urgent is on its way.
        let is_first = self.fresh.remove(&place) && !self.in_flight.keys().any(|key| key.message == place.2);
        let gives_way = !self.wanted.is_empty() || self.flows.iter().any(|flow| flow.rank < place.0);
        let room = if is_first && !gives_way { self.credit.left().bytes } else { 0 };
        let looked = self.blocking(move |node| look(&node.means(), place, room)).await?;
        let on_its_way = matches!(&looked, Look::Submit { key, .. } if self.in_flight.contains_key(key));
        Ok(if on_its_way { Look::Gone } else { looked })
    }

    /// Moves what is due to be tried again back to the candidates.
    fn due(&mut self) {
        let now = Instant::now();
        while let Some((&(at, place), ())) = self.deferred.first_key_value() {
            if at > now {
                return;
            }
            self.deferred.remove(&(at, place));
            self.candidates.insert(place);
        }
    }

    /// Offers it again later, and lets everybody see why.
    fn defer(&mut self, place: QueueKey, code: RejectCode) {
        let refusals = self.refusals.entry(place).or_default();
        let delay = backoff::delay(*refusals, u64::from_le_bytes(clock::random()));
        *refusals = refusals.saturating_add(1);
        self.desk.node.hub_refusals.note((place.2, place.3), code, clock::now(), delay);
        self.deferred.insert((Instant::now() + delay, place), ());
    }

    fn settled(&mut self, envelope: &EnvelopeKey) {
        self.desk.node.hub_refusals.clear((envelope.message, envelope.recipient));
        if let Some(flight) = self.in_flight.remove(envelope) {
            self.refusals.remove(&flight.place);
            self.recall_again(*envelope);
        }
        self.end_flows(envelope.message);
    }

    /// Bodies that no envelope on its way needs any more.
    fn end_flows(&mut self, message: MessageId) {
        if !self.in_flight.keys().any(|key| key.message == message) {
            self.flows.retain(|flow| flow.name.message != message);
            self.desk.node.bodies_out.end(message);
        }
    }

    fn refused(&mut self, refused: Refused) {
        let Refused { envelope, code } = refused;
        if envelope.originator != self.desk.node.participant() {
            tracing::warn!(?envelope, reject = code.number(), "the hub refuses evidence of this node: {code}");
            return;
        }
        if code == RejectCode::NotWaiting {
            return self.not_waiting(envelope);
        }
        let Some(flight) = self.in_flight.remove(&envelope) else {
            tracing::warn!(
                ?envelope,
                reject = code.number(),
                "the hub refuses what was not submitted on this link: {code}"
            );
            return;
        };
        self.end_flows(envelope.message);
        self.recall_again(envelope);
        let EnvelopeKey { message, recipient, .. } = envelope;
        let (told, reject) = (ErrorCode::EnvelopeRefused, code.number());
        tracing::warn!(code = %told, msg = %message, %recipient, reject, "the hub refused an envelope: {code}");
        if code.permanence() == Permanence::Transient {
            return self.defer(flight.place, code);
        }
        let node = &self.desk.node;
        match is_credible(&node.means(), &envelope, code, self.clocks_agree()) {
            Ok(true) => {
                self.tell_core(Actor::Peer(ParticipantId::HUB), envelope, code);
                if names_a_key(code) && envelope.seal.0 < SEALS_MAX {
                    // It is sealed again, perhaps much later: until then the hub may change its mind.
                    self.defer(flight.place, code);
                }
            }
            Ok(false) => {
                self.desk.refresh.notify_one();
                self.defer(flight.place, code);
            }
            Err(error) => node.stop_because(crate::faults::unreadable(&error)),
        }
    }

    /// The hub has nothing to delete, which counts if nothing is on its way there, and if the clocks agree: else it is asked again
    /// when they do.
    fn not_waiting(&mut self, envelope: EnvelopeKey) {
        if self.is_on_its_way(envelope.message, envelope.recipient) {
            return;
        }
        if !self.clocks_agree() {
            self.recalls_in_doubt.insert((envelope.message, envelope.recipient));
            return self.desk.refresh.notify_one();
        }
        let node = &self.desk.node;
        match ENVELOPE.row(&node.reader().view(), &(envelope.message, envelope.recipient)) {
            Ok(Some(row)) => {
                let key = row.key(node.participant(), envelope.message, envelope.recipient);
                self.tell_core(Actor::Peer(ParticipantId::HUB), key, RejectCode::NotWaiting);
            }
            Ok(None) => {}
            Err(error) => node.stop_because(crate::faults::unreadable(&error)),
        }
    }

    fn tell_core(&self, actor: Actor, envelope: EnvelopeKey, code: RejectCode) {
        let node = Arc::clone(&self.desk.node);
        node.hub_refusals.clear((envelope.message, envelope.recipient));
        // Not awaited: the writer goes on. A stopped store stops the node by itself.
        drop(tokio::spawn(async move {
            let ask = Ask::NoteRefusal { envelope, code };
            if let Ok(committed) = node.submit(Submission::DAEMON, actor, ask).await
                && let Err(refusal) = committed.reply
            {
                tracing::warn!(?envelope, reject = code.number(), %refusal, "a refusal of the hub is not noted");
            }
        }));
    }

    /// What the hub was to delete or to end when the last link ended.
    async fn look_back(&mut self) -> Result<(), Fault> {
        if self.looked_back {
            return Ok(());
        }
        self.looked_back = true;
        let Unended { recalls, overdue } = self.blocking(|node| unended(node.reader(), clock::now())).await?;
        self.recalls.extend(recalls);
        self.overdue = overdue;
        Ok(())
    }

    /// Whether this machine's clock goes with what the hub has said on this link. If it does not, that the hub knows nothing of
    /// an envelope may mean that it has forgotten it.
    fn clocks_agree(&self) -> bool {
        let compared = self.desk.node.hub_clock.compared(clock::now());
        self.hub_time_told && compared == Some(Difference::Small)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Node) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Fault> {
        let node = &self.desk.node;
        node.blocking(read).await.map_err(|error| {
            let fault = crate::faults::unreadable(&error);
            node.stop_because(fault.clone());
            fault
        })
    }
}
