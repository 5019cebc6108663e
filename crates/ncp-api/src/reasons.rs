//! The closed list of reasons that a refusal or an extension names: codes, so that each side reads them in its language and
//! the statistics count them.
//!
//! The refusals are those of Directive (EU) 2023/977, article 6(1); the extensions those of article 5(2) and of what a
//! contact point cannot hurry. The node refuses other codes from its own officers and shows an unknown one that arrives as it
//! is: a newer node may know more.

use ncp_protocol::codes::{Code, ResponseStatus};

use crate::registry::{ErrorCode, Fault};

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// Its code.
    pub code: &'static str,
    /// What it means, in English, as the end of "because …".
    pub words: &'static str,
}

const fn reason(code: &'static str, words: &'static str) -> Reason {
    Reason { code, words }
}

/// Why a State declines to answer, in the order of article 6(1).
pub const REFUSALS: &[Reason] = &[
    reason("not-available", "the information is not available"),
    reason("requirements-not-met", "the request does not meet the requirements"),
    reason("authorisation-refused", "the judicial authorisation was refused"),
    reason("category-not-permitted", "the data are not of a permitted category"),
    reason("inaccurate-or-outdated", "the information is inaccurate or out of date"),
    reason(
        "protected-interests",
        "it would harm national security, an ongoing case, a person's safety or other protected interests",
    ),
    reason("minor-or-no-offence", "the offence is minor or none here"),
    reason("owner-has-not-consented", "a third party owns the information and has not consented"),
];

/// Why an answer takes longer.
pub const EXTENSIONS: &[Reason] = &[
    reason("judicial-authorisation", "a judicial authorisation is under way"),
    reason("not-directly-accessible", "the information is not directly accessible"),
    reason("collection-under-way", "national services are still collecting it"),
];

/// The reasons that an answer of this status may name; none for an answer that needs no reason.
#[must_use]
pub fn of(status: ResponseStatus) -> &'static [Reason] {
    match status {
        ResponseStatus::Refusal => REFUSALS,
        ResponseStatus::Extension => EXTENSIONS,
        ResponseStatus::Final | ResponseStatus::Partial => &[],
    }
}

/// What a code means; `None` for one that this version does not know.
#[must_use]
pub fn words(status: ResponseStatus, code: &Code) -> Option<&'static str> {
    of(status).iter().find(|reason| reason.code == code.as_str()).map(|reason| reason.words)
}

/// The codes for a status, separated by commas.
#[must_use]
pub fn known(status: ResponseStatus) -> String {
    of(status).iter().map(|reason| reason.code).collect::<Vec<_>>().join(", ")
}

/// Checks the reason of an answer, or of a message that is none.
///
/// # Errors
/// [`ErrorCode::ReasonMissing`], [`ErrorCode::ReasonUnknown`], and [`ErrorCode::RequestMalformed`] where a reason does not
/// belong; each names the field.
pub fn check(status: Option<ResponseStatus>, code: Option<&Code>) -> Result<(), Fault> {
    let list = status.map(of).unwrap_or_default();
    let fault = match (status, code) {
        (_, None) if list.is_empty() => return Ok(()),
        (Some(status), None) => ErrorCode::ReasonMissing.with("status", status).with("known", known(status)),
        (Some(status), Some(code)) if !list.is_empty() => {
            if list.iter().any(|reason| reason.code == code.as_str()) {
                return Ok(());
            }
            ErrorCode::ReasonUnknown.with("reason", code).with("status", status).with("known", known(status))
        }
        (Some(_) | None, _) => {
            ErrorCode::RequestMalformed.with("reason", "only a refusal and an extension have a reason code")
        }
    };
    Err(fault.field("reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        text.parse().expect("a code")
    }

    #[test]
    fn every_reason_is_a_code_and_stands_once() {
        let all: Vec<&Reason> = REFUSALS.iter().chain(EXTENSIONS).collect();
        for (index, reason) in all.iter().enumerate() {
            assert_eq!(code(reason.code).as_str(), reason.code);
            assert!(!reason.words.is_empty() && !reason.words.ends_with('.'), "{}", reason.code);
            assert!(all.iter().skip(index + 1).all(|other| other.code != reason.code), "{}", reason.code);
        }
    }

    #[test]
    fn each_status_takes_its_own_reasons_and_no_others() {
        let check = |status: Option<ResponseStatus>, text: Option<&str>| {
            super::check(status, text.map(code).as_ref()).map_err(|fault| {
                assert_eq!(fault.field.as_deref(), Some("reason"));
                assert!(!fault.to_string().contains('<'), "{fault}");
                fault.code
            })
        };
        use ResponseStatus::{Extension, Final, Partial, Refusal};
        assert_eq!(check(Some(Refusal), Some("not-available")), Ok(()));
        assert_eq!(check(Some(Extension), Some("judicial-authorisation")), Ok(()));
        assert_eq!(check(Some(Refusal), Some("judicial-authorisation")), Err(ErrorCode::ReasonUnknown));
        assert_eq!(check(Some(Refusal), Some("because")), Err(ErrorCode::ReasonUnknown));
        assert_eq!(check(Some(Extension), Some("not-available")), Err(ErrorCode::ReasonUnknown));
        for status in [Refusal, Extension] {
            assert_eq!(check(Some(status), None), Err(ErrorCode::ReasonMissing));
        }
        for status in [Some(Final), Some(Partial), None] {
            assert_eq!(check(status, None), Ok(()));
            assert_eq!(check(status, Some("not-available")), Err(ErrorCode::RequestMalformed));
        }
    }

    #[test]
    fn words_belong_to_their_status() {
        assert_eq!(words(ResponseStatus::Refusal, &code("not-available")), Some("the information is not available"));
        assert_eq!(words(ResponseStatus::Extension, &code("not-available")), None);
        assert_eq!(words(ResponseStatus::Refusal, &code("of-a-newer-node")), None);
    }
}
