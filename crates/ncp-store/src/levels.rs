//! Hashes of complete subtrees: `levels/<log>/<level>`, 32 bytes each, node `i` of its level at byte `32 · i`.
//!
//! Never synced and never trusted: whoever makes a proof of them checks it against a signed root, and a file that is short,
//! stale or damaged is computed again from the journal. A hole that a power cut left reads as zeros and is an error, not
//! a hash.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ncp_protocol::ids::{Digest, LogName};
use ncp_protocol::merkle::{Nodes, node_hash};

use crate::disk::{Disk, DiskFile, OpenMode, exists, io_damaged, read_exact_at};

/// The folder of level files.
pub const FOLDER: &str = "levels";

const HASH_LEN: usize = 32;

/// Level files of all logs. Clones share them: one writes, others read.
pub struct Levels<D: Disk> {
    disk: D,
    files: Arc<Mutex<Files<D>>>,
}

type Files<D> = BTreeMap<(LogName, u8), Arc<<D as Disk>::File>>;

impl<D: Disk> Clone for Levels<D> {
    fn clone(&self) -> Self {
        Self { disk: self.disk.clone(), files: Arc::clone(&self.files) }
    }
}

impl<D: Disk> fmt::Debug for Levels<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levels").finish_non_exhaustive()
    }
}

impl<D: Disk> Levels<D> {
    /// Opens the folder, making it if there is none.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn open(disk: D) -> io::Result<Self> {
        disk.create_dir(Path::new(FOLDER))?;
        Ok(Self { disk, files: Arc::default() })
    }

    /// Writes nodes (level, index, hash) as [`ncp_protocol::merkle::Frontier::push`] completes them. Nothing is synced: a
    /// crash leaves any part of them.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn write(&self, log: LogName, nodes: &[(u8, u64, Digest)]) -> io::Result<()> {
        let mut runs: BTreeMap<u8, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
        for (level, index, hash) in nodes {
            let runs = runs.entry(*level).or_default();
            match runs.last_mut() {
                Some((first, bytes)) if *first + (bytes.len() / HASH_LEN) as u64 == *index => bytes.extend(hash.0),
                Some(_) | None => runs.push((*index, hash.0.to_vec())),
            }
        }
        for (level, runs) in runs {
            let file = self.file_to_write(log, level)?;
            for (first, bytes) in runs {
                file.write_at(&bytes, offset(first)?)?;
            }
        }
        Ok(())
    }

    /// The nodes of one log.
    #[must_use]
    pub fn nodes(&self, log: LogName) -> LogNodes<D> {
        LogNodes { levels: self.clone(), log }
    }

    /// How many leaves the files have room for; what they hold may be less.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn size(&self, log: LogName) -> io::Result<u64> {
        match self.file(log, 0) {
            Ok(file) => Ok(file.len()? / HASH_LEN as u64),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether every inner node of the tree of the first `size` leaves is the hash of its two children. The leaves
    /// themselves are for the journal to check.
    ///
    /// # Errors
    /// As the disk has it, except that what is missing or was never written is `false`.
    pub fn check(&self, log: LogName, size: u64) -> io::Result<bool> {
        let nodes = self.nodes(log);
        match check_all(&nodes, size) {
            Err(error) if is_missing(&error) => Ok(false),
            result => result,
        }
    }

    /// Removes the files of a log, so that they can be computed again.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn clear(&self, log: LogName) -> io::Result<()> {
        self.open_files().retain(|(other, _), _| *other != log);
        if !exists(&self.disk, &folder(log))? {
            return Ok(());
        }
        for name in self.disk.list(&folder(log))? {
            self.disk.remove(&folder(log).join(name))?;
        }
        Ok(())
    }

    fn open_files(&self) -> MutexGuard<'_, Files<D>> {
        // The map is whole whatever panicked with the lock held: each change to it is one call.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, log: LogName, level: u8) -> io::Result<Arc<D::File>> {
        let mut files = self.open_files();
        if let Some(file) = files.get(&(log, level)) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(self.disk.open(&path(log, level), OpenMode::Write)?);
        files.insert((log, level), Arc::clone(&file));
        Ok(file)
    }

    fn file_to_write(&self, log: LogName, level: u8) -> io::Result<Arc<D::File>> {
        match self.file(log, level) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.disk.create_dir(&folder(log))?;
                self.disk.open(&path(log, level), OpenMode::CreateNew)?;
                self.file(log, level)
            }
            file => file,
        }
    }
}

/// Read access to the nodes of one log.
pub struct LogNodes<D: Disk> {
    levels: Levels<D>,
    log: LogName,
}

impl<D: Disk> Nodes for LogNodes<D> {
    type Error = io::Error;

    fn node(&self, level: u8, index: u64) -> io::Result<Digest> {
        let mut hash = [0; HASH_LEN];
        read_exact_at(&*self.levels.file(self.log, level)?, &mut hash, offset(index)?)?;
        if hash == [0; HASH_LEN] {
            return Err(io_damaged("a node of a level file was never written"));
        }
        Ok(Digest(hash))
    }
}

