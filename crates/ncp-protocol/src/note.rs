//! Signed notes and verifier keys: C2SP signed-note v1.0.0, <https://c2sp.org/signed-note@v1.0.0>.
//!
//! A note is text and the signatures of one or more keys over it. Parsing is strict and bounded, and what was parsed
//! prints as the same bytes. It is stricter than the format in two points, to which our own notes keep: control
//! characters above U+007E are refused like those below U+0020, and a key signs a note at most once.
//!
//! Parsing believes nothing: the text means something only after [`SignedNote::verify`].

use core::fmt;
use std::collections::BTreeSet;

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::cosignature;
use crate::ids::{Digest, hex, parse_hex};
use crate::keys::{KeyError, Signature, SigningKey, VerifyingKey};
use crate::limits::{NOTE_MAX, NOTE_SIGNATURES_MAX};

/// The short name of a key in a signature line: the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key). It
/// finds a key and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteKeyId(pub [u8; 4]);

impl NoteKeyId {
    /// The id of `key` under `name`, for signatures of one type.
    #[must_use]
    pub fn new(name: &str, signature_type: SignatureType, key: &VerifyingKey) -> Self {
        let hash = Sha256::new_with_prefix(name).chain_update([b'\n', signature_type.byte()]);
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.chain_update(key.to_bytes()).finalize());
        Self([a, b, c, d])
    }
}

impl fmt::Display for NoteKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for NoteKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// What a key's signatures in a note look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureType {
    /// Ed25519 over the text: 64 bytes.
    Ed25519,
    /// Ed25519 cosignature of a checkpoint: the time, then 64 bytes ([`cosignature`]).
    Ed25519Cosignature,
}

impl SignatureType {
    /// The byte that C2SP assigned.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Ed25519Cosignature => 0x04,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Ed25519, Self::Ed25519Cosignature].into_iter().find(|known| known.byte() == byte)
    }
}

/// Why a text is not a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum VerifierKeyError {
    /// Not `name+id+key` with eight lower-case hexadecimal digits and base64.
    #[error("not of the form name+id+key")]
    Form,
    /// The name is empty or holds a space, a plus or a control character.
    #[error("not a key name")]
    Name,
    /// A type of signature that this program does not know.
    #[error("unknown signature type {0:#04x}")]
    SignatureType(u8),
    /// The public key may not be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The id is not the one that name, type and key give.
    #[error("the id is another key's")]
    KeyId,
}

/// A public key with the name and type under which it signs notes: a vkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    signature_type: SignatureType,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Names a key.
    ///
    /// # Errors
    /// [`VerifierKeyError::Name`].
    pub fn new(name: &str, signature_type: SignatureType, key: VerifyingKey) -> Result<Self, VerifierKeyError> {
        if !is_key_name(name) {
            return Err(VerifierKeyError::Name);
        }
        Ok(Self { name: name.to_owned(), signature_type, key })
    }

    /// Reads `name+id+key`: the id in hexadecimal, type and public key in base64.
    ///
    /// # Errors
    /// [`VerifierKeyError`].
    pub fn parse(text: &str) -> Result<Self, VerifierKeyError> {
        let (name, rest) = text.split_once('+').ok_or(VerifierKeyError::Form)?;
        let (id, key) = rest.split_once('+').ok_or(VerifierKeyError::Form)?;
        let id = NoteKeyId(parse_hex(id).map_err(|_| VerifierKeyError::Form)?);
        let typed_key = Base64::decode_vec(key).map_err(|_| VerifierKeyError::Form)?;
        let (&byte, key) = typed_key.split_first().ok_or(VerifierKeyError::Form)?;
        let signature_type = SignatureType::from_byte(byte).ok_or(VerifierKeyError::SignatureType(byte))?;
        let key = VerifyingKey::from_bytes(key.try_into().map_err(|_| VerifierKeyError::Form)?)?;
        let verifier = Self::new(name, signature_type, key)?;
        if verifier.id() == id { Ok(verifier) } else { Err(VerifierKeyError::KeyId) }
    }

    /// The name in signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its signatures look like.
    #[must_use]
    pub fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// The public key.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The id in signature lines.
    #[must_use]
    pub fn id(&self) -> NoteKeyId {
        NoteKeyId::new(&self.name, self.signature_type, &self.key)
    }

    fn verify(&self, text: &str, signature: &NoteSignature) -> Option<Verified<'_>> {
        match self.signature_type {
            SignatureType::Ed25519 => {
                let bytes = Signature(signature.bytes.as_slice().try_into().ok()?);
                self.key.verify_raw(text.as_bytes(), &bytes).ok()?;
                Some(Verified { key: self, time_s: None })
            }
            SignatureType::Ed25519Cosignature => {
                let time_s = cosignature::verify(text, &self.key, &signature.bytes).ok()?;
                Some(Verified { key: self, time_s: Some(time_s) })
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed_key = vec![self.signature_type.byte()];
        typed_key.extend_from_slice(&self.key.to_bytes());
        write!(f, "{}+{}+{}", self.name, self.id(), Base64::encode_string(&typed_key))
    }
}

