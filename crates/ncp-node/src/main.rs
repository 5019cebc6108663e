//! The node's daemon. `ncp-node --config FILE` runs it; `ncp-node config check FILE` reads a configuration as the daemon
//! would and changes nothing. SIGTERM and SIGINT stop it, a second one at once; SIGHUP reloads. Errors go to standard error
//! in three lines; the exit code is that of the error, 130 if it was told twice to stop.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ncp_api::{ErrorCode, Exit, Fault};
use ncp_node::config::Config;
use ncp_node::{logging, reload, service, start};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
        None => match Config::load(&config) {
            Ok(checked) => match run(checked, &config) {
                Ok(End::Stopped) => Ok(()),
                Ok(End::AtOnce) => return ExitCode::from(Exit::Interrupted.number()),
                Err(fault) => Err(vec![fault]),
            },
            Err(faults) => Err(faults),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => report(&faults),
    }
}

/// Reads a configuration as the daemon would, and says so if it is good.
fn check(file: &Path) -> Result<(), Vec<Fault>> {
    let config = Config::load(file)?;
    ncp_api::socket::check(&config.api_socket).map_err(|fault| vec![fault])?;
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

/// How a daemon that was started ended.
enum End {
    /// In order.
    Stopped,
    /// At the second request to stop, without waiting for anything. What was answered is durable.
    AtOnce,
}

fn run(config: Config, file: &Path) -> Result<End, Fault> {
    logging::begin(config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
    let ended = runtime.block_on(serve(config, file));
    // A thread that waits for a disk that hangs must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn serve(config: Config, file: &Path) -> Result<End, Fault> {
    let mut signals = Signals::listen()?;
    let running = tokio::select! {
        started = start::start(config) => started?,
        // Each step of a start is as if it had not been before the next.
        () = signals.asked_to_stop() => return Ok(End::Stopped),
    };
    if let Err(fault) = service::prove(&running.node).await {
        running.node.stop_because(fault);
    } else {
        service::tell_ready(&running.node);
    }
    loop {
        let told = tokio::select! {
            told = signals.told() => told,
            () = running.node.stopping.cancelled() => break,
        };
        match told {
            Told::Stop => break,
            Told::Reload => tokio::select! {
                () = reload::reload(&running.node, file) => {}
                () = signals.asked_to_stop() => break,
            },
        }
    }
    tracing::info!("stopping");
    service::tell(&[NotifyState::Stopping, NotifyState::Status("ends what it began")]);
    tokio::select! {
        ended = running.stop() => ended.map(|()| End::Stopped),
        () = signals.asked_to_stop() => {
            tracing::warn!("asked again to stop: ends at once");
            Ok(End::AtOnce)
        }
    }
}

/// What a process is told from outside.
enum Told {
    Stop,
    Reload,
}

/// The signals that tell it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Fault> {
        let listen = |kind| signal(kind).map_err(|error| ErrorCode::InternalFault.with("reason", error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    async fn asked_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
