//! How a check of a daemon is made and shown. Both daemons name the same look by the same id (`docs/OPERATING.md`, section 5).

use core::time::Duration;
use std::time::Instant;

use ncp_api::health::{Check, CheckResult};
use ncp_api::time::Time;
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::UnixMillis;
use ncp_protocol::limits::DAY_MS;

/// Signs and verifies a canary: the keys work.
pub const CANARY: &str = "K02";
/// Room on the disk.
pub const SPACE: &str = "S01";
/// From when on an end that comes is a warning.
const SOON_MS: u64 = 30 * DAY_MS;

/// What a check found. The text is one line without full stop.
#[derive(Debug)]
pub enum Found {
    /// As it should be.
    Ok(String),
    /// Works, but somebody should look.
    Warn(String, Fault),
    /// Does not work.
    Fail(String, Fault),
    /// Not configured yet, or skipped.
    Unset(String),
}

impl Found {
    /// Something that ends: an end that has passed fails, one that comes within 30 days warns.
    #[must_use]
    pub fn ending(title: String, what: &str, until: UnixMillis, now: UnixMillis) -> Self {
        let fault = || ErrorCode::KeyExpired.with("what", what).with("until", Time(until));
        if until <= now {
            return Self::Fail(format!("{title}: the {what} has expired"), fault());
        }
        let left = until.millis_since(now);
        if left <= SOON_MS {
            return Self::Warn(format!("{title}: the {what} ends in {} d", left / DAY_MS), fault());
        }
        Self::Ok(title)
    }

    /// How it came out.
    #[must_use]
    pub const fn result(&self) -> CheckResult {
        match self {
            Self::Ok(_) => CheckResult::Ok,
            Self::Warn(..) => CheckResult::Warn,
            Self::Fail(..) => CheckResult::Fail,
            Self::Unset(_) => CheckResult::Unset,
        }
    }

    /// As others read it: under its id, with how long it took.
    #[must_use]
    pub fn shown(self, id: &'static str, took: Duration) -> Check {
        let result = self.result();
        let (title, fault) = match self {
            Self::Ok(title) | Self::Unset(title) => (title, None),
            Self::Warn(title, fault) | Self::Fail(title, fault) => (title, Some(fault)),
        };
        Check {
            id: id.to_owned(),
            title,
            result,
            code: fault.as_ref().map(|fault| fault.code.to_string()),
            cause: fault.as_ref().map(Fault::cause),
            remedy: fault.as_ref().map(Fault::remedy),
            millis: u64::try_from(took.as_millis()).ok(),
        }
    }
}

/// Makes one check and times it.
pub fn check(id: &'static str, look: impl FnOnce() -> Found) -> Check {
    let begun = Instant::now();
    let found = look();
    found.shown(id, begun.elapsed())
}

/// Whether the daemon cannot sign or store: it is not ready then.
#[must_use]
pub fn blocks_readiness(check: &Check) -> bool {
    check.result == CheckResult::Fail && (check.id == CANARY || check.id == SPACE)
}

/// The worst of what was found: `fail` before `warn` before all else, which is `ok`.
#[must_use]
pub fn overall(checks: &[Check]) -> CheckResult {
    let any = |result| checks.iter().any(|check| check.result == result);
    [CheckResult::Fail, CheckResult::Warn].into_iter().find(|result| any(*result)).unwrap_or(CheckResult::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_warns_before_it_comes() {
        let now = UnixMillis(100 * DAY_MS);
        for (days, expected) in
            [(99, CheckResult::Fail), (100, CheckResult::Fail), (120, CheckResult::Warn), (131, CheckResult::Ok)]
        {
            let found = Found::ending("x".to_owned(), "certificate", UnixMillis(days * DAY_MS), now);
            assert_eq!(found.result(), expected, "{days}");
        }
    }

    #[test]
    fn the_worst_counts_and_what_is_not_configured_does_not() {
        let fault = || ErrorCode::InternalFault.with("reason", "x");
        let ok = || check("K03", || Found::Ok(String::new()));
        let unset = || check("I01", || Found::Unset(String::new()));
        let warn = || check("K03", || Found::Warn(String::new(), fault()));
        let fail = |id| check(id, || Found::Fail(String::new(), fault()));
        assert_eq!(overall(&[ok(), unset()]), CheckResult::Ok);
        assert_eq!(overall(&[warn(), ok()]), CheckResult::Warn);
        assert_eq!(overall(&[warn(), fail("N02")]), CheckResult::Fail);
        assert!(blocks_readiness(&fail(SPACE)) && blocks_readiness(&fail(CANARY)));
        assert!(!blocks_readiness(&fail("N02")) && !blocks_readiness(&warn()));
    }
}
