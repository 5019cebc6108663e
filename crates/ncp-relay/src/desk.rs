//! The desk: answers what nodes ask about the directory, tells them when it changed, and keeps the newest checkpoint that
//! each shows of its own log.

use std::sync::Arc;

use ncp_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::frame::{Entries, EntriesChanged, EntryGet, PublicGet, PublicLog};
use ncp_protocol::ids::{LogName, LogOrigin, ParticipantId, UnixMillis};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::limits::{ENTRIES_PER_FRAME_MAX, PUBLIC_EVENTS_PER_FRAME_MAX, ROOTS_PER_FRAME_MAX};
use ncp_protocol::reject::RejectCode;
use ncp_store::reader::{ReadError, Reader, unless_lost};
use ncp_store::spool::{RecordKind, RecordName};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::directory;
use crate::hub::Hub;
use crate::limits::CHECKPOINT_LOOK_EVERY;
use crate::link::{Asked, Link, LinkEnd, TaskEnd};

/// Serves until the link ends.
///
/// # Errors
/// Why the link ends.
pub(crate) async fn run(link: Arc<Link>, mut questions: mpsc::Receiver<Asked>) -> TaskEnd {
    let mut looked: Option<Instant> = None;
    loop {
        tokio::select! {
            question = questions.recv() => match question.ok_or(LinkEnd::Closed)? {
                Asked::Public(get) => {
                    if let Some(leaves) = link.hub.read(move |reader| public(reader, get)).await? {
                        link.frames.send(leaves).await?;
                    }
                }
                Asked::Entries(get) => {
                    let answer = entries(&link, get).await?;
                    link.frames.send(answer).await?;
                }
                Asked::Checkpoint(notes) => {
                    // Each costs signature checks, and needs no credit. Newer ones come soon enough.
                    if looked.is_none_or(|looked| looked.elapsed() >= CHECKPOINT_LOOK_EVERY) {
                        looked = Some(Instant::now());
                        look_at(&link, notes).await?;
                    }
                }
            },
            () = link.signals.directory.notified() => {
                let directory = link.hub.directory.load();
                if let Some(timestamp) = &directory.timestamp {
                    link.frames.send(EntriesChanged { timestamp: timestamp.encode() }).await?;
                }
            }
        }
    }
}

/// Looks at the first note of the peer's own log, on a worker.
///
/// # Errors
/// [`RejectCode::CheckpointInconsistent`].
pub(crate) async fn look_at(link: &Arc<Link>, notes: Vec<String>) -> Result<(), LinkEnd> {
    let start = format!("ncp/{}/{}/{}/", link.hub.network.label(), link.peer, LogName::Node);
    let Some(note) = notes.into_iter().find(|note| note.starts_with(&start)) else { return Ok(()) };
    let looking = Arc::clone(link);
    link.work(move || keep_checkpoint(&looking, &note)).await?
}

/// As many leaves of `public` as fit a frame, from the one asked for; the peer asks again for the rest.
fn public(reader: &Reader, get: PublicGet) -> Result<Option<PublicLog>, ReadError> {
    let Some(checkpoint) = reader.checkpoint(LogName::Public) else { return Ok(None) };
    let until = get.until.min(checkpoint.checkpoint().size);
    let mut events = Vec::new();
    for index in (get.from..until).take(PUBLIC_EVENTS_PER_FRAME_MAX) {
        // Behind a leaf that is lost nobody can read on, until that segment of the journal is put back.
        let Some(event) = unless_lost(reader.event(LogName::Public, index))? else { break };
        events.push(event.bytes);
    }
    Ok(Some(PublicLog::fill(get.from, events, checkpoint.note().to_owned())))
}

async fn entries(link: &Link, get: EntryGet) -> Result<Entries, LinkEnd> {
    let directory = directory::fresh(&link.hub).await?;
    let known = usize::try_from(get.root_version).unwrap_or(usize::MAX);
    let roots = link.hub.trust.load().versions.iter().skip(known).take(ROOTS_PER_FRAME_MAX).cloned().collect();
    let wanted = get.digests;
    let entries = link
        .hub
        .read(move |reader| {
            let mut found = Vec::new();
            for id in wanted {
                let record = unless_lost(reader.record(&RecordName { kind: RecordKind::Entry, id }))?;
                // A membership statement bears the same kind of name, and is not an entry.
                found.extend(record.filter(|bytes| SignedEntry::decode(bytes).is_ok()));
                if found.len() == ENTRIES_PER_FRAME_MAX {
                    break;
                }
            }
            Ok::<_, ReadError>(found)
        })
        .await?;
    Ok(Entries {
        roots,
        membership: directory.membership.as_ref().map(|statement| statement.encode()),
        timestamp: directory.timestamp.as_ref().map(|statement| statement.encode()),
        entries,
    })
}

/// What a peer's checkpoints are to the ones that are held of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Newer, or the first.
    Newer,
    /// Known, or older than what is held.
    Known,
    /// Of the same size under another root: the log is forked.
    Forked,
    /// Smaller than what is held.
    Behind,
}

