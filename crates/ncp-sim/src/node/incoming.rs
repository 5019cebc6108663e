//! What a node takes in: deliveries, bodies, evidence of others.

use ncp_node::core::command::Ask;
use ncp_node::receipts::{Seen, see};
use ncp_node::reception::body::Body;
use ncp_node::reception::judge::{Judged, Verified, judge};
use ncp_node::reception::open::{Opened, open};
use ncp_protocol::event::Actor;
use ncp_protocol::frame::{BodyChunk, BodyWanted, Cursor, Deliver, Receipts, ReceiptsStored};
use ncp_protocol::ids::ParticipantId;
use ncp_protocol::limits::CHUNK_SEALED;
use ncp_store::bodies::{Begun, Expect, Start, Upload, UploadRequest};
use ncp_store::spool::BodyName;

use super::{Asked, Node};
use crate::chance::Chance;
use crate::disk::SimDisk;
use crate::hub::Moment;
use crate::shell::{HUB, Halt, Out};

/// A delivery whose body is on its way.
pub(super) struct Inflow {
    verified: Box<Verified>,
    next: u64,
    length: u64,
    upload: Option<Box<Upload<SimDisk>>>,
}

impl Inflow {
    /// The link has ended.
    pub(super) fn pause(self) -> Result<(), Halt> {
        match self.upload {
            Some(upload) => Ok(upload.pause()?),
            None => Ok(()),
        }
    }
}

impl Node {
    /// Takes a delivery: judged, its body fetched, opened, decided.
    pub(super) fn delivered(
        &mut self,
        deliver: Deliver,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let header = deliver.envelope.header_digest();
        let ahead = self.link()?.ahead.take();
        if !self.link()?.seen.insert(header) {
            return Ok(());
        }
        let reader = self.reader()?;
        let judged = judge(&self.means(&reader, moment, chance)?, &Default::default(), &Default::default(), &deliver)?;
        let verified = match judged {
            Judged::Good(verified) => verified,
            Judged::StatedBefore(leaf) => {
                self.link()?.seen.remove(&header);
                return self.restate(leaf, out);
            }
            Judged::Refused { envelope, header, code } => {
                let ask = Ask::RefuseDelivery { envelope, header, code };
                let asked = Asked::Consign { header };
                self.ask(Actor::Peer(envelope.originator), ask, asked, (moment, chance, out));
                return Ok(());
            }
            Judged::NotYet(reason) => return Err(Halt::wrong(format_args!("a delivery cannot be judged: {reason}"))),
            Judged::HubAtFault(fault) => return Err(Halt::wrong(format_args!("I2: a delivery: {fault}"))),
        };
        self.fetch(verified, ahead, moment, chance, out)
    }

    fn fetch(
        &mut self,
        verified: Box<Verified>,
        ahead: Option<BodyChunk>,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let reader = self.reader()?;
        let header = verified.envelope.header().clone();
        let (originator, message, root) = (header.originator, header.message, header.ciphertext_root);
        let length = header.body_length;
        let (next, upload) = if length <= CHUNK_SEALED as u64 {
            let name = BodyName { originator, message, root };
            if let Some(body) = reader.body(&name)?.filter(|body| body.len() == length) {
                return self.consign(*verified, &Body::Stored(body), moment, chance, out);
            }
            (0, None)
        } else {
            let request = UploadRequest {
                peer: ParticipantId::HUB,
                originator,
                message,
                expect: Expect::Root { root, length },
                start: Start::Resume,
                now: moment.wall,
                quota: 1 << 30,
            };
            match reader.uploads().upload(&request)? {
                Begun::Complete(body) => return self.consign(*verified, &Body::Stored(body), moment, chance, out),
                Begun::Upload(upload) => (upload.next_chunk(), Some(upload)),
            }
        };
        if let Some(chunk) = ahead.filter(|chunk| upload.is_none() && header.names_body(&chunk.bytes)) {
            return self.consign(*verified, &Body::Inline(chunk.bytes), moment, chance, out);
        }
        out.frames.push((HUB, BodyWanted { originator, message, root, from_chunk: next }.into()));
        let inflow = Inflow { verified, next, length, upload };
        if let Some(older) = self.link()?.inflows.insert((originator, message), inflow) {
            older.pause()?;
        }
        Ok(())
    }

