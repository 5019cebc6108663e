//! The daemons as services: what a service manager is told, what ends the watchdog's pings, how a stop and a reload go.
#![cfg(test)]

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use e2e::authority::{Authority, Subject};
use e2e::binaries::Program;
use e2e::material::{HubMaterial, Material};
use e2e::messages::{fresh_key, is_accepted, message};
use e2e::peer::dial;
use e2e::supervisor::{HangingDisk, Supervised, Words};
use e2e::{Network, Plan};
use ncp_api::{Client, ErrorCode};
use ncp_protocol::codes::Kind;
use ncp_protocol::ids::{ParticipantId, UnixMillis};
use rustix::process::Signal;

/// A network whose daemons are stopped: a test supervises them. XA is a puppet.
async fn stopped() -> Network {
    let network = Plan::of(&["XB"]).and_puppets(&["XA"]).start().await;
    assert!(network.node("XB").stop().status.success());
    assert!(network.relay().stop().status.success());
    network
}

fn daemons(network: &Network) -> [(Program, PathBuf, PathBuf); 2] {
    let node = network.node("XB");
    [
        (Program::Relay, network.relay().config(), network.relay().socket()),
        (Program::Node, node.config(), node.socket()),
    ]
}

fn has(words: &Words, word: &str) -> bool {
    words.iter().any(|said| said == word)
}

fn status(words: &Words) -> &str {
    words.iter().find_map(|word| word.strip_prefix("STATUS=")).unwrap_or_else(|| panic!("no status in {words:?}"))
}

#[tokio::test]
async fn ready_means_that_it_serves_and_the_end_is_told() {
    let network = stopped().await;
    for (program, config, socket) in daemons(&network) {
        let supervised = Supervised::start(program, &config, &[]);
        let first = supervised.hear();
        assert!(has(&first, "READY=1"), "nothing comes before it: {first:?}");
        assert!(status(&first).contains("serves"), "{first:?}");
        let health = Client::new(&socket).health().await.expect("the socket answers as soon as it is ready");
        assert!(health.ready);
        if program == Program::Relay {
            let xa = Material::of(&network, "XA");
            dial(&xa.tls, xa.network, xa.hub).await.expect("the hub accepts as soon as it is ready");
        }
        supervised.daemon.signal(Signal::TERM);
        supervised.until("STOPPING=1");
        assert!(supervised.daemon.ended().status.success());
    }
}

