//! Texts of a manifest that people read or file systems see: checked once, when they are made or decoded.
//!
//! A name or subject that shows as something else than it is would deceive the officer who approves or opens it, so
//! characters that are invisible or change the direction of writing are refused with the control characters.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::limits::{MEDIA_TYPE_MAX, PART_NAME_MAX, SUBJECT_MAX};

/// Why a text cannot be a name, media type or subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TextError {
    /// Empty or too long.
    #[error("wrong length")]
    Length,
    /// A control character, an invisible one, one that turns the direction of writing, or one that this text excludes.
    #[error("character not allowed")]
    Character,
    /// A name that a file system reads as something else: `.`, `..`, or with space at an end.
    #[error("name not allowed")]
    Name,
}

/// Control characters, line separators, and format characters that hide or reorder what is shown (Unicode, UAX #9).
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

fn check_length(text: &str, longest: usize) -> Result<(), TextError> {
    if text.is_empty() || text.len() > longest { Err(TextError::Length) } else { Ok(()) }
}

fn check_part_name(text: &str) -> Result<(), TextError> {
    check_length(text, PART_NAME_MAX)?;
    if text.chars().any(|c| deceives(c) || c == '/' || c == '\\') {
        return Err(TextError::Character);
    }
    if text == "." || text == ".." || text.trim() != text { Err(TextError::Name) } else { Ok(()) }
}

/// RFC 6838, section 4.2, in lower case and without parameters; texts are UTF-8.
fn check_media_type(text: &str) -> Result<(), TextError> {
    check_length(text, MEDIA_TYPE_MAX)?;
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let restricted = |name: &str| {
        name.bytes().next().is_some_and(first) && name.bytes().all(|b| first(b) || b"!#$&-^_.+".contains(&b))
    };
    match text.split_once('/') {
        Some((kind, subtype)) if restricted(kind) && restricted(subtype) => Ok(()),
        Some(_) | None => Err(TextError::Character),
    }
}

fn check_subject(text: &str) -> Result<(), TextError> {
    check_length(text, SUBJECT_MAX)?;
    if text.chars().any(deceives) { Err(TextError::Character) } else { Ok(()) }
}

/// Defines a checked text around the function that checks it.
macro_rules! checked_text {
    ($(#[$doc:meta])* $text:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $text(String);

        impl $text {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $text {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl<'de> Deserialize<'de> for $text {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $check(&text).map_err(serde::de::Error::custom)?;
                Ok(Self(text))
            }
        }

        impl fmt::Display for $text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

checked_text! {
    /// The name of a part: 1 to 200 bytes of UTF-8 that can be a file name anywhere and shows as what it is.
    PartName, check_part_name
}

checked_text! {
    /// A media type, `type/subtype` in lower case, at most 100 characters (RFC 6838, section 4.2).
    MediaType, check_media_type
}

checked_text! {
    /// A line of words: 1 to 512 bytes of UTF-8. Never in an event, never in a log.
    Subject, check_subject
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{DecodeError, decode, encode};

    fn check<T>(good: &[&str], bad: &[(&str, TextError)])
    where
        T: FromStr<Err = TextError> + fmt::Display + fmt::Debug + PartialEq + Serialize + serde::de::DeserializeOwned,
    {
        for text in good {
            let parsed = text.parse::<T>().expect(text);
            assert_eq!(parsed.to_string(), *text);
            assert_eq!(decode::<T>(&encode(&parsed), 1024), Ok(parsed));
        }
        for (text, error) in bad {
            assert_eq!(text.parse::<T>(), Err(*error), "{text:?}");
            assert_eq!(decode::<T>(&encode(text), 1024), Err(DecodeError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn part_name_shows_as_what_it_is() {
        check::<PartName>(
            &["a", "Bericht März.pdf", "...", ".profile", &"n".repeat(PART_NAME_MAX)],
            &[
                ("", TextError::Length),
                (&"n".repeat(PART_NAME_MAX + 1), TextError::Length),
                ("a/b", TextError::Character),
                ("a\\b", TextError::Character),
                ("a\0", TextError::Character),
                ("a\nb", TextError::Character),
                ("a\u{85}b", TextError::Character),
                ("gpj\u{202e}exe.", TextError::Character),
                ("a\u{2066}b", TextError::Character),
                ("a\u{200b}b", TextError::Character),
                (".", TextError::Name),
                ("..", TextError::Name),
                (" a", TextError::Name),
                ("a\u{a0}", TextError::Name),
            ],
        );
    }

    #[test]
    fn media_type_has_one_form() {
        check::<MediaType>(
            &["text/plain", "application/vnd.ms-excel.sheet+xml", "image/svg+xml"],
            &[
                ("", TextError::Length),
                ("text", TextError::Character),
                ("Text/plain", TextError::Character),
                ("text/plain; charset=utf-8", TextError::Character),
                ("/plain", TextError::Character),
                ("text/", TextError::Character),
                ("text/+a", TextError::Character),
                ("a/b/c", TextError::Character),
                (&format!("a/{}", "b".repeat(MEDIA_TYPE_MAX)), TextError::Length),
            ],
        );
    }

    #[test]
    fn subject_is_one_visible_line() {
        check::<Subject>(
            &["Vehicle check", "Проверка", &"s".repeat(SUBJECT_MAX)],
            &[
                ("", TextError::Length),
                (&"s".repeat(SUBJECT_MAX + 1), TextError::Length),
                ("two\nlines", TextError::Character),
                ("\u{202e}turned", TextError::Character),
            ],
        );
    }
}
