//! Names of things: participants, networks, messages, keys, logs, points in time.
//!
//! Every id parses into a checked type once and stays checked: decoding refuses what the constructor would refuse.
//! All are `Copy`, fixed-width on the wire and sort as their bytes do, so that they serve as index keys unchanged.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::limits::{PARTICIPANT_ID_MAX, PARTICIPANT_ID_MIN, REFERENCE_NUMBER_MAX, YEAR_MAX, YEAR_MIN};

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

/// The reference that people use, `XA-2026-000417`: originator, year, number. The originator's node gives it and the
/// sealed manifest carries it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Reference {
    /// Whose node gave the reference.
    pub originator: ParticipantId,
    /// Year (UTC) in which it was given, 2000 to 9999.
    pub year: u16,
    /// Running number of that year, from 1.
    pub number: u32,
}

impl Reference {
    /// Makes a reference.
    ///
    /// # Errors
    /// [`IdError::Number`] if year or number is outside its range.
    pub fn new(originator: ParticipantId, year: u16, number: u32) -> Result<Self, IdError> {
        if !(YEAR_MIN..=YEAR_MAX).contains(&year) || !(1..=REFERENCE_NUMBER_MAX).contains(&number) {
            return Err(IdError::Number);
        }
        Ok(Self { originator, year, number })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{:04}-{:06}", self.originator.as_str(), self.year, self.number))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Reference {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut fields = text.split('-');
        let (Some(originator), Some(year), Some(number), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(IdError::Length);
        };
        let reference = Self::new(
            originator.parse()?,
            year.parse().map_err(|_| IdError::Number)?,
            number.parse().map_err(|_| IdError::Number)?,
        )?;
        if reference.to_string() == text { Ok(reference) } else { Err(IdError::Number) }
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "Reference")]
        struct Raw {
            originator: ParticipantId,
            year: u16,
            number: u32,
        }
        let raw = Raw::deserialize(deserializer)?;
        Self::new(raw.originator, raw.year, raw.number).map_err(serde::de::Error::custom)
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

/// The URI that names a participant in its certificate: `urn:ncp:<network label>:<id>`, exactly one per certificate.
#[must_use]
pub fn certificate_uri(network: &NetworkId, participant: ParticipantId) -> String {
    format!("urn:ncp:{}:{participant}", network.label())
}

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

    #[test]
    fn reference_has_one_form() {
        let text = "XA-2026-000417";
        assert_eq!(text.parse::<Reference>().map(|r| r.to_string()), Ok(text.to_owned()));
        for bad in ["XA-2026-417", "XA-2026-0000417", "XA-2026-000000", "XA-26-000417", "XA-2026-+00417", "XA-2026"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

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
