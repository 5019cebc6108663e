//! Nothing leaves without the officers whom the rules ask for, each with their own key, over exactly what was shown.
#![cfg(test)]

use std::sync::Arc;

use e2e::messages::{fresh_key, is_accepted, message};
use e2e::shared::Shared;
use e2e::{Network, Plan};
use ncp_api::message::{MessageName, MessageState};
use ncp_api::officer::DisableOfficer;
use ncp_api::release::Approve;
use ncp_api::{ClientError, ErrorCode};
use ncp_protocol::approval::Decision;
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::Reference;

static SHARED: Shared = Shared::new();

async fn network() -> Arc<Network> {
    SHARED.network(|| Plan::of(&["XB"]).and_puppets(&["XC"])).await
}

/// A draft of this officer: a request takes one more officer, a call for assistance two.
async fn draft(network: &Network, officer: u16, kind: Kind) -> Reference {
    let draft = message(kind, &["XC"], "Grey van", "Who owns it?");
    let view = network.node("XB").client(officer).create(&draft, &fresh_key()).await.expect("it is drafted");
    assert_eq!(view.state, MessageState::WaitingForRelease);
    view.reference
}

/// It was refused with this code, and the message still waits.
async fn check<T: core::fmt::Debug>(
    network: &Network,
    reference: Reference,
    outcome: Result<T, ClientError>,
    code: ErrorCode,
) {
    let error = outcome.expect_err("refused");
    assert!(error.is(code), "{code} expected: {error}");
    let view = network.node("XB").client(1).message(&reference.into()).await.expect("it is there");
    assert_eq!(view.state, MessageState::WaitingForRelease);
}

