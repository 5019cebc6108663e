//! `directory`: who is in the network, by which keys, and whose fingerprint was compared.

use clap::{Args, Subcommand};
use ncp_api::ErrorCode;
use ncp_api::directory::{Directory as View, DirectoryEntry, Pin as PinRequest};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::ParticipantId;

use crate::context::Context;
use crate::error::{Error, usage};
use crate::output::{Facts, Report};
use crate::style::Tone;
use crate::table::{Cell, Table};

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.directory/1";

const LIST_EXAMPLES: &str = "\
Examples:
  ncpctl directory list";
const SHOW_EXAMPLES: &str = "\
Examples:
  ncpctl directory show XB";
const PIN_EXAMPLES: &str = "\
Examples:
  ncpctl directory pin XB                      asks for what XB reads to you on the telephone
  ncpctl directory pin XB --fingerprint \"5f8c 11a0 7be2 94d3 00c1 6a2f 88e4 b95d 31f7 c06e 2d49 a5b8 7713 e0fa 4c6b 9d82\"";

/// Who is in the network, and whose fingerprint was compared
#[derive(Debug, Subcommand)]
pub(crate) enum Directory {
    /// List all participants
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show one participant's entry
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Record that people compared a participant's fingerprint
    #[command(after_help = PIN_EXAMPLES)]
    Pin(Pin),
}

/// Whose entry.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The participant
    #[arg(value_name = "PARTICIPANT")]
    participant: ParticipantId,
}

/// Whose fingerprint was compared.
#[derive(Debug, Args)]
pub(crate) struct Pin {
    /// The participant
    #[arg(value_name = "PARTICIPANT")]
    participant: ParticipantId,
    /// The 64 digits that the participant read to you; blanks do not matter
    #[arg(long, value_name = "DIGITS", value_parser = parse_fingerprint)]
    fingerprint: Option<Fingerprint>,
}

fn parse_fingerprint(text: &str) -> Result<Fingerprint, String> {
    text.to_ascii_lowercase().parse().map_err(|_| "a fingerprint has 64 digits 0-9 and a-f".to_owned())
}

impl Directory {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        match self {
            Self::List => list(&client.directory().await?, context),
            Self::Show(show) => one(find(&client.directory().await?, show.participant)?, context),
            Self::Pin(pin) => {
                // Asked for before the own digits are shown: people compare, they do not copy.
                let fingerprint = match pin.fingerprint {
                    Some(fingerprint) => fingerprint,
                    None => {
                        let question = format!("Type the fingerprint that {} reads to you:", pin.participant);
                        let typed = context.asking.line(&question, "the fingerprint", "--fingerprint DIGITS")?;
                        parse_fingerprint(&typed).map_err(|reason| usage(reason, "type it again"))?
                    }
                };
                let view = client.pin(&pin.participant, &PinRequest { fingerprint }).await?;
                let report = one(find(&view, pin.participant)?, context)?;
                Ok(report.hint(format!("messages can be exchanged with {}", pin.participant)))
            }
        }
    }
}

fn find(view: &View, participant: ParticipantId) -> Result<&DirectoryEntry, Error> {
    let found = view.entries.iter().find(|entry| entry.participant == participant);
    found.ok_or_else(|| ErrorCode::ParticipantUnknown.with("participant", participant).into())
}

fn list(view: &View, context: &Context) -> Result<Report, Error> {
    let mut table = Table::new(&["participant", "class", "version", "state", "sealing key until", "fingerprint"]);
    for entry in &view.entries {
        let until = entry.seal_until.map_or_else(|| "—".to_owned(), |until| context.clock.date(until));
        table.row(vec![
            entry.participant.to_string().into(),
            entry.class.map_or_else(|| "—".to_owned(), |class| class.to_string()).into(),
            entry.version.to_string().into(),
            state(entry),
            until.into(),
            entry.fingerprint.to_string().into(),
        ]);
    }
    let valid = view.valid_until.map_or_else(
        || "no timestamp vouches for it yet".to_owned(),
        |until| format!("its timestamp is valid {}", context.clock.relative(until)),
    );
    let tail = format!("network {} ({}); {valid}\n", view.network.label(), view.class);
    let human = table.render(context.output.style) + &tail;
    let report = Report::lines(SCHEMA, &view.entries)?.human(human).plain(table.plain());
    let unpinned = view.entries.iter().find(|entry| !entry.pinned && entry.suspended.is_none());
    Ok(match unpinned {
        Some(entry) => report.hint(format!("telephone {0}, then  ncpctl directory pin {0}", entry.participant)),
        None => report,
    })
}

fn state(entry: &DirectoryEntry) -> Cell {
    if let Some(reason) = &entry.suspended {
        return Cell::toned(Tone::Bad, format!("suspended: {reason}"));
    }
    match (entry.pinned, entry.usable) {
        (false, _) => Cell::toned(Tone::Warn, "not compared yet"),
        (true, true) => Cell::toned(Tone::Good, "ok"),
        (true, false) => Cell::toned(Tone::Warn, "compared, not usable now"),
    }
}

fn one(entry: &DirectoryEntry, context: &Context) -> Result<Report, Error> {
    let mut facts = Facts::default();
    let style = context.output.style;
    facts.add("participant", style.paint(Tone::Strong, entry.participant.as_str()));
    facts.maybe("class", entry.class.map(|class| class.to_string()));
    facts.add("version", format!("{}, made {}", entry.version, context.clock.minute(entry.created)));
    facts.add("fingerprint", entry.fingerprint.to_string());
    let compared = if entry.pinned { "by officers of this node" } else { "not yet" };
    facts.add("compared", compared);
    facts.maybe("suspended", entry.suspended.as_ref().map(ToString::to_string));
    let until = |time| format!("{}, {}", context.clock.minute(time), context.clock.relative(time));
    facts.maybe("sealing key until", entry.seal_until.map(until));
    facts.maybe("signing key until", entry.sign_until.map(until));
    for log in &entry.logs {
        facts.add("log", format!("{} epoch {}, key {}", log.log, log.epoch, log.key.0.short()));
    }
    Ok(Report::lines(SCHEMA, std::slice::from_ref(entry))?.human(facts.render(style)).plain(facts.plain()))
}
