//! The events that speak of a message, read from the journal by the places that the index keeps.

use std::ops::ControlFlow;

use ncp_protocol::event::Event;
use ncp_protocol::ids::UnixMillis;
use ncp_store::reader::ReadError;
use ncp_store::state::Unreadable;

use crate::core::tables::{MessageKey, TIMELINE};
use crate::node::Node;

/// An event with its position in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Position over all logs.
    pub sequence: u64,
    /// What happened.
    pub event: Event,
}

/// The events that speak of a message, oldest first. Blocks on the disk.
///
/// # Errors
/// [`ReadError`].
pub fn of(node: &Node, (originator, message): MessageKey) -> Result<Vec<Recorded>, ReadError> {
    let mut sequences = Vec::new();
    TIMELINE.scan(&node.reader().view(), &(originator, message), |(_, _, sequence), ()| {
        sequences.push(sequence);
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::new();
    for sequence in sequences {
        found.extend(from(node, sequence, 1)?);
    }
    Ok(found)
}

/// When something last happened to a message.
///
/// # Errors
/// [`ReadError`].
pub fn last(node: &Node, (originator, message): MessageKey) -> Result<Option<UnixMillis>, ReadError> {
    let mut newest = None;
    TIMELINE.scan(&node.reader().view(), &(originator, message), |(_, _, sequence), ()| {
        newest = Some(sequence);
        ControlFlow::Continue(())
    })?;
    let Some(sequence) = newest else { return Ok(None) };
    Ok(from(node, sequence, 1)?.first().map(|found| found.event.time))
}

/// At most `max` events from a position of the journal on.
///
/// # Errors
/// [`ReadError`].
pub fn from(node: &Node, sequence: u64, max: usize) -> Result<Vec<Recorded>, ReadError> {
    let decode = |stored: ncp_store::reader::StoredEvent| {
        let event = Event::decode(&stored.bytes)
            .map_err(|error| Unreadable::Damaged(format!("event {}: {error}", stored.sequence)))?;
        Ok(Recorded { sequence: stored.sequence, event })
    };
    node.reader().events(sequence, max)?.into_iter().map(decode).collect()
}
