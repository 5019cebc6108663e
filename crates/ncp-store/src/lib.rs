//! Durable state of a daemon: the journal is the truth, the index a projection of it, the spool holds what is not an event.
//! The only crate that syncs or renames.

pub mod ahead;
pub mod backup;
pub mod ballast;
pub mod bodies;
pub mod clock;
pub mod committer;
pub mod disk;
pub mod engine;
pub mod forked;
pub mod fsck;
pub mod held;
pub mod index;
pub mod journal;
pub mod keyfiles;
pub mod levels;
pub mod limits;
pub mod lock;
pub mod losses;
pub mod overlay;
pub mod queue;
pub mod reader;
pub mod recovery;
pub mod signed;
pub mod snapshot;
pub mod spool;
pub mod state;
pub mod store;

mod tables;
