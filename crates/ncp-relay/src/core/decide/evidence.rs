//! Storing what recipients state: R2 and their refusals end a header, R3 completes a timeline.
//!
//! Every piece that is the peer's own word is stored, in the order of its log, so that the cursor of its stream is the count
//! of what is stored. One that fits no envelope here is kept and not passed on.

use ncp_protocol::event::{Actor, Change, Claim, EvidenceKind};
use ncp_protocol::ids::LogName;
use ncp_protocol::keys::sha256;
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::{Record, RecordKind, RecordName};
use ncp_store::state::{Decision, View};

use super::ending::Endings;
use super::{Decided, Scribe};
use crate::core::command::{Effect, EvidenceCursor, Reply, StoreEvidence};
use crate::core::tables::{DIRECTORY, ENVELOPES, EvidenceCount, PEERS, envelope_key};

pub(super) fn store(view: &dyn View, evidence: StoreEvidence) -> Decided {
    let StoreEvidence { peer, claim, index, behind, stated, proof, stamp } = evidence;
    let refused = |code| Ok(Decision::reply(Reply::Refused(code)));
    if claim.envelope.recipient != peer || claim.origin.participant != peer || claim.origin.log != LogName::Node {
        return refused(RejectCode::EvidenceInvalid);
    }
    let Some(ends) = ends_header(&claim) else { return refused(RejectCode::EvidenceInvalid) };
    let (epoch, envelope) = (claim.origin.epoch, claim.envelope);
    let counted = PEERS.row(view, &peer)?.unwrap_or_default();
    let row = ENVELOPES.row(view, &envelope_key(&envelope))?;
    let fits = row.is_none_or(|row| row.header == claim.header) && DIRECTORY.row(view, &envelope.originator)?.is_some();
    let ended = row.filter(|row| fits && ends && row.is_open());
    if !counted.evidence.is_new(epoch, index) {
        // Shown again because it was asked for again: it counts once, and may end what was submitted anew since.
        if ended.is_none() {
            return Ok(Decision::reply(Reply::Stored(cursor(counted.evidence))));
        }
    } else if behind.is_some_and(|(epoch, before)| counted.evidence.is_new(epoch, before))
        || (counted.surplus.is_used_up(stamp.now) && !row.is_some_and(|row| row.awaits(&claim)))
    {
        // What nothing waits for has a quota, and what stands behind it waits with it: the cursor counts pieces, so none
        // may be passed over.
        return refused(RejectCode::QuotaExceeded);
    }
    let mut scribe = Scribe::new(stamp, Actor::Peer(peer));
    let record = sha256(&proof);
    scribe.traffic(Change::EvidenceReceived { claim, index, stated, record });
    scribe.records.push(Record { name: RecordName { kind: RecordKind::Evidence, id: record }, bytes: proof });
    if let Some(row) = ended {
        let mut endings = Endings::default();
        endings.ended(&mut scribe, &envelope, &row);
        endings.drop_bodies(&mut scribe, view)?;
    }
    let stored = cursor(counted.evidence.after(epoch, index));
    if !fits {
        return Ok(scribe.done(Reply::Kept(stored)));
    }
    // Evidence for something that the hub has forgotten is passed on; for what it never saw, too, as it cannot tell the
    // two apart: the originator can.
    scribe.effect(Effect::SendReceipts(envelope.originator));
    Ok(scribe.done(Reply::Stored(stored)))
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
