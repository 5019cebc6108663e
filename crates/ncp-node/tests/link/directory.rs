//! The directory: believed only as far as it adds up.

use ncp_node::core::command::Ask;
use ncp_protocol::directory::{SignedEntry, Timestamp};
use ncp_protocol::ids::{Digest, ParticipantId, UnixMillis};

use crate::craft::{Letter, send};
use crate::hub::HubLink;
use crate::world::{World, id, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_known_at_once_and_used_only_when_pinned() {
    let mut world = World::new();
    world.start().await;
    let mut link = world.link().await;
    world.know_xb(&mut link).await;
    let node = world.node();
    let known = node.directory.load();
    assert!(known.entry(ParticipantId::HUB).unwrap().is_usable());
    assert!(known.entry(id("XA")).unwrap().is_usable());
    assert!(!known.entry(id("XB")).unwrap().is_usable());
    assert_eq!(known.entry(id("XB")).unwrap().chain.fingerprint(), world.xb.fingerprint());
    world.pin_xb().await;
    let (message, _) = send(&world, b"text").await;
    assert_eq!(link.submit(&world.hub).await.unverified_header().unwrap().message, message);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_that_the_leaves_do_not_have_is_refused_until_they_do() {
    let mut world = World::new();
    world.hub.stated_root = Some(Digest([6; 32]));
    world.start().await;
    let mut link = world.link().await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    assert!(world.node().directory.load().entry(id("XB")).is_none());
    link.cut();
    world.stop().await;
}

/// Serves the node until its newest timestamp is another one than `before`.
async fn believes_another(world: &World, link: &mut HubLink, before: UnixMillis) -> Timestamp {
    let node = world.node();
    loop {
        match node.statements.load().timestamp {
            Some(timestamp) if timestamp.issued != before => return timestamp,
            Some(_) | None => link.serve_for_a_while(&world.hub).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statement_whose_leaves_are_withheld_is_not_believed_and_bars_no_true_one() {
    let (mut world, mut link) = World::linked().await;
    let believed = world.node().statements.load().timestamp.unwrap();
    let (entry, _) = world.xb.with_new_signing_key();
    world.hub.admit(entry);
    world.hub.stated_size = Some(1_000);
    link.tell_of_news(&world.hub).await;
    // The node asks for leaves behind those that there are, in vain.
    link.until_asked_beyond(&world.hub, world.hub.public.size()).await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    assert_eq!(world.node().statements.load().timestamp, Some(believed), "it is as old as what was read");
    let kept = std::fs::read(world.data().join("network/statements")).unwrap();

    world.hub.stated_size = None;
    link.tell_of_news(&world.hub).await;
    let timestamp = soon(believes_another(&world, &mut link, believed.issued)).await;
    assert_eq!(timestamp.public_size, 4);
    assert_ne!(std::fs::read(world.data().join("network/statements")).unwrap(), kept);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn substituted_entry_is_not_taken() {
    let (mut world, mut link) = World::linked().await;
    // The next version of XB's entry, but signed by another's identity key: `public` admits it all the same.
    let (genuine, _) = world.xb.with_new_signing_key();
    let forged = SignedEntry::sign(genuine.unverified().clone(), &world.xa.identity).unwrap();
    let digest = forged.digest();
    world.hub.admit(forged);
    link.tell_of_news(&world.hub).await;
    link.until_asked(&world.hub, digest).await;
    // What is delivered under the old key is still taken: that entry stays in force.
    let letter = Letter::new(&world, 1, b"text");
    let deliver = world.hub.deliver(&letter.seal());
    link.send(deliver).await;
    assert_eq!(link.wanted(&world.hub).await.message, letter.header.message);
    let row = world.node().directory.load().entry(id("XB")).unwrap().row;
    assert_eq!((row.version, row.entry), (0, world.xb.entry.digest()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry_in_this_nodes_name_that_it_did_not_sign_closes_reception() {
    let (mut world, mut link) = World::linked().await;
    let (mut entry, _) = world.xa.with_new_signing_key();
    entry = SignedEntry::sign(entry.unverified().clone(), &world.xb.identity).unwrap();
    let digest = entry.digest();
    world.hub.admit(entry);
    link.tell_of_news(&world.hub).await;
    link.until_asked(&world.hub, digest).await;
    let letter = Letter::new(&world, 1, b"text");
    let deliver = world.hub.deliver(&letter.seal());
    link.send(deliver).await;
    assert_eq!(link.until_pong(&world.hub).await, [], "no body is asked for");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_outlive_a_restart_so_that_sealing_goes_on_without_the_hub() {
    let (mut world, link) = World::linked().await;
    link.cut();
    world.stop().await;
    world.start().await;
    let node = world.node();
    let mut news = node.hints.news.subscribe();
    let (message, _) = send(&world, b"text").await;
    let sealed = async {
        while world.envelope(message).header.is_none() {
            news.changed().await.unwrap();
        }
    };
    soon(sealed).await;
    assert_eq!(node.statements.load().timestamp.unwrap().public_size, 3);
    world.ask(Ask::Tick).await.unwrap();
    world.stop().await;
}
