//! One life cycle of a network whose daemons were never started: first start, hello, pins, a draft that is withdrawn, a
//! request from XA to XB with R1, R2 and R3, a clean stop, another start. One daemon is looked on; when a fault ends it, it
//! is started again without, and the life goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::binaries::Program;
use e2e::calls::{Call, Case, Launcher, Watch};
use e2e::ctl::Ctl;
use e2e::messages::{fresh_key, message};
use e2e::process::{Daemon, Ended};
use e2e::receipts::verified;
use e2e::{Network, Node, PATIENCE, Plan};
use ncp_api::directory::Pin;
use ncp_api::message::{Attachment, Confirm, ConfirmStatus, MessageName, MessageState, NewMessage, Withdraw};
use ncp_api::timeline::ReceiptKind;
use ncp_api::{Client, ClientError};
use ncp_protocol::codes::Kind;

/// Bytes of an attachment: with it a body takes several chunks.
const FILE_LEN: usize = 100_000;

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Hub,
    Originator,
    Recipient,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Hub, Self::Originator, Self::Recipient];

    fn program(self) -> Program {
        match self {
            Self::Hub => Program::Relay,
            Self::Originator | Self::Recipient => Program::Node,
        }
    }
}

/// A network whose daemons do not run and that can be put back to its beginning.
#[derive(Debug)]
pub(crate) struct World {
    network: Network,
    pub(crate) launcher: Launcher,
    beginning: PathBuf,
}

impl World {
    /// `Err` with the reason where no program can be looked on.
    pub(crate) async fn make() -> Result<Self, String> {
        let network = Plan::of(&[]).and_puppets(&["XA", "XB"]).start().await;
        assert!(network.relay().stop().status.success());
        let launcher = Launcher::new(network.folder())?;
        let beginning = network.folder().join("beginning");
        fs::create_dir(&beginning).expect("a folder can be made");
        let world = Self { network, launcher, beginning };
        for role in Role::ALL {
            copy(&world.folder(role), &world.beginning.join(format!("{role:?}")));
        }
        Ok(world)
    }

    /// The network's fingerprint, as people read it out.
    pub(crate) fn network_fingerprint(&self) -> String {
        self.network.relay().network().to_owned()
    }

    /// How the daemon of a role is started so that its calls are seen.
    pub(crate) fn watch(&self, role: Role) -> Watch {
        self.launcher.watch(&self.folder(role), None)
    }

    fn put_back(&self) {
        for role in Role::ALL {
            let folder = self.folder(role);
            fs::remove_dir_all(&folder).expect("it can be removed");
            copy(&self.beginning.join(format!("{role:?}")), &folder);
        }
    }

    pub(crate) fn node(&self, role: Role) -> &Node {
        self.network.node(if role == Role::Recipient { "XB" } else { "XA" })
    }

    fn folder(&self, role: Role) -> PathBuf {
        match role {
            Role::Hub => self.network.relay().folder().to_owned(),
            Role::Originator | Role::Recipient => self.node(role).folder().to_owned(),
        }
    }

    fn config(&self, role: Role) -> PathBuf {
        match role {
            Role::Hub => self.network.relay().config(),
            Role::Originator | Role::Recipient => self.node(role).config(),
        }
    }
}

/// Copies a folder without the zeros of preallocated files.
fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").args(["-a", "--sparse=always"]).arg(from).arg(to).status();
    assert!(status.expect("cp runs").success());
}

/// What was seen of a life.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The calls of the daemon that is looked on, to its first end.
    pub(crate) calls: Vec<Call>,
    /// How that daemon ended first.
    pub(crate) ended: Ended,
    /// Whether it ended before it was told to.
    pub(crate) early: bool,
}

/// When a daemon ended: told to, or before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    ToldTo,
    BeforeIt,
}

pub(crate) struct Life<'a> {
    world: &'a World,
    role: Role,
    pub(crate) watch: Watch,
    daemons: BTreeMap<Role, Daemon>,
    seen: Option<Seen>,
    // Receipts that a node has shown: at whom, about what, which kind, and its bytes.
    shown: BTreeSet<(Role, String, ReceiptKind, String)>,
}

impl<'a> Life<'a> {
    /// A life from its beginning to the end, with a case.
    pub(crate) async fn live(world: &'a World, role: Role, case: Option<Case>) -> Seen {
        let watch = world.launcher.watch(&world.folder(role), case);
        let mut life = Self::begin(world, role, watch);
        life.daily().await;
        life.close().await;
        life.seen.expect("it ended")
    }

