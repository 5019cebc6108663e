//! The store of a daemon: a data folder with journal, spool and index, behind one committer.
//!
//! ```text
//! let Running { handle, effects, thread } = Store::open(core, options)?.start()?;
//! let committed = handle.submit(Source::Local, Urgency::Routine, weight, command).await?;   // durable when it returns
//! let proof = handle.reader().evidence(log, index)?;                                        // synced state alone
//! handle.stop();  thread.join()                                                             // at the end
//! ```
//!
//! Whatever is returned rests on what the disk has synced. When the thread ends with an error, or a submission with
//! [`Stopped`](crate::committer::Stopped), the process exits; the next start recovers.

use std::io;
use std::path::PathBuf;

use ncp_protocol::ids::UnixMillis;
use thiserror::Error;

use crate::ahead;
use crate::ballast;
use crate::committer::{self, Running};
use crate::disk::RealDisk;
use crate::index::{RedbIndex, RedbPlace};
use crate::journal::JournalOptions;
use crate::lock::{DataFolder, LockError};
use crate::reader::Reader;
use crate::recovery::{self, EngineOptions, LogKey, OpenError, OpenReport, Opened};
use crate::spool::SpoolOptions;
use crate::state::Core;

/// How a store opens.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data folder; it exists and belongs to the daemon alone.
    pub folder: PathBuf,
    /// The daemon's logs with their keys: `node` for a node; `traffic` and `public` for the hub.
    pub logs: Vec<LogKey>,
    /// Now: the time of a log's first event, if this start writes it.
    pub now: UnixMillis,
}

/// Why a store does not open.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The data folder cannot be used: another process has it, or another version wrote it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Recovery stopped.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A store that has recovered and does not take commands yet.
pub struct Store<C: Core> {
    folder: DataFolder,
    opened: Opened<C, RealDisk, RedbIndex>,
}

impl<C: Core> Store<C> {
    /// Locks the data folder and recovers. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`StoreError`]. Nothing was deleted.
    pub fn open(core: C, options: StoreOptions) -> Result<Self, StoreError> {
        let folder = DataFolder::open(&options.folder)?;
        ahead::remove_leftovers(folder.disk()).map_err(OpenError::disk("removing segments that were made ahead"))?;
        ballast::before_start(folder.disk()).map_err(OpenError::disk("giving up the ballast"))?;
        let index = RedbPlace { folder: options.folder.join("index"), aside: options.folder.join("index.old") };
        let StoreOptions { logs, now, .. } = options;
        let (journal, spool) = (JournalOptions::default(), SpoolOptions::default());
        let opened = recovery::open(folder.disk().clone(), core, EngineOptions { index, logs, now, journal, spool })?;
        Ok(Self { folder, opened })
    }

    /// What recovery did.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.opened.report
    }

    /// Read access, before and after the start.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.opened.engine.reader()
    }

    /// Starts the committer. The data folder stays locked until its thread has ended.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(self) -> io::Result<Running<C>> {
        let Opened { engine, signed, .. } = self.opened;
        committer::start(engine, signed, self.folder)
    }
}
