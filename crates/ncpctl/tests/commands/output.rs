//! Streams: JSON that keeps to its schema, records, no escape sequences in pipes, pipes that close early.

use std::process::Stdio;

use ncp_api::health::CheckResult;
use ncp_api::message::MessageState;
use serde_json::Value;

use crate::desk::{Desk, text};
use crate::values;

/// A desk whose daemon answers everything.
fn desk() -> Desk {
    let desk = Desk::new();
    let daemon = &desk.daemon;
    let (sent, received) = (format!("/v1/messages/{}", values::OUT), format!("/v1/messages/{}", values::IN));
    daemon.answer("GET", "/v1/me", 200, &values::me());
    daemon.answer("GET", "/v1/inbox", 200, &values::page(3));
    daemon.answer("GET", "/v1/outbox", 200, &values::page(3));
    daemon.answer("GET", "/v1/messages", 200, &values::page(3));
    daemon.answer("GET", "/v1/release", 200, &values::page(3));
    daemon.answer("GET", &format!("/v1/release/{}", values::OUT), 200, &values::release());
    daemon.answer("GET", &sent, 200, &values::message(values::OUT, MessageState::WaitingForRelease));
    daemon.answer("GET", &received, 200, &values::message(values::IN, MessageState::HandedOver));
    daemon.answer("PATCH", &sent, 200, &values::message(values::OUT, MessageState::WaitingForRelease));
    daemon.answer("GET", &format!("{sent}/hub-view"), 200, &values::hub_view());
    daemon.answer("GET", &format!("{sent}/timeline"), 200, &values::timeline());
    daemon.answer("GET", &format!("{sent}/evidence"), 200, &values::evidence());
    daemon.answer("POST", &format!("{sent}:withdraw"), 200, &values::withdrawal());
    daemon.answer("POST", &format!("{received}:assign"), 200, &values::message(values::IN, MessageState::HandedOver));
    daemon.answer(
        "POST",
        &format!("{received}:contribute"),
        200,
        &values::message(values::IN, MessageState::HandedOver),
    );
    daemon.answer(
        "POST",
        &format!("{received}:respond"),
        201,
        &values::message(values::OUT, MessageState::WaitingForRelease),
    );
    daemon.answer("POST", "/v1/messages", 201, &values::message(values::OUT, MessageState::WaitingForRelease));
    daemon.answer("POST", "/v1/messages:validate", 200, &values::validation());
    daemon.answer("GET", "/v1/holds", 200, &values::holds());
    daemon.answer("POST", "/v1/holds", 200, &values::holds());
    daemon.answer("DELETE", "/v1/holds/all", 200, &values::holds());
    daemon.answer("GET", "/v1/directory", 200, &values::directory());
    daemon.answer("POST", "/v1/directory/XB:pin", 200, &values::directory());
    daemon.answer("GET", "/v1/officers", 200, &values::officers());
    daemon.answer("POST", "/v1/officers", 200, &values::officer_added());
    daemon.answer("POST", "/v1/officers/12:disable", 200, &values::officer(12));
    daemon.answer("POST", "/v1/ping", 200, &values::pong());
    daemon.answer("GET", "/v1/doctor", 200, &values::doctor(CheckResult::Fail));
    daemon.answer_bytes("GET", &format!("{received}/parts/2"), 200, b"photo");
    desk
}

/// Every command that asks a daemon, with the exit code that the answers above lead to.
fn commands(folder: &str) -> Vec<(i32, Vec<String>)> {
    let fingerprint = "05".repeat(32);
    let lines = [
        (0, "".to_owned()),
        (0, "inbox".to_owned()),
        (0, "outbox".to_owned()),
        (0, "outbox --shape".to_owned()),
        (0, format!("show {}", values::IN)),
        (0, format!("show {} --as-hub", values::OUT)),
        (0, format!("save {} --part 2 --to {folder}", values::IN)),
        (0, "send --to XB --subject x --text y --handling H0".to_owned()),
        (0, "request --to XB --subject x --text y --handling H0".to_owned()),
        (0, "request --to XB --subject x --text y --handling H0 --dry-run".to_owned()),
        (0, format!("respond {} --text y --handling H0 --dry-run", values::IN)),
        (0, format!("edit {} --text other", values::OUT)),
        (0, format!("respond {} --text y --handling H0", values::IN)),
        (0, format!("contribute {} --task 1 --text y", values::IN)),
        (0, format!("assign {} --to customs", values::IN)),
        (0, format!("withdraw {0} --confirm={0}", values::OUT)),
        (0, "release list".to_owned()),
        (0, format!("release show {}", values::OUT)),
        (0, "hold list".to_owned()),
        (0, "hold set --all".to_owned()),
        (0, "hold lift --all".to_owned()),
        (0, "bulletin list".to_owned()),
        (0, format!("bulletin read {}", values::IN)),
        (0, "bulletin publish --subject x --text y --handling H0".to_owned()),
        (0, "directory list".to_owned()),
        (0, "directory show XB".to_owned()),
        (0, format!("directory pin XB --fingerprint {fingerprint}")),
        (0, "officers list".to_owned()),
        (0, "officers add 14 --uid 5 --key WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY= --roles drafter".to_owned()),
        (0, "officers disable 12 --confirm=12".to_owned()),
        (0, "ping XB".to_owned()),
        (0, "health".to_owned()),
        (0, "status".to_owned()),
        (65, format!("status {}", values::OUT)),
        (1, "doctor".to_owned()),
        (0, "explain NCP-E4203".to_owned()),
        (0, "explain".to_owned()),
        (0, "explain vehicle".to_owned()),
        (0, "explain vehicle/2".to_owned()),
    ];
    lines.into_iter().map(|(code, line)| (code, line.split_whitespace().map(ToOwned::to_owned).collect())).collect()
}

