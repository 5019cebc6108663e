//! The note in the folder of a kept network by which it is found and ended again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ncp_api::ErrorCode;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::network::Network;
use crate::error::{Error, file, internal};

/// Begin of the name of a network's folder.
pub(super) const PREFIX: &str = "ncp-demo-";
const NAME: &str = "demo.json";
/// How long daemons may take to end before they are killed.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    schema: String,
    pids: Vec<u32>,
}

const SCHEMA: &str = "ncp.demo-network/1";

/// A network that was ended.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ended {
    /// The folder that is gone.
    pub(crate) folder: PathBuf,
    /// How many daemons still ran.
    pub(crate) daemons: usize,
}

/// Writes the note.
pub(super) fn write(network: &Network) -> Result<(), Error> {
    let path = network.folder().join(NAME);
    let record = Record { schema: SCHEMA.to_owned(), pids: network.pids() };
    let text = serde_json::to_vec_pretty(&record).map_err(|error| internal(&error))?;
    std::fs::write(&path, text).map_err(|error| file(&path, &error))
}

/// Ends the network in `folder`, or every one below the system's temporary folder, and removes what is left of it.
pub(crate) fn down(folder: Option<&Path>) -> Result<Vec<Ended>, Error> {
    let folders = match folder {
        Some(folder) => vec![std::path::absolute(folder).map_err(|error| file(folder, &error))?],
        None => kept_networks()?,
    };
    folders.iter().map(|folder| end(folder)).collect()
}

fn kept_networks() -> Result<Vec<PathBuf>, Error> {
    let temporary = std::env::temp_dir();
    let entries = std::fs::read_dir(&temporary).map_err(|error| file(&temporary, &error))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX) && is_ours(&entry.path()))
        .map(|entry| entry.path())
        .filter(|folder| folder.join(NAME).is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

fn is_ours(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(folder)
        .is_ok_and(|folder| folder.is_dir() && folder.uid() == rustix::process::getuid().as_raw())
}

fn end(folder: &Path) -> Result<Ended, Error> {
    let path = folder.join(NAME);
    let text = std::fs::read(&path).map_err(|_| ErrorCode::FileMissing.with("file", path.display()))?;
    let record: Record = serde_json::from_slice(&text).map_err(|error| file(&path, &error))?;
    if record.schema != SCHEMA {
        return Err(file(&path, &"another schema"));
    }
    let ours: Vec<u32> = record.pids.into_iter().filter(|pid| runs_from(*pid, folder)).collect();
    signal(&ours, Signal::TERM);
    let begun = Instant::now();
    while ours.iter().any(|pid| runs_from(*pid, folder)) {
        if begun.elapsed() > PATIENCE {
            signal(&ours, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    super::remove_folder(folder)?;
    Ok(Ended { folder: folder.to_owned(), daemons: ours.len() })
}

fn signal(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| i32::try_from(*pid).ok()).filter_map(Pid::from_raw) {
        // It may have ended in between, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

/// Whether the process is still the daemon of this folder: numbers of processes are given again.
fn runs_from(pid: u32, folder: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    String::from_utf8_lossy(&line).split('\0').any(|word| Path::new(word).starts_with(folder))
}
