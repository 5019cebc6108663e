//! Load from several States at once, by clients who insist: whatever fails is asked again under the same key until it is
//! answered, and everything that was asked, answered and shown is written down for the [`checker`](crate::checker).

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ncp_api::client::PageQuery;
use ncp_api::message::{
    Confirm, ConfirmStatus, Direction, MessageItem, MessageName, MessageState, NewMessage, RecipientState, Withdraw,
};
use ncp_api::registry::Exit;
use ncp_api::timeline::{EvidenceBundle, ReceiptKind};
use ncp_api::{Client, ClientError, ErrorCode};
use ncp_protocol::codes::{Kind, Precedence, UrgentGround};
use ncp_protocol::ids::{Digest, MessageId, ParticipantId};
use ncp_protocol::keys::sha256;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::checker::{Ask, Command, History, Listing, Outcome, Read, Shown, Verdict, check};
use crate::ctl::Ctl;
use crate::messages::{fresh_key, message};
use crate::{Network, Node, id, soon};

/// Messages that each node has on their way at once.
const IN_FLIGHT: usize = 12;
/// Longest wait for all clients and queues to come to their end after the last fault: links that were lost often are dialled seldom.
pub const DRAIN: Duration = Duration::from_secs(180);
/// How long a client waits for a sign of a restart before it asks again by itself.
const AGAIN: Duration = Duration::from_millis(300);
/// Text of a message whose body has several chunks.
const LONG: usize = 150_000;

/// Clients of all nodes of a network.
#[derive(Debug)]
pub struct Load {
    network: Arc<Network>,
    nodes: Vec<&'static str>,
    history: Mutex<History>,
    // Counts the changes of the world that clients wait for.
    signs: watch::Sender<u64>,
    allowed: AtomicU64,
    begun: AtomicU64,
    is_over: AtomicBool,
    // How often each daemon was seen to have answered a command or made a receipt.
    words: (Mutex<BTreeMap<ParticipantId, u64>>, Condvar),
}

impl Load {
    /// Clients of these nodes; nothing is sent yet.
    #[must_use]
    pub fn new(network: Arc<Network>, nodes: &[&'static str]) -> Arc<Self> {
        Arc::new(Self {
            network,
            nodes: nodes.to_vec(),
            history: Mutex::default(),
            signs: watch::Sender::default(),
            allowed: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            words: <(Mutex<_>, Condvar)>::default(),
        })
    }

    /// Lets clients send so many messages more.
    pub fn allow(&self, messages: u64) {
        self.allowed.fetch_add(messages, Ordering::Relaxed);
        self.tell();
    }

    /// Tells clients who wait that something changed, such as a daemon that is back.
    pub fn tell(&self) {
        self.signs.send_modify(|signs| *signs += 1);
    }

    /// Waits until so many messages were begun.
    ///
    /// # Panics
    /// If they are not allowed, or do not begin in time.
    pub async fn until_begun(&self, messages: u64) {
        let mut signs = self.signs.subscribe();
        let begun = async {
            while self.begun.load(Ordering::Relaxed) < messages {
                signs.changed().await.expect("the load is there");
            }
        };
        soon("messages to be begun", begun).await;
    }

    /// Waits until a daemon was seen to give its word once more: the very moment to take it by surprise. At most so long.
    ///
    /// # Panics
    /// If a client panicked meanwhile.
    pub fn await_word(&self, of: ParticipantId, limit: Duration) {
        let words = self.words.0.lock().expect("clients go on");
        let before = words.get(&of).copied();
        let waited = self.words.1.wait_timeout_while(words, limit, |words| words.get(&of).copied() == before);
        drop(waited.expect("clients go on"));
    }

    fn saw_word(&self, of: ParticipantId) {
        *self.words.0.lock().expect("nobody panics with it").entry(of).or_default() += 1;
        self.words.1.notify_all();
    }

    /// Sends from all nodes until [`Load::finish`], as the chance says. Ends when each client has seen its last message end.
    ///
    /// # Panics
    /// If a client is told something that cannot be.
    pub async fn run(self: &Arc<Self>, mut chance: Chance) {
        let mut clients = JoinSet::new();
        for name in &self.nodes {
            for _ in 0..IN_FLIGHT {
                clients.spawn(Arc::clone(self).send(name, chance.branch()));
            }
        }
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client goes on to the end");
        }
    }

