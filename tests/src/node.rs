//! A participant of a test: folder, officers, daemon, clients.

use core::net::SocketAddr;
use core::time::Duration;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64ct::{Base64, Encoding as _};
use ncp_api::Client;
use ncp_api::client::{Fresh, OfficerIdentity};
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::ids::{NetworkId, OfficerNumber, ParticipantId, hex};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::SignedRoot;
use rustix::process::Signal;
use serde_json::Value;

use crate::binaries::Program;
use crate::ctl::{Ctl, text};
use crate::network::{RULES, make_officer_key};
use crate::process::{Daemon, Ended, Log, Started};
use crate::relay::Relay;
use crate::{id, now, random};

/// Number and roles of each node's officers: one who only drafts, two supervisors, one who only releases.
const OFFICERS: [(u16, &str); 4] = [
    (1, "\"drafter\""),
    (2, "\"drafter\", \"releaser\", \"supervisor\""),
    (3, "\"drafter\", \"releaser\", \"supervisor\""),
    (4, "\"releaser\""),
];

/// An officer with the private key, which the node never sees.
#[derive(Debug, Clone)]
pub struct Officer {
    /// The number.
    pub number: u16,
    /// The key.
    pub key: SigningKey,
    /// The key's file.
    pub file: PathBuf,
}

/// Folder, keys and configuration of a participant.
#[derive(Debug)]
pub struct NodeFiles {
    name: &'static str,
    folder: PathBuf,
    fingerprint: String,
    officers: Vec<Officer>,
}

impl NodeFiles {
    /// `keys init` for the participant and its officers, and a configuration that finds the hub at an address. The keys
    /// are as old as `age` says.
    pub(crate) fn make(above: &Path, name: &'static str, (relay, hub): (&Relay, SocketAddr), age: Duration) -> Self {
        let folder = above.join(name.to_ascii_lowercase());
        fs::create_dir(&folder).expect("a folder can be made");
        let init = Ctl::new("keys init")
            .set("--participant", name)
            .set("--network", relay.network())
            .set("--dir", folder.join("data"))
            .set("--offline", folder.join("offline"))
            .set("--out", folder.join("request.json"));
        let mut made = init.json();
        if !age.is_zero() {
            back_date(&folder, age);
            made = init.json();
        }
        let fingerprint = text(&made, "fingerprint");
        let mut sections = String::new();
        let mut officers = Vec::new();
        for (number, roles) in OFFICERS {
            let file = folder.join(format!("officer-{number}.key"));
            let public = make_officer_key(&file, number);
            let uid = rustix::process::getuid().as_raw();
            sections.push_str(&format!(
                "[[officers]]\nnumber = {number}\nuid = {uid}\npublic-key = \"{public}\"\nroles = [{roles}]\n\n"
            ));
            officers.push(Officer { number, key: officer_key(&file), file });
        }
        let files = Self { name, folder, fingerprint, officers };
        let config = format!(
            "participant = \"{name}\"\ndata-dir = {:?}\napi-socket = {:?}\nhub-addresses = [\"{}\"]\n\
             services = [\"border-police\", \"customs\"]\n\n{sections}{RULES}",
            files.data(),
            files.socket(),
            hub,
        );
        fs::write(files.config(), config).expect("the configuration can be written");
        files
    }

    /// `hub admit`, then `keys install`. The relay has to run.
    pub(crate) fn join(&self, relay: &Relay) {
        let class = if self.name == "SEC" { "secretariat" } else { "participating-state" };
        let answer = self.folder.join("answer.json");
        relay
            .ctl("hub admit")
            .with(self.folder.join("request.json"))
            .set("--dir", relay.folder())
            .set("--class", class)
            .set("--fingerprint", &self.fingerprint)
            .set("--out", &answer)
            .ok();
        Ctl::new("keys install").with(answer).set("--dir", self.data()).ok();
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("api.sock")
    }
}

