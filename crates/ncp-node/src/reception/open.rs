//! Opening: wrap, body to the last byte, manifest; then all that the core needs to consign the message.
//!
//! Runs on a worker and holds one chunk at a time. Whatever fails here is the originator's fault, for signature, R1 and
//! root have passed before: each failure has its code, which the originator learns from signed evidence.

use ncp_protocol::body::open::ChunkError;
use ncp_protocol::body::sealed_range;
use ncp_protocol::envelope::open::{OpenBodyError, OpenError, OpenedMessage};
use ncp_protocol::event::{EnvelopeKey, Received};
use ncp_protocol::ids::Digest;
use ncp_protocol::reject::RejectCode;
use ncp_protocol::wrap::WrapContent;
use ncp_store::disk::Disk;
use ncp_store::index::Index;
use ncp_store::reader::ReadError;
use ncp_store::spool::Record;

use super::body::Body;
use super::judge::Verified;
use crate::core::command::{Consigned, body_record, content_record, envelope_record};
use crate::means::Means;
use crate::vault::StoredContent;

/// What a worker made of a delivery.
pub enum Opened {
    /// For the core.
    Good(Box<Consigned>),
    /// The envelope's own fault.
    Refused(RejectCode),
    /// The body went bad on this disk. Nothing rests on it yet: it is fetched again.
    Rotten,
}

/// Opens a delivery. Blocks.
///
/// # Errors
/// [`ReadError`].
pub fn open<D: Disk, I: Index>(
    means: &Means<'_, D, I>,
    verified: Verified,
    body: &Body<D>,
) -> Result<Opened, ReadError> {
    let Verified { key, envelope, bytes, acceptance } = verified;
    let Some(sealing) = means.keys.sealing(&envelope.header().recipient_key) else {
        return Ok(Opened::Refused(RejectCode::RecipientKeyUnknown));
    };
    let (length, root) = (envelope.header().body_length, envelope.header().ciphertext_root);
    let opened = match envelope.open(&means.participant, sealing) {
        Ok(opened) => opened,
        Err(error) => return Ok(Opened::Refused(code_of(&error))),
    };
    let opened = match opened.open_body(|index| read_chunk(body, index, length)) {
        Ok(opened) => opened,
        Err(OpenBodyError::Read(error)) => {
            tracing::error!(%error, msg = %key.message, "a body that came cannot be read");
            return Ok(Opened::Rotten);
        }
        Err(OpenBodyError::Open(_)) if is_rotten(body, root) => return Ok(Opened::Rotten),
        Err(OpenBodyError::Open(error)) => return Ok(Opened::Refused(code_of(&error))),
    };
    let name = content_record(key.originator, key.message, 0);
    let content = opened.content();
    let stored =
        StoredContent::received(opened.wrap_content().cek.clone(), *content.r(), content.manifest_bytes().to_vec());
    let header = opened.header_digest();
    let inline = match body {
        Body::Inline(bytes) => Some(Record { name: body_record(root), bytes: bytes.clone() }),
        Body::Stored(_) => None,
    };
    Ok(Opened::Good(Box::new(Consigned {
        received: received(key, &opened),
        envelope: Record { name: envelope_record(header), bytes },
        content: means.vault.seal_content_under(means.nonce, name, &stored),
        body: inline,
        acceptance,
        originator_class: means.statements.class(key.originator),
        cites: opened.manifest().in_reply_to.map(|cited| cited.commitment),
    })))
}

/// Whether a body that does not open no longer has its root: then it went bad on this disk, and is nobody else's fault.
fn is_rotten<D: Disk>(body: &Body<D>, root: Digest) -> bool {
    match body {
        Body::Stored(stored) => stored.root().ok() != Some(root),
        Body::Inline(_) => false,
    }
}

fn read_chunk<D: Disk>(body: &Body<D>, index: u64, length: u64) -> Result<Vec<u8>, std::io::Error> {
    match body {
        Body::Inline(bytes) if sealed_range(index, length).is_some() => Ok(bytes.clone()),
        Body::Inline(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Body::Stored(stored) => stored.chunk(index)?.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// What the journal will say.
fn received(envelope: EnvelopeKey, opened: &OpenedMessage) -> Received {
    let (header, manifest) = (opened.header(), opened.manifest());
    let WrapContent { pair_sequence, pair_epoch, floor, voided, .. } = opened.wrap_content();
    Received {
        envelope,
        header: opened.header_digest(),
        reference: manifest.reference,
        conversation: manifest.conversation,
        in_reply_to: manifest.in_reply_to.map(|cited| cited.message),
        kind: manifest.kind,
        response_status: manifest.response_status,
        reason: manifest.reason.clone(),
        precedence: header.precedence,
        handling: manifest.handling,
        answer_by: manifest.answer_by,
        due: None,
        commitment: header.content_commitment,
        root: header.ciphertext_root,
        body_length: header.body_length,
        sequence: *pair_sequence,
        epoch: *pair_epoch,
        floor: *floor,
        voided: voided.clone(),
    }
}

/// The code that the originator learns. It says that opening failed and where, never more.
fn code_of(error: &OpenError) -> RejectCode {
    match error {
        OpenError::Recipient => RejectCode::RecipientUnknown,
        OpenError::KeyId => RejectCode::RecipientKeyUnknown,
        OpenError::Wrap(_) => RejectCode::WrapUnopened,
        OpenError::Chunk(ChunkError::Outside | ChunkError::Sealed) | OpenError::Layout | OpenError::Padding => {
            RejectCode::BodyUnopened
        }
        OpenError::Root => RejectCode::BodyRootMismatch,
        OpenError::Incomplete => RejectCode::BodyLengthMismatch,
        OpenError::Commitment => RejectCode::CommitmentMismatch,
        OpenError::Manifest(_) | OpenError::UrgentGround => RejectCode::ManifestInvalid,
        OpenError::Names => RejectCode::ManifestMismatch,
        OpenError::Part(_) => RejectCode::PartMismatch,
    }
}
