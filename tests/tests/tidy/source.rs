//! What product code must not name, and where.

use ncp_api::ErrorCode;

use super::tree::{Source, files, report};

/// Names that a pure core must not know.
const IMPURE: &[&str] =
    &["tokio", "std::fs", "std::net", "std::thread", "SystemTime", "Instant", "getrandom", "rand::", "std::env"];

/// Names that lead to opening an envelope; the hub has no path to them.
const OPENING: &[&str] = &["body::open", "envelope::open", "open_wrap", "SealingKey", "ContentKey", "OpenedMessage"];

/// Calls that make something durable or rename it.
const DURABLE: &[&str] =
    &["sync_all(", "sync_data(", "fdatasync", "fs::rename", "renameat", "fsync(", ".persist(", "tokio::fs::rename"];

pub(crate) fn rust() -> Vec<Source> {
    files(".rs").into_iter().filter(|file| !file.path.starts_with("tests/tests/tidy")).collect()
}

fn named<'a>(sources: impl Iterator<Item = &'a Source>, words: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for source in sources {
        for (number, line) in source.code_lines() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    findings
}

#[test]
fn cores_and_protocol_are_pure() {
    let sources = rust();
    let pure = |source: &&Source| {
        source.path.contains("/src/core/")
            || source.path.ends_with("/src/core.rs")
            || source.path.contains("ncp-protocol/src")
    };
    assert!(sources.iter().filter(pure).count() > 20, "the cores were found");
    report("no clock, file, socket, thread or chance in a core", named(sources.iter().filter(pure), IMPURE));
}

/// The auditor would believe the daemons' code if it shared any of it.
#[test]
fn the_auditor_knows_nothing_but_the_published_formats() {
    let sources = rust();
    let auditor = |source: &&Source| source.path.starts_with("tests/src/checker");
    assert!(sources.iter().filter(auditor).count() > 8, "the auditor was found");
    let mut findings = Vec::new();
    for source in sources.iter().filter(auditor) {
        for (number, line) in source.lines() {
            let code = line.split("//").next().unwrap_or_default();
            let others = code.split("ncp_").skip(1).any(|rest| !rest.starts_with("protocol::"));
            if others || code.contains("crate::") {
                findings.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("nothing of the daemons, nor of the harness, in the auditor", findings);
}

#[test]
fn relay_never_names_opening() {
    let sources = rust();
    let relay = sources.iter().filter(|source| source.path.starts_with("crates/ncp-relay/src"));
    report("the hub stores and forwards what it cannot read", named(relay, OPENING));
}

#[test]
fn only_the_store_syncs_or_renames() {
    let sources = rust();
    // The benchmark measures what a sync costs, on a file that nothing rests on; the disk of the simulation passes on to a
    // model in memory.
    let may = ["crates/ncp-store/", "crates/ncp-bench/", "crates/ncp-sim/src/disk.rs"];
    let others = sources
        .iter()
        .filter(|source| source.path.starts_with("crates/") && !may.iter().any(|may| source.path.starts_with(may)));
    report("durability has one place", named(others, DURABLE));
}

/// The fields of each line of the log that a source writes, as they are named there.
fn logged(text: &str) -> impl Iterator<Item = &str> {
    let statements = text.split("tracing::").skip(1).filter_map(|rest| rest.split_once("!(")?.1.split(';').next());
    // What stands between quotation marks is text.
    let fields = statements.flat_map(|statement| statement.split('"').step_by(2)).flat_map(|part| part.split(','));
    fields.map(|field| field.split('=').next().unwrap_or(field).trim().trim_start_matches(['%', '?']))
}

#[test]
fn no_field_of_the_log_takes_the_name_of_its_text() {
    assert!(
        logged("tracing::warn!(%peer, msg = %message, left, \"not taken, message\");")
            .eq(["peer", "msg", "left", "", ")"])
    );
    let sources = rust();
    let twice = |source: &&Source| logged(&source.text).any(|field| field == "message");
    let findings = sources.iter().filter(twice).map(|source| source.path.clone()).collect();
    report("tracing, JSON and the journal call the text `message`: an id is `msg`", findings);
}

#[test]
fn every_module_opens_with_its_contract() {
    let unit_tests = |path: &str| path.contains("/src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"));
    let missing = rust()
        .iter()
        .filter(|source| !source.text.starts_with("//!") && !unit_tests(&source.path))
        .map(|source| source.path.clone())
        .collect();
    report("modules without `//!`", missing);
}

#[test]
fn unwrap_in_product_code_says_why_it_is_safe() {
    let mut findings = Vec::new();
    for source in rust().iter().filter(|source| source.path.starts_with("crates/")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code_lines() {
            if line.contains(".unwrap()") || line.contains(".expect(") {
                let before = &lines[number.saturating_sub(6)..number];
                if !before.iter().any(|line| line.contains("Unwrap safety:")) {
                    findings.push(format!("{}:{number}", source.path));
                }
            }
        }
    }
    report("unwrap without \"Unwrap safety:\"", findings);
}

#[test]
fn every_error_code_is_raised_somewhere() {
    let sources = rust();
    let code: Vec<&str> = sources
        .iter()
        .filter(|source| source.path.starts_with("crates/") && !source.path.ends_with("/registry/table.rs"))
        .flat_map(|source| source.code_lines().into_iter().map(|(_, line)| line))
        .collect();
    let raised = |name: &str| {
        let word = format!("ErrorCode::{name}");
        let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric());
        code.iter().any(|line| line.split(&word).skip(1).any(ends))
    };
    let names = ErrorCode::ALL.iter().map(|code| format!("{code:?}"));
    report("explained errors that never happen", names.filter(|name| !raised(name)).collect());
}

#[test]
fn no_whole_crate_allows() {
    let mut findings = Vec::new();
    for source in rust() {
        for (number, line) in source.lines() {
            let line = line.trim_start();
            if line.starts_with("#![allow") || line.starts_with("#[allow") {
                findings.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    report("lints are expected where they fire, with a reason, never allowed", findings);
}
