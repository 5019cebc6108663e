//! HMAC-SHA-256, HKDF-SHA-256 and ChaCha20-Poly1305: the one place that names their libraries.
//!
//! Keys and nonces are the caller's: [`Aead`] takes each nonce as it comes, so whoever calls it says beside the call why
//! no nonce is used twice under one key.

use core::fmt;

use aws_lc_rs::aead::{self, LessSafeKey, UnboundKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::ids::Digest;

/// Length of an AEAD key in bytes.
pub const AEAD_KEY_LEN: usize = 32;
/// Length of an AEAD nonce in bytes.
pub const AEAD_NONCE_LEN: usize = 12;
/// Length of an AEAD tag in bytes.
pub const AEAD_TAG_LEN: usize = 16;

/// HMAC-SHA-256 (RFC 2104) under `key` over the concatenation of `pieces`.
#[must_use]
pub fn hmac_sha256(key: &[u8], pieces: &[&[u8]]) -> Digest {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes a key of any length"),
    };
    for piece in pieces {
        mac.update(piece);
    }
    Digest(mac.finalize().into_bytes().into())
}

/// More output was asked for than HKDF can give: 255 digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("more output than HKDF can give")]
pub struct OutputTooLong;

/// HKDF-SHA-256 (RFC 5869), extract and expand, into all of `output`.
///
/// # Errors
/// [`OutputTooLong`] above 8,160 bytes.
pub fn hkdf_sha256_into(salt: &[u8], secret: &[u8], info: &[u8], output: &mut [u8]) -> Result<(), OutputTooLong> {
    hkdf::Hkdf::<Sha256>::new(Some(salt), secret).expand(info, output).map_err(|_| OutputTooLong)
}

/// HKDF-SHA-256 (RFC 5869), extract and expand, to `N` bytes; `N` is checked when the program is built.
#[must_use]
pub fn hkdf_sha256<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 255 * 32, "more output than HKDF can give") };
    let mut output = Zeroizing::new([0; N]);
    match hkdf_sha256_into(salt, secret, info, output.as_mut()) {
        Ok(()) => output,
        Err(OutputTooLong) => unreachable!("the length was checked at compile time"),
    }
}

/// The ciphertext, the tag, the nonce, the associated data or the key is not the one that was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("does not open")]
pub struct BadCiphertext;

/// ChaCha20-Poly1305 (RFC 8439) under one key. Wipes its key.
pub struct Aead(LessSafeKey);

impl Aead {
    /// The cipher under `key`.
    #[must_use]
    pub fn new(key: &[u8; AEAD_KEY_LEN]) -> Self {
        match UnboundKey::new(&aead::CHACHA20_POLY1305, key) {
            Ok(key) => Self(LessSafeKey::new(key)),
            Err(_) => unreachable!("the key has the length of the algorithm"),
        }
    }

    /// Replaces the plaintext in `buffer` by ciphertext and tag.
    pub fn seal(&self, nonce: [u8; AEAD_NONCE_LEN], associated: &[u8], buffer: &mut Vec<u8>) {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        // Fails only above 256 GiB, which no buffer of ours reaches.
        if self.0.seal_in_place_append_tag(nonce, aead::Aad::from(associated), buffer).is_err() {
            unreachable!("a buffer in memory is shorter than the cipher's limit");
        }
    }

    /// Replaces ciphertext and tag in `buffer` by the plaintext.
    ///
    /// # Errors
    /// [`BadCiphertext`]; the buffer is then empty.
    pub fn open(
        &self,
        nonce: [u8; AEAD_NONCE_LEN],
        associated: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<(), BadCiphertext> {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place(nonce, aead::Aad::from(associated), buffer).map(|plain| plain.len());
        buffer.truncate(opened.unwrap_or(0));
        opened.map(|_| ()).map_err(|_| BadCiphertext)
    }
}

impl fmt::Debug for Aead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aead")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_concatenated() {
        assert_eq!(hmac_sha256(b"key", &[b"ab", b"c"]), hmac_sha256(b"key", &[b"abc"]));
        assert_ne!(hmac_sha256(b"key", &[b"abc"]), hmac_sha256(b"yek", &[b"abc"]));
    }

    #[test]
    fn failed_opening_leaves_an_empty_buffer() {
        let cipher = Aead::new(&[1; 32]);
        let mut buffer = b"plain".to_vec();
        cipher.seal([2; 12], b"aad", &mut buffer);
        assert_eq!(buffer.len(), 5 + AEAD_TAG_LEN);
        let mut damaged = buffer.clone();
        damaged[0] ^= 1;
        assert_eq!(cipher.open([2; 12], b"aad", &mut damaged), Err(BadCiphertext));
        assert!(damaged.is_empty());
        assert_eq!(cipher.open([2; 12], b"aad", &mut buffer), Ok(()));
        assert_eq!(buffer, b"plain");
    }

    #[test]
    fn hkdf_output_is_limited() {
        assert_eq!(hkdf_sha256_into(b"", b"secret", b"", &mut vec![0; 8_161]), Err(OutputTooLong));
        let mut long = vec![0; 8_160];
        assert_eq!(hkdf_sha256_into(b"", b"secret", b"", &mut long), Ok(()));
        assert_eq!(hkdf_sha256::<32>(b"", b"secret", b"").as_slice(), &long[..32]);
    }
}
