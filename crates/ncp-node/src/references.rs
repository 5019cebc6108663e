//! Numbers for new messages: unique within a year, rising, one above the largest that the index or this process knows.
//!
//! A number is taken before its message is decided, so a refused message leaves a gap. After a restart counting goes on
//! above what the journal holds. A log that was lost began again in another epoch, and with it the journal: each epoch has a
//! range of its own, so that no reference is given twice.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ncp_protocol::ids::{IdError, LogOrigin, Reference, UnixMillis};
use ncp_store::state::{Unreadable, View};

use crate::core::tables::REFERENCE_LAST;

/// How many references of a year are an epoch's own.
const PER_EPOCH: u32 = 100_000;
/// How many such ranges a year's numbers have.
const RANGES: u32 = 10;

/// The numbers given by this process.
#[derive(Debug, Default)]
pub struct References(Mutex<BTreeMap<u16, u32>>);

impl References {
    /// A reference that nobody has.
    ///
    /// # Errors
    /// [`Unreadable`]; inside, [`IdError`] once a year is full.
    pub fn next(
        &self,
        view: &impl View,
        log: &LogOrigin,
        now: UnixMillis,
    ) -> Result<Result<Reference, IdError>, Unreadable> {
        let (year, _, _) = ncp_api::time::Time(now).date();
        let Ok(year) = u16::try_from(year) else { return Ok(Err(IdError::Number)) };
        let before = (log.epoch.0.saturating_sub(1) % RANGES) * PER_EPOCH;
        let stored = REFERENCE_LAST.row(view, &year)?.unwrap_or(before);
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = given.entry(year).or_insert(0);
        *last = stored.max(*last).saturating_add(1);
        Ok(Reference::new(log.participant, year, *last))
    }
}
