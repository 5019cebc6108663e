//! One look at the directory after another: question, answer, rules, store.

use std::collections::BTreeMap;
use std::sync::Arc;

use ncp_protocol::codes::Code;
use ncp_protocol::directory::accept::{
    EntryCase, EntryRefusal, MembershipRefusal, NationalPolicy, PublicRefusal, TimestampRefusal, accept_entry,
    accept_membership, accept_timestamp,
};
use ncp_protocol::directory::{
    Chain, Fingerprint, Freshness, Membership, SignedEntry, SignedMembership, SignedTimestamp, Timestamp,
};
use ncp_protocol::event::Actor;
use ncp_protocol::frame::{Entries, EntryGet, PublicGet, PublicLog};
use ncp_protocol::ids::{Digest, LogName, ParticipantId, UnixMillis};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::DIGESTS_PER_FRAME_MAX;
use ncp_store::committer::Stopped;
use ncp_store::disk::{RealDisk, is_full};
use ncp_store::queue::Source;
use ncp_store::spool::Record;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::held::Held;
use super::public::PublicLog as Reading;
use crate::clock;
use crate::core::command::{Ask, EntryNews};
use crate::entries::{DirectoryView, KnownEntry, entry_record};
use crate::keys::Own;
use crate::link::limits::{ANSWER_TIMEOUT, REFRESH_EVERY, REFRESH_PAUSE};
use crate::link::{Desk, Outbound, hub_checkpoint};
use crate::node::{Node, Submission};
use crate::submission::Note;

/// Entries that one command brings.
const NEWS_PER_COMMAND: usize = 64;
/// Why a participant is closed that the membership no longer names.
const REMOVED: &str = "removed";

/// An answer of the hub.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To [`EntryGet`].
    Entries(Box<Entries>),
    /// To [`PublicGet`].
    PublicLog(PublicLog),
}

/// Where questions go and answers come from while a link stands; one question at a time.
pub(crate) struct Line {
    outbound: Outbound,
    answers: mpsc::Receiver<Answer>,
}

impl Line {
    /// A line, and the end for the hub's answers.
    pub(crate) fn new(outbound: Outbound) -> (mpsc::Sender<Answer>, Self) {
        let (sender, answers) = mpsc::channel(1);
        (sender, Self { outbound, answers })
    }

    async fn entries(&mut self, question: EntryGet) -> Result<Entries, LookError> {
        self.outbound.send(question);
        match self.answer().await? {
            Answer::Entries(entries) => Ok(*entries),
            Answer::PublicLog(_) => Err(LookError::OtherAnswer),
        }
    }

    async fn public(&mut self, question: PublicGet) -> Result<PublicLog, LookError> {
        self.outbound.send(question);
        match self.answer().await? {
            Answer::PublicLog(log) => Ok(log),
            Answer::Entries(_) => Err(LookError::OtherAnswer),
        }
    }

    async fn answer(&mut self) -> Result<Answer, LookError> {
        match timeout(ANSWER_TIMEOUT, self.answers.recv()).await {
            Ok(answer) => answer.ok_or(LookError::Silent),
            Err(_) => Err(LookError::Silent),
        }
    }
}

