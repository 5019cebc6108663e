//! The hub: the relay's core over a machine, and the small synchronous shell that performs what it decides.
//!
//! What the relay does between reading and deciding is the relay's own code: verification, the choice of mail, what a
//! receipt or a delivery consists of, what a start throws away. Here stands the order of steps alone.

mod intake;
mod mail;

use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ncp_protocol::event::{Actor, EnvelopeKey, Event};
use ncp_protocol::frame::{BodyChunk, Credit, Cursor, Frame, Hello, ReceiptsStored, Refused};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{LogName, LogOrigin, MessageId, ParticipantId, SealNumber, UnixMillis};
use ncp_protocol::keys::{SigningKey, VerifyingKey};
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_relay::core::command::{
    AdmitEntry, AdmitMembership, Command, Effect, Recall, RecordPublicCheckpoint, Reply, Stamp,
};
use ncp_relay::core::mailbox::{Turns, Waiting};
use ncp_relay::core::query;
use ncp_relay::directory::Directory;
use ncp_relay::limits::REDELIVERY_DELAY;
use ncp_relay::link::hello::checkpoint_of_evidence;
use ncp_relay::timers;
use ncp_relay::verify::Verified;
use ncp_store::bodies::Upload;
use ncp_store::clock::{Belief, Newest, Reading, Voices};

use crate::cast::Cast;
use crate::chance::Chance;
use crate::defect::HubCore;
use crate::disk::SimDisk;
use crate::machine::{Machine, SimReader};
use crate::shell::{Chore, Halt, Out, Place, Places, check_own_logs};

/// Most envelopes of one offer.
const OFFER_MAX: usize = 16;
/// Frames of receipts that may be ahead of their acknowledgement.
const AHEAD: u64 = 64;
/// How long commands gather, at most.
const GATHER_MS: u64 = 8;

/// The hub.
pub struct Hub {
    /// Its machine.
    pub machine: Machine<HubCore>,
    cast: Rc<Cast>,
    places: Places,
    mind: Option<Mind>,
    asked: Vec<(Command, Asked)>,
}

/// What a life has in memory.
struct Mind {
    begun_ms: u64,
    belief: Belief,
    directory: Directory,
    links: BTreeMap<Place, Link>,
}

/// A link with a node that has said hello.
struct Link {
    peer: ParticipantId,
    turns: Turns,
    resting: Vec<(u64, EnvelopeKey)>,
    offering: bool,
    sent: u64,
    acked: u64,
    uploads: BTreeMap<MessageId, Pending>,
    /// A chunk that nobody asked for: the body of the envelope behind it.
    ahead: Option<BodyChunk>,
}

/// A body on its way in, with the envelopes that wait for it.
struct Pending {
    length: u64,
    drops: u32,
    next: u64,
    sink: Sink,
    waiting: Vec<Arc<Verified>>,
}

enum Sink {
    Memory(Vec<u8>),
    Store(Box<Upload<SimDisk>>),
}

/// Who asked, and what for.
enum Asked {
    Submission { place: Place, verified: Arc<Verified>, wanted: Option<u32> },
    Offer { place: Place, chosen: Vec<Waiting> },
    Evidence { place: Place, last: Option<Cursor> },
    Recall { place: Place, message: MessageId, recipient: ParticipantId },
    Own,
}

/// The moment of a step, by the true clock since the beginning of the run and by the machine's own.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Milliseconds since the beginning of the run.
    pub true_ms: u64,
    /// The machine's wall clock.
    pub wall: UnixMillis,
}

impl Hub {
    /// A hub that was never started.
    #[must_use]
    pub fn new(machine: Machine<HubCore>, cast: Rc<Cast>, places: Places) -> Self {
        Self { machine, cast, places, mind: None, asked: Vec::new() }
    }

