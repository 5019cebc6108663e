//! `release`: what waits for officers, exactly as it would leave, and their decision on it.
//!
//! What is shown is decoded from the manifest's own bytes, after they opened the content commitment: so an officer signs
//! what was on the screen, not what somebody says about it. `approve` signs only if the code that the officer typed is
//! still the code of what waits.

mod view;

use clap::{Args, Subcommand};
use ncp_api::client::PageQuery;
use ncp_api::message::{MessageName, MessageState};
use ncp_api::release::{Approve, Reject, ReleaseView};
use ncp_api::{Client, ErrorCode};
use ncp_protocol::approval::{ApprovalCode, Decision};
use ncp_protocol::keys::Signature;

use crate::context::Context;
use crate::error::{Error, internal};
use crate::message::{Beside, page_report, record};
use crate::output::Report;

const LIST_SCHEMA: &str = "ncp.release/1";
const VIEW_SCHEMA: &str = "ncp.release-view/1";

const LIST_EXAMPLES: &str = "\
Examples:
  ncpctl release list";
const SHOW_EXAMPLES: &str = "\
Examples:
  ncpctl release show XA-2026-000417";
const APPROVE_EXAMPLES: &str = "\
Examples:
  ncpctl release approve XA-2026-000417 --code 7K4M";
const REJECT_EXAMPLES: &str = "\
Examples:
  ncpctl release reject XA-2026-000417 --code 7K4M --reason \"Name the case.\"";

/// Look at, approve or reject what waits for release
#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// List what waits for release
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show exactly what would leave, with the code to approve it
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Sign that it may leave
    #[command(after_help = APPROVE_EXAMPLES)]
    Approve(Approval),
    /// Send it back to its drafter
    #[command(after_help = REJECT_EXAMPLES)]
    Reject(Rejection),
}

/// Which message to show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
}

/// What is approved.
#[derive(Debug, Args)]
pub(crate) struct Approval {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
    /// The four characters that release show gave you with exactly this version
    #[arg(long, value_name = "CODE", value_parser = parse_code)]
    code: Option<ApprovalCode>,
    /// Check everything, sign nothing
    #[arg(long)]
    dry_run: bool,
}

/// What is rejected.
#[derive(Debug, Args)]
pub(crate) struct Rejection {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
    /// The four characters that release show gave you with exactly this version
    #[arg(long, value_name = "CODE", value_parser = parse_code)]
    code: Option<ApprovalCode>,
    /// Why, in words for the drafter
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

fn parse_code(text: &str) -> Result<ApprovalCode, String> {
    text.parse().map_err(|_| "a code is four letters or digits, such as 7K4M".to_owned())
}

impl Release {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::List => LIST_SCHEMA,
            Self::Show(_) => VIEW_SCHEMA,
            Self::Approve(_) | Self::Reject(_) => crate::message::SCHEMA,
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        match self {
            Self::List => list(context, &client).await,
            Self::Show(show) => {
                let view = client.release(&show.name).await?;
                view::report(&view, context)
            }
            Self::Approve(approval) => approve(context, &client, approval).await,
            Self::Reject(rejection) => reject(context, &client, rejection).await,
        }
    }
}

async fn list(context: &Context, client: &Client) -> Result<Report, Error> {
    let page = client.releases(&PageQuery::default()).await?;
    let report = page_report(LIST_SCHEMA, &page.items, Beside::Recipients, "nothing waits for release", context)?;
    Ok(match page.items.first() {
        Some(first) => report.hint(format!("ncpctl release show {}", first.reference)),
        None => report,
    })
}

async fn approve(context: &Context, client: &Client, approval: Approval) -> Result<Report, Error> {
    let view = checked(context, client, &approval.name, approval.code).await?;
    if approval.dry_run {
        let human =
            format!("the code is that of what waits; nothing was signed (--dry-run) for {}\n", view.message.reference);
        return Ok(Report::object(crate::message::SCHEMA, &view.message)?.human(human).plain(record(&view.message)));
    }
    let signature = sign(client, &view, Decision::Approve)?;
    let after = client.approve(&approval.name, &Approve { code: view.code, signature }).await?;
    let human = if after.state == MessageState::WaitingForRelease {
        let missing = after
            .release
            .as_ref()
            .map_or(1, |release| usize::from(release.approvals_needed).saturating_sub(release.approvals.len()));
        format!("approved  {}; {missing} more needed\n", after.reference)
    } else {
        format!("released  {}, {}\n", after.reference, after.state.as_str().replace('-', " "))
    };
    let report = Report::object(crate::message::SCHEMA, &after)?.human(human).plain(record(&after));
    Ok(report.hint(format!("ncpctl status {}", after.reference)))
}

async fn reject(context: &Context, client: &Client, rejection: Rejection) -> Result<Report, Error> {
    let reason = match rejection.reason {
        Some(reason) => reason,
        None => context.asking.line("Why? (for the drafter)", "the reason", "--reason TEXT")?,
    };
    let view = checked(context, client, &rejection.name, rejection.code).await?;
    let signature = sign(client, &view, Decision::Reject)?;
    let after = client.reject(&rejection.name, &Reject { code: view.code, signature, reason }).await?;
    let human = format!("rejected  {}; it is back with its drafter\n", after.reference);
    Ok(Report::object(crate::message::SCHEMA, &after)?.human(human).plain(record(&after)))
}

/// What waits now, if it is what the officer was shown: the code is the node's MAC over exactly that view.
async fn checked(
    context: &Context,
    client: &Client,
    name: &MessageName,
    code: Option<ApprovalCode>,
) -> Result<ReleaseView, Error> {
    let code = match code {
        Some(code) => code,
        None => {
            let typed = context.asking.line("The code that release show gave you:", "the code", "--code CODE")?;
            parse_code(&typed).map_err(|reason| crate::error::usage(reason, "give --code CODE"))?
        }
    };
    let view = client.release(name).await?;
    if view.message.drafter == Some(view.officer) {
        let officers = client.officers().await?.officers;
        let releasers = officers.iter().filter(|officer| {
            officer.disabled.is_none()
                && officer.number != view.officer
                && officer.roles.contains(&ncp_api::officer::OfficerRole::Releaser)
        });
        return Err(ErrorCode::DrafterCannotRelease.with("count", releasers.count()).into());
    }
    view::manifest_of(&view)?;
    if view.code != code {
        return Err(ErrorCode::ReleaseCodeStale.with("code", code).with("reference", view.message.reference).into());
    }
    Ok(view)
}

fn sign(client: &Client, view: &ReleaseView, decision: Decision) -> Result<Signature, Error> {
    let identity = client.officer().ok_or_else(|| internal(&"no officer key"))?;
    let mine = identity.network == view.network
        && identity.participant == view.participant
        && identity.officer.0 == view.officer;
    if !mine {
        return Err(internal(&"the daemon showed the view of another officer or network"));
    }
    Ok(view.statement(decision).sign(&identity.key))
}
