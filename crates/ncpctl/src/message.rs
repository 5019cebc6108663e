//! Messages as people read them: one in full, many in a list.

use ncp_api::message::{
    AnswerView, ContentState, Direction, FormContent, MessageItem, MessageView, PartView, TaskView,
};
use ncp_api::text::handling;
use ncp_api::{FORM_PART, TEXT_PART, forms, reasons};
use ncp_protocol::codes::{Code, Handling, Precedence, ResponseStatus};
use serde_json::Value;

use crate::clock::Clock;
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Style, Tone, bytes, clean, clean_block};
use crate::table::{Cell, Table, plain_record};

/// Schema of a message as JSON.
pub(crate) const SCHEMA: &str = "ncp.message/1";

/// A message in full.
pub(crate) fn report(view: &MessageView, clock: &Clock, style: Style) -> Result<Report, Error> {
    Ok(Report::object(SCHEMA, view)?.human(in_full(view, clock, style)).plain(record(view)))
}

/// One record of a message: reference, id, state.
pub(crate) fn record(view: &MessageView) -> String {
    let fields = [view.reference.to_string(), view.message.to_string(), view.state.to_string()];
    plain_record(fields.iter().map(String::as_str))
}

/// What a restriction means, in words.
pub(crate) fn handling_words(code: Handling) -> &'static str {
    match code {
        Handling::H0 => "may be used for the prevention and prosecution of crime",
        Handling::H1 => "not in judicial proceedings without the originator's permission",
        Handling::H2 => "not to be passed on without the originator's permission",
        Handling::H3 => "restricted in the originator's own words",
    }
}

fn in_full(view: &MessageView, clock: &Clock, style: Style) -> String {
    let mut out = facts(view, clock, style).render(style);
    match view.content {
        ContentState::Erased => out.push_str("\nThe content was erased; its evidence remains.\n"),
        ContentState::Restricted => out.push_str("\nThe content opens after the restriction was acknowledged.\n"),
        ContentState::Shown => out.push_str(&content(view, style)),
    }
    out.push_str(&tasks(&view.tasks, clock, style));
    out
}

fn facts(view: &MessageView, clock: &Clock, style: Style) -> Facts {
    let mut facts = Facts::default();
    let status = view.response_status.map(|status| format!(", {status}")).unwrap_or_default();
    let head = format!("{}  {}{status}", view.reference, view.kind);
    facts.add("message", style.paint(Tone::Strong, &head));
    facts.add("state", view.state.as_str().replace('-', " "));
    if let Some(returned) = &view.returned {
        let words = returned.words.as_deref().map(|words| format!(": {}", clean(words))).unwrap_or_default();
        let time = clock.minute(returned.time);
        facts.add("rejected", style.paint(Tone::Warn, &format!("officer {:02}, {time}{words}", returned.officer)));
    }
    facts.maybe("reason", view.reason.as_ref().map(|reason| reason_text(view.response_status, reason)));
    let recipients: Vec<String> = view.recipients.iter().map(|recipient| recipient.participant.to_string()).collect();
    match view.direction {
        Direction::In => facts.add("from", view.originator.to_string()),
        Direction::Out => {
            facts.add("to", recipients.join(", "));
            for (who, code) in view.recipients.iter().filter_map(|to| Some((to.participant, to.reject.as_ref()?))) {
                facts.add("refused", style.paint(Tone::Bad, &format!("{who}: {}", clean(code))));
            }
        }
    }
    if view.direction == Direction::In && recipients.len() > 1 {
        facts.add("also to", recipients.join(", "));
    }
    facts.maybe("subject", view.subject.as_deref().map(|subject| style.paint(Tone::Strong, &clean(subject))));
    facts.maybe("topic", view.subject_code.as_ref().map(ToString::to_string));
    facts.add("handling", handling_line(view));
    if view.precedence != Precedence::Routine {
        let ground = view.urgent_ground.map(|ground| format!(": {ground}")).unwrap_or_default();
        facts.add("precedence", format!("{}{ground}", view.precedence));
    }
    let made = match view.direction {
        Direction::In => "received",
        Direction::Out => "drafted",
    };
    facts.add(made, format!("{}, {}", clock.minute(view.created), clock.relative(view.created)));
    facts.maybe("drafter", view.drafter.map(|officer| format!("officer {officer:02}, revision {}", view.revision)));
    let wanted = view.answer_by.filter(|_| view.due.is_none());
    facts.maybe("answer wanted", wanted.map(|time| format!("{}, {}", clock.minute(time), clock.relative(time))));
    facts.maybe("answer due", view.due.map(|due| format!("{}, {}", clock.minute(due), clock.relative(due))));
    facts.maybe("void after", view.not_after.map(|time| clock.minute(time)));
    facts.maybe("answers", view.in_reply_to.map(|name| name.to_string()));
    for answer in &view.answered_by {
        facts.add("answered by", answer_text(answer));
    }
    if !view.also_sent_through.is_empty() {
        let channels: Vec<&str> = view.also_sent_through.iter().map(|code| code.as_str()).collect();
        facts.add("also sent through", channels.join(", "));
    }
    if let Some(release) = &view.release {
        let given: Vec<String> =
            release.approvals.iter().map(|approval| format!("officer {:02}", approval.officer)).collect();
        let given = if given.is_empty() { String::new() } else { format!(": {}", given.join(", ")) };
        let text = release.rule_text.as_deref().map(|text| format!(", {}", clean(text))).unwrap_or_default();
        let count = format!("{} of {} approvals{given}", release.approvals.len(), release.approvals_needed);
        facts.add("release", format!("{count}; rule {}{text}", release.rule));
    }
    facts.maybe("national number", view.national_ref.as_deref().map(clean));
    facts
}

