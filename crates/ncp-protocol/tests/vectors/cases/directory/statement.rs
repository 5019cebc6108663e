//! Timestamps and memberships, signed by roles of the root.

use ncp_protocol::codes::Code;
use ncp_protocol::directory::{
    Fingerprint, Member, Membership, MembershipClass, SignedMembership, SignedTimestamp, Timestamp,
};
use ncp_protocol::ids::{Digest, UnixMillis};
use ncp_protocol::limits::DAY_MS;

use super::{hex_of, network, root_hex};
use crate::fixtures::{NETWORK, NOW, key, participant};
use crate::scenario::Scenario;

fn membership() -> Membership {
    let member = |name: &str, class, fill| Member {
        participant: participant(name),
        class,
        fingerprint: Fingerprint(Digest([fill; 32])),
        suspended: None,
    };
    Membership {
        network: network(),
        version: 7,
        issued: NOW,
        expires: NOW.plus_millis(60 * DAY_MS),
        members: vec![
            member("SEC", MembershipClass::Secretariat, 1),
            member("XA", MembershipClass::ParticipatingState, 2),
            member("XB", MembershipClass::MediterraneanPartner, 3),
        ],
    }
}

fn timestamp() -> Timestamp {
    Timestamp {
        network: network(),
        issued: NOW,
        expires: NOW.plus_millis(DAY_MS),
        membership_version: 7,
        membership_digest: SignedMembership::sign(membership(), &network(), &[]).expect("good").digest(),
        public_size: 40,
        public_root: Digest([0x40; 32]),
    }
}

pub(super) fn timestamps() -> Vec<Scenario> {
    let at = |name, expect, about, now: UnixMillis, offered: &Timestamp, by: &[u8]| {
        Scenario::new("timestamp", name, expect, about).with("now", now.0).block("root", root_hex()).bytes(hex_of(
            offered,
            &network(),
            by,
        ))
    };
    let after = |name, expect, about, offered: &Timestamp| {
        at(name, expect, about, NOW, offered, &[61]).block("seen", hex_of(&timestamp(), &network(), &[61]))
    };
    let newer = Timestamp { public_size: 41, public_root: Digest([0x41; 32]), ..timestamp() };
    let grace = NOW.plus_millis(2 * DAY_MS - 1);
    vec![
        at("fresh", "ok", "the first timestamp that is seen", NOW, &timestamp(), &[61]),
        at("grace", "ok", "expired, within its grace", grace, &timestamp(), &[61]),
        after("newer", "ok", "the log `public` grew", &newer),
        at("frozen", "frozen", "expired, and its grace is over", NOW.plus_millis(2 * DAY_MS), &timestamp(), &[61]),
        at("future", "future", "issued later than clocks may differ", UnixMillis(NOW.0 - 600_001), &timestamp(), &[61]),
        at(
            "root-expired",
            "root-expired",
            "the root of trust has expired",
            NOW.plus_millis(365 * DAY_MS),
            &timestamp(),
            &[61],
        ),
        at("stranger", "quorum.below-threshold", "signed by a key of another role", NOW, &timestamp(), &[51]),
        at(
            "other-network",
            "network",
            "the timestamp of another network",
            NOW,
            &Timestamp { network: NETWORK, ..timestamp() },
            &[61],
        ),
        at(
            "validity",
            "fault.validity",
            "valid for more than 24 hours",
            NOW,
            &Timestamp { expires: NOW.plus_millis(DAY_MS + 1), ..timestamp() },
            &[61],
        ),
        at(
            "first-too-far",
            "fast-forward",
            "a first timestamp with the largest numbers",
            NOW,
            &Timestamp { membership_version: u32::MAX, public_size: u64::MAX, ..timestamp() },
            &[61],
        ),
        after(
            "rolled-back-public",
            "rolled-back",
            "the log `public` shrank",
            &Timestamp { public_size: 39, ..timestamp() },
        ),
        after(
            "rolled-back-membership",
            "rolled-back",
            "an older membership",
            &Timestamp { membership_version: 6, ..timestamp() },
        ),
        after(
            "fast-forward",
            "fast-forward",
            "a membership version 10,001 ahead",
            &Timestamp { membership_version: 10_008, ..timestamp() },
        ),
        after(
            "split-public",
            "contradiction",
            "the same size with another root",
            &Timestamp { public_root: Digest([1; 32]), ..timestamp() },
        ),
        after(
            "split-membership",
            "contradiction",
            "the same membership version with another digest",
            &Timestamp { membership_digest: Digest([1; 32]), ..timestamp() },
        ),
    ]
}

pub(super) fn memberships() -> Vec<Scenario> {
    let at = |name, expect, about, now: UnixMillis, offered: &Membership, by: &[u8]| {
        let named = SignedTimestamp::sign(timestamp(), &network(), &[&key(61)]).expect("good");
        assert_eq!(named.unverified(), &timestamp());
        Scenario::new("membership", name, expect, about)
            .with("now", now.0)
            .block("root", root_hex())
            .block("timestamp", hex_of(&timestamp(), &network(), &[61]))
            .bytes(hex_of(offered, &network(), by))
    };
    let two = [51, 53].as_slice();
    let mut unsorted = membership();
    unsorted.members.reverse();
    let mut suspended = membership();
    suspended.members[1].suspended = Some("key-compromised".parse::<Code>().expect("a code"));
    let seen = Membership { version: 8, ..membership() };
    vec![
        at("named", "ok", "the membership that the timestamp names", NOW, &membership(), two),
        at("below-threshold", "quorum.below-threshold", "one of two signatures", NOW, &membership(), &[51]),
        at("key-twice", "quorum.key-twice", "one key counted twice", NOW, &membership(), &[51, 51]),
        at("stranger", "quorum.below-threshold", "the hub's key does not count", NOW, &membership(), &[51, 61]),
        at(
            "mixed",
            "mix-and-match",
            "a member suspended in another statement of the same version",
            NOW,
            &suspended,
            two,
        ),
        at("next", "mix-and-match", "a version that the timestamp does not name", NOW, &seen, two),
        at("expired", "expired", "no longer valid", NOW.plus_millis(60 * DAY_MS), &membership(), two),
        at("future", "future", "issued later than clocks may differ", UnixMillis(NOW.0 - 600_001), &membership(), two),
        at("rolled-back", "rolled-back", "older than one that was seen", NOW, &membership(), two)
            .block("seen", hex_of(&seen, &network(), two)),
        at(
            "other-network",
            "network",
            "the membership of another network",
            NOW,
            &Membership { network: NETWORK, ..membership() },
            two,
        ),
        at("members-unsorted", "fault.order", "members out of order", NOW, &unsorted, two),
        at("version-0", "fault.version", "version 0", NOW, &Membership { version: 0, ..membership() }, two),
        at(
            "validity",
            "fault.validity",
            "valid for more than 90 days",
            NOW,
            &Membership { expires: NOW.plus_millis(91 * DAY_MS), ..membership() },
            two,
        ),
    ]
}
