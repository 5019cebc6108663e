//! Envelopes that the hub refused and that are offered again: why, since when, and when next. In memory alone; a link that
//! begins offers everything anew and hears the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ncp_api::refusal::HubRefusal;
use ncp_protocol::ids::{MessageId, ParticipantId, UnixMillis};
use ncp_protocol::reject::{Permanence, RejectCode};

/// A refusal that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub code: RejectCode,
    /// When the hub said so first.
    pub since: UnixMillis,
    /// When the envelope is offered again.
    pub next: UnixMillis,
}

impl Refused {
    /// As the API shows it.
    #[must_use]
    pub fn shown(&self, recipient: ParticipantId) -> HubRefusal {
        HubRefusal {
            recipient,
            number: self.code.number(),
            name: self.code.name().to_owned(),
            words: self.code.text().to_owned(),
            since: self.since,
            next: self.next,
            remedy: remedy(self.code).to_owned(),
        }
    }
}

/// The refusals that stand, by envelope: at most as many as there are that have not ended.
#[derive(Debug, Default)]
pub struct HubRefusals(Mutex<BTreeMap<(MessageId, ParticipantId), Refused>>);

impl HubRefusals {
    /// The hub refused it; it is offered again after `delay`.
    pub(crate) fn note(
        &self,
        envelope: (MessageId, ParticipantId),
        code: RejectCode,
        now: UnixMillis,
        delay: Duration,
    ) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = refusals.get(&envelope).filter(|known| known.code == code).map_or(now, |known| known.since);
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        refusals.insert(envelope, Refused { code, since, next: now.plus_millis(delay) });
    }

    /// The hub took it, or it left the queue.
    pub(crate) fn clear(&self, envelope: (MessageId, ParticipantId)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&envelope);
    }

    /// The refusal of one envelope.
    #[must_use]
    pub fn of(&self, envelope: (MessageId, ParticipantId)) -> Option<Refused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&envelope).copied()
    }

    /// All that stand.
    #[must_use]
    pub fn all(&self) -> Vec<((MessageId, ParticipantId), Refused)> {
        let refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.iter().map(|(envelope, refused)| (*envelope, *refused)).collect()
    }
}

/// What an officer or operator does about it.
fn remedy(code: RejectCode) -> &'static str {
    if code == RejectCode::CreatedInFuture {
        return "set this machine's clock; then withdraw it and send it again, or wait: it leaves when the hub's clock \
                has passed the time at which it was sealed";
    }
    if code.permanence() == Permanence::Transient {
        return "nothing has to be done: it is offered again by itself";
    }
    "call the hub's operator; it is offered again by itself, as the directory on one side may be behind"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_first_time_until_the_reason_changes() {
        let refusals = HubRefusals::default();
        let envelope = (MessageId::from_random([1; 16]), "XB".parse().expect("an id"));
        let note = |code, now| refusals.note(envelope, code, UnixMillis(now), Duration::from_secs(2));
        note(RejectCode::CreatedInFuture, 1_000);
        note(RejectCode::CreatedInFuture, 5_000);
        let refused = refusals.of(envelope).expect("it stands");
        assert_eq!((refused.since, refused.next), (UnixMillis(1_000), UnixMillis(7_000)));
        note(RejectCode::MailboxFull, 9_000);
        assert_eq!(refusals.all()[0].1.since, UnixMillis(9_000));
        let shown = refused.shown(envelope.1);
        assert_eq!(shown.to_string(), "27 CreatedInFuture: the envelope was created in the future");
        assert!(shown.remedy.contains("clock"));
        refusals.clear(envelope);
        assert_eq!(refusals.of(envelope), None);
    }
}
