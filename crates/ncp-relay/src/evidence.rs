//! Taking in what recipients state: receipts come in order, are verified on a worker, stored in order, and acknowledged
//! once they are durable.
//!
//! What is not evidence of this peer ends the link: an honest node cannot send it. What the hub cannot place is stored and
//! reaches nobody, so that one piece never blocks the stream. A peer with more evidence about what the hub does not know
//! than a day allows waits for its acknowledgement; the rest of its link goes on.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use std::sync::Arc;

use ncp_protocol::event::Claim;
use ncp_protocol::evidence::{self, EvidenceError, NewestCheckpoint};
use ncp_protocol::frame::{Cursor, Receipts, ReceiptsStored};
use ncp_protocol::ids::{LogName, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;
use ncp_store::queue::Urgency;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::clock;
use crate::core::command::{Command, Reply, Stamp, StoreEvidence};
use crate::desk;
use crate::directory::Directory;
use crate::hub::Asked;
use crate::limits::{EVIDENCE_PAUSE, EVIDENCE_TEXT_MAX};
use crate::link::{Link, LinkEnd, TaskEnd};
use crate::seldom::Seldom;

/// Stores frames of receipts, one after the other.
///
/// # Errors
/// Why the link ends.
pub(crate) async fn run(link: Arc<Link>, mut frames: mpsc::Receiver<Receipts>) -> TaskEnd {
    let mut odd = Seldom::default();
    loop {
        let receipts = frames.recv().await.ok_or(LinkEnd::Closed)?;
        let stored = store(&link, receipts, &mut odd).await?;
        link.frames.send(stored).await?;
    }
}

async fn store(link: &Arc<Link>, receipts: Receipts, odd: &mut Seldom) -> Result<ReceiptsStored, LinkEnd> {
    let Receipts { epoch, first, proofs } = receipts;
    let last = first.saturating_add(proofs.len() as u64).saturating_sub(1);
    let (hub, peer) = (&link.hub, link.peer);
    let (directory, network) = (hub.directory.load(), hub.network);
    let verified = link.work(move || verify_all(&directory, network, peer, &proofs)).await?;
    let verified = verified.map_err(|error| {
        tracing::warn!(%peer, %error, "a receipt does not verify");
        LinkEnd::Cut(RejectCode::EvidenceInvalid)
    })?;
    if let Some(long) = verified.iter().find(|piece| piece.text.len() > EVIDENCE_TEXT_MAX) {
        tracing::warn!(%peer, bytes = long.text.len(), "a receipt carries more signatures than there are witnesses");
        return Err(LinkEnd::Cut(RejectCode::EvidenceInvalid));
    }
    if let Some(newest) = verified.last() {
        desk::look_at(link, vec![newest.checkpoint.clone()]).await?;
    }
    for piece in &verified {
        hub.clock.heard(peer, piece.stated, hub.now());
    }
    while take(link, &verified, odd).await? == Taken::HasToWait {
        tracing::warn!(%peer, "its evidence waits: too much of it is about envelopes that the hub does not know");
        sleep(EVIDENCE_PAUSE).await;
    }
    // What ended by it made room for more.
    link.signals.mail.notify_one();
    Ok(ReceiptsStored { cursor: Cursor { epoch, number: last } })
}

#[derive(Debug, PartialEq, Eq)]
enum Taken {
    All,
    HasToWait,
}

/// Has pieces stored, one behind the other.
async fn take(link: &Arc<Link>, pieces: &[Piece], odd: &mut Seldom) -> Result<Taken, LinkEnd> {
    let (hub, peer) = (&link.hub, link.peer);
    // One time for all: where the first has to wait, so do those behind it.
    let now = hub.now();
    let before = core::iter::once(None).chain(pieces.iter().map(|piece| Some((piece.claim.origin.epoch, piece.index))));
    let submissions = pieces.iter().zip(before).map(|(piece, behind)| {
        let Piece { claim, index, stated, text, .. } = piece;
        let stamp = Stamp { now, ..clock::stamp() };
        let proof = text.clone().into_bytes();
        let (asked, claim) = (Asked::by(peer, Urgency::Routine, proof.len()), *claim);
        let command = StoreEvidence { peer, claim, index: *index, behind, stated: *stated, proof, stamp };
        let hub = Arc::clone(hub);
        let stored = async move { hub.submit(asked, Command::StoreEvidence(command)).await };
        Box::pin(async move { stored.await.map(|committed| (claim, committed.reply)) })
    });
    let mut taken = Taken::All;
    for outcome in in_order(submissions.collect()).await {
        let (claim, reply) = outcome?;
        let message = claim.envelope.message;
        if reply == Reply::Refused(RejectCode::QuotaExceeded) {
            taken = Taken::HasToWait;
        } else if let Reply::Refused(code) = reply {
            return Err(LinkEnd::Cut(code));
        } else if let (Reply::Kept(_), Some(left_out)) = (&reply, odd.note()) {
            tracing::warn!(%peer, msg = %message, left_out, "evidence about an envelope that is not so here");
        }
    }
    Ok(taken)
}

/// Evidence that verified, with the text that is stored.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What it claims.
    pub claim: Claim,
    /// Its leaf index in the peer's log.
    pub index: u64,
    /// When the peer decided it.
    pub stated: UnixMillis,
    /// The proof.
    pub text: String,
    /// The note under which it is proved.
    pub checkpoint: String,
}

