//! A message's timeline as people read it: what happened, when, who did it, what proves it, and what it means.

use std::collections::BTreeMap;

use ncp_api::message::{Direction, MessageState};
use ncp_api::refusal::HubRefusal;
use ncp_api::timeline::{EvidenceState, ReceiptKind, Step, Timeline, TimelineEntry};
use ncp_protocol::codes::ResponseStatus;
use ncp_protocol::event::Outcome;
use ncp_protocol::ids::{ParticipantId, UnixMillis};

use crate::clock::{Clock, span};
use crate::message::reason_text;
use crate::style::{Style, Tone, clean, number, shorten, wrap};
use crate::verify::{Standing, Verdicts, standing};

/// Above this many recipients, the steps of all are told as one.
const RECIPIENTS_APART: usize = 3;
/// Shorter waits at the hub are not worth a line.
const WAIT_TOLD_MS: u64 = 60_000;
/// Lines of people's text are not longer than this, even on a wide terminal.
const PROSE_WIDTH: usize = 100;

/// What a timeline shows of its evidence, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Receipts that verified now.
    pub(crate) good: usize,
    /// Receipts that do not verify.
    pub(crate) bad: usize,
    /// Steps that need a receipt and have none.
    pub(crate) missing: usize,
}

/// Counts the evidence of all steps.
pub(crate) fn tally(timeline: &Timeline, verdicts: &Verdicts) -> Tally {
    let mut tally = Tally::default();
    for entry in &timeline.entries {
        match standing(timeline, entry, verdicts) {
            Standing::NotNeeded => {}
            Standing::Proved(_) => tally.good += 1,
            Standing::Bad(_) => tally.bad += 1,
            Standing::Missing => tally.missing += 1,
        }
    }
    tally
}

