//! Ed25519 cosignatures of checkpoints: C2SP tlog-cosignature v1.0.1, <https://c2sp.org/tlog-cosignature@v1.0.1>.
//!
//! A witness that has seen the log grow consistently signs the checkpoint together with the time. The signature line
//! carries that time (u64, big-endian, POSIX seconds) and the 64 bytes of the signature. Whether a witness counts, and
//! whether its time is fresh, is for the caller's policy.

use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::keys::{Signature, SigningKey, VerifyingKey};
use crate::note::{NoteKeyId, NoteSignature, SignatureType};

/// Latest time that a cosignature can state, in seconds.
pub const TIME_MAX_S: u64 = i64::MAX as u64;

/// Why a cosignature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CosignatureError {
    /// Not a time and 64 bytes, or a time beyond [`TIME_MAX_S`].
    #[error("malformed cosignature")]
    Malformed,
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
}

/// Cosigns `checkpoint` as the witness `name`, at `time_s` seconds since 1970-01-01T00:00:00Z, at most [`TIME_MAX_S`].
#[must_use]
pub fn cosign(checkpoint: &Checkpoint, name: &str, key: &SigningKey, time_s: u64) -> NoteSignature {
    let signature = key.sign_raw(message(&checkpoint.to_string(), time_s).as_bytes());
    let id = NoteKeyId::new(name, SignatureType::Ed25519Cosignature, &key.verifying_key());
    NoteSignature::new(name, id, &[time_s.to_be_bytes().as_slice(), &signature.0].concat())
}

/// Verifies the bytes of a cosignature over a checkpoint's note text and returns its time in seconds.
///
/// # Errors
/// [`CosignatureError`].
pub fn verify(text: &str, key: &VerifyingKey, bytes: &[u8]) -> Result<u64, CosignatureError> {
    let (time, signature) = bytes.split_first_chunk().ok_or(CosignatureError::Malformed)?;
    let signature = Signature(signature.try_into().map_err(|_| CosignatureError::Malformed)?);
    let time_s = u64::from_be_bytes(*time);
    if time_s > TIME_MAX_S {
        return Err(CosignatureError::Malformed);
    }
    let verified = key.verify_raw(message(text, time_s).as_bytes(), &signature);
    verified.map(|()| time_s).map_err(|_| CosignatureError::Signature)
}

fn message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::note::{NoteVerifyError, SignedNote, VerifierKey, sign};

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "example.com/log".to_owned(), size: 20_852_163, root: Digest([0x42; 32]) }
    }

    #[test]
    fn message_is_the_published_one() {
        let expected = "cosignature/v1\ntime 1679315147\nexample.com/log\n20852163\n\
                        QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI=\n";
        assert_eq!(message(&checkpoint().to_string(), 1_679_315_147), expected);
        let key = SigningKey::from_seed(&[1; 32]);
        let line = cosign(&checkpoint(), "witness.example/w1", &key, 1_679_315_147);
        assert_eq!(line.bytes()[..8], [0, 0, 0, 0, 0x64, 0x18, 0x50, 0xcb]);
        assert_eq!(line.bytes()[8..], key.sign_raw(expected.as_bytes()).0);
    }

    #[test]
    fn note_verifies_log_and_witness_and_tells_the_time() {
        let (log, witness) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let text = checkpoint().to_string();
        let note = SignedNote::new(&text, vec![sign(&text, "example.com/log", &log)])
            .and_then(|note| note.with_signature(cosign(&checkpoint(), "witness.example/w1", &witness, 77)))
            .unwrap();
        let known = [
            VerifierKey::new("witness.example/w1", SignatureType::Ed25519Cosignature, witness.verifying_key()).unwrap(),
            VerifierKey::new("example.com/log", SignatureType::Ed25519, log.verifying_key()).unwrap(),
        ];
        let verified = note.verify(&known).unwrap();
        let seen: Vec<_> = verified.iter().map(|one| (one.key.name(), one.time_s)).collect();
        assert_eq!(seen, [("example.com/log", None), ("witness.example/w1", Some(77))]);
        // As a plain signing key the witness has another id: its line is then a stranger's.
        let plain = VerifierKey::new("witness.example/w1", SignatureType::Ed25519, witness.verifying_key()).unwrap();
        assert_eq!(note.verify(&[plain]), Err(NoteVerifyError::NoKnownKey));
    }

    #[test]
    fn every_changed_bit_and_length_is_refused() {
        let key = SigningKey::from_seed(&[2; 32]);
        let text = checkpoint().to_string();
        let good = cosign(&checkpoint(), "w", &key, 1_679_315_147).bytes().to_vec();
        assert_eq!(verify(&text, &key.verifying_key(), &good), Ok(1_679_315_147));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&text, &key.verifying_key(), &bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(verify(&text, &key.verifying_key(), &good[..len]), Err(CosignatureError::Malformed));
        }
        assert_eq!(verify(&text, &key.verifying_key(), &[&good[..], &[0]].concat()), Err(CosignatureError::Malformed));
        let other = text.replace("20852163", "20852164");
        assert_eq!(verify(&other, &key.verifying_key(), &good), Err(CosignatureError::Signature));
    }

    #[test]
    fn time_beyond_its_limit_is_refused_although_signed() {
        let key = SigningKey::from_seed(&[2; 32]);
        let text = checkpoint().to_string();
        let last = cosign(&checkpoint(), "w", &key, TIME_MAX_S);
        assert_eq!(verify(&text, &key.verifying_key(), last.bytes()), Ok(TIME_MAX_S));
        let beyond = cosign(&checkpoint(), "w", &key, TIME_MAX_S + 1);
        assert_eq!(verify(&text, &key.verifying_key(), beyond.bytes()), Err(CosignatureError::Malformed));
    }
}
