//! The file `held`: the newest checkpoint of each other party's log that was shown here, so that a party which forgets part
//! of its log is told so, also after a restart of this daemon.
//!
//! Witness state, not a journal: it is no event, costs no commit, and is worth what it remembers. [`Held::replace`] changes
//! memory alone; [`Held::write`] makes durable what changed since, all logs in one go, in place of the old file as a whole.
//! A crash between the two loses what was kept last, and leaves the file before or the one after. A file that cannot be
//! read is never taken for none: the start stops.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ncp_protocol::codec::Prefix;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::disk::{Disk, RealDisk, exists, is_full, read_file, replace_file};
use crate::limits::HELD_LEN_MAX;

const FILE: &str = "held";
const PREFIX: Prefix = Prefix::new(b'W', 1);
const CRC_LEN: usize = 4;

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum HeldError {
    /// The disk failed.
    #[error("the file `held` cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written; no crash does that.
    #[error("the file `held`, which keeps the checkpoints of others, is damaged")]
    Damaged,
}

/// Newest checkpoints of others. Shared by tasks.
pub struct Held<D: Disk = RealDisk> {
    disk: D,
    notes: Mutex<Notes>,
    // Held while the file is written: one at a time.
    writing: Mutex<Writing>,
}

#[derive(Debug, Default)]
struct Notes {
    // Origin line of a log to the text of its signed note.
    by_origin: BTreeMap<String, String>,
    is_written: bool,
}

/// Whether the file can still be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Writing {
    #[default]
    Works,
    Failed,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Content {
    notes: Vec<(String, String)>,
}

impl<D: Disk> fmt::Debug for Held<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("logs", &self.notes().by_origin.len()).finish_non_exhaustive()
    }
}

impl<D: Disk> Held<D> {
    /// Reads the file; there is none before the first [`Held::write`].
    ///
    /// # Errors
    /// [`HeldError`].
    pub fn open(disk: D) -> Result<Self, HeldError> {
        let path = Path::new(FILE);
        let by_origin = if exists(&disk, path)? { decode(&read_file(&disk, path)?)? } else { BTreeMap::new() };
        Ok(Self { disk, notes: Mutex::new(Notes { by_origin, is_written: true }), writing: Mutex::default() })
    }

    /// The note that is held of the log with this origin line.
    #[must_use]
    pub fn note(&self, origin: &str) -> Option<String> {
        self.notes().by_origin.get(origin).cloned()
    }

