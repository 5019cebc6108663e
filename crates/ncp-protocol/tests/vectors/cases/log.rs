//! Checkpoints and evidence: the texts of C2SP.

use ncp_protocol::checkpoint::Checkpoint;
use ncp_protocol::cosignature::cosign;
use ncp_protocol::event::{Change, Claim, EvidenceKind, Outcome};
use ncp_protocol::ids::{Digest, LogName, LogOrigin};
use ncp_protocol::proof::LogProof;
use ncp_protocol::reject::RejectCode;

use crate::annotate::Hex;
use crate::fixtures::{LOG, NETWORK, NOW, claim, envelope_key, event, key, origin, prove, public_hex};
use crate::scenario::Scenario;

pub(super) fn all() -> Vec<Scenario> {
    [checkpoints(), texts(), evidence()].into_iter().flatten().collect()
}

fn of_log(scenario: Scenario, origin: &LogOrigin, key: u8) -> Scenario {
    scenario
        .with("network", NETWORK)
        .with("participant", origin.participant)
        .with("log", origin.log)
        .with("epoch", origin.epoch.0)
        .with("key", public_hex(key))
}

fn checkpoints() -> Vec<Scenario> {
    let node = origin("XA", LogName::Node);
    let checkpoint = Checkpoint { origin: node.to_string(), size: 40, root: Digest([0x40; 32]) };
    let signed = checkpoint.sign(&key(LOG));
    let cosigned = signed.with_signature(cosign(&checkpoint, "XB", &key(5), NOW.0 / 1000)).expect("fits");
    let good = signed.note().to_owned();
    let make = |name, expect, about, note: &str| {
        of_log(Scenario::new("checkpoint", name, expect, about), &node, LOG).bytes(Hex::text(note))
    };
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let signature = good.lines().last().expect("a signature").to_owned() + "\n";
    vec![
        make("signed", "ok", "a checkpoint of a node's log", &good),
        make("cosigned", "ok", "the same with a witness's cosignature", cosigned.note()),
        make("larger", "signature.bad-signature", "the size was changed after signing", &replaced("\n40\n", "\n41\n")),
        make(
            "other-root",
            "signature.bad-signature",
            "the root was changed after signing",
            &replaced("\nQEBA", "\nQUBA"),
        ),
        make("leading-zero", "signature.bad-signature", "a size with a leading zero", &replaced("\n40\n", "\n040\n")),
        make("hyphen", "note.signature-line", "a hyphen where the dash belongs", &replaced("\u{2014}", "-")),
        make("no-empty-line", "note.unsigned", "no empty line before the signatures", &replaced("\n\n", "\n")),
        make("unsigned", "note.unsigned", "no signature", &good.replace(&signature, "")),
        make("signed-twice", "note.signed-twice", "the same signature twice", &format!("{good}{signature}")),
        make("tabulator", "note.control-character", "a control character in the text", &replaced("\n40\n", "\n40\t\n")),
        of_log(
            Scenario::new("checkpoint", "other-key", "signature.no-known-key", "signed with another key"),
            &node,
            66,
        )
        .bytes(Hex::text(&good)),
        of_log(
            Scenario::new("checkpoint", "other-log", "signature.no-known-key", "the checkpoint of another log"),
            &origin("XB", LogName::Node),
            LOG,
        )
        .bytes(Hex::text(&good)),
    ]
}

fn proof_of(origin: &LogOrigin, claim: Claim) -> LogProof {
    prove(origin, &event(origin.log, Change::Evidence(claim)).encode())
}

fn acceptance() -> LogProof {
    let traffic = origin("HUB", LogName::Traffic);
    proof_of(&traffic, claim(traffic, EvidenceKind::RelayAcceptance, Outcome::Done))
}

fn texts() -> Vec<Scenario> {
    let traffic = origin("HUB", LogName::Traffic);
    let make = |name, expect, about, text: &str| {
        of_log(Scenario::new("evidence", name, expect, about), &traffic, LOG).bytes(Hex::text(text))
    };
    let good = acceptance().to_string();
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let with = |change: fn(&mut LogProof)| {
        let mut proof = acceptance();
        change(&mut proof);
        proof.to_string()
    };
    vec![
        make("other-head", "parse.head", "another first line", &replaced("@v1", "@v2")),
        make("event-missing", "parse.event", "a proof without its event", &replaced("extra ", "other ")),
        make("index-zero", "parse.index", "an index with a leading zero", &replaced("index 1", "index 01")),
        make("hash-short", "parse.hash", "a hash of the path is too short", &replaced("index 1\n", "index 1\nAAAA\n")),
        make(
            "event-altered",
            "proof.inclusion.root",
            "one bit of the event differs",
            &with(|proof| proof.event[40] ^= 1),
        ),
        make(
            "index-moved",
            "proof.inclusion.root",
            "the event at its neighbour's place",
            &with(|proof| proof.index = 0),
        ),
        make(
            "index-outside",
            "proof.inclusion.out-of-range",
            "the event beyond the end of the log",
            &with(|proof| proof.index = 3),
        ),
        make("path-short", "proof.inclusion.length", "the path lacks a hash", &with(|proof| proof.hashes.truncate(1))),
        make(
            "path-altered",
            "proof.inclusion.root",
            "one bit of the path differs",
            &with(|proof| proof.hashes[0].0[0] ^= 1),
        ),
        of_log(
            Scenario::new("evidence", "other-key", "proof.checkpoint.signature.no-known-key", "the log key is another"),
            &traffic,
            66,
        )
        .bytes(Hex::text(&good)),
    ]
}

