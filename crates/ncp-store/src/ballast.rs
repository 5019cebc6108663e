//! The ballast: a file that holds room for journal and evidence on a disk that others fill. It is given up only for those,
//! and made again when there is room; new work is refused long before, at the configured floor of free space.
//!
//! It is given up in three places: at a start that finds next to no room, before recovery; when a segment of journal or
//! spool finds none; and by the daemon's tick, when so little is left that the index and level files soon find none. What a
//! crash leaves is a ballast that is whole, short or gone: the next start makes it whole, if there is room.

use std::io;
use std::path::Path;

use crate::disk::{Disk, DiskFile as _, OpenMode, exists, is_full};
use crate::limits::{BALLAST_ROOM_MIN, ROOM_TO_START};

/// The file in the data folder.
pub const BALLAST: &str = "ballast";

/// Whether the room is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ballast {
    /// It is, or none is configured.
    Held,
    /// It was given up, or there was no room for it yet.
    GivenUp,
}

/// Holds `bytes` as ballast if that leaves `floor` free, and gives it up if next to nothing is left. To be called at the
/// start and each second; does nothing unless something changed. Blocks on the disk.
///
/// # Errors
/// As the disk has it; a disk that is full is none.
pub fn keep<D: Disk>(disk: &D, bytes: u64, floor: u64) -> io::Result<Ballast> {
    let held = length(disk)?;
    let free = disk.free_space()?;
    if bytes == 0 {
        give_up(disk)?;
        return Ok(Ballast::Held);
    }
    if held > 0 && free < BALLAST_ROOM_MIN {
        tracing::warn!(free, "the disk is full: the ballast is given up for journal and evidence");
        give_up(disk)?;
        return Ok(Ballast::GivenUp);
    }
    if held == bytes {
        return Ok(Ballast::Held);
    }
    // Of another length: configured otherwise since, or left short by a crash.
    if free.saturating_add(held) < floor.saturating_add(bytes) {
        return Ok(if held > 0 { Ballast::Held } else { Ballast::GivenUp });
    }
    make(disk, bytes)
}

/// Gives it up if there is no room to recover in. To be called at a start, before anything is opened.
///
/// # Errors
/// As the disk has it.
pub fn before_start<D: Disk>(disk: &D) -> io::Result<()> {
    if disk.free_space()? < ROOM_TO_START && give_up(disk)? {
        tracing::warn!("the disk is full: the ballast is given up so that the daemon can start");
    }
    Ok(())
}

/// Runs what needs room for journal or evidence. Where there is none the ballast goes, and it is tried once more.
pub(crate) fn or_give_up<D: Disk, T>(disk: &D, write: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match write() {
        Err(error) if is_full(&error) && give_up(disk)? => {
            tracing::warn!("the disk is full: the ballast is given up for a segment");
            write()
        }
        written => written,
    }
}

/// Its length; 0 if it is not there.
fn length<D: Disk>(disk: &D) -> io::Result<u64> {
    if exists(disk, Path::new(BALLAST))? { disk.open(Path::new(BALLAST), OpenMode::Read)?.len() } else { Ok(0) }
}

/// Removes it; says whether it was there. Not synced: a crash brings the name back, and the next start gives it up again.
fn give_up<D: Disk>(disk: &D) -> io::Result<bool> {
    match disk.remove(Path::new(BALLAST)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Order: remove the old one, create, reserve. Not synced: nothing rests on it.
fn make<D: Disk>(disk: &D, bytes: u64) -> io::Result<Ballast> {
    give_up(disk)?;
    let file = disk.open(Path::new(BALLAST), OpenMode::CreateNew)?;
    match file.reserve(bytes) {
        Ok(()) => Ok(Ballast::Held),
        Err(error) if is_full(&error) => {
            drop(file);
            give_up(disk)?;
            Ok(Ballast::GivenUp)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::model::ModelDisk;
    use crate::disk::read_file;

    const BYTES: u64 = 8 << 20;
    const FLOOR: u64 = 32 << 20;

    fn write(disk: &ModelDisk, name: &str, bytes: u64) -> io::Result<()> {
        let file = disk.open(Path::new(name), OpenMode::CreateNew)?;
        file.allocate(bytes)
    }

    fn is_there(disk: &ModelDisk) -> bool {
        exists(disk, Path::new(BALLAST)).unwrap()
    }

    #[test]
    fn it_is_made_with_room_given_up_without_and_made_again() {
        let disk = ModelDisk::new();
        disk.set_capacity(FLOOR + BYTES - 1);
        assert_eq!(keep(&disk, BYTES, FLOOR).unwrap(), Ballast::GivenUp, "the floor is not touched");
        disk.set_capacity(FLOOR + BYTES);
        assert_eq!(keep(&disk, BYTES, FLOOR).unwrap(), Ballast::Held);
        assert_eq!(length(&disk).unwrap(), BYTES);
        // Others fill the disk: below the floor it stays, at the end it goes.
        write(&disk, "others", FLOOR - BALLAST_ROOM_MIN).unwrap();
        assert_eq!(keep(&disk, BYTES, FLOOR).unwrap(), Ballast::Held);
        write(&disk, "more", 1).unwrap();
        assert_eq!(keep(&disk, BYTES, FLOOR).unwrap(), Ballast::GivenUp);
        assert!(!is_there(&disk));
        assert_eq!(keep(&disk, BYTES, FLOOR).unwrap(), Ballast::GivenUp);
        for name in ["others", "more"] {
            disk.remove(Path::new(name)).unwrap();
        }
        assert_eq!(keep(&disk, BYTES, FLOOR).unwrap(), Ballast::Held);
        // Another length was configured, then none.
        assert_eq!(keep(&disk, BYTES / 2, FLOOR).unwrap(), Ballast::Held);
        assert_eq!(read_file(&disk, Path::new(BALLAST)).unwrap().len() as u64, BYTES / 2);
        assert_eq!(keep(&disk, 0, FLOOR).unwrap(), Ballast::Held);
        assert!(!is_there(&disk));
    }

    #[test]
    fn a_segment_that_finds_no_room_takes_it() {
        let disk = ModelDisk::new();
        disk.set_capacity(FLOOR + BYTES);
        keep(&disk, BYTES, FLOOR).unwrap();
        write(&disk, "others", FLOOR).unwrap();
        let number = std::cell::Cell::new(0);
        let attempt = || {
            number.set(number.get() + 1);
            write(&disk, &format!("segment {}", number.get()), BYTES / 2)
        };
        or_give_up(&disk, attempt).unwrap();
        assert!(!is_there(&disk));
        let without = or_give_up(&disk, || write(&disk, &format!("later {}", number.get()), BYTES));
        assert_eq!(without.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_start_without_room_takes_it() {
        let disk = ModelDisk::new();
        disk.set_capacity(ROOM_TO_START + BYTES);
        keep(&disk, BYTES, 0).unwrap();
        before_start(&disk).unwrap();
        assert!(is_there(&disk), "there is room");
        write(&disk, "others", 1).unwrap();
        before_start(&disk).unwrap();
        assert!(!is_there(&disk));
    }
}
