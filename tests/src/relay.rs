//! The hub of a test: its operator's folder and its daemon.

use core::time::Duration;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ncp_api::Client;
use ncp_protocol::ids::LogName;

use crate::binaries::Program;
use crate::ctl::{Ctl, text};
use crate::process::{Daemon, Ended, Log, Started};

/// The hub.
#[derive(Debug)]
pub struct Relay {
    folder: PathBuf,
    address: SocketAddr,
    network: String,
    daemon: Mutex<Option<Daemon>>,
}

impl Relay {
    /// `ncpctl hub init`.
    pub(crate) fn init(folder: &Path, address: SocketAddr) -> Self {
        let made = Ctl::new("hub init --class test").set("--dir", folder).set("--listen", address.to_string()).json();
        let network = text(&made, "network");
        Self { folder: folder.to_owned(), address, network, daemon: Mutex::new(None) }
    }

    fn daemon(&self) -> MutexGuard<'_, Option<Daemon>> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the daemon, or starts it again.
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn start(&self) {
        self.start_with(&[]);
    }

    /// The same with further variables in its environment.
    ///
    /// # Panics
    /// If it does not become ready.
    pub fn start_with(&self, environment: &[(&str, OsString)]) {
        let started = Daemon::start_with(Program::Relay, &self.config(), environment);
        let daemon = started.unwrap_or_else(|ended| panic!("the relay ended with {}:\n{}", ended.status, ended.log));
        *self.daemon() = Some(daemon);
    }

    /// Starts the daemon again, and kills it wherever it is if it is not ready within `limit`. Returns whether it runs.
    ///
    /// # Panics
    /// If it ends by itself.
    pub fn start_within(&self, limit: Duration) -> bool {
        let started = Daemon::start_within(Program::Relay, &self.config(), limit);
        let started = started.unwrap_or_else(|ended| panic!("the relay ended with {}:\n{}", ended.status, ended.log));
        let Started::Ready(daemon) = started else { return false };
        *self.daemon() = Some(daemon);
        true
    }

    /// Stops the daemon as systemd does.
    ///
    /// # Panics
    /// If it does not run or does not end.
    pub fn stop(&self) -> Ended {
        let daemon = self.daemon().take();
        daemon.expect("the relay runs").stop()
    }

    /// Kills the daemon.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self) {
        let daemon = self.daemon().take();
        daemon.expect("the relay runs").kill();
    }

    /// Waits until the daemon ends by itself.
    ///
    /// # Panics
    /// If it does not run or does not end.
    pub fn ended(&self) -> Ended {
        let daemon = self.daemon().take();
        daemon.expect("the relay runs").ended()
    }

    /// Where nodes connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The network's fingerprint, as people read it out.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// The operator's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The daemon's configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("relay.toml")
    }

    /// The daemon's data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The socket of its API.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("api.sock")
    }

    /// A client of its API.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.socket())
    }

    /// The daemon's log of this run.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn log(&self) -> Log {
        self.daemon().as_ref().expect("the relay runs").log().clone()
    }

    /// Most memory that the daemon of this run had resident so far, in KiB.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn peak_kib(&self) -> u64 {
        self.daemon().as_ref().expect("the relay runs").peak_kib()
    }

    /// Memory that the daemon has resident now, in KiB.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        self.daemon().as_ref().expect("the relay runs").resident_kib()
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon().as_ref().expect("the relay runs").pid()
    }

    /// How many leaves its logs `traffic` and `public` have.
    ///
    /// # Panics
    /// If the daemon does not answer.
    pub async fn sizes(&self) -> (u64, u64) {
        let head = self.client().audit_head().await.expect("the relay answers");
        let size = |name| head.logs.iter().find(|log| log.log == name).map_or(0, |log| log.size);
        (size(LogName::Traffic), size(LogName::Public))
    }

    /// `ncpctl` at the relay.
    #[must_use]
    pub fn ctl(&self, words: &str) -> Ctl {
        Ctl::new(words).set("--node", self.socket())
    }
}
