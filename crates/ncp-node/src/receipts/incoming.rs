//! Evidence of others: verified, compared with what was sent, stored, then acknowledged.
//!
//! A proof whose key the directory does not have yet is kept until the directory has it, see [`Progress`]. One that does not
//! verify, or speaks of an envelope that this node never sealed so, is an error in the log and is passed over: the stream goes
//! on. How far it has come is noted in the journal now and then, behind what it speaks of.
//!
//! [`Progress`]: super::Progress

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ncp_api::Fault;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::{Actor, Claim, EnvelopeKey};
use ncp_protocol::evidence::{EvidenceError, EvidenceMismatch, NewestCheckpoint, unverified_claim, verify_next};
use ncp_protocol::frame::{Cursor, Frame, Receipts, ReceiptsStored};
use ncp_protocol::ids::{Digest, ParticipantId, UnixMillis};
use ncp_protocol::keys::sha256;
use ncp_protocol::proof::LogProof;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::queue::Source;
use ncp_store::reader::{ReadError, Reader, unless_lost};
use ncp_store::spool::{Record, RecordKind, RecordName};
use thiserror::Error;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use crate::clock;
use crate::core::command::{Ask, Noted, envelope_record};
use crate::core::tables::{ENVELOPE, EVIDENCE, OUT, RECEIPTS_STORED};
use crate::link::limits::RECEIPTS_NOTED_EVERY;
use crate::link::{Desk, Outbound};
use crate::means::Means;
use crate::node::{Node, Submission};
use crate::submission::Note;

