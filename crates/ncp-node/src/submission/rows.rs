//! What the outbox reads of the index and the spool. Everything here blocks on the disk.

use std::ops::ControlFlow;

use ncp_protocol::codes::Kind;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::BodyChunk;
use ncp_protocol::ids::{MessageId, ParticipantId, UnixMillis};
use ncp_protocol::limits::SEALS_MAX;
use ncp_protocol::reject::RejectCode;
use ncp_store::bodies::BodyReader;
use ncp_store::disk::{Disk, RealDisk};
use ncp_store::index::Index;
use ncp_store::reader::{ReadError, Reader, unless_lost};
use ncp_store::spool::BodyName;

use super::QueueKey;
use crate::core::command::envelope_record;
use crate::core::meaning::{expiry, names_a_key};
use crate::core::tables::{ENVELOPE, EnvelopeStage, OUT, OutRow, OutState, PAIR_OPEN, QUEUE};
use crate::holds;
use crate::link::limits::QUEUE_PAGE;
use crate::means::Means;
use crate::node::Node;

/// How many numbers that have not ended are looked at at once.
const OPEN_PAGE: usize = 512;

/// At most a page of the queue, behind `last` if there is one.
///
/// # Errors
/// [`ReadError`].
pub fn read_queue<D: Disk, I: Index>(
    reader: &Reader<D, I>,
    last: Option<QueueKey>,
) -> Result<Vec<QueueKey>, ReadError> {
    let mut page = Vec::new();
    let visit = |place, ()| {
        if Some(place) != last {
            page.push(place);
        }
        if page.len() == QUEUE_PAGE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let view = reader.view();
    match last {
        Some(last) => QUEUE.scan_from(&view, &(), &last, visit)?,
        None => QUEUE.scan(&view, &(), visit)?,
    }
    Ok(page)
}

/// What is to be done with a place of the queue.
pub enum Look {
    /// Submit these bytes now.
    Submit {
        /// Header, signature and wrap.
        envelope: Box<SealedEnvelope>,
        /// Its identity.
        key: EnvelopeKey,
        /// What it carries.
        kind: Kind,
        /// Its body, if that goes ahead of it.
        body: Option<BodyChunk>,
    },
    /// A hold stops it.
    Held,
    /// Its time is over, and its bytes are lost: the hub cannot be asked what became of it.
    Lost(EnvelopeKey),
    /// Nothing: not sealed yet, or not in the queue any more, or to be recalled.
    Gone,
}

/// What is to be done with a place of the queue now. A small body goes ahead if there is `room` for its bytes.
///
/// # Errors
/// [`ReadError`].
pub fn look<D: Disk, I: Index>(means: &Means<'_, D, I>, place: QueueKey, room: u64) -> Result<Look, ReadError> {
    let (_, _, message, recipient) = place;
    let (out, row, queued) = {
        let view = means.reader.view();
        let queued = QUEUE.row(&view, &place)?.is_some();
        let (out, row) = (OUT.row(&view, &message)?, ENVELOPE.row(&view, &(message, recipient))?);
        match (out, row) {
            (Some(out), Some(row)) => (out, row, queued),
            _ => return Ok(Look::Gone),
        }
    };
    let has_bytes = match row.stage {
        EnvelopeStage::Sealed | EnvelopeStage::GivenUp => queued,
        EnvelopeStage::Accepted => is_over(&out, means.now),
        EnvelopeStage::Released
        | EnvelopeStage::Delivered
        | EnvelopeStage::HandedOver
        | EnvelopeStage::Failed(_)
        | EnvelopeStage::Expired { .. }
        | EnvelopeStage::Recalled { .. } => false,
    };
    let leaves = out.state == OutState::Released && out.recall_requested.is_none() && has_bytes;
    let Some(header) = row.header.filter(|_| leaves) else { return Ok(Look::Gone) };
    let bytes = unless_lost(means.reader.record(&envelope_record(header)))?;
    let Some(envelope) = bytes.and_then(|bytes| SealedEnvelope::decode(&bytes).ok()) else {
        tracing::error!(msg = %message, %recipient, "a sealed envelope is missing or damaged in the spool");
        let key = row.key(means.participant, message, recipient);
        return Ok(if row.stage == EnvelopeStage::Sealed { Look::Gone } else { Look::Lost(key) });
    };
    let kind = out.draft.kind;
    let body = means.reader.body_ahead(&envelope, room)?;
    // Behind every read, so that the look is the last thing before the envelope is written.
    if is_held(means.reader, &[(recipient, kind)])? {
        return Ok(Look::Held);
    }
    let key = row.key(means.participant, message, recipient);
    Ok(Look::Submit { envelope: Box::new(envelope), key, kind, body })
}

/// Whether the time of a message is over by this machine's clock.
fn is_over(out: &OutRow, now: UnixMillis) -> bool {
    now >= expiry(out.draft.not_after)
}

/// Whether every one of these is stopped by a hold; nobody left counts as stopped.
///
/// # Errors
/// [`ReadError`].
pub fn is_held<D: Disk, I: Index>(
    reader: &Reader<D, I>,
    recipients: &[(ParticipantId, Kind)],
) -> Result<bool, ReadError> {
    let view = reader.view();
    for (recipient, kind) in recipients {
        if holds::stopping(&view, *recipient, *kind)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets refusals by the hub of what has ended.
pub(super) fn drop_ended_refusals(node: &Node) -> Result<(), ReadError> {
    let view = node.reader().view();
    for (envelope, _) in node.hub_refusals.all() {
        if ENVELOPE.row(&view, &envelope)?.is_none_or(|row| row.stage.has_ended()) {
            node.hub_refusals.clear(envelope);
        }
    }
    Ok(())
}

pub(super) fn open_body(node: &Node, name: BodyName) -> Result<Option<BodyReader<RealDisk>>, ReadError> {
    unless_lost(node.reader().body(&name))
}

/// Whether what the hub says can be true as far as this node can tell: a hub whose directory or clock is ahead or behind
/// must not kill a message. What is offered though its time is over waits for nothing but to hear that the hub has nothing of it.
/// If the two clocks do not agree, that may mean that the hub has forgotten it.
///
/// # Errors
/// [`ReadError`].
pub fn is_credible<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    envelope: &EnvelopeKey,
    code: RejectCode,
    clocks_agree: bool,
) -> Result<bool, ReadError> {
    let (message, recipient) = (envelope.message, envelope.recipient);
    let row = ENVELOPE.row(&means.reader.view(), &(message, recipient))?;
    if row.is_some_and(|row| matches!(row.stage, EnvelopeStage::GivenUp | EnvelopeStage::Accepted)) {
        // This machine's clock may be the one that is wrong.
        return Ok(clocks_agree && code != RejectCode::CreatedInFuture);
    }
    if code == RejectCode::Expired {
        let out = OUT.row(&means.reader.view(), &message)?;
        return Ok(clocks_agree && out.is_none_or(|out| means.now >= out.draft.not_after));
    }
    if names_a_key(code) {
        // Another seal ends nothing, whatever the clocks say.
        let counts = clocks_agree || envelope.seal.0 < SEALS_MAX;
        let hopeless = code == RejectCode::OriginatorKeyUnknown && released_outside_own_key(means, message)?;
        return Ok(counts && (hopeless || sealed_key_changed(means, message, recipient)?));
    }
    // These say that one side's directory or clock is behind; they pass when both have caught up.
    let behind = [
        RejectCode::PeerUnknown,
        RejectCode::RecipientUnknown,
        RejectCode::OriginatorSuspended,
        RejectCode::CreatedInFuture,
    ];
    Ok(clocks_agree && !behind.contains(&code))
}

/// Whether the message was released, by this machine's clock, when the own signing key was not valid yet or no more. Its
/// envelopes bear that time under every seal, so no directory will ever know the key for them.
fn released_outside_own_key<D: Disk, I: Index>(means: &Means<'_, D, I>, message: MessageId) -> Result<bool, ReadError> {
    let released = OUT.row(&means.reader.view(), &message)?.and_then(|out| out.released);
    Ok(released.zip(means.signing_valid()).is_some_and(|(released, key)| !key.is_valid_at(released)))
}

/// Whether the envelope would now be sealed to another key, or signed with another.
pub(crate) fn sealed_key_changed<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    message: MessageId,
    recipient: ParticipantId,
) -> Result<bool, ReadError> {
    let row = ENVELOPE.row(&means.reader.view(), &(message, recipient))?;
    let Some(header) = row.and_then(|row| row.header) else { return Ok(true) };
    let bytes = unless_lost(means.reader.record(&envelope_record(header)))?;
    let header = bytes.and_then(|bytes| SealedEnvelope::decode(&bytes).ok()?.unverified_header().ok());
    let newest = means.directory.entry(recipient).and_then(|known| known.newest().sealing_key(means.now));
    Ok(match (header, newest) {
        (Some(header), Some(key)) => {
            let signing = means.signing_valid().map(|signing| signing.key.id());
            header.recipient_key != key.public.id() || Some(header.originator_key) != signing
        }
        (None, _) => true,
        (Some(_), None) => false,
    })
}

/// Envelopes whose end is not known, and of which the hub is asked on every new link.
#[derive(Debug, Default)]
pub struct Unended {
    /// Of messages that were withdrawn.
    pub recalls: Vec<(MessageId, ParticipantId)>,
    /// The hub took them, and their time is over: they are offered once more, to hear what became of them. If this
    /// machine's clock is wrong, nothing comes of it.
    pub overdue: Vec<QueueKey>,
}

/// Looks through all that has not ended for those.
///
/// # Errors
/// [`ReadError`].
pub fn unended<D: Disk, I: Index>(reader: &Reader<D, I>, now: UnixMillis) -> Result<Unended, ReadError> {
    let mut found = Unended::default();
    let mut last = None;
    loop {
        let view = reader.view();
        let mut page = Vec::new();
        let visit = |number, message| {
            if Some(number) != last {
                page.push((number, message));
            }
            if page.len() == OPEN_PAGE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match last {
            Some(last) => PAIR_OPEN.scan_from(&view, &(), &last, visit)?,
            None => PAIR_OPEN.scan(&view, &(), visit)?,
        }
        for ((recipient, _, _), message) in &page {
            let (out, row) = (OUT.row(&view, message)?, ENVELOPE.row(&view, &(*message, *recipient))?);
            let (Some(out), Some(row)) = (out, row) else { continue };
            if out.recall_requested.is_some() {
                found.recalls.push((*message, *recipient));
            } else if row.stage == EnvelopeStage::Accepted && is_over(&out, now) {
                found.overdue.push(out.place(*recipient));
            }
        }
        last = page.last().map(|(number, _)| *number);
        if page.len() < OPEN_PAGE {
            return Ok(found);
        }
    }
}
