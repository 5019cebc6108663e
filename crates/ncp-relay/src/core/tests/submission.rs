use std::sync::Arc;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{Change, EvidenceKind, Outcome};
use ncp_protocol::header::Header;
use ncp_protocol::ids::{Digest, NetworkId, SealNumber, UnixMillis};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::{CLOCK_SKEW_MAX_MS, DAY_MS, LIFETIME_MAX_MS, SEALS_MAX};
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::{BodyName, RecordKind, RecordName};

use super::world::{NOW, World, accepted, header, hub_claim, id, key, world};
use crate::core::command::{BodySource, Command, Effect, Reply};
use crate::core::query;
use crate::core::tables::{Ending, EnvelopeState, ReceiptPlace, ReceiptRow, Tally};

fn check_refused(change: impl FnOnce(&mut Header), code: RejectCode) {
    let mut world = world();
    let mut refused = header("XA", 1, "XB");
    change(&mut refused);
    let done = world.submit(&refused);
    assert_eq!(done.reply, Reply::Refused(code));
    assert_eq!(done.changes, []);
    assert!(world.records.iter().all(|name| name.kind == RecordKind::Entry), "something was stored");
}

#[test]
fn a_new_envelope_is_accepted_with_r1_beside_it() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    let done = world.submit(&header);
    assert_eq!(done.reply, Reply::Accepted);
    let r1 = hub_claim(&world, EvidenceKind::RelayAcceptance, &header, Outcome::Done);
    assert_eq!(done.changes, [accepted(&header), r1]);
    assert_eq!(done.effects, [Effect::SendReceipts(id("XA")), Effect::DeliverMail(id("XB"))]);
    assert!(world.records.contains(&RecordName { kind: RecordKind::Envelope, id: sha256(&header.encode()) }));
    assert!(world.records.contains(&RecordName { kind: RecordKind::Body, id: header.ciphertext_root }));
    // `traffic` has no other leaf: the directory is in `public`.
    assert_eq!(query::receipts(&world.rows, id("XA"), 0, 9), Ok(vec![(1, ReceiptRow::Own(1))]));
    assert_eq!(query::receipts(&world.rows, id("XB"), 0, 9), Ok(vec![]));
    assert_eq!(query::waiting(&world.rows), Ok(Tally { envelopes: 1, bytes: 4112 }));
}

#[test]
fn salts_differ_within_and_between_commands() {
    let mut world = world();
    world.submit(&header("XA", 1, "XB"));
    world.submit(&header("XA", 2, "XB"));
    let mut salts: Vec<_> = world.journal.iter().map(|event| event.salt).collect();
    salts.sort_unstable();
    assert!(salts.is_sorted_by(|a, b| a < b));
}

#[test]
fn the_same_envelope_again_gets_the_same_evidence() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    let before = Reply::AcceptedBefore(ReceiptPlace { number: 1, index: 1 });
    assert_eq!(world.submit(&header).reply, before);
    world.consign(&header, 5);
    // Ended, expired by the clock and without a body: still the same.
    world.now = NOW.plus_millis(2 * DAY_MS);
    let done = world.submit_with(&header, BodySource::AtHub);
    assert_eq!((done.reply, done.changes), (before.clone(), vec![]));
    // Nor does it matter who was suspended since.
    world.admit_membership(2, &[("XA", Some("drill")), ("XB", Some("drill")), ("XC", None)]);
    assert_eq!(world.submit_with(&header, BodySource::AtHub).reply, before);
}

#[test]
fn other_content_under_the_same_id_is_refused_and_noted_once() {
    for change in [
        |header: &mut Header| header.content_commitment = Digest([1; 32]),
        |header: &mut Header| header.ciphertext_root = Digest([1; 32]),
        |header: &mut Header| header.body_length = 8208,
        |header: &mut Header| header.not_after = NOW.plus_millis(2 * DAY_MS),
    ] {
        let mut world = world();
        let first = header("XA", 1, "XB");
        world.submit(&first);
        let mut other = first.clone();
        change(&mut other);
        let done = world.submit(&other);
        assert_eq!(done.reply, Reply::Refused(RejectCode::ConflictingContent));
        let noticed =
            Change::ConflictNoticed { originator: id("XA"), message: first.message, header: sha256(&other.encode()) };
        assert_eq!(done.changes, [noticed]);
        assert_eq!(done.effects, [Effect::RaiseConflict { originator: id("XA"), message: first.message }]);
        let again = world.submit(&other);
        assert_eq!((again.reply, again.changes), (Reply::Refused(RejectCode::ConflictingContent), vec![]));
    }
}

#[test]
fn another_recipient_of_other_content_conflicts_too() {
    let mut world = world();
    world.submit(&header("XA", 1, "XB"));
    let other = Header { content_commitment: Digest([1; 32]), ..header("XA", 1, "XC") };
    assert_eq!(world.submit(&other).reply, Reply::Refused(RejectCode::ConflictingContent));
    // The same message id of another originator is another message.
    assert_eq!(world.submit(&header("XC", 1, "XB")).reply, Reply::Accepted);
}