    /// No message is begun any more.
    pub fn finish(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.tell();
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One client of a node.
    async fn send(self: Arc<Self>, name: &'static str, mut chance: Chance) {
        while self.may_begin().await {
            let node = self.network.node(name);
            let others: Vec<_> = self.nodes.iter().copied().filter(|other| *other != name).collect();
            let to = recipients(&others, &mut chance);
            let (message, text) = letter(&to, &mut chance);
            let Some(sent) = self.create(node, &message, &text).await else { continue };
            if chance.one_in(12) {
                self.withdraw(node, sent).await;
            }
            self.follow(node, sent).await;
            let reader = self.network.node(to[0]);
            if chance.one_in(3) {
                self.confirm(reader, node.id(), sent).await;
            }
            if chance.one_in(3) {
                self.look(reader, sent).await;
            }
            if chance.one_in(5) {
                self.heads(reader.id(), &reader.client(1)).await;
                self.heads(ParticipantId::HUB, &self.network.relay().client()).await;
            }
        }
    }

    /// Waits until a message may be begun; false if none may any more.
    async fn may_begin(&self) -> bool {
        let mut signs = self.signs.subscribe();
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                return false;
            }
            let allowed = self.allowed.load(Ordering::Relaxed);
            let more = |begun| (begun < allowed).then_some(begun + 1);
            if self.begun.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
                self.tell();
                return true;
            }
            signs.changed().await.expect("the load is there");
        }
    }

    /// Asks until there is an answer: success, or a refusal that asking again does not change. `missed` is called each time
    /// that no answer came.
    async fn insist<T, F>(&self, mut missed: impl FnMut(), mut ask: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut signs = self.signs.subscribe();
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A node that has just started cannot know what it saw before: it wants a new signature.
            let is_stale = error.is(ErrorCode::OfficerRequestReplayed);
            match (&error, error.exit()) {
                (ClientError::Local(_), _) | (ClientError::Answered(_), Exit::Unavailable | Exit::Later) => missed(),
                (ClientError::Answered(_), _) if is_stale => missed(),
                (ClientError::Answered(_), _) => return Err(error),
            }
            // A restart is told; whatever else it was is asked again in a moment.
            let _ = tokio::time::timeout(AGAIN, signs.changed()).await;
        }
    }

    fn record(&self, at: &Node, key: &str, ask: &Ask, outcome: Outcome) {
        let is_done = matches!(outcome, Outcome::Done(_));
        let command = Command { at: at.id(), key: key.to_owned(), ask: ask.clone(), outcome };
        self.history().commands.push(command);
        if is_done {
            self.saw_word(at.id());
        }
    }

    async fn create(&self, node: &Node, message: &NewMessage, text: &str) -> Option<MessageId> {
        let (client, key) = (node.client(1), fresh_key());
        let recipients: BTreeSet<_> = message.to.iter().copied().collect();
        let ask = Ask::Create { content: digest(&message.subject, text), recipients };
        let missed = || self.record(node, &key, &ask, Outcome::Unknown);
        match self.insist(missed, || client.create(message, &key)).await {
            Ok(view) => {
                self.record(node, &key, &ask, Outcome::Done(view.message));
                Some(view.message)
            }
            Err(error) => {
                self.record(node, &key, &ask, Outcome::Refused(error.to_string()));
                None
            }
        }
    }

    async fn withdraw(&self, node: &Node, message: MessageId) {
        let (client, key, ask) = (node.client(2), fresh_key(), Ask::Withdraw(message));
        let missed = || self.record(node, &key, &ask, Outcome::Unknown);
        let (name, body) = (MessageName::from(message), Withdraw { reason: None });
        let outcome = match self.insist(missed, || client.withdraw(&name, &body)).await {
            Ok(_) => Outcome::Done(message),
            Err(error) => Outcome::Refused(error.to_string()),
        };
        self.record(node, &key, &ask, outcome);
    }

    /// An officer of the recipient takes a message that has arrived: R3.
    async fn confirm(&self, node: &Node, originator: ParticipantId, message: MessageId) {
        let (client, key, ask) = (node.client(2), fresh_key(), Ask::Confirm { originator, message });
        let missed = || self.record(node, &key, &ask, Outcome::Unknown);
        let body = Confirm { status: ConfirmStatus::Processed, national_ref: None, restriction_acknowledged: false };
        let name = MessageName::from(message);
        let outcome = match self.insist(missed, || client.confirm(&name, &body)).await {
            Ok(_) => Outcome::Done(message),
            // Recalled before it arrived.
            Err(error) => Outcome::Refused(error.to_string()),
        };
        self.record(node, &key, &ask, outcome);
    }

    /// Looks at a message's receipts until the message has ended, whatever happens to the node meanwhile.
    async fn follow(&self, node: &Node, message: MessageId) {
        let (client, name) = (node.client(1), MessageName::from(message));
        loop {
            self.look(node, message).await;
            let cursor = self.insist(|| {}, || client.newest_cursor()).await.expect("health has no refusal");
            let view = self.insist(|| {}, || client.message(&name)).await.expect("it is there");
            if is_final(view.state) {
                return;
            }
            let _ = client.events(Some(&cursor), 1).await;
        }
    }

    /// Reads the receipts of a message, if the node knows it.
    async fn look(&self, node: &Node, message: MessageId) -> Option<EvidenceBundle> {
        let (client, name) = (node.client(1), MessageName::from(message));
        let bundle = self.insist(|| {}, || client.evidence(&name)).await.ok()?;
        let mut history = self.history();
        for receipt in &bundle.receipts {
            if history.receipts.insert(Shown { at: node.id(), proof: receipt.proof.clone() }) {
                self.saw_word(receipt.participant);
            }
        }
        history.entries.extend(bundle.directory.iter().flat_map(|chain| chain.entries.iter().cloned()));
        Some(bundle)
    }

    /// Reads the newest checkpoints of a daemon.
    async fn heads(&self, of: ParticipantId, client: &Client) {
        let head = self.insist(|| {}, || client.audit_head()).await;
        let head = head.unwrap_or_else(|error| panic!("{of} shows its checkpoints: {error}"));
        self.history().checkpoints.extend(head.logs.into_iter().map(|log| log.checkpoint));
    }

    /// Waits until nothing is on its way any more, and reads all that clients can see. Returns what was recorded.
    ///
    /// # Panics
    /// If the queues do not drain in time.
    pub async fn drain(&self) -> History {
        let begun = Instant::now();
        let mut open = Vec::new();
        while begun.elapsed() < DRAIN {
            open.clear();
            for name in &self.nodes {
                open.extend(self.open(self.network.node(name)).await);
            }
            if open.is_empty() {
                break;
            }
            // Something happens soon, or is looked for again.
            let client = self.network.node(self.nodes[0]).client(1);
            let cursor = client.newest_cursor().await.expect("the node's health");
            client.events(Some(&cursor), 1).await.expect("the feed of events");
        }
        if !open.is_empty() {
            self.keep();
        }
        assert!(open.is_empty(), "after {} s there is still:\n  {}", DRAIN.as_secs(), open.join("\n  "));
        for name in &self.nodes {
            self.read_all(self.network.node(name)).await;
        }
        self.heads(ParticipantId::HUB, &self.network.relay().client()).await;
        core::mem::take(&mut self.history())
    }

    /// Drains the network, stops it as a service manager does, and has all its journals read.
    ///
    /// # Panics
    /// If the queues do not drain, or a daemon does not stop well.
    pub async fn judge(&self) -> Verdict {
        let history = self.drain().await;
        let folders = self.stop();
        for data in folders.values() {
            // The auditor's word and the operator's own tool's.
            Ctl::new("audit verify").with(data).ok();
        }
        let verdict = check(&folders, &history);
        if !verdict.findings.is_empty() {
            self.keep();
        }
        verdict
    }

    /// Copies the whole network to the folder that `NCP_KEEP` names, for whoever looks into what went wrong.
    fn keep(&self) {
        if let Some(folder) = std::env::var_os("NCP_KEEP") {
            crate::folder::copy(self.network.folder(), &PathBuf::from(folder));
        }
    }

    /// Stops all daemons; returns their data folders.
    ///
    /// # Panics
    /// If one does not stop well.
    #[must_use]
    pub fn stop(&self) -> BTreeMap<ParticipantId, PathBuf> {
        let mut folders = BTreeMap::from([(ParticipantId::HUB, self.network.relay().data())]);
        for node in self.nodes.iter().map(|name| self.network.node(name)) {
            let ended = node.stop();
            assert!(ended.status.success(), "{} ended with {}:\n{}", node.name(), ended.status, ended.log);
            folders.insert(node.id(), node.data());
        }
        let ended = self.network.relay().stop();
        assert!(ended.status.success(), "the hub ended with {}:\n{}", ended.status, ended.log);
        folders
    }

    /// What of a node's messages has not come to its end.
    async fn open(&self, node: &Node) -> Vec<String> {
        let mut open = Vec::new();
        for item in all(&node.client(1)).await.into_iter().filter(|item| item.direction == Direction::Out) {
            let missing = self.missing(node, &item).await;
            if !is_final(item.state) || !missing.is_empty() {
                open.push(format!("{} at {} is {:?}, without {missing:?}", item.reference, node.name(), item.state));
            }
        }
        let status = self.network.relay().client().hub_status().await.expect("the hub answers");
        let waiting = status.peers.iter().filter(|peer| peer.waiting > 0);
        open.extend(waiting.map(|peer| format!("{} envelopes wait for {}", peer.waiting, peer.participant)));
        open
    }

    /// Receipts that belong to a message that ended and are not here.
    async fn missing(&self, node: &Node, item: &MessageItem) -> Vec<(ParticipantId, ReceiptKind)> {
        let bundle = self.look(node, item.message).await.expect("it is there");
        let view = node.client(1).message(&item.message.into()).await.expect("it is there");
        let confirmed = self.confirmed(item.originator, item.message);
        let mut missing = Vec::new();
        for RecipientState { participant: recipient, state, .. } in view.recipients {
            let has = |kind: &ReceiptKind| {
                bundle.receipts.iter().any(|receipt| (receipt.recipient, receipt.kind) == (recipient, *kind))
            };
            let is_delivered = match state {
                MessageState::Delivered | MessageState::HandedOver | MessageState::Answered => true,
                // What never left has no receipt; for what was recalled at the hub the auditor wants the negative.
                MessageState::Withdrawn | MessageState::Failed | MessageState::Expired => false,
                MessageState::Draft
                | MessageState::WaitingForRelease
                | MessageState::Queued
                | MessageState::Held
                | MessageState::Accepted => true,
            };
            let mut due = Vec::new();
            if is_delivered {
                due.extend([ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment]);
            }
            if confirmed.contains(&recipient) {
                due.push(ReceiptKind::ContentHandover);
            }
            missing.extend(due.into_iter().filter(|kind| !has(kind)).map(|kind| (recipient, kind)));
        }
        missing
    }

    /// Who was told that a message counts as handed over.
    fn confirmed(&self, from: ParticipantId, message: MessageId) -> BTreeSet<ParticipantId> {
        let history = self.history();
        let done = history.commands.iter().filter(|command| {
            let is_it = matches!(command.ask, Ask::Confirm { originator, message: taken } if (originator, taken) == (from, message));
            is_it && matches!(command.outcome, Outcome::Done(_))
        });
        done.map(|command| command.at).collect()
    }

    /// Reads inbox, contents and receipts of a node.
    async fn read_all(&self, node: &Node) {
        let client = node.client(1);
        let mut rows = Vec::new();
        for item in all(&client).await {
            self.look(node, item.message).await;
            if item.direction == Direction::In {
                rows.push((item.originator, item.message));
                if item.kind == Kind::Notice {
                    let view = client.message(&item.message.into()).await.expect("a message that arrived can be read");
                    let subject = view.subject.expect("it has a subject");
                    let content = digest(&subject, view.text.as_deref().unwrap_or_default());
                    let (originator, message) = (view.originator, view.message);
                    self.history().reads.push(Read { at: node.id(), originator, message, content });
                }
            }
        }
        self.history().listings.push(Listing { at: node.id(), rows });
        self.heads(node.id(), &client).await;
    }
}

