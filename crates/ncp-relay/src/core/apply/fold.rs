//! One event's writes. Rows that the event wrote already are read back before the view: two writes may meet in one row.

use ncp_protocol::event::{Accepted, Claim, EnvelopeKey, EvidenceKind};
use ncp_protocol::ids::{Digest, MessageId, ParticipantId, UnixMillis};
use ncp_store::state::{Placed, Rows, Unreadable, View};

use crate::core::meaning::{DEDUPLICATION_MS, RECEIPTS_KEPT_MS, ending};
use crate::core::tables::{
    DIRECTORY, DUE, DirectoryRow, ENVELOPES, Ending, EnvelopeRow, EnvelopeState, FORGET, Forget, MAILBOXES, MESSAGES,
    MessageRow, PEERS, PeerRow, RECEIPTS, ROOTS, ReceiptPlace, ReceiptRow, Stated, Tally, WAITING, envelope_key,
};

type Folded = Result<(), Unreadable>;

pub(super) struct Fold<'a> {
    pub(super) view: &'a dyn View,
    pub(super) rows: &'a mut Rows,
    sequence: u64,
    index: u64,
    pub(super) time: UnixMillis,
    // Numbers the reminders that this event leaves.
    reminders: u8,
}

impl<'a> Fold<'a> {
    pub(super) fn new(view: &'a dyn View, rows: &'a mut Rows, placed: &Placed<'_>) -> Self {
        Self { view, rows, sequence: placed.sequence, index: placed.index, time: placed.event.time, reminders: 0 }
    }

    pub(super) fn envelope_accepted(&mut self, accepted: &Accepted) -> Folded {
        self.forget_due()?;
        let Accepted { envelope, header, precedence, not_after, body_length, .. } = *accepted;
        let row = EnvelopeRow {
            header,
            precedence,
            not_after,
            body_length,
            accepted: self.time,
            sequence: self.sequence,
            state: EnvelopeState::Waiting,
            acceptance: None,
            failure: None,
            stated: Stated::default(),
        };
        ENVELOPES.put(self.rows, &envelope_key(&envelope), &row);
        MAILBOXES.put(self.rows, &row.mailbox_key(&envelope), &envelope);
        DUE.put(self.rows, &(not_after.0, self.sequence), &envelope);
        let new_bytes = self.message_grows(accepted)?;
        self.change_waiting(|waiting| waiting.add(new_bytes))?;
        let time = self.time;
        self.change_peer(envelope.originator, |peer| {
            peer.submitted.add(new_bytes);
            peer.accepted = Some(time);
        })?;
        self.change_peer(envelope.recipient, |peer| peer.mailbox.add(body_length))
    }

    /// Counts the envelope with its message; returns how many bytes of body are stored for it.
    fn message_grows(&mut self, accepted: &Accepted) -> Result<u64, Unreadable> {
        let Accepted { envelope, root, body_length, commitment, .. } = *accepted;
        let fresh = MessageRow { commitment, root, body_length, waiting: 0, known: 0, drops: 0, conflict: false };
        let mut row = self.message(envelope.originator, envelope.message)?.unwrap_or(fresh);
        let stored_now = row.waiting == 0;
        row.waiting += 1;
        row.known += 1;
        MESSAGES.put(self.rows, &(envelope.originator, envelope.message), &row);
        if !stored_now {
            return Ok(0);
        }
        let sharers = ROOTS.row_over(self.view, self.rows, &root.0)?.unwrap_or_default();
        ROOTS.put(self.rows, &root.0, &(sharers + 1));
        Ok(body_length)
    }

    pub(super) fn claimed(&mut self, claim: &Claim) -> Folded {
        let number = self.add_receipt(claim.envelope.originator, &ReceiptRow::Own(self.index))?;
        let place = ReceiptPlace { number, index: self.index };
        match claim.kind {
            EvidenceKind::RelayAcceptance => {
                if let Some(mut row) = self.envelope(&claim.envelope)? {
                    row.acceptance = Some(place);
                    ENVELOPES.put(self.rows, &envelope_key(&claim.envelope), &row);
                }
                Ok(())
            }
            EvidenceKind::RelayFailure => self.end(&claim.envelope, ending(claim.outcome), Some(place)),
            // Claims of recipients stand in their own logs.
            EvidenceKind::ContentConsignment
            | EvidenceKind::ContentHandover
            | EvidenceKind::ContentConsignmentFailure => Ok(()),
        }
    }

    pub(super) fn evidence_received(&mut self, claim: &Claim, index: u64, record: Digest) -> Folded {
        self.forget_due()?;
        let (peer, epoch, time) = (claim.origin.participant, claim.origin.epoch, self.time);
        let envelope = self.envelope(&claim.envelope)?;
        let awaiting = envelope.filter(|row| row.awaits(claim));
        if let Some(mut row) = awaiting {
            row.stated = row.stated.mark(claim.kind).unwrap_or(row.stated);
            ENVELOPES.put(self.rows, &envelope_key(&claim.envelope), &row);
        }
        let consigned = (claim.kind == EvidenceKind::ContentConsignment).then_some(time);
        self.change_peer(peer, |row| {
            if row.evidence.is_new(epoch, index) {
                row.newest_evidence = Some(record);
            }
            if awaiting.is_none() {
                row.surplus = row.surplus.after(time);
            }
            row.evidence = row.evidence.after(epoch, index);
            row.consigned = consigned.or(row.consigned);
        })?;
        if envelope.is_some_and(|row| row.header != claim.header) || !self.is_admitted(claim.envelope.originator)? {
            return Ok(());
        }
        self.add_receipt(claim.envelope.originator, &ReceiptRow::Foreign(record))?;
        match claim.kind {
            EvidenceKind::ContentConsignment => self.end(&claim.envelope, Ending::Consigned, None),
            EvidenceKind::ContentConsignmentFailure => self.end(&claim.envelope, Ending::Rejected, None),
            EvidenceKind::ContentHandover | EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure => Ok(()),
        }
    }

