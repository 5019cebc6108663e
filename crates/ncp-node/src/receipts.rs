//! Receipts: this node's own evidence on its way to the hub, and the evidence of others on its way here.
//!
//! Both directions are numbered streams. What this node states leaves its log in order, from the hub's cursor on, a few
//! frames ahead of the acknowledgement; after a cut it begins again at the cursor of the next hello. What comes is verified
//! and stored before it is acknowledged, so no receipt is lost with a link.

mod incoming;
mod progress;

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use ncp_api::Fault;
use ncp_protocol::frame::{Cursor, Receipts};
use ncp_protocol::ids::LogName;
use ncp_protocol::limits::RECEIPTS_PER_FRAME_MAX;
use ncp_protocol::proof::LogProof;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::reader::{ReadError, Reader, unless_lost};
use tokio::sync::mpsc;

pub use self::incoming::{BadEvidence, Seen, see};
pub(crate) use self::incoming::{evidence_record, store};
pub(crate) use self::progress::Progress;
use crate::core::tables::{RECEIPT, RECEIPT_LAST};
use crate::link::limits::RECEIPT_FRAMES_AHEAD;
use crate::link::{Desk, Outbound};

/// The stream of this node's evidence on one link.
pub(crate) struct Outgoing {
    desk: Arc<Desk>,
    outbound: Outbound,
    acked: mpsc::UnboundedReceiver<Cursor>,
    resent: mpsc::UnboundedReceiver<u64>,
    /// What the hub had when the link began.
    stored: u64,
    /// Number of the next receipt.
    next: u64,
    /// Last number of each frame that is not acknowledged, in the order in which they left.
    ahead: VecDeque<u64>,
    /// Leaves to be sent once more.
    again: BTreeSet<u64>,
}

impl Outgoing {
    /// A stream that goes on where the hub's hello says.
    pub(crate) fn new(
        desk: Arc<Desk>,
        outbound: Outbound,
        stored: Cursor,
        acked: mpsc::UnboundedReceiver<Cursor>,
        resent: mpsc::UnboundedReceiver<u64>,
    ) -> Self {
        let epoch = desk.node.identity.origin.epoch;
        // Another epoch is another stream, of which the hub has nothing.
        let stored = if stored.epoch == epoch { stored.number } else { 0 };
        let next = stored.saturating_add(1);
        Self { desk, outbound, acked, resent, stored, next, ahead: VecDeque::new(), again: BTreeSet::new() }
    }

    /// Sends until the link ends; the fault is the store's.
    pub(crate) async fn run(mut self) -> Option<Fault> {
        let mut hints = self.desk.node.hints.receipts.subscribe();
        loop {
            if let Err(error) = self.fill().await {
                let fault = crate::faults::unreadable(&error);
                self.desk.node.stop_because(fault.clone());
                return Some(fault);
            }
            tokio::select! {
                Ok(()) = hints.changed() => {}
                cursor = self.acked.recv() => self.acknowledged(cursor?),
                leaf = self.resent.recv() => drop(self.again.insert(leaf?)),
            }
        }
    }

    /// Each frame is acknowledged once, in order; an acknowledgement covers all before it.
    fn acknowledged(&mut self, cursor: Cursor) {
        self.ahead.pop_front();
        if cursor.epoch == self.desk.node.identity.origin.epoch {
            self.ahead.retain(|last| *last > cursor.number);
        }
    }

    /// Sends what waits, as far ahead as allowed.
    async fn fill(&mut self) -> Result<(), ReadError> {
        let epoch = self.desk.node.identity.origin.epoch;
        while self.ahead.len() < RECEIPT_FRAMES_AHEAD {
            if let Some(leaf) = self.again.pop_first() {
                self.repeat(leaf).await?;
                continue;
            }
            let from = self.next;
            let (first, proofs) = self.desk.node.blocking(move |node| proofs(node.reader(), from)).await?;
            self.next = first;
            let Some(receipts) = Receipts::fill(epoch, first, proofs) else { return Ok(()) };
            self.next = first.saturating_add(receipts.proofs.len() as u64);
            self.send(receipts);
        }
        Ok(())
    }

    /// Sends once more what the hub had stored and seems to have forgotten, since it delivers that envelope again.
    /// Anything later leaves with the stream of this link.
    async fn repeat(&mut self, leaf: u64) -> Result<(), ReadError> {
        let epoch = self.desk.node.identity.origin.epoch;
        let found = self.desk.node.blocking(move |node| numbered(node.reader(), leaf)).await?;
        if let Some((number, proof)) = found.filter(|(number, _)| *number <= self.stored) {
            self.send(Receipts { epoch, first: number, proofs: vec![proof] });
        }
        Ok(())
    }

    fn send(&mut self, receipts: Receipts) {
        let count = receipts.proofs.len() as u64;
        self.ahead.push_back(receipts.first.saturating_add(count).saturating_sub(1));
        self.outbound.send(receipts);
    }
}

/// The next proofs, from number `from` on, that one frame may hold, with the number of the first: what lies before it is
/// lost, and not sent any more once something behind it was, even if that part of the journal is restored. The hub still
/// delivers what a lost R2 should have ended, and gets that R2 then. Blocks on the disk.
///
/// # Errors
/// [`ReadError`].
pub fn proofs<D: Disk, I: Index>(reader: &Reader<D, I>, from: u64) -> Result<(u64, Vec<LogProof>), ReadError> {
    let (mut first, mut proofs) = (from, Vec::new());
    loop {
        let leaves = leaves(reader, first)?;
        if leaves.is_empty() {
            return Ok((first, proofs));
        }
        for index in leaves {
            let log = LogName::Node;
            match reader.evidence(log, index) {
                Err(error @ ReadError::Lost { .. }) => {
                    tracing::error!(%error, "a receipt cannot be sent any more");
                    if !proofs.is_empty() {
                        return Ok((first, proofs));
                    }
                    first += 1;
                }
                found => proofs.push(found?.ok_or(ReadError::Disagree { log, index })?),
            }
        }
        if !proofs.is_empty() {
            return Ok((first, proofs));
        }
    }
}

/// Leaves of the receipts from number `from` on, as many as one frame may hold.
fn leaves<D: Disk, I: Index>(reader: &Reader<D, I>, from: u64) -> Result<Vec<u64>, ReadError> {
    let mut leaves = Vec::new();
    RECEIPT.scan_from(&reader.view(), &(), &from, |number, leaf| {
        let follows = number == from.saturating_add(leaves.len() as u64);
        if follows {
            leaves.push(leaf);
        }
        if follows && leaves.len() < RECEIPTS_PER_FRAME_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    Ok(leaves)
}

/// The number of the receipt whose leaf this is, with its proof. Leaves rise with their numbers.
///
/// # Errors
/// [`ReadError`].
pub fn numbered<D: Disk, I: Index>(reader: &Reader<D, I>, leaf: u64) -> Result<Option<(u64, LogProof)>, ReadError> {
    let number = {
        let view = reader.view();
        let (mut low, mut high) = (1, RECEIPT_LAST.row(&view, &())?.unwrap_or(0));
        let mut found = None;
        while low <= high && found.is_none() {
            let middle = low + (high - low) / 2;
            match RECEIPT.row(&view, &middle)? {
                Some(there) if there == leaf => found = Some(middle),
                Some(there) if there > leaf => high = middle - 1,
                Some(_) | None => low = middle + 1,
            }
        }
        found
    };
    let Some(number) = number else { return Ok(None) };
    Ok(unless_lost(reader.evidence(LogName::Node, leaf))?.map(|proof| (number, proof)))
}
