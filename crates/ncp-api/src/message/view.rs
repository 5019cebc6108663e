//! What the node shows of messages: one message whole, rows of lists, what would happen, what was done.

use ncp_protocol::codes::{Code, Handling, Kind, Precedence, ResponseStatus, UrgentGround};
use ncp_protocol::ids::{Digest, MessageId, ParticipantId, Reference, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{ContentState, Direction, FormContent, MessageName, MessageState};
use crate::text::names;

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
        /// The recipient has it, or may have it: a withdrawal message asks it to delete.
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

/// Answer to `POST /v1/blobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobCreated {
    /// Its id, to be named in [`super::Attachment::blob`] within 24 h.
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
