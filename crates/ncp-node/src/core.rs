//! The node's pure core: what it decides and how events change its index. No clock, socket, file or thread.
//!
//! Start at [`command`] for what can be asked; [`tables`] for what is remembered. `decide` has one function per command,
//! `apply` one per event.

mod apply;
pub mod command;
mod decide;
pub mod limits;
pub(crate) mod meaning;
pub mod tables;

pub(crate) use decide::taken;
#[cfg(test)]
mod tests;

use ncp_store::state::{Core, Decision, Placed, Rows, Unreadable, View};

use command::{Command, Effect, Identity, Reply};

/// A node as a pure state machine.
#[derive(Debug, Clone, Copy)]
pub struct NodeCore {
    identity: Identity,
}

impl NodeCore {
    /// The core of the node with this identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity }
    }
}

impl Core for NodeCore {
    type Command = Command;
    type Reply = Reply;
    type Effect = Effect;

    fn decide(&self, view: &dyn View, command: Command) -> Result<Decision<Reply, Effect>, Unreadable> {
        decide::decide(&self.identity, view, command)
    }

    fn apply(&self, view: &dyn View, event: Placed<'_>, rows: &mut Rows) -> Result<(), Unreadable> {
        apply::apply(self.identity.origin.participant, view, event, rows)
    }

    fn schema(&self) -> u32 {
        tables::SCHEMA
    }
}
