//! The configuration: one TOML file and the folder beside it with `.d` at its name, whose files come after it in the
//! order of their names. A later file's key stands instead of an earlier one's.
//!
//! All faults are found in one run, each with file, line and column; a key that nobody asks for is one of them. Keys,
//! certificates and the root of trust have fixed places in the data folder ([`ncp_store::keyfiles`]) and are opened at
//! start, not here. `config/relay.toml` is complete, commented and equal to the defaults.

mod document;

#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::path::{Path, PathBuf};

use ncp_api::{ErrorCode, Fault, SOCKET_PATH_MAX};
use ncp_service::logging::LogFormat;
use ncp_service::program::Configuration;

use self::document::{Document, Found};
use crate::core::Quotas;
use crate::limits::{
    BALLAST, CONFIG_MAX, CONNECTIONS, ENVELOPES_PER_SECOND, FREE_MIN, IDLE, MAILBOX_BYTES, MAILBOX_ENVELOPES,
    ORIGINATOR_BYTES, ORIGINATOR_ENVELOPES, WAITING_MAX,
};

const MEBIBYTE: u64 = 1 << 20;
/// Envelopes that a quota may name: at least one message to everyone.
const ENVELOPES_RANGE: RangeInclusive<u64> = 80..=WAITING_MAX;
/// Mebibytes that a quota may name: at least the largest message.
const MEBIBYTES_RANGE: RangeInclusive<u64> = 1_153..=(1 << 24);

/// Mebibytes that may be asked to stay free.
const FREE_MIN_RANGE: RangeInclusive<u64> = 16..=(1 << 20);

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where nodes connect; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Journal, spool, index and keys.
    pub data_dir: PathBuf,
    /// The credential of systemd that holds the passphrase of the key files; none if they lie unprotected.
    pub passphrase_credential: Option<String>,
    /// Where the local API listens.
    pub api_socket: PathBuf,
    /// How much may wait.
    pub quotas: Quotas,
    /// Envelopes of one originator that are taken in a second.
    pub envelopes_per_second: u32,
    /// Most connections at a time.
    pub connections_max: usize,
    /// How long a link may stay silent.
    pub idle_timeout: Duration,
    /// Free space in bytes below which new work is refused, so that room remains for evidence.
    pub free_min_bytes: u64,
    /// Room that is held for journal and evidence on a full disk, in bytes; 0 for none.
    pub ballast_bytes: u64,
    /// Form of the log on standard error.
    pub log_format: LogFormat,
    /// Whether metrics say for which State mail waits.
    pub metrics_peers: bool,
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
    /// All faults, at least one. Nothing was changed.
    pub fn load(file: &Path) -> Result<Self, Vec<Fault>> {
        let mut texts = Vec::new();
        let mut faults = Vec::new();
        match drop_ins(file) {
            Ok(drop_ins) => {
                for path in std::iter::once(file.to_owned()).chain(drop_ins) {
                    match read(&path) {
                        Ok(text) => texts.push((path, text)),
                        Err(fault) => faults.push(fault),
                    }
                }
            }
            Err(fault) => faults.push(fault),
        }
        if faults.is_empty() { Self::parse(&texts) } else { Err(faults) }
    }

    /// Reads texts in place of files.
    ///
    /// # Errors
    /// All faults, at least one.
    pub fn parse(texts: &[(PathBuf, String)]) -> Result<Self, Vec<Fault>> {
        let mut document = Document::read(texts);
        let config = Self {
            listen: address(&mut document),
            data_dir: path(&mut document, "data-dir", "/var/lib/ncp-relay"),
            passphrase_credential: credential(&mut document),
            api_socket: socket(&mut document),
            quotas: quotas(&mut document),
            envelopes_per_second: u32::try_from(document.number(
                "quotas.originator-envelopes-per-second",
                1..=1_000_000,
                ENVELOPES_PER_SECOND,
            ))
            .unwrap_or(u32::MAX),
            connections_max: usize::try_from(document.number("connections-max", 8..=4_096, CONNECTIONS))
                .unwrap_or(usize::MAX),
            idle_timeout: Duration::from_secs(document.number("idle-timeout-seconds", 10..=3_600, IDLE.as_secs())),
            free_min_bytes: document
                .number("free-min-mebibytes", FREE_MIN_RANGE, FREE_MIN / MEBIBYTE)
                .saturating_mul(MEBIBYTE),
            ballast_bytes: document.number("ballast-mebibytes", 0..=4_096, BALLAST / MEBIBYTE).saturating_mul(MEBIBYTE),
            log_format: log_format(&mut document),
            metrics_peers: document.truth("metrics-peers").unwrap_or(true),
        };
        let faults = document.finish();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }
}

