//! A node XA that knows XB and XC and has five officers; its hub does not answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use ncp_api::client::{Client, ClientError, Fresh, OfficerIdentity};
use ncp_api::message::{Attachment, MessageName, MessageView, NewMessage};
use ncp_api::release::{Approve, ReleaseView};
use ncp_api::{ErrorCode, Fault};
use ncp_node::config::Config;
use ncp_node::core::command::{Ask, EntryNews};
use ncp_node::entries::entry_record;
use ncp_node::node::{Node, Submission};
use ncp_node::start::{self, Running};
use ncp_protocol::approval::Decision;
use ncp_protocol::codes::{Handling, Kind, Precedence};
use ncp_protocol::event::Actor;
use ncp_protocol::ids::{Epoch, LogName, OfficerNumber, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::root::NetworkClass;
use ncp_store::keyfiles::{self, KeyUse};
use ncp_store::spool::Record;
use tempfile::TempDir;

use crate::party::{Ends, Party, Trust, id, key};

/// Drafts, and holds the role of a releaser too: never for own drafts.
pub(crate) const DRAFTER: u16 = 12;
/// Releases.
pub(crate) const RELEASER: u16 = 7;
/// Releases too.
pub(crate) const SECOND_RELEASER: u16 = 8;
/// Supervises.
pub(crate) const SUPERVISOR: u16 = 1;
/// Supervises too.
pub(crate) const SECOND_SUPERVISOR: u16 = 2;

/// Fails the test instead of hanging it.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it takes too long")
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> ErrorCode {
    outcome.expect_err("refused").problem().code.parse().expect("a code of the registry")
}

pub(crate) struct World {
    pub(crate) trust: Trust,
    pub(crate) folder: TempDir,
    pub(crate) xa: Party,
    pub(crate) hub: Party,
    pub(crate) others: BTreeMap<ParticipantId, Party>,
    pub(crate) officers: BTreeMap<u16, SigningKey>,
    running: Option<Running>,
}

impl World {
    /// A node that serves.
    pub(crate) async fn serving() -> Self {
        let mut world = Self::installed(NetworkClass::Test);
        world.start().await;
        for party in world.others.values() {
            world.admit(party).await;
        }
        world
    }

    /// A node whose files are in place and that is not started.
    pub(crate) fn installed(class: NetworkClass) -> Self {
        Self::installed_until(class, Ends::FAR)
    }

    /// The same whose trust, keys and certificate end then.
    pub(crate) fn installed_until(class: NetworkClass, ends: Ends) -> Self {
        let trust = Trust::new(class, ends);
        let party = |name: &str| Party::new(name, &trust);
        let (xa, hub) = (party("XA"), party("HUB"));
        let others = ["XB", "XC"].map(|name| (id(name), party(name))).into();
        let numbers = [DRAFTER, RELEASER, SECOND_RELEASER, SUPERVISOR, SECOND_SUPERVISOR];
        let officers = numbers.map(|number| (number, key())).into();
        let folder = TempDir::new().unwrap();
        let world = Self { trust, folder, xa, hub, others, officers, running: None };
        world.install();
        world
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    fn install(&self) {
        let (data, xa) = (self.data(), &self.xa);
        keyfiles::create_folder(&data).unwrap();
        for part in [keyfiles::KEYS, keyfiles::NETWORK] {
            keyfiles::create_folder(&data.join(part)).unwrap();
        }
        let secret = |place: &Path, key, seed: &[u8; 32]| keyfiles::create_key(&data.join(place), key, seed).unwrap();
        secret(&keyfiles::key_path(KeyUse::Signing), KeyUse::Signing, &xa.signing.seed());
        secret(&keyfiles::key_path(KeyUse::Witness), KeyUse::Witness, &xa.witness.seed());
        secret(&keyfiles::key_path(KeyUse::Storage), KeyUse::Storage, &ncp_node::clock::random());
        secret(&keyfiles::log_key_path(LogName::Node, Epoch(1)), KeyUse::Log, &xa.log.seed());
        secret(&keyfiles::sealing_key_path(1), KeyUse::Sealing, &xa.sealing_seed);
        keyfiles::create_private(&data.join(keyfiles::TLS_KEY), xa.tls_key.as_bytes()).unwrap();
        let public = |place: &Path, bytes: &[u8]| keyfiles::create_public(&data.join(place), bytes).unwrap();
        public(Path::new(keyfiles::TLS_CHAIN), xa.tls_chain.as_bytes());
        public(Path::new(keyfiles::TLS_AUTHORITY), self.trust.authority_pem().as_bytes());
        public(&keyfiles::root_path(1), &self.trust.root.encode());
        public(&keyfiles::entry_path(0), &xa.entry.encode());
        public(Path::new(keyfiles::HUB_ENTRY), &self.hub.entry.encode());
    }

    /// The configuration as text. Requests need one approval, notices two, tests none; nothing else may leave.
    pub(crate) fn config_text(&self) -> String {
        let roles = |number| match number {
            DRAFTER => r#"["drafter", "releaser"]"#,
            RELEASER | SECOND_RELEASER => r#"["releaser"]"#,
            _ => r#"["supervisor"]"#,
        };
        let mut text = format!(
            "participant = \"XA\"\ndata-dir = \"{}\"\napi-socket = \"{}\"\nhub-addresses = [\"127.0.0.1:9\"]\n\
             services = [\"border-police\", \"customs\"]\nfree-min-mebibytes = 16\nballast-mebibytes = 1\n",
            self.data().display(),
            self.socket().display(),
        );
        for (number, key) in &self.officers {
            let key = Base64::encode_string(&key.verifying_key().to_bytes());
            let roles = roles(*number);
            text += &format!(
                "[[officers]]\nnumber = {number}\nuid = 4{number:03}\npublic-key = \"{key}\"\nroles = {roles}\n"
            );
        }
        for (name, kinds, approvals) in [
            ("requests", r#"["request", "response", "withdrawal"]"#, 1),
            ("notices", r#"["notice"]"#, 2),
            ("tests", r#"["test"]"#, 0),
        ] {
            text += &format!(
                "[[allow]]\nname = \"{name}\"\nto = [\"XB\", \"XC\"]\nkinds = {kinds}\nhandling = [\"H0\", \"H2\", \"H3\"]\napprovals = {approvals}\n"
            );
        }
        text
    }

    pub(crate) fn config(&self) -> Config {
        Config::parse(&[("node.toml".into(), self.config_text())]).unwrap()
    }

    pub(crate) async fn start(&mut self) {
        self.start_with(self.config()).await;
    }

    pub(crate) async fn start_with(&mut self, config: Config) {
        self.running = Some(soon(start::start(config)).await.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        soon(self.running.take().unwrap().stop()).await.unwrap();
    }

    /// Why a start with this configuration fails.
    pub(crate) async fn start_failure(config: Config) -> Fault {
        soon(start::start(config)).await.expect_err("the start fails")
    }

    pub(crate) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.running.as_ref().unwrap().node)
    }

    pub(crate) async fn ask(&self, ask: Ask) {
        soon(self.node().submit(Submission::DAEMON, Actor::Daemon, ask)).await.unwrap().reply.unwrap();
    }

    async fn admit(&self, party: &Party) {
        let record = Record { name: entry_record(party.entry.digest()), bytes: party.entry.encode() };
        let news = EntryNews::Entry { participant: party.id, version: 0, record };
        self.ask(Ask::AcceptEntries(vec![news])).await;
        self.ask(Ask::PinEntry { participant: party.id, fingerprint: party.fingerprint().0 }).await;
        // As the API does before it answers.
        self.node().blocking(Node::reload_directory).await.unwrap();
    }

    /// A client of one officer.
    pub(crate) fn client(&self, officer: u16) -> Client {
        self.client_with(officer, self.officers[&officer].clone())
    }

    /// A client that signs in one officer's name with any key.
    pub(crate) fn client_with(&self, officer: u16, key: SigningKey) -> Client {
        Client::new(self.socket()).with_officer(OfficerIdentity {
            network: self.trust.network,
            participant: id("XA"),
            officer: OfficerNumber(officer),
            key,
            fresh: || Fresh {
                time: ncp_node::clock::now(),
                idempotency_key: ncp_protocol::ids::hex(&ncp_node::clock::random::<16>()),
            },
        })
    }

    /// A client that signs one and the same request again and again, half a window ahead of the clock.
    pub(crate) fn repeating_client(&self, officer: u16) -> Client {
        static ONCE: OnceLock<Fresh> = OnceLock::new();
        let ahead = || Fresh { time: ncp_node::clock::now().plus_millis(60_000), idempotency_key: fresh() };
        ONCE.get_or_init(ahead);
        Client::new(self.socket()).with_officer(OfficerIdentity {
            network: self.trust.network,
            participant: id("XA"),
            officer: OfficerNumber(officer),
            key: self.officers[&officer].clone(),
            fresh: || ONCE.get().unwrap().clone(),
        })
    }

    /// A client that signs nothing.
    pub(crate) fn nobody(&self) -> Client {
        Client::new(self.socket())
    }

    /// A draft of the drafter.
    pub(crate) async fn draft(&self, message: &NewMessage) -> MessageView {
        soon(self.client(DRAFTER).create(message, &fresh())).await.unwrap()
    }

    /// The officer's approval of what `shown` says.
    pub(crate) fn approval(&self, officer: u16, shown: &ReleaseView) -> Approve {
        Approve { code: shown.code, signature: shown.statement(Decision::Approve).sign(&self.officers[&officer]) }
    }

    /// Shows and approves.
    pub(crate) async fn approve(&self, officer: u16, view: &MessageView) -> Result<MessageView, ClientError> {
        let (client, name) = (self.client(officer), MessageName::from(view.reference));
        let shown = soon(client.release(&name)).await?;
        soon(client.approve(&name, &self.approval(officer, &shown))).await
    }
}

/// A value that was never used.
pub(crate) fn fresh() -> String {
    ncp_protocol::ids::hex(&ncp_node::clock::random::<16>())
}

/// A request to XB.
pub(crate) fn request(subject: &str) -> NewMessage {
    NewMessage {
        to: vec![id("XB")],
        kind: Kind::Request,
        precedence: Precedence::Routine,
        urgent_ground: None,
        handling: Handling::H2,
        restriction: None,
        subject: subject.to_owned(),
        subject_code: None,
        form: None,
        text: Some("Who owns it?".to_owned()),
        attachments: Vec::new(),
        answer_by: None,
        lifetime_days: None,
        in_reply_to: None,
        response_status: None,
        reason: None,
        also_sent_through: Vec::new(),
        contributions: Vec::new(),
        national_ref: None,
    }
}

/// An upload under a name.
pub(crate) fn attachment(name: &str, blob: &str) -> Attachment {
    Attachment { name: name.to_owned(), media_type: "application/octet-stream".to_owned(), blob: blob.to_owned() }
}
