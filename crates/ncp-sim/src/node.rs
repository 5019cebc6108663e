//! A node: the product's core over a machine, and the small synchronous shell that performs what it decides.
//!
//! Sealing, the look at the queue, judging, opening, the look at evidence and the streams of receipts are the node's own
//! code; here stands the order of steps alone.

mod incoming;
mod outgoing;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ncp_node::core::NodeCore;
use ncp_node::core::command::{Ask, Begin, Command, Done, Effect, EntryNews, NewOfficer, Refusal};
use ncp_node::core::tables::{
    ENVELOPE, EnvelopeStage, OFFICER, PAIR_OPEN, QUEUE, RECEIPT_LAST, RECEIPTS_STORED, ReceiptsStoredRow,
};
use ncp_node::entries::{DirectoryView, Statements, entry_record};
use ncp_node::means::Means;
use ncp_node::submission::{self, QueueKey};
use ncp_node::vault::Vault;
use ncp_protocol::directory::Timestamp;
use ncp_protocol::event::{Actor, EnvelopeKey, Role};
use ncp_protocol::frame::{Bye, Checkpoint, Credit, Cursor, Frame, Hello};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Digest, Epoch, LogName, MessageId, OfficerNumber, ParticipantId, UnixMillis};
use ncp_protocol::keys::{Signature, SigningKey};
use ncp_protocol::limits::{DAY_MS, PROTOCOL_VERSION};
use ncp_store::clock::{Belief, Reading, Voices};
use ncp_store::index::MemoryIndex;
use ncp_store::spool::Record;
use zeroize::Zeroizing;

use self::incoming::Inflow;
use self::outgoing::InFlight;
use crate::cast::{Cast, HUB_AHEAD_MS, Party, START};
use crate::chance::Chance;
use crate::disk::SimDisk;
use crate::hub::{Moment, keyed, newest_event, stamp};
use crate::machine::{Machine, SimReader};
use crate::shell::{Chore, HUB, Halt, MessageOf, Out, Place, check_own_logs, keep_newest};

/// How long commands gather, at most.
const GATHER_MS: u64 = 8;
/// How long a dialled hub may take to say hello.
const HELLO_PATIENCE_MS: u64 = 10_000;

/// A node.
pub struct Node {
    /// Its machine.
    pub machine: Machine<NodeCore>,
    place: Place,
    cast: Rc<Cast>,
    vault: Vault,
    mind: Option<Mind>,
    asked: Vec<(Command, Asked)>,
    /// What the officers' own requests came to, for whoever asked: request number, reply.
    pub answered: Vec<(u64, Result<Done, Refusal>)>,
}

/// What a life has in memory.
struct Mind {
    begun_ms: u64,
    belief: Belief,
    directory: Arc<DirectoryView>,
    statements: Arc<Statements>,
    /// Envelopes to seal.
    jobs: BTreeSet<(MessageId, ParticipantId)>,
    /// How much of the hub's stream is stored.
    stored: Cursor,
    link: Option<Link>,
}

/// The link to the hub.
struct Link {
    begun_ms: u64,
    greeted: bool,
    candidates: BTreeSet<QueueKey>,
    held: BTreeSet<QueueKey>,
    deferred: BTreeSet<(u64, QueueKey)>,
    refusals: BTreeMap<QueueKey, u32>,
    in_flight: BTreeMap<EnvelopeKey, InFlight>,
    recalls_again: BTreeSet<(MessageId, ParticipantId)>,
    inflows: BTreeMap<MessageOf, Inflow>,
    seen: BTreeSet<Digest>,
    /// Number of the next receipt of ours, and of the last one acknowledged.
    next: u64,
    acknowledged: u64,
    /// What the hub had when the link began.
    begun_at: u64,
}

/// Who asked, and what for.
enum Asked {
    Own,
    Seal { place: QueueKey, job: (MessageId, ParticipantId) },
    Consign { header: Digest },
    Evidence { envelope: EnvelopeKey, last: Option<Cursor> },
    Officer { request: u64 },
}

impl Node {
    /// A node that was never started.
    #[must_use]
    pub fn new(machine: Machine<NodeCore>, place: Place, cast: Rc<Cast>) -> Self {
        let storage = place.checked_sub(1).and_then(|node| cast.nodes.get(node)).map(|party| party.storage);
        let vault = Vault::new(&storage.unwrap_or_default());
        Self { machine, place, cast, vault, mind: None, asked: Vec::new(), answered: Vec::new() }
    }

