//! Beginning again after a loss: what is new, what stays, and what stops it.

use ncp_api::ErrorCode;
use ncp_protocol::directory::SignedEntry;
use ncp_protocol::ids::{Epoch, LogName};

use super::*;
use crate::joining::answer;
use crate::joining::entries::Entries;
use crate::joining::held::check_keys;
use crate::joining::new_epoch::{NewEpoch, epoch};

/// XA begins again in the folder `new`, two days after it joined.
fn begin(world: &World, before: &Entries) -> Result<Made, Fault> {
    let (data, offline) = (world.path("new"), world.path("XA/offline"));
    NewEpoch { data: &data, keyring: &Keyring::OPEN, offline: &offline, before: before.clone(), now: after(2) }.open()
}

fn held(world: &World, folder: &str) -> Entries {
    Entries::read(&world.path(folder)).expect("readable").expect("entries")
}

#[test]
fn who_begins_again_stays_who_it_was_with_all_other_keys_anew() {
    let world = World::new();
    world.joined();
    let before = held(&world, "XA");
    assert_eq!(answer::entries(&world.path("XA-answer.json")).expect("entries"), before);
    let made = begin(&world, &before).expect("begun");
    let (old, new) = (before.newest(), made.entries.newest());
    assert_eq!((made.entries.version(), made.entries.fingerprint()), (1, before.fingerprint()));
    assert_eq!((&new.keys.identity, &new.keys.recovery), (&old.keys.identity, &old.keys.recovery));
    assert_eq!(new.log_key(LogName::Node, Epoch(1)), old.log_key(LogName::Node, Epoch(1)), "old evidence verifies");
    assert_eq!(epoch(new), Epoch(2));
    assert_ne!(new.log_key(LogName::Node, Epoch(2)), old.log_key(LogName::Node, Epoch(1)));
    assert_ne!(new.keys.signing.map(|key| key.key), old.keys.signing.map(|key| key.key));
    assert_ne!(new.keys.witness, old.keys.witness);
    assert!(new.keys.sealing.len() == 1 && !old.keys.sealing.contains(&new.keys.sealing[0]));
    assert!(new.keys.tls.len() == 1 && !old.keys.tls.contains(&new.keys.tls[0]));

    let answer = world.renewal(&made, after(2)).expect("admitted without a fingerprint");
    install(&answer, &world.path("new"), None, after(2)).expect("installed");
    check_keys(&world.path("new"), &Keyring::OPEN, &held(&world, "new")).expect("all keys are here");
    // It may be lost again.
    let again = NewEpoch {
        data: &world.path("newer"),
        keyring: &Keyring::OPEN,
        offline: &world.path("XA/offline"),
        before: held(&world, "new"),
        now: after(3),
    };
    assert_eq!(epoch(again.open().expect("begun").entries.newest()), Epoch(3));
}

#[test]
fn the_same_again_and_what_a_crash_left_make_the_same() {
    let world = World::new();
    world.joined();
    let before = held(&world, "XA");
    let made = begin(&world, &before).expect("begun");
    assert_eq!(begin(&world, &before).expect("the same").entries, made.entries);
    for version in 0..2 {
        fs::remove_file(world.path(&format!("new/network/entry-{version}"))).expect("it was there");
    }
    assert_eq!(begin(&world, &before).expect("from its keys").entries, made.entries);
}

#[test]
fn a_folder_that_is_taken_and_a_key_that_is_not_here_stop_it() {
    let world = World::new();
    let network = world.joined();
    let before = held(&world, "XA");
    let refused = |before: &Entries| begin(&world, before).expect_err("refused").code;

    fs::rename(world.path("XA/offline/identity.key"), world.path("safe")).expect("carried away");
    assert_eq!(refused(&before), ErrorCode::KeyFileMissing);
    assert!(!world.path("new/network/entry-0").exists() && !world.path("new/keys/tls.key").exists());
    fs::copy(world.path("hub/offline/identity.key"), world.path("XA/offline/identity.key")).expect("the hub's");
    assert_eq!(refused(&before), ErrorCode::KeyNotOfEntry);
    fs::rename(world.path("safe"), world.path("XA/offline/identity.key")).expect("brought back");

    fs::write(world.path("new/format"), b"a store").expect("written");
    assert_eq!(refused(&before), ErrorCode::EntryInstalledAlready);
    fs::remove_file(world.path("new/format")).expect("it was there");

    let xb = world.node("XB", network.root.network());
    let other: &SignedEntry = xb.entries.oldest();
    fs::write(world.path("new/network/entry-0"), other.encode()).expect("written");
    assert_eq!(refused(&before), ErrorCode::EntryInstalledAlready);
}

#[test]
fn keys_of_the_old_folder_do_not_serve_the_new_one() {
    let world = World::new();
    world.joined();
    let before = held(&world, "XA");
    for key in ["signing.key", "sealing-1.key", "witness.key", "tls.key"] {
        make_data_folders(&world.path("new")).expect("folders");
        fs::copy(world.path("XA/keys").join(key), world.path("new/keys").join(key)).expect("what was left");
        assert_eq!(begin(&world, &before).expect_err(key).code, ErrorCode::EntryInstalledAlready);
        fs::remove_dir_all(world.path("new")).expect("it was there");
    }
    begin(&world, &before).expect("begun");
}
