//! `backup restore`: a backup put back into an empty folder.

use std::path::PathBuf;

use clap::Args;
use ncp_api::ErrorCode;
use ncp_protocol::ids::ParticipantId;
use serde::Serialize;

use super::verify::found;
use super::{Keeper, Log, describe, logs};
use crate::backup::{Archive, Trial, unpack};
use crate::context::{Context, blocking};
use crate::error::Error;
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.backup-restore/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl backup restore XA-20261122T101500Z.ncp-backup --key keeper --dir restored --dry-run
  ncpctl backup restore XA-20261122T101500Z.ncp-backup --key keeper --dir restored --confirm=XA

What comes out is what  backup verify  judges: it can be read and audited. No daemon serves from it: others may have seen more
of its log than it holds, and going on from there would tell two histories. A participant takes part again from a fresh folder,
in the next epoch of its log:  ncpctl keys new-epoch --from restored --dir …";

/// Put a backup back into an empty folder, which no daemon opens.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    keeper: Keeper,
    /// Where to: an empty folder, or one to be made
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Whose backup it is: HUB, or the participant
    #[arg(long, value_name = "ID")]
    confirm: Option<ParticipantId>,
    /// Try it out, and put nothing there
    #[arg(long)]
    dry_run: bool,
}

/// What was put back.
#[derive(Debug, Serialize)]
struct Restored {
    participant: String,
    network: String,
    created: String,
    next: u64,
    logs: Vec<Log>,
    files: usize,
    bytes: u64,
    data_dir: PathBuf,
    restored: bool,
}

impl Restore {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let key = self.keeper.open(context)?;
        let (now, dir, dry_run) = (context.clock.now, self.dir.clone(), self.dry_run);
        let checked = blocking(move || {
            let participant = Archive::open(&self.file, &key)?.head().participant;
            if self.dry_run {
                let trial = Trial::new(&std::env::temp_dir())?;
                return unpack(&self.file, &key, trial.path(), now);
            }
            if self.confirm != Some(participant) {
                let what = format!("it makes a second copy of all keys and mail of {participant}");
                return Err(ErrorCode::ConfirmationNeeded.with("what", what).with("name", participant).into());
            }
            unpack(&self.file, &key, &self.dir, now)
        })
        .await?;
        let mut facts = Facts::default();
        describe(&checked.head, context, &mut facts);
        found(&checked, &mut facts);
        if dry_run {
            facts.add("restored", "nothing: a trial");
        } else {
            facts.add("restored", dir.display().to_string());
            facts.add("serves", "no (NCP-E1305); a participant goes on with  ncpctl keys new-epoch");
        }
        let restored = Restored {
            participant: checked.head.participant.to_string(),
            network: checked.head.network.to_string(),
            created: ncp_api::time::Time(checked.head.created).to_string(),
            next: checked.head.next,
            logs: logs(&checked.head),
            files: checked.files,
            bytes: checked.bytes,
            data_dir: dir,
            restored: !dry_run,
        };
        let plain = facts.plain();
        Ok(Report::object(SCHEMA, &restored)?.human(facts.render(context.output.style)).plain(plain))
    }
}
