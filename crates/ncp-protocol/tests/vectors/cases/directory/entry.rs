//! Entries, their rules, and the chain from one to the next.

use ncp_protocol::directory::{Entry, EntryKeys, Fingerprint, SignedEntry, ValidKey};
use ncp_protocol::ids::{Digest, Epoch, KeyId, LogName, ParticipantId, UnixMillis};
use ncp_protocol::keys::Purpose;
use ncp_protocol::limits::DAY_MS;

use crate::annotate::Hex;
use crate::fixtures::{NETWORK, NOW, OTHER_NETWORK, entry, hub_entry, key, log_key, participant};
use crate::scenario::Scenario;

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

pub(super) fn entries() -> Vec<Scenario> {
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

pub(super) fn entry_rules() -> Vec<Scenario> {
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

pub(super) fn chains() -> Vec<Scenario> {
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
