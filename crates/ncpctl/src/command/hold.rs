//! `hold`: the kill switch. What would leave is stopped within a second; what is queued stays.

use clap::{Args, Subcommand};
use ncp_api::release::{HoldScope, Holds, NewHold};
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::ParticipantId;

use crate::context::Context;
use crate::error::{Error, input_needed};
use crate::output::Report;
use crate::table::Table;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.holds/1";

const LIST_EXAMPLES: &str = "\
Examples:
  ncpctl hold list";
const SET_EXAMPLES: &str = "\
Examples:
  ncpctl hold set --all
  ncpctl hold set --to XB
  ncpctl hold set --kind bulletin";
const LIFT_EXAMPLES: &str = "\
Examples:
  ncpctl hold lift --all
  ncpctl hold lift --to XB";

/// Stop everything, or one recipient or kind, from leaving
#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// List the holds in force
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Stop what would leave, within a second
    #[command(after_help = SET_EXAMPLES)]
    Set(Scope),
    /// Let it leave again
    #[command(after_help = LIFT_EXAMPLES)]
    Lift(Scope),
}

/// What a hold stops.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    /// Everything
    #[arg(long, group = "scope")]
    all: bool,
    /// Everything to this participant
    #[arg(long, value_name = "PARTICIPANT", group = "scope")]
    to: Option<ParticipantId>,
    /// Everything of this kind
    #[arg(long, value_name = "KIND", group = "scope")]
    kind: Option<Kind>,
}

impl Scope {
    fn scope(&self) -> Result<HoldScope, Error> {
        match (self.all, self.to, self.kind) {
            (true, _, _) => Ok(HoldScope::All),
            (false, Some(to), _) => Ok(HoldScope::Recipient(to)),
            (false, None, Some(kind)) => Ok(HoldScope::Kind(kind)),
            (false, None, None) => Err(input_needed("what to hold", "--all, --to or --kind")),
        }
    }
}

impl Hold {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        // What is wrong with the command is said before a passphrase is asked for.
        let scope = match &self {
            Self::List => None,
            Self::Set(scope) | Self::Lift(scope) => Some(scope.scope()?),
        };
        let client = context.officer_client().await?;
        let holds = match (&self, scope) {
            (Self::Set(_), Some(scope)) => client.set_hold(&NewHold { scope }).await?,
            (Self::Lift(_), Some(scope)) => client.lift_hold(&scope).await?,
            (Self::List | Self::Set(_) | Self::Lift(_), _) => client.holds().await?,
        };
        report(&holds, context)
    }
}

fn report(holds: &Holds, context: &Context) -> Result<Report, Error> {
    let mut table = Table::new(&["held", "since", "by", "stops now"]);
    for hold in &holds.holds {
        let officer = hold.officer.map_or_else(|| "the daemon".to_owned(), |officer| format!("officer {officer:02}"));
        table.row(vec![
            hold.scope.to_string().into(),
            format!("{}, {}", context.clock.minute(hold.since), context.clock.relative(hold.since)).into(),
            officer.into(),
            if hold.stopped == 1 { "1 message".to_owned() } else { format!("{} messages", hold.stopped) }.into(),
        ]);
    }
    let human = if table.is_empty() { "nothing is held\n".to_owned() } else { table.render(context.output.style) };
    Ok(Report::lines(SCHEMA, &holds.holds)?.human(human).plain(table.plain()))
}
