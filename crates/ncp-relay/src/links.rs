//! Who is connected: one link for each participant. A newer link ends the older one and waits until it has let go of
//! its uploads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ncp_protocol::ids::{KeyId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_transport::identity::PinStatus;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// What others may tell a link.
#[derive(Debug)]
pub struct LinkSignals {
    /// Key of the certificate that the peer showed.
    pub certificate_key: KeyId,
    /// Whether the directory pinned that key when the link began: full service.
    pub is_pinned: bool,
    /// New receipts wait.
    pub receipts: Notify,
    /// New mail waits.
    pub mail: Notify,
    /// The directory changed.
    pub directory: Notify,
    /// The link is to end.
    pub end: CancellationToken,
    /// Why it is to end; set before `end` is cancelled.
    reason: Mutex<Option<RejectCode>>,
    ended: CancellationToken,
}

impl LinkSignals {
    fn new(certificate_key: KeyId, pin: PinStatus) -> Self {
        Self {
            certificate_key,
            is_pinned: pin == PinStatus::Pinned,
            receipts: Notify::new(),
            mail: Notify::new(),
            directory: Notify::new(),
            end: CancellationToken::new(),
            reason: Mutex::new(None),
            ended: CancellationToken::new(),
        }
    }

    /// Ends the link with this code. The first reason stands.
    pub fn close(&self, code: RejectCode) {
        lock(&self.reason).get_or_insert(code);
        self.end.cancel();
    }

    /// Why the link is to end.
    #[must_use]
    pub fn reason(&self) -> Option<RejectCode> {
        *lock(&self.reason)
    }
}

/// What is known of a participant's links, also when none stands.
#[derive(Debug, Default)]
struct Slot {
    signals: Option<Arc<LinkSignals>>,
    changed: Option<UnixMillis>,
    fork: Option<UnixMillis>,
}

/// All links.
#[derive(Debug)]
pub struct Links {
    slots: Mutex<BTreeMap<ParticipantId, Slot>>,
    count: watch::Sender<usize>,
}

impl Default for Links {
    fn default() -> Self {
        Self { slots: Mutex::default(), count: watch::Sender::new(0) }
    }
}

/// A link's place; given up when dropped.
#[derive(Debug)]
pub struct Place<'a> {
    links: &'a Links,
    peer: ParticipantId,
    /// What others may tell the link.
    pub signals: Arc<LinkSignals>,
}

impl Links {
    /// Takes the participant's place. An older link is told to end and waited for.
    pub async fn take(&self, peer: ParticipantId, certificate_key: KeyId, pin: PinStatus) -> Place<'_> {
        let signals = Arc::new(LinkSignals::new(certificate_key, pin));
        let older = {
            let mut slots = lock(&self.slots);
            let slot = slots.entry(peer).or_default();
            slot.changed = Some(crate::clock::now());
            slot.signals.replace(Arc::clone(&signals))
        };
        self.count.send_modify(|count| *count += 1);
        let place = Place { links: self, peer, signals };
        if let Some(older) = older {
            older.close(RejectCode::PeerSuperseded);
            older.ended.cancelled().await;
        }
        place
    }

    /// Tells a participant's link something, if one stands.
    pub fn tell(&self, peer: ParticipantId, tell: impl FnOnce(&LinkSignals)) {
        if let Some(signals) = lock(&self.slots).get(&peer).and_then(|slot| slot.signals.as_ref()) {
            tell(signals);
        }
    }

    /// Tells every link something.
    pub fn tell_all(&self, mut tell: impl FnMut(ParticipantId, &LinkSignals)) {
        for (peer, slot) in lock(&self.slots).iter() {
            slot.signals.iter().for_each(|signals| tell(*peer, signals));
        }
    }

    /// Whether a participant's link stands, and since when it does or does not.
    #[must_use]
    pub fn status(&self, peer: ParticipantId) -> (bool, Option<UnixMillis>) {
        let slots = lock(&self.slots);
        slots.get(&peer).map_or((false, None), |slot| (slot.signals.is_some(), slot.changed))
    }

    /// How many links stand.
    #[must_use]
    pub fn standing(&self) -> usize {
        lock(&self.slots).values().filter(|slot| slot.signals.is_some()).count()
    }

    /// Notes that a participant showed a log that excludes what it had shown before.
    pub fn note_fork(&self, peer: ParticipantId) {
        lock(&self.slots).entry(peer).or_default().fork = Some(crate::clock::now());
    }

    /// When a participant last showed such a log, in this life of the daemon.
    #[must_use]
    pub fn fork(&self, peer: ParticipantId) -> Option<UnixMillis> {
        lock(&self.slots).get(&peer).and_then(|slot| slot.fork)
    }

    /// Waits until no link stands.
    pub async fn drained(&self) {
        // An error would mean that the sender is gone, and it lives in `self`.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Place<'_> {
    /// Gives the place up: the peer's next link need not wait for the last word to this one.
    pub fn leave(&self) {
        {
            let mut slots = lock(&self.links.slots);
            let slot = slots.entry(self.peer).or_default();
            if slot.signals.as_ref().is_some_and(|current| Arc::ptr_eq(current, &self.signals)) {
                slot.signals = None;
                slot.changed = Some(crate::clock::now());
            }
        }
        self.signals.ended.cancel();
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
        self.links.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under these locks is one assignment: whatever panicked left whole values.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ncp_protocol::ids::Digest;

    use super::*;

    const KEY: KeyId = KeyId(Digest([1; 32]));

    #[tokio::test]
    async fn a_newer_link_ends_the_older_and_waits_for_it() {
        let links = Arc::new(Links::default());
        let peer: ParticipantId = "XA".parse().unwrap();
        let older = links.take(peer, KEY, PinStatus::Pinned).await;
        let (taken, waiting) = tokio::sync::oneshot::channel();
        let second = Arc::clone(&links);
        let newer = tokio::spawn(async move {
            let place = second.take(peer, KEY, PinStatus::Pinned).await;
            taken.send(place.signals.reason()).unwrap();
            second.status(peer)
        });
        older.signals.end.cancelled().await;
        assert_eq!(older.signals.reason(), Some(RejectCode::PeerSuperseded));
        assert!(!newer.is_finished());
        drop(older);
        assert_eq!(waiting.await, Ok(None));
        let (connected, _) = newer.await.unwrap();
        assert!(connected, "the older link's end does not clear the newer's place");
        links.drained().await;
        assert!(!links.status(peer).0);
    }
}
