//! Timelines as text.

use super::*;
use crate::verify::tests::{MESSAGE, bundle};
use crate::verify::verify;
use ncp_protocol::codes::Kind;

const DAY: &str = "2026-11-22";

fn at(clock: &str) -> UnixMillis {
    format!("{DAY}T{clock}Z").parse::<ncp_api::time::Time>().expect("time").0
}

fn entry(clock: &str, step: Step) -> TimelineEntry {
    TimelineEntry {
        time: Some(at(clock)),
        step,
        recipient: None,
        officer: None,
        detail: String::new(),
        reason: None,
        words: None,
        due: None,
        about: None,
        evidence: EvidenceState::None,
        receipt: None,
    }
}

fn to_xb(clock: &str, step: Step, receipt: Option<&str>) -> TimelineEntry {
    TimelineEntry {
        recipient: Some("XB".parse().expect("id")),
        receipt: receipt.map(ToOwned::to_owned),
        ..entry(clock, step)
    }
}

/// Accepted by the hub, as the one good receipt of the bundle proves.
fn accepted() -> Timeline {
    let released = TimelineEntry {
        officer: Some(7),
        detail: "rule xa-r7".to_owned(),
        evidence: EvidenceState::Ok,
        ..entry("12:20:41", Step::Released)
    };
    let expected = TimelineEntry { time: None, due: Some(at("23:47:00")), ..entry("00:00:00", Step::Answered) };
    Timeline {
        reference: "XA-2026-000417".parse().expect("reference"),
        message: MESSAGE,
        kind: Kind::Request,
        direction: Direction::Out,
        counterparts: vec!["XB".parse().expect("id")],
        state: MessageState::Accepted,
        due: None,
        not_after: None,
        entries: vec![
            TimelineEntry { officer: Some(12), ..entry("12:02:10", Step::Created) },
            released,
            entry("12:20:42", Step::Queued),
            to_xb("12:20:57", Step::Accepted, Some("r1-XB")),
            expected,
        ],
        refusals: Vec::new(),
        notes: Vec::new(),
    }
}

#[test]
fn what_the_hub_refuses_is_said_with_its_words_and_the_next_step() {
    let refusal = HubRefusal {
        recipient: "XB".parse().expect("id"),
        number: 27,
        name: "CreatedInFuture".to_owned(),
        words: "the envelope was created in the future".to_owned(),
        since: at("21:00:00"),
        next: at("22:00:30"),
        remedy: "set this machine's clock".to_owned(),
    };
    let queued = Timeline { state: MessageState::Queued, refusals: vec![refusal], ..accepted() };
    let text = text(&queued).replace('\n', " ");
    for part in ["XB: the hub refuses it", "27 CreatedInFuture", "created in the future", "set this machine's clock"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("as soon as the hub takes it"), "{text}");
}

fn clock() -> Clock {
    Clock::at(at("22:00:00"))
}

fn text(timeline: &Timeline) -> String {
    render(timeline, &verify(&bundle()), &clock(), Style::PLAIN)
}

#[test]
fn each_step_has_time_actor_and_evidence() {
    assert_eq!(
        text(&accepted()),
        "XA-2026-000417  request to XB  ACCEPTED\n\
         \u{20}\u{20}2026-11-22 12:02:10Z  created   officer 12\n\
         \u{20}            12:20:41Z  released  officer 07, rule xa-r7  approval ok\n\
         \u{20}            12:20:42Z  queued\n\
         \u{20}            12:20:57Z  accepted  R1, hub traffic log 0   receipt ok\n\
         \u{20}            —          answered  due 2026-11-22 23:47Z\n\
         The hub keeps it, unable to read it, until the node of XB takes it.\n\
         evidence: 1 receipt verified now\n"
    );
}

#[test]
fn a_tampered_receipt_is_bad_and_says_so() {
    let mut bundle = bundle();
    bundle.receipts[0].proof = bundle.receipts[0].proof.replacen("index 0", "index 1", 1);
    let verdicts = verify(&bundle);
    let text = render(&accepted(), &verdicts, &clock(), Style::PLAIN);
    assert!(text.contains("receipt BAD"), "{text}");
    assert!(text.contains("NCP-E6101") && text.contains("do not rely"), "{text}");
    assert_eq!(tally(&accepted(), &verdicts), Tally { good: 0, bad: 1, missing: 0 });
}

#[test]
fn a_receipt_for_another_step_or_recipient_is_bad() {
    let mut timeline = accepted();
    timeline.entries[3].step = Step::Delivered;
    assert_eq!(tally(&timeline, &verify(&bundle())).bad, 1);
    timeline.entries[3].step = Step::Accepted;
    timeline.entries[3].recipient = Some("XC".parse().expect("id"));
    assert_eq!(tally(&timeline, &verify(&bundle())).bad, 1);
}

