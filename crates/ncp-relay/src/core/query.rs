//! What the shell reads from the index: receipts, bodies, peers, the directory. Nothing here decides.

use std::ops::ControlFlow;

use ncp_protocol::codes::{Code, Precedence};
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::ids::{MessageId, ParticipantId, SealNumber, UnixMillis};
use ncp_store::spool::BodyName;
use ncp_store::state::{Unreadable, View};

use super::command::EvidenceCursor;
use super::tables::{
    DIRECTORY, DUE, DirectoryRow, ENVELOPES, EnvelopeRow, EnvelopeState, MAILBOXES, MEMBERSHIP, MESSAGES, MailboxKey,
    MembershipRow, PEERS, PUBLIC, PeerRow, RECEIPTS, ReceiptRow, SUSPENDED, Tally, WAITING, envelope_key,
};

/// At most `max` receipts to a participant behind number `after`, each with its number.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn receipts(
    view: &dyn View,
    to: ParticipantId,
    after: u64,
    max: usize,
) -> Result<Vec<(u64, ReceiptRow)>, Unreadable> {
    let mut found = Vec::new();
    let Some(start) = after.checked_add(1) else { return Ok(found) };
    RECEIPTS.scan_from(view, &to, &(to, start), |(_, number), row| {
        if found.len() == max {
            return ControlFlow::Break(());
        }
        found.push((number, row));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// How much evidence of a participant is stored: the cursor that hello carries.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn evidence_stored(view: &dyn View, peer: ParticipantId) -> Result<EvidenceCursor, Unreadable> {
    let count = peer_row(view, peer)?.evidence;
    Ok(EvidenceCursor { epoch: count.epoch, number: count.number })
}

/// What a participant has at the hub; nothing, if it was never seen.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn peer_row(view: &dyn View, peer: ParticipantId) -> Result<PeerRow, Unreadable> {
    Ok(PEERS.row(view, &peer)?.unwrap_or_default())
}

/// An envelope that is not forgotten.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn envelope(view: &dyn View, envelope: &EnvelopeKey) -> Result<Option<EnvelopeRow>, Unreadable> {
    ENVELOPES.row(view, &envelope_key(envelope))
}

/// The stored body of a message and its precedence, if an envelope over it was offered to `recipient` and has not ended.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn body_for(
    view: &dyn View,
    originator: ParticipantId,
    message: MessageId,
    recipient: ParticipantId,
) -> Result<Option<(BodyName, Precedence)>, Unreadable> {
    let mut offered = None;
    ENVELOPES.scan(view, &(originator, message, recipient), |_, row| {
        if row.state == EnvelopeState::Offered {
            offered = Some(row.precedence);
        }
        ControlFlow::Continue(())
    })?;
    let Some(precedence) = offered else { return Ok(None) };
    let row = MESSAGES.row(view, &(originator, message))?;
    Ok(row.map(|row| (BodyName { originator, message, root: row.root }, precedence)))
}

/// Whether this body is in use: a header over it has not ended.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn body_in_use(view: &dyn View, body: &BodyName) -> Result<bool, Unreadable> {
    let row = MESSAGES.row(view, &(body.originator, body.message))?;
    Ok(row.is_some_and(|row| row.waiting > 0 && row.root == body.root))
}

/// When the next envelope expires.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn next_due(view: &dyn View) -> Result<Option<UnixMillis>, Unreadable> {
    let mut due = None;
    DUE.scan(view, &(), |(not_after, _), _| {
        due = Some(UnixMillis(not_after));
        ControlFlow::Break(())
    })?;
    Ok(due)
}

/// When the hub accepted the oldest envelope that waits for a participant.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn oldest_waiting(view: &dyn View, recipient: ParticipantId) -> Result<Option<UnixMillis>, Unreadable> {
    // Within one rank and originator the first row is the oldest, so at most three rows per originator matter.
    // Each is looked up by itself: a mailbox may hold a million rows.
    let (mut oldest, mut first_rows) = (None, Vec::new());
    let mut behind: Option<MailboxKey> = None;
    loop {
        let mut next = None;
        let visit = |key, envelope| {
            next = Some((key, envelope));
            ControlFlow::Break(())
        };
        match &behind {
            None => MAILBOXES.scan(view, &recipient, visit)?,
            Some(behind) => MAILBOXES.scan_from(view, &recipient, behind, visit)?,
        }
        let Some((key, envelope)) = next else { break };
        let (_, rank, originator, _) = key;
        first_rows.push(envelope);
        behind = Some((recipient, rank, originator, u64::MAX));
    }
    for first in first_rows {
        let accepted = envelope(view, &first)?.map(|row| row.accepted);
        oldest = oldest.into_iter().chain(accepted).min();
    }
    Ok(oldest)
}

/// All that waits.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn waiting(view: &dyn View) -> Result<Tally, Unreadable> {
    Ok(WAITING.row(view, &())?.unwrap_or_default())
}

/// The highest seal number under which a message to a recipient is known.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn newest_seal(
    view: &dyn View,
    originator: ParticipantId,
    message: MessageId,
    recipient: ParticipantId,
) -> Result<Option<SealNumber>, Unreadable> {
    let mut newest = None;
    ENVELOPES.scan(view, &(originator, message, recipient), |key, _| {
        newest = Some(SealNumber(key.3));
        ControlFlow::Continue(())
    })?;
    Ok(newest)
}

/// The directory in force: membership, entries, suspensions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryState {
    /// The membership statement.
    pub membership: Option<MembershipRow>,
    /// Everyone's entry.
    pub entries: Vec<(ParticipantId, DirectoryRow)>,
    /// Who is suspended, and why.
    pub suspended: Vec<(ParticipantId, Code)>,
    /// How much of the log `public` is recorded in `traffic`.
    pub recorded: u64,
}

/// The directory in force.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn directory(view: &dyn View) -> Result<DirectoryState, Unreadable> {
    let mut state = DirectoryState {
        membership: MEMBERSHIP.row(view, &())?,
        recorded: PUBLIC.row(view, &())?.unwrap_or_default().size,
        ..DirectoryState::default()
    };
    DIRECTORY.scan(view, &(), |participant, row| {
        state.entries.push((participant, row));
        ControlFlow::Continue(())
    })?;
    SUSPENDED.scan(view, &(), |participant, reason| {
        state.suspended.push((participant, reason));
        ControlFlow::Continue(())
    })?;
    Ok(state)
}
