use ncp_protocol::event::{Change, EvidenceKind, Outcome};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, Epoch};
use ncp_protocol::limits::{DAY_MS, DEDUPLICATION_MS, RECEIPTS_KEPT_MS};
use ncp_protocol::reject::RejectCode;

use super::world::{NOW, body_dropped, header, id, key, world};
use crate::core::command::{Command, Effect, EvidenceCursor, Reply, StoreEvidence};
use crate::core::meaning::FORGET_PER_EVENT_MAX;
use crate::core::query;
use crate::core::tables::{Ending, EnvelopeState, ReceiptRow, Tally};
use crate::limits::SURPLUS_EVIDENCE_PER_DAY;

fn stored(number: u64) -> Reply {
    Reply::Stored(EvidenceCursor { epoch: Epoch(1), number })
}

#[test]
fn consignment_ends_the_header_and_reaches_the_originator() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    world.offer("XB", &[key(&header)]);
    let done = world.consign(&header, 7);
    let [Change::EvidenceReceived { claim, index: 7, record, .. }, dropped] = &done.changes[..] else {
        panic!("{:?}", done.changes)
    };
    assert_eq!((claim.envelope, dropped), (key(&header), &body_dropped(&header)));
    assert_eq!((done.reply, done.effects), (stored(1), vec![Effect::SendReceipts(id("XA"))]));
    assert_eq!(world.row(&header).unwrap().state, EnvelopeState::Ended(Ending::Consigned));
    let receipts = query::receipts(&world.rows, id("XA"), 1, 9).unwrap();
    assert_eq!(receipts, [(2, ReceiptRow::Foreign(*record))]);
    assert_eq!(query::waiting(&world.rows), Ok(Tally::default()));
    assert_eq!(query::peer_row(&world.rows, id("XB")).unwrap().mailbox, Tally::default());
}

#[test]
fn the_same_evidence_again_is_no_event() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    world.consign(&header, 7);
    let done = world.consign(&header, 7);
    assert_eq!((done.reply, done.changes), (stored(1), vec![]));
}

#[test]
fn a_refusal_by_the_recipient_ends_the_header_handover_does_not() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    let handover = world.evidence(&header, EvidenceKind::ContentHandover, Outcome::Confirmed, 1);
    assert_eq!(handover.changes.len(), 1);
    assert!(world.row(&header).unwrap().is_open());
    let rejected = Outcome::Rejected(RejectCode::WrapUnopened);
    let done = world.evidence(&header, EvidenceKind::ContentConsignmentFailure, rejected, 2);
    assert_eq!((done.changes.len(), done.reply), (2, stored(2)));
    assert_eq!(world.row(&header).unwrap().state, EnvelopeState::Ended(Ending::Rejected));
}

#[test]
fn evidence_for_something_forgotten_is_stored_and_passed_on() {
    let mut world = world();
    let unknown = header("XA", 9, "XB");
    let done = world.consign(&unknown, 1);
    assert_eq!((done.changes.len(), done.reply), (1, stored(1)));
    assert_eq!(query::receipts(&world.rows, id("XA"), 0, 9).unwrap().len(), 1);
}

#[test]
fn evidence_of_others_is_refused() {
    let mut world = world();
    let sent = header("XA", 1, "XB");
    world.submit(&sent);
    let refused = |done: super::world::Done, code| {
        assert_eq!((done.reply, done.changes), (Reply::Refused(code), vec![]));
    };
    refused(world.evidence(&sent, EvidenceKind::RelayFailure, Outcome::Expired, 1), RejectCode::EvidenceInvalid);
    let consigned = world.consign(&sent, 1);
    let Change::EvidenceReceived { claim, .. } = consigned.changes[0] else { panic!() };
    let (stamp, stated) = (world.stamp(), NOW);
    let by_another = StoreEvidence { peer: id("XC"), claim, index: 2, behind: None, stated, proof: vec![], stamp };
    refused(world.run(Command::StoreEvidence(by_another)), RejectCode::EvidenceInvalid);
}

