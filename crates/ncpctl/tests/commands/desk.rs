//! A desk: a daemon, an officer's key without passphrase, and the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::daemon::Daemon;
use crate::values;

/// A daemon, an officer's key without passphrase, and the program.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) daemon: Daemon,
}

impl Desk {
    /// A desk of officer 7 whose daemon answers `/v1/health`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let daemon = Daemon::start(&folder.path().join("api.sock"));
        daemon.answer("GET", "/v1/health", 200, &values::health());
        let desk = Self { folder, daemon };
        let made = desk.run(&["keys", "init", "--officer", "7", "--no-passphrase"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        desk
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path("officer.key")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ncpctl"));
        command
            .args(arguments)
            .env_clear()
            .env("NCPCTL_NODE", self.path("api.sock"))
            .env("NCPCTL_OFFICER_KEY", self.key())
            .env("TERM", "xterm-256color")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("runs")
    }

    /// Runs it and expects this exit code; returns standard output.
    pub(crate) fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs it and expects this error with this exit code; returns standard error.
    pub(crate) fn refused(&self, code: i32, error: &str, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.starts_with(&format!("error[{error}]: ")), "{arguments:?}: {said}");
        assert!(said.contains("\n  cause: ") && said.contains("\n  try:   "), "{said}");
        said
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}
