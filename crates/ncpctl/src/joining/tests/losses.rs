//! What was lost or carried away is named or comes back, and is never made anew.

use ncp_api::ErrorCode;

use super::*;
use crate::joining::held::{OfflineKeys, check_keys};

/// XA's folder after joining, with its answer and the network.
fn joined() -> (World, PathBuf, Network) {
    let world = World::new();
    let network = world.network(NetworkClass::Test);
    let path = world.answer(&network);
    Answer::read(&path, NOW).expect("verifies").install(&world.path("XA")).expect("installed");
    (world, path, network)
}

fn installs(path: &Path, data: &Path, told: Option<NetworkId>) -> Result<(), Fault> {
    install(path, data, told, NOW).map(|_| ())
}

#[test]
fn keys_that_were_carried_away_are_not_made_anew() {
    let (world, _, network) = joined();
    let first = world.node("XA", network.root.network());
    assert_eq!(first.offline, OfflineKeys::Here);
    for folder in ["XA/offline", "hub/offline"] {
        let away = world.path(&folder.replace('/', "-"));
        fs::rename(world.path(folder), &away).expect("carried away");
    }
    let before = contents(&world.path("XA"));
    let again = world.node("XA", network.root.network());
    assert_eq!((again.fingerprint(), again.offline), (first.fingerprint(), OfflineKeys::CarriedAway));
    assert_eq!(contents(&world.path("XA")), before);
    let before = contents(&world.path("hub"));
    let again = world.network(NetworkClass::Test);
    assert_eq!((again.hub.digest(), again.offline), (network.hub.digest(), OfflineKeys::CarriedAway));
    assert_eq!(contents(&world.path("hub")), before);
    // A key that an earlier version made beside the entry is not taken for the real one.
    let stray = world.path("XA/offline");
    fs::create_dir(&stray).expect("made");
    fs::copy(world.path("hub-offline/identity.key"), stray.join("identity.key")).expect("copied");
    let refused = world.try_node("XA", "XA", network.root.network()).expect_err("another key");
    assert_eq!(refused.code, ErrorCode::KeyNotOfEntry);
}

#[test]
fn a_lost_key_is_named_and_never_made_anew() {
    let (world, answer, network) = joined();
    let data = world.path("XA");
    for name in ["signing", "sealing-1", "log-node-1", "witness", "storage", "tls"] {
        let (key, away) = (data.join(format!("keys/{name}.key")), world.path("away"));
        fs::rename(&key, &away).expect("moved");
        let before = contents(&data);
        for refused in [world.try_node("XA", "XA", network.root.network()).map(|_| ()), installs(&answer, &data, None)]
        {
            let fault = refused.expect_err(name);
            assert_eq!(fault.code, ErrorCode::KeyFileMissing, "{name}: {fault}");
            let text = fault.to_string();
            assert!(text.contains(&format!("{name}.key")) && text.contains("put back the copy"), "{text}");
        }
        assert_eq!(contents(&data), before, "{name}");
        fs::rename(&away, &key).expect("moved back");
    }
    world.node("XB", network.root.network());
    fs::copy(world.path("XB/keys/witness.key"), data.join("keys/witness.key")).expect("copied");
    let fault = installs(&answer, &data, None).expect_err("another's key");
    assert_eq!(fault.code, ErrorCode::KeyNotOfEntry, "{fault}");
}

#[test]
fn lost_network_files_come_back_from_the_answer_and_no_second_entry_is_made() {
    let (world, answer, network) = joined();
    let data = world.path("XA");
    let whole = contents(&data);
    fs::remove_dir_all(data.join("network")).expect("lost");
    fs::rename(data.join("offline"), world.path("away")).expect("carried away");
    // `keys init` makes no other entry beside the keys of the lost one.
    let fault = world.try_node("XA", "XA", network.root.network()).expect_err("lost");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.remedy().contains("keys install XA-answer.json"), "{fault}");
    assert!(!data.join("network/entry-0").exists() && !data.join("offline").exists());
    // `keys install` believes an answer only of the network that people named.
    let fault = installs(&answer, &data, None).expect_err("which network?");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.remedy().contains("--network"), "{fault}");
    let other = NetworkId(ncp_protocol::ids::Digest([9; 32]));
    assert_eq!(installs(&answer, &data, Some(other)).expect_err("another").code, ErrorCode::AnswerForAnother);
    installs(&answer, &data, Some(network.root.network())).expect("all of it");
    fs::rename(world.path("away"), data.join("offline")).expect("brought back");
    assert_eq!(contents(&data), whole);
    // The keys have to be those of the answer's entry.
    world.node("XB", network.root.network());
    fs::remove_dir_all(data.join("network")).expect("lost");
    fs::create_dir(data.join("network")).expect("made");
    fs::copy(world.path("XB/keys/tls.key"), data.join("keys/tls.key")).expect("copied");
    let fault = installs(&answer, &data, Some(network.root.network())).expect_err("another key");
    assert_eq!(fault.code, ErrorCode::KeyNotOfEntry, "{fault}");
}

