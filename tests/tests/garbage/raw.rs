//! A link below the frames: TLS with a participant's certificate, and any bytes inside.

use std::sync::Arc;

use e2e::material::Material;
use e2e::soon;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Bytes inside TLS.
pub(crate) struct Raw(TlsStream<TcpStream>);

impl Raw {
    /// Connects with a participant's own certificate.
    pub(crate) async fn connect(material: &Material) -> Self {
        let certificates = CertificateDer::pem_slice_iter(&material.tls.certificate).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(&material.tls.key).expect("a key");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Gullible(aws_lc_rs::default_provider())))
            .with_client_auth_cert(certificates.expect("certificates"), key)
            .expect("they fit");
        config.alpn_protocols = vec![b"ncp/1".to_vec()];
        let socket = TcpStream::connect(material.hub).await.expect("the hub listens");
        let name = ServerName::try_from("hub.invalid").expect("a name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
        Self(stream.expect("the handshake succeeds"))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the connection stands");
        self.0.flush().await.expect("the connection stands");
    }

    /// Cuts the connection without TLS's closing alert.
    pub(crate) fn cut(self) {
        drop(self.0);
    }

    /// Reads to the end of the connection: everything that the hub still had to say.
    pub(crate) async fn end(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        // A reset ends it as well as a close.
        let _ = soon("the hub to cut the connection", self.0.read_to_end(&mut said)).await;
        said
    }
}

/// Believes everything: these tests are about the other side.
#[derive(Debug)]
struct Gullible(CryptoProvider);

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
