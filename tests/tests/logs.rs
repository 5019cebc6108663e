//! What the daemons write to their log: JSON that a machine reads line by line, and the journal with fields of its own.
#![cfg(test)]

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;

use e2e::binaries::Program;
use e2e::supervisor::Supervised;
use e2e::{Network, PATIENCE, Plan};
use serde_json::Value;

/// Becomes the command behind `$1`, for which the folder `$1` is where the journal listens, and standard error leads there.
/// All of `/run` is another one for it, and for nobody else.
const WITH_JOURNAL: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
    mount --bind \"$1\" /run/systemd/journal && shift && \
    JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";

async fn stopped() -> Network {
    let network = Plan::of(&["XB"]).start().await;
    assert!(network.node("XB").stop().status.success());
    assert!(network.relay().stop().status.success());
    network
}

#[tokio::test]
async fn json_is_one_object_a_line_from_the_first_to_the_last() {
    let network = stopped().await;
    for (program, config) in [(Program::Relay, network.relay().config()), (Program::Node, network.node("XB").config())]
    {
        let text = std::fs::read_to_string(&config).expect("the configuration");
        // Keys of the document stand before its tables.
        std::fs::write(&config, format!("log-format = \"json\"\n{text}")).expect("written");
        let supervised = Supervised::start(program, &config, &[]);
        supervised.until("READY=1");
        let ended = supervised.stop();
        assert!(ended.status.success(), "{}", ended.log);
        let lines: Vec<Value> = ended
            .log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}")))
            .collect();
        assert!(!lines.is_empty(), "it says at least that it serves");
        for line in lines {
            let has = |name: &str| line[name].is_string();
            assert!(has("timestamp") && has("level") && line["fields"]["message"].is_string(), "{line}");
        }
    }
}

#[tokio::test]
async fn the_journal_gets_each_field_under_its_name() {
    let mount =
        std::process::Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/run"]).output();
    if !mount.is_ok_and(|tried| tried.status.success()) {
        e2e::tell("not run: nothing can be mounted for one process alone, so that no journal can be put up for it");
        return;
    }
    let network = stopped().await;
    let folder = network.folder().join("journal");
    std::fs::create_dir(&folder).expect("a folder");
    let journal = UnixDatagram::bind(folder.join("socket")).expect("the folder takes a socket");
    journal.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let launcher = ["unshare", "--mount", "sh", "-c", WITH_JOURNAL, "sh"].map(OsString::from);
    let launcher = [&launcher[..], &[folder.into_os_string()]].concat();
    for (program, config) in [(Program::Relay, network.relay().config()), (Program::Node, network.node("XB").config())]
    {
        let supervised = Supervised::start_by(&launcher, program, &config, &[]);
        supervised.until("READY=1");
        let ended = supervised.stop();
        assert!(ended.status.success(), "{}", ended.log);
        assert_eq!(ended.log, "", "nothing goes to standard error as well");
        until_fields(&journal, &["MESSAGE", "PRIORITY", "NCP_NETWORK", network.node("XB").network().label().as_ref()]);
    }
}

/// Reads what comes to the journal until one record holds all of these.
fn until_fields(journal: &UnixDatagram, words: &[&str]) {
    let mut seen = Vec::new();
    let mut record = [0; 64 << 10];
    while let Ok(length) = journal.recv(&mut record) {
        let text = String::from_utf8_lossy(&record[..length]).into_owned();
        if words.iter().all(|word| text.contains(word)) {
            return;
        }
        seen.push(text);
    }
    panic!("no record with {words:?} in {seen:?}");
}
