//! The hub's side: accept, hand-shake, hand over.
//!
//! A place among all is taken before a connection is accepted: at that limit, peers wait in the kernel and cost nothing
//! here. Each handshake has its own task and ends within its time, so that no peer delays another. When too many are
//! unfinished, the oldest whose peer has said nothing gives way, or one that has taken long: whoever holds places in
//! silence, from however many addresses, does not keep others out. One network address, and one participant, can hold
//! but a part. So many a second give way and no more, while the next wait in the kernel: a crowd that comes again and again
//! leaves whoever came before the time to say something, and takes no more from the links that stand. Failed handshakes are
//! reported and never end the listener, nor does a failed `accept`, which is tried again.

pub(crate) mod places;

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::pin::pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use ncp_protocol::ids::ParticipantId;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use self::places::{CountedPlace, Counts, HandshakePlace, Handshakes, Others, Turnstile};
use crate::connection::{Connection, LinkPlace};
use crate::frame::IdleLimit;
use crate::handshake::{self, HandshakeError};
use crate::identity::{PinLookup, PinStatus};
use crate::limits::{
    BACKLOG, CONNECTIONS_MAX, CONNECTIONS_PER_PARTICIPANT_MAX, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, UNAUTHENTICATED_MAX,
    UNAUTHENTICATED_PER_ADDRESS_MAX,
};
use crate::tls::SharedTls;

/// How long to wait after a failed `accept`, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What a listener allows.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Most connections at a time, links and unfinished handshakes together.
    pub connections_max: usize,
    /// Most unfinished handshakes.
    pub unauthenticated_max: usize,
    /// Most unfinished handshakes from one network address; of IPv6, from one network of 64 bits.
    pub unauthenticated_per_address_max: usize,
    /// Most connections of one participant; as many again under keys that are not pinned.
    pub per_participant_max: usize,
    /// Longest handshake.
    pub handshake_timeout: Duration,
    /// Longest silence of a link.
    pub idle: IdleLimit,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            unauthenticated_max: UNAUTHENTICATED_MAX,
            unauthenticated_per_address_max: UNAUTHENTICATED_PER_ADDRESS_MAX,
            per_participant_max: CONNECTIONS_PER_PARTICIPANT_MAX,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            idle: IdleLimit::fixed(IDLE_TIMEOUT),
        }
    }
}

/// What a listener hands over.
#[derive(Debug)]
pub enum Arrival {
    /// A peer is authenticated.
    Connected(Box<Connection>),
    /// A connection was refused. Under a flood some refusals are counted but not handed over.
    Refused {
        /// From where.
        peer_addr: SocketAddr,
        /// Why.
        error: HandshakeError,
        /// How many were not handed over since the last that was.
        unheard: u64,
    },
}

/// A bound socket, ready to [`run`](Listener::run).
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
    limits: ListenerLimits,
}

impl Listener {
    /// Binds `address`; port 0 lets the system choose one.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(address: SocketAddr, limits: ListenerLimits) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Accepted sockets inherit this on Linux; the ping of the link notices a dead peer sooner.
        socket.set_keepalive(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let local_addr = socket.local_addr()?;
        Ok(Self { socket, local_addr, limits })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Accepts until the receiver of `arrivals` is dropped, or this future is. Unfinished handshakes end with it;
    /// links that were handed over live on.
    pub async fn run(self, tls: SharedTls, pins: PinLookup, arrivals: mpsc::Sender<Arrival>) {
        let mut gate = Gate::new(&self.limits);
        let participants = Counts::new(self.limits.per_participant_max);
        let unheard = Arc::new(AtomicU64::new(0));
        let mut handshakes = JoinSet::new();
        loop {
            // Not begun anew when a handshake ends: it may hold an accepted connection.
            let mut admitting = pin!(gate.admit(&self.socket));
            let admitted = loop {
                tokio::select! {
                    admitted = &mut admitting => break admitted,
                    Some(ended) = handshakes.join_next() => if let Err(error) = ended {
                        tracing::error!(%error, "a handshake's task failed: a bug");
                    },
                    () = arrivals.closed() => return,
                }
            };
            let receive = Reception {
                tls: tls.clone(),
                pins: Arc::clone(&pins),
                limits: self.limits.clone(),
                arrivals: arrivals.clone(),
                participants: participants.clone(),
                unheard: Arc::clone(&unheard),
            };
            handshakes.spawn(receive.receive(admitted));
        }
    }
}

/// The places of a listener.
struct Gate {
    all: Arc<Semaphore>,
    handshakes: Handshakes,
    addresses: Counts<IpAddr>,
    turnstile: Turnstile,
}

/// An accepted connection and the places that it takes.
struct Admitted {
    socket: TcpStream,
    peer_addr: SocketAddr,
    place: OwnedSemaphorePermit,
    /// `None` if its address has too many unfinished handshakes.
    handshake: Option<(HandshakePlace, CountedPlace<IpAddr>)>,
}

impl Gate {
    fn new(limits: &ListenerLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS))),
            handshakes: Handshakes::new(limits.unauthenticated_max),
            addresses: Counts::new(limits.unauthenticated_per_address_max),
            turnstile: Turnstile::default(),
        }
    }

    async fn admit(&mut self, socket: &TcpListener) -> Admitted {
        let place = acquire(&self.all).await;
        self.turnstile.opens().await;
        let (socket, peer_addr) = loop {
            match socket.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        let Some(address_place) = self.addresses.take(network_of(peer_addr.ip())) else {
            return Admitted { socket, peer_addr, place, handshake: None };
        };
        let (handshake_place, others) = self.handshakes.take().await;
        if others == Others::OneGaveWay {
            self.turnstile.turned_away();
        }
        Admitted { socket, peer_addr, place, handshake: Some((handshake_place, address_place)) }
    }
}

