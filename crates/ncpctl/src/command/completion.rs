//! `completion`: a script that tells a shell how ncpctl's words go on. Works without a daemon.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::Cli;
use crate::error::Error;
use crate::output::Report;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.completion/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl completion bash                   to ~/.local/share/bash-completion/completions/ncpctl
  ncpctl completion zsh                    to _ncpctl in a folder of $fpath
  ncpctl completion fish                   to ~/.config/fish/completions/ncpctl.fish

The packages bring those of bash, zsh and fish.";

/// Print what a shell needs to complete ncpctl's words
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completion {
    /// For which shell
    shell: Shell,
}

/// A script.
#[derive(Debug, Serialize)]
struct Script {
    shell: String,
    script: String,
}

impl Completion {
    /// Does it.
    pub(super) fn run(self) -> Result<Report, Error> {
        let mut bytes = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ncpctl", &mut bytes);
        let script = Script { shell: self.shell.to_string(), script: String::from_utf8_lossy(&bytes).into_owned() };
        Ok(Report::object(SCHEMA, &script)?.human(script.script.clone()).plain(script.script))
    }
}
