//! What clients did at the API and what they were shown, as they recorded it while it happened.

use std::collections::BTreeSet;

use ncp_protocol::ids::{Digest, MessageId, ParticipantId};

/// All that clients recorded.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Each call that asks for a change, in the order of the answers.
    pub commands: Vec<Command>,
    /// Receipts.
    pub receipts: BTreeSet<Shown>,
    /// Signed checkpoints: the texts of their notes.
    pub checkpoints: BTreeSet<String>,
    /// Signed directory entries.
    pub entries: BTreeSet<Vec<u8>>,
    /// Contents that were read.
    pub reads: Vec<Read>,
    /// Inboxes, each read to its end when the network was at rest.
    pub listings: Vec<Listing>,
}

/// A call and what came of it.
#[derive(Debug, Clone)]
pub struct Command {
    /// At whose node.
    pub at: ParticipantId,
    /// The client's name for it; the same again is the same call.
    pub key: String,
    /// What was asked.
    pub ask: Ask,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// A new message.
    Create {
        /// Digest of what was written.
        content: Digest,
        /// To whom.
        recipients: BTreeSet<ParticipantId>,
    },
    /// A message shall not arrive, or be deleted.
    Withdraw(MessageId),
    /// A message that arrived was taken: R3.
    Confirm {
        /// Whose message.
        originator: ParticipantId,
        /// Which.
        message: MessageId,
    },
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Success, about this message.
    Done(MessageId),
    /// The daemon refused.
    Refused(String),
    /// No answer: it may have happened.
    Unknown,
}

/// A receipt that a client was shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    /// At whose node.
    pub at: ParticipantId,
    /// The text of the proof.
    pub proof: String,
}

/// Content as a reader saw it.
#[derive(Debug, Clone)]
pub struct Read {
    /// At whose node.
    pub at: ParticipantId,
    /// Who sent it.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// Digest of what was read.
    pub content: Digest,
}

/// An inbox, row by row.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Whose.
    pub at: ParticipantId,
    /// Originator and message of each row.
    pub rows: Vec<(ParticipantId, MessageId)>,
}
