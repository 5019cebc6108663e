//! What a run is told, and what it came to.

use ncp_protocol::ids::Digest;

use crate::defect::Defect;
use crate::shell::Place;

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Everything random follows from it.
    pub seed: u64,
    /// Simulated milliseconds until all faults heal.
    pub length_ms: u64,
    /// What is broken on purpose.
    pub defect: Defect,
    /// Whether each step is told on standard error.
    pub telling: Telling,
}

/// Whether a run tells what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// No.
    Silent,
    /// Each step.
    Steps,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of everything that happened, in order.
    pub trace: Digest,
    /// What was done and suffered.
    pub counts: Counts,
}

/// What was done and suffered in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Things that happened.
    pub steps: u64,
    /// Messages drafted.
    pub messages: u64,
    /// Envelopes that the hub accepted.
    pub envelopes: u64,
    /// Envelopes that were consigned.
    pub consigned: u64,
    /// Lives that ended by a crash.
    pub crashes: u64,
    /// Lives that ended because the disk failed.
    pub disk_failures: u64,
    /// Starts that a fault interrupted.
    pub failed_starts: u64,
    /// Connections that were cut.
    pub cuts: u64,
    /// Partitions and clogged paths.
    pub partitions: u64,
    /// Machines that stood still for a while.
    pub pauses: u64,
    /// Writes that went astray.
    pub astray: u64,
    /// Journals that were read whole and checked.
    pub audits: u64,
    /// Leaves and checkpoints that left a machine.
    pub shown: u64,
    /// How long everything took to drain after the last fault.
    pub drained_ms: u64,
}

/// A run that came to what must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Simulated milliseconds since the beginning.
    pub at_ms: u64,
    /// Where.
    pub place: Place,
    /// What.
    pub what: String,
}
