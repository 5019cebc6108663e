//! `hub suspend` and `hub reinstate`: whether anything goes to and from a participant.
//!
//! Suspension closes: the relay and every node act on it as soon as they see the signed statement, whatever else is stale.

use std::path::PathBuf;

use clap::Args;
use ncp_api::hub::{HubMembership, HubRecorded};
use ncp_protocol::codes::Code;
use ncp_protocol::ids::ParticipantId;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::{Error, usage};
use crate::joining::folder::HubFolder;
use crate::joining::hub::change_standing;
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.hub-standing/1";

const SUSPEND_EXAMPLES: &str = "\
Examples:
  ncpctl hub suspend XC --reason key-compromise --dir hub
  ncpctl hub suspend XC --reason key-compromise --dir hub --role-key /media/a/membership-1.key

The reason is a code of small letters, digits and hyphens that every node shows. The relay has to run; if it does not, start it
and give the same command again.";

const REINSTATE_EXAMPLES: &str = "\
Examples:
  ncpctl hub reinstate XC --dir hub";

/// Suspend a participant.
#[derive(Debug, Args)]
#[command(after_help = SUSPEND_EXAMPLES)]
pub(crate) struct Suspend {
    /// Why, as a code
    #[arg(long, value_name = "CODE")]
    reason: Code,
    #[command(flatten)]
    whom: Whom,
}

/// End a suspension.
#[derive(Debug, Args)]
#[command(after_help = REINSTATE_EXAMPLES)]
pub(crate) struct Reinstate {
    #[command(flatten)]
    whom: Whom,
}

/// Whom it is about, and what signs.
#[derive(Debug, Args)]
struct Whom {
    /// The participant
    #[arg(value_name = "PARTICIPANT")]
    participant: ParticipantId,
    /// Folder of the hub's operator, as given to  hub init
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// A membership key that does not lie in DIR/offline; may be given several times
    #[arg(long = "role-key", value_name = "PATH")]
    role_keys: Vec<PathBuf>,
}

/// What holds now.
#[derive(Debug, Serialize)]
struct Standing {
    participant: String,
    suspended: Option<String>,
    membership_version: u32,
    public_index: u64,
}

impl Suspend {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        self.whom.change(Some(self.reason), context).await
    }
}

impl Reinstate {
    /// Does it.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        self.whom.change(None, context).await
    }
}

impl Whom {
    /// Order: the statement, signed and kept; the relay. A crash or an unreachable relay leaves what the same command finds.
    async fn change(self, suspended: Option<Code>, context: &Context) -> Result<Report, Error> {
        let Self { participant, dir, role_keys } = self;
        if participant == ParticipantId::HUB {
            return Err(usage("the hub cannot be suspended: without it there is no network", "name a participant"));
        }
        let folder = HubFolder::new(&dir, None);
        let client = super::relay(context, &folder);
        let (now, reason) = (context.clock.now, suspended.clone());
        let signed = blocking(move || Ok(change_standing(&folder, participant, reason, &role_keys, now)?)).await?;
        let change = HubMembership { participant, membership: signed.encode() };
        let recorded = match &suspended {
            Some(_) => client.hub_suspend(&change).await?,
            None => client.hub_reinstate(&change).await?,
        };
        report(&recorded, suspended, context)
    }
}

fn report(recorded: &HubRecorded, suspended: Option<Code>, context: &Context) -> Result<Report, Error> {
    let standing = Standing {
        participant: recorded.participant.to_string(),
        suspended: suspended.map(|reason| reason.to_string()),
        membership_version: recorded.membership_version,
        public_index: recorded.public_index,
    };
    let mut facts = Facts::default();
    facts.add("participant", standing.participant.clone());
    facts.add(
        "standing",
        match &standing.suspended {
            Some(reason) => format!("suspended: {reason}; nothing goes to or from it"),
            None => "takes part".to_owned(),
        },
    );
    facts.add("membership", format!("version {}", standing.membership_version));
    let plain = facts.plain();
    Ok(Report::object(SCHEMA, &standing)?.human(facts.render(context.output.style)).plain(plain))
}
