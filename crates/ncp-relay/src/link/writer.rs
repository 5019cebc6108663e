//! The sending half of a link: a task that gathers frames from a bounded channel and writes them.

use ncp_protocol::frame::Frame;
use ncp_transport::connection::LinkWriter;
use ncp_transport::frame::{FrameError, RawFrame};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{LinkEnd, PARTING_TIMEOUT};
use crate::limits::OUTBOUND_FRAMES_MAX;

/// Takes frames for the peer.
#[derive(Debug, Clone)]
pub struct FrameSender(mpsc::Sender<Frame>);

impl FrameSender {
    /// Sends a frame, waiting while too many wait already.
    ///
    /// # Errors
    /// If the link is at its end.
    pub async fn send(&self, frame: impl Into<Frame>) -> Result<(), LinkEnd> {
        self.0.send(frame.into()).await.map_err(|_| LinkEnd::Closed)
    }

    /// Sends a frame unless too many wait already: for what does not matter to a peer that does not read.
    pub fn offer(&self, frame: impl Into<Frame>) {
        // A peer that does not read is cut off by the writer's own limit of time.
        let _ = self.0.try_send(frame.into());
    }
}

/// The task that writes.
pub(super) struct Writing {
    task: JoinHandle<()>,
    failure: watch::Receiver<Option<FrameError>>,
}

impl Writing {
    /// Why writing failed, if it did.
    pub(super) fn failure(&self) -> Option<FrameError> {
        *self.failure.borrow()
    }

    /// Waits until writing fails. Ends with nothing else: while the link lives, its channel is open.
    pub(super) async fn failed(&self) -> FrameError {
        let mut failure = self.failure.clone();
        loop {
            if let Some(error) = *failure.borrow_and_update() {
                return error;
            }
            if failure.changed().await.is_err() {
                return FrameError::Cut;
            }
        }
    }
}

pub(super) fn start(writer: LinkWriter) -> (FrameSender, Writing) {
    let (frames, waiting) = mpsc::channel(OUTBOUND_FRAMES_MAX);
    let (failed, failure) = watch::channel(None);
    let task = tokio::spawn(async move {
        if let Err(error) = write(writer, waiting).await {
            // Nobody looks any more if the link has ended for another reason.
            let _ = failed.send(Some(error));
        }
    });
    (FrameSender(frames), Writing { task, failure })
}

/// Lets what was sent go out, for a while.
pub(super) async fn finish(frames: FrameSender, writing: Writing) {
    drop(frames);
    let Writing { mut task, .. } = writing;
    if tokio::time::timeout(PARTING_TIMEOUT, &mut task).await.is_err() {
        task.abort();
    }
}

async fn write(mut writer: LinkWriter, mut waiting: mpsc::Receiver<Frame>) -> Result<(), FrameError> {
    while let Some(frame) = waiting.recv().await {
        writer.feed(&raw(&frame)).await?;
        while let Ok(frame) = waiting.try_recv() {
            writer.feed(&raw(&frame)).await?;
        }
        writer.flush().await?;
    }
    writer.close().await
}

fn raw(frame: &Frame) -> RawFrame {
    let (kind, payload) = frame.encode();
    RawFrame { kind, payload }
}
