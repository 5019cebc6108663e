//! What the hub takes in: envelopes, bodies, evidence of nodes.

use std::sync::Arc;

use ncp_protocol::body::sealed_range;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::frame::{BodyChunk, BodyWanted, Cursor, Receipts, Refused};
use ncp_protocol::ids::{MessageId, ParticipantId};
use ncp_protocol::limits::CHUNK_SEALED;
use ncp_protocol::reject::RejectCode;
use ncp_relay::core::command::{BodySource, Command, Reply, StoreEvidence};
use ncp_relay::evidence;
use ncp_relay::verify::{self, Refusal, Verified};
use ncp_store::bodies::{Begun, Expect, Start, UploadRequest};

use super::{Asked, Hub, Moment, Pending, Sink, stamp};
use crate::chance::Chance;
use crate::shell::{Halt, Out, Place};

impl Hub {
    pub(super) fn submitted(
        &mut self,
        place: Place,
        envelope: SealedEnvelope,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let (reader, peer) = (self.reader()?, self.peer(place)?);
        let ahead = self.link(place)?.ahead.take();
        if let Some(known) = verify::known(&reader.view(), peer, &envelope)? {
            return self.repeat(place, known, out);
        }
        let network = self.cast.network;
        match verify::verify(&self.mind()?.directory, &network, peer, &envelope, moment.wall) {
            Ok(verified) => {
                let ahead = ahead.filter(|chunk| verified.header.names_body(&chunk.bytes));
                let source = ahead.map_or(BodySource::AtHub, |chunk| BodySource::Inline(Arc::from(chunk.bytes)));
                self.decide(place, Arc::new(verified), source, None, (moment, chance, out));
                Ok(())
            }
            Err(Refusal::Envelope(envelope, code)) => {
                out.frames.push((place, Refused { envelope, code }.into()));
                Ok(())
            }
            Err(Refusal::Unreadable(code)) => Err(Halt::wrong(format_args!("an honest node's header: {code}"))),
        }
    }

    pub(super) fn decide(
        &mut self,
        place: Place,
        verified: Arc<Verified>,
        body: BodySource,
        wanted: Option<u32>,
        (moment, chance, out): (Moment, &mut Chance, &mut Out),
    ) {
        let Ok(peer) = self.cast_of(place) else { return };
        let submission = verified.submission(peer, body, stamp(moment, chance));
        let command = Command::AcceptSubmission(Box::new(submission));
        self.ask(command, Asked::Submission { place, verified, wanted }, chance, out);
    }

    #[expect(clippy::too_many_arguments, reason = "one step of the shell, with its moment, chance and output")]
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes is a violation")]
    pub(super) fn settle(
        &mut self,
        place: Place,
        verified: Arc<Verified>,
        wanted: Option<u32>,
        reply: Reply,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        if !self.has_link(place) {
            return Ok(());
        }
        match reply {
            Reply::Accepted => {
                let (peer, created) = (self.peer(place)?, verified.header.created);
                let reading = self.reading(moment)?;
                self.mind()?.belief.heard(peer, created, reading);
                Ok(())
            }
            Reply::AcceptedBefore(receipt) => self.repeat(place, receipt, out),
            // A body that was let go may still lie on the disk until its group is settled: a wish counts when repeated.
            Reply::BodyWanted { drops } if drops > 0 && wanted != Some(drops) => {
                self.decide(place, verified, BodySource::AtHub, Some(drops), (moment, chance, out));
                Ok(())
            }
            Reply::BodyWanted { drops } => self.want_body(place, verified, drops, (moment, chance, out)),
            Reply::Refused(code) => {
                out.frames.push((place, Refused { envelope: verified.key(), code }.into()));
                Ok(())
            }
            other => Err(Halt::wrong(format_args!("a submission is answered {other:?}"))),
        }
    }

