//! `health`: whether the daemon can sign and store now. Needs no officer key.

use clap::Args;

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.health/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl health
  ncpctl health --node relay --json=overall,ready";

/// Whether the daemon can sign and store now
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Health {}

impl Health {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        super::status::of_node(&context.client().health().await?, context)
    }
}
