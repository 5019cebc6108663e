//! Nothing leaves that rules do not allow and officers have not released.

use ncp_protocol::approval::Decision;
use ncp_protocol::codes::{Handling, Kind};
use ncp_protocol::event::{Actor, Change, HoldScope};
use ncp_protocol::ids::OfficerNumber;
use ncp_protocol::limits::{CLOCK_SKEW_MAX_MS, LIFETIME_MAX_MS, LIFETIME_MIN_MS};

use super::world::*;
use crate::core::command::{Ask, Done, Effect, NewOfficer, Refusal, WithdrawalOutcome};
use crate::core::tables::{OutRow, OutState};

fn waiting(missing: u8, seed: u8) -> Result<Done, Refusal> {
    let (message, state) = (message(seed), OutState::WaitingForRelease);
    Ok(Done::Message { message, state, approvals_missing: missing })
}

fn released(seed: u8) -> Result<Done, Refusal> {
    Ok(Done::Message { message: message(seed), state: OutState::Released, approvals_missing: 0 })
}

#[test]
fn request_waits_for_another_officer_and_then_leaves() {
    let mut world = World::new();
    let from = world.journal.len();
    let draft = draft(1, Kind::Request, &["XB", "XC"]);
    assert_eq!(world.put_up(draft.clone()), waiting(1, 1));
    assert_eq!(world.approve(RELEASER, &draft), released(1));
    assert_eq!(world.changes(from), ["MessageDrafted", "MessageApproved", "MessageReleased"]);
    let seals = world.effects.iter().filter(|effect| matches!(effect, Effect::SealEnvelope { .. })).count();
    assert_eq!(seals, 2);
}

#[test]
fn what_could_not_be_sealed_any_more_is_not_released() {
    let mut world = World::new();
    let mut request = draft(1, Kind::Request, &["XB"]);
    request.not_after = START.plus_millis(10 * LIFETIME_MIN_MS);
    assert_eq!(world.put_up(request.clone()), waiting(1, 1));
    world.now = START.plus_millis(9 * LIFETIME_MIN_MS + 1);
    assert_eq!(world.approve(RELEASER, &request), Err(Refusal::LifetimeOutOfRange));
    world.now = START.plus_millis(9 * LIFETIME_MIN_MS);
    assert_eq!(world.approve(RELEASER, &request), released(1));
}

#[test]
fn drafter_and_editor_never_approve() {
    let mut world = World::new();
    let first = draft(1, Kind::Request, &["XB"]);
    world.ask(officer(RELEASER), Ask::PutUp(put_up(first.clone(), 1))).unwrap();
    assert_eq!(world.approve(RELEASER, &first), Err(Refusal::DrafterCannotRelease));

    let mut edited = first.clone();
    edited.revision = 2;
    world.ask(officer(DRAFTER), Ask::Edit(put_up(edited.clone(), 2))).unwrap();
    assert_eq!(world.approve(RELEASER, &edited), Err(Refusal::DrafterCannotRelease), "whoever drafted it once");
    assert_eq!(world.approve(SECOND_RELEASER, &edited), released(1));
}

#[test]
fn edit_voids_approvals() {
    let mut world = World::new();
    let request = arrival(50, Kind::Request, 1);
    world.ask(Actor::Peer(id("XB")), Ask::Consign(Box::new(request))).unwrap();
    let mut answer = draft(1, Kind::Response, &["XB"]);
    answer.in_reply_to = Some(message(50));
    answer.conversation = ncp_protocol::ids::ConversationId(message(50));
    assert_eq!(world.put_up(answer.clone()), waiting(2, 1));
    assert_eq!(world.approve(RELEASER, &answer), waiting(1, 1));
    let mut edited = answer.clone();
    edited.revision = 2;
    edited.commitment = digest(9);
    assert_eq!(world.ask(officer(DRAFTER), Ask::Edit(put_up(edited.clone(), 2))), waiting(2, 1));
    assert_eq!(world.approve(SECOND_RELEASER, &answer), Err(Refusal::Edited), "the old view was shown");
    assert_eq!(world.approve(RELEASER, &edited), waiting(1, 1));
    assert_eq!(world.approve(RELEASER, &edited), Err(Refusal::ApprovedAlready));
    assert_eq!(world.approve(SECOND_RELEASER, &edited), released(1));
}

