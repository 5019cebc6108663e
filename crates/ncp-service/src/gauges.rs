//! Metrics in the form that both daemons give them: registered at each question, with labels as text.

use ncp_protocol::ids::UnixMillis;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of one series.
pub type Labels = Vec<(&'static str, String)>;
/// Gauges that differ in their labels.
pub type Gauges = Family<Labels, Gauge<i64>>;

/// Registers a gauge without labels.
pub fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge<i64> {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// Registers gauges that differ in their labels.
pub fn gauges(registry: &mut Registry, name: &str, help: &str) -> Gauges {
    let gauges = Gauges::default();
    registry.register(name, help, gauges.clone());
    gauges
}

/// Sets the gauge with these labels.
pub fn set(gauges: &Gauges, labels: &[(&'static str, &str)], value: u64) {
    gauges.get_or_create(&owned(labels)).set(signed(value));
}

/// Labels that outlive the call.
#[must_use]
pub fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// A count as a gauge holds it.
#[must_use]
pub fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// How far the wall clock has moved against the monotonic clock, in seconds: it showed `started` and now shows `now`, and
/// `run_ms` milliseconds have passed.
#[must_use]
pub fn clock_offset(started: UnixMillis, now: UnixMillis, run_ms: i128) -> f64 {
    (i128::from(now.0) - i128::from(started.0) - run_ms) as f64 / 1_000.0
}
