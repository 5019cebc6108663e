//! A hub that follows a script: with the real hub's keys or with others, towards a real node.
//!
//! It answers hello, questions about the directory and wishes for bodies as its [`Script`] says, sends what it is told to
//! send, and hands every other frame of the node to the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::directory::{SignedEntry, SignedTimestamp, Timestamp};
use ncp_protocol::event::{Actor, Change, Claim, Event, EvidenceKind, Outcome};
use ncp_protocol::frame::{
    BodyChunk, Credit, Cursor, Entries, Frame, Hello, Ping, Pong, PublicGet, PublicLog, ReceiptsStored,
};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Digest, Epoch, LogName, MessageId, NetworkId, ParticipantId};
use ncp_protocol::limits::{DAY_MS, PROTOCOL_VERSION};
use ncp_protocol::merkle::{Frontier, leaf_hash};
use ncp_protocol::proof::LogProof;
use ncp_transport::connection::{Connection, LinkWriter};
use ncp_transport::frame::{FrameError, IdleLimit, RawFrame};
use ncp_transport::listener::{Arrival, Listener, ListenerLimits};
use ncp_transport::tls::{SharedTls, TlsSettings};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use crate::craft::Crafted;
use crate::material::{HubMaterial, Tls};
use crate::peer::Truth;
use crate::{PATIENCE, now, random, soon};

/// What the hub says.
#[derive(Debug, Clone)]
pub struct Script {
    /// The network in its hello.
    pub network: NetworkId,
    /// Leaves of `public`.
    pub public: Vec<Vec<u8>>,
    /// Signed checkpoint over all of them.
    pub checkpoint: String,
    /// Answer to every question about the directory.
    pub entries: Entries,
    /// Sent after hello, in this order.
    pub send: Vec<Frame>,
    /// Number of the last receipt of the node that it says to have.
    pub receipts: u64,
    /// Sealed chunks by message.
    pub bodies: BTreeMap<MessageId, Vec<Vec<u8>>>,
}

/// A tree over leaves.
#[must_use]
pub fn root_of(leaves: &[Vec<u8>]) -> Digest {
    let mut tree = Frontier::new();
    for leaf in leaves {
        tree.push(leaf_hash(leaf), |_, _, _| ());
    }
    tree.root()
}

impl HubMaterial {
    /// A checkpoint over all leaves of one of the hub's logs, signed with its real key.
    #[must_use]
    pub fn checkpoint(&self, log: LogName, leaves: &[Vec<u8>]) -> String {
        let key = if log == LogName::Public { &self.public } else { &self.traffic };
        let origin = self.origin(log).to_string();
        Checkpoint { origin, size: leaves.len() as u64, root: root_of(leaves) }.sign(key).note().to_owned()
    }
}

impl Script {
    /// A hub that tells the truth about the directory and nothing else.
    #[must_use]
    pub fn honest(hub: &HubMaterial, truth: &Truth) -> Self {
        Self {
            network: hub.network,
            public: truth.leaves.clone(),
            checkpoint: hub.checkpoint(LogName::Public, &truth.leaves),
            entries: truth.entries.clone(),
            send: Vec::new(),
            receipts: 0,
            bodies: BTreeMap::new(),
        }
    }
}

impl Truth {
    /// Adds the admission of an entry to `public` and shows the entry, under a new timestamp statement of the hub.
    ///
    /// # Panics
    /// If there was no timestamp statement before.
    pub fn admit(&mut self, hub: &HubMaterial, signed: &SignedEntry) {
        let entry = signed.unverified();
        let change =
            Change::EntryAdmitted { participant: entry.participant, version: entry.version, entry: signed.digest() };
        self.leaves.push(event(LogName::Public, change));
        let old = self.entries.timestamp.as_ref().expect("a timestamp");
        let old = *SignedTimestamp::decode(old).expect("a timestamp").unverified();
        let new = Timestamp {
            issued: now(),
            expires: now().plus_millis(DAY_MS / 2),
            public_size: self.leaves.len() as u64,
            public_root: root_of(&self.leaves),
            ..old
        };
        let signed_timestamp = SignedTimestamp::sign(new, &hub.network, &[&hub.timestamp]).expect("a statement");
        self.entries.timestamp = Some(signed_timestamp.encode());
        self.entries.entries = vec![signed.encode()];
    }
}

/// R1 about an envelope, in a log `traffic` that holds nothing else.
#[must_use]
pub fn acceptance(hub: &HubMaterial, crafted: &Crafted) -> LogProof {
    let claim = Claim {
        origin: hub.origin(LogName::Traffic),
        key: hub.traffic.verifying_key().id(),
        kind: EvidenceKind::RelayAcceptance,
        envelope: crafted.key(),
        header: crafted.envelope.header_digest(),
        outcome: Outcome::Done,
    };
    let leaf = event(LogName::Traffic, Change::Evidence(claim));
    let checkpoint_note = hub.checkpoint(LogName::Traffic, core::slice::from_ref(&leaf));
    LogProof { event: leaf, index: 0, hashes: Vec::new(), checkpoint_note }
}

fn event(log: LogName, change: Change) -> Vec<u8> {
    Event { log, time: now(), actor: Actor::Daemon, salt: random(), change }.encode()
}

