//! How fast a queue drains when what kept it ends: the time from the start of the daemon that was away to the last verified R2.
//!
//! `cargo run --release -p e2e --example drain [-- MESSAGES]`; a table on standard output. MESSAGES notices are queued by one
//! State and by several, once while the hub is away, so that they wait at their originators, and once while their recipient
//! is, so that they wait at the hub.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement that cannot go on ends, and prints")]

use std::time::{Duration, Instant};

use e2e::messages::fresh_key;
use e2e::{Network, Node, Plan};
use ncp_api::feed::FeedType;
use ncp_protocol::codes::Kind;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Messages unless the command line names another number.
const MESSAGES: usize = 10_000;
/// Requests that a node is asked at once.
const AT_ONCE: usize = 16;
/// Who writes to `XA`.
const ORIGINATORS: [&str; 5] = ["XB", "XC", "XD", "XE", "XF"];

fn main() {
    Runtime::new().expect("threads").block_on(drain());
}

async fn drain() {
    let messages = std::env::args().nth(1).map_or(MESSAGES, |text| text.parse().expect("a number of messages"));
    println!("| away | originators | messages | queued in | drained in | a second |");
    println!("|---|---|---|---|---|---|");
    for count in [1, ORIGINATORS.len()] {
        for away in [Away::Hub, Away::Recipient] {
            let (queued, drained) = Queue::new(&ORIGINATORS[..count], messages).await.measure(away).await;
            println!(
                "| {} | {count} | {messages} | {:.1} s | {:.1} s | {:.0} |",
                away.name(),
                queued.as_secs_f64(),
                drained.as_secs_f64(),
                messages as f64 / drained.as_secs_f64(),
            );
        }
    }
}

/// Which daemon is away while a queue grows.
#[derive(Clone, Copy)]
enum Away {
    Hub,
    Recipient,
}

impl Away {
    fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Recipient => "recipient",
        }
    }

    fn stop(self, network: &Network) {
        let _ = match self {
            Self::Hub => network.relay().stop(),
            Self::Recipient => network.node("XA").stop(),
        };
    }

    fn start(self, network: &Network) {
        match self {
            Self::Hub => network.relay().start(),
            Self::Recipient => network.node("XA").start(),
        }
    }
}

/// A network and what is to be queued on it.
struct Queue {
    network: Network,
    originators: Vec<&'static str>,
    each: usize,
}

impl Queue {
    async fn new(originators: &[&'static str], messages: usize) -> Self {
        let network = Plan::of(&[&["XA"], originators].concat()).start().await;
        Self { network, originators: originators.to_vec(), each: messages / originators.len() }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.originators.iter().map(|name| self.network.node(name))
    }

    async fn measure(self, away: Away) -> (Duration, Duration) {
        let mut cursors = Vec::new();
        for node in self.nodes() {
            cursors.push(node.client(1).newest_cursor().await.expect("the node's health"));
        }
        away.stop(&self.network);
        let begun = Instant::now();
        let mut sending = JoinSet::new();
        for node in self.nodes() {
            (0..AT_ONCE).for_each(|part| {
                let client = node.client(1);
                let share = self.each / AT_ONCE + usize::from(part < self.each % AT_ONCE);
                sending.spawn(async move {
                    let notice =
                        e2e::messages::message(Kind::Notice, &["XA"], "queued", "two kilobytes with its envelope");
                    for _ in 0..share {
                        client.create(&notice, &fresh_key()).await.expect("the notice is taken");
                    }
                });
            });
        }
        sending.join_all().await;
        if matches!(away, Away::Recipient) {
            self.until_all(FeedType::MessageAccepted, &cursors).await;
        }
        let queued = begun.elapsed();
        let begun = Instant::now();
        away.start(&self.network);
        self.until_all(FeedType::MessageDelivered, &cursors).await;
        (queued, begun.elapsed())
    }

    /// Waits until each originator was told this of all that it sent behind its cursor.
    async fn until_all(&self, kind: FeedType, cursors: &[String]) {
        let mut waiting = JoinSet::new();
        for (node, cursor) in self.nodes().zip(cursors) {
            let (client, mut cursor, mut left) = (node.client(1), cursor.clone(), self.each);
            waiting.spawn(async move {
                while left > 0 {
                    let events = client.events(Some(&cursor), 20).await.expect("the feed of events");
                    left -= events.iter().filter(|event| event.kind == kind).count();
                    cursor = events.last().map_or(cursor, |event| event.id.clone());
                }
            });
        }
        waiting.join_all().await;
    }
}
