//! Who is connected: one link for each participant. A newer link ends the older one and waits until it has let go of
//! its uploads.
//!
//! Only a link whose key the directory pins takes that place. Others get signed directory data alone and stand beside it,
//! one for each of a few keys: whoever holds an old or a wrong certificate of a participant never ends its true link.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ncp_protocol::ids::{Epoch, KeyId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_transport::identity::PinStatus;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::limits::RESTRICTED_LINKS_MAX;
use crate::pace::Paced;

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
    /// How much the participant sent of late.
    pub paced: Paced,
    /// The link is to end.
    pub end: CancellationToken,
    /// Why it is to end; set before `end` is cancelled.
    reason: Mutex<Option<RejectCode>>,
    ended: CancellationToken,
}

impl LinkSignals {
    fn new(certificate_key: KeyId, pin: PinStatus, paced: Paced) -> Self {
        Self {
            certificate_key,
            is_pinned: pin == PinStatus::Pinned,
            receipts: Notify::new(),
            mail: Notify::new(),
            directory: Notify::new(),
            paced,
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
    /// Links whose key is not pinned, the oldest first.
    restricted: Vec<Arc<LinkSignals>>,
    paced: Paced,
    changed: Option<UnixMillis>,
    // In which epoch of its log, and when.
    fork: Option<(Epoch, UnixMillis)>,
}

impl Slot {
    /// Puts a link in its place and returns the one that stood there.
    fn put(&mut self, signals: Arc<LinkSignals>) -> Option<Arc<LinkSignals>> {
        if signals.is_pinned {
            self.changed = Some(crate::clock::now());
            return self.signals.replace(signals);
        }
        let same_key = self.restricted.iter().position(|other| other.certificate_key == signals.certificate_key);
        let full = (self.restricted.len() >= RESTRICTED_LINKS_MAX).then_some(0);
        let older = same_key.or(full).map(|place| self.restricted.remove(place));
        self.restricted.push(signals);
        older
    }

    fn remove(&mut self, signals: &Arc<LinkSignals>) {
        if self.signals.as_ref().is_some_and(|current| Arc::ptr_eq(current, signals)) {
            self.signals = None;
            self.changed = Some(crate::clock::now());
        }
        self.restricted.retain(|current| !Arc::ptr_eq(current, signals));
    }
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
    /// Takes the participant's place, or one beside it if the key is not pinned. An older link there is told to end and
    /// waited for.
    pub async fn take(&self, peer: ParticipantId, certificate_key: KeyId, pin: PinStatus) -> Place<'_> {
        let (signals, older) = {
            let mut slots = lock(&self.slots);
            let slot = slots.entry(peer).or_default();
            let signals = Arc::new(LinkSignals::new(certificate_key, pin, slot.paced.clone()));
            (Arc::clone(&signals), slot.put(signals))
        };
        self.count.send_modify(|count| *count += 1);
        let place = Place { links: self, peer, signals };
        if let Some(older) = older {
            older.close(RejectCode::PeerSuperseded);
            older.ended.cancelled().await;
        }
        place
    }

    /// Tells a participant's pinned link something, if one stands.
    pub fn tell(&self, peer: ParticipantId, tell: impl FnOnce(&LinkSignals)) {
        if let Some(signals) = lock(&self.slots).get(&peer).and_then(|slot| slot.signals.as_ref()) {
            tell(signals);
        }
    }

    /// Tells every link something, pinned or not.
    pub fn tell_all(&self, mut tell: impl FnMut(ParticipantId, &LinkSignals)) {
        for (peer, slot) in lock(&self.slots).iter() {
            slot.signals.iter().chain(&slot.restricted).for_each(|signals| tell(*peer, signals));
        }
    }

    /// Whether a participant's pinned link stands, and since when it does or does not.
    #[must_use]
    pub fn status(&self, peer: ParticipantId) -> (bool, Option<UnixMillis>) {
        let slots = lock(&self.slots);
        slots.get(&peer).map_or((false, None), |slot| (slot.signals.is_some(), slot.changed))
    }

    /// How many participants have a pinned link.
    #[must_use]
    pub fn standing(&self) -> usize {
        lock(&self.slots).values().filter(|slot| slot.signals.is_some()).count()
    }

    /// Notes that a participant showed a log of this epoch that excludes what it had shown before.
    pub fn note_fork(&self, peer: ParticipantId, epoch: Epoch) {
        lock(&self.slots).entry(peer).or_default().fork = Some((epoch, crate::clock::now()));
    }

    /// When a participant last showed such a log of this epoch, in this life of the daemon.
    #[must_use]
    pub fn fork(&self, peer: ParticipantId, epoch: Epoch) -> Option<UnixMillis> {
        let fork = lock(&self.slots).get(&peer).and_then(|slot| slot.fork);
        fork.filter(|(forked, _)| *forked == epoch).map(|(_, when)| when)
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
            slots.entry(self.peer).or_default().remove(&self.signals);
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

    #[test]
    fn a_log_that_branched_is_forgiven_when_the_participant_begins_another() {
        let links = Links::default();
        let peer: ParticipantId = "XA".parse().unwrap();
        assert_eq!(links.fork(peer, Epoch(1)), None);
        links.note_fork(peer, Epoch(1));
        assert!(links.fork(peer, Epoch(1)).is_some());
        assert_eq!(links.fork(peer, Epoch(2)), None);
    }

    #[tokio::test]
    async fn a_key_that_is_not_pinned_stands_beside_the_pinned_link_and_only_its_own_kind_gives_way() {
        let links = Links::default();
        let peer: ParticipantId = "XA".parse().unwrap();
        let key = |n| KeyId(Digest([n; 32]));
        let pinned = links.take(peer, KEY, PinStatus::Pinned).await;
        let mut restricted = Vec::new();
        for n in 2..4 {
            restricted.push(links.take(peer, key(n), PinStatus::Mismatch).await);
        }
        assert_eq!(pinned.signals.reason(), None, "the true link stands");
        // The same key again, then a third one: the older of the same key goes, then the oldest.
        for (n, gives_way) in [(3, 1), (4, 0)] {
            let older = restricted.remove(gives_way);
            let newer = links.take(peer, key(n), PinStatus::Unknown);
            let end = async {
                older.signals.end.cancelled().await;
                drop(older);
            };
            restricted.push(tokio::join!(newer, end).0);
        }
        assert!(restricted.iter().chain([&pinned]).all(|place| place.signals.reason().is_none()));
        let mut told = Vec::new();
        links.tell_all(|_, link| told.push(link.certificate_key));
        assert_eq!(told, [KEY, key(3), key(4)], "all hear of the directory");
        links.tell(peer, |link| assert_eq!(link.certificate_key, KEY, "mail and receipts are for the pinned one"));
        restricted.clear();
        assert!(links.status(peer).0);
        drop(pinned);
        assert!(!links.status(peer).0);
        links.drained().await;
    }
}
