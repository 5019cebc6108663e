//! Sending receipts: the numbered stream of evidence for one participant, from its cursor on, a few frames ahead of what
//! it has stored.

use std::sync::Arc;

use ncp_protocol::frame::Receipts;
use ncp_protocol::ids::{Digest, LogName, ParticipantId};
use ncp_protocol::limits::RECEIPTS_PER_FRAME_MAX;
use ncp_protocol::proof::LogProof;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::reader::{ReadError, Reader};
use ncp_store::spool::{RecordKind, RecordName};
use thiserror::Error;

use crate::core::query;
use crate::core::tables::ReceiptRow;
use crate::limits::RECEIPT_FRAMES_AHEAD;
use crate::link::{Link, LinkEnd, TaskEnd};

/// Why a receipt that the index names cannot be sent. Fatal: it was durable when the index named it.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] ncp_store::state::Unreadable),
    /// Its own log lacks it.
    #[error("leaf {0} of the log traffic is missing")]
    Leaf(u64),
    /// The spool lacks it.
    #[error("the evidence record {0} is missing or damaged")]
    Record(Digest),
}

/// Sends receipts behind number `after` until the link ends.
///
/// # Errors
/// Why the link ends.
pub(crate) async fn run(link: Arc<Link>, after: u64) -> TaskEnd {
    let mut acknowledged = link.acknowledged.subscribe();
    let (peer, epoch) = (link.peer, link.hub.traffic.epoch);
    let mut sent = after;
    loop {
        let ahead = RECEIPT_FRAMES_AHEAD * RECEIPTS_PER_FRAME_MAX as u64;
        // The link holds the sender, so an error cannot come.
        acknowledged.wait_for(|stored| sent.saturating_sub(*stored) < ahead).await.map_err(|_| LinkEnd::Closed)?;
        let (first, proofs) = link.hub.read(move |reader| load(reader, peer, sent)).await?;
        let Some(receipts) = Receipts::fill(epoch, first, proofs) else {
            link.signals.receipts.notified().await;
            continue;
        };
        sent = receipts.first.saturating_add(receipts.proofs.len() as u64).saturating_sub(1);
        link.frames.send(receipts).await?;
    }
}

/// The next receipts, with the number of the first. Numbers before it are forgotten, or their events are lost.
///
/// # Errors
/// [`LoadError`].
pub fn load<D: Disk, I: Index>(
    reader: &Reader<D, I>,
    peer: ParticipantId,
    after: u64,
) -> Result<(u64, Vec<LogProof>), LoadError> {
    let (mut after, mut first, mut proofs) = (after, 0, Vec::new());
    while proofs.is_empty() {
        let rows = query::receipts(&reader.view(), peer, after, RECEIPTS_PER_FRAME_MAX)?;
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        (first, proofs) = first_run(reader, peer, &rows)?;
    }
    Ok((first, proofs))
}

/// The proofs of the first rows that follow one another and are not lost, with the number of the first.
fn first_run<D: Disk, I: Index>(
    reader: &Reader<D, I>,
    peer: ParticipantId,
    rows: &[(u64, ReceiptRow)],
) -> Result<(u64, Vec<LogProof>), LoadError> {
    let (mut first, mut proofs) = (0, Vec::new());
    for (number, row) in rows.iter().copied() {
        if proofs.is_empty() {
            first = number;
        } else if number != first + proofs.len() as u64 {
            break;
        }
        match proof(reader, &row) {
            Err(LoadError::Read(error @ (ReadError::Lost { .. } | ReadError::RecordLost { .. }))) => {
                tracing::error!(%peer, number, %error, "a receipt cannot be sent any more");
                if !proofs.is_empty() {
                    break;
                }
            }
            found => proofs.push(found?),
        }
    }
    Ok((first, proofs))
}

fn proof<D: Disk, I: Index>(reader: &Reader<D, I>, row: &ReceiptRow) -> Result<LogProof, LoadError> {
    match *row {
        ReceiptRow::Own(index) => reader.evidence(LogName::Traffic, index)?.ok_or(LoadError::Leaf(index)),
        ReceiptRow::Foreign(id) => {
            let bytes = reader.record(&RecordName { kind: RecordKind::Evidence, id })?;
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(LoadError::Record(id))?;
            LogProof::parse(&text).map_err(|_| LoadError::Record(id))
        }
    }
}
