use super::*;
use crate::codec::DecodeError;
use crate::keys::SigningKey;
use crate::limits::{DAY_MS, STATEMENT_SIGNATURES_MAX};

const CREATED: UnixMillis = UnixMillis(1_800_000_000_000);

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

fn role(threshold: u16, numbers: core::ops::Range<u8>) -> Role {
    Role::new(threshold, numbers.map(|number| key(number).verifying_key()).collect())
}

fn live() -> RootOfTrust {
    RootOfTrust {
        version: 1,
        class: NetworkClass::Live,
        created: CREATED,
        expires: CREATED.plus_millis(365 * DAY_MS),
        roles: Roles { root: role(3, 1..6), membership: role(2, 11..14), timestamp: role(1, 21..22) },
    }
}

fn sign(root: &RootOfTrust, network: &NetworkId, numbers: &[u8]) -> SignedRoot {
    let keys: Vec<_> = numbers.iter().map(|&number| key(number)).collect();
    SignedRoot::sign(root.clone(), network, &keys.iter().collect::<Vec<_>>()).unwrap()
}

fn first() -> TrustedRoot {
    let root = live();
    let network = root.network_id().unwrap();
    sign(&root, &network, &[1, 2, 3]).verify_first().unwrap()
}

fn second(network: &NetworkId, numbers: &[u8]) -> SignedRoot {
    let roles = Roles { root: role(3, 4..9), ..live().roles };
    sign(&RootOfTrust { version: 2, roles, ..live() }, network, numbers)
}

#[test]
fn first_version_makes_the_network_and_is_signed_by_itself() {
    let root = live();
    let network = root.network_id().unwrap();
    let signed = sign(&root, &network, &[1, 2, 3]);
    let trusted = signed.verify_first().unwrap();
    assert_eq!((trusted.network(), trusted.root()), (network, &root));
    assert_eq!(SignedRoot::decode(&signed.encode()), Ok(signed));
    assert!(!trusted.is_expired(UnixMillis(root.expires.0 - 1)) && trusted.is_expired(root.expires));
}

#[test]
fn signatures_below_the_threshold_of_strangers_or_of_another_network_do_not_count() {
    let root = live();
    let network = root.network_id().unwrap();
    let own = |error| Err(RootError::OwnQuorum(error));
    let check = |signed: SignedRoot, expected| assert_eq!(signed.verify_first(), expected);
    check(sign(&root, &network, &[1, 2]), own(QuorumError::BelowThreshold { valid: 2, needed: 3 }));
    check(sign(&root, &network, &[1, 2, 11, 99]), own(QuorumError::BelowThreshold { valid: 2, needed: 3 }));
    check(sign(&root, &network, &[1, 2, 2]), own(QuorumError::KeyTwice));
    let other = NetworkId(crate::ids::Digest([1; 32]));
    check(sign(&root, &other, &[1, 2, 3]), own(QuorumError::BadSignature));
}

#[test]
fn next_version_needs_the_old_and_the_new_keys() {
    let first = first();
    let network = first.network();
    let trusted = second(&network, &[1, 4, 5, 6]).verify_next(&first);
    assert_eq!(trusted.map(|root| (root.network(), root.root().version)), Ok((network, 2)));
    let below = QuorumError::BelowThreshold { valid: 2, needed: 3 };
    assert_eq!(second(&network, &[4, 5, 6, 7]).verify_next(&first), Err(RootError::OldQuorum(below)));
    assert_eq!(second(&network, &[1, 2, 3, 4, 5]).verify_next(&first), Err(RootError::OwnQuorum(below)));
}

#[test]
fn next_version_is_exactly_one_higher_and_keeps_its_class() {
    let first = first();
    let network = first.network();
    let check = |root: RootOfTrust, expected| {
        assert_eq!(sign(&root, &network, &[1, 2, 3]).verify_next(&first), Err(expected));
    };
    check(RootOfTrust { version: 3, ..live() }, RootError::Version { expected: 2, found: 3 });
    check(live(), RootError::Version { expected: 2, found: 1 });
    check(RootOfTrust { version: 2, class: NetworkClass::Test, ..live() }, RootError::Class);
    let earlier = UnixMillis(CREATED.0 - 1);
    check(RootOfTrust { version: 2, created: earlier, ..live() }, RootError::Created);
    let second = sign(&RootOfTrust { version: 2, ..live() }, &network, &[1, 2, 3]);
    assert_eq!(second.verify_first(), Err(RootError::Version { expected: 1, found: 2 }));
    assert_eq!(RootOfTrust { version: 2, ..live() }.network_id(), None);
}

