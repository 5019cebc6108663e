//! Power cuts: the hub and three nodes under load, all data on one ext4 image whose power is cut without a flush of its log.
//! After each cut every daemon starts in time; at the end all queues drain and the checker reads every journal against what
//! clients were told before the cuts.
//!
//! `NCP_CUTS` says how many cuts (10), `NCP_SEED` which. Needs root; where it cannot run, it says so. A cut models a lost page
//! cache, not a drive that forgets what it confirmed.
#![cfg(test)]

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use e2e::chance::{Chance, number, seed};
use e2e::image::Image;
use e2e::load::{DRAIN, Load};
use e2e::{Network, Plan};

const NODES: [&str; 3] = ["XA", "XB", "XC"];
/// Size of the image.
const MEBIBYTES: u64 = 768;
/// Messages that may be begun between two cuts.
const MESSAGES_PER_CUT: u64 = 40;
/// Longest time under load between two cuts: about the 5 s after which ext4 commits by itself.
const LIFE_MAX: Duration = Duration::from_secs(5);
/// Each daemon has to be ready within this time after a cut.
const START_MAX: Duration = Duration::from_secs(10);

fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_under_load_lose_nothing_with_evidence() {
    let (cuts, seed) = (number("NCP_CUTS", || 10), seed());
    // Dropped after the network that lies on it.
    let image = match Image::make(MEBIBYTES) {
        Ok(image) => image,
        Err(reason) => return say(&format!("NOT RUN: power cuts need root and loop devices: {reason}")),
    };
    say(&format!("replay: NCP_SEED={seed} NCP_CUTS={cuts} cargo test -p e2e --test power"));
    let begun = Instant::now();
    let mut chance = Chance::new(seed);
    let network = Arc::new(Plan::of(&NODES).within(image.path()).start().await);
    image.sync();
    let load = Load::new(Arc::clone(&network), &NODES);
    let clients = tokio::spawn({
        let (load, chance) = (Arc::clone(&load), chance.branch());
        async move { load.run(chance).await }
    });
    let mut slowest = Duration::ZERO;
    for _ in 0..cuts {
        load.allow(MESSAGES_PER_CUT);
        let life = chance.within(LIFE_MAX);
        slowest = slowest.max(tokio::task::block_in_place(|| cut(&network, &image, life)));
        load.tell();
    }
    load.finish();
    let ended = tokio::time::timeout(DRAIN, clients).await.expect("clients come to an end");
    ended.expect("every client saw its messages end");
    let verdict = load.judge().await;
    say(&format!(
        "{cuts} power cuts, slowest start {:.1} s, all {:.1} s: {verdict}",
        slowest.as_secs_f32(),
        begun.elapsed().as_secs_f32(),
    ));
    assert!(verdict.findings.is_empty(), "NCP_SEED={seed}: {verdict}");
    assert!(verdict.counts.consigned >= 20, "there was load: {verdict}");
}

/// Lets the network live for a while, cuts its power, and starts it again. Returns how long the slowest start took.
fn cut(network: &Network, image: &Image, life: Duration) -> Duration {
    let (_alive, nobody) = mpsc::channel::<()>();
    assert_eq!(nobody.recv_timeout(life), Err(RecvTimeoutError::Timeout));
    image.cut();
    // Whoever noticed has ended by itself; the machine is off for the others too.
    network.relay().kill();
    for name in NODES {
        network.node(name).kill();
    }
    image.restore();
    let mut slowest = Duration::ZERO;
    let mut start = |what: &str, start: &dyn Fn() -> bool| {
        let begun = Instant::now();
        assert!(start(), "{what} was not ready within {} s", START_MAX.as_secs());
        slowest = slowest.max(begun.elapsed());
    };
    start("the hub", &|| network.relay().start_within(START_MAX));
    for name in NODES {
        start(name, &|| network.node(name).start_within(START_MAX));
    }
    slowest
}
