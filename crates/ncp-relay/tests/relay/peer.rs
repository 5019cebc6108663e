//! A scripted node: says hello, sends frames as told, waits for those it expects.
#![expect(clippy::wildcard_enum_match_arm, reason = "a frame that is not expected fails the test, whichever it is")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use ncp_protocol::body::{RootHasher, chunk_hash};
use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::codes::Precedence;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, Outcome};
use ncp_protocol::evidence::{self, VerifiedEvidence};
use ncp_protocol::frame::{
    BodyChunk, BodyWanted, Credit, Cursor, Deliver, Frame, Hello, Recall, Receipts, Refused, Submit,
};
use ncp_protocol::header::{Header, SUITE};
use ncp_protocol::ids::{Digest, Epoch, LogName, LogOrigin, MessageId, SealNumber, UnixMillis};
use ncp_protocol::keys::{Purpose, sha256};
use ncp_protocol::limits::{CHUNK_SEALED, DAY_MS, PROTOCOL_VERSION, WRAP_LEN};
use ncp_protocol::merkle::{Frontier, Nodes, inclusion_proof, leaf_hash};
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;
use ncp_protocol::wrap::Wrap;
use ncp_transport::address::Reach;
use ncp_transport::connection::Connection;
use ncp_transport::credit::{Credit as Amount, SendCredit, Spend};
use ncp_transport::dial::{Dialler, Route};
use ncp_transport::frame::{FrameError, IdleLimit, RawFrame};
use ncp_transport::limits::IDLE_TIMEOUT;

use crate::network::{Network, Participant, key, now, soon};

pub(crate) fn dialler(participant: &Participant, address: SocketAddr) -> Dialler {
    let route = Route { targets: vec![address.into()], proxy: None, reach: Reach::LoopbackOnly };
    Dialler::new(route, participant.tls.clone(), Arc::new(|_| Vec::new()), IdleLimit::fixed(IDLE_TIMEOUT))
}

/// A node's log, as far as it needs one to prove what it states.
#[derive(Default)]
pub(crate) struct Log {
    frontier: Frontier,
    nodes: BTreeMap<(u8, u64), Digest>,
}

impl Nodes for Log {
    type Error = ();

    fn node(&self, level: u8, index: u64) -> Result<Digest, ()> {
        self.nodes.get(&(level, index)).copied().ok_or(())
    }
}

impl Log {
    fn prove(&mut self, participant: &Participant, origin: &LogOrigin, change: Change) -> LogProof {
        let event = Event { log: LogName::Node, time: now(), actor: Actor::Daemon, salt: [1; 16], change }.encode();
        let index = self.frontier.size();
        let nodes = &mut self.nodes;
        self.frontier.push(leaf_hash(&event), |level, index, hash| {
            nodes.insert((level, index), hash);
        });
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let hashes = inclusion_proof(self, index, size).unwrap();
        let checkpoint = Checkpoint { origin: origin.to_string(), size, root }.sign(&participant.log());
        LogProof { event, index, hashes, checkpoint_note: checkpoint.note().to_owned() }
    }
}

/// A message that a test submits: its sealed body, as random as a real one.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) not_after: UnixMillis,
    pub(crate) created: UnixMillis,
    pub(crate) seal: SealNumber,
    pub(crate) precedence: Precedence,
}

impl Message {
    /// Message `n` with a body of this many chunks; one chunk is a small one.
    pub(crate) fn new(n: u8, chunks: usize) -> Self {
        let chunk = |index: usize| {
            let len = if chunks == 1 { 4096 + 16 } else { CHUNK_SEALED };
            let seed = sha256(&[n, u8::try_from(index).unwrap()]).0;
            seed.iter().cycle().take(len).copied().collect()
        };
        let created = UnixMillis(now().0 - 1000);
        Self {
            id: MessageId([n; 16]),
            chunks: (0..chunks).map(chunk).collect(),
            created,
            not_after: created.plus_millis(DAY_MS),
            seal: SealNumber(1),
            precedence: Precedence::Routine,
        }
    }

    pub(crate) fn root(&self) -> Digest {
        let mut root = RootHasher::new();
        self.chunks.iter().for_each(|chunk| root.push(chunk_hash(chunk)));
        root.finish()
    }

    pub(crate) fn header(&self, network: &Network, from: &Participant, to: &Participant) -> Header {
        Header {
            version: PROTOCOL_VERSION,
            suite: SUITE,
            network: network.id,
            message: self.id,
            seal: self.seal,
            originator: from.id,
            originator_key: from.signing().verifying_key().id(),
            recipient: to.id,
            recipient_key: to.sealing_key_id(),
            precedence: self.precedence,
            created: self.created,
            not_after: self.not_after,
            body_length: self.chunks.iter().map(|chunk| chunk.len() as u64).sum(),
            ciphertext_root: self.root(),
            content_commitment: sha256(&self.id.0),
            wrap_digest: wrap().digest(),
        }
    }

    pub(crate) fn envelope(&self, network: &Network, from: &Participant, to: &Participant) -> SealedEnvelope {
        sign(&self.header(network, from, to), from)
    }
}

