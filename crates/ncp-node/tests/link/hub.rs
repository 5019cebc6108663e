//! A hub that does what the test says: it listens, keeps two logs in memory, and answers questions about the directory.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::directory::{SignedEntry, SignedMembership, SignedTimestamp, Timestamp};
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, Outcome};
use ncp_protocol::frame::{
    BodyChunk, BodyWanted, Credit, Cursor, Deliver, Entries, EntriesChanged, EntryGet, Frame, Hello, Ping, Pong,
    PublicGet, PublicLog, Receipts, ReceiptsStored, Refused, Restricted,
};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Digest, Epoch, LogName, LogOrigin, ParticipantId, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_protocol::merkle::{self, Nodes, leaf_hash, node_hash};
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;
use ncp_transport::connection::{Connection, LinkReader, LinkWriter};
use ncp_transport::frame::RawFrame;
use ncp_transport::listener::{Arrival, Listener, ListenerLimits};
use ncp_transport::tls::{SharedTls, TlsSettings};
use tokio::sync::mpsc;

use crate::world::{Party, now, soon};

/// A log in memory.
pub(crate) struct Log {
    origin: LogOrigin,
    key: SigningKey,
    pub(crate) events: Vec<Vec<u8>>,
}

struct Leaves<'a>(&'a [Vec<u8>]);

impl Nodes for Leaves<'_> {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Infallible> {
        if level == 0 {
            return Ok(leaf_hash(&self.0[usize::try_from(index).unwrap()]));
        }
        Ok(node_hash(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
    }
}

impl Log {
    fn push(&mut self, change: Change) -> u64 {
        let event =
            Event { log: self.origin.log, time: now(), actor: Actor::Daemon, salt: ncp_node::clock::random(), change };
        self.events.push(event.encode());
        self.size() - 1
    }

