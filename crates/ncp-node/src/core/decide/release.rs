//! Release: the word of officers who did not draft, over exactly what was shown.

use ncp_protocol::approval::Decision;
use ncp_protocol::codes::ResponseStatus;
use ncp_protocol::event::{Approval, Change, Draft, Lane, Role};
use ncp_protocol::ids::PairSequence;
use ncp_protocol::limits::LIFETIME_MIN_MS;

use super::{Deciding, Stop};
use crate::core::command::{Done, Effect, Judgement, Refusal};
use crate::core::tables::{OFFICER, OUT, OutRow, OutState, PAIR_OUT, Standing, lane_byte};

impl Deciding<'_> {
    pub(super) fn judge(&mut self, judgement: Judgement) -> Result<Done, Stop> {
        let row = OUT.row(self.view, &judgement.message)?.ok_or(Refusal::UnknownMessage)?;
        if row.state != OutState::WaitingForRelease {
            return Err(Refusal::WrongState(row.state).into());
        }
        if judgement.revision != row.draft.revision {
            return Err(Refusal::Edited.into());
        }
        if self.officer(judgement.officer, Role::Releaser)?.key.id() != judgement.key {
            return Err(Refusal::UnknownOfficer.into());
        }
        let approval = Approval {
            message: judgement.message,
            revision: judgement.revision,
            officer: judgement.officer,
            key: judgement.key,
            code: judgement.code,
            signature: judgement.signature,
        };
        self.effects.push(Effect::Announce);
        match judgement.decision {
            Decision::Approve => self.approve(&row, approval, &judgement.rules),
            Decision::Reject => {
                self.records.extend(judgement.note);
                self.push(Change::ReleaseRejected(approval));
                Ok(Done::Message {
                    message: judgement.message,
                    state: OutState::ReturnedToDrafter,
                    approvals_missing: row.draft.approvals_needed,
                })
            }
        }
    }

    fn approve(&mut self, row: &OutRow, approval: Approval, rules: &ncp_policy::Rules) -> Result<Done, Stop> {
        if row.drafters.contains(&approval.officer) {
            return Err(Refusal::DrafterCannotRelease.into());
        }
        if row.approved_by.contains(&approval.officer) {
            return Err(Refusal::ApprovedAlready.into());
        }
        // What is released now must still be sealed under this time: an envelope with less to live breaks a rule of the
        // header, and would wait in the queue until it has expired.
        if row.draft.not_after.millis_since(self.now()) < LIFETIME_MIN_MS {
            return Err(Refusal::LifetimeOutOfRange.into());
        }
        for recipient in &row.draft.recipients {
            self.open_entry(*recipient)?;
        }
        // The rules may have become stricter since the draft; they never become laxer for a draft that stands.
        let needed = self.allowed(&row.draft, rules)?.approvals.max(row.draft.approvals_needed);
        let standing = 1 + self.standing_approvals(row)?;
        self.push(Change::MessageApproved(approval));
        let missing = needed.saturating_sub(standing);
        if missing == 0 {
            self.release(&row.draft)?;
        }
        let state = if missing == 0 { OutState::Released } else { OutState::WaitingForRelease };
        Ok(Done::Message { message: row.draft.message, state, approvals_missing: missing })
    }

    /// Approvals by officers who may still act: disabling an officer voids what is not released.
    fn standing_approvals(&self, row: &OutRow) -> Result<u8, Stop> {
        let mut standing = 0u8;
        for officer in &row.approved_by {
            if OFFICER.row(self.view, &officer.0)?.is_some_and(|row| row.standing == Standing::Active) {
                standing = standing.saturating_add(1);
            }
        }
        Ok(standing)
    }

    /// Gives each recipient its number; a number given is filled or voided, never forgotten.
    pub(super) fn release(&mut self, draft: &Draft) -> Result<(), Stop> {
        let lane = lane_byte(Lane::of(draft.precedence));
        let epoch = self.identity.origin.epoch;
        let mut sequences = Vec::with_capacity(draft.recipients.len());
        for recipient in &draft.recipients {
            let next = PAIR_OUT.row(self.view, &(*recipient, lane))?;
            sequences.push(PairSequence(next.filter(|row| row.epoch == epoch).map_or(1, |row| row.next)));
        }
        self.push(Change::MessageReleased { message: draft.message, sequences, epoch });
        self.push_own_extension(draft);
        self.effects.extend(
            draft
                .recipients
                .iter()
                .map(|recipient| Effect::SealEnvelope { message: draft.message, recipient: *recipient }),
        );
        Ok(())
    }

    /// An answer that only says when the answer will come moves the clock of the request it names.
    fn push_own_extension(&mut self, draft: &Draft) {
        if let (Some(ResponseStatus::Extension), Some(message), Some(due), Some(originator)) =
            (draft.response_status, draft.in_reply_to, draft.answer_by, draft.recipients.first().copied())
        {
            let recipient = self.this_node();
            self.push(Change::DeadlineMoved { originator, message, recipient, due, reason: draft.reason.clone() });
        }
    }
}