/// The running hub. It ends when dropped.
#[derive(Debug)]
pub struct Impostor {
    frames: mpsc::UnboundedReceiver<Frame>,
    sending: broadcast::Sender<Frame>,
    running: JoinHandle<()>,
}

impl Impostor {
    /// Listens at the address of the real hub, which must not run.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn start(tls: &Tls, network: NetworkId, address: SocketAddr, script: Script) -> Self {
        let settings = TlsSettings::new(&tls.material(), network).expect("certificates that fit");
        let limits = ListenerLimits { idle: IdleLimit::fixed(PATIENCE), ..ListenerLimits::default() };
        let listener = Listener::bind(address, limits).expect("the address is free");
        let (seen, frames) = mpsc::unbounded_channel();
        let sending = broadcast::Sender::new(64);
        let told = sending.clone();
        let running = tokio::spawn(async move {
            let (sender, mut arrivals) = mpsc::channel(4);
            let listening = listener.run(SharedTls::new(settings), Arc::new(|_| Vec::new()), sender);
            let serving = async {
                while let Some(arrival) = arrivals.recv().await {
                    if let Arrival::Connected(connection) = arrival {
                        // A node that ends the link comes again, or not: both are for the test to judge.
                        let _ = serve(*connection, script.clone(), &seen, told.subscribe()).await;
                    }
                }
            };
            tokio::join!(listening, serving);
        });
        Self { frames, sending, running }
    }

    /// Sends a frame over the link that stands.
    ///
    /// # Panics
    /// If none stands.
    pub fn send(&self, frame: Frame) {
        self.sending.send(frame).expect("a link stands");
    }

    /// The next frame of the node that `pick` makes something of.
    ///
    /// # Panics
    /// If none comes in time.
    pub async fn until<T>(&mut self, what: &str, pick: impl Fn(&Frame) -> Option<T>) -> T {
        let looking = async {
            loop {
                let frame = self.frames.recv().await.expect("the impostor runs");
                if let Some(found) = pick(&frame) {
                    return found;
                }
            }
        };
        soon(what, looking).await
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(
    connection: Connection,
    script: Script,
    seen: &mpsc::UnboundedSender<Frame>,
    mut told: broadcast::Receiver<Frame>,
) -> Result<(), FrameError> {
    let Connection { mut reader, mut writer, .. } = connection;
    loop {
        let raw = tokio::select! {
            raw = reader.next() => raw?,
            Ok(frame) = told.recv() => {
                send(&mut writer, &frame).await?;
                continue;
            }
        };
        let Some(raw) = raw else { return Ok(()) };
        let frame = Frame::decode(raw.kind, &raw.payload).expect("the node speaks the protocol");
        for answer in answers(&script, &frame) {
            send(&mut writer, &answer).await?;
        }
        // The test may have seen enough.
        let _ = seen.send(frame);
    }
}

fn answers(script: &Script, frame: &Frame) -> Vec<Frame> {
    match frame {
        Frame::Hello(_) => {
            let mut answers = vec![hello(script).into()];
            answers.extend(script.send.iter().cloned());
            answers
        }
        Frame::EntryGet(_) => vec![script.entries.clone().into()],
        Frame::PublicGet(PublicGet { from, until }) => {
            let range = usize::try_from(*from).expect("few")..usize::try_from(*until).expect("few");
            let leaves = script.public.get(range).unwrap_or_default().to_vec();
            vec![PublicLog::fill(*from, leaves, script.checkpoint.clone()).into()]
        }
        Frame::BodyWanted(wanted) => {
            let chunks = script.bodies.get(&wanted.message).cloned().unwrap_or_default();
            let chunk = |(index, bytes): (usize, Vec<u8>)| {
                let (originator, message) = (wanted.originator, wanted.message);
                Frame::from(BodyChunk { originator, message, index: index as u64, bytes })
            };
            chunks.into_iter().enumerate().map(chunk).collect()
        }
        Frame::Receipts(receipts) => {
            let number = receipts.first + receipts.proofs.len() as u64 - 1;
            vec![ReceiptsStored { cursor: Cursor { epoch: receipts.epoch, number } }.into()]
        }
        Frame::Ping(Ping { nonce }) => vec![Pong { nonce: *nonce }.into()],
        Frame::Submit(_)
        | Frame::BodyChunk(_)
        | Frame::Deliver(_)
        | Frame::ReceiptsStored(_)
        | Frame::Refused(_)
        | Frame::Recall(_)
        | Frame::Credit(_)
        | Frame::PublicLog(_)
        | Frame::Entries(_)
        | Frame::EntriesChanged(_)
        | Frame::Checkpoint(_)
        | Frame::Restricted(_)
        | Frame::Pong(_)
        | Frame::Bye(_) => Vec::new(),
    }
}

fn hello(script: &Script) -> Hello {
    Hello {
        versions: vec![PROTOCOL_VERSION],
        suites: vec![SUITE],
        network: script.network,
        participant: ParticipantId::HUB,
        receipts: Cursor { epoch: Epoch(1), number: script.receipts },
        checkpoints: Vec::new(),
        own: vec![script.checkpoint.clone()],
        public_size: script.public.len() as u64,
        credit: Credit { envelopes: 16, bytes: 1 << 20 },
    }
}

async fn send(writer: &mut LinkWriter, frame: &Frame) -> Result<(), FrameError> {
    let (kind, payload) = frame.encode();
    writer.send(&RawFrame { kind, payload }).await
}
