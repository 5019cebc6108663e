//! The two certificate verifiers that rustls calls during a handshake.
//!
//! Both check the chain to the private CA, validity, purpose and revocation with webpki, and then the participant's
//! name in the URI. Neither looks at DNS names. rustls' own verifier for servers cannot be used: it insists on a DNS
//! name or an address, and a hub's certificate would then carry an identity that nobody means. So the verifier for the
//! hub calls the same webpki function as rustls does, without the name, and puts the check of the URI in its place. The
//! verifier for nodes wraps the one of rustls, which asks for no name.
//!
//! A refusal happens inside the handshake, so the peer is told by an alert; the detail stays here.

use std::sync::Arc;

use ncp_protocol::ids::NetworkId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible};
use rustls::{RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use crate::identity::{Expected, NameError};

/// Verifies the hub's certificate at a node.
#[derive(Debug)]
pub(crate) struct HubVerifier {
    pub(crate) authorities: Arc<RootCertStore>,
    pub(crate) revocation_lists: Vec<CertRevocationList<'static>>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
    pub(crate) network: NetworkId,
}

impl HubVerifier {
    /// The chain alone: issuer, validity, purpose `serverAuth` if the certificate names purposes, revocation of every
    /// certificate but the root. With revocation lists, an unknown status or a list past its `nextUpdate` refuses.
    fn verify_chain(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let lists: Vec<_> = self.revocation_lists.iter().collect();
        // The builder refuses an empty set of lists, which means that revocation is not checked.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|builder| {
            builder
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let certificate = EndEntityCert::try_from(certificate).map_err(refusal)?;
        let (algorithms, roots) = (self.algorithms.all, &self.authorities.roots);
        certificate
            .verify_for_usage(algorithms, roots, intermediates, now, KeyUsage::server_auth(), revocation, None)
            .map_err(refusal)?;
        Ok(())
    }
}

impl ServerCertVerifier for HubVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify_chain(end_entity, intermediates, now)?;
        Expected::Hub.check(end_entity, &self.network).map_err(wrong_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Verifies a node's certificate at the hub.
#[derive(Debug)]
pub(crate) struct NodeVerifier {
    pub(crate) chain: Arc<dyn ClientCertVerifier>,
    pub(crate) network: NetworkId,
}

impl ClientCertVerifier for NodeVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        Expected::Participant.check(end_entity, &self.network).map_err(wrong_name)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

fn wrong_name(error: NameError) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// webpki's error as rustls would report it, so that both verifiers end in the same alerts and the same
/// [`HandshakeError`](crate::handshake::HandshakeError).
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is open and long; the rest is one class: a bad certificate"
)]
fn refusal(error: webpki::Error) -> rustls::Error {
    use webpki::Error as E;
    let error = match error {
        E::CertExpired { .. } | E::InvalidCertValidity => CertificateError::Expired,
        E::CertNotValidYet { .. } => CertificateError::NotValidYet,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::CertRevoked => CertificateError::Revoked,
        E::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        E::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => CertificateError::InvalidPurpose,
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    error.into()
}
