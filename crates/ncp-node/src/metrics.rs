//! `/metrics`: how the node stands, in the text form of OpenMetrics 1.0.
//!
//! Everything follows from index and journal at the moment of the question; nothing is counted where messages pass.
//! Counters begin at 0 with the process and grow by the journal's events since the question before. Labels are closed sets:
//! no message, subject or officer is ever one. The State that mail is for is, unless `metrics-peers = false`: it tells who
//! writes to whom. One question walks the tables of messages once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ncp_protocol::codes::Kind;
use ncp_protocol::event::{Actor, Change, Claim, Event, EvidenceKind, Outcome};
use ncp_protocol::ids::{LogName, MessageId, ParticipantId, UnixMillis};
use ncp_protocol::reject::RejectCode;
use ncp_service::gauges::{Labels, clock_offset, gauge, gauges, owned, set, signed};
use ncp_store::reader::ReadError;
use ncp_store::state::Unreadable;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::checks;
use crate::clock;
use crate::core::tables::{ENVELOPE, EnvelopeStage, IN, OUT, OutRow, OutState};
use crate::history::{self, Recorded};
use crate::node::Node;
use crate::space;
use crate::views;

/// Media type of the answer.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Journal events that are read at a time.
const EVENTS_AT_ONCE: usize = 1_024;
/// Ages of what waits for release: from when on it is worth a look, and an alert.
const RELEASE_AGES_MS: [(u64, &str); 2] = [(60 * 60 * 1_000, "under-1h"), (4 * 60 * 60 * 1_000, "1h-to-4h")];

/// What is counted from question to question.
#[derive(Debug)]
pub struct Metrics {
    /// How long the disk took for the sync of each round, in seconds.
    pub syncs: Histogram,
    messages: Family<Labels, Counter>,
    deliveries: Histogram,
    /// How far the journal was read.
    counted: Mutex<u64>,
    begun: Instant,
}

impl Metrics {
    /// Begins to count behind the journal's first `events` events.
    #[must_use]
    pub fn new(events: u64) -> Self {
        Self {
            // 0.5 ms to 16 s, and half a second to twelve days.
            syncs: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            messages: Family::default(),
            deliveries: Histogram::new(exponential_buckets(0.5, 4.0, 11)),
            counted: Mutex::new(events),
            begun: Instant::now(),
        }
    }
}

/// All metrics as text. Blocks on the disk.
///
/// # Errors
/// [`ReadError`]: the store cannot be read.
pub fn text(node: &Node) -> Result<String, ReadError> {
    count(node)?;
    let mut registry = Registry::with_prefix("ncp");
    let metrics = &node.metrics;
    registry.register("messages", "Envelopes sent and received since the start", metrics.messages.clone());
    let help = "Seconds from release to the recipient's receipt R2";
    registry.register("delivery_duration_seconds", help, metrics.deliveries.clone());
    let help = "Seconds that the disk took for the sync of each round of the watchdog";
    registry.register("store_sync_duration_seconds", help, metrics.syncs.clone());
    queues(node, &mut registry)?;
    state(node, &mut registry)?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    Ok(text)
}

/// Counts what the journal has gained.
fn count(node: &Node) -> Result<(), ReadError> {
    let mut counted = node.metrics.counted.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let recorded = history::from(node, *counted, EVENTS_AT_ONCE)?;
        for Recorded { event, .. } in &recorded {
            count_one(node, event)?;
        }
        match recorded.last() {
            Some(last) => *counted = last.sequence.saturating_add(1),
            None => return Ok(()),
        }
    }
}