fn address(document: &mut Document<'_>) -> SocketAddr {
    let default = SocketAddr::from(([0_u16; 8], 4433));
    let Some(found) = document.text("listen") else { return default };
    found.text.parse().unwrap_or_else(|_| {
        document.invalid(&found, "an address and a port, such as \"192.0.2.7:4433\" or \"[::]:4433\"");
        default
    })
}

fn path(document: &mut Document<'_>, key: &'static str, default: &str) -> PathBuf {
    let Some(found) = document.text(key) else { return PathBuf::from(default) };
    let path = PathBuf::from(&found.text);
    if !path.is_absolute() {
        document.invalid(&found, "an absolute path");
    }
    path
}

/// The name of a credential; no path leads out of the folder of credentials.
fn credential(document: &mut Document<'_>) -> Option<String> {
    let found = document.text("passphrase-credential")?;
    if !ncp_service::credential::is_name(&found.text) {
        let expected = "the name of a credential, such as \"ncp-passphrase\": letters, digits, dots and dashes";
        document.invalid(&found, expected);
    }
    Some(found.text)
}

fn socket(document: &mut Document<'_>) -> PathBuf {
    let socket = path(document, "api-socket", "/run/ncp-relay/api.sock");
    if socket.as_os_str().len() > SOCKET_PATH_MAX
        && let Some(found) = document.text("api-socket")
    {
        document.invalid(&found, "a path of at most 107 bytes");
    }
    socket
}

fn quotas(document: &mut Document<'_>) -> Quotas {
    let mut envelopes = |key, default| document.number(key, ENVELOPES_RANGE, default);
    let originator_envelopes = envelopes("quotas.originator-envelopes", ORIGINATOR_ENVELOPES);
    let mailbox_envelopes = envelopes("quotas.mailbox-envelopes", MAILBOX_ENVELOPES);
    let waiting_envelopes = envelopes("quotas.waiting-envelopes", WAITING_MAX);
    let mut bytes =
        |key, default: u64| document.number(key, MEBIBYTES_RANGE, default / MEBIBYTE).saturating_mul(MEBIBYTE);
    Quotas {
        originator_envelopes,
        originator_bytes: bytes("quotas.originator-mebibytes", ORIGINATOR_BYTES),
        mailbox_envelopes,
        mailbox_bytes: bytes("quotas.mailbox-mebibytes", MAILBOX_BYTES),
        waiting_envelopes,
    }
}

fn log_format(document: &mut Document<'_>) -> LogFormat {
    let Some(found @ Found { .. }) = document.text("log-format") else { return LogFormat::Text };
    match found.text.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => {
            document.invalid(&found, "\"text\" or \"json\"");
            LogFormat::Text
        }
    }
}

fn read(path: &Path) -> Result<String, Fault> {
    let unreadable = |reason: &dyn core::fmt::Display| {
        ErrorCode::ConfigFileUnreadable.with("file", path.display()).with("reason", reason)
    };
    let length = match std::fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ErrorCode::ConfigFileMissing.with("file", path.display()));
        }
        Err(error) => return Err(unreadable(&error)),
    };
    if length > CONFIG_MAX {
        return Err(unreadable(&"it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(&error))
}

/// The files of the folder beside `file`, by name. No folder, no files.
fn drop_ins(file: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let unreadable =
        |error: std::io::Error| ErrorCode::ConfigFileUnreadable.with("file", folder.display()).with("reason", error);
    let listed = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable)?,
    };
    let mut files: Vec<PathBuf> = listed.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    Ok(files)
}