/// Keeps the newest checkpoint that a peer shows of its own log, behind its hello: the peer has seen then what is held of
/// it, and has stopped unless its log holds that. What its key did not sign is ignored; two roots for one size are a fork,
/// which ends the link and is for people to look at. Durable within [`crate::limits::HELD_EVERY`]; nothing rests on it
/// before.
///
/// # Errors
/// [`RejectCode::CheckpointInconsistent`].
pub(crate) fn keep_checkpoint(link: &Link, note: &str) -> Result<(), LinkEnd> {
    let hub = &link.hub;
    let Some(log) = log_of(hub, link.peer) else { return Ok(()) };
    loop {
        let held = Known::of(hub, &log);
        let Some((shown, judged)) = held.judge(&log, note) else { return Ok(()) };
        match judged {
            Shown::Newer => {
                // Another task of this link may have kept one meanwhile: then this one is judged by that.
                if hub.held.replace(&shown.checkpoint().origin, held.note.as_deref(), shown.note()) {
                    return Ok(());
                }
            }
            // Frames of two tasks of the peer may overtake each other: smaller is no fork here.
            Shown::Known | Shown::Behind => return Ok(()),
            Shown::Forked => {
                note_fork(hub, &log.0, shown.checkpoint().size);
                return Err(LinkEnd::Cut(RejectCode::CheckpointInconsistent));
            }
        }
    }
}

/// Looks at the checkpoints in a peer's hello. None of them is kept: the answer shows what was held before, so that a
/// peer whose log lacks that stops, and the older state stays to convict it at its next start, too.
pub(crate) fn look_at_hello(link: &Link, notes: &[String]) {
    let Some(log) = log_of(&link.hub, link.peer) else { return };
    let held = Known::of(&link.hub, &log);
    for (shown, judged) in notes.iter().filter_map(|note| held.judge(&log, note)) {
        match judged {
            Shown::Newer | Shown::Known => {}
            Shown::Forked | Shown::Behind => note_fork(&link.hub, &log.0, shown.checkpoint().size),
        }
    }
}

/// The checkpoint that is held of a peer's log.
pub(crate) fn held_of(hub: &Hub, peer: ParticipantId) -> Option<String> {
    let (origin, _) = log_of(hub, peer)?;
    hub.held.note(&origin.to_string())
}

/// The newest life of a peer's log, and its key.
fn log_of(hub: &Hub, peer: ParticipantId) -> Option<(LogOrigin, VerifyingKey)> {
    let directory = hub.directory.load();
    let named = directory.entry(peer)?.newest_log_key(LogName::Node)?;
    let origin = LogOrigin { network: hub.network, participant: peer, log: LogName::Node, epoch: named.epoch };
    Some((origin, named.key))
}

/// When a peer last showed another history of its log as it is open now.
pub(crate) fn forked(hub: &Hub, peer: ParticipantId) -> Option<UnixMillis> {
    let (origin, _) = log_of(hub, peer)?;
    hub.links.fork(peer, origin.epoch)
}

fn note_fork(hub: &Hub, log: &LogOrigin, size: u64) {
    let peer = log.participant;
    tracing::error!(%peer, size, "the peer's log is not the one that it showed before: two copies of its data folder are in use");
    hub.links.note_fork(peer, log.epoch);
}

/// What is held of a log at one moment.
struct Known {
    note: Option<String>,
    checkpoint: Option<SignedCheckpoint>,
}

impl Known {
    fn of(hub: &Hub, (origin, key): &(LogOrigin, VerifyingKey)) -> Self {
        let note = hub.held.note(&origin.to_string());
        let checkpoint = note.as_deref().and_then(|note| SignedCheckpoint::open(note, origin, key).ok());
        Self { note, checkpoint }
    }

    /// Nothing if the note is none of this log.
    fn judge(&self, (origin, key): &(LogOrigin, VerifyingKey), note: &str) -> Option<(SignedCheckpoint, Shown)> {
        let shown = SignedCheckpoint::open(note, origin, key).ok()?;
        let judged = against(self.checkpoint.as_ref().map(SignedCheckpoint::checkpoint), shown.checkpoint());
        Some((shown, judged))
    }
}

fn against(held: Option<&Checkpoint>, shown: &Checkpoint) -> Shown {
    match held {
        None => Shown::Newer,
        Some(held) if shown.size > held.size => Shown::Newer,
        Some(held) if shown.size < held.size => Shown::Behind,
        Some(held) if shown.root != held.root => Shown::Forked,
        Some(_) => Shown::Known,
    }
}

#[cfg(test)]
mod tests {
    use ncp_protocol::ids::Digest;

    use super::*;

    #[test]
    fn a_log_is_newer_known_behind_or_forked() {
        let at = |size, root| Checkpoint { origin: "a log".to_owned(), size, root: Digest([root; 32]) };
        let held = at(7, 1);
        assert_eq!(against(None, &at(1, 1)), Shown::Newer);
        for (size, root, judged) in
            [(8, 2, Shown::Newer), (7, 1, Shown::Known), (7, 2, Shown::Forked), (6, 1, Shown::Behind)]
        {
            assert_eq!(against(Some(&held), &at(size, root)), judged);
        }
    }
}
