//! `ncpctl config check`: the daemon's own reader judges its configuration.
//!
//! The daemon's program lies beside this one and is started with `--check-config`; its words and exit code are passed on
//! as they are.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use ncp_api::{ErrorCode, Exit};
use serde::Serialize;
use tokio::process::Command;

use crate::context::Context;
use crate::error::{Error, file, usage};
use crate::output::Report;
use crate::program::beside;
use crate::style::clean_block;

const SCHEMA: &str = "ncp.config-check/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl config check /etc/ncp/node.toml
  ncpctl config check /tmp/new.toml --daemon relay

Keys and values are checked, in the file and in the folder FILE.d beside it; all faults in one run. Files that the
configuration names are opened by the daemon at its start and by  ncpctl doctor.";

/// Configurations.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check a configuration file, as its daemon would read it
    Check(Check),
}

/// Check a configuration file.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Check {
    /// The configuration
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whose configuration it is; told from the file's name or content unless given
    #[arg(long, value_name = "node|relay")]
    daemon: Option<Daemon>,
}

/// A daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Daemon {
    Node,
    Relay,
}

impl Daemon {
    fn program(self) -> &'static str {
        match self {
            Self::Node => "ncp-node",
            Self::Relay => "ncp-relay",
        }
    }

    /// The daemon that a file's name or, failing that, its keys point to.
    fn of(path: &Path, text: &str) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        let sets = |key: &str| {
            text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')))
        };
        if name.contains("relay") {
            Some(Self::Relay)
        } else if name.contains("node") || sets("participant") {
            Some(Self::Node)
        } else if sets("listen") {
            Some(Self::Relay)
        } else {
            None
        }
    }
}

/// What the daemon said.
#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    daemon: &'static str,
    ok: bool,
    exit: u8,
    faults: Vec<Named>,
}

/// One fault in the daemon's words.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Named {
    code: String,
    title: String,
    cause: String,
    #[serde(rename = "try")]
    remedy: String,
}

impl Config {
    /// The schema of its JSON.
    pub(crate) fn schema(&self) -> &'static str {
        match self {
            Self::Check(_) => SCHEMA,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, _: &Context) -> Result<Report, Error> {
        match self {
            Self::Check(check) => check.run().await,
        }
    }
}

impl Check {
    async fn run(self) -> Result<Report, Error> {
        // A file that cannot be read is the daemon's to complain about, if it is known which daemon's.
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let daemon = self.daemon.or_else(|| Daemon::of(&self.file, &text)).ok_or_else(|| {
            usage(
                format!("{} may be of the node or of the relay", self.file.display()),
                "say --daemon node or --daemon relay",
            )
        })?;
        let program = beside(daemon.program())?;
        let failed = |error: std::io::Error| file(&program, &error);
        let said = Command::new(&program).arg("--config").arg(&self.file).arg("--check-config").output().await;
        let said = said.map_err(failed)?;
        let exit = said.status.code().and_then(|code| u8::try_from(code).ok());
        let exit = exit
            .ok_or_else(|| Error::from(ErrorCode::InternalFault.with("reason", "the daemon's program was killed")))?;
        let words = String::from_utf8_lossy(&said.stderr) + String::from_utf8_lossy(&said.stdout);
        let words = clean_block(&words);
        let checked =
            Checked { file: self.file, daemon: daemon.program(), ok: exit == 0, exit, faults: faults(&words) };
        let human = if exit == 0 { format!("{}: ok\n", checked.file.display()) } else { format!("{words}\n") };
        Ok(Report::object(SCHEMA, &checked)?.human(human).plain(plain(&checked)).exit(exit_of(exit)))
    }
}

/// Our name for an exit code.
fn exit_of(code: u8) -> Exit {
    use Exit::{Bug, Config, Data, Denied, Done, Failed, Interrupted, Io, Later, NotFound, Unavailable, Usage};
    let all = [Done, Usage, Data, NotFound, Unavailable, Bug, Io, Later, Denied, Config, Interrupted];
    all.into_iter().find(|exit| exit.number() == code).unwrap_or(Failed)
}

fn plain(checked: &Checked) -> String {
    if checked.ok {
        return crate::table::plain_record(["ok"].into_iter());
    }
    let record = |fault: &Named| crate::table::plain_record([fault.code.as_str(), fault.cause.as_str()].into_iter());
    checked.faults.iter().map(record).collect()
}

/// The faults in what a daemon prints: `error[CODE]: title`, then lines that begin with `cause:` and `try:`.
fn faults(words: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    for line in words.lines() {
        if let Some((code, title)) = line.strip_prefix("error[").and_then(|rest| rest.split_once("]: ")) {
            let (cause, remedy) = (String::new(), String::new());
            found.push(Named { code: code.to_owned(), title: title.to_owned(), cause, remedy });
        } else if let Some(last) = found.last_mut() {
            let line = line.trim_start();
            if let Some(cause) = line.strip_prefix("cause:") {
                cause.trim().clone_into(&mut last.cause);
            } else if let Some(remedy) = line.strip_prefix("try:") {
                let remedy = remedy.split("   more: ").next().unwrap_or(remedy);
                remedy.trim().clone_into(&mut last.remedy);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_told_from_name_or_content() {
        let of = |name: &str, text: &str| Daemon::of(Path::new(name), text);
        assert_eq!(of("/etc/ncp/relay.toml", ""), Some(Daemon::Relay));
        assert_eq!(of("/etc/ncp/node.toml", "listen = 1"), Some(Daemon::Node));
        assert_eq!(of("new.toml", "# x\nparticipant = \"XA\"\n"), Some(Daemon::Node));
        assert_eq!(of("new.toml", "listen=\"[::1]:1\""), Some(Daemon::Relay));
        assert_eq!(of("new.toml", "listeners = 1"), None);
    }

    #[test]
    fn faults_are_read_from_the_daemons_words() {
        let fault = ErrorCode::ConfigUnknownKey
            .with("file", "relay.toml")
            .with("line", 1)
            .with("column", 1)
            .with("key", "listn")
            .with("suggestion", "; did you mean listen?");
        let words = format!("{fault}\n{fault}\n");
        let found = faults(&words);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].code, "NCP-E1104");
        assert_eq!(found[0].title, fault.title());
        assert_eq!(found[0].cause, fault.cause());
        assert_eq!(found[0].remedy, fault.remedy());
        assert_eq!(faults("relay.toml: ok\n"), []);
    }

    #[test]
    fn exit_codes_are_passed_on() {
        for code in [0, 2, 65, 66, 69, 70, 74, 75, 77, 78, 130] {
            assert_eq!(exit_of(code).number(), code);
        }
        assert_eq!(exit_of(9).number(), 1);
    }
}
