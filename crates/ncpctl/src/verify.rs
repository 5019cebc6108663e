//! Receipts verified where they are shown: now, against the log keys that chain to the pinned directory entries.
//!
//! The node's word counts for nothing here. A receipt is good if its proof verifies under the log key that the
//! participant's chain of entries names, if it speaks of exactly the envelope that this node sealed or received, and if
//! it claims what the step says that it proves.

use std::collections::BTreeMap;

use ncp_api::timeline::{EntryChain, EvidenceBundle, Receipt, ReceiptKind, Step, Timeline, TimelineEntry};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::directory::{Chain, Entry, SignedEntry};
use ncp_protocol::event::{EnvelopeKey, Outcome};
use ncp_protocol::evidence;
use ncp_protocol::ids::{LogOrigin, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::proof::LogProof;

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It proves its claim.
    Good(Proved),
    /// It proves nothing.
    Bad(Fault),
}

/// What a good receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proved {
    /// What is claimed.
    pub(crate) kind: ReceiptKind,
    /// About the envelope to whom.
    pub(crate) recipient: ParticipantId,
    /// Whose log holds it.
    pub(crate) participant: ParticipantId,
    /// The log's name.
    pub(crate) log: String,
    /// Its place in the log.
    pub(crate) index: u64,
    /// When, by the clock of who claims it.
    pub(crate) time: UnixMillis,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// The verdict on each receipt of a bundle, by its id.
pub(crate) type Verdicts = BTreeMap<String, Verdict>;

/// Verifies all receipts of a bundle.
pub(crate) fn verify(bundle: &EvidenceBundle) -> Verdicts {
    let mut entries: BTreeMap<ParticipantId, Result<Entry, String>> = BTreeMap::new();
    for chain in &bundle.directory {
        entries.insert(chain.participant, newest_entry(&bundle.network, chain));
    }
    let judge = |receipt: &Receipt| match verify_one(bundle, receipt, &entries) {
        Ok(proved) => Verdict::Good(proved),
        Err(fault) => Verdict::Bad(fault),
    };
    bundle.receipts.iter().map(|receipt| (receipt.id.clone(), judge(receipt))).collect()
}

/// Follows a participant's entries from the pinned one to the newest.
fn newest_entry(network: &NetworkId, chain: &EntryChain) -> Result<Entry, String> {
    let pinned = chain.pinned.ok_or("nobody here pinned its first entry")?;
    let mut signed = Vec::new();
    for bytes in &chain.entries {
        signed.push(SignedEntry::decode(bytes).map_err(|error| error.to_string())?);
    }
    let (first, later) = signed.split_first().ok_or("no entry was given")?;
    let mut newest = Chain::first(network, &pinned, first).map_err(|error| error.to_string())?;
    for entry in later {
        newest = newest.next(entry).map_err(|error| error.to_string())?;
    }
    if newest.entry().participant != chain.participant {
        return Err("the entries are another participant's".to_owned());
    }
    Ok(newest.entry().clone())
}

fn verify_one(
    bundle: &EvidenceBundle,
    receipt: &Receipt,
    entries: &BTreeMap<ParticipantId, Result<Entry, String>>,
) -> Result<Proved, Fault> {
    let bad = |reason: &dyn core::fmt::Display| {
        let name = format!("{} by {}", receipt.kind, receipt.participant);
        ErrorCode::ReceiptBad.with("receipt", name).with("reference", bundle.reference).with("reason", reason)
    };
    let origin = LogOrigin {
        network: bundle.network,
        participant: receipt.participant,
        log: receipt.log,
        epoch: receipt.log_epoch(),
    };
    let unchained = || ErrorCode::EvidenceKeyUnchained.with("origin", origin).with("participant", receipt.participant);
    let entry = match entries.get(&receipt.participant) {
        None => return Err(unchained()),
        Some(Err(reason)) => return Err(bad(reason)),
        Some(Ok(entry)) => entry,
    };
    let key = entry.log_key(receipt.log, receipt.log_epoch()).ok_or_else(unchained)?;

    let proof = LogProof::parse(&receipt.proof).map_err(|error| bad(&error))?;
    let verified = evidence::verify(&proof, &origin, key).map_err(|error| bad(&error))?;
    let facts = bundle
        .envelopes
        .iter()
        .find(|facts| facts.recipient == receipt.recipient && facts.seal == receipt.seal)
        .ok_or_else(|| bad(&"it speaks of an envelope that is not here"))?;
    let envelope = EnvelopeKey {
        originator: bundle.originator,
        message: bundle.message,
        recipient: receipt.recipient,
        seal: receipt.seal_number(),
    };
    verified.matches(&envelope, &facts.header, facts.not_after).map_err(|error| bad(&error))?;
    if ReceiptKind::from(verified.claim().kind) != receipt.kind || verified.index() != receipt.index {
        return Err(bad(&"it proves something else than it is filed under"));
    }
    Ok(Proved {
        kind: receipt.kind,
        recipient: receipt.recipient,
        participant: receipt.participant,
        log: receipt.log.to_string(),
        index: verified.index(),
        time: verified.time(),
        outcome: verified.claim().outcome,
    })
}

