//! Messages: what a caller sends to make one, and what the node shows of one.
//!
//! Content stands in these types in the clear; they exist in memory and on the socket only.

use core::fmt;
use core::str::FromStr;

use ncp_protocol::codes::{Code, Form, Handling, Kind, Precedence, ResponseStatus, UrgentGround};
use ncp_protocol::ids::{Digest, IdError, MessageId, ParticipantId, Reference, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::text::names;

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

/// Answer to `…:withdraw`: what was done about each recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// The message.
    #[serde(with = "crate::text")]
    pub reference: Reference,
    /// One entry for each recipient.
    pub recipients: Vec<WithdrawalStep>,
    /// The withdrawal message that was drafted, if one is needed.
    #[serde(with = "crate::text::option", default)]
    pub message: Option<Reference>,
}

/// What a withdrawal does about one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalStep {
    /// Who.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// What.
    pub effect: WithdrawalEffect,
}

names! {
    /// How a withdrawal reaches one recipient.
    WithdrawalEffect {
        /// Nothing had left this node: it is gone for good.
        NothingLeft = "nothing-left",
        /// The hub was asked to delete what waits there; its evidence comes.
        RecallRequested = "recall-requested",
        /// The recipient has it: a withdrawal message asks it to delete.
        DeletionAsked = "deletion-asked",
        /// It had ended already.
        EndedBefore = "ended-before",
    }
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartView {
    /// From 1, in the order of the message.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    #[serde(with = "crate::text")]
    pub sha256: Digest,
    /// For a composed answer: the task whose contribution it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u16>,
}

/// Where one recipient's envelope stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientState {
    /// Who.
    #[serde(with = "crate::text")]
    pub participant: ParticipantId,
    /// Where it stands.
    pub state: MessageState,
    /// Number and name of the reject code, if it failed or if the hub refuses it until something changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject: Option<String>,
}

/// An approval that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalView {
    /// Who signed.
    pub officer: u16,
    /// When.
    #[serde(with = "crate::time")]
    pub time: UnixMillis,
}

/// What release takes, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseNeed {
    /// Id of the rule that allowed the message.
    #[serde(with = "crate::text")]
    pub rule: Code,
    /// The rule in words.
    #[serde(default)]
    pub rule_text: Option<String>,
    /// How many approvals it takes.
    pub approvals_needed: u8,
    /// Those that stand.
    pub approvals: Vec<ApprovalView>,
}

/// One task of a request: a service was asked to contribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// From 1 within the request.
    pub task: u16,
    /// Which service.
    #[serde(with = "crate::text")]
    pub service: Code,
    /// When it was asked.
    #[serde(with = "crate::time")]
    pub assigned: UnixMillis,
    /// What it was asked, in words.
    #[serde(default)]
    pub note: Option<String>,
    /// What came back, in order.
    pub contributions: Vec<ContributionView>,
}

/// What a service contributed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContributionView {
    /// When.
    #[serde(with = "crate::time")]
    pub time: UnixMillis,
    /// Entered by which officer, if one did.
    #[serde(default)]
    pub officer: Option<u16>,
    /// Free text.
    #[serde(default)]
    pub text: Option<String>,
    /// Names and lengths of its files.
    pub parts: Vec<PartView>,
}

/// One answer to a message, as its header fields tell; its content is in the answer itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerView {
    /// Which message.
    #[serde(with = "crate::text")]
    pub reference: Reference,
    /// What sort of answer; absent for a clarification and the like.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ResponseStatus>,
    /// For a refusal or extension: why, see [`crate::reasons`].
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
}

/// An officer's rejection of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnView {
    /// Who rejected it.
    pub officer: u16,
    /// When.
    #[serde(with = "crate::time")]
    pub time: UnixMillis,
    /// The officer's words for the drafter, if any were given.
    #[serde(default)]
    pub words: Option<String>,
}

/// A message as this node shows it. Content members are absent when the content was erased or is not acknowledged yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// What people call it.
    #[serde(with = "crate::text")]
    pub reference: Reference,
    /// Its id.
    #[serde(with = "crate::text")]
    pub message: MessageId,
    /// The conversation it belongs to: the id of its first message.
    #[serde(with = "crate::text")]
    pub conversation: MessageId,
    /// From 1; each edit adds one.
    pub revision: u32,
    /// Sent or received.
    pub direction: Direction,
    /// Who signed it.
    #[serde(with = "crate::text")]
    pub originator: ParticipantId,
    /// To whom, with the state of each as far as this node knows.
    pub recipients: Vec<RecipientState>,
    /// What it is.
    #[serde(with = "crate::text")]
    pub kind: Kind,
    /// For a response: what sort of answer.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus>,
    /// For a refusal or extension: why.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Code>,
    /// How fast.
    #[serde(with = "crate::text")]
    pub precedence: Precedence,
    /// Why urgent.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub urgent_ground: Option<UrgentGround>,
    /// What may be done with it.
    #[serde(with = "crate::text::handling")]
    pub handling: Handling,
    /// H3's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// Where it stands.
    pub state: MessageState,
    /// The subject line.
    #[serde(default)]
    pub subject: Option<String>,
    /// Code of the subject catalogue.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub subject_code: Option<Code>,
    /// The coded form.
    #[serde(default)]
    pub form: Option<FormContent>,
    /// Free text.
    #[serde(default)]
    pub text: Option<String>,
    /// All parts, text and form among them.
    pub parts: Vec<PartView>,
    /// When it was drafted, or arrived.
    #[serde(with = "crate::time")]
    pub created: UnixMillis,
    /// When it is void; absent for an incoming message.
    #[serde(with = "crate::time::option", default)]
    pub not_after: Option<UnixMillis>,
    /// When its originator wants an answer; for an extension, when the answer will come.
    #[serde(with = "crate::time::option", default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<UnixMillis>,
    /// When an answer is due, by the clock that both sides show.
    #[serde(with = "crate::time::option", default)]
    pub due: Option<UnixMillis>,
    /// Who drafted or last edited it here.
    #[serde(default)]
    pub drafter: Option<u16>,
    /// What it answers.
    #[serde(with = "crate::text::option", default)]
    pub in_reply_to: Option<MessageName>,
    /// What answers it, in order.
    #[serde(with = "crate::text::list", default)]
    pub answers: Vec<Reference>,
    /// The same answers with what sort each is; a refusal names its reason.
    #[serde(default)]
    pub answered_by: Vec<AnswerView>,
    /// Why it went back to its drafter, as long as nobody edited it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<ReturnView>,
    /// Tasks of national services.
    #[serde(default)]
    pub tasks: Vec<TaskView>,
    /// What release takes; absent for an incoming message.
    #[serde(default)]
    pub release: Option<ReleaseNeed>,
    /// Other channels through which the same was sent.
    #[serde(with = "crate::text::list", default)]
    pub also_sent_through: Vec<Code>,
    /// The caller's own number.
    #[serde(default)]
    pub national_ref: Option<String>,
    /// Whether the content members are there.
    pub content: ContentState,
}

