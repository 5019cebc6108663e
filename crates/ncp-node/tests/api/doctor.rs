//! `doctor`: what it says when all is well, and what each fault looks like.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use ncp_api::health::{Check, CheckResult};
use ncp_api::release::{HoldScope, NewHold};
use ncp_node::config::Config;
use ncp_node::core::command::{Ask, EntryNews};
use ncp_node::entries::{Statements, entry_record};
use ncp_protocol::directory::Timestamp;
use ncp_protocol::ids::{Digest, UnixMillis};
use ncp_protocol::root::NetworkClass;
use ncp_store::ballast::Ballast;
use ncp_store::disk::CORRUPT;
use ncp_store::keyfiles::{self, KeyUse};
use ncp_store::spool::Record;

use crate::party::{Ends, Party};
use crate::world::{SUPERVISOR, World, request, soon};

async fn checks(world: &World) -> BTreeMap<String, Check> {
    let doctor = soon(world.nobody().doctor()).await.unwrap();
    doctor.checks.into_iter().map(|check| (check.id.clone(), check)).collect()
}

async fn check(world: &World, id: &str, expected: CheckResult) {
    let checks = checks(world).await;
    let found = &checks[id];
    assert_eq!(found.result, expected, "{found:?}");
    let explained = found.code.is_some() && found.cause.is_some() && found.remedy.is_some();
    let faulty = matches!(expected, CheckResult::Warn | CheckResult::Fail);
    assert_eq!(explained, faulty, "a fault has a code, a cause and a remedy: {found:?}");
    assert!(!found.cause.as_deref().unwrap_or_default().contains('<'), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_hub_fails_at_the_link_alone() {
    let world = World::serving().await;
    let checks = checks(&world).await;
    let of = |result| {
        checks.values().filter(|check| check.result == result).map(|check| check.id.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of(CheckResult::Fail), ["N02"]);
    // The certificate of the tests and the people are as they should be; what rests on the link is skipped.
    assert_eq!(of(CheckResult::Unset), ["N04", "N05"]);
    assert_eq!(of(CheckResult::Warn), Vec::<&str>::new());
    assert!(checks["N05"].title.contains("N02"));
    assert!(checks.len() >= 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_by_its_check() {
    let world = World::serving().await;
    let node = world.node();

    let key = world.data().join(keyfiles::key_path(KeyUse::Storage));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    check(&world, "K01", CheckResult::Fail).await;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    check(&world, "K01", CheckResult::Ok).await;

    std::fs::set_permissions(world.data(), std::fs::Permissions::from_mode(0o750)).unwrap();
    check(&world, "S04", CheckResult::Fail).await;
    std::fs::set_permissions(world.data(), std::fs::Permissions::from_mode(0o700)).unwrap();

    soon(world.client(SUPERVISOR).set_hold(&NewHold { scope: HoldScope::All })).await.unwrap();
    check(&world, "P03", CheckResult::Warn).await;

    let stranger = Party::new("XD", &world.trust);
    let record = Record { name: entry_record(stranger.entry.digest()), bytes: stranger.entry.encode() };
    world.ask(Ask::AcceptEntries(vec![EntryNews::Entry { participant: stranger.id, version: 0, record }])).await;
    node.reload_directory().unwrap();
    check(&world, "P04", CheckResult::Warn).await;

    // The tick says each second how it is.
    while checks(&world).await["S03"].result != CheckResult::Warn {
        node.clock_believed.send_replace(false);
    }
    while checks(&world).await["S07"].code.as_deref() != Some("NCP-E5107") {
        node.ballast.send_replace(Ballast::GivenUp);
    }
    check(&world, "S08", CheckResult::Ok).await;
    let corrupt = world.data().join(CORRUPT);
    std::fs::create_dir(&corrupt).unwrap();
    std::fs::write(corrupt.join("journal-0.0"), "torn").unwrap();
    check(&world, "S08", CheckResult::Warn).await;

    let timestamp = |expires| Timestamp {
        network: world.trust.network,
        issued: UnixMillis(0),
        expires,
        membership_version: 1,
        membership_digest: Digest([0; 32]),
        public_size: 0,
        public_root: Digest([0; 32]),
    };
    let put = |expires| {
        let statements = Statements { timestamp: Some(timestamp(expires)), ..Statements::default() };
        node.statements.store(std::sync::Arc::new(statements));
    };
    put(UnixMillis(1));
    check(&world, "N04", CheckResult::Fail).await;
    put(ncp_node::clock::now().plus_millis(60_000));
    check(&world, "N04", CheckResult::Ok).await;

    // The dialler finds no hub and says so, perhaps in between.
    let linked = async {
        loop {
            node.link.send_modify(|status| (status.connected, status.failure) = (true, None));
            if checks(&world).await["N02"].result == CheckResult::Ok {
                break;
            }
        }
    };
    soon(linked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_were_damaged_or_replaced_since_the_start_are_found() {
    let world = World::serving().await;
    let key = world.data().join(keyfiles::key_path(KeyUse::Signing));
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, b"garbage").unwrap();
    check(&world, "K01", CheckResult::Fail).await;
    std::fs::remove_file(&key).unwrap();
    check(&world, "K01", CheckResult::Fail).await;
    keyfiles::create_key(&key, KeyUse::Signing, &[7; 32]).unwrap();
    check(&world, "K01", CheckResult::Fail).await;
    std::fs::write(&key, good).unwrap();
    check(&world, "K01", CheckResult::Ok).await;
    // What the daemon has in memory signs all the same.
    check(&world, "K02", CheckResult::Ok).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_would_stop_the_next_start_is_found() {
    let mut world = World::installed(NetworkClass::Test);
    let (file, names) = (world.folder.path().join("node.toml"), world.folder.path().join("names.toml"));
    let text = format!("officer-names-file = \"{}\"\n{}", names.display(), world.config_text());
    std::fs::write(&file, &text).unwrap();
    std::fs::write(&names, "\"12\" = \"A. Example\"\n").unwrap();
    world.start_with(Config::load(&file).unwrap()).await;
    check(&world, "C01", CheckResult::Ok).await;
    // Another value is no fault; it counts after a restart.
    std::fs::write(&file, format!("lifetime-days = 7\n{text}")).unwrap();
    check(&world, "C01", CheckResult::Ok).await;
    std::fs::write(&file, format!("lifetime-dais = 7\n{text}")).unwrap();
    check(&world, "C01", CheckResult::Fail).await;
    std::fs::remove_file(&file).unwrap();
    check(&world, "C01", CheckResult::Fail).await;
    std::fs::write(&file, &text).unwrap();
    check(&world, "C01", CheckResult::Ok).await;
    std::fs::write(&names, "12 = ").unwrap();
    check(&world, "C01", CheckResult::Fail).await;
    std::fs::remove_file(&names).unwrap();
    check(&world, "C01", CheckResult::Fail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_within_a_month_is_said_before() {
    let ends = Ends { root: 20, certificate: 20, sealing: 20, signing: 20 };
    let mut world = World::installed_until(NetworkClass::Test, ends);
    world.start().await;
    for id in ["C02", "K03", "K04", "K05"] {
        check(&world, id, CheckResult::Warn).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_name_does_not_resolve_is_found() {
    let mut world = World::installed(NetworkClass::Live);
    let mut config = world.config();
    // A label of more than 63 bytes is no name: the resolver refuses it without asking anybody.
    config.settings.hub_addresses = vec![format!("{}.invalid:4433", "x".repeat(64)).parse().unwrap()];
    world.start_with(config).await;
    check(&world, "N01", CheckResult::Fail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_changed_on_the_disk_is_found() {
    let world = World::serving().await;
    world.draft(&request("Grey van")).await;
    check(&world, "S02", CheckResult::Ok).await;
    let mut files = vec![world.data().join("journal")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        // In place, as a failing disk would: what is zero was never written.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.iter_mut().filter(|byte| **byte != 0).for_each(|byte| *byte ^= 0x55);
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
    }
    check(&world, "S02", CheckResult::Fail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_configured_is_said() {
    let mut world = World::installed(NetworkClass::Test);
    let text = world.config_text();
    let bare: String = text
        .lines()
        .take_while(|line| !line.starts_with("[["))
        .filter(|line| !line.starts_with("services"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let bare = bare.replace("free-min-mebibytes = 16", &format!("free-min-mebibytes = {}", 1 << 20));
    world.start_with(Config::parse(&[("node.toml".into(), bare)]).unwrap()).await;
    for (id, expected) in [
        ("P01", CheckResult::Warn),
        ("P02", CheckResult::Fail),
        ("I01", CheckResult::Unset),
        ("S01", CheckResult::Fail),
    ] {
        check(&world, id, expected).await;
    }
    let health = soon(world.nobody().health()).await.unwrap();
    assert!(!health.ready, "without room nothing new can be stored");
}
