//! `outbox`: what is on its way, or, with `--shape`, how much of it stands where.

use std::collections::BTreeMap;

use clap::Args;
use ncp_api::client::PageQuery;
use ncp_api::message::{MessageItem, MessageState};

use crate::context::Context;
use crate::error::Error;
use crate::message::{Beside, page_report};
use crate::output::Report;
use crate::table::Table;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.outbox/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl outbox
  ncpctl outbox --shape                    how many messages to whom, in which state
  ncpctl outbox --plain | cut -f1";

/// List what is on its way
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Outbox {
    /// Only messages in this state: queued, accepted, held …
    #[arg(long, value_name = "STATE")]
    state: Option<MessageState>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Count by recipient and state
    #[arg(long)]
    shape: bool,
}

impl Outbox {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        let query = PageQuery { state: self.state, limit: Some(self.limit), ..PageQuery::default() };
        let page = client.outbox(&query).await?;
        let report = page_report(SCHEMA, &page.items, Beside::Recipients, "the outbox is empty", context)?;
        if !self.shape {
            return Ok(super::inbox::more(report, &page));
        }
        let table = shape(&page.items, context);
        let human =
            if table.is_empty() { "the outbox is empty\n".to_owned() } else { table.render(context.output.style) };
        Ok(report.human(human).plain(table.plain()))
    }
}

fn shape(items: &[MessageItem], context: &Context) -> Table {
    let mut counts = BTreeMap::new();
    for item in items {
        for recipient in &item.recipients {
            let (count, oldest) = counts.entry((*recipient, item.state)).or_insert((0_usize, item.created));
            *count += 1;
            *oldest = (*oldest).min(item.created);
        }
    }
    let mut table = Table::new(&["to", "state", "messages", "oldest"]);
    for ((recipient, state), (count, oldest)) in counts {
        let state = state.as_str().replace('-', " ");
        table.row(vec![
            recipient.to_string().into(),
            state.into(),
            count.to_string().into(),
            context.clock.relative(oldest).into(),
        ]);
    }
    table
}
