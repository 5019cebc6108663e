//! How far large bodies are on their way to the hub: what people are shown meanwhile. In memory alone, of the present link.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ncp_protocol::ids::MessageId;
use ncp_protocol::limits::CHUNK_SEALED;

/// How far one body is, in sealed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Written to the link, or with the hub from an earlier one.
    pub bytes: u64,
    /// All of it.
    pub total: u64,
}

impl Sent {
    /// The sentence for people.
    #[must_use]
    pub fn words(self) -> String {
        let Self { bytes, total } = self;
        let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
        let percent = bytes.saturating_mul(100).checked_div(total).unwrap_or(100);
        format!("on its way to the hub: {} of {} MiB, {percent} %", mebibytes(bytes), mebibytes(total))
    }
}

/// The bodies that flow, by message: at most as many as the hub's credit lets be in flight.
#[derive(Debug, Default)]
pub struct BodiesOut(Mutex<BTreeMap<MessageId, Sent>>);

impl BodiesOut {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<MessageId, Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A chunk was written. A body of one chunk is gone before anyone looks.
    pub(crate) fn note(&self, message: MessageId, sent: Sent) {
        if sent.total > CHUNK_SEALED as u64 {
            self.lock().insert(message, sent);
        }
    }

    /// The hub answered, or nothing of it flows any more.
    pub(crate) fn end(&self, message: MessageId) {
        self.lock().remove(&message);
    }

    /// The link ended.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// How far a message's body is, if it flows.
    #[must_use]
    pub fn of(&self, message: MessageId) -> Option<Sent> {
        self.lock().get(&message).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_are_told_until_they_end() {
        let (out, message) = (BodiesOut::default(), MessageId::from_random([1; 16]));
        out.note(message, Sent { bytes: 4_096, total: 4_096 });
        assert_eq!(out.of(message), None, "one chunk is no way to speak of");
        let sent = Sent { bytes: 45 << 20, total: 128 << 20 };
        out.note(message, sent);
        assert_eq!(out.of(message).map(Sent::words).as_deref(), Some("on its way to the hub: 45 of 128 MiB, 35 %"));
        out.end(message);
        assert_eq!(out.of(message), None);
        out.note(message, sent);
        out.clear();
        assert_eq!(out.of(message), None);
    }
}
