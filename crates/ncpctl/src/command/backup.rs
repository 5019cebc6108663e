//! `ncpctl backup`: data folders copied, sealed for a keeper, tried out and put back.

mod create;
mod key;
mod restore;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ncp_protocol::backup::BackupHead;
use ncp_protocol::wrap::SealingKey;
use serde::Serialize;

use crate::backup::read_key;
use crate::context::Context;
use crate::error::Error;
use crate::joining::protection;
use crate::output::{Facts, Report};
use crate::style::number;

/// Back up data folders
#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Make the key pair of a keeper of backups
    Key(key::Key),
    /// Seal a copy of a data folder for a keeper, beside the running daemon
    Create(create::Create),
    /// Unpack a backup to a temporary place, and judge all of it
    Verify(verify::Verify),
    /// Put a backup back into an empty folder, which no daemon opens
    Restore(restore::Restore),
}

impl Backup {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Key(_) => key::SCHEMA,
            Self::Create(_) => create::SCHEMA,
            Self::Verify(_) => verify::SCHEMA,
            Self::Restore(_) => restore::SCHEMA,
        }
    }

    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::Key(key) => key.run(context),
            Self::Create(create) => create.run(context).await,
            Self::Verify(verify) => verify.run(context).await,
            Self::Restore(restore) => restore.run(context).await,
        }
    }
}

/// Whose key opens a backup.
#[derive(Debug, Args)]
struct Keeper {
    /// The folder that  ncpctl backup key  made
    #[arg(long = "key", value_name = "DIR")]
    folder: PathBuf,
}

impl Keeper {
    fn open(&self, context: &Context) -> Result<SealingKey, Error> {
        let keyring = protection::open(context, &self.folder)?;
        Ok(read_key(&self.folder, &keyring)?)
    }
}

/// A log in a backup.
#[derive(Debug, Serialize)]
struct Log {
    origin: String,
    size: u64,
    root: String,
}

fn logs(head: &BackupHead) -> Vec<Log> {
    let log = |point: &ncp_protocol::backup::LogPoint| Log {
        origin: point.origin.to_string(),
        size: point.size,
        root: point.root.to_string(),
    };
    head.logs.iter().map(log).collect()
}

/// What every backup says of itself, for people.
fn describe(head: &BackupHead, context: &Context, facts: &mut Facts) {
    facts.add("folder of", format!("{} in network {}", head.participant, head.network.label()));
    facts.add("made", context.clock.second(head.created));
    for point in &head.logs {
        let text = format!("{} events, root {}", number(point.size), point.root.short());
        facts.add(&format!("log {}", point.origin.log), text);
    }
}
