//! `hub renew`: what is due is made and the rest left alone, also after it has ended, with the keys at hand.

use ncp_api::ErrorCode;
use ncp_protocol::limits::{MEMBERSHIP_LIFETIME_MAX_MS, ROOT_LIFETIME_MAX_MS};
use ncp_protocol::root::SignedRoot;

use super::*;
use crate::joining::authority::{Subject, check_certificate, parse_one};
use crate::joining::hub::change_standing;
use crate::joining::renewal::{Outcome, Renew, Renewed, renew};

fn renewed(world: &World, now: UnixMillis) -> Result<Renewed, Fault> {
    renew(&world.hub_folder(), &[], Renew::WhatIsDue, now)
}

/// What became of root, membership and certificate.
fn outcomes(renewed: &Renewed) -> [&Outcome; 3] {
    [&renewed.root_outcome, &renewed.membership_outcome, &renewed.certificate_outcome]
}

const STANDS: &Outcome = &Outcome::Stands;
const RENEWED: &Outcome = &Outcome::Renewed;

#[test]
fn nothing_is_made_while_all_of_it_lasts() {
    let world = World::new();
    world.joined();
    let before = contents(&world.path("hub"));
    let found = renewed(&world, after(30)).expect("nothing due");
    assert_eq!(outcomes(&found), [STANDS; 3]);
    assert!(!found.made_something());
    assert_eq!(contents(&world.path("hub")), before);
    // The relay is told what it knows already.
    assert_eq!((found.told().entries.len(), found.told().roots.len()), (1, 0));
}

#[test]
fn a_membership_goes_on_with_all_members_as_they_are() {
    let world = World::new();
    world.joined();
    let reason = Some("key-compromise".parse().expect("a code"));
    let suspended = change_standing(&world.hub_folder(), id("XA"), reason, &[], NOW).expect("suspended");
    let found = renewed(&world, after(31)).expect("renewed");
    assert_eq!(outcomes(&found), [STANDS, RENEWED, STANDS]);
    let (old, new) = (suspended.unverified(), found.membership.unverified());
    assert_eq!((new.version, new.issued), (old.version + 1, after(31)));
    assert_eq!(new.expires, after(31).plus_millis(MEMBERSHIP_LIFETIME_MAX_MS));
    assert_eq!(new.members, old.members);
    let before = contents(&world.path("hub"));
    assert_eq!(renewed(&world, after(31)).expect("found").membership, found.membership);
    assert_eq!(contents(&world.path("hub")), before);
}

#[test]
fn the_next_root_follows_the_one_before_and_is_the_relays_to_write() {
    let world = World::new();
    let network = world.joined();
    let found = renewed(&world, after(187)).expect("renewed");
    assert_eq!(outcomes(&found), [RENEWED, RENEWED, STANDS]);
    let bytes = fs::read(world.path("hub/authority/network/root-2")).expect("kept");
    let signed = SignedRoot::decode(&bytes).expect("a root");
    let trusted = signed.verify_next(&network.root.newest).expect("follows");
    let (old, new) = (network.root.newest.root(), trusted.root());
    assert_eq!((&new.roles, new.created), (&old.roles, after(187)));
    assert_eq!(new.expires, after(187).plus_millis(ROOT_LIFETIME_MAX_MS));
    assert_eq!(found.told().roots, [bytes]);
    // `hub init` again neither undoes it nor runs ahead of the relay.
    make_network(&world.plan(NetworkClass::Test)).expect("again");
    assert!(!world.path("hub/data/network/root-2").exists());
    let before = contents(&world.path("hub"));
    assert_eq!(outcomes(&renewed(&world, after(187)).expect("found")), [STANDS; 3]);
    assert_eq!(contents(&world.path("hub")), before);
}

#[test]
fn the_hubs_certificate_gets_the_next_number_over_the_same_key() {
    let world = World::new();
    let network = world.joined();
    let certificate = |name: &str| fs::read_to_string(world.path("hub/data/network").join(name));
    renewed(&world, after(305)).expect("the others");
    assert!(certificate("tls-2.crt").is_err(), "60 days and a half are left");
    let found = renewed(&world, after(306)).expect("renewed");
    assert_eq!(found.certificate_outcome, Outcome::Renewed);
    let (first, second) = (certificate("tls.crt").expect("first"), certificate("tls-2.crt").expect("second"));
    let authority = certificate("ca.crt").expect("authority");
    let subject =
        Subject { network: network.root.network(), class: NetworkClass::Test, participant: ParticipantId::HUB };
    let parsed = check_certificate(&second, &authority, &subject, after(366)).expect("serves on");
    assert_eq!(parsed.key, parse_one(&first).expect("a certificate").key);
    assert_eq!(parsed.until, found.certificate_until);
    let before = contents(&world.path("hub"));
    assert_eq!(renewed(&world, after(306)).expect("found").certificate_outcome, Outcome::Stands);
    make_network(&world.plan(NetworkClass::Test)).expect("again");
    assert_eq!(contents(&world.path("hub")), before);
}

