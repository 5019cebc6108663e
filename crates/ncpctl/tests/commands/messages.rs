//! Drafting, attaching, opening and saving.

use ncp_api::ErrorCode;
use ncp_api::message::{AnswerView, BlobCreated, ContentState, MessageState, NewMessage, ReturnView};
use ncp_protocol::codes::{Handling, Kind, Precedence, ResponseStatus};
use ncp_protocol::ids::Digest;
use ncp_protocol::keys::sha256;

use crate::desk::{Desk, write};
use crate::values;

fn drafting() -> Desk {
    let desk = Desk::new();
    let blob = BlobCreated { id: "b1".to_owned(), length: 5, sha256: Digest([0; 32]) };
    desk.daemon.answer("POST", "/v1/blobs", 201, &blob);
    desk.daemon.answer("POST", "/v1/messages:validate", 200, &values::validation());
    desk.daemon.answer("POST", "/v1/messages", 201, &values::message(values::OUT, MessageState::WaitingForRelease));
    desk
}

fn created(desk: &Desk) -> NewMessage {
    let asked = desk.daemon.asked("POST", "/v1/messages");
    serde_json::from_slice(&asked.last().expect("created").body).expect("a message")
}

#[test]
fn a_document_and_options_make_one_message() {
    let desk = drafting();
    let rfi = br#"{"subject":"Grey van","handling":"H2","precedence":"routine",
        "fields":{"type":"van","colour":"grey","registration":"XA 1234"}}"#;
    let rfi = write(&desk.path("rfi.json"), rfi);
    let photo = write(&desk.path("photo.jpg"), b"photo");
    let output = desk.expect(
        0,
        &["request", "--to", "XB", "--form", "vehicle", "--precedence", "priority", "--file", &rfi, "--attach", &photo],
    );
    assert!(output.contains("checked  form vehicle/2, 3 fields; photo.jpg 5 B; handling H2\n"), "{output}");
    assert!(output.contains("rule xa-r7: personal data needs a second officer\n"), "{output}");
    assert!(output.contains("created  XA-2026-000417, waiting for release\n"), "{output}");
    let message = created(&desk);
    assert_eq!(
        (message.kind, message.handling, message.precedence),
        (Kind::Request, Handling::H2, Precedence::Priority)
    );
    assert_eq!(message.to, [values::id("XB")]);
    assert_eq!(message.attachments[0].name, "photo.jpg");
    assert_eq!(message.attachments[0].media_type, "image/jpeg");
    assert_eq!(desk.daemon.asked("POST", "/v1/blobs")[0].body, b"photo");
}

#[test]
fn a_dry_run_creates_nothing() {
    let desk = drafting();
    desk.expect(0, &["request", "--to", "XB", "--subject", "x", "--text", "y", "--handling", "H0", "--dry-run"]);
    assert!(desk.daemon.asked("POST", "/v1/messages").is_empty());
}

#[test]
fn the_idempotency_key_reaches_the_daemon() {
    let desk = drafting();
    let arguments =
        ["send", "--to", "XB", "--subject", "x", "--text", "y", "--handling", "H0", "--idempotency-key", "k-1"];
    desk.expect(0, &arguments);
    assert_eq!(desk.daemon.asked("POST", "/v1/messages")[0].headers["idempotency-key"], "k-1");
}

#[test]
fn all_means_every_usable_participant_but_oneself() {
    let desk = drafting();
    desk.daemon.answer("GET", "/v1/directory", 200, &values::directory());
    desk.expect(0, &["bulletin", "publish", "--subject", "x", "--text", "y", "--handling", "H0"]);
    assert_eq!(created(&desk).to, [values::id("XB")]);
}

#[test]
fn bad_names_and_missing_files_create_nothing() {
    let desk = drafting();
    let file = write(&desk.path("file"), b"x");
    let cases = [
        (format!("={file}"), 65, "NCP-E4401"),
        (format!("..={file}"), 65, "NCP-E4402"),
        (format!("a\\b={file}"), 65, "NCP-E4402"),
        (format!("a\nb={file}"), 65, "NCP-E4403"),
        (format!("{}={file}", "x".repeat(201)), 65, "NCP-E4404"),
        (desk.path("none").to_str().expect("UTF-8").to_owned(), 66, "NCP-E4409"),
        (desk.folder.path().to_str().expect("UTF-8").to_owned(), 66, "NCP-E4409"),
    ];
    for (attach, code, error) in cases {
        let arguments = ["send", "--to", "XB", "--subject", "x", "--handling", "H0", "--attach", &attach];
        desk.refused(code, error, &arguments);
    }
    let twice = ["send", "--to", "XB", "--subject", "x", "--handling", "H0", "--attach", &file, "--attach", &file];
    desk.refused(65, "NCP-E4405", &twice);
    assert!(desk.daemon.asked("POST", "/v1/messages").is_empty());
    assert!(desk.daemon.asked("POST", "/v1/blobs").is_empty());
}

