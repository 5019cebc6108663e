//! One machine: a disk, an index and, while it lives, the store's engine over a core.
//!
//! Commands gather and are committed as one group; a commit that the disk fails ends the life, and the next start
//! recovers by the product's own code. What a life had in memory goes with it: the index falls back to what was flushed,
//! the file `signed` to what was written.

use std::collections::BTreeMap;

use ncp_protocol::ids::{ParticipantId, UnixMillis};
use ncp_store::disk::model::{Cut, ModelDisk};
use ncp_store::engine::{Engine, Fatal, Outcome};
use ncp_store::held::Held;
use ncp_store::index::{MemoryIndex, MemoryPlace};
use ncp_store::journal::{self, JournalOptions};
use ncp_store::reader::Reader;
use ncp_store::recovery::{self, EngineOptions, LogKey, OpenError, OpenReport};
use ncp_store::signed::Signed;
use ncp_store::spool::SpoolOptions;
use ncp_store::state::Core;

use crate::chance::Chance;
use crate::disk::{SimDisk, Syncs};

/// Read access to a machine's store.
pub type SimReader = Reader<SimDisk, MemoryIndex>;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// How a start recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// As the product does.
    AsBuilt,
    /// After the last whole group was taken for a torn one.
    CutsTooMuch,
}

/// A machine.
pub struct Machine<C: Core + Clone> {
    /// Whose.
    pub name: ParticipantId,
    /// How far its wall clock is ahead of the true one.
    pub ahead_ms: u64,
    /// Numbers its lives, from 1.
    pub life: u64,
    model: ModelDisk,
    syncs: Syncs,
    recovery: Recovery,
    place: MemoryPlace,
    flushed: Rows,
    logs: Vec<LogKey>,
    core: C,
    running: Option<Running<C>>,
}

/// What a life has in memory.
pub struct Running<C: Core> {
    /// The engine.
    pub engine: Engine<C, SimDisk, MemoryIndex>,
    /// Read access.
    pub reader: SimReader,
    /// Newest checkpoints of others.
    pub held: Held<SimDisk>,
    /// The disk.
    pub disk: SimDisk,
    signed: Signed<SimDisk>,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process alone.
    Killed,
    /// The power is cut: of what was not synced each sector is there or not.
    Power(u64),
    /// The power is cut, and nothing that was not synced is left.
    PowerAllLost,
}

impl<C: Core + Clone> Machine<C> {
    /// A machine that was never started.
    #[must_use]
    pub fn new(name: ParticipantId, core: C, logs: Vec<LogKey>, ahead_ms: u64) -> Self {
        Self {
            name,
            ahead_ms,
            life: 0,
            model: ModelDisk::new(),
            syncs: Syncs::AtOnce,
            recovery: Recovery::AsBuilt,
            place: MemoryPlace::default(),
            flushed: Rows::new(),
            logs,
            core,
            running: None,
        }
    }

    /// With these defects.
    #[must_use]
    pub fn with(mut self, syncs: Syncs, recovery: Recovery) -> Self {
        (self.syncs, self.recovery) = (syncs, recovery);
        self
    }

    /// The running life, if there is one.
    pub fn running(&mut self) -> Option<&mut Running<C>> {
        self.running.as_mut()
    }

