//! Making a message: from options, from a JSON document, or by asking the officer for what is missing.

mod ask;
mod attach;
mod document;
pub(crate) mod wait;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ncp_api::message::{FormContent, MessageName, MessageState, MessageView, NewMessage, Validation};
use ncp_api::text::handling;
use ncp_api::{Client, ErrorCode, Fault, forms};
use ncp_protocol::codes::{Code, Form, Handling, Kind, Precedence, ResponseStatus, UrgentGround};
use ncp_protocol::ids::{ParticipantId, UnixMillis};

use crate::context::{Context, parse_duration, random_key};
use crate::error::{Error, input_needed, usage};
use crate::message::record;
use crate::output::{Facts, Report};
use crate::style::{Tone, bytes, clean};

pub(crate) use attach::{Attached, patient, upload_all};
pub(crate) use document::{Document, read_text};
pub(crate) use wait::WaitFor;

/// Schema of a dry run's JSON.
pub(crate) const VALIDATION_SCHEMA: &str = "ncp.validation/1";

/// What a message says: options that `send`, `request`, `respond`, `edit` and `bulletin publish` share.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Content")]
pub(crate) struct Content {
    /// One line that says what it is about
    #[arg(long, value_name = "TEXT")]
    pub(crate) subject: Option<String>,
    /// The text
    #[arg(long, value_name = "TEXT", conflicts_with = "text_file")]
    pub(crate) text: Option<String>,
    /// A file with the text; - is standard input
    #[arg(long, value_name = "PATH")]
    pub(crate) text_file: Option<PathBuf>,
    /// A coded form: document, event, goods, person, vehicle, vessel; /N names an older version
    #[arg(long, value_name = "FORM")]
    pub(crate) form: Option<String>,
    /// A JSON file with any of: subject, text, fields of the form, handling …; options outrank it
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// A file to attach, under its own name or another; repeatable
    #[arg(long, value_name = "[NAME=]PATH")]
    pub(crate) attach: Vec<String>,
    /// What the recipient may do with it: H0 all, H1 not in court, H2 not to be passed on, H3 in words
    #[arg(long, value_name = "CODE", value_parser = parse_handling)]
    pub(crate) handling: Option<Handling>,
    /// The restriction in words, for H3
    #[arg(long, value_name = "TEXT")]
    pub(crate) restriction: Option<String>,
    /// How fast: routine, priority, urgent
    #[arg(long, value_name = "PRECEDENCE")]
    pub(crate) precedence: Option<Precedence>,
    /// Why urgent: public-security, life-or-limb, deprivation-of-liberty, information-loses-relevance
    #[arg(long, value_name = "GROUND")]
    pub(crate) urgent_ground: Option<UrgentGround>,
    /// When an answer is wanted, in UTC: 2026-11-28T12:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) answer_by: Option<UnixMillis>,
    /// How long it may travel, 1 to 30 days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=30))]
    pub(crate) lifetime_days: Option<u16>,
    /// Code of the subject catalogue, such as trafficking-in-human-beings
    #[arg(long, value_name = "CODE")]
    pub(crate) topic: Option<Code>,
    /// Another channel through which the same was sent; repeatable
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) also_sent_through: Vec<Code>,
    /// Your own number for it; never leaves the node
    #[arg(long, value_name = "TEXT")]
    pub(crate) national_ref: Option<String>,
}

/// What to do with the message: options that all commands share which create one.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Delivery")]
pub(crate) struct Delivery {
    /// Check everything, create nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait until it is accepted (R1), delivered (R2) or handed-over (R3)
    #[arg(long, value_name = "STATE")]
    pub(crate) wait: Option<WaitFor>,
    /// How long to wait: 90s, 5m, 2h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// The same key makes the same message, however often it is sent
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
}

impl Delivery {
    /// Schema of the JSON: a dry run makes no message.
    pub(crate) fn schema(&self) -> &'static str {
        if self.dry_run { VALIDATION_SCHEMA } else { crate::message::SCHEMA }
    }
}

/// What a message is besides its content.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    /// To whom, as typed.
    pub(crate) to: Vec<String>,
    /// What it is.
    pub(crate) kind: Kind,
    /// What it answers.
    pub(crate) in_reply_to: Option<MessageName>,
    /// For a response: what sort of answer.
    pub(crate) response_status: Option<ResponseStatus>,
    /// For a refusal or extension: why.
    pub(crate) reason: Option<Code>,
}

