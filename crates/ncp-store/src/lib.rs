//! Durable state of a daemon: the journal is the truth, the index a projection of it, the spool holds what is not an event.
//! The only crate that syncs or renames.

pub mod bodies;
pub mod disk;
pub mod index;
pub mod journal;
pub mod keyfiles;
pub mod levels;
pub mod limits;
pub mod overlay;
pub mod queue;
pub mod signed;
pub mod spool;
pub mod state;
