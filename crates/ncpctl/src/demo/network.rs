//! A whole network in one folder: made by the steps of joining, with keys made on the spot.
//!
//! The trust root is of class test, so the daemons keep to loopback. Nothing of it is worth keeping.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use ncp_api::client::OfficerIdentity;
use ncp_api::directory::Pin;
use ncp_api::{Client, ErrorCode};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::{NetworkId, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::NetworkClass;
use ncp_store::keyfiles::keyring::Keyring;

use super::cast::{self, Player, Role};
use super::daemon::{Daemon, Program};
use crate::clock::system_now;
use crate::context::fresh;
use crate::error::{Error, file, internal};
use crate::joining::admission::{Decision, admit};
use crate::joining::entry::{Made, Maker};
use crate::joining::files::{fresh_seed, make_folder};
use crate::joining::folder::{HubFolder, make_data_folders};
use crate::joining::hub::{self, Plan};
use crate::joining::request::Request;
use crate::joining::root::RoleSize;
use crate::officer_key::{self, OfficerKey, Protection};

/// Longest wait for something that the network does by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// A line of each configuration: the demo needs little room, and runs on a nearly full disk too.
const ROOM: &str = "free-min-mebibytes = 16\nballast-mebibytes = 1\n";
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(15);

/// A participant with its officers and its daemon.
#[derive(Debug)]
pub(super) struct Desk {
    /// Who.
    pub(super) player: Player,
    /// Its id.
    pub(super) id: ParticipantId,
    /// Its folder: configuration, officer keys, socket; the data folder is in it.
    pub(super) folder: PathBuf,
    /// What others pin.
    pub(super) fingerprint: Fingerprint,
    drafter: SigningKey,
    releaser: SigningKey,
    network: NetworkId,
    daemon: Option<Daemon>,
}

impl Desk {
    /// The data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The socket of the local API.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.join("api.sock")
    }

    /// The officer key file of a role.
    pub(super) fn key_file(&self, role: Role) -> PathBuf {
        self.folder.join(format!("officer-{:02}.key", role.number.0))
    }

    fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    /// A client in the drafter's name.
    pub(super) fn drafter(&self) -> Client {
        self.client(self.player.drafter, &self.drafter)
    }

    /// A client in the releaser's name.
    pub(super) fn releaser(&self) -> Client {
        self.client(self.player.releaser, &self.releaser)
    }

    /// The releaser's key, to sign what was shown.
    pub(super) fn releaser_key(&self) -> &SigningKey {
        &self.releaser
    }

    fn client(&self, role: Role, key: &SigningKey) -> Client {
        Client::new(self.socket()).with_officer(OfficerIdentity {
            network: self.network,
            participant: self.id,
            officer: role.number,
            key: key.clone(),
            fresh,
        })
    }

    /// The process id of its daemon.
    pub(super) fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().and_then(Daemon::pid)
    }
}

/// Hub and nodes.
#[derive(Debug)]
pub(super) struct Network {
    folder: PathBuf,
    hub: HubFolder,
    relay: Option<Daemon>,
    desks: Vec<Desk>,
}

impl Network {
    /// Makes hub and nodes in `folder`: keys, certificates, entries, configurations. No daemon runs yet.
    pub(super) fn make(folder: &Path) -> Result<Self, Error> {
        let hub = HubFolder::new(&folder.join("hub"), None);
        let address = free_address()?;
        let size = RoleSize::of_root(NetworkClass::Test);
        let made = hub::make_network(&Plan {
            keyring: Keyring::OPEN,
            folder: hub.clone(),
            class: NetworkClass::Test,
            listen: address.clone(),
            socket: hub.test_socket(),
            root: size,
            membership: RoleSize::of_membership(NetworkClass::Test),
            now: system_now(),
        })?;
        let room = folder.join("hub").join("relay.toml.d");
        let written = std::fs::create_dir(&room).and_then(|()| std::fs::write(room.join("demo.toml"), ROOM));
        written.map_err(|error| file(&room, &error))?;
        let network = made.root.network();
        let mut desks = Vec::new();
        for player in cast::ALL {
            desks.push(make_desk(folder, player, network, &address)?);
        }
        Ok(Self { folder: folder.to_owned(), hub, relay: None, desks })
    }

    /// Starts the relay, admits every node, starts them, and lets each pin the others.
    pub(super) async fn start(&mut self) -> Result<(), Error> {
        self.start_relay().await?;
        for desk in &self.desks {
            self.admit(desk).await?;
        }
        for desk in &mut self.desks {
            desk.daemon = Some(Daemon::start(Program::Node, &desk.config()).await?);
        }
        for desk in &self.desks {
            self.pin_others(desk).await?;
        }
        Ok(())
    }

    /// Starts the relay, or starts it again.
    pub(super) async fn start_relay(&mut self) -> Result<(), Error> {
        self.relay = Some(Daemon::start(Program::Relay, &self.hub.config()).await?);
        Ok(())
    }

    /// Kills the relay.
    pub(super) async fn kill_relay(&mut self) -> Result<(), Error> {
        match &mut self.relay {
            Some(relay) => relay.kill().await,
            None => Ok(()),
        }
    }

