//! Whether the index is trusted, and from where the journal is replayed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ncp_protocol::event::Event;
use ncp_protocol::ids::LogName;
use ncp_protocol::merkle::{Frontier, leaf_hash};

use super::OpenError;
use crate::disk::Disk;
use crate::engine::Log;
use crate::index::{Index, LogHead, Tally, Trust};
use crate::journal::{JournalReader, LogNote};
use crate::levels::Levels;
use crate::limits::{INDEX_BLOAT_BYTES_MIN, INDEX_BLOAT_FACTOR};
use crate::state::Unreadable;
use crate::tables::{self, Manifest};

/// The state on which replay builds.
pub(super) struct Base<I> {
    pub index: I,
    pub trust: Trust,
    /// The logs as of `trust`.
    pub logs: BTreeMap<LogName, Log>,
    /// Checkpoints of the newest group applied.
    pub previous: Vec<LogNote>,
}

/// What opening the index gave.
pub(super) struct Start<I> {
    pub base: Base<I>,
    /// Why the index was not trusted.
    pub rebuilt: Option<String>,
    pub levels_rebuilt: Vec<LogName>,
}

/// Opens the index and decides whether to trust it; `next` is the sequence behind the journal's end.
pub(super) fn open_index<D: Disk, I: Index>(
    place: &I::Place,
    schema: (u32, u32),
    logs: BTreeMap<LogName, Log>,
    journal: &JournalReader<D>,
    levels: &Levels<D>,
    next: u64,
) -> Result<Start<I>, OpenError> {
    let mut levels_rebuilt = Vec::new();
    let reason = match examine::<I>(place, schema, next) {
        Ok((index, trust)) => {
            let logs = at_trust(&logs, &trust, journal, levels, &mut levels_rebuilt)?;
            match logs.map(|logs| (logs, previous(&index, &trust))) {
                Some((logs, Ok(previous))) => {
                    let base = Base { index, trust, logs, previous };
                    return Ok(Start { base, rebuilt: None, levels_rebuilt });
                }
                Some((_, Err(error))) => error.0,
                None => "it disagrees with the journal".to_owned(),
            }
        }
        Err(error) => error.0,
    };
    tracing::warn!(%reason, "the index is built anew");
    I::set_aside(place)?;
    let (index, trust) = (I::open(place)?, Trust::empty(schema));
    Ok(Start { base: Base { index, trust, logs, previous: Vec::new() }, rebuilt: Some(reason), levels_rebuilt })
}

/// Opens the index and holds its trust row against a full scan.
fn examine<I: Index>(place: &I::Place, schema: (u32, u32), next: u64) -> Result<(I, Trust), Unreadable> {
    // sled may panic over damage that it meets while reading, too.
    catch_unwind(AssertUnwindSafe(|| {
        let index = I::open(place)?;
        let tally = Tally::scan(&index)?;
        let trust = Trust::read(&index)?.unwrap_or_else(|| Trust::empty(schema));
        let live = tally.bytes.max(INDEX_BLOAT_BYTES_MIN / INDEX_BLOAT_FACTOR);
        let doubt = if trust.schema != schema {
            "its layout is another version's"
        } else if trust.tally != tally {
            "its rows do not add up"
        } else if trust.applied > next {
            "it is ahead of the journal"
        } else if index.size_on_disk() > live.saturating_mul(INDEX_BLOAT_FACTOR) {
            "it takes too much room on disk"
        } else {
            return Ok((index, trust));
        };
        Err(Unreadable(doubt.to_owned()))
    }))
    .unwrap_or_else(|_| Err(Unreadable("reading it panicked".to_owned())))
}

fn previous<I: Index>(index: &I, trust: &Trust) -> Result<Vec<LogNote>, Unreadable> {
    let Some(last) = trust.applied.checked_sub(1) else { return Ok(Vec::new()) };
    let group = tables::group_of(index, last)?.ok_or_else(|| Unreadable("it lacks its newest group".to_owned()))?;
    let note = |checkpoint: tables::GroupCheckpoint| LogNote { log: checkpoint.head.log, note: checkpoint.note };
    Ok(group.checkpoints.into_iter().map(note).collect())
}

/// The logs as `trust` has them, computed from the journal; `None` if the journal says otherwise. Level files that are
/// wrong at their edge are computed again, once.
fn at_trust<D: Disk>(
    logs: &BTreeMap<LogName, Log>,
    trust: &Trust,
    journal: &JournalReader<D>,
    levels: &Levels<D>,
    rebuilt: &mut Vec<LogName>,
) -> Result<Option<BTreeMap<LogName, Log>>, OpenError> {
    let Some(last) = trust.applied.checked_sub(1) else { return Ok(Some(logs.clone())) };
    let Some(group) = journal.groups(last, trust.applied).next().transpose()? else { return Ok(None) };
    let Ok(manifest) = Manifest::decode(&group.manifest) else { return Ok(None) };
    if group.place.next() != trust.applied {
        return Ok(None);
    }
    let mut known = BTreeMap::new();
    for (name, log) in logs {
        let before = head(&manifest.heads, *name);
        let mut frontier = match edge(levels, *name, before) {
            Some(frontier) => frontier,
            None => {
                rebuilt.push(*name);
                rebuild_levels(journal, levels, *name, trust.applied)?;
                let Some(frontier) = edge(levels, *name, before) else { return Ok(None) };
                frontier
            }
        };
        // The group's own leaves may not have reached the level files.
        grow(levels, *name, &mut frontier, group.events.iter())?;
        if head(&trust.heads, *name) != Some(LogHead { log: *name, size: frontier.size(), root: frontier.root() }) {
            return Ok(None);
        }
        known.insert(*name, Log { frontier, ..log.clone() });
    }
    Ok(Some(known))
}

fn head(heads: &[LogHead], log: LogName) -> Option<LogHead> {
    heads.iter().find(|head| head.log == log).copied()
}

/// The frontier of the level files at a size, if it leads to the root.
fn edge<D: Disk>(levels: &Levels<D>, log: LogName, head: Option<LogHead>) -> Option<Frontier> {
    let Some(head) = head else { return Some(Frontier::new()) };
    let frontier = Frontier::from_nodes(&levels.nodes(log), head.size).ok()?;
    (frontier.root() == head.root).then_some(frontier)
}

/// Appends those of `events` that are leaves of `log`.
fn grow<'a, D: Disk>(
    levels: &Levels<D>,
    log: LogName,
    frontier: &mut Frontier,
    events: impl Iterator<Item = &'a Vec<u8>>,
) -> Result<(), OpenError> {
    let mut nodes = Vec::new();
    for bytes in events.filter(|bytes| Event::decode(bytes).is_ok_and(|event| event.log == log)) {
        frontier.push(leaf_hash(bytes), |level, index, hash| nodes.push((level, index, hash)));
    }
    levels.write(log, &nodes).map_err(OpenError::disk("writing level files"))
}

/// Computes the level files of a log from the journal's events below `until`.
fn rebuild_levels<D: Disk>(
    journal: &JournalReader<D>,
    levels: &Levels<D>,
    log: LogName,
    until: u64,
) -> Result<(), OpenError> {
    tracing::warn!(%log, "level files are computed again");
    levels.clear(log).map_err(OpenError::disk("removing level files"))?;
    let mut frontier = Frontier::new();
    for group in journal.groups(0, until) {
        grow(levels, log, &mut frontier, group?.events.iter())?;
    }
    Ok(())
}
