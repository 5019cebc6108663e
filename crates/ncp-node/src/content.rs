//! Content of messages as it lies here: the sealed record with key, `r` and manifest, and the parts inside the sealed body.
//!
//! What is opened here was verified once, when it was sealed at this node or consigned; a record or chunk that does not
//! open any more is damage, and said to be.

use ncp_api::{ErrorCode, Fault};
pub use ncp_api::{FORM_PART, TEXT_PART};
use ncp_protocol::body::BodyCore;
use ncp_protocol::body::open::BodyOpener;
use ncp_protocol::envelope::open::reopen_content;
use ncp_protocol::header::SUITE;
use ncp_protocol::ids::{Digest, MessageId, ParticipantId};
use ncp_protocol::manifest::{Manifest, Part};
use ncp_store::reader::ReadError;
use ncp_store::spool::{BodyName, RecordName};

use crate::core::command::content_record;
use crate::core::tables::{InRow, OutRow};
use crate::faults::Failed;
use crate::node::Node;
use crate::sealed::Stretch;
use crate::vault::StoredContent;

/// Media type of [`TEXT_PART`].
pub const TEXT_TYPE: &str = "text/plain";
/// Media type of [`FORM_PART`].
pub const FORM_TYPE: &str = "application/json";
/// Longest text or form that is shown inside a message; a longer one is a part like others.
pub const INLINE_MAX: u64 = 1 << 20;

/// Which content is meant: one revision of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentKey {
    /// Who signed it.
    pub originator: ParticipantId,
    /// The message.
    pub message: MessageId,
    /// 0 for what arrived.
    pub revision: u32,
    /// Root of the sealed body.
    pub root: Digest,
    /// Content commitment.
    pub commitment: Digest,
}

impl ContentKey {
    /// The content of a message of this node.
    #[must_use]
    pub fn of_out(originator: ParticipantId, row: &OutRow) -> Self {
        let draft = &row.draft;
        Self {
            originator,
            message: draft.message,
            revision: draft.revision,
            root: draft.root,
            commitment: draft.commitment,
        }
    }

    /// The content of a message that arrived.
    #[must_use]
    pub fn of_in(row: &InRow) -> Self {
        let received = &row.received;
        Self {
            originator: received.envelope.originator,
            message: received.envelope.message,
            revision: 0,
            root: received.root,
            commitment: received.commitment,
        }
    }
}

/// A record that is there and does not open.
#[must_use]
pub fn damaged(name: &RecordName) -> Fault {
    ErrorCode::RecordMissing.with("record", format!("{:?} {} does not open", name.kind, name.id.short()))
}

/// A message's content record with its manifest; `None` if it was erased.
///
/// # Errors
/// Damage, or the store's failure.
pub fn stored(node: &Node, key: &ContentKey) -> Result<Option<(StoredContent, Manifest)>, Failed> {
    let name = content_record(key.originator, key.message, key.revision);
    let Some(bytes) = node.reader().record(&name)? else { return Ok(None) };
    let content = node.vault.open_content(&name, &bytes).map_err(|_| damaged(&name))?;
    let manifest = Manifest::decode(&content.manifest).map_err(|_| damaged(&name))?;
    Ok(Some((content, manifest)))
}

/// Part `index`, from 0, of a message; `None` if it has no such part, or its body is gone.
///
/// # Errors
/// Damage, or the store's failure.
pub fn part(
    node: &Node,
    key: &ContentKey,
    content: &StoredContent,
    index: usize,
) -> Result<Option<(Part, Stretch)>, Failed> {
    let name = BodyName { originator: key.originator, message: key.message, root: key.root };
    let Some(body) = node.reader().body(&name)? else { return Ok(None) };
    let core = BodyCore { network: node.network.id(), suite: SUITE, originator: key.originator, message: key.message };
    let lost = || ErrorCode::RecordMissing.with("record", format!("body {} does not open", key.root.short()));
    let opener = BodyOpener::new(&core, &content.cek, body.len()).map_err(|_| lost())?;
    let reopened = reopen_content(&opener, &node.network.id(), &key.commitment, |chunk| {
        body.chunk(chunk).and_then(|chunk| chunk.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into()))
    });
    let reopened = reopened.map_err(|_| lost())?;
    let Some((offset, length)) = reopened.part_span(index) else { return Ok(None) };
    let Some(part) = reopened.manifest().parts.get(index).cloned() else { return Ok(None) };
    Ok(Some((part, Stretch { body, opener, offset, length })))
}

/// The text of the part of this name and type, if it is there, short and UTF-8.
///
/// # Errors
/// Damage, or the store's failure.
pub fn inline_text(
    node: &Node,
    key: &ContentKey,
    content: &StoredContent,
    manifest: &Manifest,
    name: &str,
) -> Result<Option<String>, Failed> {
    let place = manifest.parts.iter().position(|part| part.name.as_str() == name && part.length <= INLINE_MAX);
    let Some(place) = place else { return Ok(None) };
    let Some((_, stretch)) = part(node, key, content, place)? else { return Ok(None) };
    let bytes = stretch.all().map_err(ReadError::from)?;
    Ok(String::from_utf8(bytes).ok())
}
