//! The event feed: CloudEvents 1.0 as JSON Lines, ordered, replayable from a cursor, each at least once, never content.

use ncp_protocol::ids::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::text::names;

names! {
    /// Types of events.
    FeedType {
        /// Drafted here.
        MessageCreated = "org.ncp.message.created.v1",
        /// Released.
        MessageReleased = "org.ncp.message.released.v1",
        /// R1.
        MessageAccepted = "org.ncp.message.accepted.v1",
        /// R2.
        MessageDelivered = "org.ncp.message.delivered.v1",
        /// R3.
        MessageHandedOver = "org.ncp.message.handed_over.v1",
        /// Withdrawn or recalled.
        MessageWithdrawn = "org.ncp.message.withdrawn.v1",
        /// Given up.
        MessageFailed = "org.ncp.message.failed.v1",
        /// Not-after passed: by this node's clock, and again when the hub says so. If the hub had it all the same, delivery may follow.
        MessageExpired = "org.ncp.message.expired.v1",
        /// Arrived here.
        MessageReceived = "org.ncp.message.received.v1",
        /// A request arrived here.
        RequestReceived = "org.ncp.request.received.v1",
        /// A service was asked to contribute.
        RequestAssigned = "org.ncp.request.assigned.v1",
        /// Nobody opened it in time.
        RequestUnread = "org.ncp.request.unread.v1",
        /// Its answer is due soon.
        RequestDueSoon = "org.ncp.request.due_soon.v1",
        /// Its answer is overdue.
        RequestOverdue = "org.ncp.request.overdue.v1",
        /// Answered.
        RequestAnswered = "org.ncp.request.answered.v1",
        /// An entry was accepted, pinned or suspended.
        DirectoryChanged = "org.ncp.directory.changed.v1",
        /// A key of this node changed.
        KeyChanged = "org.ncp.key.changed.v1",
        /// Health changed, or a hold was set or lifted.
        HealthChanged = "org.ncp.health.changed.v1",
    }
}

/// One event of the feed (CloudEvents 1.0, JSON format). Its `id` is the cursor after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEvent {
    /// `1.0`.
    pub specversion: String,
    /// How many events the journal holds up to and with this one, decimal: unique and rising; pass it as `after`.
    pub id: String,
    /// `urn:ncp:<network>:<participant>`.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: FeedType,
    /// The reference or participant that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When.
    #[serde(with = "crate::time")]
    pub time: UnixMillis,
    /// Codes and ids, never content.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub data: serde_json::Map<String, serde_json::Value>,
}
