//! Padmé: how long a body's plaintext becomes, so that its length tells little about the content.
//!
//! Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PETS 2019, section 4:
//! a length of about n bits keeps its first log2(n) bits after the leading one, and is rounded up to that. The number of
//! possible lengths falls from L to O(log log L) bits, and the overhead stays below 12 %. Below [`BODY_BUCKET_MIN`]
//! everything has one length.

use crate::limits::BODY_BUCKET_MIN;

/// The bucket of a plaintext of `len` bytes: at least `len`, at least [`BODY_BUCKET_MIN`], and its own bucket.
#[must_use]
pub const fn padded_len(len: u64) -> u64 {
    if len <= BODY_BUCKET_MIN {
        return BODY_BUCKET_MIN;
    }
    let exponent = len.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let mask = (1 << (exponent - kept_bits)) - 1;
    // Only lengths within a hair of 2^64 could overflow; there is no bucket beyond.
    len.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{BODY_MAX, CHUNK_PLAIN, CHUNKS_MAX, MESSAGE_MAX};

    fn check_overhead(len: u64) {
        let padded = padded_len(len);
        assert!(padded >= len, "{len}");
        assert!((padded - len) * 100 <= len * 12, "{len} becomes {padded}");
        assert_eq!(padded_len(padded), padded, "{len}");
    }

    #[test]
    fn small_lengths_share_one_bucket() {
        for len in [0, 1, 4_095, 4_096] {
            assert_eq!(padded_len(len), 4_096);
        }
        assert_eq!(padded_len(4_097), 4_352);
    }

    #[test]
    fn overhead_stays_below_12_percent_in_every_bucket() {
        // The worst length of a bucket is its first, one above the bucket before.
        let (mut bucket, mut buckets) = (BODY_BUCKET_MIN, 0);
        while bucket <= 2 * MESSAGE_MAX {
            check_overhead(bucket + 1);
            bucket = padded_len(bucket + 1);
            buckets += 1;
        }
        assert!(buckets > 300, "only {buckets} buckets");
    }

    #[test]
    fn the_largest_message_fits_a_body() {
        let padded = padded_len(MESSAGE_MAX + 36);
        assert!(padded.div_ceil(CHUNK_PLAIN as u64) <= CHUNKS_MAX);
        assert!(padded + CHUNKS_MAX * 16 <= BODY_MAX);
    }

    #[test]
    fn the_end_of_the_range_does_not_overflow() {
        assert!(padded_len(u64::MAX) >= u64::MAX - (1 << 58));
    }

    proptest! {
        #[test]
        fn overhead_stays_below_12_percent(len in BODY_BUCKET_MIN..4 * MESSAGE_MAX) {
            check_overhead(len);
        }

        #[test]
        fn a_longer_text_is_never_padded_shorter(len in 0..4 * MESSAGE_MAX, more in 0..MESSAGE_MAX) {
            prop_assert!(padded_len(len) <= padded_len(len + more));
        }
    }
}