/// The whole timeline as text.
pub(crate) fn render(timeline: &Timeline, verdicts: &Verdicts, clock: &Clock, style: Style) -> String {
    let mut out = heading(timeline, clock, style);
    let lines = lines(timeline, verdicts, clock);
    out.push_str(&columns(&lines, clock, style));
    for line in remarks(timeline, verdicts, clock) {
        let width = style.width.unwrap_or(PROSE_WIDTH).min(PROSE_WIDTH);
        for line in wrap(&line, width) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn heading(timeline: &Timeline, clock: &Clock, style: Style) -> String {
    let state = style.paint(tone_of(timeline.state), &words(timeline.state.as_str()).to_uppercase());
    let way = match timeline.direction {
        Direction::Out => "to",
        Direction::In => "from",
    };
    let reference = style.paint(Tone::Strong, &timeline.reference.to_string());
    let mut text = format!("{reference}  {} {way} {}  {state}", timeline.kind, names(&timeline.counterparts));
    if let Some(due) = timeline.due.filter(|_| timeline.state != MessageState::Answered) {
        text.push_str(&format!("     answer due {}, {}", clock.minute(due), due_words(due, clock)));
    }
    text.push('\n');
    text
}

fn due_words(due: UnixMillis, clock: &Clock) -> String {
    if due < clock.now { format!("overdue by {}", span(clock.now.millis_since(due))) } else { clock.relative(due) }
}

fn names(participants: &[ParticipantId]) -> String {
    if participants.len() > 2 * RECIPIENTS_APART {
        return format!("{} participants", participants.len());
    }
    participants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The text of a code, its hyphens as blanks.
fn words(code: &str) -> String {
    code.replace('-', " ")
}

fn tone_of(state: MessageState) -> Tone {
    match state {
        MessageState::Delivered | MessageState::HandedOver | MessageState::Answered => Tone::Good,
        MessageState::Queued | MessageState::Accepted | MessageState::WaitingForRelease => Tone::Strong,
        MessageState::Draft | MessageState::Held | MessageState::Withdrawn => Tone::Warn,
        MessageState::Expired | MessageState::Failed => Tone::Bad,
    }
}

/// One line of the body.
struct Line {
    time: Option<UnixMillis>,
    step: String,
    detail: String,
    evidence: Option<(Tone, String)>,
}

fn lines(timeline: &Timeline, verdicts: &Verdicts, clock: &Clock) -> Vec<Line> {
    if timeline.counterparts.len() <= RECIPIENTS_APART {
        return timeline.entries.iter().map(|entry| line(timeline, entry, verdicts, clock)).collect();
    }
    // Steps of single recipients are told together, at the place of the last of them.
    let mut together: BTreeMap<Step, Vec<&TimelineEntry>> = BTreeMap::new();
    for entry in timeline.entries.iter().filter(|entry| entry.recipient.is_some()) {
        together.entry(entry.step).or_default().push(entry);
    }
    let last_of = |entry: &TimelineEntry| together.get(&entry.step).and_then(|group| group.last().copied());
    timeline
        .entries
        .iter()
        .filter(|entry| entry.recipient.is_none() || last_of(entry).is_some_and(|last| std::ptr::eq(last, *entry)))
        .map(|entry| match together.get(&entry.step).filter(|_| entry.recipient.is_some()) {
            Some(group) => group_line(timeline, group, verdicts),
            None => line(timeline, entry, verdicts, clock),
        })
        .collect()
}

fn line(timeline: &Timeline, entry: &TimelineEntry, verdicts: &Verdicts, clock: &Clock) -> Line {
    let standing = standing(timeline, entry, verdicts);
    let mut details = Vec::new();
    if let Some(recipient) = entry.recipient.filter(|_| timeline.counterparts.len() > 1) {
        details.push(recipient.to_string());
    }
    if let Some(officer) = entry.officer {
        details.push(format!("officer {officer:02}"));
    }
    if let Standing::Proved(proved) = &standing {
        let owner = if proved.participant == ParticipantId::HUB {
            "hub".to_owned()
        } else {
            format!("node {}", proved.participant)
        };
        let log = if proved.log == "node" { "log".to_owned() } else { format!("{} log", proved.log) };
        details.push(format!("{}{owner} {log} {}", rank(proved.kind), number(proved.index)));
        details.extend(outcome_words(proved.outcome));
    } else if !entry.detail.is_empty() {
        // Where a receipt proves the step, its own words stand; the node's would only repeat them.
        details.push(clean(&entry.detail));
    }
    details.extend(entry.reason.as_ref().map(ToString::to_string).filter(|reason| *reason != entry.detail));
    details.extend(entry.about.map(|about| about.to_string()));
    if let Some(due) = entry.due {
        details.push(format!("due {}", clock.minute(due)));
    }
    let time = match &standing {
        // What the receipt says outranks what the node says.
        Standing::Proved(proved) => Some(proved.time),
        Standing::NotNeeded | Standing::Bad(_) | Standing::Missing => entry.time,
    };
    Line { time, step: words(entry.step.as_str()), detail: details.join(", "), evidence: evidence(entry, &standing) }
}

fn rank(kind: ReceiptKind) -> &'static str {
    match kind {
        ReceiptKind::RelayAcceptance => "R1, ",
        ReceiptKind::ContentConsignment => "R2, ",
        ReceiptKind::ContentHandover => "R3, ",
        ReceiptKind::RelayFailure | ReceiptKind::ContentConsignmentFailure => "",
    }
}

fn outcome_words(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Done => None,
        Outcome::Confirmed => Some("confirmed".to_owned()),
        Outcome::Blind => Some("blind: taken by an application that never confirms".to_owned()),
        Outcome::Expired => Some("its last date passed".to_owned()),
        Outcome::ExpiredAfterOffer => {
            Some("its last date passed after it was offered: the recipient may have it".to_owned())
        }
        Outcome::Recalled => Some("before it was offered to the recipient".to_owned()),
        Outcome::RecalledAfterOffer => Some("after it was offered: the recipient may have it".to_owned()),
        Outcome::Rejected(code) => Some(code.text().to_owned()),
    }
}

fn evidence(entry: &TimelineEntry, standing: &Standing) -> Option<(Tone, String)> {
    match standing {
        Standing::Proved(_) => Some((Tone::Good, "receipt ok".to_owned())),
        Standing::Bad(_) => Some((Tone::Bad, "receipt BAD".to_owned())),
        Standing::Missing => Some((Tone::Warn, "receipt missing".to_owned())),
        Standing::NotNeeded => {
            let approval = matches!(entry.step, Step::Approved | Step::Released | Step::Rejected);
            match entry.evidence {
                EvidenceState::Ok if approval => Some((Tone::Good, "approval ok".to_owned())),
                EvidenceState::Bad => Some((Tone::Bad, "approval BAD".to_owned())),
                EvidenceState::Ok | EvidenceState::None | EvidenceState::Missing => None,
            }
        }
    }
}

/// The steps of all recipients as one line.
fn group_line(timeline: &Timeline, group: &[&TimelineEntry], verdicts: &Verdicts) -> Line {
    let (mut good, mut bad, mut missing, mut kind, mut time) = (0, 0, 0, None, None);
    for entry in group {
        let mut told = entry.time;
        match standing(timeline, entry, verdicts) {
            Standing::NotNeeded => {}
            Standing::Proved(proved) => {
                good += 1;
                kind = Some(proved.kind);
                told = Some(proved.time);
            }
            Standing::Bad(_) => bad += 1,
            Standing::Missing => missing += 1,
        }
        time = time.max(told);
    }
    let evidence = if bad > 0 {
        Some((Tone::Bad, format!("{bad} receipts BAD")))
    } else if missing > 0 {
        Some((Tone::Warn, format!("{missing} receipts missing")))
    } else {
        (good > 0).then(|| (Tone::Good, format!("{good} receipts ok")))
    };
    let rank = kind.map_or("", rank);
    let detail = format!("{rank}{} of {} recipients", group.len(), timeline.counterparts.len());
    let step = group.first().map_or_else(String::new, |entry| words(entry.step.as_str()));
    Line { time, step, detail, evidence }
}

fn columns(lines: &[Line], clock: &Clock, style: Style) -> String {
    let widest = |text: fn(&Line) -> &str| lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0);
    let (steps, mut details) = (widest(|line| &line.step), widest(|line| &line.detail));
    let clock_width = lines.iter().filter_map(|line| line.time).map(|time| clock.second(time).len()).max().unwrap_or(9);
    let proofs = lines.iter().filter_map(|line| line.evidence.as_ref()).map(|(_, text)| text.len()).max().unwrap_or(0);
    let others = 2 + 10 + 1 + clock_width + 2 + steps + 2 + 2 + proofs;
    if let Some(width) = style.width {
        details = details.min(width.saturating_sub(others).max(16));
    }
    let (mut out, mut day) = (String::new(), String::new());
    for line in lines {
        let (date, second) = match line.time {
            None => (String::new(), "—".to_owned()),
            Some(time) => (clock.date(time), clock.second(time)),
        };
        let shown = if date == day { "" } else { date.as_str() };
        let detail = shorten(&line.detail, details);
        let mut text = format!("  {shown:10} {second:clock_width$}  {:steps$}  {detail:details$}", line.step);
        if let Some((tone, words)) = &line.evidence {
            text.push_str("  ");
            text.push_str(&style.paint(*tone, words));
        }
        out.push_str(text.trim_end());
        out.push('\n');
        if !date.is_empty() {
            day = date;
        }
    }
    out
}

