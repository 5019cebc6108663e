//! From what a caller asks for to a message that waits for release: checks, manifest, sealed body, one command.
//!
//! The sealed body is the draft: the plaintext of a message exists in memory alone. Every edit makes a fresh content key,
//! `r` and body. A large body is durable before its command is decided; if the command is refused the body is removed, and
//! if a crash comes between, housekeeping removes it. The same idempotency key with the same request is the same message.

mod gather;
mod plan;

use std::sync::Arc;

use ncp_api::message::{Attachment, NewMessage, Validation};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::body::{BodyDigest, ContentKey};
use ncp_protocol::envelope::{DraftMessage, PartsSealer, SealBodyError};
use ncp_protocol::event::Asked;
use ncp_protocol::ids::{Digest, MessageId, Reference};
use ncp_protocol::limits::CHUNK_PLAIN;
use ncp_store::queue::Source as Queue;
use ncp_store::spool::{BodyName, Record};

use crate::clock;
use crate::content;
use crate::contributions::ContributedFile;
use crate::core::command::{Ask, Done, PutUp, body_record, content_record};
use crate::core::tables::{IDEMPOTENCY, OUT, OutRow, OutState};
use crate::faults::{About, Failed, refused};
use crate::node::{Node, Submission};
use crate::officer_auth::Officer;
use crate::sealed::{ChunkSink, Sunk};
use crate::vault::StoredContent;
use gather::{PlannedPart, Source};
use plan::Plan;

/// Who asks, and how the same request is known again.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The officer.
    pub officer: Officer,
    /// Key and request, as MACs of this node.
    pub asked: Asked,
}

impl Caller {
    /// The caller of a request with this path and body.
    #[must_use]
    pub fn new(node: &Node, officer: Officer, path: &str, body: &[u8]) -> Self {
        let number = officer.number.0.to_le_bytes();
        let key = node.vault.request_mac(&[b"officer\0", &number, officer.idempotency_key.as_bytes()]);
        let request = node.vault.request_mac(&[path.as_bytes(), b"\0", body]);
        Self { officer, asked: Asked { key, request } }
    }
}

/// What a message is put up as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base {
    message: MessageId,
    revision: u32,
    reference: Reference,
    made_by: Asked,
}

/// Creates a message.
///
/// # Errors
/// What is wrong with it, with the member that says so.
pub async fn create(node: &Arc<Node>, caller: Caller, asked: NewMessage) -> Result<MessageId, Failed> {
    let made_by = caller.asked;
    if let Some(message) = node.blocking(move |node| made_before(node, made_by)).await? {
        return Ok(message);
    }
    let message = MessageId::from_random(clock::random());
    let composed = node
        .blocking(move |node| {
            let plan = Plan::check(node, &asked, None)?;
            let reference = reference(node)?;
            compose(node, plan, Base { message, revision: 1, reference, made_by })
        })
        .await?;
    put_up(node, &caller.officer, composed, Ask::PutUp, "drafting").await
}

/// Replaces a message that is not released; approvals are void.
///
/// # Errors
/// What is wrong with it, or that it is released already.
pub async fn edit(
    node: &Arc<Node>,
    caller: Caller,
    message: MessageId,
    asked: NewMessage,
) -> Result<MessageId, Failed> {
    let made_by = caller.asked;
    let composed = node
        .blocking(move |node| {
            let row = editable(node, message)?;
            let plan = Plan::check(node, &asked, Some(&row))?;
            let revision = row.draft.revision.saturating_add(1);
            compose(node, plan, Base { message, revision, reference: row.draft.reference, made_by })
        })
        .await?;
    put_up(node, &caller.officer, composed, Ask::Edit, "an edit").await
}

/// Says what would happen to a message, and makes nothing.
///
/// # Errors
/// As [`create`].
pub fn validate(node: &Node, asked: &NewMessage) -> Result<Validation, Failed> {
    Plan::check(node, asked, None)?.validation(node)
}

/// The message that the same request made before.
fn made_before(node: &Node, made_by: Asked) -> Result<Option<MessageId>, Failed> {
    let view = node.reader().view();
    let Some(row) = IDEMPOTENCY.row(&view, &made_by.key.0)? else { return Ok(None) };
    if row.request == made_by.request {
        return Ok(Some(row.message));
    }
    let reference =
        OUT.row(&view, &row.message)?.map_or_else(|| row.message.to_string(), |row| row.draft.reference.to_string());
    Err(ErrorCode::IdempotencyKeyReused.with("reference", reference).into())
}

fn reference(node: &Node) -> Result<Reference, Failed> {
    let next = node.references.next(&node.reader().view(), &node.identity.origin, clock::now())?;
    next.map_err(|error| ErrorCode::InternalFault.with("reason", error).into())
}

fn editable(node: &Node, message: MessageId) -> Result<OutRow, Failed> {
    let row = OUT.row(&node.reader().view(), &message)?;
    let row = row.ok_or_else(|| ErrorCode::MessageUnknown.with("message", message))?;
    match row.state {
        OutState::WaitingForRelease | OutState::ReturnedToDrafter => Ok(row),
        OutState::Released | OutState::Withdrawn => {
            let state = if row.state == OutState::Released { "released" } else { "withdrawn" };
            let fault = ErrorCode::MessageStateWrong.with("action", "an edit").with("state", state);
            Err(fault.with("reference", row.draft.reference).into())
        }
    }
}

/// A message ready to be put up.
struct Composed {
    put_up: PutUp,
    reference: Reference,
    file: Option<BodyName>,
}