/// An answer with its sort and reason: `XB-2026-000003, refusal: the information is not available (not-available)`.
fn answer_text(answer: &AnswerView) -> String {
    let status = answer.status.map(|status| format!(", {status}")).unwrap_or_default();
    let reason =
        answer.reason.as_ref().map(|reason| format!(": {}", reason_text(answer.status, reason))).unwrap_or_default();
    format!("{}{status}{reason}", answer.reference)
}

/// What a reason code means, and the code; the code alone if this version does not know it.
pub(crate) fn reason_text(status: Option<ResponseStatus>, code: &Code) -> String {
    match status.and_then(|status| reasons::words(status, code)) {
        Some(words) => format!("{words} ({code})"),
        None => code.to_string(),
    }
}

fn handling_line(view: &MessageView) -> String {
    let code = handling::show(view.handling);
    match &view.restriction {
        Some(words) => format!("{code}: {}", clean(words)),
        None => format!("{code}: {}", handling_words(view.handling)),
    }
}

fn content(view: &MessageView, style: Style) -> String {
    let mut out = String::new();
    if let Some(form) = &view.form {
        out.push('\n');
        out.push_str(&form_text(form, style));
    }
    if let Some(text) = &view.text {
        out.push('\n');
        out.push_str(&clean_block(text));
        out.push('\n');
    }
    let files: Vec<&PartView> =
        view.parts.iter().filter(|part| part.name != TEXT_PART && part.name != FORM_PART).collect();
    if !files.is_empty() {
        out.push('\n');
        out.push_str(&parts_table(&files).render(style));
    }
    out
}

/// A form with the labels that this version knows; unknown fields are shown by name.
pub(crate) fn form_text(content: &FormContent, style: Style) -> String {
    let schema = forms::schema_of(&content.form);
    let title = schema.map_or("form", |schema| schema.title);
    let mut out = format!("{}\n", style.paint(Tone::Quiet, &format!("{title} ({})", content.form)));
    let mut facts = Facts::default();
    let known = schema.map(|schema| schema.fields).unwrap_or_default();
    for field in known {
        facts.maybe(field.label, content.fields.get(field.name).map(value_text));
    }
    for (name, value) in &content.fields {
        if known.iter().all(|field| field.name != name) {
            facts.add(&clean(name), value_text(value));
        }
    }
    out.push_str(&facts.render(style));
    out
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => clean_block(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => clean(&value.to_string()),
    }
}

fn parts_table(parts: &[&PartView]) -> Table {
    let mut table = Table::new(&["part", "size", "type", "name"]);
    for part in parts {
        let size = bytes(part.length);
        table.row(vec![
            part.number.to_string().into(),
            size.into(),
            part.media_type.clone().into(),
            part.name.clone().into(),
        ]);
    }
    table
}

