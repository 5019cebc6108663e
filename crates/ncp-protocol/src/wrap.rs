//! The wrap: what one recipient needs to open the body, sealed to that recipient's key.
//!
//! HPKE in base mode (RFC 9180) with X-Wing (0x647a), HKDF-SHA-256 (0x0001) and ChaCha20-Poly1305 (0x0003). `info` is
//! the label of the wrap with the network, the associated data is the hash of the header core, so a wrap opens beside
//! its own header alone. All wraps have one length, and the pair sequence stands inside: the hub sees neither number nor
//! gap. Randomness is an argument of 64 bytes, which the caller fills afresh for every wrap.
//!
//! [`open_wrap`] and [`SealingKey`] are names that the relay never uses.

mod content;

#[cfg(test)]
mod tests;

use core::convert::Infallible;
use core::fmt;

use hpke::kem::XWing;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

pub(crate) use self::content::PairNumbers;
pub use self::content::{ContentError, WrapContent};
use crate::ids::{Digest, KeyId, NetworkId};
use crate::keys::{KeyError, Purpose, sha256};
use crate::limits::{WRAP_LEN, XWING_ENCAPSULATION, XWING_PUBLIC_KEY};

type HpkeAead = hpke::aead::ChaCha20Poly1305;
type HpkeKdf = hpke::kdf::HkdfSha256;
type PublicKey = <XWing as hpke::Kem>::PublicKey;
type PrivateKey = <XWing as hpke::Kem>::PrivateKey;
type EncappedKey = <XWing as hpke::Kem>::EncappedKey;

/// Random bytes that one seal consumes.
pub const WRAP_SEED_LEN: usize = 64;

/// A wrap on the wire: encapsulation, sealed content, tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrap(Box<[u8; WRAP_LEN]>);

impl Wrap {
    /// Takes the bytes of a wrap, `None` if there are not [`WRAP_LEN`] of them. Nothing else can be checked without the
    /// recipient's key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Box::new(bytes.try_into().ok()?)))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; WRAP_LEN] {
        &self.0
    }

    /// SHA-256 of its bytes, which the header carries.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.0.as_slice())
    }
}

impl fmt::Debug for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrap({})", self.digest().short())
    }
}

impl Serialize for Wrap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_array(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Wrap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_array(deserializer).map(Self)
    }
}

/// A recipient's public sealing key: 1,216 bytes, checked as FIPS 203, section 7.2 asks.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey(Box<PublicKey>);

impl SealingPublicKey {
    /// Checks the bytes of a key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] on another length, or if a coefficient of the ML-KEM part is not reduced.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = PublicKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?;
        if key.to_bytes().as_slice() == bytes { Ok(Self(Box::new(key))) } else { Err(KeyError::Malformed) }
    }

    /// The 1,216 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Box<[u8; XWING_PUBLIC_KEY]> {
        let mut bytes = Box::new([0; XWING_PUBLIC_KEY]);
        self.0.write_exact(bytes.as_mut_slice());
        bytes
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(sha256(self.to_bytes().as_slice()))
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({})", self.id().0.short())
    }
}

impl Serialize for SealingPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_array(&self.to_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for SealingPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Box<[u8; XWING_PUBLIC_KEY]> = deserialize_array(deserializer)?;
        Self::from_bytes(bytes.as_slice()).map_err(D::Error::custom)
    }
}

/// A private sealing key. Wipes itself; never shown.
#[derive(Clone)]
pub struct SealingKey(PrivateKey);

impl SealingKey {
    /// The key of a 32-byte seed (draft-connolly-cfrg-xwing-kem, section 5.2). The caller fills the seed from the
    /// system's generator.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        match PrivateKey::from_bytes(seed) {
            Ok(key) => Self(key),
            Err(_) => unreachable!("every 32 bytes are a seed"),
        }
    }

    /// The seed, for the one place that writes key files.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        self.0.write_exact(seed.as_mut());
        seed
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> SealingPublicKey {
        SealingPublicKey(Box::new(XWing::sk_to_pk(&self.0)))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.public().id().0.short())
    }
}

/// Why a wrap does not open. A peer learns no more than that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WrapError {
    /// Sealed to another key, for another header or network, or damaged.
    #[error("wrap does not open")]
    Sealed,
    /// Opens, but its content breaks a rule.
    #[error("content of the wrap: {0}")]
    Content(#[from] ContentError),
}

