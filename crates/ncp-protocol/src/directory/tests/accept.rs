use super::super::accept::*;
use super::*;
use crate::event::{Actor, Change, Event};
use crate::limits::{CLOCK_SKEW_MAX_MS, PUBLIC_JUMP_MAX, VERSION_JUMP_MAX};
use crate::root::{NetworkClass, QuorumError, Role, Roles, RootOfTrust, SignedRoot, TrustedRoot};

const NOW: UnixMillis = UnixMillis(CREATED.0 + DAY_MS);

fn role(threshold: u16, numbers: core::ops::Range<u8>) -> Role {
    Role::new(threshold, numbers.map(|number| key(number).verifying_key()).collect())
}

fn trusted() -> TrustedRoot {
    let root = RootOfTrust {
        version: 1,
        class: NetworkClass::Test,
        created: CREATED,
        expires: CREATED.plus_millis(365 * DAY_MS),
        roles: Roles { root: role(1, 41..42), membership: role(2, 51..54), timestamp: role(1, 61..62) },
    };
    let network = root.network_id().unwrap();
    SignedRoot::sign(root, &network, &[&key(41)]).unwrap().verify_first().unwrap()
}

fn membership() -> Membership {
    let member = |name: &str, class, fill| Member {
        participant: name.parse().unwrap(),
        class,
        fingerprint: Fingerprint(Digest([fill; 32])),
        suspended: None,
    };
    Membership {
        network: trusted().network(),
        version: 7,
        issued: CREATED,
        expires: CREATED.plus_millis(60 * DAY_MS),
        members: vec![
            member("SEC", MembershipClass::Secretariat, 1),
            member("XA", MembershipClass::ParticipatingState, 2),
            member("XB", MembershipClass::ParticipatingState, 3),
        ],
    }
}

fn sign_membership(membership: Membership, numbers: &[u8]) -> SignedMembership {
    let keys: Vec<_> = numbers.iter().map(|&number| key(number)).collect();
    SignedMembership::sign(membership, &trusted().network(), &keys.iter().collect::<Vec<_>>()).unwrap()
}

fn timestamp() -> Timestamp {
    Timestamp {
        network: trusted().network(),
        issued: NOW,
        expires: NOW.plus_millis(DAY_MS),
        membership_version: 7,
        membership_digest: sign_membership(membership(), &[51, 52]).digest(),
        public_size: 40,
        public_root: Digest([40; 32]),
    }
}

fn sign_timestamp(timestamp: Timestamp, by: u8) -> SignedTimestamp {
    SignedTimestamp::sign(timestamp, &trusted().network(), &[&key(by)]).unwrap()
}

fn check_timestamp(seen: Option<Timestamp>, offered: Timestamp, expected: Result<(), TimestampRefusal>) {
    let accepted = accept_timestamp(&trusted(), seen.as_ref(), &sign_timestamp(offered, 61), NOW);
    assert_eq!(accepted, expected.map(|()| offered));
}

#[test]
fn statements_round_trip() {
    let membership = sign_membership(membership(), &[51, 52]);
    assert_eq!(SignedMembership::decode(&membership.encode()), Ok(membership.clone()));
    let timestamp = sign_timestamp(timestamp(), 61);
    assert_eq!(SignedTimestamp::decode(&timestamp.encode()), Ok(timestamp));
    assert!(membership.unverified().member("XA".parse().unwrap()).is_some());
    assert!(membership.unverified().member("XC".parse().unwrap()).is_none());
}

#[test]
fn statements_that_contradict_themselves_cannot_be_made() {
    let check = |membership: Membership, fault| {
        assert_eq!(SignedMembership::sign(membership, &NETWORK, &[]).err(), Some(fault));
    };
    check(Membership { version: 0, ..membership() }, MembershipFault::Version);
    check(Membership { expires: CREATED, ..membership() }, MembershipFault::Validity);
    check(Membership { expires: CREATED.plus_millis(91 * DAY_MS), ..membership() }, MembershipFault::Validity);
    let mut unsorted = membership();
    unsorted.members.reverse();
    check(unsorted, MembershipFault::Order);
    let many = vec![membership().members[0].clone(); 257];
    check(Membership { members: many, ..membership() }, MembershipFault::TooManyMembers);
    let long = Timestamp { expires: NOW.plus_millis(DAY_MS + 1), ..timestamp() };
    assert_eq!(SignedTimestamp::sign(long, &NETWORK, &[]).err(), Some(TimestampFault::Validity));
}

#[test]
fn newer_timestamp_is_believed_and_the_same_again() {
    check_timestamp(None, timestamp(), Ok(()));
    check_timestamp(Some(timestamp()), timestamp(), Ok(()));
    let newer = Timestamp {
        membership_version: 8,
        membership_digest: Digest([8; 32]),
        public_size: 41,
        public_root: Digest([41; 32]),
        ..timestamp()
    };
    check_timestamp(Some(timestamp()), newer, Ok(()));
}

