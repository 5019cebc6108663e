//! Checks a data folder from the outside: reads everything, changes nothing, and needs no private key.
//!
//! An oracle of its own: it shares the readers of journal, spool and snapshots with recovery, and nothing else. Each event is hashed
//! into its log anew; every signed checkpoint that the journal and the file `signed` hold must be that log's and verify;
//! every record that an event rests on must be there unless a later group let it go. The daemon must not run meanwhile.
//!
//! Where the journal is damaged wholly below a snapshot, the check goes on from the snapshot's logs and records, as a start
//! does. A [`Finding`] is a loss (restore a backup) or a blemish that the next start mends or that touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::event::{Change, Event};
use ncp_protocol::ids::{Digest, LogName, LogOrigin};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::merkle::{EMPTY_ROOT, Frontier, Nodes as _, leaf_hash};

use crate::disk::Disk;
use crate::index::{LogHead, Tally, Trust};
use crate::journal::{self, Gap, Group, JournalError, LogNote, Position, Tail};
use crate::levels::Levels;
use crate::signed::{self, SignedError};
use crate::snapshot::Summary;
use crate::spool::{Class, Damage, Place, RecordName, SpoolReader};
use crate::state::{Erase, View};
use crate::tables::{Manifest, RecordSum};

mod snapshots;

/// A log with the public key that its checkpoints are to verify under.
#[derive(Debug, Clone, Copy)]
pub struct LogIdentity {
    /// Name and epoch.
    pub origin: LogOrigin,
    /// Its public key.
    pub key: VerifyingKey,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The journal's last group is torn: a crash leaves this, and the next start cuts it.
    Torn(Position),
    /// Bytes of the journal that should be zero are not; no event is touched.
    Stain(Position),
    /// The journal is damaged where no crash reaches.
    JournalDamaged(Position),
    /// Events of a closed segment are lost. A snapshot covers them: a start says so and goes on, yet their evidence cannot be
    /// read. Restore the segment from the backup.
    EventsLost {
        /// Which.
        gap: Gap,
        /// Sequence of the snapshot from which the check goes on.
        snapshot: u64,
    },
    /// A snapshot of the index is not whole, or of another journal; a start that needs one moves it aside.
    Snapshot {
        /// Its sequence.
        applied: u64,
        /// What is wrong.
        why: String,
    },
    /// Events that the file `signed` vouches for are missing.
    JournalShort {
        /// Sequence behind the journal's last whole group.
        has: u64,
        /// Events that are vouched for.
        signed: u64,
    },
    /// A group holds something that is not an event of these logs, or contradicts what is before it.
    Contradiction {
        /// Sequence of the group or event.
        sequence: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A stored checkpoint is not what the log's events lead to, or does not verify.
    Checkpoint {
        /// Which log.
        log: LogName,
        /// Sequence behind which it stands.
        sequence: u64,
    },
    /// A record that an event rests on is gone or damaged.
    RecordLost {
        /// Which record.
        name: RecordName,
        /// First sequence of the group that names it, or the sequence of the snapshot that does.
        group: u64,
    },
    /// A stretch of the spool is neither record nor zeros. If an event needs it, its record is reported lost as well.
    SpoolDamaged {
        /// Class of the segment.
        class: Class,
        /// Number of the segment.
        segment: u32,
        /// Where.
        damage: Damage,
    },
    /// The file `signed` cannot be read, or is missing or empty although events follow the first of each log.
    Signed,
    /// A level file does not hold what the events lead to; it is computed again when needed.
    Level {
        /// Which log.
        log: LogName,
    },
    /// The index is not what its trust row says, or ahead of the journal; the next start builds it anew.
    Index(String),
}

impl Finding {
    /// Whether something is lost that no start mends.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Torn(_)
            | Self::Stain(_)
            | Self::SpoolDamaged { .. }
            | Self::Level { .. }
            | Self::Index(_)
            | Self::Snapshot { .. } => false,
            Self::JournalDamaged(_)
            | Self::EventsLost { .. }
            | Self::JournalShort { .. }
            | Self::Contradiction { .. }
            | Self::Checkpoint { .. }
            | Self::RecordLost { .. }
            | Self::Signed => true,
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// All that is not as it should be, in the order found.
    pub findings: Vec<Finding>,
    /// Groups read.
    pub groups: u64,
    /// Events read.
    pub events: u64,
    /// Records that are needed and there.
    pub records: u64,
    /// Snapshots that are whole and of this journal.
    pub snapshots: u64,
    /// Size and root of each log, computed from its events.
    pub heads: Vec<LogHead>,
}

impl FsckReport {
    /// Whether nothing is lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.findings.iter().any(Finding::is_loss)
    }
}

