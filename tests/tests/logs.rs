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
    let begin = |program, config: &std::path::Path| Supervised::start_by(&launcher, program, config, &[]);
    let relay = begin(Program::Relay, &network.relay().config());
    relay.until("READY=1");
    let node = begin(Program::Node, &network.node("XB").config());
    let label = network.node("XB").network().label();
    let served = ["MESSAGE=the hub serves", "PRIORITY=5", &format!("NCP_NETWORK={label}")];
    until_fields(&journal, &[&served, &["MESSAGE=linked to the hub", "NCP_PIN="]]);
    let relay = relay.stop();
    let away = ["MESSAGE=no link to the hub", "PRIORITY=4", "NCP_CODE=NCP-E3101", "NCP_CAUSE="];
    until_fields(&journal, &[&["MESSAGE=link: ", "NCP_PEER=XB"], &away]);
    for ended in [relay, node.stop()] {
        assert!(ended.status.success(), "{}", ended.log);
        assert_eq!(ended.log, "", "nothing goes to standard error as well");
    }
}

/// Reads what comes to the journal until each of these was met by a record that holds all its words.
fn until_fields(journal: &UnixDatagram, wanted: &[&[&str]]) {
    let (mut missing, mut seen) = (wanted.to_vec(), Vec::new());
    let mut record = [0; 64 << 10];
    while let Ok(length) = journal.recv(&mut record) {
        let text = lines(&record[..length]);
        missing.retain(|words| !words.iter().all(|word| text.contains(word)));
        if missing.is_empty() {
            return;
        }
        seen.push(text);
    }
    panic!("no record with {missing:?} in {seen:?}");
}

/// A record of the journal's protocol as lines `NAME=value`: there a value stands behind `=`, or on the next line behind its
/// length of 8 bytes (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).
fn lines(mut record: &[u8]) -> String {
    let mut lines = String::new();
    while let Some(end) = record.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = record.split_at(end);
        lines += &String::from_utf8_lossy(line);
        record = &rest[1..];
        if !line.contains(&b'=') {
            let (length, rest) = record.split_first_chunk().expect("a length");
            let (value, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).expect("a small one"));
            lines += &format!("={}", String::from_utf8_lossy(value));
            record = rest.strip_prefix(b"\n").expect("the end of a value");
        }
        lines.push('\n');
    }
    lines
}
