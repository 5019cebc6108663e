//! `status`: one message's timeline with evidence verified now, or, without a message, where the node stands.

use clap::Args;
use ncp_api::health::{CheckResult, Health};
use ncp_api::message::MessageName;
use ncp_api::timeline::{EvidenceBundle, Timeline};
use ncp_api::{ErrorCode, Exit};
use serde::Serialize;

use super::me::link;
use crate::clock::span;
use crate::context::Context;
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Tone, bytes, number};
use crate::table::plain_record;
use crate::timeline::{render, sentence, tally};
use crate::verify::{Standing, Verdict, Verdicts, standing, verify};

const TIMELINE_SCHEMA: &str = "ncp.timeline/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl status XA-2026-000417             each step with time, actor and evidence
  ncpctl status                            where the node stands
  ncpctl status XA-2026-000417 --json=state,receipts";

/// Where a message stands, with evidence verified now; without one, where the node stands
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: Option<MessageName>,
}

/// A timeline as JSON: what the node says, and what was verified here.
#[derive(Debug, Serialize)]
struct Verified<'a> {
    #[serde(flatten)]
    timeline: &'a Timeline,
    sentence: String,
    receipts: Vec<VerifiedReceipt>,
}

#[derive(Debug, Serialize)]
struct VerifiedReceipt {
    id: String,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Status {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        if self.name.is_some() { TIMELINE_SCHEMA } else { super::health::SCHEMA }
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let Some(name) = self.name else {
            return of_node(&context.client().health().await?, context);
        };
        let client = context.officer_client().await?;
        let timeline = client.timeline(&name).await?;
        let bundle = client.evidence(&name).await?;
        of_message(&timeline, &bundle, context)
    }
}

fn of_message(timeline: &Timeline, bundle: &EvidenceBundle, context: &Context) -> Result<Report, Error> {
    if bundle.message != timeline.message {
        return Err(ErrorCode::DaemonAnswerUnreadable.with("reason", "evidence of another message").into());
    }
    let verdicts = verify(bundle);
    let tally = tally(timeline, &verdicts);
    let verified = Verified {
        timeline,
        sentence: sentence(timeline, tally, &context.clock),
        receipts: verdicts.iter().map(|(id, verdict)| receipt(id, verdict)).collect(),
    };
    let exit = if tally.bad > 0 { Exit::Data } else { Exit::Done };
    let human = render(timeline, &verdicts, &context.clock, context.output.style);
    Ok(Report::object(TIMELINE_SCHEMA, &verified)?.human(human).plain(plain(timeline, &verdicts)).exit(exit))
}

fn receipt(id: &str, verdict: &Verdict) -> VerifiedReceipt {
    let (result, reason) = match verdict {
        Verdict::Good(_) => ("ok", None),
        Verdict::Bad(fault) => ("bad", Some(fault.cause())),
    };
    VerifiedReceipt { id: id.to_owned(), result, reason }
}

fn plain(timeline: &Timeline, verdicts: &Verdicts) -> String {
    let mut out = String::new();
    for entry in &timeline.entries {
        let time = entry.time.map(|time| ncp_api::time::Time(time).to_string()).unwrap_or_default();
        let recipient = entry.recipient.map(|recipient| recipient.to_string()).unwrap_or_default();
        let evidence = match standing(timeline, entry, verdicts) {
            Standing::NotNeeded => "",
            Standing::Proved(_) => "receipt ok",
            Standing::Bad(_) => "receipt BAD",
            Standing::Missing => "receipt missing",
        };
        let fields = [time.as_str(), entry.step.as_str(), recipient.as_str(), entry.detail.as_str(), evidence];
        out.push_str(&plain_record(fields.into_iter()));
    }
    out
}

/// The node in a few lines. The exit code says whether it can sign and store: an outage of the hub is no fault of the node.
pub(super) fn of_node(health: &Health, context: &Context) -> Result<Report, Error> {
    let style = context.output.style;
    let mut facts = Facts::default();
    let tone = match health.overall {
        CheckResult::Ok => Tone::Good,
        CheckResult::Warn | CheckResult::Unset => Tone::Warn,
        CheckResult::Fail => Tone::Bad,
    };
    let overall = style.paint(tone, health.overall.as_str());
    let ready = if health.ready { "can sign and store now" } else { "cannot sign and store now" };
    facts.add("daemon", format!("{}  {}: {ready}", health.participant, health.version));
    facts.add("checks", overall);
    facts.add("network", format!("{} ({})", health.network.label(), health.class));
    if let Some(hub) = &health.hub {
        let reason =
            hub.reason.as_deref().filter(|_| !hub.connected).map(|reason| format!(": {}", crate::style::clean(reason)));
        facts.add("hub", format!("{} at {}{}", link(hub, &context.clock), hub.address, reason.unwrap_or_default()));
    }
    facts.add("running", format!("for {}", span(health.now.millis_since(health.started))));
    facts.add("journal", format!("{} events, {} free", number(health.journal_events), bytes(health.free_bytes)));
    let mut human = facts.render(style);
    for check in
        health.checks.iter().filter(|check| check.result != CheckResult::Ok && check.result != CheckResult::Unset)
    {
        human.push_str(&super::doctor::check_lines(check, style));
    }
    let exit = if health.ready { Exit::Done } else { Exit::Failed };
    Ok(Report::object(super::health::SCHEMA, health)?.human(human).plain(facts.plain()).exit(exit))
}
