//! `ncpctl audit`: data folders verified and shown offline, also beside a running daemon.

mod show;
mod verify;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

/// Audit a data folder
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Recompute every log, compare every signed checkpoint, verify every receipt
    Verify(verify::Verify),
    /// Print the events of a data folder's logs
    Show(show::Show),
}

impl Audit {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Verify(_) => verify::SCHEMA,
            Self::Show(_) => show::SCHEMA,
        }
    }

    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::Verify(verify) => verify.run(context).await,
            Self::Show(show) => show.run(context).await,
        }
    }
}