    /// All notes, in the order of their origins.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.notes().by_origin.values().cloned().collect()
    }

    /// Keeps a note in place of `before`, which was held of that log when the caller found the note to be newer, and verified
    /// whose it is. Does nothing and says `false` if another is held by now: it has to be compared with that. In memory
    /// alone until [`Held::write`].
    #[must_use]
    pub fn replace(&self, origin: &str, before: Option<&str>, note: &str) -> bool {
        let mut notes = self.notes();
        if notes.by_origin.get(origin).map(String::as_str) != before {
            return false;
        }
        if before != Some(note) {
            notes.by_origin.insert(origin.to_owned(), note.to_owned());
            notes.is_written = false;
        }
        true
    }

    /// Makes durable what was kept; does nothing if nothing changed. Blocks on the disk.
    ///
    /// Order: `held.new` written and synced, renamed over `held`, the data folder synced. A crash leaves the old or the new
    /// file.
    ///
    /// # Errors
    /// As the disk has it. After [`io::ErrorKind::StorageFull`] what was durable before still is, and the next call writes a
    /// new file; any other error is fatal, and nothing more is written: another sync could hide that one failed.
    pub fn write(&self) -> io::Result<()> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if *writing == Writing::Failed {
            return Err(io::Error::other("the file `held` has failed before"));
        }
        let bytes = {
            let mut notes = self.notes();
            if core::mem::replace(&mut notes.is_written, true) {
                return Ok(());
            }
            encode(&notes.by_origin)
        };
        let written = replace_file(&self.disk, Path::new(FILE), &bytes);
        if let Err(error) = &written {
            self.notes().is_written = false;
            if !is_full(error) {
                *writing = Writing::Failed;
            }
        }
        written
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        // Each change under the lock leaves a whole map, whatever panicked.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prefix, content in the canonical encoding, CRC-32C of all before.
fn encode(notes: &BTreeMap<String, String>) -> Vec<u8> {
    let content = Content { notes: notes.iter().map(|(origin, note)| (origin.clone(), note.clone())).collect() };
    let mut bytes = PREFIX.encode(&content);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<BTreeMap<String, String>, HeldError> {
    let (covered, crc) = bytes.split_last_chunk::<CRC_LEN>().ok_or(HeldError::Damaged)?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
        return Err(HeldError::Damaged);
    }
    let Content { notes } = PREFIX.decode(covered, HELD_LEN_MAX).map_err(|_| HeldError::Damaged)?;
    Ok(notes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::model::{Cut, Fault, ModelDisk};

    fn keep(held: &Held<ModelDisk>, origin: &str, note: &str) {
        assert!(held.replace(origin, held.note(origin).as_deref(), note));
    }

    #[test]
    fn what_was_compared_with_something_else_is_not_kept() {
        let held = Held::open(ModelDisk::new()).unwrap();
        keep(&held, "a", "3");
        assert!(!held.replace("a", None, "1"), "it was newer than nothing, and would take back the 3");
        assert!(!held.replace("a", Some("2"), "4"));
        assert_eq!(held.note("a").as_deref(), Some("3"));
        assert!(held.replace("a", Some("3"), "4"));
        assert_eq!(held.note("a").as_deref(), Some("4"));
    }

    #[test]
    fn what_was_written_is_held_after_a_restart_and_what_was_only_kept_is_not() {
        let disk = ModelDisk::new();
        let held = Held::open(disk.clone()).unwrap();
        keep(&held, "a", "1");
        keep(&held, "b", "1");
        held.write().unwrap();
        keep(&held, "a", "2");
        assert_eq!(held.note("a").as_deref(), Some("2"));
        let again = Held::open(disk.reopen(Cut::Lost)).unwrap();
        assert_eq!(again.all(), ["1", "1"]);
        assert_eq!(again.note("c"), None);
    }

    #[test]
    fn nothing_new_costs_no_write() {
        let disk = ModelDisk::new();
        let held = Held::open(disk.clone()).unwrap();
        held.write().unwrap();
        keep(&held, "a", "1");
        held.write().unwrap();
        let before = disk.operations();
        keep(&held, "a", "1");
        held.write().unwrap();
        assert_eq!(disk.operations(), before);
    }

    #[test]
    fn a_crash_at_any_moment_leaves_one_whole_state() {
        for fault in [Fault::Fail, Fault::Crash] {
            for cut in [Cut::Lost, Cut::Kept] {
                for operation in 0..16 {
                    let disk = ModelDisk::new();
                    let held = Held::open(disk.clone()).unwrap();
                    keep(&held, "a", "1");
                    held.write().unwrap();
                    disk.fail_at(disk.operations() + operation, fault);
                    keep(&held, "a", "2");
                    let written = held.write().is_ok();
                    let found = Held::open(disk.reopen(cut)).unwrap().note("a");
                    let found = found.as_deref();
                    assert!(found == Some("2") || found == Some("1") && !written, "{fault:?} {cut:?} at {operation}");
                }
            }
        }
    }

    #[test]
    fn a_write_for_which_there_was_no_room_is_made_good_by_the_next() {
        let disk = ModelDisk::new();
        let held = Held::open(disk.clone()).unwrap();
        keep(&held, "a", "1");
        disk.set_capacity(0);
        assert_eq!(held.write().unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.set_capacity(1 << 20);
        held.write().unwrap();
        assert_eq!(Held::open(disk.reopen(Cut::Lost)).unwrap().note("a").as_deref(), Some("1"));
    }

    #[test]
    fn nothing_is_written_after_a_write_that_failed() {
        for operation in 0..5 {
            let disk = ModelDisk::new();
            let held = Held::open(disk.clone()).unwrap();
            keep(&held, "a", "1");
            disk.fail_at(operation, Fault::Fail);
            held.write().unwrap_err();
            let operations = disk.operations();
            held.write().unwrap_err();
            keep(&held, "a", "2");
            held.write().unwrap_err();
            assert_eq!(disk.operations(), operations, "after a failure of operation {operation}");
        }
    }

    #[test]
    fn damage_is_never_taken_for_nothing() {
        let disk = ModelDisk::new();
        let held = Held::open(disk.clone()).unwrap();
        keep(&held, "a", "1");
        held.write().unwrap();
        let bits = read_file(&disk, Path::new(FILE)).unwrap().len() as u64 * 8;
        for bit in 0..bits {
            disk.flip_bit(Path::new(FILE), bit).unwrap();
            assert!(matches!(Held::open(disk.clone()), Err(HeldError::Damaged)), "bit {bit}");
            disk.flip_bit(Path::new(FILE), bit).unwrap();
        }
    }
}
