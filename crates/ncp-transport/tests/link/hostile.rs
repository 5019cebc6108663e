//! Peers that do not play by the rules, through rustls with other settings or through raw bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use ncp_transport::handshake::{Blame, HandshakeError};
use ncp_transport::listener::ListenerLimits;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use crate::world::{Ca, Hub, Issued, dialler, handshake_error, no_pins, soon};

/// A client with settings of its own.
pub(crate) struct RawClient(pub(crate) Arc<ClientConfig>);

impl RawClient {
    pub(crate) async fn connect(&self, address: SocketAddr) -> std::io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from("hub.example.org").unwrap();
        TlsConnector::from(Arc::clone(&self.0)).connect(name, TcpStream::connect(address).await?).await
    }
}

/// Believes everything: these tests are about the other side.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn chain_and_key(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(&issued.material.certificate_chain).collect::<Result<_, _>>().unwrap();
    (chain, PrivateKeyDer::from_pem_slice(&issued.material.private_key).unwrap())
}

pub(crate) fn raw_client(certificate: Option<&Issued>, alpn: &[&[u8]]) -> RawClient {
    raw_client_with(default_provider(), certificate, alpn)
}

fn raw_client_with(provider: CryptoProvider, certificate: Option<&Issued>, alpn: &[&[u8]]) -> RawClient {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible));
    let mut config = match certificate.map(chain_and_key) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    RawClient(Arc::new(config))
}

/// A hub with settings of its own: accepts one connection, then reads until the peer is gone.
async fn raw_hub(certificate: &Issued, alpn: &[&[u8]]) -> SocketAddr {
    let (chain, key) = chain_and_key(certificate);
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let socket = listener.accept().await.unwrap().0;
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(socket).await {
            let _ = stream.read(&mut [0; 16]).await;
        }
    });
    address
}

/// What a node says to a hub with this certificate.
pub(crate) async fn node_meets_raw_hub(ca: &Ca, certificate: &Issued) -> HandshakeError {
    let address = raw_hub(certificate, &[b"ncp/1"]).await;
    handshake_error(soon(dialler(&ca.node("XA"), address).dial()).await)
}

/// What a hub says to a node with this certificate.
pub(crate) async fn hub_meets_raw_node(ca: &Ca, certificate: &Issued) -> HandshakeError {
    let mut listening = Hub::start(ca.hub().shared());
    let _stream = soon(raw_client(Some(certificate), &[b"ncp/1"]).connect(listening.address)).await;
    soon(listening.refusal()).await
}

#[tokio::test]
async fn client_without_certificate_is_refused() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let _stream = soon(raw_client(None, &[b"ncp/1"]).connect(listening.address)).await;
    assert_eq!(soon(listening.refusal()).await, HandshakeError::NoCertificate);
}

#[tokio::test]
async fn another_application_protocol_or_none_is_refused() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let node = ca.node("XA");
    let offers: [&[&[u8]]; 4] = [&[], &[b"h2"], &[b"ncp/2"], &[b"NCP/1"]];
    for offer in offers {
        let _stream = soon(raw_client(Some(&node), offer).connect(listening.address)).await;
        assert_eq!(soon(listening.refusal()).await, HandshakeError::Alpn, "{offer:?}");
    }
    // Among others is enough.
    let _stream = soon(raw_client(Some(&node), &[b"h2", b"ncp/1"]).connect(listening.address)).await.unwrap();
    soon(listening.connection()).await;

    let hubs: [&[&[u8]]; 2] = [&[], &[b"h2"]];
    for offer in hubs {
        let address = raw_hub(&ca.hub(), offer).await;
        let error = handshake_error(soon(dialler(&node, address).dial()).await);
        assert_eq!(error, HandshakeError::Alpn, "{offer:?}");
        assert_eq!(error.blame(), Blame::Incompatible);
    }
}

#[tokio::test]
async fn peer_without_the_hybrid_exchange_is_served_and_seen() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let node = ca.node("XA");
    let client = |group| {
        let provider = CryptoProvider { kx_groups: vec![group], ..default_provider() };
        raw_client_with(provider, Some(&node), &[b"ncp/1"])
    };
    let _stream = soon(client(kx_group::X25519).connect(listening.address)).await.unwrap();
    assert_eq!(soon(listening.connection()).await.tls.key_exchange, "X25519");
    let _refused = soon(client(kx_group::SECP384R1).connect(listening.address)).await;
    assert_eq!(soon(listening.refusal()).await, HandshakeError::Algorithms);
}

#[tokio::test]
async fn sessions_are_never_resumed() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    // This client keeps tickets, if it is given any.
    let client = raw_client(Some(&ca.node("XA")), &[b"ncp/1"]);
    for _ in 0..2 {
        let mut stream = soon(client.connect(listening.address)).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        // A ticket would come with the hub's first flight of data.
        let frame = ncp_transport::frame::RawFrame { kind: 1, payload: vec![2] };
        soon(listening.connection()).await.writer.send(&frame).await.unwrap();
        let mut bytes = [0; 6];
        soon(stream.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(bytes, [2, 0, 0, 0, 1, 2]);
        assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
    }
}

