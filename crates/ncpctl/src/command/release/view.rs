//! What an officer sees before deciding: the manifest, once it has opened the commitment that will be signed.

use ncp_api::release::ReleaseView;
use ncp_api::text::handling;
use ncp_api::{ErrorCode, FORM_PART, TEXT_PART};
use ncp_protocol::codes::Precedence;
use ncp_protocol::keys::sha256;
use ncp_protocol::manifest::{Manifest, content_commitment};

use super::VIEW_SCHEMA;
use crate::context::Context;
use crate::error::Error;
use crate::message::{form_text, handling_words, reason_text};
use crate::output::{Facts, Report};
use crate::style::{Tone, bytes, clean, clean_block};
use crate::table::{Table, plain_record};

/// The manifest that the view's commitment stands for.
///
/// # Errors
/// [`ErrorCode::ApprovalSignatureBad`] if manifest, commitment and view do not agree: whatever would be signed is then not
/// what is shown.
pub(super) fn manifest_of(view: &ReleaseView) -> Result<Manifest, Error> {
    let differs = || Error::from(ErrorCode::ApprovalSignatureBad.with("reference", view.message.reference));
    let opening: [u8; 32] = view.opening.as_slice().try_into().map_err(|_| differs())?;
    if content_commitment(&view.network, &opening, &view.manifest) != view.commitment {
        return Err(differs());
    }
    let manifest = Manifest::decode(&view.manifest).map_err(|_| differs())?;
    let agrees = manifest.network == view.network
        && manifest.originator == view.participant
        && manifest.message == view.message.message
        && manifest.reference == view.message.reference
        && manifest.recipients == view.recipients;
    if !agrees || !content_agrees(view, &manifest) {
        return Err(differs());
    }
    Ok(manifest)
}

/// Whether text and form that are shown are those whose digests the manifest names.
fn content_agrees(view: &ReleaseView, manifest: &Manifest) -> bool {
    let part = |name: &str| manifest.parts.iter().find(|part| part.name.as_str() == name);
    let text = match (part(TEXT_PART), &view.message.text) {
        (None, None) => true,
        (Some(part), Some(text)) => part.sha256 == sha256(text.as_bytes()),
        (None, Some(_)) | (Some(_), None) => false,
    };
    // The node writes a form as this program would, members by name, so what is shown has the digest that is signed.
    let form = match (&manifest.form, &view.message.form) {
        (None, None) => true,
        (Some(named), Some(content)) => {
            let digest = serde_json::to_vec(content).map(|bytes| sha256(&bytes));
            *named == content.form && part(FORM_PART).is_some_and(|part| digest.is_ok_and(|d| d == part.sha256))
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    text && form
}

/// The view as a report.
pub(super) fn report(view: &ReleaseView, context: &Context) -> Result<Report, Error> {
    let manifest = manifest_of(view)?;
    let style = context.output.style;
    let mut human = facts(view, &manifest, context).render(style);
    if let Some(form) = &view.message.form {
        human.push('\n');
        human.push_str(&form_text(form, style));
    }
    if let Some(text) = &view.message.text {
        human.push('\n');
        human.push_str(&clean_block(text));
        human.push('\n');
    }
    human.push('\n');
    human.push_str(&parts(&manifest).render(style));
    human.push_str(&closing(view, context));
    let fields = [view.message.reference.to_string(), view.code.to_string(), view.commitment.to_string()];
    Ok(Report::object(VIEW_SCHEMA, view)?.human(human).plain(plain_record(fields.iter().map(String::as_str))))
}

fn facts(view: &ReleaseView, manifest: &Manifest, context: &Context) -> Facts {
    let style = context.output.style;
    let mut facts = Facts::default();
    let status = manifest.response_status.map(|status| format!(", {status}")).unwrap_or_default();
    facts.add("message", style.paint(Tone::Strong, &format!("{}  {}{status}", manifest.reference, manifest.kind)));
    let recipients: Vec<String> = manifest.recipients.iter().map(ToString::to_string).collect();
    facts.add("to", style.paint(Tone::Strong, &recipients.join(", ")));
    facts.add("subject", clean(manifest.subject.as_str()));
    facts.maybe("topic", manifest.subject_code.as_ref().map(ToString::to_string));
    let words = manifest
        .restriction
        .as_ref()
        .map_or_else(|| handling_words(manifest.handling).to_owned(), |restriction| clean(restriction.as_str()));
    facts.add("handling", format!("{}: {words}", handling::show(manifest.handling)));
    let ground = manifest.urgent_ground.map(|ground| format!(": {ground}")).unwrap_or_default();
    let tone = if view.precedence == Precedence::Urgent { Tone::Bad } else { Tone::Strong };
    facts.add("precedence", style.paint(tone, &format!("{}{ground}", view.precedence)));
    facts.maybe("answer wanted", manifest.answer_by.map(|time| context.clock.minute(time)));
    let reason = manifest.reason.as_ref().map(|reason| reason_text(manifest.response_status, reason));
    facts.maybe("reason", reason);
    facts.add(
        "void after",
        format!("{}, {}", context.clock.minute(view.not_after), context.clock.relative(view.not_after)),
    );
    facts.maybe("answers", view.message.in_reply_to.map(|name| name.to_string()));
    let drafter =
        view.message.drafter.map(|officer| format!("officer {officer:02}, revision {}", view.message.revision));
    facts.maybe("drafter", drafter);
    if let Some(release) = &view.message.release {
        let text = release.rule_text.as_deref().map(|text| format!(": {}", clean(text))).unwrap_or_default();
        let count = format!("{} of {} approvals", release.approvals.len(), release.approvals_needed);
        facts.add("rule", format!("{}{text}; {count}", release.rule));
    }
    facts.add("commitment", view.commitment.to_string());
    facts
}

fn parts(manifest: &Manifest) -> Table {
    let mut table = Table::new(&["part", "size", "type", "sha-256", "name"]);
    for (index, part) in manifest.parts.iter().enumerate() {
        table.row(vec![
            (index + 1).to_string().into(),
            bytes(part.length).into(),
            part.media_type.to_string().into(),
            part.sha256.short().into(),
            part.name.to_string().into(),
        ]);
    }
    table
}

fn closing(view: &ReleaseView, context: &Context) -> String {
    if view.message.drafter == Some(view.officer) {
        return "\nYou drafted this message, so another officer has to release it.\n".to_owned();
    }
    let code = context.output.style.paint(Tone::Strong, view.code.as_str());
    format!(
        "\ncode {code}   for officer {:02} and exactly this version\n  approve  ncpctl release approve {} --code {}\n  reject   ncpctl release reject {} --code {} --reason …\n",
        view.officer, view.message.reference, view.code, view.message.reference, view.code
    )
}
