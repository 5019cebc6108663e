//! `officers`: who may act at this node. Two supervisors enter an officer by sending the same.

use clap::{Args, Subcommand};
use ncp_api::ErrorCode;
use ncp_api::officer::{DisableOfficer, NewOfficer, Officer, OfficerRole, Officers as OfficerTable};
use ncp_protocol::codes::Code;
use ncp_protocol::keys::VerifyingKey;

use crate::context::Context;
use crate::error::Error;
use crate::output::Report;
use crate::style::Tone;
use crate::table::{Cell, Table, plain_record};

const LIST_SCHEMA: &str = "ncp.officers/1";
const ADDED_SCHEMA: &str = "ncp.officer-added/1";

const LIST_EXAMPLES: &str = "\
Examples:
  ncpctl officers list";
const ADD_EXAMPLES: &str = "\
Examples:
  ncpctl officers add 14 --uid 1014 --key WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY= --roles drafter,releaser";
const DISABLE_EXAMPLES: &str = "\
Examples:
  ncpctl officers disable 14 --confirm=14";

/// Who may act at this node
#[derive(Debug, Subcommand)]
pub(crate) enum Officers {
    /// List officers and proposals
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Propose an officer, or agree to a proposal by sending the same
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Disable an officer for good
    #[command(after_help = DISABLE_EXAMPLES)]
    Disable(Disable),
}

/// Who is entered.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// A number that was never given
    #[arg(value_name = "NUMBER")]
    number: u16,
    /// The officer's Unix account
    #[arg(long, value_name = "UID")]
    uid: u32,
    /// The officer's public key, as keys init --officer printed it
    #[arg(long, value_name = "BASE64", value_parser = parse_key)]
    key: VerifyingKey,
    /// What the officer may do: drafter, releaser, supervisor
    #[arg(long, value_name = "ROLES", value_delimiter = ',', required = true)]
    roles: Vec<OfficerRole>,
}

/// Who is disabled.
#[derive(Debug, Args)]
pub(crate) struct Disable {
    /// The officer's number
    #[arg(value_name = "NUMBER")]
    number: u16,
    /// Why, as a code
    #[arg(long, value_name = "CODE")]
    reason: Option<Code>,
    /// The number again: a disabled officer is not enabled again
    #[arg(long, value_name = "NUMBER")]
    confirm: Option<u16>,
}

fn parse_key(text: &str) -> Result<VerifyingKey, String> {
    let bytes: Option<[u8; 32]> =
        <base64ct::Base64 as base64ct::Encoding>::decode_vec(text).ok().and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or("a public key is the base64 of 32 bytes")?;
    VerifyingKey::from_bytes(&bytes).map_err(|error| error.to_string())
}

impl Officers {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self {
            Self::List | Self::Disable(_) => LIST_SCHEMA,
            Self::Add(_) => ADDED_SCHEMA,
        }
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        match self {
            Self::List => list(&context.officer_client().await?.officers().await?, context),
            Self::Add(add) => add.run(context).await,
            Self::Disable(disable) => disable.run(context).await,
        }
    }
}

impl Add {
    async fn run(self, context: &Context) -> Result<Report, Error> {
        let mut roles = self.roles;
        roles.sort();
        roles.dedup();
        let officer = NewOfficer { number: self.number, uid: self.uid, key: self.key, roles };
        let added = context.officer_client().await?.add_officer(&officer).await?;
        let (human, hint) = if added.entered {
            (format!("entered  officer {:02}\n", officer.number), "ncpctl officers list".to_owned())
        } else {
            let human = format!(
                "proposed officer {:02}; {} more supervisor has to send the same\n",
                officer.number, added.needed
            );
            (human, "another supervisor repeats this command with an own key".to_owned())
        };
        let fields = [officer.number.to_string(), added.entered.to_string()];
        let plain = plain_record(fields.iter().map(String::as_str));
        Ok(Report::object(ADDED_SCHEMA, &added)?.human(human).plain(plain).hint(hint))
    }
}

impl Disable {
    async fn run(self, context: &Context) -> Result<Report, Error> {
        let question = format!("Disable officer {:02}? A disabled officer is not enabled again.", self.number);
        let confirmed = match self.confirm {
            Some(number) => number == self.number,
            None if context.asking.possible() => context.asking.confirm(&question, "the confirmation", "--confirm")?,
            None => false,
        };
        if !confirmed {
            let fault = ErrorCode::ConfirmationNeeded.with("what", "a disabled officer is not enabled again");
            return Err(fault.with("name", self.number).into());
        }
        let client = context.officer_client().await?;
        let officer = client.disable_officer(self.number, &DisableOfficer { reason: self.reason }).await?;
        list(&OfficerTable { officers: vec![officer], proposals: std::collections::BTreeMap::new() }, context)
    }
}

fn list(officers: &OfficerTable, context: &Context) -> Result<Report, Error> {
    let mut table = Table::new(&["officer", "state", "uid", "roles", "key", "since", "name"]);
    for officer in &officers.officers {
        table.row(vec![
            format!("{:02}", officer.number).into(),
            state(officer, context),
            officer.uid.to_string().into(),
            roles(&officer.roles).into(),
            officer.key.id().0.short().into(),
            context.clock.date(officer.since).into(),
            officer.name.clone().unwrap_or_default().into(),
        ]);
    }
    let mut human = table.render(context.output.style);
    for proposal in officers.proposals.values() {
        let new = &proposal.officer;
        human.push_str(&format!(
            "proposed: officer {:02}, uid {}, {}, key {}, by officer {:02} {}\n",
            new.number,
            new.uid,
            roles(&new.roles),
            new.key.id().0.short(),
            proposal.by,
            context.clock.relative(proposal.time)
        ));
    }
    Ok(Report::lines(LIST_SCHEMA, &officers.officers)?.human(human).plain(table.plain()))
}

fn state(officer: &Officer, context: &Context) -> Cell {
    match officer.disabled {
        None => Cell::toned(Tone::Good, "enabled"),
        Some(since) => Cell::toned(Tone::Warn, format!("disabled {}", context.clock.date(since))),
    }
}

fn roles(roles: &[OfficerRole]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}
