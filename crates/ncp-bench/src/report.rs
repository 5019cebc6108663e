//! Results as a table for people and as one JSON object for programs.

use core::fmt::Write as _;
use core::time::Duration;

use serde_json::{Map, Value, json};

use crate::disk::Syncs;
use crate::messages::{Load, Outcome};
use crate::process::Usage;
use crate::relay;
use crate::statistics::{Spread, millis, per_second};

/// What was measured: rows with a name, a value and a unit, in sections.
#[derive(Debug, Default)]
pub(crate) struct Report {
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
}

impl Report {
    /// Begins a section.
    pub(crate) fn section(&mut self, title: impl Into<String>) {
        self.sections.push(Section { title: title.into(), rows: Vec::new() });
    }

    /// Adds a row to the newest section.
    pub(crate) fn row(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        if let Some(section) = self.sections.last_mut() {
            section.rows.push(Row { name: name.into(), value, unit });
        }
    }

    /// Median and tail of latencies.
    pub(crate) fn spread(&mut self, name: &str, spread: &Spread) {
        for (label, per_mille) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
            self.row(format!("{name} {label}"), millis(spread.percentile(per_mille)), "ms");
        }
    }

    /// CPU time and memory of a process.
    pub(crate) fn usage(&mut self, name: &str, usage: &Usage) {
        self.row(format!("{name}: CPU"), usage.cpu.as_secs_f64(), "s");
        self.row(format!("{name}: resident peak"), mebibytes(usage.peak), "MiB");
    }

    /// The raw rate of the disk.
    pub(crate) fn disk(&mut self, syncs: &Syncs) {
        self.section("fdatasync of one 4 KiB block on this disk");
        self.row("rate", per_second(syncs.count, syncs.time), "/s");
        self.spread("time", &syncs.times);
    }

    /// Part one.
    pub(crate) fn messages(&mut self, load: &Load, outcome: &Outcome) {
        let Load { size, count, window, recipients, .. } = *load;
        self.section(format!("{count} messages of {size} bytes to {recipients}, {window} envelopes in flight"));
        let envelopes = (count * recipients) as u64;
        self.row("end to end", per_second(envelopes, outcome.time), "envelopes/s");
        self.row("time", outcome.time.as_secs_f64(), "s");
        self.row("receipts verified", outcome.verified as f64, "");
        self.spread("to the API's answer", &outcome.taken);
        self.spread("to R1", &outcome.accepted);
        self.spread("to R2", &outcome.delivered);
        let mut cpu = Duration::ZERO;
        for (name, usage) in &outcome.processes {
            self.usage(name, usage);
            cpu += usage.cpu;
        }
        self.row("CPU of one envelope, all processes", millis(cpu) / envelopes.max(1) as f64, "ms");
    }

    /// Part two.
    pub(crate) fn relay(&mut self, load: &relay::Load, outcome: &relay::Outcome) {
        let relay::Load { size, waiting, window } = *load;
        let count = waiting as u64;
        self.section(format!("the relay alone: {waiting} envelopes of {size} bytes, {window} in flight"));
        for (name, stretch) in [
            ("accepted", &outcome.accepted),
            ("delivered", &outcome.delivered),
            ("accepted and delivered at once", &outcome.through),
        ] {
            self.row(name, per_second(count, stretch.time), "envelopes/s");
            self.row(
                format!("{name}, for each core of the relay"),
                per_second(count, stretch.relay.cpu),
                "envelopes/s",
            );
            self.row(format!("{name}: CPU of the relay"), stretch.relay.cpu.as_secs_f64(), "s");
            self.row(format!("{name}: CPU of the peers"), stretch.peers.as_secs_f64(), "s");
            self.row(format!("{name}: resident peak"), mebibytes(stretch.relay.peak), "MiB");
        }
        self.section(format!("the relay with {waiting} envelopes waiting"));
        self.row("resident, idle and empty", mebibytes(outcome.idle), "MiB");
        self.row("resident, all waiting", mebibytes(outcome.waiting), "MiB");
        for (name, time, resident) in &outcome.starts {
            self.row(format!("start {name}"), time.as_secs_f64(), "s");
            self.row(format!("start {name}: resident"), mebibytes(*resident), "MiB");
        }
    }

    /// For people.
    pub(crate) fn to_table(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let width = section.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
            let _ = writeln!(text, "{}", section.title);
            for Row { name, value, unit } in &section.rows {
                let line = format!("  {name:width$}  {:>12} {unit}", shown(*value));
                let _ = writeln!(text, "{}", line.trim_end());
            }
            text.push('\n');
        }
        text
    }

    /// For programs: an object of sections, each an object of numbers; the unit stands in the key.
    pub(crate) fn to_json(&self) -> Value {
        let sections = self.sections.iter().map(|section| {
            let rows = section.rows.iter().map(|Row { name, value, unit }| {
                let key = if unit.is_empty() { name.clone() } else { format!("{name} [{unit}]") };
                (key, json!(value))
            });
            json!({ "what": section.title, "figures": rows.collect::<Map<_, _>>() })
        });
        Value::Array(sections.collect())
    }
}

/// KiB as MiB.
pub(crate) fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1_024.0
}

/// Three digits that say something, and no more.
fn shown(value: f64) -> String {
    if value >= 100.0 || value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.section("what");
        report.row("rate", 1_234.56, "/s");
        report.row("longer name", 1.234, "ms");
        report.row("count", 7.0, "");
        report
    }

    #[test]
    fn table_has_aligned_rows() {
        let expected =
            "what\n  rate                 1235 /s\n  longer name          1.23 ms\n  count                   7\n\n";
        assert_eq!(report().to_table(), expected);
    }

    #[test]
    fn json_says_the_unit_and_all_digits() {
        let expected = json!([
            { "what": "what", "figures": { "rate [/s]": 1_234.56, "longer name [ms]": 1.234, "count": 7.0 } }
        ]);
        assert_eq!(report().to_json(), expected);
    }
}
