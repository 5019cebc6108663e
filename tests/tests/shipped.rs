//! What the distribution ships: configurations, example certificates, the one version of TLS.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use e2e::binaries::top;
use e2e::ctl::Ctl;

fn listed(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join(folder)).expect("the folder is shipped");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

#[test]
fn shipped_configurations_pass_the_operators_own_check() {
    let files = listed("config", ".toml");
    let names: Vec<_> = files.iter().filter_map(|path| path.file_name()).collect();
    assert_eq!(names, ["node.toml", "relay.toml"]);
    for file in files {
        let ran = Ctl::new("config check").with(&file).ok();
        assert!(ran.stdout.contains("ok"), "{}", ran.stdout);
    }
}

#[test]
fn every_key_of_a_shipped_configuration_is_explained() {
    for file in listed("config", ".toml") {
        let text = fs::read_to_string(&file).expect("readable");
        let (mut explained, mut tables) = (false, BTreeSet::new());
        for (number, line) in text.lines().enumerate() {
            let is_key = line.contains('=') && !line.starts_with('#') && !line.starts_with(' ');
            assert!(!is_key || explained, "{}:{}: {line}", file.display(), number + 1);
            // A comment explains the keys of its paragraph, and all tables of the name that it stands before.
            explained = line.starts_with('#') || (explained && !line.trim().is_empty());
            if line.starts_with('[') {
                explained |= !tables.insert(line);
            }
        }
    }
}

/// The features of a crate as the programs are built, from cargo itself.
fn features(of: &str) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--workspace",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p} {f}",
        ])
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with(&format!("{of} v"))).collect();
    assert!(!lines.is_empty(), "{of} is part of the programs");
    lines.join("\n")
}

#[test]
fn tls_1_2_is_not_compiled_in() {
    for name in ["rustls", "tokio-rustls"] {
        let features = features(name);
        assert!(!features.contains("tls12"), "{features}");
    }
    assert!(features("rustls").contains("prefer-post-quantum"), "{}", features("rustls"));
}
