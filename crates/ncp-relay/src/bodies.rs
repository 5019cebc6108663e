//! Sending bodies to recipients that ask for them: chunk by chunk, as far as the credit reaches, the highest precedence
//! first, and several of one precedence in turn.
//!
//! A wish costs its few bytes until its turn comes: what a peer asks for and grants no bytes for is not opened. A few bodies stay open from one chunk to the next, the others are opened for each.

use std::collections::VecDeque;
use std::sync::Arc;

use ncp_protocol::frame::{BodyChunk, BodyWanted};
use ncp_protocol::reject::RejectCode;
use ncp_store::bodies::BodyReader;
use ncp_store::disk::RealDisk;
use ncp_store::reader::unless_lost;
use ncp_transport::credit::{Credit, Spend};
use tokio::sync::mpsc;

use crate::core::query;
use crate::limits::{ANY_RANK_EVERY, BODIES_OPEN_MAX, BODIES_WANTED_MAX};
use crate::link::{Link, LinkEnd, TaskEnd};

/// A body on its way to the recipient; `wish.from_chunk` is the chunk that comes next.
struct Transfer {
    wish: BodyWanted,
    rank: u8,
    body: Option<BodyReader<RealDisk>>,
}

/// Sends bodies until the link ends.
///
/// # Errors
/// Why the link ends.
pub(crate) async fn run(link: Arc<Link>, mut wanted: mpsc::Receiver<BodyWanted>) -> TaskEnd {
    let mut transfers: VecDeque<Transfer> = VecDeque::new();
    let mut chunks: u64 = 0;
    loop {
        while let Some(wish) = next_wish(&mut wanted, transfers.is_empty()).await? {
            add(&link, &mut transfers, wish)?;
        }
        let Some(transfer) = take_next(&mut transfers, chunks) else { continue };
        let Some((chunk, transfer)) = read_chunk(&link, transfer).await? else { continue };
        let credit = Credit { envelopes: 0, bytes: chunk.bytes.len() as u64 };
        while link.credit().spend(credit) == Spend::Wait {
            tokio::select! {
                () = link.bytes_granted.notified() => {}
                wish = wanted.recv() => add(&link, &mut transfers, wish.ok_or(LinkEnd::Closed)?)?,
            }
        }
        link.frames.send(chunk).await?;
        chunks = chunks.wrapping_add(1);
        go_on(&mut transfers, transfer);
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

/// Takes the transfer whose turn it is: the highest precedence, but now and then the one that waits longest.
fn take_next(transfers: &mut VecDeque<Transfer>, chunks: u64) -> Option<Transfer> {
    if (chunks + 1).is_multiple_of(ANY_RANK_EVERY) {
        return transfers.pop_front();
    }
    let (place, _) = transfers.iter().enumerate().min_by_key(|(place, transfer)| (transfer.rank, *place))?;
    transfers.remove(place)
}

/// Takes a wish up. A newer one for the same message takes the place of the older. What is not offered to this peer goes
/// last.
fn add(link: &Link, transfers: &mut VecDeque<Transfer>, wish: BodyWanted) -> Result<(), LinkEnd> {
    transfers.retain(|transfer| !is_same(&transfer.wish, &wish));
    if transfers.len() >= BODIES_WANTED_MAX {
        return Err(LinkEnd::Cut(RejectCode::RateExceeded));
    }
    let BodyWanted { originator, message, .. } = wish;
    let offered = link.hub.look(|view| query::body_for(view, originator, message, link.peer))?;
    let rank = offered.map_or(u8::MAX, |(_, precedence)| precedence.rank());
    transfers.push_back(Transfer { wish, rank, body: None });
    Ok(())
}

/// Puts a transfer back behind the others, unless it was asked for anew meanwhile.
fn go_on(transfers: &mut VecDeque<Transfer>, mut transfer: Transfer) {
    if transfers.iter().any(|other| is_same(&other.wish, &transfer.wish)) {
        return;
    }
    if transfers.len() >= BODIES_OPEN_MAX {
        transfer.body = None;
    }
    transfers.push_back(transfer);
}

fn is_same(one: &BodyWanted, other: &BodyWanted) -> bool {
    (one.originator, one.message) == (other.originator, other.message)
}

/// The next chunk of a transfer, and the transfer behind it; `None` at its end, and for a body that is not, or no longer,
/// offered to this peer.
async fn read_chunk(link: &Link, transfer: Transfer) -> Result<Option<(BodyChunk, Transfer)>, LinkEnd> {
    let Transfer { wish, rank, body } = transfer;
    let (peer, BodyWanted { originator, message, root, from_chunk: index }) = (link.peer, wish);
    let opened = match body {
        Some(body) => Some(body),
        None => {
            let offered = link.hub.look(|view| query::body_for(view, originator, message, peer))?;
            match offered.map(|(name, _)| name).filter(|name| name.root == root) {
                // A body that ends between the look and the read is gone like one that ended before.
                Some(name) => link.hub.read(move |reader| unless_lost(reader.body(&name))).await?,
                None => None,
            }
        }
    };
    let Some(body) = opened else {
        tracing::debug!(%peer, msg = %message, "asked for a body that does not wait for it");
        return Ok(None);
    };
    let read = move |_: &_| body.chunk(index).map(|bytes| (bytes, body));
    let (bytes, body) = link.hub.read(read).await?;
    let Some(bytes) = bytes else { return Ok(None) };
    let wish = BodyWanted { from_chunk: index + 1, ..wish };
    Ok(Some((BodyChunk { originator, message, index, bytes }, Transfer { wish, rank, body: Some(body) })))
}
