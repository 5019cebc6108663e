//! What a wrap holds, and its form: a u16 length, the canonical encoding, zeros up to 256 bytes.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::body::ContentKey;
use crate::codec::{DecodeError, decode, encode};
use crate::ids::{Digest, Epoch, PairSequence};
use crate::limits::{VOIDED_MAX, WRAP_PLAIN};

/// What one recipient needs: the content key, and how far the originator is with this recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrapContent {
    /// Opens the body.
    pub cek: ContentKey,
    /// The originator's pair epoch, from 1.
    pub pair_epoch: Epoch,
    /// Number of this envelope, from 1; urgent mail counts by itself.
    pub pair_sequence: PairSequence,
    /// Lowest number still open, at most this envelope's own.
    pub floor: PairSequence,
    /// Ranges of numbers, both ends included, that will not be used: ascending, disjoint, at most 8.
    pub voided: Vec<(PairSequence, PairSequence)>,
    /// Size of the newest cosigned `public` checkpoint that the originator knows.
    pub public_size: u64,
    /// Its root.
    pub public_root: Digest,
}

/// Why the content of a wrap is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ContentError {
    /// The bytes do not decode.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The padding is not zero.
    #[error("padding is not zero")]
    Padding,
    /// Epoch, sequence or floor is 0, or the floor lies above the sequence.
    #[error("pair epoch, sequence or floor out of range")]
    Numbers,
    /// More than 8 voided ranges, not ascending, overlapping, or with this envelope's own number.
    #[error("voided ranges not allowed")]
    Voided,
}

/// How far an originator is with one recipient: as its wrap says it and the recipient's journal repeats it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairNumbers<'a> {
    pub(crate) epoch: Epoch,
    pub(crate) sequence: PairSequence,
    pub(crate) floor: PairSequence,
    pub(crate) voided: &'a [(PairSequence, PairSequence)],
}

impl PairNumbers<'_> {
    /// Checks that numbers count from 1 and ranges are in order.
    pub(crate) fn check(&self) -> Result<(), ContentError> {
        let Self { epoch, sequence, floor, voided } = *self;
        if epoch.0 == 0 || floor.0 == 0 || floor > sequence {
            return Err(ContentError::Numbers);
        }
        let ranges = voided.iter().all(|(first, last)| {
            let own = (*first..=*last).contains(&sequence);
            first.0 > 0 && first <= last && !own
        });
        let ascending = voided.is_sorted_by(|earlier, later| earlier.1 < later.0);
        if voided.len() > VOIDED_MAX || !ranges || !ascending {
            return Err(ContentError::Voided);
        }
        Ok(())
    }
}

impl WrapContent {
    /// Checks every rule that the types alone do not hold.
    ///
    /// # Errors
    /// [`ContentError`], the first rule that is broken.
    pub fn check(&self) -> Result<(), ContentError> {
        PairNumbers { epoch: self.pair_epoch, sequence: self.pair_sequence, floor: self.floor, voided: &self.voided }
            .check()
    }

    /// Checks and encodes.
    pub(super) fn encode(&self) -> Result<Zeroizing<[u8; WRAP_PLAIN]>, ContentError> {
        self.check()?;
        let encoded = Zeroizing::new(encode(self));
        let Ok(length) = u16::try_from(encoded.len()) else { unreachable!("eight ranges fit a wrap") };
        let mut plain = Zeroizing::new([0; WRAP_PLAIN]);
        let (head, tail) = plain.split_at_mut(LENGTH_LEN);
        head.copy_from_slice(&length.to_le_bytes());
        tail.split_at_mut(encoded.len()).0.copy_from_slice(&encoded);
        Ok(plain)
    }

    /// Decodes and checks.
    pub(super) fn decode(plain: &[u8]) -> Result<Self, ContentError> {
        let malformed = ContentError::Decode(DecodeError::Malformed);
        let (length, rest) = plain.split_first_chunk::<LENGTH_LEN>().ok_or(malformed)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (encoded, padding) = rest.split_at_checked(length).ok_or(malformed)?;
        if plain.len() != WRAP_PLAIN {
            return Err(malformed);
        }
        if padding.iter().any(|&byte| byte != 0) {
            return Err(ContentError::Padding);
        }
        let content: Self = decode(encoded, WRAP_PLAIN)?;
        content.check()?;
        Ok(content)
    }
}

const LENGTH_LEN: usize = 2;
/// Key, epoch, sequence, floor, count of ranges, ranges, size, root.
const ENCODED_MAX: usize = 32 + 4 + 8 + 8 + 8 + VOIDED_MAX * 16 + 8 + 32;

const _: () = assert!(LENGTH_LEN + ENCODED_MAX <= WRAP_PLAIN, "the fullest content fits a wrap");