/// One row of a list of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageItem {
    /// What people call it.
    #[serde(with = "crate::text")]
    pub reference: Reference,
    /// Its id.
    #[serde(with = "crate::text")]
    pub message: MessageId,
    /// Sent or received.
    pub direction: Direction,
    /// Who signed it.
    #[serde(with = "crate::text")]
    pub originator: ParticipantId,
    /// To whom.
    #[serde(with = "crate::text::list")]
    pub recipients: Vec<ParticipantId>,
    /// What it is.
    #[serde(with = "crate::text")]
    pub kind: Kind,
    /// For a response: what sort of answer.
    #[serde(with = "crate::text::option", default, skip_serializing_if = "Option::is_none")]
    pub response_status: Option<ResponseStatus>,
    /// How fast.
    #[serde(with = "crate::text")]
    pub precedence: Precedence,
    /// What may be done with it.
    #[serde(with = "crate::text::handling")]
    pub handling: Handling,
    /// Where it stands.
    pub state: MessageState,
    /// The subject line, if the caller may read it and it was not erased.
    #[serde(default)]
    pub subject: Option<String>,
    /// When it was drafted, or arrived.
    #[serde(with = "crate::time")]
    pub created: UnixMillis,
    /// Number and name of the reject code with which the hub refuses it; it is offered again.
    #[serde(default)]
    pub refused: Option<String>,
    /// When the state last changed.
    #[serde(with = "crate::time")]
    pub changed: UnixMillis,
    /// When an answer is due.
    #[serde(with = "crate::time::option", default)]
    pub due: Option<UnixMillis>,
    /// Whether an officer of this node opened it.
    #[serde(default)]
    pub opened: bool,
    /// Tasks without contribution.
    #[serde(default)]
    pub tasks_open: u16,
    /// All tasks.
    #[serde(default)]
    pub tasks: u16,
    /// What it answers.
    #[serde(with = "crate::text::option", default)]
    pub in_reply_to: Option<Reference>,
    /// The caller's own number.
    #[serde(default)]
    pub national_ref: Option<String>,
}

/// `GET /v1/messages`, `GET /v1/inbox`, `GET /v1/outbox`, `GET /v1/release`: one page, in the order of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePage {
    /// The rows.
    pub items: Vec<MessageItem>,
    /// Where the next page begins; pass it as `after`.
    pub cursor: String,
    /// Whether more rows follow now.
    pub more: bool,
}

/// Answer to `POST /v1/messages:validate`: what would happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// What was checked, in words, in order.
    pub checks: Vec<String>,
    /// Id of the rule that allows it.
    #[serde(with = "crate::text")]
    pub rule: Code,
    /// The rule in words.
    #[serde(default)]
    pub rule_text: Option<String>,
    /// How many approvals it takes.
    pub approvals_needed: u8,
    /// Length of all parts in bytes.
    pub length: u64,
    /// Whether a hold would stop it after release.
    pub held: bool,
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

/// Answer to `POST /v1/blobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobCreated {
    /// Its id, to be named in [`Attachment::blob`] within 24 h.
    pub id: String,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    #[serde(with = "crate::text")]
    pub sha256: Digest,
}

/// `GET /v1/messages/{ref}/hub-view`: exactly what the hub sees of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubView {
    /// The message id, which the hub sees; it does not see the reference.
    #[serde(with = "crate::text")]
    pub message: MessageId,
    /// Whether the headers are sealed already; otherwise they are what would be sealed now.
    pub sealed: bool,
    /// One header for each recipient.
    pub headers: Vec<HubHeader>,
}

/// The fields of one header `H`, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubHeader {
    /// The recipient.
    #[serde(with = "crate::text")]
    pub recipient: ParticipantId,
    /// Name and value of each field.
    pub fields: Vec<(String, String)>,
    /// Length of the sealed body, after padding.
    pub body_length: u64,
    /// SHA-256 of the header, if it is sealed.
    #[serde(with = "crate::text::option", default)]
    pub digest: Option<Digest>,
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
