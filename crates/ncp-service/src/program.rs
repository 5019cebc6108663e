//! What both daemons understand on their command line: `--config FILE` runs the daemon, `config check FILE` reads a
//! configuration as the daemon would and changes nothing.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ncp_api::Fault;

use crate::Running;
use crate::life::{self, fail};
use crate::logging::{self, LogFormat};

/// A daemon's configuration.
pub trait Configuration: Sized {
    /// Reads `file` and the files of its drop-in folder.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    fn read(file: &Path) -> Result<Self, Vec<Fault>>;

    /// Where its API listens.
    fn api_socket(&self) -> &Path;

    /// Form of its log.
    fn log_format(&self) -> LogFormat;
}

/// What may be asked for instead of a running daemon.
#[derive(Debug, Args)]
pub struct Words {
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

/// Does what the words ask for; without any, runs the daemon that `start` starts until it ends.
pub fn run<C: Configuration, R: Running, S: Future<Output = Result<R, Fault>>>(
    file: &Path,
    words: Words,
    start: impl FnOnce(C) -> S,
) -> ExitCode {
    let ended = match words.command {
        Some(Command::Config(ConfigCommand::Check { file: named })) => check::<C>(named.as_deref().unwrap_or(file)),
        None if words.check_config => check::<C>(file),
        None => C::read(file).and_then(|config| {
            logging::begin(config.log_format()).map_err(|fault| vec![fault])?;
            Ok(life::run(start(config), file))
        }),
    };
    ended.unwrap_or_else(|faults| fail(&faults))
}

/// Reads a configuration as the daemon would, and says so if it is good.
fn check<C: Configuration>(file: &Path) -> Result<ExitCode, Vec<Fault>> {
    let config = C::read(file)?;
    ncp_api::socket::check(config.api_socket()).map_err(|fault| vec![fault])?;
    // Nobody to tell if standard output is closed; the exit code says it too.
    let _ = writeln!(io::stdout(), "{}: ok", file.display());
    Ok(ExitCode::SUCCESS)
}
