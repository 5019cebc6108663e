//! `explain`: what an error code means, or what a coded form asks for. Works without a daemon.

use clap::Args;
use ncp_api::ErrorCode;
use ncp_api::forms::{self, FORMS, FormSchema, Need};
use ncp_api::registry::fill;
use serde::Serialize;
use std::collections::BTreeMap;

use crate::context::Context;
use crate::error::Error;
use crate::output::{Facts, Report};
use crate::style::{Tone, wrap};
use crate::table::Table;

/// Schema of its JSON for errors.
const SCHEMA: &str = "ncp.error-code/1";
/// Schema of its JSON for the fields of a form.
const FORM_SCHEMA: &str = "ncp.form-field/1";

const EXAMPLES: &str = "\
Examples:
  ncpctl explain NCP-E4203
  ncpctl explain vehicle                   the fields of a form
  ncpctl explain                           lists all codes";

/// Explain an error code, or the fields of a form
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Explain {
    /// The code, such as NCP-E4203; or a form: document, event, goods, person, vehicle, vessel
    #[arg(value_name = "CODE", value_parser = parse)]
    topic: Option<Topic>,
}

/// What can be explained.
#[derive(Debug, Clone, Copy)]
enum Topic {
    /// An error.
    Error(ErrorCode),
    /// A form.
    Form(&'static FormSchema),
}

fn parse(text: &str) -> Result<Topic, String> {
    if let Some(schema) = forms::named(text) {
        return Ok(Topic::Form(schema));
    }
    text.parse().map(Topic::Error).map_err(|_| {
        let codes: Vec<&str> = FORMS.iter().map(|schema| schema.code).collect();
        format!("{text:?} is neither an error code nor a form ({}); ncpctl explain  lists all codes", codes.join(", "))
    })
}

/// A field of a form.
#[derive(Debug, Serialize)]
struct FieldRow {
    form: String,
    name: &'static str,
    label: &'static str,
    holds: String,
    required: bool,
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
    /// Schema of its JSON.
    pub(super) fn schema(&self) -> &'static str {
        match self.topic {
            Some(Topic::Form(_)) => FORM_SCHEMA,
            Some(Topic::Error(_)) | None => SCHEMA,
        }
    }

    pub(super) fn run(self, context: &Context) -> Result<Report, Error> {
        match self.topic {
            Some(Topic::Error(code)) => one(code, context),
            Some(Topic::Form(schema)) => form(schema, context),
            None => all(context),
        }
    }
}

fn form(schema: &FormSchema, context: &Context) -> Result<Report, Error> {
    let (name, style) = (format!("{}/{}", schema.code, schema.version), context.output.style);
    let mut table = Table::new(&["field", "needed", "meaning", "holds"]);
    let mut rows = Vec::new();
    for field in schema.fields {
        let (required, holds) = (field.need == Need::Required, forms::expected(field.kind));
        let needed = if required { "yes" } else { "" };
        table.row(vec![field.name.into(), needed.into(), field.label.into(), holds.clone().into()]);
        rows.push(FieldRow { form: name.clone(), name: field.name, label: field.label, holds, required });
    }
    let human = format!("{}  {}\n\n{}", style.paint(Tone::Strong, &name), schema.title, table.render(style));
    let report = Report::lines(FORM_SCHEMA, &rows)?.human(human).plain(table.plain());
    Ok(report.hint(format!("ncpctl request --form {}  asks for each field; or give them in --file", schema.code)))
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
