//! What goes wrong: crashes, disks, pauses, partitions, weather; and how machines come back.

use ncp_store::disk::model::{Fault, ModelDisk};

use super::{Happening, World};
use crate::machine::End;
use crate::shell::{Chore, HUB, Halt, Out, Place};
use crate::wire::{Way, Weather};

/// Something goes wrong so often, on average, in a period of faults.
const MISCHIEF_MS: u64 = 25_000;

impl World {
    /// A period of faults ends, or one of calm; a quarter of them are calm.
    pub(super) fn change_weather(&mut self) -> Result<(), Halt> {
        if self.winding_up {
            return Ok(());
        }
        if self.calm {
            self.quiet()?;
        }
        self.calm = self.chance.below(4) == 0;
        self.weather = if self.calm { Weather::FAIR } else { Weather::draw(&mut self.chance) };
        let lasts = self.chance.between(120_000, 480_000);
        self.push(lasts, HUB, Happening::Weather);
        Ok(())
    }

    /// One more thing goes wrong.
    pub(super) fn mischief(&mut self) {
        if self.winding_up {
            return;
        }
        let next = self.chance.wait(MISCHIEF_MS);
        self.push(next, HUB, Happening::Mischief);
        if self.calm {
            return;
        }
        let places = self.names.len() as u64;
        let place = usize::try_from(self.chance.below(places)).unwrap_or(HUB);
        match self.chance.below(100) {
            0..25 => {
                let end = self.draw_end();
                self.crash(place, end);
            }
            25..45 => self.plan_fault(place, Fault::Crash),
            45..53 => self.plan_fault(place, Fault::Fail),
            53..61 => self.plan_fault(place, Fault::FailButPersisted),
            61..67 => {
                let model = self.model(place);
                let read = model.reads() + self.chance.below(300);
                self.model(place).fail_read_at(read);
                self.doomed.insert(place);
            }
            67..74 => self.lead_astray(place),
            74..80 => {
                self.bad_starts += 1;
                let end = self.draw_end();
                self.crash(place, end);
            }
            80..88 => self.pause(place),
            _ => self.part(place.max(1)),
        }
    }

    /// A life ends by a fault of its disk.
    pub(super) fn disk_failed(&mut self, place: Place) {
        self.counts.disk_failures += 1;
        let end = if self.model(place).crashed() { End::Power(self.chance.word()) } else { End::Killed };
        self.crash(place, end);
    }

    /// A life ends; the machine comes back after a while.
    pub(super) fn crash(&mut self, place: Place, end: End) {
        self.tell(place, &format!("crashes: {end:?}"));
        self.counts.crashes += 1;
        self.paused.remove(&place);
        self.doomed.remove(&place);
        if place == HUB {
            self.hub.end();
            self.hub.machine.stop(end, &mut self.chance);
            for node in 1..self.names.len() {
                self.wire(node).at_hub = None;
                let (wire, after) = (self.wire(node).number, self.chance.below(2_000));
                self.push(after, node, Happening::Cut { wire });
            }
        } else if let Some(node) = self.nodes.get_mut(place - 1) {
            node.end();
            node.machine.stop(end, &mut self.chance);
            if let Some(office) = self.offices.get_mut(place) {
                office.lost();
            }
            let wire = self.wire(place);
            wire.stands = false;
            let (number, after) = (wire.number, self.chance.below(30_000));
            self.push(after, HUB, Happening::HubNotices { node: place, wire: number });
        }
        let after = self.chance.between(100, 60_000);
        self.push(after, place, Happening::Restart);
    }

