//! What arrives is consigned once, answered with the same evidence for ever, and refused where it does not fit.

use ncp_protocol::codes::{Kind, ResponseStatus};
use ncp_protocol::directory::MembershipClass;
use ncp_protocol::event::{Actor, Change, EvidenceKind, Outcome};
use ncp_protocol::ids::{LogName, PairSequence, ParticipantId, SealNumber};
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::reject::RejectCode;

use super::world::*;
use crate::core::command::{Ask, Consigned, Done, Refusal};
use crate::core::tables::{IN, InRow, RECEIPT, RECEIPT_LAST};

fn consign(world: &mut World, consigned: Consigned) -> Result<Done, Refusal> {
    world.ask(Actor::Peer(ParticipantId::HUB), Ask::Consign(Box::new(consigned)))
}

fn row(world: &World, seed: u8) -> Option<InRow> {
    IN.row(&world.rows, &(id("XB"), message(seed))).unwrap()
}

fn outcomes(world: &World, from: usize) -> Vec<(EvidenceKind, Outcome)> {
    let mut outcomes = Vec::new();
    for event in &world.journal[from..] {
        if let Change::Evidence(claim) = &event.change {
            outcomes.push((claim.kind, claim.outcome));
        }
    }
    outcomes
}

#[test]
fn consigned_once_and_the_same_evidence_again() {
    let mut world = World::new();
    let from = world.journal.len();
    assert_eq!(
        consign(&mut world, arrival(1, Kind::Request, 1)),
        Ok(Done::Evidence { log: LogName::Node, earlier: None })
    );
    assert_eq!(world.changes(from), ["Evidence", "MessageReceived", "EvidenceReceived"]);
    let consignment = row(&world, 1).unwrap().consignment;
    assert!(matches!(world.journal[usize::try_from(consignment).unwrap()].change, Change::Evidence(_)));
    let events = world.journal.len();
    let again = Ok(Done::Evidence { log: LogName::Node, earlier: Some(consignment) });
    assert_eq!(consign(&mut world, arrival(1, Kind::Request, 1)), again);
    assert_eq!(world.journal.len(), events);
    let last = RECEIPT_LAST.row(&world.rows, &()).unwrap();
    assert_eq!(last, Some(1));
    assert_eq!(RECEIPT.row(&world.rows, &1).unwrap(), Some(consignment));
}

#[test]
fn another_seal_is_a_duplicate_other_content_an_alarm() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Request, 1)).unwrap();
    let from = world.journal.len();
    let mut second = arrival(1, Kind::Request, 1);
    second.received.envelope.seal = SealNumber(2);
    second.received.header = digest(201);
    consign(&mut world, second).unwrap();
    let other = || {
        let mut other = arrival(1, Kind::Request, 1);
        other.received.header = digest(202);
        other.received.commitment = digest(203);
        other
    };
    consign(&mut world, other()).unwrap();
    let expected = [RejectCode::Duplicate, RejectCode::ConflictingContent]
        .map(|code| (EvidenceKind::ContentConsignmentFailure, Outcome::Rejected(code)));
    assert_eq!(outcomes(&world, from), expected);
    assert_eq!(world.changes(from), ["Evidence", "Evidence", "ConflictNoticed"]);
    let events = world.journal.len();
    assert!(matches!(consign(&mut world, other()), Ok(Done::Evidence { earlier: Some(_), .. })));
    assert_eq!(world.journal.len(), events);
}

#[test]
fn the_same_id_from_two_originators_is_two_messages() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Request, 1)).unwrap();
    let mut from_xc = arrival(1, Kind::Request, 1);
    from_xc.received.envelope.originator = id("XC");
    from_xc.received.header = digest(222);
    from_xc.received.commitment = digest(223);
    consign(&mut world, from_xc).unwrap();
    assert!(IN.row(&world.rows, &(id("XC"), message(1))).unwrap().is_some());
    assert!(row(&world, 1).is_some());
}

#[test]
fn answer_to_nothing_of_ours_is_refused() {
    let mut world = World::new();
    let from = world.journal.len();
    let mut stray = arrival(1, Kind::Response, 1);
    stray.received.in_reply_to = Some(message(99));
    consign(&mut world, stray).unwrap();
    let refused = Outcome::Rejected(RejectCode::ManifestMismatch);
    assert_eq!(outcomes(&world, from), [(EvidenceKind::ContentConsignmentFailure, refused)]);
    assert!(row(&world, 1).is_none());

    // The right request, another content of it.
    let request = draft(2, Kind::Request, &["XB"]);
    world.put_up(request.clone()).unwrap();
    world.approve(RELEASER, &request).unwrap();
    let mut other = arrival(3, Kind::Response, 2);
    other.received.in_reply_to = Some(request.message);
    other.received.conversation = request.conversation;
    other.cites = Some(digest(250));
    consign(&mut world, other).unwrap();
    assert!(row(&world, 3).is_none());
}

