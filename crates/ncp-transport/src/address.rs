//! Where to dial, and what counts as loopback.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use thiserror::Error;

use crate::limits::HOST_MAX;

/// Whether an address stays on this machine: 127.0.0.0/8, `::1`, and the former mapped into IPv6.
///
/// Daemons under a test root use loopback only.
#[must_use]
pub fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// How far a dialler may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Any address.
    Anywhere,
    /// Loopback alone, checked after a name is resolved: for networks under a test root.
    LoopbackOnly,
}

/// A host, by name or address, and a TCP port: `hub.example.org:4433`, `192.0.2.7:4433`, `[2001:db8::7]:4433`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Address(IpAddr),
    Name(String),
}

/// Why a text is not a host and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HostPortError {
    /// No port, or one outside 1 to 65535.
    #[error("the port is missing or not between 1 and 65535")]
    Port,
    /// The host is empty, too long, or has a character that names do not have.
    #[error("the host is neither a name nor an address")]
    Host,
}

impl HostPort {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host's name, if it must be resolved.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Address(_) => None,
            Host::Name(name) => Some(name),
        }
    }

    /// The socket address, if the host was given as an address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.host {
            Host::Address(ip) => Some(SocketAddr::new(*ip, self.port)),
            Host::Name(_) => None,
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Address(address.ip()), port: address.port() }
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return if address.port() == 0 { Err(HostPortError::Port) } else { Ok(address.into()) };
        }
        let (name, port) = text.rsplit_once(':').ok_or(HostPortError::Port)?;
        let port = port.parse::<u16>().ok().filter(|&port| port != 0).ok_or(HostPortError::Port)?;
        // Also keeps control characters and spaces out of the request to a proxy.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.is_empty() || name.len() > HOST_MAX || !name.bytes().all(allowed) {
            return Err(HostPortError::Host);
        }
        Ok(Self { host: Host::Name(name.to_owned()), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_parse_and_print_alike() {
        for text in ["hub.example.org:4433", "192.0.2.7:4433", "[2001:db8::7]:4433", "localhost:1"] {
            assert_eq!(text.parse::<HostPort>().map(|host| host.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        let refused = |text: &str| text.parse::<HostPort>().unwrap_err();
        for text in ["hub.example.org", "hub:0", "hub:65536", "hub:", "127.0.0.1:0"] {
            assert_eq!(refused(text), HostPortError::Port, "{text}");
        }
        for text in [":4433", "a b:4433", "hub\r\nX: y:4433", "2001:db8::7:4433", "https://hub:4433"] {
            assert_eq!(refused(text), HostPortError::Host, "{text}");
        }
        assert_eq!(refused(&format!("{}:4433", "a".repeat(254))), HostPortError::Host);
    }

    #[test]
    fn loopback_in_every_form() {
        for (text, expected) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
        ] {
            assert_eq!(is_loopback(&text.parse().unwrap()), expected, "{text}");
        }
    }
}
