//! Log proofs: C2SP tlog-proof, <https://c2sp.org/tlog-proof>. One text that shows, offline, that an event stands in a
//! log: the event, its index, the Merkle path and the signed checkpoint, with whatever cosignatures that has.
//!
//! The format's `extra` line carries the event. It is not authenticated by itself; the leaf hash binds it. A proof is
//! believed only after [`LogProof::verify`].

use core::fmt;

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError, CheckpointTextError, SignedCheckpoint};
use crate::ids::{Digest, LogOrigin};
use crate::keys::VerifyingKey;
use crate::limits::{EVENT_MAX, NOTE_MAX, PROOF_HASHES_MAX};
use crate::merkle::{self, leaf_hash, verify_inclusion};
use crate::note::{self, NoteError, SignedNote};

/// First line of the text.
const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// Longest text of a proof: head, event, index, path and note. A hash takes 44 characters and a line feed.
pub const PROOF_TEXT_MAX: usize = 128 + EVENT_MAX.div_ceil(3) * 4 + PROOF_HASHES_MAX * 45 + NOTE_MAX;

/// An event with the proof that it stands in a log; nothing of it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogProof {
    /// The event's bytes, never empty.
    #[serde(with = "serde_bytes")]
    pub event: Vec<u8>,
    /// The event's place in the log, from 0.
    pub index: u64,
    /// The Merkle path, from the leaf's sibling up.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint, as its log or the witnesses made it.
    pub checkpoint_note: String,
}

