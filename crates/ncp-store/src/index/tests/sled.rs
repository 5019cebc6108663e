//! The index in sled 0.34.7: another's tree over the same rows, to hold redb's answers against.

use std::path::PathBuf;

use crate::index::{Index, TRUST_KEY, Trust, Writes};
use crate::state::{Unreadable, View, Visit};

/// Rows in sled's default tree.
pub(super) struct SledIndex(sled::Db);

impl View for SledIndex {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.0.get(key).map_err(unreadable)?.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        if from >= to {
            return Ok(());
        }
        for pair in self.0.range(from..to) {
            let (key, value) = pair.map_err(unreadable)?;
            if visit(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Index for SledIndex {
    type Place = PathBuf;

    fn open(place: &PathBuf) -> Result<Self, Unreadable> {
        sled::Config::new().path(place).open().map(Self).map_err(unreadable)
    }

    fn set_aside(place: &PathBuf) -> Result<(), Unreadable> {
        std::fs::remove_dir_all(place).map_err(|error| Unreadable::Damaged(error.to_string()))
    }

    fn drop_aside(_: &PathBuf) -> Result<bool, Unreadable> {
        Ok(false)
    }

    fn write(&self, writes: &Writes<'_>, mut trust: Option<&mut Trust>) -> Result<(), Unreadable> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes.iter() {
            if let Some(trust) = &mut trust {
                trust.tally.replace(key, self.row(key)?.as_deref(), value);
            }
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        if let Some(trust) = trust {
            batch.insert(TRUST_KEY, trust.encode());
        }
        self.0.apply_batch(batch).map_err(unreadable)
    }

    fn persist(&self) -> Result<(), Unreadable> {
        // Its flush does not sync; nothing here outlives a test.
        Ok(())
    }

    fn size_on_disk(&self) -> u64 {
        self.0.size_on_disk().unwrap_or(0)
    }
}

fn unreadable(error: sled::Error) -> Unreadable {
    Unreadable::Damaged(error.to_string())
}
