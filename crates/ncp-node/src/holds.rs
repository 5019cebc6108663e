//! Holds as the shell asks about them: whether something is stopped now.

use std::ops::ControlFlow;

use ncp_protocol::codes::Kind;
use ncp_protocol::event::HoldScope;
use ncp_protocol::ids::ParticipantId;
use ncp_store::state::{Unreadable, View};

use crate::core::tables::{HOLD, HoldKey, HoldRow};

/// The hold that stops a message of this kind to this recipient, the widest first.
///
/// # Errors
/// [`Unreadable`].
pub fn stopping(
    view: &(impl View + ?Sized),
    recipient: ParticipantId,
    kind: Kind,
) -> Result<Option<HoldRow>, Unreadable> {
    for scope in [HoldScope::All, HoldScope::Kind(kind), HoldScope::Recipient(recipient)] {
        if let Some(row) = HOLD.row(view, &HoldKey::of(scope))? {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// All holds in force.
///
/// # Errors
/// [`Unreadable`].
pub fn all(view: &(impl View + ?Sized)) -> Result<Vec<HoldRow>, Unreadable> {
    let mut holds = Vec::new();
    HOLD.scan(view, &(), |_, row| {
        holds.push(row);
        ControlFlow::Continue(())
    })?;
    holds.sort_by_key(|hold| hold.scope);
    Ok(holds)
}
