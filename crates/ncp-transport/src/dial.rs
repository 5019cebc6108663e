//! A node's side: reach one of the hub's addresses, directly or through a proxy, and shake hands.
//!
//! One [`Dialler::dial`] tries each target once, in order, each step within its time. When to dial again is
//! [`backoff`](crate::backoff)'s business.

use core::fmt;
use core::net::SocketAddr;
use std::io;

use thiserror::Error;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use crate::address::{HostPort, Reach, is_loopback};
use crate::connection::Connection;
use crate::frame::IdleLimit;
use crate::handshake::{self, HandshakeError};
use crate::identity::{PinLookup, PinStatus};
use crate::limits::{ADDRESSES_MAX, CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT};
use crate::proxy::{ProxyError, open_tunnel};
use crate::tls::SharedTls;

/// Where a node dials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The hub's addresses, in order of preference.
    pub targets: Vec<HostPort>,
    /// A proxy to go through (HTTP CONNECT). Names of targets are then resolved by the proxy.
    pub proxy: Option<HostPort>,
    /// How far the node may reach.
    pub reach: Reach,
}

/// Why no target could be reached: one entry per failed attempt, in order. Empty if there was no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct DialError {
    /// What failed.
    pub attempts: Vec<FailedAttempt>,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the hub cannot be reached")?;
        for (i, attempt) in self.attempts.iter().enumerate() {
            let separator = if i == 0 { ": " } else { "; " };
            write!(f, "{separator}{}: {}", attempt.target, attempt.error)?;
        }
        Ok(())
    }
}

/// One target, one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The target as configured.
    pub target: HostPort,
    /// The address that was dialled, the proxy's if there is one; `None` if it did not come so far.
    pub address: Option<SocketAddr>,
    /// Why it failed.
    pub error: AttemptError,
}

/// Why one attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AttemptError {
    /// The name does not resolve, or not in time.
    #[error("the name does not resolve")]
    Resolve,
    /// The address is outside this machine, which a network under a test root forbids.
    #[error("a network under a test root uses loopback addresses only")]
    NotLoopback,
    /// The TCP connection failed.
    #[error("connecting failed: {0}")]
    Connect(io::ErrorKind),
    /// The TCP connection was not established in time.
    #[error("connecting took too long")]
    ConnectTimedOut,
    /// The proxy opened no tunnel.
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    /// The handshake failed.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
}

/// Dials the hub.
#[derive(Clone)]
pub struct Dialler {
    route: Route,
    tls: SharedTls,
    pins: PinLookup,
    idle: IdleLimit,
}

impl Dialler {
    /// Dials along `route` with the newest settings in `tls`; connections are silent for at most `idle`.
    #[must_use]
    pub fn new(route: Route, tls: SharedTls, pins: PinLookup, idle: IdleLimit) -> Self {
        Self { route, tls, pins, idle }
    }

    /// Tries every target once, until one is the hub.
    ///
    /// # Errors
    /// [`DialError`] with every attempt.
    pub async fn dial(&self) -> Result<Connection, DialError> {
        let mut attempts = Vec::new();
        for target in &self.route.targets {
            let addresses = match self.addresses(target).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    attempts.push(FailedAttempt { target: target.clone(), address: None, error });
                    continue;
                }
            };
            for address in addresses {
                match self.attempt(target, address).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => {
                        tracing::info!(%target, %address, %error, "dialling the hub failed");
                        attempts.push(FailedAttempt { target: target.clone(), address: Some(address), error });
                    }
                }
            }
        }
        Err(DialError { attempts })
    }

    /// Where to connect to for `target`, which is the proxy if there is one: at least one address, all within reach.
    async fn addresses(&self, target: &HostPort) -> Result<Vec<SocketAddr>, AttemptError> {
        let Some(proxy) = &self.route.proxy else {
            return within(self.route.reach, resolve(target).await?);
        };
        // Behind a proxy a name is out of our hands, so under `LoopbackOnly` the target must be an address.
        match (self.route.reach, target.address()) {
            (Reach::LoopbackOnly, None) => Err(AttemptError::NotLoopback),
            (reach, Some(address)) => {
                within(reach, vec![address])?;
                within(reach, resolve(proxy).await?)
            }
            (Reach::Anywhere, None) => resolve(proxy).await,
        }
    }

    async fn attempt(&self, target: &HostPort, address: SocketAddr) -> Result<Connection, AttemptError> {
        let mut socket = connect(address).await?;
        if self.route.proxy.is_some() {
            let tunnel = timeout(CONNECT_TIMEOUT, open_tunnel(&mut socket, target)).await;
            tunnel.map_err(|_| ProxyError::TimedOut)??;
        }
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let authenticated = handshake::connect(socket, &self.tls.load(), deadline).await?;
        let peer = &authenticated.peer;
        let pin = PinStatus::of(&peer.certificate_key, &(self.pins)(peer.participant));
        Ok(Connection::new(authenticated, address, pin, self.idle.clone(), None))
    }
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler").field("route", &self.route).finish_non_exhaustive()
    }
}

fn within(reach: Reach, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, AttemptError> {
    match reach {
        Reach::LoopbackOnly if !addresses.iter().all(is_loopback) => Err(AttemptError::NotLoopback),
        Reach::LoopbackOnly | Reach::Anywhere => Ok(addresses),
    }
}

async fn resolve(host: &HostPort) -> Result<Vec<SocketAddr>, AttemptError> {
    let Some(name) = host.name() else {
        return Ok(host.address().into_iter().collect());
    };
    let found = timeout(CONNECT_TIMEOUT, lookup_host((name, host.port()))).await;
    let found = found.map_err(|_| AttemptError::Resolve)?.map_err(|_| AttemptError::Resolve)?;
    let addresses: Vec<_> = found.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() { Err(AttemptError::Resolve) } else { Ok(addresses) }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, AttemptError> {
    let failed = |error: io::Error| AttemptError::Connect(error.kind());
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
    // Receipts are small and urgent, and a dead hub should be noticed. A socket without these options still serves.
    let _ = socket.set_nodelay(true);
    let _ = socket.set_keepalive(true);
    let connected = timeout(CONNECT_TIMEOUT, socket.connect(address)).await;
    connected.map_err(|_| AttemptError::ConnectTimedOut)?.map_err(failed)
}
