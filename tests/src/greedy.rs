//! Peers that take more of the hub than their share, each in its own way: a crowd that connects and says nothing, a flood
//! of envelopes, a reader that hardly reads.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::EvidenceKind;
use ncp_protocol::evidence::unverified_claim;
use ncp_protocol::frame::{BodyChunk, BodyWanted, Credit, Deliver, Frame, Refused, Submit};
use ncp_protocol::ids::MessageId;
use ncp_protocol::keys::SigningKey;
use ncp_protocol::reject::RejectCode;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::craft::{Crafted, Letter};
use crate::material::Material;
use crate::peer::Peer;
use crate::random;
use crate::wire::Wire;

/// Bytes a second of one who hardly reads.
pub const TRICKLE: u32 = 500;
/// How often one of a crowd comes at most, when it was sent away: each in its own moment, as from hosts of their own.
const AGAIN: Duration = Duration::from_secs(1);
/// Most envelopes that a flood has in flight.
const IN_FLIGHT: usize = 128;

/// What one of a crowd does when the hub has sent it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAway {
    /// It comes again, once a second at most.
    Comes,
    /// It does not.
    Stays,
}

/// Connections from as many addresses of this machine that say nothing. All end when it is dropped.
#[derive(Debug)]
pub struct Crowd {
    standing: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    /// So many, towards the hub.
    #[must_use]
    pub fn gather(count: u16, hub: SocketAddr, sent_away: SentAway) -> Self {
        let (standing, ended): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let (standing, ended) = (Arc::clone(&standing), Arc::clone(&ended));
            let own_moment = AGAIN * u32::from(number) / u32::from(count);
            tasks.spawn(async move {
                let mut comes = tokio::time::interval_at(Instant::now() + own_moment, AGAIN);
                comes.set_missed_tick_behavior(MissedTickBehavior::Skip);
                loop {
                    say_nothing(number, hub, &standing).await;
                    ended.fetch_add(1, Ordering::Relaxed);
                    if sent_away == SentAway::Stays {
                        return;
                    }
                    comes.tick().await;
                }
            });
        }
        Self { standing, ended, _tasks: tasks }
    }

    /// How many connections stand now, as far as this side knows.
    #[must_use]
    pub fn standing(&self) -> usize {
        self.standing.load(Ordering::Relaxed)
    }

    /// How many the hub has ended or refused so far.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::Relaxed)
    }
}

async fn say_nothing(number: u16, hub: SocketAddr, standing: &AtomicUsize) {
    let [high, low] = number.to_be_bytes();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 200, high, low], 0))).expect("an address of this machine");
    let Ok(mut stream) = socket.connect(hub).await else { return };
    standing.fetch_add(1, Ordering::Relaxed);
    // The end of the connection, however it comes.
    let _ = stream.read(&mut [0]).await;
    standing.fetch_sub(1, Ordering::Relaxed);
}

/// What became of what a flood sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Envelopes with R1.
    pub accepted: u64,
    /// Refused ones, by code.
    pub refused: BTreeMap<RejectCode, u64>,
}

/// A participant that submits envelopes as fast as the hub grants credit. Each is signed and has an id of its own; what is
/// inside is always the same, which the hub cannot know.
#[derive(Debug)]
pub struct Flood {
    peer: Peer,
    model: Crafted,
    signing: SigningKey,
    in_flight: usize,
    // Envelopes that the hub takes at once, and that it still takes.
    window: u32,
    credit: u32,
    /// What became of it.
    pub tally: Tally,
}

impl Flood {
    /// Begins one from a participant to another.
    pub async fn begin(from: &Material, to: &Material) -> Self {
        let model = Letter::new(from, to.entry(), b"one of very many").seal();
        let peer = Peer::connect(from).await;
        let window = peer.hello.as_ref().map_or(0, |hello| hello.credit.envelopes);
        let signing = from.signing.clone();
        Self { peer, model, signing, in_flight: 0, window, credit: window, tally: Tally::default() }
    }

