//! What is coded: fields of forms, reasons of refusals and extensions; and the words that go with a rejection.

use ncp_api::message::{FormContent, MessageName, MessageState, NewMessage, NewResponse};
use ncp_api::release::Reject;
use ncp_api::timeline::Step;
use ncp_api::{ClientError, ErrorCode};
use ncp_protocol::approval::Decision;
use ncp_protocol::codes::{Handling, ResponseStatus};
use ncp_protocol::ids::UnixMillis;
use serde_json::json;

use crate::work::{arrival, response};
use crate::world::{DRAFTER, RELEASER, World, fresh, request, soon};

/// A request with a vehicle's form.
fn vehicle(fields: &serde_json::Value) -> NewMessage {
    let form = FormContent { form: "vehicle/2".parse().unwrap(), fields: fields.as_object().unwrap().clone() };
    NewMessage { form: Some(form), ..request("Grey van") }
}

/// Code, field and the whole text of a refusal.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> (ErrorCode, Option<String>, String) {
    let error = outcome.expect_err("refused");
    let problem = error.problem();
    (problem.code.parse().unwrap(), problem.field.clone(), error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_checked_field_by_field_when_it_is_created_and_edited() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let good = vehicle(&json!({"type": "van", "colour": "grey", "registration_country": "XA"}));
    let draft = world.draft(&good).await;
    let name = MessageName::from(draft.reference);
    for (fields, field) in [
        (json!({"colour": "grey"}), "type"),
        (json!({"type": "boat"}), "type"),
        (json!({"type": "van", "colour": "Grey"}), "colour"),
        (json!({"type": "van", "registration_country": "xa"}), "registration_country"),
        (json!({"type": "van", "year": "2019"}), "year"),
        (json!({"type": "van", "seen_time": "yesterday"}), "seen_time"),
        (json!({"type": "van", "reported_stolen": "yes"}), "reported_stolen"),
        (json!({"type": "van", "make": " "}), "make"),
        (json!({"type": "van", "colr": "grey"}), "colr"),
    ] {
        let bad = vehicle(&fields);
        let expected = Some(format!("form.fields.{field}"));
        for (what, outcome) in [
            ("validate", refusal(soon(client.validate(&bad)).await)),
            ("create", refusal(soon(client.create(&bad, &fresh())).await)),
            ("edit", refusal(soon(client.edit(&name, &bad)).await)),
        ] {
            assert_eq!((outcome.0, &outcome.1), (ErrorCode::FormFieldInvalid, &expected), "{what}: {fields}");
            assert!(outcome.2.contains(field) && !outcome.2.contains('<'), "{}", outcome.2);
        }
    }
    let mut unknown = good.clone();
    unknown.form.as_mut().unwrap().form = "vehicle/1".parse().unwrap();
    let (refused, field, text) = refusal(soon(client.create(&unknown, &fresh())).await);
    assert_eq!((refused, field.as_deref()), (ErrorCode::FormUnknown, Some("form.form")));
    assert!(text.contains("vehicle/2"), "it names what there is: {text}");
    // The draft stands as it was.
    let after = soon(client.message(&name)).await.unwrap();
    assert_eq!((after.revision, after.form), (1, good.form));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_called_like_the_form_stays_a_file() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let path = world.folder.path().join("form.json");
    let bytes = br#"{"form":"vehicle/2","fields":{"type":"van"}}"#;
    std::fs::write(&path, bytes).unwrap();
    let blob = soon(client.upload(&path, |_| ())).await.unwrap();
    let mut message = request("Grey van");
    message.attachments = vec![crate::world::attachment("form.json", &blob.id)];
    let draft = world.draft(&message).await;
    assert_eq!((draft.form.as_ref(), draft.parts.len()), (None, 2));
    assert_eq!(world.approve(RELEASER, &draft).await.unwrap().state, MessageState::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_names_a_reason_of_the_list_and_no_other() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let name = MessageName::from(arrival(&world, "Grey van", "Who owns it?", Handling::H2).await);
    let later = Some(UnixMillis(ncp_node::clock::now().0 + 86_400_000));
    let answer = |status, reason: Option<&str>| NewResponse {
        reason: reason.map(|reason| reason.parse().unwrap()),
        answer_by: later.filter(|_| status == ResponseStatus::Extension),
        ..response(status)
    };
    for (status, reason, expected) in [
        (ResponseStatus::Refusal, None, ErrorCode::ReasonMissing),
        (ResponseStatus::Refusal, Some("no-time"), ErrorCode::ReasonUnknown),
        (ResponseStatus::Refusal, Some("judicial-authorisation"), ErrorCode::ReasonUnknown),
        (ResponseStatus::Extension, Some("not-available"), ErrorCode::ReasonUnknown),
        (ResponseStatus::Final, Some("not-available"), ErrorCode::RequestMalformed),
    ] {
        let (refused, field, text) = refusal(soon(client.respond(&name, &answer(status, reason), &fresh())).await);
        assert_eq!((refused, field.as_deref()), (expected, Some("reason")), "{status} {reason:?}");
        assert!(!text.contains('<'), "{text}");
        let listed = matches!(expected, ErrorCode::ReasonMissing | ErrorCode::ReasonUnknown);
        let known = ncp_api::reasons::of(status).iter().all(|reason| text.contains(reason.code));
        assert!(!listed || known, "the codes to choose from are named: {text}");
    }
    let extension = answer(ResponseStatus::Extension, Some("not-directly-accessible"));
    soon(client.respond(&name, &extension, &fresh())).await.unwrap();
    let refused = answer(ResponseStatus::Refusal, Some("protected-interests"));
    let draft = soon(client.respond(&name, &refused, &fresh())).await.unwrap();
    world.approve(RELEASER, &draft).await.unwrap();
    // The request tells how it was answered.
    let view = soon(client.message(&name)).await.unwrap();
    let answers: Vec<_> = view.answered_by.iter().map(|a| (a.status, a.reason.as_ref().map(|r| r.as_str()))).collect();
    assert_eq!(
        answers,
        [
            (Some(ResponseStatus::Extension), Some("not-directly-accessible")),
            (Some(ResponseStatus::Refusal), Some("protected-interests"))
        ]
    );
    let timeline = soon(client.timeline(&name)).await.unwrap();
    let step = timeline.entries.iter().find(|entry| entry.step == Step::Answered).unwrap();
    assert_eq!((step.detail.as_str(), step.reason.as_ref().unwrap().as_str()), ("refusal", "protected-interests"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_rejection_reach_the_drafter_and_no_operator() {
    const WORDS: &str = "Name the case, and ask for less.";
    let mut world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    let name = MessageName::from(draft.reference);
    let shown = soon(world.client(RELEASER).release(&name)).await.unwrap();
    let signature = shown.statement(Decision::Reject).sign(&world.officers[&RELEASER]);
    let reject = Reject { code: shown.code, signature, reason: WORDS.to_owned() };
    soon(world.client(RELEASER).reject(&name, &reject)).await.unwrap();
    // They are durable.
    world.stop().await;
    world.start().await;
    let client = world.client(DRAFTER);
    let returned = soon(client.message(&name)).await.unwrap().returned.expect("a rejection");
    assert_eq!((returned.officer, returned.words.as_deref()), (RELEASER, Some(WORDS)));
    let rejected = |timeline: ncp_api::timeline::Timeline| {
        timeline.entries.into_iter().find(|entry| entry.step == Step::Rejected).expect("a rejection")
    };
    let step = rejected(soon(client.timeline(&name)).await.unwrap());
    assert_eq!((step.officer, step.words.as_deref(), step.time), (Some(RELEASER), Some(WORDS), Some(returned.time)));
    let told = rejected(soon(world.nobody().timeline(&name)).await.unwrap());
    assert_eq!((told.officer, told.words), (Some(RELEASER), None), "the operator reads steps, not words");
    // An edit ends it; the timeline keeps it.
    soon(client.edit(&name, &request("Grey van, case 7"))).await.unwrap();
    assert_eq!(soon(client.message(&name)).await.unwrap().returned, None);
    assert_eq!(rejected(soon(client.timeline(&name)).await.unwrap()).words.as_deref(), Some(WORDS));
    world.stop().await;
}
