//! A private CA, its certificates, a hub that listens and nodes that dial.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ncp_protocol::ids::{Digest, KeyId, NetworkId, ParticipantId, certificate_uri};
use ncp_protocol::keys::sha256;
use ncp_transport::address::Reach;
use ncp_transport::connection::Connection;
use ncp_transport::dial::{AttemptError, DialError, Dialler, FailedAttempt, Route};
use ncp_transport::frame::{FrameError, IdleLimit};
use ncp_transport::handshake::HandshakeError;
use ncp_transport::identity::PinLookup;
use ncp_transport::limits::IDLE_TIMEOUT;
use ncp_transport::listener::{Arrival, Listener, ListenerLimits};
use ncp_transport::tls::{SharedTls, TlsMaterial, TlsSettings};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData as _, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) const NETWORK: NetworkId = NetworkId(Digest([0x5a; 32]));
pub(crate) const OTHER_NETWORK: NetworkId = NetworkId(Digest([0xc3; 32]));

pub(crate) fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

/// A private CA.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a certificate says.
pub(crate) struct Leaf {
    pub(crate) names: Vec<SanType>,
    pub(crate) years: (i32, i32),
    pub(crate) purpose: ExtendedKeyUsagePurpose,
    pub(crate) serial: u64,
}

impl Leaf {
    pub(crate) fn of(participant: ParticipantId) -> Self {
        let purpose = if participant == ParticipantId::HUB {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        };
        Self { names: vec![uri(&certificate_uri(&NETWORK, participant))], years: (2020, 2120), purpose, serial: 77 }
    }
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// A certificate with its key.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) material: TlsMaterial,
    pub(crate) key_id: KeyId,
}

impl Issued {
    pub(crate) fn settings(&self) -> TlsSettings {
        TlsSettings::new(&self.material, NETWORK).unwrap()
    }

    pub(crate) fn shared(&self) -> SharedTls {
        SharedTls::new(self.settings())
    }

    /// The same, but trusting another authority.
    pub(crate) fn trusting(mut self, ca: &Ca) -> Self {
        self.material.authorities = ca.pem();
        self
    }

    pub(crate) fn with_list(mut self, list: Vec<u8>) -> Self {
        self.material.revocation_lists.push(list);
        self
    }
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    pub(crate) fn issue(&self, leaf: Leaf) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = leaf.names;
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        params.extended_key_usages = vec![leaf.purpose];
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.use_authority_key_identifier_extension = true;
        let material = TlsMaterial {
            certificate_chain: params.signed_by(&key, &self.issuer).unwrap().pem().into_bytes(),
            private_key: key.serialize_pem().into_bytes().into(),
            authorities: self.pem(),
            revocation_lists: vec![],
        };
        Issued { material, key_id: KeyId(sha256(&key.subject_public_key_info())) }
    }

    pub(crate) fn hub(&self) -> Issued {
        self.issue(Leaf::of(ParticipantId::HUB))
    }

    pub(crate) fn node(&self, participant: &str) -> Issued {
        self.issue(Leaf::of(id(participant)))
    }

    /// A revocation list with these serial numbers, to be renewed at the start of `until`.
    pub(crate) fn revocation_list(&self, serials: &[u64], until: i32) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap().into_bytes()
    }
}

/// A directory that pins nothing.
pub(crate) fn no_pins() -> PinLookup {
    Arc::new(|_| Vec::new())
}

/// A hub that listens.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) running: JoinHandle<()>,
}

impl Hub {
    pub(crate) fn start(tls: SharedTls) -> Self {
        Self::start_with(tls, ListenerLimits::default(), no_pins())
    }

    pub(crate) fn start_with(tls: SharedTls, limits: ListenerLimits, pins: PinLookup) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let address = listener.local_addr();
        let (sender, arrivals) = mpsc::channel(64);
        Self { address, arrivals, running: tokio::spawn(listener.run(tls, pins, sender)) }
    }

    pub(crate) async fn connection(&mut self) -> Connection {
        match self.arrivals.recv().await.unwrap() {
            Arrival::Connected(connection) => *connection,
            Arrival::Refused { error, .. } => panic!("refused: {error}"),
        }
    }

    pub(crate) async fn refusal(&mut self) -> HandshakeError {
        match self.arrivals.recv().await.unwrap() {
            Arrival::Connected(connection) => panic!("connected: {}", connection.peer),
            Arrival::Refused { error, .. } => error,
        }
    }
}

pub(crate) fn dialler(node: &Issued, address: SocketAddr) -> Dialler {
    let route = Route { targets: vec![address.into()], proxy: None, reach: Reach::LoopbackOnly };
    Dialler::new(route, node.shared(), no_pins(), IdleLimit::fixed(IDLE_TIMEOUT))
}

/// The one handshake error of a dial to one address.
pub(crate) fn handshake_error(outcome: Result<Connection, DialError>) -> HandshakeError {
    let attempts = outcome.unwrap_err().attempts;
    match attempts.as_slice() {
        [FailedAttempt { error: AttemptError::Handshake(error), .. }] => error.clone(),
        other => panic!("{other:?}"),
    }
}

/// How a hub and a node judge one another: each side's error, if any. The node learns of the hub's at its first read.
pub(crate) async fn meet(hub: &Issued, node: &Issued) -> (Result<(), HandshakeError>, Result<(), NodeSees>) {
    let mut listening = Hub::start(hub.shared());
    let dialled = dialler(node, listening.address).dial().await;
    match listening.arrivals.recv().await.unwrap() {
        Arrival::Connected(connection) => {
            drop(connection);
            (Ok(()), dialled.map(|_| ()).map_err(|error| NodeSees::Handshake(handshake_error(Err(error)))))
        }
        Arrival::Refused { error, .. } => {
            let sees = match dialled {
                Ok(mut connection) => NodeSees::FirstRead(connection.reader.next().await.unwrap_err()),
                Err(error) => NodeSees::Handshake(handshake_error(Err(error))),
            };
            (Err(error), Err(sees))
        }
    }
}

/// Where a node notices a failure.
#[derive(Debug, PartialEq)]
pub(crate) enum NodeSees {
    Handshake(HandshakeError),
    FirstRead(FrameError),
}

/// Fails the test instead of hanging it.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}