#[test]
fn evidence_that_fits_no_envelope_is_counted_and_reaches_nobody() {
    let mut world = world();
    let sent = header("XA", 1, "XB");
    world.submit(&sent);
    let altered = Header { wrap_digest: Digest([0; 32]), ..sent.clone() };
    for (number, odd) in [(1, altered), (2, header("XZ", 1, "XB"))] {
        let done = world.consign(&odd, number);
        assert_eq!(done.reply, Reply::Kept(EvidenceCursor { epoch: Epoch(1), number }));
        assert_eq!((done.changes.len(), done.effects), (1, vec![]));
    }
    assert!(world.row(&sent).unwrap().is_open());
    assert_eq!(world.consign(&sent, 3).reply, stored(3));
    assert_eq!(query::receipts(&world.rows, id("XA"), 1, 9).unwrap().len(), 1, "R2 alone came behind R1");
    assert_eq!(query::receipts(&world.rows, id("XZ"), 0, 9), Ok(vec![]));
    assert!(world.rows.0 == world.replayed().0);
}

#[test]
fn evidence_shown_again_never_counts_again_however_old() {
    let mut world = world();
    let sent = header("XA", 1, "XB");
    world.submit(&sent);
    world.consign(&sent, 7);
    world.now = NOW.plus_millis(2 * DEDUPLICATION_MS);
    for n in 1..=5 {
        // Rows are forgotten with events.
        world.submit(&Header { created: world.now, not_after: world.now.plus_millis(DAY_MS), ..header("XC", n, "XB") });
    }
    assert_eq!(world.row(&sent), None);
    let done = world.consign(&sent, 7);
    assert_eq!((done.reply, done.changes), (stored(1), vec![]));
    // Submitted anew, as after a restore of the hub, it ends by the evidence that was shown before.
    let anew = Header { created: world.now, not_after: world.now.plus_millis(DAY_MS), ..sent };
    world.submit(&anew);
    let done = world.consign(&anew, 7);
    assert_eq!((done.reply, done.changes.len()), (stored(1), 2));
    assert_eq!(world.row(&anew).unwrap().state, EnvelopeState::Ended(Ending::Consigned));
}

#[test]
fn evidence_of_an_earlier_epoch_does_not_turn_the_count_back() {
    let mut world = world();
    let (first, second) = (header("XA", 1, "XB"), header("XA", 2, "XB"));
    world.submit(&first);
    world.submit(&second);
    let changes = world.consign(&first, 3).changes;
    let Change::EvidenceReceived { mut claim, .. } = changes[0] else { panic!("{changes:?}") };
    claim.origin.epoch = Epoch(2);
    let (stamp, stated, proof) = (world.stamp(), NOW, b"epoch 2".to_vec());
    world.run(Command::StoreEvidence(StoreEvidence {
        peer: id("XB"),
        claim,
        index: 0,
        behind: None,
        stated,
        proof,
        stamp,
    }));
    let done = world.consign(&second, 9);
    assert_eq!(done.reply, Reply::Stored(EvidenceCursor { epoch: Epoch(2), number: 1 }));
    assert_eq!(world.row(&second).unwrap().state, EnvelopeState::Ended(Ending::Consigned));
}

#[test]
fn evidence_that_nothing_waits_for_has_a_quota_and_nothing_overtakes_what_waits() {
    let mut world = world();
    let (known, other) = (header("XA", 1, "XB"), header("XA", 2, "XB"));
    world.submit(&known);
    world.submit(&other);
    world.consign(&known, 0);
    // The first R3 is awaited, no other is.
    let handover = |world: &mut super::world::World, leaf| {
        world.evidence(&known, EvidenceKind::ContentHandover, Outcome::Blind, leaf).reply
    };
    assert_eq!(handover(&mut world, 1), stored(2));
    let quota = u64::from(SURPLUS_EVIDENCE_PER_DAY);
    for n in 0..quota {
        assert_eq!(handover(&mut world, 2 + n), stored(3 + n));
    }
    let before = query::peer_row(&world.rows, id("XA")).unwrap().receipts;
    let full = Reply::Refused(RejectCode::QuotaExceeded);
    assert_eq!(handover(&mut world, 2 + quota), full);
    assert_eq!(world.consign(&header("XA", 99, "XB"), 3 + quota).reply, full);
    let consign = |world: &mut super::world::World, leaf: u64| {
        let place = (leaf, Some(leaf - 1));
        world.evidence_behind(&other, EvidenceKind::ContentConsignment, Outcome::Done, place).reply
    };
    assert_eq!(consign(&mut world, 3 + quota), full, "the cursor counts: nothing is passed over");
    assert_eq!(
        query::peer_row(&world.rows, id("XA")).unwrap().receipts,
        before,
        "the originator's queue does not grow"
    );
    // Another participant has a quota of its own.
    assert_eq!(world.consign(&header("XA", 99, "XC"), 0).reply, stored(1));
    world.now = NOW.plus_millis(DAY_MS);
    assert_eq!(handover(&mut world, 2 + quota), stored(3 + quota));
    assert_eq!(consign(&mut world, 3 + quota), stored(4 + quota));
}

