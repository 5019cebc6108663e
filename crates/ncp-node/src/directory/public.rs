//! The log `public` as this node has read it: whole, from its first leaf, since the process began.

use std::collections::BTreeMap;

use ncp_protocol::directory::accept::{PublicReading, PublicRefusal, SelfWatch, watch_self};
use ncp_protocol::event::Change;
use ncp_protocol::ids::{Digest, ParticipantId, UnixMillis};

/// When the hub admitted each version of an entry, by the hub's clock: R1 is judged by it.
pub type Admissions = BTreeMap<(ParticipantId, u32), UnixMillis>;

/// The reading with what else its leaves say.
#[derive(Debug, Clone, Default)]
pub(super) struct PublicLog {
    reading: PublicReading,
    admissions: Admissions,
    foreign: Vec<Digest>,
}

impl PublicLog {
    /// Reads the next leaf, watching for entries in the name of `this_node` that are not `own`.
    pub(super) fn read(&mut self, leaf: &[u8], this_node: ParticipantId, own: &[Digest]) -> Result<(), PublicRefusal> {
        let event = self.reading.read(leaf)?;
        if let Change::EntryAdmitted { participant, version, entry } = &event.change {
            self.admissions.insert((*participant, *version), event.time);
            if watch_self(this_node, own, &event) == SelfWatch::Foreign {
                self.foreign.push(*entry);
            }
        }
        Ok(())
    }

    pub(super) fn reading(&self) -> &PublicReading {
        &self.reading
    }

    pub(super) fn admissions(&self) -> &Admissions {
        &self.admissions
    }

    /// An entry in this node's name that it did not sign.
    pub(super) fn foreign(&self) -> Option<Digest> {
        self.foreign.first().copied()
    }

    /// Some of them are this node's own after all: `ncpctl keys rotate` made them meanwhile.
    pub(super) fn settle(&mut self, own: &[Digest]) {
        self.foreign.retain(|entry| !own.contains(entry));
    }
}
