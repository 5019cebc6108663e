//! Release: what is shown is what is signed, and nothing else is.

use ncp_api::message::{FormContent, MessageState};
use ncp_api::release::{Approve, Reject, ReleaseView};
use ncp_protocol::approval::Decision;
use ncp_protocol::keys::{VerifyingKey, sha256};
use ncp_protocol::manifest::{Manifest, Part, content_commitment};

use crate::desk::Desk;
use crate::values;

const SHOW: &str = "/v1/release/XA-2026-000417";
const APPROVE: &str = "/v1/release/XA-2026-000417:approve";
const REJECT: &str = "/v1/release/XA-2026-000417:reject";

fn waiting(view: &ReleaseView) -> Desk {
    let desk = Desk::new();
    desk.daemon.answer("GET", SHOW, 200, view);
    desk.daemon.answer("GET", "/v1/officers", 200, &values::officers());
    desk.daemon.answer("POST", APPROVE, 200, &values::message(values::OUT, MessageState::Queued));
    desk.daemon.answer("POST", REJECT, 200, &values::message(values::OUT, MessageState::Draft));
    desk
}

/// The public half of the desk's officer key, as the key file names it.
fn public_key(desk: &Desk) -> VerifyingKey {
    let file = std::fs::read_to_string(desk.key()).expect("key file");
    let line = file.lines().find_map(|line| line.strip_prefix("public ")).expect("a public key");
    let quoted = format!("{line:?}");
    ncp_api::text::public_key::deserialize(&mut serde_json::Deserializer::from_str(&quoted)).expect("a key")
}

fn refused_unsigned(view: &ReleaseView, exit: i32, error: &str, code: &str) {
    let desk = waiting(view);
    desk.refused(exit, error, &["release", "approve", values::OUT, "--code", code]);
    assert!(desk.daemon.asked("POST", APPROVE).is_empty(), "signed all the same");
}

#[test]
fn the_view_shows_the_manifest_and_the_code() {
    let desk = waiting(&values::release());
    let output = desk.expect(0, &["release", "show", values::OUT]);
    for part in ["Grey van", values::TEXT, "photo.jpg", "H2", "code 7K4M", "officer 07", "void after"] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[test]
fn an_approval_signs_exactly_what_was_shown() {
    let view = values::release();
    let desk = waiting(&view);
    let output = desk.expect(0, &["release", "approve", values::OUT, "--code", "7k4m"]);
    assert!(output.contains("released  XA-2026-000417, queued"), "{output}");
    let approve: Approve = serde_json::from_slice(&desk.daemon.asked("POST", APPROVE)[0].body).expect("an approval");
    let key = public_key(&desk);
    assert_eq!(view.statement(Decision::Approve).verify(&key, &approve.signature), Ok(()));
    assert!(view.statement(Decision::Reject).verify(&key, &approve.signature).is_err());
}

#[test]
fn a_rejection_carries_its_reason_and_signature() {
    let view = values::release();
    let desk = waiting(&view);
    desk.expect(0, &["release", "reject", values::OUT, "--code", "7K4M", "--reason", "Name the case."]);
    let reject: Reject = serde_json::from_slice(&desk.daemon.asked("POST", REJECT)[0].body).expect("a rejection");
    assert_eq!(reject.reason, "Name the case.");
    assert_eq!(view.statement(Decision::Reject).verify(&public_key(&desk), &reject.signature), Ok(()));
}

#[test]
fn a_stale_code_signs_nothing() {
    refused_unsigned(&values::release(), 77, "NCP-E4202", "AAAA");
}

#[test]
fn the_drafter_signs_nothing() {
    let mut view = values::release();
    view.message.drafter = Some(7);
    refused_unsigned(&view, 77, "NCP-E4203", "7K4M");
}

#[test]
fn a_view_that_differs_from_its_commitment_is_neither_shown_nor_signed() {
    let changes: [fn(&mut ReleaseView); 5] = [
        |view| view.recipients = vec![values::id("XC")],
        |view| view.commitment.0[0] ^= 1,
        |view| view.opening[0] ^= 1,
        |view| view.message.text = Some("Something harmless.".to_owned()),
        |view| view.message.reference = values::reference("XA-2026-000418"),
    ];
    for change in changes {
        let mut view = values::release();
        change(&mut view);
        refused_unsigned(&view, 77, "NCP-E4206", "7K4M");
        let desk = waiting(&view);
        desk.refused(77, "NCP-E4206", &["release", "show", values::OUT]);
    }
}

/// What waits, with a form whose bytes the manifest names.
fn with_form() -> ReleaseView {
    let fields = serde_json::json!({"type": "van", "colour": "grey", "year": 2019, "reported_stolen": false});
    let fields = fields.as_object().expect("an object").clone();
    let form = FormContent { form: "vehicle/2".parse().expect("form"), fields };
    let bytes = serde_json::to_vec(&form).expect("JSON");
    let mut view = values::release();
    let mut manifest = Manifest::decode(&view.manifest).expect("a manifest");
    manifest.form = Some(form.form.clone());
    manifest.parts.push(Part {
        name: "form.json".parse().expect("name"),
        media_type: "application/json".parse().expect("type"),
        length: bytes.len() as u64,
        sha256: sha256(&bytes),
    });
    view.manifest = manifest.encode();
    view.commitment = content_commitment(&view.network, &[9; 32], &view.manifest);
    view.message.form = Some(form);
    view
}

#[test]
fn the_values_of_a_form_are_those_that_are_signed() {
    let desk = waiting(&with_form());
    let output = desk.expect(0, &["release", "show", values::OUT]);
    assert!(output.contains("colour") && output.contains("grey") && output.contains("form.json"), "{output}");
    let changes: [fn(&mut FormContent); 4] = [
        |form| drop(form.fields.insert("colour".to_owned(), "white".into())),
        |form| drop(form.fields.remove("year")),
        |form| drop(form.fields.insert("question".to_owned(), "Who drives it?".into())),
        |form| form.form = "vehicle/1".parse().expect("form"),
    ];
    for change in changes {
        let mut view = with_form();
        change(view.message.form.as_mut().expect("a form"));
        refused_unsigned(&view, 77, "NCP-E4206", "7K4M");
    }
    let mut hidden = with_form();
    hidden.message.form = None;
    refused_unsigned(&hidden, 77, "NCP-E4206", "7K4M");
}

#[test]
fn the_view_of_another_officer_is_not_signed() {
    let mut view = values::release();
    view.officer = 9;
    refused_unsigned(&view, 70, "NCP-E5901", "7K4M");
}

#[test]
fn a_dry_run_signs_nothing() {
    let desk = waiting(&values::release());
    desk.expect(0, &["release", "approve", values::OUT, "--code", "7K4M", "--dry-run"]);
    assert!(desk.daemon.asked("POST", APPROVE).is_empty());
}