#[test]
fn disabling_an_officer_voids_what_is_not_released() {
    let mut world = World::new();
    world.ask(Actor::Peer(id("XB")), Ask::Consign(Box::new(arrival(50, Kind::Request, 1)))).unwrap();
    let mut answer = draft(1, Kind::Response, &["XB"]);
    answer.in_reply_to = Some(message(50));
    answer.conversation = ncp_protocol::ids::ConversationId(message(50));
    world.put_up(answer.clone()).unwrap();
    world.approve(RELEASER, &answer).unwrap();
    world.ask(officer(SUPERVISOR), Ask::DisableOfficer(RELEASER)).unwrap();
    assert_eq!(world.approve(RELEASER, &answer), Err(Refusal::OfficerDisabled));
    assert_eq!(world.approve(SECOND_RELEASER, &answer), waiting(1, 1));
    assert_eq!(world.approve(SUPERVISOR, &answer), released(1));
}

#[test]
fn only_releasers_with_their_own_key_approve() {
    let mut world = World::new();
    let draft = draft(1, Kind::Request, &["XB"]);
    world.ask(officer(RELEASER), Ask::PutUp(put_up(draft.clone(), 1))).unwrap();
    let role = ncp_protocol::event::Role::Releaser;
    assert_eq!(world.approve(DRAFTER, &draft), Err(Refusal::RoleMissing(role)));
    assert_eq!(world.approve(OfficerNumber(44), &draft), Err(Refusal::UnknownOfficer));
    let judgement = |key: OfficerNumber| crate::core::command::Judgement {
        message: draft.message,
        revision: 1,
        officer: SECOND_RELEASER,
        key: officer_key(key).id(),
        signature: ncp_protocol::keys::Signature([2; 64]),
        code: code(),
        decision: Decision::Approve,
        rules: rules(),
        note: None,
    };
    let with_another_key = Ask::Judge(judgement(SUPERVISOR));
    assert_eq!(world.ask(officer(SECOND_RELEASER), with_another_key), Err(Refusal::UnknownOfficer));
    assert_eq!(world.ask(officer(SECOND_RELEASER), Ask::Judge(judgement(SECOND_RELEASER))), released(1));
}

#[test]
fn rejection_returns_it_and_an_edit_puts_it_up_again() {
    let mut world = World::new();
    let first = draft(1, Kind::Request, &["XB"]);
    world.put_up(first.clone()).unwrap();
    world.judge(RELEASER, &first, Decision::Reject).unwrap();
    assert_eq!(world.out(first.message).state, OutState::ReturnedToDrafter);
    assert_eq!(world.approve(SECOND_RELEASER, &first), Err(Refusal::WrongState(OutState::ReturnedToDrafter)));
    let mut second = first.clone();
    second.revision = 2;
    assert_eq!(world.ask(officer(DRAFTER), Ask::Edit(put_up(second.clone(), 2))), waiting(1, 1));
    assert_eq!(world.approve(RELEASER, &second), released(1));
}

#[test]
fn nothing_listed_nothing_leaves() {
    let mut world = World::new();
    let kind = Kind::Bulletin;
    let denied = Err(Refusal::Denied { recipient: id("XB"), kind, handling: Handling::H0 });
    assert_eq!(world.put_up(draft(1, kind, &["XB"])), denied);
    let mut secret = draft(2, Kind::Request, &["XB"]);
    secret.handling = Handling::H3;
    assert!(matches!(world.put_up(secret), Err(Refusal::Denied { .. })));
    assert_eq!(world.put_up(draft(3, Kind::Notice, &["XD"])), Err(Refusal::UnknownParticipant(id("XD"))));
}

#[test]
fn a_message_to_all_with_the_longest_codes_fits_its_row() {
    let longest: ncp_protocol::codes::Code = "x".repeat(ncp_protocol::limits::CODE_MAX).parse().unwrap();
    let mut draft = draft(1, Kind::Response, &["XB"]);
    draft.recipients = (0..ncp_protocol::limits::RECIPIENTS_MAX).map(|n| id(&format!("X{n:06}"))).collect();
    (draft.reason, draft.rule) = (Some(longest.clone()), longest);
    (draft.in_reply_to, draft.answer_by) = (Some(draft.message), Some(START));
    let row = OutRow {
        draft,
        drafters: (0..500).map(OfficerNumber).collect(),
        approved_by: vec![RELEASER, SECOND_RELEASER],
        state: OutState::Released,
        created: START,
        released: Some(START),
        recall_requested: Some(START),
    };
    let length = ncp_protocol::codec::encode(&row).len();
    assert!(length <= ncp_store::state::ROW_MAX, "{length} bytes");
}

