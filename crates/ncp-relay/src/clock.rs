//! Time and chance: the one place of the shell that asks the system for either.

use std::time::{SystemTime, UNIX_EPOCH};

use ncp_protocol::ids::UnixMillis;

use crate::core::command::Stamp;

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

/// Time and chance for one command.
#[must_use]
pub fn stamp() -> Stamp {
    Stamp { now: now(), seed: random() }
}