/// What stands below the steps: waiting, the node's remarks, what it means, what the evidence is worth.
fn remarks(timeline: &Timeline, verdicts: &Verdicts, clock: &Clock) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(waited(timeline));
    remarks.extend(timeline.refusals.iter().map(|refusal| refused(refusal, clock)));
    remarks.extend(timeline.notes.iter().map(|note| clean(note)));
    remarks.extend(timeline.entries.iter().filter_map(|entry| said(timeline, entry)));
    let tally = tally(timeline, verdicts);
    remarks.push(sentence(timeline, tally, clock));
    for entry in &timeline.entries {
        if let Standing::Bad(fault) = standing(timeline, entry, verdicts) {
            remarks.push(format!("{}: {}", fault.code, fault.cause()));
        }
    }
    if tally != Tally::default() {
        remarks.push(format!("evidence: {}", tally_words(tally)));
    }
    remarks
}

/// What an officer or the other side gave as a reason, in words.
fn said(timeline: &Timeline, entry: &TimelineEntry) -> Option<String> {
    if entry.step == Step::Rejected {
        let officer = entry.officer.map_or_else(|| "An officer".to_owned(), |number| format!("Officer {number:02}"));
        return entry.words.as_deref().map(|words| format!("{officer} rejected it: {}", clean(words)));
    }
    if entry.step != Step::Answered || entry.time.is_none() {
        return None;
    }
    let status = entry.detail.parse().ok()?;
    let who = match (timeline.direction, entry.recipient) {
        (Direction::Out, Some(recipient)) => recipient.to_string(),
        (Direction::Out | Direction::In, _) => "This contact point".to_owned(),
    };
    let what = match status {
        ResponseStatus::Refusal => "declined to answer",
        ResponseStatus::Extension => "needs longer",
        ResponseStatus::Final | ResponseStatus::Partial => return None,
    };
    Some(format!("{who} {what}: {}.", reason_text(Some(status), entry.reason.as_ref()?)))
}

