//! The sending half of a link: one task that writes, so that frames never interleave.
//!
//! Answers and receipts go first. Envelopes and chunks of bodies are not queued: the writer asks the [`Outbox`] for the next
//! one when it is about to write it, and the outbox looks at holds at that moment. So a hold stops what has not begun to
//! be written, whatever waits.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ncp_api::Fault;
use ncp_protocol::frame::{Bye, Frame, Ping};
use ncp_protocol::reject::RejectCode;
use ncp_transport::connection::LinkWriter;
use ncp_transport::frame::{FrameError, RawFrame};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::faults;
use super::limits::FRAMES_WAITING_MAX;
use crate::submission::{Note, Outbox};

/// Takes frames for the writer. Never waits: what goes through here answers the hub, and a hub that lets more than
/// [`FRAMES_WAITING_MAX`] of them gather is cut off.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    frames: UnboundedSender<Frame>,
    waiting: Arc<AtomicUsize>,
    overflow: CancellationToken,
}

impl Outbound {
    /// An end for senders and one for the writer; the token is cancelled when too many frames wait.
    pub(super) fn new() -> (Self, Inbound, CancellationToken) {
        let (frames, receiver) = mpsc::unbounded_channel();
        let (waiting, overflow) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let inbound = Inbound { frames: receiver, waiting: Arc::clone(&waiting) };
        (Self { frames, waiting, overflow: overflow.clone() }, inbound, overflow)
    }

    /// Has a frame sent.
    pub(crate) fn send(&self, frame: impl Into<Frame>) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= FRAMES_WAITING_MAX {
            self.overflow.cancel();
        } else {
            // A writer that has ended ends the link.
            let _ = self.frames.send(frame.into());
        }
    }
}

/// The writer's end of an [`Outbound`].
#[derive(Debug)]
pub(super) struct Inbound {
    frames: UnboundedReceiver<Frame>,
    waiting: Arc<AtomicUsize>,
}

impl Inbound {
    fn taken(&self, frame: Frame) -> Frame {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        frame
    }

    fn try_next(&mut self) -> Option<Frame> {
        let frame = self.frames.try_recv().ok()?;
        Some(self.taken(frame))
    }

    async fn next(&mut self) -> Option<Frame> {
        let frame = self.frames.recv().await?;
        Some(self.taken(frame))
    }
}

/// How the writer is told to end in good order.
#[derive(Debug, Clone)]
pub(super) struct Farewell {
    pub(super) asked: CancellationToken,
    pub(super) code: Arc<std::sync::Mutex<Option<RejectCode>>>,
}

impl Farewell {
    pub(super) fn new() -> Self {
        Self { asked: CancellationToken::new(), code: Arc::default() }
    }

    /// Says bye with this code; the first one stands.
    pub(super) fn say(&self, reason: Option<RejectCode>) {
        let mut code = self.code.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !self.asked.is_cancelled() {
            *code = reason;
            self.asked.cancel();
        }
    }

    fn code(&self) -> Option<RejectCode> {
        *self.code.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The writing task.
pub(super) struct Writing {
    pub(super) writer: LinkWriter,
    pub(super) frames: Inbound,
    pub(super) notes: UnboundedReceiver<Note>,
    /// None while the hub is not known by its key: then nothing but questions about the directory leaves.
    pub(super) outbox: Option<Outbox>,
    pub(super) holds: tokio::sync::watch::Receiver<u64>,
    pub(super) farewell: Farewell,
    /// How long the writer may be quiet before it asks for a sign of life.
    pub(super) ping_every: Duration,
}

impl Writing {
    /// Writes until told to end, or until the link fails.
    pub(super) async fn run(mut self) -> Option<Fault> {
        match self.write().await {
            Ok(()) => {
                let bye = raw(&Bye { code: self.farewell.code() }.into());
                if self.writer.send(&bye).await.is_ok() {
                    // The other end may have gone already.
                    let _ = self.writer.close().await;
                }
                None
            }
            Err(fault) => Some(fault),
        }
    }

    async fn write(&mut self) -> Result<(), Fault> {
        let mut quiet_since = Instant::now();
        while !self.farewell.asked.is_cancelled() {
            while let Some(frame) = self.frames.try_next() {
                self.feed(&frame).await?;
                quiet_since = Instant::now();
            }
            while let Ok(note) = self.notes.try_recv() {
                self.note(note);
            }
            let next = self.next_of_outbox().await?;
            for frame in &next {
                self.feed(frame).await?;
                quiet_since = Instant::now();
            }
            self.flush().await?;
            if next.is_empty() {
                self.rest(&mut quiet_since).await?;
            }
        }
        // What was said before the farewell; envelopes wait for the next link.
        while let Some(frame) = self.frames.try_next() {
            self.feed(&frame).await?;
        }
        self.flush().await
    }

    /// Waits for something to do.
    async fn rest(&mut self, quiet_since: &mut Instant) -> Result<(), Fault> {
        let ping_at = *quiet_since + self.ping_every;
        let again = self.outbox.as_ref().and_then(Outbox::wakes).unwrap_or(ping_at + Duration::from_secs(3_600));
        tokio::select! {
            Some(frame) = self.frames.next() => {
                self.feed(&frame).await?;
                *quiet_since = Instant::now();
            }
            Some(note) = self.notes.recv() => self.note(note),
            Ok(()) = self.holds.changed() => {
                if let Some(outbox) = &mut self.outbox {
                    outbox.holds_changed();
                }
            }
            () = sleep_until(again) => {}
            () = sleep_until(ping_at) => {
                self.feed(&Ping { nonce: 0 }.into()).await?;
                *quiet_since = Instant::now();
            }
            () = self.farewell.asked.cancelled() => {}
        }
        Ok(())
    }

    async fn next_of_outbox(&mut self) -> Result<Vec<Frame>, Fault> {
        match &mut self.outbox {
            Some(outbox) => outbox.next().await,
            None => Ok(Vec::new()),
        }
    }

    fn note(&mut self, note: Note) {
        if let Some(outbox) = &mut self.outbox {
            outbox.note(note);
        }
    }

    async fn feed(&mut self, frame: &Frame) -> Result<(), Fault> {
        self.writer.feed(&raw(frame)).await.map_err(|error| fault_of(&error))
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        self.writer.flush().await.map_err(|error| fault_of(&error))
    }
}

fn fault_of(error: &FrameError) -> Fault {
    faults::frame(error)
}

/// A frame as the transport moves it.
pub(super) fn raw(frame: &Frame) -> RawFrame {
    let (kind, payload) = frame.encode();
    RawFrame { kind, payload }
}
