//! `explain`: what an error code means. Works without a daemon.

use clap::Args;
use ncp_api::ErrorCode;
use ncp_api::registry::fill;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::context::Context;
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Tone, wrap};
use crate::table::Table;

/// Schema of its JSON.
pub(super) const SCHEMA: &str = "ncp.error-code/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl explain NCP-E4203
  ncpctl explain                           lists all codes";

/// Explain an error code
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// The code, such as NCP-E4203
    #[arg(value_name = "CODE", value_parser = parse)]
    code: Option<ErrorCode>,
}

fn parse(text: &str) -> Result<ErrorCode, String> {
    text.parse().map_err(|_| format!("no error has the code {text:?}; without one, ncpctl explain lists all"))
}

/// A row of the registry.
#[derive(Debug, Serialize)]
struct Row {
    code: String,
    name: &'static str,
    title: String,
    cause: String,
    r#try: String,
    exit: u8,
    status: u16,
    explanation: &'static str,
}

impl From<ErrorCode> for Row {
    fn from(code: ErrorCode) -> Self {
        let shown = |template: &str| fill(template, &BTreeMap::new());
        Self {
            code: code.to_string(),
            name: code.name(),
            title: shown(code.title()),
            cause: shown(code.cause()),
            r#try: shown(code.remedy()),
            exit: code.exit().number(),
            status: code.status(),
            explanation: code.explanation(),
        }
    }
}

impl Explain {
    pub(super) fn run(self, context: &Context) -> Result<Report, Error> {
        match self.code {
            Some(code) => one(code, context),
            None => all(context),
        }
    }
}

fn one(code: ErrorCode, context: &Context) -> Result<Report, Error> {
    let (row, style) = (Row::from(code), context.output.style);
    let mut human = format!("{}  {}\n\n", style.paint(Tone::Strong, &row.code), row.title);
    for line in wrap(row.explanation, style.width.unwrap_or(100).min(100)) {
        human.push_str(&line);
        human.push('\n');
    }
    human.push('\n');
    let mut facts = Facts::default();
    facts.add("cause", &row.cause);
    facts.add("try", &row.r#try);
    facts.add("exit status", row.exit.to_string());
    human.push_str(&facts.render(style));
    Ok(Report::object(SCHEMA, &row)?.human(human).plain(facts.plain()))
}

fn all(context: &Context) -> Result<Report, Error> {
    let rows: Vec<Row> = ErrorCode::ALL.iter().map(|code| Row::from(*code)).collect();
    let mut table = Table::new(&["code", "exit", "what happened"]);
    for row in &rows {
        table.row(vec![row.code.clone().into(), row.exit.to_string().into(), row.title.clone().into()]);
    }
    Ok(Report::lines(SCHEMA, &rows)?.human(table.render(context.output.style)).plain(table.plain()))
}
