use super::*;
use crate::limits::{DAY_MS, LIFETIME_DEFAULT_MS};
use crate::samples::{NETWORK, participant};

fn header() -> Header {
    Header {
        version: PROTOCOL_VERSION,
        suite: SUITE,
        network: NETWORK,
        message: MessageId([3; 16]),
        seal: SealNumber(1),
        originator: participant("XA"),
        originator_key: KeyId(Digest([4; 32])),
        recipient: participant("XB"),
        recipient_key: KeyId(Digest([5; 32])),
        precedence: Precedence::Priority,
        created: UnixMillis(1_000_000),
        not_after: UnixMillis(1_000_000 + LIFETIME_DEFAULT_MS),
        body_length: 4_096 + 16,
        ciphertext_root: Digest([6; 32]),
        content_commitment: Digest([8; 32]),
        wrap_digest: Digest([9; 32]),
    }
}

fn check_broken(change: impl FnOnce(&mut Header), expected: HeaderError) {
    let mut broken = header();
    change(&mut broken);
    assert_eq!(Header::decode(&broken.encode()), Err(expected));
}

fn core_fields() -> Vec<u8> {
    let fields: &[&[u8]] = &[
        &[1, 0],                               // protocol version
        &[1, 0],                               // suite
        &[7; 32],                              // network
        &[3; 16],                              // message
        &[1, 0, 0, 0],                         // seal number
        b"XA\0\0\0\0\0\0",                     // originator
        &[4; 32],                              // its signing key
        b"XB\0\0\0\0\0\0",                     // recipient
        &[5; 32],                              // its sealing key
        &[1, 0, 0, 0],                         // precedence: priority
        &[0x40, 0x42, 0x0f, 0, 0, 0, 0, 0],    // created
        &[0x40, 0x0e, 0xcf, 0x19, 0, 0, 0, 0], // not after
        &[0x10, 0x10, 0, 0, 0, 0, 0, 0],       // body length
        &[6; 32],                              // ciphertext root
        &[8; 32],                              // content commitment
    ];
    fields.concat()
}

#[test]
fn bytes_are_the_documented_ones() {
    let bytes = [b"NCPH\x01\0\0\0".as_slice(), &core_fields(), &[9; 32]].concat();
    assert_eq!(header().encode(), bytes);
    assert_eq!(Header::decode(&bytes), Ok(header()));
    assert_eq!(bytes.len(), HEADER_LEN);
    assert_eq!(header_digest(&bytes), sha256(&bytes));
}

#[test]
fn core_hash_covers_all_but_the_wrap_digest() {
    let label = [b"ncp/v1/header-core\0".as_slice(), &[7; 32]].concat();
    assert_eq!(header().core_hash(), sha256(&[label, core_fields()].concat()));
    let other_wrap = Header { wrap_digest: Digest([0; 32]), ..header() };
    assert_eq!(other_wrap.core_hash(), header().core_hash());
    let other_root = Header { ciphertext_root: Digest([0; 32]), ..header() };
    assert_ne!(other_root.core_hash(), header().core_hash());
}

#[test]
fn rules_are_checked_on_decoding() {
    check_broken(|h| h.version = 2, HeaderError::Version(2));
    check_broken(|h| h.suite = 0, HeaderError::Suite(0));
    check_broken(|h| h.recipient = h.originator, HeaderError::Names);
    check_broken(|h| h.originator = ParticipantId::HUB, HeaderError::Names);
    check_broken(|h| h.recipient = ParticipantId::HUB, HeaderError::Names);
    check_broken(|h| h.seal = SealNumber(0), HeaderError::Seal);
    for length in [0, 16, 4_096, 4_097 + 16, u64::MAX] {
        check_broken(|h| h.body_length = length, HeaderError::BodyLength);
    }
    let mut long = header().encode();
    long.push(0);
    assert_eq!(Header::decode(&long), Err(HeaderError::Decode(DecodeError::Malformed)));
    long.resize(HEADER_MAX + 1, 0);
    assert_eq!(Header::decode(&long), Err(HeaderError::Decode(DecodeError::TooLong)));
}

#[test]
fn every_changed_byte_is_refused_or_seen() {
    let bytes = header().encode();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            if let Ok(decoded) = Header::decode(&changed) {
                assert_ne!(decoded, header());
                assert_eq!(decoded.encode(), changed);
                let in_core = place < HEADER_LEN - 32;
                assert_eq!(decoded.core_hash() != header().core_hash(), in_core, "byte {place}");
            }
        }
    }
}

#[test]
fn times_are_bounded_on_both_sides() {
    let created = UnixMillis(100 * DAY_MS);
    let check = |lifetime: u64, now: UnixMillis| {
        Header { created, not_after: created.plus_millis(lifetime), ..header() }.check_times(now)
    };
    assert_eq!(check(DAY_MS, created), Ok(()));
    assert_eq!(check(DAY_MS, UnixMillis(created.0 - CLOCK_SKEW_MAX_MS)), Ok(()));
    assert_eq!(check(DAY_MS, UnixMillis(created.0 - CLOCK_SKEW_MAX_MS - 1)), Err(TimeError::Future));
    assert_eq!(check(DAY_MS, created.plus_millis(DAY_MS - 1)), Ok(()));
    assert_eq!(check(DAY_MS, created.plus_millis(DAY_MS)), Err(TimeError::Expired));
    assert_eq!(check(LIFETIME_MIN_MS - 1, created), Err(TimeError::Lifetime));
    assert_eq!(check(LIFETIME_MAX_MS, created), Ok(()));
    assert_eq!(check(LIFETIME_MAX_MS + 1, created), Err(TimeError::Lifetime));
    let backwards = Header { created, not_after: UnixMillis(0), ..header() };
    assert_eq!(backwards.check_times(created), Err(TimeError::Lifetime));
}
