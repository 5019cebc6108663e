//! What greedy peers cost the others: time from sending to verified R2 between two honest nodes, and memory of the hub, before
//! and during each kind of greed, in one run.
//!
//! `cargo run --release -p e2e --example greedy [-- SAMPLES [QUEUE [PACE]]]`; a table on standard output. SAMPLES messages are
//! measured, one after the other, in each column; QUEUE envelopes wait for a participant that does not come. PACE is how many
//! envelopes a second the hub takes of one originator: a long queue is filled sooner without its usual pace, which the row of
//! the flood then does not show.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement that cannot go on ends, and prints")]

use std::time::{Duration, Instant};

use e2e::greedy::{Crowd, Flood, Trickle};
use e2e::material::Material;
use e2e::messages::{is_delivered, until_after};
use e2e::{Network, Plan};
use ncp_api::message::MessageName;

/// Messages in each column unless the command line names another number.
const SAMPLES: usize = 500;
/// Envelopes that wait unless the command line names another number.
const QUEUE: u64 = 20_000;
/// Connections that say nothing.
const CROWD: u16 = 1_000;

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let samples = words.next().map_or(SAMPLES, |text| text.parse().expect("a number of samples"));
    let queue = words.next().map_or(QUEUE, |text| text.parse().expect("a number of envelopes"));
    let pace = words.next().map_or(String::new(), |text| format!("originator-envelopes-per-second = {text}\n"));
    let network = Plan::of(&["XB", "XC"]).and_puppets(&["XA", "XD"]).start().await;
    let _ = network.relay().stop();
    let config = network.relay().config();
    let text = std::fs::read_to_string(&config).expect("a configuration");
    let quotas = format!("[quotas]\noriginator-envelopes = {queue}\nmailbox-envelopes = {queue}\n{pace}");
    std::fs::write(&config, format!("{text}\n{quotas}")).expect("written");
    network.relay().start();
    network.node("XB").until_connected(true).await;
    network.node("XC").until_connected(true).await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    println!("| greed | p50 before | during | p99 before | during | p99 change | hub before | during |");
    println!("|---|---|---|---|---|---|---|---|");
    // Everything is warm before anything is measured.
    measure(&network, samples / 5).await;

    let before = measure(&network, samples).await;
    let crowd = Crowd::gather(CROWD, network.relay().address());
    let during = measure(&network, samples).await;
    row(&format!("{} silent connections", crowd.standing()), &before, &during);
    drop(crowd);

    let before = measure(&network, samples).await;
    let mut flood = Flood::begin(&xa, &xd).await;
    let filling = tokio::spawn(async move {
        flood.send(queue).await;
        flood
    });
    let during = measure(&network, samples).await;
    let still = if filling.is_finished() { "ended early" } else { "accepted throughout" };
    row(&format!("flood within its quota, {still}"), &before, &during);
    let mut flood = filling.await.expect("the flood was not cut off");

    let before = measure(&network, samples).await;
    row(&format!("{} envelopes wait for one", flood.tally.accepted), &before, &measure(&network, samples).await);

    let before = measure(&network, samples).await;
    let refused = tokio::spawn(async move {
        loop {
            flood.send(1_000).await;
        }
    });
    let during = measure(&network, samples).await;
    refused.abort();
    row("flood beyond its quota", &before, &during);

    let before = measure(&network, samples).await;
    let trickle = Trickle::begin(&xd).await;
    let during = measure(&network, samples).await;
    row("their recipient reads at 500 B/s", &before, &during);
    drop(trickle);
}

/// Times from sending to R2, sorted, and memory of the hub afterwards in KiB.
struct Measured {
    times: Vec<Duration>,
    resident_kib: u64,
}

impl Measured {
    fn quantile(&self, percent: usize) -> Duration {
        self.times[(self.times.len() * percent / 100).min(self.times.len() - 1)]
    }
}

async fn measure(network: &Network, samples: usize) -> Measured {
    let node = network.node("XC");
    let client = node.client(1);
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        let cursor = client.newest_cursor().await.expect("the node's health");
        let begun = Instant::now();
        let reference = node.notice(&["XB"], "measured", "two kilobytes with its envelope").await;
        let name = MessageName::from(reference);
        until_after(&client, cursor, "R2", || async {
            let view = client.message(&name).await.expect("the message is known");
            is_delivered(view.state).then_some(())
        })
        .await;
        times.push(begun.elapsed());
    }
    times.sort();
    Measured { times, resident_kib: network.relay().resident_kib() }
}

fn row(greed: &str, before: &Measured, during: &Measured) {
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    let (p99_before, p99_during) = (before.quantile(99), during.quantile(99));
    let change = (p99_during.as_secs_f64() / p99_before.as_secs_f64() - 1.0) * 100.0;
    println!(
        "| {greed} | {} | {} | {} | {} | {change:+.0} % | {} MiB | {} MiB |",
        millis(before.quantile(50)),
        millis(during.quantile(50)),
        millis(p99_before),
        millis(p99_during),
        before.resident_kib >> 10,
        during.resident_kib >> 10,
    );
}
