//! Errors of commands: those of the registry, from here or from the daemon.

use core::fmt;

use ncp_api::ErrorCode;

/// What a command fails with.
pub(crate) type Error = ncp_api::ClientError;

/// A fault that the program rules out.
pub(crate) fn internal(reason: &dyn fmt::Display) -> Error {
    ErrorCode::InternalFault.with("reason", reason).into()
}

/// A question that nobody can be asked.
pub(crate) fn input_needed(what: &str, flag: &str) -> Error {
    ErrorCode::InputNeeded.with("what", what).with("flag", flag).into()
}

/// Options that do not go together, or a value that the command does not take.
pub(crate) fn usage(reason: impl fmt::Display, remedy: impl fmt::Display) -> Error {
    ErrorCode::UsageInvalid.with("reason", reason).with("remedy", remedy).into()
}

/// A local file that cannot be read or written.
pub(crate) fn file(path: &std::path::Path, reason: &dyn fmt::Display) -> Error {
    ErrorCode::FileUnusable.with("file", path.display()).with("reason", reason).into()
}