fn compose(node: &Node, plan: Plan, base: Base) -> Result<Composed, Failed> {
    // Early and politely: what a draft of one chunk needs is little, what follows from it is not.
    crate::space::check(node, 0)?;
    let manifest = plan.manifest(node, base);
    let draft = DraftMessage::new(manifest, &clock::random())
        .map_err(|error| ErrorCode::RequestMalformed.with("reason", error))?;
    let cek = ContentKey::from_bytes(&clock::random());
    let (body, sunk) = seal(node, &draft, &cek, &plan.parts)?;
    let (record, file) = match sunk {
        Sunk::Record(bytes) => (Some(Record { name: body_record(body.root), bytes }), None),
        Sunk::File(name) => (None, Some(name)),
    };
    let stored = StoredContent {
        cek,
        r: *draft.r(),
        manifest: draft.manifest_bytes().to_vec(),
        national_ref: plan.national_ref.clone(),
        tasks: plan.task_parts(),
    };
    let name = content_record(node.participant(), base.message, base.revision);
    let put_up = PutUp {
        draft: plan.draft(node, base, draft.commitment(), body),
        content: node.vault.seal_content(name, &stored),
        body: record,
        rules: node.settings().rules.clone(),
    };
    Ok(Composed { put_up, reference: base.reference, file })
}

/// Seals manifest and parts; what was promised about a part is checked against its bytes.
fn seal(
    node: &Node,
    draft: &DraftMessage,
    cek: &ContentKey,
    parts: &[PlannedPart],
) -> Result<(BodyDigest, Sunk), Failed> {
    let mut sink = ChunkSink::new(node, draft.manifest().message, draft.plain_length())?;
    match seal_into(node, draft, cek, parts, &mut sink) {
        Ok(body) => Ok((body, sink.finish(node)?)),
        Err(error) => {
            sink.abandon();
            Err(error)
        }
    }
}

fn seal_into(
    node: &Node,
    draft: &DraftMessage,
    cek: &ContentKey,
    parts: &[PlannedPart],
    sink: &mut ChunkSink,
) -> Result<BodyDigest, Failed> {
    let mut sealer = draft.seal_body(cek, &mut |_, chunk| sink.take(chunk)).map_err(unsealed)?;
    for planned in parts {
        match &planned.source {
            Source::Bytes(bytes) => feed(node, &mut sealer, bytes, sink)?,
            Source::Stretch(stretch) => {
                let mut failed = None;
                let read = stretch.read(0, stretch.length, &mut |piece| {
                    failed = feed(node, &mut sealer, piece, sink).err();
                    failed.is_none()
                });
                failed.map_or(Ok(()), Err)?;
                read.map_err(ncp_store::reader::ReadError::from)?;
            }
        }
    }
    sealer.finish(&mut |_, chunk| sink.take(chunk)).map_err(|error| unsealed(error).into())
}

fn feed(node: &Node, sealer: &mut PartsSealer, bytes: &[u8], sink: &mut ChunkSink) -> Result<(), Failed> {
    for piece in bytes.chunks(CHUNK_PLAIN) {
        sealer.update(piece, &mut |_, chunk| sink.take(chunk)).map_err(unsealed)?;
        sink.check(node)?;
    }
    Ok(())
}

fn unsealed(error: SealBodyError) -> Fault {
    ErrorCode::InternalFault.with("reason", error)
}

/// Has the message decided; a body file that nothing names in the end is removed.
async fn put_up(
    node: &Arc<Node>,
    officer: &Officer,
    composed: Composed,
    ask: fn(PutUp) -> Ask,
    action: &'static str,
) -> Result<MessageId, Failed> {
    let Composed { put_up, reference, file } = composed;
    let (message, precedence) = (put_up.draft.message, put_up.draft.precedence);
    let weight = put_up.content.bytes.len() + put_up.body.as_ref().map_or(0, |body| body.bytes.len());
    let submission = Submission { source: Queue::Local, weight, ..Submission::LOCAL }.for_precedence(precedence);
    let reply = node.submit(submission, officer.actor.clone(), ask(put_up)).await?.reply;
    let made = match &reply {
        Ok(Done::Message { message, .. }) => *message,
        Ok(Done::Noted | Done::Evidence { .. } | Done::Tasks { .. } | Done::Withdrawal(_)) => message,
        Err(_) => MessageId([0; 16]),
    };
    if let Some(file) = file.filter(|_| made != message) {
        // Refused, or made before by the same request: nothing will ever name this body.
        let removed = node.blocking(move |node| node.reader().uploads().remove(&file)).await;
        removed.map_err(ncp_store::reader::ReadError::from)?;
    }
    match reply {
        Ok(_) => Ok(made),
        Err(refusal) => {
            let about = About { action, reference: reference.to_string(), officer: officer.number };
            Err(refused(node, refusal, &about).into())
        }
    }
}

/// The commitment and the conversation of a message that another one cites.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cited {
    message: MessageId,
    commitment: Digest,
    conversation: ncp_protocol::ids::ConversationId,
}

/// Names a content for reading parts of the revision before.
fn content_of(node: &Node, row: &OutRow) -> content::ContentKey {
    content::ContentKey::of_out(node.participant(), row)
}

/// An upload as a file of a contribution.
///
/// # Errors
/// What is wrong with name, media type or upload.
pub fn contributed_file(node: &Node, index: usize, attachment: &Attachment) -> Result<ContributedFile, Failed> {
    let name = gather::part_name(index, &attachment.name)?;
    let media_type = gather::media_type(index, &attachment.media_type)?;
    let unknown = || ErrorCode::BlobUnknown.with("blob", &attachment.blob).field(format!("attachments[{index}].blob"));
    let id: MessageId = attachment.blob.parse().map_err(|_| unknown())?;
    let blob = crate::blobs::open(node, id)?.ok_or_else(unknown)?;
    Ok(ContributedFile { name, media_type, length: blob.head.length, sha256: blob.head.sha256, blob: id })
}
