//! `man`: the manual pages as files. Works without a daemon.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, file};
use crate::manual::pages;
use crate::output::Report;
use crate::table::Table;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.man/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl man pages                         then  man -l pages/ncpctl-request.1

The folder is made if it is missing; pages in it are written anew. Installed packages bring the pages:  man ncpctl-request";

/// Write the manual pages of ncpctl, the daemons and their configurations
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// Folder for the pages
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// A page that was written.
#[derive(Debug, Serialize)]
struct Written {
    page: String,
    section: u8,
    file: PathBuf,
}

impl Man {
    /// Does it.
    pub(super) fn run(self, context: &Context) -> Result<Report, Error> {
        std::fs::create_dir_all(&self.dir).map_err(|error| file(&self.dir, &error))?;
        let mut written = Vec::new();
        let mut table = Table::new(&["PAGE", "FILE"]);
        for page in pages() {
            let path = self.dir.join(page.file());
            std::fs::write(&path, &page.text).map_err(|error| file(&path, &error))?;
            table.row(vec![format!("{}({})", page.name, page.section).into(), path.display().to_string().into()]);
            written.push(Written { page: page.name, section: page.section, file: path });
        }
        Ok(Report::lines(SCHEMA, &written)?.human(table.render(context.output.style)).plain(table.plain()))
    }
}
