//! A message's life, step by step, told from its events; evidence is verified while it is told.
//!
//! A step without evidence of its own says so. An approval counts as evidence: the officer's signature is verified over what
//! was shown, under the key in the officer table.

mod steps;

use ncp_api::ErrorCode;
use ncp_api::message::Direction;
use ncp_api::timeline::{EvidenceState, Step, Timeline, TimelineEntry};
use ncp_protocol::ids::{ParticipantId, UnixMillis};

use crate::bodies_out;
use crate::clock;
use crate::core::tables::{ENVELOPE, EnvelopeStage, IN, InRow, MessageKey, OUT, OutRow};
use crate::faults::Failed;
use crate::history;
use crate::holds;
use crate::node::Node;
use crate::receipts_shown::{self, ShownReceipt};
use crate::views;

/// A wait at the hub that is worth a word.
const WAIT_WORTH_A_WORD_MS: u64 = 10 * 60 * 1_000;

/// Whether officers' words are told: they may say as much as the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// To officers.
    Told,
    /// From the operator, who reads steps alone.
    Withheld,
}

/// The timeline of a message.
///
/// # Errors
/// [`ErrorCode::MessageUnknown`], or the store's failure.
pub fn timeline(node: &Node, key: MessageKey, words: Words) -> Result<Timeline, Failed> {
    let unknown = || ErrorCode::MessageUnknown.with("message", key.1);
    let history = history::of(node, key)?;
    let facts = receipts_shown::facts(node, key, &history)?;
    let receipts = receipts_shown::verified(node, &facts, &history)?;
    let mut entries = steps::told(node, key, &history, &receipts, words)?;
    if key.0 == node.participant() {
        let row = OUT.row(&node.reader().view(), &key.1)?.ok_or_else(unknown)?;
        return of_sent(node, &row, entries, &receipts);
    }
    let row = IN.row(&node.reader().view(), &key)?.ok_or_else(unknown)?;
    entries.extend(expected_answer(node.participant(), views::due_in(&row)));
    Ok(of_received(&row, entries))
}

fn of_received(row: &InRow, entries: Vec<TimelineEntry>) -> Timeline {
    let received = &row.received;
    Timeline {
        reference: received.reference,
        message: received.envelope.message,
        kind: received.kind,
        direction: Direction::In,
        counterparts: vec![received.envelope.originator],
        state: views::state::of_in(row),
        due: views::due_in(row),
        not_after: None,
        entries,
        refusals: Vec::new(),
        notes: Vec::new(),
    }
}

fn of_sent(
    node: &Node,
    row: &OutRow,
    mut entries: Vec<TimelineEntry>,
    receipts: &[ShownReceipt],
) -> Result<Timeline, Failed> {
    let draft = &row.draft;
    let view = node.reader().view();
    let (mut refusals, mut notes) = (Vec::new(), Vec::new());
    notes.extend(node.bodies_out.of(draft.message).map(bodies_out::Sent::words));
    let mut delivered = true;
    for recipient in &draft.recipients {
        let envelope = ENVELOPE.row(&view, &(draft.message, *recipient))?;
        let stage = envelope.as_ref().map(|envelope| envelope.stage);
        delivered &= stage.is_some_and(EnvelopeStage::has_ended);
        if matches!(stage, Some(EnvelopeStage::Released | EnvelopeStage::Sealed | EnvelopeStage::GivenUp))
            && let Some(hold) = holds::stopping(&view, *recipient, draft.kind)?
        {
            entries.push(held(*recipient, hold.since, hold.officer.map(|officer| officer.0)));
        }
        if stage == Some(EnvelopeStage::Recalled { provisional: true }) {
            notes.push(format!("recalled, but {recipient} may have it all the same: it may have come there before"));
        }
        if stage == Some(EnvelopeStage::Expired { provisional: true }) {
            notes.push(format!("expired, but {recipient} may have it all the same: it may have come there before"));
        }
        if stage == Some(EnvelopeStage::GivenUp) {
            notes.push(format!(
                "expired by this machine's clock: the hub has not said yet whether it had it for {recipient}"
            ));
        }
        if matches!(stage, Some(EnvelopeStage::Sealed | EnvelopeStage::GivenUp)) {
            let refused = node.hub_refusals.of((draft.message, *recipient));
            refusals.extend(refused.map(|refused| refused.shown(*recipient)));
        }
        if stage == Some(EnvelopeStage::Released) {
            notes.extend(unsealable(node, *recipient));
        }
        notes.extend(wait_at_hub(*recipient, receipts));
        let open = envelope.filter(|envelope| envelope.answer.is_none());
        let due = open.and_then(|envelope| envelope.answer_clock).map(|(_, due)| due);
        entries.extend(expected_answer(*recipient, due));
    }
    Ok(Timeline {
        reference: draft.reference,
        message: draft.message,
        kind: draft.kind,
        direction: Direction::Out,
        counterparts: draft.recipients.clone(),
        state: views::state::of_out(&view, row)?,
        due: views::state::due_out(&view, row)?,
        not_after: Some(draft.not_after).filter(|_| !delivered),
        entries,
        refusals,
        notes,
    })
}

fn held(recipient: ParticipantId, since: UnixMillis, officer: Option<u16>) -> TimelineEntry {
    TimelineEntry { time: Some(since), officer, recipient: Some(recipient), ..steps::entry(Step::Held) }
}

/// The answer that is still to come.
fn expected_answer(recipient: ParticipantId, due: Option<UnixMillis>) -> Option<TimelineEntry> {
    let due = due?;
    Some(TimelineEntry {
        due: Some(due),
        recipient: Some(recipient),
        evidence: EvidenceState::None,
        ..steps::entry(Step::Answered)
    })
}

/// Why nothing can be sealed to a recipient, if its keys have ended.
fn unsealable(node: &Node, recipient: ParticipantId) -> Option<String> {
    let directory = node.directory.load();
    let entry = directory.entry(recipient)?.newest();
    if entry.sealing_key(clock::now()).is_some() {
        return None;
    }
    let ended = entry.keys.sealing.iter().map(|key| key.seal_until).max()?;
    let ended = ncp_api::time::Time(ended);
    Some(format!(
        "{recipient}'s sealing key ended at {ended}: nothing can be sealed to it before {recipient} renews it"
    ))
}

/// How long an envelope lay at the hub, if it was long.
fn wait_at_hub(recipient: ParticipantId, receipts: &[ShownReceipt]) -> Option<String> {
    use ncp_protocol::event::EvidenceKind::{ContentConsignment, RelayAcceptance};
    let stated = |kind| {
        let mine = receipts.iter().filter(|shown| shown.claim.envelope.recipient == recipient);
        mine.filter(|shown| shown.claim.kind == kind).map(|shown| shown.stated).next()
    };
    let wait = stated(ContentConsignment)?.millis_since(stated(RelayAcceptance)?);
    (wait >= WAIT_WORTH_A_WORD_MS).then(|| {
        let minutes = wait / 60_000;
        format!("waited at the hub {} h {} min: {recipient} was offline", minutes / 60, minutes % 60)
    })
}