#[tokio::test]
async fn without_a_service_manager_nothing_is_told_and_the_daemon_serves() {
    let network = stopped().await;
    for (program, config, socket) in daemons(&network) {
        let child = Command::new(program.path())
            .arg("--config")
            .arg(&config)
            .env_remove("NOTIFY_SOCKET")
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let client = Client::new(&socket);
        let health = async {
            loop {
                match client.health().await {
                    Ok(health) => return health,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        assert!(e2e::soon("the API", health).await.ready);
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).expect("it runs");
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("joined");
        assert!(ended.expect("it ends").status.success());
    }
}

#[tokio::test]
async fn a_disk_that_hangs_ends_the_pings_until_it_goes_on() {
    let network = stopped().await;
    let disk = HangingDisk::new(network.folder());
    for (program, config, _) in daemons(&network) {
        let mut environment = disk.environment().to_vec();
        environment.push(("WATCHDOG_USEC", OsString::from("600000")));
        let supervised = Supervised::start(program, &config, &environment);
        supervised.until("READY=1");
        for _ in 0..3 {
            supervised.until("WATCHDOG=1");
        }
        let mark = supervised.daemon.log().mark();
        disk.hang();
        supervised.daemon.log().wait_for(mark, &["does not get on"]);
        supervised.forget();
        let heard = supervised.hear_within(Duration::from_secs(2));
        assert_eq!(heard, None, "nobody who waits for the disk pings");
        disk.go_on();
        supervised.daemon.log().wait_for(mark, &["gets on again"]);
        supervised.until("WATCHDOG=1");
        assert!(supervised.stop().status.success());
    }
}

#[tokio::test]
async fn without_a_watchdog_nobody_pings() {
    let network = stopped().await;
    let (program, config, _) = daemons(&network)[1].clone();
    let supervised = Supervised::start(program, &config, &[]);
    supervised.until("READY=1");
    // The first round comes at once; the link's change of status is told after it.
    while let Some(words) = supervised.hear_within(Duration::from_secs(6)) {
        assert!(!has(&words, "WATCHDOG=1"), "{words:?}");
    }
    assert!(supervised.stop().status.success());
}

#[tokio::test]
async fn a_second_request_to_stop_ends_at_once_whatever_hangs() {
    let network = stopped().await;
    let disk = HangingDisk::new(network.folder());
    for (program, config, _) in daemons(&network) {
        let supervised = Supervised::start(program, &config, &disk.environment());
        supervised.until("READY=1");
        let mark = supervised.daemon.log().mark();
        disk.hang();
        supervised.daemon.log().wait_for(mark, &["does not get on"]);
        supervised.daemon.signal(Signal::TERM);
        supervised.until("STOPPING=1");
        assert!(supervised.daemon.runs(), "it waits for what it began");
        supervised.daemon.signal(Signal::TERM);
        assert_eq!(supervised.daemon.ended().code(), Some(130));
        disk.go_on();
        assert!(supervised_again(program, &config), "the next start finds nothing amiss");
    }
}

#[tokio::test]
async fn a_stop_on_a_disk_that_hangs_has_a_limit_and_says_that_it_was_none() {
    let network = stopped().await;
    let disk = HangingDisk::new(network.folder());
    let all = daemons(&network);
    let begun = all.each_ref().map(|(program, config, _)| {
        let supervised = Supervised::start(*program, config, &disk.environment());
        supervised.until("READY=1");
        (supervised.daemon.log().mark(), supervised)
    });
    // The hub has something to write at its end: how long XB's log is now.
    let reference = network.node("XB").notice(&["XA"], "before the disk hangs", "text").await;
    network.node("XB").until_state(reference, is_accepted).await;
    disk.hang();
    for (mark, supervised) in &begun {
        supervised.daemon.log().wait_for(*mark, &["does not get on"]);
        supervised.daemon.signal(Signal::TERM);
    }
    for (_, supervised) in begun {
        let ended = supervised.daemon.ended();
        assert_eq!(ended.code(), Some(69), "{}", ended.log);
        assert!(ended.log.contains("the disk hangs"), "{}", ended.log);
    }
    disk.go_on();
    for (program, config, _) in all {
        assert!(supervised_again(program, &config), "the next start finds nothing amiss");
    }
}

fn supervised_again(program: Program, config: &Path) -> bool {
    let supervised = Supervised::start(program, config, &[]);
    supervised.until("READY=1");
    supervised.stop().status.success()
}

#[tokio::test]
async fn who_never_ends_what_it_began_does_not_keep_a_daemon() {
    let network = stopped().await;
    let xa = Material::of(&network, "XA");
    for (program, config, socket) in daemons(&network) {
        let supervised = Supervised::start(program, &config, &[]);
        supervised.until("READY=1");
        let mut endless = UnixStream::connect(&socket).expect("it listens");
        endless.write_all(b"POST /v1/blobs HTTP/1.1\r\nHost: ncp\r\nContent-Length: 9\r\n").expect("half a request");
        let silent = std::net::TcpStream::connect(xa.hub);
        let idle = dial(&xa.tls, xa.network, xa.hub).await;
        let hub_runs = program == Program::Relay;
        assert_eq!((silent.is_ok(), idle.is_ok()), (hub_runs, hub_runs));
        let ended = supervised.stop();
        assert!(ended.status.success(), "{}", ended.log);
        drop((endless, silent, idle));
    }
}

#[tokio::test]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    let network = Arc::new(Plan::of(&["XB"]).and_puppets(&["XA"]).start().await);
    let (acknowledge, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let (network, acknowledge) = (Arc::clone(&network), acknowledge.clone());
        writers.spawn(async move {
            let client = network.node("XB").client(1);
            for number in 0..1_000 {
                let notice = message(Kind::Notice, &["XA"], "under load", &format!("{writer} {number}"));
                match client.create(&notice, &fresh_key()).await {
                    Ok(view) => acknowledge.send(view.reference).expect("the test listens"),
                    Err(_) => return,
                }
            }
        });
    }
    drop(acknowledge);
    let mut references = Vec::new();
    while references.len() < 20 {
        references.push(e2e::soon("an acknowledgement", acknowledged.recv()).await.expect("they write on"));
    }
    let stopping = Arc::clone(&network);
    let ended = tokio::task::spawn_blocking(move || stopping.node("XB").stop()).await.expect("joined");
    assert!(ended.status.success(), "{}", ended.log);
    while let Some(reference) = e2e::soon("the writers to end", acknowledged.recv()).await {
        references.push(reference);
    }
    assert!(references.len() < 8_000, "the stop came in between");
    network.node("XB").start();
    let client = network.node("XB").client(1);
    for reference in references {
        client.message(&reference.into()).await.unwrap_or_else(|error| panic!("{reference} is lost: {error}"));
    }
}

fn replace(config: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(config).expect("the configuration");
    assert!(text.contains(from), "{from} in {text}");
    fs::write(config, text.replace(from, to)).expect("written");
}

/// Tells the daemon to reload and returns what it says about it, when it is done.
fn reload(supervised: &Supervised) -> Words {
    supervised.daemon.signal(Signal::HUP);
    let begun = supervised.until("RELOADING=1");
    let since = begun.iter().find_map(|word| word.strip_prefix("MONOTONIC_USEC=")).expect("when it began");
    assert!(since.parse::<u64>().expect("microseconds") > 0);
    supervised.until("READY=1")
}

#[tokio::test]
async fn a_reload_takes_up_settings_and_names_what_waits_for_a_restart() {
    let network = stopped().await;
    let node = network.node("XB");
    let supervised = Supervised::start(Program::Node, &node.config(), &[]);
    supervised.until("READY=1");
    let notice = message(Kind::Notice, &["XA"], "news", "good");
    node.client(1).create(&notice, &fresh_key()).await.expect("the rules allow it");
    replace(&node.config(), "\"notice\", \"bulletin\"", "\"bulletin\"");
    replace(&node.config(), "[\"border-police\", \"customs\"]", "[\"customs\"]\nlog-format = \"json\"");
    assert!(!status(&reload(&supervised)).contains("not reloaded"));
    let line = supervised.daemon.log().wait_for(0, &["reloaded", "\"allow\"", "\"services\"", "[\"log-format\"]"]);
    assert!(!line.starts_with('{'), "the form of the log waits: {line}");
    let denied = node.client(1).create(&notice, &fresh_key()).await.expect_err("the rules forbid it");
    assert!(denied.is(ErrorCode::DeniedByDefault), "{denied}");
    let request = message(Kind::Request, &["XA"], "Grey van", "Who?");
    node.client(1).create(&request, &fresh_key()).await.expect("what the new rules allow goes on");
    assert!(supervised.stop().status.success());
}

#[tokio::test]
async fn a_bad_file_keeps_what_was_and_says_so() {
    let network = stopped().await;
    for (program, config, socket) in daemons(&network) {
        let certificate = certificate_file(&network, program);
        let supervised = Supervised::start(program, &config, &[]);
        supervised.until("READY=1");
        let (good, text) = (fs::read(&certificate).expect("a certificate"), fs::read_to_string(&config).expect("text"));
        fs::write(&config, format!("data-dri = \"/nowhere\"\n{text}")).expect("written");
        assert!(status(&reload(&supervised)).contains("not reloaded: NCP-E1104"));
        supervised.daemon.log().wait_for(0, &["not reloaded", "NCP-E1104", "did you mean data-dir?"]);
        fs::write(&config, &text).expect("written");
        fs::write(&certificate, b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n").expect("written");
        let said = reload(&supervised);
        let told = status(&said);
        let code = match program {
            Program::Node => "NCP-E2306",
            Program::Relay | Program::Ctl => "NCP-E5301",
        };
        assert!(told.contains(&format!("not reloaded: {code}")), "{told}");
        supervised.daemon.log().wait_for(0, &["not reloaded", "tls.crt"]);
        let health = Client::new(&socket).health().await.expect("it serves on");
        assert!(health.ready);
        fs::write(&certificate, good).expect("written");
        assert!(!status(&reload(&supervised)).contains("not reloaded"), "once mended it is taken up");
        assert!(supervised.stop().status.success());
    }
}

fn certificate_file(network: &Network, program: Program) -> PathBuf {
    let data = if program == Program::Relay { network.relay().data() } else { network.node("XB").data() };
    data.join("network/tls.crt")
}

/// Issues a certificate for the key that lies there, valid until 1 January of a year.
fn renew(network: &Network, program: Program, last_year: i32) {
    let (participant, tls) = match program {
        Program::Relay => (ParticipantId::HUB, HubMaterial::of(network, "XB").tls),
        Program::Node | Program::Ctl => (e2e::id("XB"), Material::of(network, "XB").tls),
    };
    let subject = Subject { years: (2020, last_year), ..Subject::of(network.node("XB").network(), participant) };
    let renewed = Authority::of(network).issue_for(&subject, &tls);
    fs::write(certificate_file(network, program), renewed.certificate).expect("written");
}

/// 1 January 2100, 00:00 UTC (RFC 3339: 2100-01-01T00:00:00Z).
const YEAR_2100: UnixMillis = UnixMillis(4_102_444_800_000);

#[tokio::test]
async fn a_renewed_certificate_serves_new_connections_and_an_expired_one_is_refused() {
    let network = stopped().await;
    let xa = Material::of(&network, "XA");
    let supervised = Supervised::start(Program::Relay, &network.relay().config(), &[]);
    supervised.until("READY=1");
    let shown = || async { dial(&xa.tls, xa.network, xa.hub).await.expect("the hub accepts").peer.expires };
    let standing = dial(&xa.tls, xa.network, xa.hub).await.expect("the hub accepts");
    let before = standing.peer.expires;
    renew(&network, Program::Relay, 2021);
    assert!(status(&reload(&supervised)).contains("not reloaded"), "nobody would accept it");
    assert_eq!(shown().await, before);
    renew(&network, Program::Relay, 2100);
    assert!(!status(&reload(&supervised)).contains("not reloaded"));
    supervised.daemon.log().wait_for(0, &["reloaded", "2100-01-01"]);
    assert_eq!(shown().await, YEAR_2100);
    assert_ne!(before, YEAR_2100);
    assert!(supervised.stop().status.success());
}

#[tokio::test]
async fn a_node_shows_its_renewed_certificate_at_the_next_link() {
    let network = stopped().await;
    network.relay().start();
    let node = network.node("XB");
    let supervised = Supervised::start(Program::Node, &node.config(), &[]);
    supervised.until("READY=1");
    node.until_connected(true).await;
    renew(&network, Program::Node, 2100);
    assert!(!status(&reload(&supervised)).contains("not reloaded"));
    node.until_connected(true).await;
    let doctor = node.ctl("doctor", node.supervisor()).run();
    assert!(doctor.stdout.contains("until 2100-01-01"), "{}", doctor.stdout);
    assert!(network.relay().stop().status.success());
    network.relay().start();
    node.until_connected(true).await;
    assert!(supervised.stop().status.success());
}
