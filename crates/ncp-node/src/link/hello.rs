//! The first frame of each side. A connection that stands waits for the hub's hello, and nothing else; what comes out can
//! be served.
//!
//! In the first hello after a start nothing signed leaves: only when the hub has shown what it holds of this node's log,
//! and the log has it, may this node sign towards it. A hub that holds more than the log has proves that this data folder
//! was put back in time; the daemon stops then, since going on would fork the log.

use std::sync::Arc;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use ncp_protocol::frame::{Bye, Credit, Cursor, Frame, FrameDecodeError, Hello, Restricted};
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{LogName, LogOrigin, ParticipantId};
use ncp_protocol::limits::PROTOCOL_VERSION;
use ncp_protocol::note::SignedNote;
use ncp_protocol::reject::RejectCode;
use ncp_store::forked::{self, Fork};
use ncp_store::reader::{Comparison, ReadError};
use ncp_transport::connection::{Connection, LinkReader, LinkWriter};
use ncp_transport::identity::{PeerIdentity, PinStatus};
use tokio::time::timeout;

use super::desk::Desk;
use super::faults;
use super::limits::{HELLO_TIMEOUT, WINDOW};
use super::outbound::raw;
use crate::core::tables::RECEIPT_LAST;
use crate::entries::DirectoryView;
use crate::node::Node;

/// A connection that has exchanged no frame.
pub(super) struct AwaitingHello {
    desk: Arc<Desk>,
    connection: Connection,
}

/// A connection whose ends know one another.
pub(super) struct Greeting {
    pub(super) peer: PeerIdentity,
    /// Whether the directory here pins the hub's key.
    pub(super) pin: PinStatus,
    /// Why the hub serves nothing but its directory, if so.
    pub(super) restricted: Option<RejectCode>,
    pub(super) reader: LinkReader,
    pub(super) writer: LinkWriter,
    /// What the hub may be sent at first.
    pub(super) credit: Credit,
    /// How much of this node's evidence the hub has.
    pub(super) receipts: Cursor,
    /// How many events of this node's log the hub knows of.
    pub(super) known: u64,
}

impl AwaitingHello {
    pub(super) fn new(desk: Arc<Desk>, connection: Connection) -> Self {
        Self { desk, connection }
    }

    /// Says hello and waits for the hub's.
    pub(super) async fn greet(self) -> Result<Greeting, Fault> {
        let Connection { peer, pin, mut reader, mut writer, .. } = self.connection;
        let node = Arc::clone(&self.desk.node);
        let desk = Arc::clone(&self.desk);
        let own = node.blocking(move |node| own_hello(node, &desk)).await.map_err(|error| unreadable(&node, &error))?;
        writer.send(&raw(&own.into())).await.map_err(|error| faults::frame(&error))?;
        let hello = match timeout(HELLO_TIMEOUT, next(&mut reader)).await {
            Ok(hello) => hello,
            Err(_) => Err(Unwelcome::Refused(RejectCode::RateExceeded, faults::violation(&"no hello in time"))),
        };
        let checked = match hello {
            Ok((restricted, hello)) => check(&node, hello).map(|hello| (restricted, hello)),
            Err(unwelcome) => Err(unwelcome),
        };
        let (restricted, hello) = match checked {
            Ok(checked) => checked,
            Err(Unwelcome::Fault(fault)) => return Err(fault),
            Err(Unwelcome::Refused(code, fault)) => {
                // The hub may not read it any more.
                let _ = writer.send(&raw(&Bye { code: Some(code) }.into())).await;
                return Err(fault);
            }
        };
        let Hello { credit, receipts, .. } = hello;
        let desk = Arc::clone(&self.desk);
        let compared = node.blocking(move |node| compare(node, &desk, &hello, pin)).await;
        match compared.map_err(|error| unreadable(&node, &error))? {
            Compared::Forked(fault) => {
                node.stop_because(fault.clone());
                Err(fault)
            }
            Compared::Agrees { known } => {
                self.desk.note_compared();
                Ok(Greeting { peer, pin, restricted, reader, writer, credit, receipts, known })
            }
        }
    }
}

/// Why a hello is not answered with service.
enum Unwelcome {
    /// Our reason to end, said to the hub.
    Refused(RejectCode, Fault),
    /// The link failed, or the hub ended it.
    Fault(Fault),
}

fn own_hello(node: &Node, desk: &Desk) -> Result<Hello, ReadError> {
    let newest = node.reader().checkpoint(LogName::Node).filter(|_| desk.has_compared());
    let public_size = node.statements.load().timestamp.map_or(0, |timestamp| timestamp.public_size);
    Ok(Hello {
        versions: vec![PROTOCOL_VERSION],
        suites: vec![SUITE],
        network: node.network.id(),
        participant: node.participant(),
        receipts: desk.receipts().hello(),
        checkpoints: desk.hub_notes()?,
        own: newest.map(|signed| signed.note().to_owned()).into_iter().collect(),
        public_size,
        credit: Credit { envelopes: WINDOW.envelopes, bytes: WINDOW.bytes },
    })
}

