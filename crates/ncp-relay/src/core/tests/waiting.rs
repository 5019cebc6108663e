use ncp_protocol::event::{Change, EvidenceKind, Outcome};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, SealNumber, UnixMillis};
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::RecordKind;

use super::world::{NOW, body_dropped, header, hub_claim, id, key, world};
use crate::core::command::{Effect, Offered, Reply};
use crate::core::query;
use crate::core::tables::{Ending, EnvelopeState, Tally};
use crate::limits::EXPIRE_BATCH_MAX;

#[test]
fn an_offer_is_an_event_once() {
    let mut world = world();
    let (first, second) = (header("XA", 1, "XB"), header("XA", 2, "XB"));
    world.submit(&first);
    world.submit(&second);
    let done = world.offer("XB", &[key(&first)]);
    assert_eq!(done.changes, [Change::EnvelopeOffered(key(&first))]);
    let done = world.offer("XB", &[key(&first), key(&second), key(&second)]);
    assert_eq!(done.changes, [Change::EnvelopeOffered(key(&second))]);
    let offered = |header: &Header, is_new| Offered { envelope: key(header), is_new };
    assert_eq!(done.reply, Reply::Offered(vec![offered(&first, false), offered(&second, true)]));
}

#[test]
fn nothing_is_offered_that_is_not_the_recipients_or_has_ended() {
    let mut world = world();
    let (ended, foreign, late) = (header("XA", 1, "XB"), header("XA", 2, "XC"), header("XA", 3, "XB"));
    for header in [&ended, &foreign, &late] {
        world.submit(header);
    }
    world.recall(&ended);
    world.now = late.not_after;
    let unknown = key(&header("XA", 9, "XB"));
    let done = world.offer("XB", &[key(&ended), key(&foreign), key(&late), unknown]);
    assert_eq!((done.reply, done.changes), (Reply::Offered(vec![]), vec![]));
}

#[test]
fn a_recall_before_the_offer_is_final_after_it_provisional() {
    for (offered, outcome) in [(false, Outcome::Recalled), (true, Outcome::RecalledAfterOffer)] {
        let mut world = world();
        let header = header("XA", 1, "XB");
        world.submit(&header);
        if offered {
            world.offer("XB", &[key(&header)]);
        }
        let done = world.recall(&header);
        let negative = hub_claim(&world, EvidenceKind::RelayFailure, &header, outcome);
        assert_eq!(done.changes, [negative, body_dropped(&header)]);
        assert_eq!(done.effects, [Effect::SendReceipts(id("XA"))]);
        assert!(world.records.iter().all(|name| name.kind == RecordKind::Entry), "something is left");
        let Reply::EndedBefore(place) = world.recall(&header).reply else { panic!("recalled twice") };
        assert_eq!(Some(place), world.row(&header).unwrap().failure);
        // The recipient's outcome outranks the hub's, and is passed on; the header ended before.
        let done = world.consign(&header, 3);
        assert_eq!(done.changes.len(), 1);
        assert_eq!(world.row(&header).unwrap().state, EnvelopeState::Ended(Ending::Recalled));
    }
}

#[test]
fn a_recall_of_what_was_consigned_is_answered_with_its_acceptance() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    world.offer("XB", &[key(&header)]);
    world.consign(&header, 3);
    let done = world.recall(&header);
    let acceptance = world.row(&header).unwrap().acceptance.expect("R1 is kept");
    assert_eq!((done.reply, done.changes), (Reply::EndedBefore(acceptance), vec![]));
}

#[test]
fn a_recall_of_what_asked_for_another_seal_says_that_none_waits() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    world.offer("XB", &[key(&header)]);
    let rejected = Outcome::Rejected(RejectCode::RecipientKeyUnknown);
    world.evidence(&header, EvidenceKind::ContentConsignmentFailure, rejected, 3);
    assert_eq!(world.recall(&header).reply, Reply::Refused(RejectCode::NotWaiting), "the later seal may be on its way");
}