    /// Sends so many envelopes and waits for the last answer.
    ///
    /// # Panics
    /// If the hub ends the link.
    pub async fn send(&mut self, count: u64) {
        let mut sent = 0..count;
        self.send_while(|| sent.next().is_some()).await;
    }

    /// Sends envelopes as long as it is told to and waits for the last answer.
    ///
    /// # Panics
    /// If the hub ends the link.
    pub async fn send_while(&mut self, mut more: impl FnMut() -> bool) {
        while more() {
            while self.in_flight >= IN_FLIGHT || self.credit == 0 {
                self.answer().await;
            }
            let envelope = self.next();
            self.submit(envelope).await;
        }
        while self.in_flight > 0 {
            self.answer().await;
        }
    }

    /// Waits until all credit is back and sends all that it allows at once, as long as it is told to; then waits for the last
    /// answer. The envelopes are made while it waits, so that nothing but what the hub does comes in a burst.
    ///
    /// # Panics
    /// If the hub ends the link.
    pub async fn pulse_while(&mut self, mut more: impl FnMut() -> bool) {
        let window = self.window as usize;
        let mut made = Vec::with_capacity(window);
        while more() {
            while self.credit < self.window {
                self.answer().await;
                if made.len() < window {
                    made.push(self.next());
                }
            }
            made.resize_with(window, || self.next());
            for envelope in made.drain(..) {
                self.submit(envelope).await;
            }
        }
        while self.in_flight > 0 {
            self.answer().await;
        }
    }

    fn next(&self) -> SealedEnvelope {
        let message = MessageId::from_random(random());
        self.model.with_header(&self.signing, |header| header.message = message).envelope
    }

    async fn submit(&mut self, envelope: SealedEnvelope) {
        self.peer.send(Submit { envelope }).await;
        self.in_flight += 1;
        self.credit -= 1;
    }

    async fn answer(&mut self) {
        match self.peer.next().await {
            Ok(Frame::BodyWanted(BodyWanted { originator, message, .. })) => {
                for (index, bytes) in (0..).zip(self.model.chunks.clone()) {
                    self.peer.send(BodyChunk { originator, message, index, bytes }).await;
                }
            }
            Ok(Frame::Receipts(receipts)) => {
                let accepts =
                    |proof| unverified_claim(proof).is_ok_and(|claim| claim.kind == EvidenceKind::RelayAcceptance);
                let accepted = receipts.proofs.iter().filter(|proof| accepts(*proof)).count();
                self.in_flight = self.in_flight.saturating_sub(accepted);
                self.tally.accepted += accepted as u64;
            }
            Ok(Frame::Refused(Refused { code, .. })) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                *self.tally.refused.entry(code).or_default() += 1;
            }
            Ok(Frame::Credit(granted)) => self.credit += granted.envelopes,
            Ok(_) => {}
            Err(end) => panic!("the flood was cut off: {end:?}"),
        }
    }
}

/// A participant that asks for all its mail and takes [`TRICKLE`] bytes a second, until it is dropped.
#[derive(Debug)]
pub struct Trickle {
    _wire: Wire,
    _tasks: JoinSet<()>,
}

impl Trickle {
    /// Begins one.
    pub async fn begin(material: &Material) -> Self {
        let wire = Wire::to(material.hub);
        let mut peer = Peer::connect(&Material { hub: wire.address(), ..material.clone() }).await;
        wire.slow(TRICKLE);
        peer.send(Credit { envelopes: 1_000, bytes: 64 << 20 }).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok(frame) = peer.next().await {
                if let Frame::Deliver(Deliver { envelope, .. }) = frame {
                    let header = envelope.unverified_header().expect("the hub read it");
                    let (originator, message, root) = (header.originator, header.message, header.ciphertext_root);
                    peer.send(BodyWanted { originator, message, root, from_chunk: 0 }).await;
                }
            }
        });
        Self { _wire: wire, _tasks: tasks }
    }
}