fn count_one(node: &Node, Event { change, actor, .. }: &Event) -> Result<(), Unreadable> {
    let counted = |direction: &str, kind: Kind, outcome: &str| {
        let labels = [("direction", direction), ("kind", kind.as_str()), ("outcome", outcome)];
        node.metrics.messages.get_or_create(&owned(&labels)).inc();
    };
    if let Change::MessageReceived(received) = change {
        counted("in", received.kind, "received");
    }
    let ours = |message: &MessageId| OUT.row(&node.reader().view(), message);
    // What is given up by this node's clock has not ended: the hub says how it did.
    if let Change::EnvelopeFailed { envelope, code } = change
        && !(*code == RejectCode::Expired && *actor == Actor::Daemon && envelope.seal.0 > 0)
        && let Some(row) = ours(&envelope.message)?
    {
        counted("out", row.draft.kind, "failed");
    }
    if let Change::EvidenceReceived { claim, stated, .. } = change
        && claim.envelope.originator == node.participant()
        && let Some(row) = ours(&claim.envelope.message)?
    {
        counted("out", row.draft.kind, outcome(claim));
        if claim.kind == EvidenceKind::ContentConsignment
            && let Some(released) = row.released
        {
            node.metrics.deliveries.observe(Duration::from_millis(stated.millis_since(released)).as_secs_f64());
        }
    }
    Ok(())
}

fn outcome(claim: &Claim) -> &'static str {
    match (claim.kind, claim.outcome) {
        (EvidenceKind::RelayAcceptance, _) => "accepted",
        (EvidenceKind::ContentConsignment, _) => "delivered",
        (EvidenceKind::ContentHandover, _) => "handed-over",
        (
            EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure,
            Outcome::Expired | Outcome::ExpiredAfterOffer,
        ) => "expired",
        (
            EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure,
            Outcome::Recalled | Outcome::RecalledAfterOffer,
        ) => "recalled",
        (
            EvidenceKind::RelayFailure | EvidenceKind::ContentConsignmentFailure,
            Outcome::Rejected(_) | Outcome::Done | Outcome::Confirmed | Outcome::Blind,
        ) => "rejected",
    }
}