#[test]
fn rollback_is_refused() {
    let refused = Err(TimestampRefusal::RolledBack);
    check_timestamp(
        Some(timestamp()),
        Timestamp { issued: UnixMillis(NOW.0 - 1), expires: NOW, ..timestamp() },
        refused,
    );
    check_timestamp(Some(timestamp()), Timestamp { membership_version: 6, ..timestamp() }, refused);
    check_timestamp(Some(timestamp()), Timestamp { public_size: 39, ..timestamp() }, refused);
}

#[test]
fn two_directories_of_one_number_are_refused() {
    let refused = Err(TimestampRefusal::Contradiction);
    check_timestamp(Some(timestamp()), Timestamp { public_root: Digest([1; 32]), ..timestamp() }, refused);
    check_timestamp(Some(timestamp()), Timestamp { membership_digest: Digest([1; 32]), ..timestamp() }, refused);
}

#[test]
fn freeze_is_refused_after_the_grace() {
    let signed = sign_timestamp(timestamp(), 61);
    let at = |now| accept_timestamp(&trusted(), None, &signed, now).err();
    assert_eq!(timestamp().freshness(UnixMillis(NOW.0 + DAY_MS - 1)), Freshness::Fresh);
    assert_eq!(timestamp().freshness(NOW.plus_millis(DAY_MS)), Freshness::Grace);
    assert_eq!(timestamp().freshness(NOW.plus_millis(2 * DAY_MS)), Freshness::Stale);
    assert_eq!(at(UnixMillis(NOW.0 + 2 * DAY_MS - 1)), None);
    assert_eq!(at(NOW.plus_millis(2 * DAY_MS)), Some(TimestampRefusal::Frozen));
    assert_eq!(at(UnixMillis(NOW.0 - CLOCK_SKEW_MAX_MS)), None);
    assert_eq!(at(UnixMillis(NOW.0 - CLOCK_SKEW_MAX_MS - 1)), Some(TimestampRefusal::Future));
    assert_eq!(at(CREATED.plus_millis(365 * DAY_MS)), Some(TimestampRefusal::RootExpired));
}

#[test]
fn fast_forward_is_bounded() {
    let ahead = |version, size| Timestamp {
        membership_version: 7 + version,
        membership_digest: Digest([9; 32]),
        public_size: 40 + size,
        ..timestamp()
    };
    check_timestamp(Some(timestamp()), ahead(VERSION_JUMP_MAX, PUBLIC_JUMP_MAX), Ok(()));
    check_timestamp(Some(timestamp()), ahead(VERSION_JUMP_MAX + 1, 1), Err(TimestampRefusal::FastForward));
    check_timestamp(Some(timestamp()), ahead(1, PUBLIC_JUMP_MAX + 1), Err(TimestampRefusal::FastForward));
    let last = Timestamp { membership_version: u32::MAX, public_size: u64::MAX, ..timestamp() };
    check_timestamp(None, last, Err(TimestampRefusal::FastForward));
}

#[test]
fn timestamp_of_a_stranger_or_another_network_is_refused() {
    let below = QuorumError::BelowThreshold { valid: 0, needed: 1 };
    let stranger = accept_timestamp(&trusted(), None, &sign_timestamp(timestamp(), 51), NOW);
    assert_eq!(stranger, Err(TimestampRefusal::Quorum(below)));
    check_timestamp(None, Timestamp { network: NETWORK, ..timestamp() }, Err(TimestampRefusal::Network));
    let elsewhere = SignedTimestamp::sign(timestamp(), &NETWORK, &[&key(61)]).unwrap();
    let refused = TimestampRefusal::Quorum(QuorumError::BadSignature);
    assert_eq!(accept_timestamp(&trusted(), None, &elsewhere, NOW), Err(refused));
}

fn check_membership(signed: &SignedMembership, seen: Option<&Membership>, expected: Result<(), MembershipRefusal>) {
    let accepted = accept_membership(&trusted(), &timestamp(), seen, signed, NOW);
    assert_eq!(accepted.map(|_| ()), expected);
}

#[test]
fn membership_needs_its_threshold_and_counts_a_key_once() {
    check_membership(&sign_membership(membership(), &[51, 53]), Some(&membership()), Ok(()));
    let quorum = |error| Err(MembershipRefusal::Quorum(error));
    let below = QuorumError::BelowThreshold { valid: 1, needed: 2 };
    check_membership(&sign_membership(membership(), &[51]), None, quorum(below));
    check_membership(&sign_membership(membership(), &[51, 61]), None, quorum(below));
    check_membership(&sign_membership(membership(), &[51, 51]), None, quorum(QuorumError::KeyTwice));
    let other = Membership { network: NETWORK, ..membership() };
    check_membership(&sign_membership(other, &[51, 52]), None, Err(MembershipRefusal::Network));
}

