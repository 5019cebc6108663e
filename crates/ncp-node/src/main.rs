//! The node's daemon. `ncp-node --config FILE` runs it, as [`ncp_service::life`] has it; `ncp-node config check FILE` reads a
//! configuration as the daemon would and changes nothing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ncp_api::Fault;
use ncp_node::config::Config;
use ncp_node::start;
use ncp_service::life::{self, fail};
use ncp_service::logging;

/// One participant's daemon: drafts, release, sealing, outbox, inbox, evidence.
#[derive(Debug, Parser)]
#[command(name = "ncp-node", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "/etc/ncp/node.toml", value_name = "FILE")]
    config: PathBuf,
    /// Read the configuration, report all faults, and end.
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// About the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read a configuration as the daemon would, and report all faults.
    Check {
        /// The file; the one of --config if none is named.
        file: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let Arguments { config: file, check_config, command } = Arguments::parse();
    let checked = match command {
        Some(Command::Config(ConfigCommand::Check { file: named })) => check(&named.unwrap_or(file)),
        None if check_config => check(&file),
        None => match Config::load(&file) {
            Ok(config) => {
                logging::begin(config.log_format);
                return life::run(start::start(config), &file);
            }
            Err(faults) => Err(faults),
        },
    };
    checked.map_or_else(|faults| fail(&faults), |()| ExitCode::SUCCESS)
}

/// Reads a configuration as the daemon would, and says so if it is good.
fn check(file: &Path) -> Result<(), Vec<Fault>> {
    let config = Config::load(file)?;
    ncp_api::socket::check(&config.api_socket).map_err(|fault| vec![fault])?;
    // Nobody to tell if standard output is closed; the exit code says it too.
    let _ = writeln!(std::io::stdout(), "{}: ok", file.display());
    Ok(())
}
