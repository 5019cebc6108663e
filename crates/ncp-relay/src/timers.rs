//! What happens by the clock: expiry, a fresh timestamp, leftovers of uploads; and what happens by effect: waking links.

use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_store::ballast;
use ncp_store::disk::{Disk, is_full};
use ncp_store::index::Index;
use ncp_store::reader::Reader;
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock;
use crate::core::command::{Command, Effect, Reply};
use crate::core::query;
use crate::directory;
use crate::hub::{Asked, Hub, Stopping};
use crate::limits::{EXPIRY_EVERY, HELD_EVERY, TIMESTAMP_EVERY, UPLOAD_KEPT};

/// Ends what is due, each second, as long as the clock is believed.
///
/// # Errors
/// [`Stopping`].
pub async fn expire(hub: Arc<Hub>) -> Result<(), Stopping> {
    let mut ticks = interval(EXPIRY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut believed = true;
    loop {
        ticks.tick().await;
        let holds = hub.believes_clock();
        if holds != believed {
            believed = holds;
            tracing::warn!(believed, "whether the wall clock is believed has changed; nothing expires while it is not");
        }
        remember(&hub, holds).await?;
        keep_ballast(&hub).await;
        if holds && hub.look(|view| query::next_due(view))?.is_some_and(|due| due <= hub.now()) {
            expire_due(&hub).await?;
        }
    }
}

/// The next start has to know of a doubt. What cannot be written now is tried again at the next turn.
async fn remember(hub: &Arc<Hub>, believed: bool) -> Result<(), Stopping> {
    let remembering = Arc::clone(hub);
    match tokio::task::spawn_blocking(move || remembering.clock.remember(believed)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "whether the wall clock is believed cannot be written down now");
            Ok(())
        }
        Err(panic) => Err(hub.fail(&panic)),
    }
}

/// Holds room for journal and evidence, or lets it go for them.
async fn keep_ballast(hub: &Arc<Hub>) {
    let keeping = Arc::clone(hub);
    let kept = tokio::task::spawn_blocking(move || {
        ballast::keep(&keeping.disk, keeping.config.ballast_bytes, keeping.config.free_min_bytes)
    });
    match kept.await {
        Ok(Ok(ballast)) => drop(hub.ballast.send_if_modified(|known| core::mem::replace(known, ballast) != ballast)),
        Ok(Err(error)) => tracing::warn!(%error, "the ballast cannot be looked after now"),
        Err(panic) => drop(hub.fail(&panic)),
    }
}

async fn expire_due(hub: &Hub) -> Result<(), Stopping> {
    loop {
        let committed = hub.submit(Asked::BY_DAEMON, Command::ExpireDue(clock::stamp())).await?;
        let Reply::Expired(count @ 1..) = committed.reply else { return Ok(()) };
        tracing::info!(count, "envelopes expired");
    }
}

/// Signs a fresh timestamp and removes old leftovers of uploads, each hour.
///
/// # Errors
/// [`Stopping`].
pub async fn keep_house(hub: Arc<Hub>) -> Result<(), Stopping> {
    let mut ticks = interval(TIMESTAMP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is now, when the start has just done all this.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        directory::refresh(&hub).await?;
        hub.read(discard_leftovers).await?;
    }
}

/// Makes durable which checkpoints participants showed of their logs, a moment behind.
///
/// # Errors
/// [`Stopping`].
pub async fn keep_held(hub: Arc<Hub>) -> Result<(), Stopping> {
    let mut ticks = interval(HELD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        write_held(&hub).await.map_err(|fault| hub.fail_with(fault))?;
    }
}

/// Makes durable which checkpoints participants showed of their logs. What a full disk does not take now is tried again at
/// the next turn: nothing rests on it.
///
/// # Errors
/// [`ErrorCode::StoreStopped`] for any other failure of the disk: the next sync of the folder could hide that one failed.
pub async fn write_held(hub: &Arc<Hub>) -> Result<(), Fault> {
    let written = {
        let hub = Arc::clone(hub);
        tokio::task::spawn_blocking(move || hub.held.write()).await
    };
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if is_full(&error) => {
            tracing::warn!(%error, "the checkpoints of participants cannot be kept now");
            Ok(())
        }
        Ok(Err(error)) => Err(ErrorCode::StoreStopped.with("reason", error)),
        Err(panic) => Err(ErrorCode::InternalFault.with("reason", panic)),
    }
}

/// Removes beginnings of uploads that nobody went on with for days.
fn discard_leftovers(reader: &Reader) -> std::io::Result<()> {
    let kept_ms = u64::try_from(UPLOAD_KEPT.as_millis()).unwrap_or(u64::MAX);
    let before = ncp_protocol::ids::UnixMillis(clock::now().0.saturating_sub(kept_ms));
    let uploads = reader.uploads();
    uploads.leftovers(before)?.iter().try_for_each(|leftover| uploads.discard(leftover))
}

/// At a start, before any link: removes bodies that no envelope needs, such as one whose upload ended just before a crash
/// and was never decided on. Its node uploads it again.
///
/// # Errors
/// As the disk or the index has it.
pub fn discard_strays<D: Disk, I: Index>(reader: &Reader<D, I>) -> Result<usize, ncp_store::reader::ReadError> {
    let uploads = reader.uploads();
    let mut strays = 0;
    for body in uploads.list()? {
        if !query::body_in_use(&reader.view(), &body)? {
            uploads.remove(&body)?;
            strays += 1;
        }
    }
    Ok(strays)
}

/// Passes effects on to the links. Waits for nothing, least of all for a command: the committer may be waiting for it.
pub async fn dispatch(hub: Arc<Hub>, mut effects: Receiver<Effect>) {
    while let Some(effect) = effects.recv().await {
        match effect {
            Effect::SendReceipts(to) => hub.links.tell(to, |link| link.receipts.notify_one()),
            Effect::DeliverMail(to) => hub.links.tell(to, |link| link.mail.notify_one()),
            Effect::PublishDirectory => {
                let hub = Arc::clone(&hub);
                // Waits for the store, which waits for nothing here; effects behind it must not wait.
                tokio::spawn(async move { directory::refresh(&hub).await });
            }
            Effect::RaiseConflict { originator, message } => {
                tracing::error!(%originator, msg = %message, "two contents under one message id: the second was refused");
            }
        }
    }
}
