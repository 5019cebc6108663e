//! From the shell's and the core's errors to those of the registry, which people and programs read.

use ncp_api::{ErrorCode, Fault};
use ncp_store::committer::Stopped;
use ncp_store::reader::ReadError;

/// The store cannot be read.
#[must_use]
pub fn unreadable(error: &dyn core::fmt::Display) -> Fault {
    ErrorCode::StoreStopped.with("reason", error)
}

/// An error of the store inside a request: the request fails, and so does the daemon.
#[derive(Debug)]
pub enum Failed {
    /// The asker is told.
    Fault(Box<Fault>),
    /// The store has stopped or cannot be read.
    Store(Box<Fault>),
}

impl Failed {
    /// What the asker is told.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        match self {
            Self::Fault(fault) | Self::Store(fault) => fault,
        }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<ErrorCode> for Failed {
    fn from(code: ErrorCode) -> Self {
        code.fault().into()
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        Self::Store(Box::new(unreadable(&error)))
    }
}

impl From<ncp_store::state::Unreadable> for Failed {
    fn from(error: ncp_store::state::Unreadable) -> Self {
        Self::Store(Box::new(unreadable(&error)))
    }
}

impl From<Stopped> for Failed {
    fn from(error: Stopped) -> Self {
        Self::Store(Box::new(unreadable(&error)))
    }
}
