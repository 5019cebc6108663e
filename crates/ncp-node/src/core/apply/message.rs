//! Rows of a message of this node before it travels.

use ncp_protocol::event::{Approval, Draft, Lane};
use ncp_protocol::ids::{Epoch, MessageId, PairSequence, SealNumber};
use ncp_store::state::Unreadable;

use super::{Applying, introduced};
use crate::core::meaning::{ends_the_wait, expiry};
use crate::core::tables::{
    CONVERSATION, Clock, DUE, ENVELOPE, EnvelopeRow, EnvelopeStage, IDEMPOTENCY, IN, IdempotencyRow, InRow, OUT,
    OutRow, OutState, PAIR_OPEN, PAIR_OUT, PairOutRow, QUEUE, REFERENCE, REFERENCE_LAST, conversation_key, lane_byte,
    queue_key, reference_key,
};

impl Applying<'_> {
    pub(super) fn drafted(&mut self, draft: &Draft) -> Result<(), Unreadable> {
        let row = OutRow {
            draft: draft.clone(),
            drafters: self.acting_officer().into_iter().collect(),
            approved_by: Vec::new(),
            state: OutState::WaitingForRelease,
            created: self.event.event.time,
            released: None,
            recall_requested: None,
        };
        OUT.put(self.rows, &draft.message, &row);
        let key = (self.this_node, draft.message);
        self.note_request(draft);
        REFERENCE.put(self.rows, &reference_key(draft.reference), &key);
        let last = self.read(&REFERENCE_LAST, &draft.reference.year)?.unwrap_or(0);
        REFERENCE_LAST.put(self.rows, &draft.reference.year, &last.max(draft.reference.number));
        CONVERSATION.put(self.rows, &(conversation_key(draft.conversation), self.event.sequence), &key);
        self.remember_own(draft.message);
        Ok(())
    }

    pub(super) fn edited(&mut self, draft: &Draft) -> Result<(), Unreadable> {
        let mut row = self.own(draft.message)?;
        if let Some(officer) = self.acting_officer().filter(|officer| !row.drafters.contains(officer)) {
            row.drafters.push(officer);
        }
        row.draft = draft.clone();
        row.approved_by.clear();
        row.state = OutState::WaitingForRelease;
        OUT.put(self.rows, &draft.message, &row);
        self.note_request(draft);
        self.remember_own(draft.message);
        Ok(())
    }

    fn note_request(&mut self, draft: &Draft) {
        let row = IdempotencyRow { request: draft.asked.request, message: draft.message };
        IDEMPOTENCY.put(self.rows, &draft.asked.key.0, &row);
    }

    pub(super) fn approved(&mut self, approval: &Approval) -> Result<(), Unreadable> {
        let mut row = self.own(approval.message)?;
        row.approved_by.push(approval.officer);
        OUT.put(self.rows, &approval.message, &row);
        self.remember_own(approval.message);
        Ok(())
    }

    pub(super) fn release_rejected(&mut self, approval: &Approval) -> Result<(), Unreadable> {
        let mut row = self.own(approval.message)?;
        row.state = OutState::ReturnedToDrafter;
        row.approved_by.clear();
        OUT.put(self.rows, &approval.message, &row);
        self.remember_own(approval.message);
        Ok(())
    }

    pub(super) fn released(
        &mut self,
        message: MessageId,
        sequences: &[PairSequence],
        epoch: Epoch,
    ) -> Result<(), Unreadable> {
        let mut row = self.own(message)?;
        row.state = OutState::Released;
        row.released = Some(self.event.event.time);
        OUT.put(self.rows, &message, &row);
        let draft = &row.draft;
        let lane = lane_byte(Lane::of(draft.precedence));
        let expiry = expiry(draft.not_after).0;
        for (recipient, sequence) in draft.recipients.iter().zip(sequences) {
            let envelope = EnvelopeRow {
                seal: SealNumber(0),
                header: None,
                sequence: *sequence,
                epoch,
                stage: EnvelopeStage::Released,
                answer_clock: None,
                answer: None,
            };
            ENVELOPE.put(self.rows, &(message, *recipient), &envelope);
            QUEUE.put(self.rows, &queue_key(draft.precedence, self.event.event.time, message, *recipient), &());
            DUE.put(self.rows, &(expiry, Clock::Expiry.byte(), *recipient, message), &());
            PAIR_OUT.put(self.rows, &(*recipient, lane), &PairOutRow { epoch, next: sequence.0.saturating_add(1) });
            PAIR_OPEN.put(self.rows, &(*recipient, lane, sequence.0), &message);
        }
        self.note_answer(draft)?;
        self.remember_own(message);
        Ok(())
    }

    /// A released answer stops the clocks of the request it answers.
    fn note_answer(&mut self, draft: &Draft) -> Result<(), Unreadable> {
        let (true, Some(cited), Some(originator)) =
            (ends_the_wait(draft.response_status), draft.in_reply_to, draft.recipients.first())
        else {
            return Ok(());
        };
        if let Some(row) = self.read(&IN, &(*originator, cited))? {
            self.stop_request_clocks(&row);
            IN.put(self.rows, &(*originator, cited), &InRow { answer: Some(draft.message), ..row });
            super::TIMELINE.put(self.rows, &(*originator, cited, self.event.sequence), &());
        }
        Ok(())
    }

    pub(super) fn withdrawn(&mut self, message: MessageId) -> Result<(), Unreadable> {
        let mut row = self.own(message)?;
        if row.state == OutState::Released {
            for recipient in &row.draft.recipients {
                self.end(message, *recipient, EnvelopeStage::Recalled { provisional: false })?;
            }
        }
        row.state = OutState::Withdrawn;
        OUT.put(self.rows, &message, &row);
        self.remember_own(message);
        Ok(())
    }

    pub(super) fn recall_requested(&mut self, message: MessageId) -> Result<(), Unreadable> {
        let mut row = self.own(message)?;
        row.recall_requested = Some(self.event.event.time);
        for recipient in &row.draft.recipients {
            let stage = self.read(&ENVELOPE, &(message, *recipient))?.map(|envelope| envelope.stage);
            if stage == Some(EnvelopeStage::Released) {
                // Its bytes were never made: nothing can be on its way.
                self.end(message, *recipient, EnvelopeStage::Recalled { provisional: false })?;
            }
        }
        OUT.put(self.rows, &message, &row);
        self.remember_own(message);
        Ok(())
    }

    pub(super) fn own(&self, message: MessageId) -> Result<OutRow, Unreadable> {
        introduced(self.read(&OUT, &message)?, "message")
    }

    pub(super) fn remember_own(&mut self, message: MessageId) {
        self.remember(self.this_node, message);
    }
}