/// All messages of a node.
async fn all(client: &Client) -> Vec<MessageItem> {
    let mut query = PageQuery { limit: Some(ncp_api::PAGE_MAX), ..PageQuery::default() };
    let mut items = Vec::new();
    loop {
        let page = client.messages(&query).await.expect("the list of messages");
        items.extend(page.items);
        if !page.more {
            return items;
        }
        query.after = Some(page.cursor);
    }
}

fn recipients(others: &[&'static str], chance: &mut Chance) -> Vec<&'static str> {
    let first = usize::try_from(chance.below(others.len() as u64)).expect("a small number");
    let mut to = vec![others[first]];
    if chance.one_in(3) {
        to.extend(others.iter().filter(|other| **other != others[first]));
    }
    to
}

/// A notice and its text: mostly short, sometimes urgent, sometimes too long for one chunk.
fn letter(to: &[&str], chance: &mut Chance) -> (NewMessage, String) {
    let number = chance.bits();
    let text = if chance.one_in(10) { format!("{number:016x}\n").repeat(LONG / 17) } else { format!("text {number}") };
    let mut message = message(Kind::Notice, to, &format!("under load {number}"), &text);
    if chance.one_in(4) {
        message.precedence = Precedence::Urgent;
        message.urgent_ground = Some(UrgentGround::LifeOrLimb);
    }
    message.to = to.iter().map(|name| id(name)).collect();
    (message, text)
}

fn digest(subject: &str, text: &str) -> Digest {
    sha256(format!("{subject}\n\n{text}").as_bytes())
}

fn is_final(state: MessageState) -> bool {
    match state {
        MessageState::Delivered
        | MessageState::HandedOver
        | MessageState::Answered
        | MessageState::Withdrawn
        | MessageState::Expired
        | MessageState::Failed => true,
        MessageState::Draft
        | MessageState::WaitingForRelease
        | MessageState::Queued
        | MessageState::Held
        | MessageState::Accepted => false,
    }
}