/// Puts a participant's first entry back in time, with the participant's own identity key, as if it had been made then. The
/// same command again makes the joining request of it.
fn back_date(folder: &Path, age: Duration) {
    let age = u64::try_from(age.as_millis()).expect("not so old");
    let path = folder.join("data/network/entry-0");
    let signed = SignedEntry::decode(&fs::read(&path).expect("keys init made it")).expect("a signed entry");
    let mut entry = signed.unverified().clone();
    entry.created.0 -= age;
    for key in &mut entry.keys.sealing {
        key.seal_until.0 -= age;
        key.open_until.0 -= age;
    }
    if let Some(key) = &mut entry.keys.signing {
        key.from.0 -= age;
    }
    let identity = crate::material::signing_key(folder, "offline/identity.key");
    let signed = SignedEntry::sign(entry, &identity).expect("it agrees with itself");
    fs::write(&path, signed.encode()).expect("the entry can be written");
    fs::remove_file(folder.join("request.json")).expect("keys init made it");
}

/// Reads the private key of an officer's file without passphrase.
///
/// # Panics
/// If the file is none.
#[must_use]
pub fn officer_key(file: &Path) -> SigningKey {
    let text = fs::read_to_string(file).expect("the officer's key file");
    let seed = text.lines().find_map(|line| line.strip_prefix("seed ")).expect("a key without passphrase");
    let seed: [u8; 32] = Base64::decode_vec(seed).expect("base64").try_into().expect("32 bytes");
    SigningKey::from_seed(&seed)
}

/// A participant and its daemon, which may or may not run.
#[derive(Debug)]
pub struct Node {
    files: NodeFiles,
    network: NetworkId,
    daemon: Mutex<Option<Daemon>>,
}

impl Node {
    pub(crate) fn new(files: NodeFiles) -> Self {
        let root = fs::read(files.data().join("network/root-1")).expect("keys install put the root of trust here");
        let root = SignedRoot::decode(&root).expect("a root of trust").verify_first().expect("a good one");
        Self { network: root.network(), files, daemon: Mutex::new(None) }
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the daemon, or starts it again.
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn start(&self) {
        self.start_with(&[]);
    }

    /// The same with further variables in its environment.
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn start_with(&self, environment: &[(&str, OsString)]) {
        let started = Daemon::start_with(Program::Node, &self.config(), environment);
        let name = self.name();
        let daemon = started.unwrap_or_else(|ended| panic!("node {name} ended with {}:\n{}", ended.status, ended.log));
        *self.daemon() = Some(daemon);
    }

    /// Starts the daemon, which is to refuse it.
    ///
    /// # Panics
    /// If it starts.
    #[must_use]
    pub fn refused_start(&self) -> Ended {
        match Daemon::start(Program::Node, &self.config()) {
            Ok(_) => panic!("the node starts"),
            Err(ended) => ended,
        }
    }

    /// Starts the daemon again, and kills it wherever it is if it is not ready within `limit`. Returns whether it runs.
    ///
    /// # Panics
    /// If it ends by itself.
    pub fn start_within(&self, limit: Duration) -> bool {
        let started = Daemon::start_within(Program::Node, &self.config(), limit);
        let started =
            started.unwrap_or_else(|ended| panic!("node {} ended with {}:\n{}", self.name(), ended.status, ended.log));
        let Started::Ready(daemon) = started else { return false };
        *self.daemon() = Some(daemon);
        true
    }

    /// Stops the daemon as systemd does.
    ///
    /// # Panics
    /// If it does not run or does not end.
    pub fn stop(&self) -> Ended {
        let daemon = self.daemon().take();
        daemon.expect("the node runs").stop()
    }

    /// Kills the daemon.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self) {
        let daemon = self.daemon().take();
        daemon.expect("the node runs").kill();
    }

    /// Waits until the daemon ends by itself.
    ///
    /// # Panics
    /// If it does not run or does not end.
    pub fn ended(&self) -> Ended {
        let daemon = self.daemon().take();
        daemon.expect("the node runs").ended()
    }

    /// Sends the daemon a signal.
    ///
    /// # Panics
    /// If it does not run.
    pub fn signal(&self, signal: Signal) {
        self.daemon().as_ref().expect("the node runs").signal(signal);
    }