#[test]
fn missing_evidence_is_shown_as_missing() {
    let mut timeline = accepted();
    timeline.entries.insert(4, to_xb("15:47:03", Step::Delivered, None));
    let text = text(&timeline);
    assert!(text.contains("15:47:03Z  delivered") && text.contains("receipt missing"), "{text}");
    assert!(text.contains("waited at the hub 3 h 26 min"), "{text}");
    assert!(text.ends_with("evidence: 1 receipt verified now, 1 receipt missing\n"), "{text}");
}

#[test]
fn the_nodes_word_does_not_make_a_receipt_good() {
    let mut timeline = accepted();
    timeline.entries[3].evidence = EvidenceState::Ok;
    timeline.entries[3].receipt = Some("unknown".to_owned());
    assert_eq!(tally(&timeline, &verify(&bundle())), Tally { good: 0, bad: 0, missing: 1 });
}

#[test]
fn a_rejection_is_told_with_the_officers_words() {
    let mut timeline = accepted();
    timeline.state = MessageState::Draft;
    timeline.entries.truncate(1);
    timeline.entries.push(TimelineEntry {
        officer: Some(7),
        evidence: EvidenceState::Ok,
        words: Some("Name the case.\u{1b}[31m".to_owned()),
        ..entry("12:20:41", Step::Rejected)
    });
    let text = text(&timeline);
    assert!(text.contains("rejected  officer 07  approval ok"), "{text}");
    assert!(text.contains("\nOfficer 07 rejected it: Name the case.\u{fffd}"), "{text}");
    assert!(text.contains("It is back with its drafter"), "{text}");
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let mut timeline = accepted();
    timeline.state = MessageState::Answered;
    timeline.entries.pop();
    timeline.entries.push(TimelineEntry {
        recipient: Some("XB".parse().expect("id")),
        detail: "refusal".to_owned(),
        reason: Some("not-available".parse().expect("code")),
        about: Some("XB-2026-000002".parse().expect("reference")),
        ..entry("15:00:00", Step::Answered)
    });
    let shown = text(&timeline);
    assert!(shown.contains("answered  refusal, not-available, XB-2026-000002"), "{shown}");
    let sentence = "XB declined to answer: the information is not available (not-available).";
    assert!(shown.contains(sentence) && !shown.contains("has answered it"), "{shown}");
    // A code of a newer node stands as it is.
    timeline.entries[4].reason = Some("of-a-newer-node".parse().expect("code"));
    assert!(text(&timeline).contains("XB declined to answer: of-a-newer-node."));
}

#[test]
fn many_recipients_are_told_as_one() {
    let mut timeline = accepted();
    timeline.counterparts = ["XB", "XC", "XD", "XE"].iter().map(|id| id.parse().expect("id")).collect();
    timeline.entries.insert(4, to_xb("12:20:59", Step::Accepted, Some("r1-XB")));
    let text = text(&timeline);
    assert!(text.contains("accepted  R1, 2 of 4 recipients"), "{text}");
    assert!(text.contains("2 receipts ok"), "{text}");
    assert_eq!(text.matches("accepted").count(), 1, "{text}");
}

#[test]
fn a_due_date_stands_in_the_heading() {
    let mut timeline = accepted();
    timeline.state = MessageState::HandedOver;
    timeline.due = Some(at("23:47:00"));
    let shown = text(&timeline);
    assert!(
        shown.starts_with(
            "XA-2026-000417  request to XB  HANDED OVER     answer due 2026-11-22 23:47Z, in 1 h 47 min\n"
        )
    );
    assert!(shown.contains("has taken it; the answer is due in 1 h 47 min."), "{shown}");
    timeline.due = Some(at("21:00:00"));
    assert!(text(&timeline).contains("overdue by 1 h"), "{}", text(&timeline));
}

#[test]
fn narrow_terminals_get_shorter_details() {
    let style = Style { colour: false, width: Some(70) };
    let mut timeline = accepted();
    timeline.entries[1].detail = "a rule with a rather long name that explains itself".to_owned();
    let text = render(&timeline, &verify(&bundle()), &clock(), style);
    for line in text.lines() {
        assert!(line.chars().count() <= 70, "{line}");
    }
    assert!(text.contains('…'), "{text}");
}

#[test]
fn colour_is_added_only_where_allowed() {
    let style = Style { colour: true, width: None };
    let text = render(&accepted(), &verify(&bundle()), &clock(), style);
    assert!(text.contains("\u{1b}[32mreceipt ok\u{1b}[0m"), "{text}");
    assert!(!super::tests::text(&accepted()).contains('\u{1b}'));
}
