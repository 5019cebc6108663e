//! `keys init` at its system calls: whatever ends it, the same command again completes what is there, and a fingerprint that it
//! has told stays the participant's.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::binaries::Program;
use e2e::calls::{Call, Case, Launcher};
use e2e::ctl::text;
use serde_json::Value;

use crate::life::World;
use crate::sweep::{in_turn, ways};

/// Hits of a run of the gate.
const IN_GATE: usize = 16;

pub(crate) fn sweep(world: &World) -> Vec<String> {
    let keys = Keys { launcher: &world.launcher, network: world.network_fingerprint() };
    let root = world.launcher.folder().join("made");
    let (calls, first) = keys.make_watched(&root, None);
    first.expect("keys are made");
    let cases = calls.iter().flat_map(|call| {
        let (kind, number) = (call.kind, call.number);
        ways(kind).into_iter().map(move |(fault, image)| Case { kind, number, fault, image })
    });
    let cases: Vec<Case> = cases.collect();
    let chosen = in_turn(&cases, IN_GATE, "Keys ");
    eprintln!("keys init: {} of {} hits", chosen.len(), cases.len());
    chosen
        .into_iter()
        .filter_map(|case| keys.check(&root, case).err().map(|why| format!("Keys {case}: {why}")))
        .collect()
}

struct Keys<'a> {
    launcher: &'a Launcher,
    network: String,
}

impl Keys<'_> {
    /// Calls of a first run, and the fingerprint that it told.
    fn make_watched(&self, root: &Path, case: Option<Case>) -> (Vec<Call>, Option<String>) {
        let _ = fs::remove_dir_all(root);
        fs::create_dir(root).expect("a folder can be made");
        let watch = self.launcher.watch(root, case);
        let (_, told) = self.run(root, &watch.words);
        (watch.end(), told)
    }

    /// Exit code and fingerprint of `keys init`.
    fn run(&self, root: &Path, launcher: &[OsString]) -> (Option<i32>, Option<String>) {
        let path = Program::Ctl.path().into_os_string();
        let mut words = launcher.iter().chain([&path]);
        let output = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["keys", "init", "--participant", "XC", "--json", "--network", &self.network, "--dir"])
            .arg(root.join("data"))
            .arg("--offline")
            .arg(root.join("offline"))
            .arg("--out")
            .arg(root.join("request.json"))
            .stdin(Stdio::null())
            .output()
            .expect("ncpctl runs");
        let told = serde_json::from_slice::<Value>(&output.stdout).ok().filter(|_| output.status.success());
        (output.status.code(), told.map(|made| text(&made, "fingerprint")))
    }

    fn check(&self, root: &Path, case: Case) -> Result<(), String> {
        let (_, told) = self.make_watched(root, Some(case));
        let (code, again) = self.run(root, &[]);
        let again = again.ok_or_else(|| format!("the same command again ends with {code:?}"))?;
        if told.as_ref().is_some_and(|told| *told != again) {
            return Err("another fingerprint".to_owned());
        }
        let (_, once_more) = self.run(root, &[]);
        if once_more.as_ref() == Some(&again) { Ok(()) } else { Err(format!("{again}, then {once_more:?}")) }
    }
}
