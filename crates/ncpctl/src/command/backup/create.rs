//! `backup create`: a copy of a data folder, sealed for its keeper.

use std::path::PathBuf;

use clap::Args;
use ncp_protocol::ids::UnixMillis;
use serde::Serialize;

use super::{Log, describe, logs};
use crate::audit::Folder;
use crate::backup::{self, Recipient};
use crate::context::{Context, blocking};
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{bytes, number};

pub(super) const SCHEMA: &str = "ncp.backup/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl backup create --dir /var/lib/ncp-node --to /etc/ncp/backup.pub --out /var/backups/ncp
  ncpctl backup create --dir hub/data --to backup.pub --out hub.ncp-backup

Runs beside the daemon, or without it, as the user that runs the daemon. In a folder the file is named after participant and
time. Nothing is overwritten. Keys are in it as they lie; what the keeper has in another place, DIR/offline and the
configuration, is not.";

/// Seal a copy of a data folder for a keeper.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Create {
    /// The data folder of a node or of the relay
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The public half of the keeper's key, as  ncpctl backup key  made it
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The backup: a new file, or a folder for it
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    participant: String,
    network: String,
    created: String,
    recipient: String,
    next: u64,
    logs: Vec<Log>,
    files: usize,
    length: u64,
    path: PathBuf,
}

impl Create {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let now = context.clock.now;
        let (made, path) = blocking(move || {
            let recipient = Recipient::read(&self.to)?;
            let path = if self.out.is_dir() {
                let participant = Folder::open(&self.dir)?.participant();
                self.out.join(file_name(&participant.to_string(), now))
            } else {
                self.out
            };
            backup::create(&self.dir, &recipient.key, &path, now).map(|made| (made, path))
        })
        .await?;
        let mut facts = Facts::default();
        describe(&made.head, context, &mut facts);
        facts.add("backup", path.display().to_string());
        let files = u64::try_from(made.files).unwrap_or(u64::MAX);
        facts.add("holds", format!("{} files, {}", number(files), bytes(made.length)));
        facts.add("for the key", made.head.recipient.to_string());
        let shown = Made {
            participant: made.head.participant.to_string(),
            network: made.head.network.to_string(),
            created: ncp_api::time::Time(made.head.created).to_string(),
            recipient: made.head.recipient.to_string(),
            next: made.head.next,
            logs: logs(&made.head),
            files: made.files,
            length: made.length,
            path,
        };
        let plain = facts.plain();
        let hint = "where the keeper's key lies:  ncpctl backup verify";
        Ok(Report::object(SCHEMA, &shown)?.human(facts.render(context.output.style)).plain(plain).hint(hint))
    }
}

/// `XA-20261122T101500Z.ncp-backup`: names sort by time.
fn file_name(participant: &str, now: UnixMillis) -> String {
    let time = ncp_api::time::Time(now).to_string();
    // To the second; what is smaller stands behind the point.
    let digits: String = time.chars().take_while(|c| *c != '.').filter(char::is_ascii_alphanumeric).collect();
    format!("{participant}-{digits}Z.ncp-backup")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time() {
        assert_eq!(file_name("XA", UnixMillis(1_795_348_930_999)), "XA-20261122T120210Z.ncp-backup");
    }
}
