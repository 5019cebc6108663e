//! Judging a delivery by what lies outside its body: names, R1, the originator's key, the signature, the times.
//!
//! The key is the one that the originator's pinned chain named when the hub accepted the envelope: the newest entry's, or
//! that of an older version if R1 is older than the admission of the next. Both times are the hub's.

use std::sync::{Mutex, PoisonError};

use ncp_protocol::envelope::{VerifiedEnvelope, VerifyError};
use ncp_protocol::event::{Claim, EnvelopeKey, EvidenceKind, Outcome};
use ncp_protocol::evidence::{
    EvidenceError, EvidenceMismatch, NewestCheckpoint, VerifiedEvidence, unverified_claim, verify_next,
};
use ncp_protocol::frame::Deliver;
use ncp_protocol::header::{Header, HeaderError, TimeError};
use ncp_protocol::ids::{Digest, ParticipantId, UnixMillis};
use ncp_protocol::keys::VerifyingKey;
use ncp_protocol::limits::CLOCK_SKEW_MAX_MS;
use ncp_protocol::reject::RejectCode;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::reader::ReadError;
use thiserror::Error;

use crate::core::command::Noted;
use crate::core::tables::{IN, REFUSED};
use crate::directory::Admissions;
use crate::entries::KnownEntry;
use crate::means::Means;
use crate::receipts::evidence_record;

/// An envelope whose outside is verified.
pub struct Verified {
    /// Its identity.
    pub key: EnvelopeKey,
    /// Header, signature and wrap.
    pub envelope: VerifiedEnvelope,
    /// As it travelled, for the spool.
    pub bytes: Vec<u8>,
    /// R1.
    pub acceptance: Noted,
}

/// What a delivery turned out to be.
pub enum Judged {
    /// To be opened.
    Good(Box<Verified>),
    /// Refused, with evidence.
    Refused {
        /// Which envelope.
        envelope: EnvelopeKey,
        /// Its header.
        header: Digest,
        /// Why.
        code: RejectCode,
    },
    /// This node stated its outcome before, at this leaf.
    StatedBefore(u64),
    /// Later.
    NotYet(NotYet),
    /// Not the originator's fault.
    HubAtFault(HubFault),
}

/// Why a delivery cannot be judged yet.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotYet {
    /// No entry.
    #[error("the originator {0} is not in the directory")]
    Unknown(ParticipantId),
    /// Nobody compared its fingerprint.
    #[error("the entry of the originator {0} is not pinned")]
    NotPinned(ParticipantId),
    /// By the Secretariat.
    #[error("the originator {0} is suspended")]
    Suspended(ParticipantId),
    /// Its newer keys come.
    #[error("the directory here is behind the one that the hub accepted it under")]
    DirectoryBehind,
    /// Or one clock is wrong.
    #[error("created in the future: the clocks disagree")]
    Future,
    /// It would be refused as expired.
    #[error("expired by a clock that is not believed")]
    Clock,
}

