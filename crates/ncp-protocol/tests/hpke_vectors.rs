//! Published vectors of X-Wing and HPKE, run through the functions that product code uses.
//!
//! Product code fixes the `info` of a wrap, so the vectors reach it in two steps. A second implementation of the key
//! schedule (RFC 9180, section 5.1, base mode), written here from the text, must give the published keys. Then a wrap
//! that product code sealed with a vector's key and randomness must carry the published encapsulation, and must open
//! under the keys that this schedule derives from the published shared secret.

use std::collections::BTreeMap;
use std::path::Path;

use chacha20poly1305::aead::{AeadInOut as _, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use ncp_protocol::body::ContentKey;
use ncp_protocol::ids::{Digest, Epoch, NetworkId, PairSequence};
use ncp_protocol::keys::Purpose;
use ncp_protocol::limits::{WRAP_LEN, WRAP_PLAIN, XWING_ENCAPSULATION};
use ncp_protocol::symmetric::hmac_sha256;
use ncp_protocol::wrap::{SealingKey, Wrap, WrapContent, open_wrap, seal_wrap};

const NETWORK: NetworkId = NetworkId(Digest([7; 32]));
const CORE_HASH: Digest = Digest([6; 32]);

type Vector = BTreeMap<String, Vec<u8>>;

/// All vectors of a folder: lines `name: hexadecimal`, comments after `#`.
#[expect(clippy::expect_used, reason = "test code, though not inside a test function")]
fn vectors(folder: &str) -> Vec<(String, Vector)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(folder);
    let mut vectors: Vec<_> = std::fs::read_dir(path)
        .expect("a folder of vectors")
        .map(|entry| {
            let path = entry.expect("a file").path();
            (path.display().to_string(), parse(&std::fs::read_to_string(&path).expect("text")))
        })
        .collect();
    vectors.sort();
    vectors
}

#[expect(clippy::expect_used, reason = "test code, though not inside a test function")]
fn parse(text: &str) -> Vector {
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").expect("name and value");
        (name.to_owned(), unhex(value))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(field).collect()
}

#[expect(clippy::expect_used, reason = "test code, though not inside a test function")]
fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "whole bytes");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal")).collect()
}

#[expect(clippy::expect_used, reason = "test code, though not inside a test function")]
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the vector's length")
}

/// Key and base nonce of the key schedule: RFC 9180, section 5.1, base mode, with HKDF from its definition (RFC 5869).
struct Schedule {
    key: [u8; 32],
    base_nonce: [u8; 12],
}

impl Schedule {
    fn new(kem_id: &[u8], shared_secret: &[u8], info: &[u8]) -> Self {
        let suite_id = [b"HPKE", kem_id, &[0, 1], &[0, 3]].concat();
        let extract =
            |salt: &[u8], label: &[u8], secret: &[u8]| hmac_sha256(salt, &[b"HPKE-v1", &suite_id, label, secret]).0;
        // One block of output is enough for both.
        let expand = |secret: &[u8], label: &[u8], context: &[u8], length: u8| {
            let labelled = [&[0, length], b"HPKE-v1".as_slice(), &suite_id, label, context].concat();
            hmac_sha256(secret, &[&labelled, &[1]]).0[..usize::from(length)].to_vec()
        };
        let context = [&[0], &extract(b"", b"psk_id_hash", b"")[..], &extract(b"", b"info_hash", info)].concat();
        let secret = extract(shared_secret, b"secret", b"");
        Self {
            key: array(&expand(&secret, b"key", &context, 32)),
            base_nonce: array(&expand(&secret, b"base_nonce", &context, 12)),
        }
    }

    /// Opens what was sealed with sequence number 0.
    fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (sealed, tag) = sealed.split_last_chunk::<16>()?;
        let mut buffer = sealed.to_vec();
        ChaCha20Poly1305::new(&self.key.into())
            .decrypt_inout_detached(
                &self.base_nonce.into(),
                associated,
                InOutBuf::from(buffer.as_mut_slice()),
                &(*tag).into(),
            )
            .ok()?;
        Some(buffer)
    }
}