#[test]
fn what_the_secretariat_alone_publishes_is_refused_from_a_state() {
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.from_secretariat_alone()) {
        for (seed, class, stands) in [
            (1, Some(MembershipClass::ParticipatingState), false),
            (2, Some(MembershipClass::Secretariat), true),
            (3, None, true),
        ] {
            let mut world = World::new();
            let from = world.journal.len();
            consign(&mut world, Consigned { originator_class: class, ..arrival(seed, kind, 1) }).unwrap();
            assert_eq!(row(&world, seed).is_some(), stands, "{kind} from {class:?}");
            let refused = Outcome::Rejected(RejectCode::ManifestInvalid);
            let stated = outcomes(&world, from).contains(&(EvidenceKind::ContentConsignmentFailure, refused));
            assert_eq!(stated, !stands, "{kind} from {class:?}");
        }
    }
}

#[test]
fn unpinned_or_suspended_originators_wait() {
    let mut world = World::new();
    let mut unknown = arrival(1, Kind::Notice, 1);
    unknown.received.envelope.originator = id("XD");
    assert_eq!(consign(&mut world, unknown), Err(Refusal::UnknownParticipant(id("XD"))));
    let news = |one| Ask::AcceptEntries(vec![one]);
    let suspended =
        crate::core::command::EntryNews::Suspended { participant: id("XB"), reason: "key-lost".parse().unwrap() };
    world.ask(Actor::Daemon, news(suspended)).unwrap();
    assert_eq!(consign(&mut world, arrival(1, Kind::Notice, 1)), Err(Refusal::Suspended(id("XB"))));
    let back = crate::core::command::EntryNews::Reinstated { participant: id("XB") };
    world.ask(Actor::Daemon, news(back)).unwrap();
    assert!(consign(&mut world, arrival(1, Kind::Notice, 1)).is_ok());
}

#[test]
fn test_message_reaches_no_person_and_completes_the_chain() {
    let mut world = World::new();
    let from = world.journal.len();
    consign(&mut world, arrival(1, Kind::Test, 1)).unwrap();
    let expected =
        [(EvidenceKind::ContentConsignment, Outcome::Done), (EvidenceKind::ContentHandover, Outcome::Confirmed)];
    assert_eq!(outcomes(&world, from), expected);
}

#[test]
fn handover_is_stated_once() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Notice, 1)).unwrap();
    let take = |world: &mut World| world.ask(officer(DRAFTER), Ask::HandOver { message: (id("XB"), message(1)) });
    assert_eq!(take(&mut world), Ok(Done::Evidence { log: LogName::Node, earlier: None }));
    assert!(matches!(take(&mut world), Ok(Done::Evidence { earlier: Some(_), .. })));
}

#[test]
fn services_contribute_until_the_request_is_answered() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Request, 1)).unwrap();
    let key = (id("XB"), message(1));
    let services: Vec<_> = ["border-police", "customs"].map(|text| text.parse().unwrap()).to_vec();
    let assign = |world: &mut World| {
        world.ask(officer(DRAFTER), Ask::Assign { message: key, services: services.clone(), notes: Vec::new() })
    };
    assert_eq!(assign(&mut world), Ok(Done::Tasks { first: 1 }));
    assert!(row(&world, 1).unwrap().handover.is_some(), "who assigns has opened it");
    assert_eq!(assign(&mut world), Ok(Done::Tasks { first: 3 }));
    let contribute = |world: &mut World, task| {
        let record = record(ncp_store::spool::RecordKind::Contribution, &[9]);
        world.ask(officer(DRAFTER), Ask::Contribute { message: key, task, record })
    };
    assert_eq!(contribute(&mut world, 2), Ok(Done::Noted));
    assert_eq!(contribute(&mut world, 9), Err(Refusal::UnknownTask));
    world.rows = world.rows.clone();
    let mut answer = draft(7, Kind::Response, &["XB"]);
    answer.in_reply_to = Some(message(1));
    answer.conversation = ncp_protocol::ids::ConversationId(message(1));
    answer.response_status = Some(ResponseStatus::Final);
    world.put_up(answer.clone()).unwrap();
    world.approve(RELEASER, &answer).unwrap();
    assert_eq!(row(&world, 1).unwrap().answer, None, "one approval of two");
    world.approve(SECOND_RELEASER, &answer).unwrap();
    assert_eq!(row(&world, 1).unwrap().answer, Some(answer.message));
    assert_eq!(assign(&mut world), Err(Refusal::NotAssignable));
}

