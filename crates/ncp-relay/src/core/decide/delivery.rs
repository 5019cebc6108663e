//! What becomes of waiting envelopes: offered, recalled, expired.

use std::ops::ControlFlow;

use ncp_protocol::event::{Actor, Change, EnvelopeKey, EvidenceKind, Outcome};
use ncp_protocol::reject::RejectCode;
use ncp_store::state::{Decision, Unreadable, View};

use super::ending::Endings;
use super::{Decided, Scribe};
use crate::core::Relay;
use crate::core::command::{Effect, OfferEnvelopes, Offered, Recall, Reply, Stamp};
use crate::core::tables::{DUE, ENVELOPES, Ending, EnvelopeRow, EnvelopeState, SUSPENDED, envelope_key, envelope_of};
use crate::limits::{EXPIRE_BATCH_MAX, OFFER_BATCH_MAX};

/// Offers what still waits. What was offered before and has not ended is offered again without an event.
pub(super) fn offer(view: &dyn View, offer: OfferEnvelopes) -> Decided {
    let mut scribe = Scribe::new(offer.stamp, Actor::Peer(offer.recipient));
    let mut offered: Vec<Offered> = Vec::new();
    if SUSPENDED.row(view, &offer.recipient)?.is_some() {
        return Ok(scribe.done(Reply::Offered(offered)));
    }
    for envelope in offer.envelopes.into_iter().take(OFFER_BATCH_MAX) {
        let Some(row) = ENVELOPES.row(view, &envelope_key(&envelope))? else { continue };
        // An envelope past its not-after waits for the timer alone.
        let is_twice = offered.iter().any(|offered| offered.envelope == envelope);
        if envelope.recipient != offer.recipient || row.not_after <= offer.stamp.now || is_twice {
            continue;
        }
        let is_new = match row.state {
            EnvelopeState::Waiting => true,
            EnvelopeState::Offered => false,
            EnvelopeState::Ended(_) => continue,
        };
        if is_new {
            scribe.traffic(Change::EnvelopeOffered(envelope));
        }
        offered.push(Offered { envelope, is_new });
    }
    Ok(scribe.done(Reply::Offered(offered)))
}

/// Deletes what waits of a message for one recipient. What was recalled before has its evidence already, and so has what
/// expired or was consigned: its originator, who may not have that yet, must not take it for something that the hub never had.
pub(super) fn recall(relay: &Relay, view: &dyn View, recall: Recall) -> Decided {
    let (mut open, mut before) = (Vec::new(), None);
    ENVELOPES.scan(view, &(recall.originator, recall.message, recall.recipient), |key, row| {
        match row.state {
            EnvelopeState::Waiting | EnvelopeState::Offered => open.push((envelope_of(&key), row)),
            EnvelopeState::Ended(Ending::Recalled | Ending::Expired) => before = row.failure,
            EnvelopeState::Ended(Ending::Consigned) => before = row.acceptance,
            // A later seal of it may be on its way.
            EnvelopeState::Ended(Ending::Rejected | Ending::Superseded) => {}
        }
        ControlFlow::Continue(())
    })?;
    if open.is_empty() {
        let not_waiting = Reply::Refused(RejectCode::NotWaiting);
        return Ok(Decision::reply(before.map_or(not_waiting, Reply::EndedBefore)));
    }
    let scribe = Scribe::new(recall.stamp, Actor::Peer(recall.originator));
    fail(relay, view, scribe, open, |row| match row.state {
        EnvelopeState::Waiting => Outcome::Recalled,
        EnvelopeState::Offered | EnvelopeState::Ended(_) => Outcome::RecalledAfterOffer,
    })
    .map(|scribe| scribe.done(Reply::Recalled))
}

/// Ends what is due, the longest overdue first; the rest waits for the next tick.
pub(super) fn expire(relay: &Relay, view: &dyn View, stamp: Stamp) -> Decided {
    let mut due = Vec::new();
    DUE.scan(view, &(), |(not_after, _), envelope| {
        if not_after > stamp.now.0 || due.len() == EXPIRE_BATCH_MAX {
            return ControlFlow::Break(());
        }
        due.push(envelope);
        ControlFlow::Continue(())
    })?;
    let mut open = Vec::with_capacity(due.len());
    for envelope in due {
        open.extend(ENVELOPES.row(view, &envelope_key(&envelope))?.map(|row| (envelope, row)));
    }
    let expired = open.len();
    let scribe = fail(relay, view, Scribe::new(stamp, Actor::Daemon), open, |row| match row.state {
        EnvelopeState::Waiting => Outcome::Expired,
        EnvelopeState::Offered | EnvelopeState::Ended(_) => Outcome::ExpiredAfterOffer,
    })?;
    Ok(scribe.done(Reply::Expired(expired)))
}

/// Ends open envelopes with the hub's own negative evidence.
fn fail(
    relay: &Relay,
    view: &dyn View,
    mut scribe: Scribe,
    open: Vec<(EnvelopeKey, EnvelopeRow)>,
    outcome: impl Fn(&EnvelopeRow) -> Outcome,
) -> Result<Scribe, Unreadable> {
    let mut endings = Endings::default();
    for (envelope, row) in open {
        scribe.claim(relay, EvidenceKind::RelayFailure, envelope, row.header, outcome(&row));
        endings.ended(&mut scribe, &envelope, &row);
        scribe.effect(Effect::SendReceipts(envelope.originator));
    }
    endings.drop_bodies(&mut scribe, view)?;
    Ok(scribe)
}
