//! A small core for tests of the store: messages with numbered notes, each note a record of the spool.

#![expect(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ncp_protocol::codes::Code;
use ncp_protocol::event::{Actor, Change, Event};
use ncp_protocol::ids::{Digest, Epoch, LogName, LogOrigin, MessageId, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::{SigningKey, VerifyingKey, sha256};
use ncp_store::disk::model::ModelDisk;
use ncp_store::disk::{Disk, read_file, replace_file};
use ncp_store::index::{MemoryIndex, MemoryPlace};
use ncp_store::journal::JournalOptions;
use ncp_store::recovery::{self, EngineOptions, LogKey, OpenError, Opened};
use ncp_store::spool::{BodyName, Record, RecordKind, RecordName, SpoolOptions};
use ncp_store::state::{Core, Decision, Erase, Placed, Rows, Table, Unreadable, View};

/// Notes of each message.
pub(crate) const NOTES: Table<(MessageId, u16), Digest> = Table::new(40);
/// Newest number of each message.
pub(crate) const COUNTS: Table<MessageId, u16> = Table::new(41);

const OWNER: ParticipantId = ParticipantId::HUB;

pub(crate) struct Toy;

#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Adds a note, with its record.
    Add { message: MessageId, content: Vec<u8>, salt: u64 },
    /// Adds as many events to a message, without records.
    Burst { message: MessageId, events: u16, salt: u64 },
    /// Removes all notes and their records.
    Erase { message: MessageId, salt: u64 },
    /// Lets a body go.
    Drop { body: BodyName, salt: u64 },
    /// Changes nothing.
    Look { message: MessageId },
    /// Breaks the core.
    Panic,
}

/// The count after the command.
pub(crate) type Reply = u16;

/// The message that changed.
pub(crate) type Effect = MessageId;

pub(crate) fn message(number: u8) -> MessageId {
    MessageId([number; 16])
}

pub(crate) fn add(number: u8, content: &[u8], salt: u64) -> Command {
    Command::Add { message: message(number), content: content.to_vec(), salt }
}

/// The record of a note: what `add` with this content and salt writes.
pub(crate) fn note_name(content: &[u8], salt: u64) -> RecordName {
    let mut seed = salt.to_be_bytes().to_vec();
    seed.extend_from_slice(content);
    // Content is of the class that is erased, the others are not.
    let kind = if salt.is_multiple_of(2) { RecordKind::Content } else { RecordKind::Envelope };
    RecordName { kind, id: sha256(&seed) }
}

fn event(log: LogName, salt: u64, number: u16, change: Change) -> Event {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&salt.to_be_bytes());
    bytes[8..10].copy_from_slice(&number.to_be_bytes());
    Event { log, time: UnixMillis(1_700_000_000_000 + salt), actor: Actor::Daemon, salt: bytes, change }
}

fn added(message: MessageId, task: u16, name: RecordName, salt: u64) -> Event {
    // A kind in the record's name cannot be told from the event; the log tells it: two logs, two kinds.
    let log = if name.kind == RecordKind::Content { LogName::Traffic } else { LogName::Public };
    event(log, salt, task, Change::ContributionAdded { originator: OWNER, message, task, record: name.id })
}

impl Core for Toy {
    type Command = Command;
    type Reply = Reply;
    type Effect = Effect;

    fn decide(&self, view: &dyn View, command: Command) -> Result<Decision<Reply, Effect>, Unreadable> {
        let count = |message| Ok(COUNTS.row(view, &message)?.unwrap_or(0));
        match command {
            Command::Look { message } => Ok(Decision::reply(count(message)?)),
            Command::Panic => panic!("a core with a bug"),
            Command::Add { message, content, salt } => {
                let reply = count(message)? + 1;
                let name = note_name(&content, salt);
                let events = vec![added(message, reply, name, salt)];
                let records = vec![Record { name, bytes: content }];
                Ok(Decision { events, records, erase: Vec::new(), reply, effects: vec![message] })
            }
            Command::Burst { message, events, salt } => {
                let first = count(message)?;
                let alerts = (1..=events).map(|number| {
                    let change =
                        Change::TaskAssigned { originator: OWNER, message, task: first + number, service: code() };
                    event(LogName::Traffic, salt, number, change)
                });
                let (events, reply) = (alerts.collect(), first + events);
                Ok(Decision { events, records: Vec::new(), erase: Vec::new(), reply, effects: vec![message] })
            }
            Command::Drop { body, salt } => {
                let BodyName { originator, message, .. } = body;
                let events = vec![event(LogName::Traffic, salt, 0, Change::BodyDropped { originator, message })];
                let (erase, reply) = (vec![Erase::Body(body)], count(message)?);
                Ok(Decision { events, records: Vec::new(), erase, reply, effects: vec![message] })
            }
            Command::Erase { message, salt } => {
                let mut erase = Vec::new();
                NOTES.scan(view, &message, |_, id| {
                    for kind in [RecordKind::Content, RecordKind::Envelope] {
                        erase.push(Erase::Record(RecordName { kind, id }));
                    }
                    ControlFlow::Continue(())
                })?;
                let events =
                    vec![event(LogName::Traffic, salt, 0, Change::ContentErased { originator: OWNER, message })];
                Ok(Decision { events, records: Vec::new(), erase, reply: count(message)?, effects: vec![message] })
            }
        }
    }

