//! One participant's daemon: drafts, release, sealing, outbox, inbox, evidence.

pub mod core;
