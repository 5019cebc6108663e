//! HTTP CONNECT (RFC 9110, section 9.3.6), as a client.
//!
//! The proxy sees the hub's name and TLS bytes, no more: TLS runs end to end, and a proxy that breaks it open shows
//! another authority's certificate and is refused. Proxies that ask for a password are not served.

use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::address::HostPort;
use crate::limits::PROXY_RESPONSE_MAX;

const END: &[u8] = b"\r\n\r\n";

/// Why the proxy opened no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// The proxy answered, and not with success: 403 for a rule of its own, 407 if it asks for a password, 502 or 504
    /// if it cannot reach the hub.
    #[error("the proxy refused with status {status}")]
    Refused {
        /// Status code, 100 to 999.
        status: u16,
    },
    /// The answer is not HTTP/1, or bytes follow it before we have said anything.
    #[error("the proxy's answer is malformed")]
    Malformed,
    /// The answer is longer than [`PROXY_RESPONSE_MAX`].
    #[error("the proxy's answer is too long")]
    TooLong,
    /// The proxy closed the connection before its answer was complete.
    #[error("the proxy closed the connection")]
    Closed,
    /// The proxy did not answer in time.
    #[error("the proxy did not answer in time")]
    TimedOut,
    /// The connection to the proxy failed.
    #[error("the connection to the proxy failed: {0}")]
    Io(io::ErrorKind),
}

/// Asks the proxy at the other end of `io` for a tunnel to `target`.
///
/// # Errors
/// [`ProxyError`], but never [`ProxyError::TimedOut`]: the caller keeps the time.
pub(crate) async fn open_tunnel<S>(io: &mut S, target: &HostPort) -> Result<(), ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let failed = |error: io::Error| ProxyError::Io(error.kind());
    // `HostPort` holds neither spaces nor line ends.
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    io.write_all(request.as_bytes()).await.map_err(failed)?;
    io.flush().await.map_err(failed)?;
    let mut answer = Vec::with_capacity(512);
    loop {
        let room = PROXY_RESPONSE_MAX - answer.len();
        if room == 0 {
            return Err(ProxyError::TooLong);
        }
        if (&mut *io).take(room as u64).read_buf(&mut answer).await.map_err(failed)? == 0 {
            return Err(ProxyError::Closed);
        }
        if let Some(end) = answer.windows(END.len()).position(|window| window == END) {
            // In TLS the client speaks first: bytes behind the answer would be slipped into the handshake.
            let surplus = answer.len() > end + END.len();
            return match status(&answer)? {
                200..=299 if surplus => Err(ProxyError::Malformed),
                200..=299 => Ok(()),
                status => Err(ProxyError::Refused { status }),
            };
        }
    }
}

/// The status code of `HTTP/1.x nnn ...` (RFC 9112, section 4).
fn status(answer: &[u8]) -> Result<u16, ProxyError> {
    let line = answer.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "));
    let (code, reason) = rest.and_then(|rest| rest.split_at_checked(3)).ok_or(ProxyError::Malformed)?;
    if !(reason.is_empty() || reason.starts_with(b" ")) || !code.iter().all(u8::is_ascii_digit) {
        return Err(ProxyError::Malformed);
    }
    let status = code.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    if status >= 100 { Ok(status) } else { Err(ProxyError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &[u8]) -> Result<(), ProxyError> {
        let (mut client, mut proxy) = tokio::io::duplex(64 << 10);
        proxy.write_all(answer).await.unwrap();
        proxy.shutdown().await.unwrap();
        let outcome = open_tunnel(&mut client, &"hub.example.org:4433".parse().unwrap()).await;
        drop(client);
        let mut request = String::new();
        proxy.read_to_string(&mut request).await.unwrap();
        assert_eq!(request, "CONNECT hub.example.org:4433 HTTP/1.1\r\nHost: hub.example.org:4433\r\n\r\n");
        outcome
    }

    #[tokio::test]
    async fn success_opens_the_tunnel() {
        for answer in ["HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200\r\nVia: x\r\n\r\n"] {
            assert_eq!(answered(answer.as_bytes()).await, Ok(()), "{answer}");
        }
    }

    #[tokio::test]
    async fn refusal_carries_the_status() {
        for (answer, status) in [("HTTP/1.1 403 Forbidden\r\n\r\nbody", 403), ("HTTP/1.0 407 x\r\nA: b\r\n\r\n", 407)] {
            assert_eq!(answered(answer.as_bytes()).await, Err(ProxyError::Refused { status }));
        }
    }

    #[tokio::test]
    async fn malformed_answers_are_refused() {
        for answer in [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 2000 x\r\n\r\n",
            "HTTP/1.1 099 x\r\n\r\n",
            "HTTP/1.1 +20 x\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nsmuggled",
        ] {
            assert_eq!(answered(answer.as_bytes()).await, Err(ProxyError::Malformed), "{answer}");
        }
    }

    #[tokio::test]
    async fn endless_and_cut_answers_are_refused() {
        let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(4000));
        assert_eq!(answered(endless.as_bytes()).await, Err(ProxyError::TooLong));
        assert_eq!(answered(b"HTTP/1.1 200 OK\r\nX:").await, Err(ProxyError::Closed));
    }
}
