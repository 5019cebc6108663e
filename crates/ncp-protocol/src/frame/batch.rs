//! Filling a frame: as many items, in order, as its bounds allow.

use serde::Serialize;

use super::PAYLOAD_MAX;
use super::payload::{PublicLog, Receipts};
use crate::codec::encode;
use crate::ids::Epoch;
use crate::limits::{NOTE_MAX, PUBLIC_EVENTS_PER_FRAME_MAX, RECEIPTS_PER_FRAME_MAX};
use crate::proof::LogProof;

/// Fields of the payload beside its items.
const FIELDS_MAX: usize = 64;

fn fill<T: Serialize>(items: impl IntoIterator<Item = T>, count_max: usize, mut room: usize) -> Vec<T> {
    let fits = |item: &T| match room.checked_sub(encode(item).len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    items.into_iter().take(count_max).take_while(fits).collect()
}

impl Receipts {
    /// The first of `proofs` that fit one frame, numbered from `first`; none if there are none. Any single proof fits.
    #[must_use]
    pub fn fill(epoch: Epoch, first: u64, proofs: impl IntoIterator<Item = LogProof>) -> Option<Self> {
        let proofs = fill(proofs, RECEIPTS_PER_FRAME_MAX, PAYLOAD_MAX - FIELDS_MAX);
        (!proofs.is_empty()).then_some(Self { epoch, first, proofs })
    }
}

impl PublicLog {
    /// The first of `events` that fit one frame beside `checkpoint`. Any single event fits.
    #[must_use]
    pub fn fill(from: u64, events: impl IntoIterator<Item = Vec<u8>>, checkpoint: String) -> Self {
        let events = fill(events, PUBLIC_EVENTS_PER_FRAME_MAX, PAYLOAD_MAX - NOTE_MAX - FIELDS_MAX);
        Self { from, events, checkpoint }
    }
}
