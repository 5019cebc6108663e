//! A run: machines, wires, officers and mischief under one virtual clock.
//!
//! Everything that happens has a time in milliseconds and a number; the order of both is the order of the run, and what
//! happens enters the trace hash. Nothing asks the system for time or chance.

mod mischief;
mod quiet;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::rc::Rc;

use ncp_node::core::NodeCore;
use ncp_protocol::frame::Frame;
use ncp_protocol::ids::{Digest, LogName, ParticipantId, UnixMillis};
use ncp_protocol::keys::sha256;
use ncp_relay::core::{Quotas, Relay};
use ncp_store::recovery::LogKey;

use crate::cast::{Cast, HUB_AHEAD_MS, Party, START};
use crate::chance::Chance;
use crate::check::History;
use crate::defect::{Defect, HubCore};
use crate::disk::Syncs;
use crate::hub::{Hub, Moment};
use crate::machine::{Machine, Recovery};
use crate::node::Node;
use crate::shell::{Chore, HUB, Halt, Out, Place, Places};
use crate::wire::{Arrival, Way, Weather, Wire};
use crate::work::{Desk, Office};

/// An officer does something so often, on average.
const WORK_MS: u64 = 40_000;

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// Simulated milliseconds until all faults heal.
    pub length_ms: u64,
    /// What is broken on purpose.
    pub defect: Defect,
    /// Whether each step is told on standard error.
    pub telling: Telling,
}

/// Whether a run tells what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// No.
    Silent,
    /// Each step.
    Steps,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of everything that happened, in order.
    pub trace: Digest,
    /// What was done and suffered.
    pub counts: Counts,
}

/// What was done and suffered in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Things that happened.
    pub steps: u64,
    /// Messages drafted.
    pub messages: u64,
    /// Envelopes that the hub accepted.
    pub envelopes: u64,
    /// Envelopes that were consigned.
    pub consigned: u64,
    /// Lives that ended by a crash.
    pub crashes: u64,
    /// Lives that ended because the disk failed.
    pub disk_failures: u64,
    /// Starts that a fault interrupted.
    pub failed_starts: u64,
    /// Connections that were cut.
    pub cuts: u64,
    /// Partitions and clogged paths.
    pub partitions: u64,
    /// Machines that stood still for a while.
    pub pauses: u64,
    /// Writes that went astray.
    pub astray: u64,
    /// Journals that were read whole and checked.
    pub audits: u64,
    /// Leaves and checkpoints that left a machine.
    pub shown: u64,
    /// How long everything took to drain after the last fault.
    pub drained_ms: u64,
}

/// A run that came to what must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Simulated milliseconds since the beginning.
    pub at_ms: u64,
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
}

/// Something that happens at a place.
#[derive(Debug, Clone)]
enum Happening {
    /// A frame arrives on a node's connection.
    Frame { node: Place, way: Way, wire: u64, kind: u8, payload: Rc<Vec<u8>> },
    /// A chore of a life is due.
    Chore { chore: Chore, life: u64 },
    /// A node's connection ends, as the node sees it.
    Cut { wire: u64 },
    /// The hub sees that a node's connection has ended.
    HubNotices { node: Place, wire: u64 },
    /// A machine starts.
    Restart,
    /// A machine goes on.
    Resume,
    /// Something bad is about to happen somewhere.
    Mischief,
    /// A period of faults or of calm begins.
    Weather,
    /// The hub tells its checkpoints.
    Tell,
}

/// The world of a run.
pub struct World {
    plan: Plan,
    cast: Rc<Cast>,
    names: Vec<ParticipantId>,
    hub: Hub,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    offices: Vec<Office>,
    queue: BTreeMap<(u64, u64), (Place, Happening)>,
    numbered: u64,
    now: u64,
    chance: Chance,
    weather: Weather,
    calm: bool,
    winding_up: bool,
    paused: BTreeMap<Place, Vec<(u64, Happening)>>,
    // Places whose present life may meet a planned fault of the disk.
    doomed: BTreeSet<Place>,
    // Starts to come that a fault interrupts.
    bad_starts: u32,
    history: History,
    trace: Digest,
    counts: Counts,
}

