//! The hub's daemon. Reads its configuration, starts, serves until it is told to stop, and says why if it cannot.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ncp_api::{ErrorCode, Fault};
use ncp_relay::config::{Config, LogFormat};
use ncp_relay::start;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

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
        // A reader that went away has seen enough.
        let _ = writeln!(io::stdout(), "{}: ok", arguments.config.display());
        return ExitCode::SUCCESS;
    }
    begin_logging(config.log_format);
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fail(&[fault]),
    }
}

#[tokio::main]
async fn run(config: Config) -> Result<(), Fault> {
    let signals = |kind| signal(kind).map_err(|error| ErrorCode::InternalFault.with("reason", error));
    let (mut terminate, mut interrupt) = (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    let daemon = start::start(config).await?;
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("serving on {}", daemon.address))]);
    daemon
        .until(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            notify(&[NotifyState::Stopping]);
        })
        .await
}

fn begin_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_env("NCP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    match format {
        LogFormat::Text => lines.with_ansi(false).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Tells systemd, if it listens; a daemon outside of it has nobody to tell.
fn notify(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}

/// Shows faults as operators read them, and ends as the first of them says.
fn fail(faults: &[Fault]) -> ExitCode {
    for fault in faults {
        let _ = writeln!(io::stderr(), "{fault}");
    }
    ExitCode::from(faults.first().map_or(70, |fault| fault.exit().number()))
}
