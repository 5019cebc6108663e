//! `backup key`: the key pair of whoever keeps backups.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::backup::make_recipient;
use crate::context::Context;
use crate::error::Error;
use crate::joining::folder::make_data_folders;
use crate::joining::protection;
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.backup-key/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl backup key --dir keeper --protect

Run it on the machine on which backups are tried out, never on that of the daemon. The file backup.pub is not secret: take it
to each machine that is backed up. Everything else in the folder is; without it no backup opens. The same command again
changes nothing.";

/// Make the key pair of a keeper of backups.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Key {
    /// Folder of the private half; made if it is missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Seal the private half under a passphrase
    #[arg(long)]
    protect: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    key: String,
    public: PathBuf,
    protected: bool,
}

impl Key {
    /// Does it.
    pub(super) fn run(self, context: &Context) -> Result<Report, Error> {
        let keyring = if self.protect {
            protection::protect(context, &self.dir)?
        } else {
            make_data_folders(&self.dir)?;
            protection::open(context, &self.dir)?
        };
        let recipient = make_recipient(&self.dir, &keyring)?;
        let made = Made {
            key: recipient.key.id().to_string(),
            public: recipient.path.clone(),
            protected: ncp_store::keyfiles::keyring::Keyring::is_protected(&self.dir),
        };
        let mut facts = Facts::default();
        facts.add("key", &made.key);
        facts.add("public half", made.public.display().to_string());
        facts.add("protected", if made.protected { "by your passphrase" } else { "not at all" });
        let hint = format!("take {} to the machine that is backed up:  ncpctl backup create", made.public.display());
        Ok(Report::object(SCHEMA, &made)?.human(facts.render(context.output.style)).plain(facts.plain()).hint(hint))
    }
}