    pub(crate) fn size(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn root(&self) -> Digest {
        merkle::root(&Leaves(&self.events), self.size()).unwrap()
    }

    pub(crate) fn note(&self) -> String {
        let checkpoint = Checkpoint { origin: self.origin.to_string(), size: self.size(), root: self.root() };
        checkpoint.sign(&self.key).note().to_owned()
    }

    fn proof(&self, index: u64) -> LogProof {
        let hashes = merkle::inclusion_proof(&Leaves(&self.events), index, self.size()).unwrap();
        let event = self.events[usize::try_from(index).unwrap()].clone();
        LogProof { event, index, hashes, checkpoint_note: self.note() }
    }
}

/// The hub.
pub(crate) struct Hub {
    pub(crate) party: Party,
    pub(crate) public: Log,
    pub(crate) traffic: Log,
    pub(crate) membership: SignedMembership,
    pub(crate) entries: Vec<SignedEntry>,
    pub(crate) address: SocketAddr,
    listener: Option<Listener>,
    arrivals: Option<mpsc::Receiver<Arrival>>,
    /// Changes what the timestamp states of `public`, for a hub that lies.
    pub(crate) stated_root: Option<Digest>,
    /// What size of `public` the hub states, for a hub that states one that it does not show.
    pub(crate) stated_size: Option<u64>,
    /// What time the hub says it has, for a hub whose clock differs.
    pub(crate) stated_time: Option<UnixMillis>,
}

impl Hub {
    pub(crate) fn new(party: Party, membership: SignedMembership) -> Self {
        let log = |log, key: &SigningKey| Log { origin: party.origin(log), key: key.clone(), events: Vec::new() };
        let (traffic, public) = (log(LogName::Traffic, &party.log), log(LogName::Public, &party.public_log));
        // Until a test wants a link, what dials waits in the kernel.
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), ListenerLimits::default()).unwrap();
        let (address, listener) = (listener.local_addr(), Some(listener));
        Self {
            party,
            public,
            traffic,
            membership,
            entries: Vec::new(),
            address,
            listener,
            arrivals: None,
            stated_root: None,
            stated_size: None,
            stated_time: None,
        }
    }

    pub(crate) fn admit(&mut self, signed: SignedEntry) {
        let entry = signed.unverified();
        let (participant, version) = (entry.participant, entry.version);
        self.public.push(Change::EntryAdmitted { participant, version, entry: signed.digest() });
        self.entries.push(signed);
    }

    pub(crate) fn timestamp(&self) -> SignedTimestamp {
        let issued = self.stated_time.unwrap_or_else(now);
        let statement = Timestamp {
            network: self.membership.unverified().network,
            issued,
            expires: issued.plus_millis(3_600_000),
            membership_version: self.membership.unverified().version,
            membership_digest: self.membership.digest(),
            public_size: self.stated_size.unwrap_or_else(|| self.public.size()),
            public_root: self.stated_root.unwrap_or_else(|| self.public.root()),
        };
        SignedTimestamp::sign(statement, &self.membership.unverified().network, &[&self.party.timestamp]).unwrap()
    }

    /// The hub states something about an envelope in `traffic`.
    pub(crate) fn claim(
        &mut self,
        kind: EvidenceKind,
        envelope: EnvelopeKey,
        header: Digest,
        outcome: Outcome,
    ) -> LogProof {
        let (origin, key) = (self.traffic.origin, self.traffic.key.verifying_key().id());
        let index = self.traffic.push(Change::Evidence(Claim { origin, key, kind, envelope, header, outcome }));
        self.traffic.proof(index)
    }

    /// R1 of an envelope.
    pub(crate) fn accept(&mut self, envelope: &SealedEnvelope) -> LogProof {
        let (key, header) = (key_of(envelope), envelope.header_digest());
        self.claim(EvidenceKind::RelayAcceptance, key, header, Outcome::Done)
    }

    /// R1 of an envelope in a log that no entry names.
    pub(crate) fn accept_in_epoch(&self, epoch: u32, envelope: &SealedEnvelope) -> LogProof {
        let origin = LogOrigin { epoch: Epoch(epoch), ..self.traffic.origin };
        let mut log = Log { origin, key: later_log_key(), events: Vec::new() };
        let (key, header, outcome) = (log.key.verifying_key().id(), envelope.header_digest(), Outcome::Done);
        let kind = EvidenceKind::RelayAcceptance;
        let claim = Claim { origin, key, kind, envelope: key_of(envelope), header, outcome };
        let index = log.push(Change::Evidence(claim));
        log.proof(index)
    }

    pub(crate) fn deliver(&mut self, envelope: &SealedEnvelope) -> Deliver {
        Deliver { envelope: envelope.clone(), acceptance: self.accept(envelope) }
    }

    /// The next connection, before anything was said.
    pub(crate) async fn connection(&mut self) -> Connection {
        let network = self.membership.unverified().network;
        let arrivals = self.arrivals.get_or_insert_with(|| {
            let settings = TlsSettings::new(&self.party.tls.material, network).unwrap();
            let listener = self.listener.take().unwrap();
            let (sender, arrivals) = mpsc::channel(8);
            tokio::spawn(listener.run(SharedTls::new(settings), Arc::new(|_| Vec::new()), sender));
            arrivals
        });
        match arrivals.recv().await.unwrap() {
            Arrival::Connected(connection) => *connection,
            Arrival::Refused { error, .. } => panic!("refused: {error}"),
        }
    }

    /// The next connection, after both hellos, as if this hub had stored nothing yet.
    pub(crate) async fn link(&mut self) -> HubLink {
        self.link_with(|_| {}).await
    }

    /// The same with another hello.
    pub(crate) async fn link_with(&mut self, change: impl FnOnce(&mut Hello)) -> HubLink {
        let mut link = self.silent_link().await;
        let mut hello = self.hello();
        change(&mut hello);
        link.send(hello).await;
        link
    }

    /// The next connection, on which this hub does not say hello.
    pub(crate) async fn silent_link(&mut self) -> HubLink {
        let connection = self.connection().await;
        HubLink::of(connection).await
    }

    /// The next connection, which this hub restricts.
    pub(crate) async fn restricted_link(&mut self, code: RejectCode) -> HubLink {
        let mut link = self.silent_link().await;
        link.send(Restricted { code }).await;
        link.send(self.hello()).await;
        link
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            versions: vec![PROTOCOL_VERSION],
            suites: vec![SUITE],
            network: self.membership.unverified().network,
            participant: ParticipantId::HUB,
            receipts: Cursor { epoch: Epoch(1), number: 0 },
            checkpoints: Vec::new(),
            own: vec![self.traffic.note(), self.public.note()],
            public_size: self.public.size(),
            credit: Credit { envelopes: 16, bytes: 64 << 20 },
        }
    }
}

/// Signs a later epoch of the hub's log than its entry names.
pub(crate) fn later_log_key() -> SigningKey {
    SigningKey::from_seed(&[99; 32])
}

