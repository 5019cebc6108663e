//! Snapshots of the index: whether each is whole and of this journal, and how the check goes on from one where the journal
//! below it is damaged.

use std::io;

use ncp_protocol::merkle::Frontier;

use super::{Check, Finding, Need};
use crate::disk::Disk;
use crate::index::LogHead;
use crate::journal::{self, JournalError, JournalReader};
use crate::snapshot::{self, LoadError, Summary};
use crate::tables;

impl Check {
    /// Reads all snapshots through and finds what the closed segments lack. Returns the sequence from which the journal is
    /// checked: 0, or that of a snapshot above everything that is lost.
    pub(super) fn begin<D: Disk>(&mut self, disk: &D) -> io::Result<u64> {
        let reader = JournalReader::new(disk.clone());
        let logs: Vec<_> = self.logs.values().map(|log| (log.identity.origin, log.identity.key)).collect();
        for applied in snapshot::list(disk)? {
            let doubt = match snapshot::verify(disk, applied) {
                Ok(summary) => match summary.disagrees(&reader, &logs, u64::MAX) {
                    Ok(None) => {
                        self.whole.insert(applied, summary);
                        continue;
                    }
                    Ok(Some(why)) => why.to_owned(),
                    Err(JournalError::Io(error)) => return Err(error),
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            self.find(Finding::Snapshot { applied, why: doubt });
        }
        let gaps = journal::gaps(disk, u64::MAX)?;
        let Some(last) = gaps.last() else { return Ok(0) };
        let Some((applied, summary)) = self.whole.last_key_value().filter(|(applied, _)| **applied >= last.until)
        else {
            return Ok(0);
        };
        let (applied, summary) = (*applied, summary.clone());
        gaps.into_iter().for_each(|gap| self.find(Finding::EventsLost { gap, snapshot: applied }));
        self.resume(disk, &summary)?;
        Ok(applied)
    }

    /// Takes logs and records from a snapshot, in place of the groups below it.
    fn resume<D: Disk>(&mut self, disk: &D, summary: &Summary) -> io::Result<()> {
        for (name, log) in &mut self.logs {
            let Some(edge) = summary.edge(*name) else { continue };
            log.frontier = edge.frontier().unwrap_or_else(Frontier::new);
            log.nodes = edge.subtrees.iter().map(|(level, index, hash)| ((*level, *index), *hash)).collect();
            log.roots.insert(log.frontier.size(), log.frontier.root());
            log.opened = true;
        }
        self.grown = summary.notes.iter().map(|note| note.log).collect();
        self.heads_at.insert(summary.applied, self.heads());
        let file = disk.open(&snapshot::path(summary.applied), crate::disk::OpenMode::Read)?;
        let read = snapshot::load(&file, summary.applied, &mut |key, value| {
            if let Some((name, place)) = tables::as_record(key, value)? {
                self.needed.insert(name, (Need::Length(place.length), summary.applied));
            }
            Ok(())
        });
        match read {
            Ok(_) => Ok(()),
            Err(LoadError::Io(error)) => Err(error),
            Err(error @ (LoadError::Damaged(_) | LoadError::Taker(_))) => Err(io::Error::other(error)),
        }
    }

    /// Holds each snapshot's logs against those that the events lead to; those below where the check began are beyond it.
    pub(super) fn snapshots(&mut self, from: u64) {
        for (applied, summary) in core::mem::take(&mut self.whole) {
            let computed: Option<&Vec<LogHead>> = self.heads_at.get(&applied);
            if computed.is_some() && computed == summary.heads().as_ref() {
                self.snapshots += 1;
            } else if computed.is_some() || applied >= from {
                let why = "the journal holds other logs there".to_owned();
                self.find(Finding::Snapshot { applied, why });
            }
        }
    }
}
