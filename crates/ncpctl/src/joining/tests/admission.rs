//! Admitting a participant, and its standing afterwards: by fingerprint and by enough keys of the membership role.

use ncp_api::ErrorCode;
use ncp_protocol::directory::SignedMembership;
use ncp_protocol::limits::DAY_MS;

use super::*;
use crate::joining::hub::change_standing;

#[test]
fn admission_needs_the_fingerprint_that_was_read_out() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let made = world.node("XA", network.root.network());
    let request = world.request(&made);
    let before = contents(&world.path("hub"));
    let wrong = Fingerprint(ncp_protocol::ids::Digest([1; 32]));
    assert_eq!(world.admit(&request, wrong).expect_err("wrong").code, ErrorCode::FingerprintDiffers);
    assert_eq!(contents(&world.path("hub")), before);
}

#[test]
fn admission_is_repeatable() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let made = world.node("XA", network.root.network());
    let request = world.request(&made);
    let first = world.admit(&request, made.fingerprint()).expect("admitted");
    let before = contents(&world.path("hub"));
    let again = world.admit(&request, made.fingerprint()).expect("again");
    assert_eq!(contents(&world.path("hub")), before);
    assert_eq!(again.answer.certificate, first.answer.certificate);
    assert_eq!(again.answer.membership, first.answer.membership);
    assert_eq!(first.answer.membership.unverified().version, 2);
    // A month later the statement is renewed.
    let later = admit(&world.hub_folder(), &request, &decision(made.fingerprint()), NOW.plus_millis(31 * DAY_MS));
    assert_eq!(later.expect("renewed").answer.membership.unverified().version, 3);
}

#[test]
fn a_member_with_other_keys_is_not_taken_in_again() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    world.answer(&network);
    let second = world.try_node("second", "XA", network.root.network()).expect("keys");
    let path = world.path("second.json");
    Request::write(&path, &second).expect("written");
    assert_eq!(world.admit(&path, second.fingerprint()).expect_err("known").code, ErrorCode::FingerprintDiffers);
}

#[test]
fn membership_needs_its_threshold_of_keys_wherever_they_lie() {
    let world = World::new();
    let network = world.network(NetworkClass::Live);
    let made = world.node("XA", network.root.network());
    let request = world.request(&made);
    let offline = world.path("hub/offline");
    for number in 1..=2 {
        let name = format!("membership-{number}.key");
        fs::rename(offline.join(&name), world.path(&name)).expect("carried away");
    }
    let refused = world.admit(&request, made.fingerprint()).expect_err("one of three");
    assert_eq!(refused.code, ErrorCode::RoleKeysMissing);
    let with = |keys: &[&str]| {
        let role_keys = keys.iter().map(|name| world.path(name)).collect();
        let decision = Decision { role_keys, ..decision(made.fingerprint()) };
        admit(&world.hub_folder(), &request, &decision, NOW).map(|_| ()).map_err(|fault| fault.code)
    };
    fs::rename(offline.join("membership-3.key"), world.path("membership-3.key")).expect("carried away");
    // One key twice is one key; a key of another role is none.
    assert_eq!(with(&["membership-1.key", "membership-1.key"]), Err(ErrorCode::RoleKeysMissing));
    assert_eq!(with(&["membership-1.key", "hub/offline/root-1.key"]), Err(ErrorCode::KeyFileDamaged));
    assert_eq!(with(&["membership-1.key", "none.key"]), Err(ErrorCode::KeyFileMissing));
    assert_eq!(with(&["membership-1.key", "membership-2.key"]), Ok(()));
}

#[test]
fn a_member_is_suspended_and_reinstated_by_the_membership_role() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    world.answer(&network);
    let change = |participant: &str, reason: Option<&str>| {
        let reason = reason.map(|code| code.parse().expect("a code"));
        change_standing(&world.hub_folder(), id(participant), reason, &[], NOW)
    };
    let standing = |signed: &SignedMembership| {
        let member = signed.unverified().member(id("XA")).expect("a member").clone();
        (signed.unverified().version, member.suspended.map(|reason| reason.to_string()))
    };
    let suspended = change("XA", Some("key-compromise")).expect("signed");
    assert_eq!(standing(&suspended), (3, Some("key-compromise".to_owned())));
    let before = contents(&world.path("hub"));
    assert_eq!(change("XA", Some("key-compromise")).expect("the same again"), suspended);
    assert_eq!(contents(&world.path("hub")), before);
    // Who is admitted again meanwhile stays suspended.
    let made = world.node("XA", network.root.network());
    let later = admit(
        &world.hub_folder(),
        &world.path("XA-request.json"),
        &decision(made.fingerprint()),
        NOW.plus_millis(31 * DAY_MS),
    );
    let renewed = later.expect("renewed").answer.membership;
    assert_eq!(standing(&renewed), (4, Some("key-compromise".to_owned())));
    assert_eq!(standing(&change("XA", None).expect("signed")), (5, None));
    assert_eq!(change("XB", None).expect_err("nobody").code, ErrorCode::NotMember);
}
