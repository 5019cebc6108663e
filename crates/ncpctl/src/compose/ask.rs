//! The guided form: asks an officer at a terminal for what neither options nor document say.
//!
//! Nothing is asked where nobody can answer; building the message then names the missing option.

use ncp_api::forms::{self, FORMS, FormSchema, Need};
use ncp_protocol::codes::{Handling, Precedence, UrgentGround};
use ncp_protocol::manifest::Subject;
use serde_json::{Map, Value};

use super::{Content, Document};
use crate::error::{Error, usage};
use crate::message::handling_words;
use crate::prompt::Asking;

/// Asks for recipients (if the caller has none), subject, content, handling and precedence, as far as they are missing.
pub(crate) fn missing(
    asking: Asking,
    content: &mut Content,
    document: &mut Document,
    recipients_open: bool,
) -> Result<(), Error> {
    if !asking.possible() {
        return Ok(());
    }
    // Whoever names a subject and handling has said what was to be said; only an empty form is a guided one.
    let guided = content.subject.is_none() && document.subject.is_none();
    if recipients_open && document.to.is_empty() {
        document.to = vec![asking.line("To whom? (XB, or XB,XC, or all)", "the recipient", "--to")?];
    }
    if guided {
        content.subject = Some(ask_subject(asking)?);
    }
    if content.handling.or(document.handling).is_none() {
        content.handling = Some(ask_handling(asking)?);
    }
    let asks_for_text = guided && content.text.is_none() && document.text.is_none();
    let named = content.form.clone().or_else(|| document.form.clone());
    let form = if guided && named.is_none() && document.fields.is_none() { ask_form(asking)? } else { named };
    if let Some(code) = form.filter(|_| document.fields.is_none()) {
        fill(asking, content, document, code)?;
    }
    let handling = content.handling.or(document.handling);
    if handling == Some(Handling::H3) && content.restriction.is_none() && document.restriction.is_none() {
        content.restriction = Some(asking.line("The restriction, in words?", "the restriction", "--restriction")?);
    }
    if !guided {
        return Ok(());
    }
    if content.precedence.or(document.precedence).is_none() {
        ask_precedence(asking, content)?;
    }
    if asks_for_text {
        let text = asking.block("The text:", "the text", "--text")?;
        content.text = (!text.is_empty()).then_some(text);
    }
    while content.attach.len() < ncp_protocol::limits::PARTS_MAX {
        let path = asking.line("A file to attach? (an empty line for none)", "a file", "--attach")?;
        if path.is_empty() {
            break;
        }
        content.attach.push(path);
    }
    Ok(())
}

/// Asks whether a coded form goes with it, and which.
fn ask_form(asking: Asking) -> Result<Option<String>, Error> {
    let names: Vec<&str> = std::iter::once("none").chain(FORMS.iter().map(|schema| schema.code)).collect();
    let answer = asking.choice("A coded form?", &names, "the form", "--form")?.to_ascii_lowercase();
    Ok(Some(answer).filter(|answer| answer != "none"))
}

/// Fills a form that is named and not filled yet.
fn fill(asking: Asking, content: &mut Content, document: &mut Document, code: String) -> Result<(), Error> {
    // One that does not exist is named when the message is built.
    let Some(schema) = forms::named(&code) else { return Ok(()) };
    document.fields = Some(ask_fields(asking, schema)?);
    content.form = Some(code);
    Ok(())
}

/// Asks for each field until its value passes the form's own check; an empty line leaves an optional field out.
fn ask_fields(asking: Asking, schema: &FormSchema) -> Result<Map<String, Value>, Error> {
    let mut fields = Map::new();
    for field in schema.fields {
        let needed = if field.need == Need::Required { "needed" } else { "or nothing" };
        let question = format!("{}? ({}; {needed})", field.label, forms::expected(field.kind));
        loop {
            let typed = asking.line(&question, "a field of the form", "--file")?;
            if typed.is_empty() && field.need == Need::Optional {
                break;
            }
            match forms::read(field.kind, &typed) {
                Ok(value) => {
                    fields.insert(field.name.to_owned(), value);
                    break;
                }
                Err(reason) => asking.tell(&format!("{} {reason}", field.label))?,
            }
        }
    }
    Ok(fields)
}

fn ask_subject(asking: Asking) -> Result<String, Error> {
    loop {
        let line = asking.line("Subject?", "the subject", "--subject")?;
        match line.parse::<Subject>() {
            Ok(_) => return Ok(line),
            Err(error) => asking.tell(&format!("A subject is one line of 1 to 512 bytes: {error}"))?,
        }
    }
}

fn ask_handling(asking: Asking) -> Result<Handling, Error> {
    let explained: Vec<String> = Handling::ALL
        .iter()
        .map(|code| format!("  {}  {}", ncp_api::text::handling::show(*code), handling_words(*code)))
        .collect();
    let question = format!("{}\nHandling?", explained.join("\n"));
    let answer = asking.choice(&question, &["H2", "H0", "H1", "H3"], "the handling code", "--handling")?;
    super::parse_handling(&answer).map_err(|error| usage(error, "give --handling"))
}

fn ask_precedence(asking: Asking, content: &mut Content) -> Result<(), Error> {
    let names: Vec<&str> = Precedence::ALL.iter().map(|precedence| precedence.as_str()).collect();
    let answer = asking.choice("How fast?", &names, "the precedence", "--precedence")?;
    content.precedence = answer.to_ascii_lowercase().parse().ok();
    if content.precedence == Some(Precedence::Urgent) && content.urgent_ground.is_none() {
        let names: Vec<&str> = UrgentGround::ALL.iter().map(|ground| ground.as_str()).collect();
        let answer = asking.choice("Why urgent?", &names, "the ground", "--urgent-ground")?;
        content.urgent_ground = answer.to_ascii_lowercase().parse().ok();
    }
    Ok(())
}
