//! `show`: a message in full, or exactly what the hub sees of it.
//!
//! The first officer who opens an incoming message confirms it: that is R3, and the originator sees it.

use clap::Args;
use ncp_api::message::{
    Confirm, ConfirmStatus, ContentState, Direction, HubView, MessageName, MessageState, MessageView,
};
use ncp_api::{Client, ErrorCode};
use ncp_protocol::codes::Handling;

use crate::context::Context;
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Style, Tone, bytes, clean};

const HUB_SCHEMA: &str = "ncp.hub-view/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl show XB-2026-000031
  ncpctl show XB-2026-000031 --acknowledge     after reading the restriction of an H3 message
  ncpctl show XA-2026-000417 --as-hub          what Vienna sees of it";

/// Show a message; opening it for the first time confirms it (R3)
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
    /// Print exactly what the hub sees
    #[arg(long, conflicts_with = "acknowledge")]
    as_hub: bool,
    /// The restriction of an H3 message was read
    #[arg(long)]
    acknowledge: bool,
}

impl Show {
    /// Shows a message, nothing acknowledged beforehand.
    pub(super) fn plain(name: MessageName) -> Self {
        Self { name, as_hub: false, acknowledge: false }
    }

    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        if self.as_hub { HUB_SCHEMA } else { crate::message::SCHEMA }
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        if self.as_hub {
            let view = client.hub_view(&self.name).await?;
            return as_hub(&view, context.output.style);
        }
        let view = open(context, &client, &self.name, Acknowledged::of(self.acknowledge)).await?;
        let report = crate::message::report(&view, &context.clock, context.output.style)?;
        Ok(match next_step(&view) {
            Some(hint) => report.hint(hint),
            None => report,
        })
    }
}

/// What an officer who has read the message does next, if that follows from where it stands.
fn next_step(view: &MessageView) -> Option<String> {
    let reference = view.reference;
    match (view.direction, view.state) {
        (Direction::In, state) if view.due.is_some() && state != MessageState::Answered => {
            Some(format!("ncpctl assign {reference} --to SERVICE, or  ncpctl respond {reference}"))
        }
        (Direction::Out, MessageState::Draft) => {
            Some(format!("ncpctl edit {reference} …  puts it up again, or  ncpctl withdraw {reference}"))
        }
        (Direction::Out, MessageState::WaitingForRelease) => {
            Some(format!("another officer runs  ncpctl release show {reference}"))
        }
        (Direction::Out, MessageState::Answered) => {
            view.answered_by.last().map(|answer| format!("ncpctl show {}", answer.reference))
        }
        (Direction::In | Direction::Out, _) => None,
    }
}

/// Whether the officer says that an H3 restriction was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledged {
    Yes,
    No,
}

impl Acknowledged {
    /// From the option.
    pub(super) fn of(option: bool) -> Self {
        if option { Self::Yes } else { Self::No }
    }
}

/// A message for an officer to read: confirmed if nobody opened it before, its restriction acknowledged if it has one.
pub(super) async fn open(
    context: &Context,
    client: &Client,
    name: &MessageName,
    acknowledged: Acknowledged,
) -> Result<MessageView, Error> {
    let view = client.message(name).await?;
    let unopened = view.direction == Direction::In && view.state == MessageState::Delivered;
    let restricted = view.content == ContentState::Restricted;
    if !unopened && !restricted {
        return Ok(view);
    }
    let mut acknowledged = acknowledged;
    if view.handling == Handling::H3 && acknowledged == Acknowledged::No {
        acknowledged = ask_restriction(context, &view)?;
    }
    let confirm = Confirm {
        status: ConfirmStatus::Processed,
        national_ref: None,
        restriction_acknowledged: acknowledged == Acknowledged::Yes,
    };
    client.confirm(name, &confirm).await?;
    client.message(name).await
}

fn ask_restriction(context: &Context, view: &MessageView) -> Result<Acknowledged, Error> {
    let words = clean(view.restriction.as_deref().unwrap_or("the originator gave no words"));
    let refused = || -> Error {
        let fault = ErrorCode::RestrictionNotAcknowledged.with("reference", view.reference);
        fault.with("restriction", &words).into()
    };
    if !context.asking.possible() {
        return Err(refused());
    }
    let question = format!("{} restricts its use: {words}\nDo you acknowledge this?", view.originator);
    let agreed = context.asking.confirm(&question, "the acknowledgement", "--acknowledge")?;
    if agreed { Ok(Acknowledged::Yes) } else { Err(refused()) }
}

fn as_hub(view: &HubView, style: Style) -> Result<Report, Error> {
    let mut out = String::new();
    let state = if view.sealed { "sealed" } else { "not sealed yet: this is what would be sealed now" };
    out.push_str(&format!("{}  {state}\n", style.paint(Tone::Strong, &view.message.to_string())));
    let mut plain = String::new();
    for header in &view.headers {
        let mut facts = Facts::default();
        for (name, value) in &header.fields {
            facts.add(name, clean(value));
        }
        facts.add("sealed body", format!("{}, which the hub cannot open", bytes(header.body_length)));
        facts.maybe("header digest", header.digest.map(|digest| digest.to_string()));
        out.push('\n');
        out.push_str(&facts.render(style));
        plain.push_str(&facts.plain());
    }
    out.push_str("\nSubject, text, form, attachments and reference are inside the sealed body.\n");
    Ok(Report::object(HUB_SCHEMA, view)?.human(out).plain(plain))
}
