//! The store's own rows, below [`FIRST_CORE_TABLE`], and the manifest of a group.
//!
//! All of them follow from journal and spool alone, so that a rebuilt index holds the same.

use core::ops::ControlFlow;
use std::collections::BTreeMap;

use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::codec::{self, DecodeError, Prefix};
use ncp_protocol::ids::{Digest, KeyId, LogName, LogOrigin};
use serde::{Deserialize, Serialize};

use crate::index::LogHead;
use crate::journal::GroupPlace;
use crate::limits::{DECISION_ERASES_MAX, DECISION_RECORDS_MAX, MANIFEST_MAX};
use crate::spool::{Place, RecordName};
use crate::state::{Erase, FIRST_CORE_TABLE, Key, Rows, Table, Unreadable, View};

/// Version of the layout of these rows.
pub(crate) const STORE_SCHEMA: u32 = 1;

const GROUPS: Table<u64, GroupRow> = Table::new(1);
const LEAVES: Table<(LogName, u64), LeafRow> = Table::new(2);
const RECORDS: Table<RecordName, Place> = Table::new(3);
const LOGS: Table<LogName, LogRow> = Table::new(4);

const _: () = assert!(FIRST_CORE_TABLE > 4, "cores and store share no table");

/// A group of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupRow {
    /// Where it lies.
    pub place: GroupPlace,
    /// The signed checkpoint of each log that it grew.
    pub checkpoints: Vec<GroupCheckpoint>,
}

/// A checkpoint as a group signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupCheckpoint {
    /// Size and root.
    pub head: LogHead,
    /// Text of the signed note.
    pub note: String,
}

impl GroupRow {
    pub(crate) fn new(place: GroupPlace, checkpoints: &BTreeMap<LogName, SignedCheckpoint>) -> Self {
        let checkpoints = checkpoints.iter().map(|(log, signed)| {
            let (size, root) = (signed.checkpoint().size, signed.checkpoint().root);
            GroupCheckpoint { head: LogHead { log: *log, size, root }, note: signed.note().to_owned() }
        });
        Self { place, checkpoints: checkpoints.collect() }
    }

    /// The checkpoint of a log, `None` if the group did not grow it.
    pub(crate) fn checkpoint(&self, log: LogName) -> Option<&GroupCheckpoint> {
        self.checkpoints.iter().find(|checkpoint| checkpoint.head.log == log)
    }
}

/// A leaf: where its event stands in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeafRow {
    /// Sequence of the event.
    pub sequence: u64,
    /// Sequence of the first event of its group.
    pub group: u64,
}

/// A log: what its newest `LogOpened` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRow {
    /// Name and epoch.
    pub origin: LogOrigin,
    /// The key that signs its checkpoints.
    pub key: KeyId,
}

// Keyed by the complement, so that a scan upwards from a sequence meets its own group first.
fn group_key(first: u64) -> u64 {
    !first
}

pub(crate) fn put_group(rows: &mut Rows, group: &GroupRow) {
    GROUPS.put(rows, &group_key(group.place.first), group);
}

/// The group that holds the event `sequence`, or the newest one if no event has that sequence yet.
pub(crate) fn group_of(view: &(impl View + ?Sized), sequence: u64) -> Result<Option<GroupRow>, Unreadable> {
    let mut found = None;
    GROUPS.scan_from(view, &(), &group_key(sequence), |_, group| {
        found = Some(group);
        ControlFlow::Break(())
    })?;
    Ok(found)
}

pub(crate) fn put_leaf(rows: &mut Rows, log: LogName, index: u64, leaf: LeafRow) {
    LEAVES.put(rows, &(log, index), &leaf);
}

pub(crate) fn leaf(view: &(impl View + ?Sized), log: LogName, index: u64) -> Result<Option<LeafRow>, Unreadable> {
    LEAVES.row(view, &(log, index))
}

pub(crate) fn put_record(rows: &mut Rows, name: RecordName, place: Place) {
    RECORDS.put(rows, &name, &place);
}

pub(crate) fn remove_record(rows: &mut Rows, name: RecordName) {
    RECORDS.remove(rows, &name);
}

pub(crate) fn record(view: &(impl View + ?Sized), name: RecordName) -> Result<Option<Place>, Unreadable> {
    RECORDS.row(view, &name)
}

/// Visits all records that are not erased.
pub(crate) fn records(view: &(impl View + ?Sized), mut visit: impl FnMut(RecordName, Place)) -> Result<(), Unreadable> {
    RECORDS.scan(view, &(), |name, place| {
        visit(name, place);
        ControlFlow::Continue(())
    })
}

/// Name and place of a record, if the row is of one.
pub(crate) fn as_record(key: &[u8], value: &[u8]) -> Result<Option<(RecordName, Place)>, Unreadable> {
    RECORDS.pair(key, value)
}

