//! The guided form: asks an officer at a terminal for what neither options nor document say.
//!
//! Nothing is asked where nobody can answer; building the message then names the missing option.

use ncp_protocol::codes::{Handling, Precedence, UrgentGround};
use ncp_protocol::manifest::Subject;

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
    if content.text.is_none() && document.text.is_none() && document.fields.is_none() {
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

fn ask_subject(asking: Asking) -> Result<String, Error> {
    loop {
        let line = asking.line("Subject?", "the subject", "--subject")?;
        if line.parse::<Subject>().is_ok() {
            return Ok(line);
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
