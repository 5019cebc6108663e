//! `ncpctl` as a process: words in, exit code and streams out.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binaries::Program;

/// One call of `ncpctl`.
#[derive(Debug, Clone, Default)]
pub struct Ctl {
    program: Option<PathBuf>,
    words: Vec<OsString>,
    folder: Option<PathBuf>,
    terminal: bool,
    environment: Vec<(&'static str, OsString)>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The words, for messages.
    words: String,
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ctl {
    /// A call with these words, separated by blanks.
    #[must_use]
    pub fn new(words: &str) -> Self {
        let words = words.split_whitespace().map(OsString::from).collect();
        Self { words, ..Self::default() }
    }

    /// The same with one more word, which may hold blanks.
    #[must_use]
    pub fn with(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    /// The same with an option and its value.
    #[must_use]
    pub fn set(self, option: &str, value: impl Into<OsString>) -> Self {
        self.with(option).with(value)
    }

    /// The same, run in another folder.
    #[must_use]
    pub fn at(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// The same with further variables in its environment.
    #[must_use]
    pub fn env(mut self, environment: &[(&'static str, OsString)]) -> Self {
        self.environment.extend_from_slice(environment);
        self
    }

    /// The same on a terminal: what is shown there, on either stream, becomes its output (script(1)).
    #[must_use]
    pub fn on_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The same with another file of the program.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it cannot be started or ends by a signal.
    #[must_use]
    pub fn run(&self) -> Ran {
        let program = self.program.clone().unwrap_or_else(|| Program::Ctl.path());
        let mut command = if self.terminal { terminal(&program, &self.words) } else { Command::new(program) };
        if !self.terminal {
            command.args(&self.words);
        }
        command.stdin(Stdio::null());
        for variable in ["NCPCTL_NODE", "NCPCTL_OFFICER_KEY", "NCPCTL_PASSPHRASE_FILE", "RUST_BACKTRACE"] {
            command.env_remove(variable);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let output = command.output().expect("ncpctl runs");
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        Ran {
            words: words.join(" "),
            code: output.status.code().expect("ncpctl ends with a code"),
            stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it and expects success.
    ///
    /// # Panics
    /// If it fails.
    pub fn ok(&self) -> Ran {
        self.run().expect_code(0)
    }

    /// Runs it with `--json`, expects success, and reads its one object.
    ///
    /// # Panics
    /// If it fails or prints something else.
    #[must_use]
    pub fn json(&self) -> Value {
        self.clone().with("--json").ok().json()
    }
}

/// `script`, with a command line for the shell.
fn terminal(program: &Path, words: &[OsString]) -> Command {
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().expect("words are UTF-8").replace('\'', r"'\''"));
    let line: Vec<String> =
        std::iter::once(program.as_os_str()).chain(words.iter().map(OsString::as_os_str)).map(quoted).collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--flush", "--command", &line.join(" "), "/dev/null"]).env("TERM", "xterm");
    command
}

impl Ran {
    /// Itself, if it ended with this code.
    ///
    /// # Panics
    /// If it ended with another one.
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "ncpctl {}\n{}{}", self.words, self.stdout, self.stderr);
        self
    }

    /// Its output as one JSON object.
    ///
    /// # Panics
    /// If it is something else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("ncpctl {}: {error}\n{}", self.words, self.stdout))
    }

    /// Its output as JSON Lines.
    ///
    /// # Panics
    /// If a line is no JSON.
    #[must_use]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

/// A text member of a JSON object.
///
/// # Panics
/// If there is none of that name.
#[must_use]
pub fn text(object: &Value, member: &str) -> String {
    object.get(member).and_then(Value::as_str).unwrap_or_else(|| panic!("no {member} in {object}")).to_owned()
}