#[test]
fn names_and_times_are_checked() {
    check_refused(|header| header.network = NetworkId(Digest([8; 32])), RejectCode::NetworkMismatch);
    check_refused(|header| header.recipient = id("XZ"), RejectCode::RecipientUnknown);
    check_refused(|header| header.originator = id("XZ"), RejectCode::PeerUnknown);
    check_refused(|header| header.not_after = NOW.plus_millis(1000), RejectCode::LifetimeOutOfRange);
    check_refused(|header| header.not_after = NOW.plus_millis(LIFETIME_MAX_MS + 1), RejectCode::LifetimeOutOfRange);
    let future = NOW.plus_millis(CLOCK_SKEW_MAX_MS + 1);
    check_refused(|header| header.created = future, RejectCode::CreatedInFuture);
    let past = |header: &mut Header| (header.created, header.not_after) = (UnixMillis(NOW.0 - DAY_MS), NOW);
    check_refused(past, RejectCode::Expired);
    check_refused(|header| header.body_length = (1 << 20) + 1, RejectCode::QuotaExceeded);
}

#[test]
fn what_waited_out_a_long_outage_is_accepted_while_it_is_valid() {
    let mut world = world();
    let mut header = header("XA", 1, "XB");
    (header.created, header.not_after) = (UnixMillis(NOW.0 - 5 * DAY_MS), NOW.plus_millis(1));
    let done = world.submit(&header);
    assert_eq!(done.reply, Reply::Accepted);
}

#[test]
fn the_peer_must_be_the_originator() {
    let mut world = world();
    let mut submission = world.submission(&header("XA", 1, "XB"), BodySource::AtHub);
    submission.peer = id("XC");
    let done = world.run(Command::AcceptSubmission(Box::new(submission)));
    assert_eq!((done.reply, done.changes), (Reply::Refused(RejectCode::OriginatorMismatch), vec![]));
}

#[test]
fn a_verification_under_an_old_entry_does_not_count() {
    let mut world = world();
    for stale in ["XA", "XB"] {
        let mut submission = world.submission(&header("XA", 1, "XB"), BodySource::AtHub);
        match stale {
            "XA" => submission.originator_entry = Digest([0; 32]),
            _ => submission.recipient_entry = Digest([0; 32]),
        }
        let done = world.run(Command::AcceptSubmission(Box::new(submission)));
        assert_eq!((done.reply, done.changes), (Reply::DirectoryChanged, vec![]));
    }
}

#[test]
fn the_body_is_asked_for_once_and_serves_all_recipients() {
    let mut world = world();
    let (first, second) = (header("XA", 1, "XB"), header("XA", 1, "XC"));
    let done = world.submit_with(&first, BodySource::AtHub);
    assert_eq!((done.reply, done.changes), (Reply::BodyWanted { drops: 0 }, vec![]));
    assert_eq!(world.submit(&first).reply, Reply::Accepted);
    assert_eq!(world.submit_with(&second, BodySource::AtHub).reply, Reply::Accepted);
    assert_eq!(query::waiting(&world.rows), Ok(Tally { envelopes: 2, bytes: 4112 }));
    assert_eq!(query::peer_row(&world.rows, id("XA")).unwrap().submitted, Tally { envelopes: 2, bytes: 4112 });
}

fn large(n: u8, to: &str) -> Header {
    Header { body_length: 200_000, ..header("XA", n, to) }
}

#[test]
fn a_body_that_was_deleted_since_its_upload_is_asked_for_again() {
    let mut world = world();
    let (first, second) = (large(1, "XB"), large(1, "XC"));
    let body = BodyName { originator: id("XA"), message: first.message, root: first.ciphertext_root };
    world.bodies.insert(body);
    assert_eq!(world.submit_with(&first, BodySource::Uploaded { drops: 0 }).reply, Reply::Accepted);
    world.consign(&first, 5);
    assert!(world.bodies.is_empty());
    // The second header was on its way with the same upload.
    let done = world.submit_with(&second, BodySource::Uploaded { drops: 0 });
    assert_eq!((done.reply, done.changes), (Reply::BodyWanted { drops: 1 }, vec![]));
    world.bodies.insert(body);
    assert_eq!(world.submit_with(&second, BodySource::Uploaded { drops: 1 }).reply, Reply::Accepted);
    assert_eq!(query::peer_row(&world.rows, id("XA")).unwrap().submitted, Tally { envelopes: 1, bytes: 200_000 });
}

#[test]
fn an_inline_body_of_another_length_is_refused() {
    let mut world = world();
    let done = world.submit_with(&header("XA", 1, "XB"), BodySource::Inline(Arc::from(vec![0; 4111])));
    assert_eq!((done.reply, done.changes), (Reply::Refused(RejectCode::BodyLengthMismatch), vec![]));
}

