//! Parts of messages and files of contributions, whole or in a range of their bytes.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ncp_api::ErrorCode;

use super::ask;
use super::body::streamed;
use super::messages::find;
use crate::blobs;
use crate::content::{self, ContentKey};
use crate::contributions;
use crate::core::tables::{IN, MessageKey, OUT, TASK};
use crate::faults::Failed;
use crate::node::Node;
use crate::sealed::Stretch;
use crate::views;

/// A file to be handed out.
struct File {
    name: String,
    media_type: String,
    stretch: Stretch,
}

pub(super) async fn part(
    State(node): State<Arc<Node>>,
    Path((name, part)): Path<(String, usize)>,
    request: Request,
) -> Result<Response, Failed> {
    let headers = request.headers().clone();
    ask::reading_officer(&node, request).await?;
    let key = find(&node, &name).await?;
    let file = node.blocking(move |node| message_part(node, key, part)).await?;
    answer(file, &headers)
}

fn message_part(node: &Node, key: MessageKey, number: usize) -> Result<File, Failed> {
    let view = node.reader().view();
    let (content_key, reference, hidden) = if key.0 == node.participant() {
        let row = OUT.row(&view, &key.1)?.ok_or_else(|| ErrorCode::MessageUnknown.with("message", key.1))?;
        (ContentKey::of_out(key.0, &row), row.draft.reference, false)
    } else {
        let row = IN.row(&view, &key)?.ok_or_else(|| ErrorCode::MessageUnknown.with("message", key.1))?;
        (ContentKey::of_in(&row), row.received.reference, views::awaits_acknowledgement(&row))
    };
    drop(view);
    let erased = || ErrorCode::ContentErased.with("reference", reference);
    let (stored, manifest) = content::stored(node, &content_key)?.ok_or_else(erased)?;
    if hidden {
        let words = manifest.restriction.as_ref().map(ToString::to_string).unwrap_or_default();
        let fault = ErrorCode::RestrictionNotAcknowledged.with("reference", reference);
        return Err(fault.with("restriction", words).into());
    }
    let unknown = || {
        let fault = ErrorCode::PartUnknown.with("reference", reference).with("count", manifest.parts.len());
        fault.with("part", number)
    };
    let index = number.checked_sub(1).filter(|index| *index < manifest.parts.len()).ok_or_else(unknown)?;
    let (part, stretch) = content::part(node, &content_key, &stored, index)?.ok_or_else(erased)?;
    Ok(File { name: part.name.to_string(), media_type: part.media_type.to_string(), stretch })
}

pub(super) async fn contribution_part(
    State(node): State<Arc<Node>>,
    Path((name, task, contribution, part)): Path<(String, u16, usize, usize)>,
    request: Request,
) -> Result<Response, Failed> {
    let headers = request.headers().clone();
    ask::reading_officer(&node, request).await?;
    let key = find(&node, &name).await?;
    let file = node.blocking(move |node| contributed(node, key, task, contribution, part)).await?;
    answer(file, &headers)
}

fn contributed(node: &Node, key: MessageKey, task: u16, contribution: usize, part: usize) -> Result<File, Failed> {
    let row = TASK.row(&node.reader().view(), &(key.0, key.1, task))?;
    let row = row.ok_or_else(|| ErrorCode::TaskUnknown.with("reference", key.1).with("task", task))?;
    let missing = |reason: &str| ErrorCode::ContributionMissing.with("reference", key.1).with("reason", reason);
    let record = contribution.checked_sub(1).and_then(|index| row.contributions.get(index));
    let record = *record.ok_or_else(|| missing("there is no such contribution"))?;
    let stored = contributions::open(node, record)?.ok_or_else(|| missing("it was erased"))?;
    let file = part.checked_sub(1).and_then(|index| stored.files.get(index));
    let file = file.ok_or_else(|| missing("it has no such file"))?;
    let blob = blobs::open(node, file.blob)?.ok_or_else(|| missing("its file is gone"))?;
    Ok(File { name: file.name.to_string(), media_type: file.media_type.to_string(), stretch: blob.bytes })
}

fn answer(file: File, headers: &HeaderMap) -> Result<Response, Failed> {
    let length = file.stretch.length;
    let wanted = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (status, range) = match wanted {
        None => (StatusCode::OK, 0..length),
        Some(text) => {
            let invalid = || ErrorCode::RangeInvalid.with("range", text).with("length", length);
            (StatusCode::PARTIAL_CONTENT, byte_range(text, length).ok_or_else(invalid)?)
        }
    };
    let (from, count) = (range.start, range.end - range.start);
    let mut answer = axum::http::Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, &file.media_type)
        .header(header::CONTENT_LENGTH, count)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_DISPOSITION, disposition(&file.name));
    if status == StatusCode::PARTIAL_CONTENT {
        let last = range.end.saturating_sub(1);
        answer = answer.header(header::CONTENT_RANGE, format!("bytes {from}-{last}/{length}"));
    }
    let stretch = file.stretch;
    let body =
        streamed(count, move |out| -> io::Result<()> { stretch.read(from, count, &mut |piece| out(piece.to_vec())) });
    let answer = answer.body(body).map_err(|error| ErrorCode::InternalFault.with("reason", error))?;
    Ok(answer.into_response())
}

/// One range of bytes (RFC 9110, section 14.1.2): `bytes=a-b`, `bytes=a-`, `bytes=-n`.
fn byte_range(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first, last) {
        ("", last) => length.saturating_sub(last.parse().ok()?)..length,
        (first, "") => first.parse().ok()?..length,
        (first, last) => first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?.min(length),
    };
    (range.start < range.end).then_some(range)
}

/// The name for whoever saves it (RFC 6266): every byte but letters, digits and a few marks percent-encoded.
fn disposition(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    format!("attachment; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_inside() {
        for (text, expected) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=2-", Some(2..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=8-99", Some(8..10)),
            ("bytes=-99", Some(0..10)),
            ("bytes=10-", None),
            ("bytes=5-4", None),
            ("bytes=-0", None),
            ("lines=1-2", None),
            ("bytes=0-1,3-4", None),
        ] {
            assert_eq!(byte_range(text, 10), expected, "{text}");
        }
        assert_eq!(byte_range("bytes=0-", 0), None);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(disposition("März \"1\".pdf"), "attachment; filename*=UTF-8''M%C3%A4rz%20%221%22.pdf");
    }
}
