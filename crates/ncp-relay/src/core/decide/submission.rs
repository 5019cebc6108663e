//! Accepting an envelope: the rules of the hub, in the order in which a peer learns of them.

use std::ops::ControlFlow;
use std::sync::Arc;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{Accepted, Actor, Change, EnvelopeKey, EvidenceKind, Outcome};
use ncp_protocol::header::{Header, TimeError};
use ncp_protocol::ids::SealNumber;
use ncp_protocol::limits::SEALS_MAX;
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::{Record, RecordKind, RecordName};
use ncp_store::state::{Decision, Unreadable, View};

use super::ending::Endings;
use super::{Decided, Scribe};
use crate::core::Relay;
use crate::core::command::{AcceptSubmission, BodySource, Effect, Reply};
use crate::core::tables::{
    DIRECTORY, ENVELOPES, EnvelopeRow, EnvelopeState, MESSAGES, MessageRow, PEERS, SUSPENDED, WAITING, envelope_key,
};
use crate::limits::ENVELOPES_PER_MESSAGE_MAX;

pub(super) fn accept(relay: &Relay, view: &dyn View, submission: AcceptSubmission) -> Decided {
    let header = &submission.header;
    let message = MESSAGES.row(view, &(header.originator, header.message))?;
    if let Some(code) = refuse_foreign(relay, &submission) {
        return Ok(Decision::reply(Reply::Refused(code)));
    }
    let standing = standing(view, &submission, message.as_ref())?;
    if let Standing::Known(row) = standing {
        // Whatever changed since, also about the originator: the same bytes have the same evidence.
        return Ok(Decision::reply(known(&row)));
    }
    if let Some(code) = refuse_originator(view, header)? {
        return Ok(Decision::reply(Reply::Refused(code)));
    }
    if let Standing::Conflict = standing {
        return Ok(conflict(&submission, message.as_ref()));
    }
    if let Some(reply) = refuse_recipient(view, &submission)? {
        return Ok(Decision::reply(reply));
    }
    if header.seal.0 > SEALS_MAX {
        return Ok(Decision::reply(Reply::Refused(RejectCode::HeaderMalformed)));
    }
    let older = match other_seals(view, header)? {
        Seals::Superseded => return Ok(Decision::reply(Reply::Refused(RejectCode::SealSuperseded))),
        Seals::Waiting(older) => older,
    };
    let stored = message.as_ref().is_some_and(|row| row.waiting > 0);
    if let Some(code) = refuse_amount(relay, view, header, message.as_ref(), stored)? {
        return Ok(Decision::reply(Reply::Refused(code)));
    }
    let drops = message.map_or(0, |row| row.drops);
    let inline = match &submission.body {
        _ if stored => None,
        BodySource::Inline(bytes) if bytes.len() as u64 == header.body_length => Some(Arc::clone(bytes)),
        BodySource::Inline(_) => return Ok(Decision::reply(Reply::Refused(RejectCode::BodyLengthMismatch))),
        BodySource::Uploaded { drops: then } if *then == drops => None,
        // A body that was uploaded before the last deletion went with it.
        BodySource::Uploaded { .. } | BodySource::AtHub => return Ok(Decision::reply(Reply::BodyWanted { drops })),
    };
    Ok(take(relay, &submission, inline.as_deref(), &older))
}

fn take(
    relay: &Relay,
    submission: &AcceptSubmission,
    inline: Option<&[u8]>,
    older: &[(EnvelopeKey, EnvelopeRow)],
) -> Decision<Reply, Effect> {
    let (header, digest) = (&submission.header, submission.header_digest);
    let envelope = envelope_of(header);
    let mut scribe = Scribe::new(submission.stamp, Actor::Peer(submission.peer));
    let accepted = Accepted {
        envelope,
        header: digest,
        precedence: header.precedence,
        not_after: header.not_after,
        root: header.ciphertext_root,
        body_length: header.body_length,
        commitment: header.content_commitment,
    };
    scribe.traffic(Change::EnvelopeAccepted(accepted));
    scribe.claim(relay, EvidenceKind::RelayAcceptance, envelope, digest, Outcome::Done);
    for (key, row) in older {
        scribe.traffic(Change::EnvelopeSuperseded(*key));
        // The new envelope stands over the same body, so only the old one's own record goes.
        Endings::default().ended(&mut scribe, key, row);
    }
    let name = RecordName { kind: RecordKind::Envelope, id: digest };
    scribe.records.push(Record { name, bytes: submission.envelope.to_vec() });
    if let Some(bytes) = inline {
        let name = RecordName { kind: RecordKind::Body, id: header.ciphertext_root };
        scribe.records.push(Record { name, bytes: bytes.to_vec() });
    }
    scribe.effect(Effect::SendReceipts(header.originator));
    scribe.effect(Effect::DeliverMail(header.recipient));
    scribe.done(Reply::Accepted)
}

fn envelope_of(header: &Header) -> EnvelopeKey {
    let Header { originator, message, recipient, seal, .. } = *header;
    EnvelopeKey { originator, message, recipient, seal }
}

fn refuse_foreign(relay: &Relay, submission: &AcceptSubmission) -> Option<RejectCode> {
    let header = &submission.header;
    if header.originator != submission.peer {
        return Some(RejectCode::OriginatorMismatch);
    }
    (header.network != relay.network).then_some(RejectCode::NetworkMismatch)
}

