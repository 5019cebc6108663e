//! A daemon that cannot start says one clear thing, ends with its exit code and changes nothing.
#![cfg(test)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use e2e::binaries::Program;
use e2e::folder::contents;
use e2e::network::free_address;
use e2e::process::{Ended, refused_start};
use e2e::{Network, Plan};

/// One error, with this code and these words, and this exit code.
fn check(ended: &Ended, exit: i32, code: &str, words: &[&str]) {
    let log = &ended.log;
    assert_eq!(ended.code(), Some(exit), "{log}");
    assert_eq!(log.matches("error[NCP-").count(), 1, "one error:\n{log}");
    assert!(log.contains(&format!("error[{code}]: ")), "{code} expected:\n{log}");
    assert!(log.contains("\n  cause: ") && log.contains("\n  try:   "), "three lines:\n{log}");
    for word in words {
        assert!(log.contains(word), "{word:?} expected:\n{log}");
    }
}

/// Both daemons of a network that does not run: program, configuration, data folder.
fn daemons(network: &Network) -> [(Program, std::path::PathBuf, std::path::PathBuf); 2] {
    let (relay, node) = (network.relay(), network.node("XB"));
    [(Program::Relay, relay.config(), relay.data()), (Program::Node, node.config(), node.data())]
}

/// A network that ran once and was stopped, so that both data folders hold a store.
async fn stopped() -> Network {
    let network = Plan::of(&["XB"]).start().await;
    let _ = network.node("XB").stop();
    network.relay().stop();
    network
}

/// Starts both daemons after `spoil` and expects the same fault of each; then mends it and starts the daemon.
async fn check_both(spoil: impl Fn(&Path, &Path), exit: i32, code: &str, words: &[&str], mend: impl Fn(&Path, &Path)) {
    let network = stopped().await;
    for (program, config, data) in daemons(&network) {
        spoil(&config, &data);
        let before = contents(&data);
        check(&refused_start(program, &config), exit, code, words);
        assert_eq!(contents(&data), before, "{} changed its data folder", program.name());
        mend(&config, &data);
    }
    network.relay().start();
    network.node("XB").start();
    assert!(network.node("XB").size().await > 0, "mended, it starts");
}

fn prepend(config: &Path, line: &str) {
    let text = fs::read_to_string(config).expect("the configuration");
    fs::write(config, format!("{line}\n{text}")).expect("written");
}