#[test]
fn mixed_and_old_memberships_are_refused() {
    let next = sign_membership(Membership { version: 8, ..membership() }, &[51, 52]);
    check_membership(&next, None, Err(MembershipRefusal::MixAndMatch));
    let mut other = membership();
    other.members.pop();
    check_membership(&sign_membership(other, &[51, 52]), None, Err(MembershipRefusal::MixAndMatch));
    let seen = Membership { version: 8, ..membership() };
    check_membership(&sign_membership(membership(), &[51, 52]), Some(&seen), Err(MembershipRefusal::RolledBack));
}

#[test]
fn membership_holds_for_its_time() {
    let signed = sign_membership(membership(), &[51, 52]);
    let at = |now| accept_membership(&trusted(), &timestamp(), None, &signed, now).err();
    assert_eq!(at(membership().expires), Some(MembershipRefusal::Expired));
    assert_eq!(at(UnixMillis(CREATED.0 - CLOCK_SKEW_MAX_MS - 1)), Some(MembershipRefusal::Future));
    assert_eq!(at(CREATED.plus_millis(365 * DAY_MS)), Some(MembershipRefusal::RootExpired));
}

fn public_event(change: Change) -> Vec<u8> {
    Event { log: LogName::Public, time: NOW, actor: Actor::Daemon, salt: [9; 16], change }.encode()
}

fn admission(entry: &SignedEntry) -> Vec<u8> {
    let Entry { participant, version, .. } = *entry.unverified();
    public_event(Change::EntryAdmitted { participant, version, entry: entry.digest() })
}

/// A network in which XA and its second entry are admitted; tests change one thing each.
struct World {
    first: SignedEntry,
    second: SignedEntry,
    membership: Membership,
    public: PublicReading,
    timestamp: Timestamp,
}

impl World {
    fn new() -> Self {
        let first = signed(Entry { network: trusted().network(), ..state() }, 1);
        let second = signed(after(&first, |_| {}), 1);
        let mut membership = membership();
        membership.members[1].fingerprint = Fingerprint(first.digest());
        let mut world = Self { first, second, membership, public: PublicReading::new(), timestamp: timestamp() };
        world.read(&[admission(&world.first), admission(&world.second)]);
        world
    }

    fn read(&mut self, leaves: &[Vec<u8>]) {
        for leaf in leaves {
            self.public.read(leaf).unwrap();
        }
        self.timestamp.public_size = self.public.size();
        self.timestamp.public_root = self.public.root();
    }

    fn pin(&self) -> Fingerprint {
        Fingerprint(self.first.digest())
    }

    fn accept(&self, chain: Option<&Chain>, signed: &SignedEntry) -> Result<Chain, EntryRefusal> {
        accept_entry(&self.case(chain, &self.pin()), signed)
    }

    fn case<'a>(&'a self, chain: Option<&'a Chain>, pin: &'a Fingerprint) -> EntryCase<'a> {
        EntryCase {
            timestamp: &self.timestamp,
            membership: &self.membership,
            public: &self.public,
            pin: Some(pin),
            chain,
            policy: NationalPolicy::Agrees,
            now: NOW,
        }
    }
}

#[test]
fn pinned_and_admitted_entries_are_accepted_in_order() {
    let world = World::new();
    let first = world.accept(None, &world.first).unwrap();
    assert_eq!(world.accept(Some(&first), &world.first).as_ref(), Ok(&first));
    let second = world.accept(Some(&first), &world.second).unwrap();
    assert_eq!(second.entry().version, 1);
    assert_eq!(world.accept(Some(&second), &world.first), Err(EntryRefusal::RolledBack { seen: 1, found: 0 }));
    let unchained = ChainError::Version { expected: 0, found: 1 };
    assert_eq!(world.accept(None, &world.second), Err(EntryRefusal::Chain(unchained)));
}

#[test]
fn entry_is_refused_without_pin_membership_or_policy() {
    let world = World::new();
    let pin = world.pin();
    let case = world.case(None, &pin);
    let check = |case: EntryCase<'_>, expected| assert_eq!(accept_entry(&case, &world.first), Err(expected));
    check(EntryCase { pin: None, ..case }, EntryRefusal::NotPinned);
    check(EntryCase { pin: Some(&Fingerprint(Digest([1; 32]))), ..case }, EntryRefusal::FingerprintDiffers);
    check(EntryCase { policy: NationalPolicy::Denies, ..case }, EntryRefusal::PolicyDenies);
    check(EntryCase { now: world.membership.expires, ..case }, EntryRefusal::MembershipExpired);
    check(EntryCase { now: NOW.plus_millis(2 * DAY_MS), ..case }, EntryRefusal::TimestampStale);
    let without = Membership { members: Vec::new(), ..world.membership.clone() };
    check(EntryCase { membership: &without, ..case }, EntryRefusal::NotAMember);
}

