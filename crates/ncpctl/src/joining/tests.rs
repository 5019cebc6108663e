//! Joining from both sides, in a folder of each test's own: the hub's and any number of nodes'.

use std::fs;
use std::path::{Path, PathBuf};

use ncp_api::Fault;
use ncp_protocol::directory::{Fingerprint, MembershipClass};
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::root::NetworkClass;
use ncp_store::keyfiles::keyring::Keyring;
use tempfile::TempDir;

use super::entry::{Made, Maker};
use super::folder::{HubFolder, make_data_folders};
use super::hub::{Admitted, Decision, Network, Plan, admit, make_network};
use super::request::Request;
use super::root::RoleSize;

mod admission;
mod answer;
mod losses;
mod network;
mod request;

const NOW: UnixMillis = UnixMillis(1_795_348_930_000);

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hub_folder(&self) -> HubFolder {
        HubFolder::new(&self.path("hub"), None)
    }

    fn plan(&self, class: NetworkClass) -> Plan {
        Plan {
            keyring: Keyring::OPEN,
            folder: self.hub_folder(),
            class,
            listen: "127.0.0.1:7400".to_owned(),
            socket: self.hub_folder().test_socket(),
            root: RoleSize::of_root(class),
            membership: RoleSize::of_membership(class),
            now: NOW,
        }
    }

    fn network(&self, class: NetworkClass) -> Network {
        make_network(&self.plan(class)).expect("a network")
    }

    fn node(&self, participant: &str, network: NetworkId) -> Made {
        self.try_node(participant, participant, network).expect("keys")
    }

    fn try_node(&self, folder: &str, participant: &str, network: NetworkId) -> Result<Made, Fault> {
        let data = self.path(folder);
        let offline = data.join("offline");
        make_data_folders(&data)?;
        Maker {
            data: &data,
            keyring: &Keyring::OPEN,
            offline: &offline,
            network,
            participant: id(participant),
            now: NOW,
        }
        .node()
    }

    fn request(&self, made: &Made) -> PathBuf {
        let path = self.path(&format!("{}-request.json", made.entry.unverified().participant));
        Request::write(&path, made).expect("written");
        path
    }

    fn admit(&self, request: &Path, fingerprint: Fingerprint) -> Result<Admitted, Fault> {
        admit(&self.hub_folder(), request, &decision(fingerprint), NOW)
    }

    /// XA's answer as a file, after everything before it.
    fn answer(&self, network: &Network) -> PathBuf {
        let made = self.node("XA", network.root.network());
        let admitted = self.admit(&self.request(&made), made.fingerprint()).expect("admitted");
        let path = self.path("XA-answer.json");
        admitted.answer.write(&path).expect("written");
        path
    }
}

fn id(text: &str) -> ParticipantId {
    text.parse().expect("an id")
}

fn decision(fingerprint: Fingerprint) -> Decision {
    Decision { fingerprint, class: MembershipClass::ParticipatingState, role_keys: Vec::new() }
}

/// All files below a folder with their bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(&path).expect("file")));
        }
    }
    found.sort();
    found
}