    pub(super) fn want_body(
        &mut self,
        place: Place,
        verified: Arc<Verified>,
        drops: u32,
        context: (Moment, &mut Chance, &mut Out),
    ) -> Result<(), Halt> {
        let (reader, originator) = (self.reader()?, self.peer(place)?);
        let (message, root, length) =
            (verified.header.message, verified.header.ciphertext_root, verified.header.body_length);
        if let Some(pending) = self.link(place)?.uploads.get_mut(&message) {
            pending.drops = pending.drops.max(drops);
            pending.waiting.push(verified);
            return Ok(());
        }
        let (next, sink) = if length <= CHUNK_SEALED as u64 {
            (0, Sink::Memory(Vec::new()))
        } else {
            let request = UploadRequest {
                peer: originator,
                originator,
                message,
                expect: Expect::Root { root, length },
                start: Start::Resume,
                now: context.0.wall,
                quota: 1 << 30,
            };
            match reader.uploads().upload(&request)? {
                Begun::Complete(_) => {
                    self.decide(place, verified, BodySource::Uploaded { drops }, None, context);
                    return Ok(());
                }
                Begun::Upload(upload) => (upload.next_chunk(), Sink::Store(upload)),
            }
        };
        let wanted = BodyWanted { originator, message, root, from_chunk: next };
        context.2.frames.push((place, wanted.into()));
        let pending = Pending { length, drops, next, sink, waiting: vec![verified] };
        self.link(place)?.uploads.insert(message, pending);
        Ok(())
    }

    /// What is recalled waits for no body.
    pub(super) fn stop_waiting_for_body(
        &mut self,
        place: Place,
        message: MessageId,
        recipient: ParticipantId,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let uploads = &mut self.link(place)?.uploads;
        let Some(pending) = uploads.get_mut(&message) else { return Ok(()) };
        for recalled in pending.waiting.extract_if(.., |verified| verified.header.recipient == recipient) {
            out.frames.push((place, Refused { envelope: recalled.key(), code: RejectCode::BodyMissing }.into()));
        }
        if pending.waiting.is_empty()
            && let Some(Pending { sink: Sink::Store(upload), .. }) = uploads.remove(&message)
        {
            upload.abandon()?;
        }
        Ok(())
    }

    pub(super) fn chunk(
        &mut self,
        place: Place,
        chunk: BodyChunk,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let message = chunk.message;
        let link = self.link(place)?;
        let Some(pending) = link.uploads.get_mut(&message) else {
            link.ahead = Some(chunk);
            return Ok(());
        };
        let range = sealed_range(chunk.index, pending.length);
        let Some(range) = range.filter(|_| chunk.index == pending.next) else {
            out.cuts.push(place);
            return Ok(());
        };
        pending.next += 1;
        match &mut pending.sink {
            Sink::Memory(body) => body.extend_from_slice(&chunk.bytes),
            Sink::Store(upload) => upload.append(&chunk.bytes)?,
        }
        if range.end < pending.length {
            return Ok(());
        }
        let Some(pending) = self.link(place)?.uploads.remove(&message) else { return Ok(()) };
        let source = match pending.sink {
            Sink::Memory(body) => {
                if pending.waiting.iter().any(|verified| !verified.header.names_body(&body)) {
                    return Err(Halt::wrong("I2: an honest node's body has another root"));
                }
                BodySource::Inline(Arc::from(body))
            }
            Sink::Store(upload) => {
                upload.finish()?;
                BodySource::Uploaded { drops: pending.drops }
            }
        };
        for verified in pending.waiting {
            self.decide(place, verified, source.clone(), None, (moment, chance, out));
        }
        Ok(())
    }

    pub(super) fn stated(
        &mut self,
        place: Place,
        receipts: &Receipts,
        moment: Moment,
        chance: &mut Chance,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let (peer, network) = (self.peer(place)?, self.cast.network);
        let pieces = evidence::verify_all(&self.mind()?.directory, network, peer, &receipts.proofs);
        let pieces = pieces.map_err(|error| Halt::wrong(format_args!("a node's evidence: {error}")))?;
        if let Some(newest) = pieces.last() {
            self.keep(place, core::slice::from_ref(&newest.checkpoint))?;
        }
        let last = receipts.first + receipts.proofs.len() as u64 - 1;
        let count = pieces.len();
        let mut behind = None;
        for (number, piece) in pieces.into_iter().enumerate() {
            let reading = self.reading(moment)?;
            self.mind()?.belief.heard(peer, piece.stated, reading);
            let place_of = Some((piece.claim.origin.epoch, piece.index));
            let command = Command::StoreEvidence(StoreEvidence {
                peer,
                claim: piece.claim,
                index: piece.index,
                behind,
                stated: piece.stated,
                proof: piece.text.into_bytes(),
                stamp: stamp(moment, chance),
            });
            behind = place_of;
            let cursor = Cursor { epoch: receipts.epoch, number: last };
            let last = (number + 1 == count).then_some(cursor);
            self.ask(command, Asked::Evidence { place, last }, chance, out);
        }
        Ok(())
    }
}
