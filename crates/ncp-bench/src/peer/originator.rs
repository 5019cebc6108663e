//! The originator's side: submits, serves bodies, counts R1.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use ncp_protocol::event::EvidenceKind;
use ncp_protocol::evidence::unverified_claim;
use ncp_protocol::frame::{BodyChunk, BodyWanted, Credit, Cursor, Frame, Receipts, ReceiptsStored, Submit};
use ncp_protocol::ids::{MessageId, ParticipantId};
use ncp_protocol::limits::BODY_AHEAD_MAX;
use ncp_protocol::proof::LogProof;

use super::Link;
use crate::envelopes::Sealed;
use crate::trouble::Trouble;

/// What became of a submission of many.
pub(crate) struct Submitted {
    /// From the first envelope to the last R1.
    pub(crate) time: Duration,
    /// R1 of all envelopes, not verified.
    pub(crate) receipts: Vec<LogProof>,
    /// Number of the last receipt in the relay's stream.
    pub(crate) stored: u64,
}

/// Submits all envelopes, `window` of them at once, and waits for R1 of each.
pub(crate) async fn submit_all(
    link: &mut Link,
    originator: ParticipantId,
    envelopes: &[Sealed],
    window: usize,
) -> Result<Submitted, Trouble> {
    let places: BTreeMap<MessageId, usize> = envelopes.iter().map(|one| one.message).zip(0..).collect();
    let begun = Instant::now();
    let mut side = Side {
        link,
        originator,
        envelopes,
        places,
        next: 0,
        in_flight: 0,
        wanted: VecDeque::new(),
        receipts: Vec::with_capacity(envelopes.len()),
        stored: 0,
    };
    while side.receipts.len() < envelopes.len() {
        side.submit(window)?;
        side.serve_bodies()?;
        let frame = side.link.next().await?;
        side.take(frame)?;
    }
    let Side { receipts, stored, .. } = side;
    Ok(Submitted { time: begun.elapsed(), receipts, stored })
}

struct Side<'a> {
    link: &'a mut Link,
    originator: ParticipantId,
    envelopes: &'a [Sealed],
    places: BTreeMap<MessageId, usize>,
    next: usize,
    in_flight: usize,
    wanted: VecDeque<(usize, usize)>,
    receipts: Vec<LogProof>,
    stored: u64,
}

impl Side<'_> {
    fn submit(&mut self, window: usize) -> Result<(), Trouble> {
        while self.in_flight < window && self.link.credit.envelopes > 0 {
            let Some(sealed) = self.envelopes.get(self.next) else { return Ok(()) };
            if let [body] = sealed.chunks.as_slice() {
                self.send_ahead(sealed.message, body)?;
            }
            self.link.send(Submit { envelope: sealed.envelope.clone() })?;
            self.link.credit.envelopes -= 1;
            self.in_flight += 1;
            self.next += 1;
        }
        Ok(())
    }

    /// A small body goes ahead of its envelope, as nodes do it.
    fn send_ahead(&mut self, message: MessageId, body: &[u8]) -> Result<(), Trouble> {
        let length = body.len() as u64;
        if length <= BODY_AHEAD_MAX.min(self.link.credit.bytes) {
            self.link.credit.bytes -= length;
            let originator = self.originator;
            self.link.send(BodyChunk { originator, message, index: 0, bytes: body.to_vec() })?;
        }
        Ok(())
    }

    fn serve_bodies(&mut self) -> Result<(), Trouble> {
        while let Some((place, index)) = self.wanted.front().copied() {
            let sealed = self.envelopes.get(place);
            let Some((sealed, bytes)) = sealed.and_then(|one| Some((one, one.chunks.get(index)?))) else {
                self.wanted.pop_front();
                continue;
            };
            let length = bytes.len() as u64;
            if self.link.credit.bytes < length {
                return Ok(());
            }
            self.link.credit.bytes -= length;
            let (originator, message) = (self.originator, sealed.message);
            self.link.send(BodyChunk { originator, message, index: index as u64, bytes: bytes.clone() })?;
            if let Some(front) = self.wanted.front_mut() {
                front.1 += 1;
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame) -> Result<(), Trouble> {
        if let Frame::Credit(Credit { envelopes, bytes }) = frame {
            self.link.credit.envelopes += envelopes;
            self.link.credit.bytes += bytes;
        } else if let Frame::BodyWanted(BodyWanted { message, from_chunk, .. }) = frame {
            if let Some(place) = self.places.get(&message) {
                self.wanted.push_back((*place, usize::try_from(from_chunk).unwrap_or(usize::MAX)));
            }
        } else if let Frame::Receipts(receipts) = frame {
            self.receipts(receipts)?;
        } else if let Frame::Refused(refused) = frame {
            return Err(Trouble::network(format_args!("the relay refused an envelope: {}", refused.code)));
        }
        Ok(())
    }

    fn receipts(&mut self, Receipts { epoch, first, proofs }: Receipts) -> Result<(), Trouble> {
        self.stored = first + (proofs.len() as u64).saturating_sub(1);
        self.link.send(ReceiptsStored { cursor: Cursor { epoch, number: self.stored } })?;
        for proof in proofs {
            // Receipts of the recipients travel in the same stream.
            if unverified_claim(&proof).is_ok_and(|claim| claim.kind == EvidenceKind::RelayAcceptance) {
                self.in_flight -= 1;
                self.receipts.push(proof);
            }
        }
        Ok(())
    }
}
