//! Large attachments: from file to file at constant memory, through kills in the middle of each way, and nothing that was
//! synced is sent again. How many mebibytes `NCP_TEST_LARGE_MIB` says; the largest message is 1024, manifest and all.
#![cfg(test)]

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

use e2e::messages::{is_accepted, is_delivered};
use e2e::wire::{Way, Wire};
use e2e::{Network, Plan};
use ncp_protocol::ids::{Digest, Reference};
use ncp_protocol::keys::Sha256Hasher;
use ncp_protocol::padding::padded_len;

const MIB: u64 = 1 << 20;
/// Mebibytes of the file unless the environment names another number.
const DEFAULT_MIB: u64 = 64;
/// What one kill may have sent again: chunks since the last sync of an upload, and those that the credit lets be in flight.
const AGAIN: u64 = (4 + 4) * MIB;
/// Memory that a daemon may have resident, in KiB.
const RESIDENT_MAX_KIB: u64 = 160 << 10;

fn bytes() -> u64 {
    let named = std::env::var("NCP_TEST_LARGE_MIB").ok().map(|text| text.parse::<u64>().expect("a number"));
    // Beside the file the message holds its manifest and a line of text.
    (named.unwrap_or(DEFAULT_MIB) * MIB).min(ncp_protocol::limits::MESSAGE_MAX - MIB / 8)
}

/// A file without two equal blocks.
fn write(path: &Path, length: u64) {
    let mut out = BufWriter::new(File::create(path).expect("made"));
    let mut block = vec![0x5a; 4 << 10];
    for number in 0..length / 4096 {
        block[..8].copy_from_slice(&number.to_le_bytes());
        out.write_all(&block).expect("written");
    }
    out.flush().expect("written");
}

fn digest(path: &Path) -> Digest {
    let (mut file, mut hasher, mut piece) =
        (File::open(path).expect("it is there"), Sha256Hasher::default(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut piece).expect("read");
        if read == 0 {
            return hasher.finish();
        }
        hasher.update(&piece[..read]);
    }
}

/// The most that each daemon had resident, over all its lives, in KiB.
#[derive(Debug, Default)]
struct Peaks([u64; 3]);

impl Peaks {
    fn look(&mut self, network: &Network) {
        let now = [network.relay().peak_kib(), network.node("XB").peak_kib(), network.node("XC").peak_kib()];
        for (peak, now) in self.0.iter_mut().zip(now) {
            *peak = now.max(*peak);
        }
    }
}

/// Lets a part of what goes one way pass, has `kill` end somebody there, and lets it go on.
fn interrupted(wire: &Wire, way: Way, at: u64, kill: impl FnOnce()) {
    wire.until_passed(way, at);
    kill();
    wire.clear();
}

fn kill_relay(network: &Network) {
    network.relay().kill();
    network.relay().start();
}

fn kill_node(network: &Network, name: &str) {
    network.node(name).kill();
    network.node(name).start();
}

/// On a terminal a transfer shows how far it is.
fn has_bar(shown: &str) {
    assert!(shown.contains(" MiB of ") || shown.contains(" GiB of "), "no bar: {shown:?}");
}

fn send(network: &Network, path: &Path) -> Reference {
    let node = network.node("XB");
    let ctl = node.ctl("send --kind notice --handling H0 --to XC --text attached --subject Large", node.officer(1));
    let shown = ctl.set("--attach", path).on_terminal().ok().stdout;
    has_bar(&shown);
    let mut words = shown.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("no reference: {shown:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_survives_kills_on_its_way_at_constant_memory_and_is_not_sent_twice() {
    let network = Plan::of(&["XB", "XC"]).over_wires().start().await;
    let (xb, xc) = (network.node("XB"), network.node("XC"));
    let (up, down) = (network.wire("XB"), network.wire("XC"));
    let (length, mut peaks) = (bytes(), Peaks::default());
    let file = network.folder().join("large.bin");
    write(&file, length);
    // XC hears of nothing before all of it is at the hub.
    let before = (up.passed(Way::Up), down.passed(Way::Down));

    up.hold_at(Way::Up, before.0 + length / 3);
    let reference = send(&network, &file);
    up.until_passed(Way::Up, before.0 + length / 3);
    let shown = xb.ctl("status", xb.officer(1)).with(reference.to_string()).ok().stdout;
    assert!(shown.contains("on its way to the hub: "), "{shown}");
    peaks.look(&network);
    interrupted(up, Way::Up, before.0 + length / 3, || kill_relay(&network));
    up.hold_at(Way::Up, before.0 + length * 2 / 3);
    down.hold_at(Way::Down, before.1 + length / 3);
    up.until_passed(Way::Up, before.0 + length * 2 / 3);
    peaks.look(&network);
    interrupted(up, Way::Up, before.0 + length * 2 / 3, || kill_node(&network, "XB"));
    up.until_passed(Way::Up, before.0 + length);
    xb.until_state(reference, is_accepted).await;
    let shown = xb.ctl("status", xb.officer(1)).with(reference.to_string()).ok().stdout;
    assert!(!shown.contains("on its way to the hub: "), "{shown}");

    down.until_passed(Way::Down, before.1 + length / 3);
    peaks.look(&network);
    interrupted(down, Way::Down, before.1 + length / 3, || kill_relay(&network));
    down.hold_at(Way::Down, before.1 + length * 2 / 3);
    down.until_passed(Way::Down, before.1 + length * 2 / 3);
    peaks.look(&network);
    interrupted(down, Way::Down, before.1 + length * 2 / 3, || kill_node(&network, "XC"));
    down.until_passed(Way::Down, before.1 + length);
    xc.until_received(reference).await;
    xb.until_state(reference, is_delivered).await;

    let folder = network.folder().join("saved");
    fs::create_dir(&folder).expect("a folder");
    let saving = xc.ctl("save", xc.officer(1)).with(reference.to_string()).set("--to", &folder);
    has_bar(&saving.on_terminal().ok().stdout);
    assert_eq!(digest(&folder.join("large.bin")), digest(&file), "byte by byte");
    peaks.look(&network);
    let passed = [(Way::Up, up.passed(Way::Up) - before.0), (Way::Down, down.passed(Way::Down) - before.1)];
    let mib = |bytes: u64| bytes.div_ceil(MIB);
    e2e::tell(&format!(
        "large: {} MiB; bytes on the wire {:?} MiB; most resident: relay, XB, XC {:?} MiB",
        mib(length),
        passed.map(|(_, bytes)| mib(bytes)),
        peaks.0.map(|kib| kib >> 10),
    ));
    assert!(peaks.0.iter().all(|peak| *peak < RESIDENT_MAX_KIB), "relay, XB, XC: {peaks:?} KiB");
    // Beside the file its message and evidence pass; frames and TLS come on top, less than 1/256 of a chunk.
    let once = padded_len(length + MIB / 8) / 256 * 257 + MIB;
    for (way, passed) in passed {
        assert!(
            passed < once + 2 * AGAIN,
            "{way:?}: {passed} bytes passed for {length}, {once} with what comes on top"
        );
    }
}