/// Why bytes are not a signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Longer than [`NOTE_MAX`].
    #[error("longer than its limit")]
    TooLong,
    /// A control character other than a line feed.
    #[error("control character")]
    ControlCharacter,
    /// The text is empty or does not end with a line feed.
    #[error("the text does not end with a line feed")]
    Text,
    /// No empty line between text and signatures, or nothing behind it.
    #[error("no signatures")]
    Unsigned,
    /// A signature line that is not `— <name> <base64>` with at least five bytes.
    #[error("malformed signature line")]
    SignatureLine,
    /// More than [`NOTE_SIGNATURES_MAX`] signatures.
    #[error("too many signatures")]
    TooManySignatures,
    /// Two signatures with the same name and key id.
    #[error("a key signed twice")]
    SignedTwice,
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: NoteKeyId,
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// A signature of the key with this name and id.
    #[must_use]
    pub fn new(name: &str, id: NoteKeyId, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), id, bytes: bytes.to_vec() }
    }

    /// Reads one line, without its line feed.
    ///
    /// # Errors
    /// [`NoteError::SignatureLine`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let rest = line.strip_prefix("\u{2014} ").ok_or(NoteError::SignatureLine)?;
        let (name, signature) = rest.split_once(' ').ok_or(NoteError::SignatureLine)?;
        let bytes = Base64::decode_vec(signature).map_err(|_| NoteError::SignatureLine)?;
        let (id, bytes) = bytes.split_first_chunk().ok_or(NoteError::SignatureLine)?;
        let signature = Self::new(name, NoteKeyId(*id), bytes);
        if signature.is_well_formed() { Ok(signature) } else { Err(NoteError::SignatureLine) }
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> NoteKeyId {
        self.id
    }

    /// The signature, whose form depends on the key's type.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn is_well_formed(&self) -> bool {
        is_key_name(&self.name) && !self.bytes.is_empty()
    }
}

impl fmt::Display for NoteSignature {
    /// The line without its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signature = [self.id.0.as_slice(), &self.bytes].concat();
        write!(f, "\u{2014} {} {}", self.name, Base64::encode_string(&signature))
    }
}

/// Signs `text` with an Ed25519 key (type 0x01).
#[must_use]
pub fn sign(text: &str, name: &str, key: &SigningKey) -> NoteSignature {
    let id = NoteKeyId::new(name, SignatureType::Ed25519, &key.verifying_key());
    NoteSignature::new(name, id, &key.sign_raw(text.as_bytes()).0)
}

/// Why the signatures of a note do not make it true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteVerifyError {
    /// None of the known keys signed it.
    #[error("no signature by a known key")]
    NoKnownKey,
    /// A signature in the name of a known key does not verify.
    #[error("a signature does not verify")]
    BadSignature,
    /// Two known keys have the same name and id.
    #[error("two known keys have the same name and id")]
    AmbiguousKey,
}