/// Seals `content` to `public`. `core_hash` is [`crate::header::Header::core_hash`]; `seed` is fresh randomness.
///
/// # Errors
/// [`ContentError`] if the content breaks a rule.
pub fn seal_wrap(
    public: &SealingPublicKey,
    network: &NetworkId,
    core_hash: &Digest,
    content: &WrapContent,
    seed: &[u8; WRAP_SEED_LEN],
) -> Result<Wrap, ContentError> {
    let plain = content.encode()?;
    let sealed = seal_to(public, &Purpose::Wrap.label(network), core_hash, plain.as_slice(), seed);
    match Wrap::from_bytes(&sealed) {
        Some(wrap) => Ok(wrap),
        None => unreachable!("the content of a wrap has one length"),
    }
}

/// Encapsulation, then the sealed content and its tag. `info` is a label of this purpose alone.
pub(crate) fn seal_to(
    public: &SealingPublicKey,
    info: &[u8],
    associated: &Digest,
    plain: &[u8],
    seed: &[u8; WRAP_SEED_LEN],
) -> Vec<u8> {
    let sealed = hpke::single_shot_seal_with_rng::<HpkeAead, HpkeKdf, XWing>(
        &OpModeS::Base,
        &public.0,
        info,
        plain,
        &associated.0,
        &mut SeedRng::new(seed),
    );
    let Ok((encapsulation, ciphertext)) = sealed else {
        unreachable!("X-Wing encapsulates to every checked key, and the first sequence number seals");
    };
    let mut bytes = vec![0; XWING_ENCAPSULATION];
    encapsulation.write_exact(&mut bytes);
    bytes.extend_from_slice(&ciphertext);
    bytes
}

/// What [`seal_to`] sealed, `None` if it does not open.
pub(crate) fn open_to(key: &SealingKey, info: &[u8], associated: &Digest, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (head, tail) = sealed.split_at_checked(XWING_ENCAPSULATION)?;
    let encapsulation = EncappedKey::from_bytes(head).ok()?;
    let opened = hpke::single_shot_open::<HpkeAead, HpkeKdf, XWing>(
        &OpModeR::Base,
        &key.0,
        &encapsulation,
        info,
        tail,
        &associated.0,
    );
    opened.ok().map(Zeroizing::new)
}

/// Opens a wrap.
///
/// # Errors
/// [`WrapError`].
pub fn open_wrap(
    key: &SealingKey,
    network: &NetworkId,
    core_hash: &Digest,
    wrap: &Wrap,
) -> Result<WrapContent, WrapError> {
    let opened = open_to(key, &Purpose::Wrap.label(network), core_hash, wrap.0.as_slice());
    Ok(WrapContent::decode(&opened.ok_or(WrapError::Sealed)?)?)
}

/// Hands out the caller's seed and nothing else.
///
/// # Panics
/// If more than the seed is asked for: X-Wing consumes 64 bytes, so that is a bug, and any answer would be weak.
struct SeedRng(Zeroizing<[u8; WRAP_SEED_LEN]>, usize);

impl SeedRng {
    fn new(seed: &[u8; WRAP_SEED_LEN]) -> Self {
        Self(Zeroizing::new(*seed), 0)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, target: &mut [u8]) {
        let Some(bytes) = self.0.get(self.1..).and_then(|rest| rest.get(..target.len())) else {
            panic!("more randomness asked for than one encapsulation takes");
        };
        target.copy_from_slice(bytes);
        self.1 += target.len();
    }
}

impl TryRng for SeedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.take()))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        self.fill(target);
        Ok(())
    }
}

impl TryCryptoRng for SeedRng {}

/// A fixed number of bytes without a length before them; serde's own arrays end at 32.
fn serialize_array<const N: usize, S: Serializer>(bytes: &[u8; N], serializer: S) -> Result<S::Ok, S::Error> {
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

fn deserialize_array<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[u8; N]>, D::Error> {
    struct Bytes<const N: usize>;

    impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
        type Value = Box<[u8; N]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut bytes = Box::new([0; N]);
            for (index, slot) in bytes.iter_mut().enumerate() {
                *slot = sequence.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &self))?;
            }
            Ok(bytes)
        }
    }

    deserializer.deserialize_tuple(N, Bytes::<N>)
}
