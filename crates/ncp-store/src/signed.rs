//! The file `signed`: how far the journal was durable at the latest, and the newest signed checkpoints.
//!
//! Two slots are written in turn, so that one whole slot stands whatever a crash does to the other. The file follows the
//! journal by a fraction of a second; what it says is a floor: a journal that ends below it has lost something, and only a
//! group at or beyond it can be torn. A newer slot that rots leaves the older floor, which is lower and still true.

use std::fmt;
use std::io;
use std::path::Path;

use ncp_protocol::codec::{self, PREFIX_LEN, Prefix};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::disk::{Disk, DiskFile, OpenMode, exists, first_nonzero, read_exact_at};
use crate::journal::LogNote;
use crate::limits::{GROUP_NOTES_MAX, OWN_NOTE_MAX, SIGNED_SLOT_LEN};

/// Its name.
pub(crate) const FILE: &str = "signed";
const PREFIX: Prefix = Prefix::new(b'S', 1);
const CRC_LEN: usize = 4;

/// What the file states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedState {
    /// Events below this sequence are durable.
    pub next: u64,
    /// The newest signed checkpoint of each log.
    pub notes: Vec<LogNote>,
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
pub enum SignedError {
    /// The disk failed.
    #[error("the file `signed` cannot be read")]
    Io(#[from] io::Error),
    /// Neither slot is what was written; no crash does that.
    #[error("both slots of the file `signed` are damaged")]
    Damaged,
}

/// The file, open for writing.
pub struct Signed<D: Disk> {
    file: D::File,
    // How often it was written, over all its life.
    written: u64,
    next_slot: Slot,
    stopped: bool,
}

impl<D: Disk> fmt::Debug for Signed<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("written", &self.written).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    First,
    Second,
}

impl Slot {
    fn offset(self) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => SIGNED_SLOT_LEN as u64,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// What a slot holds.
enum Content {
    Empty,
    Whole(Stamped),
    Damaged,
}

/// A state with the count that tells the newer from the older.
#[derive(Serialize, Deserialize)]
struct Stamped {
    written: u64,
    state: SignedState,
}

impl<D: Disk> Signed<D> {
    /// Opens the file and reads the newest state, `None` before the first.
    ///
    /// Order at the first start: create, allocate, sync, sync the data folder. A crash leaves no file, or one that is short
    /// or all zeros, which counts as never written. Such a file is made anew: the sync of its name may have failed, and a
    /// second sync does not bring back what a failed one gave up.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn open(disk: D) -> Result<(Self, Option<SignedState>), SignedError> {
        let path = Path::new(FILE);
        let mode = match read(&disk)? {
            Some(_) => OpenMode::Write,
            None => {
                if exists(&disk, path)? {
                    disk.remove(path)?;
                }
                OpenMode::CreateNew
            }
        };
        let file = disk.open(path, mode)?;
        file.allocate(2 * SIGNED_SLOT_LEN as u64)?;
        file.sync_data()?;
        disk.sync_dir(Path::new(""))?;
        let (newest, stamped) = newest(read_slot(&file, Slot::First)?, read_slot(&file, Slot::Second)?)?;
        let written = stamped.as_ref().map_or(0, |stamped| stamped.written);
        let signed = Self { file, written, next_slot: newest.other(), stopped: false };
        Ok((signed, stamped.map(|stamped| stamped.state)))
    }

    /// Replaces the state.
    ///
    /// Order: write the slot that is not the newest, sync. A crash leaves the state before, or this one.
    ///
    /// # Errors
    /// Fatal: nothing more is written.
    ///
    /// # Panics
    /// If there are more or longer notes than their limits say.
    pub fn write(&mut self, state: &SignedState) -> io::Result<()> {
        assert!(state.notes.len() <= GROUP_NOTES_MAX && state.notes.iter().all(|note| note.note.len() <= OWN_NOTE_MAX));
        if self.stopped {
            return Err(io::Error::other("the file `signed` has failed before"));
        }
        self.stopped = true;
        let written = self.written + 1;
        self.file.write_at(&encode(&Stamped { written, state: state.clone() }), self.next_slot.offset())?;
        self.file.sync_data()?;
        self.stopped = false;
        self.written = written;
        self.next_slot = self.next_slot.other();
        Ok(())
    }
}

