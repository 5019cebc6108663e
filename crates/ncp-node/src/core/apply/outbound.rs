//! Rows of an envelope of this node on its way.

use ncp_protocol::event::{Actor, Claim, EnvelopeKey, EvidenceKind, Lane, Outcome};
use ncp_protocol::ids::{Digest, MessageId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_store::state::Unreadable;

use super::{Applying, introduced};
use crate::core::meaning::{answer_due, asks_for_another_seal, evidence_byte, expiry, hub_remembers_until};
use crate::core::tables::{
    Clock, DUE, ENVELOPE, EVIDENCE, EnvelopeRow, EnvelopeStage, EvidenceRow, HUB_SEEN, HubSeenRow, OUT, OutRow,
    PAIR_OPEN, PAIR_VOIDED, QUEUE, lane_byte,
};

impl Applying<'_> {
    pub(super) fn sealed(&mut self, envelope: &EnvelopeKey, header: Digest) -> Result<(), Unreadable> {
        let key = (envelope.message, envelope.recipient);
        let row = introduced(self.read(&ENVELOPE, &key)?, "envelope")?;
        let row = EnvelopeRow { seal: envelope.seal, header: Some(header), stage: EnvelopeStage::Sealed, ..row };
        ENVELOPE.put(self.rows, &key, &row);
        let out = self.own(envelope.message)?;
        // A second seal after the hub's acceptance of the first is to be submitted again.
        self.queue(&out, envelope.recipient, true);
        self.remember_own(envelope.message);
        Ok(())
    }

    pub(super) fn failed(&mut self, envelope: &EnvelopeKey, code: RejectCode) -> Result<(), Unreadable> {
        let (message, recipient) = (envelope.message, envelope.recipient);
        self.remember_own(message);
        let row = introduced(self.read(&ENVELOPE, &(message, recipient))?, "envelope")?;
        if code == RejectCode::Expired && row.stage == EnvelopeStage::Sealed && self.event.event.actor == Actor::Daemon
        {
            // Only this node's clock says so: it stays in the queue, and its number open, until the hub says more.
            let out = self.own(message)?;
            self.expires(&out, recipient, false);
            ENVELOPE.put(self.rows, &(message, recipient), &EnvelopeRow { stage: EnvelopeStage::GivenUp, ..row });
            return Ok(());
        }
        let provisional = self.may_be_forgotten(&row, message)?;
        let stage = if code == RejectCode::Recalled {
            EnvelopeStage::Recalled { provisional }
        } else if code == RejectCode::Expired || provisional {
            EnvelopeStage::Expired { provisional }
        } else {
            EnvelopeStage::Failed(code)
        };
        self.end(message, recipient, stage)
    }

    /// Whether the hub, which knows nothing of an envelope now, may have had it.
    fn may_be_forgotten(&self, row: &EnvelopeRow, message: MessageId) -> Result<bool, Unreadable> {
        let out = self.own(message)?;
        let remembered = hub_remembers_until(out.released.unwrap_or(out.created));
        Ok(match row.stage {
            EnvelopeStage::Accepted => true,
            // Nobody could ask it.
            EnvelopeStage::GivenUp if self.event.event.actor == Actor::Daemon => true,
            EnvelopeStage::Sealed | EnvelopeStage::GivenUp => self.event.event.time >= remembered,
            EnvelopeStage::Released
            | EnvelopeStage::Delivered
            | EnvelopeStage::HandedOver
            | EnvelopeStage::Failed(_)
            | EnvelopeStage::Expired { .. }
            | EnvelopeStage::Recalled { .. } => false,
        })
    }

    pub(super) fn evidence_received(
        &mut self,
        claim: &Claim,
        index: u64,
        stated: UnixMillis,
        record: Digest,
    ) -> Result<(), Unreadable> {
        let EnvelopeKey { originator, message, recipient, .. } = claim.envelope;
        let key = (originator, message, recipient, evidence_byte(claim.kind), claim.header.0);
        EVIDENCE.put(self.rows, &key, &EvidenceRow { record, sequence: self.event.sequence });
        if claim.origin.participant == ParticipantId::HUB
            && self.read(&HUB_SEEN, &())?.is_none_or(|seen| index > seen.index)
        {
            HUB_SEEN.put(self.rows, &(), &HubSeenRow { index, record });
        }
        self.remember(originator, message);
        if originator == self.this_node {
            self.advance(claim, stated)?;
        }
        Ok(())
    }

    /// Moves an envelope on; the recipient's outcome outranks the hub's, and no stage goes back.
    fn advance(&mut self, claim: &Claim, stated: UnixMillis) -> Result<(), Unreadable> {
        let EnvelopeKey { message, recipient, .. } = claim.envelope;
        let Some(row) = self.read(&ENVELOPE, &(message, recipient))? else { return Ok(()) };
        match claim.kind {
            EvidenceKind::RelayAcceptance => {
                // R1 of an earlier seal says nothing about this one, and what the recipient has refused stays so.
                let waits = matches!(row.stage, EnvelopeStage::Sealed | EnvelopeStage::GivenUp);
                if waits && row.header == Some(claim.header) {
                    let out = self.own(message)?;
                    self.queue(&out, recipient, false);
                    let accepted = EnvelopeRow { stage: EnvelopeStage::Accepted, ..row };
                    ENVELOPE.put(self.rows, &(message, recipient), &accepted);
                }
                Ok(())
            }
            EvidenceKind::ContentConsignment => {
                if row.stage == EnvelopeStage::HandedOver {
                    return Ok(());
                }
                self.end(message, recipient, EnvelopeStage::Delivered)?;
                self.start_answer_clock(message, recipient, stated)
            }
            EvidenceKind::ContentHandover => self.end(message, recipient, EnvelopeStage::HandedOver),
            EvidenceKind::ContentConsignmentFailure if asks_for_another_seal(claim) => {
                self.refused_for_a_key(claim, row)
            }
            EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure => self.failed_there(claim, &row),
        }
    }

    /// The recipient did not take the envelope because of a key: it goes under another seal, unless it has ended.
    fn refused_for_a_key(&mut self, claim: &Claim, row: EnvelopeRow) -> Result<(), Unreadable> {
        let EnvelopeKey { message, recipient, .. } = claim.envelope;
        if row.header != Some(claim.header) {
            return Ok(());
        }
        if let Some(stage) = row.stage.without_doubt() {
            return self.end(message, recipient, stage);
        }
        if row.stage.has_ended() {
            return Ok(());
        }
        let out = self.own(message)?;
        if out.recall_requested.is_some() {
            // There will be no other seal.
            return self.end(message, recipient, EnvelopeStage::Recalled { provisional: false });
        }
        self.queue(&out, recipient, true);
        let released = EnvelopeRow { stage: EnvelopeStage::Released, ..row };
        ENVELOPE.put(self.rows, &(message, recipient), &released);
        Ok(())
    }

    /// The hub or the recipient says that it ended without being taken.
    fn failed_there(&mut self, claim: &Claim, row: &EnvelopeRow) -> Result<(), Unreadable> {
        let EnvelopeKey { message, recipient, .. } = claim.envelope;
        // `duplicate` says that another seal of the same message was consigned: no failure.
        let stage = match claim.outcome {
            Outcome::Rejected(RejectCode::Duplicate) => return Ok(()),
            Outcome::Rejected(code) => EnvelopeStage::Failed(code),
            Outcome::Expired => EnvelopeStage::Expired { provisional: false },
            Outcome::ExpiredAfterOffer => EnvelopeStage::Expired { provisional: true },
            Outcome::Recalled => EnvelopeStage::Recalled { provisional: false },
            Outcome::RecalledAfterOffer => EnvelopeStage::Recalled { provisional: true },
            Outcome::Done | Outcome::Confirmed | Outcome::Blind => return Ok(()),
        };
        let hub_spoke = claim.kind == EvidenceKind::RelayFailure;
        if row.header != Some(claim.header) {
            // A word about an earlier seal ends nothing: the later one is on its way, unless the message is being recalled. Then
            // it is not submitted any more; whether it was, nobody here knows.
            let waits = matches!(row.stage, EnvelopeStage::Sealed | EnvelopeStage::GivenUp);
            if hub_spoke && waits && self.own(message)?.recall_requested.is_some() {
                return self.end(message, recipient, EnvelopeStage::Recalled { provisional: true });
            }
            return Ok(());
        }
        let recipient_took = matches!(row.stage, EnvelopeStage::Delivered | EnvelopeStage::HandedOver);
        let recipient_refused = matches!(row.stage, EnvelopeStage::Failed(_) | EnvelopeStage::Released);
        if recipient_took || (hub_spoke && recipient_refused) {
            return Ok(());
        }
        self.end(message, recipient, stage)
    }

    /// Nothing more is to be sent: the envelope leaves the queue and its number is no longer open.
    pub(super) fn end(
        &mut self,
        message: MessageId,
        recipient: ParticipantId,
        stage: EnvelopeStage,
    ) -> Result<(), Unreadable> {
        let row = introduced(self.read(&ENVELOPE, &(message, recipient))?, "envelope")?;
        let out = self.own(message)?;
        self.queue(&out, recipient, false);
        let lane = lane_byte(Lane::of(out.draft.precedence));
        let number = (recipient, lane, row.sequence.0);
        PAIR_OPEN.remove(self.rows, &number);
        // Whether the recipient holds it decides: a number that may yet be filled is not called void.
        match stage {
            EnvelopeStage::Failed(_)
            | EnvelopeStage::Expired { provisional: false }
            | EnvelopeStage::Recalled { provisional: false } => {
                PAIR_VOIDED.put(self.rows, &number, &());
            }
            EnvelopeStage::Released
            | EnvelopeStage::Sealed
            | EnvelopeStage::Accepted
            | EnvelopeStage::Delivered
            | EnvelopeStage::HandedOver
            | EnvelopeStage::GivenUp
            | EnvelopeStage::Expired { provisional: true }
            | EnvelopeStage::Recalled { provisional: true } => PAIR_VOIDED.remove(self.rows, &number),
        }
        ENVELOPE.put(self.rows, &(message, recipient), &EnvelopeRow { stage, ..row });
        Ok(())
    }

    /// Puts an envelope into the queue towards the hub with its expiry, or takes both away.
    fn queue(&mut self, out: &OutRow, recipient: ParticipantId, waits: bool) {
        if waits {
            QUEUE.put(self.rows, &out.place(recipient), &());
        } else {
            QUEUE.remove(self.rows, &out.place(recipient));
        }
        self.expires(out, recipient, waits);
    }

    /// Whether this node's clock gives the envelope up.
    fn expires(&mut self, OutRow { draft, .. }: &OutRow, recipient: ParticipantId, does: bool) {
        let expiry = (expiry(draft.not_after).0, Clock::Expiry.byte(), recipient, draft.message);
        if does {
            DUE.put(self.rows, &expiry, &());
        } else {
            DUE.remove(self.rows, &expiry);
        }
    }

    /// Both ends compute the clock from the time of R2.
    fn start_answer_clock(
        &mut self,
        message: MessageId,
        recipient: ParticipantId,
        stated: UnixMillis,
    ) -> Result<(), Unreadable> {
        let draft = introduced(self.read(&OUT, &message)?, "message")?.draft;
        match answer_due(draft.kind, draft.answer_by, draft.precedence, stated) {
            Some(due) => self.set_answer_clock(message, recipient, Some((stated, due))),
            None => Ok(()),
        }
    }

    /// Replaces the clock of a recipient's answer and the rows by which it strikes.
    pub(super) fn set_answer_clock(
        &mut self,
        message: MessageId,
        recipient: ParticipantId,
        clock: Option<(UnixMillis, UnixMillis)>,
    ) -> Result<(), Unreadable> {
        let row = introduced(self.read(&ENVELOPE, &(message, recipient))?, "envelope")?;
        if let Some((from, due)) = row.answer_clock {
            for (time, clock) in Clock::of_answer(from, due) {
                DUE.remove(self.rows, &(time, clock.byte(), recipient, message));
            }
        }
        for (time, clock) in clock.into_iter().flat_map(|(from, due)| Clock::of_answer(from, due)) {
            DUE.put(self.rows, &(time, clock.byte(), recipient, message), &());
        }
        ENVELOPE.put(self.rows, &(message, recipient), &EnvelopeRow { answer_clock: clock, ..row });
        Ok(())
    }
}
