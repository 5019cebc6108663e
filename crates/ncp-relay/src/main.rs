//! The hub's daemon. `ncp-relay --config FILE` runs it, as [`ncp_service::program`] has it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ncp_relay::start;
use ncp_service::program::{self, Words};

/// The hub of the network: stores and forwards envelopes that it cannot read.
#[derive(Debug, Parser)]
#[command(name = "ncp-relay", version)]
struct Arguments {
    /// Configuration file; files of the folder beside it with .d at its name are read after it.
    #[arg(long, default_value = "/etc/ncp/relay.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    words: Words,
}

fn main() -> ExitCode {
    let Arguments { config, words } = Arguments::parse();
    program::run(&config, words, start::start)
}
