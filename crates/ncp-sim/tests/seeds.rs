//! Seeds hold, repeat themselves, and find what is broken on purpose. The gate runs many more with the release binary.

use ncp_sim::defect::Defect;
use ncp_sim::world::{Plan, Report, Telling, Violation, World};

const MINUTE_MS: u64 = 60_000;

fn run(seed: u64, minutes: u64, defect: Defect) -> Result<Report, Violation> {
    World::new(Plan { seed, length_ms: minutes * MINUTE_MS, defect, telling: Telling::Silent }).run()
}

/// The first violation that a break leads to, with its seed.
fn first_violation(defect: Defect, seeds: u64) -> Option<(u64, String)> {
    (1..=seeds).find_map(|seed| run(seed, 60, defect).err().map(|violation| (seed, violation.what)))
}

#[test]
fn seeds_hold_and_suffer_what_they_should() {
    for seed in 1..=4 {
        let report = run(seed, 60, Defect::None).unwrap();
        let counts = report.counts;
        assert!(counts.crashes > 5 && counts.disk_failures > 0 && counts.cuts > 2, "{seed}: {counts:?}");
        assert!(counts.envelopes > 20 && counts.consigned > 10, "{seed}: {counts:?}");
    }
}

#[test]
fn the_same_seed_leaves_the_same_trace() {
    let first = run(7, 30, Defect::None).unwrap();
    assert_eq!(run(7, 30, Defect::None).unwrap(), first);
    assert_ne!(run(8, 30, Defect::None).unwrap().trace, first.trace);
}

#[test]
fn break_receipt_before_sync_is_found() {
    let (seed, what) = first_violation(Defect::ReceiptBeforeSync, 10).expect("a seed finds it");
    assert!(["I1", "I4", "I5", "does not start"].iter().any(|mark| what.contains(mark)), "{seed}: {what}");
}

#[test]
fn break_duplicate_forgotten_is_found() {
    let (seed, what) = first_violation(Defect::DuplicateForgotten, 10).expect("a seed finds it");
    assert!(what.contains("I3"), "{seed}: {what}");
}

#[test]
fn break_wrong_cut_is_found() {
    let (seed, what) = first_violation(Defect::WrongCut, 10).expect("a seed finds it");
    assert!(["I1", "I4", "I5", "does not start"].iter().any(|mark| what.contains(mark)), "{seed}: {what}");
}
