//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Largest text that fits one message of the API.
const SIZE_MAX: u64 = 1 << 20;

/// Drives real daemons over TLS on loopback and measures them.
#[derive(Debug, Parser, PartialEq, Eq)]
#[command(version)]
pub(crate) struct Options {
    /// What to measure.
    #[command(subcommand)]
    pub(crate) measure: Measure,
    /// Print one JSON document instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Make the measurement's folder below this one: the disk that is measured. The system's folder for temporary files
    /// unless it is said.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) below: Option<PathBuf>,
    /// Keep the folder, with the daemons' data and logs.
    #[arg(long, global = true)]
    pub(crate) keep: bool,
    /// Folder of ncp-relay, ncp-node and ncpctl; that of this program unless it is said.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) programs: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Subcommand, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Messages through real nodes and the relay, from the originator's API to verified evidence.
    Messages(Messages),
    /// The relay alone, with envelopes that were sealed beforehand: accepted and delivered in a second, memory, starts.
    Relay(Relay),
    /// The raw rate of fdatasync.
    Disk,
}

/// Options of `messages`.
#[derive(Debug, Args, PartialEq, Eq)]
pub(crate) struct Messages {
    /// Bytes of each message's text.
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(1..=SIZE_MAX as i64))]
    pub(crate) size: u32,
    /// Messages that are measured.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) count: u32,
    /// Messages before them that are not measured.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) warm_up: u32,
    /// Envelopes in flight at once.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) window: u32,
    /// Recipients of each message, each a node of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=25))]
    pub(crate) recipients: u32,
}

/// Options of `relay`.
#[derive(Debug, Args, PartialEq, Eq)]
pub(crate) struct Relay {
    /// Bytes of each message's text.
    #[arg(long, default_value_t = 2_048, value_parser = clap::value_parser!(u32).range(1..=SIZE_MAX as i64))]
    pub(crate) size: u32,
    /// Envelopes that wait at the relay.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) waiting: u32,
    /// Envelopes in flight at once, from the originator and to the recipient.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) window: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, String> {
        let words = core::iter::once("ncp-bench").chain(words.split_whitespace());
        Options::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn the_load_that_the_bars_name_is_the_default() {
        let Measure::Messages(messages) = parse("messages").expect("options").measure else { panic!("messages") };
        assert_eq!((messages.size, messages.window, messages.recipients), (2_048, 512, 1));
    }

    #[test]
    fn options_are_read_before_and_behind_the_command() {
        for words in ["--json relay --waiting 100000 --below /x", "relay --below /x --waiting 100000 --json"] {
            let options = parse(words).expect("options");
            assert!(options.json && options.below == Some(PathBuf::from("/x")), "{options:?}");
            assert_eq!(options.measure, Measure::Relay(Relay { size: 2_048, waiting: 100_000, window: 256 }));
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for words in [
            "",
            "messages --count 0",
            "messages --recipients 26",
            "messages --size 0",
            "relay --waiting 100001",
            "relay --window 1025",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
