//! Where a message stands: pure over its rows, one name for all readers.

use ncp_api::message::{MessageState, RecipientState};
use ncp_protocol::ids::{MessageId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_store::state::{Unreadable, View};

use crate::core::tables::{ENVELOPE, EnvelopeRow, EnvelopeStage, InRow, OutRow, OutState};
use crate::holds;
use crate::node::Node;

/// Where a message that arrived stands.
#[must_use]
pub fn of_in(row: &InRow) -> MessageState {
    match (row.answer, row.handover) {
        (Some(_), _) => MessageState::Answered,
        (None, Some(_)) => MessageState::HandedOver,
        (None, None) => MessageState::Delivered,
    }
}

/// Where a message of this node stands: where the last of its recipients stands.
///
/// # Errors
/// [`Unreadable`].
pub fn of_out(view: &impl View, row: &OutRow) -> Result<MessageState, Unreadable> {
    let recipients = of_recipients(view, row)?;
    Ok(summary(row.state, recipients.iter().map(|recipient| recipient.state)))
}

/// Where each recipient's envelope stands.
///
/// # Errors
/// [`Unreadable`].
pub fn of_recipients(view: &impl View, row: &OutRow) -> Result<Vec<RecipientState>, Unreadable> {
    let mut states = Vec::new();
    for participant in &row.draft.recipients {
        let envelope = ENVELOPE.row(view, &(row.draft.message, *participant))?;
        let held = holds::stopping(view, *participant, row.draft.kind)?.is_some();
        states.push(of_envelope(row, *participant, envelope.as_ref(), held));
    }
    Ok(states)
}

/// The nearest time by which an answer to this message is due.
///
/// # Errors
/// [`Unreadable`].
pub fn due_out(view: &impl View, row: &OutRow) -> Result<Option<UnixMillis>, Unreadable> {
    let mut nearest = None;
    for participant in &row.draft.recipients {
        let envelope = ENVELOPE.row(view, &(row.draft.message, *participant))?;
        let due = envelope.filter(|envelope| envelope.answer.is_none()).and_then(|envelope| envelope.answer_clock);
        nearest = nearest.into_iter().chain(due.map(|(_, due)| due)).min();
    }
    Ok(nearest)
}

fn of_envelope(row: &OutRow, participant: ParticipantId, envelope: Option<&EnvelopeRow>, held: bool) -> RecipientState {
    let plain = |state| RecipientState { participant, state, reject: None };
    let Some(envelope) = envelope else { return plain(before_release(row.state)) };
    match envelope.stage {
        EnvelopeStage::Released | EnvelopeStage::Sealed if held => plain(MessageState::Held),
        EnvelopeStage::Released | EnvelopeStage::Sealed => plain(MessageState::Queued),
        EnvelopeStage::Accepted => plain(MessageState::Accepted),
        EnvelopeStage::Delivered | EnvelopeStage::HandedOver if envelope.answer.is_some() => {
            plain(MessageState::Answered)
        }
        EnvelopeStage::Delivered => plain(MessageState::Delivered),
        EnvelopeStage::HandedOver => plain(MessageState::HandedOver),
        EnvelopeStage::Failed(code) => {
            RecipientState { participant, state: MessageState::Failed, reject: Some(reject(code)) }
        }
        EnvelopeStage::Expired { .. } | EnvelopeStage::GivenUp => plain(MessageState::Expired),
        EnvelopeStage::Recalled { .. } => plain(MessageState::Withdrawn),
    }
}

/// What a reject code means, with its number and name.
#[must_use]
pub fn reject_words(code: RejectCode) -> String {
    format!("{} ({})", code.text(), reject(code))
}

/// The recipients for whom the hub refuses a queued envelope now, with number and name of the reject code.
#[must_use]
pub fn refused(node: &Node, recipients: &[RecipientState], message: MessageId) -> Vec<(ParticipantId, String)> {
    let queued = recipients.iter().filter(|recipient| recipient.state == MessageState::Queued);
    let refused = queued.filter_map(|RecipientState { participant, .. }| {
        let refused = node.hub_refusals.of((message, *participant))?;
        Some((*participant, reject(refused.code)))
    });
    refused.collect()
}

/// Number and name of a reject code, as programs know it.
#[must_use]
pub fn reject(code: RejectCode) -> String {
    format!("{} {}", code.number(), code.name())
}

fn before_release(state: OutState) -> MessageState {
    match state {
        OutState::WaitingForRelease => MessageState::WaitingForRelease,
        OutState::ReturnedToDrafter => MessageState::Draft,
        OutState::Released => MessageState::Queued,
        OutState::Withdrawn => MessageState::Withdrawn,
    }
}

/// The last of those under way; then what failed, since somebody has to look; then the last of those that ended well.
fn summary(state: OutState, recipients: impl Iterator<Item = MessageState> + Clone) -> MessageState {
    if state != OutState::Released {
        return before_release(state);
    }
    let order = [
        MessageState::Held,
        MessageState::Queued,
        MessageState::Accepted,
        MessageState::Failed,
        MessageState::Expired,
        MessageState::Delivered,
        MessageState::HandedOver,
        MessageState::Answered,
    ];
    let found = order.into_iter().find(|state| recipients.clone().any(|other| other == *state));
    found.unwrap_or(MessageState::Withdrawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(recipients: &[MessageState], expected: MessageState) {
        assert_eq!(summary(OutState::Released, recipients.iter().copied()), expected, "{recipients:?}");
    }

    #[test]
    fn a_message_stands_where_its_last_recipient_stands() {
        use MessageState::{Accepted, Answered, Delivered, Expired, Failed, HandedOver, Held, Queued, Withdrawn};
        check(&[HandedOver, Queued, Delivered], Queued);
        check(&[Held, Queued], Held);
        check(&[Failed, Accepted], Accepted);
        check(&[Failed, HandedOver], Failed);
        check(&[Expired, Delivered], Expired);
        check(&[Answered, HandedOver], HandedOver);
        check(&[Withdrawn, Answered], Answered);
        check(&[Withdrawn], Withdrawn);
    }

    #[test]
    fn before_release_the_message_has_one_state() {
        let none: [MessageState; 0] = [];
        assert_eq!(summary(OutState::WaitingForRelease, none.into_iter()), MessageState::WaitingForRelease);
        assert_eq!(summary(OutState::ReturnedToDrafter, none.into_iter()), MessageState::Draft);
    }
}
