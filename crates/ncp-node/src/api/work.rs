//! Daily work on a request: answer, assign, contribute; withdrawing and retrying what was sent; what an officer is needed
//! at this moment.

mod needs;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use ncp_api::message::{
    Assign, Contribute, MessageName, NewMessage, NewResponse, Withdraw, Withdrawal, WithdrawalEffect, WithdrawalStep,
};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::codes::{Code, Kind, Precedence, ResponseStatus};
use ncp_protocol::event::Role;
use ncp_protocol::ids::ParticipantId;

use super::ask::{self, Signed};
use super::messages::{caller, created};
use crate::compose;
use crate::content::{self, ContentKey};
use crate::contributions::{self, FILES_MAX, StoredContribution, TEXT_MAX};
use crate::core::command::{Ask, Done, WithdrawalOutcome};
use crate::core::tables::{ENVELOPE, EnvelopeStage, IN, InRow, MessageKey, OUT, OutRow};
use crate::faults::{About, Failed, refused};
use crate::node::{EnvelopeHint, Node, Submission};
use crate::notes;
use crate::officer_auth::Officer;
use crate::views;

pub(super) async fn me(State(node): State<Arc<Node>>, request: Request) -> Result<Response, Failed> {
    let officer = ask::reading_officer(&node, request).await?;
    let me = node.blocking(move |node| needs::of(node, &officer)).await?;
    Ok(Json(me).into_response())
}

pub(super) async fn respond(node: &Arc<Node>, key: MessageKey, asked: Signed) -> Result<Response, Failed> {
    asked.officer.require(Role::Drafter, "drafting")?;
    let response: NewResponse = asked.json()?;
    let message = node.blocking(move |node| answer(node, key, response)).await?;
    let made = compose::create(node, caller(node, asked), message).await?;
    created(node, made).await
}

/// The response as a message: what it does not say follows from the request.
fn answer(node: &Node, key: MessageKey, response: NewResponse) -> Result<NewMessage, Failed> {
    let row = received(node, key)?;
    let received = &row.received;
    if !received.kind.expects_answer() {
        let fault = ErrorCode::NotAnswerable.with("reference", received.reference);
        return Err(fault.with("kind", received.kind).into());
    }
    check_unanswered(node, &row)?;
    let stored = content::stored(node, &ContentKey::of_in(&row))?;
    let (subject, ground) = stored
        .map_or((None, None), |(_, manifest)| (Some(manifest.subject.as_str().to_owned()), manifest.urgent_ground));
    let precedence = response.precedence.unwrap_or(received.precedence);
    let asked_subject = subject.unwrap_or_else(|| received.reference.to_string());
    Ok(NewMessage {
        to: vec![received.envelope.originator],
        kind: Kind::Response,
        precedence,
        urgent_ground: response.urgent_ground.or(ground.filter(|_| precedence == Precedence::Urgent)),
        handling: response.handling,
        restriction: response.restriction,
        subject: response.subject.unwrap_or_else(|| ncp_api::message::reply_subject(&asked_subject)),
        subject_code: None,
        form: response.form,
        text: response.text,
        attachments: response.attachments,
        answer_by: response.answer_by,
        lifetime_days: response.lifetime_days,
        in_reply_to: Some(MessageName::Reference(received.reference)),
        response_status: Some(response.status),
        reason: response.reason,
        also_sent_through: Vec::new(),
        contributions: response.contributions,
        national_ref: response.national_ref,
    })
}

/// A request has one final answer.
fn check_unanswered(node: &Node, row: &InRow) -> Result<(), Failed> {
    let Some(answer) = row.answer else { return Ok(()) };
    let answer = OUT.row(&node.reader().view(), &answer)?;
    match answer.map(|row| (row.draft.response_status, row.draft.reference)) {
        Some((Some(ResponseStatus::Final | ResponseStatus::Refusal), reference)) => {
            let fault = ErrorCode::AnsweredAlready.with("answer", reference);
            Err(fault.with("reference", row.received.reference).into())
        }
        Some((Some(ResponseStatus::Partial | ResponseStatus::Extension) | None, _)) | None => Ok(()),
    }
}

