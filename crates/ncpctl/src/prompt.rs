//! Questions to the person at the terminal, on the terminal itself: standard input may be a pipe.
//!
//! Nothing is asked with `--no-input` or without a terminal; the error then names the flag that answers.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::error::{Error, input_needed, internal};

/// Whether questions may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Yes, if there is a terminal.
    Allowed,
    /// Never.
    Forbidden,
}

impl Asking {
    /// Whether a person can be asked now.
    pub(crate) fn possible(self) -> bool {
        self == Self::Allowed && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks for a line; `what` and `flag` are for the error if nobody can be asked.
    pub(crate) fn line(self, question: &str, what: &str, flag: &str) -> Result<String, Error> {
        if !self.possible() {
            return Err(input_needed(what, flag));
        }
        let mut terminal = terminal()?;
        write!(terminal, "{question} ").map_err(|error| internal(&error))?;
        let mut line = String::new();
        BufReader::new(terminal).read_line(&mut line).map_err(|error| internal(&error))?;
        Ok(line.trim().to_owned())
    }

    /// Says something between two questions: why an answer was not taken.
    pub(crate) fn tell(self, words: &str) -> Result<(), Error> {
        writeln!(terminal()?, "  {words}").map_err(|error| internal(&error))
    }

    /// Asks for several lines, ended by an empty one.
    pub(crate) fn block(self, question: &str, what: &str, flag: &str) -> Result<String, Error> {
        if !self.possible() {
            return Err(input_needed(what, flag));
        }
        let mut terminal = terminal()?;
        writeln!(terminal, "{question} (an empty line ends it)").map_err(|error| internal(&error))?;
        let mut lines = Vec::new();
        for line in BufReader::new(terminal).lines() {
            let line = line.map_err(|error| internal(&error))?;
            if line.trim().is_empty() {
                break;
            }
            lines.push(line);
        }
        Ok(lines.join("\n"))
    }

    /// Asks for one of several names; an empty answer takes the first.
    pub(crate) fn choice(self, question: &str, names: &[&str], what: &str, flag: &str) -> Result<String, Error> {
        loop {
            let answer = self.line(&format!("{question} [{}]", names.join(" | ")), what, flag)?;
            let answer = if answer.is_empty() { names.first().copied().unwrap_or_default().to_owned() } else { answer };
            if names.iter().any(|name| name.eq_ignore_ascii_case(&answer)) {
                return Ok(answer);
            }
            self.tell(&format!("{} is none of these", crate::style::clean(&answer)))?;
        }
    }

    /// Asks for yes or no; only `y` and `yes` are yes.
    pub(crate) fn confirm(self, question: &str, what: &str, flag: &str) -> Result<bool, Error> {
        let answer = self.line(&format!("{question} [y/N]"), what, flag)?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for a secret; nothing of it is shown.
    pub(crate) fn secret(self, question: &str, what: &str, flag: &str) -> Result<Zeroizing<String>, Error> {
        if !self.possible() {
            return Err(input_needed(what, flag));
        }
        let mut terminal = terminal()?;
        let silent = Silent::begin(&terminal).map_err(|error| internal(&error))?;
        write!(terminal, "{question} ").map_err(|error| internal(&error))?;
        let secret = read_secret(&mut terminal);
        drop(silent);
        let _ = writeln!(terminal);
        secret
    }
}

fn terminal() -> Result<File, Error> {
    OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|error| internal(&error))
}

const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;

/// Reads bytes up to the end of the line. Keys for interruption arrive as bytes, so that the terminal is set right
/// before the process ends.
fn read_secret(terminal: &mut File) -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    let mut byte = [0];
    while terminal.read(&mut byte).map_err(|error| internal(&error))? == 1 {
        match byte[0] {
            b'\r' | b'\n' | END => break,
            INTERRUPT => {
                return Err(input_needed("the passphrase was not given: interrupted; it", "--passphrase-file"));
            }
            BACKSPACE | DELETE => while bytes.pop().is_some_and(|last| last & 0xC0 == 0x80) {},
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes.to_vec()).map(Zeroizing::new).map_err(|_| internal(&"the passphrase is not UTF-8"))
}

/// The terminal without echo; set back when dropped.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn begin(terminal: &File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal: terminal.try_clone()?, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to set back.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