async fn acquire(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    // Unwrap safety: acquiring fails only on a closed semaphore, and nothing here closes one.
    #[expect(clippy::expect_used, reason = "never closed")]
    Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
}

/// What counts as one address: one host has a whole IPv6 network of 64 bits (RFC 4291, section 2.5.4).
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// What one handshake needs.
struct Reception {
    tls: SharedTls,
    pins: PinLookup,
    limits: ListenerLimits,
    arrivals: mpsc::Sender<Arrival>,
    participants: Counts<(ParticipantId, PinStatus)>,
    unheard: Arc<AtomicU64>,
}

impl Reception {
    async fn receive(self, admitted: Admitted) {
        let Admitted { socket, peer_addr, place, handshake } = admitted;
        let outcome = match &handshake {
            Some((handshake_place, _)) => tokio::select! {
                outcome = self.shake_hands(socket, handshake_place) => outcome,
                () = handshake_place.lost() => Err(HandshakeError::Crowded),
            },
            None => Err(HandshakeError::Crowded),
        };
        // The handshake is over, whatever its outcome: a slow consumer of arrivals must not hold up the next ones.
        drop(handshake);
        let connected = outcome.and_then(|authenticated| {
            let pin = PinStatus::of(&authenticated.peer.certificate_key, &(self.pins)(authenticated.peer.participant));
            let who = (authenticated.peer.participant, pin);
            let participant = self.participants.take(who).ok_or(HandshakeError::Crowded)?;
            let place = LinkPlace { _all: place, _participant: participant };
            Ok(Connection::new(authenticated, peer_addr, pin, self.limits.idle.clone(), Some(place)))
        });
        match connected {
            Ok(connection) => {
                tracing::debug!(peer = %connection.peer, %peer_addr, pin = ?connection.pin, "peer authenticated");
                // An error means that the daemon is stopping; the connection closes with it.
                let _ = self.arrivals.send(Arrival::Connected(Box::new(connection))).await;
            }
            Err(error) => {
                let unheard = self.unheard.swap(0, Ordering::Relaxed);
                // Not waited for: refusals must not pile up behind a busy daemon.
                if self.arrivals.try_send(Arrival::Refused { peer_addr, error, unheard }).is_err() {
                    self.unheard.fetch_add(unheard + 1, Ordering::Relaxed);
                }
            }
        }
    }

    async fn shake_hands(
        &self,
        socket: TcpStream,
        place: &HandshakePlace,
    ) -> Result<handshake::Authenticated, HandshakeError> {
        let deadline = Instant::now() + self.limits.handshake_timeout;
        // Receipts are small and urgent; a socket that refuses the option still serves.
        let _ = socket.set_nodelay(true);
        timeout_at(deadline, socket.readable()).await.map_err(|_| HandshakeError::TimedOut)??;
        place.spoke();
        handshake::accept(socket, &self.tls.load(), deadline).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
