//! Gathers the parts of a message: text, form, contributions, attachments, in this order; names are unique.

use std::collections::BTreeSet;

use ncp_api::message::{Attachment, FormContent, NewMessage};
use ncp_api::{ErrorCode, Fault};
use ncp_protocol::ids::{Digest, MessageId};
use ncp_protocol::keys::sha256;
use ncp_protocol::limits::PART_NAME_MAX;
use ncp_protocol::manifest::{MediaType, Part, PartName, TextError};
use zeroize::Zeroizing;

use crate::blobs;
use crate::content::{self, ContentKey, FORM_PART, FORM_TYPE, TEXT_PART, TEXT_TYPE};
use crate::contributions::{self, StoredContribution};
use crate::core::tables::{MessageKey, TASK, TaskRow};
use crate::faults::Failed;
use crate::node::Node;
use crate::sealed::Stretch;
use crate::views;

/// How an edit names a part of the revision before, in place of an upload: `part:3`.
const PART_PREFIX: &str = "part:";

/// A part with its bytes at hand.
pub(super) struct PlannedPart {
    pub(super) part: Part,
    pub(super) source: Source,
    /// The task whose contribution it is.
    pub(super) task: Option<u16>,
}

/// Where the bytes of a part are.
pub(super) enum Source {
    /// In memory.
    Bytes(Zeroizing<Vec<u8>>),
    /// In a sealed body of this node.
    Stretch(Stretch),
}

/// All parts of a message. `before` is the content that an edit replaces.
pub(super) fn parts(node: &Node, asked: &NewMessage, before: Option<&ContentKey>) -> Result<Vec<PlannedPart>, Failed> {
    let mut gathering = Gathering { node, parts: Vec::new(), names: BTreeSet::new() };
    if let Some(text) = asked.text.as_ref().filter(|text| !text.is_empty()) {
        gathering.inline(TEXT_PART, TEXT_TYPE, text.as_bytes().to_vec(), None)?;
    }
    if let Some(form) = &asked.form {
        gathering.inline(FORM_PART, FORM_TYPE, form_bytes(form)?, None)?;
    }
    for task in &asked.contributions {
        let message = answered_request(node, asked)?;
        gathering.task(message, *task)?;
    }
    for (index, attachment) in asked.attachments.iter().enumerate() {
        gathering.attachment(index, attachment, before)?;
    }
    Ok(gathering.parts)
}

fn form_bytes(form: &FormContent) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(form).map_err(|error| ErrorCode::RequestMalformed.with("reason", error).field("form"))
}

/// The request whose tasks are taken over.
fn answered_request(node: &Node, asked: &NewMessage) -> Result<MessageKey, Failed> {
    let missing = || {
        let fault = ErrorCode::ContributionMissing.with("reference", "this message");
        fault.with("reason", "it answers no request").field("contributions")
    };
    let name = asked.in_reply_to.as_ref().ok_or_else(missing)?;
    Ok(views::find(node, &node.reader().view(), name)?.ok_or_else(missing)?)
}

struct Gathering<'a> {
    node: &'a Node,
    parts: Vec<PlannedPart>,
    names: BTreeSet<PartName>,
}

