//! Project Wycheproof's vectors, run through the functions that product code uses.
//!
//! Every vector counts, and the number of each is asserted, so that none drops out unseen. `Acceptable` vectors may go
//! either way by the corpus; which way they go here is asserted too.

use chacha20poly1305::aead::{AeadInOut as _, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use ncp_protocol::keys::{Signature, VerifyingKey};
use ncp_protocol::symmetric::{Aead, hkdf_sha256_into, hmac_sha256};
use wycheproof::TestResult;

/// Counts what was run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    valid: usize,
    invalid: usize,
}

impl Run {
    fn check(&mut self, id: usize, expected: TestResult, accepted: bool) {
        match expected {
            TestResult::Valid => {
                self.valid += 1;
                assert!(accepted, "test {id} is valid and was refused");
            }
            TestResult::Invalid => {
                self.invalid += 1;
                assert!(!accepted, "test {id} is invalid and was accepted");
            }
            TestResult::Acceptable => panic!("test {id}: none of these sets has acceptable vectors"),
        }
    }
}

#[test]
fn ed25519() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).expect("the corpus");
    let mut run = Run::default();
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().expect("32 bytes");
        let key = VerifyingKey::from_bytes(&key).expect("the corpus has canonical keys of full order alone");
        for test in &group.tests {
            // A signature of another length cannot even be expressed.
            let accepted = <[u8; 64]>::try_from(test.sig.as_slice())
                .is_ok_and(|bytes| key.verify_raw(&test.msg, &Signature(bytes)).is_ok());
            run.check(test.tc_id, test.result, accepted);
        }
    }
    assert_eq!(run.valid + run.invalid, set.number_of_tests);
    assert_eq!(run.valid + run.invalid, 151);
}

#[test]
fn chacha20_poly1305() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::ChaCha20Poly1305).expect("the corpus");
    let (mut run, mut other_nonce_length) = (Run::default(), 0);
    for group in &set.test_groups {
        for test in &group.tests {
            let key: [u8; 32] = test.key.as_slice().try_into().expect("32 bytes");
            let Ok(nonce) = <[u8; 12]>::try_from(test.nonce.as_slice()) else {
                // A nonce of another length cannot even be expressed.
                run.check(test.tc_id, test.result, false);
                other_nonce_length += 1;
                continue;
            };
            let cipher = Aead::new(&key);
            let sealed = [test.ct.as_slice(), &test.tag].concat();
            let mut opened = sealed.clone();
            let accepted = cipher.open(nonce, &test.aad, &mut opened).is_ok();
            run.check(test.tc_id, test.result, accepted);
            let mut sealed_here = test.pt.to_vec();
            cipher.seal(nonce, &test.aad, &mut sealed_here);
            assert_eq!(sealed_here, oracle_seal(&key, nonce, &test.aad, &test.pt), "test {}", test.tc_id);
            if accepted {
                assert_eq!(opened, test.pt.as_slice(), "test {}", test.tc_id);
                assert_eq!(sealed_here, sealed, "test {}", test.tc_id);
            }
        }
    }
    assert_eq!(run.valid + run.invalid, set.number_of_tests);
    assert_eq!((run.valid + run.invalid, other_nonce_length > 0), (325, true));
}

/// The same by another implementation.
#[expect(clippy::expect_used, reason = "test code, though not inside a test function")]
fn oracle_seal(key: &[u8; 32], nonce: [u8; 12], associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    let tag = ChaCha20Poly1305::new(&(*key).into())
        .encrypt_inout_detached(&nonce.into(), associated, InOutBuf::from(buffer.as_mut_slice()))
        .expect("seals");
    buffer.extend_from_slice(&tag);
    buffer
}

#[test]
fn hkdf_sha256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).expect("the corpus");
    let mut run = Run::default();
    for group in &set.test_groups {
        for test in &group.tests {
            let mut output = vec![0; test.size];
            let accepted = hkdf_sha256_into(&test.salt, &test.ikm, &test.info, &mut output).is_ok();
            run.check(test.tc_id, test.result, accepted);
            if accepted {
                assert_eq!(output, test.okm.as_slice(), "test {}", test.tc_id);
            }
        }
    }
    assert_eq!(run.valid + run.invalid, set.number_of_tests);
    assert_eq!(run.valid + run.invalid, 86);
}

#[test]
fn hmac_sha256_vectors() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).expect("the corpus");
    let mut run = Run::default();
    for group in &set.test_groups {
        // The corpus truncates tags in some groups; ours are always whole.
        let tag_length = group.tag_size / 8;
        for test in &group.tests {
            let tag = hmac_sha256(&test.key, &[&test.msg]).0;
            run.check(test.tc_id, test.result, tag[..tag_length] == *test.tag);
        }
    }
    assert_eq!(run.valid + run.invalid, set.number_of_tests);
    assert_eq!(run.valid + run.invalid, 174);
}
