//! What both shells share: places, what they hand to the world, and why a life ends.

use std::collections::BTreeMap;

use ncp_node::receipts::BadEvidence;
use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::Frame;
use ncp_protocol::ids::{Digest, LogName, LogOrigin, MessageId, ParticipantId};
use ncp_protocol::keys::{VerifyingKey, sha256};
use ncp_protocol::proof::LogProof;
use ncp_relay::receipts::LoadError;
use ncp_store::bodies::UploadError;
use ncp_store::engine::Fatal;
use ncp_store::held::Held;
use ncp_store::journal::JournalError;
use ncp_store::reader::ReadError;
use ncp_store::spool;
use ncp_store::state::Unreadable;

use crate::disk::SimDisk;
use crate::machine::SimReader;

/// A machine of the run: 0 is the hub, the nodes follow.
pub type Place = usize;

/// The hub's place.
pub const HUB: Place = 0;

/// Something that is to happen at a place later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// Commit what was asked.
    Commit,
    /// Write what the store's other threads write.
    Settle,
    /// Look at clocks and at what waits.
    Tick,
    /// Take a snapshot of the index.
    Snapshot,
    /// Dial the hub.
    Dial,
    /// Let an officer act.
    Work,
}

/// What a step of a shell brings about outside its machine.
#[derive(Debug, Default)]
pub struct Out {
    /// Frames for the other end of a node's link, by the node's place.
    pub frames: Vec<(Place, Frame)>,
    /// Chores of the same place, each after so many milliseconds.
    pub chores: Vec<(u64, Chore)>,
    /// Links that end, by the node's place.
    pub cuts: Vec<Place>,
    /// What left the machine: leaves that others have now seen.
    pub shown: Vec<(LogName, u64, Digest)>,
    /// Checkpoints that left.
    pub signed: Vec<(LogName, u64, Digest)>,
    /// Acknowledgements that left, by the other end's place: number of the last piece of evidence that is stored here.
    pub acked: Vec<(Place, u64)>,
}

impl Out {
    /// Notes that a proof from the place's own log leaves.
    pub fn show(&mut self, log: LogName, proof: &LogProof) {
        self.shown.push((log, proof.index, sha256(&proof.event)));
    }

    /// Notes that a checkpoint of the place's own log leaves.
    pub fn sign(&mut self, log: LogName, signed: &SignedCheckpoint) {
        self.signed.push((log, signed.checkpoint().size, signed.checkpoint().root));
    }
}

/// Why a life cannot go on.
#[derive(Debug)]
pub enum Halt {
    /// The disk failed: the daemon ends and starts again.
    Disk(String),
    /// What must not be: a violation.
    Wrong(String),
}

impl Halt {
    /// A violation.
    pub fn wrong(what: impl core::fmt::Display) -> Self {
        Self::Wrong(what.to_string())
    }
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        let is_disk = match &error {
            ReadError::Disk(_) | ReadError::Spool(spool::ReadError::Io(_)) => true,
            ReadError::Journal(JournalError::Io(_)) => true,
            ReadError::Index(_)
            | ReadError::Journal(_)
            | ReadError::Spool(_)
            | ReadError::RecordLost { .. }
            | ReadError::Lost { .. }
            | ReadError::Disagree { .. } => false,
        };
        // No fault of the simulated disks damages what was durable.
        if is_disk { Self::Disk(error.to_string()) } else { Self::Wrong(format!("I4: {error}")) }
    }
}

impl From<Unreadable> for Halt {
    fn from(error: Unreadable) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<LoadError> for Halt {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Read(error) => error.into(),
            LoadError::Index(_) | LoadError::Leaf(_) | LoadError::Record(_) => Self::Wrong(error.to_string()),
        }
    }
}

impl From<Fatal> for Halt {
    fn from(error: Fatal) -> Self {
        match &error {
            Fatal::Disk { .. } | Fatal::Signed => Self::Disk(format!("{error:?}")),
            Fatal::Index(_) | Fatal::Poisoned => Self::Wrong(error.to_string()),
        }
    }
}

impl From<std::io::Error> for Halt {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<UploadError> for Halt {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Io(error) | UploadError::Names(error) => error.into(),
            UploadError::Quota | UploadError::Busy | UploadError::Stopped | UploadError::Length | UploadError::Root => {
                Self::Wrong(error.to_string())
            }
        }
    }
}

impl From<BadEvidence> for Halt {
    fn from(error: BadEvidence) -> Self {
        Self::Wrong(format!("evidence is passed over: {error}"))
    }
}

/// The identity of an envelope, short.
#[must_use]
pub fn named(key: &EnvelopeKey) -> String {
    format!("{}/{}→{}", key.originator, &key.message.to_string().get(..8).unwrap_or_default(), key.recipient)
}

/// Keeps the newest checkpoint of each of these logs among notes that were shown. Two roots at one size are a violation.
///
/// # Errors
/// [`Halt`].
pub fn keep_newest(held: &Held<SimDisk>, logs: &[(LogOrigin, VerifyingKey)], notes: &[String]) -> Result<(), Halt> {
    for note in notes {
        for (origin, key) in logs {
            let open = |note: &str| SignedCheckpoint::open(note, origin, key).ok();
            let Some(shown) = open(note) else { continue };
            let before = held.note(&origin.to_string());
            let known = before.as_deref().and_then(open);
            let (size, root) = (shown.checkpoint().size, shown.checkpoint().root);
            match known.map(|known| (known.checkpoint().size, known.checkpoint().root)) {
                Some((known, _)) if known > size => {}
                Some((known, other)) if known == size && other != root => {
                    return Err(Halt::wrong(format_args!("I5: the log {origin} has two roots at {size}")));
                }
                Some(_) | None if held.replace(&origin.to_string(), before.as_deref(), note) => {}
                Some(_) | None => return Err(Halt::wrong("one step at a time keeps, and another was kept meanwhile")),
            }
        }
    }
    Ok(())
}

/// Whether the logs hold what another party holds of them; an error names the log that does not.
///
/// # Errors
/// [`Halt::Wrong`] if a checkpoint that was signed before is not a state of the log any more.
pub fn check_own_logs(reader: &SimReader, logs: &[(LogOrigin, VerifyingKey)], notes: &[String]) -> Result<(), Halt> {
    for note in notes {
        for (origin, key) in logs {
            let Ok(signed) = SignedCheckpoint::open(note, origin, key) else { continue };
            let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
            if reader.root(origin.log, size)? != Some(root) {
                return Err(Halt::wrong(format_args!("I5: the log {origin} lost what it signed at size {size}")));
            }
        }
    }
    Ok(())
}

/// Places by participant.
#[derive(Debug, Clone, Default)]
pub struct Places(pub BTreeMap<ParticipantId, Place>);

impl Places {
    /// The place of a participant.
    #[must_use]
    pub fn of(&self, participant: ParticipantId) -> Option<Place> {
        self.0.get(&participant).copied()
    }
}

/// One message at a time.
pub type MessageOf = (ParticipantId, MessageId);
