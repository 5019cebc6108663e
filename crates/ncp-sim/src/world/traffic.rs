//! Frames between hub and nodes: on their way, arriving, and the connections under them.
//!
//! A frame reaches whoever still has the connection it was sent on; any other is dropped without a word.

use std::rc::Rc;

use ncp_protocol::frame::Frame;

use super::{Happening, World};
use crate::shell::{Chore, HUB, Halt, Out, Place};
use crate::wire::{Arrival, Way};

impl World {
    pub(super) fn reaches_hub(&mut self, node: Place, wire: u64, frame: Frame, out: &mut Out) -> Result<(), Halt> {
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

    pub(super) fn reaches_node(&mut self, place: Place, wire: u64, frame: Frame, out: &mut Out) -> Result<(), Halt> {
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

    pub(super) fn cut(&mut self, place: Place, number: u64) -> Result<(), Halt> {
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

    /// Lets what a step brought about go on its way.
    pub(super) fn carry(&mut self, place: Place, out: Out) -> Result<(), Halt> {
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
}
