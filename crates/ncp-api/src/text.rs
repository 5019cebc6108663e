//! Text forms inside JSON: ids, codes and times appear as people write them, never as bytes or numbers.
//!
//! Use as `#[serde(with = "crate::text")]`, `"crate::text::option"`, `"crate::text::list"` for whatever has `Display`
//! and `FromStr`; [`handling`] writes `H2`; [`base64`] and [`base64_list`] hold bytes. Times
//! are in [`crate::time`].

use core::fmt::Display;
use core::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// Writes a value as its text.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a value from its text.
///
/// # Errors
/// If the text is not that of a value; the message quotes it.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr,
    T::Err: Display,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
}

/// An optional value as text or `null`. Put `#[serde(default)]` beside it.
pub mod option {
    use super::{Display, FromStr, parse};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the text, or `null`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the text, or `null`.
    ///
    /// # Errors
    /// If the text is not that of a value.
    pub fn deserialize<'de, T, De>(deserializer: De) -> Result<Option<T>, De::Error>
    where
        T: FromStr,
        T::Err: Display,
        De: Deserializer<'de>,
    {
        Option::<String>::deserialize(deserializer)?.map(|text| parse(&text)).transpose()
    }
}

/// A list of values, each as text.
pub mod list {
    use super::{Display, FromStr, parse};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the texts.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    /// Reads the texts.
    ///
    /// # Errors
    /// If one of them is not that of a value.
    pub fn deserialize<'de, T, De>(deserializer: De) -> Result<Vec<T>, De::Error>
    where
        T: FromStr,
        T::Err: Display,
        De: Deserializer<'de>,
    {
        Vec::<String>::deserialize(deserializer)?.iter().map(|text| parse(text)).collect()
    }
}

/// A handling code as officers write it: `H2`, where the catalogue of codes has `h2`. Reading takes both.
pub mod handling {
    use super::parse;
    use ncp_protocol::codes::Handling;
    use serde::{Deserialize, Deserializer, Serializer};

    /// The code in capitals.
    #[must_use]
    pub fn show(handling: Handling) -> String {
        handling.as_str().to_ascii_uppercase()
    }

    /// Writes `H0` to `H3`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Handling, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show(*value))
    }

    /// Reads `H0` to `H3`, in either case.
    ///
    /// # Errors
    /// If it is another text.
    pub fn deserialize<'de, De: Deserializer<'de>>(deserializer: De) -> Result<Handling, De::Error> {
        parse(&String::deserialize(deserializer)?.to_ascii_lowercase())
    }
}

/// Bytes as standard base64 with padding (RFC 4648, section 4).
pub mod base64 {
    use base64ct::{Base64, Encoding as _};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes base64.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(bytes))
    }

    /// Reads base64.
    ///
    /// # Errors
    /// If it is not canonical base64.
    pub fn deserialize<'de, De: Deserializer<'de>>(deserializer: De) -> Result<Vec<u8>, De::Error> {
        let text = String::deserialize(deserializer)?;
        Base64::decode_vec(&text).map_err(|_| De::Error::custom("not base64"))
    }
}

/// A list of byte strings, each as base64.
pub mod base64_list {
    use base64ct::{Base64, Encoding as _};
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes each as base64.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(list: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(|bytes| Base64::encode_string(bytes)))
    }

    /// Reads each from base64.
    ///
    /// # Errors
    /// If one is not canonical base64.
    pub fn deserialize<'de, De: Deserializer<'de>>(deserializer: De) -> Result<Vec<Vec<u8>>, De::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| Base64::decode_vec(text).map_err(|_| De::Error::custom("not base64"))).collect()
    }
}

/// An Ed25519 signature as base64.
pub mod signature {
    use ncp_protocol::keys::Signature;
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    /// Writes base64.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(signature: &Signature, serializer: S) -> Result<S::Ok, S::Error> {
        super::base64::serialize(&signature.0, serializer)
    }

    /// Reads base64 of 64 bytes.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn deserialize<'de, De: Deserializer<'de>>(deserializer: De) -> Result<Signature, De::Error> {
        let bytes = super::base64::deserialize(deserializer)?;
        <[u8; 64]>::try_from(bytes).map(Signature).map_err(|_| De::Error::custom("a signature has 64 bytes"))
    }
}

/// An Ed25519 public key as base64.
pub mod public_key {
    use ncp_protocol::keys::VerifyingKey;
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    /// Writes base64.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(key: &VerifyingKey, serializer: S) -> Result<S::Ok, S::Error> {
        super::base64::serialize(&key.to_bytes(), serializer)
    }

    /// Reads base64 of a key that may be used.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn deserialize<'de, De: Deserializer<'de>>(deserializer: De) -> Result<VerifyingKey, De::Error> {
        let bytes = super::base64::deserialize(deserializer)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| De::Error::custom("a public key has 32 bytes"))?;
        VerifyingKey::from_bytes(&bytes).map_err(De::Error::custom)
    }
}

fn parse<T, E>(text: &str) -> Result<T, E>
where
    T: FromStr,
    T::Err: Display,
    E: serde::de::Error,
{
    text.parse().map_err(|error| E::custom(format!("{text:?}: {error}")))
}

/// A text is not one of a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not one of: {expected}")]
pub struct UnknownName {
    /// The names that there are, separated by commas.
    pub expected: &'static str,
}

/// Defines a closed set of names: the enum, its names, parser, serde by name, and the list of all.
macro_rules! names {
    ($(#[$doc:meta])* $set:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $set {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $set {
            /// All of the set, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl core::fmt::Display for $set {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl core::str::FromStr for $set {
            type Err = $crate::text::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::text::UnknownName { expected: concat!($($name, " "),+) }),
                }
            }
        }

        impl serde::Serialize for $set {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $set {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use names;

#[cfg(test)]
mod tests {
    use ncp_protocol::codes::{Handling, Precedence};
    use ncp_protocol::ids::{ParticipantId, Reference};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        #[serde(with = "super")]
        reference: Reference,
        #[serde(with = "super::handling")]
        handling: Handling,
        #[serde(with = "super::option", default)]
        precedence: Option<Precedence>,
        #[serde(with = "super::list")]
        to: Vec<ParticipantId>,
        #[serde(with = "super::base64")]
        bytes: Vec<u8>,
    }

    #[test]
    fn json_shows_what_people_write() {
        let text = r#"{"reference":"XA-2026-000417","handling":"H2","precedence":"urgent","to":["XB"],"bytes":"AQI="}"#;
        let sample: Sample = serde_json::from_str(text).expect("reads");
        assert_eq!(sample.handling, Handling::H2);
        assert_eq!(sample.precedence, Some(Precedence::Urgent));
        assert_eq!(serde_json::to_string(&sample).expect("writes"), text);
    }

    #[test]
    fn a_wrong_text_is_quoted() {
        let text = r#"{"reference":"XA-417","handling":"H2","to":[],"bytes":""}"#;
        let error = serde_json::from_str::<Sample>(text).expect_err("no reference").to_string();
        assert!(error.contains("XA-417"), "{error}");
    }
}
