//! The Debian packages: built from the programs under test, installed into a folder of their own, used, and removed. Needs
//! cargo-deb and dpkg, and root for dpkg; says so where one of them is not there.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use e2e::binaries::{Program, top};

const PACKAGES: [&str; 3] = ["ncpctl", "ncp-node", "ncp-relay"];

/// Why it cannot run here, told on standard error.
fn missing() -> bool {
    let runs = |program: &str, argument: &str| {
        let mut asked = Command::new(program);
        asked.arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    let why = if !runs("cargo-deb", "--version") {
        "cargo-deb is not installed"
    } else if !runs("dpkg", "--version") {
        "dpkg is not installed"
    } else if !rustix::process::geteuid().is_root() {
        "dpkg installs as root alone"
    } else {
        return false;
    };
    let _ = writeln!(std::io::stderr(), "not run: {why}");
    true
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{command:?}\n{}", text(&output));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A folder into which dpkg installs as if it were `/`, with a database of its own: this machine's packages are not touched.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = e2e::folder::fresh();
        for folder in ["info", "updates", "triggers"] {
            fs::create_dir_all(root.path().join("var/lib/dpkg").join(folder)).expect("a folder");
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").expect("written");
        Self(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn dpkg(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        // What the packages depend on is not installed there.
        let root = format!("--root={}", self.0.path().display());
        if program == "dpkg" {
            command.args([&root, "--force-depends", "--no-triggers", "--log=/dev/null"]);
        } else {
            command.arg(format!("--admindir={}", self.path("var/lib/dpkg").display()));
        }
        run(command.args(arguments))
    }

    /// Every file below it but those of dpkg.
    fn files(&self) -> BTreeSet<String> {
        fn walk(folder: &Path, above: &Path, found: &mut BTreeSet<String>) {
            for entry in fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("an entry");
                if entry.file_type().expect("a type").is_dir() {
                    walk(&entry.path(), above, found);
                } else {
                    found.insert(entry.path().strip_prefix(above).expect("below").display().to_string());
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(self.0.path(), self.0.path(), &mut found);
        found.retain(|file| !file.starts_with("var/lib/dpkg"));
        found
    }
}

#[test]
fn packages_install_run_and_go() {
    if missing() {
        return;
    }
    let built = e2e::folder::fresh();
    // As a release build would leave them.
    let target = e2e::folder::fresh();
    let programs = target.path().join("release");
    fs::create_dir(&programs).expect("a folder");
    for program in [Program::Ctl, Program::Node, Program::Relay] {
        fs::copy(program.path(), programs.join(program.name())).expect("copied");
    }
    run(Command::new(top().join("packaging/deb"))
        .arg(built.path())
        .args(["--no-build", "--fast"])
        .env("CARGO_TARGET_DIR", target.path()));
    let mut debs: Vec<String> = fs::read_dir(built.path())
        .expect("packages")
        .map(|file| file.expect("a file").path().display().to_string())
        .filter(|path| path.ends_with(".deb"))
        .collect();
    debs.sort();
    assert_eq!(debs.len(), PACKAGES.len(), "{debs:?}");
    for deb in &debs {
        let control = text(&run(Command::new("dpkg-deb").args(["--ctrl-tarfile", deb])));
        for script in ["preinst", "postinst", "prerm", "postrm"] {
            assert!(!control.contains(&format!("./{script}")), "{deb} brings a script");
        }
    }

    let root = Root::new();
    let install: Vec<&str> = std::iter::once("--install").chain(debs.iter().map(String::as_str)).collect();
    root.dpkg("dpkg", &install);
    let files = root.files();
    for file in [
        "usr/bin/ncpctl",
        "usr/bin/ncp-node",
        "usr/bin/ncp-relay",
        "usr/lib/systemd/system/ncp-node.service",
        "usr/lib/systemd/system/ncp-relay.service",
        "usr/lib/systemd/system/ncp-backup@.service",
        "usr/lib/systemd/system/ncp-backup@.timer",
        "usr/lib/systemd/system/ncp-audit-verify@.service",
        "usr/lib/systemd/system/ncp-audit-verify@.timer",
        "usr/lib/sysusers.d/ncp.conf",
        "usr/lib/tmpfiles.d/ncp.conf",
        "usr/share/man/man1/ncpctl.1.gz",
        "usr/share/man/man1/ncpctl-release-approve.1.gz",
        "usr/share/man/man5/node.toml.5.gz",
        "usr/share/man/man5/relay.toml.5.gz",
        "usr/share/man/man8/ncp-node.8.gz",
        "usr/share/man/man8/ncp-relay.8.gz",
        "usr/share/bash-completion/completions/ncpctl",
        "usr/share/zsh/vendor-completions/_ncpctl",
        "usr/share/fish/vendor_completions.d/ncpctl.fish",
        "etc/ncp/node.toml",
        "etc/ncp/relay.toml",
    ] {
        assert!(files.contains(file), "{file} is missing: {files:#?}");
    }
    // Services are off until somebody has joined.
    assert!(!files.iter().any(|file| file.contains(".wants/")), "{files:#?}");
    for (package, config) in [("ncp-node", "node"), ("ncp-relay", "relay")] {
        let conffiles = text(&root.dpkg("dpkg-query", &["--show", "--showformat=${Conffiles}", package]));
        assert!(conffiles.contains(&format!("/etc/ncp/{config}.toml ")), "{conffiles}");
        let checked = run(Command::new(root.path("usr/bin/ncpctl"))
            .args(["config", "check"])
            .arg(root.path(&format!("etc/ncp/{config}.toml"))));
        assert!(text(&checked).contains("ok"), "{}", text(&checked));
    }

    // What the operator changed outlives a removal, and goes with a purge.
    let config = root.path("etc/ncp/node.toml");
    fs::write(&config, "# changed\n").expect("written");
    root.dpkg("dpkg", &["--remove", "ncp-node"]);
    assert_eq!(fs::read_to_string(&config).expect("it stays"), "# changed\n");
    assert!(!root.path("usr/bin/ncp-node").exists());
    root.dpkg("dpkg", &["--purge", "ncp-node", "ncp-relay", "ncpctl"]);
    assert_eq!(root.files(), BTreeSet::new());
}
