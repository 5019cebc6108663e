//! A link in service: reads frames and hands each to the task it concerns.
//!
//! The reader never waits for the writer or for a commit: what the hub may send is bounded by the credit it was granted
//! and by windows of its own streams, and what passes those bounds ends the link. If the hub's key is not the one that the
//! directory pins, nothing is exchanged but signed directory data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ncp_api::Fault;
use ncp_protocol::frame::{Bye, Checkpoint, Cursor, Frame, Ping, Pong, Receipts};
use ncp_protocol::ids::{LogName, ParticipantId};
use ncp_protocol::reject::RejectCode;
use ncp_transport::connection::LinkReader;
use ncp_transport::frame::RawFrame;
use ncp_transport::identity::{PeerIdentity, PinStatus};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::faults;
use super::hello::{Greeting, keep_hub_note};
use super::limits::{BYE_TIMEOUT, CHECKPOINT_AFTER, RECEIPT_BYTES_WAITING, RECEIPT_FRAMES_WAITING, ping_every};
use super::outbound::{Farewell, Outbound, Writing};
use crate::directory::{Answer, Directory, Line};
use crate::node::{EnvelopeHint, HubPing};
use crate::receipts;
use crate::reception::Reception;
use crate::submission::{Note, Outbox};

/// How often a checkpoint that grew is sent.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// What other tasks ask of the hub.
pub(super) struct Asks {
    pub(super) recall: mpsc::UnboundedReceiver<EnvelopeHint>,
    pub(super) hub_ping: mpsc::Receiver<HubPing>,
}

/// Why a link ends by our will.
enum End {
    /// Said to the hub, with this code.
    Bye(Option<RejectCode>, Option<Fault>),
    /// The connection failed or the hub ended it: nothing more can be said.
    Gone(Option<Fault>),
}

/// Serves a link until it ends; the fault says why, if it was one.
pub(super) async fn serve(
    desk: &Arc<Desk>,
    greeting: Greeting,
    directory: &Arc<Mutex<Directory>>,
    asks: &mut Asks,
) -> Option<Fault> {
    let (outbound, inbound, overflow) = Outbound::new();
    let (note_sender, notes) = mpsc::unbounded_channel();
    let farewell = Farewell::new();
    let Greeting { peer, pin, restricted, reader, writer, credit, receipts, known } = greeting;
    let pinned = pin == PinStatus::Pinned && restricted.is_none();
    let outbox = match pinned.then(|| Outbox::new(Arc::clone(desk), credit)).transpose() {
        Ok(outbox) => outbox,
        Err(error) => return Some(faults::violation(&error)),
    };
    // Before the outbox reads the queue, so that nothing that is sealed meanwhile is missed.
    desk.connect_outbox(note_sender.clone());
    let holds = desk.node.hints.holds.subscribe();
    let ping_every = ping_every(desk.node.settings().limits.idle_timeout);
    let writing = Writing { writer, frames: inbound, notes, outbox, holds, farewell: farewell.clone(), ping_every };
    let mut writing = tokio::spawn(writing.run());
    let mut tasks = JoinSet::new();
    let (answers, line) = Line::new(outbound.clone());
    tasks.spawn(look_after(Arc::clone(directory), line));
    let channels = pinned.then(|| Channels::open(desk, &outbound, (receipts, known), note_sender, &mut tasks));
    let pings = BTreeMap::new();
    let mut serving =
        Serving { desk: Arc::clone(desk), peer, pinned, outbound, overflow, answers, channels, pings, nonce: 0 };
    let end = serving.read(reader, asks, &mut tasks, &mut writing).await;
    desk.disconnect_outbox();
    if let Some(channels) = serving.channels.take() {
        // Bodies that are on their way in are synced, so that they resume where they are.
        channels.reception.finish().await;
    }
    tasks.shutdown().await;
    part(end, &farewell, writing).await
}

