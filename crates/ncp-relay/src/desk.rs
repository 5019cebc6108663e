//! The desk: answers what nodes ask about the directory, tells them when it changed, and keeps the newest checkpoint that
//! each shows of its own log.

use std::sync::Arc;

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::frame::{Entries, EntriesChanged, EntryGet, PublicGet, PublicLog};
use ncp_protocol::ids::{LogName, LogOrigin};
use ncp_protocol::limits::{ENTRIES_PER_FRAME_MAX, PUBLIC_EVENTS_PER_FRAME_MAX, ROOTS_PER_FRAME_MAX};
use ncp_protocol::reject::RejectCode;
use ncp_store::reader::{ReadError, Reader};
use ncp_store::spool::{RecordKind, RecordName};
use tokio::sync::mpsc;

use crate::link::{Asked, Link, LinkEnd, TaskEnd};

/// Serves until the link ends.
///
/// # Errors
/// Why the link ends.
pub(crate) async fn run(link: Arc<Link>, mut questions: mpsc::Receiver<Asked>) -> TaskEnd {
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

/// As many leaves of `public` as fit a frame, from the one asked for; the peer asks again for the rest.
fn public(reader: &Reader, get: PublicGet) -> Result<Option<PublicLog>, ReadError> {
    let Some(checkpoint) = reader.checkpoint(LogName::Public) else { return Ok(None) };
    let until = get.until.min(checkpoint.checkpoint().size);
    let mut events = Vec::new();
    for index in (get.from..until).take(PUBLIC_EVENTS_PER_FRAME_MAX) {
        let Some(event) = reader.event(LogName::Public, index)? else { break };
        events.push(event.bytes);
    }
    Ok(Some(PublicLog::fill(get.from, events, checkpoint.note().to_owned())))
}

async fn entries(link: &Link, get: EntryGet) -> Result<Entries, LinkEnd> {
    let directory = link.hub.directory.load();
    let known = usize::try_from(get.root_version).unwrap_or(usize::MAX);
    let roots = {
        let trust = link.hub.trust.lock().await;
        trust.versions.iter().skip(known).take(ROOTS_PER_FRAME_MAX).cloned().collect()
    };
    let wanted = get.digests;
    let entries = link
        .hub
        .read(move |reader| {
            let mut found = Vec::new();
            for id in wanted {
                let record = reader.record(&RecordName { kind: RecordKind::Entry, id })?;
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

/// Keeps the newest checkpoint that a peer shows of its own log. What its key did not sign is ignored; two roots for one
/// size are a fork, which ends the link and is for people to look at.
///
/// # Errors
/// [`RejectCode::CheckpointInconsistent`].
pub(crate) fn keep_checkpoints(link: &Link, notes: &[String]) -> Result<(), LinkEnd> {
    let (hub, peer) = (&link.hub, link.peer);
    let directory = hub.directory.load();
    let newest = directory.entry(peer).and_then(|entry| entry.newest_log_key(LogName::Node));
    let Some(named) = newest else { return Ok(()) };
    let origin = LogOrigin { network: hub.network, participant: peer, log: LogName::Node, epoch: named.epoch };
    let open = |note: &str| SignedCheckpoint::open(note, &origin, &named.key).ok();
    for shown in notes.iter().filter_map(|note| open(note)) {
        let held = hub.links.checkpoint(peer).and_then(|note| open(&note));
        let Some(held) = held else {
            hub.links.keep_checkpoint(peer, shown.note().to_owned());
            continue;
        };
        let (old, new) = (held.checkpoint(), shown.checkpoint());
        if new.size == old.size && new.root != old.root {
            tracing::error!(%peer, size = new.size, "two checkpoints of one size: the peer's log is forked");
            return Err(LinkEnd::Cut(RejectCode::CheckpointInconsistent));
        }
        if new.size > old.size {
            hub.links.keep_checkpoint(peer, shown.note().to_owned());
        }
    }
    Ok(())
}
