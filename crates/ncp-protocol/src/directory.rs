//! The directory: who takes part, with which keys, and when a statement about that may be believed.
//!
//! Each participant signs its own [`Entry`]; a [`Chain`] runs from the first one, whose [`Fingerprint`] people compared
//! and pinned. The Secretariat signs the [`Membership`], the hub a [`Timestamp`]; [`accept`] holds the rules under which a
//! node believes them. Nothing here opens silently: whatever fails closes that participant alone.

pub mod accept;
mod chain;
mod entry;
mod membership;
#[cfg(test)]
mod tests;
mod timestamp;

pub use self::chain::{Chain, ChainError};
pub use self::entry::{
    Entry, EntryError, EntryFault, EntryKeys, Fingerprint, LogKey, SealingEntryKey, SignedEntry, ValidKey,
};
pub use self::membership::{Member, Membership, MembershipClass, MembershipFault, SignedMembership};
pub use self::timestamp::{Freshness, SignedTimestamp, Timestamp, TimestampFault};
