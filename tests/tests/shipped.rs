//! What the distribution ships: configurations, example certificates, the one version of TLS.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::binaries::{Program, top};
use e2e::ctl::Ctl;
use ncp_protocol::root::{NetworkClass, SignedRoot};

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

#[test]
fn example_certificates_belong_to_a_test_network_and_hold_no_secret() {
    check_examples(&top().join("certs-example"));
}

/// Under a root of class test a daemon refuses every address outside loopback (see the tests of configurations).
fn check_examples(folder: &Path) {
    let root = fs::read(folder.join("root-1")).expect("a root of trust");
    let root = SignedRoot::decode(&root).expect("it decodes").verify_first().expect("it verifies");
    assert_eq!(root.root().class, NetworkClass::Test);
    for name in ["authority.crt", "hub.crt", "xa.crt"] {
        let pem = fs::read_to_string(folder.join(name)).expect("a certificate");
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{name}");
    }
    for file in e2e::folder::files(folder) {
        let bytes = fs::read(&file).expect("readable");
        assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE KEY"), "{}", file.display());
        assert!(!bytes.starts_with(b"NCPK"), "{} is a key file", file.display());
    }
}

#[test]
fn the_command_that_made_the_example_certificates_makes_them_anew() {
    let folder = e2e::folder::fresh();
    for file in ["make.sh", "README.md"] {
        fs::copy(top().join("certs-example").join(file), folder.path().join(file)).expect("copied");
    }
    let programs = Program::Ctl.path();
    let programs = programs.parent().expect("a folder");
    let ran = Command::new(folder.path().join("make.sh")).arg(programs).current_dir(top()).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    check_examples(folder.path());
    let fresh = fs::read(folder.path().join("root-1")).expect("a root of trust");
    assert_ne!(fresh, fs::read(top().join("certs-example/root-1")).expect("a root of trust"), "keys made on the spot");
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