    /// Read access, while it runs.
    #[must_use]
    pub fn reader(&self) -> Option<&SimReader> {
        self.running.as_ref().map(|running| &running.reader)
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// The model of its disk.
    #[must_use]
    pub fn model(&self) -> &ModelDisk {
        &self.model
    }

    /// Starts: recovers what the disk has.
    ///
    /// # Errors
    /// [`OpenError`] if recovery stops.
    pub fn start(&mut self, now: UnixMillis) -> Result<OpenReport, OpenError> {
        self.life += 1;
        let disk = SimDisk::new(self.model.clone(), self.syncs);
        if self.recovery == Recovery::CutsTooMuch {
            cut_last_group(&disk);
        }
        let opened = recovery::open(disk.clone(), self.core.clone(), options(self.place.clone(), &self.logs, now))?;
        let held = Held::open(disk.clone())
            .map_err(|error| OpenError::Disk { doing: "reading the file held", cause: std::io::Error::other(error) })?;
        let reader = opened.engine.reader();
        self.running = Some(Running { engine: opened.engine, reader, held, disk, signed: opened.signed });
        Ok(opened.report)
    }

    /// Ends the life, if there is one, as `end` says; what the next start finds follows from it and from `chance`.
    pub fn stop(&mut self, end: End, chance: &mut Chance) {
        self.running = None;
        let cut = match end {
            End::Killed => Cut::Killed,
            End::Power(seed) => Cut::Torn(seed),
            End::PowerAllLost => Cut::Lost,
        };
        self.model = self.model.reopen(cut);
        match (end, chance.below(8)) {
            // The index of a process that was killed is as far as it had written it.
            (End::Killed, 0..4) => {}
            (_, 7) => self.place.replace(Rows::new()),
            _ => self.place.replace(self.flushed.clone()),
        }
    }

    /// What the index would be after a start from the journal alone; the disk itself is left as it is.
    ///
    /// # Errors
    /// [`OpenError`] if such a start stops.
    pub fn rebuilt(&self, now: UnixMillis) -> Result<Rows, OpenError> {
        let disk = SimDisk::new(self.model.fork().reopen(Cut::Killed), Syncs::AtOnce);
        let place = MemoryPlace::default();
        recovery::open::<_, _, MemoryIndex>(disk, self.core.clone(), options(place.clone(), &self.logs, now))?;
        Ok(place.rows())
    }

    /// All rows of the live index, once it holds everything.
    ///
    /// # Errors
    /// [`Fatal`].
    pub fn live_rows(&mut self) -> Result<Rows, Fatal> {
        if let Some(running) = &mut self.running {
            running.engine.apply()?;
        }
        Ok(self.place.rows())
    }

    /// Has commands decided and made durable, as groups.
    ///
    /// # Errors
    /// [`Fatal`]: the life is to end.
    pub fn commit(&mut self, commands: Vec<C::Command>, chance: &mut Chance) -> Result<Vec<Outcome<C>>, Fatal> {
        let Some(running) = &mut self.running else { return Err(Fatal::Poisoned) };
        let (mut commands, mut outcomes) = (commands.into_iter().peekable(), Vec::new());
        while commands.peek().is_some() {
            // A group may be short: commands come when they come.
            let most = usize::try_from(chance.between(1, 24)).unwrap_or(1);
            let mut group = commands.by_ref().take(most);
            outcomes.extend(running.engine.commit(&mut group)?);
            // The index lags behind, and never so far that the engine would wait for it.
            if chance.below(4) == 0 || running.engine.projection().lag() > 4 {
                running.engine.apply()?;
            }
            if chance.below(8) == 0 {
                self.flushed = self.place.rows();
            }
        }
        Ok(outcomes)
    }

    /// What the store's other threads do: the file `signed`, the index and the file `held` a moment behind, segments ahead.
    ///
    /// # Errors
    /// [`Fatal`]: the life is to end.
    pub fn settle(&mut self) -> Result<(), Fatal> {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.engine.write_signed(&mut running.signed)?;
        running.engine.apply()?;
        running.engine.make_ahead()?;
        // What cannot be written now is tried again: nothing rests on it.
        let _ = running.held.write();
        Ok(())
    }

    /// Takes a snapshot of the index.
    ///
    /// # Errors
    /// [`Fatal`]: the life is to end.
    pub fn snapshot(&mut self) -> Result<(), Fatal> {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.engine.apply()?;
        running.engine.take_snapshot().map(|_| ())
    }
}

/// Small segments, so that a run closes several.
fn options(index: MemoryPlace, logs: &[LogKey], now: UnixMillis) -> EngineOptions<MemoryPlace> {
    EngineOptions {
        index,
        logs: logs.to_vec(),
        now,
        journal: JournalOptions { segment_len: 256 << 10 },
        spool: SpoolOptions { passing: 256 << 10, lasting: 256 << 10, erasable: 256 << 10 },
    }
}

/// Takes the last whole group off the journal, as a recovery with a wrong idea of a torn end would.
fn cut_last_group(disk: &SimDisk) {
    let mut last = None;
    if let Ok(scan) = journal::scan(disk, 0, &mut |group| last = Some(group.place.first))
        && let Some(first) = last.filter(|first| *first > 0)
    {
        // A journal that cannot be cut so is left as it is.
        let _ = journal::cut(disk, &scan, first);
    }
}
