//! The index as a `BTreeMap`: for the simulator and tests. It lives in its [`MemoryPlace`], so that what a daemon's index
//! does at a restart (survive, vanish, fall behind) can be chosen by whoever holds the place.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Index, TRUST_KEY, Trust, Writes};
use crate::state::{Unreadable, View, Visit};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// Where a [`MemoryIndex`] lives.
#[derive(Debug, Clone, Default)]
pub struct MemoryPlace(Arc<RwLock<Map>>);

impl MemoryPlace {
    /// A copy of all rows.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `rows` in the place of all that is there.
    pub fn replace(&self, rows: BTreeMap<Vec<u8>, Vec<u8>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rows;
    }
}

/// Rows in memory.
#[derive(Debug)]
pub struct MemoryIndex(MemoryPlace);

impl View for MemoryIndex {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.0.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        use core::ops::Bound::{Excluded, Included};
        if from >= to {
            return Ok(());
        }
        let map = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in map.range::<[u8], _>((Included(from), Excluded(to))) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Index for MemoryIndex {
    type Place = MemoryPlace;

    fn open(place: &MemoryPlace) -> Result<Self, Unreadable> {
        Ok(Self(place.clone()))
    }

    fn set_aside(place: &MemoryPlace) -> Result<(), Unreadable> {
        place.replace(Map::new());
        Ok(())
    }

    fn drop_aside(_: &MemoryPlace) -> Result<bool, Unreadable> {
        Ok(false)
    }

    fn write(&self, writes: &Writes<'_>, mut trust: Option<&mut Trust>) -> Result<(), Unreadable> {
        let mut map = self.0.0.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in writes.iter() {
            let old = match value {
                Some(value) => map.insert(key.to_vec(), value.to_vec()),
                None => map.remove(key),
            };
            if let Some(trust) = &mut trust {
                trust.tally.replace(key, old.as_deref(), value);
            }
        }
        if let Some(trust) = trust {
            map.insert(TRUST_KEY.to_vec(), trust.encode());
        }
        Ok(())
    }

    fn persist(&self) -> Result<(), Unreadable> {
        Ok(())
    }

    fn size_on_disk(&self) -> u64 {
        0
    }
}
