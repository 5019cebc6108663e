//! Messages: how they are named, where they stand, and what a caller sends to make one or to do something with one. What
//! the node shows of them is in `view`.
//!
//! Content stands in these types in the clear; they exist in memory and on the socket only.

use core::fmt;
use core::str::FromStr;

use ncp_protocol::codes::{Code, Form, Handling, Kind, Precedence, ResponseStatus, UrgentGround};
use ncp_protocol::ids::{IdError, MessageId, ParticipantId, Reference, UnixMillis};
use serde::{Deserialize, Serialize};

pub use self::view::{
    AnswerView, ApprovalView, BlobCreated, ContributionView, HubHeader, HubView, MessageItem, MessagePage, MessageView,
    PartView, RecipientState, ReleaseNeed, ReturnView, TaskView, Validation, Withdrawal, WithdrawalEffect,
    WithdrawalStep,
};
use crate::text::names;

mod view;

/// Names a message: its reference or its id. Both work wherever a path says `{ref}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageName {
    /// `XA-2026-000417`.
    Reference(Reference),
    /// The message id, a UUID.
    Id(MessageId),
}

impl FromStr for MessageName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.parse() {
            Ok(reference) => Ok(Self::Reference(reference)),
            Err(error) => text.parse().map(Self::Id).map_err(|_| error),
        }
    }
}

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl From<Reference> for MessageName {
    fn from(reference: Reference) -> Self {
        Self::Reference(reference)
    }
}

impl From<MessageId> for MessageName {
    fn from(id: MessageId) -> Self {
        Self::Id(id)
    }
}

names! {
    /// Where a message stands (STYLE: states). A message to several participants stands where the last of them stands.
    MessageState {
        /// Sent back to its drafter, or not put up for release yet.
        Draft = "draft",
        /// Waits for officers.
        WaitingForRelease = "waiting-for-release",
        /// Released, not yet with the hub.
        Queued = "queued",
        /// Released and stopped by a hold.
        Held = "held",
        /// R1: the hub holds it.
        Accepted = "accepted",
        /// R2: stored, verified and opened at the recipient's node. An incoming message that nobody opened stands here.
        Delivered = "delivered",
        /// R3: a service or an officer took it.
        HandedOver = "handed-over",
        /// An answer came, or was given: final, partial or a refusal. The clock stops with it; what a partial answer still
        /// promises is nobody's alarm.
        Answered = "answered",
        /// Withdrawn by its originator.
        Withdrawn = "withdrawn",
        /// Not-after passed before it was delivered.
        Expired = "expired",
        /// Given up, with a code.
        Failed = "failed",
    }
}

names! {
    /// Which way a message went, seen from this node.
    Direction {
        /// This node is the originator.
        Out = "out",
        /// This node is a recipient.
        In = "in",
    }
}

names! {
    /// Whether this node shows a message's content to the officer who asks.
    ContentState {
        /// It is there.
        Shown = "shown",
        /// H3: the officer has not acknowledged the restriction yet, see [`Confirm::restriction_acknowledged`].
        Restricted = "restricted",
        /// The content keys were destroyed.
        Erased = "erased",
    }
}

/// A coded form with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormContent {
    /// Which form, `vehicle/2`.
    #[serde(with = "crate::text")]
    pub form: Form,
    /// Values by field name.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// A file that was uploaded and shall be a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Name that the recipient sees: no path, no control characters, at most 200 bytes.
    pub name: String,
    /// Media type, such as `image/jpeg`.
    pub media_type: String,
    /// Id that `POST /v1/blobs` returned; in an edit also `part:3`, part 3 of the present revision.
    pub blob: String,
}

impl Attachment {
    /// In an edit: an attachment that stays.
    #[must_use]
    pub fn kept(part: &PartView) -> Self {
        Self {
            name: part.name.clone(),
            media_type: part.media_type.clone(),
            blob: format!("{KEPT_PREFIX}{}", part.number),
        }
    }
}

/// Before the number of a part in [`Attachment::blob`].
pub const KEPT_PREFIX: &str = "part:";