/// Checks journal, spool, `signed` and level files; and `index`, if one is given that is open.
///
/// # Errors
/// If the disk fails; damage is part of what is found.
pub fn fsck<D: Disk>(disk: &D, logs: &[LogIdentity], index: Option<&dyn View>) -> io::Result<FsckReport> {
    let mut check = Check::new(logs);
    let from = check.begin(disk)?;
    let behind = |group: &Group| group.place.first >= from;
    let scan = match journal::scan(disk, from, &mut |group| {
        if behind(&group) {
            check.group(&group)
        }
    }) {
        Ok(scan) => scan,
        Err(JournalError::Io(error)) => return Err(error),
        Err(error) => return Err(io::Error::other(error)),
    };
    match scan.tail {
        Tail::Whole => {}
        Tail::Torn(at) => check.find(Finding::Torn(at)),
        Tail::Damaged(at) => check.find(Finding::JournalDamaged(at)),
    }
    scan.stains.iter().for_each(|at| check.find(Finding::Stain(*at)));
    check.snapshots(from);
    check.signed(disk, scan.next)?;
    check.spool(&SpoolReader::new(disk.clone()))?;
    check.levels(disk)?;
    if let Some(index) = index {
        check.index(index, scan.next);
    }
    Ok(check.report())
}

/// Which records a group rests on, and which it lets go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupRecords {
    /// Must be there from this group on, until a group lets them go.
    pub needed: Vec<RecordName>,
    /// Nothing needs these after the group.
    pub erased: Vec<RecordName>,
}

/// What a group says about records; `None` if its manifest is malformed.
#[must_use]
pub fn group_records(group: &Group) -> Option<GroupRecords> {
    let manifest = Manifest::decode(&group.manifest).ok()?;
    let erased = manifest.erases.iter().filter_map(|erase| match erase {
        Erase::Record(name) => Some(*name),
        Erase::Body(_) => None,
    });
    Some(GroupRecords { needed: manifest.records.iter().map(|sum| sum.name).collect(), erased: erased.collect() })
}

struct Check {
    logs: BTreeMap<LogName, CheckedLog>,
    // Logs that the newest group grew.
    grown: BTreeSet<LogName>,
    // Records that are needed, with the group that names them first.
    needed: BTreeMap<RecordName, (Need, u64)>,
    // Snapshots that are whole, by sequence.
    whole: BTreeMap<u64, Summary>,
    // The logs as the journal has them at those sequences.
    heads_at: BTreeMap<u64, Vec<LogHead>>,
    snapshots: u64,
    findings: Vec<Finding>,
    groups: u64,
    events: u64,
    records: u64,
}

/// What is known of a record that is needed.
#[derive(Debug, Clone, Copy)]
enum Need {
    Content(RecordSum),
    /// Its length, from a snapshot; the record's own checksum vouches for the rest.
    Length(u32),
}

impl Need {
    fn is_met(self, name: RecordName, bytes: &[u8]) -> bool {
        match self {
            Self::Content(sum) => RecordSum::of(name, bytes) == sum,
            Self::Length(length) => bytes.len() as u64 == u64::from(length),
        }
    }
}

struct CheckedLog {
    identity: LogIdentity,
    frontier: Frontier,
    // Every node that the leaves complete.
    nodes: BTreeMap<(u8, u64), Digest>,
    // Roots by size, for checkpoints that come later.
    roots: BTreeMap<u64, Digest>,
    opened: bool,
}