impl Gathering<'_> {
    fn push(&mut self, part: Part, source: Source, task: Option<u16>) {
        self.names.insert(part.name.clone());
        self.parts.push(PlannedPart { part, source, task });
    }

    fn inline(&mut self, name: &str, media_type: &str, bytes: Vec<u8>, task: Option<u16>) -> Result<(), Failed> {
        let internal = |error: TextError| ErrorCode::InternalFault.with("reason", error);
        let part = Part {
            name: name.parse().map_err(internal)?,
            media_type: media_type.parse().map_err(internal)?,
            length: bytes.len() as u64,
            sha256: sha256(&bytes),
        };
        self.push(part, Source::Bytes(Zeroizing::new(bytes)), task);
        Ok(())
    }

    fn attachment(&mut self, index: usize, attachment: &Attachment, before: Option<&ContentKey>) -> Result<(), Failed> {
        let name = part_name(index, &attachment.name)?;
        let media_type = media_type(index, &attachment.media_type)?;
        if self.names.contains(&name) {
            let fault = ErrorCode::AttachmentNameTwice.with("name", name.as_str());
            return Err(fault.field(format!("attachments[{index}].name")).into());
        }
        let unknown = || {
            let fault = ErrorCode::BlobUnknown.with("blob", &attachment.blob);
            fault.field(format!("attachments[{index}].blob"))
        };
        let (length, sha256, stretch) = match attachment.blob.strip_prefix(PART_PREFIX) {
            Some(number) => self.earlier_part(number, before)?.ok_or_else(unknown)?,
            None => {
                let id: MessageId = attachment.blob.parse().map_err(|_| unknown())?;
                let blob = blobs::open(self.node, id)?.ok_or_else(unknown)?;
                (blob.head.length, blob.head.sha256, blob.bytes)
            }
        };
        self.push(Part { name, media_type, length, sha256 }, Source::Stretch(stretch), None);
        Ok(())
    }

    /// Part `number`, from 1, of the revision that is being replaced.
    fn earlier_part(
        &self,
        number: &str,
        before: Option<&ContentKey>,
    ) -> Result<Option<(u64, Digest, Stretch)>, Failed> {
        let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let (Some(key), Some(index)) = (before, index) else { return Ok(None) };
        let Some((stored, _)) = content::stored(self.node, key)? else { return Ok(None) };
        let part = content::part(self.node, key, &stored, index)?;
        Ok(part.map(|(part, stretch)| (part.length, part.sha256, stretch)))
    }

    /// All that a service contributed to a task.
    fn task(&mut self, message: MessageKey, task: u16) -> Result<(), Failed> {
        let missing = |reason: String| {
            let fault = ErrorCode::ContributionMissing.with("reference", message.1);
            fault.with("reason", reason).field("contributions")
        };
        let row = TASK.row(&self.node.reader().view(), &(message.0, message.1, task))?;
        let row = row.ok_or_else(|| missing(format!("there is no task {task}")))?;
        if row.contributions.is_empty() {
            return Err(missing(format!("nothing came for task {task} yet")).into());
        }
        for record in &row.contributions {
            let contribution = contributions::open(self.node, *record)?;
            let contribution = contribution.ok_or_else(|| missing(format!("task {task} was erased")))?;
            self.contribution(&row, task, contribution)?;
        }
        Ok(())
    }

    fn contribution(&mut self, row: &TaskRow, task: u16, contribution: StoredContribution) -> Result<(), Failed> {
        if let Some(text) = contribution.text {
            let name = self.free_name(&format!("{}.txt", row.service), row)?;
            self.inline(name.as_str(), TEXT_TYPE, text.into_bytes(), Some(task))?;
        }
        for file in contribution.files {
            let lost = || ErrorCode::BlobUnknown.with("blob", file.blob).field("contributions");
            let blob = blobs::open(self.node, file.blob)?.ok_or_else(lost)?;
            let name = self.free_name(file.name.as_str(), row)?;
            let part = Part { name, media_type: file.media_type, length: file.length, sha256: file.sha256 };
            self.push(part, Source::Stretch(blob.bytes), Some(task));
        }
        Ok(())
    }

    /// The name, or one with the service's name and a number before it if the name is taken.
    fn free_name(&self, wanted: &str, row: &TaskRow) -> Result<PartName, Failed> {
        let others = (1..100u32).map(|number| shorten(&format!("{}-{number}-{wanted}", row.service)));
        let mut candidates = core::iter::once(wanted.to_owned()).chain(others);
        let free = candidates.find_map(|name| name.parse::<PartName>().ok().filter(|name| !self.names.contains(name)));
        free.ok_or_else(|| ErrorCode::AttachmentNameTwice.with("name", wanted).field("contributions").into())
    }
}

/// At most as many bytes as a name may have, whole characters.
fn shorten(name: &str) -> String {
    let mut short = String::new();
    for c in name.chars() {
        if short.len() + c.len_utf8() > PART_NAME_MAX {
            break;
        }
        short.push(c);
    }
    short
}

/// The name of attachment `index`, from 0.
pub(super) fn part_name(index: usize, name: &str) -> Result<PartName, Fault> {
    let path = name.contains(['/', '\\']) || name == "." || name == "..";
    name.parse().map_err(|error| {
        let fault = match error {
            TextError::Length if name.is_empty() => ErrorCode::AttachmentNameEmpty.with("number", index + 1),
            TextError::Length => {
                ErrorCode::AttachmentNameTooLong.with("name", shorten(name)).with("limit", PART_NAME_MAX)
            }
            TextError::Character | TextError::Name if path => ErrorCode::AttachmentNamePath.with("name", name),
            TextError::Character | TextError::Name => {
                ErrorCode::AttachmentNameControl.with("name", name.escape_default())
            }
        };
        fault.field(format!("attachments[{index}].name"))
    })
}

/// The media type of attachment `index`, from 0.
pub(super) fn media_type(index: usize, text: &str) -> Result<MediaType, Fault> {
    text.parse().map_err(|_| {
        let fault = ErrorCode::AttachmentTypeInvalid.with("media_type", text);
        fault.field(format!("attachments[{index}].media_type"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: ErrorCode) {
        let fault = part_name(2, name).expect_err(name);
        assert_eq!(fault.code, expected, "{name:?}");
        assert_eq!(fault.field.as_deref(), Some("attachments[2].name"));
    }

    #[test]
    fn each_bad_name_has_its_own_error() {
        check("", ErrorCode::AttachmentNameEmpty);
        check(&"n".repeat(PART_NAME_MAX + 1), ErrorCode::AttachmentNameTooLong);
        check("../passwd", ErrorCode::AttachmentNamePath);
        check("..", ErrorCode::AttachmentNamePath);
        check("a\\b", ErrorCode::AttachmentNamePath);
        check("a\nb", ErrorCode::AttachmentNameControl);
        check("gpj.\u{202e}exe", ErrorCode::AttachmentNameControl);
        assert!(part_name(0, "Bericht März.pdf").is_ok());
    }

    #[test]
    fn names_are_shortened_at_whole_characters() {
        let short = shorten(&"ä".repeat(PART_NAME_MAX));
        assert!(short.len() <= PART_NAME_MAX && short.chars().all(|c| c == 'ä'));
    }
}
