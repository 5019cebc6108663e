use chacha20poly1305::KeyInit as _;
use chacha20poly1305::aead::{AeadInOut as _, inout::InOutBuf};
use proptest::prelude::*;

use super::open::{BodyOpener, ChunkError};
use super::*;
use crate::limits::{BODY_MAX, MESSAGE_MAX};
use crate::samples::{NETWORK, participant, pattern};

const CEK: [u8; 32] = [11; 32];

fn core() -> BodyCore {
    BodyCore { network: NETWORK, suite: 1, originator: participant("XA"), message: MessageId([3; 16]) }
}

fn seal(plain: &[u8], piece: usize) -> (BodyDigest, Vec<Vec<u8>>) {
    let mut chunks = Vec::new();
    let mut out = |index: u64, sealed: Vec<u8>| {
        assert_eq!(index, chunks.len() as u64);
        chunks.push(sealed);
    };
    let mut sealer =
        BodySealer::new(&core(), &ContentKey::from_bytes(&CEK), plain.len() as u64).expect("a length that fits");
    for piece in plain.chunks(piece) {
        sealer.update(piece, &mut out).expect("the declared length");
    }
    let digest = sealer.finish(&mut out).expect("the declared length");
    (digest, chunks)
}

fn opener(digest: &BodyDigest) -> BodyOpener {
    BodyOpener::new(&core(), &ContentKey::from_bytes(&CEK), digest.length).expect("a length of a body")
}

fn open_all(digest: &BodyDigest, chunks: &[Vec<u8>]) -> Vec<u8> {
    let opener = opener(digest);
    assert_eq!(opener.chunks(), chunks.len() as u64);
    let open = |(index, sealed): (u64, &Vec<u8>)| opener.open_chunk(index, sealed.clone()).expect("opens").to_vec();
    (0..).zip(chunks).flat_map(open).collect()
}

fn check_round_trip(plain: &[u8], piece: usize) {
    let (digest, chunks) = seal(plain, piece);
    assert_eq!(chunks.concat().len() as u64, digest.length);
    let mut root = RootHasher::new();
    chunks.iter().for_each(|chunk| root.push(chunk_hash(chunk)));
    assert_eq!(root.finish(), digest.root);
    let opened = open_all(&digest, &chunks);
    assert_eq!(opened.len() as u64, padded_len(plain.len() as u64));
    assert_eq!(&opened[..plain.len()], plain);
    assert!(opened[plain.len()..].iter().all(|&byte| byte == 0));
}

#[test]
fn chunk_edges_round_trip() {
    for len in [0, 1, 4_095, 4_096, 4_097, CHUNK_PLAIN - 1, CHUNK_PLAIN, CHUNK_PLAIN + 1, 2 * CHUNK_PLAIN] {
        check_round_trip(&pattern(len), 10_000);
    }
}

#[test]
fn pieces_do_not_show() {
    let plain = pattern(70_000);
    assert_eq!(seal(&plain, 1), seal(&plain, 70_000));
}

#[test]
fn more_or_less_than_declared_is_refused() {
    let key = ContentKey::from_bytes(&CEK);
    let mut sealer = BodySealer::new(&core(), &key, 3).expect("fits");
    assert_eq!(sealer.update(b"four", &mut |_, _| ()), Err(BodyError::Length));
    assert_eq!(sealer.update(b"tw", &mut |_, _| ()), Ok(()));
    assert_eq!(sealer.finish(&mut |_, _| ()), Err(BodyError::Length));
    assert!(matches!(BodySealer::new(&core(), &key, u64::MAX), Err(BodyError::TooLong)));
    assert!(BodySealer::new(&core(), &key, MESSAGE_MAX + 36).is_ok());
}

/// The same chunk, made by another implementation from the description at the head of the module.
#[test]
fn chunks_agree_with_an_independent_implementation() {
    let plain = pattern(70_000);
    let (_, chunks) = seal(&plain, 70_000);
    let mut derived = [0; 39];
    let info = [b"ncp/v1/payload-key\0".as_slice(), &[7; 32]].concat();
    hkdf::Hkdf::<Sha256>::new(Some(&[3; 16]), &CEK).expand(&info, &mut derived).expect("39 bytes");
    let core_bytes = [b"ncp/v1/body-core\0".as_slice(), &[7; 32], &[7; 32], &[1, 0], b"XA\0\0\0\0\0\0", &[3; 16]];
    let associated = sha256(&core_bytes.concat());
    let key: [u8; 32] = derived[..32].try_into().expect("32 bytes");
    let cipher = chacha20poly1305::ChaCha20Poly1305::new(&key.into());
    let mut padded = plain;
    padded.resize(71_680, 0);
    for (index, (plain, sealed)) in (0u32..).zip(padded.chunks(CHUNK_PLAIN).zip(&chunks)) {
        let nonce = [&derived[32..], &index.to_be_bytes(), &[u8::from(index == 1)]].concat();
        let nonce: [u8; 12] = nonce.try_into().expect("12 bytes");
        let mut buffer = plain.to_vec();
        let tag = cipher
            .encrypt_inout_detached(&nonce.into(), &associated.0, InOutBuf::from(buffer.as_mut_slice()))
            .expect("seals");
        buffer.extend_from_slice(&tag);
        assert!(buffer == *sealed, "chunk {index}");
    }
    assert_eq!(chunks.len(), 2);
}

