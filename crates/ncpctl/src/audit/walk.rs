//! The journal read group by group, each log grown leaf by leaf, each checkpoint compared with what the leaves lead to.

use std::collections::BTreeMap;

use ncp_api::{ErrorCode, Fault};
use ncp_protocol::checkpoint::SignedCheckpoint;
use ncp_protocol::event::{Change, Event};
use ncp_protocol::ids::{Digest, Epoch, LogName, LogOrigin};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::merkle::{Frontier, leaf_hash};
use ncp_store::journal::{self, Group, JournalError, JournalReader, LogNote};

use super::folder::Folder;
use crate::error::{Error, file};

/// An event with its places.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// Place in the journal.
    pub(crate) sequence: u64,
    /// Place in its log.
    pub(crate) index: u64,
    /// What happened.
    pub(crate) event: Event,
    /// Hash of the leaf.
    pub(crate) hash: Digest,
}

/// Who looks on while a journal is walked.
pub(crate) trait Visitor {
    /// The next event that stands in a log.
    fn leaf(&mut self, leaf: &Leaf);

    /// The group that was walked.
    fn group(&mut self, group: &Group);
}

/// A log as recomputed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Which log.
    pub(crate) log: LogName,
    /// Its origin.
    pub(crate) origin: LogOrigin,
    /// Leaves.
    pub(crate) size: u64,
    /// Root.
    pub(crate) root: Digest,
    /// Signed checkpoints that were compared.
    pub(crate) checkpoints: u64,
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Walked {
    /// The logs, as far as the journal could be read.
    pub(crate) heads: Vec<Head>,
    /// Events behind the newest signed checkpoint.
    pub(crate) newer: u64,
    /// What is wrong.
    pub(crate) findings: Vec<Fault>,
}

/// Reads everything up to the newest signed checkpoint.
///
/// # Errors
/// If the disk fails; damage is part of what is found.
pub(crate) fn walk(folder: &Folder, visitor: &mut dyn Visitor) -> Result<Walked, Error> {
    let until = folder.signed_until();
    let mut walk = Walk { folder, logs: BTreeMap::new(), grown: BTreeMap::new(), findings: Vec::new() };
    let mut reached = 0;
    for group in JournalReader::new(folder.disk.clone()).groups(0, until) {
        match group {
            Ok(group) => {
                reached = group.place.next();
                walk.group(&group, visitor);
                visitor.group(&group);
            }
            Err(JournalError::Io(error)) => return Err(file(folder.path(), &error)),
            Err(error @ (JournalError::Damaged(_) | JournalError::Missing(_))) => {
                walk.damaged(&error);
                break;
            }
        }
    }
    if reached >= until {
        walk.signed();
    }
    let newer = newer(folder, until)?;
    Ok(Walked { heads: walk.logs.into_values().map(Log::head).collect(), newer, findings: walk.findings })
}

/// Whole groups behind `until`: a daemon that runs, or was killed, may have written them since.
fn newer(folder: &Folder, until: u64) -> Result<u64, Error> {
    match journal::scan(&folder.disk, until, &mut |_| {}) {
        Ok(scan) => Ok(scan.next.saturating_sub(until)),
        Err(JournalError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(file(folder.path(), &error)),
    }
}

struct Walk<'a> {
    folder: &'a Folder,
    logs: BTreeMap<LogName, Log>,
    /// Heads of the logs that the newest group grew.
    grown: BTreeMap<LogName, (u64, Digest)>,
    findings: Vec<Fault>,
}

struct Log {
    origin: LogOrigin,
    key: Option<VerifyingKey>,
    frontier: Frontier,
    checkpoints: u64,
}

impl Log {
    fn head(self) -> Head {
        let Self { origin, frontier, checkpoints, .. } = self;
        Head { log: origin.log, origin, size: frontier.size(), root: frontier.root(), checkpoints }
    }
}

