//! The hub's daemon: stores and forwards what it cannot read.
//!
//! [`core`] decides and is pure.

pub mod config;
pub mod core;
pub mod limits;