#[test]
fn a_chunk_opens_only_at_its_place() {
    let (digest, chunks) = seal(&pattern(3 * CHUNK_PLAIN), CHUNK_PLAIN);
    let opener = opener(&digest);
    assert_eq!(opener.open_chunk(1, chunks[0].clone()), Err(ChunkError::Sealed));
    assert_eq!(opener.open_chunk(0, chunks[1].clone()), Err(ChunkError::Sealed));
    assert_eq!(opener.open_chunk(0, chunks[0][1..].to_vec()), Err(ChunkError::Sealed));
    assert_eq!(opener.open_chunk(3, chunks[0].clone()), Err(ChunkError::Outside));
    // A body cut after its second chunk: that chunk was not sealed as the last.
    let cut = BodyDigest { length: 2 * CHUNK_SEALED as u64, ..digest };
    assert_eq!(self::opener(&cut).open_chunk(1, chunks[1].clone()), Err(ChunkError::Sealed));
}

#[test]
fn a_chunk_opens_only_for_its_message_and_key() {
    let (digest, chunks) = seal(b"plain", 5);
    let key = ContentKey::from_bytes(&CEK);
    let others = [
        (BodyCore { network: NetworkId(Digest([8; 32])), ..core() }, key.clone()),
        (BodyCore { suite: 2, ..core() }, key.clone()),
        (BodyCore { originator: participant("XB"), ..core() }, key.clone()),
        (BodyCore { message: MessageId([4; 16]), ..core() }, key),
        (core(), ContentKey::from_bytes(&[12; 32])),
    ];
    for (core, key) in others {
        let opener = BodyOpener::new(&core, &key, digest.length).expect("a length of a body");
        assert_eq!(opener.open_chunk(0, chunks[0].clone()), Err(ChunkError::Sealed), "{core:?}");
    }
}

#[test]
fn every_changed_byte_of_a_chunk_is_refused() {
    let (digest, chunks) = seal(b"plain", 5);
    let opener = opener(&digest);
    for place in 0..chunks[0].len() {
        let mut changed = chunks[0].clone();
        changed[place] ^= 0x10;
        assert_eq!(opener.open_chunk(0, changed), Err(ChunkError::Sealed), "byte {place}");
    }
}

#[test]
fn only_sealed_buckets_are_lengths_of_bodies() {
    assert_eq!(plain_length(4_096 + 16), Some(4_096));
    assert_eq!(plain_length(65_536 + 16), Some(65_536));
    assert_eq!(plain_length(69_632 + 32), Some(69_632));
    for none in [0, 1, 16, 4_096, 4_111, 4_113, 65_536 + 32, 69_632 + 16, BODY_MAX + 1, u64::MAX] {
        assert_eq!(plain_length(none), None, "{none}");
    }
    let longest = sealed_length(padded_len(MESSAGE_MAX + 36));
    assert!(longest <= BODY_MAX && plain_length(longest).is_some());
    assert_eq!(sealed_range(1, 65_552 + 20), Some(65_552..65_572));
    assert_eq!(sealed_range(1, 65_552), None);
    assert_eq!(sealed_range(u64::MAX, 65_552), None);
}

#[test]
fn ranges_outside_the_plaintext_are_refused() {
    let (digest, _) = seal(b"plain", 5);
    let opener = opener(&digest);
    assert!(matches!(opener.slices(4_000, 97), Err(ChunkError::Outside)));
    assert!(matches!(opener.slices(u64::MAX, 2), Err(ChunkError::Outside)));
    assert_eq!(opener.slices(4_096, 0).expect("empty").count(), 0);
    assert!(BodyOpener::new(&core(), &ContentKey::from_bytes(&CEK), 100).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_lengths_round_trip(len in 0..300_000usize, piece in 1..150_000usize) {
        check_round_trip(&pattern(len), piece);
    }

    #[test]
    fn one_changed_byte_in_each_chunk_is_refused(len in 0..300_000usize, place: prop::sample::Index, bit in 0..8u8) {
        let (digest, chunks) = seal(&pattern(len), len.max(1));
        let opener = opener(&digest);
        for (index, mut chunk) in (0..).zip(chunks) {
            let place = place.index(chunk.len());
            chunk[place] ^= 1 << bit;
            prop_assert_eq!(opener.open_chunk(index, chunk), Err(ChunkError::Sealed));
        }
    }

    #[test]
    fn any_range_reads_back(len in 1..300_000usize, from: prop::sample::Index, to: prop::sample::Index) {
        let plain = pattern(len);
        let (digest, chunks) = seal(&plain, len);
        let (from, to) = (from.index(len + 1).min(to.index(len + 1)), from.index(len + 1).max(to.index(len + 1)));
        let (opener, body) = (opener(&digest), chunks.concat());
        let slices = opener.slices(from as u64, (to - from) as u64).expect("inside");
        let read: Vec<u8> = slices
            .flat_map(|slice| {
                let place = usize::try_from(slice.sealed.start).expect("small");
                let end = usize::try_from(slice.sealed.end).expect("small");
                opener.open_slice(&slice, body[place..end].to_vec()).expect("opens").to_vec()
            })
            .collect();
        prop_assert_eq!(&read, &plain[from..to]);
    }
}