    pub(crate) fn begin(world: &'a World, role: Role, watch: Watch) -> Self {
        world.put_back();
        let mut life = Self { world, role, watch, daemons: BTreeMap::new(), seen: None, shown: BTreeSet::new() };
        for other in Role::ALL {
            life.start(other);
        }
        life
    }

    /// Starts a daemon; the one that is looked on may end at once, and then starts again without that.
    fn start(&mut self, role: Role) {
        let looked_on = role == self.role && self.seen.is_none();
        let words: &[OsString] = if looked_on { &self.watch.words } else { &[] };
        match Daemon::start_through(words, role.program(), &self.world.config(role)) {
            Ok(daemon) => drop(self.daemons.insert(role, daemon)),
            Err(ended) if looked_on => {
                self.note(ended, When::BeforeIt);
                self.start(role);
            }
            Err(ended) => panic!("{role:?} does not start again: {}\n{}", ended.status, ended.log),
        }
    }

    fn note(&mut self, ended: Ended, when: When) {
        self.seen = Some(Seen { calls: self.watch.end(), ended, early: when == When::BeforeIt });
    }

    /// Starts the daemon that is looked on again if a fault has ended it.
    fn mend(&mut self) {
        for role in Role::ALL {
            if self.daemons.get(&role).is_some_and(Daemon::runs) {
                continue;
            }
            let ended = self.daemons.remove(&role).expect("it was started").ended();
            assert!(role == self.role && self.seen.is_none(), "{role:?} ended: {}\n{}", ended.status, ended.log);
            self.note(ended, When::BeforeIt);
            self.start(role);
        }
    }

