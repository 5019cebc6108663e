//! A network in a folder, made by the operator's own commands: `hub init`, `keys init`, `hub admit`, `keys install`.
//!
//! Its trust root is of class test, so everything stays on loopback. Notices leave a node without a second officer.

use core::fmt::Write as _;
use core::time::Duration;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ncp_api::Client;
use ncp_api::client::{Fresh, OfficerIdentity};
use ncp_api::directory::Pin;
use ncp_protocol::directory::{Fingerprint, SignedEntry};
use ncp_protocol::ids::{NetworkId, OfficerNumber, ParticipantId, hex};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::SignedRoot;

use crate::daemon::{Daemon, Programs, text, words};
use crate::folder::{self, free_address, now, random};
use crate::trouble::Trouble;

/// Notices go at once.
const RULES: &str = r#"
[[allow]]
name = "measured"
text = "what is measured needs no second officer"
to = "all"
kinds = ["notice", "test"]
handling = ["H0"]
approvals = 0
"#;
/// Room for all that a measurement lets wait: a part of each default quota is kept for urgent mail.
const QUOTAS: &str =
    "[quotas]\noriginator-envelopes = 200000\noriginator-envelopes-per-second = 1000000\nmailbox-envelopes = 200000\n";
/// Longest wait for the directory to reach every node.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The officer who drafts, and the one who pins.
const DRAFTER: u16 = 1;
const SUPERVISOR: u16 = 2;

/// The hub.
#[derive(Debug)]
pub(crate) struct Hub {
    folder: PathBuf,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    fingerprint: String,
    programs: Programs,
    /// Its daemon.
    pub(crate) daemon: Daemon,
}

impl Hub {
    /// `hub init`, and the relay started.
    pub(crate) async fn make(programs: &Programs, above: &Path) -> Result<Self, Trouble> {
        let folder = above.join("hub");
        let address = free_address()?;
        let mut init = words("hub init --class test --dir");
        init.extend([folder.clone().into(), "--listen".into(), address.to_string().into()]);
        let made = programs.ctl(&init).await?;
        let fingerprint = text(&made, "network")?;
        let beside = folder.join("relay.toml.d");
        folder::make(&beside)?;
        folder::write(&beside.join("bench.toml"), QUOTAS)?;
        let daemon = Daemon::start(programs, "ncp-relay", &folder.join("relay.toml")).await?;
        Ok(Self { folder, address, fingerprint, programs: programs.clone(), daemon })
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Ends the relay as `how` says, changes what lies in its data folder, and starts it again. Returns how long the start
    /// took.
    pub(crate) async fn restart(mut self, how: Ending, change: impl FnOnce(&Path)) -> Result<Self, Trouble> {
        match how {
            Ending::InOrder => self.daemon.stop().await?,
            Ending::Killed => self.daemon.kill().await?,
        }
        change(&self.folder.join("data"));
        self.daemon = Daemon::start(&self.programs, "ncp-relay", &self.folder.join("relay.toml")).await?;
        Ok(self)
    }
}

/// How a daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As systemd stops it.
    InOrder,
    /// As a power cut ends it.
    Killed,
}

/// A participant: its folder, and what speaks for it.
#[derive(Debug)]
pub(crate) struct Participant {
    /// Its id.
    pub(crate) id: ParticipantId,
    /// The network.
    pub(crate) network: NetworkId,
    folder: PathBuf,
    fingerprint: Fingerprint,
    drafter: SigningKey,
    supervisor: SigningKey,
}

impl Participant {
    /// `keys init`, a configuration, `hub admit`, `keys install`. Its daemon does not run.
    pub(crate) async fn make(programs: &Programs, above: &Path, hub: &Hub, name: &str) -> Result<Self, Trouble> {
        let folder = above.join(name.to_ascii_lowercase());
        folder::make(&folder)?;
        let (data, request, answer) = (folder.join("data"), folder.join("request.json"), folder.join("answer.json"));
        let mut init = words("keys init --participant");
        init.extend([name.into(), "--network".into(), hub.fingerprint.clone().into()]);
        init.extend(["--dir".into(), data.clone().into(), "--offline".into(), folder.join("offline").into()]);
        init.extend(["--out".into(), request.clone().into()]);
        let fingerprint = text(&programs.ctl(&init).await?, "fingerprint")?;

        let mut admit = words("hub admit");
        admit.extend([request.into(), "--dir".into(), hub.folder.clone().into()]);
        admit.extend(words("--class participating-state --fingerprint"));
        admit.extend([fingerprint.clone().into(), "--out".into(), answer.clone().into()]);
        admit.extend(["--node".into(), hub.folder.join("api.sock").into()]);
        programs.ctl(&admit).await?;
        let mut install = words("keys install");
        install.extend([answer.into(), "--dir".into(), data.clone().into()]);
        programs.ctl(&install).await?;

        let root = SignedRoot::decode(&folder::read(&data.join("network/root-1"))?)
            .map_err(|error| Trouble::network(format_args!("the root of trust: {error}")))?;
        let root = root.verify_first().map_err(|error| Trouble::network(format_args!("the root of trust: {error}")))?;
        let participant = Self {
            id: name.parse().map_err(|error| Trouble::network(format_args!("{name}: {error}")))?,
            network: root.network(),
            folder,
            fingerprint: fingerprint.parse().map_err(|error| Trouble::network(format_args!("{error}")))?,
            drafter: SigningKey::from_seed(&random()?),
            supervisor: SigningKey::from_seed(&random()?),
        };
        folder::write(&participant.config(), &participant.config_text(hub)?)?;
        Ok(participant)
    }

