//! `hub renew`: what the hub states about itself goes on. Role keys sign it, and come back for that from where they lie.

use std::path::PathBuf;

use clap::Args;
use ncp_api::ErrorCode;
use ncp_protocol::ids::UnixMillis;
use serde::Serialize;

use crate::context::{Context, blocking};
use crate::error::Error;
use crate::joining::folder::HubFolder;
use crate::joining::renewal::{Outcome, Renew as What, Renewed, renew};
use crate::output::{Facts, Report};

pub(super) const SCHEMA: &str = "ncp.hub-renew/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl hub renew --dir hub
  ncpctl hub renew --dir /srv/ncp-authority --data-dir /var/lib/ncp-relay --role-key /media/a/membership-1.key --role-key /media/b/membership-2.key

Renewed is a root of trust with less than 180 days left, a membership statement with less than 60, and a certificate of the hub
with less than 60; what has ended already, too. Give it monthly: when nothing is due it says until when each lasts. The relay
has to run: it records what is new. If it does not, start it and give the same command again.";

/// Renew what has little time left.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Renew {
    /// Folder of the hub's operator, as given to  hub init
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The relay's data folder; DIR/data unless named
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A root or membership key that does not lie in DIR/offline; may be given several times
    #[arg(long = "role-key", value_name = "PATH")]
    role_keys: Vec<PathBuf>,
    /// Renew all three, whatever time is left
    #[arg(long)]
    all: bool,
}

/// What holds now.
#[derive(Debug, Serialize)]
struct Holds {
    root_version: u32,
    root_until: String,
    root_renewed: bool,
    membership_version: u32,
    membership_until: String,
    membership_renewed: bool,
    certificate_until: String,
    certificate_renewed: bool,
    relay_told: bool,
    data_dir: PathBuf,
}

impl Renew {
    /// Does it. Order: files of the operator, certificate, the relay. A crash or an unreachable relay leaves what the same
    /// command finds again; `--all` is then left out.
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let folder = HubFolder::new(&self.dir, self.data_dir.as_deref());
        let client = super::relay(context, &folder);
        let data = folder.data().to_owned();
        let (what, now) = (if self.all { What::Everything } else { What::WhatIsDue }, context.clock.now);
        let role_keys = self.role_keys;
        let renewed = blocking(move || Ok(renew(&folder, &role_keys, what, now)?)).await?;
        // Also when nothing is due: an earlier call may have ended before the relay was told.
        let relay_told = match client.hub_admit(&renewed.told()).await {
            Ok(_) => true,
            Err(error) if error.is(ErrorCode::DaemonUnreachable) && !renewed.made_something() => false,
            Err(error) => return Err(error),
        };
        report(&renewed, relay_told, data, context)
    }
}

fn report(renewed: &Renewed, relay_told: bool, data_dir: PathBuf, context: &Context) -> Result<Report, Error> {
    let Renewed { root, membership, .. } = renewed;
    let (root, membership) = (root.newest.root(), membership.unverified());
    let date = |until| context.clock.date(until);
    let holds = Holds {
        root_version: root.version,
        root_until: date(root.expires),
        root_renewed: renewed.root_outcome == Outcome::Renewed,
        membership_version: membership.version,
        membership_until: date(membership.expires),
        membership_renewed: renewed.membership_outcome == Outcome::Renewed,
        certificate_until: date(renewed.certificate_until),
        certificate_renewed: renewed.certificate_outcome == Outcome::Renewed,
        relay_told,
        data_dir,
    };
    let state = |version: Option<u32>, until: UnixMillis, outcome: &Outcome| {
        let version = version.map(|version| format!("version {version}, ")).unwrap_or_default();
        let mark = match outcome {
            Outcome::Stands => String::new(),
            Outcome::Renewed => "; renewed".to_owned(),
            Outcome::Lacking(fault) => format!("; not renewed: {}", fault.title()),
        };
        format!("{version}until {}{mark}", date(until))
    };
    let mut facts = Facts::default();
    facts.add("root of trust", state(Some(root.version), root.expires, &renewed.root_outcome));
    facts.add("membership", state(Some(membership.version), membership.expires, &renewed.membership_outcome));
    facts.add("certificate", state(None, renewed.certificate_until, &renewed.certificate_outcome));
    facts.add("relay", if relay_told { "has all of it" } else { "does not run, and was not told" });
    let mut plain = Facts::default();
    plain.add("root-until", holds.root_until.clone());
    plain.add("membership-until", holds.membership_until.clone());
    plain.add("certificate-until", holds.certificate_until.clone());
    let mut report = Report::object(SCHEMA, &holds)?.human(facts.render(context.output.style)).plain(plain.plain());
    if holds.certificate_renewed {
        report = report.hint("the relay takes the certificate up:  systemctl reload ncp-relay");
    }
    if !relay_told {
        report = report.hint("start the relay and give the same command again");
    }
    if let Outcome::Lacking(fault) = &renewed.root_outcome {
        report = report.hint(format!("root of trust: {}: {}", fault.cause(), fault.remedy())).exit(fault.exit());
    }
    Ok(report)
}
