//! Messages as the API shows them, made from rows, records and bodies.
//!
//! Where a message stands follows from its rows alone ([`state`]); content is opened only for whoever may see it. Lists
//! open one small record for each subject line.

mod message;
pub mod state;

use std::ops::ControlFlow;

use ncp_api::message::{Direction, MessageItem, MessageName};
use ncp_protocol::codes::Handling;
use ncp_protocol::event::Actor;
use ncp_protocol::ids::{MessageId, OfficerNumber, ParticipantId, Reference, UnixMillis};
use ncp_store::state::{Unreadable, View};

use crate::content::{self, ContentKey};
use crate::core::tables::{ENVELOPE, IN, INBOX, InRow, MessageKey, OUT, OutRow, REFERENCE, TASK, reference_key};
use crate::faults::Failed;
use crate::history;
use crate::node::Node;

pub use message::{message, reference};

/// The message of this name, if it was sent or received here.
///
/// # Errors
/// [`Unreadable`].
pub fn find(node: &Node, view: &impl View, name: &MessageName) -> Result<Option<MessageKey>, Unreadable> {
    let id = match name {
        MessageName::Reference(reference) => return REFERENCE.row(view, &reference_key(*reference)),
        MessageName::Id(id) => *id,
    };
    if OUT.row(view, &id)?.is_some() {
        return Ok(Some((node.participant(), id)));
    }
    for (originator, _) in node.directory.load().iter() {
        if IN.row(view, &(*originator, id))?.is_some() {
            return Ok(Some((*originator, id)));
        }
    }
    Ok(None)
}

/// Why a participant is suspended, in the words of the membership statement.
#[must_use]
pub fn suspension(node: &Node, participant: ParticipantId) -> String {
    let statements = node.statements.load();
    let member = statements.membership.as_ref().and_then(|membership| membership.member(participant));
    member.and_then(|member| member.suspended.as_ref()).map_or_else(|| "suspended".to_owned(), ToString::to_string)
}

/// The officer of an actor.
#[must_use]
pub fn officer_of(actor: &Actor) -> Option<OfficerNumber> {
    match actor {
        Actor::Officer { number, .. } => Some(*number),
        Actor::Daemon | Actor::Application(_) | Actor::Peer(_) | Actor::Operator(_) => None,
    }
}

/// A row of a list with its place in it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Time and message, or the journal's sequence: sorts as the list does.
    pub place: (u64, [u8; 16]),
    /// The message.
    pub key: MessageKey,
    /// Its rows.
    pub row: Row,
}

/// A message's row, whichever way it went.
#[derive(Debug, Clone)]
pub enum Row {
    /// Sent.
    Out(Box<OutRow>),
    /// Received.
    In(Box<InRow>),
}

/// All messages of this node, in the order in which they were drafted.
///
/// # Errors
/// [`Unreadable`].
pub fn sent(node: &Node) -> Result<Vec<Listed>, Unreadable> {
    let view = node.reader().view();
    let mut listed = Vec::new();
    OUT.scan(&view, &(), |message, row| {
        let place = (row.created.0, message.0);
        listed.push(Listed { place, key: (node.participant(), message), row: Row::Out(Box::new(row)) });
        ControlFlow::Continue(())
    })?;
    listed.sort_by_key(|item| item.place);
    Ok(listed)
}

/// Messages that arrived after journal position `after`, in order; test messages reach no person.
///
/// # Errors
/// [`Unreadable`].
pub fn received(node: &Node, after: u64) -> Result<Vec<(u64, Listed)>, Unreadable> {
    let view = node.reader().view();
    let mut keys = Vec::new();
    INBOX.scan_from(&view, &(), &after, |sequence, key| {
        keys.push((sequence, key));
        ControlFlow::Continue(())
    })?;
    let mut listed = Vec::new();
    for (sequence, key) in keys {
        if let Some(row) = IN.row(&view, &key)?.filter(|row| row.received.kind.reaches_a_person()) {
            let place = (row.time.0, key.1.0);
            listed.push((sequence, Listed { place, key, row: Row::In(Box::new(row)) }));
        }
    }
    Ok(listed)
}

/// Whether an incoming message shows its content only after its restriction was read.
#[must_use]
pub fn awaits_acknowledgement(row: &InRow) -> bool {
    row.received.handling == Handling::H3 && row.handover.is_none()
}

