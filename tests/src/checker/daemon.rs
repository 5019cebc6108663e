//! One daemon's logs, computed from its journal: every leaf, the root of every size, every checkpoint in it verified.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ncp_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use ncp_protocol::event::{Change, Event};
use ncp_protocol::ids::{Digest, KeyId, LogName, LogOrigin, ParticipantId};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::merkle::{EMPTY_ROOT, Frontier, leaf_hash};

use super::Keys;
use super::counts::Counts;
use super::finding::{Finding, Name};
use super::journal::{self, Group};

/// An event with its bytes.
pub(super) struct Leaf {
    pub event: Event,
    pub bytes: Vec<u8>,
}

/// One log.
pub(super) struct Log {
    pub origin: LogOrigin,
    pub key: KeyId,
    pub leaves: Vec<Leaf>,
    // Root of the first n leaves, at n.
    roots: Vec<Digest>,
    frontier: Frontier,
}

/// What a journal holds.
pub(super) struct Daemon {
    pub participant: ParticipantId,
    pub logs: BTreeMap<LogName, Log>,
    /// Log and place of each event, in the journal's order.
    pub order: Vec<(LogName, usize)>,
}

impl Log {
    /// Holds a signed checkpoint against the leaves.
    pub(super) fn holds(&self, checkpoint: &Checkpoint) -> Result<(), Name> {
        let size = usize::try_from(checkpoint.size).map_err(|_| Name::CheckpointAhead)?;
        match self.roots.get(size) {
            None => Err(Name::CheckpointAhead),
            Some(root) if *root == checkpoint.root => Ok(()),
            Some(_) => Err(Name::CheckpointContradicted),
        }
    }

    /// Verifies a note of this log and holds it against the leaves.
    pub(super) fn holds_note(&self, note: &str, key: &VerifyingKey) -> Result<Checkpoint, Name> {
        let signed = SignedCheckpoint::open(note, &self.origin, key).map_err(|_| Name::CheckpointUnsigned)?;
        self.holds(signed.checkpoint()).map(|()| signed.checkpoint().clone())
    }

    fn push(&mut self, event: Event, bytes: Vec<u8>) {
        self.frontier.push(leaf_hash(&bytes), |_, _, _| {});
        self.roots.push(self.frontier.root());
        self.leaves.push(Leaf { event, bytes });
    }
}

impl Daemon {
    pub(super) fn read(
        participant: ParticipantId,
        data: &Path,
        keys: &Keys,
        counts: &mut Counts,
        findings: &mut Vec<Finding>,
    ) -> Self {
        let (groups, segments) = journal::read(data, findings);
        counts.journals += 1;
        counts.segments += segments;
        counts.groups += groups.len();
        let mut reader = Reader {
            daemon: Self { participant, logs: BTreeMap::new(), order: Vec::new() },
            keys,
            grown: BTreeSet::new(),
            findings,
            counts,
        };
        for group in groups {
            reader.checkpoints(&group);
            reader.heads(&group);
            reader.events(group);
        }
        reader.daemon
    }

    /// All events in the journal's order.
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.order.iter().filter_map(|(log, at)| Some(&self.logs.get(log)?.leaves.get(*at)?.event))
    }

    /// All changes in the journal's order.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.events().map(|event| &event.change)
    }
}

struct Reader<'a> {
    daemon: Daemon,
    keys: &'a Keys,
    // Logs that the group before grew.
    grown: BTreeSet<LogName>,
    findings: &'a mut Vec<Finding>,
    counts: &'a mut Counts,
}

impl Reader<'_> {
    fn tell(&mut self, name: Name, detail: String) {
        self.findings.push(Finding::new(name, format!("{}: {detail}", self.daemon.participant)));
    }

    /// The checkpoints in a group are those of the group before it, one for each log that it grew.
    fn checkpoints(&mut self, group: &Group) {
        let stated: BTreeSet<_> = group.notes.iter().map(|(log, _)| *log).collect();
        if stated != self.grown || stated.len() != group.notes.len() {
            self.tell(Name::CheckpointMissing, format!("{stated:?} instead of {:?}, {}", self.grown, group.place));
        }
        for (name, note) in &group.notes {
            let Some(log) = self.daemon.logs.get(name) else { continue };
            let Some((.., key)) = self.keys.get(&log.key) else { continue };
            match log.holds_note(note, key) {
                Ok(checkpoint) if checkpoint.size == log.leaves.len() as u64 => self.counts.checkpoints += 1,
                Ok(checkpoint) => {
                    let detail =
                        format!("of size {} behind {} leaves, {}", checkpoint.size, log.leaves.len(), group.place);
                    self.tell(Name::CheckpointMissing, detail);
                }
                Err(fault) => self.tell(fault, format!("of {name}, {}", group.place)),
            }
        }
    }

    fn heads(&mut self, group: &Group) {
        for (name, size, root) in &group.heads {
            let known = self.daemon.logs.get(name);
            let found = known.map_or((0, EMPTY_ROOT), |log| (log.leaves.len() as u64, log.frontier.root()));
            if (*size, *root) != found {
                self.tell(Name::HeadsContradicted, format!("{name} at {size}, {}", group.place));
            }
        }
    }

    fn events(&mut self, group: Group) {
        self.grown.clear();
        for bytes in group.events {
            self.counts.events += 1;
            let Ok(event) = Event::decode(&bytes) else {
                self.tell(Name::EventUnreadable, group.place.clone());
                continue;
            };
            let name = event.log;
            if let Change::LogOpened { origin, key, .. } = event.change {
                self.open(name, origin, key);
            }
            let Some(log) = self.daemon.logs.get_mut(&name) else {
                self.tell(Name::LogMisopened, format!("{name} has an event before its opening, {}", group.place));
                continue;
            };
            self.daemon.order.push((name, log.leaves.len()));
            log.push(event, bytes);
            self.grown.insert(name);
        }
    }

    fn open(&mut self, name: LogName, origin: LogOrigin, key: KeyId) {
        if origin.participant != self.daemon.participant || origin.log != name || self.daemon.logs.contains_key(&name) {
            self.tell(Name::LogMisopened, format!("{name} opens as {origin}"));
            return;
        }
        let (leaves, roots) = (Vec::new(), vec![EMPTY_ROOT]);
        match self.keys.get(&key) {
            Some((keeper, log, _)) if (*keeper, *log) == (origin.participant, name) => {}
            Some(_) | None => self.tell(Name::KeyUnknown, format!("{key} of {origin}")),
        }
        self.daemon.logs.insert(name, Log { origin, key, leaves, roots, frontier: Frontier::new() });
    }
}
