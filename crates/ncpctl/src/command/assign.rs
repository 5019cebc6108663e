//! `assign`: asks national services to contribute to a request.

use clap::Args;
use ncp_api::message::{Assign as Assignment, MessageName};
use ncp_protocol::codes::Code;

use super::show::{Acknowledged, open};
use crate::context::Context;
use crate::error::Error;
use crate::message::record;
use crate::output::Report;

const EXAMPLES: &str = "\
Examples:
  ncpctl assign XB-2026-000031 --to border-police --to customs
  ncpctl assign XB-2026-000031 --to customs --note \"Freight papers of 12 May?\"";

/// Ask national services to contribute to a request
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Assign {
    /// Reference or id of the request
    #[arg(value_name = "ID")]
    name: MessageName,
    /// Code of a service from the node's configuration; repeatable, commas separate too
    #[arg(long, value_name = "SERVICE", required = true, value_delimiter = ',')]
    to: Vec<Code>,
    /// What they are asked, in words
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The restriction of an H3 message was read
    #[arg(long)]
    acknowledge: bool,
}

impl Assign {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        // Whoever hands a request to services has taken it: that is R3.
        open(context, &client, &self.name, Acknowledged::of(self.acknowledge)).await?;
        let view = client.assign(&self.name, &Assignment { services: self.to, note: self.note }).await?;
        let tasks: Vec<String> = view.tasks.iter().map(|task| format!("{} {}", task.task, task.service)).collect();
        let human = format!("assigned {}: task {}\n", view.reference, tasks.join(", task "));
        let report = Report::object(crate::message::SCHEMA, &view)?.human(human).plain(record(&view));
        Ok(report.hint(format!("ncpctl contribute {} --task NUMBER --text …", view.reference)))
    }
}