#[test]
fn version_that_cannot_rise_ends_the_chain() {
    let mut last = first();
    last.root.version = u32::MAX;
    let signed = sign(&RootOfTrust { version: u32::MAX, ..live() }, &last.network(), &[1, 2, 3]);
    assert!(signed.verify_next(&last).is_err());
}

#[test]
fn live_networks_need_more_keys_than_test_networks() {
    let check = |roles: Roles, expected: Result<(), RootFault>| {
        assert_eq!(RootOfTrust { roles: roles.clone(), ..live() }.check(), expected);
        assert_eq!(RootOfTrust { roles, class: NetworkClass::Test, ..live() }.check(), Ok(()));
    };
    let (root, membership) =
        (|role| Roles { root: role, ..live().roles }, |role| Roles { membership: role, ..live().roles });
    check(root(role(3, 1..6)), Ok(()));
    check(root(role(2, 1..6)), Err(RootFault::TooFewKeys));
    check(root(role(3, 1..5)), Err(RootFault::TooFewKeys));
    check(root(role(3, 1..7)), Err(RootFault::TooFewKeys));
    check(root(role(4, 1..7)), Ok(()));
    check(membership(role(1, 11..14)), Err(RootFault::TooFewKeys));
    check(membership(role(2, 11..13)), Err(RootFault::TooFewKeys));
    let single = Roles { root: role(1, 1..2), membership: role(1, 2..3), timestamp: role(1, 3..4) };
    check(single, Err(RootFault::TooFewKeys));
}

#[test]
fn roots_that_contradict_themselves_cannot_be_made_or_read() {
    let check = |root: RootOfTrust, fault: RootFault| {
        assert_eq!(root.check(), Err(fault));
        let bytes = crate::codec::encode(&(serde_bytes::Bytes::new(&root.encode()), Vec::<RoleSignature>::new()));
        let bytes = [RootOfTrust::SIGNED_PREFIX.to_bytes().as_slice(), &bytes].concat();
        assert_eq!(SignedRoot::decode(&bytes), Err(StatementError::Fault(fault)));
    };
    check(RootOfTrust { version: 0, ..live() }, RootFault::Version);
    check(RootOfTrust { expires: CREATED, ..live() }, RootFault::Validity);
    check(RootOfTrust { expires: CREATED.plus_millis(367 * DAY_MS), ..live() }, RootFault::Validity);
    let with_root = |role| RootOfTrust { roles: Roles { root: role, ..live().roles }, ..live() };
    check(with_root(role(0, 1..6)), RootFault::Role(RoleFault::Threshold));
    check(with_root(role(6, 1..6)), RootFault::Role(RoleFault::Threshold));
    check(with_root(role(14, 1..22)), RootFault::Role(RoleFault::TooManyKeys));
    let mut unsorted = role(3, 1..6);
    unsorted.keys.reverse();
    check(with_root(unsorted), RootFault::Role(RoleFault::Order));
    let mut twice = role(3, 1..6);
    twice.keys[1] = twice.keys[0];
    check(with_root(twice), RootFault::Role(RoleFault::Order));
    check(with_root(role(3, 7..12)), RootFault::SharedKey);
}

#[test]
fn endless_signatures_are_refused() {
    let network = live().network_id().unwrap();
    let mut signed = sign(&live(), &network, &[1]);
    let one = signed.signatures()[0];
    for _ in 0..STATEMENT_SIGNATURES_MAX {
        signed = signed.with_signature(one);
    }
    assert_eq!(SignedRoot::decode(&signed.encode()), Err(StatementError::TooManySignatures));
    let long = vec![0; ROOT_MAX + 1];
    assert_eq!(SignedRoot::decode(&long), Err(StatementError::Decode(DecodeError::TooLong)));
}

#[test]
fn no_changed_bit_is_trusted() {
    let network = live().network_id().unwrap();
    let good = sign(&live(), &network, &[1, 2, 3]).encode();
    for position in 0..good.len() {
        let mut bad = good.clone();
        bad[position] ^= 1 << (position % 8);
        assert!(SignedRoot::decode(&bad).ok().and_then(|root| root.verify_first().ok()).is_none(), "byte {position}");
    }
}

#[test]
fn changed_root_decodes_to_itself_or_not_at_all() {
    let network = live().network_id().unwrap();
    crate::sweep::decodes_to_itself_or_not_at_all(&sign(&live(), &network, &[1, 2, 3]).encode(), |bytes| {
        SignedRoot::decode(bytes).ok().map(|signed| signed.encode())
    });
}
