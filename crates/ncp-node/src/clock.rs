//! Time and chance, as commands carry them: the core asks for neither.

pub use ncp_service::clock::{now, random};

use crate::core::command::Stamp;

/// Time and chance for one command.
#[must_use]
pub fn stamp() -> Stamp {
    Stamp { now: now(), seed: random() }
}