    /// As `hub admit` and `keys install` do it.
    async fn admit(&self, desk: &Desk) -> Result<(), Error> {
        let request = desk.folder.join("joining.json");
        let (fingerprint, class) = (Some(desk.fingerprint), Some(desk.player.class));
        let decision = Decision { fingerprint, class, role_keys: Vec::new() };
        let admitted = admit(&self.hub, &request, &decision, system_now())?;
        let relay = Client::new(self.hub.test_socket());
        relay.hub_admit(&admitted.told()).await?;
        let answer = desk.folder.join("answer.json");
        admitted.answer.write(&answer)?;
        let read = crate::joining::answer::Answer::read(&answer, system_now())?;
        read.check_node(&answer, (&desk.data(), &Keyring::OPEN), None, system_now())?;
        read.install(&desk.data())?;
        Ok(())
    }

    /// As `directory pin` does it, once the node has heard of the others.
    async fn pin_others(&self, desk: &Desk) -> Result<(), Error> {
        let client = desk.releaser();
        until("the directory to reach every node", || async {
            let directory = client.directory().await?;
            let known = |other: &Desk| directory.entries.iter().any(|entry| entry.participant == other.id);
            Ok(self.desks.iter().all(known).then_some(()))
        })
        .await?;
        for other in self.desks.iter().filter(|other| other.id != desk.id) {
            client.pin(&other.id, &Pin { fingerprint: other.fingerprint }).await?;
        }
        Ok(())
    }

    /// A participant's desk.
    pub(super) fn desk(&self, player: &Player) -> Result<&Desk, Error> {
        let found = self.desks.iter().find(|desk| desk.player.id == player.id);
        found.ok_or_else(|| internal(&format!("{} does not play", player.id)))
    }

    /// All desks.
    pub(super) fn desks(&self) -> &[Desk] {
        &self.desks
    }

    /// The relay's data folder.
    pub(super) fn hub_data(&self) -> &Path {
        self.hub.data()
    }

    /// The folder that holds all of it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Process ids of all daemons.
    pub(super) fn pids(&self) -> Vec<u32> {
        let relay = self.relay.as_ref().and_then(Daemon::pid);
        relay.into_iter().chain(self.desks.iter().filter_map(Desk::pid)).collect()
    }

    /// What is known of daemons that ended although nobody asked them to.
    pub(super) fn obituaries(&mut self) -> Vec<String> {
        let nodes = self.desks.iter_mut().filter_map(|desk| desk.daemon.as_mut());
        nodes.chain(self.relay.as_mut()).filter_map(Daemon::obituary).collect()
    }

    /// Ends all daemons, nodes first.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        let nodes = self.desks.iter_mut().filter_map(|desk| desk.daemon.as_mut());
        for daemon in nodes.chain(self.relay.as_mut()) {
            outcome = daemon.stop().await.and(outcome);
        }
        outcome
    }
}

/// Looks again and again until there is something, or patience ends.
pub(super) async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<Option<T>, Error>>,
{
    let looking = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(outcome) => outcome,
        Err(_) => Err(internal(&format!("waited {} s in vain for {what}", PATIENCE.as_secs()))),
    }
}

fn make_desk(folder: &Path, player: Player, network: NetworkId, hub: &str) -> Result<Desk, Error> {
    let id = player.participant().map_err(|error| internal(&error))?;
    let own = folder.join(player.id.to_ascii_lowercase());
    let (data, offline) = (own.join("data"), own.join("offline"));
    for folder in [&own, &offline] {
        make_folder(folder)?;
    }
    make_data_folders(&data)?;
    let maker =
        Maker { data: &data, keyring: &Keyring::OPEN, offline: &offline, network, participant: id, now: system_now() };
    let made: Made = maker.node()?;
    Request::write(&own.join("joining.json"), &made)?;
    let key = || fresh_seed().map(|seed| SigningKey::from_seed(&seed));
    let desk = Desk {
        player,
        id,
        folder: own,
        fingerprint: made.fingerprint(),
        drafter: key()?,
        releaser: key()?,
        network,
        daemon: None,
    };
    for (role, key) in [(player.drafter, &desk.drafter), (player.releaser, &desk.releaser)] {
        let key = OfficerKey { officer: role.number, key: key.clone() };
        officer_key::create(&desk.key_file(role), &key, &Protection::Unprotected)?;
    }
    let config = desk.config();
    std::fs::write(&config, config_text(&desk, hub)).map_err(|error| file(&config, &error))?;
    Ok(desk)
}

fn config_text(desk: &Desk, hub: &str) -> String {
    let uid = rustix::process::getuid().as_raw();
    let officer = |role: Role, key: &SigningKey| {
        format!(
            "[[officers]]\nnumber = {}\nuid = {uid}\npublic-key = \"{}\"\nroles = {:?}\n",
            role.number.0,
            Base64::encode_string(&key.verifying_key().to_bytes()),
            role.roles,
        )
    };
    format!(
        "participant = \"{}\"\ndata-dir = {:?}\napi-socket = {:?}\nhub-addresses = [\"{hub}\"]\n{ROOM}{}\n\n{}\n{}{}",
        desk.id,
        desk.data(),
        desk.socket(),
        cast::SERVICES,
        officer(desk.player.drafter, &desk.drafter),
        officer(desk.player.releaser, &desk.releaser),
        cast::RULES,
    )
}

/// A loopback address whose port nobody uses at this moment. The relay must come back at the same one after a kill, so it
/// cannot let the system choose each time.
fn free_address() -> Result<String, Error> {
    let found = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    match found {
        Ok(address) => Ok(address.to_string()),
        Err(error) => Err(ErrorCode::InternalFault.with("reason", error).into()),
    }
}