/// Says bye if there is still somebody to hear it, and ends the writer.
async fn part(end: End, farewell: &Farewell, mut writing: tokio::task::JoinHandle<Option<Fault>>) -> Option<Fault> {
    let fault = match end {
        End::Gone(fault) => fault,
        End::Bye(code, fault) => {
            farewell.say(code);
            if timeout(BYE_TIMEOUT, &mut writing).await.is_ok() {
                return fault;
            }
            fault
        }
    };
    writing.abort();
    if !writing.is_finished() {
        // Aborted: nothing of it is left after this.
        let _ = writing.await;
    }
    fault
}

async fn look_after(directory: Arc<Mutex<Directory>>, line: Line) -> Option<Fault> {
    directory.lock().await.look_after(line).await;
    None
}

/// Sends this node's newest checkpoint whenever its log grew beyond what the hub was told: when something is about to leave,
/// else every few seconds.
async fn tell_checkpoints(desk: Arc<Desk>, outbound: Outbound, mut told: u64) -> Option<Fault> {
    let mut ticks = interval(CHECKPOINT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leaving = (desk.node.hints.submission.subscribe(), desk.node.hints.receipts.subscribe());
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = leaving.0.changed() => {}
            Ok(()) = leaving.1.changed() => {}
        }
        if let Some(newest) = grown(&desk, &mut told) {
            outbound.send(newest);
            // What comes meanwhile goes with the next one.
            tokio::time::sleep(CHECKPOINT_AFTER).await;
            leaving.0.mark_changed();
        }
    }
}

/// The newest checkpoint, if the log has grown beyond what was told.
fn grown(desk: &Desk, told: &mut u64) -> Option<Checkpoint> {
    let newest = desk.node.reader().checkpoint(LogName::Node)?;
    let size = newest.checkpoint().size;
    let before = core::mem::replace(told, size.max(*told));
    (size > before).then(|| Checkpoint { notes: vec![newest.note().to_owned()] })
}

/// Where frames of a pinned hub go.
struct Channels {
    acks: mpsc::UnboundedSender<Cursor>,
    incoming: mpsc::Sender<Receipts>,
    /// Bytes of frames in `incoming`.
    waiting: Arc<AtomicUsize>,
    reception: Reception,
    notes: mpsc::UnboundedSender<Note>,
}

impl Channels {
    /// Begins the tasks that only a pinned hub is served by.
    fn open(
        desk: &Arc<Desk>,
        outbound: &Outbound,
        (receipts, known): (Cursor, u64),
        notes: mpsc::UnboundedSender<Note>,
        tasks: &mut JoinSet<Option<Fault>>,
    ) -> Self {
        let (acks, acked) = mpsc::unbounded_channel();
        let (resend, resent) = mpsc::unbounded_channel();
        let (incoming, received) = mpsc::channel(RECEIPT_FRAMES_WAITING);
        let waiting = Arc::default();
        let outgoing = receipts::Outgoing::new(Arc::clone(desk), outbound.clone(), receipts, acked, resent);
        tasks.spawn(outgoing.run());
        tasks.spawn(receipts::store(Arc::clone(desk), outbound.clone(), received, Arc::clone(&waiting)));
        tasks.spawn(tell_checkpoints(Arc::clone(desk), outbound.clone(), known));
        let reception = Reception::new(Arc::clone(desk), outbound.clone(), resend);
        Self { acks, incoming, waiting, reception, notes }
    }
}

struct Serving {
    desk: Arc<Desk>,
    peer: PeerIdentity,
    pinned: bool,
    outbound: Outbound,
    overflow: CancellationToken,
    answers: mpsc::Sender<Answer>,
    channels: Option<Channels>,
    pings: BTreeMap<u64, (Instant, HubPing)>,
    nonce: u64,
}

