//! Where the programs under test lie: beside the test's own executable, built from the sources as they are now.
//!
//! `cargo test --workspace` builds the programs for the tests of their own packages. Where only this package is tested, a
//! missing or outdated program is built here, once for each test executable, with the profile of the tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// A program of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The hub's daemon.
    Relay,
    /// A participant's daemon.
    Node,
    /// The operators' and officers' command line.
    Ctl,
}

impl Program {
    const ALL: [Self; 3] = [Self::Relay, Self::Node, Self::Ctl];

    /// Its file name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "ncp-relay",
            Self::Node => "ncp-node",
            Self::Ctl => "ncpctl",
        }
    }

    /// The crates that it is made of.
    fn crates(self) -> &'static [&'static str] {
        match self {
            Self::Relay => &["ncp-protocol", "ncp-store", "ncp-transport", "ncp-api", "ncp-service", "ncp-relay"],
            Self::Node => {
                &["ncp-protocol", "ncp-store", "ncp-transport", "ncp-policy", "ncp-api", "ncp-service", "ncp-node"]
            }
            Self::Ctl => &["ncp-protocol", "ncp-store", "ncp-api", "ncpctl"],
        }
    }

    /// Whether the program in a folder is as new as everything that it is made of.
    fn is_current(self, folder: &Path) -> bool {
        let sources = self.crates().iter().map(|name| newest(&top().join("crates").join(name)));
        let sources = sources.max().flatten().max(modified(&top().join("Cargo.lock")));
        modified(&folder.join(self.name())).is_some_and(|built| Some(built) >= sources)
    }

    /// Its file.
    #[must_use]
    pub fn path(self) -> PathBuf {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        BUILT.get_or_init(up_to_date).join(self.name())
    }
}

/// The top of the project.
#[must_use]
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the project").to_owned()
}

/// The folder of the programs, after a build if one is missing or older than a source.
fn up_to_date() -> PathBuf {
    // target/<profile>/deps/<test>-<hash>
    let own = env::current_exe().expect("a running program has a file");
    let folder = own.ancestors().nth(2).expect("a test lies in target/<profile>/deps").to_owned();
    if !Program::ALL.into_iter().all(|program| program.is_current(&folder)) {
        build(&folder);
    }
    folder
}

fn build(folder: &Path) {
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile's folder");
    let profile = if profile == "debug" { "dev" } else { profile };
    let target = folder.parent().expect("the profile's folder lies in the target folder");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--workspace", "--bins", "--quiet", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(top())
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "the programs do not build:\n{}", String::from_utf8_lossy(&built.stderr));
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// When the newest file that a program is made of changed. Tests of the crates are not part of it.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?;
    let times = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != "tests" => newest(&entry.path()),
            Ok(kind) if kind.is_file() => modified(&entry.path()),
            Ok(_) | Err(_) => None,
        }
    });
    times.max()
}