#[tokio::test]
async fn the_drafter_cannot_release() {
    let network = network().await;
    let node = network.node("XB");
    let reference = draft(&network, 2, Kind::Request).await;
    check(&network, reference, node.approve(2, &reference.into()).await, ErrorCode::DrafterCannotRelease).await;
    // The same at the command line, with its exit code and its three lines.
    let code = node.client(2).release(&reference.into()).await.expect("it is shown").code;
    let ran = node
        .ctl("release approve", node.officer(2))
        .with(reference.to_string())
        .set("--code", code.as_str())
        .run()
        .expect_code(77);
    assert!(ran.stderr.starts_with("error[NCP-E4203]: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("cause:") && ran.stderr.contains("try:"), "{}", ran.stderr);
}

#[tokio::test]
async fn an_officer_without_the_role_cannot_release() {
    let network = network().await;
    let reference = draft(&network, 2, Kind::Request).await;
    let outcome = network.node("XB").approve(1, &reference.into()).await;
    check(&network, reference, outcome, ErrorCode::OfficerRoleMissing).await;
}

#[tokio::test]
async fn a_disabled_officer_cannot_release_and_earlier_approvals_are_void() {
    // A network of its own: officer 4 is gone afterwards.
    let network = Plan::of(&["XB"]).and_puppets(&["XC"]).start().await;
    let node = network.node("XB");
    let early = draft(&network, 1, Kind::AssistanceRequest).await;
    let one = node.approve(4, &early.into()).await.expect("one of two");
    assert_eq!(one.release.expect("it waits").approvals.len(), 1);
    let late = draft(&network, 1, Kind::Request).await;
    node.client(2).disable_officer(4, &DisableOfficer { reason: None }).await.expect("a supervisor may");
    check(&network, late, node.approve(4, &late.into()).await, ErrorCode::OfficerDisabled).await;
    let view = node.approve(3, &early.into()).await.expect("one of two, again");
    assert_eq!(view.state, MessageState::WaitingForRelease, "the disabled officer's approval does not count");
    let released = node.approve(2, &early.into()).await.expect("the second");
    assert!(released.state == MessageState::Queued || is_accepted(released.state), "{}", released.state);
}

#[tokio::test]
async fn a_stale_code_releases_nothing() {
    let network = network().await;
    let node = network.node("XB");
    let reference = draft(&network, 1, Kind::Request).await;
    let (name, client) = (MessageName::from(reference), node.client(3));
    let shown = client.release(&name).await.expect("it is shown");
    let signature = shown.statement(Decision::Approve).sign(&node.officer(3).key);
    node.client(1).edit(&name, &message(Kind::Request, &["XC"], "Blue van", "Who?")).await.expect("edited");
    let outcome = client.approve(&name, &Approve { code: shown.code, signature }).await;
    check(&network, reference, outcome, ErrorCode::ReleaseEditedMeanwhile).await;

    // A code that was never shown for anything.
    let mut fresh = client.release(&name).await.expect("it is shown");
    let real = fresh.code;
    fresh.code = if real.as_str() == "7K4M" { "7K4N" } else { "7K4M" }.parse().expect("a code");
    let signature = fresh.statement(Decision::Approve).sign(&node.officer(3).key);
    let outcome = client.approve(&name, &Approve { code: fresh.code, signature }).await;
    check(&network, reference, outcome, ErrorCode::ReleaseCodeStale).await;
}

#[tokio::test]
async fn another_officers_code_releases_nothing() {
    let network = network().await;
    let node = network.node("XB");
    let reference = draft(&network, 1, Kind::Request).await;
    let name = MessageName::from(reference);
    let of_three = node.client(3).release(&name).await.expect("it is shown").code;
    let mut mine = node.client(4).release(&name).await.expect("it is shown");
    mine.code = of_three;
    let signature = mine.statement(Decision::Approve).sign(&node.officer(4).key);
    let outcome = node.client(4).approve(&name, &Approve { code: of_three, signature }).await;
    check(&network, reference, outcome, ErrorCode::ReleaseCodeStale).await;
}

#[tokio::test]
async fn another_officers_key_releases_nothing() {
    let network = network().await;
    let node = network.node("XB");
    let reference = draft(&network, 1, Kind::Request).await;
    let name = MessageName::from(reference);
    let shown = node.client(3).release(&name).await.expect("it is shown");
    let foreign = shown.statement(Decision::Approve).sign(&node.officer(4).key);
    // The request is officer 3's, the approval inside is signed by officer 4.
    let outcome = node.client(3).approve(&name, &Approve { code: shown.code, signature: foreign }).await;
    check(&network, reference, outcome, ErrorCode::ApprovalSignatureBad).await;
    let approval = Approve { code: shown.code, signature: foreign };
    // The request itself names officer 3 and is signed by officer 4.
    let outcome = node.client_with(3, &node.officer(4).key).approve(&name, &approval).await;
    check(&network, reference, outcome, ErrorCode::OfficerKeyOfAnother).await;
    // A key that nobody here knows.
    let stranger = ncp_protocol::keys::SigningKey::from_seed(&[9; 32]);
    let outcome = node.client_with(3, &stranger).approve(&name, &approval).await;
    check(&network, reference, outcome, ErrorCode::OfficerSignatureBad).await;
}

#[tokio::test]
async fn an_edit_voids_approvals() {
    let network = network().await;
    let node = network.node("XB");
    let reference = draft(&network, 1, Kind::AssistanceRequest).await;
    let name = MessageName::from(reference);
    node.approve(3, &name).await.expect("one of two");
    let edited = message(Kind::AssistanceRequest, &["XC"], "Blue van", "Who owns it?");
    let view = node.client(1).edit(&name, &edited).await.expect("edited");
    assert_eq!(view.release.expect("it waits").approvals, [], "the approval was for something else");
    let view = node.approve(4, &name).await.expect("one of two");
    assert_eq!(view.state, MessageState::WaitingForRelease);
    let again = node.approve(4, &name).await;
    check(&network, reference, again, ErrorCode::ApprovedAlready).await;
    let view = node.approve(3, &name).await.expect("the second of two persons");
    assert!(view.state == MessageState::Queued || is_accepted(view.state), "{}", view.state);
    assert_eq!(view.subject.as_deref(), Some("Blue van"));
}

#[tokio::test]
async fn a_request_that_was_recorded_cannot_be_played_again() {
    let network = network().await;
    let node = network.node("XB");
    let reference = draft(&network, 1, Kind::AssistanceRequest).await;
    let name = MessageName::from(reference);
    let shown = node.client(3).release(&name).await.expect("it is shown");
    let signature = shown.statement(Decision::Approve).sign(&node.officer(3).key);
    let (path, key) = (ncp_api::path::release_verb(&name, "approve"), fresh_key());
    let body = Approve { code: shown.code, signature };
    let client = node.client(3);
    client.post::<_, serde_json::Value>(&path, &body, Some(&key)).await.expect("the first time");
    let again = client.post::<_, serde_json::Value>(&path, &body, Some(&key)).await;
    check(&network, reference, again, ErrorCode::OfficerRequestReplayed).await;
}

#[tokio::test]
async fn what_no_rule_allows_is_denied() {
    let network = network().await;
    let mut secret = message(Kind::Notice, &["XC"], "not to leave", "restricted");
    secret.handling = ncp_protocol::codes::Handling::H3;
    secret.restriction = Some("for your eyes".to_owned());
    let error = network.node("XB").client(1).create(&secret, &fresh_key()).await.expect_err("default deny");
    assert!(error.is(ErrorCode::DeniedByDefault), "{error}");
    assert_eq!(error.exit().number(), 77);
}
