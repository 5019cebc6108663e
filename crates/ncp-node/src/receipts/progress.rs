//! How far the hub's stream of receipts has come here, and what of it waits for a key that the directory does not have yet.
//! Pure: the desk shares it.
//!
//! On a link the stream goes on past such a piece: it is kept in memory and seen again when the directory changes. What the
//! journal notes, and with it where the hub begins after the next start, stays before the oldest of them. Of what finds no
//! room here the next hello asks again.

use std::collections::BTreeMap;

use ncp_protocol::frame::Cursor;
use ncp_protocol::ids::Epoch;
use ncp_protocol::proof::LogProof;

use crate::link::limits::KEYLESS_MAX;

/// Progress of the hub's stream.
#[derive(Debug)]
pub(crate) struct Progress {
    stored: Cursor,
    /// By number in the stream.
    keyless: BTreeMap<u64, LogProof>,
    /// The lowest number of a piece that found no room.
    left_out: Option<u64>,
}

impl Progress {
    /// Goes on where the journal says.
    pub(crate) fn new(noted: Cursor) -> Self {
        Self { stored: noted, keyless: BTreeMap::new(), left_out: None }
    }

    /// Notes that the stream is stored or kept up to `last`; returns what the link acknowledges.
    pub(crate) fn note(&mut self, epoch: Epoch, last: u64) -> Cursor {
        // A number behind the cursor is a repetition; one far ahead follows what the hub has forgotten.
        let number = if self.stored.epoch == epoch { self.stored.number.max(last) } else { last };
        self.stored = Cursor { epoch, number };
        self.stored
    }

    /// What a start may go on from: before the oldest piece that is not stored.
    pub(crate) fn durable(&self) -> Cursor {
        let missing = self.keyless.keys().next().copied().into_iter().chain(self.left_out).min();
        before(self.stored, missing)
    }

    /// What the next link goes on from: what is kept here need not come again.
    pub(crate) fn hello(&mut self) -> Cursor {
        self.stored = before(self.stored, self.left_out.take());
        self.stored
    }

    /// Keeps a piece whose key is not known; says whether there was room.
    pub(crate) fn keep(&mut self, epoch: Epoch, number: u64, proof: LogProof) -> bool {
        if self.stored.epoch != epoch {
            // Another life of the hub's log is another stream, which brings again what counts.
            *self = Self::new(Cursor { epoch, number: 0 });
        }
        let room = self.keyless.len() < KEYLESS_MAX || self.keyless.contains_key(&number);
        if room {
            self.keyless.insert(number, proof);
        } else {
            self.left_out = Some(self.left_out.map_or(number, |lowest| lowest.min(number)));
        }
        room
    }

    /// What is kept, with its numbers.
    pub(crate) fn kept(&self) -> (Epoch, Vec<(u64, LogProof)>) {
        (self.stored.epoch, self.keyless.iter().map(|(number, proof)| (*number, proof.clone())).collect())
    }

    /// A piece that was kept is stored, or worth nothing.
    pub(crate) fn settle(&mut self, epoch: Epoch, number: u64) {
        if self.stored.epoch == epoch {
            self.keyless.remove(&number);
        }
    }
}

fn before(cursor: Cursor, missing: Option<u64>) -> Cursor {
    let number = missing.map_or(cursor.number, |missing| cursor.number.min(missing.saturating_sub(1)));
    Cursor { number, ..cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Cursor {
        Cursor { epoch: Epoch(1), number }
    }

    fn proof() -> LogProof {
        LogProof { event: vec![1], index: 0, hashes: Vec::new(), checkpoint_note: String::new() }
    }

    #[test]
    fn the_journal_stays_before_what_waits_for_its_key_and_the_link_goes_on() {
        let mut progress = Progress::new(at(3));
        assert!(progress.keep(Epoch(1), 5, proof()) && progress.keep(Epoch(1), 8, proof()));
        assert_eq!(progress.note(Epoch(1), 9), at(9));
        assert_eq!((progress.durable(), progress.hello()), (at(4), at(9)));
        progress.settle(Epoch(1), 5);
        assert_eq!(progress.durable(), at(7));
        progress.settle(Epoch(1), 8);
        assert_eq!(progress.durable(), at(9));
    }

    #[test]
    fn what_finds_no_room_is_asked_for_again() {
        let mut progress = Progress::new(at(0));
        let max = KEYLESS_MAX as u64;
        assert!((1..=max).all(|number| progress.keep(Epoch(1), number, proof())));
        assert!(!progress.keep(Epoch(1), max + 1, proof()) && !progress.keep(Epoch(1), max + 2, proof()));
        assert!(progress.keep(Epoch(1), 1, proof()), "the same piece again takes no room");
        progress.note(Epoch(1), max + 9);
        (1..=max).for_each(|number| progress.settle(Epoch(1), number));
        assert_eq!(progress.durable(), at(max));
        assert_eq!(progress.hello(), at(max));
    }

    #[test]
    fn another_epoch_is_another_stream() {
        let mut progress = Progress::new(at(7));
        progress.keep(Epoch(1), 6, proof());
        assert!(progress.keep(Epoch(2), 2, proof()));
        progress.settle(Epoch(1), 2);
        let two = |number| Cursor { epoch: Epoch(2), number };
        assert_eq!(progress.note(Epoch(2), 4), two(4));
        assert_eq!((progress.durable(), progress.kept().1.len()), (two(1), 1));
    }
}