#[test]
fn large_and_empty_files_arrive_whole() {
    let desk = drafting();
    for length in [0_usize, 20 << 20] {
        let bytes: Vec<u8> = (0..length).map(|i| u8::try_from(i % 253).unwrap_or_default()).collect();
        let file = write(&desk.path(&format!("file-{length}")), &bytes);
        desk.expect(0, &["send", "--to", "XB", "--subject", "x", "--handling", "H0", "--attach", &file]);
        let uploads = desk.daemon.asked("POST", "/v1/blobs");
        let last = uploads.last().expect("an upload");
        assert_eq!(sha256(&last.body), sha256(&bytes));
        assert_eq!(last.headers["ncp-body-sha256"], sha256(&bytes).to_string());
    }
}

#[test]
fn opening_an_unread_message_confirms_it_once() {
    let desk = Desk::new();
    let path = format!("/v1/messages/{}", values::IN);
    let confirm = format!("/v1/inbox/{}:confirm", values::IN);
    desk.daemon.answer("POST", &confirm, 200, &values::message(values::IN, MessageState::HandedOver));
    desk.daemon.answer("GET", &path, 200, &values::message(values::IN, MessageState::Delivered));
    let output = desk.expect(0, &["show", values::IN]);
    assert!(output.contains(values::TEXT) && output.contains("photo.jpg"), "{output}");
    assert_eq!(desk.daemon.asked("POST", &confirm).len(), 1);
    desk.daemon.answer("GET", &path, 200, &values::message(values::IN, MessageState::HandedOver));
    desk.expect(0, &["show", values::IN]);
    assert_eq!(desk.daemon.asked("POST", &confirm).len(), 1, "confirmed twice");
}

#[test]
fn a_rejected_draft_and_a_refused_request_say_why() {
    let desk = Desk::new();
    let mut view = values::message(values::OUT, MessageState::Draft);
    let words = Some("Name the case.".to_owned());
    view.returned = Some(ReturnView { officer: 7, time: values::TIME, words });
    desk.daemon.answer("GET", &format!("/v1/messages/{}", values::OUT), 200, &view);
    let output = desk.expect(0, &["show", values::OUT]);
    assert!(
        output.contains("rejected") && output.contains("officer 07") && output.contains("Name the case."),
        "{output}"
    );
    let hint = desk.run(&["show", values::OUT]).stderr;
    assert!(String::from_utf8_lossy(&hint).contains("ncpctl edit XA-2026-000417"));

    let mut view = values::message(values::OUT, MessageState::Answered);
    view.answered_by = vec![AnswerView {
        reference: values::reference("XB-2026-000009"),
        status: Some(ResponseStatus::Refusal),
        reason: Some("not-available".parse().expect("code")),
    }];
    desk.daemon.answer("GET", &format!("/v1/messages/{}", values::OUT), 200, &view);
    let output = desk.expect(0, &["show", values::OUT]);
    let line = "XB-2026-000009, refusal: the information is not available (not-available)";
    assert!(output.contains(line), "{output}");
}

#[test]
fn a_restriction_is_acknowledged_before_anything_opens() {
    let desk = Desk::new();
    let mut view = values::message(values::IN, MessageState::Delivered);
    (view.handling, view.restriction) = (Handling::H3, Some("For the duty officer alone.".to_owned()));
    (view.content, view.text, view.parts) = (ContentState::Restricted, None, Vec::new());
    desk.daemon.answer("GET", &format!("/v1/messages/{}", values::IN), 200, &view);
    let confirm = format!("/v1/inbox/{}:confirm", values::IN);
    desk.daemon.answer("POST", &confirm, 200, &view);
    let said = desk.refused(77, "NCP-E4106", &["show", values::IN]);
    assert!(said.contains("For the duty officer alone."), "{said}");
    assert!(desk.daemon.asked("POST", &confirm).is_empty());
    desk.expect(0, &["show", values::IN, "--acknowledge"]);
    let body = &desk.daemon.asked("POST", &confirm)[0].body;
    assert!(String::from_utf8_lossy(body).contains("\"restriction_acknowledged\":true"));
}