    /// Takes a chunk of a body.
    pub(super) fn chunk(
        &mut self,
        chunk: BodyChunk,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let message = (chunk.originator, chunk.message);
        let link = self.link()?;
        let Some(inflow) = link.inflows.get_mut(&message) else {
            link.ahead = Some(chunk);
            return Ok(());
        };
        if chunk.index != inflow.next {
            out.cuts.push(self.place);
            return Ok(());
        }
        inflow.next += 1;
        if let Some(upload) = &mut inflow.upload {
            upload.append(&chunk.bytes)?;
            if upload.length() < inflow.length {
                return Ok(());
            }
        }
        let Some(inflow) = self.link()?.inflows.remove(&message) else { return Ok(()) };
        let root = inflow.verified.envelope.header().ciphertext_root;
        let body = match inflow.upload {
            Some(upload) => {
                upload.finish()?;
                let name = BodyName { originator: chunk.originator, message: chunk.message, root };
                let stored = self.reader()?.body(&name)?;
                Body::Stored(stored.ok_or_else(|| Halt::wrong("I1: a body that was finished is gone"))?)
            }
            None => {
                if !inflow.verified.envelope.header().names_body(&chunk.bytes) {
                    return Err(Halt::wrong("I2: an honest hub's body has another root"));
                }
                Body::Inline(chunk.bytes)
            }
        };
        self.consign(*inflow.verified, &body, moment, chance, out)
    }

    fn consign(
        &mut self,
        verified: Verified,
        body: &Body<SimDisk>,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let (key, header) = (verified.key, verified.envelope.header_digest());
        let reader = self.reader()?;
        let opened = open(&self.means(&reader, moment, chance)?, verified, body)?;
        let ask = match opened {
            Opened::Good(consigned) => Ask::Consign(consigned),
            // Only a disk that fails spoils a body here.
            Opened::Rotten => return Err(Halt::Disk("a body cannot be read".to_owned())),
            Opened::Refused(code) => {
                return Err(Halt::wrong(format_args!("I2: an honest originator's message does not open: {code}")));
            }
        };
        self.ask(Actor::Peer(key.originator), ask, Asked::Consign { header }, (moment, chance, out));
        Ok(())
    }

    /// Takes evidence of others: what is new is stored, then all is acknowledged.
    pub(super) fn heard(
        &mut self,
        receipts: Receipts,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let Receipts { epoch, first, proofs } = receipts;
        let last = Cursor { epoch, number: first + proofs.len() as u64 - 1 };
        let reader = self.reader()?;
        let mut news = Vec::new();
        for proof in &proofs {
            match see(&self.means(&reader, moment, chance)?, &mut Default::default(), proof)? {
                Seen::Known(envelope) => self.settled(&envelope)?,
                Seen::New(noted) => news.push(noted),
                Seen::Bad(error) => return Err(error.into()),
                Seen::KeyUnknown => return Err(Halt::wrong("evidence under a key that no entry names")),
            }
        }
        let count = news.len();
        if count == 0 {
            return self.acknowledge(last, out);
        }
        for (number, noted) in news.into_iter().enumerate() {
            let asked = Asked::Evidence { envelope: noted.claim.envelope, last: (number + 1 == count).then_some(last) };
            let actor = Actor::Peer(ParticipantId::HUB);
            self.ask(actor, Ask::NoteEvidence(*noted), asked, (moment, chance, out));
        }
        Ok(())
    }

    /// All up to this number is stored.
    pub(super) fn acknowledge(&mut self, last: Cursor, out: &mut Out) -> Result<(), Halt> {
        let mind = self.mind()?;
        let number = if mind.stored.epoch == last.epoch { mind.stored.number.max(last.number) } else { last.number };
        mind.stored = Cursor { epoch: last.epoch, number };
        let cursor = mind.stored;
        if self.is_greeted() {
            out.acked.push((HUB, cursor.number));
            out.frames.push((HUB, ReceiptsStored { cursor }.into()));
        }
        Ok(())
    }
}
