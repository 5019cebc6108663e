//! Whether the index is trusted, which snapshot serves if it is not, and from where the journal is replayed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::sync_channel;
use std::thread;

use ncp_protocol::event::Event;
use ncp_protocol::ids::LogName;
use ncp_protocol::merkle::{Frontier, leaf_hash};

use super::OpenError;
use crate::disk::{Disk, OpenMode};
use crate::engine::Log;
use crate::index::{Index, LogHead, TRUST_KEY, Tally, Trust, Writes};
use crate::journal::{Gap, JournalError, JournalReader, LogNote};
use crate::levels::Levels;
use crate::limits::{INDEX_BLOAT_BYTES_MIN, INDEX_BLOAT_FACTOR, SNAPSHOT_LOAD_BYTES};
use crate::snapshot::{self, LoadError, Summary};
use crate::state::{Rows, Unreadable};
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
    /// The snapshot that was loaded in its place.
    pub loaded: Option<u64>,
    /// Snapshots that were moved aside.
    pub rejected: Vec<u64>,
    pub levels_rebuilt: Vec<LogName>,
    /// The snapshot from whose edge level files were computed, the journal being damaged below it.
    pub anchor: Option<Summary>,
}

/// What a start has before it.
pub(super) struct Ground<'a, D: Disk> {
    pub disk: &'a D,
    pub journal: &'a JournalReader<D>,
    pub levels: &'a Levels<D>,
    pub schema: (u32, u32),
    /// The daemon's logs, empty.
    pub logs: &'a BTreeMap<LogName, Log>,
    /// Sequence behind the journal's end.
    pub next: u64,
    /// What its closed segments lack.
    pub gaps: &'a [Gap],
}

/// Opens the index, or makes one from the newest good snapshot or from nothing.
pub(super) fn open_index<D: Disk, I: Index>(place: &I::Place, ground: &Ground<'_, D>) -> Result<Start<I>, OpenError> {
    let mut rejected = Vec::new();
    let judged = examine::<I>(place, ground.schema);
    if let Ok((_, Trust { applied: known, .. })) = &judged
        && *known > ground.next
    {
        // What it knows stays where it is: it is the proof that the journal was cut.
        return Err(OpenError::JournalBehindIndex { has: ground.next, known: *known });
    }
    ground.reject_ahead(&mut rejected)?;
    let is_needed = !ground.gaps.is_empty() || judged.as_ref().map_or(true, |(_, trust)| trust.applied == 0);
    let good = if is_needed { ground.newest_good(&mut rejected)? } else { None };
    ground.bear_gaps(good.as_ref())?;
    let mut edges = Edges { ground, good: good.as_ref(), rebuilt: Vec::new(), anchored: false };
    let mut reason = None;
    match judged {
        Ok((index, trust)) if trust.applied == 0 && good.is_some() => drop(index),
        Ok((index, trust)) => match edges.base(index, trust)? {
            Ok(base) => return Ok(edges.start(base, rejected)),
            Err(doubt) => reason = Some(doubt),
        },
        // Making it anew would need more room still.
        Err(error @ Unreadable::NoRoom) => return Err(error.into()),
        Err(Unreadable::Damaged(why)) => reason = Some(why),
    }
    if let Some(reason) = &reason {
        tracing::warn!(%reason, "the index is built anew");
    }
    I::set_aside(place)?;
    let base = match &good {
        Some(summary) => load(place, ground, summary, &mut edges)?,
        None => {
            let trust = Trust::empty(ground.schema);
            Base { index: I::open(place)?, trust, logs: ground.logs.clone(), previous: Vec::new() }
        }
    };
    let loaded = good.as_ref().map(|summary| summary.applied);
    Ok(Start { rebuilt: reason, loaded, ..edges.start(base, rejected) })
}

