use ncp_protocol::event::Change;
use ncp_protocol::ids::Digest;
use ncp_protocol::keys::sha256;
use ncp_protocol::reject::RejectCode;

use super::world::{empty, entry_of, header, id, key, world};
use crate::core::command::{Command, Effect, RecordPublicCheckpoint, Reply};
use crate::core::query;

#[test]
fn entries_follow_membership_and_one_another() {
    let mut world = empty();
    assert_eq!(world.admit_entry("XA", 0, None).reply, Reply::DirectoryChanged, "no membership yet");
    let done = world.admit_membership(1, &[("XA", None)]);
    let membership = sha256(b"membership 1");
    assert_eq!(done.changes, [Change::MembershipAdmitted { version: 1, membership }]);
    let first = sha256(&entry_of(id("XA")));
    let done = world.admit_entry("XA", 0, None);
    assert_eq!(done.changes, [Change::EntryAdmitted { participant: id("XA"), version: 0, entry: first }]);
    assert_eq!(done.effects, [Effect::PublishDirectory]);
    assert_eq!(world.admit_entry("XA", 0, None).changes, [], "the same again");
    assert_eq!(world.admit_entry("XA", 1, Some(Digest([0; 32]))).reply, Reply::DirectoryChanged);
    assert_eq!(world.admit_entry("XA", 1, Some(first)).changes.len(), 1);
    assert_eq!(world.admit_entry("XA", 0, None).reply, Reply::Refused(RejectCode::EntryVersionOld));
    let state = query::directory(&world.rows).unwrap();
    assert_eq!(state.entries.iter().map(|(who, row)| (*who, row.version)).collect::<Vec<_>>(), [(id("XA"), 1)]);
}

#[test]
fn membership_suspends_reinstates_and_leaves_out() {
    let mut world = world();
    let done = world.admit_membership(2, &[("XA", Some("key-stolen")), ("XB", None)]);
    let suspended =
        |who, reason: &str| Change::ParticipantSuspended { participant: id(who), reason: reason.parse().unwrap() };
    assert_eq!(done.changes[1..], [suspended("XA", "key-stolen"), suspended("XC", "not-a-member")]);
    assert_eq!(world.submit(&header("XA", 1, "XB")).reply, Reply::Refused(RejectCode::OriginatorSuspended));
    assert_eq!(world.submit(&header("XB", 1, "XC")).reply, Reply::Refused(RejectCode::RecipientSuspended));
    let done = world.admit_membership(3, &[("XA", None), ("XB", None)]);
    assert_eq!(done.changes[1..], [Change::ParticipantReinstated { participant: id("XA") }]);
    assert_eq!(world.submit(&header("XA", 1, "XB")).reply, Reply::Accepted);
    assert_eq!(world.admit_membership(2, &[]).reply, Reply::Refused(RejectCode::EntryVersionOld));
    assert_eq!(world.admit_membership(3, &[]).changes, [], "the same again");
}

#[test]
fn a_suspended_recipient_is_offered_nothing() {
    let mut world = world();
    let header = header("XA", 1, "XB");
    world.submit(&header);
    world.admit_membership(2, &[("XA", None), ("XB", Some("key-stolen")), ("XC", None)]);
    let done = world.offer("XB", &[key(&header)]);
    assert_eq!((done.reply, done.changes), (Reply::Offered(vec![]), vec![]));
}

#[test]
fn public_is_recorded_in_traffic_as_it_grows() {
    let mut world = world();
    let mut record = |size| {
        let stamp = world.stamp();
        let root = Digest([6; 32]);
        world.run(Command::RecordPublicCheckpoint(RecordPublicCheckpoint { size, root, stamp })).changes.len()
    };
    assert_eq!([record(4), record(4), record(3), record(5)], [1, 0, 0, 1]);
    assert_eq!(query::directory(&world.rows).unwrap().recorded, 5);
}
