//! `/metrics`: how the hub stands, in the text form of OpenMetrics 1.0.
//!
//! Everything follows from index and journal at the moment of the question; nothing is counted where envelopes pass.
//! Counters begin at 0 with the process and grow by the journal's events since the question before. Labels are closed sets:
//! no message is ever one. The State that mail waits for is, unless `metrics-peers = false`.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ncp_api::health::Check;
use ncp_protocol::event::{Change, Claim, Event, EvidenceKind, Outcome};
use ncp_protocol::ids::{LogName, ParticipantId, UnixMillis};
use ncp_service::gauges::{Labels, clock_offset, gauge, gauges, owned, set, signed};
use ncp_store::reader::ReadError;
use ncp_store::state::Unreadable;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::core::query;
use crate::hub::Hub;
use crate::intake::free_space;

/// Media type of the answer.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Journal events that are read at a time.
const EVENTS_AT_ONCE: usize = 1_024;
/// What every message is to the hub, which sees no kind.
const KIND: &str = "sealed";

/// What is counted from question to question.
#[derive(Debug)]
pub struct Metrics {
    /// How long the disk took for the sync of each round, in seconds.
    pub syncs: Histogram,
    messages: Family<Labels, Counter>,
    /// How far the journal was read.
    counted: Mutex<u64>,
    begun: Instant,
}

impl Metrics {
    /// Begins to count behind the journal's first `events` events.
    #[must_use]
    pub fn new(events: u64) -> Self {
        Self {
            // 0.5 ms to 16 s.
            syncs: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            messages: Family::default(),
            counted: Mutex::new(events),
            begun: Instant::now(),
        }
    }
}

/// All metrics as text, with what the checks found. Blocks on the disk.
///
/// # Errors
/// [`ReadError`]: the store cannot be read.
pub fn text(hub: &Hub, checks: &[Check]) -> Result<String, ReadError> {
    count(hub)?;
    let mut registry = Registry::with_prefix("ncp");
    registry.register("messages", "Envelopes taken and delivered since the start", hub.metrics.messages.clone());
    let help = "Seconds that the disk took for the sync of each round of the watchdog";
    registry.register("store_sync_duration_seconds", help, hub.metrics.syncs.clone());
    mailboxes(hub, &mut registry)?;
    state(hub, &mut registry)?;
    let health = gauges(&mut registry, "health", "1 for each check, with what it found: ok, warn, fail or unset");
    for check in checks {
        set(&health, &[("code", &check.id), ("severity", check.result.as_str())], 1);
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    Ok(text)
}

/// Counts what the journal has gained.
fn count(hub: &Hub) -> Result<(), ReadError> {
    let mut counted = hub.metrics.counted.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let stored = hub.store.reader().events(*counted, EVENTS_AT_ONCE)?;
        for one in &stored {
            let event = Event::decode(&one.bytes);
            let event = event.map_err(|error| Unreadable::Damaged(format!("event {}: {error}", one.sequence)))?;
            if let Some((direction, outcome)) = counted_as(&event.change) {
                let labels = [("direction", direction), ("kind", KIND), ("outcome", outcome)];
                hub.metrics.messages.get_or_create(&owned(&labels)).inc();
            }
        }
        match stored.last() {
            Some(last) => *counted = last.sequence.saturating_add(1),
            None => return Ok(()),
        }
    }
}

