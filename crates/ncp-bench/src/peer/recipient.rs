//! The recipient's side: takes deliveries with their bodies, answers with R2, gives credit back.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use ncp_protocol::body::chunk_count;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::{BodyChunk, BodyWanted, Credit, Deliver, Frame, Receipts};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, Epoch, MessageId, ParticipantId};
use ncp_protocol::limits::RECEIPTS_PER_FRAME_MAX;
use ncp_protocol::proof::LogProof;

use super::{Link, Log, Material};
use crate::trouble::Trouble;

/// Frames of receipts that may wait for the relay's word that it has them.
const FRAMES_AHEAD: usize = 4;

/// What was delivered.
pub(crate) struct Delivered {
    /// From the first wait to the relay's word that it has the last R2.
    pub(crate) time: Duration,
    /// Number of the last receipt in the relay's stream, if it sent any.
    pub(crate) stored: u64,
}

/// Takes `count` deliveries, and waits until the relay has R2 of each.
pub(crate) async fn receive(
    link: &mut Link,
    material: &Material,
    log: &mut Log,
    count: usize,
) -> Result<Delivered, Trouble> {
    let until = log.size() + count as u64;
    let mut side = Side {
        acknowledged: log.size(),
        link,
        material,
        log,
        ahead: None,
        arriving: BTreeMap::new(),
        arrived: Vec::new(),
        proofs: VecDeque::new(),
        unacknowledged: VecDeque::new(),
        stored: 0,
    };
    let begun = Instant::now();
    while side.acknowledged < until {
        let frame = tokio::select! {
            biased;
            frame = side.link.next() => frame?,
            // Nothing more has come: what is here is answered together.
            () = core::future::ready(()), if !side.arrived.is_empty() => {
                side.answer()?;
                continue;
            }
        };
        side.take(frame)?;
    }
    Ok(Delivered { time: begun.elapsed(), stored: side.stored })
}

/// A delivery whose body has not come yet.
struct Arriving {
    envelope: EnvelopeKey,
    header: Digest,
    chunks: u64,
    bytes: u64,
}

struct Side<'a> {
    link: &'a mut Link,
    material: &'a Material,
    log: &'a mut Log,
    /// Message and length of a body that came ahead of its delivery.
    ahead: Option<((ParticipantId, MessageId), u64)>,
    arriving: BTreeMap<(ParticipantId, MessageId), Arriving>,
    arrived: Vec<Arriving>,
    proofs: VecDeque<LogProof>,
    /// Last number of each frame that the relay has not acknowledged.
    unacknowledged: VecDeque<u64>,
    /// Number of the last receipt that it has acknowledged.
    acknowledged: u64,
    stored: u64,
}

impl Side<'_> {
    fn take(&mut self, frame: Frame) -> Result<(), Trouble> {
        if let Frame::Deliver(Deliver { envelope, .. }) = frame {
            let header = envelope.unverified_header().map_err(Trouble::network)?;
            let Header { originator, message, recipient, seal, ciphertext_root: root, body_length, .. } = header;
            let arriving = Arriving {
                envelope: EnvelopeKey { originator, message, recipient, seal },
                header: envelope.header_digest(),
                chunks: chunk_count(body_length),
                bytes: body_length,
            };
            if self.ahead.take() == Some(((originator, message), body_length)) {
                self.arrived.push(arriving);
                return Ok(());
            }
            self.link.send(BodyWanted { originator, message, root, from_chunk: 0 })?;
            self.arriving.insert((originator, message), arriving);
        } else if let Frame::BodyChunk(BodyChunk { originator, message, index, bytes }) = frame {
            let key = (originator, message);
            match self.arriving.get(&key).map(|one| index + 1 == one.chunks) {
                Some(true) => self.arrived.extend(self.arriving.remove(&key)),
                Some(false) => {}
                None => self.ahead = Some((key, bytes.len() as u64)),
            }
        } else if let Frame::ReceiptsStored(stored) = frame {
            self.acknowledged(stored.cursor.number)?;
        } else if let Frame::Receipts(receipts) = frame {
            self.stored = receipts.first + (receipts.proofs.len() as u64).saturating_sub(1);
        } else if let Frame::Refused(refused) = frame {
            return Err(Trouble::network(format_args!("the relay refused evidence: {}", refused.code)));
        }
        Ok(())
    }

    /// States R2 about all that has arrived, and gives the credit back.
    fn answer(&mut self) -> Result<(), Trouble> {
        let arrived = core::mem::take(&mut self.arrived);
        let envelopes: Vec<_> = arrived.iter().map(|one| (one.envelope, one.header)).collect();
        self.proofs.extend(self.log.consign(self.material, &envelopes)?);
        let bytes = arrived.iter().map(|one| one.bytes).sum();
        self.link.send(Credit { envelopes: u32::try_from(arrived.len()).unwrap_or(u32::MAX), bytes })?;
        self.send_receipts()
    }

    fn send_receipts(&mut self) -> Result<(), Trouble> {
        while !self.proofs.is_empty() && self.unacknowledged.len() < FRAMES_AHEAD {
            let first = self.log.size() - self.proofs.len() as u64 + 1;
            let batch = self.proofs.iter().take(RECEIPTS_PER_FRAME_MAX).cloned();
            let Some(receipts) = Receipts::fill(Epoch(1), first, batch) else { return Ok(()) };
            self.proofs.drain(..receipts.proofs.len());
            self.unacknowledged.push_back(first + receipts.proofs.len() as u64 - 1);
            self.link.send(receipts)?;
        }
        Ok(())
    }

    fn acknowledged(&mut self, number: u64) -> Result<(), Trouble> {
        while self.unacknowledged.front().is_some_and(|last| *last <= number) {
            self.unacknowledged.pop_front();
        }
        self.acknowledged = self.acknowledged.max(number);
        self.send_receipts()
    }
}