fn content() -> WrapContent {
    WrapContent {
        cek: ContentKey::from_bytes(&[1; 32]),
        pair_epoch: Epoch(1),
        pair_sequence: PairSequence(2),
        floor: PairSequence(1),
        voided: Vec::new(),
        public_size: 3,
        public_root: Digest([8; 32]),
    }
}

/// Product code seals with the vector's randomness; the published shared secret opens what it sealed.
#[expect(clippy::expect_used, reason = "test code, though not inside a test function")]
fn check_wrap(name: &str, key: &SealingKey, randomness: &[u8], shared_secret: &[u8]) -> Wrap {
    let wrap = seal_wrap(&key.public(), &NETWORK, &CORE_HASH, &content(), &array(randomness)).expect("valid content");
    let schedule = Schedule::new(&[0x64, 0x7a], shared_secret, &Purpose::Wrap.label(&NETWORK));
    let sealed = &wrap.as_bytes()[XWING_ENCAPSULATION..];
    let plain = schedule.open(&CORE_HASH.0, sealed).unwrap_or_else(|| panic!("{name}: another shared secret"));
    assert_eq!(plain.len(), WRAP_PLAIN, "{name}");
    assert_eq!(&plain[2..34], &[1; 32], "{name}: the content key stands first");
    assert_eq!(open_wrap(key, &NETWORK, &CORE_HASH, &wrap), Ok(content()), "{name}");
    wrap
}

#[test]
fn xwing_keys_and_encapsulations_are_the_published_ones() {
    let vectors = vectors("xwing");
    assert_eq!(vectors.len(), 3);
    for (name, vector) in vectors {
        let key = SealingKey::from_seed(&array(&vector["sk"]));
        assert!(key.public().to_bytes().as_slice() == vector["pk"], "{name}: public key");
        let wrap = check_wrap(&name, &key, &vector["eseed"], &vector["ss"]);
        assert!(wrap.as_bytes()[..XWING_ENCAPSULATION] == vector["ct"], "{name}: encapsulation");
    }
}

#[test]
fn hpke_key_schedules_are_the_published_ones() {
    let vectors = vectors("hpke");
    assert_eq!(vectors.len(), 2);
    for (name, vector) in &vectors {
        let schedule = Schedule::new(&vector["kem_id"], &vector["shared_secret"], &vector["info"]);
        assert_eq!(schedule.key.as_slice(), vector["key"], "{name}");
        assert_eq!(schedule.base_nonce.as_slice(), vector["base_nonce"], "{name}");
        assert_eq!(schedule.open(&vector["aad"], &vector["ct"]).as_ref(), Some(&vector["pt"]), "{name}");
    }
    let with_key: Vec<_> = vectors.iter().filter(|(_, vector)| vector.contains_key("sk_r")).collect();
    assert_eq!(with_key.len(), 1);
    for (name, vector) in with_key {
        let key = SealingKey::from_seed(&array(&vector["sk_r"]));
        check_wrap(name, &key, &vector["ikm_e"], &vector["shared_secret"]);
    }
}

/// The other direction: what the schedule here seals, product code opens.
#[test]
fn a_wrap_made_elsewhere_opens() {
    for (name, vector) in vectors("xwing") {
        let key = SealingKey::from_seed(&array(&vector["sk"]));
        let schedule = Schedule::new(&[0x64, 0x7a], &vector["ss"], &Purpose::Wrap.label(&NETWORK));
        let encoded = ncp_protocol::codec::encode(&content());
        let mut plain = u16::try_from(encoded.len()).expect("short").to_le_bytes().to_vec();
        plain.extend_from_slice(&encoded);
        plain.resize(WRAP_PLAIN, 0);
        let tag = ChaCha20Poly1305::new(&schedule.key.into())
            .encrypt_inout_detached(&schedule.base_nonce.into(), &CORE_HASH.0, InOutBuf::from(plain.as_mut_slice()))
            .expect("seals");
        let bytes = [vector["ct"].as_slice(), &plain, &tag].concat();
        assert_eq!(bytes.len(), WRAP_LEN, "{name}");
        let wrap = Wrap::from_bytes(&bytes).expect("the right length");
        assert_eq!(open_wrap(&key, &NETWORK, &CORE_HASH, &wrap), Ok(content()), "{name}");
    }
}