pub(crate) fn key_of(envelope: &SealedEnvelope) -> EnvelopeKey {
    let header = envelope.unverified_header().unwrap();
    EnvelopeKey {
        originator: header.originator,
        message: header.message,
        recipient: header.recipient,
        seal: header.seal,
    }
}

/// The hub's end of a link.
pub(crate) struct HubLink {
    reader: LinkReader,
    writer: LinkWriter,
    /// The node's hello.
    pub(crate) hello: Hello,
    /// What the node granted, hello included, less what was sent.
    pub(crate) credit: Credit,
    /// Entries that the node asked for.
    asked: BTreeSet<Digest>,
    /// The leaf of `public` from which on the node asked last.
    read_from: u64,
    waiting: VecDeque<Frame>,
    /// What it answers to recalls, once a test has said it.
    pub(crate) to_recalls: Option<Refused>,
    /// The body that came ahead of the last envelope.
    pub(crate) ahead: Option<BodyChunk>,
}

impl HubLink {
    async fn of(connection: Connection) -> Self {
        let Connection { mut reader, writer, .. } = connection;
        let raw = soon(reader.next()).await.unwrap().unwrap();
        let Frame::Hello(hello) = Frame::decode(raw.kind, &raw.payload).unwrap() else { panic!("no hello") };
        let credit = hello.credit;
        Self {
            reader,
            writer,
            hello,
            credit,
            asked: BTreeSet::new(),
            read_from: 0,
            waiting: VecDeque::new(),
            to_recalls: None,
            ahead: None,
        }
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Frame>) {
        let (kind, payload) = frame.into().encode();
        soon(self.writer.send(&RawFrame { kind, payload })).await.unwrap();
    }

    /// The next frame of any kind; `None` when the node closes.
    pub(crate) async fn raw(&mut self) -> Option<Frame> {
        let raw = self.reader.next().await.ok()??;
        Some(Frame::decode(raw.kind, &raw.payload).unwrap())
    }

    /// The next frame that is no checkpoint.
    pub(crate) async fn raw_past_housekeeping(&mut self) -> Frame {
        loop {
            let frame = self.raw().await.expect("the node closed the link");
            if !matches!(frame, Frame::Checkpoint(_)) {
                return frame;
            }
        }
    }

    /// The next frame that is neither a question about the directory, which is answered, nor housekeeping.
    pub(crate) async fn next(&mut self, hub: &Hub) -> Frame {
        soon(self.next_patiently(hub)).await
    }

    async fn next_patiently(&mut self, hub: &Hub) -> Frame {
        if let Some(frame) = self.waiting.pop_front() {
            return frame;
        }
        loop {
            let frame = self.raw().await.expect("the node closed the link");
            if let Some(frame) = self.answer(hub, frame).await {
                return frame;
            }
        }
    }

    async fn answer(&mut self, hub: &Hub, frame: Frame) -> Option<Frame> {
        if let Frame::EntryGet(EntryGet { digests, .. }) = frame {
            self.asked.extend(&digests);
            let wanted = |entry: &&SignedEntry| digests.contains(&entry.digest());
            let entries = hub.entries.iter().filter(wanted).take(8).map(SignedEntry::encode).collect();
            let (membership, timestamp) = (Some(hub.membership.encode()), Some(hub.timestamp().encode()));
            self.send(Entries { roots: Vec::new(), membership, timestamp, entries }).await;
        } else if let Frame::PublicGet(PublicGet { from, until }) = frame {
            self.read_from = from;
            let (first, end) = (usize::try_from(from).unwrap(), usize::try_from(until).unwrap());
            let events = hub.public.events[..end.min(hub.public.events.len())].iter().skip(first).take(2).cloned();
            let events = events.collect();
            self.send(PublicLog { from, events, checkpoint: hub.public.note() }).await;
        } else if let Frame::Credit(Credit { envelopes, bytes }) = frame {
            self.credit.envelopes += envelopes;
            self.credit.bytes += bytes;
        } else if let Frame::Ping(Ping { nonce }) = frame {
            self.send(Pong { nonce }).await;
        } else if let (Frame::Recall(_), Some(refused)) = (&frame, self.to_recalls) {
            self.send(refused).await;
        } else if !matches!(frame, Frame::Checkpoint(_)) {
            return Some(frame);
        }
        None
    }