fn tasks(tasks: &[TaskView], clock: &Clock, style: Style) -> String {
    let mut out = String::new();
    for task in tasks {
        let state = if task.contributions.is_empty() { "asked" } else { "contributed" };
        let note = task.note.as_deref().map(|note| format!(": {}", clean(note))).unwrap_or_default();
        out.push_str(&format!(
            "\ntask {}  {}  {state} {}{note}\n",
            task.task,
            task.service,
            clock.minute(task.assigned)
        ));
        for contribution in &task.contributions {
            let officer = contribution.officer.map(|officer| format!("  officer {officer:02}")).unwrap_or_default();
            let head = format!("  {}{officer}", clock.minute(contribution.time));
            out.push_str(&style.paint(Tone::Quiet, &head));
            out.push('\n');
            for line in contribution.text.as_deref().map(clean_block).unwrap_or_default().lines() {
                out.push_str(&format!("    {line}\n"));
            }
            for part in contribution.parts.iter().filter(|part| part.name != TEXT_PART) {
                out.push_str(&format!("    {}  {}\n", clean(&part.name), bytes(part.length)));
            }
        }
    }
    out
}

/// Which participant a list names beside each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Who sent it.
    Originator,
    /// To whom it goes.
    Recipients,
}

/// A list of messages.
pub(crate) fn list(items: &[MessageItem], beside: Beside, clock: &Clock) -> Table {
    let who = match beside {
        Beside::Originator => "from",
        Beside::Recipients => "to",
    };
    let mut table = Table::new(&["reference", who, "kind", "state", "handling", "when", "subject"]);
    for item in items {
        table.row(vec![
            item.reference.to_string().into(),
            counterpart(item, beside).into(),
            kind_cell(item),
            state_cell(item, clock),
            handling::show(item.handling).into(),
            when_cell(item, clock),
            item.subject.clone().unwrap_or_default().into(),
        ]);
    }
    table
}

fn counterpart(item: &MessageItem, beside: Beside) -> String {
    match (beside, item.recipients.as_slice()) {
        (Beside::Originator, _) => item.originator.to_string(),
        (Beside::Recipients, [one]) => one.to_string(),
        (Beside::Recipients, [first, second]) => format!("{first}, {second}"),
        (Beside::Recipients, many) => format!("{} recipients", many.len()),
    }
}

fn kind_cell(item: &MessageItem) -> Cell {
    let kind = match item.response_status {
        Some(status) => format!("{}, {status}", item.kind),
        None => item.kind.to_string(),
    };
    match item.precedence {
        Precedence::Urgent => Cell::toned(Tone::Bad, format!("{kind} URGENT")),
        Precedence::Priority => Cell::toned(Tone::Strong, format!("{kind} priority")),
        Precedence::Routine => kind.into(),
    }
}

fn state_cell(item: &MessageItem, clock: &Clock) -> Cell {
    use ncp_api::message::MessageState as State;
    if let Some(refused) = &item.refused {
        return Cell::toned(Tone::Bad, format!("queued, the hub refuses it: {}", clean(refused)));
    }
    if item.due.is_some_and(|due| due < clock.now) && item.state != State::Answered {
        return Cell::toned(Tone::Bad, "overdue");
    }
    if item.direction == Direction::In && item.state == State::Delivered {
        return Cell::toned(Tone::Strong, "unread");
    }
    let words = item.state.as_str().replace('-', " ");
    let words = match (item.tasks_open, item.tasks) {
        (_, 0) => words,
        (open, all) => format!("{words}, {} of {all} tasks done", all.saturating_sub(open)),
    };
    match item.state {
        State::Expired | State::Failed => Cell::toned(Tone::Bad, words),
        State::Held | State::Draft | State::Withdrawn => Cell::toned(Tone::Warn, words),
        State::Delivered | State::HandedOver | State::Answered => Cell::toned(Tone::Good, words),
        State::WaitingForRelease | State::Queued | State::Accepted => words.into(),
    }
}

fn when_cell(item: &MessageItem, clock: &Clock) -> Cell {
    match item.due.filter(|_| item.state != ncp_api::message::MessageState::Answered) {
        Some(due) => format!("due {}", clock.relative(due)).into(),
        None => clock.relative(item.created).into(),
    }
}

/// A page of messages as a report; an empty one says so.
pub(crate) fn page_report(
    schema: &'static str,
    items: &[MessageItem],
    beside: Beside,
    empty: &str,
    context: &crate::context::Context,
) -> Result<Report, Error> {
    let table = list(items, beside, &context.clock);
    let human = if table.is_empty() { format!("{empty}\n") } else { table.render(context.output.style) };
    Ok(Report::lines(schema, items)?.human(human).plain(table.plain()))
}
