//! The relay's pure core: what the hub decides, and how its journal folds into its index.
//!
//! [`Relay`] implements [`ncp_store::state::Core`]. A [`command::Command`] brings time, chance and everything that worker
//! threads verified; `decide` checks again what they assumed and chooses events; `apply` is the only writer of the tables in
//! [`tables`]. No clock, file, socket, thread or random source, and no way to open an envelope.
//!
//! What the tables promise, after every event:
//! - an envelope is waiting, offered or ended, and ends once;
//! - a mailbox row, a due row and a place in both quotas exist exactly while an envelope has not ended;
//! - a body is stored exactly while one of its headers has not ended;
//! - receipts to a participant are numbered from 1 without gaps.

pub mod apply;
pub mod command;
pub mod decide;
pub mod mailbox;
pub mod meaning;
pub mod query;
pub mod tables;

#[cfg(test)]
mod tests;

use ncp_protocol::ids::{KeyId, LogOrigin, NetworkId};
use ncp_store::state::{Core, Decision, Placed, Rows, Unreadable, View};

use self::command::{Command, Effect, Reply};

/// How much may wait at the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Envelopes of one originator.
    pub originator_envelopes: u64,
    /// Bytes of bodies of one originator; a body counts once.
    pub originator_bytes: u64,
    /// Envelopes in one mailbox.
    pub mailbox_envelopes: u64,
    /// Bytes in one mailbox; a body counts for each mailbox.
    pub mailbox_bytes: u64,
    /// Envelopes in all mailboxes.
    pub waiting_envelopes: u64,
}

/// The core of one hub.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The network it serves.
    pub network: NetworkId,
    /// Origin of its log `traffic`, which makes its claims.
    pub traffic: LogOrigin,
    /// The key that signs that log.
    pub traffic_key: KeyId,
    /// How much may wait.
    pub quotas: Quotas,
}

impl Core for Relay {
    type Command = Command;
    type Reply = Reply;
    type Effect = Effect;

    fn decide(&self, view: &dyn View, command: Command) -> Result<Decision<Reply, Effect>, Unreadable> {
        decide::decide(self, view, command)
    }

    fn apply(&self, view: &dyn View, event: Placed<'_>, rows: &mut Rows) -> Result<(), Unreadable> {
        apply::apply(view, event, rows)
    }

    fn schema(&self) -> u32 {
        tables::SCHEMA
    }
}