fn received(node: &Node, key: MessageKey) -> Result<InRow, Failed> {
    let row = IN.row(&node.reader().view(), &key)?;
    let own = || -> Fault {
        let fault = ErrorCode::MessageStateWrong.with("action", "this").with("reference", key.1);
        fault.with("state", "a message of this participant")
    };
    Ok(row.ok_or_else(own)?)
}

pub(super) async fn assign(node: &Arc<Node>, key: MessageKey, asked: Signed) -> Result<Response, Failed> {
    let Assign { services, note } = asked.json()?;
    check_services(node, &services)?;
    check_words(note.as_deref(), "note")?;
    let (reference, notes) = node
        .blocking(move |node| -> Result<_, Failed> {
            let row = received(node, key)?;
            let first = row.tasks.saturating_add(1);
            let seal = |words: &str, task| (task, notes::seal(node, notes::task_note(key, task), words));
            let numbered = (first..).zip(&services);
            let notes: Vec<_> =
                note.iter().flat_map(|words| numbered.clone().map(|(task, _)| seal(words, task))).collect();
            Ok((row.received.reference, (services, notes)))
        })
        .await?;
    let (services, notes) = notes;
    let ask = Ask::Assign { message: key, services, notes };
    submit(node, &asked.officer, ask, "assigning", &reference).await?;
    view(node, key).await
}

fn check_services(node: &Node, services: &[Code]) -> Result<(), Fault> {
    let settings = node.settings();
    let known = &settings.services;
    match services.iter().find(|service| !known.contains(service)) {
        None => Ok(()),
        Some(unknown) => {
            let known: Vec<&str> = known.iter().map(Code::as_str).collect();
            Err(ErrorCode::ServiceUnknown.with("service", unknown).with("known", known.join(", ")).field("services"))
        }
    }
}

/// Words that stay in this node have a limit too.
pub(super) fn check_words(words: Option<&str>, field: &'static str) -> Result<(), Fault> {
    if words.is_some_and(|words| words.len() > notes::NOTE_MAX) {
        let reason = format!("{field} has more than {} bytes", notes::NOTE_MAX);
        return Err(ErrorCode::RequestMalformed.with("reason", reason).field(field));
    }
    Ok(())
}

pub(super) async fn contribute(node: &Arc<Node>, key: MessageKey, asked: Signed) -> Result<Response, Failed> {
    let contribution: Contribute = asked.json()?;
    let task = contribution.task;
    let mark = (asked.officer.number.0, asked.officer.idempotency_key.clone());
    if !node.contributed.begin(&mark) {
        return view(node, key).await;
    }
    let outcome = contribute_once(node, key, &asked.officer, contribution).await;
    if outcome.is_err() {
        node.contributed.forget(&mark);
    }
    outcome.map_err(|error| name_task(error, task))?;
    view(node, key).await
}

async fn contribute_once(
    node: &Arc<Node>,
    key: MessageKey,
    officer: &Officer,
    contribution: Contribute,
) -> Result<(), Failed> {
    let task = contribution.task;
    let (reference, record) = node
        .blocking(move |node| -> Result<_, Failed> {
            let reference = received(node, key)?.received.reference;
            let stored = checked_contribution(node, contribution)?;
            Ok((reference, contributions::seal(node, &stored)))
        })
        .await?;
    let ask = Ask::Contribute { message: key, task, record };
    submit(node, officer, ask, "contributing", &reference).await.map(drop)
}

fn name_task(error: Failed, task: u16) -> Failed {
    match error {
        Failed::Fault(fault) if fault.code == ErrorCode::TaskUnknown => fault.with("task", task).into(),
        Failed::Fault(_) | Failed::Store(_) => error,
    }
}

