//! Rows of a message that arrived.

use ncp_protocol::codes::Code;
use ncp_protocol::event::{Alert, Claim, EvidenceKind, Lane, Received};
use ncp_protocol::ids::{Digest, ParticipantId, UnixMillis};
use ncp_store::state::Unreadable;

use super::{Applying, introduced};
use crate::core::meaning::{NUMBERS_PER_LOOK, ends_the_wait};
use crate::core::tables::{
    CONVERSATION, Clock, DUE, ENVELOPE, EnvelopeRow, IN, INBOX, InRow, MessageKey, PAIR_IN, PAIR_IN_FLOOR, RECEIPT,
    RECEIPT_LAST, REFERENCE, REFUSED, TASK, TaskRow, conversation_key, lane_byte, reference_key,
};

impl Applying<'_> {
    /// Evidence of this node: numbered for the hub, and kept where the same question finds it again.
    pub(super) fn own_evidence(&mut self, claim: &Claim) -> Result<(), Unreadable> {
        let number = self.read(&RECEIPT_LAST, &())?.unwrap_or(0).saturating_add(1);
        RECEIPT_LAST.put(self.rows, &(), &number);
        RECEIPT.put(self.rows, &number, &self.event.index);
        let key = (claim.envelope.originator, claim.envelope.message);
        self.remember(key.0, key.1);
        match claim.kind {
            EvidenceKind::ContentHandover => {
                let row = introduced(self.read(&IN, &key)?, "received message")?;
                self.stop_unread_clock(&row);
                IN.put(self.rows, &key, &InRow { handover: Some(self.event.index), ..row });
            }
            EvidenceKind::ContentConsignmentFailure => REFUSED.put(self.rows, &claim.header.0, &self.event.index),
            // The row of the message comes with the event right behind.
            EvidenceKind::ContentConsignment | EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure => {}
        }
        Ok(())
    }

    pub(super) fn received(&mut self, received: &Received) -> Result<(), Unreadable> {
        let consignment = introduced(self.event.index.checked_sub(1), "consignment")?;
        let envelope = received.envelope;
        let key = (envelope.originator, envelope.message);
        let row = InRow {
            received: received.clone(),
            time: self.event.event.time,
            consignment,
            handover: None,
            answer: None,
            tasks: 0,
        };
        self.start_request_clocks(&row);
        IN.put(self.rows, &key, &row);
        INBOX.put(self.rows, &self.event.sequence, &key);
        REFERENCE.put(self.rows, &reference_key(received.reference), &key);
        CONVERSATION.put(self.rows, &(conversation_key(received.conversation), self.event.sequence), &key);
        let lane = lane_byte(Lane::of(received.precedence));
        PAIR_IN.put(self.rows, &(envelope.originator, lane, received.epoch.0, received.sequence.0), &envelope.message);
        let floor_key = (envelope.originator, lane, received.epoch.0);
        let looked_at = self.read(&PAIR_IN_FLOOR, &floor_key)?.unwrap_or(1);
        let looked_to = received.floor.0.min(looked_at.saturating_add(NUMBERS_PER_LOOK));
        PAIR_IN_FLOOR.put(self.rows, &floor_key, &looked_at.max(looked_to));
        self.remember(key.0, key.1);
        self.note_answer_received(received)
    }

    /// An answer stops the clock that runs for its originator, and stands in the timeline of what it answers.
    fn note_answer_received(&mut self, received: &Received) -> Result<(), Unreadable> {
        let Some(cited) = received.in_reply_to else { return Ok(()) };
        let from = received.envelope.originator;
        let Some(row) = self.read(&ENVELOPE, &(cited, from))? else { return Ok(()) };
        self.remember_own(cited);
        if ends_the_wait(received.response_status) {
            ENVELOPE.put(self.rows, &(cited, from), &EnvelopeRow { answer: Some(received.envelope.message), ..row });
            self.set_answer_clock(cited, from, None)?;
        }
        Ok(())
    }

    pub(super) fn task_assigned(&mut self, message: MessageKey, task: u16, service: &Code) -> Result<(), Unreadable> {
        let row = introduced(self.read(&IN, &message)?, "received message")?;
        IN.put(self.rows, &message, &InRow { tasks: task, ..row });
        let row = TaskRow { service: service.clone(), assigned: self.event.event.time, contributions: Vec::new() };
        TASK.put(self.rows, &(message.0, message.1, task), &row);
        self.remember(message.0, message.1);
        Ok(())
    }

    pub(super) fn contribution_added(
        &mut self,
        message: MessageKey,
        task: u16,
        record: Digest,
    ) -> Result<(), Unreadable> {
        let key = (message.0, message.1, task);
        let mut row = introduced(self.read(&TASK, &key)?, "task")?;
        row.contributions.push(record);
        TASK.put(self.rows, &key, &row);
        self.remember(message.0, message.1);
        Ok(())
    }

    /// A clock that struck does not strike again.
    pub(super) fn alerted(
        &mut self,
        message: MessageKey,
        recipient: ParticipantId,
        alert: Alert,
    ) -> Result<(), Unreadable> {
        self.remember(message.0, message.1);
        if message.0 == self.this_node {
            let row = self.read(&ENVELOPE, &(message.1, recipient))?;
            let Some((from, due)) = row.and_then(|row| row.answer_clock) else { return Ok(()) };
            for (time, clock) in Clock::of_answer(from, due).into_iter().filter(|(_, clock)| clock.strikes(alert)) {
                DUE.remove(self.rows, &(time, clock.byte(), recipient, message.1));
            }
            return Ok(());
        }
        let row = introduced(self.read(&IN, &message)?, "received message")?;
        self.stop_clocks(&row, |clock| clock.strikes(alert));
        Ok(())
    }

    pub(super) fn deadline_moved(
        &mut self,
        message: MessageKey,
        recipient: ParticipantId,
        due: UnixMillis,
    ) -> Result<(), Unreadable> {
        self.remember(message.0, message.1);
        if message.0 == self.this_node {
            let from = self.read(&ENVELOPE, &(message.1, recipient))?.and_then(|row| row.answer_clock);
            return match from {
                Some((from, _)) => self.set_answer_clock(message.1, recipient, Some((from, due))),
                None => Ok(()),
            };
        }
        let mut row = introduced(self.read(&IN, &message)?, "received message")?;
        self.stop_request_clocks(&row);
        row.received.due = Some(due);
        self.start_request_clocks(&row);
        if row.handover.is_some() {
            self.stop_unread_clock(&row);
        }
        IN.put(self.rows, &message, &row);
        Ok(())
    }

    fn start_request_clocks(&mut self, row: &InRow) {
        let Some(due) = row.received.due else { return };
        let envelope = row.received.envelope;
        for (time, clock) in Clock::of_request(row.time, due) {
            DUE.put(self.rows, &(time, clock.byte(), envelope.originator, envelope.message), &());
        }
    }

    pub(super) fn stop_request_clocks(&mut self, row: &InRow) {
        self.stop_clocks(row, |_| true);
    }

    fn stop_unread_clock(&mut self, row: &InRow) {
        self.stop_clocks(row, |clock| clock == Clock::Unread);
    }

    fn stop_clocks(&mut self, row: &InRow, stops: impl Fn(Clock) -> bool) {
        let Some(due) = row.received.due else { return };
        let envelope = row.received.envelope;
        for (time, clock) in Clock::of_request(row.time, due).into_iter().filter(|(_, clock)| stops(*clock)) {
            DUE.remove(self.rows, &(time, clock.byte(), envelope.originator, envelope.message));
        }
    }
}