fn with<'a>(arguments: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn json_keeps_to_the_members_that_it_lists() {
    let desk = desk();
    for (index, (code, arguments)) in commands("FOLDER").into_iter().enumerate() {
        let folder = desk.path(&format!("out-{index}"));
        std::fs::create_dir(&folder).expect("folder");
        let folder = folder.to_str().expect("UTF-8").to_owned();
        let arguments: Vec<String> = arguments.iter().map(|word| word.replace("FOLDER", &folder)).collect();
        let listed = desk.expect(0, &with(&arguments, &["--json=?"]));
        let listed: Vec<&str> = listed.lines().collect();
        let output = desk.expect(code, &with(&arguments, &["--json"]));
        assert!(!output.is_empty(), "{arguments:?}");
        for line in output.lines() {
            let value: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {line}"));
            let object = value.as_object().expect("an object");
            assert!(line.starts_with("{\"schema\":\"ncp."), "{line}");
            for member in object.keys().filter(|member| *member != "schema") {
                assert!(listed.contains(&member.as_str()), "{arguments:?}: {member} is not listed: {listed:?}");
            }
        }
    }
}

#[test]
fn pipes_get_no_escape_sequences() {
    let desk = desk();
    for (index, (code, arguments)) in commands("FOLDER").into_iter().enumerate() {
        for (round, more) in [&[][..], &["--plain"]].into_iter().enumerate() {
            let folder = desk.path(&format!("out-{index}-{round}"));
            std::fs::create_dir(&folder).expect("folder");
            let folder = folder.to_str().expect("UTF-8").to_owned();
            let arguments: Vec<String> = arguments.iter().map(|word| word.replace("FOLDER", &folder)).collect();
            let output = desk.expect(code, &with(&arguments, more));
            assert!(!output.contains('\u{1b}'), "{arguments:?}: {output:?}");
            assert!(!output.is_empty() || more == ["--plain"], "{arguments:?}");
        }
    }
}

#[test]
fn members_are_picked() {
    let desk = desk();
    let line = desk.expect(0, &["hold", "list", "--json=scope"]);
    assert_eq!(line, "{\"schema\":\"ncp.holds/1\",\"scope\":\"all\"}\n");
}

#[test]
fn plain_has_one_record_per_line() {
    let desk = desk();
    let output = desk.expect(0, &["inbox", "--plain"]);
    assert_eq!(output.lines().count(), 3);
    assert!(output.starts_with("XB-2026-000001\tXB\tbulletin URGENT\tunread\tH2\t"), "{output:?}");
}

#[test]
fn a_reader_that_goes_away_ends_the_output_quietly() {
    let desk = desk();
    desk.daemon.answer("GET", "/v1/inbox", 200, &values::page(5_000));
    let mut child = desk
        .command(&["inbox", "--limit", "5000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    // More than a pipe holds is coming: the program meets the closed end while it writes.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn results_and_hints_take_different_streams() {
    let desk = desk();
    let output = desk.run(&["release", "list"]);
    assert!(text(&output.stderr).contains("next: ncpctl release show"), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("next:"));
    assert_eq!(text(&desk.run(&["release", "list", "-q"]).stderr), "");
}

#[test]
fn a_receipt_that_does_not_verify_is_told_and_fails() {
    let desk = desk();
    let output = desk.expect(65, &["status", values::OUT]);
    assert!(output.contains("receipt BAD") && output.contains("NCP-E6101"), "{output}");
}