impl Serving {
    async fn read(
        &mut self,
        mut reader: LinkReader,
        asks: &mut Asks,
        tasks: &mut JoinSet<Option<Fault>>,
        writing: &mut tokio::task::JoinHandle<Option<Fault>>,
    ) -> End {
        let node = Arc::clone(&self.desk.node);
        let mut directory = node.hints.directory.subscribe();
        loop {
            let step = tokio::select! {
                frame = reader.next() => match frame {
                    Ok(Some(frame)) => self.take(&frame),
                    Ok(None) => Err(End::Gone(None)),
                    Err(error) => Err(End::Gone(Some(faults::frame(&error)))),
                },
                () = node.stopping.cancelled() => {
                    self.tell_last();
                    Err(End::Bye(Some(RejectCode::ShuttingDown), None))
                }
                () = self.overflow.cancelled() => {
                    Err(End::Gone(Some(faults::violation(&"it asks and does not read the answers"))))
                }
                Ok(()) = directory.changed() => self.directory_changed(),
                Some(hint) = asks.recall.recv() => {
                    self.note(Note::Recall { message: hint.message, recipient: hint.recipient });
                    Ok(())
                }
                Some(ping) = asks.hub_ping.recv() => {
                    self.ping(ping);
                    Ok(())
                }
                Some(ended) = tasks.join_next() => Err(ended_task(&node, ended)),
                ended = &mut *writing => Err(ended_task(&node, ended)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Whether the hub's key is still pinned as it was when the link began; what could not be judged is looked at again.
    fn directory_changed(&mut self) -> Result<(), End> {
        let pins = self.desk.node.directory.load().tls_pins(ParticipantId::HUB);
        let pinned = PinStatus::of(&self.peer.certificate_key, &pins) == PinStatus::Pinned;
        // A link that the hub restricts looks no different from here: its reason may have gone with the change.
        if pinned != self.pinned {
            tracing::info!("the hub's entry changed: the link begins anew");
            return Err(End::Bye(None, None));
        }
        if let Some(channels) = &mut self.channels {
            channels.reception.look_again();
        }
        Ok(())
    }

    /// The hub learns where this node's log ends: it will say so when the node comes back.
    fn tell_last(&self) {
        if self.channels.is_some()
            && let Some(newest) = grown(&self.desk, &mut 0)
        {
            self.outbound.send(newest);
        }
    }

    fn ping(&mut self, asker: HubPing) {
        self.nonce += 1;
        self.pings.retain(|_, (_, asker)| !asker.is_closed());
        self.pings.insert(self.nonce, (Instant::now(), asker));
        self.outbound.send(Ping { nonce: self.nonce });
    }

    fn pong(&mut self, pong: Pong) {
        // The nonce of pings that only keep the link alive is 0.
        if let Some((sent, asker)) = self.pings.remove(&pong.nonce) {
            let millis = u64::try_from(sent.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Whoever asked may have gone away.
            let _ = asker.send(Ok(millis));
        }
    }

    fn note(&self, note: Note) {
        if let Some(channels) = &self.channels {
            // A writer that has ended ends the link.
            let _ = channels.notes.send(note);
        }
    }

    fn take(&mut self, raw: &RawFrame) -> Result<(), End> {
        let frame = Frame::decode(raw.kind, &raw.payload)
            .map_err(|error| End::Bye(Some(RejectCode::FrameMalformed), Some(faults::decode(&error))))?;
        match frame {
            Frame::Entries(entries) => self.answer(Answer::Entries(Box::new(entries))),
            Frame::PublicLog(log) => self.answer(Answer::PublicLog(log)),
            Frame::EntriesChanged(_) => {
                // What it says is verified when it is fetched with all that belongs to it.
                self.desk.directory_news.notify_one();
                Ok(())
            }
            Frame::Ping(Ping { nonce }) => {
                self.outbound.send(Pong { nonce });
                Ok(())
            }
            Frame::Pong(pong) => {
                self.pong(pong);
                Ok(())
            }
            Frame::Bye(Bye { code }) => Err(End::Gone(code.map(faults::bye))),
            Frame::BodyWanted(_)
            | Frame::BodyChunk(_)
            | Frame::Deliver(_)
            | Frame::Receipts(_)
            | Frame::ReceiptsStored(_)
            | Frame::Refused(_)
            | Frame::Credit(_)
            | Frame::Checkpoint(_) => self.take_pinned(frame, raw.payload.len()),
            Frame::Hello(_)
            | Frame::Submit(_)
            | Frame::Recall(_)
            | Frame::PublicGet(_)
            | Frame::EntryGet(_)
            | Frame::Restricted(_) => Err(unexpected(&frame)),
        }
    }

    fn answer(&self, answer: Answer) -> Result<(), End> {
        // One question is out at a time, so an answer that finds no room was not asked for.
        self.answers.try_send(answer).map_err(|_| {
            End::Bye(
                Some(RejectCode::FrameUnexpected),
                Some(faults::violation(&"directory data that nobody asked for")),
            )
        })
    }

    fn take_pinned(&mut self, frame: Frame, length: usize) -> Result<(), End> {
        let Some(channels) = &mut self.channels else { return Err(unexpected(&frame)) };
        let sent = match frame {
            Frame::BodyWanted(wanted) => channels.notes.send(Note::Wanted(wanted)).is_ok(),
            Frame::Refused(refused) => channels.notes.send(Note::Refused(refused)).is_ok(),
            Frame::Credit(credit) => channels.notes.send(Note::Granted(credit)).is_ok(),
            Frame::BodyChunk(chunk) => return channels.reception.chunk(chunk).map_err(|error| exceeded(&error)),
            Frame::Deliver(deliver) => return channels.reception.deliver(deliver).map_err(|error| exceeded(&error)),
            Frame::Receipts(receipts) => {
                let waiting = channels.waiting.fetch_add(length, Ordering::Relaxed);
                if waiting > RECEIPT_BYTES_WAITING || channels.incoming.try_send(receipts).is_err() {
                    let fault = faults::violation(&"receipts faster than they are acknowledged");
                    return Err(End::Bye(Some(RejectCode::RateExceeded), Some(fault)));
                }
                true
            }
            Frame::ReceiptsStored(stored) => channels.acks.send(stored.cursor).is_ok(),
            Frame::Checkpoint(Checkpoint { notes }) => {
                let directory = self.desk.node.directory.load();
                for note in &notes {
                    keep_hub_note(&self.desk, &directory, note);
                }
                true
            }
            Frame::Hello(_)
            | Frame::Submit(_)
            | Frame::Recall(_)
            | Frame::PublicGet(_)
            | Frame::PublicLog(_)
            | Frame::EntryGet(_)
            | Frame::Entries(_)
            | Frame::EntriesChanged(_)
            | Frame::Ping(_)
            | Frame::Pong(_)
            | Frame::Bye(_)
            | Frame::Restricted(_) => return Err(unexpected(&frame)),
        };
        if sent { Ok(()) } else { Err(End::Gone(None)) }
    }
}

fn unexpected(frame: &Frame) -> End {
    let fault = faults::violation(&format!("the frame {} out of place", frame.name()));
    End::Bye(Some(RejectCode::FrameUnexpected), Some(fault))
}

fn exceeded(error: &dyn core::fmt::Display) -> End {
    End::Bye(Some(RejectCode::CreditExceeded), Some(faults::violation(error)))
}

/// A task of the link ended by itself: the link ends with it.
fn ended_task(node: &crate::node::Node, ended: Result<Option<Fault>, tokio::task::JoinError>) -> End {
    match ended {
        Ok(fault) => End::Gone(fault),
        Err(error) => {
            let fault = ncp_api::ErrorCode::InternalFault.with("reason", error);
            node.stop_because(fault.clone());
            End::Gone(Some(fault))
        }
    }
}
