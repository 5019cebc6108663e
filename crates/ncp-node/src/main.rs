//! The node's daemon. `ncp-node --config FILE` runs it; `ncp-node config check FILE` reads a configuration as the daemon
//! would and changes nothing. Errors go to standard error in three lines; the exit code is that of the error.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ncp_api::{ErrorCode, Fault};
use ncp_node::config::{Config, LogFormat};
use ncp_node::start;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
    let Arguments { config, check_config, command } = Arguments::parse();
    let outcome = match command {
        Some(Command::Config(ConfigCommand::Check { file })) => check(&file.unwrap_or(config)),
        None if check_config => check(&config),
        None => Config::load(&config).and_then(|config| run(config).map_err(|fault| vec![fault])),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => report(&faults),
    }
}

/// Reads a configuration as the daemon would, and says so if it is good.
fn check(file: &Path) -> Result<(), Vec<Fault>> {
    Config::load(file)?;
    // Nobody to tell if standard output is closed; the exit code says it too.
    let _ = writeln!(std::io::stdout(), "{}: ok", file.display());
    Ok(())
}

/// Prints every fault; the first decides the exit code.
fn report(faults: &[Fault]) -> ExitCode {
    let mut out = std::io::stderr().lock();
    for fault in faults {
        // A closed standard error leaves the exit code.
        let _ = writeln!(out, "{fault}");
    }
    ExitCode::from(faults.first().map_or(1, |fault| fault.exit().number()))
}

fn run(config: Config) -> Result<(), Fault> {
    log_to_stderr(config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
    runtime.block_on(async {
        let stop = asked_to_stop()?;
        let running = start::start(config).await?;
        // Without systemd nobody listens, and that is fine.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        tokio::select! {
            () = stop => tracing::info!("asked to stop"),
            () = running.node.stopping.cancelled() => {}
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        running.stop().await
    })
}

/// Ends when the process is asked to.
fn asked_to_stop() -> Result<impl Future<Output = ()>, Fault> {
    let failed = |error: std::io::Error| ErrorCode::InternalFault.with("reason", error);
    let (mut term, mut interrupt) =
        (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_env("NCP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}