fn checked_contribution(node: &Node, contribution: Contribute) -> Result<StoredContribution, Failed> {
    let text = contribution.text.filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.len() > TEXT_MAX) {
        let reason = format!("a contribution's text has at most {TEXT_MAX} bytes; attach a longer one as a file");
        return Err(ErrorCode::RequestMalformed.with("reason", reason).field("text").into());
    }
    if contribution.attachments.len() > FILES_MAX {
        let fault = ErrorCode::AttachmentTooMany.with("count", contribution.attachments.len());
        return Err(fault.with("limit", FILES_MAX).field("attachments").into());
    }
    let mut files = Vec::new();
    for (index, attachment) in contribution.attachments.iter().enumerate() {
        files.push(compose::contributed_file(node, index, attachment)?);
    }
    if text.is_none() && files.is_empty() {
        return Err(ErrorCode::EmptyMessage.into());
    }
    Ok(StoredContribution { text, files })
}

pub(super) async fn withdraw(node: &Arc<Node>, key: MessageKey, asked: Signed) -> Result<Response, Failed> {
    asked.officer.require(Role::Drafter, "a withdrawal")?;
    let Withdraw { reason } = asked.json_or_default()?;
    check_words(reason.as_deref(), "reason")?;
    let row = node.blocking(move |node| sent(node, key)).await?;
    let before = node
        .blocking({
            let row = row.clone();
            move |node| stages(node, &row)
        })
        .await?;
    let ask = Ask::Withdraw { message: key.1 };
    let done = submit(node, &asked.officer, ask, "a withdrawal", &row.draft.reference).await?;
    let recipients = steps(&done, &before);
    let to: Vec<ParticipantId> = recipients
        .iter()
        .filter(|step| step.effect == WithdrawalEffect::DeletionAsked)
        .map(|step| step.participant)
        .collect();
    let message = if to.is_empty() { None } else { Some(ask_for_deletion(node, asked, &row, to, reason).await?) };
    Ok(Json(Withdrawal { reference: row.draft.reference, recipients, message }).into_response())
}

/// Puts up the message that asks recipients to delete what they have; it passes release like any other.
async fn ask_for_deletion(
    node: &Arc<Node>,
    asked: Signed,
    row: &OutRow,
    to: Vec<ParticipantId>,
    reason: Option<String>,
) -> Result<ncp_protocol::ids::Reference, Failed> {
    let text = reason.unwrap_or_else(|| format!("Please delete {}.", row.draft.reference));
    let message = NewMessage {
        to,
        kind: Kind::Withdrawal,
        precedence: Precedence::Priority,
        urgent_ground: None,
        handling: ncp_protocol::codes::Handling::H0,
        restriction: None,
        subject: format!("Withdrawal of {}", row.draft.reference),
        subject_code: None,
        form: None,
        text: Some(text),
        attachments: Vec::new(),
        answer_by: None,
        lifetime_days: None,
        in_reply_to: Some(MessageName::Reference(row.draft.reference)),
        response_status: None,
        reason: None,
        also_sent_through: Vec::new(),
        contributions: Vec::new(),
        national_ref: None,
    };
    let made = compose::create(node, caller(node, asked), message).await?;
    Ok(super::messages::shown(node, made).await?.reference)
}

fn sent(node: &Node, key: MessageKey) -> Result<OutRow, Failed> {
    let row = if key.0 == node.participant() { OUT.row(&node.reader().view(), &key.1)? } else { None };
    let other = || -> Fault {
        let fault = ErrorCode::MessageStateWrong.with("action", "a withdrawal").with("reference", key.1);
        fault.with("state", "a message of another participant")
    };
    Ok(row.ok_or_else(other)?)
}

fn stages(node: &Node, row: &OutRow) -> Result<Vec<(ParticipantId, Option<EnvelopeStage>)>, Failed> {
    let view = node.reader().view();
    let mut stages = Vec::new();
    for recipient in &row.draft.recipients {
        let envelope = ENVELOPE.row(&view, &(row.draft.message, *recipient))?;
        stages.push((*recipient, envelope.map(|envelope| envelope.stage)));
    }
    Ok(stages)
}