    /// Answers until `done`; what else comes is kept for [`HubLink::next`].
    pub(crate) async fn serve_while<T>(&mut self, hub: &Hub, done: impl Future<Output = T>) -> T {
        let mut done = std::pin::pin!(done);
        loop {
            let frame = tokio::select! {
                value = &mut done => return value,
                frame = self.raw() => frame.expect("the node closed the link"),
            };
            if let Some(frame) = self.answer(hub, frame).await {
                self.waiting.push_back(frame);
            }
        }
    }

    async fn until(&mut self, hub: &Hub, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            let frame = soon(self.raw()).await.expect("the node closed the link");
            if let Some(frame) = self.answer(hub, frame).await {
                self.waiting.push_back(frame);
            }
        }
    }

    /// Answers until the node asks for this entry: then it has read `public` so far.
    pub(crate) async fn until_asked(&mut self, hub: &Hub, entry: Digest) {
        self.until(hub, |link| link.asked.contains(&entry)).await;
    }

    /// Answers until the node asks for leaves of `public` from this one on.
    pub(crate) async fn until_asked_beyond(&mut self, hub: &Hub, size: u64) {
        self.until(hub, |link| link.read_from == size).await;
    }

    /// Answers until the node has granted so much again.
    pub(crate) async fn until_credit(&mut self, hub: &Hub, credit: Credit) {
        self.until(hub, |link| link.credit == credit).await;
    }

    /// Answers what the node asks until it answers a ping; what else comes is kept for [`HubLink::next`].
    pub(crate) async fn serve_for_a_while(&mut self, hub: &Hub) {
        let mut frames = self.until_pong(hub).await;
        frames.reverse();
        frames.into_iter().for_each(|frame| self.waiting.push_front(frame));
    }

    /// Everything that the node sent before it answered a ping; questions about the directory are answered meanwhile.
    pub(crate) async fn until_pong(&mut self, hub: &Hub) -> Vec<Frame> {
        self.send(Ping { nonce: 77 }).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next(hub).await;
            if frame == Frame::Pong(Pong { nonce: 77 }) {
                return frames;
            }
            frames.push(frame);
        }
    }

    pub(crate) async fn tell_of_news(&mut self, hub: &Hub) {
        self.send(EntriesChanged { timestamp: hub.timestamp().encode() }).await;
    }

    pub(crate) async fn refused(&mut self, hub: &Hub) -> RejectCode {
        let frame = self.next(hub).await;
        let Frame::Refused(refused) = frame else { panic!("{frame:?}") };
        refused.code
    }

    /// The next envelope; a body that comes ahead of it is kept in `ahead`.
    pub(crate) async fn submit(&mut self, hub: &Hub) -> SealedEnvelope {
        self.ahead = None;
        let mut frame = self.next(hub).await;
        if let Frame::BodyChunk(chunk) = frame {
            self.ahead = Some(chunk);
            frame = self.next(hub).await;
        }
        let Frame::Submit(submit) = frame else { panic!("{frame:?}") };
        submit.envelope
    }

    pub(crate) async fn chunk(&mut self, hub: &Hub) -> BodyChunk {
        let frame = self.next(hub).await;
        let Frame::BodyChunk(chunk) = frame else { panic!("{frame:?}") };
        chunk
    }

    pub(crate) async fn wanted(&mut self, hub: &Hub) -> BodyWanted {
        let frame = self.next(hub).await;
        let Frame::BodyWanted(wanted) = frame else { panic!("{frame:?}") };
        wanted
    }

    pub(crate) async fn receipts(&mut self, hub: &Hub) -> Receipts {
        let frame = self.next(hub).await;
        let Frame::Receipts(receipts) = frame else { panic!("{frame:?}") };
        receipts
    }

    pub(crate) async fn stored(&mut self, hub: &Hub) -> u64 {
        let frame = self.next(hub).await;
        let Frame::ReceiptsStored(ReceiptsStored { cursor }) = frame else { panic!("{frame:?}") };
        cursor.number
    }

    /// Ends without a word.
    pub(crate) fn cut(self) {
        drop(self);
    }
}

/// What a hub says of one receipt with this number.
pub(crate) fn receipt(number: u64, proof: LogProof) -> Receipts {
    Receipts { epoch: Epoch(1), first: number, proofs: vec![proof] }
}

pub(crate) fn stored(number: u64) -> ReceiptsStored {
    ReceiptsStored { cursor: Cursor { epoch: Epoch(1), number } }
}

/// A time that is certainly over.
pub(crate) fn ago(millis: u64) -> UnixMillis {
    UnixMillis(now().0 - millis)
}