/// A crash after the authority's file leaves a certificate that the next call puts in place.
#[test]
fn a_certificate_that_was_only_issued_is_put_in_place_by_the_next_call() {
    let world = World::new();
    world.joined();
    renewed(&world, after(310)).expect("renewed");
    let whole = contents(&world.path("hub"));
    fs::remove_file(world.path("hub/data/network/tls-2.crt")).expect("not there yet");
    assert_eq!(renewed(&world, after(311)).expect("finished").certificate_outcome, Outcome::Renewed);
    assert_eq!(contents(&world.path("hub")), whole);
}

#[test]
fn a_network_that_has_ended_goes_on() {
    let world = World::new();
    world.joined();
    let late = after(400);
    let made = world.rotate("XA", Wish::default(), late).expect("rotated").made;
    assert_eq!(world.renewal(&made, late).expect_err("the root has expired").code, ErrorCode::KeyExpired);
    let found = renewed(&world, late).expect("renewed");
    assert_eq!(outcomes(&found), [RENEWED; 3]);
    let answer = world.renewal(&made, late).expect("admitted");
    assert_eq!(install(&answer, &world.path("XA"), None, late).expect("installed"), Installed::Renewed);
    assert!(world.path("XA/network/root-2").exists() && world.path("XA/network/tls-2.crt").exists());
}

#[test]
fn all_of_it_is_renewed_on_request() {
    let world = World::new();
    world.joined();
    for version in 2..=3 {
        let found = renew(&world.hub_folder(), &[], Renew::Everything, after(version)).expect("renewed");
        assert_eq!(outcomes(&found), [RENEWED; 3]);
        assert_eq!(u64::from(found.root.newest.root().version), version);
        assert_eq!(u64::from(found.membership.unverified().version), version + 1);
        assert!(world.path(&format!("hub/data/network/tls-{version}.crt")).exists());
    }
}

/// The keepers of the root keys are hard to bring together: the rest does not wait for them.
#[test]
fn root_keys_that_are_elsewhere_hold_up_nothing_else_before_the_root_ends() {
    let world = World::new();
    world.network(NetworkClass::Live);
    let carry = |name: &str| {
        let away = world.path(name);
        fs::rename(world.path("hub/offline").join(name), &away).expect("carried away");
        away
    };
    let root_keys: Vec<PathBuf> = (1..=5).map(|number| carry(&format!("root-{number}.key"))).collect();
    let found = renewed(&world, after(200)).expect("the membership");
    assert!(matches!(&found.root_outcome, Outcome::Lacking(fault) if fault.code == ErrorCode::RoleKeysMissing));
    assert_eq!(found.membership_outcome, Outcome::Renewed);
    // The statement ends with the root; another one would not last longer, so none is made.
    let bounded = renewed(&world, after(340)).expect("the membership").membership;
    assert_eq!(bounded.unverified().expires, after(366));
    assert_eq!(renewed(&world, after(345)).expect("nothing to gain").membership, bounded);
    assert_eq!(renewed(&world, after(366)).expect_err("the root has ended").code, ErrorCode::RoleKeysMissing);
    // Keys of both roles come from wherever they lie.
    let membership_keys: Vec<PathBuf> = (1..=3).map(|number| carry(&format!("membership-{number}.key"))).collect();
    let with = |keys: &[&PathBuf]| {
        let keys: Vec<PathBuf> = keys.iter().map(|path| (*path).clone()).collect();
        renew(&world.hub_folder(), &keys, Renew::WhatIsDue, after(366))
    };
    let [r1, r2, r3, ..] = root_keys.as_slice() else { panic!("five keys") };
    let [m1, m2, ..] = membership_keys.as_slice() else { panic!("three keys") };
    assert_eq!(with(&[r1, r2, m1, m2]).expect_err("two of three").code, ErrorCode::RoleKeysMissing);
    let foreign = world.path("hub/offline/identity.key");
    assert_eq!(with(&[r1, r2, r3, m1, &foreign]).expect_err("no role key").code, ErrorCode::KeyFileDamaged);
    let found = with(&[r1, r2, r3, m1, m2]).expect("renewed");
    assert_eq!(outcomes(&found), [RENEWED, RENEWED, STANDS]);
}
