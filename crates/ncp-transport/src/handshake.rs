//! The TLS handshake of either side, and why one fails, with the blame in the type.
//!
//! In TLS 1.3 the dialler is done before the hub has seen its certificate: a hub that refuses it says so by an alert,
//! which the dialler meets at its first read as [`FrameError::RefusedByPeer`](crate::frame::FrameError::RefusedByPeer).

use core::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, CommonState, PeerIncompatible};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::identity::{Expected, NameError, PeerIdentity};
use crate::tls::{ALPN, PeerCertificates, TlsSettings, unused_name};

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The peer's certificate was not issued by our authorities.
    #[error("the peer's certificate was issued by another authority")]
    WrongCa,
    /// The peer's certificate, or one above it, has expired.
    #[error("the peer's certificate has expired")]
    Expired,
    /// The peer's certificate, or one above it, is not valid yet; or a clock is wrong.
    #[error("the peer's certificate is not valid yet")]
    NotYetValid,
    /// The peer's certificate, or one above it, is revoked.
    #[error("the peer's certificate is revoked")]
    Revoked,
    /// Our revocation lists are expired, damaged, or do not cover the peer's certificate.
    #[error("our revocation lists cannot tell whether the peer's certificate is revoked")]
    RevocationUnknown,
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// The peer's certificate is malformed, has a bad signature, another purpose, or an unknown critical extension.
    #[error("the peer's certificate is not acceptable")]
    BadCertificate,
    /// The peer's certificate does not name whom it must.
    #[error("{0}")]
    Name(#[source] NameError),
    /// The peer does not speak `ncp/1`.
    #[error("the peer does not offer the application protocol ncp/1")]
    Alpn,
    /// The peer does not speak TLS 1.3.
    #[error("the peer does not offer TLS 1.3")]
    Version,
    /// No cipher suite, key exchange or signature algorithm in common.
    #[error("the peer shares no cipher suite, key exchange or signature algorithm with us")]
    Algorithms,
    /// The peer refused us by an alert.
    #[error("the peer refused us: {0}")]
    RefusedByPeer(Alert),
    /// What arrived is not TLS, or is malformed.
    #[error("the peer does not speak TLS")]
    Malformed,
    /// Well-formed TLS that breaks the rules, or does not decrypt.
    #[error("the peer broke the rules of TLS")]
    Misbehaved,
    /// The peer took longer than [`HANDSHAKE_TIMEOUT`](crate::limits::HANDSHAKE_TIMEOUT).
    #[error("the handshake took too long")]
    TimedOut,
    /// Too many unfinished handshakes, from the peer's network address or in all, or too many connections of the peer.
    #[error("too many unfinished handshakes, or too many connections of this participant")]
    Crowded,
    /// The peer closed the connection in the middle of the handshake.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// The connection failed.
    #[error("the connection failed during the handshake: {0}")]
    Io(io::ErrorKind),
    /// No clock, no randomness, or an error that our TLS library should not have.
    #[error("our TLS library failed")]
    Library,
}

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// The peer violated a protocol, or is not who it must be.
    Peer,
    /// Both are honest, and speak different versions.
    Incompatible,
    /// The network between us, or a peer that went away: try again later.
    Network,
    /// Our own certificate, lists or library.
    Ours,
}

impl HandshakeError {
    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::WrongCa
            | Self::Expired
            | Self::NotYetValid
            | Self::Revoked
            | Self::NoCertificate
            | Self::BadCertificate
            | Self::Name(_)
            | Self::Malformed
            | Self::Misbehaved => Blame::Peer,
            Self::Alpn | Self::Version | Self::Algorithms => Blame::Incompatible,
            Self::TimedOut | Self::Crowded | Self::Closed | Self::Io(_) => Blame::Network,
            Self::RevocationUnknown | Self::RefusedByPeer(_) | Self::Library => Blame::Ours,
        }
    }
}

/// An alert that the peer sent (RFC 8446, section 6): its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert(pub u8);

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            40 => f.write_str("handshake failure"),
            42 => f.write_str("it cannot use our certificate"),
            44 => f.write_str("our certificate is revoked"),
            45 => f.write_str("our certificate has expired"),
            46 => f.write_str("it does not accept our certificate"),
            48 => f.write_str("it does not know the authority of our certificate"),
            70 => f.write_str("it does not speak our version of TLS"),
            116 => f.write_str("it asks for a certificate"),
            120 => f.write_str("it does not speak ncp/1"),
            other => write!(f, "TLS alert {other}"),
        }
    }
}

/// What a handshake agreed on, for logs and operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// Protocol version, `TLSv1_3`.
    pub version: String,
    /// Key exchange, such as `X25519MLKEM768`.
    pub key_exchange: String,
    /// Cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
}

/// A finished handshake.
pub(crate) struct Authenticated {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) peer: PeerIdentity,
    pub(crate) certificates: PeerCertificates,
    pub(crate) facts: TlsFacts,
}

