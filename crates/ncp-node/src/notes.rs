//! Words that go with a step and stay in this node: what a service is asked, why a draft came back. Each is a record sealed
//! under the storage key, under a name that follows from what it belongs to, so that no event has to name it.

use ncp_protocol::codec;
use ncp_protocol::ids::{MessageId, OfficerNumber};
use ncp_protocol::keys::sha256;
use ncp_store::spool::{Record, RecordKind, RecordName};
use serde::Serialize;

use crate::content::damaged;
use crate::core::tables::MessageKey;
use crate::faults::Failed;
use crate::node::Node;

/// Longest note in bytes.
pub const NOTE_MAX: usize = 4 << 10;

/// Name of the note to a task.
#[must_use]
pub fn task_note((originator, message): MessageKey, task: u16) -> RecordName {
    name(b"task-note", &(originator, message, task))
}

/// Name of the reason with which an officer sent a revision back.
#[must_use]
pub fn rejection_note(message: MessageId, revision: u32, officer: OfficerNumber) -> RecordName {
    name(b"rejection-note", &(message, revision, officer))
}

fn name(label: &[u8], about: &impl Serialize) -> RecordName {
    let mut bytes = label.to_vec();
    bytes.extend_from_slice(&codec::encode(about));
    RecordName { kind: RecordKind::Contribution, id: sha256(&bytes) }
}

/// Seals a note.
#[must_use]
pub fn seal(node: &Node, name: RecordName, words: &str) -> Record {
    node.vault.seal(name, words.as_bytes())
}

/// What a service was asked, in words.
///
/// # Errors
/// Damage, or the store's failure.
pub fn of_task(node: &Node, message: MessageKey, task: u16) -> Result<Option<String>, Failed> {
    open(node, &task_note(message, task))
}

/// Why an officer sent a revision back, in words.
///
/// # Errors
/// Damage, or the store's failure.
pub fn of_rejection(
    node: &Node,
    message: MessageId,
    revision: u32,
    officer: OfficerNumber,
) -> Result<Option<String>, Failed> {
    open(node, &rejection_note(message, revision, officer))
}

/// Opens a note, if there is one.
///
/// # Errors
/// Damage, or the store's failure.
pub fn open(node: &Node, name: &RecordName) -> Result<Option<String>, Failed> {
    let Some(bytes) = node.reader().record(name)? else { return Ok(None) };
    let plain = node.vault.open(name, &bytes).map_err(|_| damaged(name))?;
    String::from_utf8(plain.to_vec()).map(Some).map_err(|_| damaged(name).into())
}
