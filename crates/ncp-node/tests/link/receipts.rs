//! Evidence in both directions: nothing lost with a link, nothing believed that does not fit.

use ncp_node::core::tables::EnvelopeStage;
use ncp_protocol::event::{EvidenceKind, Outcome};
use ncp_protocol::evidence;
use ncp_protocol::ids::{Digest, LogName};

use crate::craft::{Letter, send};
use crate::hub::{HubLink, key_of, later_log_key, receipt, stored};
use crate::world::{World, soon};

/// Delivers an honest message of one chunk and returns when the node's evidence of it arrives.
async fn consign(world: &mut World, link: &mut HubLink, sequence: u64) -> ncp_protocol::frame::Receipts {
    let letter = Letter::new(world, sequence, b"text");
    let deliver = world.hub.deliver(&letter.seal());
    link.send(deliver).await;
    let wanted = link.wanted(&world.hub).await;
    let chunk = ncp_protocol::frame::BodyChunk {
        originator: wanted.originator,
        message: wanted.message,
        index: 0,
        bytes: letter.chunks[0].clone(),
    };
    link.send(chunk).await;
    link.receipts(&world.hub).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_evidence_is_sent_again_from_the_cursor_of_the_next_hello() {
    let (mut world, mut link) = World::linked().await;
    let first = consign(&mut world, &mut link, 1).await;
    assert_eq!((first.first, first.proofs.len()), (1, 1));
    link.cut();

    let mut link = world.link().await;
    assert_eq!(link.receipts(&world.hub).await, first, "not acknowledged: the same bytes again");
    link.send(stored(1)).await;
    let second = consign(&mut world, &mut link, 2).await;
    assert_eq!((second.first, second.proofs.len()), (2, 1));
    link.cut();

    let mut link = soon(world.hub.link_with(|hello| hello.receipts.number = 1)).await;
    assert_eq!(link.receipts(&world.hub).await, second, "what the hub has is not sent again");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_evidence_is_the_same_after_a_restart() {
    let (mut world, mut link) = World::linked().await;
    let first = consign(&mut world, &mut link, 1).await;
    link.cut();
    world.stop().await;
    world.start().await;
    let mut link = world.link().await;
    assert_eq!(link.receipts(&world.hub).await, first);
    let origin = world.xa.origin(LogName::Node);
    let verified = evidence::verify(&first.proofs[0], &origin, &world.xa.log.verifying_key()).unwrap();
    assert_eq!((verified.claim().kind, verified.claim().outcome), (EvidenceKind::ContentConsignment, Outcome::Done));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_that_does_not_fit_moves_nothing_and_blocks_nothing() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    let (key, header) = (key_of(&envelope), envelope.header_digest());

    let other_header = world.hub.claim(EvidenceKind::RelayAcceptance, key, Digest([9; 32]), Outcome::Done);
    link.send(receipt(1, other_header)).await;
    assert_eq!(link.stored(&world.hub).await, 1);
    let early = world.hub.claim(EvidenceKind::RelayFailure, key, header, Outcome::Expired);
    link.send(receipt(2, early)).await;
    assert_eq!(link.stored(&world.hub).await, 2);
    let speaks_for_recipient = world.hub.claim(EvidenceKind::ContentConsignment, key, header, Outcome::Done);
    link.send(receipt(3, speaks_for_recipient)).await;
    assert_eq!(link.stored(&world.hub).await, 3);
    let mut forged = world.hub.accept(&envelope);
    forged.event[40] ^= 1;
    link.send(receipt(4, forged)).await;
    assert_eq!(link.stored(&world.hub).await, 4);
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Sealed);

    let accepted = world.hub.accept(&envelope);
    link.send(receipt(5, accepted)).await;
    assert_eq!(link.stored(&world.hub).await, 5);
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Accepted);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hubs_stream_goes_on_near_where_it_was_after_a_restart() {
    let (mut world, mut link) = World::linked().await;
    send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    let accepted = world.hub.accept(&envelope);
    // A number far ahead: what was before it the hub has forgotten.
    link.send(receipt(300, accepted.clone())).await;
    assert_eq!(link.stored(&world.hub).await, 300);
    link.send(receipt(301, accepted)).await;
    assert_eq!(link.stored(&world.hub).await, 301);
    link.cut();
    world.stop().await;
    world.start().await;
    let link = world.link().await;
    assert_eq!((link.hello.receipts.epoch.0, link.hello.receipts.number), (1, 300), "noted each few hundred");
    link.cut();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_asks_again_for_evidence_whose_key_was_missing() {
    let (mut world, mut link) = World::linked().await;
    send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    let known = world.hub.accept(&envelope);
    let unknown = world.hub.accept_in_epoch(9, &envelope);
    link.send(receipt(300, unknown)).await;
    assert_eq!(link.stored(&world.hub).await, 300);
    link.send(receipt(600, known)).await;
    assert_eq!(link.stored(&world.hub).await, 600);
    link.cut();
    world.stop().await;
    world.start().await;
    let link = world.link().await;
    assert_eq!(link.hello.receipts.number, 299, "before the piece that waits, though the stream had gone on");
    link.cut();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_whose_key_was_missing_is_stored_when_the_directory_has_it() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    let unknown = world.hub.accept_in_epoch(9, &envelope);
    link.send(receipt(1, unknown)).await;
    assert_eq!(link.stored(&world.hub).await, 1, "the stream goes on");
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Sealed);
    link.cut();

    let mut link = world.link().await;
    assert_eq!(link.hello.receipts.number, 1, "it is kept here over links");
    assert_eq!(link.submit(&world.hub).await, envelope);
    let entry = world.hub.party.with_log_epoch(9, &later_log_key());
    world.hub.admit(entry);
    link.tell_of_news(&world.hub).await;
    soon(async {
        while world.envelope(message).stage != EnvelopeStage::Accepted {
            link.serve_for_a_while(&world.hub).await;
        }
    })
    .await;
    world.stop().await;
}
