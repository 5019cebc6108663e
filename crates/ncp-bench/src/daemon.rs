//! Programs of the project as processes: daemons that tell when they are ready, and single calls of `ncpctl`.
//!
//! A daemon tells that it is ready as it tells systemd: by a datagram to the socket that `NOTIFY_SOCKET` names
//! (sd_notify(3)). It is killed when dropped.

use core::time::Duration;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::process::{self, Usage};
use crate::trouble::Trouble;

/// Longest wait for a daemon to come up or to go down.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the programs lie.
#[derive(Debug, Clone)]
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// In this folder; beside this program if none is named.
    pub(crate) fn at(folder: Option<&Path>) -> Result<Self, Trouble> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => {
                let own = std::env::current_exe().map_err(|error| Trouble::system("finding this program", error))?;
                own.parent().map(Path::to_owned).unwrap_or_default()
            }
        };
        let folder = folder.canonicalize().unwrap_or(folder);
        for name in ["ncp-relay", "ncp-node", "ncpctl"] {
            if !folder.join(name).is_file() {
                let build = "cargo build --release -p ncp-relay -p ncp-node -p ncpctl -p ncp-bench";
                let next = format!("build all programs ({build}), or name their folder with --programs");
                return Err(Trouble::new(format_args!("{} is missing", folder.join(name).display()), next));
            }
        }
        Ok(Self(folder))
    }

    /// Runs `ncpctl` with these words, and `--json`, to its end and reads its one object.
    pub(crate) async fn ctl(&self, words: &[OsString]) -> Result<Value, Trouble> {
        let mut command = Command::new(self.0.join("ncpctl"));
        for variable in ["NCPCTL_NODE", "NCPCTL_OFFICER_KEY", "NCPCTL_PASSPHRASE_FILE"] {
            command.env_remove(variable);
        }
        let output = command.args(words).arg("--json").stdin(Stdio::null()).output().await;
        let output = output.map_err(|error| Trouble::system("running ncpctl", error))?;
        let spoken: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        if !output.status.success() {
            let said = String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
            return Err(Trouble::network(format_args!("ncpctl {} failed: {said}", spoken.join(" "))));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| Trouble::network(format_args!("ncpctl {} printed no JSON: {error}", spoken.join(" "))))
    }
}

/// Words of a command line.
pub(crate) fn words(fixed: &str) -> Vec<OsString> {
    fixed.split_whitespace().map(OsString::from).collect()
}

/// A text member of what a program printed.
pub(crate) fn text(object: &Value, member: &str) -> Result<String, Trouble> {
    let found = object.get(member).and_then(Value::as_str).map(ToOwned::to_owned);
    found.ok_or_else(|| Trouble::network(format_args!("ncpctl printed no {member}")))
}

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    pid: u32,
    /// How long it took from its start to its word that it is ready.
    pub(crate) start: Duration,
}

impl Daemon {
    /// Starts `ncp-relay` or `ncp-node` and waits until it is ready.
    pub(crate) async fn start(programs: &Programs, name: &str, config: &Path) -> Result<Self, Trouble> {
        let (socket, log) = (config.with_extension("ready"), config.with_extension("log"));
        let trouble = |error| Trouble::system(&format!("starting {name}"), error);
        let _ = std::fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket).map_err(trouble)?;
        let output = File::options().create(true).append(true).open(&log).map_err(trouble)?;
        let errors = output.try_clone().map_err(trouble)?;
        let begun = Instant::now();
        let child = Command::new(programs.0.join(name))
            .arg("--config")
            .arg(config)
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(trouble)?;
        let pid = child.id().ok_or_else(|| Trouble::network(format_args!("{name} ended at once")))?;
        let mut daemon = Self { child, log, pid, start: Duration::ZERO };
        daemon.ready(&ready).await?;
        daemon.start = begun.elapsed();
        let _ = std::fs::remove_file(&socket);
        Ok(daemon)
    }

    async fn ready(&mut self, socket: &UnixDatagram) -> Result<(), Trouble> {
        let told = async {
            let mut bytes = [0; 4096];
            loop {
                let received = socket.recv(&mut bytes).await;
                let length = received.map_err(|error| Trouble::system("waiting for a daemon", error))?;
                let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
                if text.lines().any(|line| line == "READY=1") {
                    return Ok(());
                }
            }
        };
        let log = self.log.display();
        tokio::select! {
            told = told => told,
            ended = self.child.wait() => Err(match ended {
                Ok(status) => Trouble::network(format_args!("a daemon ended with {status}; its log is {log}")),
                Err(error) => Trouble::system("waiting for a daemon", error),
            }),
            () = tokio::time::sleep(PATIENCE) => {
                Err(Trouble::network(format_args!("a daemon was not ready after {PATIENCE:?}; its log is {log}")))
            }
        }
    }

    /// Its CPU time and memory.
    pub(crate) fn usage(&self) -> Result<Usage, Trouble> {
        process::usage(self.pid)
    }

    /// Has its peak of memory counted from now on.
    pub(crate) fn forget_peak(&self) {
        process::forget_peak(self.pid);
    }

    /// Asks it to end, as systemd does, and waits.
    pub(crate) async fn stop(mut self) -> Result<(), Trouble> {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(|error| Trouble::system("stopping a daemon", error))?;
        }
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Trouble::network(format_args!("a daemon ended with {status}"))),
            Ok(Err(error)) => Err(Trouble::system("waiting for a daemon", error)),
            Err(_) => Err(Trouble::network(format_args!("a daemon did not end within {PATIENCE:?}"))),
        }
    }

    /// Kills it, as a power cut would.
    pub(crate) async fn kill(mut self) -> Result<(), Trouble> {
        self.child.kill().await.map_err(|error| Trouble::system("killing a daemon", error))
    }
}