#[test]
fn a_recall_takes_every_open_seal_and_nothing_else() {
    let mut world = world();
    let first = header("XA", 1, "XB");
    let second = Header { seal: SealNumber(2), ..first.clone() };
    world.submit(&first);
    world.offer("XB", &[key(&first)]);
    world.submit(&second);
    world.submit(&header("XA", 1, "XC"));
    let done = world.recall(&first);
    let expected = [(&first, Outcome::RecalledAfterOffer), (&second, Outcome::Recalled)];
    let expected = expected.map(|(header, outcome)| hub_claim(&world, EvidenceKind::RelayFailure, header, outcome));
    assert_eq!(done.changes, expected, "XC still needs the body");
    assert_eq!(world.recall(&header("XA", 7, "XB")).reply, Reply::Refused(RejectCode::NotWaiting));
    // A recall speaks for its own originator alone.
    assert_eq!(world.recall(&header("XB", 1, "XC")).reply, Reply::Refused(RejectCode::NotWaiting));
}

#[test]
fn what_is_due_expires_offered_or_not() {
    let mut world = world();
    let (early, late) = (header("XA", 1, "XB"), header("XA", 2, "XB"));
    let late = Header { not_after: NOW.plus_millis(2 * DAY_MS), ..late };
    world.submit(&early);
    world.submit(&late);
    world.offer("XB", &[key(&early)]);
    assert_eq!(query::next_due(&world.rows), Ok(Some(early.not_after)));
    world.now = UnixMillis(early.not_after.0 - 1);
    assert_eq!(world.expire().changes, []);
    world.now = early.not_after;
    let done = world.expire();
    let negative = hub_claim(&world, EvidenceKind::RelayFailure, &early, Outcome::ExpiredAfterOffer);
    assert_eq!((done.changes, done.reply), (vec![negative, body_dropped(&early)], Reply::Expired(1)));
    assert_eq!(world.expire().reply, Reply::Expired(0));
    assert_eq!(query::next_due(&world.rows), Ok(Some(late.not_after)));
    world.now = late.not_after;
    let done = world.expire();
    let negative = hub_claim(&world, EvidenceKind::RelayFailure, &late, Outcome::Expired);
    assert_eq!((done.changes, done.reply), (vec![negative, body_dropped(&late)], Reply::Expired(1)));
    // A recall that comes now is answered with that: "nothing waits" would say that the hub never had it.
    for header in [early, late] {
        assert!(matches!(world.recall(&header).reply, Reply::EndedBefore(_)));
    }
}

#[test]
fn expiry_goes_in_batches() {
    let mut world = world();
    world.relay.quotas.originator_envelopes = 1000;
    world.relay.quotas.mailbox_envelopes = 1000;
    for n in 0..100 {
        world.submit(&header("XA", n, "XB"));
    }
    world.now = NOW.plus_millis(DAY_MS);
    assert_eq!(world.expire().reply, Reply::Expired(EXPIRE_BATCH_MAX));
    assert_eq!(world.expire().reply, Reply::Expired(100 - EXPIRE_BATCH_MAX));
    assert_eq!(query::waiting(&world.rows), Ok(Tally::default()));
}

#[test]
fn a_copied_body_goes_with_its_last_message() {
    let mut world = world();
    let first = header("XA", 1, "XB");
    // XC copies the ciphertext that it may have seen into a message of its own.
    let copy = Header { ciphertext_root: first.ciphertext_root, ..header("XC", 2, "XB") };
    world.submit(&first);
    world.submit(&copy);
    let has_body = |world: &super::world::World| world.records.iter().any(|name| name.kind == RecordKind::Body);
    assert_eq!(world.recall(&copy).changes[1..], [body_dropped(&copy)]);
    assert!(has_body(&world), "XA's message lost its body");
    world.recall(&first);
    assert!(!has_body(&world));
}

#[test]
fn copies_that_expire_together_take_their_body_along() {
    let mut world = world();
    let first = header("XA", 1, "XB");
    let copy = Header { ciphertext_root: first.ciphertext_root, ..header("XC", 2, "XB") };
    world.submit(&first);
    world.submit(&copy);
    world.now = first.not_after;
    world.expire();
    assert!(world.records.iter().all(|name| name.kind == RecordKind::Entry));
    assert_eq!(world.submit(&Header { ciphertext_root: Digest([1; 32]), ..copy }).changes.len(), 1);
}
