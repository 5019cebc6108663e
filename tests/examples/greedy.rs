//! What greedy peers cost the others: time from sending to verified R2 between two honest nodes, and memory of the hub, without
//! and with each kind of greed. The two are measured in turn, a few messages each, and the quantiles are those of all turns
//! together: what else becomes of the machine for a second or two meets both alike. The first row compares nothing with
//! nothing, and beside each change stands how much of it is chance. The greedy peers' threads give way to all others, as if
//! they ran elsewhere: what is measured is what they make the hub do. How a greed begins is apart, in a row of
//! its own.
//!
//! `cargo run --release -p e2e --example greedy [-- SAMPLES [QUEUE [PACE]]]`; a table on standard output. SAMPLES messages are
//! measured, one after the other, in each column; QUEUE envelopes wait for a participant that does not come. PACE is how many
//! envelopes a second the hub takes of one originator: a long queue is filled sooner without its usual pace, which the row of
//! the flood then does not show. A long queue stands at a hub of its own, and is compared with one where none does.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement that cannot go on ends, and prints")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::greedy::{Crowd, Flood, SentAway, Trickle};
use e2e::material::Material;
use e2e::messages::{is_delivered, until_after};
use e2e::{Network, Plan, random};
use ncp_api::message::MessageName;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Messages in each column unless the command line names another number.
const SAMPLES: usize = 3_000;
/// From one message that is measured to the next at least: half of the hub's pace. A node that sent at its pace would wait for the
/// hub to let it, and not for the others.
const APART: Duration = Duration::from_millis(20);
/// Messages of one turn.
const TURN: usize = 25;
/// Messages that pass while a flood begins, or a link: a window comes or goes at once, and then it has its pace.
const BEHIND_A_WINDOW: usize = 5;
/// Messages that pass while a crowd gathers, or is gone and its places are cleared: a second.
const CROWD_PASSES: usize = 100;
/// Turns in a crowd for each with another greed: a crowd takes its time to gather.
const CROWDS: usize = 2;
/// Turns in one of a flood that comes in pulses: it meets some, each of which comes about once a second.
const PULSES: usize = 12;
/// Envelopes that wait unless the command line names another number.
const QUEUE: u64 = 20_000;
/// Draws that say how much of a change is chance.
const DRAWS: usize = 1_000;
/// Connections that say nothing.
const CROWD: u16 = 1_000;
/// The lowest precedence that a thread may have.
const LAST: i32 = 19;

/// Where greedy peers run.
fn elsewhere() -> Runtime {
    let give_way = || {
        // Where it may not, the measure is a stricter one.
        let _ = rustix::process::nice(LAST);
    };
    Builder::new_multi_thread().worker_threads(2).on_thread_start(give_way).enable_all().build().expect("threads")
}

fn main() {
    let here = Runtime::new().expect("threads");
    let elsewhere = elsewhere();
    here.block_on(compare(&elsewhere));
    elsewhere.shutdown_background();
}