#[test]
fn saved_parts_are_checked_and_never_overwrite() {
    let desk = Desk::new();
    desk.daemon.answer(
        "GET",
        &format!("/v1/messages/{}", values::IN),
        200,
        &values::message(values::IN, MessageState::HandedOver),
    );
    let part = |number: u16| format!("/v1/messages/{}/parts/{number}", values::IN);
    desk.daemon.answer_bytes("GET", &part(1), 200, values::TEXT.as_bytes());
    desk.daemon.answer_bytes("GET", &part(2), 200, b"other");
    let folder = desk.path("out");
    std::fs::create_dir(&folder).expect("folder");
    let to = folder.to_str().expect("UTF-8");
    desk.refused(74, "NCP-E5301", &["save", values::IN, "--to", to, "--part", "2"]);
    assert!(!folder.join("photo.jpg").exists(), "a part with another digest was left behind");

    desk.daemon.answer_bytes("GET", &part(2), 200, b"photo");
    let output = desk.expect(0, &["save", values::IN, "--to", to]);
    assert!(output.contains("H2 still holds for you"), "{output}");
    assert_eq!(std::fs::read(folder.join("photo.jpg")).expect("saved"), b"photo");
    assert_eq!(std::fs::read_to_string(folder.join("message.txt")).expect("saved"), values::TEXT);
    desk.refused(65, "NCP-E4413", &["save", values::IN, "--to", to]);
}

#[test]
fn an_edit_keeps_what_is_not_named() {
    let desk = Desk::new();
    let path = format!("/v1/messages/{}", values::OUT);
    desk.daemon.answer("GET", &path, 200, &values::message(values::OUT, MessageState::WaitingForRelease));
    desk.daemon.answer("PATCH", &path, 200, &values::message(values::OUT, MessageState::WaitingForRelease));
    desk.expect(0, &["edit", values::OUT, "--subject", "White van"]);
    let message: NewMessage = serde_json::from_slice(&desk.daemon.asked("PATCH", &path)[0].body).expect("a message");
    assert_eq!(message.subject, "White van");
    assert_eq!(message.text.as_deref(), Some(values::TEXT));
    let blobs: Vec<&str> = message.attachments.iter().map(|attachment| attachment.blob.as_str()).collect();
    assert_eq!(blobs, ["part:2"], "the attachment stays, the text is sent anew");
    desk.expect(0, &["edit", values::OUT, "--drop", "photo.jpg"]);
    let message: NewMessage = serde_json::from_slice(&desk.daemon.asked("PATCH", &path)[1].body).expect("a message");
    assert!(message.attachments.is_empty());

    // Dates that were chosen before stay too: the answer's, and the last one, to the day.
    let now = ncp_protocol::ids::UnixMillis(4_000_000_000_000);
    let mut dated = values::message(values::OUT, MessageState::Draft);
    (dated.answer_by, dated.not_after) = (Some(now), Some(now));
    desk.daemon.answer("GET", &path, 200, &dated);
    desk.expect(0, &["edit", values::OUT, "--text", "x"]);
    let message: NewMessage = serde_json::from_slice(&desk.daemon.asked("PATCH", &path)[2].body).expect("a message");
    assert_eq!((message.answer_by, message.lifetime_days), (Some(now), Some(30)));

    desk.daemon.answer("GET", &path, 200, &values::message(values::OUT, MessageState::Accepted));
    desk.refused(65, &ErrorCode::MessageStateWrong.to_string(), &["edit", values::OUT, "--subject", "x"]);
}

#[test]
fn waiting_follows_the_feed_from_the_cursor_of_now() {
    let desk = drafting();
    desk.daemon.answer_bytes("GET", "/v1/events", 200, b"");
    let id = values::message(values::OUT, MessageState::Queued).message;
    desk.daemon.answer("GET", &format!("/v1/messages/{id}"), 200, &values::message(values::OUT, MessageState::Queued));
    let send = ["send", "--to", "XB", "--subject", "x", "--text", "y", "--handling", "H0", "--wait", "delivered"];
    let arguments: Vec<&str> = send.iter().copied().chain(["--timeout", "0s"]).collect();
    let said = desk.refused(75, "NCP-E3201", &arguments);
    assert!(said.contains("XA-2026-000417 is queued"), "{said}");
    desk.daemon.answer("GET", &format!("/v1/messages/{id}"), 200, &values::message(values::OUT, MessageState::Failed));
    desk.refused(65, "NCP-E4302", &send);
    desk.daemon.answer(
        "GET",
        &format!("/v1/messages/{id}"),
        200,
        &values::message(values::OUT, MessageState::Answered),
    );
    assert!(desk.expect(0, &send).contains("created  XA-2026-000417, answered"));
}
