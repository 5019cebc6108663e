//! The hub's daemon. Reads its configuration, starts, serves until it is told to stop, and says why if it cannot. SIGTERM and
//! SIGINT stop it, a second one at once; SIGHUP reloads. The exit code is that of the error, 130 if it was told twice to stop.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use ncp_api::{ErrorCode, Exit, Fault};
use ncp_relay::config::Config;
use ncp_relay::{logging, reload, service, start};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    match run(config, &arguments.config) {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        Ok(End::AtOnce) => ExitCode::from(Exit::Interrupted.number()),
        Err(fault) => fail(&[fault]),
    }
}

/// How a daemon that was started ended.
enum End {
    /// In order.
    Stopped,
    /// At the second request to stop, without waiting for anything. What was answered is durable.
    AtOnce,
}

fn run(config: Config, file: &Path) -> Result<End, Fault> {
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
    match service::prove(&running.hub).await {
        Ok(()) => service::tell_ready(&running.hub),
        Err(fault) => {
            running.hub.fail_with(fault);
        }
    }
    loop {
        let told = tokio::select! {
            told = signals.told() => told,
            () = running.hub.stopping.cancelled() => break,
        };
        match told {
            Told::Stop => break,
            Told::Reload => tokio::select! {
                () = reload::reload(&running.hub, file) => {}
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

/// Shows faults as operators read them, and ends as the first of them says.
fn fail(faults: &[Fault]) -> ExitCode {
    for fault in faults {
        let _ = writeln!(io::stderr(), "{fault}");
    }
    ExitCode::from(faults.first().map_or(70, |fault| fault.exit().number()))
}
