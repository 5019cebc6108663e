//! Runs seeds of the simulation and says what they came to.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Parser;
use ncp_sim::defect::Defect;
use ncp_sim::world::{Plan, Report, Telling, Violation, World};

/// Simulates networks, one for each seed: a hub and two to four nodes with faults of disks, machines and paths.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Simulated minutes before all faults heal.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Seeds at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Tell each step on standard error.
    #[arg(long)]
    steps: bool,
    /// Break something on purpose: receipt-before-sync, duplicate-forgotten or wrong-cut.
    #[arg(long, value_name = "WHAT")]
    break_on_purpose: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let defect = match arguments.break_on_purpose.as_deref() {
        None => Defect::None,
        Some("receipt-before-sync") => Defect::ReceiptBeforeSync,
        Some("duplicate-forgotten") => Defect::DuplicateForgotten,
        Some("wrong-cut") => Defect::WrongCut,
        Some(other) => {
            let _ = writeln!(io::stderr(), "no such break: {other}");
            return ExitCode::from(64);
        }
    };
    let failed = run(&arguments, defect);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(arguments: &Arguments, defect: Defect) -> u64 {
    let (next, failed) = (AtomicU64::new(arguments.seed), AtomicU64::new(0));
    let end = arguments.seed.saturating_add(arguments.count);
    let said = Mutex::new(());
    let telling = if arguments.steps { Telling::Steps } else { Telling::Silent };
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let plan = Plan { seed, length_ms: arguments.minutes * 60_000, defect, telling };
                    let outcome = World::new(plan).run();
                    failed.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
                    let _turn = said.lock().unwrap_or_else(PoisonError::into_inner);
                    say(arguments, seed, &outcome);
                }
            });
        }
    });
    failed.into_inner()
}

/// One line for a seed; for one that failed also the line that repeats it. A reader that went away has seen enough.
fn say(arguments: &Arguments, seed: u64, outcome: &Result<Report, Violation>) {
    let mut out = io::stdout().lock();
    let _ = match outcome {
        Ok(Report { trace, counts: c }) => writeln!(
            out,
            "seed {seed} ok trace {} steps {} messages {} envelopes {} consigned {} crashes {} disk {} starts {} cuts {} \
             parted {} pauses {} astray {} audits {} shown {} drained {} ms",
            trace.short(),
            c.steps,
            c.messages,
            c.envelopes,
            c.consigned,
            c.crashes,
            c.disk_failures,
            c.failed_starts,
            c.cuts,
            c.partitions,
            c.pauses,
            c.astray,
            c.audits,
            c.shown,
            c.drained_ms,
        ),
        Err(Violation { at_ms, place, what }) => {
            let minutes = arguments.minutes;
            let again =
                arguments.break_on_purpose.as_ref().map_or(String::new(), |what| format!(" --break-on-purpose {what}"));
            writeln!(
                out,
                "seed {seed} VIOLATION at {at_ms} ms, place {place}: {what}\n  ncp-sim --seed {seed} --minutes {minutes}{again} --steps"
            )
        }
    };
}
