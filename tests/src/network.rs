//! A network in a folder of its own, made by `hub init`, `keys init`, `hub admit`, `keys install` and `directory pin`.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::ctl::{Ctl, text};
use crate::node::{Node, NodeFiles};
use crate::random;
use crate::relay::Relay;
use crate::wire::Wire;

/// Release rules of every node: requests and answers take a second officer, drills a second and a third, the rest none.
pub const RULES: &str = r#"
[[allow]]
name = "two-officers"
text = "personal data needs a second officer"
to = "all"
kinds = ["request", "response"]
handling = ["H0", "H1", "H2", "H3"]
approvals = 1

[[allow]]
name = "three-officers"
text = "assistance needs two more officers"
to = "all"
kinds = ["assistance-request"]
handling = ["H0", "H1", "H2", "H3"]
approvals = 2

[[allow]]
name = "open-news"
text = "open information may go at once"
to = "all"
kinds = ["notice", "bulletin", "test", "withdrawal"]
handling = ["H0", "H1", "H2"]
approvals = 0
"#;

/// How old the keys of puppets are unless a plan says otherwise, so that their envelopes can be of some age too.
pub const PUPPET_AGE: Duration = Duration::from_secs(60 * 60);

/// What a network shall be made of.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    running: Vec<&'static str>,
    puppets: Vec<&'static str>,
    puppet_age: Option<Duration>,
    wires: Wires,
    within: Option<PathBuf>,
}

/// How participants reach the hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Wires {
    #[default]
    None,
    OneEach,
}

impl Plan {
    /// A network of these nodes, all running.
    #[must_use]
    pub fn of(nodes: &[&'static str]) -> Self {
        Self { running: nodes.to_vec(), ..Self::default() }
    }

    /// The same with participants that are admitted and pinned but whose daemons do not run: a test speaks for them.
    #[must_use]
    pub fn and_puppets(mut self, participants: &[&'static str]) -> Self {
        self.puppets = participants.to_vec();
        self
    }

    /// The same, whose puppets made their keys so long ago.
    #[must_use]
    pub fn aged(mut self, age: Duration) -> Self {
        self.puppet_age = Some(age);
        self
    }

    /// The same with a [`Wire`] between each participant and the hub.
    #[must_use]
    pub fn over_wires(mut self) -> Self {
        self.wires = Wires::OneEach;
        self
    }

    /// The same, with everything of it in this folder, which stays.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        self.within = Some(folder.to_owned());
        self
    }

    /// Makes it and starts it.
    ///
    /// # Panics
    /// If a step fails.
    pub async fn start(self) -> Network {
        let network = tokio::task::spawn_blocking(move || Network::make(&self)).await.expect("a network is made");
        network.pin_all().await;
        network
    }
}

/// A network. Everything of it ends when it is dropped.
#[derive(Debug)]
pub struct Network {
    // Daemons end before their folder goes: fields are dropped in this order.
    relay: Relay,
    nodes: BTreeMap<&'static str, Node>,
    wires: BTreeMap<&'static str, Wire>,
    folder: TempDir,
}

impl Network {
    fn make(plan: &Plan) -> Self {
        let folder = plan.within.as_deref().map_or_else(crate::folder::fresh, crate::folder::fresh_in);
        let relay = Relay::init(&folder.path().join("hub"), free_address());
        relay.start();
        let (mut nodes, mut wires) = (BTreeMap::new(), BTreeMap::new());
        let ages = [(&plan.running, Duration::ZERO), (&plan.puppets, plan.puppet_age.unwrap_or(PUPPET_AGE))];
        for (name, age) in ages.into_iter().flat_map(|(names, age)| names.iter().map(move |name| (name, age))) {
            let wire = (plan.wires == Wires::OneEach).then(|| Wire::to(relay.address()));
            let hub = wire.as_ref().map_or(relay.address(), Wire::address);
            wires.extend(wire.map(|wire| (*name, wire)));
            let files = NodeFiles::make(folder.path(), name, (&relay, hub), age);
            files.join(&relay);
            nodes.insert(*name, Node::new(files));
        }
        for name in &plan.running {
            nodes.get(name).expect("it was made").start();
        }
        Self { relay, nodes, wires, folder }
    }

    /// Every running node pins all others, once it has heard of them.
    async fn pin_all(&self) {
        for node in self.nodes.values().filter(|node| node.runs()) {
            for other in self.nodes.values().filter(|other| other.name() != node.name()) {
                node.until_listed(other.name()).await;
                node.ctl("directory pin", node.supervisor())
                    .with(other.name())
                    .set("--fingerprint", other.fingerprint())
                    .ok();
            }
        }
    }

    /// The hub.
    #[must_use]
    pub fn relay(&self) -> &Relay {
        &self.relay
    }

    /// A participant's node.
    ///
    /// # Panics
    /// If it is not part of the network.
    #[must_use]
    pub fn node(&self, name: &str) -> &Node {
        self.nodes.get(name).unwrap_or_else(|| panic!("{name} is not part of this network"))
    }

    /// The wire between a participant and the hub.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn wire(&self, name: &str) -> &Wire {
        self.wires.get(name).unwrap_or_else(|| panic!("{name} has no wire in this network"))
    }

    /// The folder that holds all of it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// An address of this machine that nobody listens on: a random one of 127.0.0.0/8, so that neither another test nor an
/// outgoing connection takes it meanwhile. A relay comes back at the same one after a kill.
///
/// # Panics
/// If none is found.
#[must_use]
pub fn free_address() -> SocketAddr {
    for _ in 0..64 {
        let [a, b, c, d] = random();
        let port = 20_000 + u16::from_be_bytes([c, d]) % 10_000;
        let address = SocketAddr::from(([127, a | 1, b, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free address on loopback");
}

/// `ncpctl keys init --officer`: returns the public key as the configuration writes it.
pub(crate) fn make_officer_key(path: &Path, number: u16) -> String {
    let made =
        Ctl::new("keys init --no-passphrase").set("--officer", number.to_string()).set("--officer-key", path).json();
    text(&made, "public_key")
}
