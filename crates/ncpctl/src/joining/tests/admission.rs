//! Admitting a participant, and its standing afterwards: by fingerprint and by enough keys of the membership role.

use ncp_api::ErrorCode;
use ncp_protocol::directory::{Entry, SignedEntry, SignedMembership};
use ncp_protocol::keys::SigningKey;
use ncp_store::keyfiles::{self, KeyUse};

use super::*;
use crate::joining::admission::is_from_member;
use crate::joining::authority::parse_one;
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

#[test]
fn the_next_keys_of_a_member_need_no_fingerprint_and_a_wrong_one_is_still_refused() {
    let world = World::new();
    world.joined();
    let made = world.rotate("XA", Wish::default(), after(10)).expect("rotated").made;
    let request = world.path("next.json");
    Request::write(&request, &made).expect("written");
    assert!(is_from_member(&world.hub_folder(), &request, after(10)).expect("read"));
    let wrong = decision(Fingerprint(ncp_protocol::ids::Digest([1; 32])));
    let refused = admit(&world.hub_folder(), &request, &wrong, after(10)).expect_err("wrong");
    assert_eq!(refused.code, ErrorCode::FingerprintDiffers);
    let unasked = Decision { fingerprint: None, class: None, role_keys: Vec::new() };
    let admitted = admit(&world.hub_folder(), &request, &unasked, after(10)).expect("a member");
    assert!(!admitted.joined);
    assert_eq!(admitted.told().entries, made.entries.encode());
    assert_eq!(admitted.told().entries.len(), 2);
    assert_eq!(admitted.answer.entries.version(), 1);
    // Whoever is no member has to be asked.
    let other = world.node("XB", made.entries.network());
    let (request, before) = (world.request(&other), contents(&world.path("hub")));
    assert!(!is_from_member(&world.hub_folder(), &request, after(10)).expect("read"));
    let fault = admit(&world.hub_folder(), &request, &unasked, after(10)).expect_err("nobody compared it");
    assert_eq!(fault.code, ErrorCode::InputNeeded);
    assert_eq!(contents(&world.path("hub")), before);
}

#[test]
fn a_member_stays_what_it_is_unless_told_otherwise() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let made = world.node("SEC", network.root.network());
    let request = world.request(&made);
    let class = |class: Option<MembershipClass>| {
        let decision = Decision { fingerprint: Some(made.fingerprint()), class, role_keys: Vec::new() };
        admit(&world.hub_folder(), &request, &decision, NOW).expect("admitted").class()
    };
    assert_eq!(class(Some(MembershipClass::Secretariat)), MembershipClass::Secretariat);
    assert_eq!(class(None), MembershipClass::Secretariat);
    assert_eq!(class(Some(MembershipClass::Organisation)), MembershipClass::Organisation);
}

#[test]
fn a_history_that_does_not_verify_is_refused_before_anything_is_signed() {
    let world = World::new();
    world.joined();
    let made = world.rotate("XA", Wish::default(), after(10)).expect("rotated").made;
    let request = world.path("next.json");
    Request::write(&request, &made).expect("written");
    let mut wire: serde_json::Value = serde_json::from_slice(&fs::read(&request).expect("file")).expect("JSON");
    let before = contents(&world.path("hub"));
    let unasked = Decision { fingerprint: None, class: None, role_keys: Vec::new() };
    for keep in [[1, 1], [1, 0], [0, 0]] {
        let entries = keep.map(|at: usize| wire["entries"][at].clone());
        let mut changed = wire.clone();
        changed["entries"] = serde_json::json!(entries);
        fs::write(&request, changed.to_string()).expect("written");
        let fault = admit(&world.hub_folder(), &request, &unasked, after(10)).expect_err("no chain");
        assert_eq!(fault.code, ErrorCode::JoiningFileInvalid, "{keep:?}: {fault}");
    }
    // Signed by another than the holder of the version before.
    let stranger = world.try_node("second", "XA", made.entries.network()).expect("keys");
    let entry = Entry { previous: Some(made.entries.oldest().digest()), ..made.entries.newest().clone() };
    let key = keyfiles::read_key(&world.path("second/offline/identity.key"), KeyUse::Identity).expect("key");
    let forged = SignedEntry::sign(entry, &SigningKey::from_seed(&key)).expect("signed");
    assert_ne!(stranger.fingerprint(), made.fingerprint());
    let answer = serde_json::to_value(Base64(forged.encode())).expect("JSON");
    wire["entries"][1] = answer;
    fs::write(&request, wire.to_string()).expect("written");
    let fault = admit(&world.hub_folder(), &request, &unasked, after(10)).expect_err("forged");
    assert_eq!(fault.code, ErrorCode::JoiningFileInvalid, "{fault}");
    assert_eq!(contents(&world.path("hub")), before);
}

#[derive(serde::Serialize)]
struct Base64(#[serde(with = "ncp_api::text::base64")] Vec<u8>);

#[test]
fn a_certificate_is_renewed_below_sixty_days_and_not_before() {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let made = world.node("XA", network.root.network());
    let request = world.request(&made);
    let certificate = |now| {
        let admitted = admit(&world.hub_folder(), &request, &decision(made.fingerprint()), now).expect("admitted");
        admitted.answer.certificate
    };
    let first = certificate(NOW);
    assert_eq!(certificate(after(305)), first);
    let second = certificate(after(306));
    assert_ne!(second, first);
    assert_eq!(certificate(after(307)), second);
    let until = |pem: &str| parse_one(pem).expect("a certificate").until;
    assert!(until(&second) > after(670) && until(&first) < after(367));
    let names: Vec<String> = contents(&world.path("hub/authority/certificates"))
        .iter()
        .map(|(path, _)| path.file_name().expect("a name").to_string_lossy().into_owned())
        .filter(|name| name.starts_with("XA-"))
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.iter().any(|name| name.ends_with("-2.crt")), "{names:?}");
}
