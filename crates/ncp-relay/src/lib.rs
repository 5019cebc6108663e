//! The hub's daemon: stores and forwards what it cannot read.
//!
//! [`core`] decides and is pure; everything else is the shell around it, which does input and output and nothing else.
//! [`start::start`] brings a daemon up; [`link::serve`] is the life of one connection; `intake` takes envelopes and bodies
//! from originators, `delivery` and `bodies` pass them on, `evidence` and `receipts` carry what proves it, `desk` and
//! [`directory`] serve the directory, [`api`] the operator.
//!
//! Absent on purpose: anything that could open an envelope.

pub mod api;
mod bodies;
pub mod checks;
pub mod clock;
pub mod config;
pub mod core;
pub mod delivery;
mod desk;
pub mod directory;
pub mod evidence;
pub mod hub;
mod intake;
pub mod keys;
pub mod limits;
pub mod link;
pub mod links;
pub mod metrics;
mod pace;
pub mod receipts;
pub mod reload;
mod seldom;
mod service;
pub mod start;
pub mod timers;
pub mod verify;
pub mod workers;
