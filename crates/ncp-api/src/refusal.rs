//! What the hub says about an envelope that it does not take and that is offered again.

use ncp_protocol::ids::{ParticipantId, UnixMillis};
use serde::{Deserialize, Serialize};

/// The hub's refusal of an envelope. It stands until the hub takes the envelope, or until the envelope is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRefusal {
    /// For whom the envelope is.
    #[serde(with = "crate::text")]
    pub recipient: ParticipantId,
    /// Number of the reject code.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// What it means, in one sentence.
    pub words: String,
    /// When the hub refused it first for this reason.
    #[serde(with = "crate::time")]
    pub since: UnixMillis,
    /// When it is offered again.
    #[serde(with = "crate::time")]
    pub next: UnixMillis,
    /// What to do.
    #[serde(rename = "try")]
    pub remedy: String,
}

impl core::fmt::Display for HubRefusal {
    /// `27 CreatedInFuture: the envelope was created in the future`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}: {}", self.number, self.name, self.words)
    }
}
