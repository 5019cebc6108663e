//! Drafting, idempotency, holds, officers, and who may ask.

use ncp_api::ErrorCode;
use ncp_api::client::PageQuery;
use ncp_api::directory::Pin;
use ncp_api::message::{MessageName, MessageState, WithdrawalEffect};
use ncp_api::officer::{DisableOfficer, NewOfficer, OfficerRole};
use ncp_api::release::{HoldScope, NewHold};
use ncp_protocol::codes::{Handling, Kind, Precedence, ResponseStatus};

use crate::party::{id, key};
use crate::world::{DRAFTER, RELEASER, SECOND_SUPERVISOR, SUPERVISOR, World, code, fresh, request, soon};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_message() {
    let mut world = World::serving().await;
    let (client, key) = (world.client(DRAFTER), fresh());
    let first = soon(client.create(&request("Grey van"), &key)).await.unwrap();
    let again = soon(client.create(&request("Grey van"), &key)).await.unwrap();
    assert_eq!(again.message, first.message);
    let other = soon(client.create(&request("Blue van"), &key)).await;
    assert_eq!(code(other), ErrorCode::IdempotencyKeyReused);
    let fresh_one = soon(client.create(&request("Grey van"), &fresh())).await.unwrap();
    assert_ne!(fresh_one.message, first.message);
    assert_eq!(fresh_one.reference.number, first.reference.number + 1);
    // Another officer's key of the same text is another key.
    assert_eq!(
        code(soon(world.client(RELEASER).create(&request("Grey van"), &key)).await),
        ErrorCode::OfficerRoleMissing
    );
    world.stop().await;
    world.start().await;
    let after = soon(world.client(DRAFTER).create(&request("Grey van"), &key)).await.unwrap();
    assert_eq!(after.message, first.message);
    let all = soon(world.client(DRAFTER).messages(&PageQuery::default())).await.unwrap();
    assert_eq!(all.items.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_with_one_key_make_one_message() {
    let world = World::serving().await;
    let (client, key) = (world.client(DRAFTER), fresh());
    let big = request(&"x".repeat(500));
    let (a, b) = tokio::join!(client.create(&big, &key), client.create(&big, &key));
    assert_eq!(a.unwrap().message, b.unwrap().message);
    assert_eq!(soon(client.messages(&PageQuery::default())).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_message_has_its_own_code() {
    let world = World::serving().await;
    let client = world.client(DRAFTER);
    let mut cases = Vec::new();
    let mut case = |expected: ErrorCode, change: fn(&mut ncp_api::message::NewMessage)| {
        let mut message = request("Grey van");
        change(&mut message);
        cases.push((expected, message));
    };
    case(ErrorCode::DeniedByDefault, |message| message.kind = Kind::BestPractice);
    case(ErrorCode::DeniedByDefault, |message| message.handling = Handling::H1);
    case(ErrorCode::KindNotAllowed, |message| message.kind = Kind::Bulletin);
    case(ErrorCode::ParticipantUnknown, |message| message.to = vec![id("XZ")]);
    case(ErrorCode::RecipientsInvalid, |message| message.to = vec![]);
    case(ErrorCode::RecipientsInvalid, |message| message.to = vec![id("XA")]);
    case(ErrorCode::RecipientsInvalid, |message| message.to = vec![id("XB"), id("XB")]);
    case(ErrorCode::UrgentGroundMissing, |message| message.precedence = Precedence::Urgent);
    case(ErrorCode::RestrictionMissing, |message| message.handling = Handling::H3);
    case(ErrorCode::SubjectInvalid, |message| message.subject = "two\nlines".to_owned());
    case(ErrorCode::EmptyMessage, |message| message.text = None);
    case(ErrorCode::DateInvalid, |message| message.lifetime_days = Some(31));
    case(ErrorCode::ReplyTargetInvalid, |message| message.kind = Kind::Withdrawal);
    case(ErrorCode::ReasonMissing, |message| {
        message.kind = Kind::Response;
        message.response_status = Some(ResponseStatus::Refusal);
    });
    case(ErrorCode::MessageUnknown, |message| {
        message.in_reply_to = Some("XB-2026-000009".parse().unwrap());
    });
    for (expected, message) in cases {
        assert_eq!(code(soon(client.create(&message, &fresh())).await), expected, "{message:?}");
        assert_eq!(code(soon(client.validate(&message)).await), expected, "{message:?}");
    }
    assert!(soon(client.messages(&PageQuery::default())).await.unwrap().items.is_empty(), "nothing was created");
    let validation = soon(client.validate(&request("Grey van"))).await.unwrap();
    assert_eq!((validation.rule.as_str(), validation.approvals_needed, validation.held), ("requests", 1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stops_what_is_queued_until_it_is_lifted() {
    let world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    world.approve(RELEASER, &draft).await.unwrap();
    let (supervisor, name) = (world.client(SUPERVISOR), MessageName::from(draft.reference));
    let state = || async { soon(world.client(DRAFTER).message(&name)).await.unwrap().state };
    assert_eq!(state().await, MessageState::Queued);
    for scope in [HoldScope::All, HoldScope::Recipient(id("XB")), HoldScope::Kind(Kind::Request)] {
        let hold = NewHold { scope };
        let holds = soon(supervisor.set_hold(&hold)).await.unwrap();
        assert_eq!((holds.holds.len(), holds.holds[0].stopped, holds.holds[0].officer), (1, 1, Some(SUPERVISOR)));
        assert_eq!(state().await, MessageState::Held);
        assert_eq!(code(soon(supervisor.set_hold(&hold)).await), ErrorCode::HoldExists);
        assert_eq!(code(soon(world.client(DRAFTER).lift_hold(&scope)).await), ErrorCode::OfficerRoleMissing);
        assert!(soon(supervisor.lift_hold(&scope)).await.unwrap().holds.is_empty());
        assert_eq!(state().await, MessageState::Queued);
        assert_eq!(code(soon(supervisor.lift_hold(&scope)).await), ErrorCode::HoldUnknown);
    }
    soon(supervisor.set_hold(&NewHold { scope: HoldScope::Recipient(id("XC")) })).await.unwrap();
    assert_eq!(state().await, MessageState::Queued, "a hold for somebody else");
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawing_before_anything_left_is_final() {
    let world = World::serving().await;
    let draft = world.draft(&request("Grey van")).await;
    let (client, name) = (world.client(DRAFTER), MessageName::from(draft.reference));
    let withdrawal = soon(client.withdraw(&name, &ncp_api::message::Withdraw::default())).await.unwrap();
    assert_eq!(withdrawal.recipients[0].effect, WithdrawalEffect::NothingLeft);
    let view = soon(client.message(&name)).await.unwrap();
    assert_eq!((view.state, view.subject), (MessageState::Withdrawn, None), "its content is erased");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_fresh_and_in_ones_own_name() {
    let world = World::serving().await;
    assert_eq!(code(soon(world.nobody().messages(&PageQuery::default())).await), ErrorCode::OfficerSignatureMissing);
    let unknown = world.client_with(99, key());
    assert_eq!(code(soon(unknown.messages(&PageQuery::default())).await), ErrorCode::OfficerUnknown);
    let strange = world.client_with(DRAFTER, key());
    assert_eq!(code(soon(strange.messages(&PageQuery::default())).await), ErrorCode::OfficerSignatureBad);
    // The same signed request twice.
    let supervisor = world.client(SUPERVISOR);
    let hold = NewHold { scope: HoldScope::All };
    let played = fresh();
    let first: Result<ncp_api::release::Holds, _> =
        soon(supervisor.post(ncp_api::path::HOLDS, &hold, Some(&played))).await;
    assert!(first.is_ok());
    let second: Result<ncp_api::release::Holds, _> =
        soon(supervisor.post(ncp_api::path::HOLDS, &hold, Some(&played))).await;
    assert_eq!(code(second), ErrorCode::OfficerRequestReplayed);
    // An unknown member, an unknown place, a wrong method.
    let odd: Result<(), _> =
        soon(supervisor.post(ncp_api::path::HOLDS, &serde_json::json!({"scop": "all"}), None)).await;
    assert_eq!(code(odd), ErrorCode::RequestMalformed);
    assert_eq!(code(soon(supervisor.get::<()>("/v1/nothing")).await), ErrorCode::EndpointUnknown);
    assert_eq!(code(soon(supervisor.get::<()>(ncp_api::path::PING)).await), ErrorCode::MethodNotAllowed);
    // The operator reads how the daemon is, and no content.
    let health = soon(world.nobody().health()).await.unwrap();
    assert!(health.ready, "{:?}", health.checks);
    let doctor = soon(world.nobody().doctor()).await.unwrap();
    assert!(doctor.checks.len() >= 20, "{}", doctor.checks.len());
    world.draft(&request("Grey van")).await;
    let outbox = soon(world.nobody().outbox(&PageQuery::default())).await.unwrap();
    assert!(outbox.items.iter().all(|item| item.subject.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn officers_come_by_two_supervisors_and_the_last_one_stays() {
    let world = World::serving().await;
    let newcomer = key();
    let officer =
        NewOfficer { number: 30, uid: 4030, key: newcomer.verifying_key(), roles: vec![OfficerRole::Drafter] };
    let (one, two) = (world.client(SUPERVISOR), world.client(SECOND_SUPERVISOR));
    assert_eq!(code(soon(world.client(DRAFTER).add_officer(&officer)).await), ErrorCode::OfficerRoleMissing);
    assert!(!soon(one.add_officer(&officer)).await.unwrap().entered);
    assert!(!soon(one.add_officer(&officer)).await.unwrap().entered, "one supervisor is one person");
    assert!(soon(two.add_officer(&officer)).await.unwrap().entered);
    let client = world.client_with(30, newcomer);
    soon(client.create(&request("Grey van"), &fresh())).await.unwrap();
    assert_eq!(code(soon(one.add_officer(&officer)).await), ErrorCode::OfficerNumberTaken, "at the first word");
    soon(one.disable_officer(30, &DisableOfficer::default())).await.unwrap();
    assert_eq!(code(soon(client.me()).await), ErrorCode::OfficerDisabled);
    // A disabled officer's number and key are as little free as another's.
    let again = NewOfficer { uid: 4031, ..officer.clone() };
    for (officer, cause) in [
        (again.clone(), "the number is that of officer 30"),
        (NewOfficer { number: 31, ..again }, "the key is that of officer 30"),
    ] {
        let problem = soon(one.add_officer(&officer)).await.unwrap_err().problem();
        assert_eq!((problem.code.as_str(), problem.detail.as_str()), ("NCP-E2211", cause));
    }
    // Two supervisors and a releaser stay: with fewer nobody could ever enter or release anything again.
    for last in [SUPERVISOR, SECOND_SUPERVISOR] {
        let refused = soon(one.disable_officer(last, &DisableOfficer::default())).await;
        assert_eq!(code(refused), ErrorCode::OfficerLastSupervisor, "{last}");
    }
    let releasers: Vec<u16> = soon(one.officers())
        .await
        .unwrap()
        .officers
        .into_iter()
        .filter(|officer| officer.disabled.is_none() && officer.roles.contains(&OfficerRole::Releaser))
        .map(|officer| officer.number)
        .collect();
    let (last, others) = releasers.split_last().unwrap();
    for other in others {
        soon(one.disable_officer(*other, &DisableOfficer::default())).await.unwrap();
    }
    let refused = soon(one.disable_officer(*last, &DisableOfficer::default())).await;
    assert_eq!(code(refused), ErrorCode::OfficerLastReleaser);
    let table = soon(one.officers()).await.unwrap();
    assert!(table.officers.iter().any(|officer| officer.number == 30 && officer.disabled.is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_never_replaced() {
    let world = World::serving().await;
    let supervisor = world.client(SUPERVISOR);
    let right = world.others[&id("XB")].fingerprint();
    assert!(soon(supervisor.pin(&id("XB"), &Pin { fingerprint: right })).await.is_ok());
    let wrong = world.others[&id("XC")].fingerprint();
    assert_eq!(code(soon(supervisor.pin(&id("XB"), &Pin { fingerprint: wrong })).await), ErrorCode::PinnedOtherwise);
    assert_eq!(code(soon(supervisor.pin(&id("XZ"), &Pin { fingerprint: wrong })).await), ErrorCode::ParticipantUnknown);
    let directory = soon(supervisor.directory()).await.unwrap();
    let usable: Vec<_> = directory.entries.iter().filter(|entry| entry.usable).map(|entry| entry.participant).collect();
    assert_eq!(usable, ["HUB", "XA", "XB", "XC"].map(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_go_page_by_page_and_the_feed_replays() {
    let world = World::serving().await;
    for number in 0..5 {
        world.draft(&request(&format!("Number {number}"))).await;
    }
    let client = world.client(DRAFTER);
    let mut query = PageQuery { limit: Some(2), ..PageQuery::default() };
    let mut subjects = Vec::new();
    loop {
        let page = soon(client.messages(&query)).await.unwrap();
        subjects.extend(page.items.into_iter().filter_map(|item| item.subject));
        query.after = Some(page.cursor);
        if !page.more {
            break;
        }
    }
    assert_eq!(subjects, (0..5).map(|number| format!("Number {number}")).collect::<Vec<_>>());
    let bad = PageQuery { after: Some("x".to_owned()), ..PageQuery::default() };
    assert_eq!(code(soon(client.messages(&bad)).await), ErrorCode::CursorUnknown);

    let events = soon(client.events(None, 0)).await.unwrap();
    let created = |events: &[ncp_api::feed::FeedEvent]| {
        events.iter().filter(|event| event.kind == ncp_api::feed::FeedType::MessageCreated).count()
    };
    assert_eq!(created(&events), 5);
    let last = events.last().unwrap().id.clone();
    // Waiting wakes up with the next event, not with the end of the time.
    let sixth = request("Number 5");
    let (waited, _) = tokio::join!(client.events(Some(&last), 50), world.draft(&sixth));
    assert_eq!(created(&waited.unwrap()), 1);
    let me = soon(world.client(RELEASER).me()).await.unwrap();
    let release = me.needs.iter().find(|need| need.what == ncp_api::health::NeedKind::Release).unwrap();
    assert_eq!((release.count, release.first.len()), (6, 5));
}