/// A row of a list as the API shows it.
///
/// # Errors
/// Damage, or the store's failure.
pub fn item(node: &Node, listed: &Listed, with_content: bool) -> Result<MessageItem, Failed> {
    match &listed.row {
        Row::Out(row) => item_out(node, row, with_content),
        Row::In(row) => item_in(node, row, with_content),
    }
}

fn item_out(node: &Node, row: &OutRow, with_content: bool) -> Result<MessageItem, Failed> {
    let draft = &row.draft;
    let view = node.reader().view();
    let stands = state::of_out(&view, row)?;
    let due = state::due_out(&view, row)?;
    let refused = state::refused(node, &state::of_recipients(&view, row)?, draft.message);
    drop(view);
    let (subject, national_ref) = labels(node, &ContentKey::of_out(node.participant(), row), with_content)?;
    Ok(MessageItem {
        reference: draft.reference,
        message: draft.message,
        direction: Direction::Out,
        originator: node.participant(),
        recipients: draft.recipients.clone(),
        kind: draft.kind,
        response_status: draft.response_status,
        precedence: draft.precedence,
        handling: draft.handling,
        state: stands,
        subject,
        created: row.created,
        refused: refused.into_iter().next().map(|(_, code)| code),
        changed: history::last(node, (node.participant(), draft.message))?.unwrap_or(row.created),
        due,
        opened: false,
        tasks_open: 0,
        tasks: 0,
        in_reply_to: cited(node, draft.in_reply_to)?,
        national_ref,
    })
}

fn item_in(node: &Node, row: &InRow, with_content: bool) -> Result<MessageItem, Failed> {
    let received = &row.received;
    let with_content = with_content && !awaits_acknowledgement(row);
    let (subject, _) = labels(node, &ContentKey::of_in(row), with_content)?;
    let key = (received.envelope.originator, received.envelope.message);
    let mut tasks_open = 0;
    TASK.scan(&node.reader().view(), &key, |_, task| {
        tasks_open += u16::from(task.contributions.is_empty());
        ControlFlow::Continue(())
    })?;
    Ok(MessageItem {
        reference: received.reference,
        message: received.envelope.message,
        direction: Direction::In,
        originator: received.envelope.originator,
        recipients: vec![node.participant()],
        kind: received.kind,
        response_status: received.response_status,
        precedence: received.precedence,
        handling: received.handling,
        state: state::of_in(row),
        subject,
        created: row.time,
        refused: None,
        changed: history::last(node, key)?.unwrap_or(row.time),
        due: due_in(row),
        opened: row.handover.is_some(),
        tasks_open,
        tasks: row.tasks,
        in_reply_to: cited(node, received.in_reply_to)?,
        national_ref: None,
    })
}

/// The reference of a cited message, if it is here.
fn cited(node: &Node, message: Option<MessageId>) -> Result<Option<Reference>, Failed> {
    let Some(message) = message else { return Ok(None) };
    let key = find(node, &node.reader().view(), &MessageName::Id(message))?;
    Ok(key.map(|key| message::reference(node, key)).transpose()?.flatten())
}

/// When this node's answer is due: until it was given.
#[must_use]
pub fn due_in(row: &InRow) -> Option<UnixMillis> {
    row.received.due.filter(|_| row.answer.is_none())
}

/// Subject line and the caller's own number, for whoever may see them.
fn labels(node: &Node, key: &ContentKey, with_content: bool) -> Result<(Option<String>, Option<String>), Failed> {
    if !with_content {
        return Ok((None, None));
    }
    let found = content::stored(node, key)?;
    Ok(found.map_or((None, None), |(stored, manifest)| {
        (Some(manifest.subject.as_str().to_owned()), stored.national_ref.clone())
    }))
}

/// How many messages this node sent that have not reached all recipients.
///
/// # Errors
/// [`Unreadable`].
pub fn outbox_count(node: &Node) -> Result<u64, Unreadable> {
    let view = node.reader().view();
    let mut open = std::collections::BTreeSet::new();
    ENVELOPE.scan(&view, &(), |(message, _), row| {
        if !row.stage.has_ended() {
            open.insert(message);
        }
        ControlFlow::Continue(())
    })?;
    Ok(open.len() as u64)
}
