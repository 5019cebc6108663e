//! Which crate may depend on which, and who is the one door to a library.

use std::collections::BTreeSet;

use super::tree::{Source, files, report};

/// The crates of this project that each may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("ncp-protocol", &[]),
    ("ncp-store", &["ncp-protocol"]),
    ("ncp-transport", &["ncp-protocol"]),
    ("ncp-policy", &["ncp-protocol"]),
    ("ncp-api", &["ncp-protocol"]),
    ("ncp-service", &["ncp-protocol", "ncp-api"]),
    ("ncp-relay", &["ncp-protocol", "ncp-store", "ncp-transport", "ncp-api", "ncp-service"]),
    ("ncp-node", &["ncp-protocol", "ncp-store", "ncp-transport", "ncp-policy", "ncp-api", "ncp-service"]),
    ("ncpctl", &["ncp-protocol", "ncp-api", "ncp-store"]),
    ("ncp-bench", &["ncp-protocol", "ncp-api", "ncp-transport"]),
    // Never a product's dependency: it drives both cores over a disk in memory.
    ("ncp-sim", &["ncp-protocol", "ncp-store", "ncp-policy", "ncp-relay", "ncp-node"]),
    ("e2e", &["ncp-protocol", "ncp-api", "ncp-transport"]),
];

/// Libraries with one door: tests and tools may look behind it, product code may not.
const DOORS: &[(&str, &str)] = &[
    ("rustls", "ncp-transport"),
    ("tokio-rustls", "ncp-transport"),
    ("redb", "ncp-store"),
    ("sled", "ncp-store"),
    ("ed25519-dalek", "ncp-protocol"),
    ("hpke", "ncp-protocol"),
    ("bincode", "ncp-protocol"),
];

/// What the protocol crate must not have: it is a function of its arguments.
const NOT_IN_PROTOCOL: &[&str] = &["tokio", "getrandom", "rand", "tracing", "rustix"];

/// Libraries whose name in code is not that of their package.
const OTHER_NAMES: &[(&str, &str)] = &[("rustls-webpki", "webpki")];

struct Crate {
    name: String,
    folder: String,
    dependencies: BTreeSet<String>,
}

fn crates() -> Vec<Crate> {
    let manifests =
        files("Cargo.toml").into_iter().filter(|file| file.path != "Cargo.toml" && !file.path.starts_with("fuzz"));
    manifests
        .map(|file| {
            let mut section = "";
            let (mut name, mut dependencies) = (String::new(), BTreeSet::new());
            for line in file.text.lines() {
                if line.starts_with('[') {
                    section = line;
                }
                let key = line.split(['.', ' ', '=']).next().unwrap_or_default();
                match section {
                    "[package]" if key == "name" => {
                        name = line.split('"').nth(1).expect("the name is quoted").to_owned();
                    }
                    "[dependencies]" | "[build-dependencies]" if !key.is_empty() && !key.starts_with('[') => {
                        dependencies.insert(key.to_owned());
                    }
                    _ => {}
                }
            }
            let folder = file.path.trim_end_matches("Cargo.toml").to_owned();
            Crate { name, folder, dependencies }
        })
        .collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let mut findings = Vec::new();
    for one in crates() {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == one.name) else {
            findings.push(format!("{} has no row in the table of arrows", one.name));
            continue;
        };
        for dependency in &one.dependencies {
            let ours = ARROWS.iter().any(|(name, _)| name == dependency);
            if ours && !allowed.contains(&dependency.as_str()) {
                findings.push(format!("{} must not depend on {dependency}", one.name));
            }
        }
    }
    report("dependency arrows", findings);
}

#[test]
fn every_dependency_is_used() {
    let sources = files(".rs");
    let mut findings = Vec::new();
    for one in crates() {
        for dependency in &one.dependencies {
            let other = OTHER_NAMES.iter().find(|(package, _)| package == dependency);
            let word = other.map_or_else(|| dependency.replace('-', "_"), |(_, name)| (*name).to_owned());
            let named = |source: &&Source| source.path.starts_with(&one.folder) && source.text.contains(&word);
            if !sources.iter().any(|source| named(&source)) {
                findings.push(format!("{} never names {dependency}", one.name));
            }
        }
    }
    report("each line of a manifest is something to audit", findings);
}

#[test]
fn each_guarded_library_has_one_door() {
    let mut findings = Vec::new();
    for one in crates() {
        for (library, door) in DOORS {
            if one.dependencies.contains(*library) && one.name != *door {
                findings.push(format!("{} names {library}; its door is {door}", one.name));
            }
        }
        for library in NOT_IN_PROTOCOL {
            if one.name == "ncp-protocol" && one.dependencies.contains(*library) {
                findings.push(format!("ncp-protocol must stay pure of {library}"));
            }
        }
    }
    report("one door each", findings);
}