#[test]
fn a_higher_seal_supersedes_a_waiting_one_only() {
    let mut world = world();
    let first = header("XA", 1, "XB");
    let second = Header { seal: SealNumber(2), ..first.clone() };
    let third = Header { seal: SealNumber(3), ..first.clone() };
    world.submit(&first);
    let done = world.submit_with(&second, BodySource::AtHub);
    let r1 = hub_claim(&world, EvidenceKind::RelayAcceptance, &second, Outcome::Done);
    assert_eq!(done.changes, [accepted(&second), r1, Change::EnvelopeSuperseded(key(&first))]);
    assert_eq!(world.row(&first).unwrap().state, EnvelopeState::Ended(Ending::Superseded));
    world.offer("XB", &[key(&second)]);
    assert_eq!(world.submit_with(&third, BodySource::AtHub).changes.len(), 2, "what was offered stands");
    assert_eq!(world.row(&second).unwrap().state, EnvelopeState::Offered);
    // The first again is a duplicate; an unknown lower seal is late.
    assert!(matches!(world.submit(&first).reply, Reply::AcceptedBefore(_)));
    let late = Header { seal: SealNumber(1), recipient: id("XC"), ..first.clone() };
    world.submit(&Header { seal: SealNumber(2), ..late.clone() });
    assert_eq!(world.submit(&late).reply, Reply::Refused(RejectCode::SealSuperseded));
}

#[test]
fn an_envelope_has_so_many_seals_and_no_more() {
    let mut world = world();
    for seal in 1..=SEALS_MAX {
        let header = Header { seal: SealNumber(seal), ..header("XA", 1, "XB") };
        assert_eq!(world.submit(&header).reply, Reply::Accepted, "seal {seal}");
    }
    let one_more = Header { seal: SealNumber(SEALS_MAX + 1), ..header("XA", 1, "XB") };
    assert_eq!(world.submit(&one_more).reply, Reply::Refused(RejectCode::HeaderMalformed));
    let to_another = Header { seal: SealNumber(SEALS_MAX), ..header("XA", 1, "XC") };
    assert_eq!(world.submit(&to_another).reply, Reply::Accepted);
}

fn fill(world: &mut World, from: &str, to: &str, precedence: Precedence) -> (u8, Reply) {
    for n in 0..=200 {
        let reply = world.submit(&Header { precedence, ..header(from, n, to) }).reply;
        if reply != Reply::Accepted {
            return (n, reply);
        }
    }
    panic!("no limit");
}

#[test]
fn quotas_refuse_and_free_again() {
    let mut world = world();
    world.relay.quotas.originator_envelopes = 20;
    assert_eq!(fill(&mut world, "XA", "XB", Precedence::Routine), (20, Reply::Refused(RejectCode::QuotaExceeded)));
    world.recall(&header("XA", 3, "XB"));
    assert_eq!(world.submit(&header("XA", 200, "XB")).reply, Reply::Accepted);
    world.relay.quotas.originator_bytes = 4112 * 4;
    assert_eq!(fill(&mut world, "XC", "XB", Precedence::Routine), (4, Reply::Refused(RejectCode::QuotaExceeded)));
}

#[test]
fn a_full_mailbox_keeps_room_for_urgent_mail() {
    let mut world = world();
    world.relay.quotas.mailbox_envelopes = 20;
    assert_eq!(fill(&mut world, "XA", "XB", Precedence::Routine), (18, Reply::Refused(RejectCode::MailboxFull)));
    assert_eq!(fill(&mut world, "XC", "XB", Precedence::Urgent), (2, Reply::Refused(RejectCode::MailboxFull)));
    assert_eq!(world.submit(&header("XA", 201, "XC")).reply, Reply::Accepted, "another mailbox");
    world.relay.quotas.waiting_envelopes = 21;
    assert_eq!(world.submit(&header("XA", 202, "XC")).reply, Reply::Refused(RejectCode::StoreFull));
}

#[test]
fn eighty_recipients_share_one_body() {
    let mut world = world();
    let names: Vec<String> = (0..80).map(|n| format!("Y{n}")).collect();
    let members: Vec<_> = names.iter().map(|name| (name.as_str(), None)).chain([("XA", None)]).collect();
    world.admit_membership(2, &members);
    for name in &names {
        let stamp = world.stamp();
        world.run(Command::AdmitEntry(crate::core::command::AdmitEntry {
            participant: id(name),
            version: 0,
            bytes: super::world::entry_of(id(name)),
            follows: None,
            membership: sha256(b"membership 2"),
            actor: ncp_protocol::event::Actor::Daemon,
            stamp,
        }));
    }
    for name in &names {
        assert_eq!(world.submit(&header("XA", 1, name)).reply, Reply::Accepted);
    }
    assert_eq!(query::waiting(&world.rows), Ok(Tally { envelopes: 80, bytes: 4112 }));
    for name in &names {
        let done = world.consign(&header("XA", 1, name), 5);
        assert_eq!(done.changes.len(), if name == "Y79" { 2 } else { 1 });
    }
    assert_eq!(query::waiting(&world.rows), Ok(Tally::default()));
}
