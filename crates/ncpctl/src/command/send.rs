//! `send`: a message of any kind.

use clap::Args;
use ncp_api::message::MessageName;
use ncp_protocol::codes::Kind;

use crate::compose::{self, Content, Delivery, Purpose};
use crate::context::Context;
use crate::error::Error;
use crate::output::Report;

const EXAMPLES: &str = "\
Examples:
  ncpctl send --kind notice --to XB --subject \"Grey van seen\" --text \"Heading south.\" --handling H1
  ncpctl send --kind best-practice --to SEC --subject \"Sealed lorries\" --attach guide.pdf --handling H0
  ncpctl send --kind clarification --to XB --in-reply-to XB-2026-000031 --subject \"Which plate?\" --text \"Which?\" --handling H2";

/// Draft any kind of message
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Send {
    /// To whom: XB, or XB,XC, or all, or class:participating-state
    #[arg(long, value_name = "PARTICIPANT")]
    to: Vec<String>,
    /// What it is: notice, clarification, assistance-request, best-practice, contact-card, consent-request …
    #[arg(long, value_name = "KIND", default_value = "notice")]
    kind: Kind,
    /// The message that it answers
    #[arg(long, value_name = "ID")]
    in_reply_to: Option<MessageName>,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    delivery: Delivery,
}

impl Send {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        self.delivery.schema()
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let purpose = Purpose {
            to: self.to,
            kind: self.kind,
            in_reply_to: self.in_reply_to,
            response_status: None,
            reason: None,
        };
        compose::create(context, purpose, self.content, &self.delivery).await
    }
}