/// The hub's side.
pub(crate) async fn accept(
    socket: TcpStream,
    settings: &TlsSettings,
    deadline: Instant,
) -> Result<Authenticated, HandshakeError> {
    let accepting = TlsAcceptor::from(settings.server()).accept(socket);
    let stream = timeout_at(deadline, accepting).await.map_err(|_| HandshakeError::TimedOut)??;
    authenticated(stream.into(), settings, Expected::Participant)
}

/// The node's side.
pub(crate) async fn connect(
    socket: TcpStream,
    settings: &TlsSettings,
    deadline: Instant,
) -> Result<Authenticated, HandshakeError> {
    let connecting = TlsConnector::from(settings.client()).connect(unused_name(), socket);
    let stream = timeout_at(deadline, connecting).await.map_err(|_| HandshakeError::TimedOut)??;
    authenticated(stream.into(), settings, Expected::Hub)
}

/// Reads identity and facts of a finished handshake. rustls leaves a peer without ALPN in place, so that is refused here.
fn authenticated(
    stream: TlsStream<TcpStream>,
    settings: &TlsSettings,
    expected: Expected,
) -> Result<Authenticated, HandshakeError> {
    let connection: &CommonState = stream.get_ref().1;
    if connection.alpn_protocol() != Some(ALPN) {
        return Err(HandshakeError::Alpn);
    }
    let certificates = connection.peer_certificates().unwrap_or_default().to_vec();
    let certificate = certificates.first().ok_or(HandshakeError::NoCertificate)?;
    let peer = expected.check(certificate, settings.network()).map_err(HandshakeError::Name)?;
    let facts = facts(connection).ok_or(HandshakeError::Library)?;
    Ok(Authenticated { peer, facts, certificates: PeerCertificates(certificates), stream })
}

fn facts(connection: &CommonState) -> Option<TlsFacts> {
    Some(TlsFacts {
        version: format!("{:?}", connection.protocol_version()?),
        key_exchange: format!("{:?}", connection.negotiated_key_exchange_group()?.name()),
        cipher: format!("{:?}", connection.negotiated_cipher_suite()?.suite()),
    })
}

/// The TLS error inside an I/O error, if it is one.
pub(crate) fn tls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        match tls_cause(&error) {
            Some(cause) => cause.into(),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Io(error.kind()),
        }
    }
}

impl From<&rustls::Error> for HandshakeError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "an open enum; what is not named cannot be caused by a peer")]
    fn from(error: &rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(error) => certificate_error(error),
            E::InvalidCertRevocationList(_) => Self::RevocationUnknown,
            E::NoCertificatesPresented => Self::NoCertificate,
            E::NoApplicationProtocol => Self::Alpn,
            E::PeerIncompatible(error) => incompatible(error),
            E::AlertReceived(AlertDescription::ProtocolVersion) => Self::Version,
            E::AlertReceived(AlertDescription::NoApplicationProtocol) => Self::Alpn,
            E::AlertReceived(alert) => Self::RefusedByPeer(Alert((*alert).into())),
            E::InvalidMessage(_) => Self::Malformed,
            E::PeerMisbehaved(_)
            | E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::PeerSentOversizedRecord
            | E::UnsupportedNameType
            | E::DecryptError => Self::Misbehaved,
            _ => Self::Library,
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "an open enum; the rest is one class: a bad certificate")]
fn certificate_error(error: &CertificateError) -> HandshakeError {
    use CertificateError as C;
    match error {
        C::UnknownIssuer => HandshakeError::WrongCa,
        // A root of the same name with another key signs what our root's key does not verify.
        C::BadSignature => HandshakeError::WrongCa,
        C::Expired | C::ExpiredContext { .. } => HandshakeError::Expired,
        C::NotValidYet | C::NotValidYetContext { .. } => HandshakeError::NotYetValid,
        C::Revoked => HandshakeError::Revoked,
        C::UnknownRevocationStatus | C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => {
            HandshakeError::RevocationUnknown
        }
        C::Other(other) => match other.0.downcast_ref::<NameError>() {
            Some(name) => HandshakeError::Name(name.clone()),
            None => HandshakeError::BadCertificate,
        },
        _ => HandshakeError::BadCertificate,
    }
}

fn incompatible(error: &PeerIncompatible) -> HandshakeError {
    use PeerIncompatible as P;
    let version = matches!(
        error,
        P::SupportedVersionsExtensionRequired
            | P::ServerTlsVersionIsDisabledByOurConfig
            | P::ServerDoesNotSupportTls12Or13
            | P::Tls12NotOffered
            | P::Tls12NotOfferedOrEnabled
            | P::Tls13RequiredForQuic
    );
    if version { HandshakeError::Version } else { HandshakeError::Algorithms }
}
