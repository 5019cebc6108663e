//! The index in redb, behind the journal: the reply path meets it only when it lags as far as it may.
//!
//! One table in one file. A transaction is not synced until [`persist`](Index::persist) syncs it with all before it, so
//! that following the journal costs no sync for each group; after a crash the index is as of the last one, and the start
//! replays the rest. Pages are held against their checksums when the file is opened, and not when they are read later.
//! Whatever redb says about a damaged file, error or panic, means one thing: set it aside, build anew.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{
    AccessGuard, Database, Durability, ReadOnlyTable, ReadableDatabase as _, TableDefinition, WriteTransaction,
};

use super::{Index, TRUST_KEY, Trust, Writes};
use crate::disk::is_full;
use crate::limits::INDEX_CACHE_BYTES;
use crate::state::{Unreadable, View, Visit};

/// Keys and values as the cores write them.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// The file within its folder.
const FILE: &str = "rows.redb";

/// Where a [`RedbIndex`] lives.
#[derive(Debug, Clone)]
pub struct RedbPlace {
    /// The index's folder.
    pub folder: PathBuf,
    /// Where a folder goes that is set aside. The one set aside before is removed: an index holds nothing of its own.
    pub aside: PathBuf,
}

/// Rows in one table of redb.
pub struct RedbIndex {
    db: Database,
    path: PathBuf,
    // As of the newest transaction: to open it for each look-up costs as much as the look-up.
    newest: RwLock<Arc<Rows>>,
}

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

fn newest(db: &Database) -> Result<Arc<Rows>, redb::Error> {
    Ok(Arc::new(db.begin_read()?.open_table(ROWS)?))
}

fn transact(
    db: &Database,
    durability: Durability,
    work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut transaction = db.begin_write()?;
    transaction.set_durability(durability)?;
    work(&transaction)?;
    Ok(transaction.commit()?)
}

impl RedbIndex {
    fn rows(&self) -> Arc<Rows> {
        Arc::clone(&self.newest.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn transact(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        transact(&self.db, durability, work)?;
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = newest(&self.db)?;
        Ok(())
    }

    fn create(place: &RedbPlace) -> Result<Self, redb::Error> {
        // An existing folder is fine.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&place.folder)?;
        let path = place.folder.join(FILE);
        let file =
            fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        let backend = FileBackend::new(file)?;
        let mut db = Database::builder().set_cache_size(INDEX_CACHE_BYTES).create_with_backend(backend)?;
        // Every page against its checksum: nothing that rotted is walked through.
        if !db.check_integrity()? {
            return Err(redb::Error::Corrupted("pages do not agree with their checksums".to_owned()));
        }
        transact(&db, Durability::Immediate, |transaction| {
            transaction.open_table(ROWS)?;
            Ok(())
        })?;
        let newest = RwLock::new(newest(&db)?);
        Ok(Self { db, path, newest })
    }
}

impl View for RedbIndex {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let get = || Ok(self.rows().get(key)?.map(|value| value.value().to_vec()));
        get().map_err(unreadable)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable> {
        let scan = |visit: &mut Visit<'_>| {
            if from >= to {
                return Ok(());
            }
            for pair in self.rows().range(from..to)? {
                let (key, value) = pair?;
                if visit(key.value(), value.value()).is_break() {
                    break;
                }
            }
            Ok(())
        };
        scan(visit).map_err(unreadable)
    }
}

impl Index for RedbIndex {
    type Place = RedbPlace;

    fn open(place: &RedbPlace) -> Result<Self, Unreadable> {
        match catch_unwind(AssertUnwindSafe(|| Self::create(place))) {
            Ok(opened) => opened.map_err(unreadable),
            Err(_) => Err(Unreadable::Damaged("redb panicked while opening".to_owned())),
        }
    }

    fn set_aside(place: &RedbPlace) -> Result<(), Unreadable> {
        move_aside(&place.folder, &place.aside).map_err(|error| Unreadable::Damaged(format!("set aside: {error}")))
    }

    fn drop_aside(place: &RedbPlace) -> Result<bool, Unreadable> {
        remove(&place.aside).map_err(|error| Unreadable::Damaged(format!("drop what was set aside: {error}")))
    }

    fn write(&self, writes: &Writes<'_>, mut trust: Option<&mut Trust>) -> Result<(), Unreadable> {
        let write = |transaction: &WriteTransaction| {
            let mut table = transaction.open_table(ROWS)?;
            for (key, value) in writes.iter() {
                let old = match value {
                    Some(value) => table.insert(key, value)?,
                    None => table.remove(key)?,
                };
                if let Some(trust) = &mut trust {
                    trust.tally.replace(key, old.as_ref().map(AccessGuard::value), value);
                }
            }
            if let Some(trust) = trust {
                table.insert(TRUST_KEY, trust.encode().as_slice())?;
            }
            Ok(())
        };
        self.transact(Durability::None, write).map_err(unreadable)
    }

    fn persist(&self) -> Result<(), Unreadable> {
        self.transact(Durability::Immediate, |_| Ok(())).map_err(unreadable)
    }

    fn size_on_disk(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

fn unreadable(error: redb::Error) -> Unreadable {
    if let redb::Error::Io(cause) = &error
        && is_full(cause)
    {
        return Unreadable::NoRoom;
    }
    Unreadable::Damaged(error.to_string())
}

// Not synced: a crash leaves the old name, and the next start decides again.
fn move_aside(folder: &Path, aside: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    remove(aside)?;
    fs::rename(folder, aside)
}

/// Says whether there was anything.
fn remove(path: &Path) -> io::Result<bool> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else if path.exists() {
        fs::remove_file(path)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}