/// Direction and outcome of an event that says what became of an envelope.
fn counted_as(change: &Change) -> Option<(&'static str, &'static str)> {
    if let Change::EnvelopeAccepted(_) = change {
        return Some(("in", "accepted"));
    }
    if let Change::EnvelopeSuperseded(_) = change {
        return Some(("in", "superseded"));
    }
    if let Change::EvidenceReceived { claim, .. } = change {
        return match claim.kind {
            EvidenceKind::ContentConsignment => Some(("out", "delivered")),
            EvidenceKind::ContentConsignmentFailure => Some(("out", "rejected")),
            EvidenceKind::RelayAcceptance | EvidenceKind::ContentHandover | EvidenceKind::RelayFailure => None,
        };
    }
    if let Change::Evidence(Claim { kind: EvidenceKind::RelayFailure, outcome, .. }) = change {
        return Some(match outcome {
            Outcome::Expired | Outcome::ExpiredAfterOffer => ("out", "expired"),
            Outcome::Recalled | Outcome::RecalledAfterOffer => ("out", "recalled"),
            Outcome::Rejected(_) | Outcome::Done | Outcome::Confirmed | Outcome::Blind => ("in", "rejected"),
        });
    }
    None
}

/// What waits for whom, and since when.
fn mailboxes(hub: &Hub, registry: &mut Registry) -> Result<(), Unreadable> {
    let directory = hub.directory.load();
    let view = hub.store.reader().view();
    let messages = gauges(registry, "queue_messages", "Envelopes that wait, by queue and State");
    let mut oldest: Option<UnixMillis> = None;
    for participant in directory.chains.keys().filter(|participant| **participant != ParticipantId::HUB) {
        let mut labels = owned(&[("queue", "mailbox")]);
        if hub.config.metrics_peers {
            labels.push(("peer", participant.to_string()));
        }
        let waiting = query::peer_row(&view, *participant)?.mailbox.envelopes;
        messages.get_or_create(&labels).inc_by(signed(waiting));
        oldest = oldest.into_iter().chain(query::oldest_waiting(&view, *participant)?).min();
    }
    let age = gauges(registry, "queue_oldest_age_seconds", "Age of the oldest envelope that waits; 0 if none does");
    set(&age, &[("queue", "mailbox")], oldest.map_or(0, |since| hub.now().millis_since(since) / 1_000));
    Ok(())
}

/// Links, keys, journal, disk, clock, program.
fn state(hub: &Hub, registry: &mut Registry) -> Result<(), ReadError> {
    gauge(registry, "links", "Links of nodes that stand").set(i64::try_from(hub.links.standing()).unwrap_or(i64::MAX));
    let expiry = gauges(registry, "key_expiry_timestamp_seconds", "When a key, certificate or statement ends");
    let directory = hub.directory.load();
    let ends = [
        ("certificate", Some(hub.tls.load().own().expires)),
        ("root", Some(hub.trust.load().newest.root().expires)),
        ("membership", directory.members().map(|members| members.expires)),
        ("timestamp", directory.timestamp.as_ref().map(|signed| signed.unverified().expires)),
    ];
    for (key, ends) in ends.into_iter().filter_map(|(key, ends)| Some((key, ends?))) {
        set(&expiry, &[("key", key)], ends.0 / 1_000);
    }
    let size = |log| hub.store.reader().checkpoint(log).map_or(0, |newest| newest.checkpoint().size);
    let events = size(LogName::Traffic).saturating_add(size(LogName::Public));
    gauge(registry, "journal_entries", "Events in the journal").set(signed(events));
    let newest = hub.store.reader().events(events.saturating_sub(1), 1)?.pop();
    let decided = newest.and_then(|newest| Event::decode(&newest.bytes).ok()).map_or(0, |event| event.time.0 / 1_000);
    gauge(registry, "checkpoint_timestamp_seconds", "When the newest event was decided").set(signed(decided));
    let free = gauge(registry, "store_free_bytes", "Free space on the file system of the data folder");
    free.set(signed(free_space(hub).unwrap_or_default()));
    let offset = Gauge::<f64, std::sync::atomic::AtomicU64>::default();
    let help = "How far the wall clock has moved against the monotonic clock since the start";
    registry.register("clock_offset_seconds", help, offset.clone());
    let run = i128::try_from(hub.metrics.begun.elapsed().as_millis()).unwrap_or(i128::MAX);
    offset.set(clock_offset(hub.started, hub.now(), run));
    let build = gauges(registry, "build_info", "1, with the version of the program");
    set(&build, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    Ok(())
}
