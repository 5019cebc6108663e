//! Forgetting what deduplication and receipts no longer need: a few rows with each event that adds some, so that the
//! tables stay bounded without events of their own.

use std::ops::ControlFlow;

use ncp_protocol::event::EnvelopeKey;
use ncp_store::state::Unreadable;

use super::fold::Fold;
use crate::core::meaning::FORGET_PER_EVENT_MAX;
use crate::core::tables::{ENVELOPES, EnvelopeRow, FORGET, Forget, MESSAGES, RECEIPTS, envelope_key};

impl Fold<'_> {
    /// Forgets the oldest rows whose time has come. Runs first in its event, so that the view shows all there is.
    pub(super) fn forget_due(&mut self) -> Result<(), Unreadable> {
        let (now, mut due) = (self.time.0, Vec::new());
        FORGET.scan(self.view, &(), |key, what| {
            if key.0 > now || due.len() == FORGET_PER_EVENT_MAX {
                return ControlFlow::Break(());
            }
            due.push((key, what));
            ControlFlow::Continue(())
        })?;
        for (key, what) in due {
            FORGET.remove(self.rows, &key);
            match what {
                Forget::Envelope(envelope) => self.forget_envelope(&envelope)?,
                Forget::Receipt(to, number) => RECEIPTS.remove(self.rows, &(to, number)),
            }
        }
        Ok(())
    }

    /// Forgets an ended envelope, and its message with the last of them.
    fn forget_envelope(&mut self, envelope: &EnvelopeKey) -> Result<(), Unreadable> {
        if self.envelope(envelope)?.is_none_or(|row| EnvelopeRow::is_open(&row)) {
            return Ok(());
        }
        ENVELOPES.remove(self.rows, &envelope_key(envelope));
        let key = (envelope.originator, envelope.message);
        let Some(mut message) = self.message(key.0, key.1)? else { return Ok(()) };
        message.known = message.known.saturating_sub(1);
        if message.known == 0 {
            MESSAGES.remove(self.rows, &key);
        } else {
            MESSAGES.put(self.rows, &key, &message);
        }
        Ok(())
    }
}
