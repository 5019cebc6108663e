use super::*;
use crate::checkpoint::Checkpoint;
use crate::event::Actor;
use crate::ids::{Epoch, MessageId, NetworkId, SealNumber};
use crate::keys::SigningKey;
use crate::merkle::{leaf_hash, node_hash};

const NETWORK: NetworkId = NetworkId(Digest([7; 32]));
const TIME: UnixMillis = UnixMillis(1_800_000_000_000);
const HEADER: Digest = Digest([0x11; 32]);

fn origin(participant: &str, log: LogName) -> LogOrigin {
    LogOrigin { network: NETWORK, participant: participant.parse().unwrap(), log, epoch: Epoch(1) }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn envelope() -> EnvelopeKey {
    EnvelopeKey {
        originator: "XA".parse().unwrap(),
        message: MessageId([5; 16]),
        recipient: "XB".parse().unwrap(),
        seal: SealNumber(1),
    }
}

fn claim(origin: LogOrigin, kind: EvidenceKind, outcome: Outcome) -> Claim {
    Claim { origin, key: key().verifying_key().id(), kind, envelope: envelope(), header: HEADER, outcome }
}

/// A proof that `event` is the second leaf of two of the log `origin`.
fn prove_event(origin: &LogOrigin, event: Vec<u8>) -> LogProof {
    let left = leaf_hash(b"another event");
    let root = node_hash(&left, &leaf_hash(&event));
    let checkpoint = Checkpoint { origin: origin.to_string(), size: 2, root }.sign(&key());
    LogProof { event, index: 1, hashes: vec![left], checkpoint_note: checkpoint.note().to_owned() }
}

fn prove(origin: &LogOrigin, claim: Claim) -> LogProof {
    let change = Change::Evidence(claim);
    let event = Event { log: origin.log, time: TIME, actor: Actor::Daemon, salt: [3; 16], change };
    prove_event(origin, event.encode())
}

fn verified(origin: LogOrigin, kind: EvidenceKind, outcome: Outcome) -> VerifiedEvidence {
    verify(&prove(&origin, claim(origin, kind, outcome)), &origin, &key().verifying_key()).unwrap()
}

fn check(origin: LogOrigin, claim: Claim, expected: Result<(), EvidenceError>) {
    let proof = prove(&origin, claim);
    assert_eq!(verify(&proof, &origin, &key().verifying_key()).map(|_| ()), expected, "{claim:?}");
    assert_eq!(unverified_claim(&proof), Ok(claim));
}

const KINDS: [EvidenceKind; 5] = [
    EvidenceKind::RelayAcceptance,
    EvidenceKind::ContentConsignment,
    EvidenceKind::ContentHandover,
    EvidenceKind::RelayFailure,
    EvidenceKind::ContentConsignmentFailure,
];

#[test]
fn evidence_shows_claim_time_place_and_checkpoint() {
    let traffic = origin("HUB", LogName::Traffic);
    let evidence = verified(traffic, EvidenceKind::RelayAcceptance, Outcome::Done);
    assert_eq!(evidence.claim(), &claim(traffic, EvidenceKind::RelayAcceptance, Outcome::Done));
    assert_eq!((evidence.time(), evidence.index(), evidence.checkpoint().checkpoint().size), (TIME, 1, 2));
}

#[test]
fn only_the_hub_in_traffic_and_the_recipient_in_its_own_log_may_claim() {
    let outcome = |kind| match kind {
        EvidenceKind::RelayAcceptance | EvidenceKind::ContentConsignment => Outcome::Done,
        EvidenceKind::ContentHandover => Outcome::Blind,
        EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure => {
            Outcome::Rejected(RejectCode::Duplicate)
        }
    };
    for kind in KINDS {
        let relay = matches!(kind, EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure);
        for (participant, log) in [("HUB", LogName::Traffic), ("XB", LogName::Node)] {
            let origin = origin(participant, log);
            let entitled = relay == (log == LogName::Traffic);
            let expected = if entitled { Ok(()) } else { Err(EvidenceError::Authority) };
            check(origin, claim(origin, kind, outcome(kind)), expected);
        }
        for (participant, log) in [
            ("HUB", LogName::Public),
            ("HUB", LogName::Node),
            ("XA", LogName::Node),
            ("XC", LogName::Node),
            ("XB", LogName::Traffic),
        ] {
            let origin = origin(participant, log);
            check(origin, claim(origin, kind, outcome(kind)), Err(EvidenceError::Authority));
        }
    }
}

#[test]
fn outcome_belongs_to_its_kind() {
    let rejected = Outcome::Rejected(RejectCode::SignatureInvalid);
    let table: [(Outcome, &[EvidenceKind]); 8] = [
        (Outcome::Done, &[EvidenceKind::RelayAcceptance, EvidenceKind::ContentConsignment]),
        (Outcome::Confirmed, &[EvidenceKind::ContentHandover]),
        (Outcome::Blind, &[EvidenceKind::ContentHandover]),
        (Outcome::Expired, &[EvidenceKind::RelayFailure]),
        (Outcome::Recalled, &[EvidenceKind::RelayFailure]),
        (Outcome::RecalledAfterOffer, &[EvidenceKind::RelayFailure]),
        (Outcome::ExpiredAfterOffer, &[EvidenceKind::RelayFailure]),
        (rejected, &[EvidenceKind::RelayFailure, EvidenceKind::ContentConsignmentFailure]),
    ];
    for (outcome, kinds) in table {
        for kind in KINDS {
            let relay = matches!(kind, EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure);
            let origin = if relay { origin("HUB", LogName::Traffic) } else { origin("XB", LogName::Node) };
            let expected = if kinds.contains(&kind) { Ok(()) } else { Err(EvidenceError::Outcome) };
            check(origin, claim(origin, kind, outcome), expected);
        }
    }
}

#[test]
fn claim_of_another_log_epoch_or_key_is_refused() {
    let traffic = origin("HUB", LogName::Traffic);
    let good = claim(traffic, EvidenceKind::RelayAcceptance, Outcome::Done);
    let refused = Err(EvidenceError::Origin);
    check(traffic, Claim { origin: LogOrigin { epoch: Epoch(2), ..traffic }, ..good }, refused);
    let elsewhere = LogOrigin { network: NetworkId(Digest([8; 32])), ..traffic };
    check(traffic, Claim { origin: elsewhere, ..good }, refused);
    let stranger = SigningKey::from_seed(&[2; 32]).verifying_key().id();
    check(traffic, Claim { key: stranger, ..good }, refused);
    let change = Change::Evidence(good);
    let event = Event { log: LogName::Public, time: TIME, actor: Actor::Daemon, salt: [3; 16], change };
    let proof = prove_event(&traffic, event.encode());
    assert_eq!(verify(&proof, &traffic, &key().verifying_key()), Err(EvidenceError::Origin));
}

#[test]
fn origin_names_the_whole_network_id_although_its_text_is_short() {
    let traffic = origin("HUB", LogName::Traffic);
    let mut twin = [9; 32];
    twin[..8].copy_from_slice(&NETWORK.0.0[..8]);
    let twin = LogOrigin { network: NetworkId(Digest(twin)), ..traffic };
    assert_eq!(twin.to_string(), traffic.to_string());
    let proof = prove(&traffic, claim(traffic, EvidenceKind::RelayAcceptance, Outcome::Done));
    assert_eq!(verify(&proof, &twin, &key().verifying_key()), Err(EvidenceError::Origin));
}

#[test]
fn proof_of_no_claim_or_no_event_or_by_another_key_is_refused() {
    let traffic = origin("HUB", LogName::Traffic);
    let change = Change::EnvelopeOffered(envelope());
    let event = Event { log: LogName::Traffic, time: TIME, actor: Actor::Daemon, salt: [3; 16], change };
    let proof = prove_event(&traffic, event.encode());
    assert_eq!(verify(&proof, &traffic, &key().verifying_key()), Err(EvidenceError::NotAClaim));
    assert_eq!(unverified_claim(&proof), Err(EvidenceError::NotAClaim));
    let proof = prove_event(&traffic, b"no event".to_vec());
    assert!(matches!(verify(&proof, &traffic, &key().verifying_key()), Err(EvidenceError::Event(_))));
    let proof = prove(&traffic, claim(traffic, EvidenceKind::RelayAcceptance, Outcome::Done));
    let stranger = SigningKey::from_seed(&[2; 32]).verifying_key();
    assert!(matches!(verify(&proof, &traffic, &stranger), Err(EvidenceError::Proof(_))));
}

#[test]
fn a_checkpoint_known_for_one_log_and_key_serves_no_other() {
    let traffic = origin("HUB", LogName::Traffic);
    let proof = prove(&traffic, claim(traffic, EvidenceKind::RelayAcceptance, Outcome::Done));
    let (log_key, stranger) = (key().verifying_key(), SigningKey::from_seed(&[2; 32]).verifying_key());
    let mut newest = NewestCheckpoint::default();
    let mut next = |proof: &LogProof, origin, log_key| verify_next(proof, &origin, &log_key, &mut newest);
    let expected = verify(&proof, &traffic, &log_key);
    assert!(expected.is_ok());
    for _ in 0..2 {
        assert_eq!(next(&proof, traffic, log_key), expected);
    }
    assert!(matches!(next(&proof, traffic, stranger), Err(EvidenceError::Proof(_))));
    assert!(matches!(next(&proof, origin("HUB", LogName::Public), log_key), Err(EvidenceError::Proof(_))));
    let mut altered = proof.clone();
    altered.checkpoint_note = proof.checkpoint_note.replace("\n2\n", "\n3\n");
    assert_ne!(altered, proof);
    assert!(matches!(next(&altered, traffic, log_key), Err(EvidenceError::Proof(_))));
    let mut moved = proof.clone();
    moved.index = 0;
    assert!(matches!(next(&moved, traffic, log_key), Err(EvidenceError::Proof(ProofError::Inclusion(_)))));
    assert_eq!(next(&proof, traffic, log_key), expected);
}

#[test]
fn evidence_matches_one_envelope_and_header() {
    let evidence = verified(origin("HUB", LogName::Traffic), EvidenceKind::RelayAcceptance, Outcome::Done);
    let check = |expected: EnvelopeKey, header: Digest, result| {
        assert_eq!(evidence.matches(&expected, &header, TIME), result);
    };
    check(envelope(), HEADER, Ok(()));
    check(envelope(), Digest([0; 32]), Err(EvidenceMismatch::Header));
    let other = Err(EvidenceMismatch::Envelope);
    check(EnvelopeKey { seal: SealNumber(2), ..envelope() }, HEADER, other);
    check(EnvelopeKey { message: MessageId([6; 16]), ..envelope() }, HEADER, other);
    check(EnvelopeKey { recipient: "XC".parse().unwrap(), ..envelope() }, HEADER, other);
    check(EnvelopeKey { originator: "XC".parse().unwrap(), ..envelope() }, HEADER, other);
}

#[test]
fn expiry_before_not_after_is_invalid() {
    let traffic = origin("HUB", LogName::Traffic);
    for outcome in [Outcome::Expired, Outcome::ExpiredAfterOffer, Outcome::Rejected(RejectCode::Expired)] {
        let evidence = verified(traffic, EvidenceKind::RelayFailure, outcome);
        assert_eq!(evidence.matches(&envelope(), &HEADER, TIME), Ok(()));
        let early = Err(EvidenceMismatch::EarlyExpiry);
        assert_eq!(evidence.matches(&envelope(), &HEADER, UnixMillis(TIME.0 + 1)), early);
    }
    let recalled = verified(traffic, EvidenceKind::RelayFailure, Outcome::Recalled);
    assert_eq!(recalled.matches(&envelope(), &HEADER, UnixMillis(TIME.0 + 1)), Ok(()));
}

#[test]
fn recipients_outcome_outranks_the_hubs() {
    let hub = verified(origin("HUB", LogName::Traffic), EvidenceKind::RelayFailure, Outcome::Expired);
    let recipient = verified(origin("XB", LogName::Node), EvidenceKind::ContentConsignment, Outcome::Done);
    assert!(recipient.outranks(hub.claim()));
    assert!(!hub.outranks(recipient.claim()) && !hub.outranks(hub.claim()) && !recipient.outranks(recipient.claim()));
}
