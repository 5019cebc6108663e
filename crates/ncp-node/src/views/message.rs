//! One message in full.

use std::ops::ControlFlow;

use ncp_api::ErrorCode;
use ncp_api::message::{
    AnswerView, ApprovalView, ContentState, ContributionView, Direction, FormContent, MessageName, MessageView,
    PartView, RecipientState, ReleaseNeed, ReturnView, TaskView,
};
use ncp_protocol::event::{Change, Draft, Event, Received};
use ncp_protocol::ids::{Digest, MessageId, Reference, UnixMillis};
use ncp_protocol::manifest::Manifest;

use super::{awaits_acknowledgement, due_in, officer_of, state};
use crate::content::{self, ContentKey, FORM_PART, TEXT_PART};
use crate::contributions;
use ncp_store::state::Unreadable;

use crate::core::tables::{
    CONVERSATION, IN, InRow, MessageKey, OUT, OutRow, OutState, TASK, TaskRow, conversation_key,
};
use crate::faults::Failed;
use crate::history;
use crate::node::Node;
use crate::vault::StoredContent;

/// A message as the API shows it.
///
/// # Errors
/// [`ErrorCode::MessageUnknown`], damage, or the store's failure.
pub fn message(node: &Node, key: MessageKey) -> Result<MessageView, Failed> {
    let unknown = || ErrorCode::MessageUnknown.with("message", key.1);
    if key.0 == node.participant() {
        let row = OUT.row(&node.reader().view(), &key.1)?.ok_or_else(unknown)?;
        return sent(node, &row);
    }
    let row = IN.row(&node.reader().view(), &key)?.ok_or_else(unknown)?;
    received(node, &row)
}

fn sent(node: &Node, row: &OutRow) -> Result<MessageView, Failed> {
    let draft = &row.draft;
    let key = ContentKey::of_out(node.participant(), row);
    let (mut recipients, stands, due) = {
        let view = node.reader().view();
        (state::of_recipients(&view, row)?, state::of_out(&view, row)?, state::due_out(&view, row)?)
    };
    for (participant, code) in state::refused(node, &recipients, draft.message) {
        let refused = recipients.iter_mut().find(|recipient| recipient.participant == participant);
        refused.into_iter().for_each(|recipient| recipient.reject = Some(code.clone()));
    }
    let shown = shown_content(node, &key)?;
    let answered_by = answers(node, (node.participant(), draft.message))?;
    let view = MessageView {
        reference: draft.reference,
        message: draft.message,
        conversation: draft.conversation.0,
        revision: draft.revision,
        direction: Direction::Out,
        originator: node.participant(),
        recipients,
        kind: draft.kind,
        response_status: draft.response_status,
        reason: draft.reason.clone(),
        precedence: draft.precedence,
        urgent_ground: None,
        handling: draft.handling,
        restriction: None,
        state: stands,
        subject: None,
        subject_code: None,
        form: None,
        text: None,
        parts: Vec::new(),
        created: row.created,
        not_after: Some(draft.not_after),
        answer_by: draft.answer_by,
        due,
        drafter: row.drafters.last().map(|officer| officer.0),
        in_reply_to: named(node, draft.in_reply_to)?,
        answers: answered_by.iter().map(|answer| answer.reference).collect(),
        answered_by,
        returned: returned(node, row)?,
        tasks: Vec::new(),
        release: Some(release_need(node, row)?),
        also_sent_through: Vec::new(),
        national_ref: None,
        content: ContentState::Erased,
    };
    Ok(with_content(view, shown))
}

fn received(node: &Node, row: &InRow) -> Result<MessageView, Failed> {
    let received = &row.received;
    let key = ContentKey::of_in(row);
    let hidden = awaits_acknowledgement(row);
    let shown = shown_content(node, &key)?;
    let message_key = (received.envelope.originator, received.envelope.message);
    let answered_by = answers(node, message_key)?;
    let view = MessageView {
        reference: received.reference,
        message: received.envelope.message,
        conversation: received.conversation.0,
        revision: 1,
        direction: Direction::In,
        originator: received.envelope.originator,
        recipients: vec![RecipientState { participant: node.participant(), state: state::of_in(row), reject: None }],
        kind: received.kind,
        response_status: received.response_status,
        reason: received.reason.clone(),
        precedence: received.precedence,
        urgent_ground: None,
        handling: received.handling,
        restriction: shown.as_ref().and_then(|shown| shown.manifest.restriction.as_ref().map(ToString::to_string)),
        state: state::of_in(row),
        subject: None,
        subject_code: None,
        form: None,
        text: None,
        parts: Vec::new(),
        created: row.time,
        not_after: None,
        answer_by: received.answer_by,
        due: due_in(row),
        drafter: None,
        in_reply_to: named(node, received.in_reply_to)?,
        answers: answered_by.iter().map(|answer| answer.reference).collect(),
        answered_by,
        returned: None,
        tasks: tasks(node, message_key)?,
        release: None,
        also_sent_through: Vec::new(),
        national_ref: None,
        content: if shown.is_some() { ContentState::Restricted } else { ContentState::Erased },
    };
    Ok(with_content(view, shown.filter(|_| !hidden)))
}