async fn compare(elsewhere: &Runtime) {
    let mut words = std::env::args().skip(1);
    let samples = words.next().map_or(SAMPLES, |text| text.parse().expect("a number of samples"));
    let queue = words.next().map_or(QUEUE, |text| text.parse().expect("a number of envelopes"));
    let pace = words.next().map_or(String::new(), |text| format!("originator-envelopes-per-second = {text}\n"));
    let network = network(&format!("originator-envelopes = {queue}\nmailbox-envelopes = {queue}\n{pace}")).await;
    let quiet = self::network("").await;
    let (xa, xd) = (Material::of(&network, "XA"), Material::of(&network, "XD"));
    println!("| greed | p50 without | with | p99 without | with | p99 change | nine of ten | hub |");
    println!("|---|---|---|---|---|---|---|---|");
    // Everything is warm before anything is measured.
    measure(&network, samples / 5).await;
    measure(&quiet, samples / 5).await;

    let turns = samples.div_ceil(TURN);
    let mut table = Table::of(&network);
    for _ in 0..turns {
        table.without(&network, TURN).await;
        table.with(&network, TURN).await;
    }
    table.rows("none in either column");

    for (sent_away, what) in [(SentAway::Stays, "stay away"), (SentAway::Comes, "come again")] {
        let address = network.relay().address();
        let mut table = Table::of(&network);
        let mut standing = 0;
        for _ in 0..turns.div_ceil(CROWDS) {
            table.without(&network, TURN * CROWDS).await;
            let gathering = elsewhere.spawn(async move { Crowd::gather(CROWD, address, sent_away) });
            let crowd = gathering.await.expect("a crowd");
            table.begins(&network, CROWD_PASSES).await;
            table.with(&network, TURN * CROWDS).await;
            standing = crowd.standing();
            drop(crowd);
            measure(&network, CROWD_PASSES).await;
        }
        table.rows(&format!("{CROWD} silent connections; those sent away {what}, {standing} stand"));
    }

    // What floods leave behind is the queue, so that its table begins before them.
    let mut queue_table = Table::of(&network);
    let mut flood = elsewhere.spawn(async move { Flood::begin(&xa, &xd).await }).await.expect("a link");
    let (table, back) = Flooding::compare(elsewhere, &network, flood, turns, Manner::Pulses).await;
    flood = back;
    let pulsed = flood.tally.accepted;
    table.rows(&format!("flood that rests and sends its whole window at once: {pulsed} accepted"));

    let (table, back) = Flooding::compare(elsewhere, &network, flood, turns, Manner::Steady).await;
    flood = back;
    let full = if flood.tally.refused.is_empty() { "" } else { ", and then against a full mailbox" };
    table.rows(&format!("flood within its quota{full}: {} accepted", flood.tally.accepted - pulsed));

    let rest = queue.saturating_sub(flood.tally.accepted);
    let filling = elsewhere.spawn(async move {
        flood.send(rest).await;
        flood
    });
    flood = filling.await.expect("the flood was not cut off");
    for _ in 0..turns {
        queue_table.without(&quiet, TURN).await;
        queue_table.with(&network, TURN).await;
    }
    queue_table.rows(&format!("{} envelopes wait for one", flood.tally.accepted));

    let (table, flood) = Flooding::compare(elsewhere, &network, flood, turns, Manner::Steady).await;
    table.rows(&format!("flood against a full mailbox: {} refused", flood.tally.refused.values().sum::<u64>()));

    let xd = Material::of(&network, "XD");
    let mut table = Table::of(&network);
    for _ in 0..turns {
        table.without(&network, TURN).await;
        let slow = xd.clone();
        let trickle = elsewhere.spawn(async move { Trickle::begin(&slow).await }).await.expect("a link");
        table.begins(&network, BEHIND_A_WINDOW).await;
        table.with(&network, TURN).await;
        drop(trickle);
    }
    table.rows("their recipient reads at 500 B/s");
}

/// A network with these quotas, on which XC writes to XB. XA and XD are greedy.
async fn network(quotas: &str) -> Network {
    let network = Plan::of(&["XB", "XC"]).and_puppets(&["XA", "XD"]).start().await;
    let _ = network.relay().stop();
    let config = network.relay().config();
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, format!("{text}\n[quotas]\n{quotas}")).expect("written");
    network.relay().start();
    network.node("XB").until_connected(true).await;
    network.node("XC").until_connected(true).await;
    network
}

/// How a flood sends.
#[derive(Clone, Copy)]
enum Manner {
    /// Each envelope as soon as there is credit for it.
    Steady,
    /// All that there can be credit for at once.
    Pulses,
}

/// A flood during its turn.
struct Flooding {
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Flood>,
}

impl Flooding {
    async fn compare(
        elsewhere: &Runtime,
        network: &Network,
        mut flood: Flood,
        turns: usize,
        manner: Manner,
    ) -> (Table, Flood) {
        let mut table = Table::of(network);
        let longer = match manner {
            Manner::Steady => 1,
            Manner::Pulses => PULSES,
        };
        for _ in 0..turns.div_ceil(longer) {
            table.without(network, TURN * longer).await;
            let flooding = Self::begin(elsewhere, flood, manner);
            table.begins(network, BEHIND_A_WINDOW).await;
            table.with(network, TURN * longer).await;
            flood = flooding.end().await;
        }
        (table, flood)
    }

