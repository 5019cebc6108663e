//! Every limit of the node's core.

/// Most services that one command assigns.
pub const SERVICES_MAX: usize = 16;
/// Most tasks of one request.
pub const TASKS_MAX: usize = 64;
/// Most contributions to one task.
pub const CONTRIBUTIONS_MAX: usize = 32;
/// Most clocks that one tick acts on; the next tick takes the rest.
pub const DUE_PER_TICK: usize = 64;
/// Most gaps that one message makes the node write down.
pub const GAPS_PER_MESSAGE_MAX: usize = 8;
/// Pause between two ticks.
pub const TICK_MS: u64 = 1_000;

const _: () = assert!(SERVICES_MAX <= TASKS_MAX);
