//! Checkpoints: C2SP tlog-checkpoint v1.0.0, <https://c2sp.org/tlog-checkpoint@v1.0.0>, without extension lines.
//!
//! A checkpoint states size and root of a log; the log signs it under its origin as key name. Whoever signs must never
//! sign two that are inconsistent: that duty lies with the committer, not here. A [`SignedCheckpoint`] keeps the exact
//! bytes of its note, because those are what others verify and cosign.

use core::fmt;

use base64ct::{Base64, Encoding as _};
use thiserror::Error;

use crate::ids::{Digest, LogOrigin};
use crate::keys::{SigningKey, VerifyingKey};
use crate::limits::TREE_SIZE_MAX;
use crate::note::{self, NoteError, NoteSignature, NoteVerifyError, SignatureType, SignedNote, Verified, VerifierKey};

/// Size and root of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log. Also the name of its key, so it follows the rules of key names.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the tree of that many leaves.
    pub root: Digest,
}

/// Why a note's text is not a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CheckpointTextError {
    /// Not exactly three lines, each with its line feed.
    #[error("not three lines")]
    Lines,
    /// The origin could not name a key.
    #[error("not an origin")]
    Origin,
    /// Not a decimal number without leading zeros, or larger than [`TREE_SIZE_MAX`].
    #[error("not a tree size")]
    Size,
    /// Not 32 bytes in base64.
    #[error("not a root")]
    Root,
}

impl Checkpoint {
    /// Reads a note's text.
    ///
    /// # Errors
    /// [`CheckpointTextError`].
    pub fn parse(text: &str) -> Result<Self, CheckpointTextError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointTextError::Lines)?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointTextError::Lines);
        };
        if !note::is_key_name(origin) {
            return Err(CheckpointTextError::Origin);
        }
        let size = note::parse_decimal(size).filter(|&size| size <= TREE_SIZE_MAX).ok_or(CheckpointTextError::Size)?;
        let root = note::parse_hash(root).ok_or(CheckpointTextError::Root)?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// Signs with the log's key.
    ///
    /// # Panics
    /// If the origin could not name a key. Those of [`LogOrigin`] and of parsed checkpoints can.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> SignedCheckpoint {
        let text = self.to_string();
        match SignedNote::new(&text, vec![note::sign(&text, &self.origin, key)]) {
            Ok(note) => SignedCheckpoint { checkpoint: self.clone(), note: note.to_string() },
            Err(error) => panic!("a checkpoint of ours is no note: {error}"),
        }
    }
}

impl fmt::Display for Checkpoint {
    /// The note's text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, Base64::encode_string(&self.root.0))
    }
}

