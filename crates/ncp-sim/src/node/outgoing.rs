//! What a node sends: seals, envelopes, bodies, its own evidence.

use ncp_node::core::command::Ask;
use ncp_node::core::tables::ENVELOPE;
use ncp_node::receipts::{numbered, proofs};
use ncp_node::sealing::{self, Made};
use ncp_node::submission::{self, Look};
use ncp_protocol::event::{Actor, EnvelopeKey};
use ncp_protocol::frame::{BodyChunk, BodyWanted, Recall, Receipts, Refused, Submit};
use ncp_protocol::ids::{LogName, MessageId, ParticipantId};
use ncp_protocol::reject::{Permanence, RejectCode};
use ncp_store::spool::BodyName;

use super::{Asked, Node};
use crate::chance::Chance;
use crate::hub::Moment;
use crate::shell::{HUB, Halt, Out};

/// Envelopes on their way at once.
const WINDOW: usize = 64;
/// Receipts ahead of their acknowledgement.
const AHEAD: u64 = 64;

impl Node {
    /// Seals what is released.
    pub(super) fn seal(&mut self, moment: Moment, chance: &mut Chance, out: &mut Out) -> Result<(), Halt> {
        let reader = self.reader()?;
        for job in core::mem::take(&mut self.mind()?.jobs) {
            let made = sealing::make(&self.means(&reader, moment, chance)?, job)?;
            match made {
                Made::Sealed(sealed, place) => {
                    self.ask(Actor::Daemon, Ask::Seal(*sealed), Asked::Seal { place, job }, (moment, chance, out));
                }
                Made::Nothing => {}
                Made::NotYet(reason) => {
                    return Err(Halt::wrong(format_args!("I1: an envelope cannot be sealed: {reason}")));
                }
            }
        }
        Ok(())
    }

    /// Submits what the queue has, as far as the window reaches.
    pub(super) fn submit(&mut self, moment: Moment, out: &mut Out) -> Result<(), Halt> {
        if !self.is_greeted() {
            return Ok(());
        }
        let reader = self.reader()?;
        let link = self.link()?;
        while let Some((due, place)) = link.deferred.first().copied().filter(|(due, _)| *due <= moment.true_ms) {
            link.deferred.remove(&(due, place));
            link.candidates.insert(place);
        }
        while self.link()?.in_flight.len() < WINDOW
            && let Some(place) = self.link()?.candidates.pop_first()
        {
            // No wrap and no record is made here, so no chance is needed.
            let mut unused = Chance::new(0, 0);
            // Of every other message the body goes ahead, also of what is submitted again.
            let ahead = if place.2.0[0].is_multiple_of(2) { u64::MAX } else { 0 };
            let looked = submission::look(&self.means(&reader, moment, &mut unused)?, place, ahead)?;
            let link = self.link()?;
            match looked {
                Look::Submit { envelope, key, body, .. } => {
                    if link.in_flight.contains_key(&key) {
                        continue;
                    }
                    link.in_flight.insert(key, place);
                    out.frames.extend(body.map(|chunk| (HUB, chunk.into())));
                    out.frames.push((HUB, Submit { envelope: *envelope }.into()));
                }
                Look::Held => drop(link.held.insert(place)),
                Look::Lost(_) => return Err(Halt::wrong("I1: the bytes of an envelope are lost")),
                Look::Gone => {}
            }
        }
        Ok(())
    }

    /// Sends a body that the hub asked for, while an envelope over it is on its way.
    pub(super) fn send_body(&mut self, wanted: &BodyWanted, out: &mut Out) -> Result<(), Halt> {
        let BodyWanted { originator, message, root, from_chunk } = *wanted;
        let link = self.link()?;
        if !link.in_flight.keys().any(|key| key.originator == originator && key.message == message) {
            return Ok(());
        }
        let name = BodyName { originator, message, root };
        let Some(body) = self.reader()?.body(&name)? else {
            return Err(Halt::wrong("I1: the body of an envelope on its way is gone"));
        };
        let mut index = from_chunk;
        while let Some(bytes) = body.chunk(index)? {
            out.frames.push((HUB, BodyChunk { originator, message, index, bytes }.into()));
            index += 1;
        }
        Ok(())
    }

