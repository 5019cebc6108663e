//! `respond`: the answer to a request, with what services contributed.

use clap::Args;
use ncp_api::message::{Direction, MessageName, MessageView, NewMessage, NewResponse};
use ncp_api::{Client, ErrorCode, reasons};
use ncp_protocol::codes::{Code, Kind, ResponseStatus};
use ncp_protocol::ids::ParticipantId;

use crate::compose::{self, Attached, Content, Delivery, Document, Purpose, upload_all};
use crate::context::{Context, random_key};
use crate::error::Error;
use crate::output::Report;

const EXAMPLES: &str = "\
Examples:
  ncpctl respond XB-2026-000031 --text \"Seen on 12 May.\" --handling H2 --contributions all
  ncpctl respond XB-2026-000031 --status refusal --reason not-available --text \"No such record.\" --handling H0
  ncpctl respond XB-2026-000031 --status extension --reason judicial-authorisation --answer-by 2026-11-28T12:00Z --handling H0";

/// The examples, and the closed lists of reasons with their meaning.
fn help() -> String {
    let mut help = EXAMPLES.to_owned();
    for (what, status) in [("refusal", ResponseStatus::Refusal), ("extension", ResponseStatus::Extension)] {
        help.push_str(&format!("\n\nReasons for --status {what}:"));
        for reason in reasons::of(status) {
            help.push_str(&format!("\n  {:24}  {}", reason.code, reason.words));
        }
    }
    help
}

/// Draft the answer to a request
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(crate) struct Respond {
    /// Reference or id of the request
    #[arg(value_name = "ID")]
    name: MessageName,
    /// What sort of answer: final, partial, refusal, extension
    #[arg(long, value_name = "STATUS", default_value = "final")]
    status: ResponseStatus,
    /// Why: a code of the closed list below
    #[arg(long, value_name = "CODE")]
    reason: Option<Code>,
    /// Tasks whose contributions become part of the answer: 1,2 or all
    #[arg(long, value_name = "TASKS")]
    contributions: Option<String>,
    #[command(flatten)]
    content: Content,
    #[command(flatten)]
    delivery: Delivery,
}

impl Respond {
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        self.delivery.schema()
    }

    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        let request = client.message(&self.name).await?;
        let mut document = Document::read(self.content.file.as_deref())?;
        let mut content = self.content.clone();
        if let Some(path) = content.text_file.take() {
            content.text = Some(compose::read_text(&path)?);
        }
        let subject = request.subject.clone().unwrap_or_else(|| request.reference.to_string());
        document.subject = document.subject.take().or_else(|| Some(ncp_api::message::reply_subject(&subject)));
        let contributions = tasks_of(self.contributions.as_deref(), &request)?;
        let attached = upload_all(context, &client, &content.attach).await?;
        let message = self.message(&client, &content, document, &request, &attached)?;
        let message = NewMessage { contributions, ..message };

        if self.delivery.dry_run {
            let validation = client.validate(&message).await?;
            let lines = compose::checked_lines(&message, &attached, &validation);
            return Ok(Report::object(compose::VALIDATION_SCHEMA, &validation)?
                .human(lines.render(context.output.style) + "nothing was created (--dry-run)\n")
                .plain(lines.plain()));
        }
        let validation = client.validate(&message).await?;
        let lines = compose::checked_lines(&message, &attached, &validation);
        let key = self.delivery.idempotency_key.clone().unwrap_or_else(random_key);
        let view = compose::patient(&client).respond(&self.name, &to_response(message, self.status), &key).await?;
        compose::created(context, &client, &view, lines, &self.delivery).await
    }

    fn message(
        &self,
        client: &Client,
        content: &Content,
        document: Document,
        request: &MessageView,
        attached: &[Attached],
    ) -> Result<NewMessage, Error> {
        let purpose = Purpose {
            to: Vec::new(),
            kind: Kind::Response,
            in_reply_to: Some(MessageName::from(request.message)),
            response_status: Some(self.status),
            reason: self.reason.clone(),
        };
        let precedence = content.precedence.or(document.precedence);
        let built = compose::build(content, document, purpose, recipient(client, request)?, attached)?;
        // An answer is as fast as its request unless something else is said.
        let inherited = precedence.is_none();
        Ok(NewMessage {
            precedence: if inherited { request.precedence } else { built.precedence },
            urgent_ground: if inherited { request.urgent_ground } else { built.urgent_ground },
            ..built
        })
    }
}

fn recipient(client: &Client, request: &MessageView) -> Result<Vec<ParticipantId>, Error> {
    let own = client.officer().map(|officer| officer.participant);
    if request.direction == Direction::Out || Some(request.originator) == own {
        let fault = ErrorCode::NotAnswerable.with("reference", request.reference).with("kind", "message of your own");
        return Err(fault.into());
    }
    Ok(vec![request.originator])
}

/// Tasks as typed: numbers, or all that have a contribution.
fn tasks_of(typed: Option<&str>, request: &MessageView) -> Result<Vec<u16>, Error> {
    let missing = |reason: &str| -> Error {
        ErrorCode::ContributionMissing.with("reference", request.reference).with("reason", reason).into()
    };
    match typed {
        None => Ok(Vec::new()),
        Some("all") => {
            let tasks: Vec<u16> =
                request.tasks.iter().filter(|task| !task.contributions.is_empty()).map(|task| task.task).collect();
            if tasks.is_empty() { Err(missing("no service contributed")) } else { Ok(tasks) }
        }
        Some(list) => list
            .split(',')
            .map(|number| {
                number.trim().parse().map_err(|_| missing(&format!("{number:?} is not the number of a task")))
            })
            .collect(),
    }
}

fn to_response(message: NewMessage, status: ResponseStatus) -> NewResponse {
    NewResponse {
        status,
        reason: message.reason,
        precedence: Some(message.precedence),
        urgent_ground: message.urgent_ground,
        handling: message.handling,
        restriction: message.restriction,
        subject: Some(message.subject),
        form: message.form,
        text: message.text,
        attachments: message.attachments,
        answer_by: message.answer_by,
        lifetime_days: message.lifetime_days,
        contributions: message.contributions,
        national_ref: message.national_ref,
    }
}
