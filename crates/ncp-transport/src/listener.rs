//! The hub's side: accept, hand-shake, hand over.
//!
//! Places are taken before a connection is accepted, one among all and one among those whose handshake is not
//! finished: at a limit, peers wait in the kernel and cost nothing here. Each handshake has its own task and ends
//! within its time, so that no peer delays another; one network address can hold but a part of the unfinished ones.
//! Failed handshakes are reported and never end the listener, nor does a failed `accept`, which is tried again.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::frame::IdleLimit;
use crate::handshake::{self, HandshakeError};
use crate::identity::PinLookup;
use crate::limits::{
    BACKLOG, CONNECTIONS_MAX, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, UNAUTHENTICATED_MAX, UNAUTHENTICATED_PER_ADDRESS_MAX,
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
    /// Most unfinished handshakes from one network address.
    pub unauthenticated_per_address_max: usize,
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
    /// A connection was refused. Under a flood some refusals are logged and counted but not handed over.
    Refused {
        /// From where.
        peer_addr: SocketAddr,
        /// Why.
        error: HandshakeError,
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
        let gate = Gate::new(&self.limits);
        let mut handshakes = JoinSet::new();
        loop {
            let admitted = tokio::select! {
                admitted = gate.admit(&self.socket) => admitted,
                Some(ended) = handshakes.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a handshake's task failed: a bug");
                    }
                    continue;
                }
                () = arrivals.closed() => return,
            };
            let receive = Reception {
                tls: tls.clone(),
                pins: Arc::clone(&pins),
                limits: self.limits.clone(),
                arrivals: arrivals.clone(),
            };
            handshakes.spawn(receive.receive(admitted));
        }
    }
}

/// The places of a listener.
struct Gate {
    all: Arc<Semaphore>,
    unauthenticated: Arc<Semaphore>,
    addresses: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    per_address_max: usize,
}

/// An accepted connection and the places that it takes.
struct Admitted {
    socket: TcpStream,
    peer_addr: SocketAddr,
    place: OwnedSemaphorePermit,
    handshake_place: OwnedSemaphorePermit,
    /// `None` if its address has too many unfinished handshakes.
    address_place: Option<AddressPlace>,
}

impl Gate {
    fn new(limits: &ListenerLimits) -> Self {
        Self {
            all: Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS))),
            unauthenticated: Arc::new(Semaphore::new(limits.unauthenticated_max.min(Semaphore::MAX_PERMITS))),
            addresses: Arc::default(),
            per_address_max: limits.unauthenticated_per_address_max,
        }
    }

    async fn admit(&self, socket: &TcpListener) -> Admitted {
        let place = acquire(&self.all).await;
        let handshake_place = acquire(&self.unauthenticated).await;
        let (socket, peer_addr) = loop {
            match socket.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept failed; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        let address_place = AddressPlace::take(&self.addresses, peer_addr.ip().to_canonical(), self.per_address_max);
        Admitted { socket, peer_addr, place, handshake_place, address_place }
    }
}

async fn acquire(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    // Unwrap safety: acquiring fails only on a closed semaphore, and nothing here closes one.
    #[expect(clippy::expect_used, reason = "never closed")]
    Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed")
}

/// One unfinished handshake of a network address.
struct AddressPlace {
    addresses: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl AddressPlace {
    fn take(addresses: &Arc<Mutex<BTreeMap<IpAddr, usize>>>, address: IpAddr, max: usize) -> Option<Self> {
        let mut counts = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        // A refused address has `max` entries or more, so a fresh row of zero cannot be left behind unless max is zero.
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Self { addresses: Arc::clone(addresses), address })
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut counts = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// What one handshake needs.
struct Reception {
    tls: SharedTls,
    pins: PinLookup,
    limits: ListenerLimits,
    arrivals: mpsc::Sender<Arrival>,
}

impl Reception {
    async fn receive(self, admitted: Admitted) {
        let Admitted { socket, peer_addr, place, handshake_place, address_place } = admitted;
        let outcome = match &address_place {
            Some(_) => self.shake_hands(socket).await,
            None => Err(HandshakeError::Crowded),
        };
        // The handshake is over, whatever its outcome: a slow consumer of arrivals must not hold up the next ones.
        drop((handshake_place, address_place));
        match outcome {
            Ok(authenticated) => {
                let idle = self.limits.idle.clone();
                let connection = Connection::new(authenticated, peer_addr, &self.pins, idle, Some(place));
                tracing::debug!(peer = %connection.peer, %peer_addr, pin = ?connection.pin, "peer authenticated");
                // An error means that the daemon is stopping; the connection closes with it.
                let _ = self.arrivals.send(Arrival::Connected(Box::new(connection))).await;
            }
            Err(error) => {
                tracing::info!(%peer_addr, %error, "connection refused");
                // Not waited for: refusals must not pile up behind a busy daemon.
                let _ = self.arrivals.try_send(Arrival::Refused { peer_addr, error });
            }
        }
    }

    async fn shake_hands(&self, socket: TcpStream) -> Result<handshake::Authenticated, HandshakeError> {
        let deadline = Instant::now() + self.limits.handshake_timeout;
        // Receipts are small and urgent; a socket that refuses the option still serves.
        let _ = socket.set_nodelay(true);
        handshake::accept(socket, &self.tls.load(), deadline).await
    }
}
