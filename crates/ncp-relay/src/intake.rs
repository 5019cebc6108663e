//! Taking envelopes in: each is verified on a worker, decided, and answered; bodies are asked for when a decision wants
//! one, and then serve all envelopes over them that wait. A small chunk that nobody asked for is the body of the next envelope,
//! and of others of its message, if it has the root that the header names; else it is passed over.
//!
//! R1 is never sent from here: it stands in the receipts' stream once its event is durable. A duplicate gets its old
//! receipt again. What comes in a burst and is not urgent is begun at the originator's [pace](crate::pace). Credit returns when
//! an envelope is settled, at that pace, and when a chunk is written. What a broken link leaves of an upload is resumed by the next one.

mod decide;
mod uploads;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ncp_protocol::codes::Precedence;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::{self, BodyChunk, Recall, Receipts, Refused};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{LogName, MessageId, ParticipantId};
use ncp_protocol::limits::BODY_AHEAD_MAX;
use ncp_protocol::reject::RejectCode;
use ncp_store::queue::Urgency;
use ncp_store::reader::unless_lost;
use ncp_transport::credit::Credit;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use self::decide::{Settled, decide, recall, verify_and_decide};
pub(crate) use self::uploads::free_space;
use self::uploads::{Begin, Chunk, Pending};
use crate::core::command::{BodySource, Reply};
use crate::core::query;
use crate::core::tables::ReceiptPlace;
use crate::limits::{CREDIT_BYTES, DECISIONS_MAX};
use crate::link::{Link, LinkEnd, Submitted};
use crate::pace::Pace;
use crate::seldom::Seldom;
use crate::verify::{Refusal, Verified};

/// Runs until its channel closes; then what the uploads hold is synced.
///
/// # Errors
/// If the link has to end.
pub(crate) async fn run(link: Arc<Link>, mut submitted: mpsc::Receiver<Submitted>) -> Result<(), LinkEnd> {
    let mut intake = Intake {
        pace: Pace::new(link.signals.paced.clone(), link.hub.config.envelopes_per_second),
        link,
        uploads: BTreeMap::new(),
        ahead: None,
        at_hand: BTreeMap::new(),
        parked: VecDeque::new(),
        under_way: BTreeMap::new(),
        deciding: JoinSet::new(),
        returned: Credit::NONE,
        told: Seldom::default(),
    };
    let end = loop {
        intake.begin_parked();
        let wait = intake.wait(Instant::now());
        let step = tokio::select! {
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => Ok(()),
            arrived = submitted.recv() => match arrived {
                Some(arrived) => intake.take(arrived).await,
                None => break Ok(()),
            },
            Some(settled) = intake.deciding.join_next() => intake.settled(settled).await,
        };
        let step = match step {
            Ok(()) => intake.return_due().await,
            end => end,
        };
        if let Err(end) = step {
            break Err(end);
        }
    };
    for (_, pending) in intake.uploads {
        pending.pause(&intake.link.hub).await?;
    }
    // A recall on the next link must meet what was begun on this one.
    while let Some(settled) = intake.deciding.join_next().await {
        if let Err(panic) = settled {
            return Err(intake.link.hub.fail(&panic).into());
        }
    }
    end
}

/// A message to one recipient.
type Addressed = (MessageId, ParticipantId);

/// What is under way of a message to one recipient.
#[derive(Default)]
struct UnderWay {
    envelopes: u32,
    recalled: bool,
}

struct Intake {
    link: Arc<Link>,
    uploads: BTreeMap<MessageId, Pending>,
    // A chunk that nobody asked for, until the next envelope says what it was.
    ahead: Option<BodyChunk>,
    // Bodies that came ahead: there as long as something is decided over them.
    at_hand: BTreeMap<MessageId, Weak<[u8]>>,
    // What came in a burst and waits to be begun, with what came ahead of it.
    parked: VecDeque<(SealedEnvelope, Option<Arc<[u8]>>)>,
    // Envelopes that are parked or being decided.
    under_way: BTreeMap<Addressed, UnderWay>,
    deciding: JoinSet<(Option<Addressed>, Result<Settled, LinkEnd>)>,
    returned: Credit,
    pace: Pace,
    told: Seldom,
}

impl Intake {
    async fn take(&mut self, submitted: Submitted) -> Result<(), LinkEnd> {
        match submitted {
            Submitted::Chunk(chunk) => self.take_chunk(chunk).await,
            Submitted::Envelope(envelope) => self.take_envelope(*envelope).await,
            Submitted::Recall(wish) => self.take_recall(wish).await,
        }
    }