/// The hub's hello, and what it says before it if it does not pin this node's key.
async fn next(reader: &mut LinkReader) -> Result<(Option<RejectCode>, Hello), Unwelcome> {
    let mut restricted = None;
    loop {
        let received = reader.next().await.map_err(|error| Unwelcome::Fault(faults::frame(&error)))?;
        let Some(frame) = received else {
            return Err(Unwelcome::Fault(faults::violation(&"the hub closed the link instead of saying hello")));
        };
        let malformed =
            |error: FrameDecodeError| Unwelcome::Refused(RejectCode::FrameMalformed, faults::decode(&error));
        let frame = Frame::decode(frame.kind, &frame.payload).map_err(malformed)?;
        if let Frame::Hello(hello) = frame {
            return Ok((restricted, hello));
        }
        if let Frame::Bye(Bye { code }) = frame {
            let closed = || faults::violation(&"the hub said bye instead of hello");
            return Err(Unwelcome::Fault(code.map_or_else(closed, faults::bye)));
        }
        if let (Frame::Restricted(Restricted { code }), None) = (&frame, restricted) {
            restricted = Some(*code);
            continue;
        }
        let reason = format!("the frame {} instead of a hello", frame.name());
        return Err(Unwelcome::Refused(RejectCode::FrameUnexpected, faults::violation(&reason)));
    }
}

fn check(node: &Node, hello: Hello) -> Result<Hello, Unwelcome> {
    let (hub, own) = (ParticipantId::HUB, node.network.id());
    let Err(code) = hello.check(&own, hub) else { return Ok(hello) };
    let list = |numbers: &[u16]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let fault = if code == RejectCode::VersionUnsupported {
        let fault = ErrorCode::VersionDiffers.with("peer", hub).with("found", list(&hello.versions));
        fault.with("known", PROTOCOL_VERSION)
    } else if code == RejectCode::NetworkMismatch {
        let fault = ErrorCode::NetworkDiffers.with("peer", hub).with("found", hello.network.label());
        fault.with("expected", own.label())
    } else if code == RejectCode::OriginatorMismatch {
        ErrorCode::PeerOtherParticipant.with("expected", hub).with("found", hello.participant)
    } else {
        faults::violation(&format!("it knows the suites {} and not {SUITE}", list(&hello.suites)))
    };
    Err(Unwelcome::Refused(code, fault))
}

/// What came of the comparison of this node's log with what the hub holds of it.
enum Compared {
    /// The log holds all that the hub knows of it.
    Agrees {
        /// So many events.
        known: u64,
    },
    /// The log is not the one that the hub was shown.
    Forked(Fault),
}

/// Compares what the hub holds of this node's log with the log. Notes that this node's log key did not sign say nothing.
fn compare(node: &Node, desk: &Desk, hello: &Hello, pin: PinStatus) -> Result<Compared, ReadError> {
    let mut known = 0;
    let origin = node.identity.origin;
    let key = node.keys.log.verifying_key();
    for note in &hello.checkpoints {
        let Ok(held) = SignedCheckpoint::open(note, &origin, &key) else { continue };
        let Checkpoint { size: found, root, .. } = held.checkpoint();
        if let Comparison::Contradicts { size } = node.reader().compare(LogName::Node, *found, root)? {
            let fork = Fork { peer: ParticipantId::HUB.to_string(), found: *found, size, note: note.clone() };
            if let Err(error) = forked::write(&node.disk, &fork) {
                tracing::error!(%error, "what contradicts this log cannot be written down: do not start this folder again");
            }
            let found = if *found > size { found.to_string() } else { format!("{found} of another history") };
            return Ok(Compared::Forked(own_log_forked(&found, size)));
        }
        known = known.max(*found);
    }
    if pin == PinStatus::Pinned {
        let sent = RECEIPT_LAST.row(&node.reader().view(), &())?.unwrap_or(0);
        if hello.receipts.epoch == origin.epoch && hello.receipts.number > sent {
            // Nobody signed that number: it stops this run, and forbids no other.
            return Ok(Compared::Forked(own_log_forked(&hello.receipts.number, sent)));
        }
        let directory = node.directory.load();
        for note in &hello.own {
            keep_hub_note(desk, &directory, note);
        }
    }
    Ok(Compared::Agrees { known })
}

fn own_log_forked(found: &dyn core::fmt::Display, size: u64) -> Fault {
    ErrorCode::OwnLogForked.with("peer", ParticipantId::HUB).with("found", found).with("size", size)
}

/// Keeps a checkpoint of one of the hub's logs, if the hub signed it.
pub(super) fn keep_hub_note(desk: &Desk, directory: &DirectoryView, note: &str) {
    match hub_checkpoint(directory, note) {
        Some((_, signed)) => desk.keep_hub_note(&signed),
        None => tracing::warn!("the hub sent a checkpoint that is not signed by a log key of its entry"),
    }
}

/// The checkpoint of the hub that a note is, and of which log.
pub(crate) fn hub_checkpoint(directory: &DirectoryView, note: &str) -> Option<(LogName, SignedCheckpoint)> {
    let hub = directory.entry(ParticipantId::HUB)?;
    let text = SignedNote::parse(note).ok()?;
    let named = text.text().lines().next()?.to_owned();
    let (network, participant) = (hub.newest().network, ParticipantId::HUB);
    let mut origins =
        hub.newest().keys.logs.iter().map(|key| LogOrigin { network, participant, log: key.log, epoch: key.epoch });
    let origin = origins.find(|origin| origin.to_string() == named)?;
    let key = directory.log_key(&origin)?;
    SignedCheckpoint::open(note, &origin, key).ok().map(|signed| (origin.log, signed))
}

fn unreadable(node: &Node, error: &ReadError) -> Fault {
    let fault = crate::faults::unreadable(error);
    node.stop_because(fault.clone());
    fault
}