fn refuse_originator(view: &dyn View, header: &Header) -> Result<Option<RejectCode>, Unreadable> {
    if DIRECTORY.row(view, &header.originator)?.is_none() {
        return Ok(Some(RejectCode::PeerUnknown));
    }
    Ok(SUSPENDED.row(view, &header.originator)?.map(|_| RejectCode::OriginatorSuspended))
}

/// What the hub knows of this envelope already.
enum Standing {
    New,
    Known(EnvelopeRow),
    Conflict,
}

fn standing(
    view: &dyn View,
    submission: &AcceptSubmission,
    message: Option<&MessageRow>,
) -> Result<Standing, Unreadable> {
    let header = &submission.header;
    if let Some(row) = ENVELOPES.row(view, &envelope_key(&envelope_of(header)))? {
        let same = row.header == submission.header_digest;
        return Ok(if same { Standing::Known(row) } else { Standing::Conflict });
    }
    let agrees = message.is_none_or(|row| {
        (row.commitment, row.root, row.body_length)
            == (header.content_commitment, header.ciphertext_root, header.body_length)
    });
    Ok(if agrees { Standing::New } else { Standing::Conflict })
}

fn known(row: &EnvelopeRow) -> Reply {
    // Acceptance stands beside the evidence of it in one decision, so the row has its place.
    row.acceptance.map_or(Reply::Accepted, Reply::AcceptedBefore)
}

/// Other content under a known id: refused, and noted the first time.
fn conflict(submission: &AcceptSubmission, message: Option<&MessageRow>) -> Decision<Reply, Effect> {
    let Header { originator, message: id, .. } = submission.header;
    let reply = Reply::Refused(RejectCode::ConflictingContent);
    if message.is_some_and(|row| row.conflict) {
        return Decision::reply(reply);
    }
    let mut scribe = Scribe::new(submission.stamp, Actor::Peer(submission.peer));
    scribe.traffic(Change::ConflictNoticed { originator, message: id, header: submission.header_digest });
    scribe.effect(Effect::RaiseConflict { originator, message: id });
    scribe.done(reply)
}

fn refuse_recipient(view: &dyn View, submission: &AcceptSubmission) -> Result<Option<Reply>, Unreadable> {
    let header = &submission.header;
    let Some(recipient) = DIRECTORY.row(view, &header.recipient)? else {
        return Ok(Some(Reply::Refused(RejectCode::RecipientUnknown)));
    };
    if SUSPENDED.row(view, &header.recipient)?.is_some() {
        return Ok(Some(Reply::Refused(RejectCode::RecipientSuspended)));
    }
    let originator = DIRECTORY.row(view, &header.originator)?.map(|row| row.entry);
    if originator != Some(submission.originator_entry) || recipient.entry != submission.recipient_entry {
        return Ok(Some(Reply::DirectoryChanged));
    }
    let code = match header.check_times(submission.stamp.now) {
        Ok(()) => return Ok(None),
        Err(TimeError::Future) => RejectCode::CreatedInFuture,
        Err(TimeError::Expired) => RejectCode::Expired,
        Err(TimeError::Lifetime) => RejectCode::LifetimeOutOfRange,
    };
    Ok(Some(Reply::Refused(code)))
}

/// Other seals of the same envelope.
enum Seals {
    /// A higher one is here.
    Superseded,
    /// Lower ones that wait and were not offered: the new one takes their place.
    Waiting(Vec<(EnvelopeKey, EnvelopeRow)>),
}

fn other_seals(view: &dyn View, header: &Header) -> Result<Seals, Unreadable> {
    let (mut higher, mut waiting) = (false, Vec::new());
    let envelope = envelope_of(header);
    ENVELOPES.scan(view, &(header.originator, header.message, header.recipient), |key, row| {
        higher |= key.3 > header.seal.0;
        if row.state == EnvelopeState::Waiting {
            waiting.push((EnvelopeKey { seal: SealNumber(key.3), ..envelope }, row));
        }
        ControlFlow::Continue(())
    })?;
    Ok(if higher { Seals::Superseded } else { Seals::Waiting(waiting) })
}

fn refuse_amount(
    relay: &Relay,
    view: &dyn View,
    header: &Header,
    message: Option<&MessageRow>,
    stored: bool,
) -> Result<Option<RejectCode>, Unreadable> {
    let quotas = &relay.quotas;
    let submitted = PEERS.row(view, &header.originator)?.unwrap_or_default().submitted;
    let mailbox = PEERS.row(view, &header.recipient)?.unwrap_or_default().mailbox;
    let waiting = WAITING.row(view, &())?.unwrap_or_default();
    let new_bytes = if stored { 0 } else { header.body_length };
    let code = if message.is_some_and(|row| u64::from(row.known) >= ENVELOPES_PER_MESSAGE_MAX)
        || submitted.envelopes >= quotas.originator_envelopes
        || submitted.bytes.saturating_add(new_bytes) > quotas.originator_bytes
    {
        RejectCode::QuotaExceeded
    } else if mailbox.envelopes >= mailbox_share(quotas.mailbox_envelopes, header.precedence)
        || mailbox.bytes.saturating_add(header.body_length) > quotas.mailbox_bytes
    {
        RejectCode::MailboxFull
    } else if waiting.envelopes >= quotas.waiting_envelopes {
        RejectCode::StoreFull
    } else {
        return Ok(None);
    };
    Ok(Some(code))
}

/// A tenth of a mailbox is kept for urgent mail.
fn mailbox_share(envelopes: u64, precedence: Precedence) -> u64 {
    match precedence {
        Precedence::Urgent => envelopes,
        Precedence::Routine | Precedence::Priority => envelopes - envelopes / 10,
    }
}
