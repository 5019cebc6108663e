//! Receipts verified here, once more: key chained to the pinned entry, proof, envelope, kind, place.

use std::collections::BTreeMap;
use std::sync::Arc;

use ncp_api::Client;
use ncp_api::message::MessageName;
use ncp_api::timeline::{EntryChain, EvidenceBundle, Receipt, ReceiptKind};
use ncp_protocol::directory::{Chain, Entry, SignedEntry};
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::evidence;
use ncp_protocol::ids::{LogOrigin, NetworkId, ParticipantId, Reference};
use ncp_protocol::proof::LogProof;
use tokio::task::JoinSet;

use crate::trouble::Trouble;

/// Requests at once.
const AT_ONCE: usize = 8;

/// Fetches the evidence of all messages and verifies R1 and R2 for each recipient; returns how many receipts that were.
pub(crate) async fn verify_all(client: &Client, references: &[Reference], recipients: usize) -> Result<u64, Trouble> {
    let share = references.len().div_ceil(AT_ONCE).max(1);
    let mut tasks = JoinSet::new();
    for part in references.chunks(share) {
        let (client, part): (Client, Arc<[Reference]>) = (client.clone(), part.into());
        tasks.spawn(async move {
            let mut verified = 0_u64;
            for reference in part.iter() {
                let bundle = client.evidence(&MessageName::from(*reference)).await.map_err(Trouble::network)?;
                verified += verify(&bundle, recipients).map_err(|reason| {
                    Trouble::network(format_args!("a receipt of {reference} does not verify: {reason}"))
                })?;
            }
            Ok::<_, Trouble>(verified)
        });
    }
    let mut all = 0;
    while let Some(ended) = tasks.join_next().await {
        all += ended.map_err(|error| Trouble::system("verifying receipts", error))??;
    }
    Ok(all)
}

fn verify(bundle: &EvidenceBundle, recipients: usize) -> Result<u64, String> {
    let mut entries = BTreeMap::new();
    for chain in &bundle.directory {
        entries.insert(chain.participant, newest_entry(&bundle.network, chain)?);
    }
    let mut verified = 0;
    for kind in [ReceiptKind::RelayAcceptance, ReceiptKind::ContentConsignment] {
        let receipts: Vec<&Receipt> = bundle.receipts.iter().filter(|receipt| receipt.kind == kind).collect();
        if receipts.len() != recipients {
            return Err(format!("{} receipts {kind} for {recipients} recipients", receipts.len()));
        }
        for receipt in receipts {
            verify_one(bundle, receipt, &entries)?;
            verified += 1;
        }
    }
    Ok(verified)
}

fn newest_entry(network: &NetworkId, chain: &EntryChain) -> Result<Entry, String> {
    let pinned = chain.pinned.ok_or("nobody pinned the first entry")?;
    let mut signed = Vec::new();
    for bytes in &chain.entries {
        signed.push(SignedEntry::decode(bytes).map_err(|error| error.to_string())?);
    }
    let (first, later) = signed.split_first().ok_or("no entry")?;
    let mut newest = Chain::first(network, &pinned, first).map_err(|error| error.to_string())?;
    for entry in later {
        newest = newest.next(entry).map_err(|error| error.to_string())?;
    }
    Ok(newest.entry().clone())
}

fn verify_one(
    bundle: &EvidenceBundle,
    receipt: &Receipt,
    entries: &BTreeMap<ParticipantId, Entry>,
) -> Result<(), String> {
    let (participant, log, epoch) = (receipt.participant, receipt.log, receipt.log_epoch());
    let origin = LogOrigin { network: bundle.network, participant, log, epoch };
    let key = entries.get(&participant).and_then(|entry| entry.log_key(log, epoch)).ok_or("no key of that log")?;
    let proof = LogProof::parse(&receipt.proof).map_err(|error| error.to_string())?;
    let verified = evidence::verify(&proof, &origin, key).map_err(|error| error.to_string())?;
    let facts =
        bundle.envelopes.iter().find(|facts| (facts.recipient, facts.seal) == (receipt.recipient, receipt.seal));
    let facts = facts.ok_or("about an envelope that is not of the message")?;
    let envelope = EnvelopeKey {
        originator: bundle.originator,
        message: bundle.message,
        recipient: receipt.recipient,
        seal: receipt.seal_number(),
    };
    verified.matches(&envelope, &facts.header, facts.not_after).map_err(|error| error.to_string())?;
    let filed = (ReceiptKind::from(verified.claim().kind), verified.index()) == (receipt.kind, receipt.index);
    if filed { Ok(()) } else { Err("it proves something else than it is filed under".to_owned()) }
}