/// Reads the file and changes nothing, also while the daemon writes it; `None` if it states nothing yet.
///
/// # Errors
/// [`SignedError`].
pub fn read<D: Disk>(disk: &D) -> Result<Option<SignedState>, SignedError> {
    let path = Path::new(FILE);
    if !exists(disk, path)? {
        return Ok(None);
    }
    let file = disk.open(path, OpenMode::Read)?;
    // A crash while the file was made leaves it short.
    if file.len()? < 2 * SIGNED_SLOT_LEN as u64 {
        return Ok(None);
    }
    let (_, stamped) = newest(read_slot(&file, Slot::First)?, read_slot(&file, Slot::Second)?)?;
    Ok(stamped.map(|stamped| stamped.state))
}

/// The file of a folder that states this and nothing before it, for a copy.
pub(crate) fn file_of(state: &SignedState) -> Vec<u8> {
    let mut bytes = encode(&Stamped { written: 1, state: state.clone() });
    bytes.resize(2 * SIGNED_SLOT_LEN, 0);
    bytes
}

/// Which slot is the newest, and what it states.
fn newest(first: Content, second: Content) -> Result<(Slot, Option<Stamped>), SignedError> {
    Ok(match (first, second) {
        (Content::Damaged, Content::Damaged) => return Err(SignedError::Damaged),
        (Content::Whole(first), Content::Whole(second)) if first.written < second.written => {
            (Slot::Second, Some(second))
        }
        (Content::Whole(first), _) => (Slot::First, Some(first)),
        (_, Content::Whole(second)) => (Slot::Second, Some(second)),
        // A first write that was torn: the slot it left unwritten is taken for the newest, so that it is next.
        (Content::Empty | Content::Damaged, Content::Empty | Content::Damaged) => (Slot::Second, None),
    })
}

/// A slot: prefix, length of the payload (4), payload in the canonical encoding, CRC-32C of all before, zeros.
fn encode(stamped: &Stamped) -> Vec<u8> {
    let payload = codec::encode(stamped);
    let mut bytes = PREFIX.to_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.resize(SIGNED_SLOT_LEN, 0);
    bytes
}

fn read_slot(file: &impl DiskFile, slot: Slot) -> io::Result<Content> {
    let mut bytes = vec![0; SIGNED_SLOT_LEN];
    read_exact_at(file, &mut bytes, slot.offset())?;
    Ok(match first_nonzero(&bytes) {
        None => Content::Empty,
        Some(_) => decode(&bytes).map_or(Content::Damaged, Content::Whole),
    })
}