/// What a withdrawal does about each recipient.
fn steps(done: &Done, before: &[(ParticipantId, Option<EnvelopeStage>)]) -> Vec<WithdrawalStep> {
    let effect = |participant: ParticipantId, stage: Option<EnvelopeStage>| match (done, stage) {
        (Done::Withdrawal(WithdrawalOutcome::BeforeSubmission), _) => WithdrawalEffect::NothingLeft,
        (Done::Withdrawal(WithdrawalOutcome::Recalling(waiting)), _) if waiting.contains(&participant) => {
            WithdrawalEffect::RecallRequested
        }
        (_, Some(EnvelopeStage::Delivered | EnvelopeStage::HandedOver)) => WithdrawalEffect::DeletionAsked,
        // Nobody here knows whether the recipient has it.
        (_, Some(EnvelopeStage::Expired { provisional: true } | EnvelopeStage::Recalled { provisional: true })) => {
            WithdrawalEffect::DeletionAsked
        }
        (_, Some(_) | None) => WithdrawalEffect::EndedBefore,
    };
    before
        .iter()
        .map(|(participant, stage)| WithdrawalStep { participant: *participant, effect: effect(*participant, *stage) })
        .collect()
}

/// Looks again at every envelope of a message that has not ended.
pub(super) async fn retry(node: &Arc<Node>, key: MessageKey, asked: &Signed) -> Result<Response, Failed> {
    asked.officer.require(Role::Drafter, "a retry")?;
    let row = node.blocking(move |node| sent(node, key)).await?;
    let stages = node.blocking(move |node| stages(node, &row)).await?;
    for (recipient, stage) in stages {
        if stage == Some(EnvelopeStage::Released) {
            // The sealing task looks at the index when it is hinted; if it has ended, so does the daemon.
            let _ = node.hints.sealing.send(EnvelopeHint { message: key.1, recipient });
        }
    }
    node.hints.submission.send_modify(|count| *count = count.wrapping_add(1));
    view(node, key).await
}

/// Has `ask` decided in an officer's name.
pub(super) async fn submit(
    node: &Arc<Node>,
    officer: &Officer,
    ask: Ask,
    action: &'static str,
    reference: &(dyn core::fmt::Display + Sync),
) -> Result<Done, Failed> {
    let about = About { action, reference: reference.to_string(), officer: officer.number };
    let reply = node.submit(Submission::LOCAL, officer.actor.clone(), ask).await?.reply;
    reply.map_err(|refusal| refused(node, refusal, &about).into())
}

/// A message as it stands now.
pub(super) async fn view(node: &Arc<Node>, key: MessageKey) -> Result<Response, Failed> {
    let view = node.blocking(move |node| views::message(node, key)).await?;
    Ok(Json(view).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withdrawal_says_what_it_does_about_each() {
        let [a, b, c, d] = ["XA", "XB", "XC", "XD"].map(|id| id.parse::<ParticipantId>().expect("id"));
        let before = [
            (a, Some(EnvelopeStage::Accepted)),
            (b, Some(EnvelopeStage::Delivered)),
            (c, Some(EnvelopeStage::Expired { provisional: false })),
            (d, Some(EnvelopeStage::Expired { provisional: true })),
        ];
        let done = Done::Withdrawal(WithdrawalOutcome::Recalling(vec![a]));
        let effects: Vec<_> = steps(&done, &before).into_iter().map(|step| step.effect).collect();
        use WithdrawalEffect::{DeletionAsked, EndedBefore, RecallRequested};
        assert_eq!(effects, [RecallRequested, DeletionAsked, EndedBefore, DeletionAsked]);
        let nothing = Done::Withdrawal(WithdrawalOutcome::BeforeSubmission);
        assert!(steps(&nothing, &[(a, None)]).iter().all(|step| step.effect == WithdrawalEffect::NothingLeft));
    }
}
