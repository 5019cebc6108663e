//! What a command returns and how it reaches standard output: for people, as records, or as JSON.
//!
//! A command builds one [`Report`]; this module alone writes it. A closed pipe ends the output quietly. Notes, hints and
//! progress go to standard error and stay silent with `-q`.

use std::io::{self, Write as _};

use ncp_api::Exit;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, internal};
use crate::json::{self, Members};
use crate::style::{Style, Tone};

/// The form of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// One record per line, tabs between fields.
    Plain,
    /// One object, or JSON Lines.
    Json(Members),
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors alone, in one line each.
    Quiet,
    /// Notes and hints.
    Usual,
    /// Also what is being done.
    Verbose,
}

/// The JSON of a report.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Object(Value),
    Lines(Vec<Value>),
}

/// Schema of the last line of a list that goes on.
const MORE_SCHEMA: &str = "ncp.more/1";

/// What a command has to say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    schema: &'static str,
    json: Json,
    human: String,
    plain: String,
    hints: Vec<String>,
    more: Option<usize>,
    exit: Exit,
}

impl Report {
    /// A report on one thing. `schema` is a name of [`json::SCHEMAS`].
    pub(crate) fn object(schema: &'static str, value: &impl Serialize) -> Result<Self, Error> {
        let value = serde_json::to_value(value).map_err(|error| internal(&error))?;
        Ok(Self::new(schema, Json::Object(value)))
    }

    /// A report on several things of one kind.
    pub(crate) fn lines<T: Serialize>(schema: &'static str, values: &[T]) -> Result<Self, Error> {
        let values: Result<Vec<Value>, _> = values.iter().map(serde_json::to_value).collect();
        Ok(Self::new(schema, Json::Lines(values.map_err(|error| internal(&error))?)))
    }

    fn new(schema: &'static str, json: Json) -> Self {
        Self {
            schema,
            json,
            human: String::new(),
            plain: String::new(),
            hints: Vec::new(),
            more: None,
            exit: Exit::Done,
        }
    }

    /// What people read.
    pub(crate) fn human(mut self, text: impl Into<String>) -> Self {
        self.human = text.into();
        self
    }

    /// Records, each with its line end.
    pub(crate) fn plain(mut self, records: impl Into<String>) -> Self {
        self.plain = records.into();
        self
    }

    /// What to do next; shown to people on standard error.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }

    /// Says in JSON that this is not all: a line of [`MORE_SCHEMA`] behind the `shown` others.
    pub(crate) fn more(mut self, shown: usize) -> Self {
        self.more = Some(shown);
        self
    }

    /// How the process ends after this report.
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// How the process ends after this report.
    pub(crate) fn exit_code(&self) -> Exit {
        self.exit
    }

    /// The bytes for standard output.
    pub(crate) fn text(&self, format: &Format) -> String {
        match format {
            Format::Human => self.human.clone(),
            Format::Plain => self.plain.clone(),
            Format::Json(members) => match &self.json {
                Json::Object(value) => json::line(self.schema, value, members),
                Json::Lines(values) => {
                    let lines = values.iter().map(|value| json::line(self.schema, value, members));
                    let more = self.more.map(|shown| serde_json::json!({"more": true, "shown": shown}));
                    lines.chain(more.map(|more| json::line(MORE_SCHEMA, &more, &Members::All))).collect()
                }
            },
        }
    }
}

/// Where reports go.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The form of the output.
    pub(crate) format: Format,
    /// Style of standard output.
    pub(crate) style: Style,
    /// How much is said on standard error.
    pub(crate) verbosity: Verbosity,
}

/// Whether somebody still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Yes.
    There,
    /// The pipe was closed: stop quietly.
    Gone,
}

impl Output {
    /// Writes a report and its hints.
    pub(crate) fn emit(&self, report: &Report) -> Result<Reader, Error> {
        let reader = self.write(&report.text(&self.format))?;
        if self.format == Format::Human {
            for hint in &report.hints {
                self.note(&format!("  next: {hint}"));
            }
        }
        Ok(reader)
    }

    /// Writes text as it is.
    pub(crate) fn write(&self, text: &str) -> Result<Reader, Error> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(Reader::There),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => {
                Err(ncp_api::ErrorCode::FileUnusable.with("file", "standard output").with("reason", error).into())
            }
        }
    }

    /// Says something on standard error, unless quiet.
    pub(crate) fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Usual {
            // Nobody to tell if standard error is closed.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Says what is being done, if that was asked for.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbosity >= Verbosity::Verbose {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Shows an error: three lines on standard error, and with `--json` also the problem on standard output.
    pub(crate) fn error(&self, error: &Error) {
        if let Format::Json(_) = self.format {
            let value = serde_json::to_value(error.problem()).unwrap_or(Value::Null);
            let _ = self.write(&json::line("ncp.problem/1", &value, &Members::All));
        }
        let text = error.to_string();
        let painted = match text.split_once(']') {
            Some((head, rest)) if self.style.colour => {
                format!("{}{rest}", self.style.paint(Tone::Bad, &format!("{head}]")))
            }
            Some(_) | None => text,
        };
        if self.verbosity == Verbosity::Quiet {
            // Loops that wait for something repeat it many times: one line, and the exit code.
            let _ = writeln!(io::stderr().lock(), "{}", painted.lines().next().unwrap_or_default());
            return;
        }
        let _ = writeln!(io::stderr().lock(), "{painted}");
    }
}

/// Lines of a label and a text, the labels in one column.
#[derive(Debug, Default)]
pub(crate) struct Facts(Vec<(String, String)>);

impl Facts {
    /// Adds a line; a text of several lines is continued below itself.
    pub(crate) fn add(&mut self, label: &str, text: impl Into<String>) {
        self.0.push((label.to_owned(), text.into()));
    }

    /// Adds a line if there is a text.
    pub(crate) fn maybe(&mut self, label: &str, text: Option<impl Into<String>>) {
        if let Some(text) = text {
            self.add(label, text);
        }
    }

    /// The lines.
    pub(crate) fn render(&self, style: Style) -> String {
        let width = self.0.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut out = String::new();
        for (label, text) in &self.0 {
            let padding = " ".repeat(width - label.chars().count());
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            out.push_str(format!("{}{padding}  {first}", style.paint(Tone::Quiet, label)).trim_end());
            out.push('\n');
            for line in lines {
                out.push_str(format!("{}  {line}", " ".repeat(width)).trim_end());
                out.push('\n');
            }
        }
        out
    }

    /// Records of label and text.
    pub(crate) fn plain(&self) -> String {
        self.0.iter().map(|(label, text)| crate::table::plain_record([label.as_str(), text].into_iter())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_json_lines() {
        let report =
            Report::lines("ncp.holds/1", &[serde_json::json!({"scope": "all"}), serde_json::json!({"scope": "to:XB"})]);
        let text = report.expect("report").text(&Format::Json(Members::All));
        assert_eq!(
            text,
            "{\"schema\":\"ncp.holds/1\",\"scope\":\"all\"}\n{\"schema\":\"ncp.holds/1\",\"scope\":\"to:XB\"}\n"
        );
    }

    #[test]
    fn facts_align_and_continue() {
        let mut facts = Facts::default();
        facts.add("to", "XB");
        facts.add("subject", "one\ntwo");
        facts.maybe("none", None::<String>);
        assert_eq!(facts.render(Style::PLAIN), "to       XB\nsubject  one\n         two\n");
        assert_eq!(facts.plain(), "to\tXB\nsubject\tone two\n");
    }
}
