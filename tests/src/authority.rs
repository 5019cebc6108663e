//! Certificates with any name and any dates, from the network's own authority or from another one.

use std::fs;

use ncp_protocol::ids::{NetworkId, ParticipantId, certificate_uri};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::material::Tls;
use crate::network::Network;

/// An authority that issues what it is asked for.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Whom the holder of a certificate trusts: the network's authority.
    trusted: Vec<u8>,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// The network in its name.
    pub network: NetworkId,
    /// The participant in its name.
    pub participant: ParticipantId,
    /// First and last year, each from 1 January.
    pub years: (i32, i32),
}

impl Subject {
    /// A certificate that is in force.
    #[must_use]
    pub fn of(network: NetworkId, participant: ParticipantId) -> Self {
        Self { network, participant, years: (2020, 2120) }
    }
}

impl Authority {
    /// The network's own authority, with its stolen key.
    ///
    /// # Panics
    /// If its files cannot be read.
    #[must_use]
    pub fn of(network: &Network) -> Self {
        let folder = network.relay().folder().join("authority");
        let key = fs::read_to_string(folder.join("ca.key")).expect("the authority's key");
        let trusted = fs::read(network.relay().data().join("network/ca.crt")).expect("the authority's certificate");
        let key = KeyPair::from_pem(&key).expect("a key in PEM");
        let issuer = Issuer::from_ca_cert_pem(&String::from_utf8_lossy(&trusted), key).expect("an authority");
        Self { issuer, trusted }
    }

    /// Another authority, made up. Holders of its certificates still trust the network's.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    pub fn other(network: &Network) -> Self {
        let trusted = fs::read(network.relay().data().join("network/ca.crt")).expect("the authority's certificate");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "another authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let made = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let key = KeyPair::from_pem(&made.key().serialize_pem()).expect("the same key");
        let issuer = Issuer::from_ca_cert_pem(&made.pem(), key).expect("an authority");
        Self { issuer, trusted }
    }

    /// Issues a certificate with a fresh key.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn issue(&self, subject: &Subject) -> Tls {
        self.certify(subject, &KeyPair::generate().expect("a key"))
    }

    /// Issues a certificate for a key that exists already.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn issue_for(&self, subject: &Subject, tls: &Tls) -> Tls {
        self.certify(subject, &KeyPair::from_pem(&String::from_utf8_lossy(&tls.key)).expect("a key in PEM"))
    }

    fn certify(&self, subject: &Subject, key: &KeyPair) -> Tls {
        let mut params = CertificateParams::default();
        let name = certificate_uri(&subject.network, subject.participant);
        params.subject_alt_names = vec![SanType::URI(name.as_str().try_into().expect("an ASCII name"))];
        params.not_before = date_time_ymd(subject.years.0, 1, 1);
        params.not_after = date_time_ymd(subject.years.1, 1, 1);
        let hub = subject.participant == ParticipantId::HUB;
        let purpose = if hub { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth };
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer).expect("a certificate");
        Tls {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
            authority: self.trusted.clone(),
        }
    }
}