fn wrap() -> Wrap {
    Wrap::from_bytes(&[9; WRAP_LEN]).unwrap()
}

pub(crate) fn sign(header: &Header, from: &Participant) -> SealedEnvelope {
    let header_bytes = header.encode();
    let signature = from.signing().sign(Purpose::Header, &header.network, &header_bytes);
    SealedEnvelope { header_bytes, signature, wrap: wrap() }
}

/// One end of a link.
pub(crate) struct Peer {
    pub(crate) participant: Participant,
    pub(crate) connection: Connection,
    pub(crate) hello: Option<Hello>,
    traffic: LogOrigin,
    // What the hub has granted and is not spent: a chunk that there is no credit for would end the link.
    credit: SendCredit,
    // What came while chunks waited for credit.
    early: VecDeque<Frame>,
    /// The body that came ahead of the last delivery.
    pub(crate) ahead: Option<BodyChunk>,
}

impl Peer {
    /// Connects and says hello with nothing in hand.
    pub(crate) async fn connect(network: &Network, participant: &Participant, address: SocketAddr) -> Self {
        Self::resume(network, participant, address, 0).await
    }

    /// Connects and says hello as one who has stored this many receipts.
    pub(crate) async fn resume(
        network: &Network,
        participant: &Participant,
        address: SocketAddr,
        receipts: u64,
    ) -> Self {
        let mut peer = Self::dial(network, participant, address).await;
        peer.send(peer.hello_frame(network, receipts)).await;
        let Frame::Hello(hello) = peer.next().await else { panic!("no hello") };
        peer.hello = Some(hello);
        peer
    }

    pub(crate) async fn dial(network: &Network, participant: &Participant, address: SocketAddr) -> Self {
        let connection = soon(dialler(participant, address).dial()).await.unwrap();
        let (credit, early) = (SendCredit::new(), VecDeque::new());
        Self {
            participant: participant.clone(),
            connection,
            hello: None,
            traffic: network.traffic(),
            credit,
            early,
            ahead: None,
        }
    }

    pub(crate) fn hello_frame(&self, network: &Network, receipts: u64) -> Hello {
        Hello {
            versions: vec![PROTOCOL_VERSION],
            suites: vec![SUITE],
            network: network.id,
            participant: self.participant.id,
            receipts: Cursor { epoch: Epoch(1), number: receipts },
            checkpoints: Vec::new(),
            own: Vec::new(),
            public_size: 0,
            credit: Credit { envelopes: 100, bytes: 8 << 20 },
        }
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Frame>) {
        let (kind, payload) = frame.into().encode();
        self.send_raw(kind, payload).await;
    }

    pub(crate) async fn send_raw(&mut self, kind: u8, payload: Vec<u8>) {
        soon(self.connection.writer.send(&RawFrame { kind, payload })).await.unwrap();
    }

