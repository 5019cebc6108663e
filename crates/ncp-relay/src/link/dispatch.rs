//! Reading frames and handing each to the task whose duty it is. A burst of envelopes or recalls is read evenly, and what is for
//! the intake waits for room there: recalls have no credit, and a node that comes back may have any number. Else nothing here
//! waits for anything but the peer: a channel that is full means that the peer sent more than the protocol lets it have open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::frame::{self, BodyChunk, BodyWanted, EntryGet, Frame, PublicGet, Recall, Receipts, Refused};
use ncp_protocol::reject::RejectCode;
use ncp_transport::connection::LinkReader;
use ncp_transport::credit::{Credit, CreditViolation};
use tokio::sync::mpsc::{self, Receiver, Sender, error::TrySendError};
use tokio::time::sleep;

use super::{Link, LinkEnd};
use crate::desk;
use crate::limits::{ASKED_MAX, INTAKE_MAX, RECEIPT_FRAMES_OPEN_MAX, REFUSALS_OPEN_MAX};
use crate::pace::Reading;

/// What the intake is given.
#[derive(Debug)]
pub enum Submitted {
    /// An envelope.
    Envelope(Box<SealedEnvelope>),
    /// A chunk of a body.
    Chunk(BodyChunk),
    /// A wish to delete what waits.
    Recall(Recall),
}

/// What the desk is asked.
#[derive(Debug)]
pub enum Asked {
    /// Leaves of `public`.
    Public(PublicGet),
    /// Signed directory data.
    Entries(EntryGet),
    /// To look at the newest checkpoint of the peer's own log.
    Checkpoint(Vec<String>),
}

/// Where frames go.
pub(super) struct Inlets {
    intake: Sender<Submitted>,
    evidence: Sender<Receipts>,
    bodies: Sender<BodyWanted>,
    refusals: Sender<Refused>,
    desk: Sender<Asked>,
}

/// Where they come out.
pub(super) struct Outlets {
    pub(super) intake: Receiver<Submitted>,
    pub(super) evidence: Receiver<Receipts>,
    pub(super) bodies: Receiver<BodyWanted>,
    pub(super) refusals: Receiver<Refused>,
    pub(super) desk: Receiver<Asked>,
}

pub(super) fn channels() -> (Inlets, Outlets) {
    let intake = mpsc::channel(INTAKE_MAX);
    let evidence = mpsc::channel(RECEIPT_FRAMES_OPEN_MAX);
    let bodies = mpsc::channel(ASKED_MAX);
    let refusals = mpsc::channel(REFUSALS_OPEN_MAX);
    let desk = mpsc::channel(ASKED_MAX);
    let inlets =
        Inlets { intake: intake.0, evidence: evidence.0, bodies: bodies.0, refusals: refusals.0, desk: desk.0 };
    let outlets =
        Outlets { intake: intake.1, evidence: evidence.1, bodies: bodies.1, refusals: refusals.1, desk: desk.1 };
    (inlets, outlets)
}

pub(super) fn restricted() -> (Sender<Asked>, Receiver<Asked>) {
    mpsc::channel(ASKED_MAX)
}