/// Content that is there.
struct Shown {
    stored: StoredContent,
    manifest: Manifest,
    text: Option<String>,
    form: Option<FormContent>,
}

fn shown_content(node: &Node, key: &ContentKey) -> Result<Option<Shown>, Failed> {
    let Some((stored, manifest)) = content::stored(node, key)? else { return Ok(None) };
    let text = content::inline_text(node, key, &stored, &manifest, TEXT_PART)?;
    // A file of that name in a message without form stays a part like others.
    let form =
        if manifest.form.is_some() { content::inline_text(node, key, &stored, &manifest, FORM_PART)? } else { None };
    let form = form.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Some(Shown { stored, manifest, text, form }))
}

fn with_content(view: MessageView, shown: Option<Shown>) -> MessageView {
    let Some(Shown { stored, manifest, text, form }) = shown else { return view };
    let parts = parts(&manifest, &stored);
    MessageView {
        urgent_ground: manifest.urgent_ground,
        restriction: manifest.restriction.as_ref().map(ToString::to_string),
        subject: Some(manifest.subject.as_str().to_owned()),
        subject_code: manifest.subject_code.clone(),
        also_sent_through: manifest.also_sent_through.clone(),
        form,
        text,
        parts,
        national_ref: stored.national_ref.clone(),
        content: ContentState::Shown,
        ..view
    }
}

fn parts(manifest: &Manifest, stored: &StoredContent) -> Vec<PartView> {
    let numbered = (1u16..).zip(&manifest.parts);
    let view = |(number, part): (u16, &ncp_protocol::manifest::Part)| PartView {
        number,
        name: part.name.as_str().to_owned(),
        media_type: part.media_type.as_str().to_owned(),
        length: part.length,
        sha256: part.sha256,
        task: stored.tasks.iter().find(|(part, _)| *part == number).map(|(_, task)| *task),
    };
    numbered.map(view).collect()
}

/// Approvals that stand, with the times of their events.
fn release_need(node: &Node, row: &OutRow) -> Result<ReleaseNeed, Failed> {
    let draft = &row.draft;
    let mut approvals = Vec::new();
    // Most messages need none, and then the journal need not be read.
    let recorded =
        if row.approved_by.is_empty() { Vec::new() } else { history::of(node, (node.participant(), draft.message))? };
    for recorded in recorded {
        if let Change::MessageApproved(approval) = &recorded.event.change
            && approval.revision == draft.revision
            && row.approved_by.contains(&approval.officer)
        {
            approvals.push(ApprovalView { officer: approval.officer.0, time: recorded.event.time });
        }
    }
    Ok(ReleaseNeed {
        rule: draft.rule.clone(),
        rule_text: node.settings().rule_texts.get(&draft.rule).cloned(),
        approvals_needed: draft.approvals_needed,
        approvals,
    })
}

/// A cited message by its reference, or by its id if it is not here.
fn named(node: &Node, message: Option<MessageId>) -> Result<Option<MessageName>, Failed> {
    let Some(message) = message else { return Ok(None) };
    let view = node.reader().view();
    let key = super::find(node, &view, &MessageName::Id(message))?;
    drop(view);
    let reference = key.map(|key| reference(node, key)).transpose()?.flatten();
    Ok(Some(reference.map_or(MessageName::Id(message), MessageName::Reference)))
}

/// The reference of a message, if it is here.
///
/// # Errors
/// [`ncp_store::state::Unreadable`].
pub fn reference(node: &Node, key: MessageKey) -> Result<Option<Reference>, Unreadable> {
    let view = node.reader().view();
    if key.0 == node.participant() {
        return Ok(OUT.row(&view, &key.1)?.map(|row| row.draft.reference));
    }
    Ok(IN.row(&view, &key)?.map(|row| row.received.reference))
}

