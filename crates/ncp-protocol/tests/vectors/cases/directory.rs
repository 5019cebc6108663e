//! The directory: root of trust, membership, timestamp, entries and their chain.

use ncp_protocol::codes::Code;
use ncp_protocol::directory::{
    Entry, EntryKeys, Fingerprint, Member, Membership, MembershipClass, SignedEntry, SignedMembership, SignedTimestamp,
    Timestamp, ValidKey,
};
use ncp_protocol::ids::{Digest, Epoch, KeyId, LogName, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::keys::Purpose;
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::root::{NetworkClass, Role, RoleSignature, Roles, RootOfTrust, Statement};

use crate::annotate::Hex;
use crate::fixtures::{NETWORK, NOW, OTHER_NETWORK, entry, hub_entry, key, log_key, participant};
use crate::scenario::Scenario;

pub(super) fn all() -> Vec<Scenario> {
    [entries(), entry_rules(), chains(), roots(), next_roots(), timestamps(), memberships()]
        .into_iter()
        .flatten()
        .collect()
}

/// A signed entry, field by field; `entry` may break a rule.
fn hex_of_entry(entry: &Entry, by: u8) -> Hex {
    let inner = Hex::prefixed(b'D', entry);
    let signature = key(by).sign(Purpose::DirectoryEntry, &entry.network, &inner.bytes());
    Hex::raw("prefix of the signed entry", b"NCPd\x01\0\0\0".to_vec()).then(inner.nested("entry")).and(
        "signature",
        "",
        signature.0.to_vec(),
    )
}

fn entries() -> Vec<Scenario> {
    let make = |name, expect, about, hex| Scenario::new("entry", name, expect, about).bytes(hex);
    let good = || hex_of_entry(&entry(), 1);
    let mut weak = [0; 32];
    weak[0] = 1;
    let kem = "keys.sealing.0.public";
    let unreduced = || {
        let mut bytes = entry().keys.sealing[0].public.to_bytes().to_vec();
        bytes[..3].copy_from_slice(&[0xff; 3]);
        bytes
    };
    vec![
        make("state", "ok", "the first entry of a State", good()),
        make("hub", "ok", "the first entry of the hub", hex_of_entry(&hub_entry(), 1)),
        make("truncated", "decode.malformed", "the signature lacks its last byte", good().cut()),
        make("trailing", "decode.malformed", "a byte follows the signature", good().trailing()),
        make(
            "inner-prefix",
            "decode.prefix",
            "the signed bytes are of another kind",
            good().set("prefix", *b"NCPH\x01\0\0\0"),
        ),
        make(
            "next-layout",
            "decode.version",
            "the signed bytes have a layout that this version does not know",
            good().set("prefix", *b"NCPD\x02\0\0\0"),
        ),
        make(
            "weak-key",
            "decode.malformed",
            "an identity key for which anyone can sign",
            good().set("keys.identity", weak),
        ),
        make(
            "no-point",
            "decode.malformed",
            "an identity key that is no point of the curve",
            good().set("keys.identity", [2; 32]),
        ),
        make(
            "unreduced-key",
            "decode.malformed",
            "an ML-KEM key with a coefficient that is not reduced",
            good().set(kem, unreduced()),
        ),
        make("too-long", "decode.too-long", "longer than any entry", Hex::raw("zeros", vec![0; (16 << 10) + 1])),
    ]
}

fn entry_rules() -> Vec<Scenario> {
    let make =
        |name, expect, about, entry: Entry| Scenario::new("entry", name, expect, about).bytes(hex_of_entry(&entry, 1));
    let keys = |change: fn(&mut EntryKeys)| {
        let mut changed = entry();
        change(&mut changed.keys);
        changed
    };
    let later = Entry { version: 1, ..entry() };
    let earlier = Entry { previous: Some(Digest([1; 32])), ..entry() };
    vec![
        make("version-without-previous", "fault.previous", "version 1 names no entry before it", later),
        make("first-with-previous", "fault.previous", "version 0 names an entry before it", earlier),
        make("suite-floor", "fault.suite-floor", "suite floor 0", Entry { suite_floor: 0, ..entry() }),
        make(
            "hub-with-sealing-key",
            "fault.part",
            "the hub with a signing and a sealing key",
            Entry { participant: ParticipantId::HUB, ..entry() },
        ),
        make("no-signing-key", "fault.part", "a State without signing key", keys(|keys| keys.signing = None)),
        make("no-sealing-key", "fault.part", "a State without sealing key", keys(|keys| keys.sealing.clear())),
        make(
            "timestamp-key",
            "fault.part",
            "a State with a timestamp key",
            keys(|keys| keys.timestamp = Some(key(16).verifying_key())),
        ),
        make(
            "never-valid",
            "fault.validity",
            "a signing key that is never valid",
            keys(|keys| {
                keys.signing = Some(ValidKey { key: key(3).verifying_key(), from: NOW, until: NOW });
            }),
        ),
        make(
            "seals-too-long",
            "fault.sealing-times",
            "a sealing key that seals for 91 days",
            keys(|keys| {
                keys.sealing[0].seal_until = NOW.plus_millis(91 * DAY_MS);
            }),
        ),
        make(
            "opens-too-short",
            "fault.sealing-times",
            "a sealing key that is destroyed before waiting mail expires",
            keys(|keys| {
                keys.sealing[0].open_until = keys.sealing[0].seal_until.plus_millis(31 * DAY_MS);
            }),
        ),
        make("no-log", "fault.logs", "a State without log key", keys(|keys| keys.logs.clear())),
        make(
            "foreign-log",
            "fault.logs",
            "a State that keeps the log `public`",
            keys(|keys| keys.logs.push(log_key(LogName::Public, 1, 6))),
        ),
        make(
            "log-epoch-twice",
            "fault.order",
            "two keys for one epoch of a log",
            keys(|keys| keys.logs.push(log_key(LogName::Node, 1, 6))),
        ),
        make("no-pin", "fault.count", "no TLS pin", keys(|keys| keys.tls.clear())),
        make(
            "three-pins",
            "fault.count",
            "three TLS pins",
            keys(|keys| keys.tls = (1..4).map(|n| KeyId(Digest([n; 32]))).collect()),
        ),
        make(
            "pins-unsorted",
            "fault.order",
            "TLS pins out of order",
            keys(|keys| keys.tls = vec![KeyId(Digest([2; 32])), KeyId(Digest([1; 32]))]),
        ),
        make(
            "key-shared",
            "fault.shared-key",
            "the witness key is the identity key",
            keys(|keys| keys.witness = keys.identity),
        ),
    ]
}

fn sign_entry(entry: Entry, by: u8) -> SignedEntry {
    SignedEntry::sign(entry, &key(by)).expect("a good entry")
}

fn chains() -> Vec<Scenario> {
    let first = sign_entry(entry(), 1);
    let pin = Fingerprint(first.digest());
    let make = |name, expect, about, by: u8, change: fn(&mut Entry)| {
        let mut next = entry();
        next.version = 1;
        next.previous = Some(sign_entry(entry(), 1).digest());
        next.created = NOW.plus_millis(DAY_MS);
        change(&mut next);
        Scenario::new("chain", name, expect, about)
            .with("network", NETWORK)
            .with("pin", pin)
            .block("before", hex_of_entry(&entry(), 1))
            .bytes(hex_of_entry(&next, by))
    };
    let begin = |name, expect, about, pin: Fingerprint, entry: &Entry, by: u8| {
        let scenario = Scenario::new("chain", name, expect, about).with("network", NETWORK).with("pin", pin);
        scenario.bytes(hex_of_entry(entry, by))
    };
    let pinned = |entry: &Entry, by| Fingerprint(sign_entry(entry.clone(), by).digest());
    let elsewhere = Entry { network: OTHER_NETWORK, ..entry() };
    vec![
        begin("first", "ok", "the pinned first entry", pin, &entry(), 1),
        begin(
            "other-fingerprint",
            "fingerprint",
            "not the entry that people compared",
            Fingerprint(Digest([1; 32])),
            &entry(),
            1,
        ),
        begin(
            "self-signature",
            "signature",
            "a first entry that its identity key did not sign",
            pinned(&entry(), 9),
            &entry(),
            9,
        ),
        begin("other-network", "network", "an entry of another network", pinned(&elsewhere, 1), &elsewhere, 1),
        make("next", "ok", "a new signing key, signed by the identity key", 1, |next| {
            next.keys.signing =
                Some(ValidKey { key: key(33).verifying_key(), from: NOW, until: NOW.plus_millis(DAY_MS) });
        }),
        make("recovery", "ok", "a new identity key, signed by the recovery key", 2, |next| {
            next.keys.identity = key(31).verifying_key()
        }),
        make("swapped-key", "signature", "an identity key that signs for itself", 66, |next| {
            next.keys.identity = key(66).verifying_key()
        }),
        make("recovery-keeps-identity", "identity-kept", "the recovery key signs, and replaces nothing", 2, |_| {}),
        make("recovery-key-changed", "recovery", "the recovery key is exchanged", 1, |next| {
            next.keys.recovery = key(32).verifying_key()
        }),
        make("version-skipped", "version", "version 2 after version 0", 1, |next| next.version = 2),
        make("previous", "previous", "another entry stands before it", 1, |next| next.previous = Some(Digest([1; 32]))),
        make("other-participant", "participant", "the entry of another participant", 1, |next| {
            next.participant = participant("XB")
        }),
        make("older", "created", "made before the entry before it", 1, |next| next.created = UnixMillis(NOW.0 - 1)),
        make("log-key-changed", "logs", "the log key of a past epoch is exchanged", 1, |next| {
            next.keys.logs = vec![log_key(LogName::Node, 1, 34)]
        }),
        make("log-key-gone", "logs", "the log key of a past epoch is gone", 1, |next| {
            next.keys.logs[0].epoch = Epoch(2)
        }),
    ]
}

fn role(threshold: u16, numbers: core::ops::Range<u8>) -> Role {
    Role::new(threshold, numbers.map(|number| key(number).verifying_key()).collect())
}

/// Root keys 41 to 45, membership 51 to 53, timestamp 61.
fn root() -> RootOfTrust {
    RootOfTrust {
        version: 1,
        class: NetworkClass::Live,
        created: NOW,
        expires: NOW.plus_millis(365 * DAY_MS),
        roles: Roles { root: role(3, 41..46), membership: role(2, 51..54), timestamp: role(1, 61..62) },
    }
}

fn network() -> NetworkId {
    root().network_id().expect("version 1")
}

/// A signed statement, field by field; the statement may break a rule.
fn hex_of<S: Statement>(statement: &S, network: &NetworkId, by: &[u8]) -> Hex {
    let kind = S::PREFIX.kind;
    let inner = Hex::prefixed(kind, statement);
    let sign = |number: &u8| RoleSignature {
        key: key(*number).verifying_key().id(),
        signature: key(*number).sign(S::PURPOSE, network, &inner.bytes()),
    };
    let signatures: Vec<RoleSignature> = by.iter().map(sign).collect();
    let prefix = S::SIGNED_PREFIX.to_bytes().to_vec();
    let note = format!("NCP, {:?}, layout 1", char::from(S::SIGNED_PREFIX.kind));
    #[derive(serde::Serialize)]
    struct Tail {
        signatures: Vec<RoleSignature>,
    }
    Hex::default()
        .and("prefix with signatures", &note, prefix)
        .then(inner.nested("statement"))
        .then(Hex::of(&Tail { signatures }))
}

fn roots() -> Vec<Scenario> {
    let make = |name, expect, about, root: &RootOfTrust, by: &[u8]| {
        Scenario::new("root", name, expect, about).bytes(hex_of(
            root,
            &NetworkId(ncp_protocol::keys::sha256(&root.encode())),
            by,
        ))
    };
    let good = || hex_of(&root(), &network(), &[41, 42, 43]);
    let test = RootOfTrust {
        class: NetworkClass::Test,
        roles: Roles { root: role(1, 41..42), membership: role(1, 51..52), timestamp: role(1, 61..62) },
        ..root()
    };
    let roles = |roles: Roles| RootOfTrust { roles, ..root() };
    let reversed = {
        let mut changed = root();
        changed.roles.root.keys.reverse();
        changed
    };
    vec![
        make("live", "ok", "the root of a live network, signed by three of five", &root(), &[41, 43, 45]),
        make("test", "ok", "the root of a test network with one key each", &test, &[41]),
        make("below-threshold", "own-quorum.below-threshold", "two of three signatures", &root(), &[41, 42]),
        make("stranger", "own-quorum.below-threshold", "a stranger's signature does not count", &root(), &[41, 42, 99]),
        make("key-twice", "own-quorum.key-twice", "one key counted twice", &root(), &[41, 42, 42]),
        Scenario::new("root", "signature", "own-quorum.bad-signature", "one bit of a signature differs")
            .bytes(good().flip("signatures.0.signature")),
        make(
            "version-2-first",
            "version",
            "version 2 where the first is wanted",
            &RootOfTrust { version: 2, ..root() },
            &[41, 42, 43],
        ),
        make("version-0", "fault.version", "version 0", &RootOfTrust { version: 0, ..root() }, &[41, 42, 43]),
        make(
            "validity",
            "fault.validity",
            "valid for more than 12 months",
            &RootOfTrust { expires: NOW.plus_millis(367 * DAY_MS), ..root() },
            &[41, 42, 43],
        ),
        make(
            "live-too-few",
            "fault.too-few-keys",
            "a live network with a threshold of two",
            &roles(Roles { root: role(2, 41..46), ..root().roles }),
            &[41, 42, 43],
        ),
        make(
            "threshold-0",
            "fault.role.threshold",
            "a role that needs no signature",
            &roles(Roles { timestamp: role(0, 61..62), ..root().roles }),
            &[41, 42, 43],
        ),
        make("keys-unsorted", "fault.role.order", "keys of a role out of order", &reversed, &[41, 42, 43]),
        make(
            "key-in-two-roles",
            "fault.shared-key",
            "the timestamp key is a root key",
            &roles(Roles { timestamp: role(1, 41..42), ..root().roles }),
            &[41, 42, 43],
        ),
        Scenario::new("root", "class-unknown", "decode.malformed", "a class beyond the last")
            .bytes(good().set("class", [2, 0, 0, 0])),
        Scenario::new("root", "truncated", "decode.malformed", "the last byte is missing").bytes(good().cut()),
    ]
}

fn next_roots() -> Vec<Scenario> {
    let make = |name, expect, about, next: &RootOfTrust, by: &[u8]| {
        Scenario::new("root", name, expect, about)
            .block("before", hex_of(&root(), &network(), &[41, 42, 43]))
            .bytes(hex_of(next, &network(), by))
    };
    let next = RootOfTrust { version: 2, roles: Roles { root: role(3, 44..49), ..root().roles }, ..root() };
    vec![
        make("next", "ok", "new root keys, signed by three old and three new ones", &next, &[43, 44, 45, 46]),
        make("next-without-old", "old-quorum.below-threshold", "only the new keys signed", &next, &[44, 46, 47, 48]),
        make("next-without-new", "own-quorum.below-threshold", "only the old keys signed", &next, &[41, 42, 43, 44]),
        make(
            "next-skips",
            "version",
            "version 3 after version 1",
            &RootOfTrust { version: 3, ..next.clone() },
            &[43, 44, 45, 46],
        ),
        make("next-again", "version", "version 1 after version 1", &root(), &[41, 42, 43]),
        make(
            "next-class",
            "class",
            "a live network becomes a test network",
            &RootOfTrust { class: NetworkClass::Test, ..next.clone() },
            &[43, 44, 45, 46],
        ),
        make(
            "next-older",
            "created",
            "made before the version before it",
            &RootOfTrust { created: UnixMillis(NOW.0 - 1), ..next.clone() },
            &[43, 44, 45, 46],
        ),
    ]
}

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

fn root_hex() -> Hex {
    hex_of(&root(), &network(), &[41, 42, 43])
}

fn timestamps() -> Vec<Scenario> {
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

fn memberships() -> Vec<Scenario> {
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
