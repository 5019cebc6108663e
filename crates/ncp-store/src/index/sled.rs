//! The index in sled 0.34.7, behind the journal and never in the reply path.
//!
//! sled's own promises are not used: its `flush` does not reach the disk on Linux, and a crash can leave files that it
//! refuses or panics over. So every error and every panic while opening means one thing: set it aside, build anew.
//! Values stay below [`ROW_MAX`](crate::state::ROW_MAX), which keeps sled from its unsynced `blobs` folder.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::Index;
use crate::limits::INDEX_CACHE_BYTES;
use crate::state::{Rows, Unreadable, View, Visit};

/// Where a [`SledIndex`] lives.
#[derive(Debug, Clone)]
pub struct SledPlace {
    /// The index's folder.
    pub folder: PathBuf,
    /// Where a folder goes that is set aside. The one set aside before is removed: an index holds nothing of its own.
    pub aside: PathBuf,
}

/// Rows in sled's default tree.
pub struct SledIndex {
    db: sled::Db,
}

impl View for SledIndex {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.db.get(key).map_err(|e| unreadable(&e))?.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        if from >= to {
            return Ok(());
        }
        for pair in self.db.range(from..to) {
            let (key, value) = pair.map_err(|e| unreadable(&e))?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Index for SledIndex {
    type Place = SledPlace;

    fn open(place: &SledPlace) -> Result<Self, Unreadable> {
        let config = sled::Config::new()
            .path(&place.folder)
            .cache_capacity(INDEX_CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            .flush_every_ms(Some(500));
        // sled panics on some damaged files instead of returning an error; nothing of ours is in its hands yet.
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => Ok(Self { db }),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(_) => Err(Unreadable("sled panicked while opening".to_owned())),
        }
    }

    fn set_aside(place: &SledPlace) -> Result<(), Unreadable> {
        move_aside(&place.folder, &place.aside).map_err(|error| Unreadable(format!("set aside: {error}")))
    }

    fn write(&self, rows: &Rows) -> Result<(), Unreadable> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows.iter() {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(|e| unreadable(&e))
    }

    fn size_on_disk(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

fn unreadable(error: &sled::Error) -> Unreadable {
    Unreadable(error.to_string())
}

// Not synced: a crash leaves the old name, and the next start decides again.
fn move_aside(folder: &Path, aside: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    if aside.is_dir() {
        fs::remove_dir_all(aside)?;
    } else if aside.exists() {
        fs::remove_file(aside)?;
    }
    fs::rename(folder, aside)
}
