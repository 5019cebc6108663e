//! Sealing: fixes the bytes of what was released.
//!
//! A worker reads the frozen manifest, its `r` and the content key under the storage key, wraps the content key for the
//! recipient's newest sealing key, signs the header, and has the core write the event: not a byte leaves before that is
//! durable. A crash before the event leaves nothing, and the envelope is sealed afresh under the same number; after it the
//! bytes stand for ever. What the core finds stale is made again.
//!
//! What cannot be sealed yet waits: the recipient is not pinned or suspended, has no key that may still seal, or the
//! directory's timestamp is stale. It is looked at again when the directory changes and from time to time.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use ncp_protocol::body::BodyDigest;
use ncp_protocol::directory::{Freshness, SealingEntryKey};
use ncp_protocol::envelope::{DraftMessage, SealTo};
use ncp_protocol::event::{Actor, EnvelopeKey, Lane};
use ncp_protocol::ids::{Digest, MessageId, PairSequence, ParticipantId, SealNumber};
use ncp_protocol::limits::VOIDED_MAX;
use ncp_protocol::wrap::WrapContent;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::reader::{ReadError, unless_lost};
use ncp_store::spool::Record;
use ncp_store::state::{Unreadable, View};
use thiserror::Error;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::core::command::{Ask, Refusal, Sealed, content_record, envelope_record};
use crate::core::tables::{
    ENVELOPE, EnvelopeRow, EnvelopeStage, OUT, OutRow, OutState, PAIR_OPEN, PAIR_VOIDED, lane_byte, queue_key,
};
use crate::link::Desk;
use crate::link::limits::{SEAL_AGAIN_EVERY, SEALS_PER_BATCH, VOIDED_LOOKBACK};
use crate::means::Means;
use crate::node::{EnvelopeHint, Node, Submission};
use crate::submission::{Note, QueueKey, read_queue, sealed_key_changed};

/// One envelope to be sealed.
type Job = (MessageId, ParticipantId);

/// Why an envelope is not sealed now.
#[derive(Debug, Error)]
pub enum NotYet {
    /// The hub's newest timestamp is too old, or there was none yet.
    #[error("the directory is stale")]
    Stale,
    /// The recipient's entry is not pinned, suspended or gone.
    #[error("the recipient's entry is not usable")]
    Entry,
    /// None of the recipient's keys may still seal.
    #[error("the recipient has no key to seal to")]
    Key,
    /// The private half of the signing key that the own entry names is not here.
    #[error("the signing key of the own entry is not here")]
    Signing,
    /// Content that the node keeps for itself does not open, or breaks a rule: damage, or the wrong storage key.
    #[error("the content at rest cannot be used: {0}")]
    Content(String),
}

/// What a worker made of a job.
pub enum Made {
    /// Bytes for the core.
    Sealed(Box<Sealed>, QueueKey),
    /// It is sealed already, or needs no seal any more.
    Nothing,
    /// Later.
    NotYet(NotYet),
}

/// Seals until the node stops.
pub(crate) async fn run(desk: Arc<Desk>, mut hints: UnboundedReceiver<EnvelopeHint>) {
    let node = Arc::clone(&desk.node);
    let mut directory = node.hints.directory.subscribe();
    let mut jobs = match node.blocking(unsealed).await {
        Ok(jobs) => jobs,
        Err(error) => return node.stop_because(crate::faults::unreadable(&error)),
    };
    let mut waiting = BTreeSet::new();
    loop {
        while let Ok(hint) = hints.try_recv() {
            jobs.insert((hint.message, hint.recipient));
        }
        let batch: Vec<Job> = core::iter::from_fn(|| jobs.pop_first()).take(SEALS_PER_BATCH).collect();
        if !batch.is_empty() {
            match seal(&desk, batch).await {
                Ok(later) => waiting.extend(later),
                Err(error) => return node.stop_because(crate::faults::unreadable(&error)),
            }
            if node.stopping.is_cancelled() {
                return;
            }
            continue;
        }
        tokio::select! {
            Some(hint) = hints.recv() => drop(jobs.insert((hint.message, hint.recipient))),
            Ok(()) = directory.changed() => jobs.append(&mut waiting),
            () = sleep(SEAL_AGAIN_EVERY), if !waiting.is_empty() => jobs.append(&mut waiting),
            () = node.stopping.cancelled() => return,
        }
    }
}

