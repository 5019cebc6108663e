//! Keys and certificates read from the folders of a participant or of the hub: what a thief of that machine would have.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use ncp_protocol::directory::{Entry, SignedEntry};
use ncp_protocol::ids::{Epoch, LogName, LogOrigin, NetworkId, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::wrap::SealingKey;
use ncp_transport::tls::TlsMaterial;

use crate::network::Network;

/// What a participant's machine holds.
#[derive(Debug, Clone)]
pub struct Material {
    /// Whose it is.
    pub participant: ParticipantId,
    /// The network.
    pub network: NetworkId,
    /// Where the hub listens.
    pub hub: SocketAddr,
    /// Signs envelopes.
    pub signing: SigningKey,
    /// Opens envelopes.
    pub sealing: SealingKey,
    /// Signs the log's checkpoints.
    pub log: SigningKey,
    /// Signs directory entries.
    pub identity: SigningKey,
    /// The directory entry of version 0.
    pub entry: SignedEntry,
    /// For the link.
    pub tls: Tls,
}

/// Certificate, key and authority, as PEM.
#[derive(Clone)]
pub struct Tls {
    /// Own certificate.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// Whom to trust.
    pub authority: Vec<u8>,
}

impl core::fmt::Debug for Tls {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// As the transport takes it.
    #[must_use]
    pub fn material(&self) -> TlsMaterial {
        TlsMaterial {
            certificate_chain: self.certificate.clone(),
            private_key: self.key.clone().into(),
            authorities: self.authority.clone(),
            revocation_lists: Vec::new(),
        }
    }

    fn read(data: &Path) -> Self {
        Self {
            certificate: read(data, "network/tls.crt"),
            key: read(data, "keys/tls.key"),
            authority: read(data, "network/ca.crt"),
        }
    }
}

impl Material {
    /// Reads a participant's folder.
    ///
    /// # Panics
    /// If something is missing.
    #[must_use]
    pub fn of(network: &Network, name: &str) -> Self {
        let node = network.node(name);
        let data = node.data();
        Self {
            participant: node.id(),
            network: node.network(),
            hub: network.relay().address(),
            signing: signing_key(&data, "keys/signing.key"),
            sealing: SealingKey::from_seed(&seed(&data, "keys/sealing-1.key")),
            log: signing_key(&data, "keys/log-node-1.key"),
            identity: signing_key(node.folder(), "offline/identity.key"),
            entry: SignedEntry::decode(&read(&data, "network/entry-0")).expect("a signed entry"),
            tls: Tls::read(&data),
        }
    }

    /// The directory entry.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        self.entry.unverified()
    }

    /// The origin of the participant's log.
    #[must_use]
    pub fn origin(&self) -> LogOrigin {
        LogOrigin { network: self.network, participant: self.participant, log: LogName::Node, epoch: Epoch(1) }
    }
}

/// What the hub's machine holds.
#[derive(Debug, Clone)]
pub struct HubMaterial {
    /// The network.
    pub network: NetworkId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Signs checkpoints of `traffic`.
    pub traffic: SigningKey,
    /// Signs checkpoints of `public`.
    pub public: SigningKey,
    /// Signs timestamp statements.
    pub timestamp: SigningKey,
    /// For the link.
    pub tls: Tls,
}

impl HubMaterial {
    /// Reads the hub's data folder.
    ///
    /// # Panics
    /// If something is missing.
    #[must_use]
    pub fn of(network: &Network, participant: &str) -> Self {
        let data = network.relay().data();
        Self {
            network: network.node(participant).network(),
            address: network.relay().address(),
            traffic: signing_key(&data, "keys/log-traffic-1.key"),
            public: signing_key(&data, "keys/log-public-1.key"),
            timestamp: signing_key(&data, "keys/timestamp.key"),
            tls: Tls::read(&data),
        }
    }

    /// The origin of one of its logs.
    #[must_use]
    pub fn origin(&self, log: LogName) -> LogOrigin {
        LogOrigin { network: self.network, participant: ParticipantId::HUB, log, epoch: Epoch(1) }
    }
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    let path = folder.join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The seed in a key file: its last 32 bytes.
fn seed(folder: &Path, name: &str) -> [u8; 32] {
    *read(folder, name).last_chunk::<32>().expect("a key file ends with its seed")
}

/// The private key in a key file of an Ed25519 key.
pub(crate) fn signing_key(folder: &Path, name: &str) -> SigningKey {
    SigningKey::from_seed(&seed(folder, name))
}