    /// Begins a life behind a recovery: what the relay does before its first link.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn begin(&mut self, moment: Moment, chance: &mut Chance) -> Result<(), Halt> {
        let reader = self.reader()?;
        timers::discard_strays(&reader)?;
        let newest = newest_event(&reader)?;
        let first = Reading { wall: moment.wall, steady: Duration::ZERO };
        let belief = Belief::new(Voices::TwoParticipants, first, newest);
        self.asked.clear();
        let network = self.cast.network;
        let load = |reader: &SimReader| Directory::load(reader, network).map_err(|error| Halt::Disk(error.to_string()));
        let mind = Mind { begun_ms: moment.true_ms, belief, directory: load(&reader)?, links: BTreeMap::new() };
        self.mind = Some(mind);
        if query::directory(&reader.view())?.membership.is_none() {
            self.install(moment, chance)?;
        }
        let directory = load(&self.reader()?)?;
        self.mind()?.directory = directory;
        Ok(())
    }

    /// The life is over: all that was in memory is gone.
    pub fn end(&mut self) {
        self.mind = None;
        self.asked.clear();
    }

    /// A link has ended; its uploads are synced as far as they came, unless the machine is down.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn unlink(&mut self, place: Place) -> Result<(), Halt> {
        let Some(mind) = &mut self.mind else { return Ok(()) };
        for (_, pending) in mind.links.remove(&place).map(|link| link.uploads).unwrap_or_default() {
            if let Sink::Store(upload) = pending.sink {
                upload.pause()?;
            }
        }
        Ok(())
    }

    /// Takes a frame of a node.
    ///
    /// # Errors
    /// [`Halt`].
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes is a violation")]
    pub fn take(
        &mut self,
        place: Place,
        frame: Frame,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        if let Frame::Hello(hello) = frame {
            return self.greet(place, &hello, moment, chance, out);
        }
        if !self.mind()?.links.contains_key(&place) {
            return Ok(());
        }
        match frame {
            Frame::Submit(submit) => self.submitted(place, submit.envelope, moment, chance, out),
            Frame::BodyChunk(chunk) => self.chunk(place, chunk, moment, chance, out),
            Frame::Recall(recall) => {
                let originator = self.peer(place)?;
                let stamp = stamp(moment, chance);
                let (message, recipient) = (recall.message, recall.recipient);
                self.stop_waiting_for_body(place, message, recipient, out)?;
                let command = Command::Recall(Recall { originator, message, recipient, stamp });
                self.ask(command, Asked::Recall { place, message, recipient }, chance, out);
                Ok(())
            }
            Frame::Receipts(receipts) => self.stated(place, &receipts, moment, chance, out),
            Frame::ReceiptsStored(stored) => {
                let link = self.link(place)?;
                link.acked = link.acked.max(stored.cursor.number);
                self.push_receipts(place, out)
            }
            Frame::BodyWanted(wanted) => self.send_body(place, &wanted, out),
            Frame::Refused(refused) => {
                let due = moment.true_ms + u64::try_from(REDELIVERY_DELAY.as_millis()).unwrap_or(u64::MAX);
                let link = self.link(place)?;
                if link.turns.is_out(&refused.envelope) {
                    link.resting.push((due, refused.envelope));
                }
                Ok(())
            }
            Frame::Checkpoint(checkpoint) => self.keep(place, &checkpoint.notes),
            Frame::Credit(_) | Frame::Bye(_) => Ok(()),
            other => Err(Halt::wrong(format_args!("a node sent {}", other.name()))),
        }
    }

    /// Looks at the clock and at what rests.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn tick(&mut self, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        let reading = self.reading(moment)?;
        let holds = self.mind()?.belief.holds(reading);
        let due = query::next_due(&self.reader()?.view())?;
        if holds && due.is_some_and(|due| due <= moment.wall) {
            self.ask(Command::ExpireDue(stamp(moment, chance)), Asked::Own, chance, out);
        }
        let places: Vec<Place> = self.mind()?.links.keys().copied().collect();
        for place in places {
            let link = self.link(place)?;
            let rested: Vec<EnvelopeKey> =
                link.resting.iter().filter(|(due, _)| *due <= moment.true_ms).map(|(_, key)| *key).collect();
            link.resting.retain(|(due, _)| *due > moment.true_ms);
            for key in rested {
                link.turns.give_back(&key);
            }
            self.deliver(place, moment, chance, out)?;
        }
        Ok(())
    }

    /// Commits what was asked, answers, and performs the effects.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn commit(&mut self, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        let (commands, asked): (Vec<Command>, Vec<Asked>) = core::mem::take(&mut self.asked).into_iter().unzip();
        let outcomes = self.machine.commit(commands, chance)?;
        let has_events = outcomes.iter().any(|outcome| !outcome.committed.places.is_empty());
        let mut effects = Vec::new();
        for (outcome, asked) in outcomes.into_iter().zip(asked) {
            effects.extend(outcome.effects);
            self.answer(asked, outcome.committed.reply, moment, chance, out)?;
        }
        for effect in effects {
            self.perform(effect, moment, chance, out)?;
        }
        if has_events {
            out.chores.push((chance.below(50), Chore::Settle));
        }
        Ok(())
    }

    /// Whether nothing waits at the hub, and everybody has what is theirs.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn waits(&mut self) -> Result<Option<String>, Halt> {
        let reader = self.reader()?;
        let waiting = query::waiting(&reader.view())?;
        if waiting.envelopes > 0 || waiting.bytes > 0 {
            return Ok(Some(format!("the hub has {} envelopes waiting", waiting.envelopes)));
        }
        let mind = self.mind()?;
        for (place, link) in &mind.links {
            let receipts = query::peer_row(&reader.view(), link.peer)?.receipts;
            if link.acked < receipts {
                return Ok(Some(format!("place {place} has {} of {receipts} receipts", link.acked)));
            }
        }
        Ok(None)
    }

    fn perform(&mut self, effect: Effect, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        match effect {
            Effect::SendReceipts(to) => match self.places.of(to) {
                Some(place) => self.push_receipts(place, out),
                None => Ok(()),
            },
            Effect::DeliverMail(to) => match self.places.of(to) {
                Some(place) => self.deliver(place, moment, chance, out),
                None => Ok(()),
            },
            Effect::PublishDirectory => Ok(()),
            Effect::RaiseConflict { originator, message } => {
                Err(Halt::wrong(format_args!("I2: two contents under {message} of {originator}")))
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes is a violation")]
    fn answer(
        &mut self,
        asked: Asked,
        reply: Reply,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        match asked {
            Asked::Own => Ok(()),
            Asked::Submission { place, verified, wanted } => {
                self.settle(place, verified, wanted, reply, moment, chance, out)
            }
            Asked::Offer { place, chosen } => self.offered(place, &chosen, &reply, moment, chance, out),
            Asked::Evidence { place, last } => match reply {
                Reply::Stored(_) => {
                    if let Some(cursor) = last.filter(|_| self.has_link(place)) {
                        out.acked.push((place, cursor.number));
                        out.frames.push((place, ReceiptsStored { cursor }.into()));
                        // What ended by it made room for more.
                        self.deliver(place, moment, chance, out)?;
                    }
                    Ok(())
                }
                other => Err(Halt::wrong(format_args!("evidence of an honest node is answered {other:?}"))),
            },
            Asked::Recall { place, message, recipient } => match reply {
                Reply::Recalled => Ok(()),
                Reply::EndedBefore(receipt) => self.repeat(place, receipt, out),
                Reply::Refused(code) => {
                    let originator = self.cast_of(place)?;
                    let seal = query::newest_seal(&self.reader()?.view(), originator, message, recipient)?;
                    let envelope = EnvelopeKey { originator, message, recipient, seal: seal.unwrap_or(SealNumber(1)) };
                    out.frames.push((place, Refused { envelope, code }.into()));
                    Ok(())
                }
                other => Err(Halt::wrong(format_args!("a recall is answered {other:?}"))),
            },
        }
    }

    fn greet(
        &mut self,
        place: Place,
        hello: &Hello,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let (reader, peer) = (self.reader()?, self.cast_of(place)?);
        hello.check(&self.cast.network, peer).map_err(|code| Halt::wrong(format_args!("a hello: {code}")))?;
        self.unlink(place)?;
        check_own_logs(&reader, &keyed(&self.cast.hub.logs), &hello.checkpoints)?;
        let stored = query::evidence_stored(&reader.view(), peer)?;
        let shown = self.held(place)?;
        let newer = checkpoint_of_evidence(&reader, peer)?.filter(|note| shown.as_ref() != Some(note));
        let mut own = Vec::new();
        for log in [LogName::Traffic, LogName::Public] {
            if let Some(signed) = reader.checkpoint(log) {
                out.sign(log, &signed);
                own.push(signed.note().to_owned());
            }
        }
        let answer = Hello {
            versions: vec![PROTOCOL_VERSION],
            suites: vec![SUITE],
            network: self.cast.network,
            participant: ParticipantId::HUB,
            receipts: Cursor { epoch: stored.epoch, number: stored.number },
            checkpoints: shown.into_iter().chain(newer).collect(),
            own,
            public_size: reader.checkpoint(LogName::Public).map_or(0, |signed| signed.checkpoint().size),
            credit: Credit { envelopes: 256, bytes: 4 << 20 },
        };
        out.frames.push((place, answer.into()));
        let traffic = self.traffic();
        let after = if hello.receipts.epoch == traffic.epoch { hello.receipts.number } else { 0 };
        let link = Link {
            peer,
            turns: Turns::default(),
            resting: Vec::new(),
            offering: false,
            sent: after,
            acked: after,
            uploads: BTreeMap::new(),
            ahead: None,
        };
        self.mind()?.links.insert(place, link);
        self.push_receipts(place, out)?;
        self.deliver(place, moment, chance, out)
    }

    /// What `hub init` left: membership, entries, and the place of `public` in `traffic`.
    fn install(&mut self, moment: Moment, chance: &mut Chance) -> Result<(), Halt> {
        let statement = &self.cast.membership;
        let members = statement.unverified().members.iter();
        let admit = AdmitMembership {
            version: statement.unverified().version,
            membership: statement.digest(),
            bytes: statement.encode(),
            members: members.map(|member| (member.participant, member.suspended.clone())).collect(),
            actor: Actor::Daemon,
            stamp: stamp(moment, chance),
        };
        let mut commands = vec![Command::AdmitMembership(admit)];
        for party in self.cast.nodes.iter().chain([&self.cast.hub]) {
            commands.push(Command::AdmitEntry(AdmitEntry {
                participant: party.participant,
                version: 0,
                bytes: party.entry.encode(),
                follows: None,
                membership: statement.digest(),
                actor: Actor::Daemon,
                stamp: stamp(moment, chance),
            }));
        }
        let count = commands.len();
        let outcomes = self.machine.commit(commands, chance)?;
        let recorded = outcomes.iter().filter(|outcome| outcome.committed.reply == Reply::Recorded).count();
        if recorded != count {
            return Err(Halt::wrong("the directory is not admitted"));
        }
        let public = self.reader()?.checkpoint(LogName::Public);
        let Some(public) = public.map(|signed| signed.checkpoint().clone()) else { return Ok(()) };
        let record = RecordPublicCheckpoint { size: public.size, root: public.root, stamp: stamp(moment, chance) };
        self.machine.commit(vec![Command::RecordPublicCheckpoint(record)], chance)?;
        Ok(())
    }

    fn ask(&mut self, command: Command, asked: Asked, chance: &mut Chance, out: &mut Out) {
        if self.asked.is_empty() {
            out.chores.push((chance.between(1, GATHER_MS), Chore::Commit));
        }
        self.asked.push((command, asked));
    }

    fn reader(&self) -> Result<SimReader, Halt> {
        self.machine.reader().cloned().ok_or_else(|| Halt::wrong("the hub is down"))
    }

    fn reading(&mut self, moment: Moment) -> Result<Reading, Halt> {
        let steady = Duration::from_millis(moment.true_ms - self.mind()?.begun_ms);
        Ok(Reading { wall: moment.wall, steady })
    }

    fn mind(&mut self) -> Result<&mut Mind, Halt> {
        self.mind.as_mut().ok_or_else(|| Halt::wrong("the hub is down"))
    }

    fn has_link(&self, place: Place) -> bool {
        self.mind.as_ref().is_some_and(|mind| mind.links.contains_key(&place))
    }

    fn link(&mut self, place: Place) -> Result<&mut Link, Halt> {
        self.mind()?.links.get_mut(&place).ok_or_else(|| Halt::wrong("no such link"))
    }

    fn peer(&mut self, place: Place) -> Result<ParticipantId, Halt> {
        Ok(self.link(place)?.peer)
    }

    fn cast_of(&self, place: Place) -> Result<ParticipantId, Halt> {
        let party = place.checked_sub(1).and_then(|node| self.cast.nodes.get(node));
        party.map(|party| party.participant).ok_or_else(|| Halt::wrong("no such place"))
    }

    fn logs_of(&self, place: Place) -> Result<Vec<(LogOrigin, VerifyingKey)>, Halt> {
        let party = place.checked_sub(1).and_then(|node| self.cast.nodes.get(node));
        Ok(keyed(&party.ok_or_else(|| Halt::wrong("no such place"))?.logs))
    }

    fn traffic(&self) -> LogOrigin {
        let mut logs = self.cast.hub.logs.iter().map(|(origin, _)| *origin);
        let Some(traffic) = logs.find(|origin| origin.log == LogName::Traffic) else {
            panic!("a hub without `traffic`")
        };
        traffic
    }
}

/// Time and chance of one command.
#[must_use]
pub fn stamp(moment: Moment, chance: &mut Chance) -> Stamp {
    Stamp { now: moment.wall, seed: chance.bytes() }
}

/// Logs with the keys that verify them.
#[must_use]
pub fn keyed(logs: &[(LogOrigin, SigningKey)]) -> Vec<(LogOrigin, VerifyingKey)> {
    logs.iter().map(|(origin, key)| (*origin, key.verifying_key())).collect()
}

/// When the newest event was decided.
///
/// # Errors
/// [`Halt`].
pub fn newest_event(reader: &SimReader) -> Result<Newest, Halt> {
    let sizes = [LogName::Node, LogName::Traffic, LogName::Public].map(|log| reader.checkpoint(log));
    let events: u64 = sizes.iter().flatten().map(|signed| signed.checkpoint().size).sum();
    let Some(last) = events.checked_sub(1) else { return Ok(Newest::None) };
    let newest = reader.events(last, 1)?.pop();
    let newest = newest.and_then(|newest| Event::decode(&newest.bytes).ok());
    Ok(newest.map_or(Newest::Doubtful, |event| Newest::Event(event.time)))
}