impl Walk<'_> {
    fn group(&mut self, group: &Group, visitor: &mut dyn Visitor) {
        self.compare(&group.previous, "the checkpoint in the journal");
        self.grown.clear();
        for (sequence, bytes) in (group.place.first..).zip(&group.events) {
            let Ok(event) = Event::decode(bytes) else {
                let reason = "it is no event of this version";
                self.findings.push(damaged_log(&self.folder.participant(), sequence, reason));
                continue;
            };
            if let Some(leaf) = self.leaf(sequence, bytes, event) {
                visitor.leaf(&leaf);
            }
        }
    }

    fn leaf(&mut self, sequence: u64, bytes: &[u8], event: Event) -> Option<Leaf> {
        let first = !self.logs.contains_key(&event.log);
        let mut fault = None;
        if let Change::LogOpened { origin, key, .. } = &event.change {
            let named = self.folder.entry().log_key(origin.log, origin.epoch);
            let own = origin.participant == self.folder.participant() && origin.network == self.folder.network();
            if !own || origin.log != event.log || named.map(VerifyingKey::id) != Some(*key) {
                fault = Some("it opens a log, or under a key, that the own entry does not name");
            }
            if first {
                self.open(*origin, named.copied());
            } else {
                fault = Some("it opens a log that is open");
            }
        } else if first {
            fault = Some("the log's first event does not open it");
            self.open(self.origin(event.log), None);
        }
        let log = self.logs.get_mut(&event.log)?;
        if let Change::Evidence(claim) = &event.change
            && (claim.origin != log.origin || log.key.is_none_or(|key| claim.key != key.id()))
        {
            fault = Some("it claims to stand in another log, or under another key");
        }
        let (index, hash) = (log.frontier.size(), leaf_hash(bytes));
        log.frontier.push(hash, |_, _, _| {});
        self.grown.insert(event.log, (log.frontier.size(), log.frontier.root()));
        if let Some(reason) = fault {
            self.findings.push(damaged_log(&log.origin, index, reason));
        }
        Some(Leaf { sequence, index, event, hash })
    }

    fn open(&mut self, origin: LogOrigin, key: Option<VerifyingKey>) {
        self.logs.insert(origin.log, Log { origin, key, frontier: Frontier::new(), checkpoints: 0 });
    }

    fn origin(&self, log: LogName) -> LogOrigin {
        let (network, participant) = (self.folder.network(), self.folder.participant());
        LogOrigin { network, participant, log, epoch: Epoch(1) }
    }

    /// Compares the checkpoints of the logs that the newest group grew; each must have one.
    fn compare(&mut self, notes: &[LogNote], which: &str) {
        for (name, (size, root)) in &self.grown {
            let Some(log) = self.logs.get_mut(name) else { continue };
            let note = notes.iter().find(|note| note.log == *name).map(|note| note.note.as_str());
            match judge(log, note, *size, root) {
                Ok(()) => log.checkpoints += 1,
                Err(Mismatch::Signature(reason)) => self.findings.push(
                    ErrorCode::CheckpointBad.with("origin", log.origin).with("reason", format!("{which}: {reason}")),
                ),
                Err(Mismatch::Head(reason)) => {
                    self.findings.push(damaged_log(&log.origin, size.saturating_sub(1), &format!("{which}: {reason}")));
                }
            }
        }
    }

    /// The file `signed` states the newest checkpoint of every log.
    fn signed(&mut self) {
        let Some(state) = &self.folder.signed else { return };
        self.grown = self.logs.iter().map(|(name, log)| (*name, (log.frontier.size(), log.frontier.root()))).collect();
        self.compare(&state.notes, "the newest signed checkpoint");
    }

    fn damaged(&mut self, error: &JournalError) {
        let fault = ErrorCode::StoreDamaged.with("folder", self.folder.path().display());
        self.findings.push(fault.with("reason", error));
    }
}

enum Mismatch {
    Signature(String),
    Head(String),
}

fn judge(log: &Log, note: Option<&str>, size: u64, root: &Digest) -> Result<(), Mismatch> {
    let note = note.ok_or_else(|| Mismatch::Signature("there is none".to_owned()))?;
    let key = log.key.ok_or_else(|| Mismatch::Signature("the own entry names no key for it".to_owned()))?;
    let signed =
        SignedCheckpoint::open(note, &log.origin, &key).map_err(|error| Mismatch::Signature(error.to_string()))?;
    let stated = signed.checkpoint();
    if stated.size != size {
        return Err(Mismatch::Head(format!("it states {} events, the journal has {size} there", stated.size)));
    }
    if stated.root != *root {
        return Err(Mismatch::Head("the events lead to another root".to_owned()));
    }
    Ok(())
}

fn damaged_log(origin: &dyn core::fmt::Display, index: u64, reason: &str) -> Fault {
    ErrorCode::LogDamaged.with("origin", origin).with("index", index).with("reason", reason)
}