#[test]
fn a_response_goes_to_whoever_asked_alone() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Request, 1)).unwrap();
    let mut answer = draft(7, Kind::Response, &["XC", "XB"]);
    answer.in_reply_to = Some(message(1));
    answer.conversation = ncp_protocol::ids::ConversationId(message(1));
    answer.response_status = Some(ResponseStatus::Extension);
    answer.answer_by = Some(START.plus_millis(DAY_MS));
    assert_eq!(world.put_up(answer), Err(Refusal::CitationUnknown));
}

#[test]
fn extension_moves_the_clock_at_both_ends() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Request, 1)).unwrap();
    let later = START.plus_millis(20 * DAY_MS);
    let mut extension = draft(7, Kind::Response, &["XB"]);
    extension.in_reply_to = Some(message(1));
    extension.conversation = ncp_protocol::ids::ConversationId(message(1));
    extension.response_status = Some(ResponseStatus::Extension);
    extension.answer_by = Some(later);
    world.put_up(extension.clone()).unwrap();
    world.approve(RELEASER, &extension).unwrap();
    world.approve(SECOND_RELEASER, &extension).unwrap();
    let request = row(&world, 1).unwrap();
    assert_eq!((request.received.due, request.answer), (Some(later), None));

    let ours = draft(8, Kind::Request, &["XB"]);
    world.put_up(ours.clone()).unwrap();
    world.approve(RELEASER, &ours).unwrap();
    world.seal(ours.message, "XB").unwrap();
    world.hear("XB", EvidenceKind::ContentConsignment, ours.message, "XB", Outcome::Done).unwrap();
    let mut theirs = arrival(9, Kind::Response, 2);
    theirs.received.response_status = Some(ResponseStatus::Extension);
    theirs.received.in_reply_to = Some(ours.message);
    theirs.received.conversation = ours.conversation;
    theirs.received.answer_by = Some(later);
    theirs.cites = Some(ours.commitment);
    consign(&mut world, theirs).unwrap();
    let envelope = world.envelope(ours.message, "XB");
    assert_eq!(envelope.answer_clock, Some((START, later)));
    assert_eq!(envelope.answer, None);
}

#[test]
fn unread_clock_stops_when_somebody_takes_it() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Request, 1)).unwrap();
    consign(&mut world, arrival(2, Kind::Request, 2)).unwrap();
    let taken = (id("XB"), message(2));
    world.ask(officer(DRAFTER), Ask::HandOver { message: taken }).unwrap();
    let from = world.journal.len();
    world.now = START.plus_millis(2 * DAY_MS);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    assert_eq!(world.changes(from), ["RequestAlerted"]);
    world.ask(Actor::Daemon, Ask::Tick).unwrap();
    assert_eq!(world.changes(from), ["RequestAlerted"]);
}

#[test]
fn number_below_the_floor_that_never_came_alarms_once() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Notice, 1)).unwrap();
    let mut fifth = arrival(5, Kind::Notice, 6);
    fifth.received.floor = PairSequence(6);
    fifth.received.voided = vec![(PairSequence(3), PairSequence(3))];
    consign(&mut world, fifth).unwrap();
    let gaps = |world: &World| -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        for event in &world.journal {
            if let Change::SequenceGapNoticed { first, last, .. } = &event.change {
                gaps.push((first.0, last.0));
            }
        }
        gaps
    };
    assert_eq!(gaps(&world), [(2, 2), (4, 5)]);
    let mut seventh = arrival(7, Kind::Notice, 7);
    seventh.received.floor = PairSequence(7);
    consign(&mut world, seventh).unwrap();
    assert_eq!(gaps(&world).len(), 2);
}

#[test]
fn numbers_beyond_one_look_are_looked_at_by_the_next() {
    let mut world = World::new();
    consign(&mut world, arrival(1, Kind::Notice, 1)).unwrap();
    for (seed, number) in [(2, 2_500), (3, 2_501), (4, 2_502)] {
        let mut next = arrival(seed, Kind::Notice, number);
        next.received.floor = PairSequence(number);
        consign(&mut world, next).unwrap();
    }
    let mut missing = 0;
    for event in &world.journal {
        if let Change::SequenceGapNoticed { first, last, .. } = &event.change {
            missing += last.0 - first.0 + 1;
        }
    }
    assert_eq!(missing, 2_498);
}