/// Why a look at the directory brought nothing. What was believed before stays in force.
#[derive(Debug, Error)]
enum LookError {
    /// No answer in time.
    #[error("the hub does not answer")]
    Silent,
    /// The answer to another question.
    #[error("the hub answers another question")]
    OtherAnswer,
    /// No timestamp statement, or one that does not decode.
    #[error("no timestamp statement")]
    NoTimestamp,
    /// No membership statement where a new one is needed, or one that does not decode.
    #[error("no membership statement")]
    NoMembership,
    /// The timestamp statement is not believed.
    #[error("timestamp: {0}")]
    Timestamp(#[from] TimestampRefusal),
    /// The membership statement is not believed.
    #[error("membership: {0}")]
    Membership(#[from] MembershipRefusal),
    /// A leaf of `public` is none.
    #[error("public: {0}")]
    Leaf(#[from] PublicRefusal),
    /// Leaves from another place than asked, or none.
    #[error("public: leaves from another place than asked, or none")]
    Leaves,
    /// The checkpoint is not signed by the hub's key for `public`, or smaller than what it must cover.
    #[error("public: no checkpoint of the hub over these leaves")]
    Checkpoint,
    /// The leaves do not have the root that was stated.
    #[error("public: the leaves do not have the root that was stated at size {0}")]
    Root(u64),
    /// Entries or keys of this node cannot be read, so that nobody knows whether an entry in its name is its own.
    #[error("own entries cannot be read again: {0}")]
    Own(String),
    /// The store has stopped.
    #[error(transparent)]
    Store(#[from] Stopped),
}

/// Statements that are not believed yet.
struct Stated {
    timestamp: SignedTimestamp,
    membership: SignedMembership,
}

/// What this node knows of the directory, over all links.
pub(crate) struct Directory {
    desk: Arc<Desk>,
    disk: RealDisk,
    held: Held,
    public: Arc<Reading>,
    /// Size and root of `public` that were stated before: a reading from the first leaf has to pass through them.
    anchor: Option<(u64, Digest)>,
}

impl Directory {
    /// Shows the statements last believed to all tasks.
    pub(crate) async fn open(desk: Arc<Desk>, disk: RealDisk) -> Self {
        let installed = desk.node.network.root.clone();
        let (held, disk) = desk.node.blocking(move |_| (Held::load(&disk, installed), disk)).await;
        desk.node.statements.store(Arc::new(held.statements()));
        let anchor = held.timestamp().map(|timestamp| (timestamp.public_size, timestamp.public_root));
        Self { desk, disk, held, public: Arc::default(), anchor }
    }

    /// Looks at the directory now, whenever the hub tells of news, when somebody misses a key, and from time to time.
    pub(crate) async fn look_after(&mut self, mut line: Line) {
        let desk = Arc::clone(&self.desk);
        let mut told = None;
        loop {
            let began = Instant::now();
            // An answer that came too late belongs to no question.
            while line.answers.try_recv().is_ok() {}
            // The same reason again is told once: somebody who misses a key has the hub asked every few seconds.
            let failed = self.look(&mut line).await.err().map(|error| error.to_string());
            if let Some(error) = failed.as_ref().filter(|_| failed != told) {
                tracing::warn!(%error, "the directory stays as it was");
            }
            told = failed;
            tokio::select! {
                () = sleep(REFRESH_EVERY) => {}
                () = desk.directory_news.notified() => {}
                () = desk.refresh.notified() => sleep_until(began + REFRESH_PAUSE).await,
            }
        }
    }

    async fn look(&mut self, line: &mut Line) -> Result<(), LookError> {
        let stated = self.fetch_statements(line).await?;
        let (timestamp, membership) = (*stated.timestamp.unverified(), stated.membership.unverified().clone());
        // Nothing of a statement is believed, shown or kept before `public` is what it states: a hub that withholds leaves
        // keeps nobody fresh, and one false statement bars no true one.
        self.read_public(line, &timestamp).await?;
        self.adopt(stated).await;
        let directory = self.desk.node.directory.load_full();
        let wanted = wanted(&self.public, &membership, &directory);
        let fetched = self.fetch_entries(line, wanted).await?;
        self.accept(timestamp, membership, directory, fetched).await
    }

    /// Statements that are signed as they should be and follow those that are held.
    async fn fetch_statements(&mut self, line: &mut Line) -> Result<Stated, LookError> {
        let entries = loop {
            let root_version = self.held.root.root().version;
            let mut entries = line.entries(EntryGet { root_version, digests: Vec::new() }).await?;
            let roots = core::mem::take(&mut entries.roots);
            // A later root counts only through all before it; the answer brings them in order.
            if roots.into_iter().filter(|bytes| self.held.take_root(bytes.clone())).count() == 0 {
                break entries;
            }
            if self.held.timestamp().is_none() {
                // It fell with its key, and with it what it stated of `public`.
                self.anchor = None;
            }
        };
        let now = clock::now();
        let signed = entries.timestamp.as_deref().and_then(|bytes| SignedTimestamp::decode(bytes).ok());
        let signed = signed.ok_or(LookError::NoTimestamp)?;
        // Also of a statement that is not believed because of its time: then the clocks are what is wrong.
        if let Ok(said) = signed.verify(&self.held.root.root().roles.timestamp, &self.held.root.network()) {
            self.desk.node.hub_clock.note(said.issued);
            self.desk.tell_outbox(Note::HubTime);
        }
        let timestamp = accept_timestamp(&self.held.root, self.held.timestamp(), &signed, now)?;
        let known = self.held.membership.clone().filter(|held| {
            (held.unverified().version, held.digest()) == (timestamp.membership_version, timestamp.membership_digest)
        });
        let membership = match known {
            Some(held) => held,
            None => {
                let fetched = entries.membership.as_deref().and_then(|bytes| SignedMembership::decode(bytes).ok());
                let fetched = fetched.ok_or(LookError::NoMembership)?;
                accept_membership(&self.held.root, &timestamp, self.held.membership(), &fetched, now)?;
                fetched
            }
        };
        Ok(Stated { timestamp: signed, membership })
    }

    /// Believes the statements: keeps them and shows them to all tasks.
    async fn adopt(&mut self, stated: Stated) {
        let Stated { timestamp, membership } = stated;
        (self.held.timestamp, self.held.membership) = (Some(timestamp), Some(membership));
        let (held, disk) = (self.held.clone(), self.disk.clone());
        match self.desk.node.blocking(move |_| held.save(&disk)).await {
            Ok(()) => {}
            // Losing them costs a download after the next start.
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "the hub's statements cannot be kept");
            }
            // The next sync of the folder could hide that one failed.
            Err(error) => self.desk.node.stop_because(crate::faults::unreadable(&error)),
        }
        let node = &self.desk.node;
        let was = node.statements.load().timestamp.map(|timestamp| timestamp.freshness(clock::now()));
        node.statements.store(Arc::new(self.held.statements()));
        if !matches!(was, Some(Freshness::Fresh | Freshness::Grace)) {
            // Sealing waits for a timestamp that is not stale.
            node.hints.directory.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Reads `public` up to the size that the timestamp states and compares the root.
    async fn read_public(&mut self, line: &mut Line, timestamp: &Timestamp) -> Result<(), LookError> {
        if self.public.reading().size() > timestamp.public_size {
            // More was read than is stated: only a reading that was never believed gets there.
            self.public = Arc::default();
        }
        while self.public.reading().size() < timestamp.public_size {
            let from = self.public.reading().size();
            let answer = line.public(PublicGet { from, until: timestamp.public_size }).await?;
            if let Err(error) = self.read_leaves(answer, from, timestamp.public_size) {
                self.public = Arc::default();
                return Err(error);
            }
        }
        if self.public.reading().root() != timestamp.public_root {
            tracing::error!(size = timestamp.public_size, "the hub's log `public` is not the one that it signed");
            self.public = Arc::default();
            return Err(LookError::Root(timestamp.public_size));
        }
        self.anchor = Some((timestamp.public_size, timestamp.public_root));
        if self.public.foreign().is_some() {
            self.look_for_own().await?;
        }
        self.desk.note_foreign(self.public.foreign().is_some());
        if let Some(entry) = self.public.foreign() {
            tracing::error!(%entry, "`public` holds an entry in this node's name that it did not sign: nothing is received");
        }
        if **self.desk.admissions.load() != *self.public.admissions() {
            self.desk.admissions.store(Arc::new(self.public.admissions().clone()));
            // What was delivered under an entry of which nothing was known can be judged now.
            self.desk.node.hints.directory.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(())
    }

    /// An entry in this node's name that was not here when the data folder was read last may lie there now.
    async fn look_for_own(&mut self) -> Result<(), LookError> {
        let own = self.desk.node.blocking(Node::read_own_again).await;
        let own = own.map_err(|fault| LookError::Own(format!("{}: {}", fault.code, fault.cause())))?;
        Arc::make_mut(&mut self.public).settle(&digests(&own));
        Ok(())
    }

    fn read_leaves(&mut self, answer: PublicLog, from: u64, until: u64) -> Result<(), LookError> {
        let PublicLog { from: first, events, checkpoint } = answer;
        let room = usize::try_from(until - from).unwrap_or(usize::MAX);
        if first != from || events.is_empty() || events.len() > room {
            return Err(LookError::Leaves);
        }
        let this_node = self.desk.node.participant();
        let own = digests(&self.desk.node.own.load());
        let public = Arc::make_mut(&mut self.public);
        for leaf in &events {
            public.read(leaf, this_node, &own)?;
            if let Some((size, root)) = self.anchor
                && size == public.reading().size()
                && root != public.reading().root()
            {
                tracing::error!(size, "the hub's log `public` is not the one that it showed before");
                return Err(LookError::Root(size));
            }
        }
        let (size, root) = (public.reading().size(), public.reading().root());
        let signed = hub_checkpoint(&self.desk.node.directory.load(), &checkpoint);
        let covering = signed.filter(|(log, signed)| *log == LogName::Public && signed.checkpoint().size >= size);
        let (_, signed) = covering.ok_or(LookError::Checkpoint)?;
        if signed.checkpoint().size == size && signed.checkpoint().root != root {
            return Err(LookError::Root(size));
        }
        Ok(())
    }

    /// Fetches entries by digest, as many as the hub gives.
    async fn fetch_entries(
        &self,
        line: &mut Line,
        mut wanted: Vec<Digest>,
    ) -> Result<BTreeMap<Digest, SignedEntry>, LookError> {
        let mut fetched = BTreeMap::new();
        while !wanted.is_empty() {
            let root_version = self.held.root.root().version;
            let digests: Vec<Digest> = wanted.iter().take(DIGESTS_PER_FRAME_MAX).copied().collect();
            let answer = line.entries(EntryGet { root_version, digests: digests.clone() }).await?;
            let before = fetched.len();
            for bytes in answer.entries {
                let digest = sha256(&bytes);
                if let Some(signed) = SignedEntry::decode(&bytes).ok().filter(|_| digests.contains(&digest)) {
                    fetched.insert(digest, signed);
                }
            }
            if fetched.len() == before {
                // What the hub admitted it must show; the next look asks again.
                tracing::warn!(missing = wanted.len(), "the hub does not show entries that it admitted");
                break;
            }
            wanted.retain(|digest| !fetched.contains_key(digest));
        }
        Ok(fetched)
    }

    /// Judges what came on a thread of its own and has it stored.
    async fn accept(
        &self,
        timestamp: Timestamp,
        membership: Membership,
        directory: Arc<DirectoryView>,
        fetched: BTreeMap<Digest, SignedEntry>,
    ) -> Result<(), LookError> {
        let public = Arc::clone(&self.public);
        let this_node = self.desk.node.participant();
        let judge = move |_: &crate::node::Node| {
            let judge = Judge { timestamp, membership, public, directory, this_node, now: clock::now() };
            judge.news(&fetched)
        };
        let mut news = self.desk.node.blocking(judge).await;
        let task = Submission { source: Source::Peer(ParticipantId::HUB), ..Submission::DAEMON };
        while !news.is_empty() {
            let rest = news.split_off(news.len().min(NEWS_PER_COMMAND));
            let actor = Actor::Peer(ParticipantId::HUB);
            self.desk.node.submit(task, actor, Ask::AcceptEntries(news)).await?;
            news = rest;
        }
        Ok(())
    }
}

fn digests(own: &Own) -> Vec<Digest> {
    own.entries.iter().map(SignedEntry::digest).collect()
}

/// Digests of the entries that `public` admits for members and the hub, and that are not here.
fn wanted(public: &Reading, membership: &Membership, directory: &DirectoryView) -> Vec<Digest> {
    let mut wanted = Vec::new();
    for member in &membership.members {
        let from = directory.entry(member.participant).map_or(0, |known| known.row.version.saturating_add(1));
        let admitted = (from..).map_while(|version| public.reading().admitted(member.participant, version));
        wanted.extend(admitted.copied());
    }
    wanted
}

/// Everything that decides about a look's entries and suspensions.
struct Judge {
    timestamp: Timestamp,
    membership: Membership,
    public: Arc<Reading>,
    directory: Arc<DirectoryView>,
    this_node: ParticipantId,
    now: UnixMillis,
}

impl Judge {
    fn news(&self, fetched: &BTreeMap<Digest, SignedEntry>) -> Vec<EntryNews> {
        let mut news = Vec::new();
        for member in &self.membership.members {
            let known = self.directory.entry(member.participant);
            self.entries(member.participant, member.fingerprint, known, fetched, &mut news);
        }
        for (participant, known) in self.directory.iter() {
            news.extend(self.standing(*participant, known));
        }
        news
    }

    /// The versions that continue what is known, as far as they pass.
    fn entries(
        &self,
        participant: ParticipantId,
        named: Fingerprint,
        known: Option<&KnownEntry>,
        fetched: &BTreeMap<Digest, SignedEntry>,
        news: &mut Vec<EntryNews>,
    ) {
        // Without a pin the entry is kept under the membership's word, and stays closed.
        let pin = known.and_then(|known| known.row.pinned).map_or(named, Fingerprint);
        let mut chain: Option<Chain> = known.map(|known| known.chain.clone());
        let from = known.map_or(0, |known| known.row.version.saturating_add(1));
        for version in from.. {
            let admitted = self.public.reading().admitted(participant, version);
            let Some(signed) = admitted.and_then(|digest| fetched.get(digest)) else { return };
            let case = EntryCase {
                timestamp: &self.timestamp,
                membership: &self.membership,
                public: self.public.reading(),
                pin: Some(&pin),
                chain: chain.as_ref(),
                policy: NationalPolicy::Agrees,
                now: self.now,
            };
            match accept_entry(&case, signed) {
                Ok(next) => {
                    let record = Record { name: entry_record(signed.digest()), bytes: signed.encode() };
                    news.push(EntryNews::Entry { participant, version, record });
                    chain = Some(next);
                }
                Err(EntryRefusal::Suspended(reason)) => {
                    tracing::info!(%participant, version, %reason, "the entry waits until the suspension ends");
                    return;
                }
                Err(refusal) => {
                    tracing::error!(%participant, version, %refusal, "a directory entry is refused");
                    return;
                }
            }
        }
    }

    /// Suspension closes on sight; it ends when membership and `public` both say so.
    fn standing(&self, participant: ParticipantId, known: &KnownEntry) -> Option<EntryNews> {
        let member = self.membership.member(participant);
        let by_public = self.public.reading().suspended(participant);
        let reason = match member {
            Some(member) => member.suspended.as_ref().or(by_public).cloned(),
            // The hub and this node itself came with joining, before any statement named them.
            None if participant == ParticipantId::HUB || participant == self.this_node => None,
            None => removed(),
        };
        match (reason, known.row.suspended) {
            (Some(reason), false) => Some(EntryNews::Suspended { participant, reason }),
            (None, true) => Some(EntryNews::Reinstated { participant }),
            (Some(_), true) | (None, false) => None,
        }
    }
}

fn removed() -> Option<Code> {
    REMOVED.parse().ok()
}
