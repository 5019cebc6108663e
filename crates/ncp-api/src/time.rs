//! Times in JSON: RFC 3339 in UTC with milliseconds, `2026-11-22T12:02:10.000Z`. Proleptic Gregorian, no leap seconds.

use core::fmt;
use core::str::FromStr;

use ncp_protocol::ids::UnixMillis;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

const DAY_MS: u64 = 86_400_000;

/// Why a text is not a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a time in UTC such as 2026-11-22T12:02:10Z")]
pub struct TimeError;

/// A point in time that shows and reads itself as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub UnixMillis);

impl Time {
    /// Year, month (1–12), day (1–31) of the UTC day.
    ///
    /// The usual count of days in eras of 400 years that begin on 1 March, so that a leap day ends its year.
    #[must_use]
    pub fn date(self) -> (u64, u64, u64) {
        let days = self.0.0 / DAY_MS + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        (year, month, day)
    }

    /// Hour, minute, second of the UTC day.
    #[must_use]
    pub fn clock(self) -> (u64, u64, u64) {
        let seconds = self.0.0 % DAY_MS / 1_000;
        (seconds / 3_600, seconds / 60 % 60, seconds % 60)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.clock();
        let millis = self.0.0 % 1_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

impl FromStr for Time {
    type Err = TimeError;

    /// Reads UTC with `Z`; seconds and fraction may be missing, a blank may stand for `T`, a date alone is its start.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (date, clock) = match text.strip_suffix('Z') {
            Some(rest) => rest.split_once(['T', ' ']).ok_or(TimeError)?,
            None => (text, "00:00"),
        };
        let [year, month, day] = numbers::<3>(date, '-')?;
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let [hour, minute, second] =
            numbers::<3>(clock, ':').or_else(|_| numbers::<2>(clock, ':').map(|[hour, minute]| [hour, minute, 0]))?;
        let millis = millis_of(fraction)?;
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError);
        }
        let time = Self(UnixMillis(
            days(year, month, day) * DAY_MS + hour * 3_600_000 + minute * 60_000 + second * 1_000 + millis,
        ));
        // 30 February would come out as another day.
        if time.date() == (year, month, day) { Ok(time) } else { Err(TimeError) }
    }
}

fn numbers<const N: usize>(text: &str, separator: char) -> Result<[u64; N], TimeError> {
    let mut fields = text.split(separator);
    let mut values = [0; N];
    for value in &mut values {
        let field = fields.next().ok_or(TimeError)?;
        if field.len() < 2 || field.len() > 4 || !field.bytes().all(|b| b.is_ascii_digit()) {
            return Err(TimeError);
        }
        *value = field.parse().map_err(|_| TimeError)?;
    }
    if fields.next().is_some() { Err(TimeError) } else { Ok(values) }
}

fn millis_of(fraction: &str) -> Result<u64, TimeError> {
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TimeError);
    }
    format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse().ok()).ok_or(TimeError)
}

/// Days from 1970-01-01 to the given day of 1970 or later.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day.max(1) - 1;
    let (era, year_of_era) = (year / 400, year % 400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Writes a time.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(time: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    Time(*time).serialize(serializer)
}

/// Reads a time.
///
/// # Errors
/// If the text is not RFC 3339 in UTC.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
    Time::deserialize(deserializer).map(|time| time.0)
}

/// An optional time, or `null`. Put `#[serde(default)]` beside it.
pub mod option {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Time, UnixMillis};

    /// Writes a time, or `null`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(time: &Option<UnixMillis>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(serializer)
    }

    /// Reads a time, or `null`.
    ///
    /// # Errors
    /// If the text is not RFC 3339 in UTC.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixMillis>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(millis: u64, text: &str) {
        assert_eq!(Time(UnixMillis(millis)).to_string(), text);
        assert_eq!(text.parse(), Ok(Time(UnixMillis(millis))), "{text}");
    }

    #[test]
    fn known_instants() {
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_795_348_930_123, "2026-11-22T12:02:10.123Z");
        check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn shorter_forms_are_read() {
        let expected = "2026-11-22T12:02:00.000Z".parse::<Time>();
        for text in ["2026-11-22T12:02Z", "2026-11-22 12:02Z", "2026-11-22T12:02:00Z", "2026-11-22T12:02:00.0Z"] {
            assert_eq!(text.parse::<Time>(), expected, "{text}");
        }
        assert_eq!("2026-11-22".parse::<Time>(), "2026-11-22T00:00:00Z".parse());
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "now",
            "2026-02-30",
            "2026-13-01",
            "2026-11-22T24:00Z",
            "2026-11-22T12:02+01:00",
            "1969-12-31",
            "2026-11-22T12:02:00.Z",
        ] {
            assert_eq!(text.parse::<Time>(), Err(TimeError), "{text}");
        }
    }

    #[test]
    fn every_day_of_400_years_reads_back() {
        for day in 0..146_097 {
            let time = Time(UnixMillis(day * DAY_MS));
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
