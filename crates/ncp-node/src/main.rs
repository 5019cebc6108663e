//! The node's daemon. `ncp-node --config FILE` runs it, as [`ncp_service::program`] has it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ncp_node::start;
use ncp_service::program::{self, Words};

/// One participant's daemon: drafts, release, sealing, outbox, inbox, evidence.
#[derive(Debug, Parser)]
#[command(name = "ncp-node", version)]
struct Arguments {
    /// Configuration file; files of the folder beside it with .d at its name are read after it.
    #[arg(long, default_value = "/etc/ncp/node.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    words: Words,
}

fn main() -> ExitCode {
    let Arguments { config, words } = Arguments::parse();
    program::run(&config, words, start::start)
}
