//! The configuration: one TOML file and the folder beside it with `.d` at its name, whose files come after it in the
//! order of their names. A key of a later file stands instead of the same key of an earlier one.
//!
//! All faults are reported in one run, with file, line and column; an unknown key is one, with a suggestion. Nothing else
//! sees an unchecked value. Files that the configuration names are opened at start, not here. `config/node.toml` is the
//! shipped file: complete, commented, equal to the defaults.

mod reader;
mod values;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ncp_api::{ErrorCode, Fault};
use ncp_policy::Rules;
use ncp_protocol::codes::Code;
use ncp_protocol::ids::ParticipantId;
use ncp_service::logging::LogFormat;
use ncp_service::program::Configuration;
use ncp_transport::address::HostPort;

use crate::core::command::NewOfficer;
use reader::{Layer, Section, Source};

/// Where the data folder lies unless the file says otherwise.
pub const DATA_DIR: &str = "/var/lib/ncp-node";
/// Where the local API listens unless the file says otherwise.
pub const API_SOCKET: &str = "/run/ncp-node/api.sock";

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that it was read from; `None` for a text.
    pub file: Option<PathBuf>,
    /// Whose node this is.
    pub participant: ParticipantId,
    /// Where journal, spool, index and keys lie.
    pub data_dir: PathBuf,
    /// The credential of systemd that holds the passphrase of the key files; none if they lie unprotected.
    pub passphrase_credential: Option<String>,
    /// Where the local API listens.
    pub api_socket: PathBuf,
    /// The first officers: they count as long as the journal names none.
    pub officers: Vec<NewOfficer>,
    /// Form of the log on standard error.
    pub log_format: LogFormat,
    /// What a reload replaces; everything beside it waits for a restart.
    pub settings: Settings,
}

/// The part of the configuration that a running daemon takes up when it is told to reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The hub's addresses, in order of preference.
    pub hub_addresses: Vec<HostPort>,
    /// A proxy to go through (HTTP CONNECT).
    pub proxy: Option<HostPort>,
    /// A TOML file with officers' names by number; names never reach the journal.
    pub officer_names_file: Option<PathBuf>,
    /// What may leave.
    pub rules: Rules,
    /// The rules in words, for people, by name.
    pub rule_texts: std::collections::BTreeMap<Code, String>,
    /// National services that can be asked to contribute.
    pub services: Vec<Code>,
    /// Limits that the operator may choose.
    pub limits: Limits,
    /// Whether metrics say for which State mail waits.
    pub metrics_peers: bool,
}

/// Limits that the operator may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a message travels unless its drafter says otherwise, in days.
    pub lifetime_days: u16,
    /// Largest upload in bytes.
    pub blob_max_bytes: u64,
    /// Room for uploads that no message names yet, in bytes.
    pub blobs_max_bytes: u64,
    /// Free space below which new work is refused, in bytes.
    pub free_min_bytes: u64,
    /// Room that is held for journal and evidence on a full disk, in bytes; 0 for none.
    pub ballast_bytes: u64,
    /// How long the hub may be silent, or take nothing, before the link is given up and made anew.
    pub idle_timeout: Duration,
}

impl Configuration for Config {
    fn read(file: &Path) -> Result<Self, Vec<Fault>> {
        Self::load(file)
    }

    fn api_socket(&self) -> &Path {
        &self.api_socket
    }

    fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

impl Config {
    /// Reads the file and its folder.
    ///
    /// # Errors
    /// All faults, at least one.
    pub fn load(file: &Path) -> Result<Self, Vec<Fault>> {
        let mut files = vec![(file.to_owned(), read(file).map_err(|fault| vec![fault])?)];
        for extra in extra_files(file).map_err(|fault| vec![fault])? {
            let text = read(&extra).map_err(|fault| vec![fault])?;
            files.push((extra, text));
        }
        Self::parse(&files).map(|config| Self { file: Some(file.to_owned()), ..config })
    }

    /// Reads texts that stand for files.
    ///
    /// # Errors
    /// All faults, at least one.
    pub fn parse(files: &[(PathBuf, String)]) -> Result<Self, Vec<Fault>> {
        let sources: Vec<Source<'_>> = files.iter().map(|(file, text)| Source::new(file, text)).collect();
        let tables: Vec<_> = sources.iter().map(Source::parse).collect();
        let layers = sources.iter().zip(&tables).map(|(source, table)| Layer { source, table }).collect();
        let config = values::config(Section::root(layers));
        drop(tables);
        let faults: Vec<Fault> = sources.into_iter().flat_map(Source::into_faults).collect();
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            // A value that is missing was noted as a fault.
            Some(_) | None => Err(faults),
        }
    }
}

fn read(file: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(file).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            return ErrorCode::ConfigFileMissing.with("file", file.display());
        }
        ErrorCode::ConfigFileUnreadable.with("file", file.display()).with("reason", error)
    })
}

/// The files of the folder beside `file`, by name; no folder is no file.
fn extra_files(file: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let failed =
        |error: io::Error| ErrorCode::ConfigFileUnreadable.with("file", folder.display()).with("reason", error);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
