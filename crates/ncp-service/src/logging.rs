//! Where the log goes: to the journal with fields of its own where standard error leads there, otherwise to standard error
//! as lines of text or JSON. `NCP_LOG` chooses what is said; without it, level `info`.
//!
//! In the journal each field is named after ours: `code` is `NCP_CODE=`, `peer` is `NCP_PEER=`.

use core::fmt::Display;
use std::io;

use ncp_api::{ErrorCode, Fault};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people and journald.
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log; once in a process.
///
/// # Errors
/// [`ErrorCode::LogFilterInvalid`].
pub fn begin(format: LogFormat) -> Result<(), Fault> {
    let words = std::env::var_os("NCP_LOG").unwrap_or_else(|| "info".into());
    let filter = filter(&words.to_string_lossy())?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let log = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => log.with(lines.json()).init(),
        LogFormat::Text => match journal() {
            Some(journal) => log.with(journal.with_field_prefix(Some("NCP".to_owned()))).init(),
            None => log.with(lines.with_ansi(false)).init(),
        },
    }
    Ok(())
}

/// What is said: a level, or levels by part of the program as `EnvFilter` has them. Nothing stands for `info`.
fn filter(words: &str) -> Result<EnvFilter, Fault> {
    let said = if words.trim().is_empty() { "info" } else { words };
    let invalid = |reason: &dyn Display| ErrorCode::LogFilterInvalid.with("filter", words).with("reason", reason);
    // A word that is no level would be the name of a part of the program, and silence all others.
    let misspelt = |part: &&str| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
    if let Some(part) = said.split(',').map(str::trim).find(misspelt) {
        return Err(invalid(&format!("{part:?} is no level")));
    }
    EnvFilter::try_new(said).map_err(|error| invalid(&error))
}

/// The journal, if standard error leads there and it listens.
fn journal() -> Option<tracing_journald::Layer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = rustix::fs::fstat(io::stderr()).ok()?;
    if !is_stream(&stream, stderr.st_dev, stderr.st_ino) {
        return None;
    }
    tracing_journald::layer().ok()
}

/// Whether `JOURNAL_STREAM` (systemd.exec(5)), device and inode in decimal, names this file.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(named_device, named_inode)| {
        named_device.parse() == Ok(device) && named_inode.parse() == Ok(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_told() {
        for good in ["", "debug", "INFO", "off", "warn,ncp_store=trace"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in
            ["warning", "inof", "warn, ncp_store=trace", "info ncp_store", "ncp_store=loud", "info=info=info", "a[b"]
        {
            let fault = filter(bad).expect_err(bad);
            assert_eq!(fault.code, ErrorCode::LogFilterInvalid);
            assert!(fault.cause().contains(bad), "{fault}");
        }
    }

    #[test]
    fn only_the_stream_that_is_named_is_the_journal() {
        assert!(is_stream("9:4711", 9, 4_711));
        for other in ["9:4712", "8:4711", "9", "", "9:4711:1", "nine:4711"] {
            assert!(!is_stream(other, 9, 4_711), "{other}");
        }
    }
}
