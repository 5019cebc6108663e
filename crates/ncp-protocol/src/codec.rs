//! The one canonical encoding: bincode 1.3.3, fixed-width little-endian integers, a size limit, trailing bytes
//! rejected, from slices only.
//!
//! A value has exactly one encoding. Decoding encodes the result again and refuses input that differs, so that two byte
//! strings never mean the same value. Signed types hold no maps, floats or `usize`. Outside this module bytes that are
//! stored or sent as a whole carry an 8-byte [`Prefix`].

use std::io;

use bincode::Options as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why bytes are not the canonical encoding of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Longer than the limit of this type.
    #[error("longer than its limit")]
    TooLong,
    /// The prefix names another format or kind.
    #[error("another magic or kind")]
    Prefix,
    /// The prefix names a version that this program does not know.
    #[error("unknown version {0}")]
    Version(u16),
    /// Truncated, with trailing bytes, an unknown variant, or a value outside its range.
    #[error("malformed")]
    Malformed,
    /// Decodes, but is not the one canonical encoding.
    #[error("not canonical")]
    NotCanonical,
}

fn options() -> impl bincode::Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_little_endian().reject_trailing_bytes()
}

/// Encodes `value`.
///
/// # Panics
/// If the value cannot be encoded: types of this crate always can, so that is a bug of ours.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_MAX);
    append(&mut bytes, value);
    bytes
}

/// Most values fit.
const USUAL_MAX: usize = 256;

fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    if let Err(error) = options().serialize_into(bytes, value) {
        panic!("a protocol type has no encoding: {error}");
    }
}

/// Decodes `bytes`, at most `limit` long.
///
/// # Errors
/// [`DecodeError`] if the bytes are too long, malformed or not canonical.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong);
    }
    let value: T = options().with_limit(limit as u64).deserialize(bytes).map_err(|_| DecodeError::Malformed)?;
    let mut same = Same { expected: bytes };
    match options().serialize_into(&mut same, &value) {
        Ok(()) if same.expected.is_empty() => Ok(value),
        Ok(()) | Err(_) => Err(DecodeError::NotCanonical),
    }
}

/// Takes the bytes that it expects and no others.
struct Same<'a> {
    expected: &'a [u8],
}

impl io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.expected = self.expected.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Eight bytes before an encoding that is stored or sent as a whole: `NCP`, a kind, a version (u16 little-endian) and
/// two zero bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// What follows; one byte per kind, in the table of PROTOCOL.md.
    pub kind: u8,
    /// Version of that kind's layout.
    pub version: u16,
}

/// Length of a [`Prefix`] in bytes.
pub const PREFIX_LEN: usize = 8;

impl Prefix {
    /// The prefix of `kind` in `version`.
    #[must_use]
    pub const fn new(kind: u8, version: u16) -> Self {
        Self { kind, version }
    }

    /// Its eight bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; PREFIX_LEN] {
        let [low, high] = self.version.to_le_bytes();
        [b'N', b'C', b'P', self.kind, low, high, 0, 0]
    }

    /// `value` behind this prefix.
    #[must_use]
    pub fn encode<T: Serialize>(self, value: &T) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(USUAL_MAX);
        bytes.extend_from_slice(&self.to_bytes());
        append(&mut bytes, value);
        bytes
    }

    /// Reads a value that must stand behind exactly this prefix; `limit` counts the prefix too.
    ///
    /// # Errors
    /// [`DecodeError`]; another version of the same kind is [`DecodeError::Version`].
    pub fn decode<T: Serialize + DeserializeOwned>(self, bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
        if bytes.len() > limit {
            return Err(DecodeError::TooLong);
        }
        let (head, rest) = bytes.split_at_checked(PREFIX_LEN).ok_or(DecodeError::Malformed)?;
        match *head {
            [b'N', b'C', b'P', kind, low, high, 0, 0] if kind == self.kind => {
                let version = u16::from_le_bytes([low, high]);
                if version != self.version {
                    return Err(DecodeError::Version(version));
                }
            }
            _ => return Err(DecodeError::Prefix),
        }
        decode(rest, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_and_missing_bytes_are_malformed() {
        let bytes = encode(&(1u16, 2u32));
        assert_eq!(bytes, [1, 0, 2, 0, 0, 0]);
        assert_eq!(decode::<(u16, u32)>(&bytes, 6), Ok((1, 2)));
        assert_eq!(decode::<(u16, u32)>(&bytes[..5], 6), Err(DecodeError::Malformed));
        assert_eq!(decode::<(u16, u32)>(&[1, 0, 2, 0, 0, 0, 0], 7), Err(DecodeError::Malformed));
        assert_eq!(decode::<(u16, u32)>(&bytes, 5), Err(DecodeError::TooLong));
    }

    #[test]
    fn huge_length_is_malformed_and_allocates_nothing() {
        assert_eq!(decode::<Vec<u8>>(&[0xff; 8], 64), Err(DecodeError::Malformed));
    }

    #[test]
    fn prefix_names_kind_and_version() {
        let prefix = Prefix::new(b'H', 1);
        let bytes = prefix.encode(&7u8);
        assert_eq!(bytes, [b'N', b'C', b'P', b'H', 1, 0, 0, 0, 7]);
        assert_eq!(prefix.decode::<u8>(&bytes, 9), Ok(7));
        assert_eq!(Prefix::new(b'H', 2).decode::<u8>(&bytes, 9), Err(DecodeError::Version(1)));
        assert_eq!(Prefix::new(b'E', 1).decode::<u8>(&bytes, 9), Err(DecodeError::Prefix));
    }
}