    /// Looks until there is something. Errors are what a daemon that ends or refuses leaves; they pass or the wait does.
    pub(crate) async fn until<T, F>(&mut self, what: &str, look: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<Option<T>, ClientError>>,
    {
        let begun = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let looked = look().await;
            self.mend();
            match looked {
                Ok(Some(found)) => return found,
                Ok(None) => assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}"),
                Err(error) => assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}: {error}"),
            }
        }
    }

    pub(crate) fn client(&self, role: Role, officer: u16) -> Client {
        self.world.node(role).client(officer)
    }

    /// Everything up to R3.
    async fn daily(&mut self) {
        self.meet(Role::Originator, Role::Recipient).await;
        self.meet(Role::Recipient, Role::Originator).await;
        self.withdrawn().await;
        let request = self.request().await;
        let name = self.drafted(&request).await;
        self.released(&name).await;
        self.receipts(Role::Originator, &name, &[ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment]).await;
        self.taken(&name).await;
        let all = [ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment, ReceiptKind::ContentHandover];
        self.receipts(Role::Originator, &name, &all).await;
    }

    /// One node hears of the other and pins it.
    pub(crate) async fn meet(&mut self, role: Role, other: Role) {
        let client = self.client(role, 2);
        let other = self.world.node(other);
        self.until("the other in the directory", || async {
            let directory = client.directory().await?;
            Ok(directory.entries.iter().any(|entry| entry.participant == other.id()).then_some(()))
        })
        .await;
        let pin = Pin { fingerprint: other.fingerprint().parse().expect("a fingerprint") };
        self.until("the pin", || async { client.pin(&other.id(), &pin).await.map(Some) }).await;
    }

    /// A draft that is withdrawn before its release: its body and its key go.
    async fn withdrawn(&mut self) {
        let name = self.drafted(&message(Kind::Request, &["XB"], "Mistake", "Never mind")).await;
        let client = self.client(Role::Originator, 1);
        self.until("the withdrawal", || async {
            match client.withdraw(&name, &Withdraw { reason: None }).await {
                Ok(_) => Ok(Some(())),
                // An earlier attempt may have done it.
                Err(error) => match client.message(&name).await {
                    Ok(view) if view.state == MessageState::Withdrawn => Ok(Some(())),
                    Ok(_) | Err(_) => Err(error),
                },
            }
        })
        .await;
    }

    /// A request with a file that is too long for the spool.
    pub(crate) async fn request(&mut self) -> NewMessage {
        let path = self.world.network.folder().join("photograph");
        fs::write(&path, vec![b'x'; FILE_LEN]).expect("a file can be written");
        let client = self.client(Role::Originator, 1);
        let blob = self.until("the upload", || async { client.upload(&path, |_| {}).await.map(Some) }).await.id;
        let mut request = message(Kind::Request, &["XB"], "Grey van", "Who?");
        request.attachments = vec![Attachment { name: "photograph".into(), media_type: "image/jpeg".into(), blob }];
        request
    }

    /// A draft is accepted: from then on the same key is the same message.
    pub(crate) async fn drafted(&mut self, draft: &NewMessage) -> MessageName {
        let (client, key) = (self.client(Role::Originator, 1), fresh_key());
        let view = self.until("the draft", || async { client.create(draft, &key).await.map(Some) }).await;
        let again = self.until("the draft again", || async { client.create(draft, &key).await.map(Some) }).await;
        assert_eq!((view.reference, view.message), (again.reference, again.message), "one key, one message");
        MessageName::from(view.reference)
    }

    /// A second officer releases what was drafted.
    pub(crate) async fn released(&mut self, name: &MessageName) {
        let (node, client) = (self.world.node(Role::Originator), self.client(Role::Originator, 1));
        self.until("the release", || async {
            match node.approve(2, name).await {
                Ok(view) => Ok(Some(view.state)),
                // An earlier attempt may have released it.
                Err(error) => match client.message(name).await {
                    Ok(view) if view.state != MessageState::WaitingForRelease => Ok(Some(view.state)),
                    Ok(_) | Err(_) => Err(error),
                },
            }
        })
        .await;
    }

    /// The recipient's officer takes the request.
    async fn taken(&mut self, name: &MessageName) {
        let client = self.client(Role::Recipient, 1);
        let confirm = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
        self.until("the request to be taken", || async {
            match client.confirm(name, &confirm).await {
                Ok(_) => Ok(Some(())),
                Err(error) => match client.message(name).await {
                    Ok(view) if view.state == MessageState::HandedOver => Ok(Some(())),
                    Ok(_) | Err(_) => Err(error),
                },
            }
        })
        .await;
    }

    /// Waits until a node shows receipts of these kinds, one of each, verified; and what it has shown before, unchanged.
    pub(crate) async fn receipts(&mut self, role: Role, name: &MessageName, kinds: &[ReceiptKind]) {
        let client = self.client(role, 1);
        let begun = Instant::now();
        loop {
            let bundle = self.until("receipts", || async { client.evidence(name).await.map(Some) }).await;
            let now: BTreeSet<_> = bundle
                .receipts
                .iter()
                .map(|receipt| (role, name.to_string(), receipt.kind, receipt.proof.clone()))
                .collect();
            for (.., kind, proof) in
                self.shown.iter().filter(|(at, about, ..)| *at == role && *about == name.to_string())
            {
                assert!(
                    now.iter().any(|(.., other)| other == proof),
                    "{kind:?} that {role:?} has shown is not shown again:\n{proof}\nbut {now:?}"
                );
            }
            let complete = kinds.iter().all(|kind| now.iter().any(|(.., shown, _)| shown == kind));
            self.shown.extend(now);
            if complete {
                let mut found: Vec<_> = verified(&bundle).into_iter().map(|(kind, _)| kind).collect();
                found.sort_unstable();
                assert_eq!(found, kinds, "one receipt of each kind");
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no {kinds:?}: {:?}", bundle.receipts);
        }
    }

    /// Kills all daemons and waits until nobody looks on any more.
    pub(crate) fn end(mut self) {
        for daemon in std::mem::take(&mut self.daemons).into_values() {
            daemon.kill();
        }
        let _ = self.watch.end();
    }

    /// A clean stop of the daemon that is looked on, another start, everything as it was, and every log in order.
    async fn close(&mut self) {
        let daemon = self.daemons.remove(&self.role).expect("it runs");
        let ended = daemon.stop();
        if self.seen.is_some() {
            assert!(ended.status.success(), "it does not stop cleanly: {}\n{}", ended.status, ended.log);
        } else {
            self.note(ended, When::ToldTo);
        }
        self.start(self.role);
        for role in [Role::Originator, Role::Recipient] {
            let client = self.client(role, 1);
            self.until("the link", || async {
                Ok(client.health().await?.hub.is_some_and(|hub| hub.connected).then_some(()))
            })
            .await;
        }
        let names: BTreeSet<_> = self.shown.iter().map(|(_, name, ..)| name.clone()).collect();
        let [name] = names.iter().collect::<Vec<_>>().try_into().expect("one message has receipts");
        let name: MessageName = name.parse().expect("a message's name");
        let all = [ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment, ReceiptKind::ContentHandover];
        self.receipts(Role::Originator, &name, &all).await;
        let inbox = self.world.node(Role::Recipient).inbox().await;
        assert_eq!(inbox.into_iter().map(MessageName::from).collect::<Vec<_>>(), [name], "it arrived once");
        for (role, daemon) in std::mem::take(&mut self.daemons) {
            let ended = daemon.stop();
            assert!(ended.status.success(), "{role:?} does not stop cleanly: {}\n{}", ended.status, ended.log);
        }
        for role in Role::ALL {
            Ctl::new("audit verify").with(self.world.folder(role).join("data")).ok();
        }
    }
}
