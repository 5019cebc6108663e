//! Evidence: an event with its inclusion proof, by which a party proves to others what became of an envelope.
//!
//! Verifying needs the log's origin and its key, both from the directory, and nothing else: no network, no state, no
//! trust in whoever hands the proof over. The claim inside the event has to agree with the log that proves it, so that
//! nobody's log can speak for another, nor `public` for `traffic`. Whether a key was valid at the time, and whether
//! witnesses cosigned, the caller judges from the checkpoint that [`verify`] returns.

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::codec::DecodeError;
use crate::event::{Change, Claim, EnvelopeKey, Event, EvidenceKind, Outcome};
use crate::ids::{Digest, LogName, LogOrigin, ParticipantId, UnixMillis};
use crate::keys::VerifyingKey;
use crate::proof::{LogProof, ProofError};
use crate::reject::RejectCode;

/// Why a proof is not evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// The log does not hold the event.
    #[error("{0}")]
    Proof(#[from] ProofError),
    /// The leaf is no event.
    #[error("the leaf is no event: {0}")]
    Event(#[from] DecodeError),
    /// The event claims nothing about an envelope.
    #[error("the event is no claim")]
    NotAClaim,
    /// The claim names another log, or another log key, than those that prove it.
    #[error("the claim belongs to another log")]
    Origin,
    /// Neither the hub nor that participant may make such a claim, or not in that log.
    #[error("that log cannot make such a claim")]
    Authority,
    /// The outcome does not belong to the kind.
    #[error("outcome and kind do not fit")]
    Outcome,
}

/// Why evidence does not concern an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EvidenceMismatch {
    /// It speaks of another envelope.
    #[error("about another envelope")]
    Envelope,
    /// It speaks of another header under the same names.
    #[error("about another header")]
    Header,
    /// It says that the envelope expired, at a time before its not-after.
    #[error("expired before not-after")]
    EarlyExpiry,
}

/// Evidence whose log, key, claim and proof agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEvidence {
    claim: Claim,
    time: UnixMillis,
    index: u64,
    checkpoint: SignedCheckpoint,
}

/// Verifies that `proof` shows a claim in the log `origin`, whose checkpoints `log_key` signs.
///
/// # Errors
/// [`EvidenceError`].
pub fn verify(proof: &LogProof, origin: &LogOrigin, log_key: &VerifyingKey) -> Result<VerifiedEvidence, EvidenceError> {
    verify_next(proof, origin, log_key, &mut NewestCheckpoint::default())
}

/// The checkpoint that was verified last, with the log and the key for which it was. Proofs that come one behind the other
/// mostly stand under the same one: its signature is then verified once.
#[derive(Debug, Clone, Default)]
pub struct NewestCheckpoint(Option<(LogOrigin, VerifyingKey, SignedCheckpoint)>);

impl NewestCheckpoint {
    /// The checkpoint of a note, byte for byte the last one or verified now.
    fn open(
        &mut self,
        note: &str,
        origin: &LogOrigin,
        log_key: &VerifyingKey,
    ) -> Result<SignedCheckpoint, CheckpointError> {
        if let Some((known_origin, known_key, known)) = &self.0
            && (known_origin, known_key, known.note()) == (origin, log_key, note)
        {
            return Ok(known.clone());
        }
        let opened = SignedCheckpoint::open(note, origin, log_key)?;
        self.0 = Some((*origin, *log_key, opened.clone()));
        Ok(opened)
    }
}

