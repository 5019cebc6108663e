//! The JSON document of `--file`: any member of a message; options outrank it.

use std::io::Read as _;
use std::path::Path;

use ncp_api::ErrorCode;
use ncp_protocol::codes::{Code, Handling, Precedence, UrgentGround};
use ncp_protocol::ids::UnixMillis;
use serde::{Deserialize, Deserializer};

use crate::error::{Error, file};

/// Longest document or text that is read, in bytes.
const TEXT_MAX: u64 = 1 << 20;

/// What a document may say.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Document {
    /// To whom.
    pub(crate) to: Vec<String>,
    /// The subject line.
    pub(crate) subject: Option<String>,
    /// The text.
    pub(crate) text: Option<String>,
    /// Which form.
    pub(crate) form: Option<String>,
    /// Values of the form.
    pub(crate) fields: Option<serde_json::Map<String, serde_json::Value>>,
    /// Handling code.
    #[serde(deserialize_with = "handling")]
    pub(crate) handling: Option<Handling>,
    /// H3's words.
    pub(crate) restriction: Option<String>,
    /// How fast.
    #[serde(with = "ncp_api::text::option")]
    pub(crate) precedence: Option<Precedence>,
    /// Why urgent.
    #[serde(with = "ncp_api::text::option")]
    pub(crate) urgent_ground: Option<UrgentGround>,
    /// When an answer is wanted.
    #[serde(with = "ncp_api::time::option")]
    pub(crate) answer_by: Option<UnixMillis>,
    /// How long it may travel.
    pub(crate) lifetime_days: Option<u16>,
    /// Code of the subject catalogue.
    #[serde(with = "ncp_api::text::option")]
    pub(crate) topic: Option<Code>,
    /// Other channels.
    #[serde(with = "ncp_api::text::list")]
    pub(crate) also_sent_through: Vec<Code>,
    /// The caller's own number.
    pub(crate) national_ref: Option<String>,
}

fn handling<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Handling>, D::Error> {
    ncp_api::text::handling::deserialize(deserializer).map(Some)
}

impl Document {
    /// Reads the document, an empty one if there is no path.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = read_text(path)?;
        serde_json::from_str(&text).map_err(|error| {
            ErrorCode::RequestMalformed.with("reason", format_args!("{}: {error}", path.display())).into()
        })
    }
}

/// Reads a text from a file, or from standard input for `-`.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(TEXT_MAX + 1).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(path);
        let opened = opened.map_err(|error| {
            Error::from(ErrorCode::AttachmentMissing.with("file", path.display()).with("reason", error))
        })?;
        opened.take(TEXT_MAX + 1).read_to_string(&mut text)
    };
    match read {
        Ok(length) if length as u64 > TEXT_MAX => Err(file(path, &"longer than 1 MiB; attach it instead")),
        Ok(_) => Ok(text),
        Err(error) => Err(file(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, Error> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("rfi.json");
        std::fs::write(&path, text).expect("written");
        Document::read(Some(&path))
    }

    #[test]
    fn any_member_may_stand_alone() {
        let document = parse(r#"{"subject":"Grey van","handling":"h2","fields":{"type":"van"}}"#).expect("reads");
        assert_eq!(document.handling, Some(Handling::H2));
        assert_eq!(document.precedence, None);
        assert_eq!(parse("{}").expect("reads"), Document::default());
    }

    #[test]
    fn a_misspelt_member_is_refused_by_name() {
        let error = parse(r#"{"subjct":"x"}"#).expect_err("misspelt");
        assert!(error.is(ErrorCode::RequestMalformed) && error.to_string().contains("subjct"), "{error}");
        assert_eq!(error.exit().number(), 65);
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let error = Document::read(Some(Path::new("/nonexistent/rfi.json"))).expect_err("missing");
        assert_eq!(error.exit().number(), 66);
    }
}
