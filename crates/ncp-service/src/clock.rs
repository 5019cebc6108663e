//! Time and chance: the one place where a daemon asks the system for either.
//!
//! The wall clock is what the system says it is; whether to believe it is for others to judge. A system that has no random
//! bytes to give is fatal.

use std::time::{SystemTime, UNIX_EPOCH};

use ncp_protocol::ids::UnixMillis;

/// Now, by the wall clock.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Random bytes from the system's generator.
///
/// # Panics
/// If the system has none to give: nothing that needs secrets can go on then.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no random bytes: {error}");
    }
    bytes
}
