//! Making a network: what it has, that a second call finishes the first, and which roles are too weak.

use std::os::unix::fs::PermissionsExt as _;

use ncp_api::ErrorCode;
use ncp_protocol::limits::DAY_MS;

use super::*;

#[test]
fn a_network_has_what_its_relay_needs_and_keeps_the_rest_apart() {
    let world = World::new();
    let network = world.network(NetworkClass::Live);
    for name in [
        "data/keys/log-traffic-1.key",
        "data/keys/log-public-1.key",
        "data/keys/witness.key",
        "data/keys/timestamp.key",
        "data/keys/tls.key",
        "authority/ca.key",
        "offline/root-5.key",
        "offline/membership-3.key",
        "offline/identity.key",
        "offline/recovery.key",
    ] {
        let path = world.path("hub").join(name);
        let mode = fs::metadata(&path).unwrap_or_else(|_| panic!("{name}")).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    for name in ["tls.crt", "ca.crt", "root-1", "entry-0", "membership-1"] {
        assert!(world.path("hub/data/network").join(name).exists(), "{name}");
    }
    for name in ["identity.key", "recovery.key", "ca.key", "root-1.key"] {
        assert!(!world.path("hub/data/keys").join(name).exists(), "{name}");
    }
    assert_eq!(network.root.newest.root().roles.root.threshold, 3);
    let config = fs::read_to_string(world.path("hub/relay.toml")).expect("configuration");
    assert!(config.contains("listen = \"127.0.0.1:7400\"\n"), "{config}");
    assert!(config.contains(&format!("data-dir = \"{}\"\n", world.path("hub/data").display())), "{config}");
}

#[test]
fn making_a_network_again_changes_nothing() {
    let world = World::new();
    let first = world.network(NetworkClass::Test);
    let before = contents(world.folder.path());
    let again = make_network(&Plan { now: NOW.plus_millis(DAY_MS), ..world.plan(NetworkClass::Test) }).expect("again");
    assert_eq!(again.root.network(), first.root.network());
    assert_eq!(contents(world.folder.path()), before);
    let other = make_network(&world.plan(NetworkClass::Live)).expect_err("another class");
    assert_eq!(other.code, ErrorCode::EntryInstalledAlready);
    assert_eq!(contents(world.folder.path()), before);
}

/// Whatever file an interrupted call had not made yet, the next call ends with a network that works.
#[test]
fn an_interrupted_call_is_finished_by_the_next() {
    let world = World::new();
    world.network(NetworkClass::Test);
    let order = [
        "relay.toml",
        "data/network/root-1",
        "data/network/membership-1",
        "data/network/tls.crt",
        "data/network/ca.crt",
        "authority/membership-1",
        "authority/certificates",
        "authority/network/hub-entry",
        "data/network/entry-0",
        "data/keys/witness.key",
        "data/keys/tls.key",
        "offline/identity.key",
        "authority/network/ca.crt",
        "authority/ca.key",
        "authority/network/root-1",
        "data/keys/timestamp.key",
        "offline/membership-1.key",
        "offline/root-1.key",
    ];
    for cut in 1..=order.len() {
        for name in &order[..cut] {
            let path = world.path("hub").join(name);
            if path.is_dir() {
                fs::remove_dir_all(&path).expect("removed");
            } else if path.exists() {
                fs::remove_file(&path).expect("removed");
            }
        }
        let network = world.network(NetworkClass::Test);
        let made = world.try_node(&format!("node-{cut}"), "XA", network.root.network()).expect("keys");
        let request = world.path(&format!("{cut}.json"));
        Request::write(&request, &made).expect("written");
        world.admit(&request, made.fingerprint()).unwrap_or_else(|fault| panic!("after {}: {fault}", order[cut - 1]));
        // The next cut begins without XA.
        fs::remove_dir_all(world.path("hub")).expect("removed");
        world.network(NetworkClass::Test);
    }
}

#[test]
fn a_live_network_refuses_weak_roles() {
    let world = World::new();
    let weak = |root: &str, membership: &str| {
        let plan = Plan {
            root: root.parse().expect("a size"),
            membership: membership.parse().expect("a size"),
            ..world.plan(NetworkClass::Live)
        };
        make_network(&plan).map(|_| ()).map_err(|fault| fault.code)
    };
    for (root, membership) in [("2/5", "2/3"), ("3/4", "2/3"), ("3/5", "1/3"), ("3/5", "2/2"), ("1/1", "1/1")] {
        assert_eq!(weak(root, membership), Err(ErrorCode::RoleTooWeak), "{root} {membership}");
        assert!(!world.path("hub").exists());
    }
    // Two thirds of seven are five: the protocol's own rule.
    assert_eq!(weak("4/7", "2/3"), Err(ErrorCode::RootInvalid));
    assert!(
        "0/1".parse::<RoleSize>().is_err() && "2/1".parse::<RoleSize>().is_err() && "3".parse::<RoleSize>().is_err()
    );
}