/// Why evidence is passed over.
#[derive(Debug, Error)]
pub enum BadEvidence {
    /// It proves nothing.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// It speaks of something else.
    #[error(transparent)]
    Mismatch(#[from] EvidenceMismatch),
    /// It speaks of another participant's envelope.
    #[error("about an envelope of {0}")]
    Originator(ParticipantId),
}

/// What a proof turned out to be.
pub enum Seen {
    /// Stored before, byte for byte.
    Known(EnvelopeKey),
    /// To be stored.
    New(Box<Noted>),
    /// Passed over.
    Bad(BadEvidence),
    /// The directory may bring the key.
    KeyUnknown,
}

/// Stores receipts as they come, and acknowledges them; what waits for its key is seen again when the directory changes.
pub(crate) async fn store(
    desk: Arc<Desk>,
    outbound: Outbound,
    mut frames: Receiver<Receipts>,
    waiting: Arc<AtomicUsize>,
) -> Option<Fault> {
    let mut directory = desk.node.hints.directory.subscribe();
    // It may have changed while there was no link.
    directory.mark_changed();
    loop {
        let settled = tokio::select! {
            received = frames.recv() => {
                let receipts = received?;
                waiting.fetch_sub(Frame::from(receipts.clone()).encode().1.len(), Ordering::Relaxed);
                settle(&desk, receipts).await
            }
            Ok(()) = directory.changed() => settle_kept(&desk).await,
        };
        match settled {
            Ok(Settled::Stored(cursor)) => outbound.send(ReceiptsStored { cursor }),
            Ok(Settled::SeenAgain) => {}
            Ok(Settled::Stopped) => return None,
            Err(error) => {
                let fault = crate::faults::unreadable(&error);
                desk.node.stop_because(fault.clone());
                return Some(fault);
            }
        }
    }
}

/// What became of a frame, or of what was kept.
enum Settled {
    /// The stream is stored up to here.
    Stored(Cursor),
    /// What was kept has been seen again.
    SeenAgain,
    /// The store has stopped, and with it the node.
    Stopped,
}

/// Stores a frame.
async fn settle(desk: &Arc<Desk>, receipts: Receipts) -> Result<Settled, ReadError> {
    let Receipts { epoch, first, proofs } = receipts;
    let last = first.saturating_add(proofs.len() as u64).saturating_sub(1);
    let Some(keyless) = take(desk, (first..).zip(proofs).collect()).await? else { return Ok(Settled::Stopped) };
    let (stored, durable) = {
        let mut progress = desk.receipts();
        let left_out = keyless.into_iter().filter(|(number, proof)| !progress.keep(epoch, *number, proof.clone()));
        let left_out = left_out.count();
        if left_out > 0 {
            tracing::error!(left_out, "evidence without its key finds no room; the next link brings it again");
        }
        (progress.note(epoch, last), progress.durable())
    };
    if is_worth_noting(&desk.node, durable)? {
        let ask = Ask::NoteReceipts(durable);
        if desk.node.submit(Submission::DAEMON, Actor::Peer(ParticipantId::HUB), ask).await.is_err() {
            return Ok(Settled::Stopped);
        }
    }
    Ok(Settled::Stored(stored))
}

/// Sees again what waits for its key.
async fn settle_kept(desk: &Arc<Desk>) -> Result<Settled, ReadError> {
    let (epoch, kept) = desk.receipts().kept();
    if kept.is_empty() {
        return Ok(Settled::SeenAgain);
    }
    let numbers: Vec<u64> = kept.iter().map(|(number, _)| *number).collect();
    let Some(keyless) = take(desk, kept).await? else { return Ok(Settled::Stopped) };
    let mut progress = desk.receipts();
    // Until here all of it was kept: a link that ends in between loses nothing.
    for number in numbers.into_iter().filter(|number| keyless.iter().all(|(still, _)| still != number)) {
        progress.settle(epoch, number);
    }
    Ok(Settled::SeenAgain)
}

/// Whether the journal lags behind the stream by more than a start should have sent again.
fn is_worth_noting(node: &Node, cursor: Cursor) -> Result<bool, ReadError> {
    let noted = RECEIPTS_STORED.row(&node.reader().view(), &())?.filter(|row| row.epoch == cursor.epoch);
    Ok(cursor.number >= noted.map_or(0, |row| row.number).saturating_add(RECEIPTS_NOTED_EVERY))
}

type Numbered = Vec<(u64, LogProof)>;

/// Verifies proofs and has them stored; returns those whose key is not known, or nothing if the store has stopped.
async fn take(desk: &Arc<Desk>, proofs: Numbered) -> Result<Option<Numbered>, ReadError> {
    let seen = desk.node.blocking(move |node| -> Result<Vec<_>, ReadError> {
        let (means, mut newest) = (node.means(), NewestCheckpoint::default());
        let seen = proofs.into_iter().map(|(number, proof)| {
            let seen = see(&means, &mut newest, &proof)?;
            Ok((number, proof, seen))
        });
        seen.collect()
    });
    let (mut commits, mut keyless) = (JoinSet::new(), Vec::new());
    for (number, proof, seen) in seen.await? {
        match seen {
            Seen::Known(envelope) => desk.tell_outbox(Note::Settled(envelope)),
            Seen::New(noted) => {
                desk.node.clock.heard(noted.claim.origin.participant, noted.stated, clock::now());
                commits.spawn(commit(Arc::clone(desk), *noted));
            }
            Seen::Bad(error) => tracing::error!(%error, "evidence is passed over"),
            Seen::KeyUnknown => keyless.push((number, proof)),
        }
    }
    while let Some(stored) = commits.join_next().await {
        match stored {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    if !keyless.is_empty() {
        tracing::warn!(pieces = keyless.len(), "evidence waits for the entry that names its key");
        desk.refresh.notify_one();
    }
    Ok(Some(keyless))
}

async fn commit(desk: Arc<Desk>, noted: Noted) -> bool {
    let Claim { envelope, origin, .. } = noted.claim;
    let weight = noted.record.bytes.len();
    let task = Submission { source: Source::Peer(origin.participant), weight, ..Submission::DAEMON };
    let actor = Actor::Peer(ParticipantId::HUB);
    let Ok(committed) = desk.node.submit(task, actor, Ask::NoteEvidence(noted)).await else { return false };
    if let Err(refusal) = committed.reply {
        tracing::error!(?envelope, %refusal, "the core takes no evidence");
    }
    desk.tell_outbox(Note::Settled(envelope));
    true
}

/// Looks at another party's evidence; `newest` is the checkpoint that was verified before it. Blocks on the disk.
///
/// # Errors
/// [`ReadError`].
pub fn see<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    newest: &mut NewestCheckpoint,
    proof: &LogProof,
) -> Result<Seen, ReadError> {
    let claim = match unverified_claim(proof) {
        Ok(claim) => claim,
        Err(error) => return Ok(Seen::Bad(error.into())),
    };
    if claim.envelope.originator != means.participant {
        return Ok(Seen::Bad(BadEvidence::Originator(claim.envelope.originator)));
    }
    let record = evidence_record(proof);
    if is_stored(means.reader, &claim, record.name.id)? {
        return Ok(Seen::Known(claim.envelope));
    }
    let Some(key) = means.directory.log_key(&claim.origin) else { return Ok(Seen::KeyUnknown) };
    let verified = match verify_next(proof, &claim.origin, key, newest) {
        Ok(verified) => verified,
        Err(error) => return Ok(Seen::Bad(error.into())),
    };
    match sent(means.reader, &claim)? {
        Sent::So(envelope, not_after) => {
            if let Err(error) = verified.matches(&envelope, &claim.header, not_after) {
                return Ok(Seen::Bad(error.into()));
            }
        }
        Sent::Otherwise => return Ok(Seen::Bad(EvidenceMismatch::Header.into())),
        Sent::Forgotten => {}
    }
    let (index, stated) = (verified.index(), verified.time());
    Ok(Seen::New(Box::new(Noted { claim, index, stated, record })))
}

/// The record that holds a proof: its text, named by its digest.
pub(crate) fn evidence_record(proof: &LogProof) -> Record {
    let bytes = proof.to_string().into_bytes();
    Record { name: RecordName { kind: RecordKind::Evidence, id: sha256(&bytes) }, bytes }
}

fn is_stored<D: Disk, I: Index>(reader: &Reader<D, I>, claim: &Claim, record: Digest) -> Result<bool, ReadError> {
    let EnvelopeKey { originator, message, recipient, .. } = claim.envelope;
    let mut stored = false;
    EVIDENCE.scan(&reader.view(), &(originator, message, recipient), |_, row| {
        stored |= row.record == record;
        if stored { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(stored)
}

/// What this node knows of the envelope that a claim speaks of.
enum Sent {
    /// It was sealed under this header: its identity and not-after.
    So(EnvelopeKey, UnixMillis),
    /// There is such an envelope, and it never had this header.
    Otherwise,
    /// Nothing: evidence for something forgotten is stored and shown.
    Forgotten,
}

fn sent<D: Disk, I: Index>(reader: &Reader<D, I>, claim: &Claim) -> Result<Sent, ReadError> {
    let EnvelopeKey { originator, message, recipient, .. } = claim.envelope;
    let row = ENVELOPE.row(&reader.view(), &(message, recipient))?;
    let Some(row) = row else { return Ok(Sent::Forgotten) };
    let bytes = unless_lost(reader.record(&envelope_record(claim.header)))?;
    let header = bytes.and_then(|bytes| SealedEnvelope::decode(&bytes).ok()?.unverified_header().ok());
    if let Some(header) = header {
        let envelope =
            EnvelopeKey { originator, message: header.message, recipient: header.recipient, seal: header.seal };
        return Ok(Sent::So(envelope, header.not_after));
    }
    let out = OUT.row(&reader.view(), &message)?;
    Ok(match out.filter(|_| row.header == Some(claim.header)) {
        Some(out) => Sent::So(row.key(originator, message, recipient), out.draft.not_after),
        None => Sent::Otherwise,
    })
}
