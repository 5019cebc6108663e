//! TLS configurations, built from PEM files and swapped as a whole.
//!
//! TLS 1.3 alone, mutual authentication under a private CA, X25519MLKEM768 preferred over X25519, ALPN `ncp/1`. No
//! resumption, no tickets, no early data, no key log, no server name sent. Certificates, key, authorities and revocation
//! lists are fixed when settings are built: a reload builds new settings and swaps them; each accept and each dial takes
//! the newest. Links that live on are checked again with [`TlsSettings::check_again`].

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, NoKeyLog, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, DnsName, PrivateKeyDer, ServerName, UnixTime};
use thiserror::Error;
use webpki::OwnedCertRevocationList;
use zeroize::Zeroizing;

use crate::handshake::HandshakeError;
use crate::identity::{NameError, PeerIdentity};
use crate::limits::PEM_MAX;
use crate::verify::{HubVerifier, NodeVerifier};

/// The one application protocol (RFC 7301): link protocol, version 1.
pub const ALPN: &[u8] = b"ncp/1";

/// Where the PEM files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Own certificate, then intermediates up to but without the root.
    pub certificate_chain: PathBuf,
    /// Private key of the certificate. Whether others can read the file is for the daemon to check before.
    pub private_key: PathBuf,
    /// Root certificates of the private CA.
    pub authorities: PathBuf,
    /// Revocation lists. If there are any, every issuer needs a current one; if there are none, revocation is not
    /// checked.
    pub revocation_lists: Vec<PathBuf>,
}

/// What the PEM files hold.
#[derive(Clone)]
pub struct TlsMaterial {
    /// As [`TlsFiles::certificate_chain`].
    pub certificate_chain: Vec<u8>,
    /// As [`TlsFiles::private_key`].
    pub private_key: Zeroizing<Vec<u8>>,
    /// As [`TlsFiles::authorities`].
    pub authorities: Vec<u8>,
    /// As [`TlsFiles::revocation_lists`].
    pub revocation_lists: Vec<Vec<u8>>,
}

/// Why settings could not be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("cannot read {}: {kind}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        kind: std::io::ErrorKind,
    },
    /// A file is larger than [`PEM_MAX`].
    #[error("{} is too large for a PEM file", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// The chain's PEM is damaged, or holds no certificate.
    #[error("the certificate chain is no PEM file with certificates")]
    CertificateChain,
    /// The key's PEM is damaged, holds no private key, or one of an unknown kind.
    #[error("the private key is no PEM file with a usable key")]
    PrivateKey,
    /// The key does not belong to the certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The authorities' PEM is damaged, or holds no certificate that can be a root.
    #[error("the authorities are no PEM file with root certificates")]
    Authorities,
    /// A revocation list is damaged, or of a kind that is not understood (delta, indirect).
    #[error("a revocation list cannot be used")]
    RevocationList,
    /// The own certificate does not name a participant of this network.
    #[error("own certificate: {0}")]
    OwnName(#[source] NameError),
    /// The TLS library refuses the configuration: a bug here.
    #[error("the TLS library refuses the configuration")]
    Library,
}

/// One consistent set of certificates, key, authorities and revocation lists, ready for accepting and dialling.
pub struct TlsSettings {
    network: NetworkId,
    own: PeerIdentity,
    own_chain: PeerCertificates,
    hub_verifier: Arc<HubVerifier>,
    node_verifier: Arc<NodeVerifier>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl TlsSettings {
    /// Reads the files and builds the settings. Blocks on the disk.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(files: &TlsFiles, network: NetworkId) -> Result<Self, SettingsError> {
        let material = TlsMaterial {
            certificate_chain: read_pem(&files.certificate_chain)?.to_vec(),
            private_key: read_pem(&files.private_key)?,
            authorities: read_pem(&files.authorities)?.to_vec(),
            revocation_lists: files
                .revocation_lists
                .iter()
                .map(|path| Ok(read_pem(path)?.to_vec()))
                .collect::<Result<_, SettingsError>>()?,
        };
        Self::new(&material, network)
    }

    /// Builds the settings. Whether the own certificate is in force is not asked here, so that a node with an expired
    /// one still starts, serves its officers and says so: see [`TlsSettings::check_own`].
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn new(material: &TlsMaterial, network: NetworkId) -> Result<Self, SettingsError> {
        let chain: Vec<CertificateDer<'static>> =
            parse_pem(&material.certificate_chain).ok_or(SettingsError::CertificateChain)?;
        let own_certificate = chain.first().ok_or(SettingsError::CertificateChain)?;
        let own = PeerIdentity::of(own_certificate, &network).map_err(SettingsError::OwnName)?;
        let provider = Arc::new(provider());
        let authorities = Arc::new(authorities(&material.authorities)?);
        let lists = revocation_lists(&material.revocation_lists)?;
        let hub_verifier = Arc::new(HubVerifier {
            authorities: Arc::clone(&authorities),
            revocation_lists: owned_lists(&lists)?,
            algorithms: provider.signature_verification_algorithms,
            network,
        });
        let node_verifier = Arc::new(NodeVerifier { chain: node_chain(authorities, lists, &provider)?, network });
        let key = || PrivateKeyDer::from_pem_slice(&material.private_key).map_err(|_| SettingsError::PrivateKey);
        Ok(Self {
            network,
            own,
            own_chain: PeerCertificates(chain.clone()),
            server: Arc::new(server_config(&provider, Arc::clone(&node_verifier) as _, chain.clone(), key()?)?),
            client: Arc::new(client_config(&provider, Arc::clone(&hub_verifier) as _, chain, key()?)?),
            hub_verifier,
            node_verifier,
        })
    }

