//! The next version of the own entry: its keys serve from when the hub has admitted it, while the node runs.

use ncp_node::core::tables::EnvelopeStage;
use ncp_node::keys;
use ncp_protocol::directory::{Entry, SignedEntry};
use ncp_protocol::frame::Refused;
use ncp_protocol::ids::{KeyId, SealNumber, UnixMillis};
use ncp_protocol::keys::SigningKey;
use ncp_protocol::limits::DAY_MS;
use ncp_protocol::reject::RejectCode;
use ncp_protocol::wrap::SealingKey;
use ncp_store::keyfiles::keyring::Keyring;
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

#[tokio::test]
async fn a_sealing_key_is_destroyed_when_it_has_ended_and_is_named_no_more() {
    let world = World::new();
    let (folder, keyring) = (world.data(), Keyring::OPEN);
    let fresh: [[u8; 32]; 2] = [ncp_node::clock::random(), ncp_node::clock::random()];
    // The third was made by a `keys rotate` that was interrupted: no entry names it yet.
    for (number, seed) in (2..).zip(&fresh) {
        keyfiles::create_key(&folder.join(keyfiles::sealing_key_path(number)), KeyUse::Sealing, seed).unwrap();
    }
    let old = world.xa.entry.unverified().clone();
    let next = world.xa.next_entry(|entry| {
        let key = &mut entry.keys.sealing[0];
        key.public = SealingKey::from_seed(&fresh[0]).public();
        key.seal_until = key.seal_until.plus_millis(DAY_MS);
        key.open_until = key.open_until.plus_millis(DAY_MS);
    });
    let ends = [&old, next.unverified()].map(|entry| entry.keys.sealing[0].open_until);
    keyfiles::create_public(&folder.join(keyfiles::entry_path(1)), &next.encode()).unwrap();
    let own = keys::load_own(&folder, &keyring, old.network, old.participant).unwrap();
    let destroyed = |in_force: &Entry, now| keys::destroy_ended(&folder, &keyring, &own, in_force, now).unwrap();
    let gone = |number| keyfiles::is_destroyed(&folder.join(keyfiles::sealing_key_path(number))).unwrap();

    let before = UnixMillis(ends[0].0 - 1);
    assert_eq!(destroyed(&old, ends[0]), 0, "the entry in force names it");
    assert_eq!(destroyed(next.unverified(), before), 0, "somebody may have sealed to it");
    assert_eq!((destroyed(next.unverified(), ends[0]), gone(1)), (1, true));
    assert_eq!(destroyed(next.unverified(), ends[0]), 0, "once");
    let later = ends[1].plus_millis(DAY_MS);
    assert_eq!(destroyed(&old, later), 0, "the newest entry names the second");
    assert_eq!((gone(2), gone(3)), (false, false));
    let own = keys::load_own(&folder, &keyring, old.network, old.participant).unwrap();
    let opens = |seed| own.keys.sealing(&SealingKey::from_seed(seed).public().id()).is_some();
    assert_eq!((opens(&world.xa.sealing_seed), opens(&fresh[0]), opens(&fresh[1])), (false, true, true));
}