fn check_all<D: Disk>(nodes: &LogNodes<D>, size: u64) -> io::Result<bool> {
    if size > 0 {
        // The last leaf has no parent yet if the size is odd.
        nodes.node(0, size - 1)?;
    }
    for level in 1..=63u8 {
        for index in 0..size >> level {
            let (left, right) = (nodes.node(level - 1, 2 * index)?, nodes.node(level - 1, 2 * index + 1)?);
            if nodes.node(level, index)? != node_hash(&left, &right) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn is_missing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    [NotFound, UnexpectedEof, InvalidData].contains(&error.kind())
}

fn folder(log: LogName) -> PathBuf {
    Path::new(FOLDER).join(log.as_str())
}

fn path(log: LogName, level: u8) -> PathBuf {
    folder(log).join(level.to_string())
}

fn offset(index: u64) -> io::Result<u64> {
    index.checked_mul(HASH_LEN as u64).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use ncp_protocol::merkle::{self, Frontier, leaf_hash};

    use super::*;
    use crate::disk::RealDisk;
    use crate::disk::model::{Cut, ModelDisk};

    const LOG: LogName = LogName::Traffic;

    /// Grows a log by `leaves`, in groups of three, and returns its frontier.
    fn grow<D: Disk>(levels: &Levels<D>, mut frontier: Frontier, leaves: u64) -> Frontier {
        let first = frontier.size();
        let leaves: Vec<u64> = (first..first + leaves).collect();
        for group in leaves.chunks(3) {
            let mut nodes = Vec::new();
            for leaf in group {
                frontier.push(leaf_hash(&leaf.to_be_bytes()), |level, index, hash| nodes.push((level, index, hash)));
            }
            levels.write(LOG, &nodes).unwrap();
        }
        frontier
    }

    fn check_proofs<D: Disk>(disk: &D) {
        let levels = Levels::open(disk.clone()).unwrap();
        let reader = levels.clone();
        let mut frontier = grow(&levels, Frontier::new(), 20);
        frontier = grow(&levels, frontier, 1);
        assert_eq!(merkle::root(&reader.nodes(LOG), 21).unwrap(), frontier.root());
        let levels = Levels::open(disk.clone()).unwrap();
        frontier = grow(&levels, frontier, 16);
        assert_eq!(levels.size(LOG).unwrap(), 37);
        assert_eq!(levels.size(LogName::Public).unwrap(), 0);
        let nodes = levels.nodes(LOG);
        for index in 0..37 {
            let proof = merkle::inclusion_proof(&nodes, index, 37).unwrap();
            let leaf = leaf_hash(&index.to_be_bytes());
            assert_eq!(merkle::verify_inclusion(&leaf, index, 37, &proof, &frontier.root()), Ok(()));
        }
        assert_eq!(Frontier::from_nodes(&nodes, 37).unwrap(), frontier);
        assert!(levels.check(LOG, 37).unwrap() && levels.check(LOG, 0).unwrap());
        assert!(!levels.check(LOG, 38).unwrap());
        levels.clear(LOG).unwrap();
        levels.clear(LogName::Node).unwrap();
        assert_eq!(levels.size(LOG).unwrap(), 0);
        assert!(nodes.node(0, 0).is_err());
        grow(&levels, Frontier::new(), 5);
        assert!(levels.check(LOG, 5).unwrap());
    }

    #[test]
    fn proofs_verify_from_the_real_disk() {
        let folder = tempfile::tempdir().unwrap();
        check_proofs(&RealDisk::open(folder.path()).unwrap());
    }

    #[test]
    fn proofs_verify_from_the_model() {
        check_proofs(&ModelDisk::new());
    }

    #[test]
    fn a_flipped_bit_of_any_node_is_noticed_unless_nothing_hangs_on_it() {
        let disk = ModelDisk::new();
        grow(&Levels::open(disk.clone()).unwrap(), Frontier::new(), 16);
        for level in 0..5u8 {
            for node in 0..16u64 >> level {
                let levels = Levels::open(disk.clone()).unwrap();
                disk.flip_bit(&path(LOG, level), node * 256 + 77).unwrap();
                assert!(!levels.check(LOG, 16).unwrap(), "level {level}, node {node}");
                disk.heal();
            }
        }
    }

    #[test]
    fn what_a_power_cut_left_is_an_error_and_can_be_written_again() {
        for seed in 0..20 {
            let disk = ModelDisk::new();
            grow(&Levels::open(disk.clone()).unwrap(), Frontier::new(), 100);
            let disk = disk.reopen(Cut::Torn(seed));
            let levels = Levels::open(disk).unwrap();
            for index in 0..100u64 {
                if let Ok(hash) = levels.nodes(LOG).node(0, index) {
                    assert_eq!(hash, leaf_hash(&index.to_be_bytes()));
                }
            }
            grow(&levels, Frontier::new(), 100);
            assert!(levels.check(LOG, 100).unwrap());
        }
    }
}
