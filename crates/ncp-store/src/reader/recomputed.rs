//! The tree of a log computed again from the journal, for level files that rotted.

use std::collections::BTreeMap;

use ncp_protocol::event::Event;
use ncp_protocol::ids::{Digest, LogName};
use ncp_protocol::merkle::{self, Frontier, Nodes, leaf_hash};

use super::{ReadError, Reader};
use crate::disk::Disk;
use crate::index::Index;
use crate::snapshot;
use crate::tables;

impl<D: Disk, I: Index> Reader<D, I> {
    /// What `answer` finds in the tree of a log's first `size` leaves, which has this root, computed from the journal: for
    /// level files that rotted. Slow, and it mends them. Where the journal is damaged, the tree from the newest snapshot's
    /// edge on; it does not know older leaves, and what stays without an answer for that is lost as the journal is.
    pub(super) fn recomputed<T>(
        &self,
        log: LogName,
        (size, root): (u64, Digest),
        answer: impl Fn(&MemoryNodes) -> Option<T>,
    ) -> Result<T, ReadError> {
        tracing::error!(%log, size, "level files are damaged and are computed again");
        let disagree = ReadError::Disagree { log, index: size };
        let (nodes, unanswered) = match self.grown_from_the_first(log, size) {
            Err(lost) if lost.is_damage() => match self.newest_edge(log, size) {
                Some(edge) => (self.grown(log, size, edge)?, lost),
                None => return Err(lost),
            },
            grown => (grown?, ReadError::Disagree { log, index: size }),
        };
        // Whatever the journal says now: only what was signed is answered from, and written down.
        if merkle::root(&nodes, size).ok() != Some(root) {
            return Err(disagree);
        }
        let all: Vec<_> = nodes.0.iter().map(|((level, index), hash)| (*level, *index, *hash)).collect();
        if let Err(error) = self.levels.write(log, &all) {
            tracing::error!(%log, %error, "level files cannot be mended");
        }
        answer(&nodes).ok_or(unanswered)
    }

    /// The whole tree. What the start could not read is tried first: a damaged journal is not read up to its damage for each
    /// question.
    fn grown_from_the_first(&self, log: LogName, size: u64) -> Result<MemoryNodes, ReadError> {
        let last =
            size.checked_sub(1).and_then(|last| tables::leaf(&self.view(), log, last).transpose()).transpose()?;
        for gap in self.gaps.iter().filter(|gap| last.is_some_and(|last| gap.from <= last.sequence)) {
            let row = tables::group_of(&self.view(), gap.from)?;
            row.map(|row| self.group(&row.place)).transpose()?;
        }
        self.grown(log, size, Growing::default())
    }

    fn grown(&self, log: LogName, size: u64, from: Growing) -> Result<MemoryNodes, ReadError> {
        let Growing { mut nodes, mut frontier, mut next } = from;
        while frontier.size() < size {
            let Some(row) = tables::group_of(&self.view(), next)?.filter(|row| row.place.next() > next) else {
                return Err(ReadError::Disagree { log, index: frontier.size() });
            };
            for bytes in &self.group(&row.place)?.events {
                if Event::decode(bytes).is_ok_and(|event| event.log == log) {
                    frontier.push(leaf_hash(bytes), |level, index, hash| {
                        nodes.0.insert((level, index), hash);
                    });
                }
            }
            next = row.place.next();
        }
        Ok(nodes)
    }

    /// The edge of a log at the newest good snapshot, if it has no more than `size` leaves there.
    fn newest_edge(&self, log: LogName, size: u64) -> Option<Growing> {
        let listed = snapshot::list(&self.disk).ok()?;
        let summary = listed.into_iter().rev().find_map(|applied| snapshot::verify(&self.disk, applied).ok())?;
        let edge = summary.edge(log).filter(|edge| edge.size <= size)?;
        let nodes = edge.subtrees.iter().map(|(level, index, hash)| ((*level, *index), *hash));
        Some(Growing { nodes: MemoryNodes(nodes.collect()), frontier: edge.frontier()?, next: summary.applied })
    }
}

/// A tree on its way.
#[derive(Default)]
struct Growing {
    nodes: MemoryNodes,
    frontier: Frontier,
    // Sequence of the next group.
    next: u64,
}

/// Hashes of complete subtrees, in memory.
#[derive(Default)]
pub(super) struct MemoryNodes(BTreeMap<(u8, u64), Digest>);

impl Nodes for MemoryNodes {
    type Error = Absent;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Absent> {
        self.0.get(&(level, index)).copied().ok_or(Absent)
    }
}

/// The tree is too small.
pub(super) struct Absent;
