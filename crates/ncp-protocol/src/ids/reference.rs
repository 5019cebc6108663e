//! The reference of a message, by which people speak of it: one form as text, checked when it is read.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::{IdError, ParticipantId};
use crate::limits::{REFERENCE_NUMBER_MAX, YEAR_MAX, YEAR_MIN};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_has_one_form() {
        let text = "XA-2026-000417";
        assert_eq!(text.parse::<Reference>().map(|r| r.to_string()), Ok(text.to_owned()));
        for bad in ["XA-2026-417", "XA-2026-0000417", "XA-2026-000000", "XA-26-000417", "XA-2026-+00417", "XA-2026"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
