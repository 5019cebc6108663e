//! Errors: three lines with code, cause and remedy; exit codes; nothing asked where nobody can answer.

use std::os::unix::fs::PermissionsExt as _;

use ncp_api::{ErrorCode, Problem};

use crate::desk::{Desk, text, write};
use crate::values;

#[test]
fn a_missing_daemon_is_unavailable() {
    let desk = Desk::new();
    let socket = desk.path("none.sock");
    let said = desk.refused(69, "NCP-E3001", &["inbox", "--node", socket.to_str().expect("UTF-8")]);
    assert!(said.contains("there is no such socket"), "{said}");
}

#[test]
fn the_daemons_refusal_keeps_its_code_and_exit() {
    let desk = Desk::new();
    let fault = ErrorCode::OfficerDisabled.with("officer", 7).with("since", "2026-11-01");
    desk.daemon.answer("GET", "/v1/inbox", 403, &Problem::from(&fault));
    let said = desk.refused(77, "NCP-E2204", &["inbox"]);
    assert_eq!(said.trim_end(), fault.to_string());
    let output = desk.run(&["inbox", "--json"]);
    let problem: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(problem["schema"], "ncp.problem/1");
    assert_eq!(problem["code"], "NCP-E2204");
}

#[test]
fn a_key_that_others_may_read_is_refused_before_it_is_used() {
    let desk = Desk::new();
    std::fs::set_permissions(desk.key(), std::fs::Permissions::from_mode(0o644)).expect("mode");
    desk.refused(78, "NCP-E2104", &["inbox"]);
    assert!(desk.daemon.asked("GET", "/v1/inbox").is_empty());
}

#[test]
fn a_missing_key_names_the_command_that_makes_one() {
    let desk = Desk::new();
    let said = desk.refused(78, "NCP-E2201", &["inbox", "--officer-key", "/nonexistent/key"]);
    assert!(said.contains("ncpctl keys init --officer"), "{said}");
}

#[test]
fn a_key_under_a_passphrase_is_asked_for_by_its_flag() {
    let desk = Desk::new();
    let key = desk.path("sealed.key");
    let key = key.to_str().expect("UTF-8");
    let pass = desk.path("pass");
    let pass = write(&pass, b"correct horse\n");
    std::fs::set_permissions(&pass, std::fs::Permissions::from_mode(0o600)).expect("mode");
    let made = desk.run(&["keys", "init", "--officer", "7", "--officer-key", key, "--passphrase-file", &pass]);
    assert!(made.status.success(), "{}", text(&made.stderr));

    let said = desk.refused(2, "NCP-E1901", &["inbox", "--officer-key", key]);
    assert!(said.contains("--passphrase-file"), "{said}");
    desk.daemon.answer("GET", "/v1/inbox", 200, &values::page(1));
    desk.expect(0, &["inbox", "--officer-key", key, "--passphrase-file", &pass]);
    let wrong = write(&desk.path("wrong"), b"wrong\n");
    std::fs::set_permissions(&wrong, std::fs::Permissions::from_mode(0o600)).expect("mode");
    desk.refused(77, "NCP-E2105", &["inbox", "--officer-key", key, "--passphrase-file", &wrong]);
}

#[test]
fn what_is_missing_is_named_by_its_flag() {
    let desk = Desk::new();
    for (arguments, flag) in [
        (&["request", "--no-input"][..], "--to"),
        (&["request", "--to", "XB", "--no-input"], "--handling"),
        (&["request", "--to", "XB", "--handling", "H0", "--no-input"], "--subject"),
        (&["hold", "set"], "--all"),
        (&["withdraw", values::OUT], "--confirm=XA-2026-000417"),
        (&["release", "approve", values::OUT], "--code"),
        (&["directory", "pin", "XB"], "--fingerprint"),
    ] {
        let output = desk.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(flag), "{arguments:?}: {said}");
    }
}

#[test]
fn wrong_options_are_usage() {
    let desk = Desk::new();
    for arguments in [&["inbox", "--unknown"][..], &["nonsense"], &["hold", "set", "--all", "--to", "XB"], &["show"]] {
        assert_eq!(desk.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(desk.run(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_quiet_error_is_one_line() {
    let desk = Desk::new();
    let output = desk.run(&["-q", "inbox", "--officer-key", "/nonexistent/key"]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.starts_with("error[NCP-E2201]: ") && said.lines().count() == 1, "{said}");
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn an_outage_of_the_hub_is_no_failure_of_the_node() {
    let desk = Desk::new();
    let sick = ncp_api::health::Health { overall: ncp_api::health::CheckResult::Fail, ..values::health() };
    desk.daemon.answer("GET", "/v1/health", 200, &sick);
    let said = desk.expect(0, &["health"]);
    assert!(said.contains(": can sign and store now\n") && said.contains("fail"), "{said}");
    desk.daemon.answer("GET", "/v1/health", 503, &ncp_api::health::Health { ready: false, ..sick });
    let output = desk.run(&["health"]);
    assert_ne!(output.status.code(), Some(0));
}

#[test]
fn a_list_that_goes_on_says_so_to_programs() {
    let desk = Desk::new();
    desk.daemon.answer("GET", "/v1/inbox", 200, &values::page(2));
    assert_eq!(desk.expect(0, &["inbox", "--json"]).lines().count(), 2);
    let page = ncp_api::message::MessagePage { more: true, ..values::page(2) };
    desk.daemon.answer("GET", "/v1/inbox", 200, &page);
    let said = desk.expect(0, &["inbox", "--json"]);
    assert_eq!(said.lines().last(), Some("{\"schema\":\"ncp.more/1\",\"more\":true,\"shown\":2}"), "{said}");
}