/// What a step's evidence is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The step needs no receipt.
    NotNeeded,
    /// A receipt proves it.
    Proved(Proved),
    /// Its receipt does not verify, or proves something else.
    Bad(Fault),
    /// It needs a receipt and has none.
    Missing,
}

/// What the evidence of one step is worth, judged here.
pub(crate) fn standing(timeline: &Timeline, entry: &TimelineEntry, verdicts: &Verdicts) -> Standing {
    let needs = entry.time.is_some() && !kinds_for(entry.step).is_empty();
    let Some(id) = &entry.receipt else {
        return if needs { Standing::Missing } else { Standing::NotNeeded };
    };
    let bad = |reason: &str| {
        let fault = ErrorCode::ReceiptBad.with("receipt", entry.step).with("reference", timeline.reference);
        Standing::Bad(fault.with("reason", reason))
    };
    match verdicts.get(id) {
        None => Standing::Missing,
        Some(Verdict::Bad(fault)) => Standing::Bad(fault.clone()),
        Some(Verdict::Good(proved)) if !kinds_for(entry.step).contains(&proved.kind) => {
            bad("the receipt proves another step")
        }
        Some(Verdict::Good(proved)) if entry.recipient.is_some_and(|recipient| recipient != proved.recipient) => {
            bad("the receipt concerns another recipient")
        }
        Some(Verdict::Good(proved)) => Standing::Proved(proved.clone()),
    }
}