#[test]
fn key_that_the_hub_swaps_is_refused() {
    let mut world = World::new();
    // The hub signs an entry of its own for XA and admits it.
    let mut forged = world.first.unverified().clone();
    forged.keys.identity = key(66).verifying_key();
    let forged = signed(forged, 66);
    world.read(&[admission(&forged)]);
    assert_eq!(world.accept(None, &forged), Err(EntryRefusal::Chain(ChainError::Fingerprint)));
    assert_eq!(world.accept(None, &world.first), Err(EntryRefusal::AnotherAdmitted));
    let first = World::new().accept(None, &world.first).unwrap();
    let next = signed(after(&world.first, |entry| entry.keys.identity = key(66).verifying_key()), 66);
    world.read(&[admission(&next)]);
    assert_eq!(world.accept(Some(&first), &next), Err(EntryRefusal::Chain(ChainError::Signature)));
}

#[test]
fn entry_that_public_does_not_admit_is_refused() {
    let world = World::new();
    let first = world.accept(None, &world.first).unwrap();
    let second = world.accept(Some(&first), &world.second).unwrap();
    let third = signed(after(&world.second, |_| {}), 1);
    assert_eq!(world.accept(Some(&second), &third), Err(EntryRefusal::NotAdmitted));
    let mut behind = World::new();
    behind.timestamp.public_size += 1;
    assert_eq!(behind.accept(None, &behind.first), Err(EntryRefusal::PublicDiffers));
    let mut split = World::new();
    split.timestamp.public_root = Digest([1; 32]);
    assert_eq!(split.accept(None, &split.first), Err(EntryRefusal::PublicDiffers));
}

#[test]
fn suspension_closes_on_sight_and_ends_when_reinstated() {
    let reason: crate::codes::Code = "keys-compromised".parse().unwrap();
    let refused = Err(EntryRefusal::Suspended(reason.clone()));
    let mut world = World::new();
    world.membership.members[1].suspended = Some(reason.clone());
    assert_eq!(world.accept(None, &world.first), refused);

    let mut world = World::new();
    let participant = "XA".parse().unwrap();
    world.read(&[public_event(Change::ParticipantSuspended { participant, reason: reason.clone() })]);
    assert_eq!(world.public.suspended(participant), Some(&reason));
    assert_eq!(world.accept(None, &world.first), refused);
    world.read(&[public_event(Change::ParticipantReinstated { participant })]);
    assert!(world.accept(None, &world.first).is_ok());
}

#[test]
fn leaves_of_another_log_or_no_event_leave_the_reading_as_it_was() {
    let mut reading = PublicReading::new();
    let traffic = Event {
        log: LogName::Traffic,
        time: NOW,
        actor: Actor::Daemon,
        salt: [0; 16],
        change: Change::ParticipantReinstated { participant: "XA".parse().unwrap() },
    };
    assert_eq!(reading.read(&traffic.encode()), Err(PublicRefusal::Log));
    assert!(matches!(reading.read(b"no event"), Err(PublicRefusal::Event(_))));
    assert_eq!((reading.size(), reading.root()), (0, crate::merkle::EMPTY_ROOT));
}

#[test]
fn participant_sees_an_entry_that_it_did_not_sign() {
    let world = World::new();
    let ours = [world.first.digest()];
    let read = |leaf: &[u8]| Event::decode(leaf).unwrap();
    let (xa, xb) = ("XA".parse().unwrap(), "XB".parse().unwrap());
    assert_eq!(watch_self(xa, &ours, &read(&admission(&world.first))), SelfWatch::Ours);
    assert_eq!(watch_self(xa, &ours, &read(&admission(&world.second))), SelfWatch::Foreign);
    assert_eq!(watch_self(xb, &ours, &read(&admission(&world.second))), SelfWatch::Unrelated);
    let other = public_event(Change::ParticipantReinstated { participant: xa });
    assert_eq!(watch_self(xa, &ours, &read(&other)), SelfWatch::Unrelated);
}

#[test]
fn changed_statements_decode_to_themselves_or_not_at_all() {
    crate::sweep::decodes_to_itself_or_not_at_all(&sign_membership(membership(), &[51, 52]).encode(), |bytes| {
        SignedMembership::decode(bytes).ok().map(|signed| signed.encode())
    });
    crate::sweep::decodes_to_itself_or_not_at_all(&sign_timestamp(timestamp(), 61).encode(), |bytes| {
        SignedTimestamp::decode(bytes).ok().map(|signed| signed.encode())
    });
}