/// Why a text is not a log proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LogProofError {
    /// Longer than [`PROOF_TEXT_MAX`], or with an event or a path that is too long.
    #[error("longer than its limit")]
    TooLong,
    /// The first line is another.
    #[error("not a log proof")]
    Head,
    /// No `extra` line with a non-empty event in base64.
    #[error("no event")]
    Event,
    /// No `index` line with a decimal number without leading zeros.
    #[error("no index")]
    Index,
    /// A line of the path is not 32 bytes in base64.
    #[error("not a hash")]
    Hash,
    /// What follows the empty line is not a signed note.
    #[error("no signed note: {0}")]
    Note(#[from] NoteError),
    /// The note is not a checkpoint.
    #[error("no checkpoint: {0}")]
    Checkpoint(#[from] CheckpointTextError),
}

/// Why a log proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The checkpoint is not this log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The event does not stand at its index under that checkpoint.
    #[error("the event is not in the log: {0}")]
    Inclusion(#[from] merkle::ProofError),
}

impl LogProof {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`LogProofError`].
    pub fn parse(text: &str) -> Result<Self, LogProofError> {
        if text.len() > PROOF_TEXT_MAX {
            return Err(LogProofError::TooLong);
        }
        // The proof itself has no empty line, so the first one ends it.
        let (proof, note) = text.split_once("\n\n").ok_or(LogProofError::Note(NoteError::Unsigned))?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(HEAD) {
            return Err(LogProofError::Head);
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra ")).ok_or(LogProofError::Event)?;
        let event = Base64::decode_vec(extra).map_err(|_| LogProofError::Event)?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(LogProofError::Index)?;
        let index = note::parse_decimal(index).ok_or(LogProofError::Index)?;
        let hashes = lines.map(note::parse_hash).collect::<Option<Vec<_>>>().ok_or(LogProofError::Hash)?;
        if event.is_empty() {
            return Err(LogProofError::Event);
        }
        if event.len() > EVENT_MAX || hashes.len() > PROOF_HASHES_MAX {
            return Err(LogProofError::TooLong);
        }
        Checkpoint::parse(SignedNote::parse(note)?.text())?;
        Ok(Self { event, index, hashes, checkpoint_note: note.to_owned() })
    }

    /// Verifies that the event stands in the log `origin`, whose key is `log_key`, and returns the checkpoint that
    /// covers it.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, origin: &LogOrigin, log_key: &VerifyingKey) -> Result<SignedCheckpoint, ProofError> {
        let signed = SignedCheckpoint::open(&self.checkpoint_note, origin, log_key)?;
        self.verify_under(signed.checkpoint())?;
        Ok(signed)
    }

    /// Verifies that the event stands in the log of which `checkpoint` was verified.
    ///
    /// # Errors
    /// [`merkle::ProofError`].
    pub(crate) fn verify_under(&self, checkpoint: &Checkpoint) -> Result<(), merkle::ProofError> {
        verify_inclusion(&leaf_hash(&self.event), self.index, checkpoint.size, &self.hashes, &checkpoint.root)
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}\nextra {}\nindex {}", Base64::encode_string(&self.event), self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", Base64::encode_string(&hash.0)))?;
        write!(f, "\n{}", self.checkpoint_note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;
    use crate::ids::{Epoch, LogName, NetworkId};
    use crate::keys::SigningKey;
    use crate::merkle::node_hash;
    use crate::note::NoteVerifyError;

    fn origin() -> LogOrigin {
        LogOrigin {
            network: NetworkId(Digest([7; 32])),
            participant: "HUB".parse().unwrap(),
            log: LogName::Traffic,
            epoch: Epoch(1),
        }
    }

    fn log_key() -> SigningKey {
        SigningKey::from_seed(&[1; 32])
    }

    /// The third of three events.
    fn proof() -> LogProof {
        let left = node_hash(&leaf_hash(b"one"), &leaf_hash(b"two"));
        let root = node_hash(&left, &leaf_hash(b"three"));
        let signed = Checkpoint { origin: origin().to_string(), size: 3, root }.sign(&log_key());
        let checkpoint_note = signed.note().to_owned();
        LogProof { event: b"three".to_vec(), index: 2, hashes: vec![left], checkpoint_note }
    }

    fn verify(proof: &LogProof) -> Result<SignedCheckpoint, ProofError> {
        proof.verify(&origin(), &log_key().verifying_key())
    }

    #[test]
    fn text_form_is_the_published_one_both_ways() {
        let proof = proof();
        let path = Base64::encode_string(&proof.hashes[0].0);
        let note = &proof.checkpoint_note;
        let text = format!("c2sp.org/tlog-proof@v1\nextra dGhyZWU=\nindex 2\n{path}\n\n{note}");
        assert_eq!(proof.to_string(), text);
        assert_eq!(LogProof::parse(&text), Ok(proof));
    }

    #[test]
    fn proof_of_the_only_event_has_no_path() {
        let signed = Checkpoint { origin: origin().to_string(), size: 1, root: leaf_hash(b"one") }.sign(&log_key());
        let checkpoint_note = signed.note().to_owned();
        let proof = LogProof { event: b"one".to_vec(), index: 0, hashes: Vec::new(), checkpoint_note };
        assert_eq!(LogProof::parse(&proof.to_string()).as_ref(), Ok(&proof));
        assert_eq!(verify(&proof), Ok(signed));
    }

    #[test]
    fn canonical_encoding_round_trips() {
        let bytes = codec::encode(&proof());
        assert_eq!(codec::decode(&bytes, bytes.len()), Ok(proof()));
        // Length and bytes of the event, index, number of hashes: no byte is spent on anything else.
        let head =
            [[5, 0, 0, 0, 0, 0, 0, 0].as_slice(), b"three", &[2, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 0, 0, 0, 0]];
        assert!(bytes.starts_with(&head.concat()));
    }

    #[test]
    fn other_texts_are_refused() {
        use LogProofError::*;
        let good = proof().to_string();
        let check = |from: &str, to: &str, expected| {
            assert!(good.contains(from));
            assert_eq!(LogProof::parse(&good.replacen(from, to, 1)), Err(expected), "{from:?} to {to:?}");
        };
        check("tlog-proof@v1", "tlog-proof@v2", Head);
        check("extra dGhyZWU=\n", "", Event);
        check("extra dGhyZWU=", "extra dGhyZWU", Event);
        check("extra dGhyZWU=", "extra dGhyZWV=", Event);
        check("extra dGhyZWU=", "extra ", Event);
        check("extra dGhyZWU=", "extra  dGhyZWU=", Event);
        check("extra dGhyZWU=", &format!("extra {}", Base64::encode_string(&[1; EVENT_MAX + 1])), TooLong);
        for index in ["index 02", "index +2", "index", "index ", "index  2", "index 2 ", "Index 2"] {
            check("index 2", index, Index);
        }
        check("index 2\n", "", Index);
        check("index 2\n", "index 2\n#\n", Hash);
        check("index 2\n", "index 2\nAAAA\n", Hash);
        check(
            "index 2\n",
            &format!("index 2\n{}", format!("{}\n", Base64::encode_string(&[0; 32])).repeat(63)),
            TooLong,
        );
        check("index 2\n", "index 2\n\n", Checkpoint(CheckpointTextError::Lines));
        check("\n3\n", "\n03\n", Checkpoint(CheckpointTextError::Size));
        check("\u{2014}", "-", Note(NoteError::SignatureLine));
        check("\n\n", "\n", Hash);
        assert_eq!(LogProof::parse(&" ".repeat(PROOF_TEXT_MAX + 1)), Err(TooLong));
        assert_eq!(LogProof::parse(""), Err(Note(NoteError::Unsigned)));
    }

    #[test]
    fn proof_of_anything_else_is_refused() {
        let good = proof();
        assert!(verify(&good).is_ok());
        let inclusion = |error| Err(ProofError::Inclusion(error));
        let check = |bad: LogProof, expected| assert_eq!(verify(&bad), expected, "{bad:?}");
        check(LogProof { event: b"four".to_vec(), ..good.clone() }, inclusion(merkle::ProofError::Root));
        check(LogProof { index: 1, ..good.clone() }, inclusion(merkle::ProofError::Length));
        check(LogProof { index: 3, ..good.clone() }, inclusion(merkle::ProofError::OutOfRange));
        check(LogProof { hashes: Vec::new(), ..good.clone() }, inclusion(merkle::ProofError::Length));
        check(LogProof { hashes: vec![Digest([0; 32])], ..good.clone() }, inclusion(merkle::ProofError::Root));

        let stranger = SigningKey::from_seed(&[2; 32]).verifying_key();
        let unknown = CheckpointError::Signature(NoteVerifyError::NoKnownKey);
        assert_eq!(good.verify(&origin(), &stranger), Err(ProofError::Checkpoint(unknown)));
        let public = LogOrigin { log: LogName::Public, ..origin() };
        assert_eq!(good.verify(&public, &log_key().verifying_key()), Err(ProofError::Checkpoint(unknown)));
    }

    #[test]
    fn no_changed_byte_of_the_text_proves_another_event() {
        let good = proof().to_string();
        for position in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                assert!(LogProof::parse(&text).ok().and_then(|bad| verify(&bad).ok()).is_none(), "{text}");
            }
        }
    }
}
