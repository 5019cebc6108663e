//! `ncpctl evidence`: receipts in files, for those who have no node.

mod export;
mod verify;

use clap::Subcommand;

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

/// Receipts in files
#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    /// Write all receipts of a message, and what verifies them, to one file
    Export(export::Export),
    /// Verify receipts in a file, without a daemon
    Verify(verify::Verify),
}

impl Evidence {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::Export(_) => export::SCHEMA,
            Self::Verify(_) => verify::SCHEMA,
        }
    }

    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::Export(export) => export.run(context).await,
            Self::Verify(verify) => verify.run(context).await,
        }
    }
}
