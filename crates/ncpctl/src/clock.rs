//! Times for people: UTC with `Z` and how long ago or how far ahead. `--local` changes the display only.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ncp_api::time::Time;
use ncp_protocol::ids::UnixMillis;

/// Now, and the zone in which times are shown.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// When the command started.
    pub(crate) now: UnixMillis,
    zone: Option<TimeZone>,
}

/// Which zone times are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// UTC.
    Utc,
    /// That of this machine.
    Local,
}

impl Clock {
    /// The clock of this machine.
    pub(crate) fn system(zone: Zone) -> Self {
        let zone = match zone {
            Zone::Utc => None,
            Zone::Local => Some(TimeZone::system()),
        };
        Self { now: system_now(), zone }
    }

    /// The same zone, and what time it is by now: for a command that lasts.
    pub(crate) fn again(&self) -> Self {
        Self { now: system_now(), zone: self.zone.clone() }
    }

    /// A clock that stands, in UTC.
    #[cfg(test)]
    pub(crate) fn at(now: UnixMillis) -> Self {
        Self { now, zone: None }
    }

    /// Date and time to the minute: `2026-11-22 12:02Z`.
    pub(crate) fn minute(&self, time: UnixMillis) -> String {
        let (date, clock, offset) = self.parts(time);
        format!("{date} {}{offset}", clock.get(..5).unwrap_or(&clock))
    }

    /// Date: `2026-11-22`.
    pub(crate) fn date(&self, time: UnixMillis) -> String {
        self.parts(time).0
    }

    /// Time of day to the second: `12:02:10Z`.
    pub(crate) fn second(&self, time: UnixMillis) -> String {
        let (_, clock, offset) = self.parts(time);
        format!("{clock}{offset}")
    }

    /// `in 2 d 17 h`, `3 h 26 min ago`, `now`.
    pub(crate) fn relative(&self, time: UnixMillis) -> String {
        if time > self.now {
            return match span(time.millis_since(self.now)) {
                text if text == "0 s" => "now".to_owned(),
                text => format!("in {text}"),
            };
        }
        match span(self.now.millis_since(time)) {
            text if text == "0 s" => "now".to_owned(),
            text => format!("{text} ago"),
        }
    }

    /// Date, time of day and offset of a point in time.
    fn parts(&self, time: UnixMillis) -> (String, String, String) {
        if let Some(local) = self.zone.as_ref().and_then(|zone| to_local(time, zone)) {
            return local;
        }
        let (year, month, day) = Time(time).date();
        let (hour, minute, second) = Time(time).clock();
        (format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}"), "Z".to_owned())
    }
}

fn to_local(time: UnixMillis, zone: &TimeZone) -> Option<(String, String, String)> {
    let zoned = Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()?.to_zoned(zone.clone());
    Some((
        zoned.strftime("%Y-%m-%d").to_string(),
        zoned.strftime("%H:%M:%S").to_string(),
        zoned.strftime("%:z").to_string(),
    ))
}

/// The time of this machine.
pub(crate) fn system_now() -> UnixMillis {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// A span of time in its two largest units: `2 d 17 h`, `3 h 26 min`, `41 s`.
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    let units = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let first = units.iter().position(|(value, _)| *value > 0).unwrap_or(3);
    let shown: Vec<String> = units
        .iter()
        .skip(first)
        .take(2)
        .filter(|(value, _)| *value > 0)
        .map(|(value, unit)| format!("{value} {unit}"))
        .collect();
    if shown.is_empty() { "0 s".to_owned() } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixMillis = UnixMillis(1_795_348_930_000);

    #[test]
    fn spans_have_two_units() {
        let (second, minute, hour, day) = (1_000, 60_000, 3_600_000, 86_400_000);
        for (millis, text) in [
            (999, "0 s"),
            (41 * second, "41 s"),
            (3 * minute + 5 * second, "3 min 5 s"),
            (3 * hour + 26 * minute, "3 h 26 min"),
            (2 * day + 17 * hour + 59 * minute, "2 d 17 h"),
            (2 * day + minute, "2 d"),
        ] {
            assert_eq!(span(millis), text);
        }
    }

    #[test]
    fn relative_times_say_which_way() {
        let clock = Clock::at(NOON);
        assert_eq!(clock.relative(NOON), "now");
        assert_eq!(clock.relative(NOON.plus_millis(7_800_000)), "in 2 h 10 min");
        assert_eq!(clock.relative(UnixMillis(NOON.0 - 60_000)), "1 min ago");
    }

    #[test]
    fn utc_carries_its_letter() {
        let clock = Clock::at(NOON);
        assert_eq!(clock.minute(NOON), "2026-11-22 12:02Z");
        assert_eq!(clock.second(NOON), "12:02:10Z");
        assert_eq!(clock.date(NOON), "2026-11-22");
    }

    #[test]
    fn a_local_zone_changes_the_display_only() {
        let zone = TimeZone::fixed(jiff::tz::offset(12));
        let clock = Clock { now: NOON, zone: Some(zone) };
        assert_eq!(clock.minute(NOON), "2026-11-23 00:02+12:00");
        assert_eq!(clock.relative(NOON.plus_millis(1_000)), "in 1 s");
    }
}
