//! Storing what recipients state: R2 and their refusals end a header, R3 completes a timeline.

use ncp_protocol::event::{Actor, Change, Claim, EvidenceKind};
use ncp_protocol::ids::LogName;
use ncp_protocol::keys::sha256;
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::{Record, RecordKind, RecordName};
use ncp_store::state::{Decision, View};

use super::ending::Endings;
use super::{Decided, Scribe};
use crate::core::command::{Effect, EvidenceCursor, Reply, StoreEvidence};
use crate::core::tables::{DIRECTORY, ENVELOPES, EvidenceCount, PEERS, RECEIVED, envelope_key};

pub(super) fn store(view: &dyn View, evidence: StoreEvidence) -> Decided {
    let StoreEvidence { peer, claim, index, stated, proof, stamp } = evidence;
    let refused = |code| Ok(Decision::reply(Reply::Refused(code)));
    if claim.envelope.recipient != peer || claim.origin.participant != peer || claim.origin.log != LogName::Node {
        return refused(RejectCode::EvidenceInvalid);
    }
    let Some(ends) = ends_header(&claim) else { return refused(RejectCode::EvidenceInvalid) };
    let counted = PEERS.row(view, &peer)?.unwrap_or_default().evidence;
    if RECEIVED.row(view, &(peer, claim.origin.epoch.0, index))?.is_some() {
        return Ok(Decision::reply(Reply::Stored(cursor(counted))));
    }
    let row = ENVELOPES.row(view, &envelope_key(&claim.envelope))?;
    // Evidence for something that the hub has forgotten is stored and passed on; for what it never saw, too, as it
    // cannot tell the two apart: the originator can.
    if row.is_some_and(|row| row.header != claim.header) || DIRECTORY.row(view, &claim.envelope.originator)?.is_none() {
        return refused(RejectCode::EvidenceUnrelated);
    }
    let mut scribe = Scribe::new(stamp, Actor::Peer(peer));
    let record = sha256(&proof);
    scribe.traffic(Change::EvidenceReceived { claim, index, stated, record });
    scribe.records.push(Record { name: RecordName { kind: RecordKind::Evidence, id: record }, bytes: proof });
    if let Some(row) = row.filter(|row| ends && row.is_open()) {
        let mut endings = Endings::default();
        endings.ended(&mut scribe, &claim.envelope, &row);
        endings.drop_bodies(&mut scribe, view)?;
    }
    scribe.effect(Effect::SendReceipts(claim.envelope.originator));
    Ok(scribe.done(Reply::Stored(cursor(counted.after(claim.origin.epoch)))))
}

/// Whether the claim ends its header at the hub; `None` if it is not a recipient's to make.
fn ends_header(claim: &Claim) -> Option<bool> {
    match claim.kind {
        EvidenceKind::ContentConsignment | EvidenceKind::ContentConsignmentFailure => Some(true),
        EvidenceKind::ContentHandover => Some(false),
        EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure => None,
    }
}

fn cursor(count: EvidenceCount) -> EvidenceCursor {
    EvidenceCursor { epoch: count.epoch, number: count.number }
}
