//! From an envelope that arrived to a settled one: look whether it is known, verify on a worker, decide, and again if the
//! directory changed between.

use std::sync::Arc;

use ncp_protocol::envelope::SealedEnvelope;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::frame::{Recall, Refused};
use ncp_protocol::ids::SealNumber;
use ncp_protocol::reject::RejectCode;
use ncp_store::queue::Urgency;

use super::uploads::has_room;
use super::urgency;
use crate::clock;
use crate::core::command::{self, BodySource, Command, Reply};
use crate::core::query;
use crate::core::tables::ReceiptPlace;
use crate::directory;
use crate::hub::Asked;
use crate::limits::VERIFICATIONS_MAX;
use crate::link::{Link, LinkEnd};
use crate::verify::{Refusal, Verified, known, verify};

/// What became of something that a peer sent.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is not what it claims to be.
    Refused(Refusal),
    /// It was accepted before: this is its R1.
    Known(ReceiptPlace),
    /// The core replied.
    Decided(Arc<Verified>, Reply),
    /// A recall is done: with evidence of what ended before, or with new evidence in the stream; or nothing waits.
    Recalled(Result<Option<ReceiptPlace>, Refused>),
}

/// `body` is what came ahead of the envelope, if anything did.
pub(super) async fn verify_and_decide(
    link: Arc<Link>,
    envelope: SealedEnvelope,
    body: Option<Arc<[u8]>>,
) -> Result<Settled, LinkEnd> {
    let hub = &link.hub;
    if let Some(place) = hub.look(|view| known(view, link.peer, &envelope))? {
        return Ok(Settled::Known(place));
    }
    let envelope = Arc::new(envelope);
    let mut refusal = None;
    for _ in 0..VERIFICATIONS_MAX {
        let (directory, network, peer) = (hub.directory.load(), hub.network, link.peer);
        let (arrived, ahead) = (Arc::clone(&envelope), body.clone());
        let check = move || {
            let verified = verify(&directory, &network, peer, &arrived, clock::now())?;
            Ok((ahead.filter(|ahead| verified.header.names_body(ahead)), verified))
        };
        let (body, verified) = match link.work(check).await? {
            Ok((body, verified)) => (body.filter(|body| has_room(hub, body.len() as u64)), Arc::new(verified)),
            Err(refused) => return Ok(Settled::Refused(refused)),
        };
        refusal = Some(Refusal::Envelope(verified.key(), RejectCode::Maintenance));
        let source = body.map_or(BodySource::AtHub, BodySource::Inline);
        let settled = decide(Arc::clone(&link), verified, source).await?;
        if !matches!(settled, Settled::Decided(_, Reply::DirectoryChanged)) {
            return Ok(settled);
        }
        // The snapshot that the worker used is behind the index: read it anew, then verify again.
        directory::refresh(hub).await?;
    }
    // A directory that changes faster than one envelope is verified: the peer tries again later.
    Ok(Settled::Refused(refusal.unwrap_or(Refusal::Unreadable(RejectCode::Maintenance))))
}

/// Has a verified envelope decided.
///
/// A body that was deleted since (`drops` above 0) may still lie where its upload would come: the committer unlinks it
/// after the replies of the group that let it go. So a wish for such a body counts only when it is repeated, as the second
/// reply comes from a later group.
pub(super) async fn decide(link: Arc<Link>, verified: Arc<Verified>, body: BodySource) -> Result<Settled, LinkEnd> {
    let inline = match &body {
        BodySource::Inline(bytes) => bytes.len(),
        BodySource::AtHub | BodySource::Uploaded { .. } => 0,
    };
    let asked = Asked::by(link.peer, urgency(verified.header.precedence), verified.weight() + inline);
    let mut source = body;
    let mut wanted = None;
    loop {
        let submission = verified.submission(link.peer, source, clock::stamp());
        let command = Command::AcceptSubmission(Box::new(submission));
        let reply = link.hub.submit(asked, command).await?.reply;
        let Reply::BodyWanted { drops } = reply else { return Ok(Settled::Decided(verified, reply)) };
        if drops == 0 || wanted == Some(drops) {
            return Ok(Settled::Decided(verified, reply));
        }
        wanted = Some(drops);
        source = BodySource::AtHub;
    }
}

/// Recalls what waits. What the participant submitted before, on an earlier link even, may wait in either lane of the
/// committer, so that nothing waits counts only when both have said it.
pub(super) async fn recall(link: Arc<Link>, wish: Recall) -> Result<Settled, LinkEnd> {
    let Recall { message, recipient } = wish;
    let originator = link.peer;
    for urgency in [Urgency::Urgent, Urgency::Routine] {
        let command = Command::Recall(command::Recall { originator, message, recipient, stamp: clock::stamp() });
        let reply = link.hub.submit(Asked::by(originator, urgency, 0), command).await?.reply;
        if let Reply::EndedBefore(place) = reply {
            return Ok(Settled::Recalled(Ok(Some(place))));
        }
        if reply != Reply::Refused(RejectCode::NotWaiting) {
            assert_eq!(reply, Reply::Recalled, "no other reply settles a recall");
            return Ok(Settled::Recalled(Ok(None)));
        }
    }
    let seal = link.hub.look(|view| query::newest_seal(view, originator, message, recipient))?;
    let envelope = EnvelopeKey { originator, message, recipient, seal: seal.unwrap_or(SealNumber(1)) };
    Ok(Settled::Recalled(Err(Refused { envelope, code: RejectCode::NotWaiting })))
}