impl Check {
    fn new(logs: &[LogIdentity]) -> Self {
        let log = |identity: &LogIdentity| CheckedLog {
            identity: *identity,
            frontier: Frontier::new(),
            nodes: BTreeMap::new(),
            roots: BTreeMap::from([(0, EMPTY_ROOT)]),
            opened: false,
        };
        Self {
            logs: logs.iter().map(|identity| (identity.origin.log, log(identity))).collect(),
            grown: BTreeSet::new(),
            needed: BTreeMap::new(),
            whole: BTreeMap::new(),
            heads_at: BTreeMap::new(),
            snapshots: 0,
            findings: Vec::new(),
            groups: 0,
            events: 0,
            records: 0,
        }
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn report(self) -> FsckReport {
        let heads = self.heads();
        let Self { findings, groups, events, records, snapshots, .. } = self;
        FsckReport { findings, groups, events, records, snapshots, heads }
    }

    fn heads(&self) -> Vec<LogHead> {
        let head = |(log, checked): (&LogName, &CheckedLog)| LogHead {
            log: *log,
            size: checked.frontier.size(),
            root: checked.frontier.root(),
        };
        self.logs.iter().map(head).collect()
    }

    fn group(&mut self, group: &Group) {
        let sequence = group.place.first;
        self.groups += 1;
        self.previous(group);
        match Manifest::decode(&group.manifest) {
            Ok(manifest) => self.manifest(&manifest, sequence),
            Err(_) => self.find(Finding::Contradiction { sequence, what: "malformed manifest" }),
        }
        self.grown.clear();
        for (sequence, bytes) in (sequence..).zip(&group.events) {
            self.event(sequence, bytes);
        }
        for name in &self.grown {
            if let Some(log) = self.logs.get_mut(name) {
                log.roots.insert(log.frontier.size(), log.frontier.root());
            }
        }
        if self.whole.contains_key(&group.place.next()) {
            self.heads_at.insert(group.place.next(), self.heads());
        }
    }

    /// The header holds one checkpoint of each log that the group before grew, at the size it grew to.
    fn previous(&mut self, group: &Group) {
        let sequence = group.place.first;
        if !group.previous.iter().map(|note| note.log).eq(self.grown.iter().copied()) {
            self.find(Finding::Contradiction { sequence, what: "checkpoints of other logs than grew" });
        }
        for note in &group.previous {
            let size = self.logs.get(&note.log).map(|log| log.frontier.size());
            if self.checkpoint(note).is_none_or(|found| Some(found) != size) {
                self.find(Finding::Checkpoint { log: note.log, sequence });
            }
        }
    }

    /// The size of a checkpoint that verifies and is what the events lead to.
    fn checkpoint(&self, note: &LogNote) -> Option<u64> {
        let log = self.logs.get(&note.log)?;
        let signed = SignedCheckpoint::open(&note.note, &log.identity.origin, &log.identity.key).ok()?;
        let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
        (log.roots.get(&size) == Some(&root)).then_some(size)
    }

    fn manifest(&mut self, manifest: &Manifest, sequence: u64) {
        if manifest.heads != self.heads() {
            self.find(Finding::Contradiction { sequence, what: "it found other logs than stand before it" });
        }
        for sum in &manifest.records {
            self.needed.insert(sum.name, (Need::Content(*sum), sequence));
        }
        for erase in &manifest.erases {
            match erase {
                Erase::Record(name) => drop(self.needed.remove(name)),
                Erase::Body(_) => {}
            }
        }
    }

    fn event(&mut self, sequence: u64, bytes: &[u8]) {
        self.events += 1;
        let Ok(event) = Event::decode(bytes) else {
            return self.find(Finding::Contradiction { sequence, what: "no event" });
        };
        let Some(log) = self.logs.get_mut(&event.log) else {
            return self.find(Finding::Contradiction { sequence, what: "an event of another log" });
        };
        let opens = if let Change::LogOpened { origin, key, .. } = &event.change {
            Some(*origin == log.identity.origin && *key == log.identity.key.id())
        } else {
            None
        };
        let first = !core::mem::replace(&mut log.opened, true);
        log.frontier.push(leaf_hash(bytes), |level, index, hash| {
            log.nodes.insert((level, index), hash);
        });
        self.grown.insert(event.log);
        match opens {
            Some(true) => {}
            Some(false) => {
                self.find(Finding::Contradiction { sequence, what: "opens another log, or under another key" })
            }
            None if first => self.find(Finding::Contradiction { sequence, what: "the first event opens no log" }),
            None => {}
        }
    }

    fn signed<D: Disk>(&mut self, disk: &D, next: u64) -> io::Result<()> {
        let state = match signed::read(disk) {
            Ok(state) => state,
            Err(SignedError::Io(error)) => return Err(error),
            Err(SignedError::Damaged) => {
                self.find(Finding::Signed);
                return Ok(());
            }
        };
        let Some(state) = state else {
            // The first start writes it before the second event of any log.
            if next > self.logs.len() as u64 {
                self.find(Finding::Signed);
            }
            return Ok(());
        };
        if state.next > next {
            self.find(Finding::JournalShort { has: next, signed: state.next });
        }
        for note in &state.notes {
            if self.checkpoint(note).is_none() {
                self.find(Finding::Checkpoint { log: note.log, sequence: state.next });
            }
        }
        Ok(())
    }

    fn spool<D: Disk>(&mut self, spool: &SpoolReader<D>) -> io::Result<()> {
        let mut there: BTreeMap<RecordName, Vec<Place>> = BTreeMap::new();
        for class in Class::ALL {
            for segment in spool.segments(class)? {
                let visit = &mut |name: RecordName, place: Place, _| there.entry(name).or_default().push(place);
                for damage in spool.scan(class, segment, visit)? {
                    self.find(Finding::SpoolDamaged { class, segment, damage });
                }
            }
        }
        for (name, (need, group)) in core::mem::take(&mut self.needed) {
            let matches = |place: &Place| spool.read(&name, place).is_ok_and(|bytes| need.is_met(name, &bytes));
            if there.get(&name).is_some_and(|places| places.iter().any(matches)) {
                self.records += 1;
            } else {
                self.find(Finding::RecordLost { name, group });
            }
        }
        Ok(())
    }

    fn levels<D: Disk>(&mut self, disk: &D) -> io::Result<()> {
        let levels = Levels::open(disk.clone())?;
        let wrong: Vec<LogName> = self
            .logs
            .iter()
            .filter(|(name, log)| {
                let stored = levels.nodes(**name);
                log.nodes.iter().any(|((level, index), hash)| stored.node(*level, *index).ok() != Some(*hash))
            })
            .map(|(name, _)| *name)
            .collect();
        wrong.into_iter().for_each(|log| self.find(Finding::Level { log }));
        Ok(())
    }

    fn index(&mut self, index: &dyn View, next: u64) {
        let judged = match (Trust::read(index), Tally::scan(index)) {
            (Ok(None), Ok(tally)) if tally == Tally::default() => return,
            (Ok(None), Ok(_)) => Err("rows without a trust row".to_owned()),
            (Ok(Some(trust)), Ok(tally)) if trust.tally != tally => Err("its rows do not add up".to_owned()),
            (Ok(Some(trust)), Ok(_)) if trust.applied > next => Err("ahead of the journal".to_owned()),
            (Ok(Some(trust)), Ok(_)) => self.index_heads(&trust),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        };
        if let Err(why) = judged {
            self.find(Finding::Index(why));
        }
    }

    fn index_heads(&self, trust: &Trust) -> Result<(), String> {
        let known =
            |head: &LogHead| self.logs.get(&head.log).is_some_and(|log| log.roots.get(&head.size) == Some(&head.root));
        if trust.heads.iter().all(known) { Ok(()) } else { Err("its logs are not the journal's".to_owned()) }
    }
}
