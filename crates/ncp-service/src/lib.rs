//! What both daemons are to the machine they run on: a program with a command line ([`program`]), a process that signals stop
//! and reload ([`life`]), a service that systemd starts and watches ([`pulse`]), a log ([`logging`]), secrets that it is
//! given ([`credential`]), time and chance ([`clock`]), checks ([`checks`]), and metrics ([`gauges`]). What a daemon does
//! for the network is its own; it says here only how it is asked.

pub mod checks;
pub mod clock;
pub mod credential;
pub mod gauges;
pub mod life;
pub mod logging;
pub mod program;
pub mod pulse;

use std::path::Path;
use std::sync::Arc;

use ncp_api::Fault;
use tokio_util::sync::CancellationToken;

use self::pulse::Pulse;

/// A daemon that serves.
pub trait Daemon: Send + Sync + 'static {
    /// How it gets on.
    fn pulse(&self) -> &Pulse;

    /// Ends all tasks.
    fn stopping(&self) -> &CancellationToken;

    /// Ends the daemon because of a failure; the first one stands.
    fn stop_because(&self, fault: Fault);

    /// One line: whom it serves, its links, its events.
    fn status(&self) -> String;

    /// Signs something that goes nowhere, and verifies it.
    ///
    /// # Errors
    /// What keeps it from signing.
    fn sign_canary(&self) -> Result<(), Fault>;

    /// Goes through the committer and to the disk; a disk that hangs lets this wait.
    ///
    /// # Errors
    /// [`ncp_api::ErrorCode::ShuttingDown`].
    fn prove_progress(&self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Its local API.
    fn api_socket(&self) -> &Path;

    /// Takes up what a running daemon may take up of this configuration file, or changes nothing. Logs what it took up.
    ///
    /// # Errors
    /// Everything that is wrong with what it read.
    fn reload(self: &Arc<Self>, file: &Path) -> impl Future<Output = Result<(), Vec<Fault>>> + Send;
}

/// A daemon that was started, with what ends it.
pub trait Running: Sized {
    /// What its tasks share.
    type Daemon: Daemon;

    /// What its tasks share.
    fn daemon(&self) -> &Arc<Self::Daemon>;

    /// Brings it down.
    ///
    /// # Errors
    /// Why it had stopped before, or did not stop well.
    fn stop(self) -> impl Future<Output = Result<(), Fault>>;
}
