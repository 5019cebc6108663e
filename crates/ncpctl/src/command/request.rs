//! `request`: a request for information; a guided form if nothing is said and somebody can be asked.

use clap::Args;
use ncp_protocol::codes::Kind;

use crate::compose::{self, Content, Delivery, Purpose};
use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

const EXAMPLES: &str = "\
Examples:
  ncpctl request                               asks for everything
  ncpctl request --to XB --form vehicle --precedence priority --file rfi.json --attach photo.jpg
  ncpctl request --to XB --subject \"Grey van\" --text \"Do you know it?\" --handling H2 --dry-run
  ncpctl request --to XB --file rfi.json --precedence urgent --urgent-ground life-or-limb";

/// Draft a request for information; asks for what is missing
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Request {
    /// To whom: XB, or XB,XC, or all
    #[arg(long, value_name = "PARTICIPANT")]
    to: Vec<String>,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    delivery: Delivery,
}

impl Request {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        self.delivery.schema()
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let purpose =
            Purpose { to: self.to, kind: Kind::Request, in_reply_to: None, response_status: None, reason: None };
        compose::create(context, purpose, self.content, &self.delivery).await
    }
}