impl World {
    /// A network that was never started.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let mut chance = Chance::new(plan.seed, 1);
        let count = usize::try_from(chance.between(2, 4)).unwrap_or(2);
        let cast = Rc::new(Cast::new(count));
        let names: Vec<ParticipantId> =
            [&cast.hub].into_iter().chain(&cast.nodes).map(|party| party.participant).collect();
        let places = Places(names.iter().enumerate().map(|(place, name)| (*name, place)).collect());
        let (syncs, recovery) = match plan.defect {
            Defect::ReceiptBeforeSync => (Syncs::PutOff, Recovery::AsBuilt),
            Defect::WrongCut => (Syncs::AtOnce, Recovery::CutsTooMuch),
            Defect::None | Defect::DuplicateForgotten => (Syncs::AtOnce, Recovery::AsBuilt),
        };
        let hub_core = HubCore::new(relay(&cast), plan.defect);
        let hub = machine(&cast.hub, hub_core, HUB_AHEAD_MS).with(syncs, recovery);
        let hub = Hub::new(hub, Rc::clone(&cast), places);
        let mut nodes = Vec::new();
        for (number, party) in cast.nodes.iter().enumerate() {
            let ahead = chance.below(120_000);
            let machine = machine(party, NodeCore::new(party.identity()), ahead).with(syncs, recovery);
            nodes.push(Node::new(machine, number + 1, Rc::clone(&cast)));
        }
        let wires = vec![Wire::default(); count + 1];
        let offices = (0..=count).map(|_| Office::default()).collect();
        Self {
            plan,
            cast,
            names,
            hub,
            nodes,
            wires,
            offices,
            queue: BTreeMap::new(),
            numbered: 0,
            now: 0,
            chance,
            weather: Weather::FAIR,
            calm: true,
            winding_up: false,
            paused: BTreeMap::new(),
            doomed: BTreeSet::new(),
            bad_starts: 0,
            history: History::default(),
            trace: Digest([0; 32]),
            counts: Counts::default(),
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// [`Violation`], the first.
    pub fn run(mut self) -> Result<Report, Violation> {
        for place in 0..self.names.len() {
            self.push(0, place, Happening::Restart);
        }
        self.push(120_000, HUB, Happening::Weather);
        self.push(20_000, HUB, Happening::Mischief);
        self.push(60_000, HUB, Happening::Tell);
        while self.now < self.plan.length_ms {
            self.step()?;
        }
        self.wind_up()?;
        Ok(Report { trace: self.trace, counts: self.counts })
    }

    fn step(&mut self) -> Result<(), Violation> {
        let Some(((time, number), (place, happening))) = self.queue.pop_first() else {
            return Err(self.violation(HUB, "I7: nothing happens any more".to_owned()));
        };
        self.now = time;
        let stands_still = match happening {
            Happening::Resume | Happening::Weather | Happening::Mischief => false,
            Happening::Frame { .. }
            | Happening::Chore { .. }
            | Happening::Cut { .. }
            | Happening::HubNotices { .. }
            | Happening::Restart
            | Happening::Tell => true,
        };
        if let Some(waiting) = self.paused.get_mut(&place).filter(|_| stands_still) {
            waiting.push((number, happening));
            return Ok(());
        }
        self.counts.steps += 1;
        self.note(place, &happening);
        let mut out = Out::default();
        let happened = self.happen(place, happening, &mut out).and_then(|()| self.carry(place, out));
        match happened {
            Ok(()) => Ok(()),
            // Nothing of what the step would have sent leaves; what its commit came to is unknown.
            Err(Halt::Disk(reason)) if self.doomed.contains(&place) => {
                self.tell(place, &format!("the disk failed: {reason}"));
                self.disk_failed(place);
                Ok(())
            }
            Err(Halt::Disk(reason)) => Err(self.violation(place, format!("the disk failed without a fault: {reason}"))),
            Err(Halt::Wrong(what)) => Err(self.violation(place, what)),
        }
    }

    fn happen(&mut self, place: Place, happening: Happening, out: &mut Out) -> Result<(), Halt> {
        match happening {
            Happening::Frame { node, way, wire, kind, payload } => {
                let frame = Frame::decode(kind, &payload);
                let frame = frame.map_err(|error| Halt::wrong(format_args!("a frame: {error}")))?;
                match way {
                    Way::ToHub => self.reaches_hub(node, wire, frame, out),
                    Way::ToNode => self.reaches_node(node, wire, frame, out),
                }
            }
            Happening::Chore { chore, life } => self.chore(place, chore, life, out),
            Happening::Cut { wire } => self.cut(place, wire),
            Happening::HubNotices { node, wire } => {
                let ended = self.wire(node).at_hub.take_if(|at_hub| *at_hub == wire);
                if ended.is_some() { self.hub.unlink(node) } else { Ok(()) }
            }
            Happening::Restart => self.restart(place, out),
            Happening::Resume => {
                for (number, happening) in self.paused.remove(&place).unwrap_or_default() {
                    self.queue.insert((self.now, number), (place, happening));
                }
                Ok(())
            }
            Happening::Mischief => {
                self.mischief();
                Ok(())
            }
            Happening::Weather => self.change_weather(),
            Happening::Tell => {
                self.push(60_000, HUB, Happening::Tell);
                if self.hub.machine.is_up() { self.hub.tell_checkpoints(out) } else { Ok(()) }
            }
        }
    }

    fn reaches_hub(&mut self, node: Place, wire: u64, frame: Frame, out: &mut Out) -> Result<(), Halt> {
        if !self.hub.machine.is_up() {
            return Ok(());
        }
        let standing = &mut self.wire(node).at_hub;
        if matches!(frame, Frame::Hello(_)) && standing.is_none_or(|standing| standing < wire) {
            *standing = Some(wire);
        } else if *standing != Some(wire) {
            return Ok(());
        }
        let moment = self.moment(HUB);
        self.hub.take(node, frame, moment, &mut self.chance, out)
    }

    fn reaches_node(&mut self, place: Place, wire: u64, frame: Frame, out: &mut Out) -> Result<(), Halt> {
        let standing = self.wire(place);
        if !standing.stands || standing.number != wire {
            return Ok(());
        }
        let moment = self.moment(place);
        match self.nodes.get_mut(place - 1) {
            Some(node) if node.machine.is_up() => node.take(frame, moment, &mut self.chance, out),
            Some(_) | None => Ok(()),
        }
    }

    fn cut(&mut self, place: Place, number: u64) -> Result<(), Halt> {
        let wire = self.wire(place);
        if !wire.stands || wire.number != number {
            return Ok(());
        }
        wire.stands = false;
        self.counts.cuts += 1;
        let notices = self.chance.below(10_000);
        self.push(notices, HUB, Happening::HubNotices { node: place, wire: number });
        let dials = self.chance.between(50, 3_000);
        let Some(node) = self.nodes.get_mut(place - 1) else { return Ok(()) };
        let life = node.machine.life;
        if node.machine.is_up() {
            node.unlink()?;
        }
        self.push(dials, place, Happening::Chore { chore: Chore::Dial, life });
        Ok(())
    }

    fn chore(&mut self, place: Place, chore: Chore, life: u64, out: &mut Out) -> Result<(), Halt> {
        let (current, is_up) = match place.checked_sub(1).map(|node| self.nodes.get(node)) {
            None => (self.hub.machine.life, self.hub.machine.is_up()),
            Some(Some(node)) => (node.machine.life, node.machine.is_up()),
            Some(None) => return Ok(()),
        };
        if current != life || !is_up {
            return Ok(());
        }
        let moment = self.moment(place);
        if place == HUB {
            return self.hub_chore(chore, moment, out);
        }
        self.node_chore(place, chore, moment, out)
    }

    fn hub_chore(&mut self, chore: Chore, moment: Moment, out: &mut Out) -> Result<(), Halt> {
        match chore {
            Chore::Commit => self.hub.commit(moment, &mut self.chance, out),
            Chore::Settle => Ok(self.hub.machine.settle()?),
            Chore::Tick => {
                out.chores.push((self.chance.between(1_000, 8_000), Chore::Tick));
                self.hub.tick(moment, &mut self.chance, out)
            }
            Chore::Snapshot => {
                out.chores.push((self.chance.wait(600_000), Chore::Snapshot));
                Ok(self.hub.machine.snapshot()?)
            }
            Chore::Dial | Chore::Work => Ok(()),
        }
    }

    fn node_chore(&mut self, place: Place, chore: Chore, moment: Moment, out: &mut Out) -> Result<(), Halt> {
        let (Some(node), Some(office), Some(wire)) =
            (self.nodes.get_mut(place - 1), self.offices.get_mut(place), self.wires.get_mut(place))
        else {
            return Ok(());
        };
        match chore {
            Chore::Commit => {
                node.commit(moment, &mut self.chance, out)?;
                office.hear(core::mem::take(&mut node.answered))
            }
            Chore::Settle => Ok(node.machine.settle()?),
            Chore::Tick => {
                out.chores.push((self.chance.between(1_000, 8_000), Chore::Tick));
                node.tick(moment, &mut self.chance, out)
            }
            Chore::Snapshot => {
                out.chores.push((self.chance.wait(600_000), Chore::Snapshot));
                Ok(node.machine.snapshot()?)
            }
            Chore::Dial if node.is_linked() => Ok(()),
            Chore::Dial => {
                if !self.hub.machine.is_up() || wire.is_dark(self.now) {
                    out.chores.push((self.chance.between(100, 5_000), Chore::Dial));
                    return Ok(());
                }
                wire.connect();
                node.dial(moment, out)
            }
            Chore::Work => {
                let Some(party) = self.cast.nodes.get(place - 1) else { return Ok(()) };
                let others: Vec<ParticipantId> =
                    self.names.iter().skip(1).filter(|name| **name != party.participant).copied().collect();
                let (network, participant) = (self.cast.network, party.participant);
                let desk = Desk { network, participant, others: &others, rules: &self.cast.rules };
                if self.winding_up {
                    out.chores.push((500, Chore::Work));
                    return office.wind_up(&desk, node, (moment, &mut self.chance, out));
                }
                out.chores.push((self.chance.wait(WORK_MS), Chore::Work));
                office.act(&desk, node, (moment, &mut self.chance, out))
            }
        }
    }

    /// Lets what a step brought about go on its way.
    fn carry(&mut self, place: Place, out: Out) -> Result<(), Halt> {
        for leaf in out.shown {
            self.history.show(place, leaf)?;
        }
        for signed in out.signed {
            self.history.sign(place, signed)?;
        }
        let life = match place.checked_sub(1) {
            None => self.hub.machine.life,
            Some(node) => self.nodes.get(node).map_or(0, |node| node.machine.life),
        };
        for (after, chore) in out.chores {
            self.push(after, place, Happening::Chore { chore, life });
        }
        for (to, frame) in out.frames {
            let (node, way) = if place == HUB { (to, Way::ToNode) } else { (place, Way::ToHub) };
            self.send(node, way, &frame);
        }
        for node in out.cuts {
            let wire = self.wire(node).number;
            self.push(0, node, Happening::Cut { wire });
        }
        Ok(())
    }

    fn send(&mut self, node: Place, way: Way, frame: &Frame) {
        let (weather, now) = (self.weather, self.now);
        let Some(wire) = self.wires.get_mut(node) else { return };
        let number = match way {
            Way::ToHub => wire.number,
            Way::ToNode => wire.at_hub.unwrap_or(0),
        };
        let arrival = wire.send(way, frame, now, &weather, &mut self.chance);
        let (kind, payload) = frame.encode();
        let payload = Rc::new(payload);
        let to = if way == Way::ToHub { HUB } else { node };
        let arrives =
            |payload: &Rc<Vec<u8>>| Happening::Frame { node, way, wire: number, kind, payload: Rc::clone(payload) };
        match arrival {
            Arrival::Once(at) => self.push(at - now, to, arrives(&payload)),
            Arrival::Twice(first, second) => {
                self.push(first - now, to, arrives(&payload));
                self.push(second - now, to, arrives(&payload));
            }
            Arrival::Lost => {}
            Arrival::Cut(at) => self.push(at - now, node, Happening::Cut { wire: number }),
        }
    }

    fn push(&mut self, after: u64, place: Place, happening: Happening) {
        self.numbered += 1;
        self.queue.insert((self.now + after, self.numbered), (place, happening));
    }

    fn moment(&self, place: Place) -> Moment {
        let ahead = match place.checked_sub(1) {
            None => self.hub.machine.ahead_ms,
            Some(node) => self.nodes.get(node).map_or(0, |node| node.machine.ahead_ms),
        };
        Moment { true_ms: self.now, wall: UnixMillis(START.0 + self.now + ahead) }
    }

    fn wire(&mut self, node: Place) -> &mut Wire {
        let Some(wire) = self.wires.get_mut(node) else { panic!("no such place: {node}") };
        wire
    }

    /// What happens enters the trace.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a frame alone is told otherwise")]
    fn note(&mut self, place: Place, happening: &Happening) {
        let mut entry = self.trace.0.to_vec();
        entry.extend_from_slice(&self.now.to_le_bytes());
        entry.extend_from_slice(&(place as u64).to_le_bytes());
        let text = match happening {
            Happening::Frame { node, way, wire, kind, payload } => {
                entry.extend_from_slice(payload);
                format!("frame {kind} {way:?} of {node} on {wire}, {} bytes", payload.len())
            }
            other => format!("{other:?}"),
        };
        entry.extend_from_slice(text.as_bytes());
        self.trace = sha256(&entry);
        self.tell(place, &text);
    }

    fn tell(&self, place: Place, what: &str) {
        if self.plan.telling == Telling::Steps {
            let name = self.names.get(place).map_or("?", ParticipantId::as_str);
            // Whoever reads it may have gone away.
            let _ = writeln!(std::io::stderr(), "{:>9} {name:<4} {what}", self.now);
        }
    }

    fn violation(&self, place: Place, what: String) -> Violation {
        Violation { at_ms: self.now, place, what }
    }
}

fn relay(cast: &Cast) -> Relay {
    let traffic = cast.hub.logs.iter().find(|(origin, _)| origin.log == LogName::Traffic);
    let Some((traffic, key)) = traffic else { panic!("a hub without `traffic`") };
    let quotas = Quotas {
        originator_envelopes: 100_000,
        originator_bytes: 1 << 30,
        mailbox_envelopes: 100_000,
        mailbox_bytes: 1 << 30,
        waiting_envelopes: 100_000,
    };
    Relay { network: cast.network, traffic: *traffic, traffic_key: key.verifying_key().id(), quotas }
}

fn machine<C: ncp_store::state::Core + Clone>(party: &Party, core: C, ahead_ms: u64) -> Machine<C> {
    let logs = party.logs.iter().map(|(origin, key)| LogKey { origin: *origin, key: key.clone(), salt: [7; 16] });
    Machine::new(party.participant, core, logs.collect(), ahead_ms)
}