/// Why a note is not this log's signed checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// Not a signed note.
    #[error("not a signed note: {0}")]
    Note(#[from] NoteError),
    /// The log's key did not sign it, or its signature does not verify.
    #[error(transparent)]
    Signature(#[from] NoteVerifyError),
    /// Signed, but not a checkpoint.
    #[error("not a checkpoint: {0}")]
    Text(#[from] CheckpointTextError),
    /// A checkpoint of another log.
    #[error("another log's checkpoint")]
    Origin,
}

/// A checkpoint with its log's signature, self-made or verified. Keeps the note's bytes as made or received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl SignedCheckpoint {
    /// Verifies that `note` is a checkpoint of the log `origin`, signed with `log_key`. Other signatures in it are
    /// ignored.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(note: &str, origin: &LogOrigin, log_key: &VerifyingKey) -> Result<Self, CheckpointError> {
        let origin = origin.to_string();
        let signed = SignedNote::parse(note)?;
        let Ok(key) = VerifierKey::new(&origin, SignatureType::Ed25519, *log_key) else {
            return Err(CheckpointError::Origin);
        };
        signed.verify(&[key])?;
        let checkpoint = Checkpoint::parse(signed.text())?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin);
        }
        Ok(Self { checkpoint, note: note.to_owned() })
    }

    /// What it states.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The exact bytes of the note.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Verifies the cosignatures of the witnesses in `known`; those of others are ignored.
    ///
    /// # Errors
    /// [`NoteVerifyError`] if a known witness's signature fails, or there is none.
    pub fn cosignatures<'k>(&self, known: &'k [VerifierKey]) -> Result<Vec<Verified<'k>>, NoteVerifyError> {
        self.parsed().verify(known)
    }

    /// The same checkpoint with one more signature line, for a cosignature. Verifying it is the caller's part.
    ///
    /// # Errors
    /// [`NoteError`] if the note may not hold it.
    pub fn with_signature(&self, signature: NoteSignature) -> Result<Self, NoteError> {
        let note = self.parsed().with_signature(signature)?;
        Ok(Self { checkpoint: self.checkpoint.clone(), note: note.to_string() })
    }

    fn parsed(&self) -> SignedNote {
        match SignedNote::parse(&self.note) {
            Ok(note) => note,
            Err(error) => unreachable!("the note was parsed or made as one: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosignature::cosign;
    use crate::ids::{Epoch, LogName, NetworkId};

    fn origin() -> LogOrigin {
        LogOrigin {
            network: NetworkId(Digest([7; 32])),
            participant: "XA".parse().unwrap(),
            log: LogName::Node,
            epoch: Epoch(1),
        }
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: origin().to_string(), size: 923_748, root: Digest([0x42; 32]) }
    }

    const TEXT: &str = "ncp/0707070707070707/XA/node/1\n923748\nQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=\n";

    #[test]
    fn text_is_three_lines_both_ways() {
        assert_eq!(checkpoint().to_string(), TEXT);
        assert_eq!(Checkpoint::parse(TEXT), Ok(checkpoint()));
    }

    #[test]
    fn text_with_any_other_form_is_refused() {
        use CheckpointTextError::*;
        let root = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=";
        let check = |text: String, expected| assert_eq!(Checkpoint::parse(&text), Err(expected), "{text:?}");
        check(String::new(), Lines);
        check(format!("log\n1\n{root}"), Lines);
        check("log\n1\n".to_owned(), Lines);
        check(format!("log\n1\n{root}\nextension\n"), Lines);
        check(format!("log\n1\n{root}\n\n"), Lines);
        for origin in ["", "my log", "log+1", "log\u{a0}", "log\t"] {
            check(format!("{origin}\n1\n{root}\n"), Origin);
        }
        for size in ["", "01", "+1", "-1", " 1", "1 ", "0x1", "9223372036854775809", "18446744073709551616"] {
            check(format!("log\n{size}\n{root}\n"), Size);
        }
        assert_eq!(Checkpoint::parse(&format!("log\n9223372036854775808\n{root}\n")).unwrap().size, TREE_SIZE_MAX);
        // Unpadded, non-zero bits behind the end, the URL alphabet, a byte too few, a byte too many, nothing.
        let (unpadded, loose) = (&root[..43], root.replace("kI=", "kJ="));
        let url = root.replace("QkJ", "_-J");
        let (short, long) =
            ("QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQg==", "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC");
        for root in [unpadded, &loose, &url, short, long, ""] {
            check(format!("log\n1\n{root}\n"), Root);
        }
    }

    #[test]
    fn signed_checkpoint_opens_under_its_origin_and_key_alone() {
        let key = SigningKey::from_seed(&[1; 32]);
        let signed = checkpoint().sign(&key);
        assert_eq!(SignedCheckpoint::open(signed.note(), &origin(), &key.verifying_key()), Ok(signed.clone()));
        assert_eq!(signed.checkpoint(), &checkpoint());

        let stranger = SigningKey::from_seed(&[2; 32]).verifying_key();
        let unknown = Err(CheckpointError::Signature(NoteVerifyError::NoKnownKey));
        assert_eq!(SignedCheckpoint::open(signed.note(), &origin(), &stranger), unknown);
        let next = LogOrigin { epoch: Epoch(2), ..origin() };
        assert_eq!(SignedCheckpoint::open(signed.note(), &next, &key.verifying_key()), unknown);
        let larger = signed.note().replace("923748", "923749");
        let bad = Err(CheckpointError::Signature(NoteVerifyError::BadSignature));
        assert_eq!(SignedCheckpoint::open(&larger, &origin(), &key.verifying_key()), bad);
    }

    #[test]
    fn text_signed_under_another_origin_is_another_logs() {
        let key = SigningKey::from_seed(&[1; 32]);
        let text = Checkpoint { origin: "other".to_owned(), ..checkpoint() }.to_string();
        let note = SignedNote::new(&text, vec![note::sign(&text, &origin().to_string(), &key)]).unwrap().to_string();
        assert_eq!(SignedCheckpoint::open(&note, &origin(), &key.verifying_key()), Err(CheckpointError::Origin));
        let text = format!("{}extension\n", checkpoint());
        let note = SignedNote::new(&text, vec![note::sign(&text, &origin().to_string(), &key)]).unwrap().to_string();
        let extended = Err(CheckpointError::Text(CheckpointTextError::Lines));
        assert_eq!(SignedCheckpoint::open(&note, &origin(), &key.verifying_key()), extended);
    }

    #[test]
    fn cosignature_is_added_behind_the_logs_signature() {
        let (log, witness) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let known = [VerifierKey::new("w", SignatureType::Ed25519Cosignature, witness.verifying_key()).unwrap()];
        let signed = checkpoint().sign(&log);
        assert_eq!(signed.cosignatures(&known), Err(NoteVerifyError::NoKnownKey));

        let line = cosign(&checkpoint(), "w", &witness, 77);
        let cosigned = signed.with_signature(line.clone()).unwrap();
        assert_eq!(cosigned.note(), format!("{}{line}\n", signed.note()));
        assert_eq!(cosigned.cosignatures(&known).unwrap()[0].time_s, Some(77));
        assert_eq!(SignedCheckpoint::open(cosigned.note(), &origin(), &log.verifying_key()), Ok(cosigned.clone()));
        assert_eq!(cosigned.with_signature(line), Err(NoteError::SignedTwice));
    }
}