    /// The network whose names are accepted.
    #[must_use]
    pub fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The own certificate: name, key, expiry.
    #[must_use]
    pub fn own(&self) -> &PeerIdentity {
        &self.own
    }

    /// Checks the own certificate as a peer with the same authorities and revocation lists would at `now`.
    ///
    /// # Errors
    /// [`HandshakeError`], as the peer would report it.
    pub fn check_own(&self, now: UnixMillis) -> Result<(), HandshakeError> {
        self.check(self.own.participant, &self.own_chain, now)
    }

    /// Checks the certificates of a link that was opened under older settings, or long ago: revoked or expired, it must
    /// be closed.
    ///
    /// # Errors
    /// [`HandshakeError`], as a new handshake would report it.
    pub fn check_again(
        &self,
        peer: &PeerIdentity,
        certificates: &PeerCertificates,
        now: UnixMillis,
    ) -> Result<(), HandshakeError> {
        self.check(peer.participant, certificates, now)
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    fn check(
        &self,
        participant: ParticipantId,
        certificates: &PeerCertificates,
        now: UnixMillis,
    ) -> Result<(), HandshakeError> {
        let (certificate, intermediates) = certificates.0.split_first().ok_or(HandshakeError::NoCertificate)?;
        let now = UnixTime::since_unix_epoch(core::time::Duration::from_millis(now.0));
        let checked = if participant == ParticipantId::HUB {
            self.hub_verifier.verify_server_cert(certificate, intermediates, &unused_name(), &[], now).map(|_| ())
        } else {
            self.node_verifier.verify_client_cert(certificate, intermediates, now).map(|_| ())
        };
        checked.map_err(|error| HandshakeError::from(&error))
    }
}

impl core::fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TlsSettings").field("network", &self.network).field("own", &self.own).finish_non_exhaustive()
    }
}

/// The certificates that a peer showed, its own first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificates(pub(crate) Vec<CertificateDer<'static>>);

/// Settings that can be replaced while connections are accepted and dialled. Clones share them.
#[derive(Debug, Clone)]
pub struct SharedTls(Arc<ArcSwap<TlsSettings>>);

impl SharedTls {
    /// Shares `settings`.
    #[must_use]
    pub fn new(settings: TlsSettings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// The newest settings.
    #[must_use]
    pub fn load(&self) -> Arc<TlsSettings> {
        self.0.load_full()
    }

    /// Replaces the settings for all handshakes that begin from now on.
    pub fn replace(&self, settings: TlsSettings) {
        self.0.store(Arc::new(settings));
    }
}

/// A name that the interface of rustls asks for. It is neither sent nor compared.
pub(crate) fn unused_name() -> ServerName<'static> {
    // Unwrap safety: a constant that is a valid DNS name (RFC 6761 reserves `invalid`); the tests dial with it.
    #[expect(clippy::expect_used, reason = "constant")]
    ServerName::DnsName(DnsName::try_from_str("hub.invalid").expect("a constant DNS name"))
}

fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, SettingsError> {
    let unreadable = |error: std::io::Error| SettingsError::Read { path: path.to_owned(), kind: error.kind() };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Room for the whole file at once: a vector that grows would leave pieces of a key behind.
    let length = file.metadata().map_err(unreadable)?.len().min(PEM_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(PEM_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > PEM_MAX {
        return Err(SettingsError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// All items of one kind, `None` if the text is damaged or has none.
fn parse_pem<T: PemObject>(pem: &[u8]) -> Option<Vec<T>> {
    let items: Vec<T> = T::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!items.is_empty()).then_some(items)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, SettingsError> {
    let mut store = RootCertStore::empty();
    for root in parse_pem::<CertificateDer<'static>>(pem).ok_or(SettingsError::Authorities)? {
        store.add(root).map_err(|_| SettingsError::Authorities)?;
    }
    Ok(store)
}

fn revocation_lists(pems: &[Vec<u8>]) -> Result<Vec<CertificateRevocationListDer<'static>>, SettingsError> {
    let mut lists = Vec::new();
    for pem in pems {
        lists.extend(parse_pem(pem).ok_or(SettingsError::RevocationList)?);
    }
    Ok(lists)
}

fn owned_lists(
    lists: &[CertificateRevocationListDer<'static>],
) -> Result<Vec<webpki::CertRevocationList<'static>>, SettingsError> {
    lists
        .iter()
        .map(|list| OwnedCertRevocationList::from_der(list).map(Into::into))
        .collect::<Result<_, _>>()
        .map_err(|_| SettingsError::RevocationList)
}

fn node_chain(
    authorities: Arc<RootCertStore>,
    lists: Vec<CertificateRevocationListDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, SettingsError> {
    // Revocation is asked for the whole chain and an unknown status refuses: the builder's defaults.
    WebPkiClientVerifier::builder_with_provider(authorities, Arc::clone(provider))
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .map_err(|_| SettingsError::RevocationList)
}

/// The suites of aws-lc-rs; of its key exchanges the hybrid one first (draft-ietf-tls-ecdhe-mlkem), then X25519.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, SettingsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| SettingsError::Library)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| own_key_error(&error))?;
    // A resumed session would skip the check of the peer's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.key_log = Arc::new(NoKeyLog {});
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, SettingsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| SettingsError::Library)?
        // "Dangerous" because it is not rustls' own: see `verify`.
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map_err(|error| own_key_error(&error))?;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config.key_log = Arc::new(NoKeyLog {});
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn own_key_error(error: &rustls::Error) -> SettingsError {
    if matches!(error, rustls::Error::InconsistentKeys(_)) {
        SettingsError::KeyMismatch
    } else {
        SettingsError::PrivateKey
    }
}
