//! The directory at this node: what the hub shows of it, recomputed, and believed by the rules of
//! [`ncp_protocol::directory::accept`] alone.
//!
//! A look at the directory fetches the newest statements, reads the log `public` up to exactly the size that the timestamp
//! states, recomputes its root, and fetches the entries that it admits and this node lacks. What passes becomes
//! [`Ask::AcceptEntries`]; what does not leaves everything as it was. Entries that nobody has pinned are kept under the
//! fingerprint that the membership names, to be shown: nothing is sealed to or opened from them. An entry in this node's
//! own name that it did not sign closes reception ([`Desk::foreign_entry`]) and is an error in the log at every look.
//!
//! A failed look is repeated, never fatal; a directory that contradicts what was believed stays refused.
//! Known gap: `public` is read again from its first leaf after each start.

mod held;
mod public;
mod refresh;

use std::io;
use std::sync::Arc;

use ncp_protocol::directory::SignedEntry;
use ncp_protocol::event::Actor;
use ncp_protocol::ids::ParticipantId;
use ncp_store::committer::Stopped;
use ncp_store::disk::RealDisk;
use ncp_store::reader::ReadError;
use ncp_store::spool::Record;
use thiserror::Error;

pub(crate) use self::public::Admissions;
pub(crate) use self::refresh::{Answer, Directory, Line};
use crate::core::command::{Ask, EntryNews};
use crate::entries::entry_record;
use crate::node::{Node, Submission};

use self::held::Held;

/// Why what joining gave cannot be taken into the store.
#[derive(Debug, Error)]
pub enum InstallError {
    /// The store has stopped.
    #[error(transparent)]
    Store(#[from] Stopped),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The data folder cannot be opened.
    #[error("the data folder cannot be opened: {0}")]
    Folder(#[from] io::Error),
}

/// Takes the own entries and the hub's, which came with joining, into the store and pins them; then shows the directory
/// and the statements last believed to all tasks. Does nothing twice.
///
/// # Errors
/// [`InstallError`]; the daemon ends.
pub async fn install(node: &Arc<Node>) -> Result<(), InstallError> {
    let mut news: Vec<_> = node.network.own.iter().map(entry_news).collect();
    news.push(entry_news(&node.network.hub));
    node.submit(Submission::DAEMON, Actor::Daemon, Ask::AcceptEntries(news)).await?;
    let pins = [
        (node.participant(), node.network.own_chain.fingerprint().0),
        (ParticipantId::HUB, node.network.hub.digest()),
    ];
    for (participant, fingerprint) in pins {
        let pin = Ask::PinEntry { participant, fingerprint };
        if let Err(refusal) = node.submit(Submission::DAEMON, Actor::Daemon, pin).await?.reply {
            tracing::error!(%participant, %refusal, "the entry that came with joining is not the pinned one");
        }
    }
    node.blocking(|node| -> Result<(), InstallError> {
        let disk = RealDisk::open(&node.config.data_dir)?;
        let held = Held::load(&disk, node.network.root.clone());
        node.statements.store(Arc::new(held.statements()));
        Ok(node.reload_directory()?)
    })
    .await
}

/// A verified entry on its way into the store.
fn entry_news(signed: &SignedEntry) -> EntryNews {
    let entry = signed.unverified();
    EntryNews::Entry {
        participant: entry.participant,
        version: entry.version,
        record: Record { name: entry_record(signed.digest()), bytes: signed.encode() },
    }
}
