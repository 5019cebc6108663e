//! Clocks that struck. What is due follows from the index; the shell only says what time it is.

use std::ops::ControlFlow;

use ncp_protocol::event::{Alert, Change};
use ncp_protocol::ids::{MessageId, ParticipantId};
use ncp_protocol::reject::RejectCode;
use ncp_store::state::Unreadable;

use super::{Deciding, Stop};
use crate::core::command::{Done, Effect};
use crate::core::limits::DUE_PER_TICK;
use crate::core::tables::{Clock, DUE, ENVELOPE};

impl Deciding<'_> {
    pub(super) fn tick(&mut self) -> Result<Done, Stop> {
        let now = self.now();
        let mut due = Vec::new();
        DUE.scan(self.view, &(), |(time, clock, participant, message), ()| {
            if time > now.0 || due.len() >= DUE_PER_TICK {
                return ControlFlow::Break(());
            }
            due.push((clock, participant, message));
            ControlFlow::Continue(())
        })?;
        for (clock, participant, message) in due {
            match Clock::of_byte(clock) {
                Some(Clock::Expiry) => self.expire(message, participant)?,
                Some(Clock::Unread) => self.alert_incoming(participant, message, Alert::Unread),
                Some(Clock::DueSoon) => self.alert_incoming(participant, message, Alert::DueSoon),
                Some(Clock::Overdue) => self.alert_incoming(participant, message, Alert::Overdue),
                Some(Clock::AnswerDueSoon) => self.alert(self.this_node(), message, participant, Alert::DueSoon),
                Some(Clock::AnswerOverdue) => self.alert(self.this_node(), message, participant, Alert::Overdue),
                None => return Err(Unreadable::Damaged(format!("unknown clock {clock}")).into()),
            }
        }
        Ok(Done::Noted)
    }

    fn alert_incoming(&mut self, originator: ParticipantId, message: MessageId, alert: Alert) {
        self.alert(originator, message, self.this_node(), alert);
    }

    fn alert(&mut self, originator: ParticipantId, message: MessageId, recipient: ParticipantId, alert: Alert) {
        self.push(Change::RequestAlerted { originator, message, recipient, alert });
        self.effects.push(Effect::Announce);
    }

    /// What never left ends here. What has bytes may have left: it is given up, and the hub says whether it had it. What the
    /// hub accepted ends with its or the recipient's evidence.
    fn expire(&mut self, message: MessageId, recipient: ParticipantId) -> Result<(), Stop> {
        if let Some(row) = ENVELOPE.row(self.view, &(message, recipient))? {
            let envelope = row.key(self.this_node(), message, recipient);
            self.push(Change::EnvelopeFailed { envelope, code: RejectCode::Expired });
            self.effects.push(Effect::Announce);
        }
        Ok(())
    }
}
