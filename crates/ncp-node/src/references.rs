//! Numbers for new messages: unique within a year, rising, one above the largest that the index or this process knows.
//!
//! A number is taken before its message is decided, so a refused message leaves a gap. After a restart counting goes on
//! above what the journal holds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ncp_protocol::ids::{IdError, ParticipantId, Reference, UnixMillis};
use ncp_store::state::{Unreadable, View};

use crate::core::tables::REFERENCE_LAST;

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
        originator: ParticipantId,
        now: UnixMillis,
    ) -> Result<Result<Reference, IdError>, Unreadable> {
        let (year, _, _) = ncp_api::time::Time(now).date();
        let Ok(year) = u16::try_from(year) else { return Ok(Err(IdError::Number)) };
        let stored = REFERENCE_LAST.row(view, &year)?.unwrap_or(0);
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = given.entry(year).or_insert(0);
        *last = stored.max(*last).saturating_add(1);
        Ok(Reference::new(originator, year, *last))
    }
}
