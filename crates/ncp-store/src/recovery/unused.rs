//! Whether a folder whose file `signed` states nothing may be taken for a new one.
//!
//! The first start writes `signed` before it takes a command, and no crash takes back what it says: each write goes to the
//! slot that is not the newest. So a folder without it holds at most the first event of each log. One that holds more has
//! lost the file, and with it the knowledge of where the journal must reach at least; a journal that ends early would pass
//! for a whole one. An *older* `signed` is another matter: what it says is lower and still true, and what lies beyond is
//! held against the checkpoints that others keep.

use std::path::Path;

use ncp_protocol::ids::LogName;

use super::OpenError;
use crate::disk::{Disk, exists};
use crate::journal::{self, Tail};
use crate::levels::{self, Levels};
use crate::signed;
use crate::spool::{self, Class, SpoolReader};

/// Stops a start that would take a folder for a new one which is not. Changes nothing.
///
/// # Errors
/// [`OpenError::SignedLost`]; otherwise as the disk has it.
pub(super) fn check<D: Disk>(disk: &D, logs: &[LogName]) -> Result<(), OpenError> {
    if signed::read(disk)?.is_some() {
        return Ok(());
    }
    let there = |folder: &str| exists(disk, Path::new(folder)).map_err(OpenError::disk("reading the data folder"));
    if there(journal::FOLDER)? {
        let scan = journal::scan(disk, 0, &mut |_| {})?;
        let is_damaged = matches!(scan.tail, Tail::Damaged(_));
        if scan.next > logs.len() as u64 || is_damaged {
            return Err(lost(format!("the journal holds {} events", scan.next)));
        }
    }
    if there(levels::FOLDER)? {
        let files = Levels::open(disk.clone()).map_err(OpenError::disk("opening level files"))?;
        for log in logs {
            let leaves = files.size(*log).map_err(OpenError::disk("reading level files"))?;
            if leaves > 1 {
                return Err(lost(format!("the level files of the log {log} know {leaves} events")));
            }
        }
    }
    if there(spool::FOLDER)? {
        let classes = disk.list(Path::new(spool::FOLDER)).map_err(OpenError::spool)?;
        for class in Class::ALL.into_iter().filter(|class| classes.iter().any(|name| name == class.as_str())) {
            if !SpoolReader::new(disk.clone()).segments(class).map_err(OpenError::spool)?.is_empty() {
                return Err(lost("the spool holds records".to_owned()));
            }
        }
    }
    Ok(())
}

fn lost(known: String) -> OpenError {
    OpenError::SignedLost { known }
}