    /// Begins a life behind a recovery.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn begin(&mut self, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        self.asked.clear();
        let reader = self.reader()?;
        if OFFICER.row(&reader.view(), &SUPERVISOR.0)?.is_none() {
            self.install(moment, chance)?;
        }
        let reader = self.reader()?;
        let nothing = ReceiptsStoredRow { epoch: Epoch(0), number: 0 };
        let ReceiptsStoredRow { epoch, number } = RECEIPTS_STORED.row(&reader.view(), &())?.unwrap_or(nothing);
        let directory = DirectoryView::load(&reader, &self.cast.network)?;
        let newest = newest_event(&reader)?;
        let mut jobs = BTreeSet::new();
        for (_, _, message, recipient) in queue(&reader)? {
            let row = ENVELOPE.row(&reader.view(), &(message, recipient))?;
            if row.is_some_and(|row| row.stage == EnvelopeStage::Released) {
                jobs.insert((message, recipient));
            }
        }
        self.mind = Some(Mind {
            begun_ms: moment.true_ms,
            belief: Belief::new(Voices::Hub, Reading { wall: moment.wall, steady: Duration::ZERO }, newest),
            directory: Arc::new(directory),
            statements: Arc::new(self.statements(moment)),
            jobs,
            stored: Cursor { epoch, number },
            link: None,
        });
        out.chores.push((chance.between(1, 2_000), Chore::Dial));
        self.seal(moment, chance, out)
    }

    /// The life is over.
    pub fn end(&mut self) {
        self.mind = None;
        self.asked.clear();
    }

    /// Dials the hub: says hello on a fresh connection.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn dial(&mut self, moment: Moment, out: &mut Out) -> Result<(), Halt> {
        let reader = self.reader()?;
        let statements = self.statements(moment);
        let Some(running) = self.machine.running() else { return Ok(()) };
        let checkpoints = running.held.all();
        let own = reader.checkpoint(LogName::Node);
        if let Some(own) = &own {
            out.sign(LogName::Node, own);
        }
        let mind = self.mind()?;
        mind.statements = Arc::new(statements);
        let hello = Hello {
            versions: vec![PROTOCOL_VERSION],
            suites: vec![SUITE],
            network: self.cast.network,
            participant: self.party()?.participant,
            receipts: self.mind()?.stored,
            checkpoints,
            own: own.map(|signed| signed.note().to_owned()).into_iter().collect(),
            public_size: 0,
            credit: Credit { envelopes: 256, bytes: 4 << 20 },
        };
        out.frames.push((HUB, hello.into()));
        self.mind()?.link = Some(Link {
            begun_ms: moment.true_ms,
            greeted: false,
            candidates: BTreeSet::new(),
            held: BTreeSet::new(),
            deferred: BTreeSet::new(),
            refusals: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            recalls_again: BTreeSet::new(),
            inflows: BTreeMap::new(),
            seen: BTreeSet::new(),
            next: 1,
            acknowledged: 0,
            begun_at: 0,
        });
        Ok(())
    }

    /// Whether a link stands or is being made.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.mind.as_ref().is_some_and(|mind| mind.link.is_some())
    }

    /// The link has ended; bodies on their way in are synced as far as they came.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn unlink(&mut self) -> Result<(), Halt> {
        let link = self.mind.as_mut().and_then(|mind| mind.link.take());
        for (_, inflow) in link.map(|link| link.inflows).unwrap_or_default() {
            inflow.pause()?;
        }
        Ok(())
    }

    /// Takes a frame of the hub.
    ///
    /// # Errors
    /// [`Halt`].
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes is a violation")]
    pub fn take(&mut self, frame: Frame, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        if !self.is_linked() {
            return Ok(());
        }
        match frame {
            Frame::Hello(hello) => self.greeted(&hello, moment, chance, out),
            Frame::BodyWanted(wanted) => self.send_body(&wanted, out),
            Frame::BodyChunk(chunk) => self.chunk(chunk, moment, chance, out),
            Frame::Deliver(deliver) => self.delivered(deliver, moment, chance, out),
            Frame::Receipts(receipts) => self.heard(receipts, moment, chance, out),
            Frame::ReceiptsStored(stored) => {
                let link = self.link()?;
                link.acknowledged = link.acknowledged.max(stored.cursor.number);
                self.state(out)
            }
            Frame::Refused(refused) => self.refused(&refused, moment, chance, out),
            Frame::Checkpoint(checkpoint) => self.keep(&checkpoint.notes),
            Frame::Credit(_) => Ok(()),
            Frame::Bye(Bye { code }) => Err(Halt::wrong(format_args!("the hub says bye: {code:?}"))),
            other => Err(Halt::wrong(format_args!("the hub sent {}", other.name()))),
        }
    }

    /// Lets clocks strike and looks at what waits.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn tick(&mut self, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        if self.believes(moment)? {
            self.ask(Actor::Daemon, Ask::Tick, Asked::Own, (moment, chance, out));
        }
        if let Some(link) = &self.mind()?.link
            && !link.greeted
            && moment.true_ms - link.begun_ms > HELLO_PATIENCE_MS
        {
            out.cuts.push(self.place);
        }
        self.recall_again(out)?;
        self.seal(moment, chance, out)?;
        self.submit(moment, out)?;
        if chance.below(4) == 0
            && self.is_greeted()
            && let Some(newest) = self.reader()?.checkpoint(LogName::Node)
        {
            out.sign(LogName::Node, &newest);
            out.frames.push((HUB, Checkpoint { notes: vec![newest.note().to_owned()] }.into()));
        }
        Ok(())
    }

    fn believes(&mut self, moment: Moment) -> Result<bool, Halt> {
        let mind = self.mind()?;
        let steady = Duration::from_millis(moment.true_ms - mind.begun_ms);
        Ok(mind.belief.holds(Reading { wall: moment.wall, steady }))
    }

    /// Asks on an officer's behalf; the answer comes to [`Node::answered`] under this number.
    pub fn request(
        &mut self,
        request: u64,
        officer: OfficerNumber,
        ask: Ask,
        context: (Moment, &mut Chance, &mut Out),
    ) {
        let actor = Actor::Officer { number: officer, signature: Signature([1; 64]), request: Digest([1; 32]) };
        self.ask(actor, ask, Asked::Officer { request }, context);
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
            self.answer(asked, outcome.committed.reply, out)?;
        }
        for effect in effects {
            self.perform(effect, out)?;
        }
        self.seal(moment, chance, out)?;
        self.submit(moment, out)?;
        if has_events {
            out.chores.push((chance.below(50), Chore::Settle));
        }
        Ok(())
    }

    /// What of this node still waits, if anything.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn waits(&mut self) -> Result<Option<String>, Halt> {
        let reader = self.reader()?;
        let (queued, last) = (queue(&reader)?.len(), RECEIPT_LAST.row(&reader.view(), &())?.unwrap_or(0));
        if queued > 0 {
            return Ok(Some(format!("place {} has {queued} envelopes in its queue", self.place)));
        }
        let mut open = 0;
        PAIR_OPEN.scan(&reader.view(), &(), |_, ()| {
            open += 1;
            core::ops::ControlFlow::Continue(())
        })?;
        if open > 0 {
            return Ok(Some(format!("I6: place {} has {open} numbers open", self.place)));
        }
        if !self.is_greeted() {
            return Ok(Some(format!("place {} has no link", self.place)));
        }
        let acknowledged = self.link()?.acknowledged;
        if acknowledged < last {
            return Ok(Some(format!("place {} has {acknowledged} of {last} receipts acknowledged", self.place)));
        }
        Ok(None)
    }

    /// The means of one job.
    fn means<'a>(
        &'a self,
        reader: &'a SimReader,
        moment: Moment,
        chance: &mut Chance,
    ) -> Result<Means<'a, SimDisk, MemoryIndex>, Halt> {
        let (party, mind) = (self.party()?, self.mind.as_ref().ok_or_else(|| Halt::wrong("the node is down"))?);
        Ok(Means {
            participant: party.participant,
            network: self.cast.network,
            reader,
            directory: Arc::clone(&mind.directory),
            statements: Arc::clone(&mind.statements),
            signing: &party.signing,
            signing_valid: party.entry.unverified().keys.signing,
            sealing: &party.sealing,
            vault: &self.vault,
            now: moment.wall,
            // A delivery is judged by the clock; one that is not believed stops the tick, too.
            believes_clock: true,
            wrap_seed: Zeroizing::new(chance.bytes()),
            nonce: chance.bytes(),
        })
    }

    fn answer(&mut self, asked: Asked, reply: Result<Done, Refusal>, out: &mut Out) -> Result<(), Halt> {
        match asked {
            Asked::Own => reply.map(|_| ()).map_err(|refusal| Halt::wrong(format_args!("the core refuses: {refusal}"))),
            Asked::Seal { place, job } => match reply {
                Ok(_) => {
                    if let Some(link) = &mut self.mind()?.link {
                        link.candidates.insert(place);
                    }
                    Ok(())
                }
                Err(Refusal::Stale) => {
                    self.mind()?.jobs.insert(job);
                    Ok(())
                }
                Err(refusal) => Err(Halt::wrong(format_args!("the core takes no seal: {refusal}"))),
            },
            Asked::Consign { header } => {
                if let Some(link) = &mut self.mind()?.link {
                    link.seen.remove(&header);
                }
                match reply {
                    Ok(Done::Evidence { earlier: Some(leaf), .. }) => self.restate(leaf, out),
                    Ok(_) => Ok(()),
                    Err(refusal) => Err(Halt::wrong(format_args!("the core takes no message: {refusal}"))),
                }
            }
            Asked::Evidence { envelope, last } => {
                if let Err(refusal) = reply {
                    return Err(Halt::wrong(format_args!("the core takes no evidence: {refusal}")));
                }
                self.settled(&envelope)?;
                match last {
                    Some(cursor) => self.acknowledge(cursor, out),
                    None => Ok(()),
                }
            }
            Asked::Officer { request } => {
                self.answered.push((request, reply));
                Ok(())
            }
        }
    }

    fn perform(&mut self, effect: Effect, out: &mut Out) -> Result<(), Halt> {
        match effect {
            Effect::SealEnvelope { message, recipient } => {
                self.mind()?.jobs.insert((message, recipient));
                Ok(())
            }
            Effect::SendReceipts => self.state(out),
            Effect::SendRecall { message, recipient } => {
                if self.is_greeted() {
                    out.frames.push((HUB, ncp_protocol::frame::Recall { message, recipient }.into()));
                }
                Ok(())
            }
            Effect::HoldsChanged => {
                if let Some(link) = &mut self.mind()?.link {
                    link.candidates.append(&mut link.held);
                }
                Ok(())
            }
            Effect::SubmitEnvelope { .. } | Effect::DirectoryChanged | Effect::Announce => Ok(()),
        }
    }

    fn greeted(&mut self, hello: &Hello, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        let (reader, party) = (self.reader()?, self.party()?);
        hello
            .check(&self.cast.network, ParticipantId::HUB)
            .map_err(|code| Halt::wrong(format_args!("a hello: {code}")))?;
        check_own_logs(&reader, &keyed(&party.logs), &hello.checkpoints)?;
        let sent = RECEIPT_LAST.row(&reader.view(), &())?.unwrap_or(0);
        let epoch = party.identity().origin.epoch;
        let stored = if hello.receipts.epoch == epoch { hello.receipts.number } else { 0 };
        if stored > sent {
            return Err(Halt::wrong(format_args!("I4: the hub stored {stored} receipts of a node that stated {sent}")));
        }
        self.keep(&hello.own)?;
        let mind = self.mind()?;
        let steady = Duration::from_millis(moment.true_ms - mind.begun_ms);
        // What the hub's newest timestamp would say.
        let said = UnixMillis(START.0 + moment.true_ms + HUB_AHEAD_MS);
        mind.belief.heard(ParticipantId::HUB, said, Reading { wall: moment.wall, steady });
        let recalls = submission::pending_recalls(&reader)?;
        let link = self.link()?;
        link.greeted = true;
        (link.begun_at, link.next, link.acknowledged) = (stored, stored + 1, stored);
        link.candidates = queue(&reader)?.into_iter().collect();
        for (message, recipient) in recalls {
            out.frames.push((HUB, ncp_protocol::frame::Recall { message, recipient }.into()));
        }
        self.state(out)?;
        self.seal(moment, chance, out)?;
        self.submit(moment, out)
    }

    fn keep(&mut self, notes: &[String]) -> Result<(), Halt> {
        let logs = keyed(&self.cast.hub.logs);
        let Some(running) = self.machine.running() else { return Ok(()) };
        keep_newest(&running.held, &logs, notes)
    }

    /// Officers, rules and everyone's entries, pinned: what joining leaves.
    fn install(&mut self, moment: Moment, chance: &mut Chance) -> Result<(), Halt> {
        let officer = |number: OfficerNumber, roles: &[Role]| NewOfficer {
            number,
            key: SigningKey::from_seed(&[u8::try_from(number.0).unwrap_or(0); 32]).verifying_key(),
            uid: u32::from(number.0) + 1_000,
            roles: roles.to_vec(),
        };
        let officers = vec![
            officer(DRAFTER, &[Role::Drafter]),
            officer(RELEASER, &[Role::Drafter, Role::Releaser]),
            officer(SUPERVISOR, &[Role::Releaser, Role::Supervisor]),
        ];
        let mut asks = vec![Ask::Begin(Begin { officers, rules: self.cast.rules.clone() })];
        let own = self.party()?.participant;
        let parties = || self.cast.nodes.iter().chain([&self.cast.hub]).filter(|party| party.participant != own);
        let news = |party: &Party| EntryNews::Entry {
            participant: party.participant,
            version: 0,
            record: Record { name: entry_record(party.entry.digest()), bytes: party.entry.encode() },
        };
        asks.push(Ask::AcceptEntries(parties().map(news).collect()));
        asks.extend(
            parties().map(|party| Ask::PinEntry { participant: party.participant, fingerprint: party.entry.digest() }),
        );
        let command = |ask| Command { stamp: stamp(moment, chance), actor: Actor::Daemon, ask };
        let commands = asks.into_iter().map(command).collect();
        for outcome in self.machine.commit(commands, chance)? {
            outcome.committed.reply.map_err(|refusal| Halt::wrong(format_args!("installing: {refusal}")))?;
        }
        Ok(())
    }

    fn statements(&self, moment: Moment) -> Statements {
        let membership = self.cast.membership.unverified().clone();
        let timestamp = Timestamp {
            network: self.cast.network,
            issued: moment.wall,
            expires: moment.wall.plus_millis(DAY_MS),
            membership_version: membership.version,
            membership_digest: self.cast.membership.digest(),
            public_size: 0,
            public_root: Digest([0; 32]),
        };
        Statements { membership: Some(membership), timestamp: Some(timestamp) }
    }

    fn ask(&mut self, actor: Actor, ask: Ask, asked: Asked, (moment, chance, out): (Moment, &mut Chance, &mut Out)) {
        if self.asked.is_empty() {
            out.chores.push((chance.between(1, GATHER_MS), Chore::Commit));
        }
        self.asked.push((Command { stamp: stamp(moment, chance), actor, ask }, asked));
    }

    fn reader(&self) -> Result<SimReader, Halt> {
        self.machine.reader().cloned().ok_or_else(|| Halt::wrong("the node is down"))
    }

    fn mind(&mut self) -> Result<&mut Mind, Halt> {
        self.mind.as_mut().ok_or_else(|| Halt::wrong("the node is down"))
    }

    fn is_greeted(&self) -> bool {
        self.mind.as_ref().and_then(|mind| mind.link.as_ref()).is_some_and(|link| link.greeted)
    }

    fn link(&mut self) -> Result<&mut Link, Halt> {
        self.mind()?.link.as_mut().ok_or_else(|| Halt::wrong("no link"))
    }

    fn party(&self) -> Result<&Party, Halt> {
        let party = self.place.checked_sub(1).and_then(|node| self.cast.nodes.get(node));
        party.ok_or_else(|| Halt::wrong("no such node"))
    }

    /// Seals content at rest, for whoever drafts.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }
}

/// Who drafts.
pub const DRAFTER: OfficerNumber = OfficerNumber(1);
/// Who releases.
pub const RELEASER: OfficerNumber = OfficerNumber(2);
/// Who may hold and lift.
pub const SUPERVISOR: OfficerNumber = OfficerNumber(9);

/// The whole queue.
fn queue(reader: &SimReader) -> Result<Vec<QueueKey>, Halt> {
    let mut places = Vec::new();
    QUEUE.scan(&reader.view(), &(), |place, ()| {
        places.push(place);
        core::ops::ControlFlow::Continue(())
    })?;
    Ok(places)
}
