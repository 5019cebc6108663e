//! Starts that fail: one clear error each, with its exit code, and nothing changed.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ncp_api::release::{HoldScope, NewHold};
use ncp_api::{ErrorCode, Exit};
use ncp_node::config::Config;
use ncp_protocol::root::NetworkClass;
use ncp_store::keyfiles::{self, KeyUse};

use crate::world::{SUPERVISOR, World, code, soon};

/// Every file with its mode and bytes.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        if path.is_dir() {
            files.insert(path.clone(), (mode, Vec::new()));
            files.extend(snapshot(&path));
        } else {
            files.insert(path.clone(), (mode, std::fs::read(&path).unwrap()));
        }
    }
    files
}

/// The start fails with this error, and the data folder stays as it was.
async fn check(world: &World, config: Config, code: ErrorCode, exit: Exit) {
    let before = snapshot(&world.data());
    let fault = World::start_failure(config).await;
    assert_eq!((fault.code, fault.exit()), (code, exit), "{fault}");
    assert!(!fault.to_string().contains('<'), "every place of the sentences is filled: {fault}");
    assert_eq!(snapshot(&world.data()), before);
}

fn installed() -> World {
    World::installed(NetworkClass::Test)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_can_read_stops_the_start() {
    let world = installed();
    let key = world.data().join(keyfiles::key_path(KeyUse::Signing));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    check(&world, world.config(), ErrorCode::KeyFileOpenToOthers, Exit::Config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_foreign_file_stops_the_start() {
    for (file, code) in [
        (keyfiles::key_path(KeyUse::Storage), ErrorCode::KeyFileMissing),
        (keyfiles::sealing_key_path(1), ErrorCode::KeyFileMissing),
        (PathBuf::from(keyfiles::TLS_CHAIN), ErrorCode::KeyFileMissing),
        (keyfiles::root_path(1), ErrorCode::KeyFileMissing),
        (PathBuf::from(keyfiles::HUB_ENTRY), ErrorCode::KeyFileMissing),
    ] {
        let world = installed();
        std::fs::remove_file(world.data().join(file)).unwrap();
        check(&world, world.config(), code, Exit::Config).await;
    }
    let world = installed();
    let key = world.data().join(keyfiles::key_path(KeyUse::Signing));
    std::fs::remove_file(&key).unwrap();
    keyfiles::create_key(&key, KeyUse::Signing, &[7; 32]).unwrap();
    check(&world, world.config(), ErrorCode::KeyNotOfEntry, Exit::Config).await;
    std::fs::write(&key, b"garbage").unwrap();
    check(&world, world.config(), ErrorCode::KeyFileDamaged, Exit::Config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_not_ours_stops_the_start() {
    let world = installed();
    let mut other = world.config();
    other.participant = crate::party::id("XB");
    check(&world, other, ErrorCode::DataFolderForeign, Exit::Config).await;
    let mut nowhere = world.config();
    nowhere.data_dir = world.folder.path().join("nowhere");
    check(&world, nowhere, ErrorCode::DataFolderUnusable, Exit::Config).await;
    std::fs::set_permissions(world.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    check(&world, world.config(), ErrorCode::DataFolderUnusable, Exit::Config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_left_alone() {
    let mut world = installed();
    world.start().await;
    let mut second = world.config();
    second.api_socket = world.folder.path().join("second.sock");
    let socket = second.api_socket.clone();
    let fault = World::start_failure(second).await;
    assert_eq!((fault.code, fault.exit()), (ErrorCode::DataFolderInUse, Exit::Later), "{fault}");
    assert!(!socket.exists(), "the second's socket goes with it");
    // The first daemon goes on.
    assert!(world.nobody().health().await.unwrap().ready);
    world.stop().await;
    assert!(!world.socket().exists(), "the socket goes with the daemon");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_newer_version_is_left_alone() {
    let mut world = installed();
    world.start().await;
    world.stop().await;
    let format = world.data().join("format");
    let text = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, text.replace('1', "2")).unwrap();
    let fault = World::start_failure(world.config()).await;
    assert_eq!((fault.code, fault.exit()), (ErrorCode::DataFolderNewer, Exit::Config), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_network_stays_on_this_machine() {
    let world = installed();
    let mut config = world.config();
    config.settings.hub_addresses = vec!["192.0.2.1:4433".parse().unwrap()];
    check(&world, config, ErrorCode::ConfigLoopbackOnly, Exit::Config).await;
    let mut config = world.config();
    config.settings.proxy = Some("proxy.example.org:3128".parse().unwrap());
    check(&world, config, ErrorCode::ConfigLoopbackOnly, Exit::Config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_answers_is_not_taken_over() {
    let mut world = installed();
    let listener = tokio::net::UnixListener::bind(world.socket()).unwrap();
    let fault = World::start_failure(world.config()).await;
    assert_eq!((fault.code, fault.exit()), (ErrorCode::SocketInUse, Exit::Later), "{fault}");
    // One that a crash left behind is no obstacle.
    drop(listener);
    assert!(world.socket().exists());
    world.start().await;
    let mode = std::fs::metadata(world.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_live_network_an_officer_has_an_account() {
    let mut world = World::installed(NetworkClass::Live);
    world.start().await;
    // The tests run as one account, which is none of the officers'.
    let refused = world.client(crate::world::DRAFTER).me().await;
    assert_eq!(crate::world::code(refused), ErrorCode::OfficerAccountOther);
    world.stop().await;
}

/// Runs the daemon's binary; exit code and standard error.
fn daemon(arguments: &[&std::ffi::OsStr]) -> (Option<i32>, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ncp-node")).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.ends_with(": ok\n"), output.status.success(), "one line where all is good: {said:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_binary_checks_a_configuration_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let check = |file: &Path| daemon(&["config".as_ref(), "check".as_ref(), file.as_os_str()]);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/node.toml");
    assert_eq!(check(&shipped), (Some(0), String::new()));
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "participant = \"XA\"\nhub-adresses = [\"h:1\"]\nlifetime-days = 0\n").unwrap();
    let (exit, errors) = check(&file);
    assert_eq!(exit, Some(78));
    for part in
        ["error[NCP-E1104]", "error[NCP-E1105]", "error[NCP-E1107]", "did you mean hub-addresses?", "node.toml:3:"]
    {
        assert!(errors.contains(part), "{errors}");
    }
    let (exit, errors) = check(&folder.path().join("missing.toml"));
    assert_eq!((exit, errors.starts_with("error[NCP-E1101]")), (Some(78), true), "{errors}");
    // The daemon itself says the same.
    let (exit, errors) = daemon(&["--config".as_ref(), file.as_os_str()]);
    assert_eq!((exit, errors.contains("NCP-E1104")), (Some(78), true), "{errors}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_acted_on_is_not_played_again_after_a_restart() {
    let mut world = World::serving().await;
    let client = world.repeating_client(SUPERVISOR);
    soon(client.set_hold(&NewHold { scope: HoldScope::All })).await.unwrap();
    assert_eq!(
        code(soon(client.set_hold(&NewHold { scope: HoldScope::All })).await),
        ErrorCode::OfficerRequestReplayed
    );
    soon(world.client(SUPERVISOR).lift_hold(&HoldScope::All)).await.unwrap();
    world.stop().await;
    world.start().await;
    // Signed ahead of the clock, so that it looks younger than this run.
    assert_eq!(
        code(soon(client.set_hold(&NewHold { scope: HoldScope::All })).await),
        ErrorCode::OfficerRequestReplayed
    );
    assert!(soon(world.client(SUPERVISOR).holds()).await.unwrap().holds.is_empty());
    world.stop().await;
}