#[test]
fn what_a_known_envelope_is_owed_passes_the_quota_whatever_became_of_it() {
    let mut world = world();
    let known = header("XA", 1, "XB");
    world.submit(&known);
    let handover = |world: &mut super::world::World, header: &Header, leaf| {
        world.evidence(header, EvidenceKind::ContentHandover, Outcome::Blind, leaf).reply
    };
    let quota = u64::from(SURPLUS_EVIDENCE_PER_DAY);
    for leaf in 0..=quota {
        assert_eq!(handover(&mut world, &known, leaf), stored(leaf + 1));
    }
    let full = Reply::Refused(RejectCode::QuotaExceeded);
    assert_eq!(handover(&mut world, &known, quota + 1), full);
    let mut leaf = quota + 1;
    for n in 2..=5 {
        let gone = header("XA", n, "XB");
        world.submit(&gone);
        world.offer("XB", &[key(&gone)]);
        if n % 2 == 0 {
            world.recall(&gone);
        }
        assert_eq!(world.consign(&gone, leaf).reply, stored(leaf + 1));
        assert_eq!(handover(&mut world, &gone, leaf + 1), stored(leaf + 2));
        leaf += 2;
        assert_eq!(handover(&mut world, &gone, leaf), full, "one of each kind");
        assert_eq!(world.consign(&gone, leaf).reply, full, "one of each kind");
    }
    // A clock that is put back does not keep the day from ending.
    world.now = ncp_protocol::ids::UnixMillis(NOW.0 - 2 * DAY_MS);
    assert_eq!(handover(&mut world, &known, leaf), stored(leaf + 1));
    assert!(world.rows.0 == world.replayed().0);
}

#[test]
fn a_new_epoch_of_a_nodes_log_counts_from_one() {
    let mut world = world();
    for n in 1..=3 {
        let header = header("XA", n, "XB");
        world.submit(&header);
        assert_eq!(world.consign(&header, u64::from(n)).reply, stored(u64::from(n)));
    }
    let header = header("XA", 4, "XB");
    world.submit(&header);
    let changes = world.consign(&header, 9).changes;
    let Change::EvidenceReceived { mut claim, .. } = changes[0] else { panic!("{changes:?}") };
    claim.origin.epoch = Epoch(2);
    let (stamp, stated, proof) = (world.stamp(), NOW, b"epoch 2".to_vec());
    let done = world.run(Command::StoreEvidence(StoreEvidence {
        peer: id("XB"),
        claim,
        index: 1,
        behind: None,
        stated,
        proof,
        stamp,
    }));
    assert_eq!(done.reply, Reply::Stored(EvidenceCursor { epoch: Epoch(2), number: 1 }));
}

#[test]
fn old_rows_are_forgotten_a_few_with_each_event() {
    let mut world = world();
    for n in 1..=10 {
        let header = header("XA", n, "XB");
        world.submit(&header);
        world.consign(&header, u64::from(n));
    }
    let old = header("XA", 1, "XB");
    world.now = NOW.plus_millis(RECEIPTS_KEPT_MS);
    let later = |n| Header {
        created: NOW.plus_millis(RECEIPTS_KEPT_MS),
        not_after: NOW.plus_millis(RECEIPTS_KEPT_MS + 1_000_000),
        ..header("XC", n, "XB")
    };
    world.submit(&later(20));
    assert_eq!(query::receipts(&world.rows, id("XA"), 0, 99).unwrap().len(), 20 - FORGET_PER_EVENT_MAX);
    assert!(matches!(world.submit(&old).reply, Reply::AcceptedBefore(_)), "receipts go before envelopes do");
    world.now = NOW.plus_millis(DEDUPLICATION_MS);
    for n in 30..45 {
        let header = Header { not_after: NOW.plus_millis(DEDUPLICATION_MS + 1_000_000), ..later(n) };
        assert_eq!(world.submit(&header).reply, Reply::Accepted);
    }
    assert_eq!(world.row(&old), None);
    assert_eq!(query::receipts(&world.rows, id("XA"), 0, 99), Ok(vec![]));
    // Numbers go on where they were.
    assert_eq!(query::peer_row(&world.rows, id("XA")).unwrap().receipts, 20);
    assert_eq!(world.rows.0, world.replayed().0);
}
