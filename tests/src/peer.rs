//! A peer of the hub that speaks frames: with any certificate, in any order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ncp_protocol::event::EvidenceKind;
use ncp_protocol::evidence::unverified_claim;
use ncp_protocol::frame::{
    BodyChunk, BodyWanted, Bye, Credit, Cursor, Deliver, Entries, EntryGet, Frame, Hello, Ping, Pong, PublicGet,
    ReceiptsStored, Refused, Restricted, Submit,
};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Epoch, MessageId, NetworkId, ParticipantId};
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;
use ncp_transport::address::Reach;
use ncp_transport::connection::{Connection, LinkReader, LinkWriter};
use ncp_transport::dial::{DialError, Dialler, Route};
use ncp_transport::frame::{FrameError, IdleLimit, RawFrame};
use ncp_transport::tls::{SharedTls, TlsSettings};

use crate::craft::Crafted;
use crate::material::{Material, Tls};
use crate::{PATIENCE, soon};

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The hub said good-bye.
    Bye(Option<RejectCode>),
    /// The hub closed the connection without a word.
    Closed,
    /// The connection failed.
    Failed(FrameError),
}

/// What the hub did about an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// R1.
    Accepted(Box<LogProof>),
    /// Refused, the link stands.
    Refused(RejectCode),
    /// The link ended.
    Cut(End),
}

/// One end of a link, at a node's side.
#[derive(Debug)]
pub struct Peer {
    reader: LinkReader,
    writer: LinkWriter,
    /// What the hub said first.
    pub hello: Option<Hello>,
    /// Why the link carries directory data alone, if the hub said so before its hello.
    pub restricted: Option<RejectCode>,
    network: NetworkId,
    participant: ParticipantId,
    /// Sealed chunks of what was submitted.
    bodies: BTreeMap<MessageId, Vec<Vec<u8>>>,
    /// Receipts that nobody has asked for yet.
    unclaimed: Vec<LogProof>,
}

/// Dials the hub with a certificate.
///
/// # Errors
/// Why there is no connection.
///
/// # Panics
/// If the certificate cannot be used at all.
pub async fn dial(tls: &Tls, network: NetworkId, hub: SocketAddr) -> Result<Connection, DialError> {
    let settings = TlsSettings::new(&tls.material(), network).expect("certificates that fit");
    let route = Route { targets: vec![hub.into()], proxy: None, reach: Reach::LoopbackOnly };
    let pins = Arc::new(|_| Vec::new());
    Dialler::new(route, SharedTls::new(settings), pins, IdleLimit::fixed(PATIENCE)).dial().await
}

impl Peer {
    /// Connects with a participant's own certificate and says hello.
    ///
    /// # Panics
    /// If the hub does not answer with its own.
    pub async fn connect(material: &Material) -> Self {
        let mut peer = Self::silent(material, &material.tls).await;
        peer.greet().await.unwrap_or_else(|end| panic!("the hub did not say hello: {end:?}"));
        peer
    }

    /// Connects with this certificate and says nothing.
    ///
    /// # Panics
    /// If there is no connection.
    pub async fn silent(material: &Material, tls: &Tls) -> Self {
        let dialled = soon("a connection", dial(tls, material.network, material.hub)).await;
        let Connection { reader, writer, .. } = dialled.unwrap_or_else(|error| panic!("{error}"));
        Self {
            reader,
            writer,
            hello: None,
            restricted: None,
            network: material.network,
            participant: material.participant,
            bodies: BTreeMap::new(),
            unclaimed: Vec::new(),
        }
    }

    /// The hello of an honest node that has nothing yet.
    #[must_use]
    pub fn own_hello(&self) -> Hello {
        Hello {
            versions: vec![PROTOCOL_VERSION],
            suites: vec![SUITE],
            network: self.network,
            participant: self.participant,
            receipts: Cursor { epoch: Epoch(1), number: 0 },
            checkpoints: Vec::new(),
            own: Vec::new(),
            public_size: 0,
            credit: Credit { envelopes: 16, bytes: 1 << 20 },
        }
    }

