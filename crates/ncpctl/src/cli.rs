//! The command line: options that every command takes, and the tree of commands.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use crate::clock::{Clock, Zone};
use crate::command::Command;
use crate::context::Context;
use crate::json::Members;
use crate::output::{Format, Output, Verbosity};
use crate::prompt::Asking;
use crate::style::{ColourChoice, Style};

const EXAMPLES: &str = "\
Examples:
  ncpctl                                   what needs me now
  ncpctl request --to XB --form vehicle --file rfi.json --attach photo.jpg
  ncpctl status XA-2026-000417             where it is, with evidence verified now
  ncpctl inbox --json | jq .reference

Exit status: 0 done; 1 failed; 2 usage; 65 bad data; 66 not found; 69 unavailable; 70 bug; 74 input or output;
75 later; 77 denied; 78 configuration; 130 interrupted. A code such as NCP-E4203 is explained by  ncpctl explain.";

/// Officers' and operators' command line of the NCP network.
///
/// Without a command it says what needs this officer now.
#[derive(Debug, Parser)]
#[command(name = "ncpctl", version, after_help = EXAMPLES, subcommand_required = false)]
pub(crate) struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub(crate) options: Options,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of all commands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub(crate) struct Options {
    /// Print JSON: one object, or one per line for lists; =a,b picks members, =? lists them
    #[arg(long, global = true, value_name = "MEMBERS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    json: Option<String>,
    /// Print one record per line, tabs between fields, nothing shortened
    #[arg(long, global = true, conflicts_with = "json")]
    plain: bool,
    /// Never ask; fail and name the flag that answers
    #[arg(long, global = true)]
    no_input: bool,
    /// No colour (also NO_COLOR, TERM=dumb)
    #[arg(long, global = true)]
    no_color: bool,
    /// Show times in this machine's zone
    #[arg(long, global = true)]
    local: bool,
    /// Say less
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    verbose: bool,
    /// The daemon: a name (node, relay) or the path of its socket
    #[arg(long, global = true, value_name = "NAME|SOCKET", env = "NCPCTL_NODE")]
    node: Option<String>,
    /// Your officer key
    #[arg(long, global = true, value_name = "PATH", env = "NCPCTL_OFFICER_KEY")]
    officer_key: Option<PathBuf>,
    /// File with the passphrase of your officer key, or of a data folder's keys; - is standard input
    #[arg(long, global = true, value_name = "PATH", env = "NCPCTL_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Options {
    /// What the options come to.
    pub(crate) fn context(&self) -> Context {
        let format = match (&self.json, self.plain) {
            (Some(members), _) => Format::Json(Members::parse(members)),
            (None, true) => Format::Plain,
            (None, false) => Format::Human,
        };
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Usual,
        };
        let colour = if self.no_color { ColourChoice::Never } else { ColourChoice::Auto };
        Context {
            output: Output { format, style: Style::of_stdout(colour), verbosity },
            clock: Clock::system(if self.local { Zone::Local } else { Zone::Utc }),
            asking: if self.no_input { Asking::Forbidden } else { Asking::Allowed },
            node: self.node.clone(),
            officer_key: self.officer_key.clone(),
            passphrase_file: self.passphrase_file.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