    /// Whether the daemon was started and not stopped.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.daemon().is_some()
    }

    /// The daemon's log of this run.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn log(&self) -> Log {
        self.daemon().as_ref().expect("the node runs").log().clone()
    }

    /// Most memory that the daemon of this run had resident so far, in KiB.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn peak_kib(&self) -> u64 {
        self.daemon().as_ref().expect("the node runs").peak_kib()
    }

    /// Memory that the daemon has resident now, in KiB.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.daemon().as_ref().expect("the node runs").resident_kib()
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon().as_ref().expect("the node runs").pid()
    }

    /// The participant's id, as text.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.files.name
    }

    /// The participant's id.
    #[must_use]
    pub fn id(&self) -> ParticipantId {
        id(self.files.name)
    }

    /// The network's id.
    #[must_use]
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// What others pin.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.files.fingerprint
    }

    /// The folder of the participant: configuration, socket, officers' keys; the data folder is in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.files.folder
    }

    /// The daemon's data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.files.data()
    }

    /// The daemon's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.files.config()
    }

    /// The socket of its API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.files.socket()
    }

    /// An officer.
    ///
    /// # Panics
    /// If there is none with this number.
    #[must_use]
    pub fn officer(&self, number: u16) -> &Officer {
        self.files.officers.iter().find(|officer| officer.number == number).expect("an officer of the configuration")
    }

    /// The officer who pins, holds and disables.
    #[must_use]
    pub fn supervisor(&self) -> &Officer {
        self.officer(2)
    }

    /// A client in an officer's name.
    #[must_use]
    pub fn client(&self, number: u16) -> Client {
        self.client_with(number, &self.officer(number).key)
    }

    /// A client that names an officer and signs with this key, whosever it is.
    #[must_use]
    pub fn client_with(&self, number: u16, key: &SigningKey) -> Client {
        Client::new(self.socket()).with_officer(OfficerIdentity {
            network: self.network,
            participant: self.id(),
            officer: OfficerNumber(number),
            key: key.clone(),
            fresh,
        })
    }

    /// `keys rotate` here, `hub admit` at the hub, and `keys install` of the answer. The node may run or not.
    ///
    /// # Panics
    /// If a step fails.
    pub fn rotate(&self, relay: &Relay, words: &[&str]) -> Value {
        let request = self.folder().join(format!("request-{}.json", hex(&random::<4>())));
        let answer = request.with_extension("answer.json");
        let mut rotate =
            Ctl::new("keys rotate").set("--dir", self.data()).set("--offline", self.folder().join("offline"));
        for word in words {
            rotate = rotate.with(*word);
        }
        let made = rotate.set("--out", &request).json();
        relay.ctl("hub admit").with(request).set("--dir", relay.folder()).set("--out", &answer).with("--no-input").ok();
        Ctl::new("keys install").with(answer).set("--dir", self.data()).ok();
        made
    }

    /// `ncpctl` at this node in an officer's name.
    #[must_use]
    pub fn ctl(&self, words: &str, officer: &Officer) -> Ctl {
        Ctl::new(words).set("--node", self.socket()).set("--officer-key", &officer.file).with("--no-input")
    }

    /// How many leaves the node's log has.
    ///
    /// # Panics
    /// If the daemon does not answer.
    pub async fn size(&self) -> u64 {
        let head = self.client(1).audit_head().await.expect("the node answers");
        head.logs.first().expect("a node has a log").size
    }
}

/// A client of the daemon at a socket, in the name of the officer whose key lies in a file.
///
/// # Panics
/// If the daemon does not answer or the file is none.
pub async fn client_at(socket: &Path, number: u16, file: &Path) -> Client {
    let client = Client::new(socket);
    let health = client.health().await.expect("the daemon answers");
    client.with_officer(OfficerIdentity {
        network: health.network,
        participant: health.participant,
        officer: OfficerNumber(number),
        key: officer_key(file),
        fresh,
    })
}

/// Time and chance for a signed request.
fn fresh() -> Fresh {
    Fresh { time: now(), idempotency_key: hex(&random::<16>()) }
}