    async fn take_envelope(&mut self, envelope: SealedEnvelope) -> Result<(), LinkEnd> {
        self.check_room()?;
        self.pace.taken(Instant::now());
        let body = self.take_ahead(&envelope).await?;
        let header = envelope.unverified_header().ok();
        if let Some(header) = &header {
            self.under_way.entry(addressed(header)).or_default().envelopes += 1;
        }
        if header.is_some_and(|header| header.precedence == Precedence::Urgent) {
            self.begin(envelope, body);
        } else {
            self.parked.push_back((envelope, body));
        }
        Ok(())
    }

    /// Begins what the pace lets begin.
    fn begin_parked(&mut self) {
        while self.pace.begins_in(self.parked.len(), Instant::now()).is_zero()
            && let Some((envelope, body)) = self.parked.pop_front()
        {
            self.begin(envelope, body);
        }
    }

    fn begin(&mut self, envelope: SealedEnvelope, body: Option<Arc<[u8]>>) {
        let of = envelope.unverified_header().ok().as_ref().map(addressed);
        let decision = verify_and_decide(Arc::clone(&self.link), envelope, body);
        self.deciding.spawn(async move { (of, decision.await) });
    }

    /// How long until the pace lets something begin, or lets credit return; `None` if neither waits for it.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let begins = (!self.parked.is_empty()).then(|| self.pace.begins_in(self.parked.len(), now));
        begins.into_iter().chain(self.pace.wait(now)).min()
    }

    /// What came ahead of an envelope, or of another one of its message.
    async fn take_ahead(&mut self, envelope: &SealedEnvelope) -> Result<Option<Arc<[u8]>>, LinkEnd> {
        let Ok(message) = envelope.unverified_header().map(|header| header.message) else { return Ok(None) };
        let chunk = self.ahead.take();
        let bytes = chunk.as_ref().map_or(0, |chunk| chunk.bytes.len() as u64);
        self.give_back(Credit { envelopes: 0, bytes }).await?;
        let Some(chunk) = chunk.filter(|chunk| chunk.message == message) else {
            return Ok(self.at_hand.get(&message).and_then(Weak::upgrade));
        };
        let body: Arc<[u8]> = Arc::from(chunk.bytes);
        self.at_hand.retain(|_, body| body.strong_count() > 0);
        self.at_hand.insert(message, Arc::downgrade(&body));
        Ok(Some(body))
    }

    /// Recalls have no credit: a few are open at once, and those behind them wait.
    async fn take_recall(&mut self, wish: Recall) -> Result<(), LinkEnd> {
        self.stop_waiting_for_body(wish).await?;
        while self.deciding.len() >= DECISIONS_MAX / 2
            && let Some(settled) = self.deciding.join_next().await
        {
            self.settled(settled).await?;
        }
        let decision = recall(Arc::clone(&self.link), wish);
        self.deciding.spawn(async move { (None, decision.await) });
        Ok(())
    }

    /// What is recalled needs no body, which may never come: a hold of its node stops it.
    async fn stop_waiting_for_body(&mut self, Recall { message, recipient }: Recall) -> Result<(), LinkEnd> {
        if let Some(under_way) = self.under_way.get_mut(&(message, recipient)) {
            under_way.recalled = true;
        }
        let Some(pending) = self.uploads.get_mut(&message) else { return Ok(()) };
        let recalled = pending.take_waiting(recipient);
        self.give_up_unwanted(message).await?;
        self.refuse_all(recalled, RejectCode::BodyMissing).await
    }

    /// A body that nothing waits for, or may yet wait for, is of no use.
    async fn give_up_unwanted(&mut self, message: MessageId) -> Result<(), LinkEnd> {
        let may_wait = self.under_way.keys().any(|of| of.0 == message);
        let unwanted = self.uploads.get(&message).is_some_and(|pending| !pending.is_waited_for());
        if unwanted && !may_wait { self.give_up(message, RejectCode::BodyMissing).await } else { Ok(()) }
    }

    /// Envelopes are bounded by their credit.
    fn check_room(&self) -> Result<(), LinkEnd> {
        if self.deciding.len() + self.parked.len() < DECISIONS_MAX {
            Ok(())
        } else {
            Err(LinkEnd::Cut(RejectCode::RateExceeded))
        }
    }

    async fn settled(
        &mut self,
        settled: Result<(Option<Addressed>, Result<Settled, LinkEnd>), JoinError>,
    ) -> Result<(), LinkEnd> {
        let (of, settled) = settled.map_err(|panic| self.link.hub.fail(&panic))?;
        let recalled = of.is_some_and(|of| self.one_less_under_way(of));
        let settled = settled?;
        if let (true, Settled::Decided(verified, Reply::BodyWanted { .. })) = (recalled, &settled) {
            self.refuse(verified.key(), RejectCode::BodyMissing).await?;
        } else {
            self.settle(settled).await?;
        }
        match of {
            Some((message, _)) => self.give_up_unwanted(message).await,
            None => Ok(()),
        }
    }

    /// One of these is decided: whether it was recalled meanwhile.
    fn one_less_under_way(&mut self, of: Addressed) -> bool {
        let Some(mut under_way) = self.under_way.remove(&of) else { return false };
        let recalled = under_way.recalled;
        under_way.envelopes -= 1;
        if under_way.envelopes > 0 {
            self.under_way.insert(of, under_way);
        }
        recalled
    }

    async fn settle(&mut self, settled: Settled) -> Result<(), LinkEnd> {
        match settled {
            Settled::Refused(Refusal::Unreadable(code)) => Err(LinkEnd::Cut(code)),
            Settled::Refused(Refusal::Envelope(envelope, code)) => self.refuse(envelope, code).await,
            Settled::Decided(verified, Reply::BodyWanted { drops }) => self.want_body(verified, drops).await,
            Settled::Decided(verified, Reply::Refused(code)) => self.refuse(verified.key(), code).await,
            Settled::Known(place) | Settled::Decided(_, Reply::AcceptedBefore(place)) => {
                self.pace.settled();
                self.repeat(place).await
            }
            Settled::Decided(verified, reply) => {
                assert_eq!(reply, Reply::Accepted, "no other reply settles a submission");
                let hub = &self.link.hub;
                hub.clock.heard(self.link.peer, verified.header.created, hub.now());
                self.pace.settled();
                Ok(())
            }
            Settled::Recalled(Ok(Some(place))) => self.repeat(place).await,
            // The evidence stands in the stream.
            Settled::Recalled(Ok(None)) => Ok(()),
            Settled::Recalled(Err(refused)) => self.link.frames.send(refused).await,
        }
    }

    async fn refuse(&mut self, envelope: EnvelopeKey, code: RejectCode) -> Result<(), LinkEnd> {
        if let Some(left_out) = self.told.note() {
            let (peer, EnvelopeKey { originator, message, recipient, .. }) = (self.link.peer, envelope);
            tracing::info!(%peer, %originator, msg = %message, %recipient, reject = code.number(), left_out, "refused: {code}");
        }
        self.pace.settled();
        self.link.frames.send(Refused { envelope, code }).await
    }

    /// Sends a receipt again that the peer has had before, or that its stream no longer brings.
    async fn repeat(&self, place: ReceiptPlace) -> Result<(), LinkEnd> {
        let link = &self.link;
        if place.number > *link.acknowledged.borrow() {
            let peer = link.peer;
            let kept = link.hub.look(|view| query::receipts(view, peer, place.number.saturating_sub(1), 1))?;
            if kept.first().is_some_and(|(number, _)| *number == place.number) {
                return Ok(());
            }
        }
        let proof = link.hub.read(move |reader| unless_lost(reader.evidence(LogName::Traffic, place.index))).await?;
        // The index names it, so it is lost with its part of the journal. The envelope is taken all the same.
        let Some(proof) = proof else { return Ok(()) };
        let epoch = link.hub.traffic.epoch;
        link.frames.send(Receipts { epoch, first: place.number, proofs: vec![proof] }).await
    }

    async fn want_body(&mut self, verified: Arc<Verified>, drops: u32) -> Result<(), LinkEnd> {
        let header = &verified.header;
        if let Some(pending) = self.uploads.get_mut(&header.message) {
            if !pending.is_of(header) {
                // Two contents under one id, neither accepted yet: the first that came stands.
                return self.refuse(verified.key(), RejectCode::ConflictingContent).await;
            }
            pending.add(verified, drops);
            return Ok(());
        }
        match uploads::begin(&self.link, Arc::clone(&verified), drops).await? {
            Begin::Refused(code) => self.refuse(verified.key(), code).await,
            Begin::Complete => {
                self.decide(verified, BodySource::Uploaded { drops });
                Ok(())
            }
            Begin::Wanted(pending) => {
                self.link.frames.send(pending.wanted()).await?;
                self.uploads.insert(header.message, pending);
                Ok(())
            }
        }
    }

    async fn take_chunk(&mut self, chunk: BodyChunk) -> Result<(), LinkEnd> {
        let bytes = chunk.bytes.len() as u64;
        if chunk.originator != self.link.peer {
            return Err(LinkEnd::Cut(RejectCode::OriginatorMismatch));
        }
        let message = chunk.message;
        let Some(pending) = self.uploads.get_mut(&message) else {
            // It comes ahead of its envelope; or late, when what it belonged to was refused while it was on its way.
            let passed_over = if bytes <= BODY_AHEAD_MAX { self.ahead.replace(chunk) } else { Some(chunk) };
            let bytes = passed_over.map_or(0, |chunk| chunk.bytes.len() as u64);
            return self.give_back(Credit { envelopes: 0, bytes }).await;
        };
        match pending.take(&self.link.hub, chunk).await? {
            Chunk::Taken => {}
            Chunk::OutOfOrder => return Err(LinkEnd::Cut(RejectCode::ChunkOutOfOrder)),
            Chunk::Last => self.finish(message).await?,
            Chunk::Refused(code) => self.give_up(message, code).await?,
        }
        self.give_back(Credit { envelopes: 0, bytes }).await
    }

    /// All chunks are here: verifies the body and has all that waits for it decided again.
    async fn finish(&mut self, message: MessageId) -> Result<(), LinkEnd> {
        let Some(pending) = self.uploads.remove(&message) else { return Ok(()) };
        match pending.finish(&self.link).await? {
            Ok((waiting, source)) => {
                for verified in waiting {
                    self.decide(verified, source.clone());
                }
                Ok(())
            }
            Err((waiting, code)) => self.refuse_all(waiting, code).await,
        }
    }

    async fn give_up(&mut self, message: MessageId, code: RejectCode) -> Result<(), LinkEnd> {
        let Some(pending) = self.uploads.remove(&message) else { return Ok(()) };
        let waiting = pending.abandon(&self.link.hub).await?;
        self.refuse_all(waiting, code).await
    }

    async fn refuse_all(&mut self, waiting: Vec<Arc<Verified>>, code: RejectCode) -> Result<(), LinkEnd> {
        for verified in waiting {
            self.refuse(verified.key(), code).await?;
        }
        Ok(())
    }

    fn decide(&mut self, verified: Arc<Verified>, body: BodySource) {
        let of = addressed(&verified.header);
        self.under_way.entry(of).or_default().envelopes += 1;
        let decision = decide(Arc::clone(&self.link), verified, body);
        self.deciding.spawn(async move { (Some(of), decision.await) });
    }

    /// After each step: returns what is due, and at once if all else that is in flight waits for bodies, as it may for long.
    async fn return_due(&mut self) -> Result<(), LinkEnd> {
        let envelopes = self.pace.due(Instant::now());
        if envelopes > 0 {
            self.give_back(Credit { envelopes, bytes: 0 }).await?;
        }
        if !self.deciding.is_empty() {
            return Ok(());
        }
        if self.parked.is_empty() {
            // A body that nothing holds any more still has its memory here.
            self.at_hand.clear();
        }
        if self.returned.envelopes > 0 { self.grant().await } else { Ok(()) }
    }

    /// Returns credit, in grants that are worth a frame.
    async fn give_back(&mut self, amount: Credit) -> Result<(), LinkEnd> {
        self.link.window().committed(amount)?;
        self.returned.envelopes += amount.envelopes;
        self.returned.bytes += amount.bytes;
        // A peer that is held back gets what is due at once: no burst of it is what the others wait for.
        let worth_it = self.pace.wait(Instant::now()).is_some()
            || self.returned.envelopes >= self.pace.window / 4
            || self.returned.bytes >= CREDIT_BYTES / 4;
        if worth_it { self.grant().await } else { Ok(()) }
    }

    async fn grant(&mut self) -> Result<(), LinkEnd> {
        let grant = self.link.window().take_grant();
        self.returned = Credit::NONE;
        let Some(Credit { envelopes, bytes }) = grant else { return Ok(()) };
        self.link.frames.send(frame::Credit { envelopes, bytes }).await
    }
}

fn addressed(header: &Header) -> Addressed {
    (header.message, header.recipient)
}

/// How a precedence counts at the committer.
pub(crate) fn urgency(precedence: Precedence) -> Urgency {
    match precedence {
        Precedence::Urgent => Urgency::Urgent,
        Precedence::Routine | Precedence::Priority => Urgency::Routine,
    }
}
