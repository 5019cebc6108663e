use super::*;
use crate::body::ContentKey;
use crate::codec::{DecodeError, decode, encode};
use crate::ids::{Epoch, PairSequence};
use crate::limits::WRAP_PLAIN;
use crate::samples::NETWORK;

const CORE: Digest = Digest([6; 32]);
const SEED: [u8; WRAP_SEED_LEN] = [9; WRAP_SEED_LEN];

fn content() -> WrapContent {
    WrapContent {
        cek: ContentKey::from_bytes(&[1; 32]),
        pair_epoch: Epoch(2),
        pair_sequence: PairSequence(30),
        floor: PairSequence(4),
        voided: vec![(PairSequence(5), PairSequence(5)), (PairSequence(7), PairSequence(9))],
        public_size: 1_000,
        public_root: Digest([8; 32]),
    }
}

fn key() -> SealingKey {
    SealingKey::from_seed(&[5; 32])
}

fn sealed() -> Wrap {
    seal_wrap(&key().public(), &NETWORK, &CORE, &content(), &SEED).expect("valid content")
}

fn range(first: u64, last: u64) -> (PairSequence, PairSequence) {
    (PairSequence(first), PairSequence(last))
}

#[test]
fn bytes_are_the_documented_ones() {
    let fields: &[&[u8]] = &[
        &[132, 0],                  // length of what follows
        &[1; 32],                   // content key
        &[2, 0, 0, 0],              // pair epoch
        &[30, 0, 0, 0, 0, 0, 0, 0], // pair sequence
        &[4, 0, 0, 0, 0, 0, 0, 0],  // floor
        &[2, 0, 0, 0, 0, 0, 0, 0],  // two voided ranges
        b"\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0",
        b"\x07\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0",
        &[0xe8, 3, 0, 0, 0, 0, 0, 0], // size of the public checkpoint
        &[8; 32],                     // its root
        &[0; 122],                    // padding
    ];
    assert_eq!(content().encode().expect("valid content").as_slice(), fields.concat());
    assert_eq!(WrapContent::decode(&fields.concat()), Ok(content()));
}

#[test]
fn what_was_sealed_opens() {
    assert_eq!(open_wrap(&key(), &NETWORK, &CORE, &sealed()), Ok(content()));
}

#[test]
fn a_wrap_opens_only_for_its_key_network_and_header() {
    let wrap = sealed();
    assert_eq!(open_wrap(&SealingKey::from_seed(&[6; 32]), &NETWORK, &CORE, &wrap), Err(WrapError::Sealed));
    assert_eq!(open_wrap(&key(), &NetworkId(Digest([8; 32])), &CORE, &wrap), Err(WrapError::Sealed));
    assert_eq!(open_wrap(&key(), &NETWORK, &Digest([7; 32]), &wrap), Err(WrapError::Sealed));
}

#[test]
fn every_changed_byte_is_refused() {
    let (key, wrap) = (key(), sealed());
    for place in 0..WRAP_LEN {
        let mut bytes = *wrap.as_bytes();
        bytes[place] ^= 0x80;
        let changed = Wrap::from_bytes(&bytes).expect("the right length");
        // The top bit of an X25519 share is ignored (RFC 7748, section 5), so this one changes the combined secret only
        // because X-Wing hashes the share as it came.
        assert_eq!(open_wrap(&key, &NETWORK, &CORE, &changed), Err(WrapError::Sealed), "byte {place}");
    }
}

#[test]
fn the_fullest_content_takes_no_more_room() {
    let mut full = content();
    full.pair_sequence = PairSequence(u64::MAX);
    full.floor = PairSequence(u64::MAX);
    full.public_size = u64::MAX;
    full.voided = (0..8).map(|i| range(2 * i + 1, 2 * i + 1)).collect();
    let wrap = seal_wrap(&key().public(), &NETWORK, &CORE, &full, &SEED).expect("valid content");
    assert_eq!(open_wrap(&key(), &NETWORK, &CORE, &wrap), Ok(full));
}

