//! The daemon as a service of the machine: what it tells systemd (sd_notify(3)), and the proof, again and again, that it
//! gets on.
//!
//! A *round* goes through the committer and to the disk, and through the local API over the daemon's own socket. Only a
//! round that came back pings the watchdog: a disk that hangs or a loop that stands still ends the pings, and with them,
//! after `WatchdogSec=`, the process. A round has no time limit of its own, and none is given up. Without `NOTIFY_SOCKET`
//! nobody listens and nothing is told; rounds go on, for `/livez`.

use core::time::Duration;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ncp_api::{Client, ErrorCode, Fault, path};
use sd_notify::NotifyState;
use serde::de::IgnoredAny;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Daemon;

/// Pause between two rounds, unless the watchdog asks for more of them.
const ROUND_EVERY: Duration = Duration::from_secs(5);
/// Rounds in the time that the watchdog allows.
const ROUNDS_PER_WATCHDOG: u32 = 3;
/// How long ago the newest round may have come back before the daemon counts as stuck, where no watchdog says it.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// How the daemon gets on.
#[derive(Debug)]
pub struct Pulse {
    beat: Mutex<Instant>,
    stuck_after: Duration,
    words: Mutex<Words>,
}

/// What systemd was told in words.
#[derive(Debug, Default)]
struct Words {
    told: String,
    /// What became of the newest reload, if it was refused.
    refused: Option<String>,
}

impl Default for Pulse {
    fn default() -> Self {
        let stuck_after = sd_notify::watchdog_enabled().unwrap_or(STUCK_AFTER);
        Self { beat: Mutex::new(Instant::now()), stuck_after, words: Mutex::default() }
    }
}

impl Pulse {
    /// Whether a round came back lately.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < self.stuck_after
    }

    /// Notes what became of a reload, for the status line: why it was refused, or that it was not.
    pub(crate) fn note_reload(&self, refused: Option<String>) {
        self.words().refused = refused;
    }

    fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells systemd, if it listens; a daemon outside of it has nobody to tell.
pub(crate) fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// Says that a reload begins; [`tell_ready`] says that it is over, whatever came of it.
pub(crate) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd is not told of the reload: there is no monotonic clock"),
    }
}

/// Says that the daemon serves.
pub(crate) fn tell_ready(daemon: &impl Daemon) {
    let status = status(daemon);
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    daemon.pulse().words().told = status;
}

/// Proves that the daemon can sign and store and that its socket answers: what has to hold before it is ready.
///
/// # Errors
/// What does not.
pub(crate) async fn prove(daemon: &impl Daemon) -> Result<(), Fault> {
    daemon.sign_canary()?;
    round(daemon).await
}

/// Goes its rounds until the daemon stops.
pub async fn run(daemon: Arc<impl Daemon>) {
    let watchdog = sd_notify::watchdog_enabled();
    let every = watchdog.map_or(ROUND_EVERY, |limit| ROUND_EVERY.min(limit / ROUNDS_PER_WATCHDOG));
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let turn = async {
            ticks.tick().await;
            watched(every, round(&*daemon)).await
        };
        let came_back = tokio::select! {
            () = daemon.stopping().cancelled() => return,
            came_back = turn => came_back,
        };
        match came_back {
            Ok(()) => {
                daemon.pulse().beat();
                if watchdog.is_some() {
                    tell(&[NotifyState::Watchdog]);
                }
            }
            Err(fault) => tracing::error!(code = %fault.code, cause = fault.cause(), "a round did not come back"),
        }
        tell_status(&*daemon);
    }
}

async fn round(daemon: &impl Daemon) -> Result<(), Fault> {
    daemon.prove_progress().await?;
    let asked = Client::new(daemon.api_socket()).get::<IgnoredAny>(path::HEALTH).await;
    asked.map(drop).map_err(|error| ErrorCode::InternalFault.with("reason", error))
}

/// Waits for a round, and says so once if it is late.
async fn watched<T>(late: Duration, round: impl Future<Output = T>) -> T {
    let mut round = pin!(round);
    if let Ok(done) = timeout(late, &mut round).await {
        return done;
    }
    tracing::error!(?late, "the daemon does not get on: the disk or the API does not answer");
    let done = round.await;
    tracing::warn!("the daemon gets on again");
    done
}

/// Tells the one-line status where it has changed since [`tell_ready`].
fn tell_status(daemon: &impl Daemon) {
    let status = status(daemon);
    let mut words = daemon.pulse().words();
    if words.told != status && !words.told.is_empty() {
        tell(&[NotifyState::Status(&status)]);
        words.told = status;
    }
}

fn status(daemon: &impl Daemon) -> String {
    let status = daemon.status();
    match &daemon.pulse().words().refused {
        Some(why) => format!("{status}; not reloaded: {why}"),
        None => status,
    }
}