    /// Says hello and waits for the hub's.
    ///
    /// # Errors
    /// How the link ended instead.
    pub async fn greet(&mut self) -> Result<(), End> {
        let own = self.own_hello();
        self.greet_with(own).await
    }

    /// Says this hello and waits for the hub's.
    ///
    /// # Errors
    /// How the link ended instead.
    ///
    /// # Panics
    /// If the hub says something else.
    pub async fn greet_with(&mut self, hello: Hello) -> Result<(), End> {
        // A hub that has refused the certificate may have closed already: the read says why.
        let _ = self.try_send(&hello.into()).await;
        let mut first = self.next().await?;
        if let Frame::Restricted(Restricted { code }) = first {
            self.restricted = Some(code);
            first = self.next().await?;
        }
        let Frame::Hello(hello) = first else { panic!("{} instead of a hello", first.name()) };
        self.hello = Some(hello);
        Ok(())
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// If the connection fails.
    pub async fn send(&mut self, frame: impl Into<Frame>) {
        let frame = frame.into();
        self.try_send(&frame).await.unwrap_or_else(|error| panic!("{} was not sent: {error}", frame.name()));
    }

    async fn try_send(&mut self, frame: &Frame) -> Result<(), FrameError> {
        let (kind, payload) = frame.encode();
        self.writer.send(&RawFrame { kind, payload }).await
    }

    /// Sends a kind byte with any payload.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn send_raw(&mut self, kind: u8, payload: Vec<u8>) -> Result<(), FrameError> {
        self.writer.send(&RawFrame { kind, payload }).await
    }

    /// The next frame; pings are answered and receipts acknowledged on the way.
    ///
    /// # Errors
    /// How the link ended.
    ///
    /// # Panics
    /// If neither comes in time, or the hub sends what is no frame.
    pub async fn next(&mut self) -> Result<Frame, End> {
        loop {
            let raw = match soon("a frame", self.reader.next()).await {
                Ok(Some(raw)) => raw,
                Ok(None) => return Err(End::Closed),
                Err(error) => return Err(End::Failed(error)),
            };
            let frame = Frame::decode(raw.kind, &raw.payload).expect("the hub speaks the protocol");
            if let Frame::Bye(Bye { code }) = frame {
                return Err(End::Bye(code));
            }
            if let Frame::Ping(Ping { nonce }) = frame {
                self.try_send(&Pong { nonce }.into()).await.map_err(End::Failed)?;
                continue;
            }
            if let Frame::Receipts(receipts) = &frame {
                let number = receipts.first + receipts.proofs.len() as u64 - 1;
                let cursor = Cursor { epoch: receipts.epoch, number };
                // The link may end at any time; then the next one repeats what was not acknowledged.
                let _ = self.try_send(&ReceiptsStored { cursor }.into()).await;
            }
            return Ok(frame);
        }
    }