    fn is_admitted(&self, participant: ParticipantId) -> Result<bool, Unreadable> {
        Ok(DIRECTORY.row_over(self.view, self.rows, &participant)?.is_some())
    }

    pub(super) fn offered(&mut self, envelope: &EnvelopeKey) -> Folded {
        if let Some(mut row) = self.envelope(envelope)?.filter(EnvelopeRow::is_open) {
            row.state = EnvelopeState::Offered;
            ENVELOPES.put(self.rows, &envelope_key(envelope), &row);
        }
        Ok(())
    }

    /// Ends an open envelope; one that has ended before stays as it ended. Bytes of the originator go with the body.
    pub(super) fn end(&mut self, envelope: &EnvelopeKey, ending: Ending, failure: Option<ReceiptPlace>) -> Folded {
        let Some(mut row) = self.envelope(envelope)?.filter(EnvelopeRow::is_open) else { return Ok(()) };
        MAILBOXES.remove(self.rows, &row.mailbox_key(envelope));
        DUE.remove(self.rows, &(row.not_after.0, row.sequence));
        row.state = EnvelopeState::Ended(ending);
        row.failure = failure;
        ENVELOPES.put(self.rows, &envelope_key(envelope), &row);
        if let Some(mut message) = self.message(envelope.originator, envelope.message)? {
            message.waiting = message.waiting.saturating_sub(1);
            MESSAGES.put(self.rows, &(envelope.originator, envelope.message), &message);
        }
        self.change_waiting(|waiting| waiting.subtract(0))?;
        self.change_peer(envelope.originator, |peer| peer.submitted.subtract(0))?;
        self.change_peer(envelope.recipient, |peer| peer.mailbox.subtract(row.body_length))?;
        self.remind(DEDUPLICATION_MS, &Forget::Envelope(*envelope));
        Ok(())
    }

    pub(super) fn body_dropped(&mut self, originator: ParticipantId, message: MessageId) -> Folded {
        let Some(mut row) = self.message(originator, message)? else { return Ok(()) };
        row.drops += 1;
        MESSAGES.put(self.rows, &(originator, message), &row);
        match ROOTS.row_over(self.view, self.rows, &row.root.0)?.unwrap_or_default() {
            0 | 1 => ROOTS.remove(self.rows, &row.root.0),
            sharers => ROOTS.put(self.rows, &row.root.0, &(sharers - 1)),
        }
        let freed = row.body_length;
        self.change_waiting(|waiting| waiting.bytes = waiting.bytes.saturating_sub(freed))?;
        self.change_peer(originator, |peer| peer.submitted.bytes = peer.submitted.bytes.saturating_sub(freed))
    }

    pub(super) fn conflict_noticed(&mut self, originator: ParticipantId, message: MessageId) -> Folded {
        if let Some(mut row) = self.message(originator, message)? {
            row.conflict = true;
            MESSAGES.put(self.rows, &(originator, message), &row);
        }
        Ok(())
    }

    pub(super) fn entry_admitted(&mut self, participant: ParticipantId, version: u32, entry: Digest) -> Folded {
        DIRECTORY.put(self.rows, &participant, &DirectoryRow { version, entry, index: self.index });
        Ok(())
    }

    pub(super) fn envelope(&self, envelope: &EnvelopeKey) -> Result<Option<EnvelopeRow>, Unreadable> {
        ENVELOPES.row_over(self.view, self.rows, &envelope_key(envelope))
    }

    pub(super) fn message(
        &self,
        originator: ParticipantId,
        message: MessageId,
    ) -> Result<Option<MessageRow>, Unreadable> {
        MESSAGES.row_over(self.view, self.rows, &(originator, message))
    }

    /// Numbers a receipt for a participant.
    fn add_receipt(&mut self, to: ParticipantId, receipt: &ReceiptRow) -> Result<u64, Unreadable> {
        let mut number = 0;
        self.change_peer(to, |peer| {
            peer.receipts += 1;
            number = peer.receipts;
        })?;
        RECEIPTS.put(self.rows, &(to, number), receipt);
        self.remind(RECEIPTS_KEPT_MS, &Forget::Receipt(to, number));
        Ok(number)
    }

    fn change_peer(&mut self, peer: ParticipantId, change: impl FnOnce(&mut PeerRow)) -> Folded {
        let mut row = PEERS.row_over(self.view, self.rows, &peer)?.unwrap_or_default();
        change(&mut row);
        PEERS.put(self.rows, &peer, &row);
        Ok(())
    }

    fn change_waiting(&mut self, change: impl FnOnce(&mut Tally)) -> Folded {
        let mut row = WAITING.row_over(self.view, self.rows, &())?.unwrap_or_default();
        change(&mut row);
        WAITING.put(self.rows, &(), &row);
        Ok(())
    }

    fn remind(&mut self, after_ms: u64, what: &Forget) {
        FORGET.put(self.rows, &(self.time.plus_millis(after_ms).0, self.sequence, self.reminders), what);
        self.reminders += 1;
    }
}
