//! Envelopes sealed beforehand, with the real keys of a participant whose daemon does not run.

use core::ops::Range;
use std::sync::Arc;
use std::thread;

use ncp_api::TEXT_PART;
use ncp_protocol::body::ContentKey;
use ncp_protocol::codes::{Handling, Kind, Precedence};
use ncp_protocol::directory::Entry;
use ncp_protocol::envelope::{DraftMessage, SealTo, SealedEnvelope};
use ncp_protocol::ids::{ConversationId, Digest, Epoch, MessageId, PairSequence, Reference, SealNumber};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::{DAY_MS, PROTOCOL_VERSION};
use ncp_protocol::manifest::{Manifest, Part};
use ncp_protocol::wrap::WrapContent;

use crate::folder::{now, random};
use crate::peer::Material;
use crate::trouble::Trouble;

/// An envelope with the sealed chunks of its body.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Its message.
    pub(crate) message: MessageId,
    /// Header, signature, wrap.
    pub(crate) envelope: SealedEnvelope,
    /// The body.
    pub(crate) chunks: Vec<Vec<u8>>,
}

/// Seals notices with a text of `size` bytes for one recipient, on all processors. `numbers` are those of the pair, less one.
pub(crate) fn seal_all(
    from: &Arc<Material>,
    to: &Entry,
    size: usize,
    numbers: Range<usize>,
) -> Result<Vec<Sealed>, Trouble> {
    let workers = thread::available_parallelism().map_or(1, core::num::NonZero::get);
    let (count, share) = (numbers.len(), numbers.len().div_ceil(workers).max(1));
    let parts: Vec<Result<Vec<Sealed>, Trouble>> = thread::scope(|scope| {
        let work = |worker: usize| {
            let numbers = numbers.clone().skip(worker * share).take(share);
            scope.spawn(move || numbers.map(|number| seal(from, to, size, number)).collect())
        };
        let workers: Vec<_> = (0..workers).map(work).collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut all = Vec::with_capacity(count);
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}

fn seal(from: &Material, to: &Entry, size: usize, number: usize) -> Result<Sealed, Trouble> {
    let bad = |error: &dyn core::fmt::Display| Trouble::network(format_args!("an envelope does not seal: {error}"));
    let message = MessageId::from_random(random()?);
    let text: Vec<u8> = b"Lorem ipsum dolor sit amet, ".iter().copied().cycle().take(size).collect();
    let manifest = manifest(from, to, message, &text, number).ok_or_else(|| bad(&"no manifest"))?;
    let cek = random()?;
    let draft = DraftMessage::new(manifest, &random()?).map_err(|error| bad(&error))?;
    let mut chunks = Vec::new();
    let mut out = |_: u64, chunk: Vec<u8>| chunks.push(chunk);
    let mut sealer = draft.seal_body(&ContentKey::from_bytes(&cek), &mut out).map_err(|error| bad(&error))?;
    sealer.update(&text, &mut out).map_err(|error| bad(&error))?;
    let body = sealer.finish(&mut out).map_err(|error| bad(&error))?;
    let created = now();
    let wrap = WrapContent {
        cek: ContentKey::from_bytes(&cek),
        pair_epoch: Epoch(1),
        pair_sequence: PairSequence(number as u64 + 1),
        floor: PairSequence(1),
        voided: Vec::new(),
        public_size: 0,
        public_root: Digest([0; 32]),
    };
    let to = SealTo {
        recipient: to.participant,
        key: &to.sealing_key(created).ok_or_else(|| bad(&"the recipient has no sealing key"))?.public,
        seal: SealNumber(1),
        precedence: Precedence::Routine,
        created,
        not_after: created.plus_millis(DAY_MS),
        wrap: &wrap,
    };
    let envelope = draft.seal_for(&body, &to, &from.signing, &random()?).map_err(|error| bad(&error))?;
    Ok(Sealed { message, envelope, chunks })
}

fn manifest(from: &Material, to: &Entry, message: MessageId, text: &[u8], number: usize) -> Option<Manifest> {
    Some(Manifest {
        version: PROTOCOL_VERSION,
        network: from.network,
        message,
        reference: Reference::new(from.participant, 2026, u32::try_from(number % 999_999 + 1).ok()?).ok()?,
        originator: from.participant,
        recipients: vec![to.participant],
        conversation: ConversationId(message),
        in_reply_to: None,
        kind: Kind::Notice,
        response_status: None,
        subject: "measured".parse().ok()?,
        subject_code: None,
        form: None,
        handling: Handling::H0,
        restriction: None,
        urgent_ground: None,
        answer_by: None,
        also_sent_through: Vec::new(),
        reason: None,
        parts: vec![Part {
            name: TEXT_PART.parse().ok()?,
            media_type: "text/plain".parse().ok()?,
            length: text.len() as u64,
            sha256: sha256(text),
        }],
    })
}
