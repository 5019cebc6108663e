//! Tests alone: what a decoder makes of a good value with one byte changed, at each place.

/// Changes every byte of `good` in three ways; what still decodes must encode to the bytes it came from. Both must happen, or
/// the sweep said nothing.
pub(crate) fn decodes_to_itself_or_not_at_all(good: &[u8], decode_and_encode: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    assert_eq!(decode_and_encode(good).as_deref(), Some(good));
    let (mut accepted, mut refused) = (0, 0);
    for at in 0..good.len() {
        for flip in [0x01, 0x40, 0x80] {
            let mut changed = good.to_vec();
            changed[at] ^= flip;
            match decode_and_encode(&changed) {
                Some(encoded) => {
                    assert_eq!(encoded, changed, "byte {at}");
                    accepted += 1;
                }
                None => refused += 1,
            }
        }
    }
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
}
