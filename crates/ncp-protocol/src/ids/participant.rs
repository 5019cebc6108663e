//! A participant's id: two to eight characters, one form as text and one as bytes.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{IdError, NetworkId};
use crate::limits::{PARTICIPANT_ID_MAX, PARTICIPANT_ID_MIN};

/// A participant: a State, the Secretariat (`SEC`), an organisation, or the hub (`HUB`).
///
/// `[A-Z][A-Z0-9]{1,7}`, held as eight bytes, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId([u8; PARTICIPANT_ID_MAX]);

impl ParticipantId {
    /// The hub's own name in its directory entry, certificate and log origins.
    pub const HUB: Self = Self(*b"HUB\0\0\0\0\0");

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(PARTICIPANT_ID_MAX);
        // The constructor admits ASCII alone, so the fallback is never taken.
        core::str::from_utf8(self.0.get(..end).unwrap_or_default()).unwrap_or_default()
    }

    /// The eight bytes that stand in keys of the index and on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PARTICIPANT_ID_MAX] {
        &self.0
    }

    /// Reads the eight bytes back.
    ///
    /// # Errors
    /// [`IdError`] if they are not the padded form of a valid id.
    pub fn from_bytes(bytes: [u8; PARTICIPANT_ID_MAX]) -> Result<Self, IdError> {
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(PARTICIPANT_ID_MAX);
        let (text, padding) = bytes.split_at(end);
        if padding.iter().any(|&b| b != 0) {
            return Err(IdError::Character);
        }
        core::str::from_utf8(text).map_err(|_| IdError::Character)?.parse()
    }
}

impl FromStr for ParticipantId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if !(PARTICIPANT_ID_MIN..=PARTICIPANT_ID_MAX).contains(&text.len()) {
            return Err(IdError::Length);
        }
        let mut id = [0; PARTICIPANT_ID_MAX];
        for (i, (slot, byte)) in id.iter_mut().zip(text.bytes()).enumerate() {
            if !(byte.is_ascii_uppercase() || (i > 0 && byte.is_ascii_digit())) {
                return Err(IdError::Character);
            }
            *slot = byte;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ParticipantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ParticipantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_bytes(<[u8; PARTICIPANT_ID_MAX]>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The URI that names a participant in its certificate: `urn:ncp:<network label>:<id>`, exactly one per certificate.
#[must_use]
pub fn certificate_uri(network: &NetworkId, participant: ParticipantId) -> String {
    format!("urn:ncp:{}:{participant}", network.label())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participant_id_parses_only_its_form() {
        for good in ["XA", "SEC", "A1234567", "HUB"] {
            assert_eq!(good.parse::<ParticipantId>().map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "X", "xa", "1A", "X-A", "A12345678", "XÄ"] {
            assert!(bad.parse::<ParticipantId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn participant_id_bytes_have_one_form() {
        assert!(ParticipantId::from_bytes(*b"XA\0\0\0\0\0\0").is_ok());
        assert!(ParticipantId::from_bytes(*b"XA\0B\0\0\0\0").is_err());
        assert!(ParticipantId::from_bytes(*b"\0\0\0\0\0\0\0\0").is_err());
    }
}