/// Why the hub should not have delivered it, or not so.
#[derive(Debug, Error)]
pub enum HubFault {
    /// Another layout.
    #[error("the header cannot be read: {0}")]
    Header(#[from] HeaderError),
    /// Not this node.
    #[error("for another recipient")]
    Recipient,
    /// No R1.
    #[error("without evidence of the hub's acceptance: {0}")]
    Evidence(#[from] EvidenceError),
    /// R1 of something else.
    #[error("the evidence of acceptance does not fit: {0}")]
    Mismatch(#[from] EvidenceMismatch),
    /// Another claim of the hub.
    #[error("the evidence is no acceptance")]
    NoAcceptance,
    /// Under another key.
    #[error("the hub's entry does not name the key of that log")]
    Key,
}

/// Judges a delivery; `admissions` says when the hub admitted entries, as far as `public` was read, and `newest` is the hub's
/// checkpoint that was verified before. Blocks on the disk.
///
/// # Errors
/// [`ReadError`].
pub fn judge<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    admissions: &Admissions,
    newest: &Mutex<NewestCheckpoint>,
    deliver: &Deliver,
) -> Result<Judged, ReadError> {
    let header = match deliver.envelope.unverified_header() {
        Ok(header) => header,
        Err(error) => return Ok(Judged::HubAtFault(error.into())),
    };
    if header.recipient != means.participant {
        return Ok(Judged::HubAtFault(HubFault::Recipient));
    }
    let digest = deliver.envelope.header_digest();
    let key = key_of(&header);
    let acceptance = match acceptance(means, newest, deliver, &header, digest) {
        Ok(acceptance) => acceptance,
        Err(fault) => return Ok(Judged::HubAtFault(fault)),
    };
    let refused = |code| Ok(Judged::Refused { envelope: key, header: digest, code });
    if let Some(leaf) = REFUSED.row(&means.reader.view(), &digest.0)? {
        return Ok(Judged::StatedBefore(leaf));
    }
    let known = match means.directory.entry(header.originator) {
        None => return Ok(Judged::NotYet(NotYet::Unknown(header.originator))),
        Some(known) if known.row.suspended => return Ok(Judged::NotYet(NotYet::Suspended(header.originator))),
        Some(known) if !known.is_usable() => return Ok(Judged::NotYet(NotYet::NotPinned(header.originator))),
        Some(known) => known,
    };
    let verifying = match signing_key(admissions, known, &header, acceptance.time()) {
        Key::Valid(key) => key,
        Key::NotYet => return Ok(Judged::NotYet(NotYet::DirectoryBehind)),
        Key::Unknown => return refused(RejectCode::OriginatorKeyUnknown),
    };
    let envelope = match deliver.envelope.verify(&means.network, &header.originator, &verifying) {
        Ok(envelope) => envelope,
        Err(error) => return refused(code_of(&error)),
    };
    match times(&header, means.now) {
        Times::Good => {}
        Times::NotYet => return Ok(Judged::NotYet(NotYet::Future)),
        // A refusal is signed and final: it takes a clock that is believed.
        Times::Expired if !means.believes_clock => return Ok(Judged::NotYet(NotYet::Clock)),
        Times::Expired => return refused(RejectCode::Expired),
        Times::Lifetime => return refused(RejectCode::LifetimeOutOfRange),
    }
    if let Some(row) = IN.row(&means.reader.view(), &(header.originator, header.message))? {
        if row.received.header == digest {
            return Ok(Judged::StatedBefore(row.consignment));
        }
        let same = (row.received.commitment, row.received.root) == (header.content_commitment, header.ciphertext_root);
        if same {
            return refused(RejectCode::Duplicate);
        }
        // Other content under a known id is opened first: only then is it a conflict that the originator signed.
    }
    let record = evidence_record(&deliver.acceptance);
    let (index, stated, claim) = (acceptance.index(), acceptance.time(), *acceptance.claim());
    let acceptance = Noted { claim, index, stated, record };
    Ok(Judged::Good(Box::new(Verified { key, envelope, bytes: deliver.envelope.encode(), acceptance })))
}

/// The envelope's identity.
pub(super) fn key_of(header: &Header) -> EnvelopeKey {
    let Header { originator, message, recipient, seal, .. } = *header;
    EnvelopeKey { originator, message, recipient, seal }
}

/// R1, under the hub's traffic log key, about exactly this envelope.
fn acceptance<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    newest: &Mutex<NewestCheckpoint>,
    deliver: &Deliver,
    header: &Header,
    digest: Digest,
) -> Result<VerifiedEvidence, HubFault> {
    let Claim { origin, kind, outcome, .. } = unverified_claim(&deliver.acceptance)?;
    if origin.participant != ParticipantId::HUB || kind != EvidenceKind::RelayAcceptance || outcome != Outcome::Done {
        return Err(HubFault::NoAcceptance);
    }
    let key = means.directory.log_key(&origin).ok_or(HubFault::Key)?;
    let verified = {
        let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
        verify_next(&deliver.acceptance, &origin, key, &mut newest)?
    };
    verified.matches(&key_of(header), &digest, header.not_after)?;
    Ok(verified)
}

enum Key {
    Valid(VerifyingKey),
    NotYet,
    Unknown,
}

/// The key that the header names, if it was the originator's when the hub accepted the envelope.
fn signing_key(admissions: &Admissions, known: &KnownEntry, header: &Header, accepted: UnixMillis) -> Key {
    let participant = header.originator;
    let newest = known.row.version;
    for signed in known.signed.iter().rev() {
        let entry = signed.unverified();
        let Some(signing) = entry.keys.signing.filter(|signing| signing.key.id() == header.originator_key) else {
            continue;
        };
        // As the hub judges it: what was released in time may arrive later. Whether the key still stood when the hub took
        // the envelope is asked below.
        if !signing.is_valid_at(header.created) {
            continue;
        }
        if entry.version == newest {
            return Key::Valid(signing.key);
        }
        return match admissions.get(&(participant, entry.version.saturating_add(1))) {
            Some(replaced) if accepted < *replaced => Key::Valid(signing.key),
            Some(_) => Key::Unknown,
            // `public` has not been read so far since the start.
            None => Key::NotYet,
        };
    }
    if is_current(admissions, participant, newest) { Key::Unknown } else { Key::NotYet }
}

/// Whether `public`, as far as the hub's newest timestamp states it, admits no newer entry than the one that is here.
fn is_current(admissions: &Admissions, participant: ParticipantId, newest: u32) -> bool {
    let read = admissions.contains_key(&(participant, newest));
    read && !admissions.contains_key(&(participant, newest.saturating_add(1)))
}

fn code_of(error: &VerifyError) -> RejectCode {
    match error {
        VerifyError::Header(_) => RejectCode::HeaderMalformed,
        VerifyError::Network => RejectCode::NetworkMismatch,
        VerifyError::Originator => RejectCode::OriginatorMismatch,
        VerifyError::KeyId => RejectCode::OriginatorKeyUnknown,
        VerifyError::Signature => RejectCode::SignatureInvalid,
        VerifyError::Wrap => RejectCode::WrapMismatch,
    }
}

enum Times {
    Good,
    NotYet,
    Expired,
    /// The header's own times do not go together, whatever any clock says.
    Lifetime,
}

/// The times by this node's clock, which may differ from the hub's.
fn times(header: &Header, now: UnixMillis) -> Times {
    match header.check_times(now) {
        Ok(()) => Times::Good,
        Err(TimeError::Future) => Times::NotYet,
        Err(TimeError::Lifetime) => Times::Lifetime,
        // The hub lets it expire; a delivery that is a little late was under way.
        Err(TimeError::Expired) if now < header.not_after.plus_millis(CLOCK_SKEW_MAX_MS) => Times::Good,
        Err(TimeError::Expired) => Times::Expired,
    }
}
