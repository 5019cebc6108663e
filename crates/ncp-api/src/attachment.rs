//! Names and media types of attachments: the protocol's rules, told with the registry's errors.

use ncp_protocol::limits::PART_NAME_MAX;
use ncp_protocol::manifest::{MediaType, PartName, TextError};

use crate::registry::{ErrorCode, Fault};

/// Checks the name of attachment `number`, from 1.
///
/// # Errors
/// The fault that names the rule: empty, too long, with a path, with control characters.
pub fn check_name(name: &str, number: usize) -> Result<PartName, Fault> {
    let field = format!("attachments[{}].name", number.saturating_sub(1));
    let fault = match name.parse() {
        Ok(name) => return Ok(name),
        Err(TextError::Length) if name.is_empty() => ErrorCode::AttachmentNameEmpty.with("number", number),
        Err(TextError::Length) => {
            ErrorCode::AttachmentNameTooLong.with("name", shown(name)).with("limit", PART_NAME_MAX)
        }
        Err(TextError::Name) => ErrorCode::AttachmentNamePath.with("name", shown(name)),
        Err(TextError::Character) if name.contains(['/', '\\']) => {
            ErrorCode::AttachmentNamePath.with("name", shown(name))
        }
        Err(TextError::Character) => ErrorCode::AttachmentNameControl.with("name", shown(name)),
    };
    Err(fault.field(field))
}

/// Checks the media type of attachment `number`, from 1.
///
/// # Errors
/// [`ErrorCode::AttachmentTypeInvalid`].
pub fn check_media_type(media_type: &str, number: usize) -> Result<MediaType, Fault> {
    media_type.parse().map_err(|_| {
        ErrorCode::AttachmentTypeInvalid
            .with("media_type", shown(media_type))
            .field(format!("attachments[{}].media_type", number.saturating_sub(1)))
    })
}

/// A refused text as it may be shown: quoted, escaped, short.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    if start.len() < text.len() { format!("{start:?}…") } else { format!("{start:?}") }
}

/// The media type of a file by the ending of its name; `application/octet-stream` for what is not in the list.
#[must_use]
pub fn media_type_of(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "txt" | "log" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "tif" | "tiff" => "image/tiff",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "mp4" => "video/mp4",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "odt" => "application/vnd.oasis.opendocument.text",
        "ods" => "application/vnd.oasis.opendocument.spreadsheet",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, code: ErrorCode) {
        let fault = check_name(name, 2).expect_err("refused");
        assert_eq!(fault.code, code, "{name:?}");
        assert_eq!(fault.field.as_deref(), Some("attachments[1].name"));
        assert!(!fault.to_string().chars().any(|c| c != '\n' && c.is_control()), "{fault}");
    }

    #[test]
    fn each_rule_has_its_code() {
        check("", ErrorCode::AttachmentNameEmpty);
        check(&"x".repeat(201), ErrorCode::AttachmentNameTooLong);
        for name in ["../passwd", "a/b", "a\\b", "..", ".", " a"] {
            check(name, ErrorCode::AttachmentNamePath);
        }
        for name in ["a\nb", "a\u{1b}[31m", "photo\u{202e}gpj.exe", "a\0"] {
            check(name, ErrorCode::AttachmentNameControl);
        }
        assert_eq!(check_name("Übersicht 1.pdf", 1).map(|name| name.to_string()), Ok("Übersicht 1.pdf".to_owned()));
    }

    #[test]
    fn guessed_types_are_valid() {
        for name in ["a.TXT", "b.jpeg", "c.docx", "none", "d.xlsx", "x.odt"] {
            assert!(check_media_type(media_type_of(name), 1).is_ok(), "{name}");
        }
        assert_eq!(media_type_of("photo.JPG"), "image/jpeg");
        assert!(check_media_type("image", 1).is_err());
    }
}
