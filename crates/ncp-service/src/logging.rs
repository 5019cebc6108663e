//! Where the log goes: to the journal with fields of its own where standard error leads there, otherwise to standard error
//! as lines of text or JSON. `NCP_LOG` chooses what is said; without it, level `info`.
//!
//! In the journal each field is named after ours: `code` is `NCP_CODE=`, `peer` is `NCP_PEER=`.

use std::io;

use tracing_subscriber::EnvFilter;
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
pub fn begin(format: LogFormat) {
    let filter = EnvFilter::try_from_env("NCP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let log = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Json => log.with(lines.json()).init(),
        LogFormat::Text => match journal() {
            Some(journal) => log.with(journal.with_field_prefix(Some("NCP".to_owned()))).init(),
            None => log.with(lines.with_ansi(false)).init(),
        },
    }
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
    fn only_the_stream_that_is_named_is_the_journal() {
        assert!(is_stream("9:4711", 9, 4_711));
        for other in ["9:4712", "8:4711", "9", "", "9:4711:1", "nine:4711"] {
            assert!(!is_stream(other, 9, 4_711), "{other}");
        }
    }
}
