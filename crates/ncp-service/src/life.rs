//! A daemon's life as a process: it starts, serves until it is told to stop, and says why if it cannot. SIGTERM and SIGINT
//! stop it, a second one at once; SIGHUP reloads. The exit code is that of the error, 130 if it was told twice to stop.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ncp_api::{ErrorCode, Exit, Fault};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::pulse::{prove, tell, tell_ready, tell_reloading};
use crate::{Daemon, Running};

/// How a daemon that was started ended.
enum End {
    /// In order.
    Stopped,
    /// At the second request to stop, without waiting for anything. What was answered is durable.
    AtOnce,
}

/// Runs a daemon from its start to its end; `file` is the configuration that a reload reads again.
pub fn run<R: Running>(start: impl Future<Output = Result<R, Fault>>, file: &Path) -> ExitCode {
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ErrorCode::InternalFault.with("reason", error))
        .and_then(|runtime| {
            let ended = runtime.block_on(serve(start, file));
            // A thread that waits for a disk that hangs must not keep the process.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        Ok(End::AtOnce) => ExitCode::from(Exit::Interrupted.number()),
        Err(fault) => fail(&[fault]),
    }
}

/// Shows faults as operators read them, and ends as the first of them says.
#[must_use]
pub fn fail(faults: &[Fault]) -> ExitCode {
    let mut out = io::stderr().lock();
    for fault in faults {
        // A closed standard error leaves the exit code.
        let _ = writeln!(out, "{fault}");
    }
    ExitCode::from(faults.first().map_or(Exit::Bug.number(), |fault| fault.exit().number()))
}

async fn serve<R: Running>(start: impl Future<Output = Result<R, Fault>>, file: &Path) -> Result<End, Fault> {
    let mut signals = Signals::listen()?;
    let running = tokio::select! {
        started = start => started?,
        // Each step of a start is as if it had not been before the next.
        () = signals.asked_to_stop() => return Ok(End::Stopped),
    };
    let daemon = Arc::clone(running.daemon());
    match prove(&*daemon).await {
        Ok(()) => tell_ready(&*daemon),
        Err(fault) => daemon.stop_because(fault),
    }
    loop {
        let told = tokio::select! {
            told = signals.told() => told,
            () = daemon.stopping().cancelled() => break,
        };
        match told {
            Told::Stop => break,
            Told::Reload => tokio::select! {
                () = reload(&daemon, file) => {}
                () = signals.asked_to_stop() => break,
            },
        }
    }
    // What ends it takes apart what its tasks share.
    drop(daemon);
    tracing::info!("stopping");
    tell(&[NotifyState::Stopping, NotifyState::Status("ends what it began")]);
    tokio::select! {
        ended = running.stop() => ended.map(|()| End::Stopped),
        () = signals.asked_to_stop() => {
            tracing::warn!("asked again to stop: ends at once");
            Ok(End::AtOnce)
        }
    }
}

async fn reload<D: Daemon>(daemon: &Arc<D>, file: &Path) {
    tell_reloading();
    let refused = daemon.reload(file).await.err().map(|faults| {
        let codes = faults.iter().map(|fault| {
            tracing::error!(code = %fault.code, cause = fault.cause(), "not reloaded: all stays as it was");
            fault.code.to_string()
        });
        codes.collect::<Vec<String>>().join(" ")
    });
    daemon.pulse().note_reload(refused);
    tell_ready(&**daemon);
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
