//! Names of things: participants, networks, messages, keys, logs, points in time.
//!
//! Every id parses into a checked type once and stays checked: decoding refuses what the constructor would refuse.
//! All are `Copy`, fixed-width on the wire and sort as their bytes do, so that they serve as index keys unchanged.

mod participant;
mod reference;

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::participant::{ParticipantId, certificate_uri};
pub use self::reference::Reference;

/// Why a text or byte string is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text is shorter or longer than the id allows.
    #[error("wrong length")]
    Length,
    /// The text holds a character that the id does not allow.
    #[error("character not allowed")]
    Character,
    /// A number in the text is outside its range, or not in its one canonical form.
    #[error("number out of range or not canonical")]
    Number,
}

/// A SHA-256 digest: 32 bytes, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first eight hexadecimal digits: for logs and people, never for decisions.
    #[must_use]
    pub fn short(&self) -> String {
        hex(&self.0[..4])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for Digest {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Ok(Self(parse_hex(text)?))
    }
}

/// SHA-256 of a public key's canonical bytes: the full 32 bytes, never a prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyId(pub Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A network: the digest of the first version of its root of trust. It enters every label, header, origin and entry,
/// so that traffic of a drill is void in production.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkId(pub Digest);

impl NetworkId {
    /// The 16 hexadecimal digits that stand in URI names and log origins.
    ///
    /// An origin is bound to the network by its log key, which the directory names; the short form keeps names legible.
    #[must_use]
    pub fn label(&self) -> String {
        hex(&self.0.0[..8])
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for NetworkId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// A message: 128 random bits, shown as a UUID (RFC 9562, version 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// Makes an id of 16 random bytes; six bits become the version and variant of RFC 9562.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(random).into_uuid().into_bytes())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    /// Accepts the hyphenated lower-case form alone.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let id = uuid::Uuid::try_parse(text).map_err(|_| IdError::Character)?;
        let id = Self(id.into_bytes());
        if id.to_string() == text { Ok(id) } else { Err(IdError::Character) }
    }
}

/// A conversation: everything with one conversation id belongs together. It is the message id of the first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConversationId(pub MessageId);

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ConversationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// An officer's number at one node. Journals hold numbers; names come from a local table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OfficerNumber(pub u16);

impl fmt::Display for OfficerNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This point plus `millis`, held at the end of time instead of wrapping.
    #[must_use]
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this point, 0 if `earlier` is later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How often one recipient's envelope was sealed, from 1. A higher seal supersedes a waiting lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SealNumber(pub u32);

/// One life of a log, from joining or restore to the next restore, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

/// Number of an envelope from one originator to one recipient, from 1 in each pair epoch; urgent mail has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PairSequence(pub u64);

/// A log of a daemon: a node has `node`; the hub has `traffic` and `public`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LogName {
    /// A node's own log.
    Node,
    /// The hub's log of envelopes; each node sees its own leaves.
    Traffic,
    /// The hub's log of directory, membership, revocations and anchors; every node downloads it whole.
    Public,
}

impl LogName {
    /// The name in an origin.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Traffic => "traffic",
            Self::Public => "public",
        }
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            "node" => Ok(Self::Node),
            "traffic" => Ok(Self::Traffic),
            "public" => Ok(Self::Public),
            _ => Err(IdError::Character),
        }
    }
}

/// The origin of a log, `ncp/<network>/<id>/<log>/<epoch>`: first line of its checkpoints and name of its key
/// (C2SP tlog-checkpoint).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogOrigin {
    /// The network, which the text shortens to [`NetworkId::label`].
    pub network: NetworkId,
    /// Whose log it is.
    pub participant: ParticipantId,
    /// Which of that participant's logs.
    pub log: LogName,
    /// Which life of the log.
    pub epoch: Epoch,
}

impl fmt::Display for LogOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ncp/{}/{}/{}/{}", self.network.label(), self.participant, self.log, self.epoch.0)
    }
}

/// Lower-case hexadecimal of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads exactly `N` bytes of lower-case hexadecimal.
///
/// # Errors
/// [`IdError`] on another length or any other character.
pub fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    fn nibble(digit: u8) -> Result<u8, IdError> {
        match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(IdError::Character),
        }
    }
    if text.len() != N * 2 {
        return Err(IdError::Length);
    }
    let mut bytes = [0; N];
    for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        if let [high, low] = pair {
            *slot = nibble(*high)? << 4 | nibble(*low)?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_id_is_a_version_4_uuid_with_one_text_form() {
        let id = MessageId::from_random([0xff; 16]);
        assert_eq!(id.to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF".parse::<MessageId>().is_err());
        assert!("{ffffffff-ffff-4fff-bfff-ffffffffffff}".parse::<MessageId>().is_err());
    }

    #[test]
    fn hex_round_trips_and_refuses_upper_case() {
        assert_eq!(parse_hex::<2>("0aff"), Ok([10, 255]));
        assert_eq!(hex(&[10, 255]), "0aff");
        assert!(parse_hex::<2>("0AFF").is_err());
        assert!(parse_hex::<2>("0aff0").is_err());
    }
}
