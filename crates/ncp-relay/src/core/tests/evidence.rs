use ncp_protocol::event::{Change, EvidenceKind, Outcome};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, Epoch};
use ncp_protocol::limits::{DEDUPLICATION_MS, RECEIPTS_KEPT_MS};
use ncp_protocol::reject::RejectCode;

use super::world::{NOW, body_dropped, header, id, key, world};
use crate::core::command::{Command, Effect, EvidenceCursor, Reply, StoreEvidence};
use crate::core::query;
use crate::core::tables::{Ending, EnvelopeState, ReceiptRow, Tally};
use crate::limits::FORGET_PER_EVENT_MAX;

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
fn evidence_of_others_or_about_other_headers_is_refused() {
    let mut world = world();
    let sent = header("XA", 1, "XB");
    world.submit(&sent);
    let refused = |done: super::world::Done, code| {
        assert_eq!((done.reply, done.changes), (Reply::Refused(code), vec![]));
    };
    let altered = Header { wrap_digest: Digest([0; 32]), ..sent.clone() };
    refused(world.consign(&altered, 1), RejectCode::EvidenceUnrelated);
    refused(world.consign(&header("XZ", 1, "XB"), 1), RejectCode::EvidenceUnrelated);
    refused(world.evidence(&sent, EvidenceKind::RelayFailure, Outcome::Expired, 1), RejectCode::EvidenceInvalid);
    let consigned = world.consign(&sent, 1);
    let Change::EvidenceReceived { claim, .. } = consigned.changes[0] else { panic!() };
    let (stamp, stated) = (world.stamp(), NOW);
    let by_another = StoreEvidence { peer: id("XC"), claim, index: 2, stated, proof: vec![], stamp };
    refused(world.run(Command::StoreEvidence(by_another)), RejectCode::EvidenceInvalid);
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
    let done =
        world.run(Command::StoreEvidence(StoreEvidence { peer: id("XB"), claim, index: 1, stated, proof, stamp }));
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