#[test]
fn content_rules_are_checked_on_both_sides() {
    type Change = fn(&mut WrapContent);
    let cases: [(Change, ContentError); 8] = [
        (|c| c.pair_epoch = Epoch(0), ContentError::Numbers),
        (|c| c.floor = PairSequence(0), ContentError::Numbers),
        (|c| c.floor = PairSequence(31), ContentError::Numbers),
        (|c| c.voided.reverse(), ContentError::Voided),
        (|c| c.voided = vec![range(5, 4)], ContentError::Voided),
        (|c| c.voided = vec![range(0, 4)], ContentError::Voided),
        (|c| c.voided = vec![range(29, 31)], ContentError::Voided),
        (|c| c.voided = vec![range(5, 6), range(6, 7)], ContentError::Voided),
    ];
    for (change, expected) in cases {
        let mut broken = content();
        change(&mut broken);
        assert_eq!(seal_wrap(&key().public(), &NETWORK, &CORE, &broken, &SEED), Err(expected));
        let encoded = encode(&broken);
        let mut plain = u16::try_from(encoded.len()).expect("short").to_le_bytes().to_vec();
        plain.extend_from_slice(&encoded);
        plain.resize(WRAP_PLAIN, 0);
        assert_eq!(WrapContent::decode(&plain), Err(expected));
    }
    let many = WrapContent { voided: (0..9).map(|i| range(2 * i + 1, 2 * i + 1)).collect(), ..content() };
    assert_eq!(many.check(), Err(ContentError::Voided));
}

#[test]
fn padding_is_zero_and_the_length_is_fixed() {
    let plain = content().encode().expect("valid content");
    assert_eq!(WrapContent::decode(plain.as_slice()), Ok(content()));
    let mut dirty = plain.to_vec();
    dirty[WRAP_PLAIN - 1] = 1;
    assert_eq!(WrapContent::decode(&dirty), Err(ContentError::Padding));
    let malformed = Err(ContentError::Decode(DecodeError::Malformed));
    assert_eq!(WrapContent::decode(&plain[..WRAP_PLAIN - 1]), malformed);
    assert_eq!(WrapContent::decode(&[]), malformed);
    assert_eq!(WrapContent::decode(&[0xff; WRAP_PLAIN]), malformed);
}

#[test]
fn keys_and_wraps_have_a_fixed_length_on_the_wire() {
    let (public, wrap) = (key().public(), sealed());
    let bytes = encode(&public);
    assert_eq!(bytes, public.to_bytes().as_slice());
    assert_eq!(decode(&bytes, XWING_PUBLIC_KEY), Ok(public.clone()));
    assert_eq!(encode(&wrap), wrap.as_bytes());
    assert_eq!(decode(wrap.as_bytes(), WRAP_LEN), Ok(wrap.clone()));
    assert_eq!(decode::<Wrap>(&wrap.as_bytes()[1..], WRAP_LEN), Err(DecodeError::Malformed));
    assert_eq!(Wrap::from_bytes(&wrap.as_bytes()[1..]), None);
    assert_eq!(public.id(), KeyId(sha256(&bytes)));
}

#[test]
fn a_public_key_is_reduced_and_has_its_length() {
    let bytes = key().public().to_bytes();
    assert_eq!(SealingPublicKey::from_bytes(&bytes[1..]), Err(KeyError::Malformed));
    // Coefficients of twelve bits each: 0xfff is above the modulus 3,329.
    let mut unreduced = bytes.clone();
    unreduced[0] = 0xff;
    unreduced[1] |= 0x0f;
    assert_eq!(SealingPublicKey::from_bytes(unreduced.as_slice()), Err(KeyError::Malformed));
    assert_eq!(decode::<SealingPublicKey>(unreduced.as_slice(), XWING_PUBLIC_KEY), Err(DecodeError::Malformed));
}

#[test]
fn the_seed_decides_and_is_the_callers() {
    let other = seal_wrap(&key().public(), &NETWORK, &CORE, &content(), &[8; WRAP_SEED_LEN]).expect("valid content");
    assert_eq!(sealed(), sealed());
    assert_ne!(sealed(), other);
    assert_eq!(*key().seed(), [5; 32]);
}

#[test]
#[should_panic(expected = "more randomness asked for")]
fn the_seed_is_never_stretched() {
    let mut rng = SeedRng::new(&SEED);
    let Ok(()) = rng.try_fill_bytes(&mut [0; WRAP_SEED_LEN]);
    let Ok(_) = rng.try_next_u32();
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?} {:?}", content(), key());
    assert!(!shown.contains("[1, 1") && !shown.contains("0101") && !shown.contains("0505"), "{shown}");
}