/// As [`verify`], for one proof of several.
///
/// # Errors
/// [`EvidenceError`].
pub fn verify_next(
    proof: &LogProof,
    origin: &LogOrigin,
    log_key: &VerifyingKey,
    newest: &mut NewestCheckpoint,
) -> Result<VerifiedEvidence, EvidenceError> {
    let checkpoint = newest.open(&proof.checkpoint_note, origin, log_key).map_err(ProofError::from)?;
    proof.verify_under(checkpoint.checkpoint()).map_err(ProofError::from)?;
    let event = Event::decode(&proof.event)?;
    let Change::Evidence(claim) = event.change else {
        return Err(EvidenceError::NotAClaim);
    };
    if claim.origin != *origin || claim.key != log_key.id() || event.log != origin.log {
        return Err(EvidenceError::Origin);
    }
    if !may_claim(origin, claim.kind, &claim.envelope) {
        return Err(EvidenceError::Authority);
    }
    if !outcome_fits(claim.kind, claim.outcome) {
        return Err(EvidenceError::Outcome);
    }
    Ok(VerifiedEvidence { claim, time: event.time, index: proof.index, checkpoint })
}

/// The claim that a proof seems to make, nothing verified: to find the key to verify it with, never to act on.
///
/// # Errors
/// [`EvidenceError`] if the leaf is no claim.
pub fn unverified_claim(proof: &LogProof) -> Result<Claim, EvidenceError> {
    if let Change::Evidence(claim) = Event::decode(&proof.event)?.change {
        return Ok(claim);
    }
    Err(EvidenceError::NotAClaim)
}

/// Whether that log may make a claim of this kind: the hub in `traffic` about what passes it, the recipient in its own
/// log about what reached it.
fn may_claim(origin: &LogOrigin, kind: EvidenceKind, envelope: &EnvelopeKey) -> bool {
    match kind {
        EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure => {
            origin.participant == ParticipantId::HUB && origin.log == LogName::Traffic
        }
        EvidenceKind::ContentConsignment | EvidenceKind::ContentHandover | EvidenceKind::ContentConsignmentFailure => {
            origin.participant == envelope.recipient && origin.log == LogName::Node
        }
    }
}

/// The table of PROTOCOL.md: which outcomes a kind has.
fn outcome_fits(kind: EvidenceKind, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Done => matches!(kind, EvidenceKind::RelayAcceptance | EvidenceKind::ContentConsignment),
        Outcome::Confirmed | Outcome::Blind => kind == EvidenceKind::ContentHandover,
        Outcome::Expired | Outcome::ExpiredAfterOffer | Outcome::Recalled | Outcome::RecalledAfterOffer => {
            kind == EvidenceKind::RelayFailure
        }
        Outcome::Rejected(_) => {
            matches!(kind, EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure)
        }
    }
}

impl VerifiedEvidence {
    /// What is claimed.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// When, by the clock of the party that claims it.
    #[must_use]
    pub fn time(&self) -> UnixMillis {
        self.time
    }

    /// The event's place in its log.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint that covers the event.
    #[must_use]
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Whether the evidence concerns this envelope, by names and header, whose not-after is `not_after`.
    ///
    /// # Errors
    /// [`EvidenceMismatch`].
    pub fn matches(
        &self,
        expected: &EnvelopeKey,
        header: &Digest,
        not_after: UnixMillis,
    ) -> Result<(), EvidenceMismatch> {
        if self.claim.envelope != *expected {
            return Err(EvidenceMismatch::Envelope);
        }
        if self.claim.header != *header {
            return Err(EvidenceMismatch::Header);
        }
        let expired = matches!(
            self.claim.outcome,
            Outcome::Expired | Outcome::ExpiredAfterOffer | Outcome::Rejected(RejectCode::Expired)
        );
        if expired && self.time < not_after { Err(EvidenceMismatch::EarlyExpiry) } else { Ok(()) }
    }

    /// Whether this claim stands where `other` says something else about the same envelope: the recipient's outcome
    /// outranks the hub's.
    #[must_use]
    pub fn outranks(&self, other: &Claim) -> bool {
        speaks_for_recipient(self.claim.kind) && !speaks_for_recipient(other.kind)
    }
}

fn speaks_for_recipient(kind: EvidenceKind) -> bool {
    match kind {
        EvidenceKind::ContentConsignment | EvidenceKind::ContentHandover | EvidenceKind::ContentConsignmentFailure => {
            true
        }
        EvidenceKind::RelayAcceptance | EvidenceKind::RelayFailure => false,
    }
}
