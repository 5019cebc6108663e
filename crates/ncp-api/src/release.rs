//! Release and holds: what an officer is shown, what the officer signs, and what stops everything.

use core::fmt;
use core::str::FromStr;

use ncp_protocol::approval::{ApprovalCode, ApprovalStatement, ApprovalView, Decision};
use ncp_protocol::codes::{Kind, Precedence};
use ncp_protocol::ids::{Digest, NetworkId, OfficerNumber, ParticipantId, UnixMillis};
use ncp_protocol::keys::Signature;
use serde::{Deserialize, Serialize};

use crate::message::MessageView;

/// `GET /v1/release/{ref}`: exactly what is to be approved, for the officer who asked.
///
/// Whoever shows it decodes [`ReleaseView::manifest`], checks that it opens [`ReleaseView::commitment`] with
/// [`ReleaseView::opening`], and shows the manifest: so the officer signs what was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseView {
    /// The network.
    #[serde(with = "crate::text")]
    pub network: NetworkId,
    /// Whose node shows it.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// To which officer.
    pub officer: u16,
    /// The message.
    pub message: MessageView,
    /// Content commitment.
    #[serde(with = "crate::text")]
    pub commitment: Digest,
    /// To whom, sorted.
    #[serde(with = "crate::text::list")]
    pub recipients: Vec<ParticipantId>,
    /// Order of service.
    #[serde(with = "crate::text")]
    pub precedence: Precedence,
    /// When it expires.
    #[serde(with = "crate::time")]
    pub not_after: UnixMillis,
    /// The encoded content manifest `M`.
    #[serde(with = "crate::text::base64")]
    pub manifest: Vec<u8>,
    /// The 32 bytes `r` that open the commitment.
    #[serde(with = "crate::text::base64")]
    pub opening: Vec<u8>,
    /// The short code for this officer and exactly this view.
    #[serde(with = "crate::text")]
    pub code: ApprovalCode,
}

impl ReleaseView {
    /// The statement that the officer signs.
    #[must_use]
    pub fn statement(&self, decision: Decision) -> ApprovalStatement {
        let view = ApprovalView {
            network: self.network,
            participant: self.participant,
            message: self.message.message,
            commitment: self.commitment,
            recipients: self.recipients.clone(),
            precedence: self.precedence,
            not_after: self.not_after,
            officer: OfficerNumber(self.officer),
        };
        ApprovalStatement { view, decision, code: self.code }
    }
}

/// `POST /v1/release/{ref}:approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The code that was shown.
    #[serde(with = "crate::text")]
    pub code: ApprovalCode,
    /// The officer's signature over [`ReleaseView::statement`] with [`Decision::Approve`].
    #[serde(with = "crate::text::signature")]
    pub signature: Signature,
}

/// `POST /v1/release/{ref}:reject`: back to the drafter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reject {
    /// The code that was shown.
    #[serde(with = "crate::text")]
    pub code: ApprovalCode,
    /// The officer's signature over [`ReleaseView::statement`] with [`Decision::Reject`].
    #[serde(with = "crate::text::signature")]
    pub signature: Signature,
    /// Why, in words for the drafter; stays in this node.
    pub reason: String,
}

/// What a hold stops, as text: `all`, `to:XB`, `kind:bulletin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldScope {
    /// Everything.
    All,
    /// Everything to one recipient.
    Recipient(ParticipantId),
    /// Everything of one kind.
    Kind(Kind),
}

/// A text is not the scope of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not all, to:PARTICIPANT or kind:KIND")]
pub struct HoldScopeError;

impl FromStr for HoldScope {
    type Err = HoldScopeError;

    fn from_str(text: &str) -> Result<Self, HoldScopeError> {
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            Some(("to", id)) => id.parse().map(Self::Recipient).map_err(|_| HoldScopeError),
            Some(("kind", kind)) => kind.parse().map(Self::Kind).map_err(|_| HoldScopeError),
            None | Some(_) => Err(HoldScopeError),
        }
    }
}

impl fmt::Display for HoldScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::Recipient(id) => f.pad(&format!("to:{id}")),
            Self::Kind(kind) => f.pad(&format!("kind:{kind}")),
        }
    }
}

impl From<ncp_protocol::event::HoldScope> for HoldScope {
    fn from(scope: ncp_protocol::event::HoldScope) -> Self {
        use ncp_protocol::event::HoldScope as Scope;
        match scope {
            Scope::All => Self::All,
            Scope::Recipient(id) => Self::Recipient(id),
            Scope::Kind(kind) => Self::Kind(kind),
        }
    }
}

impl From<HoldScope> for ncp_protocol::event::HoldScope {
    fn from(scope: HoldScope) -> Self {
        match scope {
            HoldScope::All => Self::All,
            HoldScope::Recipient(id) => Self::Recipient(id),
            HoldScope::Kind(kind) => Self::Kind(kind),
        }
    }
}

/// A hold in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What it stops.
    #[serde(with = "crate::text")]
    pub scope: HoldScope,
    /// Who set it; absent if the daemon did.
    #[serde(default)]
    pub officer: Option<u16>,
    /// Since when.
    #[serde(with = "crate::time")]
    pub since: UnixMillis,
    /// How many released messages it stops now.
    pub stopped: u64,
}

/// `GET /v1/holds`, and the answer to setting and lifting one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// All that are in force.
    pub holds: Vec<Hold>,
}

/// `POST /v1/holds`. Lifting is `DELETE /v1/holds/{scope}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// What it stops.
    #[serde(with = "crate::text")]
    pub scope: HoldScope,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_one_text_each() {
        for text in ["all", "to:XB", "kind:bulletin"] {
            assert_eq!(text.parse::<HoldScope>().map(|scope| scope.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "ALL", "all:", "to:xb", "kind:all", "XB"] {
            assert!(text.parse::<HoldScope>().is_err(), "{text}");
        }
    }
}
