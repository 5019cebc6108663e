//! Paths of the API, for servers and clients. `{ref}` is a reference or a message id.

use core::fmt::Display;

use ncp_protocol::ids::ParticipantId;

use crate::message::MessageName;
use crate::release::HoldScope;

/// Health; no officer needed.
pub const HEALTH: &str = "/v1/health";
/// The loops turn.
pub const LIVE: &str = "/livez";
/// Can sign and store now.
pub const READY: &str = "/readyz";
/// Metrics, as text.
pub const METRICS: &str = "/metrics";
/// What this officer is needed for.
pub const ME: &str = "/v1/me";
/// The officer table.
pub const OFFICERS: &str = "/v1/officers";
/// Uploads.
pub const BLOBS: &str = "/v1/blobs";
/// Messages.
pub const MESSAGES: &str = "/v1/messages";
/// Dry run of a message.
pub const VALIDATE: &str = "/v1/messages:validate";
/// What arrived.
pub const INBOX: &str = "/v1/inbox";
/// What is on its way.
pub const OUTBOX: &str = "/v1/outbox";
/// What waits for release.
pub const RELEASE: &str = "/v1/release";
/// Holds.
pub const HOLDS: &str = "/v1/holds";
/// The directory.
pub const DIRECTORY: &str = "/v1/directory";
/// The event feed.
pub const EVENTS: &str = "/v1/events";
/// Test messages.
pub const PING: &str = "/v1/ping";
/// Checks.
pub const DOCTOR: &str = "/v1/doctor";
/// Newest checkpoints.
pub const AUDIT_HEAD: &str = "/v1/audit/head";
/// Status of the hub (relay).
pub const HUB_STATUS: &str = "/v1/hub/status";
/// Admits a participant or a new version of its entry (relay).
pub const HUB_ADMIT: &str = "/v1/hub/admit";
/// Suspends a participant (relay).
pub const HUB_SUSPEND: &str = "/v1/hub/suspend";
/// Ends a suspension (relay).
pub const HUB_REINSTATE: &str = "/v1/hub/reinstate";

/// `/v1/messages/{ref}`.
#[must_use]
pub fn message(name: &MessageName) -> String {
    format!("{MESSAGES}/{name}")
}

/// `/v1/messages/{ref}/{what}`: `timeline`, `evidence`, `hub-view`.
#[must_use]
pub fn message_view(name: &MessageName, what: &str) -> String {
    format!("{MESSAGES}/{name}/{what}")
}

/// `/v1/messages/{ref}/parts/{n}`, `n` from 1.
#[must_use]
pub fn message_part(name: &MessageName, part: u16) -> String {
    format!("{MESSAGES}/{name}/parts/{part}")
}

/// `/v1/messages/{ref}/tasks/{task}/{contribution}/parts/{n}`: a file of a contribution, all from 1.
#[must_use]
pub fn contribution_part(name: &MessageName, task: u16, contribution: usize, part: u16) -> String {
    format!("{MESSAGES}/{name}/tasks/{task}/{contribution}/parts/{part}")
}

/// `/v1/messages/{ref}:{verb}`: `respond`, `assign`, `contribute`, `withdraw`, `retry`.
#[must_use]
pub fn message_verb(name: &MessageName, verb: &str) -> String {
    format!("{MESSAGES}/{name}:{verb}")
}

/// `/v1/inbox/{ref}:confirm`.
#[must_use]
pub fn confirm(name: &MessageName) -> String {
    format!("{INBOX}/{name}:confirm")
}

/// `/v1/release/{ref}`.
#[must_use]
pub fn release(name: &MessageName) -> String {
    format!("{RELEASE}/{name}")
}

/// `/v1/release/{ref}:{verb}`: `approve`, `reject`.
#[must_use]
pub fn release_verb(name: &MessageName, verb: &str) -> String {
    format!("{RELEASE}/{name}:{verb}")
}

/// `/v1/holds/{scope}`.
#[must_use]
pub fn hold(scope: &HoldScope) -> String {
    format!("{HOLDS}/{scope}")
}

/// `/v1/directory/{id}:pin`.
#[must_use]
pub fn pin(participant: &ParticipantId) -> String {
    format!("{DIRECTORY}/{participant}:pin")
}

/// `/v1/officers/{n}:disable`.
#[must_use]
pub fn disable_officer(number: u16) -> String {
    format!("{OFFICERS}/{number}:disable")
}

/// A query behind a path: those parameters that have a value, percent-encoded.
#[must_use]
pub fn with_query(path: &str, parameters: &[(&str, Option<&dyn Display>)]) -> String {
    let mut text = path.to_owned();
    let mut separator = '?';
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        text.push(separator);
        separator = '&';
        text.push_str(name);
        text.push('=');
        for byte in value.to_string().bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
                other => text.push_str(&format!("%{other:02X}")),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(with_query("/v1/inbox", &[("after", None), ("wait", None)]), "/v1/inbox");
        assert_eq!(
            with_query("/v1/inbox", &[("after", Some(&"a b&c")), ("state", None), ("wait", Some(&30))]),
            "/v1/inbox?after=a%20b%26c&wait=30"
        );
    }

    #[test]
    fn verbs_follow_a_colon() {
        let name: MessageName = "XA-2026-000417".parse().expect("reference");
        assert_eq!(message_verb(&name, "respond"), "/v1/messages/XA-2026-000417:respond");
        assert_eq!(message_part(&name, 2), "/v1/messages/XA-2026-000417/parts/2");
    }
}
