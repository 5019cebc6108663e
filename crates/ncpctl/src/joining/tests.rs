//! Joining from both sides, in a folder of each test's own: the hub's and any number of nodes'.

use std::fs;
use std::path::{Path, PathBuf};

use ncp_api::Fault;
use ncp_protocol::directory::{Fingerprint, MembershipClass};
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::root::NetworkClass;
use ncp_store::keyfiles::keyring::Keyring;
use tempfile::TempDir;

use super::admission::{Admitted, Decision, admit};
use super::answer::{Answer, Installed};
use super::entry::{Made, Maker};
use super::folder::{HubFolder, make_data_folders};
use super::hub::{Network, Plan, make_network};
use super::request::Request;
use super::root::RoleSize;
use super::rotate::{Rotated, Rotation, Wish};

mod admission;
mod answer;
mod losses;
mod network;
mod new_epoch;
mod renewal;
mod request;
mod rotation;

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
        let path = self.path(&format!("{}-request.json", made.entries.participant()));
        Request::write(&path, made).expect("written");
        path
    }

    fn admit(&self, request: &Path, fingerprint: Fingerprint) -> Result<Admitted, Fault> {
        admit(&self.hub_folder(), request, &decision(fingerprint), NOW)
    }

    /// The next version of a participant's entry, with the identity key where it was made.
    fn rotate(&self, folder: &str, wish: Wish, now: UnixMillis) -> Result<Rotated, Fault> {
        let data = self.path(folder);
        let offline = data.join("offline");
        Rotation { data: &data, keyring: &Keyring::OPEN, offline: &offline, wish, now }.rotate()
    }

    /// The request of the newest version, admitted without a fingerprint, as a file.
    fn renewal(&self, made: &Made, now: UnixMillis) -> Result<PathBuf, Fault> {
        let version = made.entries.version();
        let request = self.path(&format!("XA-request-{version}.json"));
        Request::write(&request, made)?;
        let decision = Decision { fingerprint: None, class: None, role_keys: Vec::new() };
        let admitted = admit(&self.hub_folder(), &request, &decision, now)?;
        let path = self.path(&format!("XA-answer-{version}.json"));
        admitted.answer.write(&path)?;
        Ok(path)
    }

    /// XA's folder with its first answer installed.
    fn joined(&self) -> Network {
        let network = self.network(NetworkClass::Test);
        let answer = self.answer(&network);
        install(&answer, &self.path("XA"), None, NOW).expect("installed");
        network
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

/// As `keys install` does it.
fn install(path: &Path, data: &Path, told: Option<NetworkId>, now: UnixMillis) -> Result<Installed, Fault> {
    let answer = Answer::read(path, now)?;
    answer.check_node(path, (data, &Keyring::OPEN), told, now)?;
    answer.install(data)
}

fn after(days: u64) -> UnixMillis {
    NOW.plus_millis(days * DAY_MS)
}

fn id(text: &str) -> ParticipantId {
    text.parse().expect("an id")
}

fn decision(fingerprint: Fingerprint) -> Decision {
    let class = Some(MembershipClass::ParticipatingState);
    Decision { fingerprint: Some(fingerprint), class, role_keys: Vec::new() }
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
