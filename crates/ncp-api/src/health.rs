//! Health, checks, what an officer needs to do now, test messages, logs.

use ncp_protocol::ids::{Digest, LogName, NetworkId, ParticipantId, Reference, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::directory::NetworkClass;
use crate::officer::OfficerRole;
use crate::text::names;

names! {
    /// How a check came out.
    CheckResult {
        /// As it should be.
        Ok = "ok",
        /// Works, but somebody should look.
        Warn = "warn",
        /// Does not work.
        Fail = "fail",
        /// Not configured yet, or skipped because of another check.
        Unset = "unset",
    }
}

/// One check of `doctor` or of the health list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable id: group letter and number, `N03`. C configuration, K keys, N connection, S storage, P policy, I national
    /// systems.
    pub id: String,
    /// What was found, in one line without full stop.
    pub title: String,
    /// How it came out.
    pub result: CheckResult,
    /// The error's code, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it failed or warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What to do.
    #[serde(rename = "try", default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub millis: Option<u64>,
}

impl Check {
    /// The name of the group that the id's letter stands for.
    #[must_use]
    pub fn group(&self) -> &'static str {
        match self.id.chars().next() {
            Some('C') => "configuration",
            Some('K') => "keys",
            Some('N') => "connection",
            Some('S') => "storage",
            Some('P') => "policy",
            Some('I') => "national systems",
            Some(_) | None => "other",
        }
    }
}

/// `GET /v1/doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// All checks, by id.
    pub checks: Vec<Check>,
}

/// The link to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubLink {
    /// The configured address.
    pub address: String,
    /// Whether the link stands.
    pub connected: bool,
    /// Since when it stands, or is down.
    #[serde(with = "crate::time::option", default)]
    pub since: Option<UnixMillis>,
    /// Why the last attempt failed.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `GET /v1/health`. Without officer; `/livez` and `/readyz` answer 200 or 503 with the same body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The worst result of all checks.
    pub overall: CheckResult,
    /// Whether it can sign and store now.
    pub ready: bool,
    /// Program and version, `ncp-node 0.1.0`.
    pub version: String,
    /// Whose daemon it is; `HUB` for the relay.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// The network.
    #[serde(with = "crate::text")]
    pub network: NetworkId,
    /// Its class.
    pub class: NetworkClass,
    /// The daemon's clock.
    #[serde(with = "crate::time")]
    pub now: UnixMillis,
    /// When it started.
    #[serde(with = "crate::time")]
    pub started: UnixMillis,
    /// The link to the hub; absent for the relay.
    #[serde(default)]
    pub hub: Option<HubLink>,
    /// Events in the journal. It is also the cursor of now: feed and inbox after it hold only what comes later.
    pub journal_events: u64,
    /// Free bytes of the data folder's file system.
    pub free_bytes: u64,
    /// What is not as it should be, and what was checked.
    pub checks: Vec<Check>,
}

names! {
    /// What an officer can be needed for.
    NeedKind {
        /// Messages of others wait for this officer's approval.
        Release = "release",
        /// Own drafts came back.
        Rejected = "rejected",
        /// Incoming messages that nobody opened.
        Unread = "unread",
        /// Requests whose answer is due soon.
        DueSoon = "due-soon",
        /// Requests whose answer is overdue.
        Overdue = "overdue",
        /// Services contributed to requests that are not answered.
        Contributions = "contributions",
        /// Sent messages that failed.
        Failed = "failed",
        /// Holds in force.
        Holds = "holds",
        /// Directory entries whose fingerprint nobody compared.
        Unpinned = "unpinned",
    }
}

/// One thing that needs the officer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// What.
    pub what: NeedKind,
    /// How many.
    pub count: u64,
    /// The most pressing ones, at most five.
    #[serde(with = "crate::text::list", default)]
    pub first: Vec<Reference>,
    /// The nearest time by which something is due.
    #[serde(with = "crate::time::option", default)]
    pub due: Option<UnixMillis>,
}

/// `GET /v1/me`: what needs this officer, most pressing first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Number of the officer who asked.
    pub officer: u16,
    /// The officer's roles.
    pub roles: Vec<OfficerRole>,
    /// Whose node it is.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// The link to the hub.
    pub hub: HubLink,
    /// Messages in the outbox without R2.
    pub outbox: u64,
    /// What needs the officer.
    pub needs: Vec<Need>,
}

/// `POST /v1/ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// A participant; `HUB` asks the link alone, others get a test message through the whole chain.
    #[serde(with = "crate::text")]
    pub to: ParticipantId,
    /// How long to wait for the whole, in seconds, at most [`crate::WAIT_MAX_SECONDS`]; 25 unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u16>,
}

/// Answer to a ping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// Who was asked.
    #[serde(with = "crate::text")]
    pub to: ParticipantId,
    /// The test message.
    #[serde(with = "crate::text::option", default)]
    pub reference: Option<Reference>,
    /// Steps and their time since the start, in milliseconds: `accepted`, `delivered`, or `round trip`.
    pub steps: Vec<PongStep>,
}

/// One step of a ping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PongStep {
    /// What came back.
    pub what: String,
    /// After how many milliseconds.
    pub millis: u64,
}

/// `GET /v1/audit/head`: the newest synced checkpoint of each log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// One entry for each log.
    pub logs: Vec<LogHead>,
}

/// Where a log stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHead {
    /// Which log.
    #[serde(with = "crate::text")]
    pub log: LogName,
    /// The origin, `ncp/<network>/<id>/<log>/<epoch>`.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// Root at that size.
    #[serde(with = "crate::text")]
    pub root: Digest,
    /// The signed checkpoint (C2SP tlog-checkpoint).
    pub checkpoint: String,
}
