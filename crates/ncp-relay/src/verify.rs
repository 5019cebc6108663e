//! What a worker thread checks of an envelope before it is decided on: form, network, names, keys, signature, wrap. Times,
//! quotas and duplicates are `decide`'s, which also checks that the entries used here still stand.

use std::sync::Arc;

use ncp_protocol::directory::Entry;
use ncp_protocol::envelope::{SealedEnvelope, VerifyError};
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::header::{Header, HeaderError};
use ncp_protocol::ids::{Digest, NetworkId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_store::state::{Unreadable, View};

use crate::core::command::{AcceptSubmission, BodySource, Stamp};
use crate::core::query;
use crate::core::tables::ReceiptPlace;
use crate::directory::Directory;

/// An envelope that is what its originator signed.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The header.
    pub header: Header,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    bytes: Arc<[u8]>,
    originator_entry: Digest,
    recipient_entry: Digest,
}

impl Verified {
    /// Its identity.
    #[must_use]
    pub fn key(&self) -> EnvelopeKey {
        key(&self.header)
    }

    /// What the core is asked about it.
    #[must_use]
    pub fn submission(&self, peer: ParticipantId, body: BodySource, stamp: Stamp) -> AcceptSubmission {
        AcceptSubmission {
            peer,
            header: self.header.clone(),
            header_digest: self.digest,
            envelope: Arc::clone(&self.bytes),
            originator_entry: self.originator_entry,
            recipient_entry: self.recipient_entry,
            body,
            stamp,
        }
    }

    /// Length of the envelope in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.bytes.len()
    }
}

/// An envelope that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its header has another layout: there is no name under which to refuse it.
    Unreadable(RejectCode),
    /// This envelope, for this reason.
    Envelope(EnvelopeKey, RejectCode),
}

/// The identity of the envelope with this header.
#[must_use]
pub fn key(header: &Header) -> EnvelopeKey {
    let Header { originator, message, recipient, seal, .. } = *header;
    EnvelopeKey { originator, message, recipient, seal }
}

/// R1 of an envelope that was accepted from this peer before. It is looked for first: keys and entries that changed since
/// must not turn the same bytes into a refusal. Another wrap beside a known header is judged as anything new.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn known(
    view: &dyn View,
    peer: ParticipantId,
    envelope: &SealedEnvelope,
) -> Result<Option<ReceiptPlace>, Unreadable> {
    let Ok(header) = envelope.unverified_header() else { return Ok(None) };
    if header.originator != peer || header.wrap_digest != envelope.wrap.digest() {
        return Ok(None);
    }
    let row = query::envelope(view, &key(&header))?.filter(|row| row.header == envelope.header_digest());
    Ok(row.and_then(|row| row.acceptance))
}

/// Verifies an envelope that `peer` submits.
///
/// # Errors
/// [`Refusal`]; nothing is stored.
pub fn verify(
    directory: &Directory,
    network: &NetworkId,
    peer: ParticipantId,
    envelope: &SealedEnvelope,
    now: UnixMillis,
) -> Result<Verified, Refusal> {
    let unreadable = |_| Refusal::Unreadable(RejectCode::HeaderMalformed);
    let header = Header::read(&envelope.header_bytes).map_err(unreadable)?;
    let refused = |code| Refusal::Envelope(key(&header), code);
    match header.check() {
        Ok(()) => {}
        // No envelope has this name.
        Err(HeaderError::Seal) => return Err(Refusal::Unreadable(RejectCode::HeaderMalformed)),
        Err(error) => return Err(refused(rule_code(&error, &header))),
    }
    if header.network != *network {
        return Err(refused(RejectCode::NetworkMismatch));
    }
    if header.originator != peer {
        return Err(refused(RejectCode::OriginatorMismatch));
    }
    let originator = directory.chains.get(&peer).ok_or(refused(RejectCode::PeerUnknown))?;
    check_signature(envelope, &header, originator.entry(), network).map_err(refused)?;
    let recipient = directory.chains.get(&header.recipient).ok_or(refused(RejectCode::RecipientUnknown))?;
    check_recipient(&header, recipient.entry(), now).map_err(refused)?;
    Ok(Verified {
        digest: envelope.header_digest(),
        bytes: Arc::from(envelope.encode()),
        originator_entry: originator.digest(),
        recipient_entry: recipient.digest(),
        header,
    })
}

fn check_signature(
    envelope: &SealedEnvelope,
    header: &Header,
    entry: &Entry,
    network: &NetworkId,
) -> Result<(), RejectCode> {
    // Valid when the message was released: what was sealed in time may arrive later.
    let signing = entry.keys.signing.filter(|key| key.key.id() == header.originator_key);
    let signing = signing.filter(|key| key.is_valid_at(header.created)).ok_or(RejectCode::OriginatorKeyUnknown)?;
    let verified = envelope.verify(network, &header.originator, &signing.key);
    verified.map(|_| ()).map_err(|error| match error {
        VerifyError::Header(error) => rule_code(&error, header),
        VerifyError::Network => RejectCode::NetworkMismatch,
        VerifyError::Originator => RejectCode::OriginatorMismatch,
        VerifyError::KeyId => RejectCode::OriginatorKeyUnknown,
        VerifyError::Signature => RejectCode::SignatureInvalid,
        VerifyError::Wrap => RejectCode::WrapMismatch,
    })
}

fn check_recipient(header: &Header, entry: &Entry, now: UnixMillis) -> Result<(), RejectCode> {
    if header.suite < entry.suite_floor {
        return Err(RejectCode::SuiteUnsupported);
    }
    let sealing = entry.keys.sealing.iter().find(|key| key.public.id() == header.recipient_key);
    // The recipient destroys the private half at open-until: an envelope sealed to it would never be opened.
    match sealing {
        Some(key) if now < key.open_until => Ok(()),
        Some(_) | None => Err(RejectCode::RecipientKeyUnknown),
    }
}

/// What a peer is told of a rule that its header breaks.
fn rule_code(error: &HeaderError, header: &Header) -> RejectCode {
    match error {
        HeaderError::Decode(_) | HeaderError::Seal => RejectCode::HeaderMalformed,
        HeaderError::Version(_) => RejectCode::VersionUnsupported,
        HeaderError::Suite(_) => RejectCode::SuiteUnsupported,
        HeaderError::Names if header.originator == header.recipient => RejectCode::SelfAddressed,
        // The hub neither writes nor receives: no link is its own, and no entry has a sealing key of its.
        HeaderError::Names if header.originator == ParticipantId::HUB => RejectCode::OriginatorMismatch,
        HeaderError::Names => RejectCode::RecipientUnknown,
        HeaderError::BodyLength => RejectCode::BodyLengthMismatch,
    }
}
