//! `/livez`, `/readyz` and `/metrics` of the real daemons: what monitoring rests on, and that the page names all of it.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use e2e::binaries::{Program, top};
use e2e::messages::is_delivered;
use e2e::supervisor::{HangingDisk, Supervised};
use e2e::{Network, Plan};
use rustix::process::Signal;

/// Status and body of a GET.
fn get(socket: &Path, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream.set_read_timeout(Some(e2e::PATIENCE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: ncp\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// Names of labels of each metric that a daemon shows, and the samples as they stand.
struct Shown {
    families: BTreeMap<String, BTreeSet<String>>,
    samples: BTreeMap<String, f64>,
}

fn shown(socket: &Path) -> Shown {
    let (status, text) = get(socket, "/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "it is whole");
    let mut kinds = BTreeMap::new();
    let (mut families, mut samples) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').expect("name and type");
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            kinds.insert(name.clone(), kind.to_owned());
            families.insert(name, BTreeSet::new());
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').expect("sample and value");
            samples.insert(sample.to_owned(), value.parse().expect("a number"));
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let series = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let name = series.filter(|series| families.contains_key(*series)).unwrap_or(name);
            let known: &mut BTreeSet<String> = families.get_mut(name).unwrap_or_else(|| panic!("{line} has no type"));
            let labels = labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once("=\""));
            known.extend(labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le"));
        }
    }
    Shown { families, samples }
}

/// The rows of the page: name, daemons, labels.
fn documented() -> Vec<(String, String, BTreeSet<String>)> {
    let page = fs::read_to_string(top().join("docs/OPERATING.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `ncp_"));
    rows.map(|row| {
        let (name, rest) = row.split_once('`').expect("a name in code");
        let daemons = rest.split('|').nth(1).expect("a column of daemons").trim().to_owned();
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (format!("ncp_{name}"), daemons, labels.map(ToOwned::to_owned).collect())
    })
    .collect()
}

/// Ids of the checks that the page says are made by `health` or `hub`.
fn checks_made_by(who: &str) -> BTreeSet<String> {
    let page = fs::read_to_string(top().join("docs/OPERATING.md")).expect("the page");
    let (_, section) = page.split_once("| Check | Made by |").expect("the table of checks");
    let rows = section.lines().skip(2).map_while(|line| line.strip_prefix("| "));
    let made = rows.filter_map(|row| {
        let (id, rest) = row.split_once(" | ")?;
        let (by, _) = rest.split_once(" | ")?;
        by.split(", ").any(|by| by == who).then(|| id.to_owned())
    });
    made.collect()
}

/// Ids of the checks that a daemon shows.
fn checks_of(shown: &Shown) -> BTreeSet<String> {
    let ids = shown.samples.keys().filter_map(|sample| sample.strip_prefix("ncp_health{code=\""));
    ids.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

fn expected(daemon: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = documented().into_iter().filter(|(_, daemons, _)| daemons == daemon || daemons == "both");
    rows.map(|(name, _, labels)| (name, labels)).collect()
}

/// A network in which one message was delivered and one waits in each place where one can wait.
async fn busy() -> Network {
    let network = Plan::of(&["XB", "XC"]).and_puppets(&["XD"]).start().await;
    let xb = network.node("XB");
    let delivered = xb.notice(&["XC"], "delivered", "here").await;
    xb.until_state(delivered, is_delivered).await;
    let accepted = xb.notice(&["XD"], "accepted", "waits at the hub").await;
    xb.until_state(accepted, e2e::messages::is_accepted).await;
    let draft = e2e::messages::message(ncp_protocol::codes::Kind::Request, &["XC"], "draft", "waits for release");
    xb.client(1).create(&draft, &e2e::messages::fresh_key()).await.expect("drafted");
    network
}

#[tokio::test]
async fn every_metric_stands_in_the_page_and_every_metric_of_the_page_is_shown() {
    let network = busy().await;
    let node = shown(&network.node("XB").socket());
    assert_eq!(node.families, expected("node"));
    assert_eq!(checks_of(&node), checks_made_by("health"));
    let relay = shown(&network.relay().socket());
    assert_eq!(relay.families, expected("relay"));
    assert_eq!(checks_of(&relay), checks_made_by("hub"));
}

#[tokio::test]
async fn metrics_say_what_happened_and_what_waits() {
    let network = busy().await;
    let sample = |shown: &Shown, name: &str| {
        *shown.samples.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", shown.samples))
    };
    let sender = shown(&network.node("XB").socket());
    let counted = |outcome| format!("ncp_messages_total{{direction=\"out\",kind=\"notice\",outcome=\"{outcome}\"}}");
    assert_eq!(sample(&sender, &counted("accepted")), 2.0);
    assert_eq!(sample(&sender, &counted("delivered")), 1.0);
    assert_eq!(sample(&sender, "ncp_delivery_duration_seconds_count"), 1.0);
    assert_eq!(sample(&sender, "ncp_queue_messages{queue=\"hub\",peer=\"XD\"}"), 1.0);
    assert_eq!(sample(&sender, "ncp_release_pending{age=\"under-1h\"}"), 1.0);
    assert_eq!(sample(&sender, "ncp_hub_connected"), 1.0);
    assert!(sample(&sender, "ncp_store_sync_duration_seconds_count") >= 1.0, "the round before READY");
    assert!(sample(&sender, "ncp_clock_offset_seconds").abs() < 60.0);
    let recipient = shown(&network.node("XC").socket());
    let received = "ncp_messages_total{direction=\"in\",kind=\"notice\",outcome=\"received\"}";
    assert_eq!(sample(&recipient, received), 1.0);
    assert_eq!(sample(&recipient, "ncp_queue_messages{queue=\"inbox\",peer=\"XB\"}"), 1.0);
    let again = shown(&network.node("XC").socket());
    assert_eq!(sample(&again, received), 1.0, "each event counts once");
    let hub = shown(&network.relay().socket());
    assert_eq!(sample(&hub, "ncp_queue_messages{queue=\"mailbox\",peer=\"XD\"}"), 1.0);
    let hub_counted = |direction, outcome| {
        format!("ncp_messages_total{{direction=\"{direction}\",kind=\"sealed\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(sample(&hub, &hub_counted("in", "accepted")), 2.0);
    assert_eq!(sample(&hub, &hub_counted("out", "delivered")), 1.0);
    assert_eq!(sample(&hub, "ncp_links"), 2.0);
}

#[tokio::test]
async fn who_writes_to_whom_can_be_left_out() {
    let network = busy().await;
    for (program, config, socket) in [
        (Program::Node, network.node("XB").config(), network.node("XB").socket()),
        (Program::Relay, network.relay().config(), network.relay().socket()),
    ] {
        if program == Program::Node {
            assert!(network.node("XB").stop().status.success());
        } else {
            assert!(network.relay().stop().status.success());
        }
        let text = fs::read_to_string(&config).expect("the configuration");
        fs::write(&config, format!("metrics-peers = false\n{text}")).expect("written");
        let supervised = Supervised::start(program, &config, &[]);
        supervised.until("READY=1");
        let shown = shown(&socket);
        assert!(shown.families.values().all(|labels| !labels.contains("peer")), "{:?}", shown.families);
        let waiting: f64 =
            shown.samples.iter().filter(|(name, _)| name.starts_with("ncp_queue_m")).map(|(_, n)| n).sum();
        assert_eq!(waiting, 1.0, "what waits is counted all the same");
        assert!(supervised.stop().status.success());
    }
}

#[tokio::test]
async fn ready_is_who_can_sign_and_store_with_or_without_the_hub() {
    let network = Plan::of(&["XB"]).start().await;
    let node = network.node("XB");
    assert!(network.relay().stop().status.success());
    node.until_connected(false).await;
    let socket = node.socket();
    assert_eq!(get(&socket, "/readyz").0, 200, "the hub does not matter");
    assert!(node.stop().status.success());
    let supervised = Supervised::start(Program::Node, &node.config(), &[]);
    supervised.until("READY=1");
    // One tebibyte must stay free: no machine of a test has it. The file is read behind the one that the harness puts there.
    let full = node.config().with_extension("toml.d").join("99-full.toml");
    fs::write(&full, "free-min-mebibytes = 1048576\n").expect("written");
    supervised.daemon.signal(Signal::HUP);
    supervised.until("READY=1");
    let (status, body) = get(&socket, "/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("NCP-E5101"), "{body}");
    assert_eq!(get(&socket, "/livez").0, 200, "its loops turn");
    fs::remove_file(full).expect("removed");
    supervised.daemon.signal(Signal::HUP);
    supervised.until("READY=1");
    assert_eq!(get(&socket, "/readyz").0, 200);
    assert!(supervised.stop().status.success());
}

#[tokio::test]
async fn a_daemon_whose_disk_hangs_is_neither_alive_nor_ready() {
    let network = Plan::of(&["XB"]).start().await;
    assert!(network.node("XB").stop().status.success());
    assert!(network.relay().stop().status.success());
    let disk = HangingDisk::new(network.folder());
    let node = network.node("XB");
    for (program, config, socket) in [
        (Program::Node, node.config(), node.socket()),
        (Program::Relay, network.relay().config(), network.relay().socket()),
    ] {
        let mut environment = disk.environment().to_vec();
        environment.push(("WATCHDOG_USEC", OsString::from("600000")));
        let supervised = Supervised::start(program, &config, &environment);
        supervised.until("WATCHDOG=1");
        let both = async |wanted: u16| {
            while get(&socket, "/livez").0 != wanted || get(&socket, "/readyz").0 != wanted {
                tokio::task::yield_now().await;
            }
        };
        e2e::soon("the daemon to be well", both(200)).await;
        disk.hang();
        e2e::soon("the daemon to be found stuck", both(503)).await;
        disk.go_on();
        e2e::soon("the daemon to get on", both(200)).await;
        assert!(supervised.stop().status.success());
    }
}
