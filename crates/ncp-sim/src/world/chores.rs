//! What a machine does at its own times: commits, clocks, snapshots, dialling, the officers' work.
//!
//! A chore belongs to one life of its machine, and is nothing to the next.

use ncp_protocol::ids::ParticipantId;

use super::{WORK_MS, World};
use crate::hub::Moment;
use crate::shell::{Chore, HUB, Halt, Out, Place};
use crate::work::Desk;

impl World {
    pub(super) fn chore(&mut self, place: Place, chore: Chore, life: u64, out: &mut Out) -> Result<(), Halt> {
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
}
