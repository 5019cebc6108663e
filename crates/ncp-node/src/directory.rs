//! The directory at this node: what the hub shows of it, recomputed, and believed by the rules of
//! [`ncp_protocol::directory::accept`] alone.
//!
//! A look at the directory fetches the newest statements, reads the log `public` up to exactly the size that the timestamp
//! states, recomputes its root, and fetches the entries that it admits and this node lacks. What passes becomes
//! [`Ask::AcceptEntries`](crate::core::command::Ask::AcceptEntries); what does not leaves everything as it was. Entries that
//! nobody has pinned are kept under the fingerprint that the membership names, to be shown: nothing is sealed to or opened
//! from them. An entry in this node's own name that it did not sign closes reception and is an error in the log at every
//! look.
//!
//! A failed look is repeated, never fatal; a directory that contradicts what was believed stays refused.
//! Known gap: `public` is read again from its first leaf after each start.

mod held;
mod public;
mod refresh;

pub use self::public::Admissions;
pub(crate) use self::refresh::{Answer, Directory, Line};