    pub(crate) async fn try_next(&mut self) -> Result<Option<Frame>, FrameError> {
        match self.early.pop_front() {
            Some(frame) => Ok(Some(frame)),
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Result<Option<Frame>, FrameError> {
        let raw = soon(self.connection.reader.next()).await?;
        let frame = raw.map(|raw| Frame::decode(raw.kind, &raw.payload).unwrap());
        if let Some(Frame::Credit(credit) | Frame::Hello(Hello { credit, .. })) = &frame {
            self.credit.granted(Amount { envelopes: credit.envelopes, bytes: credit.bytes }).unwrap();
        }
        Ok(frame)
    }

    pub(crate) async fn next(&mut self) -> Frame {
        self.try_next().await.unwrap().expect("the hub closed the link")
    }

    /// The next frame that matters: credit, checkpoints, directory news and pings come at any time.
    pub(crate) async fn matter(&mut self) -> Frame {
        loop {
            match self.next().await {
                Frame::Credit(_) | Frame::Checkpoint(_) | Frame::EntriesChanged(_) | Frame::Ping(_) => {}
                frame => return frame,
            }
        }
    }

    pub(crate) async fn expect_wanted(&mut self) -> BodyWanted {
        match self.matter().await {
            Frame::BodyWanted(wanted) => wanted,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn expect_receipts(&mut self) -> Receipts {
        match self.matter().await {
            Frame::Receipts(receipts) => receipts,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn expect_refused(&mut self) -> Refused {
        match self.matter().await {
            Frame::Refused(refused) => refused,
            other => panic!("{other:?}"),
        }
    }

    /// The next delivery; a body that comes ahead of it is kept in `ahead`.
    pub(crate) async fn expect_delivery(&mut self) -> Deliver {
        self.ahead = None;
        let mut frame = self.matter().await;
        if let Frame::BodyChunk(chunk) = frame {
            self.ahead = Some(chunk);
            frame = self.matter().await;
        }
        match frame {
            Frame::Deliver(deliver) => deliver,
            other => panic!("{other:?}"),
        }
    }

    /// The code with which the hub cuts the link.
    pub(crate) async fn expect_bye(&mut self) -> Option<RejectCode> {
        loop {
            if let Frame::Bye(bye) = self.matter().await {
                assert_eq!(self.try_next().await.ok().flatten(), None, "something after the last word");
                return bye.code;
            }
        }
    }

    /// Waits until the hub has granted so many envelopes in all.
    pub(crate) async fn until_granted(&mut self, envelopes: u32) {
        while self.credit.left().envelopes < envelopes {
            let frame = self.receive().await.unwrap().expect("the hub closed the link");
            self.early.push_back(frame);
        }
    }

    /// Waits until what the committer did so far is settled: what it lets go of is unlinked before it decides again.
    pub(crate) async fn settle(&mut self) {
        let (message, recipient) = (MessageId([0xff; 16]), self.participant.id);
        self.send(Recall { message, recipient }).await;
        assert_eq!(self.expect_refused().await.code, RejectCode::NotWaiting);
    }

    /// Verifies a receipt of the hub.
    pub(crate) fn verify(&self, proof: &LogProof) -> VerifiedEvidence {
        evidence::verify(proof, &self.traffic, &key("traffic log").verifying_key()).unwrap()
    }

    pub(crate) async fn send_chunks(&mut self, message: &Message, from_chunk: u64) {
        for (index, bytes) in (0..).zip(&message.chunks).filter(|(index, _)| *index >= from_chunk) {
            let cost = Amount { envelopes: 0, bytes: bytes.len() as u64 };
            while self.credit.spend(cost) == Spend::Wait {
                let frame = self.receive().await.unwrap().expect("the hub closed the link");
                self.early.push_back(frame);
            }
            let originator = self.participant.id;
            self.send(BodyChunk { originator, message: message.id, index, bytes: bytes.clone() }).await;
        }
    }

    /// Submits a message of one chunk with its body ahead.
    pub(crate) async fn submit_ahead(&mut self, network: &Network, message: &Message, to: &Participant) {
        self.send_chunks(message, 0).await;
        self.send(Submit { envelope: message.envelope(network, &self.participant, to) }).await;
    }

    /// Submits with the whole body if it is wanted, and returns R1.
    pub(crate) async fn submit(&mut self, network: &Network, message: &Message, to: &Participant) -> LogProof {
        let envelope = message.envelope(network, &self.participant, to);
        let header = envelope.header_digest();
        self.send(Submit { envelope }).await;
        loop {
            let proofs = match self.matter().await {
                Frame::BodyWanted(wanted) => {
                    assert_eq!((wanted.message, wanted.root), (message.id, message.root()));
                    self.send_chunks(message, wanted.from_chunk).await;
                    continue;
                }
                Frame::Receipts(receipts) => receipts.proofs,
                other => panic!("{other:?}"),
            };
            // The stream may bring older receipts before it, also of other logs.
            let is_r1 = |proof: &LogProof| {
                let claim = evidence::unverified_claim(proof).unwrap();
                claim.header == header && claim.kind == EvidenceKind::RelayAcceptance
            };
            if let Some(r1) = proofs.into_iter().find(is_r1) {
                assert_eq!(self.verify(&r1).claim().outcome, Outcome::Done);
                return r1;
            }
        }
    }

    /// What this node states about an envelope, proved by its own log.
    pub(crate) fn state(
        &self,
        network: &Network,
        log: &mut Log,
        envelope: &SealedEnvelope,
        kind: EvidenceKind,
        outcome: Outcome,
    ) -> LogProof {
        let header = envelope.unverified_header().unwrap();
        let origin =
            LogOrigin { network: network.id, participant: self.participant.id, log: LogName::Node, epoch: Epoch(1) };
        let Header { originator, message, recipient, seal, .. } = header;
        let claim = Claim {
            origin,
            key: self.participant.log().verifying_key().id(),
            kind,
            envelope: EnvelopeKey { originator, message, recipient, seal },
            header: envelope.header_digest(),
            outcome,
        };
        log.prove(&self.participant, &origin, Change::Evidence(claim))
    }

    /// Sends evidence as number `first` of this node's stream and waits until it is stored.
    pub(crate) async fn hand_in(&mut self, first: u64, proofs: Vec<LogProof>) {
        let last = first + proofs.len() as u64 - 1;
        self.send(Receipts { epoch: Epoch(1), first, proofs }).await;
        match self.matter().await {
            Frame::ReceiptsStored(stored) => {
                assert_eq!(stored.cursor, Cursor { epoch: Epoch(1), number: last });
            }
            other => panic!("{other:?}"),
        }
    }

    /// Takes a delivered envelope's body.
    pub(crate) async fn fetch(&mut self, envelope: &SealedEnvelope) -> Vec<Vec<u8>> {
        let header = envelope.unverified_header().unwrap();
        let Header { originator, message, ciphertext_root: root, body_length, .. } = header;
        self.send(BodyWanted { originator, message, root, from_chunk: 0 }).await;
        let mut chunks: Vec<Vec<u8>> = Vec::new();
        while chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>() < body_length {
            match self.matter().await {
                Frame::BodyChunk(chunk) => {
                    assert_eq!((chunk.message, chunk.index), (message, chunks.len() as u64));
                    chunks.push(chunk.bytes);
                }
                other => panic!("{other:?}"),
            }
        }
        chunks
    }
}
