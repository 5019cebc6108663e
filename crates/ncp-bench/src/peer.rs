//! A peer of the relay that speaks frames: the originator's side submits envelopes that were sealed beforehand, the
//! recipient's side takes deliveries and answers each with evidence of its own log.
//!
//! It keeps to the protocol's credit and acknowledgements like a node, but writes nothing to a disk: what it takes of the
//! machine is small beside the relay.

mod log;
mod originator;
mod recipient;

pub(crate) use self::log::Log;
pub(crate) use self::originator::submit_all;
pub(crate) use self::recipient::receive;

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

use ncp_protocol::frame::{Bye, Credit, Cursor, Frame, Hello, Ping, Pong};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Epoch, NetworkId, ParticipantId};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_transport::address::Reach;
use ncp_transport::connection::{Connection, LinkReader, LinkWriter};
use ncp_transport::dial::{Dialler, Route};
use ncp_transport::frame::{IdleLimit, RawFrame};
use ncp_transport::tls::{SharedTls, TlsMaterial, TlsSettings};
use tokio::sync::mpsc;

use crate::folder::read;
use crate::network::{Hub, Participant};
use crate::trouble::Trouble;

/// Longest silence of the relay while something is expected of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the relay may have in flight towards a peer, in bytes of chunks.
const BYTES: u64 = 4 << 20;

/// Keys of a participant, read from its folder.
pub(crate) struct Material {
    /// Whose.
    pub(crate) participant: ParticipantId,
    /// The network.
    pub(crate) network: NetworkId,
    /// Signs headers.
    pub(crate) signing: SigningKey,
    log: SigningKey,
    hub: SocketAddr,
    tls: TlsMaterial,
}

impl Material {
    /// Reads them.
    pub(crate) fn read(participant: &Participant, hub: &Hub) -> Result<Self, Trouble> {
        let data = participant.data();
        let key = |name: &str| {
            let bytes = read(&data.join(name))?;
            // A key file ends with its seed.
            let seed = bytes.last_chunk::<32>();
            seed.map(SigningKey::from_seed).ok_or_else(|| Trouble::network(format_args!("{name} holds no key")))
        };
        let tls = TlsMaterial {
            certificate_chain: read(&data.join("network/tls.crt"))?,
            private_key: read(&data.join("keys/tls.key"))?.into(),
            authorities: read(&data.join("network/ca.crt"))?,
            revocation_lists: Vec::new(),
        };
        Ok(Self {
            participant: participant.id,
            network: participant.network,
            signing: key("keys/signing.key")?,
            log: key("keys/log-node-1.key")?,
            hub: hub.address,
            tls,
        })
    }
}

/// A link to the relay, greeted.
pub(crate) struct Link {
    reader: LinkReader,
    frames: mpsc::UnboundedSender<Frame>,
    /// What the relay lets this peer send at first.
    credit: Credit,
}

impl Link {
    /// Connects and says hello. `stored` is the number of the last receipt that this peer has, `window` how many deliveries
    /// it takes at once.
    pub(crate) async fn open(material: &Material, stored: u64, window: u32) -> Result<Self, Trouble> {
        let settings = TlsSettings::new(&material.tls, material.network)
            .map_err(|error| Trouble::network(format_args!("the certificate of a peer: {error}")))?;
        let route = Route { targets: vec![material.hub.into()], proxy: None, reach: Reach::LoopbackOnly };
        let dialler =
            Dialler::new(route, SharedTls::new(settings), Arc::new(|_| Vec::new()), IdleLimit::fixed(PATIENCE));
        let dialled = dialler.dial().await;
        let Connection { reader, writer, .. } = dialled.map_err(Trouble::network)?;
        let (frames, outgoing) = mpsc::unbounded_channel();
        // Ends with the link.
        tokio::spawn(write(writer, outgoing));
        let mut link = Self { reader, frames, credit: Credit { envelopes: 0, bytes: 0 } };
        link.send(Hello {
            versions: vec![PROTOCOL_VERSION],
            suites: vec![SUITE],
            network: material.network,
            participant: material.participant,
            receipts: Cursor { epoch: Epoch(1), number: stored },
            checkpoints: Vec::new(),
            own: Vec::new(),
            public_size: 0,
            credit: Credit { envelopes: window, bytes: BYTES },
        })?;
        let first = link.next().await?;
        let name = first.name();
        let Frame::Hello(hello) = first else {
            return Err(Trouble::network(format_args!("the relay said {name} before its hello")));
        };
        link.credit = hello.credit;
        Ok(link)
    }

    fn send(&self, frame: impl Into<Frame>) -> Result<(), Trouble> {
        self.frames.send(frame.into()).map_err(|_| Trouble::network("the link to the relay broke"))
    }

    /// The next frame; pings are answered on the way. Safe to cancel.
    async fn next(&mut self) -> Result<Frame, Trouble> {
        loop {
            let raw = self.reader.next().await.map_err(Trouble::network)?;
            let raw = raw.ok_or_else(|| Trouble::network("the relay closed the link"))?;
            let frame = Frame::decode(raw.kind, &raw.payload).map_err(Trouble::network)?;
            if let Frame::Bye(Bye { code }) = frame {
                let why = code.map_or_else(|| "without a reason".to_owned(), |code| code.to_string());
                return Err(Trouble::network(format_args!("the relay ended the link: {why}")));
            }
            let Frame::Ping(Ping { nonce }) = frame else { return Ok(frame) };
            self.send(Pong { nonce })?;
        }
    }

    /// Ends the link in good order.
    pub(crate) fn close(self) {
        // A link that broke is ended already.
        let _ = self.send(Bye { code: None });
    }
}

/// Writes all frames that wait, then flushes once.
async fn write(mut writer: LinkWriter, mut frames: mpsc::UnboundedReceiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        let mut next = Some(frame);
        while let Some(frame) = next {
            let (kind, payload) = frame.encode();
            // The reader says why the link ended.
            let Ok(()) = writer.feed(&RawFrame { kind, payload }).await else { return };
            next = frames.try_recv().ok();
        }
        let Ok(()) = writer.flush().await else { return };
    }
}