fn evidence() -> Vec<Scenario> {
    let (traffic, node) = (origin("HUB", LogName::Traffic), origin("XB", LogName::Node));
    let make = |name, expect, about, origin: LogOrigin, claim: Claim| {
        let text = proof_of(&origin, claim).to_string();
        of_log(Scenario::new("evidence", name, expect, about), &origin, LOG)
            .with("header", Digest([0x48; 32]))
            .with("not-after", NOW.0)
            .bytes(Hex::text(&text))
    };
    let offered = event(LogName::Traffic, Change::EnvelopeOffered(envelope_key())).encode();
    let accepted = claim(traffic, EvidenceKind::RelayAcceptance, Outcome::Done);
    let consigned = claim(node, EvidenceKind::ContentConsignment, Outcome::Done);
    let rejected = Outcome::Rejected(RejectCode::CommitmentMismatch);
    let public = origin("HUB", LogName::Public);
    let other = origin("XC", LogName::Node);
    let expired = proof_of(&traffic, claim(traffic, EvidenceKind::RelayFailure, Outcome::Expired)).to_string();
    let early = |name, expect, about, header, not_after: u64| {
        of_log(Scenario::new("evidence", name, expect, about), &traffic, LOG)
            .with("header", Digest([header; 32]))
            .with("not-after", not_after)
            .bytes(Hex::text(&expired))
    };
    vec![
        make("relay-acceptance", "ok", "R1: the hub holds the envelope", traffic, accepted),
        make("content-consignment", "ok", "R2: the recipient's node stored and opened it", node, consigned),
        make(
            "content-handover",
            "ok",
            "R3: handed over to a system that never confirms",
            node,
            claim(node, EvidenceKind::ContentHandover, Outcome::Blind),
        ),
        make(
            "consignment-failure",
            "ok",
            "negative: the recipient's node rejected it",
            node,
            claim(node, EvidenceKind::ContentConsignmentFailure, rejected),
        ),
        make(
            "hub-for-recipient",
            "authority",
            "the hub claims what only the recipient can know",
            traffic,
            claim(traffic, EvidenceKind::ContentConsignment, Outcome::Done),
        ),
        make(
            "other-node",
            "authority",
            "a third participant claims consignment",
            other,
            claim(other, EvidenceKind::ContentConsignment, Outcome::Done),
        ),
        make(
            "public-for-traffic",
            "authority",
            "an acceptance in the log `public`",
            public,
            claim(public, EvidenceKind::RelayAcceptance, Outcome::Done),
        ),
        make(
            "node-for-hub",
            "authority",
            "a node claims acceptance by the hub",
            node,
            claim(node, EvidenceKind::RelayAcceptance, Outcome::Done),
        ),
        make(
            "outcome",
            "outcome",
            "a consignment that expired",
            node,
            claim(node, EvidenceKind::ContentConsignment, Outcome::Expired),
        ),
        make(
            "outcome-handover",
            "outcome",
            "a handover that is neither confirmed nor blind",
            node,
            claim(node, EvidenceKind::ContentHandover, Outcome::Done),
        ),
        make(
            "origin",
            "origin",
            "the claim names another log than the one that proves it",
            traffic,
            claim(public, EvidenceKind::RelayAcceptance, Outcome::Done),
        ),
        make(
            "log-key",
            "origin",
            "the claim names another log key",
            traffic,
            Claim { key: key(66).verifying_key().id(), ..accepted },
        ),
        of_log(Scenario::new("evidence", "no-claim", "not-a-claim", "an event that claims nothing"), &traffic, LOG)
            .bytes(Hex::text(&prove(&traffic, &offered).to_string())),
        of_log(Scenario::new("evidence", "no-event", "event.malformed", "a leaf that is no event"), &traffic, LOG)
            .bytes(Hex::text(&prove(&traffic, b"no").to_string())),
        early("expired", "ok", "negative: the envelope expired at the hub", 0x48, NOW.0),
        early("expired-early", "early-expiry", "expired before its not-after", 0x48, NOW.0 + 1),
        early("other-header", "header", "evidence about another header", 0x49, NOW.0),
    ]
}