/// `POST /v1/messages`, `POST /v1/messages:validate` and `PATCH /v1/messages/{ref}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// To whom, 1 to 80, each once. `["all"]` is not a recipient: the command resolves groups.
    #[serde(with = "crate::text::list")]
    pub to: Vec<ParticipantId>,
    /// What it is.
    #[serde(with = "crate::text")]
    pub kind: Kind,
    /// How fast; routine unless said otherwise.
    #[serde(with = "crate::text", default = "routine")]
    pub precedence: Precedence,
    /// Needed if urgent.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub urgent_ground: Option<UrgentGround>,
    /// What the recipients may do with it.
    #[serde(with = "crate::text::handling")]
    pub handling: Handling,
    /// The restriction in words; needed exactly with H3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// One line, 1 to 512 bytes.
    pub subject: String,
    /// Code of the subject catalogue.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub subject_code: Option<Code>,
    /// A coded form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<FormContent>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// When an answer is wanted.
    #[serde(with = "crate::time::option", default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<UnixMillis>,
    /// How long it may travel, in days ([`LIFETIME_DAYS`](ncp_protocol::limits::LIFETIME_DAYS)); what the node is configured for if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_days: Option<u16>,
    /// The message that this one answers.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<MessageName>,
    /// For a response: what sort of answer.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus>,
    /// For a refusal or extension: why.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    /// Other channels through which the same was sent.
    #[serde(with = "crate::text::list", default, skip_serializing_if = "Vec::is_empty")]
    pub also_sent_through: Vec<Code>,
    /// Tasks of the answered request whose contributions become parts of this message, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<u16>,
    /// The caller's own number; comes back everywhere, never leaves the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub national_ref: Option<String>,
}

fn routine() -> Precedence {
    Precedence::Routine
}

/// `POST /v1/messages/{ref}:respond`: a [`NewMessage`] whose recipient, conversation and kind follow from `{ref}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewResponse {
    /// What sort of answer.
    #[serde(with = "crate::text")]
    pub status: ResponseStatus,
    /// For a refusal or extension: why.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    /// How fast; as the request unless said otherwise.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub precedence: Option<Precedence>,
    /// Needed if urgent; as the request unless said otherwise.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub urgent_ground: Option<UrgentGround>,
    /// What the recipient may do with it.
    #[serde(with = "crate::text::handling")]
    pub handling: Handling,
    /// The restriction in words; needed exactly with H3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// One line; "Re: " and the request's subject unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A coded form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<FormContent>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// For an extension: when the answer comes.
    #[serde(with = "crate::time::option", default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<UnixMillis>,
    /// How long it may travel, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_days: Option<u16>,
    /// Tasks whose contributions become parts of the answer, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contributions: Vec<u16>,
    /// The caller's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub national_ref: Option<String>,
}

/// `POST /v1/messages/{ref}:assign`: asks national services to contribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// Codes of services from the node's configuration, each once.
    #[serde(with = "crate::text::list")]
    pub services: Vec<Code>,
    /// What each is asked, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `POST /v1/messages/{ref}:contribute`: what a service found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribute {
    /// Number of the task within the request.
    pub task: u16,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// `POST /v1/messages/{ref}:withdraw`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Why, in words; travels sealed in the withdrawal message, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/inbox/{ref}:confirm`: R3. The first one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// What was done with it.
    pub status: ConfirmStatus,
    /// The taker's own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub national_ref: Option<String>,
    /// H3: the restriction was read.
    #[serde(default)]
    pub restriction_acknowledged: bool,
}

names! {
    /// What a taker says.
    ConfirmStatus {
        /// It was taken and will be worked on.
        Processed = "processed",
    }
}

/// The subject of an answer that names none: `Re: ` once, cut to what a subject may have.
#[must_use]
pub fn reply_subject(subject: &str) -> String {
    let full = if subject.starts_with("Re: ") { subject.to_owned() } else { format!("Re: {subject}") };
    let mut short = String::new();
    for c in full.chars() {
        if short.len() + c.len_utf8() > ncp_protocol::limits::SUBJECT_MAX {
            break;
        }
        short.push(c);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_subjects_are_short_and_say_re_once() {
        assert_eq!(reply_subject("Grey van"), "Re: Grey van");
        assert_eq!(reply_subject("Re: Grey van"), "Re: Grey van");
        assert_eq!(reply_subject(&"ä".repeat(256)).len(), 512);
    }

    #[test]
    fn a_short_request_is_enough() {
        let text = r#"{"to":["XB"],"kind":"request","handling":"H2","subject":"Grey van"}"#;
        let message: NewMessage = serde_json::from_str(text).expect("reads");
        assert_eq!(message.precedence, Precedence::Routine);
        let json = serde_json::to_string(&message).expect("writes");
        assert_eq!(
            json,
            r#"{"to":["XB"],"kind":"request","precedence":"routine","handling":"H2","subject":"Grey van"}"#
        );
    }

    #[test]
    fn an_unknown_member_is_refused() {
        let text = r#"{"to":["XB"],"kind":"request","handling":"H2","subject":"x","urgentground":"life-or-limb"}"#;
        let error = serde_json::from_str::<NewMessage>(text).expect_err("misspelt").to_string();
        assert!(error.contains("urgentground"), "{error}");
    }

    #[test]
    fn a_message_has_two_names() {
        let id = MessageId::from_random([1; 16]);
        assert_eq!(id.to_string().parse(), Ok(MessageName::Id(id)));
        let name: MessageName = "XA-2026-000417".parse().expect("reference");
        assert_eq!(name.to_string(), "XA-2026-000417");
        assert!("XA/2026".parse::<MessageName>().is_err());
    }
}
