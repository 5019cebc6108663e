//! One participant's daemon: drafts, release, sealing, outbox, inbox, evidence.
//!
//! [`core`] decides and is pure; everything beside it is the shell, which does input and output and nothing else. Start at
//! [`start`] for how the daemon comes up and at [`node`] for what its tasks share.

pub mod api;
pub mod blobs;
pub mod bodies_out;
pub mod checks;
pub mod clock;
pub mod compose;
pub mod config;
pub mod content;
pub mod contributions;
pub mod core;
pub mod directory;
pub mod entries;
pub mod events;
pub mod faults;
pub mod history;
pub mod holds;
pub mod hub_clock;
pub mod hub_refusals;
pub mod hub_view;
pub mod keys;
pub mod link;
pub mod means;
pub mod metrics;
pub mod node;
pub mod notes;
pub mod officer_auth;
pub mod proposals;
pub mod receipts;
pub mod receipts_shown;
pub mod reception;
pub mod references;
pub mod reload;
pub mod sealed;
pub mod sealing;
mod service;
pub mod space;
pub mod start;
pub mod submission;
pub mod timeline;
pub mod timers;
pub mod vault;
pub mod views;
