//! Deterministic simulation of a whole network: the hub and several nodes as pure cores over the real store, a model disk,
//! a virtual clock and a virtual network, with officers who write and faults that come and go.
//!
//! A run follows from its seed alone. It ends with the first violation or with a hash over everything that happened; the
//! same seed gives the same hash. What is checked stands in [`check`] and in `docs/SIMULATION.md`.
//!
//! *Not* a violation: an envelope that expires, is recalled or refused with evidence; a command whose answer a crash took;
//! a start that a fault interrupted, if the next one without fault succeeds.

pub mod cast;
pub mod chance;
pub mod check;
pub mod defect;
pub mod disk;
pub mod hub;
pub mod machine;
pub mod node;
pub mod shell;
pub mod wire;
pub mod work;
pub mod world;