fn parse_handling(text: &str) -> Result<Handling, String> {
    text.to_ascii_lowercase().parse().map_err(|_| "one of H0, H1, H2, H3".to_owned())
}

/// Reads a time of an option.
pub(crate) fn parse_time(text: &str) -> Result<UnixMillis, String> {
    text.parse::<ncp_api::time::Time>().map(|time| time.0).map_err(|error| error.to_string())
}

/// Makes a message and creates it, or checks it alone with `--dry-run`.
pub(crate) async fn create(
    context: &Context,
    purpose: Purpose,
    content: Content,
    delivery: &Delivery,
) -> Result<Report, Error> {
    let (content, document) = complete(context, content, purpose.to.is_empty())?;
    let client = context.officer_client().await?;
    let to = if purpose.to.is_empty() { document.to.clone() } else { purpose.to.clone() };
    let to = resolve(&client, &to).await?;
    let attached = upload_all(context, &client, &content.attach).await?;
    let message = build(&content, document, purpose, to, &attached)?;

    let validation = client.validate(&message).await?;
    let checked = checked_lines(&message, &attached, &validation);
    if delivery.dry_run {
        return Ok(Report::object(VALIDATION_SCHEMA, &validation)?
            .human(checked.render(context.output.style) + "nothing was created (--dry-run)\n")
            .plain(checked.plain()));
    }
    let key = delivery.idempotency_key.clone().unwrap_or_else(random_key);
    let view = patient(&client).create(&message, &key).await?;
    created(context, &client, &view, checked, delivery).await
}

/// The report on a message that was created, after waiting if that was asked for.
pub(crate) async fn created(
    context: &Context,
    client: &Client,
    view: &MessageView,
    mut lines: Facts,
    delivery: &Delivery,
) -> Result<Report, Error> {
    let waited = match delivery.wait {
        None => None,
        Some(wait) => Some(wait::until(client, &MessageName::from(view.message), wait, delivery.timeout).await?),
    };
    let view = waited.as_ref().unwrap_or(view);
    let style = context.output.style;
    let state = view.state.as_str().replace('-', " ");
    lines.add("created", format!("{}, {state}", style.paint(Tone::Strong, &view.reference.to_string())));
    let report = Report::object(crate::message::SCHEMA, view)?.human(lines.render(style)).plain(record(view));
    Ok(if view.state == MessageState::WaitingForRelease {
        report.hint(format!(
            "another officer runs  ncpctl release show {}  (approve asks for the code it shows)",
            view.reference
        ))
    } else {
        report.hint(format!("ncpctl status {}", view.reference))
    })
}

/// Reads the document and asks for what neither it nor the options say.
fn complete(context: &Context, content: Content, recipients_open: bool) -> Result<(Content, Document), Error> {
    let mut document = Document::read(content.file.as_deref())?;
    let mut content = content;
    if let Some(path) = content.text_file.take() {
        content.text = Some(read_text(&path)?);
    }
    ask::missing(context.asking, &mut content, &mut document, recipients_open)?;
    Ok((content, document))
}

/// Puts options over the document.
pub(crate) fn build(
    content: &Content,
    document: Document,
    purpose: Purpose,
    to: Vec<ParticipantId>,
    attached: &[Attached],
) -> Result<NewMessage, Error> {
    let form = form_of(content.form.as_deref().or(document.form.as_deref()), document.fields)?;
    let precedence = content.precedence.or(document.precedence);
    let mut also_sent_through = content.also_sent_through.clone();
    also_sent_through.extend(document.also_sent_through);
    also_sent_through.sort();
    also_sent_through.dedup();
    Ok(NewMessage {
        to,
        kind: purpose.kind,
        precedence: precedence.unwrap_or(Precedence::Routine),
        urgent_ground: content.urgent_ground.or(document.urgent_ground),
        handling: content
            .handling
            .or(document.handling)
            .ok_or_else(|| input_needed("the handling code", "--handling H0|H1|H2|H3"))?,
        restriction: content.restriction.clone().or(document.restriction),
        subject: content
            .subject
            .clone()
            .or(document.subject)
            .ok_or_else(|| input_needed("the subject", "--subject TEXT"))?,
        subject_code: content.topic.clone().or(document.topic),
        form,
        text: content.text.clone().or(document.text),
        attachments: attached.iter().map(|attached| attached.attachment.clone()).collect(),
        answer_by: content.answer_by.or(document.answer_by),
        lifetime_days: content.lifetime_days.or(document.lifetime_days),
        in_reply_to: purpose.in_reply_to,
        response_status: purpose.response_status,
        reason: purpose.reason,
        also_sent_through,
        contributions: Vec::new(),
        national_ref: content.national_ref.clone().or(document.national_ref),
    })
}