/// Seals a batch; returns what has to wait.
async fn seal(desk: &Arc<Desk>, batch: Vec<Job>) -> Result<Vec<Job>, ReadError> {
    let node = &desk.node;
    let made = node.blocking(move |node| -> Result<Vec<(Job, Made)>, ReadError> {
        batch.into_iter().map(|job| Ok((job, make(&node.means(), job)?))).collect()
    });
    let mut waiting = Vec::new();
    let mut commits = JoinSet::new();
    for (job, made) in made.await? {
        match made {
            Made::Sealed(sealed, place) => {
                let desk = Arc::clone(desk);
                commits.spawn(async move { (job, commit(&desk, *sealed, place).await) });
            }
            Made::Nothing => {}
            Made::NotYet(reason) => {
                tracing::info!(msg = %job.0, recipient = %job.1, %reason, "an envelope waits to be sealed");
                waiting.push(job);
            }
        }
    }
    while let Some(committed) = commits.join_next().await {
        match committed {
            Ok((job, Commit::Again)) => waiting.push(job),
            Ok((_, Commit::Done)) => {}
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    Ok(waiting)
}

enum Commit {
    Done,
    Again,
}

async fn commit(desk: &Desk, sealed: Sealed, place: QueueKey) -> Commit {
    let EnvelopeKey { message, recipient, .. } = sealed.envelope;
    let task = Submission { weight: sealed.record.bytes.len(), ..Submission::DAEMON };
    let Ok(committed) = desk.node.submit(task, Actor::Daemon, Ask::Seal(sealed)).await else { return Commit::Done };
    match committed.reply {
        Ok(_) => {
            desk.tell_outbox(Note::Sealed(place));
            Commit::Done
        }
        // The worker's view was behind: what the core knows reaches it with the next hint.
        Err(Refusal::Stale | Refusal::NotPinned(_) | Refusal::Suspended(_) | Refusal::UnknownParticipant(_)) => {
            Commit::Again
        }
        Err(refusal) => {
            tracing::error!(msg = %message, %recipient, %refusal, "the core takes no seal");
            Commit::Done
        }
    }
}

/// Envelopes of the queue whose bytes are not fixed.
fn unsealed(node: &Node) -> Result<BTreeSet<Job>, ReadError> {
    let (mut jobs, mut last) = (BTreeSet::new(), None);
    loop {
        let page = read_queue(node.reader(), last)?;
        let Some(end) = page.last().copied() else { return Ok(jobs) };
        let view = node.reader().view();
        for (_, _, message, recipient) in page {
            let row = ENVELOPE.row(&view, &(message, recipient))?;
            if row.is_some_and(|row| row.stage == EnvelopeStage::Released) {
                jobs.insert((message, recipient));
            }
        }
        last = Some(end);
    }
}

/// Makes the bytes of an envelope, if they are to be made now. Blocks.
///
/// # Errors
/// [`ReadError`]; fatal, like every one.
pub fn make<D: Disk, I: Index>(means: &Means<'_, D, I>, job: (MessageId, ParticipantId)) -> Result<Made, ReadError> {
    let (message, recipient) = job;
    let rows = {
        let view = means.reader.view();
        (OUT.row(&view, &message)?, ENVELOPE.row(&view, &job)?)
    };
    let (Some(out), Some(row)) = rows else { return Ok(Made::Nothing) };
    if out.state != OutState::Released || out.recall_requested.is_some() || !is_due(means, job, &row)? {
        return Ok(Made::Nothing);
    }
    let now = means.now;
    let timestamp = means.statements.timestamp;
    let Some(timestamp) = timestamp.filter(|timestamp| timestamp.freshness(now) != Freshness::Stale) else {
        return Ok(Made::NotYet(NotYet::Stale));
    };
    let Some(known) = means.directory.entry(recipient).filter(|known| known.is_usable()) else {
        return Ok(Made::NotYet(NotYet::Entry));
    };
    let Some(key) = known.newest().sealing_key(now) else { return Ok(Made::NotYet(NotYet::Key)) };
    let terms = Terms { out: &out, row: &row, key, public: (timestamp.public_size, timestamp.public_root) };
    match bytes(means, job, &terms)? {
        Ok((header, recipient_key, record)) => {
            let seal = SealNumber(row.seal.0.saturating_add(1));
            let envelope = EnvelopeKey { originator: means.participant, message, recipient, seal };
            let entry = known.row.entry;
            let sealed = Sealed { envelope, header, recipient_key, entry, sequence: row.sequence, record };
            let released = out.released.unwrap_or(out.created);
            Ok(Made::Sealed(Box::new(sealed), queue_key(out.draft.precedence, released, message, recipient)))
        }
        Err(not_yet) => Ok(Made::NotYet(not_yet)),
    }
}

/// Whether the envelope has no bytes yet, or bytes under keys that have changed.
fn is_due<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    (message, recipient): Job,
    row: &EnvelopeRow,
) -> Result<bool, ReadError> {
    match row.stage {
        EnvelopeStage::Released => Ok(true),
        EnvelopeStage::Sealed | EnvelopeStage::Accepted => sealed_key_changed(means, message, recipient),
        EnvelopeStage::Delivered
        | EnvelopeStage::HandedOver
        | EnvelopeStage::Failed(_)
        | EnvelopeStage::GivenUp
        | EnvelopeStage::Expired { .. }
        | EnvelopeStage::Recalled { .. } => Ok(false),
    }
}

/// On what terms an envelope is sealed.
struct Terms<'a> {
    out: &'a OutRow,
    row: &'a EnvelopeRow,
    key: &'a SealingEntryKey,
    public: (u64, Digest),
}

