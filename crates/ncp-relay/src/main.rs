//! The hub's daemon. Reads its configuration, or says why it cannot, and lives as [`ncp_service::life`] has it.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ncp_relay::config::Config;
use ncp_relay::start;
use ncp_service::life::{self, fail};
use ncp_service::logging;

/// The hub of the network: stores and forwards envelopes that it cannot read.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file; files of the folder beside it with .d at its name are read after it.
    #[arg(long, value_name = "FILE", default_value = "/etc/ncp/relay.toml")]
    config: PathBuf,
    /// Check the configuration, say what is wrong with it, and stop.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(faults) => return fail(&faults),
    };
    if arguments.check_config {
        if let Err(fault) = ncp_api::socket::check(&config.api_socket) {
            return fail(&[fault]);
        }
        // A reader that went away has seen enough.
        let _ = writeln!(io::stdout(), "{}: ok", arguments.config.display());
        return ExitCode::SUCCESS;
    }
    logging::begin(config.log_format);
    life::run(start::start(config), &arguments.config)
}