/// The form that is named, in its newest version unless another is, with its values.
pub(crate) fn form_of(
    name: Option<&str>,
    fields: Option<serde_json::Map<String, serde_json::Value>>,
) -> Result<Option<FormContent>, Error> {
    let (name, fields) = match (name, fields) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(usage("the file has fields of a form, and no form is named", "add --form FORM")),
        (Some(_), None) => return Err(usage("a form is named, and no file has its fields", "add --file PATH")),
        (Some(name), Some(fields)) => (name, fields),
    };
    let form: Option<Form> = match forms::newest(name) {
        Some(schema) => format!("{name}/{}", schema.version).parse().ok(),
        None => name.parse().ok(),
    };
    let known = || forms::FORMS.iter().map(|schema| schema.code).collect::<Vec<_>>().join(", ");
    let form = form.ok_or_else(|| ErrorCode::FormUnknown.with("form", clean(name)).with("known", known()))?;
    let content = FormContent { form, fields };
    forms::check(&content)?;
    Ok(Some(content))
}

/// Participants as typed: ids, `all`, `class:CODE`; commas separate them too.
pub(crate) async fn resolve(client: &Client, typed: &[String]) -> Result<Vec<ParticipantId>, Error> {
    let words: Vec<&str> =
        typed.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|w| !w.is_empty()).collect();
    let mut recipients = Vec::new();
    for word in words {
        let class = word.strip_prefix("class:");
        if word == "all" || class.is_some() {
            recipients.extend(group(client, class).await?);
        } else {
            let id = word.to_ascii_uppercase().parse().map_err(|_| unknown(word))?;
            recipients.push(id);
        }
    }
    recipients.sort();
    recipients.dedup();
    if recipients.is_empty() { Err(input_needed("the recipient", "--to PARTICIPANT")) } else { Ok(recipients) }
}

fn unknown(word: &str) -> Fault {
    ErrorCode::ParticipantUnknown.with("participant", clean(word))
}

/// All participants of a class that can be written to, or of all classes; never this node itself.
async fn group(client: &Client, class: Option<&str>) -> Result<Vec<ParticipantId>, Error> {
    let class = class.map(str::parse::<ncp_api::directory::MemberClass>).transpose();
    let class = class.map_err(|error| usage(error, "name one of these classes"))?;
    let own = client.officer().map(|officer| officer.participant);
    let directory = client.directory().await?;
    let wanted = |entry: &&ncp_api::directory::DirectoryEntry| {
        entry.usable
            && entry.participant != ParticipantId::HUB
            && Some(entry.participant) != own
            && (class.is_none() || entry.class == class)
    };
    Ok(directory.entries.iter().filter(wanted).map(|entry| entry.participant).collect())
}

/// What was checked and what the rules say, as the first lines of the report.
pub(crate) fn checked_lines(message: &NewMessage, attached: &[Attached], validation: &Validation) -> Facts {
    let mut parts = Vec::new();
    if let Some(content) = &message.form {
        parts.push(format!("form {}, {} fields", content.form, content.fields.len()));
    }
    if let Some(text) = &message.text {
        parts.push(format!("text {}", bytes(text.len() as u64)));
    }
    for attached in attached {
        parts.push(format!("{} {}", clean(&attached.attachment.name), bytes(attached.length)));
    }
    parts.push(format!("handling {}", handling::show(message.handling)));
    let mut facts = Facts::default();
    facts.add("checked", parts.join("; "));
    let rule = validation.rule_text.as_deref().map(|text| format!(": {}", clean(text))).unwrap_or_default();
    let approvals = match validation.approvals_needed {
        0 => "no approval needed".to_owned(),
        1 => "one approval needed".to_owned(),
        count => format!("{count} approvals needed"),
    };
    facts.add("policy", format!("allowed, {approvals}; rule {}{rule}", validation.rule));
    if validation.held {
        facts.add("hold", "a hold is in force: after release it waits here");
    }
    facts
}