/// What the hub says about an envelope that it does not take.
fn refused(refusal: &HubRefusal, clock: &Clock) -> String {
    let (words, remedy) = (clean(&refusal.to_string()), clean(&refusal.remedy));
    let (since, next) = (clock.relative(refusal.since), clock.relative(refusal.next));
    format!("{}: the hub refuses it, first {since}: {words}; offered again {next}. Try: {remedy}.", refusal.recipient)
}

fn tally_words(tally: Tally) -> String {
    let noun = |count: usize| if count == 1 { "receipt" } else { "receipts" };
    let mut parts = Vec::new();
    if tally.good > 0 {
        parts.push(format!("{} {} verified now", tally.good, noun(tally.good)));
    }
    if tally.bad > 0 {
        parts.push(format!("{} {} BAD", tally.bad, noun(tally.bad)));
    }
    if tally.missing > 0 {
        parts.push(format!("{} {} missing", tally.missing, noun(tally.missing)));
    }
    parts.join(", ")
}

/// How long the message waited at the hub, if it has one recipient and waited long.
fn waited(timeline: &Timeline) -> Option<String> {
    let [_] = timeline.counterparts.as_slice() else { return None };
    let at = |step: Step| timeline.entries.iter().find(|entry| entry.step == step).and_then(|entry| entry.time);
    let millis = at(Step::Delivered)?.millis_since(at(Step::Accepted)?);
    (millis >= WAIT_TOLD_MS).then(|| format!("waited at the hub {}", span(millis)))
}

/// What the state means, in one sentence.
pub(crate) fn sentence(timeline: &Timeline, tally: Tally, clock: &Clock) -> String {
    if tally.bad > 0 {
        return "A receipt does not verify: do not rely on what is shown, keep the data and compare with the other side."
            .to_owned();
    }
    let who = names(&timeline.counterparts);
    let due = timeline.due.map(|due| {
        if due < clock.now {
            format!("; the answer is overdue by {}", span(clock.now.millis_since(due)))
        } else {
            format!("; the answer is due {}", clock.relative(due))
        }
    });
    let due = due.unwrap_or_default();
    let refused = timeline.entries.iter().filter(|entry| entry.detail == ResponseStatus::Refusal.as_str()).count();
    if timeline.state == MessageState::Queued && !timeline.refusals.is_empty() {
        return "It is released, but the hub does not take it; nothing has left.".to_owned();
    }
    match timeline.direction {
        Direction::Out if timeline.state == MessageState::Answered && refused == timeline.counterparts.len() => {
            "No answer is to be expected; nothing more happens by itself.".to_owned()
        }
        Direction::Out => sent(timeline.state, &who, &due),
        Direction::In => received(timeline.state, &who, &due),
    }
}

fn sent(state: MessageState, who: &str, due: &str) -> String {
    match state {
        MessageState::Draft => {
            "It is back with its drafter; nothing has left. An edit puts it up for release again.".to_owned()
        }
        MessageState::WaitingForRelease => "Nothing has left: it waits for officers to release it.".to_owned(),
        MessageState::Queued => "It is released; it leaves as soon as the hub takes it.".to_owned(),
        MessageState::Held => "It is released, but a hold stops it; nothing has left.".to_owned(),
        MessageState::Accepted => format!("The hub keeps it, unable to read it, until the node of {who} takes it."),
        MessageState::Delivered => {
            format!("The node of {who} has verified, opened and stored it; nobody there has taken it yet.")
        }
        MessageState::HandedOver => format!("An officer or service of {who} has taken it{due}."),
        MessageState::Answered => format!("{who} has answered it."),
        MessageState::Withdrawn => "It was withdrawn.".to_owned(),
        MessageState::Expired => {
            format!("Its last date passed before {who} had it; send it again if it still matters.")
        }
        MessageState::Failed => {
            format!("It did not reach {who} and is not tried again; mend the reason, then send it anew.")
        }
    }
}

fn received(state: MessageState, who: &str, due: &str) -> String {
    match state {
        MessageState::HandedOver => format!("It was opened here{due}."),
        MessageState::Answered => "It is answered.".to_owned(),
        MessageState::Withdrawn => format!("{who} has withdrawn it and asks that it be deleted."),
        MessageState::Expired | MessageState::Failed => "It could not be opened here.".to_owned(),
        MessageState::Draft
        | MessageState::WaitingForRelease
        | MessageState::Queued
        | MessageState::Held
        | MessageState::Accepted
        | MessageState::Delivered => format!("It is verified and stored here; nobody has opened it yet{due}."),
    }
}

#[cfg(test)]
mod tests;