pub(crate) fn put_log(rows: &mut Rows, log: LogName, row: &LogRow) {
    LOGS.put(rows, &log, row);
}

pub(crate) fn log(view: &(impl View + ?Sized), log: LogName) -> Result<Option<LogRow>, Unreadable> {
    LOGS.row(view, &log)
}

impl Key for RecordName {
    fn write(&self, out: &mut Vec<u8>) {
        // The variant's number: one little-endian u32 of four bytes, of which the last three are zero.
        out.extend(codec::encode(&self.kind).first());
        out.extend_from_slice(&self.id.0);
    }
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk()?;
        let kind = codec::decode(&[*kind, 0, 0, 0], 4).ok()?;
        Some((Self { kind, id: Digest(*id) }, rest))
    }
}

const MANIFEST: Prefix = Prefix::new(b'M', 1);

/// What a group says beside its events: on what it rests and what it lets go. It is part of the journal, so that recovery
/// tells a group whose records were not synced, and a rebuild knows what is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// All logs as the group found them.
    pub heads: Vec<LogHead>,
    /// Records that the group's events need, in the order written.
    pub records: Vec<RecordSum>,
    /// What nothing needs after the group.
    pub erases: Vec<Erase>,
}

/// A record by name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordSum {
    /// Its name.
    pub name: RecordName,
    /// Its length in bytes.
    pub len: u32,
    /// CRC-32C of its bytes.
    pub crc: u32,
}

impl RecordSum {
    pub(crate) fn of(name: RecordName, bytes: &[u8]) -> Self {
        Self { name, len: u32::try_from(bytes.len()).unwrap_or(u32::MAX), crc: crc32c::crc32c(bytes) }
    }
}

impl Manifest {
    /// Bytes that a record or erasure adds at most.
    pub(crate) const ENTRY_MAX: usize = 72;
    /// Bytes without any.
    pub(crate) const BASE_MAX: usize = 256;

    pub(crate) fn encode(&self) -> Vec<u8> {
        MANIFEST.encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        MANIFEST.decode(bytes, MANIFEST_MAX)
    }
}

/// Entries of a manifest after which a group takes no further command.
pub(crate) const MANIFEST_ENTRIES_SOFT: usize =
    (MANIFEST_MAX - Manifest::BASE_MAX) / Manifest::ENTRY_MAX - DECISION_RECORDS_MAX - DECISION_ERASES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Index as _, MemoryIndex, MemoryPlace};
    use crate::spool::{BodyName, RecordKind};

    #[test]
    fn manifest_entries_stay_below_their_bound() {
        let empty = Manifest::default().encode().len();
        let name = RecordName { kind: RecordKind::Body, id: Digest([1; 32]) };
        let body = BodyName {
            originator: "XA".parse().unwrap(),
            message: ncp_protocol::ids::MessageId([1; 16]),
            root: Digest([1; 32]),
        };
        let heads = [LogName::Traffic, LogName::Public].map(|log| LogHead { log, size: 1, root: Digest([1; 32]) });
        let with = |manifest: Manifest| manifest.encode().len() - empty;
        assert!(
            with(Manifest { records: vec![RecordSum::of(name, b"x")], ..Default::default() }) <= Manifest::ENTRY_MAX
        );
        assert!(with(Manifest { erases: vec![Erase::Body(body)], ..Default::default() }) <= Manifest::ENTRY_MAX);
        assert!(with(Manifest { heads: heads.to_vec(), ..Default::default() }) + empty <= Manifest::BASE_MAX);
    }

    #[test]
    fn record_names_survive_as_keys() {
        for kind in [RecordKind::Envelope, RecordKind::Body, RecordKind::Content, RecordKind::Checkpoint] {
            let name = RecordName { kind, id: Digest([7; 32]) };
            let mut key = Vec::new();
            name.write(&mut key);
            assert_eq!(key.len(), 33);
            assert_eq!(RecordName::read(&key), Some((name, &[][..])));
        }
        assert_eq!(RecordName::read(&[u8::MAX; 33]), None);
        assert_eq!(RecordName::read(&[0; 32]), None);
    }

    #[test]
    fn group_is_found_by_any_of_its_events() {
        let index = MemoryIndex::open(&MemoryPlace::default()).unwrap();
        let mut rows = Rows::default();
        for first in [0, 3, 300] {
            let place = GroupPlace { segment: 0, offset: 0, length: 0, first, count: 1 };
            put_group(&mut rows, &GroupRow { place, checkpoints: Vec::new() });
        }
        index.write(&rows.writes(), None).unwrap();
        for (sequence, first) in [(0, 0), (2, 0), (3, 3), (299, 3), (300, 300), (u64::MAX, 300)] {
            assert_eq!(group_of(&index, sequence).unwrap().unwrap().place.first, first);
        }
    }
}