    /// The hub took no envelope, or has nothing to delete.
    pub(super) fn refused(
        &mut self,
        refused: &Refused,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let Refused { envelope, code } = *refused;
        let own = self.party()?.participant;
        if envelope.originator != own {
            return Err(Halt::wrong(format_args!("the hub refuses evidence: {code}")));
        }
        if code == RejectCode::NotWaiting {
            return self.not_waiting(envelope, (moment, chance, out));
        }
        let Some(place) = self.link()?.in_flight.remove(&envelope) else { return Ok(()) };
        let reader = self.reader()?;
        let credible = submission::is_credible(&self.means(&reader, moment, chance)?, &envelope, code, true)?;
        if code.permanence() == Permanence::Transient || !credible {
            let link = self.link()?;
            let refusals = link.refusals.entry(place).or_default();
            let delay = chance.between(1, 1_000 << (*refusals).min(6));
            *refusals += 1;
            link.deferred.insert((moment.true_ms + delay, place));
            return Ok(());
        }
        self.tell_core(envelope, code, (moment, chance, out));
        Ok(())
    }

    fn not_waiting(&mut self, envelope: EnvelopeKey, context: (Moment, &mut Chance, &mut Out)) -> Result<(), Halt> {
        if self.link()?.is_on_its_way(envelope.message, envelope.recipient) {
            return Ok(());
        }
        let row = ENVELOPE.row(&self.reader()?.view(), &(envelope.message, envelope.recipient))?;
        if let Some(row) = row {
            let key = row.key(envelope.originator, envelope.message, envelope.recipient);
            self.tell_core(key, RejectCode::NotWaiting, context);
        }
        Ok(())
    }

    fn tell_core(&mut self, envelope: EnvelopeKey, code: RejectCode, context: (Moment, &mut Chance, &mut Out)) {
        let ask = Ask::NoteRefusal { envelope, code };
        self.ask(Actor::Peer(ParticipantId::HUB), ask, Asked::Own, context);
    }

    /// Evidence about an envelope is stored.
    pub(super) fn settled(&mut self, envelope: &EnvelopeKey) -> Result<(), Halt> {
        let Some(link) = &mut self.mind()?.link else { return Ok(()) };
        if let Some(place) = link.in_flight.remove(envelope) {
            link.refusals.remove(&place);
        }
        Ok(())
    }

    /// Asks the hub to delete what waits of a message, and again when it has answered what is on its way of it.
    pub(super) fn recall(&mut self, message: MessageId, recipient: ParticipantId, out: &mut Out) -> Result<(), Halt> {
        if !self.is_greeted() {
            return Ok(());
        }
        let link = self.link()?;
        if link.is_on_its_way(message, recipient) {
            link.recalls_again.insert((message, recipient));
        }
        out.frames.push((HUB, Recall { message, recipient }.into()));
        Ok(())
    }

    pub(super) fn recall_again(&mut self, out: &mut Out) -> Result<(), Halt> {
        if !self.is_greeted() {
            return Ok(());
        }
        let link = self.link()?;
        let answered = |(message, recipient): &(MessageId, ParticipantId)| !link.is_on_its_way(*message, *recipient);
        let answered: Vec<_> = link.recalls_again.iter().copied().filter(answered).collect();
        for (message, recipient) in answered {
            link.recalls_again.remove(&(message, recipient));
            out.frames.push((HUB, Recall { message, recipient }.into()));
        }
        Ok(())
    }

    /// Sends this node's evidence from where the stream stands.
    pub(super) fn state(&mut self, out: &mut Out) -> Result<(), Halt> {
        if !self.is_greeted() {
            return Ok(());
        }
        let (reader, epoch) = (self.reader()?, self.party()?.identity().origin.epoch);
        let link = self.link()?;
        while link.next.saturating_sub(link.acknowledged) <= AHEAD {
            let (first, proofs) = proofs(&reader, link.next)?;
            let Some(frame) = Receipts::fill(epoch, first, proofs) else { break };
            link.next = first + frame.proofs.len() as u64;
            for proof in &frame.proofs {
                out.show(LogName::Node, proof);
            }
            out.frames.push((HUB, frame.into()));
        }
        Ok(())
    }

    /// Sends once more what the hub had stored and seems to have forgotten.
    pub(super) fn restate(&mut self, leaf: u64, out: &mut Out) -> Result<(), Halt> {
        if !self.is_greeted() {
            return Ok(());
        }
        let (reader, epoch) = (self.reader()?, self.party()?.identity().origin.epoch);
        let begun_at = self.link()?.begun_at;
        let found = numbered(&reader, leaf)?;
        if let Some((number, proof)) = found.filter(|(number, _)| *number <= begun_at) {
            out.show(LogName::Node, &proof);
            out.frames.push((HUB, Receipts { epoch, first: number, proofs: vec![proof] }.into()));
        }
        Ok(())
    }
}
