//! An envelope of this node on its way: sealed, accepted, delivered, or refused.

use ncp_protocol::event::{Change, EnvelopeKey};
use ncp_protocol::frame::Cursor;
use ncp_protocol::limits::SEALS_MAX;
use ncp_protocol::reject::{Permanence, RejectCode};

use super::{Deciding, Stop};
use crate::core::command::{Done, Effect, Noted, Refusal, Sealed};
use crate::core::meaning::{asks_for_another_seal, evidence_byte, expiry, names_a_key};
use crate::core::tables::{ENVELOPE, EVIDENCE, EnvelopeRow, EnvelopeStage, OUT, OutState, RECEIPTS_STORED};

impl Deciding<'_> {
    pub(super) fn seal(&mut self, sealed: Sealed) -> Result<Done, Stop> {
        let EnvelopeKey { message, recipient, .. } = sealed.envelope;
        let row = self.envelope(sealed.envelope)?;
        let entry = self.open_entry(recipient)?;
        let next = row.seal.0.saturating_add(1);
        let sealable = match row.stage {
            EnvelopeStage::Released | EnvelopeStage::Sealed | EnvelopeStage::Accepted => true,
            EnvelopeStage::Delivered
            | EnvelopeStage::HandedOver
            | EnvelopeStage::Failed(_)
            | EnvelopeStage::GivenUp
            | EnvelopeStage::Expired { .. }
            | EnvelopeStage::Recalled { .. } => false,
        };
        let leaves = OUT
            .row(self.view, &message)?
            .is_some_and(|row| row.state == OutState::Released && row.recall_requested.is_none());
        if !sealable
            || !leaves
            || sealed.envelope.seal.0 != next
            || next > SEALS_MAX
            || sealed.sequence != row.sequence
            || sealed.entry != entry.entry
        {
            return Err(Refusal::Stale.into());
        }
        self.push(Change::EnvelopeSealed {
            envelope: sealed.envelope,
            header: sealed.header,
            recipient_key: sealed.recipient_key,
        });
        self.records.push(sealed.record);
        self.effects.push(Effect::SubmitEnvelope { message, recipient, seal: sealed.envelope.seal });
        Ok(Done::Noted)
    }

    pub(super) fn note_evidence(&mut self, noted: Noted) -> Result<Done, Stop> {
        let claim = noted.claim;
        let EnvelopeKey { originator, message, recipient, .. } = claim.envelope;
        if originator != self.this_node() {
            return Err(Refusal::UnknownMessage.into());
        }
        let key = (originator, message, recipient, evidence_byte(claim.kind), claim.header.0);
        if EVIDENCE.row(self.view, &key)?.is_some() {
            return Ok(Done::Noted);
        }
        // Evidence for something forgotten is kept too: it is somebody's signed word.
        self.push(Change::EvidenceReceived {
            claim,
            index: noted.index,
            stated: noted.stated,
            record: noted.record.name.id,
        });
        self.records.push(noted.record);
        if asks_for_another_seal(&claim) {
            self.effects.push(Effect::SealEnvelope { message, recipient });
        }
        self.effects.push(Effect::Announce);
        Ok(Done::Noted)
    }

    /// Nothing was stored there, so there is no evidence: this node's own event closes the envelope.
    pub(super) fn note_refusal(&mut self, envelope: EnvelopeKey, code: RejectCode) -> Result<Done, Stop> {
        let EnvelopeKey { message, recipient, seal, .. } = envelope;
        let row = self.envelope(envelope)?;
        if row.seal != seal || row.stage.has_ended() {
            return Ok(Done::Noted);
        }
        let out = OUT.row(self.view, &message)?.ok_or(Refusal::UnknownMessage)?;
        let recalled = out.recall_requested.is_some();
        let accepted = row.stage == EnvelopeStage::Accepted;
        if accepted && self.now() < expiry(out.draft.not_after) {
            // Its R1 stands: what it had has ended there, with evidence that is to come.
            return Ok(Done::Noted);
        }
        let is_over = accepted || row.stage == EnvelopeStage::GivenUp;
        if names_a_key(code) && seal.0 < SEALS_MAX && !is_over {
            // A key changed under way: the same message, sealed again.
            self.effects.push(Effect::SealEnvelope { message, recipient });
        } else if code == RejectCode::NotWaiting {
            // The hub answers a recall. What it never had is nowhere but here; what it took and has no more, it has forgotten.
            if accepted {
                self.push(Change::EnvelopeFailed { envelope, code: RejectCode::Expired });
            } else if recalled && row.stage != EnvelopeStage::Released {
                self.push(Change::EnvelopeFailed { envelope, code: RejectCode::Recalled });
            }
        } else if code.permanence() == Permanence::Permanent {
            // Whatever else the hub says of it, it has nothing of it, and its time is over.
            let code = if is_over { RejectCode::Expired } else { code };
            self.push(Change::EnvelopeFailed { envelope, code });
        }
        self.effects.push(Effect::Announce);
        Ok(Done::Noted)
    }

    /// The cursor never goes back within an epoch, and each place is noted once.
    pub(super) fn note_receipts(&mut self, cursor: Cursor) -> Result<Done, Stop> {
        let Cursor { epoch, number } = cursor;
        let noted = RECEIPTS_STORED.row(self.view, &())?.filter(|row| row.epoch == epoch);
        if noted.is_none_or(|row| row.number < number) {
            self.push(Change::ReceiptsStored { epoch, number });
        }
        Ok(Done::Noted)
    }

    fn envelope(&self, envelope: EnvelopeKey) -> Result<EnvelopeRow, Stop> {
        if envelope.originator != self.this_node() {
            return Err(Refusal::UnknownMessage.into());
        }
        let row = ENVELOPE.row(self.view, &(envelope.message, envelope.recipient))?;
        row.ok_or_else(|| Refusal::UnknownMessage.into())
    }
}
