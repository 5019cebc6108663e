//! Sending bodies to recipients that ask for them: chunk by chunk, several bodies in turn, as far as the credit reaches.

use std::collections::VecDeque;
use std::sync::Arc;

use ncp_protocol::frame::{BodyChunk, BodyWanted};
use ncp_protocol::ids::{MessageId, ParticipantId};
use ncp_store::bodies::BodyReader;
use ncp_store::disk::RealDisk;
use ncp_transport::credit::{Credit, Spend};
use tokio::sync::mpsc;

use crate::core::query;
use crate::link::{Link, LinkEnd, TaskEnd};

/// A body on its way to the recipient.
struct Transfer {
    originator: ParticipantId,
    message: MessageId,
    body: BodyReader<RealDisk>,
    next: u64,
}

/// Sends bodies until the link ends.
///
/// # Errors
/// Why the link ends.
pub(crate) async fn run(link: Arc<Link>, mut wanted: mpsc::Receiver<BodyWanted>) -> TaskEnd {
    let mut transfers: VecDeque<Transfer> = VecDeque::new();
    loop {
        while let Some(asked) = next_wish(&mut wanted, transfers.is_empty()).await? {
            begin(&link, &mut transfers, asked).await?;
        }
        let Some(transfer) = transfers.pop_front() else { continue };
        let Some((chunk, transfer)) = read_chunk(&link, transfer).await? else { continue };
        let credit = Credit { envelopes: 0, bytes: chunk.bytes.len() as u64 };
        while link.credit().spend(credit) == Spend::Wait {
            tokio::select! {
                () = link.bytes_granted.notified() => {}
                asked = wanted.recv() => begin(&link, &mut transfers, asked.ok_or(LinkEnd::Closed)?).await?,
            }
        }
        link.frames.send(chunk).await?;
        transfers.push_back(transfer);
    }
}

/// The next wish: waits for one only if there is nothing else to do.
async fn next_wish(wanted: &mut mpsc::Receiver<BodyWanted>, idle: bool) -> Result<Option<BodyWanted>, LinkEnd> {
    use tokio::sync::mpsc::error::TryRecvError;
    if idle {
        return wanted.recv().await.map(Some).ok_or(LinkEnd::Closed);
    }
    match wanted.try_recv() {
        Ok(asked) => Ok(Some(asked)),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => Err(LinkEnd::Closed),
    }
}

/// Takes a wish up. One for a body that is not, or no longer, offered to this peer is passed over.
async fn begin(link: &Link, transfers: &mut VecDeque<Transfer>, asked: BodyWanted) -> Result<(), LinkEnd> {
    let BodyWanted { originator, message, root, from_chunk: next } = asked;
    let peer = link.peer;
    let name = link.hub.look(|view| query::body_for(view, originator, message, peer))?;
    let Some(name) = name.filter(|name| name.root == root) else {
        tracing::debug!(%peer, %message, "asked for a body that does not wait for it");
        return Ok(());
    };
    // A body that ends between the look and the read is gone like one that ended before.
    let body = link.hub.read(move |reader| reader.body(&name)).await?;
    let Some(body) = body else { return Ok(()) };
    transfers.retain(|transfer| (transfer.originator, transfer.message) != (originator, message));
    transfers.push_back(Transfer { originator, message, body, next });
    Ok(())
}

/// The next chunk of a transfer, and the transfer behind it; `None` at its end.
async fn read_chunk(link: &Link, transfer: Transfer) -> Result<Option<(BodyChunk, Transfer)>, LinkEnd> {
    let read = move |_: &_| transfer.body.chunk(transfer.next).map(|bytes| (bytes, transfer));
    let (bytes, mut transfer) = link.hub.read(read).await?;
    let Some(bytes) = bytes else { return Ok(None) };
    let Transfer { originator, message, next: index, .. } = transfer;
    transfer.next += 1;
    Ok(Some((BodyChunk { originator, message, index, bytes }, transfer)))
}
