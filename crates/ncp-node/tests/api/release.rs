//! Release by other persons than the drafter, each over exactly what was shown.

use ncp_api::ErrorCode;
use ncp_api::message::{MessageName, MessageState};
use ncp_api::officer::DisableOfficer;
use ncp_api::release::{Approve, Reject};
use ncp_api::timeline::{EvidenceState, Step};
use ncp_protocol::approval::Decision;
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::Reference;

use crate::party::id;
use crate::world::{DRAFTER, RELEASER, SECOND_RELEASER, SUPERVISOR, World, code, fresh, request, soon};

#[tokio::test(flavor = "multi_thread")]
async fn another_officer_releases_and_the_timeline_proves_it() {
    let mut world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    assert_eq!((draft.state, draft.revision), (MessageState::WaitingForRelease, 1));
    assert_eq!(draft.subject.as_deref(), Some("Grey van"));
    let released = world.approve(RELEASER, &draft).await.unwrap();
    assert_eq!(released.state, MessageState::Queued);
    assert_eq!(released.release.unwrap().approvals.len(), 1);
    let name = MessageName::from(draft.reference);
    let timeline = soon(world.client(DRAFTER).timeline(&name)).await.unwrap();
    let release = timeline.entries.iter().find(|entry| entry.step == Step::Released).unwrap();
    assert_eq!((release.officer, release.evidence), (Some(RELEASER), EvidenceState::Ok));
    assert_eq!(release.detail, "rule requests");
    // All of it stands after a restart.
    world.stop().await;
    world.start().await;
    let again = soon(world.client(DRAFTER).message(&name)).await.unwrap();
    assert_eq!((again.state, again.subject.as_deref()), (MessageState::Queued, Some("Grey van")));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_takes_no_draft_and_no_release_and_lets_all_else_be() {
    let mut world = World::serving().await;
    let node = world.node();
    let draft = world.draft(&request("Grey van")).await;
    // More room is asked for than any disk of a test has.
    let mut settings = (*node.settings()).clone();
    settings.limits.free_min_bytes = 1 << 60;
    node.settings.store(settings.into());
    let refused = soon(world.client(DRAFTER).create(&request("Green van"), &fresh())).await;
    assert_eq!(code(refused), ErrorCode::DiskFull);
    assert_eq!(code(world.approve(RELEASER, &draft).await), ErrorCode::DiskFull);
    let name = MessageName::from(draft.reference);
    let shown = soon(world.client(RELEASER).release(&name)).await.unwrap();
    let signature = shown.statement(Decision::Reject).sign(&world.officers[&RELEASER]);
    let reject = Reject { code: shown.code, signature, reason: "not now".to_owned() };
    soon(world.client(RELEASER).reject(&name, &reject)).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_key_does_not_learn_what_there_is() {
    let mut world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    let unknown = MessageName::from(Reference::new(draft.reference.originator, 2026, 999_999).unwrap());
    for name in [MessageName::from(draft.reference), unknown] {
        let shown = soon(world.client(RELEASER).release(&MessageName::from(draft.reference))).await.unwrap();
        let approval = world.approval(RELEASER, &shown);
        assert_eq!(code(soon(world.nobody().approve(&name, &approval)).await), ErrorCode::OfficerSignatureMissing);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn approvals_that_count_for_nothing_have_codes_of_their_own() {
    let world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    let name = MessageName::from(draft.reference);

    // By the drafter, who has the role.
    assert_eq!(code(world.approve(DRAFTER, &draft).await), ErrorCode::DrafterCannotRelease);
    // Without the role.
    assert_eq!(code(world.approve(SUPERVISOR, &draft).await), ErrorCode::OfficerRoleMissing);

    let shown = soon(world.client(RELEASER).release(&name)).await.unwrap();
    // Requests signed in one officer's name with another's key.
    let other_key = world.officers[&SECOND_RELEASER].clone();
    let masked = world.client_with(RELEASER, other_key.clone());
    assert_eq!(
        code(soon(masked.approve(&name, &world.approval(RELEASER, &shown))).await),
        ErrorCode::OfficerKeyOfAnother
    );
    // A request in the right name that carries another officer's signature of approval.
    let borrowed = Approve { code: shown.code, signature: shown.statement(Decision::Approve).sign(&other_key) };
    let client = world.client(RELEASER);
    assert_eq!(code(soon(client.approve(&name, &borrowed)).await), ErrorCode::ApprovalSignatureBad);
    // A rejection does not count as an approval.
    let turned =
        Approve { code: shown.code, signature: shown.statement(Decision::Reject).sign(&world.officers[&RELEASER]) };
    assert_eq!(code(soon(client.approve(&name, &turned)).await), ErrorCode::ApprovalSignatureBad);
    // The code that another officer was shown.
    let theirs = soon(world.client(SECOND_RELEASER).release(&name)).await.unwrap();
    assert_ne!(theirs.code, shown.code);
    let mut stale = world.approval(RELEASER, &shown);
    stale.code = theirs.code;
    assert_eq!(code(soon(client.approve(&name, &stale)).await), ErrorCode::ReleaseCodeStale);

    // An edit voids what was shown.
    soon(world.client(DRAFTER).edit(&name, &request("Grey lorry"))).await.unwrap();
    let approval = world.approval(RELEASER, &shown);
    assert_eq!(code(soon(client.approve(&name, &approval)).await), ErrorCode::ReleaseEditedMeanwhile);

    // A disabled officer.
    soon(world.client(SUPERVISOR).disable_officer(RELEASER, &DisableOfficer::default())).await.unwrap();
    assert_eq!(code(world.approve(RELEASER, &draft).await), ErrorCode::OfficerDisabled);

    // None of this counted; what is shown now and signed by somebody else does.
    let released = world.approve(SECOND_RELEASER, &draft).await.unwrap();
    assert_eq!((released.state, released.revision), (MessageState::Queued, 2));
    assert_eq!(code(world.approve(SECOND_RELEASER, &draft).await), ErrorCode::NotWaitingForRelease);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_approvals_come_from_two_persons_and_an_edit_voids_them() {
    let world = World::serving().await;
    let mut notice = request("Notice");
    notice.kind = Kind::Notice;
    notice.to = vec![id("XC"), id("XB")];
    let draft = world.draft(&notice).await;
    let waiting = world.approve(RELEASER, &draft).await.unwrap();
    assert_eq!(waiting.state, MessageState::WaitingForRelease);
    assert_eq!(code(world.approve(RELEASER, &draft).await), ErrorCode::ApprovedAlready);
    let name = MessageName::from(draft.reference);
    let edited = soon(world.client(DRAFTER).edit(&name, &notice)).await.unwrap();
    assert!(edited.release.unwrap().approvals.is_empty());
    world.approve(RELEASER, &draft).await.unwrap();
    let released = world.approve(SECOND_RELEASER, &draft).await.unwrap();
    assert_eq!(released.state, MessageState::Queued);
    assert_eq!(code(soon(world.client(DRAFTER).edit(&name, &notice)).await), ErrorCode::MessageStateWrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_draft_goes_back_and_an_edit_puts_it_up_again() {
    let world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    let (client, name) = (world.client(RELEASER), MessageName::from(draft.reference));
    let shown = soon(client.release(&name)).await.unwrap();
    let signature = shown.statement(Decision::Reject).sign(&world.officers[&RELEASER]);
    let reject = Reject { code: shown.code, signature, reason: "too wide".to_owned() };
    assert_eq!(soon(client.reject(&name, &reject)).await.unwrap().state, MessageState::Draft);
    assert_eq!(code(soon(client.release(&name)).await), ErrorCode::NotWaitingForRelease);
    let again = soon(world.client(DRAFTER).edit(&name, &request("Grey van, last week"))).await.unwrap();
    assert_eq!(again.state, MessageState::WaitingForRelease);
    assert_eq!(world.approve(RELEASER, &draft).await.unwrap().state, MessageState::Queued);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_opens_the_commitment() {
    let world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    let shown = soon(world.client(RELEASER).release(&MessageName::from(draft.reference))).await.unwrap();
    let r: [u8; 32] = shown.opening.clone().try_into().unwrap();
    let commitment = ncp_protocol::manifest::content_commitment(&shown.network, &r, &shown.manifest);
    assert_eq!(commitment, shown.commitment);
    let manifest = ncp_protocol::manifest::Manifest::decode(&shown.manifest).unwrap();
    assert_eq!(manifest.subject.as_str(), "Grey van");
    assert_eq!(manifest.reference, draft.reference);
}
