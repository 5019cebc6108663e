//! I4: receipts and checkpoints that clients and peers were shown, against the journals as they are now.

use std::collections::BTreeMap;

use ncp_protocol::event::{Change, Claim, EnvelopeKey, EvidenceKind};
use ncp_protocol::evidence::{unverified_claim, verify};
use ncp_protocol::ids::{Digest, LogName, ParticipantId};
use ncp_protocol::proof::LogProof;

use super::Network;
use super::counts::Counts;
use super::daemon::Daemon;
use super::finding::{Finding, Name};
use super::history::{History, Shown};
use super::witness;

pub(super) fn check(history: &History, network: &Network, counts: &mut Counts, findings: &mut Vec<Finding>) {
    for shown in &history.receipts {
        counts.receipts_shown += 1;
        if let Err((name, detail)) = shown_stands(shown, network, counts) {
            findings.push(Finding::new(name, format!("shown at {}: {detail}", shown.at)));
        }
    }
    for note in &history.checkpoints {
        if let Err(name) = witness::checkpoint(note, network, counts) {
            findings.push(Finding::new(name, format!("shown to a client: {note:?}")));
        }
    }
    for daemon in network.daemons.values() {
        noted_stand(daemon, network, counts, findings);
        claims_agree(daemon, findings);
    }
}

/// A receipt verifies by itself, and the log still says the same at its place.
fn shown_stands(shown: &Shown, network: &Network, counts: &mut Counts) -> Result<(), (Name, String)> {
    let invalid = |what: &dyn core::fmt::Display| (Name::ReceiptInvalid, what.to_string());
    let proof = LogProof::parse(&shown.proof).map_err(|error| invalid(&error))?;
    let claim = unverified_claim(&proof).map_err(|error| invalid(&error))?;
    let words = words(&claim, proof.index);
    let log = network.log(&claim.origin).ok_or_else(|| (Name::ReceiptLost, words.clone()))?;
    let key = network.key(log).ok_or_else(|| (Name::KeyUnknown, words.clone()))?;
    let verified = verify(&proof, &claim.origin, key).map_err(|error| invalid(&format!("{words}: {error}")))?;
    counts.checkpoints += 1;
    let leaf = usize::try_from(proof.index).ok().and_then(|index| log.leaves.get(index));
    match leaf {
        None => return Err((Name::ReceiptLost, words)),
        Some(leaf) if leaf.bytes != proof.event => return Err((Name::ReceiptContradicted, words)),
        Some(_) => {}
    }
    log.holds(verified.checkpoint().checkpoint()).map_err(|name| (name, words))
}

fn words(claim: &Claim, index: u64) -> String {
    format!("{:?} of {} at {index} of {}", claim.kind, claim.envelope.message, claim.origin)
}

/// What a peer verified and noted is what the log that it names still says.
fn noted_stand(daemon: &Daemon, network: &Network, counts: &mut Counts, findings: &mut Vec<Finding>) {
    for change in daemon.changes() {
        let Change::EvidenceReceived { claim, index, stated, .. } = change else { continue };
        counts.receipts_noted += 1;
        let leaves = network.log(&claim.origin).map(|log| &log.leaves);
        let leaf = usize::try_from(*index).ok().and_then(|index| leaves?.get(index));
        let name = match leaf.map(|leaf| (&leaf.event.change, leaf.event.time)) {
            None => Name::ReceiptLost,
            Some((Change::Evidence(own), time)) if own == claim && time == *stated => continue,
            Some(_) => Name::ReceiptContradicted,
        };
        findings.push(Finding::new(name, format!("noted by {}: {}", daemon.participant, words(claim, *index))));
    }
}

/// A claim that its log makes.
pub(super) struct Own<'a> {
    pub claim: &'a Claim,
    pub index: u64,
}

/// All claims of a daemon's logs, in the order of each.
pub(super) fn claims(daemon: &Daemon) -> impl Iterator<Item = Own<'_>> {
    daemon.logs.values().flat_map(|log| {
        (0..).zip(&log.leaves).filter_map(|(index, leaf)| match &leaf.event.change {
            Change::Evidence(claim) => Some(Own { claim, index }),
            _ => None,
        })
    })
}

/// No party says two things about one envelope: one claim of each kind, none of another's log, and no refusal of the very
/// header that was consigned.
fn claims_agree(daemon: &Daemon, findings: &mut Vec<Finding>) {
    let mut said: BTreeMap<(EvidenceKind, EnvelopeKey, Digest), u64> = BTreeMap::new();
    let mut tell = |own: &Own<'_>, what: &str| {
        let detail = format!("{}: {what}: {}", daemon.participant, words(own.claim, own.index));
        findings.push(Finding::new(Name::ClaimsContradict, detail));
    };
    for own in claims(daemon) {
        let Claim { origin, kind, envelope, header, .. } = *own.claim;
        let keeper = (origin.participant, origin.log);
        let log = if daemon.participant == ParticipantId::HUB { LogName::Traffic } else { LogName::Node };
        if keeper != (daemon.participant, log) {
            tell(&own, "a claim of another log");
        }
        if said.insert((kind, envelope, header), own.index).is_some() {
            tell(&own, "said twice");
        }
        let opposite = match kind {
            EvidenceKind::ContentConsignment => EvidenceKind::ContentConsignmentFailure,
            EvidenceKind::ContentConsignmentFailure => EvidenceKind::ContentConsignment,
            EvidenceKind::RelayAcceptance | EvidenceKind::ContentHandover | EvidenceKind::RelayFailure => continue,
        };
        if said.contains_key(&(opposite, envelope, header)) {
            tell(&own, "consigned and refused");
        }
    }
}
