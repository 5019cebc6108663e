//! Errors on the wire: `application/problem+json` (RFC 9457) with `code`, `field`, `try` and the arguments.
//!
//! A receiver that knows the code makes its own sentences from the arguments; one that does not shows those that came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::registry::{ErrorCode, Exit, Fault};

/// The media type of a [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// An error as the API answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:ncp:error:NCP-E4203`: names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened.
    pub title: String,
    /// The HTTP status, again.
    pub status: u16,
    /// Why.
    pub detail: String,
    /// `NCP-E4203`.
    pub code: String,
    /// The member of the request that is wrong, as a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do.
    #[serde(rename = "try")]
    pub remedy: String,
    /// The arguments of the sentences.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
}

impl Problem {
    /// The error of the registry, if this program knows it.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let code: ErrorCode = self.code.parse().ok()?;
        Some(Fault { code, field: self.field.clone(), args: self.args.clone() })
    }

    /// How a process ends because of this; for an unknown code its status decides.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if let Some(fault) = self.fault() {
            return fault.exit();
        }
        match self.status {
            401 | 403 => Exit::Denied,
            404 | 410 => Exit::NotFound,
            400..=499 => Exit::Data,
            503 | 504 => Exit::Unavailable,
            _ => Exit::Failed,
        }
    }
}

impl From<&Fault> for Problem {
    fn from(fault: &Fault) -> Self {
        Self {
            kind: format!("urn:ncp:error:{}", fault.code),
            title: fault.title(),
            status: fault.code.status(),
            detail: fault.cause(),
            code: fault.code.to_string(),
            field: fault.field.clone(),
            remedy: fault.remedy(),
            args: fault.args.clone(),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::from(&fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_wire() {
        let fault = ErrorCode::MessageUnknown.with("message", "XA-2026-000001").field("in_reply_to");
        let json = serde_json::to_string(&Problem::from(&fault)).expect("writes");
        assert!(json.contains(r#""type":"urn:ncp:error:NCP-E4301""#) && json.contains(r#""try":"#), "{json}");
        let problem: Problem = serde_json::from_str(&json).expect("reads");
        assert_eq!(problem.fault(), Some(fault));
        assert_eq!(problem.exit(), Exit::NotFound);
    }

    #[test]
    fn status_decides_for_a_code_of_a_newer_daemon() {
        let mut problem = Problem::from(ErrorCode::MessageUnknown.fault());
        problem.code = "NCP-E4999".to_owned();
        problem.status = 403;
        assert_eq!(problem.fault(), None);
        assert_eq!(problem.exit(), Exit::Denied);
    }
}
