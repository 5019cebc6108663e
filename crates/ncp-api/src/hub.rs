//! The relay's side: status of the hub, and what its operator changes.
//!
//! Entries, membership and root are signed outside the relay, with role keys that it never holds; it verifies, records
//! and hands on.

use ncp_protocol::codes::Code;
use ncp_protocol::directory::Fingerprint;
use ncp_protocol::ids::{NetworkId, ParticipantId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::directory::NetworkClass;

/// One participant as the hub sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubPeer {
    /// Who.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// Whether its link stands.
    pub connected: bool,
    /// Since when it stands, or is down; absent if it never stood.
    #[serde(with = "crate::time::option", default)]
    pub since: Option<UnixMillis>,
    /// Envelopes that wait for it.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// When the oldest of them was accepted.
    #[serde(with = "crate::time::option", default)]
    pub oldest: Option<UnixMillis>,
    /// When it last submitted something.
    #[serde(with = "crate::time::option", default)]
    pub last_accepted: Option<UnixMillis>,
    /// Version of its entry.
    pub entry_version: u32,
    /// SHA-256 of its signed entry of version 0.
    #[serde(with = "crate::text")]
    pub fingerprint: Fingerprint,
    /// Why it is suspended, if it is.
    #[serde(with = "crate::text::option", default)]
    pub suspended: Option<Code>,
    /// When it last showed a log that excludes what it had shown before, since the hub started: two copies of its data
    /// folder are in use, or an old one was put back.
    #[serde(with = "crate::time::option", default)]
    pub forked: Option<UnixMillis>,
}

/// `GET /v1/hub/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubStatus {
    /// Program and version.
    pub version: String,
    /// The network.
    #[serde(with = "crate::text")]
    pub network: NetworkId,
    /// Its class.
    pub class: NetworkClass,
    /// Address that it listens on.
    pub listen: String,
    /// When it started.
    #[serde(with = "crate::time")]
    pub started: UnixMillis,
    /// Leaves of the log `traffic`.
    pub traffic_size: u64,
    /// Leaves of the log `public`.
    pub public_size: u64,
    /// Version of the membership statement.
    pub membership_version: u32,
    /// Until when the newest timestamp is valid.
    #[serde(with = "crate::time::option", default)]
    pub timestamp_until: Option<UnixMillis>,
    /// All participants, by id.
    pub peers: Vec<HubPeer>,
}

/// `POST /v1/hub/admit`: signed bytes, all as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubAdmit {
    /// The participant's signed entries, oldest first, one at least; those that the relay knows may be among them.
    #[serde(with = "crate::text::base64_list")]
    pub entries: Vec<Vec<u8>>,
    /// The signed membership statement that names it.
    #[serde(with = "crate::text::base64")]
    pub membership: Vec<u8>,
    /// Newer versions of the root of trust, oldest first; usually none.
    #[serde(with = "crate::text::base64_list", default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<Vec<u8>>,
}

/// `POST /v1/hub/suspend` and `/v1/hub/reinstate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubMembership {
    /// Whom it is about.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// The signed membership statement that says so.
    #[serde(with = "crate::text::base64")]
    pub membership: Vec<u8>,
}

/// Answer to admit, suspend and reinstate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRecorded {
    /// Whom it is about.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// Version of the entry in force.
    pub entry_version: u32,
    /// Version of the membership statement in force.
    pub membership_version: u32,
    /// Place of the event in the log `public`.
    pub public_index: u64,
}
