//! Where things lie in the folder of the hub's operator.
//!
//! ```text
//! DIR/data/        the relay's data folder: keys it works with, network files
//! DIR/authority/   certificate authority and membership statements: for ncpctl alone, never for the relay
//! DIR/offline/     role keys, identity and recovery key of the hub: to be carried apart
//! DIR/relay.toml   configuration with which the relay starts
//! ```

use std::path::{Path, PathBuf};

use ncp_api::Fault;
use ncp_protocol::ids::{KeyId, ParticipantId};
use ncp_store::keyfiles;

use super::files::{check_folder, make_folder};

/// The relay's API socket in a live network (`RuntimeDirectory=ncp-relay` of its unit).
pub(crate) const LIVE_SOCKET: &str = "/run/ncp-relay/api.sock";

/// The folder of the hub's operator.
#[derive(Debug, Clone)]
pub(crate) struct HubFolder {
    root: PathBuf,
    data: PathBuf,
}

impl HubFolder {
    /// The folder `root`, the relay's data folder in it unless it lies elsewhere.
    pub(crate) fn new(root: &Path, data: Option<&Path>) -> Self {
        Self { root: root.to_owned(), data: data.map_or_else(|| root.join("data"), Path::to_owned) }
    }

    /// Makes whatever folder is missing; that of a data folder elsewhere must exist.
    ///
    /// # Errors
    /// [`ncp_api::ErrorCode::DataFolderUnusable`].
    pub(crate) fn make(&self) -> Result<(), Fault> {
        let network = self.authority().join(keyfiles::NETWORK);
        for folder in [&self.root, &self.authority(), &network, &self.certificates(), &self.offline()] {
            make_folder(folder)?;
        }
        make_data_folders(&self.data)
    }

    /// Whether the folder was made before.
    ///
    /// # Errors
    /// [`ncp_api::ErrorCode::DataFolderUnusable`].
    pub(crate) fn check(&self) -> Result<(), Fault> {
        for folder in [&self.root, &self.authority()] {
            check_folder(folder)?;
        }
        Ok(())
    }

    /// The relay's data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Role keys, identity and recovery key.
    pub(crate) fn offline(&self) -> PathBuf {
        self.root.join("offline")
    }

    /// The relay's configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("relay.toml")
    }

    /// The relay's API socket in a test network.
    pub(crate) fn test_socket(&self) -> PathBuf {
        self.root.join("api.sock")
    }

    /// What ncpctl alone uses. Root of trust, hub entry and the authority's certificate lie in it as in a data folder.
    pub(crate) fn authority(&self) -> PathBuf {
        self.root.join("authority")
    }

    /// Private key of the authority.
    pub(crate) fn authority_key(&self) -> PathBuf {
        self.authority().join("ca.key")
    }

    /// A version of the membership statement.
    pub(crate) fn membership(&self, version: u32) -> PathBuf {
        self.authority().join(format!("membership-{version}"))
    }

    /// Certificate `number`, from 1, issued over the TLS key `pin` of a participant. The first bears no number.
    pub(crate) fn certificate(&self, participant: ParticipantId, pin: &KeyId, number: u32) -> PathBuf {
        let name = format!("{participant}-{}", pin.0.short());
        let number = if number <= 1 { String::new() } else { format!("-{number}") };
        self.certificates().join(format!("{name}{number}.crt"))
    }

    fn certificates(&self) -> PathBuf {
        self.authority().join("certificates")
    }
}

/// Makes the folders of keys and network files in a data folder.
///
/// # Errors
/// [`ncp_api::ErrorCode::DataFolderUnusable`].
pub(crate) fn make_data_folders(data: &Path) -> Result<(), Fault> {
    make_folder(data)?;
    make_folder(&data.join(keyfiles::KEYS))?;
    make_folder(&data.join(keyfiles::NETWORK))
}