    fn apply(&self, view: &dyn View, placed: Placed<'_>, rows: &mut Rows) -> Result<(), Unreadable> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the toy knows four events")]
        match &placed.event.change {
            Change::ContributionAdded { message, task, record, .. } => {
                NOTES.put(rows, &(*message, *task), record);
                COUNTS.put(rows, message, task);
            }
            Change::TaskAssigned { message, .. } => {
                let count = COUNTS.row(view, message)?.unwrap_or(0);
                COUNTS.put(rows, message, &(count + 1));
            }
            Change::BodyDropped { message, .. } => {
                let count = COUNTS.row(view, message)?.unwrap_or(0);
                COUNTS.put(rows, message, &(count + 1));
            }
            Change::ContentErased { message, .. } => {
                let mut gone = Vec::new();
                NOTES.scan(view, message, |key, _| {
                    gone.push(key);
                    ControlFlow::Continue(())
                })?;
                gone.iter().for_each(|key| NOTES.remove(rows, key));
            }
            _ => {}
        }
        Ok(())
    }

    fn schema(&self) -> u32 {
        1
    }
}

fn code() -> Code {
    "police".parse().unwrap()
}

pub(crate) fn origin(log: LogName) -> LogOrigin {
    LogOrigin { network: NetworkId(Digest([7; 32])), participant: "HUB".parse().unwrap(), log, epoch: Epoch(1) }
}

fn key(log: LogName) -> SigningKey {
    SigningKey::from_seed(&[if log == LogName::Traffic { 1 } else { 2 }; 32])
}

pub(crate) fn verifying_key(log: LogName) -> VerifyingKey {
    key(log).verifying_key()
}

pub(crate) fn logs() -> Vec<LogKey> {
    let log = |name| LogKey { origin: origin(name), key: key(name), salt: [9; 16] };
    vec![log(LogName::Traffic), log(LogName::Public)]
}

pub(crate) fn options<P>(index: P) -> EngineOptions<P> {
    EngineOptions {
        index,
        logs: logs(),
        now: UnixMillis(1_700_000_000_000),
        // As short as they may be for the largest group and record, so that segments end within a test.
        journal: JournalOptions { segment_len: 4 << 20 },
        spool: SpoolOptions { passing: 256 << 10, lasting: 256 << 10, erasable: 256 << 10 },
    }
}

pub(crate) type ModelEngine = ncp_store::engine::Engine<Toy, ModelDisk, MemoryIndex>;
pub(crate) type ModelReader = ncp_store::reader::Reader<ModelDisk, MemoryIndex>;

pub(crate) type ModelOpened = Result<Opened<Toy, ModelDisk, MemoryIndex>, OpenError>;

pub(crate) fn open(disk: &ModelDisk, index: &MemoryPlace) -> ModelOpened {
    recovery::open(disk.clone(), Toy, options(index.clone()))
}

/// Opens with segments of the journal that hold four small groups: they close within a short life, and starts that read
/// them whole are quick.
pub(crate) fn open_short(disk: &ModelDisk, index: &MemoryPlace) -> ModelOpened {
    recovery::open(disk.clone(), Toy, short(options(index.clone())))
}

pub(crate) fn short<P>(options: EngineOptions<P>) -> EngineOptions<P> {
    with_segments(options, 16 << 10)
}

pub(crate) fn with_segments<P>(options: EngineOptions<P>, segment_len: u32) -> EngineOptions<P> {
    EngineOptions { journal: JournalOptions { segment_len }, ..options }
}

/// Commits all, a group for each slice.
pub(crate) fn commit(engine: &mut ModelEngine, groups: &[&[Command]]) -> Vec<Reply> {
    let mut replies = Vec::new();
    for group in groups {
        let outcomes = engine.commit(&mut group.iter().cloned()).unwrap();
        assert_eq!(outcomes.len(), group.len());
        replies.extend(outcomes.into_iter().map(|outcome| outcome.committed.reply));
    }
    replies
}

/// All rows of a view, without the trust row.
pub(crate) fn rows(view: &impl View) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    view.scan(&[1], &[255], &mut |key, value| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

/// Every file of a disk, sorted.
pub(crate) fn files(disk: &ModelDisk) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for name in disk.list(&folder).unwrap() {
            let path = folder.join(name);
            match disk.list(&path) {
                Ok(_) => folders.push(path),
                Err(_) => files.push(path),
            }
        }
    }
    files.sort();
    files
}

/// A disk of its own with the same files.
pub(crate) fn copy(disk: &ModelDisk) -> io::Result<ModelDisk> {
    let copy = ModelDisk::new();
    for file in files(disk) {
        let mut folder = PathBuf::new();
        for name in file.parent().into_iter().flat_map(Path::iter) {
            folder.push(name);
            copy.create_dir(&folder)?;
        }
        replace_file(&copy, &file, &read_file(disk, &file)?)?;
    }
    Ok(copy)
}