impl<D: Disk> Ground<'_, D> {
    /// No crash leaves a snapshot that knows more than the journal: one that is whole stays, as the proof that the journal
    /// was cut, and stops the start. One that is damaged proves nothing and is moved aside.
    fn reject_ahead(&self, rejected: &mut Vec<u64>) -> Result<(), OpenError> {
        for applied in self.snapshots()?.into_iter().filter(|applied| *applied > self.next) {
            match snapshot::verify(self.disk, applied) {
                Err(error @ (LoadError::Damaged(_) | LoadError::Taker(_))) => {
                    self.reject(applied, &error.to_string(), rejected)?;
                }
                // Also what cannot be read is never taken for nothing.
                Ok(_) | Err(LoadError::Io(_)) => {
                    return Err(OpenError::JournalBehindSnapshot { has: self.next, known: applied });
                }
            }
        }
        Ok(())
    }

    /// The newest snapshot that is whole and of this journal and layout; those that are not whole or of another journal are
    /// moved aside.
    fn newest_good(&self, rejected: &mut Vec<u64>) -> Result<Option<Summary>, OpenError> {
        let logs: Vec<_> = self.logs.values().map(|log| (log.origin, log.key.verifying_key())).collect();
        for applied in self.snapshots()?.into_iter().rev() {
            let summary = match snapshot::verify(self.disk, applied) {
                Ok(summary) if summary.schema != self.schema => continue,
                Ok(summary) => summary,
                Err(error @ LoadError::Io(_)) => {
                    // It may be whole: it stays, and another serves.
                    tracing::error!(applied, %error, "a snapshot of the index cannot be read");
                    continue;
                }
                Err(error @ (LoadError::Damaged(_) | LoadError::Taker(_))) => {
                    self.reject(applied, &error.to_string(), rejected)?;
                    continue;
                }
            };
            match summary.disagrees(self.journal, &logs, self.next)? {
                None => return Ok(Some(summary)),
                Some(why) => self.reject(applied, why, rejected)?,
            }
        }
        Ok(None)
    }

    fn snapshots(&self) -> Result<Vec<u64>, OpenError> {
        snapshot::list(self.disk).map_err(OpenError::disk("looking for snapshots"))
    }

    fn reject(&self, applied: u64, why: &str, rejected: &mut Vec<u64>) -> Result<(), OpenError> {
        tracing::error!(applied, why, "a snapshot of the index is moved to corrupt/");
        rejected.push(applied);
        snapshot::reject(self.disk, applied).map_err(OpenError::disk("moving a snapshot aside"))
    }

    /// Computes the level files of a log from the journal's events below `until`.
    pub(super) fn compute_levels(&self, log: LogName, until: u64) -> Result<(), OpenError> {
        self.levels.clear(log).map_err(OpenError::disk("removing level files"))?;
        self.compute(log, Frontier::new(), 0, until)
    }

    /// Writes the nodes of the events from `from` up to `until`, the log being `frontier` before them.
    fn compute(&self, log: LogName, mut frontier: Frontier, from: u64, until: u64) -> Result<(), OpenError> {
        for group in self.journal.groups(from, until) {
            grow(self.levels, log, &mut frontier, group?.events.iter())?;
        }
        Ok(())
    }

    /// Damage of the journal below a good snapshot costs the events there and nothing else; any other stops the start.
    fn bear_gaps(&self, good: Option<&Summary>) -> Result<(), OpenError> {
        for Gap { at, from, until } in self.gaps {
            if good.is_none_or(|good| good.applied < *until) {
                return Err(JournalError::Damaged(*at).into());
            }
            tracing::error!(
                segment = format!("{:016x}", at.segment),
                offset = at.offset,
                from,
                until,
                "THE JOURNAL IS DAMAGED: events cannot be read any more. A snapshot covers them, so service goes on; \
                 restore this segment from the backup"
            );
        }
        Ok(())
    }
}

