//! `edit`: changes a message that is not released. What is not named stays; all approvals are void.

use clap::Args;
use ncp_api::message::{Attachment, Direction, MessageName, MessageState, MessageView, NewMessage, PartView};
use ncp_api::{ErrorCode, FORM_PART, TEXT_PART};
use ncp_protocol::ids::UnixMillis;
use ncp_protocol::limits::DAY_MS;

use crate::compose::{self, Content, Delivery, Document, form_of, read_text, upload_all};
use crate::context::Context;
use crate::error::Error;
use crate::output::{Facts, Report};

const EXAMPLES: &str = "\
Examples:
  ncpctl edit XA-2026-000417 --text \"Do you know this van?\"
  ncpctl edit XA-2026-000417 --drop photo.jpg --attach better.jpg
  ncpctl edit XA-2026-000417 --to XB,XC --handling H1";

/// Edit a message that is not released; voids its approvals
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Edit {
    /// Reference or message id
    #[arg(value_name = "ID")]
    name: MessageName,
    /// To whom instead
    #[arg(long, value_name = "PARTICIPANT")]
    to: Vec<String>,
    /// Name of an attachment to leave out; repeatable
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    #[command(flatten)]
    content: Content,
}

impl Edit {
    pub(super) async fn run(self, context: &Context) -> Result<Report, Error> {
        let client = context.officer_client().await?;
        let view = client.message(&self.name).await?;
        let editable = matches!(view.state, MessageState::Draft | MessageState::WaitingForRelease);
        if view.direction == Direction::In || !editable {
            let fault = ErrorCode::MessageStateWrong.with("action", "an edit").with("reference", view.reference);
            return Err(fault.with("state", view.state).into());
        }
        let to = if self.to.is_empty() { None } else { Some(compose::resolve(&client, &self.to).await?) };
        let mut content = self.content;
        if let Some(path) = content.text_file.take() {
            content.text = Some(read_text(&path)?);
        }
        let document = Document::read(content.file.as_deref())?;
        let attached = upload_all(context, &client, &content.attach).await?;
        let attached = attached.into_iter().map(|attached| attached.attachment);
        let message = NewMessage {
            to: to.unwrap_or_else(|| view.recipients.iter().map(|recipient| recipient.participant).collect()),
            attachments: kept(&view, &self.drop)?.into_iter().chain(attached).collect(),
            ..changed(&view, content, document, context.clock.now)?
        };
        let edited = compose::patient(&client).edit(&self.name, &message).await?;
        let report = compose::created(context, &client, &edited, Facts::default(), &Delivery::default()).await?;
        Ok(report
            .human(format!("edited   {}, revision {}; all approvals are void\n", edited.reference, edited.revision)))
    }
}

/// The attachments that stay.
fn kept(view: &MessageView, drop: &[String]) -> Result<Vec<Attachment>, Error> {
    let attachments = || view.parts.iter().filter(|part| part.name != TEXT_PART && part.name != FORM_PART);
    for name in drop {
        if !attachments().any(|part| part.name == *name) {
            let fault = ErrorCode::PartUnknown.with("reference", view.reference).with("part", format_args!("{name:?}"));
            return Err(fault.with("count", view.parts.len()).into());
        }
    }
    let stays = |part: &&PartView| !drop.contains(&part.name);
    Ok(attachments().filter(stays).map(Attachment::kept).collect())
}

/// How long the message still lives, in whole days from now: the last date that was chosen stays, to the day.
fn days_left(view: &MessageView, now: UnixMillis) -> Option<u16> {
    let days = view.not_after?.millis_since(now).div_ceil(DAY_MS);
    u16::try_from(days.clamp(1, 30)).ok()
}

/// The message as it is, with what options and document say over it; recipients and parts are the caller's.
fn changed(view: &MessageView, content: Content, document: Document, now: UnixMillis) -> Result<NewMessage, Error> {
    let form = match (content.form.as_deref().or(document.form.as_deref()), document.fields) {
        (None, None) => view.form.clone(),
        (None, Some(fields)) => {
            let name = view.form.as_ref().map(|form| form.form.to_string());
            form_of(name.as_deref(), Some(fields))?
        }
        (name, fields) => form_of(name, fields)?,
    };
    let precedence = content.precedence.or(document.precedence).unwrap_or(view.precedence);
    let handling = content.handling.or(document.handling).unwrap_or(view.handling);
    let restricted = handling == ncp_protocol::codes::Handling::H3;
    let urgent = precedence == ncp_protocol::codes::Precedence::Urgent;
    let channels =
        if content.also_sent_through.is_empty() { document.also_sent_through } else { content.also_sent_through };
    Ok(NewMessage {
        to: Vec::new(),
        kind: view.kind,
        precedence,
        urgent_ground: content.urgent_ground.or(document.urgent_ground).or(view.urgent_ground).filter(|_| urgent),
        handling,
        restriction: content.restriction.or(document.restriction).or(view.restriction.clone()).filter(|_| restricted),
        subject: content.subject.or(document.subject).or(view.subject.clone()).unwrap_or_default(),
        subject_code: content.topic.or(document.topic).or(view.subject_code.clone()),
        form,
        text: content.text.or(document.text).or(view.text.clone()),
        attachments: Vec::new(),
        answer_by: content.answer_by.or(document.answer_by).or(view.answer_by),
        lifetime_days: content.lifetime_days.or(document.lifetime_days).or_else(|| days_left(view, now)),
        in_reply_to: view.in_reply_to,
        response_status: view.response_status,
        reason: view.reason.clone(),
        also_sent_through: if channels.is_empty() { view.also_sent_through.clone() } else { channels },
        contributions: Vec::new(),
        national_ref: content.national_ref.or(document.national_ref).or(view.national_ref.clone()),
    })
}