#[test]
fn an_entry_lost_before_the_answer_comes_back_from_the_request() {
    let world = World::new();
    let network = world.network(NetworkClass::Test).root.network();
    let made = world.node("XA", network);
    let (request, data) = (world.request(&made), world.path("XA"));
    let whole = contents(&data);
    fs::remove_file(data.join("network/entry-0")).expect("lost");
    Request::restore_entries(&request, &data, &Keyring::OPEN).expect("restored");
    assert_eq!(contents(&data), whole);
    fs::remove_file(data.join("network/entry-0")).expect("lost");
    world.node("XB", network);
    fs::copy(world.path("XB/keys/signing.key"), data.join("keys/signing.key")).expect("copied");
    assert_eq!(
        Request::restore_entries(&request, &data, &Keyring::OPEN).expect_err("other keys").code,
        ErrorCode::KeyNotOfEntry
    );
}

#[test]
fn a_foreign_file_in_the_way_is_named_with_what_to_do() {
    let (world, answer, _) = joined();
    let data = world.path("XA");
    fs::copy(world.path("hub/data/network/tls.crt"), data.join("network/tls.crt")).expect("copied");
    let fault = installs(&answer, &data, None).expect_err("foreign");
    assert_eq!(fault.code, ErrorCode::NetworkFileForeign);
    assert!(fault.remedy().contains("move it away") && fault.remedy().contains("keys install"), "{fault}");
    fs::remove_file(data.join("network/tls.crt")).expect("moved away");
    installs(&answer, &data, None).expect("put back");
}

#[test]
fn a_hub_that_lost_its_data_folder_is_told_so_and_nothing_is_made() {
    let world = World::new();
    world.network(NetworkClass::Test);
    fs::remove_dir_all(world.path("hub/data")).expect("lost");
    let before = contents(world.folder.path());
    let fault = make_network(&world.plan(NetworkClass::Test)).expect_err("lost");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.remedy().contains("put back the newest backup"), "{fault}");
    assert_eq!(contents(world.folder.path()), before);
    assert!(!world.path("hub/data").exists());
}

#[test]
fn a_lost_version_comes_back_from_its_request_or_its_answer() {
    let world = World::new();
    world.joined();
    let data = world.path("XA");
    let made = world.rotate("XA", Wish::default(), after(60)).expect("rotated").made;
    let answer = world.renewal(&made, after(60)).expect("answered");
    let (entry, request) = (data.join("network/entry-1"), world.path("XA-request-1.json"));
    let whole = contents(&data);
    fs::remove_file(&entry).expect("lost");
    Request::restore_entries(&request, &data, &Keyring::OPEN).expect("restored");
    assert_eq!(contents(&data), whole);
    fs::remove_file(&entry).expect("lost");
    assert_eq!(install(&answer, &data, None, after(60)).expect("put back"), Installed::Now);
    assert_eq!(contents(&data), whole);
    // The first answer knows less, and takes nothing back.
    install(&world.path("XA-answer.json"), &data, None, after(60)).expect("agrees");
    assert_eq!(contents(&data), whole);
    fs::remove_file(data.join("keys/sealing-2.key")).expect("lost");
    let fault = install(&answer, &data, None, after(60)).expect_err("a key is gone");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.to_string().contains("sealing-2.key"), "{fault}");
}

#[test]
fn a_lost_later_signing_key_is_named_and_a_foreign_one_too() {
    let world = World::new();
    let network = world.joined();
    let data = world.path("XA");
    let wish = Wish { signing: true, ..Wish::default() };
    let made = world.rotate("XA", wish, after(60)).expect("rotated").made;
    let answer = world.renewal(&made, after(60)).expect("answered");
    let key = data.join("keys/signing-2.key");
    fs::rename(&key, world.path("away")).expect("moved");
    let fault = install(&answer, &data, None, after(60)).expect_err("gone");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.to_string().contains("signing-2.key"), "{fault}");
    world.node("XB", network.root.network());
    fs::copy(world.path("XB/keys/signing.key"), &key).expect("copied");
    assert_eq!(install(&answer, &data, None, after(60)).expect_err("foreign").code, ErrorCode::KeyNotOfEntry);
}

#[test]
fn a_certificate_is_installed_only_beside_its_key() {
    let world = World::new();
    world.joined();
    let data = world.path("XA");
    let wish = Wish { tls: true, ..Wish::default() };
    let made = world.rotate("XA", wish, after(60)).expect("rotated").made;
    let answer = world.renewal(&made, after(60)).expect("answered");
    let key = data.join("keys/tls-2.key");
    fs::rename(&key, world.path("away")).expect("moved");
    let before = contents(&data);
    let fault = install(&answer, &data, None, after(60)).expect_err("gone");
    assert_eq!(fault.code, ErrorCode::KeyFileMissing);
    assert!(fault.to_string().contains("tls-2.key"), "{fault}");
    assert_eq!(contents(&data), before);
    fs::rename(world.path("away"), &key).expect("moved back");
    assert_eq!(install(&answer, &data, None, after(60)).expect("whole"), Installed::Renewed);
    // Once it serves, its key is missed by every command.
    fs::rename(&key, world.path("away")).expect("moved");
    let fault = check_keys(&data, &Keyring::OPEN, &made.entries).map(|_| ()).expect_err("gone");
    assert_eq!(fault.code, ErrorCode::NetworkFileForeign);
}
