//! What the hub sends: mail, bodies, receipts, checkpoints; and what it keeps of others' logs.

use ncp_protocol::frame::{BodyChunk, BodyWanted, Checkpoint, Receipts};
use ncp_protocol::ids::LogName;
use ncp_relay::core::command::{Command, OfferEnvelopes, Reply};
use ncp_relay::core::mailbox::{Room, Waiting};
use ncp_relay::core::query;
use ncp_relay::core::tables::ReceiptPlace;
use ncp_relay::delivery::{self, Mail};
use ncp_relay::receipts;

use super::{AHEAD, Asked, Hub, Moment, OFFER_MAX, stamp};
use crate::chance::Chance;
use crate::shell::{Halt, Out, Place, keep_newest};

impl Hub {
    pub(super) fn deliver(
        &mut self,
        place: Place,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        if !self.has_link(place) {
            return Ok(());
        }
        let reader = self.reader()?;
        let link = self.link(place)?;
        if link.offering {
            return Ok(());
        }
        let chosen = link.turns.choose(&reader.view(), link.peer, Room::any(OFFER_MAX))?;
        if chosen.is_empty() {
            return Ok(());
        }
        link.offering = true;
        let recipient = link.peer;
        let envelopes = chosen.iter().map(|waiting| waiting.envelope).collect();
        let offer = OfferEnvelopes { recipient, envelopes, stamp: stamp(moment, chance) };
        self.ask(Command::OfferEnvelopes(offer), Asked::Offer { place, chosen }, chance, out);
        Ok(())
    }

    pub(super) fn offered(
        &mut self,
        place: Place,
        chosen: &[Waiting],
        reply: &Reply,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let Reply::Offered(offered) = reply else {
            return Err(Halt::wrong(format_args!("an offer is answered {reply:?}")));
        };
        if !self.has_link(place) {
            return Ok(());
        }
        let reader = self.reader()?;
        let link = self.link(place)?;
        link.offering = false;
        let mail = delivery::load(&reader, offered, u64::MAX)?;
        for Waiting { envelope, .. } in chosen {
            if !mail.iter().any(|mail| mail.envelope == *envelope) {
                link.turns.forget(envelope);
            }
        }
        for Mail { body, deliver, .. } in mail {
            out.show(LogName::Traffic, &deliver.acceptance);
            out.frames.extend(body.map(|chunk| (place, chunk.into())));
            out.frames.push((place, deliver.into()));
        }
        self.deliver(place, moment, chance, out)
    }

    pub(super) fn push_receipts(&mut self, place: Place, out: &mut Out) -> Result<(), Halt> {
        if !self.has_link(place) {
            return Ok(());
        }
        let (reader, traffic) = (self.reader()?, self.traffic());
        let link = self.link(place)?;
        while link.sent.saturating_sub(link.acked) < AHEAD {
            let (first, proofs) = receipts::load(&reader, link.peer, link.sent)?;
            let Some(frame) = Receipts::fill(traffic.epoch, first, proofs) else { break };
            link.sent = frame.first + frame.proofs.len() as u64 - 1;
            for proof in frame.proofs.iter().filter(|proof| proof.checkpoint_note.starts_with(&traffic.to_string())) {
                out.show(LogName::Traffic, proof);
            }
            out.frames.push((place, frame.into()));
        }
        Ok(())
    }

    /// Sends a receipt again that the peer has had before.
    pub(super) fn repeat(&mut self, place: Place, receipt: ReceiptPlace, out: &mut Out) -> Result<(), Halt> {
        let (reader, traffic) = (self.reader()?, self.traffic());
        let proof = reader.evidence(LogName::Traffic, receipt.index)?;
        let proof = proof.ok_or_else(|| Halt::wrong("I4: `traffic` lacks a leaf that the index names"))?;
        out.show(LogName::Traffic, &proof);
        let frame = Receipts { epoch: traffic.epoch, first: receipt.number, proofs: vec![proof] };
        out.frames.push((place, frame.into()));
        Ok(())
    }

    pub(super) fn send_body(&mut self, place: Place, wanted: &BodyWanted, out: &mut Out) -> Result<(), Halt> {
        let (reader, peer) = (self.reader()?, self.peer(place)?);
        let BodyWanted { originator, message, root, from_chunk } = *wanted;
        let offered = query::body_for(&reader.view(), originator, message, peer)?;
        let Some((name, _)) = offered.filter(|(name, _)| name.root == root) else { return Ok(()) };
        let Some(body) = reader.body(&name)? else {
            return Err(Halt::wrong("I1: the body of an envelope that waits is gone"));
        };
        let mut index = from_chunk;
        while let Some(bytes) = body.chunk(index)? {
            out.frames.push((place, BodyChunk { originator, message, index, bytes }.into()));
            index += 1;
        }
        Ok(())
    }

    pub(super) fn keep(&mut self, place: Place, notes: &[String]) -> Result<(), Halt> {
        let logs = self.logs_of(place)?;
        let Some(running) = self.machine.running() else { return Ok(()) };
        keep_newest(&running.held, &logs, notes)
    }

    pub(super) fn held(&mut self, place: Place) -> Result<Option<String>, Halt> {
        let logs = self.logs_of(place)?;
        let Some(running) = self.machine.running() else { return Ok(None) };
        Ok(logs.first().and_then(|(origin, _)| running.held.note(&origin.to_string())))
    }

    /// The newest checkpoints of the hub's logs, for the links.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn tell_checkpoints(&mut self, out: &mut Out) -> Result<(), Halt> {
        let reader = self.reader()?;
        let Some(signed) = reader.checkpoint(LogName::Traffic) else { return Ok(()) };
        let places: Vec<Place> = self.mind()?.links.keys().copied().collect();
        for place in places {
            out.sign(LogName::Traffic, &signed);
            out.frames.push((place, Checkpoint { notes: vec![signed.note().to_owned()] }.into()));
        }
        Ok(())
    }
}
