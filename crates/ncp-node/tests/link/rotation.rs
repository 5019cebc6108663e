//! The next version of the own entry: its keys serve from when the hub has admitted it, while the node runs.

use ncp_node::core::tables::EnvelopeStage;
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::frame::Refused;
use ncp_protocol::ids::{KeyId, SealNumber};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::reject::RejectCode;
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::{self, KeyUse};

use crate::craft::{Letter, send};
use crate::hub::{HubLink, key_of, receipt};
use crate::reception::{CONSIGNED, give_body, stated};
use crate::world::{World, id, soon};

/// What `ncpctl keys rotate` leaves in the data folder of the running node.
fn rotate(world: &World) -> (SignedEntry, KeyId) {
    let (entry, fresh): (SignedEntry, SigningKey) = world.xa.with_new_signing_key();
    let data = world.data();
    keyfiles::create_key(&data.join(keyfiles::signing_key_path(2)), KeyUse::Signing, &fresh.seed()).unwrap();
    keyfiles::create_public(&data.join(keyfiles::entry_path(1)), &entry.encode()).unwrap();
    (entry, fresh.verifying_key().id())
}

/// Sends a message; says with which key its envelope was signed.
async fn signed_with(world: &World, link: &mut HubLink) -> KeyId {
    send(world, b"text").await;
    link.submit(&world.hub).await.unverified_header().unwrap().originator_key
}

/// Serves the directory until the own entry in force has this version.
async fn until_in_force(world: &World, link: &mut HubLink, version: u32) {
    let node = world.node();
    let mut changed = node.hints.directory.subscribe();
    let in_force = async {
        while node.own_entry().version < version {
            changed.changed().await.unwrap();
        }
    };
    soon(link.serve_while(&world.hub, in_force)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_signing_key_serves_from_when_the_hub_has_admitted_it() {
    let (mut world, mut link) = World::linked().await;
    let old = world.xa.signing.verifying_key().id();
    let (entry, new) = rotate(&world);
    assert_eq!(signed_with(&world, &mut link).await, old);
    // A restart finds the new entry in the folder, and the hub has not seen it yet.
    link.cut();
    world.stop().await;
    world.start().await;
    let mut link = world.link().await;
    assert_eq!(link.submit(&world.hub).await.unverified_header().unwrap().originator_key, old, "what was under way");
    assert_eq!(signed_with(&world, &mut link).await, old);

    world.hub.admit(entry);
    link.tell_of_news(&world.hub).await;
    until_in_force(&world, &mut link, 1).await;
    assert_eq!(signed_with(&world, &mut link).await, new);
    world.stop().await;
    assert_eq!(world.refused_start_without(&keyfiles::signing_key_path(2)).await, ncp_api::ErrorCode::KeyNotOfEntry);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_under_the_old_key_is_sealed_again_when_the_hub_no_longer_knows_it() {
    let (mut world, mut link) = World::linked().await;
    let (message, _) = send(&world, b"text").await;
    let before = link.submit(&world.hub).await;
    let (entry, new) = rotate(&world);
    world.hub.admit(entry);
    link.tell_of_news(&world.hub).await;
    until_in_force(&world, &mut link, 1).await;
    link.send(Refused { envelope: key_of(&before), code: RejectCode::OriginatorKeyUnknown }).await;
    let after = link.submit(&world.hub).await;
    let header = after.unverified_header().unwrap();
    assert_eq!((header.message, header.seal, header.originator_key), (message, SealNumber(2), new));
    assert_eq!(header.created, before.unverified_header().unwrap().created, "the time of its release");
    link.send(receipt(1, world.hub.accept(&after))).await;
    assert_eq!(link.stored(&world.hub).await, 1);
    assert_eq!(world.envelope(message).stage, EnvelopeStage::Accepted);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_entry_that_was_made_while_the_node_runs_closes_nothing() {
    let (mut world, mut link) = World::linked().await;
    let (entry, _) = rotate(&world);
    world.hub.admit(entry);
    link.tell_of_news(&world.hub).await;
    until_in_force(&world, &mut link, 1).await;
    let letter = Letter::new(&world, 1, b"text");
    let deliver = world.hub.deliver(&letter.seal());
    link.send(deliver).await;
    assert_eq!(link.wanted(&world.hub).await.message, letter.header.message);
    assert_eq!(world.node().directory.load().entry(id("XA")).unwrap().row.version, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_key_that_cannot_be_read_is_not_taken_for_somebody_elses() {
    let (mut world, mut link) = World::linked().await;
    let (entry, _) = rotate(&world);
    let key = world.data().join(keyfiles::signing_key_path(2));
    let mode = |mode| std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    world.hub.admit(entry);
    link.tell_of_news(&world.hub).await;
    assert_eq!(link.until_pong(&world.hub).await, []);
    let is_foreign = || world.node().foreign_entry.load(std::sync::atomic::Ordering::Relaxed);
    assert!(!is_foreign());
    assert_eq!(world.node().own_entry().version, 0);
    mode(0o600);
    link.tell_of_news(&world.hub).await;
    until_in_force(&world, &mut link, 1).await;
    assert!(!is_foreign());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_that_is_sealed_to_a_key_made_while_the_node_runs_opens() {
    let (mut world, mut link) = World::linked().await;
    let seed = ncp_node::clock::random();
    keyfiles::create_key(&world.data().join(keyfiles::sealing_key_path(2)), KeyUse::Sealing, &seed).unwrap();
    // Others learn of the key at the same moment as this node, and may be quicker.
    let letter = Letter::new(&world, 1, b"text").with(|letter| {
        letter.sealed_to = SealingKey::from_seed(&seed).public();
        letter.header.recipient_key = letter.sealed_to.id();
    });
    let envelope = letter.seal();
    let deliver = world.hub.deliver(&envelope);
    link.send(deliver).await;
    give_body(&world, &mut link, &letter).await;
    assert_eq!(stated(&world, &mut link, &envelope).await, CONSIGNED);
    world.stop().await;
}