#[test]
fn each_kind_that_must_cite_is_refused_without_a_citation() {
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.must_cite()) {
        let mut world = World::new();
        assert_eq!(world.put_up(draft(1, kind, &["XB"])), Err(Refusal::CitationUnknown), "{kind}");
    }
}

#[test]
fn lifetime_is_bounded() {
    let mut world = World::new();
    let mut long = draft(1, Kind::Notice, &["XB"]);
    long.not_after = START.plus_millis(LIFETIME_MAX_MS + CLOCK_SKEW_MAX_MS + 1);
    assert_eq!(world.put_up(long), Err(Refusal::LifetimeOutOfRange));
    let mut past = draft(2, Kind::Notice, &["XB"]);
    past.not_after = START;
    assert_eq!(world.put_up(past), Err(Refusal::LifetimeOutOfRange));
}

#[test]
fn same_key_same_message_other_request_refused() {
    let mut world = World::new();
    let first = draft(1, Kind::Request, &["XB"]);
    assert_eq!(world.ask(officer(DRAFTER), Ask::PutUp(put_up(first.clone(), 7))), waiting(1, 1));
    let before = world.journal.len();
    assert_eq!(world.ask(officer(DRAFTER), Ask::PutUp(put_up(first, 7))), waiting(1, 1));
    let other = draft(2, Kind::Request, &["XB"]);
    let conflict = Err(Refusal::IdempotencyConflict { message: message(1) });
    assert_eq!(world.ask(officer(DRAFTER), Ask::PutUp(put_up(other, 7))), conflict);
    assert_eq!(world.journal.len(), before);
}

#[test]
fn withdrawn_before_submission_leaves_nothing() {
    let mut world = World::new();
    let draft = draft(1, Kind::Request, &["XB"]);
    world.put_up(draft.clone()).unwrap();
    let outcome = Ok(Done::Withdrawal(WithdrawalOutcome::BeforeSubmission));
    assert_eq!(world.ask(officer(DRAFTER), Ask::Withdraw { message: draft.message }), outcome);
    assert_eq!(world.approve(RELEASER, &draft), Err(Refusal::WrongState(OutState::Withdrawn)));
}

#[test]
fn anyone_on_duty_stops_egress_only_a_supervisor_lifts() {
    let mut world = World::new();
    let from = world.journal.len();
    assert!(world.ask(officer(SUPERVISOR), Ask::SetHold(HoldScope::All)).is_ok());
    assert!(world.ask(officer(SUPERVISOR), Ask::SetHold(HoldScope::All)).is_ok());
    assert!(world.effects.contains(&Effect::HoldsChanged));
    assert!(world.ask(officer(DRAFTER), Ask::LiftHold(HoldScope::All)).is_err());
    assert!(world.ask(Actor::Operator(0), Ask::LiftHold(HoldScope::All)).is_err());
    assert!(world.ask(officer(SUPERVISOR), Ask::LiftHold(HoldScope::All)).is_ok());
    assert_eq!(world.ask(officer(SUPERVISOR), Ask::LiftHold(HoldScope::All)), Err(Refusal::UnknownHold));
    assert_eq!(world.changes(from), ["HoldSet", "HoldLifted"]);
}

#[test]
fn officers_of_the_configuration_count_once() {
    let mut world = World::new();
    let from = world.journal.len();
    let intruder = NewOfficer {
        number: OfficerNumber(50),
        key: officer_key(OfficerNumber(50)),
        uid: 0,
        roles: vec![ncp_protocol::event::Role::Releaser],
    };
    let begin = crate::core::command::Begin { officers: vec![intruder.clone()], rules: rules() };
    world.ask(Actor::Daemon, Ask::Begin(begin)).unwrap();
    assert_eq!(world.journal.len(), from, "neither officers nor rules are new");
    let add = |second| Ask::AddOfficer { officer: intruder.clone(), second };
    assert_eq!(world.ask(officer(SUPERVISOR), add(SUPERVISOR)), Err(Refusal::SamePerson));
    assert!(matches!(world.ask(officer(SUPERVISOR), add(RELEASER)), Err(Refusal::RoleMissing(_))));
    assert_eq!(
        world.ask(officer(SUPERVISOR), Ask::DisableOfficer(SUPERVISOR)),
        Err(Refusal::LastOfficer(ncp_protocol::event::Role::Supervisor))
    );
    assert!(!world.journal[from..].iter().any(|event| matches!(event.change, Change::OfficerAdded { .. })));
}
