//! What a person at a shell gets: manual pages that the formatter takes without a word, completions that a shell takes and
//! uses. Where formatter or shell is not installed, it is said.
#![cfg(test)]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use e2e::binaries::Program;
use e2e::ctl::Ctl;

/// Runs a program of the system on `input`: what it printed and what it complained of, or none where it is not installed.
fn system(program: &str, arguments: &[&str], input: &str) -> Option<(String, String)> {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let _ = writeln!(std::io::stderr(), "not run: {program} is not installed");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program}: {}{}", text(&output.stdout), text(&output.stderr));
    Some((text(&output.stdout), text(&output.stderr)))
}

#[test]
fn manual_pages_are_formatted_without_a_complaint() {
    let folder = e2e::folder::fresh();
    let listed = Ctl::new("man --plain").with(folder.path()).ok().stdout;
    let mut pages: Vec<_> =
        fs::read_dir(folder.path()).expect("pages").map(|page| page.expect("a page").path()).collect();
    pages.sort();
    assert_eq!(listed.lines().count(), pages.len());
    for page in &pages {
        let text = fs::read_to_string(page).expect("a page");
        let Some((shown, complaints)) = system("groff", &["-man", "-ww", "-Tutf8", "-P-cbou"], &text) else { return };
        assert_eq!(complaints, "", "{}", page.display());
        assert!(shown.contains("\nEXAMPLES\n"), "{shown}");
    }
}

#[test]
fn pages_of_the_daemons_name_each_of_their_options() {
    let folder = e2e::folder::fresh();
    let _ = Ctl::new("man").with(folder.path()).ok();
    for program in [Program::Node, Program::Relay] {
        let help = Command::new(program.path()).arg("--help").output().expect("it runs");
        let help = String::from_utf8(help.stdout).expect("UTF-8");
        let page = fs::read_to_string(folder.path().join(format!("{}.8", program.name()))).expect("its page");
        let page = page.replace("\\-", "-");
        let options: Vec<_> = help.split([' ', ',', '\n']).filter(|word| word.starts_with("--")).collect();
        assert!(options.len() >= 3, "{help}");
        for option in options {
            assert!(page.contains(option), "{option} of {}", program.name());
        }
    }
}

#[test]
fn bash_takes_the_completion_and_completes() {
    let script = Ctl::new("completion bash").ok().stdout;
    if system("bash", &["-n"], &script).is_none() {
        return;
    }
    let ask = "\nCOMP_WORDS=(ncpctl rel); COMP_CWORD=1; _ncpctl ncpctl rel ncpctl; echo \"${COMPREPLY[@]}\"\n\
               COMP_WORDS=(ncpctl keys in); COMP_CWORD=2; _ncpctl ncpctl in keys; echo \"${COMPREPLY[@]}\"\n";
    let (answer, _) = system("bash", &["--norc"], &(script + ask)).expect("bash");
    assert_eq!(answer, "release\ninit install\n");
}

#[test]
fn every_shell_has_a_script() {
    for (shell, sign) in [("zsh", "#compdef ncpctl"), ("fish", "complete -c ncpctl")] {
        let script = Ctl::new("completion").with(shell).ok().stdout;
        assert!(script.contains(sign), "{shell}: {script}");
    }
    let refused = Ctl::new("completion csh").run();
    assert_eq!(refused.code, 2, "{}", refused.stderr);
}
