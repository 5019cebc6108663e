//! `backup verify`: a backup tried out, where its keeper's key lies.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Keeper, Log, describe, logs};
use crate::backup::{Checked, Trial, unpack};
use crate::context::{Context, blocking};
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Tone, bytes, number};

pub(super) const SCHEMA: &str = "ncp.backup-verify/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl backup verify XA-20261122T101500Z.ncp-backup --key keeper
  ncpctl backup verify hub.ncp-backup --key keeper --in /media/scratch

Unpacks all of it to a temporary folder, which goes at the end: every file against its digest, every log against its signed
checkpoints and the head of the backup, every record that an event rests on. Exit code 65: something does not hold.";

/// Unpack a backup to a temporary place, and judge all of it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    keeper: Keeper,
    /// Where the temporary folder is made; the system's own place unless named
    #[arg(long = "in", value_name = "DIR")]
    above: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Verified {
    participant: String,
    network: String,
    created: String,
    next: u64,
    logs: Vec<Log>,
    files: usize,
    bytes: u64,
    receipts: u64,
    ok: bool,
}

impl Verify {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let key = self.keeper.open(context)?;
        let now = context.clock.now;
        let checked = blocking(move || {
            let trial = Trial::new(&self.above.unwrap_or_else(std::env::temp_dir))?;
            unpack(&self.file, &key, trial.path(), now)
        })
        .await?;
        let mut facts = Facts::default();
        describe(&checked.head, context, &mut facts);
        found(&checked, &mut facts);
        facts.add("result", context.output.style.paint(Tone::Good, "ok"));
        let verified = Verified {
            participant: checked.head.participant.to_string(),
            network: checked.head.network.to_string(),
            created: ncp_api::time::Time(checked.head.created).to_string(),
            next: checked.head.next,
            logs: logs(&checked.head),
            files: checked.files,
            bytes: checked.bytes,
            receipts: checked.audited.receipts,
            ok: true,
        };
        Ok(Report::object(SCHEMA, &verified)?.human(facts.render(context.output.style)).plain(facts.plain()))
    }
}

/// What came out, for people.
pub(super) fn found(checked: &Checked, facts: &mut Facts) {
    let files = u64::try_from(checked.files).unwrap_or(u64::MAX);
    facts.add("holds", format!("{} files, {}", number(files), bytes(checked.bytes)));
    facts.add("receipts", format!("{} verified now", number(checked.audited.receipts)));
}
