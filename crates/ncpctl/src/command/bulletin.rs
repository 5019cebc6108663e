//! `bulletin`: news of the Secretariat to all or to a group, and calls that ask for an answer.

use clap::{Args, Subcommand};
use ncp_api::client::PageQuery;
use ncp_api::message::MessageName;
use ncp_protocol::codes::Kind;

use super::show::Show;
use crate::compose::{self, Content, Delivery, Purpose};
use crate::context::Context;
use crate::error::Error;
use crate::message::{Beside, page_report};
use crate::output::Report;

const LIST_SCHEMA: &str = "ncp.bulletins/1";

const LIST_EXAMPLES: &str = "\
Examples:
  ncpctl bulletin list";
const READ_EXAMPLES: &str = "\
Examples:
  ncpctl bulletin read SEC-2026-000012";
const PUBLISH_EXAMPLES: &str = "\
Examples:
  ncpctl bulletin publish --subject \"New mandate\" --text-file news.txt --attach mandate.pdf --handling H0
  ncpctl bulletin publish --to class:participating-state --subject \"Expert meeting\" --text \"Who comes?\" --call --answer-by 2026-12-01 --handling H0";

/// Read and publish bulletins
#[derive(Debug, Subcommand)]
pub(crate) enum Bulletin {
    /// List bulletins and calls
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Read a bulletin or call
    #[command(after_help = READ_EXAMPLES)]
    Read(Read),
    /// Draft one for release
    #[command(after_help = PUBLISH_EXAMPLES)]
    Publish(Box<Publish>),
}

/// Which one to read.
#[derive(Debug, Args)]
pub(crate) struct Read {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
}

/// What is published.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// To whom: all, class:participating-state, or participants
    #[arg(long, value_name = "PARTICIPANT", default_value = "all")]
    to: Vec<String>,
    /// Ask each for an answer
    #[arg(long)]
    call: bool,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    delivery: Delivery,
}

impl Bulletin {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::List => LIST_SCHEMA,
            Self::Publish(publish) => publish.delivery.schema(),
            Self::Read(_) => crate::message::SCHEMA,
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::List => list(context).await,
            Self::Read(read) => Show::plain(read.name).run(context).await,
            Self::Publish(publish) => {
                let kind = if publish.call { Kind::Call } else { Kind::Bulletin };
                let purpose = Purpose { to: publish.to, kind, in_reply_to: None, response_status: None, reason: None };
                compose::create(context, purpose, publish.content, &publish.delivery).await
            }
        }
    }
}

async fn list(context: &Context) -> Result<Report, Error> {
    let client = context.officer_client().await?;
    let mut query = PageQuery { limit: Some(ncp_api::PAGE_MAX), ..PageQuery::default() };
    let mut items = Vec::new();
    loop {
        let page = client.messages(&query).await?;
        items.extend(page.items.into_iter().filter(|item| matches!(item.kind, Kind::Bulletin | Kind::Call)));
        if !page.more {
            break;
        }
        query.after = Some(page.cursor);
    }
    page_report(LIST_SCHEMA, &items, Beside::Originator, "there are no bulletins", context)
}