/// Verifies evidence of `peer` under the log key of its entry.
///
/// # Errors
/// [`EvidenceError`]: an honest node cannot send it.
pub fn verify_all(
    directory: &Directory,
    network: NetworkId,
    peer: ParticipantId,
    proofs: &[LogProof],
) -> Result<Vec<Piece>, EvidenceError> {
    let mut newest = NewestCheckpoint::default();
    proofs.iter().map(|proof| verify(directory, network, peer, proof, &mut newest)).collect()
}

fn verify(
    directory: &Directory,
    network: NetworkId,
    peer: ParticipantId,
    proof: &LogProof,
    newest: &mut NewestCheckpoint,
) -> Result<Piece, EvidenceError> {
    let origin = evidence::unverified_claim(proof)?.origin;
    let own = origin.participant == peer && origin.network == network && origin.log == LogName::Node;
    let key = directory.entry(peer).filter(|_| own).and_then(|entry| entry.log_key(LogName::Node, origin.epoch));
    let verified = evidence::verify_next(proof, &origin, key.ok_or(EvidenceError::Origin)?, newest)?;
    Ok(Piece {
        claim: *verified.claim(),
        index: verified.index(),
        stated: verified.time(),
        text: proof.to_string(),
        checkpoint: proof.checkpoint_note.clone(),
    })
}

/// Awaits all futures, each polled for the first time in order: submissions of one source keep the order in which they
/// first ask.
async fn in_order<F: Future + Unpin>(futures: Vec<F>) -> Vec<F::Output> {
    let mut slots: Vec<(F, Option<F::Output>)> = futures.into_iter().map(|future| (future, None)).collect();
    poll_fn(|context| {
        for (future, output) in slots.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = Pin::new(future).poll(context) {
                *output = Some(ready);
            }
        }
        if slots.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    slots.into_iter().filter_map(|(_, output)| output).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn futures_begin_in_order_and_all_end() {
        let begun = Mutex::new(Vec::new());
        let (sender, receiver) = tokio::sync::watch::channel(false);
        let futures = (0..5).map(|n| {
            let (begun, mut receiver) = (&begun, receiver.clone());
            Box::pin(async move {
                begun.lock().unwrap().push(n);
                if n < 4 {
                    receiver.wait_for(|go| *go).await.unwrap();
                }
                n
            })
        });
        let last = async {
            tokio::task::yield_now().await;
            sender.send(true).unwrap();
        };
        let (outputs, ()) = tokio::join!(in_order(futures.collect::<Vec<_>>()), last);
        assert_eq!((outputs, begun.into_inner().unwrap()), ((0..5).collect::<Vec<_>>(), (0..5).collect()));
    }
}