/// A signature that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'k> {
    /// Whose it is.
    pub key: &'k VerifierKey,
    /// When it was made, in seconds since 1970-01-01T00:00:00Z: a cosignature says so, a plain signature does not.
    pub time_s: Option<u64>,
}

/// A text, and signatures that nobody has verified yet. Well-formed, and within its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Puts a note together. `text` ends with a line feed.
    ///
    /// # Errors
    /// [`NoteError`] if text or signatures are not what a note may hold.
    pub fn new(text: &str, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        if text.chars().any(is_refused) {
            return Err(NoteError::ControlCharacter);
        }
        if !text.ends_with('\n') {
            return Err(NoteError::Text);
        }
        if signatures.is_empty() {
            return Err(NoteError::Unsigned);
        }
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        if !signatures.iter().all(NoteSignature::is_well_formed) {
            return Err(NoteError::SignatureLine);
        }
        let keys: BTreeSet<_> = signatures.iter().map(|signature| (&signature.name, signature.id)).collect();
        if keys.len() < signatures.len() {
            return Err(NoteError::SignedTwice);
        }
        let note = Self { text: text.to_owned(), signatures };
        if note.to_string().len() > NOTE_MAX { Err(NoteError::TooLong) } else { Ok(note) }
    }

    /// Reads a note. The last empty line separates text and signatures.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_MAX {
            return Err(NoteError::TooLong);
        }
        if note.chars().any(is_refused) {
            return Err(NoteError::ControlCharacter);
        }
        // The first of the two line feeds still belongs to the text.
        let separator = note.rfind("\n\n").ok_or(NoteError::Unsigned)? + 1;
        let (text, rest) = note.split_at_checked(separator).ok_or(NoteError::Unsigned)?;
        let lines = rest.strip_prefix('\n').ok_or(NoteError::Unsigned)?;
        if lines.is_empty() {
            return Err(NoteError::Unsigned);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::SignatureLine)?;
        if lines.split('\n').count() > NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        Self::new(text, lines.split('\n').map(NoteSignature::parse).collect::<Result<_, _>>()?)
    }

    /// The same note with one more signature, behind the others.
    ///
    /// # Errors
    /// [`NoteError`] if the note may not hold it.
    pub fn with_signature(mut self, signature: NoteSignature) -> Result<Self, NoteError> {
        self.signatures.push(signature);
        Self::new(&self.text, self.signatures)
    }

    /// The text, its last line feed included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in their order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Verifies the signatures of the keys in `known` and returns them in the order of the note. Signatures of other
    /// keys are ignored.
    ///
    /// # Errors
    /// [`NoteVerifyError`] if a known key's signature fails, or there is none.
    pub fn verify<'k>(&self, known: &'k [VerifierKey]) -> Result<Vec<Verified<'k>>, NoteVerifyError> {
        let known: Vec<_> = known.iter().map(|key| (key.id(), key)).collect();
        let mut verified = Vec::new();
        for signature in &self.signatures {
            let is_its_key = |(id, key): &&(NoteKeyId, &VerifierKey)| *id == signature.id && key.name == signature.name;
            let mut keys = known.iter().filter(is_its_key).map(|(_, key)| *key);
            let Some(key) = keys.next() else { continue };
            if keys.any(|other| other != key) {
                return Err(NoteVerifyError::AmbiguousKey);
            }
            verified.push(key.verify(&self.text, signature).ok_or(NoteVerifyError::BadSignature)?);
        }
        if verified.is_empty() { Err(NoteVerifyError::NoKnownKey) } else { Ok(verified) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// Whether `name` may name a key: not empty, no Unicode space, no plus, no control character.
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+' || c.is_control())
}

/// Reads a decimal number without sign or leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// Reads a hash in base64 (RFC 4648, section 4).
pub(crate) fn parse_hash(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    (Base64::decode(text, &mut bytes).ok()?.len() == 32).then_some(Digest(bytes))
}

fn is_refused(c: char) -> bool {
    c.is_control() && c != '\n'
}

#[cfg(test)]
mod tests;