/// Opens the index and holds its trust row against a full scan.
fn examine<I: Index>(place: &I::Place, schema: (u32, u32)) -> Result<(I, Trust), Unreadable> {
    // An index may panic over damage that it meets while reading, too.
    catch_unwind(AssertUnwindSafe(|| {
        let index = I::open(place)?;
        let tally = Tally::scan(&index)?;
        let trust = Trust::read(&index)?.unwrap_or_else(|| Trust::empty(schema));
        let live = tally.bytes.max(INDEX_BLOAT_BYTES_MIN / INDEX_BLOAT_FACTOR);
        let doubt = if trust.schema != schema {
            "its layout is another version's"
        } else if trust.tally != tally {
            "its rows do not add up"
        } else if index.size_on_disk() > live.saturating_mul(INDEX_BLOAT_FACTOR) {
            "it takes too much room on disk"
        } else {
            return Ok((index, trust));
        };
        Err(Unreadable::Damaged(doubt.to_owned()))
    }))
    .unwrap_or_else(|_| Err(Unreadable::Damaged("reading it panicked".to_owned())))
}

/// Fills a new index from a snapshot. A crash leaves rows without a trust row, which no start trusts.
fn load<D: Disk, I: Index>(
    place: &I::Place,
    ground: &Ground<'_, D>,
    summary: &Summary,
    edges: &mut Edges<'_, D>,
) -> Result<Base<I>, OpenError> {
    let file = ground.disk.open(&snapshot::path(summary.applied), OpenMode::Read);
    let file = file.map_err(OpenError::disk("opening a snapshot"))?;
    let index = I::open(place)?;
    let loaded = thread::scope(|scope| {
        // Read and written at the same time.
        let (stretches, waiting) = sync_channel::<Rows>(1);
        let index = &index;
        let write = move || waiting.iter().try_for_each(|rows| index.write(&rows.writes(), None));
        let writer = thread::Builder::new().name("load".to_owned()).spawn_scoped(scope, write);
        let writer =
            writer.map_err(|error| LoadError::Taker(Unreadable::Damaged(format!("no thread to write it: {error}"))))?;
        let (mut rows, mut bytes) = (Rows::default(), 0);
        let loaded = snapshot::load(&file, summary.applied, &mut |key, value| {
            bytes += key.len() + value.len();
            rows.put(key.to_vec(), value.to_vec());
            if bytes >= SNAPSHOT_LOAD_BYTES {
                bytes = 0;
                // A writer that has failed tells below.
                let _ = stretches.send(core::mem::take(&mut rows));
            }
            Ok(())
        });
        let _ = stretches.send(rows);
        drop(stretches);
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(LoadError::Taker)?;
        loaded
    });
    match loaded {
        Ok(again) if again == *summary => {}
        // It was whole a moment ago.
        Ok(_) => return Err(OpenError::disk("reading a snapshot")(std::io::ErrorKind::InvalidData.into())),
        Err(LoadError::Taker(error)) => return Err(error.into()),
        Err(error @ (LoadError::Io(_) | LoadError::Damaged(_))) => {
            return Err(OpenError::disk("reading a snapshot")(std::io::Error::other(error)));
        }
    }
    let heads = summary.heads().unwrap_or_default();
    let trust = Trust { applied: summary.applied, heads, schema: summary.schema, tally: summary.tally };
    let row = trust.encode();
    index.write(&Writes::from_iter([(TRUST_KEY, Some(row.as_slice()))]), None)?;
    index.persist()?;
    let mut logs = BTreeMap::new();
    for (name, log) in ground.logs {
        let frontier = edges.at(*name, head(&trust.heads, *name), trust.applied)?;
        let frontier = frontier.or_else(|| summary.edge(*name)?.frontier()).unwrap_or_default();
        logs.insert(*name, Log { frontier, ..log.clone() });
    }
    tracing::warn!(applied = summary.applied, rows = summary.tally.rows, "the index was loaded from a snapshot");
    Ok(Base { index, trust, logs, previous: summary.notes.clone() })
}

/// The edges of the logs' trees, from level files that are computed again where they are wrong.
struct Edges<'a, D: Disk> {
    ground: &'a Ground<'a, D>,
    good: Option<&'a Summary>,
    rebuilt: Vec<LogName>,
    anchored: bool,
}

