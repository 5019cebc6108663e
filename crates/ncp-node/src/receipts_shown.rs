//! Receipts of a message, verified now: text parsed, path and checkpoint checked, claim compared with what this node sealed
//! or received, under the log key that the pinned directory entry names. What does not verify is shown as bad; what the
//! journal speaks of and the spool lacks, as missing.

use ncp_api::ErrorCode;
use ncp_api::timeline::{EntryChain, EnvelopeFacts, EvidenceBundle, EvidenceState, Receipt, ReceiptKind};
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::{Change, Claim, EvidenceKind};
use ncp_protocol::evidence;
use ncp_protocol::ids::{Digest, LogName, ParticipantId, UnixMillis};
use ncp_protocol::proof::LogProof;
use ncp_store::spool::{RecordKind, RecordName};

use crate::core::command::envelope_record;
use crate::core::tables::{IN, MessageKey, OUT};
use crate::faults::Failed;
use crate::history::{self, Recorded};
use crate::node::Node;
use crate::views;

/// A receipt with what came of its verification.
#[derive(Debug, Clone)]
pub struct ShownReceipt {
    /// Position of the event that speaks of it.
    pub sequence: u64,
    /// What it is said to claim.
    pub claim: Claim,
    /// When the keeper of its log decided it, by what is noted here.
    pub stated: UnixMillis,
    /// Whether it verifies.
    pub state: EvidenceState,
    /// The receipt, if its text is here.
    pub receipt: Option<Receipt>,
}

/// What receipts must speak of.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The message.
    pub key: MessageKey,
    /// Its envelopes.
    pub envelopes: Vec<EnvelopeFacts>,
    /// Places of this node's own evidence about a message that arrived: R2, then R3.
    own: [Option<u64>; 2],
}

/// What the rows and records say about a message's envelopes.
///
/// # Errors
/// [`ErrorCode::MessageUnknown`], or the store's failure.
pub fn facts(node: &Node, key: MessageKey, history: &[Recorded]) -> Result<Facts, Failed> {
    let unknown = || ErrorCode::MessageUnknown.with("message", key.1);
    if key.0 == node.participant() {
        let row = OUT.row(&node.reader().view(), &key.1)?.ok_or_else(unknown)?;
        let sealed = history.iter().filter_map(|recorded| {
            let Change::EnvelopeSealed { envelope, header, .. } = &recorded.event.change else { return None };
            Some(EnvelopeFacts {
                recipient: envelope.recipient,
                seal: envelope.seal.0,
                header: *header,
                not_after: row.draft.not_after,
            })
        });
        return Ok(Facts { key, envelopes: sealed.collect(), own: [None, None] });
    }
    let row = IN.row(&node.reader().view(), &key)?.ok_or_else(unknown)?;
    let received = &row.received;
    let envelope = EnvelopeFacts {
        recipient: received.envelope.recipient,
        seal: received.envelope.seal.0,
        header: received.header,
        not_after: header_not_after(node, received.header)?.unwrap_or(UnixMillis(0)),
    };
    Ok(Facts { key, envelopes: vec![envelope], own: [Some(row.consignment), row.handover] })
}

fn header_not_after(node: &Node, header: Digest) -> Result<Option<UnixMillis>, Failed> {
    let bytes = node.reader().record(&envelope_record(header))?;
    let envelope = bytes.and_then(|bytes| SealedEnvelope::decode(&bytes).ok());
    Ok(envelope.and_then(|envelope| envelope.unverified_header().ok()).map(|header| header.not_after))
}

/// All receipts that the history of a message speaks of, verified.
///
/// # Errors
/// The store's failure; a receipt that does not verify is no error.
pub fn verified(node: &Node, facts: &Facts, history: &[Recorded]) -> Result<Vec<ShownReceipt>, Failed> {
    let mut shown = Vec::new();
    for recorded in history {
        let change = &recorded.event.change;
        if let Change::EvidenceReceived { claim, stated, record, .. } = change {
            let proof = foreign_proof(node, *record)?;
            shown.push(judge(node, facts, recorded.sequence, claim, *stated, proof));
        } else if let Change::Evidence(claim) = change {
            let proof = own_proof(node, facts, claim)?;
            shown.push(judge(node, facts, recorded.sequence, claim, recorded.event.time, proof));
        }
    }
    Ok(shown)
}

/// The proof of a receipt, as far as it is here.
enum Proof {
    Whole(LogProof),
    Damaged,
    Missing,
}

