//! What a daemon was shown of its own log that excludes the log it has: a backup or a copy was put in the newest folder's place.
//!
//! It stops, and writes the contradicting checkpoint down first: whoever showed it may not be there at the next start, and
//! rot in a last group that recovery cut would otherwise be healed into a true fork, one restart at a time. A start that finds
//! the file refuses. The newest data folder has no such file, so putting that back ends it; so does removing the file, for an
//! operator who knows that this folder is the one that counts.

use std::io;
use std::path::Path;

use crate::disk::{Disk, exists, read_file, replace_file};

/// The file in the data folder.
pub const FORKED: &str = "forked";

/// Who showed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// Who showed it.
    pub peer: String,
    /// Size of the log under the checkpoint that was shown.
    pub found: u64,
    /// Size of the log here.
    pub size: u64,
    /// The checkpoint, signed by this daemon's own key.
    pub note: String,
}

/// Writes it down; durable when it returns.
///
/// # Errors
/// As the disk has it.
pub fn write<D: Disk>(disk: &D, fork: &Fork) -> io::Result<()> {
    let Fork { peer, found, size, note } = fork;
    replace_file(disk, Path::new(FORKED), format!("{peer} {found} {size}\n\n{note}").as_bytes())
}

/// What an earlier run wrote down. A file that says nothing that can be read still forbids the start.
///
/// # Errors
/// As the disk has it.
pub fn read<D: Disk>(disk: &D) -> io::Result<Option<Fork>> {
    let path = Path::new(FORKED);
    if !exists(disk, path)? {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&read_file(disk, path)?).into_owned();
    let (head, note) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut words = head.split(' ');
    let peer = words.next().unwrap_or_default().to_owned();
    let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let (found, size) = (number(), number());
    Ok(Some(Fork { peer, found, size, note: note.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::model::{Cut, ModelDisk};

    #[test]
    fn what_was_shown_outlives_a_power_cut() {
        let disk = ModelDisk::new();
        assert_eq!(read(&disk).unwrap(), None);
        let fork =
            Fork { peer: "XA".to_owned(), found: 9, size: 7, note: "a log\n9\nroot\n\n— a log key\n".to_owned() };
        write(&disk, &fork).unwrap();
        let disk = disk.reopen(Cut::Lost);
        assert_eq!(read(&disk).unwrap(), Some(fork));
        replace_file(&disk, Path::new(FORKED), b"?").unwrap();
        assert!(read(&disk).unwrap().is_some());
    }
}