impl<D: Disk> Edges<'_, D> {
    fn start<I>(self, base: Base<I>, rejected: Vec<u64>) -> Start<I> {
        let anchor = self.good.filter(|_| self.anchored).cloned();
        Start { base, rebuilt: None, loaded: None, rejected, levels_rebuilt: self.rebuilt, anchor }
    }

    /// An index that adds up as the base of a replay, or why the journal says otherwise.
    fn base<I: Index>(&mut self, index: I, trust: Trust) -> Result<Result<Base<I>, String>, OpenError> {
        if self.ground.gaps.iter().any(|gap| gap.until > trust.applied) {
            return Ok(Err("the journal is damaged behind it".to_owned()));
        }
        let Some(logs) = self.at_trust(&trust)? else {
            return Ok(Err("it disagrees with the journal".to_owned()));
        };
        let previous = match previous(&index, &trust) {
            Ok(previous) => previous,
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(Ok(Base { index, trust, logs, previous }))
    }

    /// The logs as `trust` has them, computed from the journal; `None` if the journal says otherwise. Level files that are
    /// wrong at their edge are computed again, once.
    fn at_trust(&mut self, trust: &Trust) -> Result<Option<BTreeMap<LogName, Log>>, OpenError> {
        let Ground { journal, levels, logs, gaps, .. } = self.ground;
        let Some(last) = trust.applied.checked_sub(1) else { return Ok(Some((*logs).clone())) };
        let group = match journal.groups(last, trust.applied).next().transpose() {
            Ok(Some(group)) => group,
            Ok(None) => return Ok(None),
            // It lies in a gap.
            Err(JournalError::Damaged(_) | JournalError::Missing(_)) if !gaps.is_empty() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Ok(manifest) = Manifest::decode(&group.manifest) else { return Ok(None) };
        if group.place.next() != trust.applied {
            return Ok(None);
        }
        let mut known = BTreeMap::new();
        for (name, log) in *logs {
            let before = head(&manifest.heads, *name);
            let Some(mut frontier) = self.at(*name, before, group.place.first)? else { return Ok(None) };
            // The group's own leaves may not have reached the level files.
            grow(levels, *name, &mut frontier, group.events.iter())?;
            if head(&trust.heads, *name) != Some(LogHead { log: *name, size: frontier.size(), root: frontier.root() }) {
                return Ok(None);
            }
            known.insert(*name, Log { frontier, ..log.clone() });
        }
        Ok(Some(known))
    }

    /// The frontier of a log as of sequence `until`, if what is stored leads to `head`.
    fn at(&mut self, log: LogName, head: Option<LogHead>, until: u64) -> Result<Option<Frontier>, OpenError> {
        let levels = self.ground.levels;
        if let Some(frontier) = edge(levels, log, head) {
            return Ok(Some(frontier));
        }
        self.rebuilt.push(log);
        tracing::warn!(%log, "level files are computed again");
        if self.ground.gaps.is_empty() {
            self.ground.compute_levels(log, until)?;
            return Ok(edge(levels, log, head));
        }
        // What is below the snapshot cannot be computed; what may still be right there stays.
        let Some(summary) = self.good.filter(|good| good.applied <= until) else { return Ok(None) };
        let Some((edge_there, frontier)) = summary.edge(log).and_then(|edge| Some((edge, edge.frontier()?))) else {
            return Ok(None);
        };
        self.anchored = true;
        levels.write(log, &edge_there.subtrees).map_err(OpenError::disk("writing level files"))?;
        self.ground.compute(log, frontier, summary.applied, until)?;
        Ok(edge(levels, log, head))
    }
}

fn previous<I: Index>(index: &I, trust: &Trust) -> Result<Vec<LogNote>, Unreadable> {
    let Some(last) = trust.applied.checked_sub(1) else { return Ok(Vec::new()) };
    let group =
        tables::group_of(index, last)?.ok_or_else(|| Unreadable::Damaged("it lacks its newest group".to_owned()))?;
    let note = |checkpoint: tables::GroupCheckpoint| LogNote { log: checkpoint.head.log, note: checkpoint.note };
    Ok(group.checkpoints.into_iter().map(note).collect())
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