type Bytes = (Digest, ncp_protocol::ids::KeyId, Record);

fn bytes<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    (message, recipient): Job,
    terms: &Terms<'_>,
) -> Result<Result<Bytes, NotYet>, ReadError> {
    let draft = &terms.out.draft;
    let name = content_record(means.participant, message, draft.revision);
    let Some(record) = unless_lost(means.reader.record(&name))? else {
        return Ok(Err(NotYet::Content("its record is missing".to_owned())));
    };
    let content = match means.vault.open_content(&name, &record) {
        Ok(content) => content,
        Err(error) => return Ok(Err(NotYet::Content(error.to_string()))),
    };
    let frozen = match DraftMessage::from_frozen(content.manifest.clone(), &content.r) {
        Ok(frozen) if frozen.commitment() == draft.commitment => frozen,
        Ok(_) => return Ok(Err(NotYet::Content("another commitment".to_owned()))),
        Err(error) => return Ok(Err(NotYet::Content(error.to_string()))),
    };
    let (floor, voided) = numbers(&means.reader.view(), recipient, terms)?;
    let (public_size, public_root) = terms.public;
    let wrap = WrapContent {
        cek: content.cek.clone(),
        pair_epoch: terms.row.epoch,
        pair_sequence: terms.row.sequence,
        floor,
        voided,
        public_size,
        public_root,
    };
    let to = SealTo {
        recipient,
        key: &terms.key.public,
        seal: SealNumber(terms.row.seal.0.saturating_add(1)),
        precedence: draft.precedence,
        created: terms.out.released.unwrap_or(terms.out.created),
        not_after: draft.not_after,
        wrap: &wrap,
    };
    let body = BodyDigest { root: draft.root, length: draft.body_length };
    let Some(signing) = means.signing_key() else { return Ok(Err(NotYet::Signing)) };
    Ok(match frozen.seal_for(&body, &to, signing, &means.wrap_seed) {
        Ok(envelope) => {
            let header = envelope.header_digest();
            let record = Record { name: envelope_record(header), bytes: envelope.encode() };
            Ok((header, terms.key.public.id(), record))
        }
        Err(error) => Err(NotYet::Content(error.to_string())),
    })
}

type Ranges = Vec<(PairSequence, PairSequence)>;

/// The lowest number that is still open, at most this envelope's own, and the newest ranges of those that will not be
/// used: the recipient looks for every number below the floor.
fn numbers(
    view: &impl View,
    recipient: ParticipantId,
    terms: &Terms<'_>,
) -> Result<(PairSequence, Ranges), Unreadable> {
    let lane = lane_byte(Lane::of(terms.out.draft.precedence));
    let own = terms.row.sequence.0;
    let mut floor = own;
    PAIR_OPEN.scan(view, &(recipient, lane), |(_, _, number), _| {
        floor = floor.min(number);
        ControlFlow::Break(())
    })?;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let from = own.saturating_sub(VOIDED_LOOKBACK);
    PAIR_VOIDED.scan_from(view, &(recipient, lane), &(recipient, lane, from), |(_, _, number), ()| {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
        ControlFlow::Continue(())
    })?;
    ranges.retain(|(first, last)| !(*first..=*last).contains(&own));
    let newest = ranges.len().saturating_sub(VOIDED_MAX);
    let voided = ranges.drain(newest..).map(|(first, last)| (PairSequence(first), PairSequence(last))).collect();
    Ok((PairSequence(floor.max(1)), voided))
}
