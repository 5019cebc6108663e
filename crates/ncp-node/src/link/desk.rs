//! What the tasks of the link share beside the node itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use ncp_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use ncp_protocol::evidence::NewestCheckpoint;
use ncp_protocol::frame::Cursor;
use ncp_protocol::ids::Epoch;
use ncp_protocol::limits::LOG_KEYS_MAX;
use ncp_protocol::proof::LogProof;
use ncp_store::disk::is_full;
use ncp_store::held::Held;
use ncp_store::reader::{ReadError, unless_lost};
use ncp_store::spool::{RecordKind, RecordName};
use ncp_store::state::Unreadable;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::interval;

use super::hello::hub_checkpoint;
use super::limits::{HELD_EVERY, WORKERS_MAX};
use crate::core::tables::{HUB_SEEN, RECEIPTS_STORED, ReceiptsStoredRow};
use crate::directory::Admissions;
use crate::node::Node;
use crate::receipts::Progress;
use crate::submission::Note;

/// Shared by the tasks of the link.
pub(crate) struct Desk {
    pub(crate) node: Arc<Node>,
    /// When the hub admitted entries, as far as `public` was read.
    pub(crate) admissions: ArcSwap<Admissions>,
    /// Somebody misses something that the directory may bring.
    pub(crate) refresh: Notify,
    /// The hub said that the directory changed.
    pub(crate) directory_news: Notify,
    /// Workers for what is not urgent, and for what is.
    pub(crate) workers: [Arc<Semaphore>; 2],
    /// The checkpoint of the hub's that was verified last: deliveries come in the order in which the hub accepted them.
    pub(crate) newest: Mutex<NewestCheckpoint>,
    compared: AtomicBool,
    outbox: Mutex<Option<mpsc::UnboundedSender<Note>>>,
    held: Arc<Held>,
    receipts: Mutex<Progress>,
}

impl Desk {
    /// # Errors
    /// [`Unreadable`] if the index cannot be read.
    pub(crate) fn new(node: Arc<Node>, held: Arc<Held>) -> Result<Self, Unreadable> {
        let nothing = ReceiptsStoredRow { epoch: Epoch(0), number: 0 };
        let ReceiptsStoredRow { epoch, number } = RECEIPTS_STORED.row(&node.reader().view(), &())?.unwrap_or(nothing);
        Ok(Self {
            node,
            admissions: ArcSwap::default(),
            refresh: Notify::new(),
            directory_news: Notify::new(),
            workers: [Arc::new(Semaphore::new(WORKERS_MAX)), Arc::new(Semaphore::new(WORKERS_MAX))],
            newest: Mutex::default(),
            compared: AtomicBool::new(false),
            outbox: Mutex::new(None),
            held,
            receipts: Mutex::new(Progress::new(Cursor { epoch, number })),
        })
    }

    /// How far the hub's stream of receipts has come. After a start it is what the journal noted last: the hub sends again
    /// what came since, and the same evidence is no event.
    pub(crate) fn receipts(&self) -> MutexGuard<'_, Progress> {
        // Each change is one step, so whatever panicked left it whole.
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether `public` holds an entry in this node's name that it did not sign: nothing is received under it.
    pub(crate) fn note_foreign(&self, is_foreign: bool) {
        self.node.foreign_entry.store(is_foreign, Ordering::Relaxed);
    }

    /// Whether such an entry was seen.
    pub(crate) fn is_reception_closed(&self) -> bool {
        self.node.foreign_entry.load(Ordering::Relaxed)
    }

    /// Notes that the hub's hello has been compared with the own log in the life of this process.
    pub(super) fn note_compared(&self) {
        self.compared.store(true, Ordering::Relaxed);
    }

    /// Whether anything signed may leave before the hub's next hello.
    pub(super) fn has_compared(&self) -> bool {
        self.compared.load(Ordering::Relaxed)
    }

    /// Tells the outbox of the present link, if there is one; without one what is noted follows from the index later.
    pub(crate) fn tell_outbox(&self, note: Note) {
        if let Some(outbox) = &*self.outbox() {
            // A link that is ending needs no notes.
            let _ = outbox.send(note);
        }
    }

    /// Connects the outbox of a new link.
    pub(super) fn connect_outbox(&self, notes: mpsc::UnboundedSender<Note>) {
        *self.outbox() = Some(notes);
    }

    /// The link has ended.
    pub(super) fn disconnect_outbox(&self) {
        *self.outbox() = None;
        self.node.bodies_out.clear();
    }

    fn outbox(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<Note>>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a checkpoint of the hub's, if it is the newest of its log; durable a moment later. Two that exclude each other
    /// are an error in the log; the first one stays.
    pub(super) fn keep_hub_note(&self, shown: &SignedCheckpoint) {
        let Checkpoint { origin, size, root } = shown.checkpoint();
        loop {
            let before = self.held.note(origin);
            let held = before.as_deref().and_then(|note| hub_checkpoint(&self.node.directory.load(), note));
            match held.as_ref().map(|(_, held)| held.checkpoint()) {
                Some(held) if held.size > *size => return,
                Some(held) if held.size == *size => {
                    if held.root != *root {
                        tracing::error!(log = origin, size, "the hub signed two checkpoints that exclude each other");
                    }
                    return;
                }
                // Another task may have kept one meanwhile: then this one is compared with that.
                Some(_) | None => {
                    if self.held.replace(origin, before.as_deref(), shown.note()) {
                        return;
                    }
                }
            }
        }
    }

    /// Newest checkpoints held of the hub's logs: seen on a link, or proved by evidence, which may be newer than what was
    /// written to the file `held` before a crash. Blocks on the disk.
    pub(super) fn hub_notes(&self) -> Result<Vec<String>, ReadError> {
        let mut notes = self.held.all();
        let reader = self.node.reader();
        let Some(row) = HUB_SEEN.row(&reader.view(), &())? else { return Ok(notes) };
        let bytes = unless_lost(reader.record(&RecordName { kind: RecordKind::Evidence, id: row.record }))?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let proof = text.and_then(|text| LogProof::parse(&text).ok());
        notes.extend(proof.map(|proof| proof.checkpoint_note));
        // The oldest lives of the logs come first.
        let surplus = notes.len().saturating_sub(LOG_KEYS_MAX);
        Ok(notes.split_off(surplus))
    }
}

/// Makes durable which checkpoints the hub showed of its logs, a moment behind. What a full disk does not take now is tried
/// again at the next turn: nothing rests on it. Any other failure of the disk stops the daemon: the next sync of the folder
/// could hide that one failed.
pub(super) async fn keep_held(node: Arc<Node>, held: Arc<Held>) {
    let mut ticks = interval(HELD_EVERY);
    loop {
        let stops = tokio::select! {
            _ = ticks.tick() => false,
            () = node.stopping.cancelled() => true,
        };
        let held = Arc::clone(&held);
        match node.blocking(move |_| held.write()).await {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "the hub's checkpoints cannot be kept now");
            }
            Err(error) => return node.stop_because(crate::faults::unreadable(&error)),
        }
        if stops {
            return;
        }
    }
}
