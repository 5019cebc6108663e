//! What leaves: in order, the same bytes after a cut, and nothing that a hold stops.

use std::fs;
use std::path::Path;

use ncp_api::health::CheckResult;
use ncp_node::core::command::Ask;
use ncp_node::core::tables::{EnvelopeStage, QUEUE};
use ncp_node::timeline::{Words, timeline};
use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{Actor, EnvelopeKey, EvidenceKind, HoldScope, Outcome};
use ncp_protocol::frame::{BodyWanted, Credit, Frame, Recall, Refused};
use ncp_protocol::ids::{Digest, MessageId, OfficerNumber};
use ncp_protocol::keys::Signature;
use ncp_protocol::limits::BODY_AHEAD_MAX;
use ncp_protocol::reject::RejectCode;

use crate::craft::{part_of, put_up, send};
use crate::hub::{HubLink, ago, key_of, receipt};
use crate::world::{SUPERVISOR, World, id, soon};

fn queued(world: &World) -> usize {
    let mut count = 0;
    let node = world.node();
    QUEUE
        .scan(&node.reader().view(), &(), |_, ()| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    count
}

fn wanted(message: MessageId, root: Digest, from_chunk: u64) -> BodyWanted {
    BodyWanted { originator: id("XA"), message, root, from_chunk }
}

fn supervisor() -> Actor {
    Actor::Officer { number: OfficerNumber(SUPERVISOR), signature: Signature([1; 64]), request: Digest([1; 32]) }
}

/// Waits until the node has committed what `frame` brought, without looking at a clock.
async fn settled(world: &World, link: &mut HubLink, message: MessageId, stage: EnvelopeStage) {
    let node = world.node();
    let mut news = node.hints.news.subscribe();
    let reached = async {
        while world.envelope(message).stage != stage {
            news.changed().await.unwrap();
        }
    };
    soon(link.serve_while(&world.hub, reached)).await;
}

/// The hub says that nothing waits, and again at each recall that follows: a node asks until it has heard the hub's time.
async fn nothing_waits(world: &World, link: &mut HubLink, envelope: EnvelopeKey) {
    let refused = Refused { envelope, code: RejectCode::NotWaiting };
    link.to_recalls = Some(refused);
    link.send(refused).await;
    settled(world, link, envelope.message, EnvelopeStage::Recalled { provisional: false }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cut_the_same_bytes_are_submitted_and_r1_counts_once() {
    let (mut world, mut link) = World::linked().await;
    let (message, chunks) = send(&world, b"text").await;
    let first = link.submit(&world.hub).await;
    let header = first.unverified_header().unwrap();
    assert_eq!((header.message, header.recipient), (message, id("XB")));
    assert!(first.verify(&world.network, &id("XA"), &world.xa.signing.verifying_key()).is_ok());
    link.send(wanted(message, header.ciphertext_root, 0)).await;
    let chunk = link.chunk(&world.hub).await;
    assert_eq!((chunk.index, &chunk.bytes), (0, &chunks[0]));
    link.cut();

    let mut link = world.link().await;
    assert_eq!(link.submit(&world.hub).await, first, "fixed bytes stand for ever");
    assert_eq!(queued(&world), 1);
    let proof = world.hub.accept(&first);
    link.send(receipt(1, proof.clone())).await;
    assert_eq!(link.stored(&world.hub).await, 1);
    assert_eq!((world.envelope(message).stage, queued(&world)), (EnvelopeStage::Accepted, 0));

    let events = |world: &World| world.node().reader().events(0, 10_000).unwrap().len();
    let before = events(&world);
    link.send(receipt(1, proof)).await;
    assert_eq!(link.stored(&world.hub).await, 1);
    assert_eq!(events(&world), before, "the same evidence again is no event");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_survives_a_restart_of_the_node() {
    let (mut world, link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    link.cut();
    world.stop().await;
    world.start().await;
    let mut link = world.link().await;
    assert_eq!(link.submit(&world.hub).await.unverified_header().unwrap().message, message);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_leaves_from_the_chunk_that_the_hub_asks_for_and_within_its_credit() {
    let (mut world, link) = World::linked().await;
    link.cut();
    let mut link = soon(world.hub.link_with(|hello| hello.credit = Credit { envelopes: 1, bytes: 70_000 })).await;
    let (message, chunks) = send(&world, &part_of(6)).await;
    send(&world, b"the second one waits for credit").await;
    let root = link.submit(&world.hub).await.unverified_header().unwrap().ciphertext_root;
    link.send(wanted(message, root, 4)).await;
    let chunk = link.chunk(&world.hub).await;
    assert_eq!((chunk.index, &chunk.bytes), (4, &chunks[4]));
    assert_eq!(link.until_pong(&world.hub).await, [], "no credit, no byte");
    link.send(Credit { envelopes: 0, bytes: 1 << 20 }).await;
    for (index, expected) in (0u64..).zip(&chunks).skip(5) {
        let chunk = link.chunk(&world.hub).await;
        assert_eq!((chunk.index, &chunk.bytes), (index, expected));
    }
    assert_eq!(link.until_pong(&world.hub).await, []);
    link.send(Credit { envelopes: 1, bytes: 0 }).await;
    assert_ne!(link.submit(&world.hub).await.unverified_header().unwrap().message, message);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_body_goes_ahead_of_what_was_sealed_on_this_link() {
    let (mut world, link) = World::linked().await;
    link.cut();
    let mut link = soon(world.hub.link_with(|hello| hello.credit = Credit { envelopes: 16, bytes: 40_000 })).await;
    // The outbox of this link is there and has looked at the queue.
    assert_eq!(link.until_pong(&world.hub).await, []);
    let (message, chunks) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    let ahead = link.ahead.take().unwrap();
    assert_eq!((ahead.originator, ahead.message, ahead.index), (id("XA"), message, 0));
    assert_eq!(ahead.bytes, chunks[0]);
    let root = envelope.unverified_header().unwrap().ciphertext_root;
    link.send(wanted(message, root, 0)).await;
    assert_eq!(link.chunk(&world.hub).await.bytes, chunks[0], "a hub that did not take it asks for it");

    for (length, goes_ahead) in [(13_000, true), (18_000, false), (13_000, true), (13_000, false)] {
        send(&world, &vec![b'x'; length]).await;
        link.submit(&world.hub).await;
        let bytes = link.ahead.take().map(|chunk| chunk.bytes.len() as u64);
        // The last one finds no credit for it.
        assert_eq!(bytes.is_some(), goes_ahead, "{length} bytes: {bytes:?}");
        assert!(bytes.is_none_or(|bytes| bytes <= BODY_AHEAD_MAX));
    }
    link.cut();

    let mut link = world.link().await;
    for _ in 0..5 {
        link.submit(&world.hub).await;
        assert_eq!(link.ahead, None, "the hub may have it");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_of_the_credit_is_kept_for_urgent_mail() {
    let (mut world, link) = World::linked().await;
    link.cut();
    let mut link = soon(world.hub.link_with(|hello| hello.credit = Credit { envelopes: 4, bytes: 1 << 20 })).await;
    for _ in 0..5 {
        let (message, _) = send(&world, b"routine").await;
        settled(&world, &mut link, message, EnvelopeStage::Sealed).await;
    }
    for _ in 0..3 {
        link.submit(&world.hub).await;
    }
    assert_eq!(link.until_pong(&world.hub).await, []);
    let (mut urgent, _) = put_up(&world, b"urgent");
    urgent.draft.precedence = Precedence::Urgent;
    let message = urgent.draft.message;
    world.ask(Ask::PutUp(urgent)).await.unwrap();
    settled(&world, &mut link, message, EnvelopeStage::Sealed).await;
    assert_eq!(link.submit(&world.hub).await.unverified_header().unwrap().message, message);
    link.send(Credit { envelopes: 2, bytes: 0 }).await;
    link.submit(&world.hub).await;
    assert_eq!(link.until_pong(&world.hub).await, [], "kept again");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_of_nothing_on_its_way_is_not_given() {
    let (mut world, mut link) = World::linked().await;
    let scope = HoldScope::All;
    world.ask(Ask::SetHold(scope)).await.unwrap();
    let (message, _) = send(&world, b"text").await;
    let root = {
        let node = world.node();
        let row = ncp_node::core::tables::OUT.row(&node.reader().view(), &message).unwrap();
        row.unwrap().draft.root
    };
    link.send(wanted(message, root, 0)).await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_stops_the_next_envelope_and_the_next_chunk_until_it_is_lifted() {
    let (mut world, link) = World::linked().await;
    link.cut();
    let mut link = soon(world.hub.link_with(|hello| hello.credit = Credit { envelopes: 16, bytes: 140_000 })).await;
    let (message, chunks) = send(&world, &part_of(6)).await;
    let root = link.submit(&world.hub).await.unverified_header().unwrap().ciphertext_root;
    link.send(wanted(message, root, 0)).await;
    assert_eq!(link.chunk(&world.hub).await.index, 0);
    assert_eq!(link.chunk(&world.hub).await.index, 1);

    world.ask(Ask::SetHold(HoldScope::All)).await.unwrap();
    link.send(Credit { envelopes: 0, bytes: 1 << 20 }).await;
    let (other, _) = send(&world, b"another").await;
    settled(&world, &mut link, other, EnvelopeStage::Sealed).await;
    assert_eq!(link.until_pong(&world.hub).await, [], "neither chunk nor envelope");

    world.ask_as(supervisor(), Ask::LiftHold(HoldScope::All)).await.unwrap();
    let (mut next, mut submitted) = (2, false);
    while next < chunks.len() as u64 || !submitted {
        let frame = link.next(&world.hub).await;
        if let Frame::BodyChunk(chunk) = frame {
            assert_eq!(chunk.index, next, "goes on where it stopped");
            next += 1;
        } else if let Frame::Submit(submit) = frame {
            assert_eq!(submit.envelope.unverified_header().unwrap().message, other);
            submitted = true;
        } else {
            panic!("{frame:?}");
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_on_one_recipient_stops_what_goes_there() {
    let (mut world, mut link) = World::linked().await;
    world.ask(Ask::SetHold(HoldScope::Recipient(id("XB")))).await.unwrap();
    let (message, _) = send(&world, b"text").await;
    settled(&world, &mut link, message, EnvelopeStage::Sealed).await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    world.ask_as(supervisor(), Ask::LiftHold(HoldScope::Recipient(id("XB")))).await.unwrap();
    assert_eq!(link.submit(&world.hub).await.unverified_header().unwrap().message, message);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_that_passes_is_tried_again_and_one_that_stays_ends_it() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    let key = key_of(&envelope);
    link.send(Refused { envelope: key, code: RejectCode::MailboxFull }).await;
    assert_eq!(link.submit(&world.hub).await, envelope, "on the same link, after a while");
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Sealed);
    // The clock here says that not-after has not passed, whatever the hub says.
    link.send(Refused { envelope: key, code: RejectCode::Expired }).await;
    assert_eq!(link.submit(&world.hub).await, envelope);
    link.send(Refused { envelope: key, code: RejectCode::BodyTooLarge }).await;
    settled(&world, &mut link, message, EnvelopeStage::Failed(RejectCode::BodyTooLarge)).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_that_stands_is_shown_until_the_hub_takes_the_envelope() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let node = world.node();
    let shown = || timeline(&node, (id("XA"), message), Words::Withheld).unwrap().refusals;
    let envelope = link.submit(&world.hub).await;
    assert_eq!(shown(), []);
    link.send(Refused { envelope: key_of(&envelope), code: RejectCode::CreatedInFuture }).await;
    assert_eq!(link.submit(&world.hub).await, envelope, "it is offered again");
    let refused = &shown()[0];
    assert_eq!((refused.recipient, refused.number, refused.name.as_str()), (id("XB"), 27, "CreatedInFuture"));
    assert!(refused.since <= refused.next && refused.remedy.contains("clock"), "{refused:?}");
    let checks = link.serve_while(&world.hub, ncp_node::checks::all(&node)).await;
    let check = checks.iter().find(|check| check.id == "N06").unwrap();
    assert_eq!((check.result, check.code.as_deref()), (CheckResult::Fail, Some("NCP-E3114")), "{check:?}");
    let cause = check.cause.as_deref().unwrap();
    assert!(cause.contains("27 CreatedInFuture") && cause.contains("to XB") && !cause.contains('<'), "{cause}");

    link.send(receipt(1, world.hub.accept(&envelope))).await;
    assert_eq!(link.stored(&world.hub).await, 1);
    assert_eq!(shown(), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_differs_from_the_hubs_is_named() {
    let mut world = World::new();
    world.hub.stated_time = Some(ago(30 * 60_000));
    world.start().await;
    let mut link = world.link().await;
    world.know_xb(&mut link).await;
    let checks = link.serve_while(&world.hub, ncp_node::checks::all(&world.node())).await;
    let check = checks.iter().find(|check| check.id == "S03").unwrap();
    assert_eq!((check.result, check.code.as_deref()), (CheckResult::Fail, Some("NCP-E3113")), "{check:?}");
    assert_eq!(check.cause.as_deref(), Some("this machine's clock is 29 min ahead of the hub's"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recall_waits_for_what_is_on_its_way() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    world.ask_as(supervisor(), Ask::Withdraw { message }).await.unwrap();
    let recall = Frame::Recall(Recall { message, recipient: id("XB") });
    assert_eq!(link.next(&world.hub).await, recall);
    link.send(Refused { envelope: key_of(&envelope), code: RejectCode::NotWaiting }).await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Sealed, "the hub may have it in a moment");
    let accepted = world.hub.accept(&envelope);
    link.send(receipt(1, accepted)).await;
    let mut frames = vec![link.next(&world.hub).await, link.next(&world.hub).await];
    frames.retain(|frame| !matches!(frame, Frame::ReceiptsStored(_)));
    assert_eq!(frames, [recall], "it has it now, and is asked again");
    let (key, header) = (key_of(&envelope), envelope.header_digest());
    let recalled = world.hub.claim(EvidenceKind::RelayFailure, key, header, Outcome::Recalled);
    link.send(receipt(2, recalled)).await;
    settled(&world, &mut link, message, EnvelopeStage::Recalled { provisional: false }).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recall_that_the_answer_to_its_envelope_overtook_is_asked_again() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    let recall = Frame::Recall(Recall { message, recipient: id("XB") });
    world.ask_as(supervisor(), Ask::Withdraw { message }).await.unwrap();
    assert_eq!(link.next(&world.hub).await, recall);
    link.send(Refused { envelope: key_of(&envelope), code: RejectCode::MailboxFull }).await;
    assert_eq!(link.next(&world.hub).await, recall, "and the envelope is not offered again");
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Sealed, "an earlier link may have brought it");
    nothing_waits(&world, &mut link, key_of(&envelope)).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recall_that_no_link_carried_goes_out_with_the_next_one_and_the_envelope_does_not() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    link.cut();
    world.ask_as(supervisor(), Ask::Withdraw { message }).await.unwrap();
    let mut link = world.link().await;
    assert_eq!(link.next(&world.hub).await, Frame::Recall(Recall { message, recipient: id("XB") }));
    assert_eq!(link.until_pong(&world.hub).await, []);
    nothing_waits(&world, &mut link, key_of(&envelope)).await;
    world.stop().await;
}

/// A hub whose time is another one may have forgotten the envelope.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_nothing_waits_counts_when_the_clocks_agree() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    link.cut();
    world.ask_as(supervisor(), Ask::Withdraw { message }).await.unwrap();
    let refused = Refused { envelope: key_of(&envelope), code: RejectCode::NotWaiting };
    world.hub.stated_time = Some(ago(30 * 60_000));
    let mut link = world.link().await;
    let recall = Frame::Recall(Recall { message, recipient: id("XB") });
    assert_eq!(link.next(&world.hub).await, recall, "what waits is deleted all the same");
    link.send(refused).await;
    for _ in 0..3 {
        let _ = link.until_pong(&world.hub).await;
    }
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Sealed);
    // The hub's clock is put right, and the node hears of it.
    world.hub.stated_time = None;
    link.tell_of_news(&world.hub).await;
    assert_eq!(link.next(&world.hub).await, recall);
    nothing_waits(&world, &mut link, key_of(&envelope)).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_record_costs_its_envelope_alone() {
    let (mut world, mut link) = World::linked().await;
    let (lost, _) = send(&world, b"one").await;
    let envelope = link.submit(&world.hub).await;
    link.cut();
    world.stop().await;
    damage(&world.data().join("spool"), &envelope.encode());

    world.start().await;
    let mut link = world.link().await;
    let (message, _) = send(&world, b"other").await;
    assert_eq!(link.submit(&world.hub).await.unverified_header().unwrap().message, message);
    link.send(receipt(1, world.hub.accept(&envelope))).await;
    assert_eq!(link.stored(&world.hub).await, 1, "its evidence is taken all the same");
    assert_eq!(world.envelope(lost).stage, EnvelopeStage::Accepted);
    let checks = link.serve_while(&world.hub, ncp_node::checks::all(&world.node())).await;
    let check = checks.iter().find(|check| check.id == "S06").unwrap();
    assert_eq!((check.result, check.code.as_deref()), (CheckResult::Fail, Some("NCP-E5106")), "{check:?}");
    world.stop().await;
}

/// As if this node's clock had said that its time is over.
async fn give_up(world: &World, key: EnvelopeKey) {
    world.ask_as(Actor::Daemon, Ask::NoteRefusal { envelope: key, code: RejectCode::Expired }).await.unwrap();
    assert_eq!(world.envelope(key.message).stage, EnvelopeStage::GivenUp);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_is_offered_until_the_hub_says_that_it_never_had_it() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    give_up(&world, key_of(&envelope)).await;
    link.cut();
    let mut link = world.link().await;
    assert_eq!(link.submit(&world.hub).await, envelope);
    // It may be this machine's clock that is wrong.
    link.send(Refused { envelope: key_of(&envelope), code: RejectCode::CreatedInFuture }).await;
    assert_eq!(link.submit(&world.hub).await, envelope);
    link.send(Refused { envelope: key_of(&envelope), code: RejectCode::RecipientUnknown }).await;
    settled(&world, &mut link, message, EnvelopeStage::Expired { provisional: false }).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_and_lost_ends_in_doubt() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    give_up(&world, key_of(&envelope)).await;
    link.cut();
    world.stop().await;
    damage(&world.data().join("spool"), &envelope.encode());

    world.start().await;
    let mut link = world.link().await;
    settled(&world, &mut link, message, EnvelopeStage::Expired { provisional: true }).await;
    assert_eq!(link.until_pong(&world.hub).await, [], "nothing is asked of the hub");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_what_has_ended_stands_no_longer_than_its_link() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let envelope = link.submit(&world.hub).await;
    give_up(&world, key_of(&envelope)).await;
    // It would be sealed again later, if it had not ended.
    link.send(Refused { envelope: key_of(&envelope), code: RejectCode::RecipientKeyUnknown }).await;
    settled(&world, &mut link, message, EnvelopeStage::Expired { provisional: false }).await;
    link.cut();
    let mut link = world.link().await;
    for _ in 0..2 {
        assert_eq!(link.until_pong(&world.hub).await, [], "the second one comes behind the look at the queue");
    }
    assert_eq!(world.node().hub_refusals.of((message, id("XB"))), None);
    world.stop().await;
}

/// Flips a bit of these bytes wherever they lie in a folder.
fn damage(folder: &Path, bytes: &[u8]) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path, bytes);
            continue;
        }
        let mut held = fs::read(&path).unwrap();
        let Some(place) = held.windows(bytes.len()).position(|window| window == bytes) else { continue };
        held[place] ^= 1;
        fs::write(&path, held).unwrap();
    }
}
