//! A message before its release: put up, edited, withdrawn.

use ncp_protocol::codes::Kind;
use ncp_protocol::event::{Change, Draft, Role};
use ncp_protocol::ids::{ConversationId, MessageId, ParticipantId};
use ncp_protocol::limits::{CLOCK_SKEW_MAX_MS, LIFETIME_MAX_MS, LIFETIME_MIN_MS};
use ncp_store::spool::BodyName;
use ncp_store::state::Erase;

use super::{Deciding, Stop};
use crate::core::command::{Done, Effect, PutUp, Refusal, WithdrawalOutcome, body_record, content_record};
use crate::core::tables::{ENVELOPE, IDEMPOTENCY, IN, OUT, OutRow, OutState, REFERENCE, RULES, reference_key};

impl Deciding<'_> {
    pub(super) fn put_up(&mut self, put_up: PutUp) -> Result<Done, Stop> {
        if let Some(done) = self.carried_out_before(&put_up)? {
            return Ok(done);
        }
        if REFERENCE.row(self.view, &reference_key(put_up.draft.reference))?.is_some() {
            return Err(Refusal::ReferenceTaken.into());
        }
        if put_up.draft.revision != 1 || OUT.row(self.view, &put_up.draft.message)?.is_some() {
            return Err(Refusal::Stale.into());
        }
        self.acting_officer(Role::Drafter)?;
        let draft = self.judged(&put_up)?;
        self.push(Change::MessageDrafted(draft.clone()));
        self.keep(put_up);
        self.waits_or_leaves(draft)
    }

    pub(super) fn edit(&mut self, put_up: PutUp) -> Result<Done, Stop> {
        if let Some(done) = self.carried_out_before(&put_up)? {
            return Ok(done);
        }
        let row = OUT.row(self.view, &put_up.draft.message)?.ok_or(Refusal::UnknownMessage)?;
        match row.state {
            OutState::WaitingForRelease | OutState::ReturnedToDrafter => {}
            OutState::Released | OutState::Withdrawn => return Err(Refusal::WrongState(row.state).into()),
        }
        if put_up.draft.revision != row.draft.revision.saturating_add(1)
            || put_up.draft.reference != row.draft.reference
            || put_up.draft.conversation != row.draft.conversation
        {
            return Err(Refusal::Edited.into());
        }
        self.acting_officer(Role::Drafter)?;
        let draft = self.judged(&put_up)?;
        self.erase_content(&row);
        self.push(Change::MessageEdited(draft.clone()));
        self.keep(put_up);
        self.waits_or_leaves(draft)
    }

    pub(super) fn withdraw(&mut self, message: MessageId) -> Result<Done, Stop> {
        self.acting_officer(Role::Drafter)?;
        let row = OUT.row(self.view, &message)?.ok_or(Refusal::UnknownMessage)?;
        match row.state {
            OutState::Withdrawn => Ok(Done::Withdrawal(WithdrawalOutcome::BeforeSubmission)),
            OutState::WaitingForRelease | OutState::ReturnedToDrafter => {
                self.erase_content(&row);
                self.push(Change::MessageWithdrawn { message });
                self.effects.push(Effect::Announce);
                Ok(Done::Withdrawal(WithdrawalOutcome::BeforeSubmission))
            }
            OutState::Released => self.withdraw_released(&row),
        }
    }

    /// What is sealed may be on its way already, so only the hub can say what became of it.
    fn withdraw_released(&mut self, row: &OutRow) -> Result<Done, Stop> {
        let message = row.draft.message;
        let mut waiting = Vec::new();
        let mut untouched = true;
        for recipient in &row.draft.recipients {
            let envelope = ENVELOPE.row(self.view, &(message, *recipient))?;
            // What waits for another seal went out under an earlier one.
            untouched &= envelope.as_ref().is_none_or(|envelope| envelope.seal.0 == 0);
            let stage = envelope.map(|envelope| envelope.stage);
            if stage.is_some_and(|stage| !stage.has_ended()) {
                waiting.push(*recipient);
            }
        }
        if untouched {
            self.erase_content(row);
            self.push(Change::MessageWithdrawn { message });
            self.effects.push(Effect::Announce);
            return Ok(Done::Withdrawal(WithdrawalOutcome::BeforeSubmission));
        }
        if waiting.is_empty() {
            return Ok(Done::Withdrawal(WithdrawalOutcome::AllDelivered));
        }
        if row.recall_requested.is_none() {
            self.push(Change::RecallRequested { message });
        }
        self.effects.extend(waiting.iter().map(|recipient| Effect::SendRecall { message, recipient: *recipient }));
        Ok(Done::Withdrawal(WithdrawalOutcome::Recalling(waiting)))
    }

    /// The same request again gets the same answer.
    fn carried_out_before(&self, put_up: &PutUp) -> Result<Option<Done>, Stop> {
        let Some(before) = IDEMPOTENCY.row(self.view, &put_up.draft.asked.key.0)? else { return Ok(None) };
        if before.request != put_up.draft.asked.request {
            return Err(Refusal::IdempotencyConflict { message: before.message }.into());
        }
        let row = OUT.row(self.view, &before.message)?.ok_or(Refusal::UnknownMessage)?;
        Ok(Some(self.standing(&row)))
    }

    fn standing(&self, row: &OutRow) -> Done {
        let approved = u8::try_from(row.approved_by.len()).unwrap_or(u8::MAX);
        Done::Message {
            message: row.draft.message,
            state: row.state,
            approvals_missing: row.draft.approvals_needed.saturating_sub(approved),
        }
    }

    /// The draft with what the rules say about it.
    fn judged(&self, put_up: &PutUp) -> Result<Draft, Stop> {
        let draft = &put_up.draft;
        let lifetime = draft.not_after.millis_since(self.now());
        if !(LIFETIME_MIN_MS..=LIFETIME_MAX_MS + CLOCK_SKEW_MAX_MS).contains(&lifetime) {
            return Err(Refusal::LifetimeOutOfRange.into());
        }
        if draft.reference.originator != self.this_node() {
            return Err(Refusal::ReferenceTaken.into());
        }
        for recipient in &draft.recipients {
            self.open_entry(*recipient)?;
        }
        self.check_citation(draft)?;
        let allowed = self.allowed(draft, &put_up.rules)?;
        Ok(Draft {
            rule: allowed.rule,
            rules: put_up.rules.digest(),
            approvals_needed: allowed.approvals,
            ..draft.clone()
        })
    }

    /// What the rules in force say about a draft.
    pub(super) fn allowed(&self, draft: &Draft, rules: &ncp_policy::Rules) -> Result<ncp_policy::Allowed, Stop> {
        if RULES.row(self.view, &())? != Some(rules.digest()) {
            return Err(Refusal::RulesChanged.into());
        }
        rules.judge(&draft.recipients, draft.kind, draft.handling).map_err(|denied| {
            let recipient = match denied {
                ncp_policy::Denied::NoRule { recipient } => recipient,
                ncp_policy::Denied::NoRecipient => self.this_node(),
            };
            Refusal::Denied { recipient, kind: draft.kind, handling: draft.handling }.into()
        })
    }

    /// A response goes to whoever asked, in the conversation of the request; anything else that cites a message cites one
    /// that is here.
    fn check_citation(&self, draft: &Draft) -> Result<(), Stop> {
        let Some(cited) = draft.in_reply_to else {
            return if draft.kind.must_cite() { Err(Refusal::CitationUnknown.into()) } else { Ok(()) };
        };
        if draft.kind == Kind::Response && draft.recipients.len() != 1 {
            return Err(Refusal::CitationUnknown.into());
        }
        let conversation = match self.message_received(&draft.recipients, cited)? {
            Some(conversation) => Some(conversation),
            None if draft.kind == Kind::Response => None,
            None => OUT.row(self.view, &cited)?.map(|row| row.draft.conversation),
        };
        if conversation == Some(draft.conversation) { Ok(()) } else { Err(Refusal::CitationUnknown.into()) }
    }

    fn message_received(&self, from: &[ParticipantId], message: MessageId) -> Result<Option<ConversationId>, Stop> {
        for originator in from {
            if let Some(row) = IN.row(self.view, &(*originator, message))? {
                return Ok(Some(row.received.conversation));
            }
        }
        Ok(None)
    }

    fn keep(&mut self, put_up: PutUp) {
        self.records.push(put_up.content);
        self.records.extend(put_up.body);
        self.effects.push(Effect::Announce);
    }

    fn waits_or_leaves(&mut self, draft: Draft) -> Result<Done, Stop> {
        if draft.approvals_needed == 0 {
            self.release(&draft)?;
            return Ok(Done::Message { message: draft.message, state: OutState::Released, approvals_missing: 0 });
        }
        Ok(Done::Message {
            message: draft.message,
            state: OutState::WaitingForRelease,
            approvals_missing: draft.approvals_needed,
        })
    }

    /// Nothing needs the content of this revision any more.
    fn erase_content(&mut self, row: &OutRow) {
        let Draft { message, revision, root, .. } = row.draft;
        let originator = self.this_node();
        self.erase.push(Erase::Record(content_record(originator, message, revision)));
        self.erase.push(Erase::Record(body_record(root)));
        self.erase.push(Erase::Body(BodyName { originator, message, root }));
    }
}