pub(super) async fn run(link: &Arc<Link>, reader: &mut LinkReader, inlets: &Inlets) -> LinkEnd {
    let mut reading = Reading::new(link.hub.config.envelopes_per_second);
    let mut shown = Vec::new();
    loop {
        let frame = match next(reader).await {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        let wait = if matches!(frame, Frame::Submit(_) | Frame::Recall(_)) {
            reading.read(Instant::now())
        } else {
            Duration::ZERO
        };
        if let Frame::Checkpoint(checkpoint) = &frame {
            shown.clone_from(&checkpoint.notes);
        }
        if let Err(end) = settle(take(link, inlets, frame).await).await {
            return last_look(link, shown, end).await;
        }
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }
}

/// A peer that says good-bye has shown its log as it leaves it, perhaps sooner behind the one before than the desk looks.
async fn last_look(link: &Arc<Link>, shown: Vec<String>, end: LinkEnd) -> LinkEnd {
    if !matches!(end, LinkEnd::Bye(_)) {
        return end;
    }
    desk::look_at(link, shown).await.err().unwrap_or(end)
}

pub(super) async fn run_restricted(link: &Link, reader: &mut LinkReader, desk: &Sender<Asked>) -> LinkEnd {
    loop {
        let handed = match next(reader).await {
            Ok(frame) => take_restricted(link, desk, frame),
            Err(end) => return end,
        };
        if let Err(end) = settle(handed).await {
            return end;
        }
    }
}

/// Why a frame could not be handed on.
enum Stuck {
    /// The peer's fault, or its wish.
    Link(LinkEnd),
    /// The task behind the channel has ended, and with it the link: for its own reason, which comes in a moment.
    TaskGone,
}

impl From<LinkEnd> for Stuck {
    fn from(end: LinkEnd) -> Self {
        Self::Link(end)
    }
}

impl From<CreditViolation> for Stuck {
    fn from(violation: CreditViolation) -> Self {
        Self::Link(violation.into())
    }
}

async fn settle(handed: Result<(), Stuck>) -> Result<(), LinkEnd> {
    match handed {
        Ok(()) => Ok(()),
        Err(Stuck::Link(end)) => Err(end),
        Err(Stuck::TaskGone) => core::future::pending().await,
    }
}

fn take_restricted(link: &Link, desk: &Sender<Asked>, frame: Frame) -> Result<(), Stuck> {
    match frame {
        Frame::PublicGet(get) => put(desk, Asked::Public(get)),
        Frame::EntryGet(get) => put(desk, Asked::Entries(get)),
        Frame::Ping(frame::Ping { nonce }) => {
            link.frames.offer(frame::Pong { nonce });
            Ok(())
        }
        Frame::Bye(bye) => Err(LinkEnd::Bye(bye.code).into()),
        // Credit was part of the hello and may come back unused; it buys nothing here.
        Frame::Pong(_) | Frame::Credit(_) | Frame::Checkpoint(_) => Ok(()),
        Frame::Hello(_)
        | Frame::Submit(_)
        | Frame::BodyWanted(_)
        | Frame::BodyChunk(_)
        | Frame::Deliver(_)
        | Frame::Receipts(_)
        | Frame::ReceiptsStored(_)
        | Frame::Refused(_)
        | Frame::Recall(_)
        | Frame::PublicLog(_)
        | Frame::Entries(_)
        | Frame::EntriesChanged(_)
        | Frame::Restricted(_) => Err(LinkEnd::Cut(RejectCode::PinMismatch).into()),
    }
}

async fn next(reader: &mut LinkReader) -> Result<Frame, LinkEnd> {
    let raw = reader.next().await?.ok_or(LinkEnd::Closed)?;
    Ok(Frame::decode(raw.kind, &raw.payload)?)
}

async fn take(link: &Link, inlets: &Inlets, frame: Frame) -> Result<(), Stuck> {
    match frame {
        Frame::Submit(submit) => {
            link.window().arrived(Credit { envelopes: 1, bytes: 0 })?;
            hand_in(inlets, Submitted::Envelope(Box::new(submit.envelope))).await
        }
        Frame::BodyChunk(chunk) => {
            link.window().arrived(Credit { envelopes: 0, bytes: chunk.bytes.len() as u64 })?;
            hand_in(inlets, Submitted::Chunk(chunk)).await
        }
        Frame::Recall(recall) => hand_in(inlets, Submitted::Recall(recall)).await,
        Frame::Receipts(receipts) => put(&inlets.evidence, receipts),
        Frame::ReceiptsStored(stored) => {
            if stored.cursor.epoch == link.hub.traffic.epoch {
                link.acknowledged.send_replace(stored.cursor.number);
            }
            Ok(())
        }
        Frame::BodyWanted(wanted) => put(&inlets.bodies, wanted),
        Frame::Refused(refused) => put(&inlets.refusals, refused),
        Frame::Credit(frame::Credit { envelopes, bytes }) => Ok(link.granted(Credit { envelopes, bytes })?),
        Frame::PublicGet(get) => put(&inlets.desk, Asked::Public(get)),
        Frame::EntryGet(get) => put(&inlets.desk, Asked::Entries(get)),
        Frame::Checkpoint(checkpoint) => put(&inlets.desk, Asked::Checkpoint(checkpoint.notes)),
        Frame::Ping(frame::Ping { nonce }) => {
            link.frames.offer(frame::Pong { nonce });
            Ok(())
        }
        Frame::Pong(_) => Ok(()),
        Frame::Bye(bye) => Err(LinkEnd::Bye(bye.code).into()),
        Frame::Hello(_)
        | Frame::Deliver(_)
        | Frame::PublicLog(_)
        | Frame::Entries(_)
        | Frame::EntriesChanged(_)
        | Frame::Restricted(_) => Err(LinkEnd::Cut(RejectCode::FrameUnexpected).into()),
    }
}

async fn hand_in(inlets: &Inlets, submitted: Submitted) -> Result<(), Stuck> {
    inlets.intake.send(submitted).await.map_err(|_| Stuck::TaskGone)
}

fn put<T>(inlet: &Sender<T>, item: T) -> Result<(), Stuck> {
    inlet.try_send(item).map_err(|error| match error {
        TrySendError::Full(_) => LinkEnd::Cut(RejectCode::RateExceeded).into(),
        TrySendError::Closed(_) => Stuck::TaskGone,
    })
}
