//! The first frames of a link, and whom the node talks to at all.

use ncp_api::ErrorCode;
use ncp_protocol::checkpoint::{Checkpoint, SignedCheckpoint};
use ncp_protocol::frame::{Bye, Frame, Ping};
use ncp_protocol::ids::{Digest, LogName, NetworkId};
use ncp_protocol::reject::RejectCode;

use crate::craft::{Letter, send};
use crate::world::{World, id, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_signed_leaves_before_the_hubs_first_hello() {
    let mut world = World::new();
    world.start().await;
    let mut link = world.link().await;
    assert_eq!((link.hello.participant, link.hello.network), (id("XA"), world.network));
    assert!(link.hello.own.is_empty(), "{:?}", link.hello.own);
    assert_eq!(link.hello.receipts.number, 0);
    world.know_xb(&mut link).await;
    link.cut();
    let link = world.link().await;
    assert_eq!(link.hello.own.len(), 1);
    assert_eq!(link.hello.checkpoints.len(), 2, "of both of the hub's logs");
    assert_eq!(link.hello.public_size, 3);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_that_holds_more_of_this_log_than_there_is_stops_the_daemon() {
    let mut world = World::new();
    world.start().await;
    let checkpoint =
        Checkpoint { origin: world.xa.origin(LogName::Node).to_string(), size: 1_000, root: Digest([4; 32]) };
    let note = checkpoint.sign(&world.xa.log).note().to_owned();
    let link = soon(world.hub.link_with(|hello| hello.checkpoints = vec![note])).await;
    assert_eq!(world.failure().await, ErrorCode::OwnLogForked);
    drop(link);
    // No hub is there to say so, and it stays so.
    assert_eq!(world.refused_start().await, ErrorCode::OwnLogForked);
    std::fs::remove_file(world.data().join(ncp_store::forked::FORKED)).unwrap();
    world.start().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_hub_knows_of_the_log_is_not_told_again_and_growth_is_told_as_it_leaves() {
    let (mut world, link) = World::linked().await;
    link.cut();
    let known = world.node().reader().checkpoint(LogName::Node).unwrap();
    let note = known.note().to_owned();
    let mut link = soon(world.hub.link_with(|hello| hello.checkpoints = vec![note])).await;
    // The link stands: the directory is asked after at once.
    let _ = soon(link.raw()).await;
    send(&world, b"text").await;
    let told = loop {
        if let Frame::Checkpoint(told) = soon(link.raw()).await.unwrap() {
            break told;
        }
    };
    let newest = SignedCheckpoint::open(
        told.notes.first().unwrap(),
        &world.xa.origin(LogName::Node),
        &world.xa.log.verifying_key(),
    );
    assert!(newest.unwrap().checkpoint().size > known.checkpoint().size);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_that_has_more_receipts_than_were_ever_sent_stops_the_daemon() {
    let mut world = World::new();
    world.start().await;
    let link = soon(world.hub.link_with(|hello| hello.receipts.number = 5)).await;
    assert_eq!(world.failure().await, ErrorCode::OwnLogForked);
    drop(link);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_of_another_network_or_version_is_told_so() {
    let mut world = World::new();
    world.start().await;
    let mut link = soon(world.hub.link_with(|hello| hello.network = NetworkId(Digest([1; 32])))).await;
    assert_eq!(soon(link.raw()).await, Some(Frame::Bye(Bye { code: Some(RejectCode::NetworkMismatch) })));
    let mut link = soon(world.hub.link_with(|hello| hello.versions = vec![9])).await;
    assert_eq!(soon(link.raw()).await, Some(Frame::Bye(Bye { code: Some(RejectCode::VersionUnsupported) })));
    let mut link = soon(world.hub.link_with(|hello| hello.suites = vec![9])).await;
    assert_eq!(soon(link.raw()).await, Some(Frame::Bye(Bye { code: Some(RejectCode::SuiteUnsupported) })));
    let mut link = soon(world.hub.link_with(|hello| hello.participant = id("XB"))).await;
    assert_eq!(soon(link.raw()).await, Some(Frame::Bye(Bye { code: Some(RejectCode::OriginatorMismatch) })));
    assert!(!world.node().link.borrow().connected);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_that_says_nothing_is_told_that_it_is_late() {
    let mut world = World::new();
    world.start().await;
    let mut link = soon(world.hub.silent_link()).await;
    assert_eq!(soon(link.raw()).await, Some(Frame::Bye(Bye { code: Some(RejectCode::RateExceeded) })));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_whose_key_the_hub_does_not_pin_says_so_and_asks_for_the_directory_alone() {
    let (mut world, mut link) = World::linked().await;
    send(&world, b"text").await;
    link.submit(&world.hub).await;
    link.cut();
    let mut link = soon(world.hub.restricted_link(RejectCode::PinMismatch)).await;
    let node = world.node();
    let mut status = node.link.subscribe();
    let shown = |status: &ncp_node::node::LinkStatus| {
        status.failure.as_ref().is_some_and(|fault| fault.code == ErrorCode::LinkRestricted)
    };
    let told = soon(link.serve_while(&world.hub, status.wait_for(shown))).await.unwrap().clone();
    assert!(told.connected && told.failure.unwrap().cause().contains("PinMismatch"));
    assert_eq!(link.until_pong(&world.hub).await, [], "no envelope leaves");
    link.cut();
    // Once the hub has its entry, all is as before.
    let mut link = world.link().await;
    link.submit(&world.hub).await;
    assert!(node.link.borrow().failure.is_none());
    drop(node);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frame_out_of_place_ends_the_link_with_a_word() {
    let (mut world, mut link) = World::linked().await;
    let hello = world.hub.hello();
    link.send(hello).await;
    assert_eq!(link.next(&world.hub).await, Frame::Bye(Bye { code: Some(RejectCode::FrameUnexpected) }));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_whose_key_is_not_pinned_gets_questions_about_the_directory_and_nothing_else() {
    let (mut world, link) = World::linked().await;
    link.cut();
    world.stop().await;
    let mut other = World::new();
    other.replace_hub_certificate();
    other.start().await;
    let mut link = other.link().await;
    other.know_xb(&mut link).await;
    other.pin_xb().await;
    send(&other, b"text").await;
    assert_eq!(link.until_pong(&other.hub).await, [], "no envelope");
    let deliver = other.hub.deliver(&Letter::new(&other, 1, b"text").seal());
    link.send(deliver).await;
    assert_eq!(link.next(&other.hub).await, Frame::Bye(Bye { code: Some(RejectCode::FrameUnexpected) }));
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_stops_says_bye() {
    let (mut world, mut link) = World::linked().await;
    let node = world.node();
    let stopping = tokio::spawn(async move {
        world.stop().await;
        world
    });
    soon(node.stopping.cancelled()).await;
    let mut last = None;
    while let Some(frame) = soon(link.raw()).await {
        last = Some(frame);
    }
    assert_eq!(last, Some(Frame::Bye(Bye { code: Some(RejectCode::ShuttingDown) })));
    soon(stopping).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_follows_the_link_and_a_ping_is_answered() {
    let (mut world, mut link) = World::linked().await;
    let node = world.node();
    assert!(node.link.borrow().connected);
    let (asker, answer) = tokio::sync::oneshot::channel();
    node.hints.hub_ping.send(asker).await.unwrap();
    let Frame::Ping(Ping { nonce }) = soon(link.raw_past_housekeeping()).await else { panic!("no ping") };
    link.send(ncp_protocol::frame::Pong { nonce }).await;
    assert!(soon(answer).await.unwrap().is_ok());
    let mut status = node.link.subscribe();
    link.cut();
    soon(status.wait_for(|status| !status.connected)).await.unwrap();
    drop(status);
    world.stop().await;
}