    /// Reads on until the link ends, and says how.
    pub async fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.next().await {
                return end;
            }
        }
    }

    /// Submits an envelope with its body and waits for what becomes of it.
    pub async fn submit(&mut self, crafted: &Crafted) -> Verdict {
        self.unclaimed.retain(|proof| !accepts(proof, crafted));
        self.offer(crafted).await;
        self.settle(crafted).await
    }

    /// Submits an envelope; [`Peer::settle`] of any envelope serves its body.
    pub async fn offer(&mut self, crafted: &Crafted) {
        self.bodies.insert(crafted.key().message, crafted.chunks.clone());
        // A link that has ended says so at the next read.
        let _ = self.try_send(&Submit { envelope: crafted.envelope.clone() }.into()).await;
    }

    /// Waits for what becomes of an envelope that was offered, and serves bodies meanwhile.
    pub async fn settle(&mut self, crafted: &Crafted) -> Verdict {
        let key = crafted.key();
        loop {
            if let Some(place) = self.unclaimed.iter().position(|proof| accepts(proof, crafted)) {
                return Verdict::Accepted(Box::new(self.unclaimed.swap_remove(place)));
            }
            match self.next().await {
                Ok(Frame::BodyWanted(wanted)) => {
                    if let Err(error) = self.send_body(wanted).await {
                        // The hub may have cut us off: its last word is still to be read.
                        return Verdict::Cut(match self.end().await {
                            End::Bye(code) => End::Bye(code),
                            End::Closed | End::Failed(_) => End::Failed(error),
                        });
                    }
                }
                Ok(Frame::Refused(Refused { envelope, code })) if envelope == key => return Verdict::Refused(code),
                Ok(Frame::Receipts(receipts)) => self.unclaimed.extend(receipts.proofs),
                Ok(_) => {}
                Err(end) => return Verdict::Cut(end),
            }
        }
    }

    async fn send_body(&mut self, wanted: BodyWanted) -> Result<(), FrameError> {
        let BodyWanted { originator, message, from_chunk, .. } = wanted;
        let chunks = self.bodies.get(&message).cloned().unwrap_or_default();
        for (index, bytes) in (0..).zip(chunks).skip(usize::try_from(from_chunk).expect("few chunks")) {
            self.try_send(&BodyChunk { originator, message, index, bytes }.into()).await?;
        }
        Ok(())
    }

    /// Waits until an envelope is delivered to this peer.
    ///
    /// # Panics
    /// If the link ends before.
    pub async fn delivered(&mut self) -> Deliver {
        loop {
            match self.next().await {
                Ok(Frame::Deliver(deliver)) => return deliver,
                Ok(_) => {}
                Err(end) => panic!("the link ended: {end:?}"),
            }
        }
    }

    /// Waits for a receipt that `wanted` picks.
    ///
    /// # Panics
    /// If the link ends before.
    pub async fn receipt(&mut self, wanted: impl Fn(&LogProof) -> bool) -> LogProof {
        loop {
            if let Some(place) = self.unclaimed.iter().position(&wanted) {
                return self.unclaimed.swap_remove(place);
            }
            match self.next().await {
                Ok(Frame::Receipts(receipts)) => self.unclaimed.extend(receipts.proofs),
                Ok(_) => {}
                Err(end) => panic!("the link ended: {end:?}"),
            }
        }
    }
}

/// Whether a receipt seems to accept this envelope.
fn accepts(proof: &LogProof, crafted: &Crafted) -> bool {
    let (envelope, header) = (crafted.key(), crafted.envelope.header_digest());
    unverified_claim(proof).is_ok_and(|claim| {
        (claim.kind, claim.envelope, claim.header) == (EvidenceKind::RelayAcceptance, envelope, header)
    })
}

/// What the hub says about the directory, as an honest peer learns it.
#[derive(Debug, Clone)]
pub struct Truth {
    /// All leaves of the log `public`.
    pub leaves: Vec<Vec<u8>>,
    /// The newest statements.
    pub entries: Entries,
}

impl Truth {
    /// Asks the hub.
    ///
    /// # Panics
    /// If the link ends before all of it came.
    pub async fn of(material: &Material) -> Self {
        let mut peer = Peer::connect(material).await;
        let until = peer.hello.as_ref().expect("greeted").public_size;
        peer.send(EntryGet { root_version: 1, digests: Vec::new() }).await;
        peer.send(PublicGet { from: 0, until }).await;
        let (mut leaves, mut entries) = (None, None);
        loop {
            let frame = peer.next().await.unwrap_or_else(|end| panic!("the link ended: {end:?}"));
            if let Frame::PublicLog(log) = frame {
                leaves = Some(log.events);
            } else if let Frame::Entries(answer) = frame {
                entries = Some(answer);
            }
            if let (Some(leaves), Some(entries)) = (&leaves, &entries) {
                return Self { leaves: leaves.clone(), entries: entries.clone() };
            }
        }
    }
}