    fn config_text(&self, hub: &Hub) -> Result<String, Trouble> {
        let mut text = format!(
            "participant = \"{}\"\ndata-dir = {:?}\napi-socket = {:?}\nhub-addresses = [\"{}\"]\n",
            self.id,
            self.data(),
            self.folder.join("api.sock"),
            hub.address,
        );
        let uid = rustix::process::getuid().as_raw();
        let releaser = SigningKey::from_seed(&random()?);
        let officers = [
            (DRAFTER, &self.drafter, "\"drafter\""),
            (SUPERVISOR, &self.supervisor, "\"releaser\", \"supervisor\""),
            (3, &releaser, "\"releaser\", \"supervisor\""),
        ];
        for (number, key, roles) in officers {
            let public =
                ncp_api::text::base64::serialize(&key.verifying_key().to_bytes(), serde_json::value::Serializer);
            let public = public.map_err(|error| Trouble::system("writing a public key", error))?;
            let section =
                format!("[[officers]]\nnumber = {number}\nuid = {uid}\npublic-key = {public}\nroles = [{roles}]\n");
            let _ = write!(text, "{section}");
        }
        text.push_str(RULES);
        Ok(text)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("node.toml")
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts its daemon.
    pub(crate) async fn start(&self, programs: &Programs) -> Result<Daemon, Trouble> {
        Daemon::start(programs, "ncp-node", &self.config()).await
    }

    /// A client in the drafter's name.
    pub(crate) fn drafter(&self) -> Client {
        self.client(DRAFTER, &self.drafter)
    }

    fn client(&self, number: u16, key: &SigningKey) -> Client {
        Client::new(self.folder.join("api.sock")).with_officer(OfficerIdentity {
            network: self.network,
            participant: self.id,
            officer: OfficerNumber(number),
            key: key.clone(),
            fresh,
        })
    }

    /// Its directory entry.
    pub(crate) fn entry(&self) -> Result<SignedEntry, Trouble> {
        let bytes = folder::read(&self.data().join("network/entry-0"))?;
        SignedEntry::decode(&bytes).map_err(|error| Trouble::network(format_args!("entry of {}: {error}", self.id)))
    }

    /// Waits until its running node has heard of the others, and pins them.
    pub(crate) async fn pin(&self, others: &[Self]) -> Result<(), Trouble> {
        let client = self.client(SUPERVISOR, &self.supervisor);
        let others = || others.iter().filter(|other| other.id != self.id);
        let pinning = async {
            loop {
                let listed = client.directory().await.map_err(Trouble::network)?.entries;
                if others().all(|other| listed.iter().any(|entry| entry.participant == other.id)) {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
            for other in others() {
                let pin = Pin { fingerprint: other.fingerprint };
                client.pin(&other.id, &pin).await.map_err(Trouble::network)?;
            }
            Ok(())
        };
        let pinned = tokio::time::timeout(PATIENCE, pinning).await;
        pinned.unwrap_or_else(|_| {
            Err(Trouble::network(format_args!("{} did not hear of all others within {PATIENCE:?}", self.id)))
        })
    }
}

/// Time and chance for a signed request.
fn fresh() -> Fresh {
    // Without random bytes the node refuses the second request with the same key.
    let bytes = random::<16>().unwrap_or_default();
    Fresh { time: now(), idempotency_key: hex(&bytes) }
}

/// Names of participants: `XA`, `XB` and so on.
pub(crate) fn names(count: usize) -> Vec<String> {
    ('A'..='Z').take(count).map(|letter| format!("X{letter}")).collect()
}
