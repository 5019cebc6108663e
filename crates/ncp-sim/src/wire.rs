//! The virtual network: one connection between each node and the hub, as TCP and TLS give it.
//!
//! Frames of one direction arrive in order or, once the connection has ended, not at all. What the network loses is late,
//! for TCP sends it again, and sometimes ends the connection; the other end notices later. What a sender repeats because
//! it cannot know what arrived is repeated here at random.

use ncp_protocol::frame::Frame;

use crate::chance::Chance;

/// How badly the network behaves now, in ten thousandths of frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Lost once: comes late.
    pub loss: u64,
    /// Sent twice.
    pub replay: u64,
    /// The path stands still for a while.
    pub clog: u64,
}

impl Weather {
    /// Without any fault.
    pub const FAIR: Self = Self { loss: 0, replay: 0, clog: 0 };

    /// Loss 0–30 %, replay 0–50 %, clog 0–2 %.
    pub fn draw(chance: &mut Chance) -> Self {
        Self { loss: chance.below(3_000), replay: chance.below(5_000), clog: chance.below(200) }
    }
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the node to the hub.
    ToHub,
    /// From the hub to the node.
    ToNode,
}

impl Way {
    fn index(self) -> usize {
        match self {
            Self::ToHub => 0,
            Self::ToNode => 1,
        }
    }
}

/// The connection of one node.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    /// Numbers the connections of this node.
    pub number: u64,
    /// Whether the node's end stands.
    pub stands: bool,
    /// The connection that the hub's end stands on.
    pub at_hub: Option<u64>,
    last: [u64; 2],
    blocked: [u64; 2],
    // A frame was lost for good: nothing behind it arrives before the connection ends.
    broken: [bool; 2],
    dark_until: u64,
}

/// When a frame arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Once.
    Once(u64),
    /// Twice.
    Twice(u64, u64),
    /// Never: the connection ends at this time.
    Cut(u64),
    /// Never: one before it was lost, and the connection is about to end.
    Lost,
}

impl Wire {
    /// A new connection: the node's end stands.
    pub fn connect(&mut self) {
        self.number += 1;
        self.stands = true;
        (self.last, self.broken) = ([0; 2], [false; 2]);
    }

    /// No byte goes this way before `until`.
    pub fn block(&mut self, way: Way, until: u64) {
        if let Some(blocked) = self.blocked.get_mut(way.index()) {
            *blocked = until.max(*blocked);
        }
    }

    /// No connection can be made before `until`.
    pub fn darken(&mut self, until: u64) {
        self.dark_until = until.max(self.dark_until);
    }

    /// Whether a connection can be made.
    #[must_use]
    pub fn is_dark(&self, now: u64) -> bool {
        now < self.dark_until
    }

    /// Everything heals at once.
    pub fn heal(&mut self) {
        self.blocked = [0; 2];
        self.dark_until = 0;
    }

    /// When a frame arrives that leaves now.
    pub fn send(&mut self, way: Way, frame: &Frame, now: u64, weather: &Weather, chance: &mut Chance) -> Arrival {
        let (Some(last), Some(broken)) = (self.last.get_mut(way.index()), self.broken.get_mut(way.index())) else {
            return Arrival::Lost;
        };
        if *broken {
            return Arrival::Lost;
        }
        let mut late = chance.between(1, 40);
        if chance.hits(weather.loss) {
            late += chance.between(200, 3_000);
            if chance.below(25) == 0 {
                *broken = true;
                return Arrival::Cut(now + late);
            }
        }
        if chance.hits(weather.clog) {
            late += chance.between(1_000, 20_000);
        }
        let blocked = self.blocked.get(way.index()).copied().unwrap_or(0);
        let arrives = (now + late).max(*last).max(blocked);
        *last = arrives;
        if is_repeatable(frame) && chance.hits(weather.replay) {
            return Arrival::Twice(arrives, arrives + chance.between(0, 5_000));
        }
        Arrival::Once(arrives)
    }
}

/// Whether a sender that does not know what arrived may send it again.
fn is_repeatable(frame: &Frame) -> bool {
    matches!(frame, Frame::Submit(_) | Frame::Deliver(_) | Frame::Receipts(_) | Frame::Recall(_))
}
