//! A daemon as a process of its own: the shipped binary that lies beside ncpctl.
//!
//! It tells that it is ready as it tells systemd: by a datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3)). A
//! daemon that ends before that is an error, with the last lines of its log.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ncp_api::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::error::{Error, file, internal};

/// Longest wait for a daemon to come up or to go down.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of a log that an error shows.
const LINES_SHOWN: usize = 4;

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The hub's.
    Relay,
    /// A participant's.
    Node,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Relay => "ncp-relay",
            Self::Node => "ncp-node",
        }
    }

    /// The binary beside this one.
    fn path(self) -> Result<PathBuf, Error> {
        let own = std::env::current_exe().map_err(|error| internal(&error))?;
        let path = own.with_file_name(self.name());
        if path.is_file() { Ok(path) } else { Err(ErrorCode::FileMissing.with("file", path.display()).into()) }
    }
}

/// A running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a daemon and waits until it is ready.
    pub(super) async fn start(program: Program, config: &Path) -> Result<Self, Error> {
        let (socket, log) = (config.with_extension("ready"), config.with_extension("log"));
        let _ = std::fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket).map_err(|error| file(&socket, &error))?;
        let output = File::options().create(true).append(true).open(&log).map_err(|error| file(&log, &error))?;
        let errors = output.try_clone().map_err(|error| file(&log, &error))?;
        let child = Command::new(program.path()?)
            .arg("--config")
            .arg(config)
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|error| file(config, &error))?;
        let mut daemon = Self { child, log };
        daemon.ready(&ready).await?;
        let _ = std::fs::remove_file(&socket);
        Ok(daemon)
    }

    async fn ready(&mut self, socket: &UnixDatagram) -> Result<(), Error> {
        let told = async {
            let mut bytes = [0; 4096];
            loop {
                let length = socket.recv(&mut bytes).await.map_err(|error| internal(&error))?;
                let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
                if text.lines().any(|line| line == "READY=1") {
                    return Ok(());
                }
            }
        };
        let outcome = tokio::select! {
            told = told => told,
            ended = self.child.wait() => Err(match ended {
                Ok(status) => internal(&format!("a daemon ended with {status}{}", last_lines(&self.log))),
                Err(error) => internal(&error),
            }),
            () = tokio::time::sleep(PATIENCE) => {
                Err(internal(&format!("a daemon was not ready after {PATIENCE:?}{}", last_lines(&self.log))))
            }
        };
        if outcome.is_err() {
            let _ = self.child.start_kill();
        }
        outcome
    }

    /// The process id.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// The last lines of its log, if it ended although nobody asked it to.
    pub(super) fn obituary(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{} ended with {status}{}", self.log.display(), last_lines(&self.log)))
    }

    /// Ends it without a warning, as a power cut would end it.
    pub(super) async fn kill(&mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(|error| internal(&error))
    }

    /// Asks it to end and waits; what does not end is killed.
    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            // It may have ended by itself, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(ended) => ended.map(|_| ()).map_err(|error| internal(&error)),
            Err(_) => self.kill().await,
        }
    }
}

/// The end of a log, each line behind two spaces.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    lines.iter().skip(from).map(|line| format!("\n  {line}")).collect()
}
