//! `inbox`: what arrived; with `--watch` also what arrives.

use clap::Args;
use ncp_api::client::PageQuery;
use ncp_api::message::{MessagePage, MessageState};

use crate::context::Context;
use crate::error::Error;
use crate::message::{Beside, list, page_report};
use crate::output::{Reader, Report};
use crate::table::Table;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.inbox/1";
/// How long the daemon keeps one question of `--watch` open; below the client's own limit.
const WATCH_SECONDS: u64 = 20;

const EXAMPLES: &str = "\
Examples:
  ncpctl inbox
  ncpctl inbox --state delivered           what nobody opened yet
  ncpctl inbox --watch --json              one line for each message, as it comes";

/// List what arrived
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Inbox {
    /// Only messages in this state: delivered (unread), handed-over, answered …
    #[arg(long, value_name = "STATE")]
    state: Option<MessageState>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Go on and list what comes
    #[arg(long)]
    watch: bool,
}

impl Inbox {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        let mut query = PageQuery { state: self.state, limit: Some(self.limit), ..PageQuery::default() };
        let page = client.inbox(&query).await?;
        let report = page_report(SCHEMA, &page.items, Beside::Originator, "nothing has arrived", context)?;
        if !self.watch {
            return Ok(more(report, &page));
        }
        if context.output.emit(&report)? == Reader::Gone {
            return Report::lines::<()>(SCHEMA, &[]);
        }
        query.after = Some(page.cursor);
        query.wait_seconds = Some(WATCH_SECONDS);
        loop {
            let page = client.inbox(&query).await?;
            query.after = Some(page.cursor);
            if page.items.is_empty() {
                continue;
            }
            let table = list(&page.items, Beside::Originator, &context.clock);
            let rows = without_heading(&table, context);
            let report = Report::lines(SCHEMA, &page.items)?.human(rows).plain(table.plain());
            if context.output.emit(&report)? == Reader::Gone {
                return Report::lines::<()>(SCHEMA, &[]);
            }
        }
    }
}

fn without_heading(table: &Table, context: &Context) -> String {
    let text = table.render(context.output.style);
    text.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default()
}

/// Says that a list goes on, to programs in a last line of its own schema.
pub(super) fn more(report: Report, page: &MessagePage) -> Report {
    if page.more { report.hint("more follow: raise --limit").more(page.items.len()) } else { report }
}