/// The proof of what this node stated itself.
fn own_proof(node: &Node, facts: &Facts, claim: &Claim) -> Result<Proof, Failed> {
    let [consignment, handover] = facts.own;
    let index = match claim.kind {
        EvidenceKind::ContentConsignment => consignment,
        EvidenceKind::ContentHandover => handover,
        EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure => None,
    };
    let Some(index) = index else { return Ok(Proof::Missing) };
    Ok(node.reader().evidence(LogName::Node, index)?.map_or(Proof::Missing, Proof::Whole))
}

fn foreign_proof(node: &Node, record: Digest) -> Result<Proof, Failed> {
    let name = RecordName { kind: RecordKind::Evidence, id: record };
    let Some(bytes) = node.reader().record(&name)? else { return Ok(Proof::Missing) };
    let parsed = String::from_utf8(bytes).ok().and_then(|text| LogProof::parse(&text).ok());
    Ok(parsed.map_or(Proof::Damaged, Proof::Whole))
}

fn judge(node: &Node, facts: &Facts, sequence: u64, claim: &Claim, stated: UnixMillis, proof: Proof) -> ShownReceipt {
    let (state, receipt) = match proof {
        Proof::Missing => (EvidenceState::Missing, None),
        Proof::Damaged => (EvidenceState::Bad, None),
        Proof::Whole(proof) => {
            let good = verifies(node, facts, claim, &proof);
            let state = if good { EvidenceState::Ok } else { EvidenceState::Bad };
            (state, Some(receipt(claim, &proof)))
        }
    };
    ShownReceipt { sequence, claim: *claim, stated, state, receipt }
}

/// Whether the proof shows exactly this claim, about an envelope that we know, in a log whose key we know.
fn verifies(node: &Node, facts: &Facts, claim: &Claim, proof: &LogProof) -> bool {
    let directory = node.directory.load();
    let Some(key) = directory.log_key(&claim.origin) else { return false };
    let Ok(verified) = evidence::verify(proof, &claim.origin, key) else { return false };
    let envelope = claim.envelope;
    let known = facts.envelopes.iter().find(|facts| {
        facts.recipient == envelope.recipient && facts.seal == envelope.seal.0 && facts.header == claim.header
    });
    let Some(known) = known.filter(|_| (envelope.originator, envelope.message) == facts.key) else { return false };
    verified.claim() == claim && verified.matches(&envelope, &known.header, known.not_after).is_ok()
}

fn receipt(claim: &Claim, proof: &LogProof) -> Receipt {
    Receipt {
        id: receipt_id(claim),
        kind: claim.kind.into(),
        participant: claim.origin.participant,
        log: claim.origin.log,
        epoch: claim.origin.epoch.0,
        index: proof.index,
        recipient: claim.envelope.recipient,
        seal: claim.envelope.seal.0,
        proof: proof.to_string(),
    }
}

/// The receipt's name in a bundle: what it claims, about whom, which sealing.
#[must_use]
pub fn receipt_id(claim: &Claim) -> String {
    format!("{}-{}-{}", ReceiptKind::from(claim.kind), claim.envelope.recipient, claim.envelope.seal.0)
}

/// All that is needed to verify a message's receipts without this node.
///
/// # Errors
/// [`ErrorCode::MessageUnknown`], or the store's failure.
pub fn bundle(node: &Node, key: MessageKey) -> Result<EvidenceBundle, Failed> {
    let history = history::of(node, key)?;
    let facts = facts(node, key, &history)?;
    let receipts: Vec<Receipt> =
        verified(node, &facts, &history)?.into_iter().filter_map(|shown| shown.receipt).collect();
    let reference = views::reference(node, key)?.ok_or_else(|| ErrorCode::MessageUnknown.with("message", key.1))?;
    let mut logs: Vec<ParticipantId> = receipts.iter().map(|receipt| receipt.participant).collect();
    logs.sort();
    logs.dedup();
    let directory = node.directory.load();
    let chains = logs.iter().filter_map(|participant| {
        directory.entry(*participant).map(|known| EntryChain {
            participant: *participant,
            pinned: known.row.pinned.map(Fingerprint),
            entries: known.signed.iter().map(ncp_protocol::directory::SignedEntry::encode).collect(),
        })
    });
    Ok(EvidenceBundle {
        network: node.network.id(),
        reference,
        message: key.1,
        originator: key.0,
        envelopes: facts.envelopes,
        receipts,
        directory: chains.collect(),
    })
}