/// Which receipts prove a step; none for a step that is this node's own word.
fn kinds_for(step: Step) -> &'static [ReceiptKind] {
    match step {
        Step::Accepted => &[ReceiptKind::RelayAcceptance],
        Step::Delivered => &[ReceiptKind::ContentConsignment],
        Step::HandedOver => &[ReceiptKind::ContentHandover],
        Step::Recalled | Step::Expired => &[ReceiptKind::RelayFailure],
        Step::Failed => &[ReceiptKind::RelayFailure, ReceiptKind::ContentConsignmentFailure],
        Step::Created
        | Step::Edited
        | Step::Approved
        | Step::Rejected
        | Step::Released
        | Step::Held
        | Step::Queued
        | Step::Assigned
        | Step::Contributed
        | Step::DeadlineMoved
        | Step::Answered
        | Step::RecallRequested
        | Step::Withdrawn
        | Step::Overdue
        | Step::Erased => &[],
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ncp_api::timeline::EnvelopeFacts;
    use ncp_protocol::checkpoint::Checkpoint;
    use ncp_protocol::directory::{EntryKeys, LogKey};
    use ncp_protocol::event::{Actor, Change, Claim, Event, EvidenceKind};
    use ncp_protocol::ids::{Digest, Epoch, KeyId, LogName, MessageId, SealNumber};
    use ncp_protocol::keys::SigningKey;
    use ncp_protocol::merkle;

    const NETWORK: NetworkId = NetworkId(Digest([7; 32]));
    const HEADER: Digest = Digest([8; 32]);
    pub(crate) const MESSAGE: MessageId = MessageId([1; 16]);

    fn id(text: &str) -> ParticipantId {
        text.parse().expect("id")
    }

    /// The hub's log key is made of seed 16.
    fn hub_entry() -> SignedEntry {
        let key = |seed: u8| SigningKey::from_seed(&[seed; 32]);
        let public = |seed: u8| key(seed).verifying_key();
        let entry = Entry {
            network: NETWORK,
            participant: ParticipantId::HUB,
            version: 0,
            previous: None,
            created: UnixMillis(1),
            keys: EntryKeys {
                identity: public(10),
                recovery: public(11),
                signing: None,
                sealing: Vec::new(),
                logs: vec![
                    LogKey { log: LogName::Traffic, epoch: Epoch(1), key: public(16) },
                    LogKey { log: LogName::Public, epoch: Epoch(1), key: public(17) },
                ],
                witness: public(12),
                timestamp: Some(public(13)),
                tls: vec![KeyId(Digest([14; 32]))],
            },
            suite_floor: 1,
        };
        SignedEntry::sign(entry, &key(10)).expect("a sound entry")
    }

    fn origin() -> LogOrigin {
        LogOrigin { network: NETWORK, participant: ParticipantId::HUB, log: LogName::Traffic, epoch: Epoch(1) }
    }

    /// A proof of R1 for XB in a log of one leaf.
    fn proof() -> String {
        let key = SigningKey::from_seed(&[16; 32]);
        let envelope = EnvelopeKey { originator: id("XA"), message: MESSAGE, recipient: id("XB"), seal: SealNumber(1) };
        let claim = Claim {
            origin: origin(),
            key: key.verifying_key().id(),
            kind: EvidenceKind::RelayAcceptance,
            envelope,
            header: HEADER,
            outcome: Outcome::Done,
        };
        let event = Event {
            log: LogName::Traffic,
            time: UnixMillis(1_795_350_057_000),
            actor: Actor::Peer(id("XA")),
            salt: [3; 16],
            change: Change::Evidence(claim),
        };
        let bytes = event.encode();
        let root = merkle::leaf_hash(&bytes);
        let note = Checkpoint { origin: origin().to_string(), size: 1, root }.sign(&key).note().to_owned();
        LogProof { event: bytes, index: 0, hashes: Vec::new(), checkpoint_note: note }.to_string()
    }

    /// A bundle with one good receipt, R1 for XB.
    pub(crate) fn bundle() -> EvidenceBundle {
        let hub = hub_entry();
        EvidenceBundle {
            network: NETWORK,
            reference: "XA-2026-000417".parse().expect("reference"),
            message: MESSAGE,
            originator: id("XA"),
            envelopes: vec![EnvelopeFacts {
                recipient: id("XB"),
                seal: 1,
                header: HEADER,
                not_after: UnixMillis(1_800_000_000_000),
            }],
            receipts: vec![Receipt {
                id: "r1-XB".to_owned(),
                kind: ReceiptKind::RelayAcceptance,
                participant: ParticipantId::HUB,
                log: LogName::Traffic,
                epoch: 1,
                index: 0,
                recipient: id("XB"),
                seal: 1,
                proof: proof(),
            }],
            directory: vec![EntryChain {
                participant: ParticipantId::HUB,
                pinned: Some(ncp_protocol::directory::Fingerprint(hub.digest())),
                entries: vec![hub.encode()],
            }],
        }
    }

    fn verdict(bundle: &EvidenceBundle) -> Verdict {
        verify(bundle).remove("r1-XB").expect("a verdict")
    }

    fn check_bad(change: impl FnOnce(&mut EvidenceBundle), code: ErrorCode, words: &str) {
        let mut bundle = bundle();
        change(&mut bundle);
        match verdict(&bundle) {
            Verdict::Good(_) => panic!("verified"),
            Verdict::Bad(fault) => {
                assert_eq!(fault.code, code, "{fault}");
                assert!(fault.to_string().contains(words), "{fault}");
            }
        }
    }

    #[test]
    fn a_good_receipt_says_what_it_proves() {
        let Verdict::Good(proved) = verdict(&bundle()) else { panic!("{:?}", verdict(&bundle())) };
        assert_eq!((proved.index, proved.time, proved.outcome), (0, UnixMillis(1_795_350_057_000), Outcome::Done));
    }

    #[test]
    fn a_flipped_character_of_the_proof_is_bad() {
        let length = proof().len();
        let mut changed = 0;
        for place in 0..length {
            let mut bundle = bundle();
            let mut bytes = std::mem::take(&mut bundle.receipts[0].proof).into_bytes();
            bytes[place] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            bundle.receipts[0].proof = text;
            assert!(matches!(verdict(&bundle), Verdict::Bad(_)), "character {place}");
            changed += 1;
        }
        assert_eq!(changed, length);
    }

    #[test]
    fn a_receipt_about_something_else_is_bad() {
        use ErrorCode::ReceiptBad;
        check_bad(|b| b.envelopes[0].header = Digest([9; 32]), ReceiptBad, "another header");
        check_bad(|b| b.message = MessageId([2; 16]), ReceiptBad, "another envelope");
        check_bad(|b| b.envelopes.clear(), ReceiptBad, "not here");
        check_bad(|b| b.receipts[0].kind = ReceiptKind::RelayFailure, ReceiptBad, "filed under");
        check_bad(|b| b.receipts[0].index = 3, ReceiptBad, "filed under");
    }

    #[test]
    fn a_key_that_does_not_chain_to_the_pin_proves_nothing() {
        use ErrorCode::{EvidenceKeyUnchained, ReceiptBad};
        check_bad(|b| b.directory[0].pinned = None, ReceiptBad, "pinned");
        check_bad(
            |b| b.directory[0].pinned = Some(ncp_protocol::directory::Fingerprint(Digest([1; 32]))),
            ReceiptBad,
            "fingerprint",
        );
        check_bad(|b| b.directory[0].entries.clear(), ReceiptBad, "no entry");
        check_bad(|b| b.directory.clear(), EvidenceKeyUnchained, "no entry that chains");
        check_bad(|b| b.receipts[0].epoch = 2, EvidenceKeyUnchained, "no entry that chains");
        check_bad(|b| b.directory[0].entries[0][40] ^= 1, ReceiptBad, "relay-acceptance by HUB");
    }
}
