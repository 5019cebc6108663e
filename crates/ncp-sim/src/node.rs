//! A node: the product's core over a machine, and the small synchronous shell that performs what it decides.
//!
//! Sealing, the look at the queue, judging, opening, the look at evidence and the streams of receipts are the node's own
//! code; here stands the order of steps alone.

mod commit;
mod incoming;
mod install;
mod link;
mod outgoing;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ncp_node::core::NodeCore;
use ncp_node::core::command::{Ask, Command, Done, Refusal};
use ncp_node::core::tables::{
    ENVELOPE, EnvelopeStage, OFFICER, PAIR_OPEN, QUEUE, RECEIPT_LAST, RECEIPTS_STORED, ReceiptsStoredRow,
};
use ncp_node::entries::{DirectoryView, Statements};
use ncp_node::means::Means;
use ncp_node::submission::QueueKey;
use ncp_node::vault::Vault;
use ncp_protocol::directory::Timestamp;
use ncp_protocol::event::{Actor, EnvelopeKey};
use ncp_protocol::frame::{BodyChunk, Bye, Checkpoint, Cursor, Frame};
use ncp_protocol::ids::{Digest, Epoch, LogName, MessageId, ParticipantId};
use ncp_protocol::limits::DAY_MS;
use ncp_store::clock::{Belief, Reading, Voices};
use ncp_store::index::MemoryIndex;
use zeroize::Zeroizing;

use self::commit::Asked;
use self::incoming::Inflow;
pub use self::install::{DRAFTER, RELEASER, SUPERVISOR};
use crate::cast::{Cast, Party};
use crate::chance::Chance;
use crate::disk::SimDisk;
use crate::hub::{Moment, newest_event};
use crate::machine::{Machine, SimReader};
use crate::shell::{Chore, HUB, Halt, MessageOf, Out, Place};

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
    in_flight: BTreeMap<EnvelopeKey, QueueKey>,
    /// Asked to be deleted while an envelope of it was on its way.
    recalls_again: BTreeSet<(MessageId, ParticipantId)>,
    inflows: BTreeMap<MessageOf, Inflow>,
    /// A chunk that nobody asked for: the body of the delivery behind it.
    ahead: Option<BodyChunk>,
    seen: BTreeSet<Digest>,
    /// Number of the next receipt of ours, and of the last one acknowledged.
    next: u64,
    acknowledged: u64,
    /// What the hub had when the link began.
    begun_at: u64,
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
        PAIR_OPEN.scan(&reader.view(), &(), |_, _| {
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
            keys: Arc::clone(&party.keys),
            vault: &self.vault,
            now: moment.wall,
            // A delivery is judged by the clock; one that is not believed stops the tick, too.
            believes_clock: true,
            wrap_seed: Zeroizing::new(chance.bytes()),
            nonce: chance.bytes(),
        })
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
        Statements { membership: Some(membership), timestamp: Some(timestamp), root_until: None }
    }

    fn reader(&self) -> Result<SimReader, Halt> {
        self.machine.reader().cloned().ok_or_else(|| Halt::wrong("the node is down"))
    }

    fn mind(&mut self) -> Result<&mut Mind, Halt> {
        self.mind.as_mut().ok_or_else(|| Halt::wrong("the node is down"))
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

/// The whole queue.
fn queue(reader: &SimReader) -> Result<Vec<QueueKey>, Halt> {
    let mut places = Vec::new();
    QUEUE.scan(&reader.view(), &(), |place, ()| {
        places.push(place);
        core::ops::ControlFlow::Continue(())
    })?;
    Ok(places)
}