fn remove_first_line(config: &Path) {
    let text = fs::read_to_string(config).expect("the configuration");
    let (_, rest) = text.split_once('\n').expect("two lines");
    fs::write(config, rest).expect("written");
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_place_and_the_key_that_was_meant() {
    let spoil = |config: &Path, _: &Path| prepend(config, "data-dri = \"/nowhere\"");
    let words = [":1:1: nothing is called data-dri", "did you mean data-dir?"];
    check_both(spoil, 78, "NCP-E1104", &words, |config, _| remove_first_line(config)).await;
}

#[tokio::test]
async fn all_faults_of_a_configuration_are_told_in_one_run() {
    let network = stopped().await;
    for (program, config, _) in daemons(&network) {
        prepend(&config, "data-dri = \"/nowhere\"\napi-sokcet = \"/nowhere\"");
        let ended = refused_start(program, &config);
        assert_eq!(ended.code(), Some(78));
        assert_eq!(ended.log.matches("error[NCP-E1104]").count(), 2, "{}", ended.log);
    }
}

#[tokio::test]
async fn a_missing_configuration_is_named() {
    let folder = e2e::folder::fresh();
    for program in [Program::Relay, Program::Node] {
        let config = folder.path().join("none.toml");
        check(&refused_start(program, &config), 78, "NCP-E1101", &["none.toml"]);
    }
}

#[tokio::test]
async fn a_file_at_the_place_of_the_socket_is_not_removed() {
    let network = stopped().await;
    for (program, config, data) in daemons(&network) {
        let extra = config.with_file_name(format!("{}.d", config.file_name().expect("a name").to_string_lossy()));
        fs::create_dir_all(&extra).expect("a folder");
        fs::write(extra.join("socket.toml"), format!("api-socket = {:?}\n", data.join(KEY))).expect("written");
        let before = contents(&data);
        let words = [KEY, "is a file that is no socket; nothing removed", "change api-socket"];
        check(&refused_start(program, &config), 78, "NCP-E1204", &words);
        let said = Command::new(program.path()).arg("--config").arg(&config).arg("--check-config").output();
        let said = said.expect("it runs");
        let log = String::from_utf8_lossy(&said.stderr).into_owned();
        check(&Ended { status: said.status, log }, 78, "NCP-E1204", &words);
        assert_eq!(contents(&data), before, "{} changed its data folder", program.name());
    }
}

/// The key of each daemon that these tests take away or open: all daemons have one for TLS.
const KEY: &str = "keys/tls.key";

#[tokio::test]
async fn a_missing_key_file_is_named() {
    let away = |data: &Path| data.with_extension("away");
    let spoil = |_: &Path, data: &Path| fs::rename(data.join(KEY), away(data)).expect("moved");
    let mend = |_: &Path, data: &Path| fs::rename(away(data), data.join(KEY)).expect("moved back");
    check_both(spoil, 78, "NCP-E2101", &[KEY], mend).await;
}

#[tokio::test]
async fn a_key_that_others_can_read_stops_the_start() {
    let mode = |data: &Path, mode| {
        fs::set_permissions(data.join(KEY), fs::Permissions::from_mode(mode)).expect("the mode is set");
    };
    let words = [KEY, "mode 0644", "chmod 0600"];
    check_both(|_, data| mode(data, 0o644), 78, "NCP-E2104", &words, |_, data| mode(data, 0o600)).await;
}

#[tokio::test]
async fn a_data_folder_of_a_newer_version_stops_the_start() {
    let format = |data: &Path, text: &str| fs::write(data.join("format"), text).expect("written");
    let words = ["format 99", "formats up to 1"];
    check_both(
        |_, data| format(data, "ncp-data 99\n"),
        78,
        "NCP-E1303",
        &words,
        |_, data| format(data, "ncp-data 1\n"),
    )
    .await;
}

#[tokio::test]
async fn a_data_folder_in_use_stops_the_second_daemon_and_not_the_first() {
    let network = Plan::of(&["XB"]).start().await;
    for (program, config, data) in daemons(&network) {
        // Another socket and address, the same data folder.
        let text = fs::read_to_string(&config).expect("the configuration");
        let lines = text.lines().map(|line| {
            if line.starts_with("api-socket") {
                format!("api-socket = {:?}", data.with_extension("second.sock"))
            } else if line.starts_with("listen") {
                format!("listen = \"{}\"", free_address())
            } else {
                line.to_owned()
            }
        });
        let second = config.with_extension("second.toml");
        fs::write(&second, lines.collect::<Vec<_>>().join("\n")).expect("written");
        check(&refused_start(program, &second), 75, "NCP-E1302", &[&data.display().to_string()]);
    }
    assert!(network.node("XB").size().await > 0, "the first serves on");
    assert!(network.relay().sizes().await.1 > 0, "the first serves on");
}

#[tokio::test]
async fn a_port_in_use_stops_the_relay() {
    let network = stopped().await;
    let data = network.relay().data();
    let taken = TcpListener::bind(network.relay().address()).expect("the relay is stopped");
    let before = contents(&data);
    let ended = refused_start(Program::Relay, &network.relay().config());
    check(&ended, 75, "NCP-E1201", &[&network.relay().address().to_string(), "listen"]);
    assert_eq!(contents(&data), before);
    drop(taken);
    network.relay().start();
}

#[tokio::test]
async fn a_socket_in_use_stops_the_second_daemon() {
    let network = Plan::of(&["XB"]).start().await;
    let other = stopped().await;
    let (taken, data) = (network.node("XB").socket(), other.node("XB").data());
    let config = other.node("XB").config();
    let text = fs::read_to_string(&config).expect("the configuration");
    let own = format!("{:?}", other.node("XB").socket());
    fs::write(&config, text.replace(&own, &format!("{taken:?}"))).expect("written");
    let before = contents(&data);
    check(&refused_start(Program::Node, &config), 75, "NCP-E1203", &["api-socket"]);
    assert_eq!(contents(&data), before);
    assert!(network.node("XB").size().await > 0, "the first serves on");
}

#[tokio::test]
async fn a_test_network_stays_on_loopback() {
    let network = stopped().await;
    let address = network.relay().address().to_string();
    for (program, config, data) in daemons(&network) {
        let text = fs::read_to_string(&config).expect("the configuration");
        fs::write(&config, text.replace(&address, "192.0.2.1:7400")).expect("written");
        let before = contents(&data);
        check(&refused_start(program, &config), 78, "NCP-E1109", &["192.0.2.1:7400"]);
        assert_eq!(contents(&data), before);
    }
}

#[tokio::test]
async fn a_data_folder_of_another_participant_is_refused() {
    let network = stopped().await;
    let node = network.node("XB");
    let text = fs::read_to_string(node.config()).expect("the configuration");
    fs::write(node.config(), text.replace("participant = \"XB\"", "participant = \"XC\"")).expect("written");
    let before = contents(&node.data());
    check(&refused_start(Program::Node, &node.config()), 78, "NCP-E1304", &["XB", "XC"]);
    assert_eq!(contents(&node.data()), before);
}
