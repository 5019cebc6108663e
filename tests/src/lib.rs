//! Harness of the black-box tests: a network of real daemons on loopback, made by the operator's own commands, and a kit
//! for peers that do not play by the rules.
//!
//! Daemons are the shipped binaries, each a process of its own in a folder of mode 0700 that goes with its [`Network`].
//! Nothing here waits for time to pass: readiness comes as a datagram, an end as an exit status, everything else by a long
//! poll of the API or a line of a log, each bounded by [`PATIENCE`]. What cannot go on fails its test by a panic.
#![expect(clippy::expect_used, reason = "what cannot go on fails its test")]

pub mod authority;
pub mod binaries;
pub mod calls;
pub mod chance;
pub mod checker;
pub mod craft;
pub mod ctl;
pub mod folder;
pub mod greedy;
pub mod image;
pub mod impostor;
pub mod load;
pub mod material;
pub mod messages;
pub mod network;
pub mod node;
pub mod peer;
pub mod process;
pub mod receipts;
pub mod relay;
pub mod shared;
pub mod shim;
pub mod supervisor;
pub mod wire;

use core::time::Duration;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use ncp_protocol::ids::{ParticipantId, UnixMillis};

pub use network::{Network, Plan};
pub use node::Node;

/// Longest wait for anything: far beyond what it takes on an idle machine, so that a loaded one does not fail.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Now, by the system's clock, which all daemons of a test share.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    UnixMillis(u64::try_from(since.as_millis()).expect("the clock is before the year 584 million"))
}

/// Says something that is no outcome of a test: figures, or what did not run and why.
pub fn tell(text: &str) {
    // Nobody to tell if standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Random bytes.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// A participant's id.
#[must_use]
pub fn id(text: &str) -> ParticipantId {
    text.parse().expect("a participant's id")
}

/// Bounds a wait: fails with `what` if it does not end.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {} s in vain for {what}", PATIENCE.as_secs()),
    }
}