    fn begin(elsewhere: &Runtime, mut flood: Flood, manner: Manner) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let task = elsewhere.spawn(async move {
            let more = || !told.load(Ordering::Relaxed);
            match manner {
                Manner::Steady => flood.send_while(more).await,
                Manner::Pulses => flood.pulse_while(more).await,
            }
            flood
        });
        Self { is_over, task }
    }

    async fn end(self) -> Flood {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await.expect("the flood was not cut off")
    }
}

/// Times from sending to R2, turn by turn, and what the hub has resident after the last in KiB.
#[derive(Default)]
struct Column {
    turns: Vec<Vec<Duration>>,
    resident_kib: u64,
}

impl Column {
    async fn turn(&mut self, network: &Network, samples: usize) {
        self.turns.push(measure(network, samples).await);
        self.resident_kib = network.relay().resident_kib();
    }

    /// The quantile of these turns together, in milliseconds.
    fn quantile(&self, percent: usize, turns: &[usize]) -> f64 {
        let mut times: Vec<Duration> = turns.iter().flat_map(|turn| &self.turns[*turn]).copied().collect();
        times.sort();
        times[times.len() * percent / 100].as_secs_f64() * 1_000.0
    }
}

/// What is compared.
struct Table {
    // What the hub had resident before this greed, in KiB.
    before_kib: u64,
    without: Column,
    // How a greed begins: here with each turn, elsewhere as often as it likes.
    begins: Column,
    with: Column,
}

impl Table {
    fn of(network: &Network) -> Self {
        let column = Column::default;
        Self { before_kib: network.relay().resident_kib(), without: column(), begins: column(), with: column() }
    }

    async fn without(&mut self, network: &Network, samples: usize) {
        self.without.turn(network, samples).await;
    }

    async fn begins(&mut self, network: &Network, samples: usize) {
        self.begins.turn(network, samples).await;
    }

    async fn with(&mut self, network: &Network, samples: usize) {
        self.with.turn(network, samples).await;
    }

    fn rows(&self, greed: &str) {
        self.row(greed, &self.with);
        if !self.begins.turns.is_empty() {
            self.row(&format!("{greed}: while it begins"), &self.begins);
        }
    }

    fn row(&self, greed: &str, with: &Column) {
        let without = &self.without;
        let all: Vec<usize> = (0..without.turns.len()).collect();
        let (low, high) = chance(without, with);
        println!(
            "| {greed} | {:.1} ms | {:.1} ms | {:.1} ms | {:.1} ms | {:+.0} % | {low:+.0} to {high:+.0} % | {} to {} MiB |",
            without.quantile(50, &all),
            with.quantile(50, &all),
            without.quantile(99, &all),
            with.quantile(99, &all),
            change(without, with, &all),
            self.before_kib >> 10,
            with.resident_kib >> 10,
        );
    }
}

/// By how many percent p99 differs, over these turns.
fn change(without: &Column, with: &Column, turns: &[usize]) -> f64 {
    (with.quantile(99, turns) / without.quantile(99, turns) - 1.0) * 100.0
}

/// Between what nine of ten changes lie when turns are drawn at random from those that there are, with repetition: how
/// much of a change is chance.
fn chance(without: &Column, with: &Column) -> (f64, f64) {
    let count = without.turns.len();
    let draw = |_| usize::from_le_bytes(random()) % count;
    let mut changes: Vec<f64> =
        (0..DRAWS).map(|_| change(without, with, &(0..count).map(draw).collect::<Vec<_>>())).collect();
    changes.sort_by(f64::total_cmp);
    (changes[DRAWS / 20], changes[DRAWS - 1 - DRAWS / 20])
}

async fn measure(network: &Network, samples: usize) -> Vec<Duration> {
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
        tokio::time::sleep_until((begun + APART).into()).await;
    }
    times
}
