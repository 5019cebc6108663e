//! Receipts judged with the protocol's own functions alone: no daemon, no `ncpctl`.

use ncp_api::timeline::{EvidenceBundle, Receipt, ReceiptKind};
use ncp_protocol::directory::{Chain, Entry, SignedEntry};
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::evidence::{VerifiedEvidence, verify};
use ncp_protocol::ids::LogOrigin;
use ncp_protocol::proof::LogProof;

/// Verifies every receipt of a bundle: key chained to the pinned entry, proof, envelope, kind, place.
///
/// # Panics
/// If one does not verify.
#[must_use]
pub fn verified(bundle: &EvidenceBundle) -> Vec<(ReceiptKind, VerifiedEvidence)> {
    bundle.receipts.iter().map(|receipt| (receipt.kind, verify_one(bundle, receipt))).collect()
}

fn verify_one(bundle: &EvidenceBundle, receipt: &Receipt) -> VerifiedEvidence {
    let entry = entry(bundle, receipt);
    let (participant, log, epoch) = (receipt.participant, receipt.log, receipt.log_epoch());
    let origin = LogOrigin { network: bundle.network, participant, log, epoch };
    let key = entry.log_key(log, epoch).expect("the entry names the log's key");
    let proof = LogProof::parse(&receipt.proof).expect("a log proof");
    let evidence = verify(&proof, &origin, key).expect("the proof verifies");
    let facts = bundle
        .envelopes
        .iter()
        .find(|facts| (facts.recipient, facts.seal) == (receipt.recipient, receipt.seal))
        .expect("the receipt speaks of an envelope of the message");
    let envelope = EnvelopeKey {
        originator: bundle.originator,
        message: bundle.message,
        recipient: receipt.recipient,
        seal: receipt.seal_number(),
    };
    evidence.matches(&envelope, &facts.header, facts.not_after).expect("about this envelope");
    assert_eq!(ReceiptKind::from(evidence.claim().kind), receipt.kind, "filed under its kind");
    assert_eq!(evidence.index(), receipt.index, "filed under its place");
    evidence
}

/// The newest entry of a receipt's participant, which chains to the pinned one.
fn entry(bundle: &EvidenceBundle, receipt: &Receipt) -> Entry {
    let chain = bundle.directory.iter().find(|chain| chain.participant == receipt.participant);
    let chain = chain.expect("the bundle has the entries of every log's keeper");
    let pinned = chain.pinned.expect("the first entry is pinned");
    let mut entries = chain.entries.iter().map(|bytes| SignedEntry::decode(bytes).expect("a signed entry"));
    let first = entries.next().expect("an entry");
    let mut newest = Chain::first(&bundle.network, &pinned, &first).expect("the pinned entry");
    for entry in entries {
        newest = newest.next(&entry).expect("it follows the entry before");
    }
    newest.entry().clone()
}
