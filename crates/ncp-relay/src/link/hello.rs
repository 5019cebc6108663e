//! The first frame of each side. The node speaks first; what it says about itself and about the hub's logs is checked
//! before the hub answers.

use std::sync::Arc;

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::frame::{self, Cursor, Frame, Hello, Restricted};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{LogName, ParticipantId};
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;
use ncp_store::disk::Disk;
use ncp_store::forked::{self, Fork};
use ncp_store::index::Index;
use ncp_store::reader::{Comparison, ReadError, Reader, unless_lost};
use ncp_store::spool::{RecordKind, RecordName};
use ncp_transport::connection::LinkReader;
use ncp_transport::credit::Credit;
use tokio::time::timeout;

use super::{Link, LinkEnd, Serving};
use crate::core::query;
use crate::desk;
use crate::hub::{Hub, Stopping};
use crate::limits::HELLO_TIMEOUT;

/// A link on which nothing has been said.
pub(super) struct AwaitingHello<'a> {
    pub(super) link: Arc<Link>,
    pub(super) reader: &'a mut LinkReader,
}

impl<'a> AwaitingHello<'a> {
    /// Takes the peer's hello and answers it.
    pub(super) async fn receive(self) -> Result<Serving<'a>, LinkEnd> {
        let frame = timeout(HELLO_TIMEOUT, self.reader.next()).await;
        let frame = frame.map_err(|_| LinkEnd::Cut(RejectCode::RateExceeded))??.ok_or(LinkEnd::Closed)?;
        let Frame::Hello(hello) = Frame::decode(frame.kind, &frame.payload)? else {
            return Err(LinkEnd::Cut(RejectCode::FrameUnexpected));
        };
        let Self { link, reader } = self;
        hello.check(&link.hub.network, link.peer).map_err(LinkEnd::Cut)?;
        check_own_logs(&link.hub, link.peer, &hello.checkpoints).await?;
        desk::look_at_hello(&link, &hello.own);
        if !link.signals.is_pinned {
            link.frames.send(Restricted { code: RejectCode::PinMismatch }).await?;
        }
        link.frames.send(answer(&link).await?).await?;
        let frame::Credit { envelopes, bytes } = hello.credit;
        link.granted(Credit { envelopes, bytes })?;
        tracing::info!(peer = %link.peer, receipts = hello.receipts.number, "link stands");
        let same_life = hello.receipts.epoch == link.hub.traffic.epoch;
        let receipts_after = if same_life { hello.receipts.number } else { 0 };
        link.acknowledged.send_replace(receipts_after);
        Ok(Serving { link, reader, receipts_after })
    }
}

async fn answer(link: &Link) -> Result<Hello, LinkEnd> {
    let (hub, peer) = (&link.hub, link.peer);
    let stored = hub.look(|view| query::evidence_stored(view, peer))?;
    let shown = desk::held_of(hub, peer);
    let (own, public_size, held) = hub
        .read(move |reader| {
            let notes = [LogName::Traffic, LogName::Public].map(|log| reader.checkpoint(log));
            let public_size = notes[1].as_ref().map_or(0, |signed| signed.checkpoint().size);
            let own: Vec<String> = notes.into_iter().flatten().map(|signed| signed.note().to_owned()).collect();
            // Evidence may have come under a newer one than was written to the file `held` before a crash.
            let newer = checkpoint_of_evidence(reader, peer)?.filter(|note| shown.as_ref() != Some(note));
            let held: Vec<String> = shown.into_iter().chain(newer).collect();
            Ok::<_, ReadError>((own, public_size, held))
        })
        .await?;
    let first = link.window().take_grant().unwrap_or_default();
    Ok(Hello {
        versions: vec![PROTOCOL_VERSION],
        suites: vec![SUITE],
        network: hub.network,
        participant: ParticipantId::HUB,
        receipts: Cursor { epoch: stored.epoch, number: stored.number },
        checkpoints: held,
        own,
        public_size,
        credit: frame::Credit { envelopes: first.envelopes, bytes: first.bytes },
    })
}

/// The checkpoint under which the newest evidence of a peer came: as durable as the evidence.
///
/// # Errors
/// [`ReadError`].
pub fn checkpoint_of_evidence<D: Disk, I: Index>(
    reader: &Reader<D, I>,
    peer: ParticipantId,
) -> Result<Option<String>, ReadError> {
    let newest = query::peer_row(&reader.view(), peer)?.newest_evidence;
    let Some(id) = newest else { return Ok(None) };
    let text = unless_lost(reader.record(&RecordName { kind: RecordKind::Evidence, id }))?;
    let proof = text.and_then(|text| LogProof::parse(&String::from_utf8(text).ok()?).ok());
    Ok(proof.map(|proof| proof.checkpoint_note))
}

/// Compares what the peer holds of the hub's logs with the logs themselves. A larger or other checkpoint that the hub's
/// own key signed means that the hub has forgotten something: it stops, and nothing is signed until an operator restores.
async fn check_own_logs(hub: &Hub, peer: ParticipantId, notes: &[String]) -> Result<(), LinkEnd> {
    for note in notes {
        let logs = [(hub.traffic, hub.traffic_key), (hub.public, hub.public_key)];
        let opened = logs.iter().find_map(|(origin, key)| {
            let signed = SignedCheckpoint::open(note, origin, key).ok()?;
            Some((origin.log, signed.checkpoint().clone()))
        });
        // A note of an earlier life of a log, or none of ours: nothing to compare.
        let Some((log, held)) = opened else { continue };
        let (found, root) = (held.size, held.root);
        if let Comparison::Contradicts { size } = hub.read(move |reader| reader.compare(log, found, &root)).await? {
            let fork = Fork { peer: peer.to_string(), found, size, note: note.clone() };
            return Err(stop(hub, fork).await.into());
        }
    }
    Ok(())
}

/// Writes down what was shown, for the next start, and stops.
async fn stop(hub: &Hub, fork: Fork) -> Stopping {
    let (disk, fault) = (hub.disk.clone(), crate::start::forked(&fork));
    let written = tokio::task::spawn_blocking(move || forked::write(&disk, &fork)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!("what contradicts the hub's log cannot be written down: do not start it again");
    }
    hub.fail_with(fault)
}