/// What answers a message, in the order in which it came or was drafted.
fn answers(node: &Node, key: MessageKey) -> Result<Vec<AnswerView>, Failed> {
    let view = node.reader().view();
    let conversation = if key.0 == node.participant() {
        OUT.row(&view, &key.1)?.map(|row| row.draft.conversation)
    } else {
        IN.row(&view, &key)?.map(|row| row.received.conversation)
    };
    let Some(conversation) = conversation else { return Ok(Vec::new()) };
    let mut others = Vec::new();
    CONVERSATION.scan(&view, &conversation_key(conversation), |_, other| {
        others.push(other);
        ControlFlow::Continue(())
    })?;
    let mut answers = Vec::new();
    for other in others {
        let cites = if other.0 == node.participant() {
            OUT.row(&view, &other.1)?.map(|row| {
                let Draft { reference, response_status: status, reason, in_reply_to, .. } = row.draft;
                (in_reply_to, AnswerView { reference, status, reason })
            })
        } else {
            IN.row(&view, &other)?.map(|row| {
                let Received { reference, response_status: status, reason, in_reply_to, .. } = row.received;
                (in_reply_to, AnswerView { reference, status, reason })
            })
        };
        answers.extend(cites.filter(|(cited, _)| *cited == Some(key.1)).map(|(_, answer)| answer));
    }
    Ok(answers)
}

/// The rejection that a draft came back with; `None` once it was edited.
fn returned(node: &Node, row: &OutRow) -> Result<Option<ReturnView>, Failed> {
    if row.state != OutState::ReturnedToDrafter {
        return Ok(None);
    }
    let draft = &row.draft;
    let mut newest = None;
    for recorded in history::of(node, (node.participant(), draft.message))? {
        if let Change::ReleaseRejected(rejection) = recorded.event.change
            && rejection.revision == draft.revision
        {
            newest = Some((rejection.officer, recorded.event.time));
        }
    }
    let Some((officer, time)) = newest else { return Ok(None) };
    let words = crate::notes::of_rejection(node, draft.message, draft.revision, officer)?;
    Ok(Some(ReturnView { officer: officer.0, time, words }))
}

fn tasks(node: &Node, (originator, message): MessageKey) -> Result<Vec<TaskView>, Failed> {
    let mut rows: Vec<(u16, TaskRow)> = Vec::new();
    TASK.scan(&node.reader().view(), &(originator, message), |(_, _, task), row| {
        rows.push((task, row));
        ControlFlow::Continue(())
    })?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let events: Vec<Event> = history::of(node, (originator, message))?.into_iter().map(|found| found.event).collect();
    let mut tasks = Vec::new();
    for (task, row) in rows {
        tasks.push(task_view(node, (originator, message), task, row, &events)?);
    }
    Ok(tasks)
}

fn task_view(node: &Node, message: MessageKey, task: u16, row: TaskRow, events: &[Event]) -> Result<TaskView, Failed> {
    let mut contributions = Vec::new();
    for record in &row.contributions {
        contributions.push(contribution(node, *record, events)?);
    }
    let note = crate::notes::of_task(node, message, task)?;
    Ok(TaskView { task, service: row.service, assigned: row.assigned, note, contributions })
}

fn contribution(node: &Node, record: Digest, events: &[Event]) -> Result<ContributionView, Failed> {
    let added = events
        .iter()
        .find(|event| matches!(&event.change, Change::ContributionAdded { record: named, .. } if *named == record));
    let (time, officer) = added.map_or((UnixMillis(0), None), |event| (event.time, officer_of(&event.actor)));
    let Some(stored) = contributions::open(node, record)? else {
        return Ok(ContributionView { time, officer: officer.map(|officer| officer.0), text: None, parts: Vec::new() });
    };
    let numbered = (1u16..).zip(&stored.files);
    let parts = numbered.map(|(number, file)| PartView {
        number,
        name: file.name.as_str().to_owned(),
        media_type: file.media_type.as_str().to_owned(),
        length: file.length,
        sha256: file.sha256,
        task: None,
    });
    let parts = parts.collect();
    Ok(ContributionView { time, officer: officer.map(|officer| officer.0), text: stored.text, parts })
}
