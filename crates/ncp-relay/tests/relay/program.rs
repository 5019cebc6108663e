//! The program itself: what it says about a configuration or a folder that it cannot use, and how it ends.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::network::{Network, files};

#[test]
fn config_check_reads_the_file_that_it_names() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/relay.toml");
    let none = Path::new("/nonexistent/relay.toml");
    let output = relay(none, &["config", "check", shipped.to_str().unwrap()]);
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    let output = relay(&shipped, &["config", "check", none.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn a_filter_of_the_log_that_cannot_be_read_stops_the_start() {
    let network = Network::new();
    let config = write_config(&network, "127.0.0.1:0");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ncp-relay"));
    let output = command.arg("--config").arg(config).env("NCP_LOG", "ncp_store=loud").output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("error[NCP-E1111]") && words.contains("ncp_store=loud"), "{words}");
    assert_eq!(output.status.code(), Some(78));
}

fn relay(config: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ncp-relay")).arg("--config").arg(config).args(more).output().unwrap()
}

fn write_config(network: &Network, listen: &str) -> PathBuf {
    let path = network.folder.path().join("relay.toml");
    let data = network.data();
    let socket = network.folder.path().join("other.sock");
    let text = format!("listen = \"{listen}\"\ndata-dir = {data:?}\napi-socket = {socket:?}\n");
    std::fs::write(&path, text).unwrap();
    path
}

/// One clear error with this code and exit code, and nothing changed in the data folder.
fn check_start(network: &Network, config: &Path, code: &str, exit: i32) {
    let before = kept(network);
    let output = relay(config, &[]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains(&format!("error[{code}]:")), "{words}");
    assert!(words.contains("\n  cause: ") && words.contains("\n  try:   "), "{words}");
    assert_eq!(words.matches("error[").count(), 1, "{words}");
    assert_eq!(output.status.code(), Some(exit), "{words}");
    assert!(kept(network) == before, "{code}: something changed");
}

/// What a start must not touch. The index and the file `signed` are left out: another process may be at work on them.
fn kept(network: &Network) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = files(&network.data());
    let busy = ["index", "signed"].map(|name| network.data().join(name));
    found.retain(|(path, _)| !busy.iter().any(|busy| path.starts_with(busy)));
    found
}

#[test]
fn a_good_configuration_is_said_to_be_good() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/relay.toml");
    let output = relay(&shipped, &["--check-config"]);
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("relay.toml: ok\n"));
}

#[test]
fn a_bad_configuration_has_all_its_faults_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relay.toml");
    std::fs::write(&path, "listn = 1\nlog-format = \"xml\"\n").unwrap();
    for arguments in [&["--check-config"][..], &[]] {
        let output = relay(&path, arguments);
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains("error[NCP-E1104]") && words.contains("error[NCP-E1106]"), "{words}");
        assert!(words.contains("relay.toml:1:1"), "{words}");
        assert_eq!(output.status.code(), Some(78));
    }
    let output = relay(&folder.path().join("none.toml"), &[]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("error[NCP-E1101]"));
    assert_eq!(output.status.code(), Some(78));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_it_from_starting_has_a_code_each() {
    let network = Network::new();
    let loopback = write_config(&network, "127.0.0.1:0");
    let set_mode = |path: &str, mode| {
        std::fs::set_permissions(network.data().join(path), PermissionsExt::from_mode(mode)).unwrap();
    };

    set_mode("keys/timestamp.key", 0o644);
    check_start(&network, &loopback, "NCP-E2104", 78);
    set_mode("keys/timestamp.key", 0o600);

    set_mode("", 0o755);
    check_start(&network, &loopback, "NCP-E1301", 78);
    set_mode("", 0o700);

    let traffic = network.data().join("keys/log-traffic-1.key");
    let aside = network.data().join("keys/aside");
    std::fs::rename(&traffic, &aside).unwrap();
    check_start(&network, &loopback, "NCP-E2101", 78);
    std::fs::copy(network.data().join("keys/log-public-1.key"), &traffic).unwrap();
    check_start(&network, &loopback, "NCP-E2106", 78);
    std::fs::rename(&aside, &traffic).unwrap();

    check_start(&network, &write_config(&network, "0.0.0.0:0"), "NCP-E1109", 78);

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check_start(&network, &write_config(&network, &address), "NCP-E1201", 75);

    let hub = network.start().await;
    check_start(&network, &write_config(&network, "127.0.0.1:0"), "NCP-E1302", 75);
    hub.stop().await.unwrap();

    std::fs::write(network.data().join("format"), "ncp-data 2\n").unwrap();
    check_start(&network, &write_config(&network, "127.0.0.1:0"), "NCP-E1303", 78);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_ready_and_audit_head_says_where_the_logs_stand() {
    let network = Network::new();
    let hub = network.start().await;
    let health = network.api().health().await.unwrap();
    assert!(health.ready, "{health:?}");
    let heads = network.api().audit_head().await.unwrap().logs;
    // `public`: opened, membership, the hub's entry. `traffic`: opened, and each of the last two recorded.
    let sizes: Vec<u64> = heads.iter().map(|head| head.size).collect();
    assert_eq!(sizes.len(), 2);
    assert_eq!(sizes[1], 3);
    assert_eq!(health.journal_events, sizes.iter().sum::<u64>());
    hub.stop().await.unwrap();
    assert!(!network.folder.path().join("api.sock").exists());
}