/// A handshake message in a record of TLS 1.2.
fn record(message: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let mut bytes = vec![0x16, 3, 3];
    bytes.extend((length + 4).to_be_bytes());
    bytes.extend([message, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A `ClientHello` that speaks TLS 1.2 and nothing newer (RFC 5246, section 7.4.1.2).
fn client_hello_tls12() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    #[rustfmt::skip]
    body.extend([
        0,                          // no session id
        0, 2, 0xc0, 0x2f,           // TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        1, 0,                       // no compression
        0, 18,                      // extensions
        0, 10, 0, 4, 0, 2, 0, 29,   // supported_groups: x25519
        0, 13, 0, 6, 0, 4, 4, 3, 8, 4, // signature_algorithms
    ]);
    record(1, &body)
}

#[tokio::test]
async fn client_that_speaks_tls12_alone_is_refused() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let mut socket = TcpStream::connect(listening.address).await.unwrap();
    socket.write_all(&client_hello_tls12()).await.unwrap();
    assert_eq!(soon(listening.refusal()).await, HandshakeError::Version);
    let mut alert = Vec::new();
    soon(socket.read_to_end(&mut alert)).await.unwrap();
    // alert, fatal, protocol_version
    assert_eq!((alert.first(), alert.get(5..)), (Some(&0x15), Some(&[2, 70][..])));
}

/// What a node says to a hub that answers with these bytes.
async fn node_is_told(answer: Vec<u8>) -> HandshakeError {
    let ca = Ca::new("a");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answering = tokio::spawn(async move {
        let mut socket = listener.accept().await.unwrap().0;
        let mut hello = [0; 64];
        socket.read_exact(&mut hello).await.unwrap();
        socket.write_all(&answer).await.unwrap();
        // Until the node is gone: closing earlier could reset the connection before the answer is read.
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    let error = handshake_error(soon(dialler(&ca.node("XA"), address).dial()).await);
    soon(answering).await.unwrap();
    error
}

#[tokio::test]
async fn hub_that_speaks_tls12_alone_is_refused() {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    // No session id, a suite of TLS 1.2, no compression, no extensions.
    body.extend([0, 0xc0, 0x2f, 0, 0, 0]);
    assert_eq!(node_is_told(record(2, &body)).await, HandshakeError::Version);
    // Or it answers with an alert: fatal, protocol_version.
    assert_eq!(node_is_told(vec![0x15, 3, 3, 0, 2, 2, 70]).await, HandshakeError::Version);
}

#[tokio::test]
async fn garbage_instead_of_tls_is_refused() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    for garbage in [&b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.9\r\n", &[0; 64], &[0xff; 64]] {
        let mut socket = TcpStream::connect(listening.address).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        let error = soon(listening.refusal()).await;
        assert_eq!(error, HandshakeError::Malformed, "{garbage:?}");
        assert_eq!(error.blame(), Blame::Peer);
    }
    assert_eq!(node_is_told(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await, HandshakeError::Malformed);
}

#[tokio::test]
async fn peer_that_leaves_in_the_middle_is_noticed() {
    let ca = Ca::new("a");
    let mut listening = Hub::start(ca.hub().shared());
    let mut socket = TcpStream::connect(listening.address).await.unwrap();
    socket.write_all(&client_hello_tls12()[..20]).await.unwrap();
    drop(socket);
    assert_eq!(soon(listening.refusal()).await, HandshakeError::Closed);
}

#[tokio::test(start_paused = true)]
async fn silent_or_trickling_handshake_ends_after_ten_seconds() {
    let ca = Ca::new("a");
    let mut listening = Hub::start_with(ca.hub().shared(), ListenerLimits::default(), no_pins());
    let begin = tokio::time::Instant::now();
    let silent = TcpStream::connect(listening.address).await.unwrap();
    assert_eq!(listening.refusal().await, HandshakeError::TimedOut);
    assert_eq!(begin.elapsed().as_secs(), 10);
    drop(silent);

    let begin = tokio::time::Instant::now();
    let mut slow = TcpStream::connect(listening.address).await.unwrap();
    let trickling = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(std::time::Duration::from_secs(1));
        for byte in client_hello_tls12() {
            ticks.tick().await;
            if slow.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    assert_eq!(listening.refusal().await, HandshakeError::TimedOut);
    assert_eq!(begin.elapsed().as_secs(), 10);
    trickling.abort();
}

#[tokio::test]
async fn right_name_never_makes_up_for_the_chain() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    assert_eq!(node_meets_raw_hub(&ours, &theirs.hub()).await, HandshakeError::WrongCa);
}