    /// A machine starts, and is checked.
    pub(super) fn restart(&mut self, place: Place, out: &mut Out) -> Result<(), Halt> {
        if self.is_up(place) {
            return Ok(());
        }
        if self.bad_starts > 0 && !self.winding_up {
            self.bad_starts -= 1;
            let fault = if self.chance.below(2) == 0 { Fault::Crash } else { Fault::Fail };
            self.plan_fault(place, fault);
        }
        let moment = self.moment(place);
        let started = match place.checked_sub(1) {
            None => self.hub.machine.start(moment.wall),
            Some(node) => match self.nodes.get_mut(node) {
                Some(node) => node.machine.start(moment.wall),
                None => return Ok(()),
            },
        };
        match started {
            Ok(report) => self.tell(place, &format!("starts: {report:?}")),
            Err(error) if self.doomed.contains(&place) => {
                self.tell(place, &format!("a start fails: {error}"));
                self.counts.failed_starts += 1;
                let end = if self.model(place).crashed() { End::Power(self.chance.word()) } else { End::Killed };
                self.crash(place, end);
                return Ok(());
            }
            Err(error) => return Err(Halt::wrong(format_args!("place {place} does not start: {error:?}"))),
        }
        self.audit(place)?;
        if place == HUB {
            self.hub.begin(moment, &mut self.chance)?;
        } else if let Some(node) = self.nodes.get_mut(place - 1) {
            node.begin(moment, &mut self.chance, out)?;
            out.chores.push((self.chance.wait(super::WORK_MS), Chore::Work));
        }
        out.chores.push((self.chance.between(500, 3_000), Chore::Tick));
        out.chores.push((self.chance.wait(600_000), Chore::Snapshot));
        Ok(())
    }

    fn draw_end(&mut self) -> End {
        match self.chance.below(10) {
            0..4 => End::Killed,
            4..9 => End::Power(self.chance.word()),
            _ => End::PowerAllLost,
        }
    }

    fn plan_fault(&mut self, place: Place, fault: Fault) {
        let operation = self.model(place).operations() + self.chance.below(60);
        self.model(place).fail_at(operation, fault);
        self.doomed.insert(place);
    }

    fn lead_astray(&mut self, place: Place) {
        let disk = match place.checked_sub(1) {
            None => self.hub.machine.running().map(|running| running.disk.clone()),
            Some(node) => {
                self.nodes.get_mut(node).and_then(|node| node.machine.running().map(|running| running.disk.clone()))
            }
        };
        if let Some(disk) = disk {
            disk.lead_astray();
            self.counts.astray += 1;
        }
    }

    fn pause(&mut self, place: Place) {
        if self.paused.contains_key(&place) {
            return;
        }
        self.counts.pauses += 1;
        self.paused.insert(place, Vec::new());
        let lasts = self.chance.between(500, 30_000);
        self.push(lasts, place, Happening::Resume);
    }

    /// The path between a node and the hub is dark, one way or both; a long darkness ends the connection.
    fn part(&mut self, node: Place) {
        self.counts.partitions += 1;
        let lasts = self.chance.between(1_000, 240_000);
        let until = self.now + lasts;
        let ways: &[Way] = match self.chance.below(4) {
            0 => &[Way::ToHub],
            1 => &[Way::ToNode],
            _ => &[Way::ToHub, Way::ToNode],
        };
        let wire = self.wire(node);
        wire.darken(until);
        for way in ways {
            wire.block(*way, until);
        }
        let number = wire.number;
        if lasts > 30_000 {
            let after = self.chance.between(5_000, 30_000);
            self.push(after, node, Happening::Cut { wire: number });
        }
    }

    pub(super) fn model(&self, place: Place) -> ModelDisk {
        let model = match place.checked_sub(1) {
            None => Some(self.hub.machine.model()),
            Some(node) => self.nodes.get(node).map(|node| node.machine.model()),
        };
        let Some(model) = model else { panic!("no such place: {place}") };
        model.clone()
    }

    pub(super) fn is_up(&self, place: Place) -> bool {
        match place.checked_sub(1) {
            None => self.hub.machine.is_up(),
            Some(node) => self.nodes.get(node).is_some_and(|node| node.machine.is_up()),
        }
    }
}