fn decode(bytes: &[u8]) -> Option<Stamped> {
    let rest = bytes.strip_prefix(&PREFIX.to_bytes())?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (payload, rest) = rest.split_at_checked(length)?;
    let (crc, zeros) = rest.split_first_chunk()?;
    let covered = bytes.get(..PREFIX_LEN + CRC_LEN + length)?;
    let whole = crc32c::crc32c(covered) == u32::from_le_bytes(*crc) && first_nonzero(zeros).is_none();
    codec::decode(payload, SIGNED_SLOT_LEN).ok().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use ncp_protocol::ids::LogName;

    use super::*;
    use crate::disk::RealDisk;
    use crate::disk::model::{Cut, Fault, ModelDisk};

    fn state(next: u64) -> SignedState {
        let note = |log| LogNote { log, note: format!("{log} {next}\n") };
        SignedState { next, notes: vec![note(LogName::Traffic), note(LogName::Public)] }
    }

    #[test]
    fn reading_changes_nothing_and_sees_what_opening_sees() {
        let disk = ModelDisk::new();
        assert_eq!(read(&disk).unwrap(), None);
        let (mut signed, _) = Signed::open(disk.clone()).unwrap();
        assert_eq!(read(&disk).unwrap(), None);
        for next in 1..4 {
            signed.write(&state(next)).unwrap();
            let operations = disk.operations();
            assert_eq!(read(&disk).unwrap(), Some(state(next)));
            assert_eq!(disk.operations(), operations);
        }
    }

    fn check_newest_wins<D: Disk>(disk: &D) {
        assert_eq!(Signed::open(disk.clone()).unwrap().1, None);
        for next in 1..6 {
            let (mut signed, _) = Signed::open(disk.clone()).unwrap();
            signed.write(&state(10 * next)).unwrap();
            signed.write(&state(10 * next + 1)).unwrap();
            if next % 2 == 0 {
                signed.write(&state(10 * next + 2)).unwrap();
            }
            let expected = 10 * next + if next % 2 == 0 { 2 } else { 1 };
            assert_eq!(Signed::open(disk.clone()).unwrap().1, Some(state(expected)));
        }
    }

    #[test]
    fn the_newest_state_is_read_from_the_real_disk() {
        let folder = tempfile::tempdir().unwrap();
        check_newest_wins(&RealDisk::open(folder.path()).unwrap());
    }

    #[test]
    fn the_newest_state_is_read_from_the_model() {
        check_newest_wins(&ModelDisk::new());
    }

    #[test]
    fn a_stop_at_any_operation_leaves_the_state_before_or_this_one() {
        for fault in [Fault::Fail, Fault::FailButPersisted, Fault::Crash] {
            for cut in [Cut::Lost, Cut::Kept, Cut::Killed, Cut::Torn(1), Cut::Torn(2), Cut::Torn(5)] {
                for operation in 0..18 {
                    let disk = ModelDisk::new();
                    disk.fail_at(operation, fault);
                    let mut acknowledged = 0;
                    for next in 1..4 {
                        let Ok((mut signed, _)) = Signed::open(disk.clone()) else { break };
                        if signed.write(&state(next)).is_err() {
                            break;
                        }
                        acknowledged = next;
                    }
                    let found = Signed::open(disk.reopen(cut)).unwrap().1;
                    let next = found.as_ref().map_or(0, |found| found.next);
                    assert!((acknowledged..=acknowledged + 1).contains(&next), "{fault:?} {cut:?} at {operation}");
                    assert!(found.is_none_or(|found| found == state(next)));
                }
            }
        }
    }

    #[test]
    fn a_failed_write_is_not_tried_again() {
        let disk = ModelDisk::new();
        let (mut signed, _) = Signed::open(disk.clone()).unwrap();
        disk.fail_at(disk.operations() + 1, Fault::Fail);
        assert!(signed.write(&state(1)).is_err());
        assert!(signed.write(&state(2)).is_err());
        assert_eq!(Signed::open(disk.reopen(Cut::Lost)).unwrap().1, None);
    }

    #[test]
    fn a_damaged_slot_leaves_the_other_and_two_are_an_error() {
        let disk = ModelDisk::new();
        let (mut signed, _) = Signed::open(disk.clone()).unwrap();
        signed.write(&state(1)).unwrap();
        signed.write(&state(2)).unwrap();
        let (first, second) = (0u64, SIGNED_SLOT_LEN as u64 * 8);
        for bit in [0, 70, 100, 200, 1_000, SIGNED_SLOT_LEN as u64 * 8 - 1] {
            disk.flip_bit(Path::new(FILE), first + bit).unwrap();
            assert_eq!(Signed::open(disk.clone()).unwrap().1, Some(state(2)));
            disk.flip_bit(Path::new(FILE), second + bit).unwrap();
            assert!(matches!(Signed::open(disk.clone()), Err(SignedError::Damaged)));
            disk.flip_bit(Path::new(FILE), first + bit).unwrap();
            let (mut signed, found) = Signed::open(disk.clone()).unwrap();
            assert_eq!(found, Some(state(1)));
            // The next write goes over the damaged slot.
            signed.write(&state(2)).unwrap();
            disk.heal();
            assert_eq!(Signed::open(disk.clone()).unwrap().1, Some(state(2)));
        }
    }
}