/// What waits, where, and for how long.
#[derive(Default)]
struct Queues {
    /// By queue and State.
    waiting: BTreeMap<(&'static str, ParticipantId), i64>,
    /// Since when the oldest of each queue waits.
    oldest: BTreeMap<&'static str, UnixMillis>,
    requests: BTreeMap<&'static str, i64>,
    releases: BTreeMap<&'static str, i64>,
}

impl Queues {
    fn add(&mut self, queue: &'static str, peer: ParticipantId, since: UnixMillis) {
        *self.waiting.entry((queue, peer)).or_default() += 1;
        let oldest = self.oldest.entry(queue).or_insert(since);
        *oldest = since.min(*oldest);
    }
}

/// Released and not yet with the hub; with the hub and not yet with the recipient; received and not yet taken.
const QUEUES: [&str; 3] = ["outbox", "hub", "inbox"];
/// Requests to this node, and of this node, without a final answer.
const REQUESTS: [&str; 4] = ["to-answer", "to-answer-overdue", "awaiting-answer", "awaiting-answer-overdue"];

fn queues(node: &Node, registry: &mut Registry) -> Result<(), Unreadable> {
    let now = clock::now();
    let found = walk(node, now)?;
    let peers = node.settings().metrics_peers;
    let messages = gauges(registry, "queue_messages", "Envelopes that wait, by queue and State");
    for ((queue, peer), count) in &found.waiting {
        let mut labels = owned(&[("queue", queue)]);
        if peers {
            labels.push(("peer", peer.to_string()));
        }
        messages.get_or_create(&labels).inc_by(*count);
    }
    let oldest = gauges(registry, "queue_oldest_age_seconds", "Age of the oldest envelope that waits; 0 if none does");
    for queue in QUEUES {
        let age = found.oldest.get(queue).map_or(0, |since| now.millis_since(*since) / 1_000);
        set(&oldest, &[("queue", queue)], age);
    }
    let requests = gauges(registry, "requests_open", "Requests without a final answer");
    for state in REQUESTS {
        let count = found.requests.get(state).copied().unwrap_or_default();
        requests.get_or_create(&owned(&[("state", state)])).set(count);
    }
    let releases = gauges(registry, "release_pending", "Messages that wait for release, by age");
    for age in RELEASE_AGES_MS.map(|(_, age)| age).into_iter().chain(["over-4h"]) {
        let count = found.releases.get(age).copied().unwrap_or_default();
        releases.get_or_create(&owned(&[("age", age)])).set(count);
    }
    Ok(())
}

/// One walk over messages out, their envelopes, and messages in.
fn walk(node: &Node, now: UnixMillis) -> Result<Queues, Unreadable> {
    let view = node.reader().view();
    let (mut found, mut released) = (Queues::default(), BTreeMap::new());
    OUT.scan(&view, &(), |message, OutRow { state, created, released: at, .. }| {
        if state == OutState::WaitingForRelease {
            let age = now.millis_since(created);
            let age = RELEASE_AGES_MS.iter().find(|(limit, _)| age < *limit).map_or("over-4h", |(_, age)| age);
            *found.releases.entry(age).or_default() += 1;
        }
        released.extend(at.map(|at| (message, at)));
        ControlFlow::Continue(())
    })?;
    ENVELOPE.scan(&view, &(), |(message, recipient), row| {
        let since = released.get(&message).copied().unwrap_or(now);
        match row.stage {
            EnvelopeStage::Released | EnvelopeStage::Sealed | EnvelopeStage::GivenUp => {
                found.add("outbox", recipient, since);
            }
            EnvelopeStage::Accepted => found.add("hub", recipient, since),
            EnvelopeStage::Delivered
            | EnvelopeStage::HandedOver
            | EnvelopeStage::Failed(_)
            | EnvelopeStage::Expired { .. }
            | EnvelopeStage::Recalled { .. } => {}
        }
        if let Some((_, due)) = row.answer_clock.filter(|_| row.answer.is_none()) {
            let state = if due < now { "awaiting-answer-overdue" } else { "awaiting-answer" };
            *found.requests.entry(state).or_default() += 1;
        }
        ControlFlow::Continue(())
    })?;
    IN.scan(&view, &(), |(originator, _), row| {
        if row.handover.is_none() && row.received.kind != Kind::Test {
            found.add("inbox", originator, row.time);
        }
        if let Some(due) = views::due_in(&row) {
            let state = if due < now { "to-answer-overdue" } else { "to-answer" };
            *found.requests.entry(state).or_default() += 1;
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// Link, keys, journal, disk, clock, checks, program.
fn state(node: &Node, registry: &mut Registry) -> Result<(), ReadError> {
    let connected = gauge(registry, "hub_connected", "1 while the link to the hub stands");
    connected.set(i64::from(node.link.borrow().connected));
    let expiry = gauges(registry, "key_expiry_timestamp_seconds", "When a key, certificate or statement ends");
    let keys = node.own_entry().keys;
    let ends = [
        ("certificate", Some(node.keys.tls.load().own().expires)),
        ("sealing", keys.sealing.iter().map(|key| key.seal_until).max()),
        ("signing", keys.signing.map(|key| key.until)),
        ("root", Some(node.root_until())),
        ("timestamp", node.statements.load().timestamp.as_ref().map(|timestamp| timestamp.expires)),
    ];
    for (key, ends) in ends.into_iter().filter_map(|(key, ends)| Some((key, ends?))) {
        set(&expiry, &[("key", key)], ends.0 / 1_000);
    }
    let newest = node.reader().checkpoint(LogName::Node).map_or(0, |newest| newest.checkpoint().size);
    gauge(registry, "journal_entries", "Events in the journal").set(signed(newest));
    let checkpoint = gauge(registry, "checkpoint_timestamp_seconds", "When the newest event was decided");
    let last = history::from(node, newest.saturating_sub(1), 1)?;
    checkpoint.set(last.last().map_or(0, |last| signed(last.event.time.0 / 1_000)));
    let free = gauge(registry, "store_free_bytes", "Free space on the file system of the data folder");
    free.set(signed(space::free_bytes(&node.config.data_dir).unwrap_or_default()));
    let offset = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    let help = "How far the wall clock has moved against the monotonic clock since the start";
    registry.register("clock_offset_seconds", help, offset.clone());
    let run = i128::try_from(node.metrics.begun.elapsed().as_millis()).unwrap_or(i128::MAX);
    offset.set(clock_offset(node.started, clock::now(), run));
    let health = gauges(registry, "health", "1 for each check, with what it found: ok, warn, fail or unset");
    for check in checks::quick(node) {
        set(&health, &[("code", &check.id), ("severity", check.result.as_str())], 1);
    }
    let build = gauges(registry, "build_info", "1, with the version of the program");
    set(&build, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    Ok(())
}
