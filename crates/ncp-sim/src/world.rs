//! A run: machines, wires, officers and mischief under one virtual clock.
//!
//! Everything that happens has a time in milliseconds and a number; the order of both is the order of the run, and what
//! happens enters the trace hash. Nothing asks the system for time or chance.

mod chores;
mod mischief;
mod plan;
mod quiet;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::rc::Rc;

use ncp_node::core::NodeCore;
use ncp_protocol::frame::Frame;
use ncp_protocol::ids::{Digest, LogName, ParticipantId, UnixMillis};
use ncp_protocol::keys::sha256;
use ncp_relay::core::{Quotas, Relay};
use ncp_store::recovery::LogKey;

pub use self::plan::{Counts, Plan, Report, Telling, Violation};
use crate::cast::{Cast, HUB_AHEAD_MS, Party, START};
use crate::chance::Chance;
use crate::check::History;
use crate::defect::{Defect, HubCore};
use crate::disk::Syncs;
use crate::hub::{Hub, Moment};
use crate::machine::{Machine, Recovery};
use crate::node::Node;
use crate::shell::{Chore, HUB, Halt, Out, Place, Places};
use crate::wire::{Way, Weather, Wire};
use crate::work::Office;

/// An officer does something so often, on average.
const WORK_MS: u64 = 40_000;

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
