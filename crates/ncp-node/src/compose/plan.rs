//! The plan of a message: every check that needs no sealing, in an order that people expect, each with its own error.

use std::collections::BTreeSet;

use ncp_api::message::{NewMessage, Validation};
use ncp_api::{ErrorCode, Fault, forms, reasons};
use ncp_policy::Allowed;
use ncp_protocol::body::BodyDigest;
use ncp_protocol::codes::{Code, Form, Handling, Kind, Precedence, ResponseStatus, UrgentGround};
use ncp_protocol::directory::MembershipClass;
use ncp_protocol::event::Draft;
use ncp_protocol::ids::{ConversationId, Digest, ParticipantId, UnixMillis};
use ncp_protocol::limits::{
    ALSO_SENT_THROUGH_MAX, DAY_MS, LIFETIME_DAYS, MESSAGE_MAX, PARTS_MAX, PROTOCOL_VERSION, RECIPIENTS_MAX,
};
use ncp_protocol::manifest::{InReplyTo, Manifest, Subject};

use super::gather::{self, PlannedPart};
use super::{Base, Cited, content_of};
use crate::clock;
use crate::core::tables::{ENTRY, IN, OUT, OutRow};
use crate::faults::Failed;
use crate::holds;
use crate::node::Node;
use crate::views;

/// What the Secretariat's node is called.
const SECRETARIAT: &str = "SEC";
/// Longest national reference in bytes.
const NATIONAL_REF_MAX: usize = 200;

/// A checked message whose parts are at hand and not sealed yet.
pub(super) struct Plan {
    recipients: Vec<ParticipantId>,
    kind: Kind,
    precedence: Precedence,
    urgent_ground: Option<UrgentGround>,
    handling: Handling,
    restriction: Option<Subject>,
    subject: Subject,
    subject_code: Option<Code>,
    form: Option<Form>,
    answer_by: Option<UnixMillis>,
    not_after: UnixMillis,
    response_status: Option<ResponseStatus>,
    reason: Option<Code>,
    also_sent_through: Vec<Code>,
    cited: Option<Cited>,
    conversation: Option<ConversationId>,
    allowed: Allowed,
    pub(super) national_ref: Option<String>,
    pub(super) parts: Vec<PlannedPart>,
}

impl Plan {
    /// Checks what is asked; `edited` is the message that it replaces.
    pub(super) fn check(node: &Node, asked: &NewMessage, edited: Option<&OutRow>) -> Result<Self, Failed> {
        let now = clock::now();
        let recipients = recipients(node, &asked.to)?;
        check_kind(node, asked)?;
        let restriction = restriction(asked)?;
        let subject = subject(&asked.subject)?;
        asked.form.as_ref().map_or(Ok(()), |form| forms::check(form).map(drop))?;
        let not_after = not_after(node, asked, now)?;
        check_answer(asked, now)?;
        let cited = cited(node, asked)?;
        if let Some(row) = edited
            && cited.map(|cited| cited.message) != row.draft.in_reply_to
        {
            let fault = ErrorCode::ReplyTargetInvalid.with("reference", row.draft.reference);
            return Err(fault.with("reason", "an edit keeps what the message answers").field("in_reply_to").into());
        }
        let allowed = allowed(node, &recipients, asked)?;
        let before = edited.map(|row| content_of(node, row));
        let parts = gather::parts(node, asked, before.as_ref())?;
        check_size(&parts)?;
        Ok(Self {
            recipients,
            kind: asked.kind,
            precedence: asked.precedence,
            urgent_ground: asked.urgent_ground,
            handling: asked.handling,
            restriction,
            subject,
            subject_code: asked.subject_code.clone(),
            form: asked.form.as_ref().map(|form| form.form.clone()),
            answer_by: asked.answer_by,
            not_after,
            response_status: asked.response_status,
            reason: asked.reason.clone(),
            also_sent_through: also_sent_through(asked)?,
            cited,
            conversation: edited.map(|row| row.draft.conversation).or(cited.map(|cited| cited.conversation)),
            allowed,
            national_ref: national_ref(asked)?,
            parts,
        })
    }

    pub(super) fn manifest(&self, node: &Node, base: Base) -> Manifest {
        Manifest {
            version: PROTOCOL_VERSION,
            network: node.network.id(),
            message: base.message,
            reference: base.reference,
            originator: node.participant(),
            recipients: self.recipients.clone(),
            conversation: self.conversation(base),
            in_reply_to: self.cited.map(|cited| InReplyTo { message: cited.message, commitment: cited.commitment }),
            kind: self.kind,
            response_status: self.response_status,
            subject: self.subject.clone(),
            subject_code: self.subject_code.clone(),
            form: self.form.clone(),
            handling: self.handling,
            restriction: self.restriction.clone(),
            urgent_ground: self.urgent_ground,
            answer_by: self.answer_by,
            also_sent_through: self.also_sent_through.clone(),
            reason: self.reason.clone(),
            parts: self.parts.iter().map(|planned| planned.part.clone()).collect(),
        }
    }

    pub(super) fn draft(&self, node: &Node, base: Base, commitment: Digest, body: BodyDigest) -> Draft {
        Draft {
            message: base.message,
            revision: base.revision,
            reference: base.reference,
            conversation: self.conversation(base),
            in_reply_to: self.cited.map(|cited| cited.message),
            kind: self.kind,
            response_status: self.response_status,
            reason: self.reason.clone(),
            precedence: self.precedence,
            handling: self.handling,
            recipients: self.recipients.clone(),
            not_after: self.not_after,
            answer_by: self.answer_by,
            commitment,
            root: body.root,
            body_length: body.length,
            rule: self.allowed.rule.clone(),
            rules: node.settings().rules.digest(),
            asked: base.made_by,
            approvals_needed: self.allowed.approvals,
        }
    }

    /// A message that cites none begins a conversation, which bears its id.
    fn conversation(&self, base: Base) -> ConversationId {
        self.conversation.unwrap_or(ConversationId(base.message))
    }

    /// Part numbers, from 1, with the tasks whose contributions they are.
    pub(super) fn task_parts(&self) -> Vec<(u16, u16)> {
        let numbered = (1u16..).zip(&self.parts);
        numbered.filter_map(|(number, planned)| planned.task.map(|task| (number, task))).collect()
    }

    /// What would happen to the message.
    pub(super) fn validation(&self, node: &Node) -> Result<Validation, Failed> {
        let length: u64 = self.parts.iter().map(|planned| planned.part.length).sum();
        let mut held = false;
        for recipient in &self.recipients {
            held |= holds::stopping(&node.reader().view(), *recipient, self.kind)?.is_some();
        }
        let mut checks = Vec::new();
        if let Some(form) = &self.form {
            checks.push(format!("form {form}"));
        }
        checks.push(format!("{} parts, {length} bytes", self.parts.len()));
        checks.push(format!("handling {}", ncp_api::text::handling::show(self.handling)));
        checks.push(format!("{} recipients, all pinned", self.recipients.len()));
        Ok(Validation {
            checks,
            rule: self.allowed.rule.clone(),
            rule_text: node.settings().rule_texts.get(&self.allowed.rule).cloned(),
            approvals_needed: self.allowed.approvals,
            length,
            held,
        })
    }
}

/// Sorted, each once, all in the directory, pinned and not suspended.
fn recipients(node: &Node, to: &[ParticipantId]) -> Result<Vec<ParticipantId>, Failed> {
    let invalid = |reason: String| ErrorCode::RecipientsInvalid.with("reason", reason).field("to");
    let set: BTreeSet<ParticipantId> = to.iter().copied().collect();
    if set.is_empty() || set.len() > RECIPIENTS_MAX {
        return Err(invalid(format!("{} are named, allowed are 1 to {RECIPIENTS_MAX}", set.len())).into());
    }
    if set.len() != to.len() {
        return Err(invalid("one is named twice".to_owned()).into());
    }
    let view = node.reader().view();
    for participant in &set {
        if *participant == node.participant() || *participant == ParticipantId::HUB {
            return Err(invalid(format!("{participant} cannot be a recipient")).into());
        }
        let row = ENTRY.row(&view, participant)?;
        let row = row.ok_or_else(|| ErrorCode::ParticipantUnknown.with("participant", participant).field("to"))?;
        if row.suspended {
            let fault = ErrorCode::ParticipantSuspended.with("participant", participant);
            return Err(fault.with("reason", views::suspension(node, *participant)).field("to").into());
        }
        if row.pinned.is_none() {
            return Err(ErrorCode::ParticipantNotPinned.with("participant", participant).field("to").into());
        }
    }
    Ok(set.into_iter().collect())
}

fn check_kind(node: &Node, asked: &NewMessage) -> Result<(), Fault> {
    if asked.kind.from_secretariat_alone() && !is_secretariat(node) {
        return Err(ErrorCode::KindNotAllowed.with("kind", asked.kind).with("who", "the Secretariat").field("kind"));
    }
    if asked.precedence == Precedence::Urgent && asked.urgent_ground.is_none() {
        return Err(ErrorCode::UrgentGroundMissing.fault().field("urgent_ground"));
    }
    Ok(())
}

/// By the class that the membership statement gives this node; by its name until the link brought a statement.
fn is_secretariat(node: &Node) -> bool {
    match node.statements.load().class(node.participant()) {
        Some(class) => class == MembershipClass::Secretariat,
        None => node.participant().as_str() == SECRETARIAT,
    }
}

fn restriction(asked: &NewMessage) -> Result<Option<Subject>, Fault> {
    let malformed = |reason: String| ErrorCode::RequestMalformed.with("reason", reason).field("restriction");
    match (&asked.restriction, asked.handling) {
        (None, Handling::H3) => Err(ErrorCode::RestrictionMissing.fault().field("restriction")),
        (None, Handling::H0 | Handling::H1 | Handling::H2) => Ok(None),
        (Some(words), Handling::H3) => {
            words.parse().map(Some).map_err(|error| malformed(format!("the restriction: {error}")))
        }
        (Some(_), Handling::H0 | Handling::H1 | Handling::H2) => {
            Err(malformed("a restriction in words goes with handling H3 alone".to_owned()))
        }
    }
}

fn subject(text: &str) -> Result<Subject, Fault> {
    text.parse().map_err(|error| ErrorCode::SubjectInvalid.with("reason", error).field("subject"))
}

fn not_after(node: &Node, asked: &NewMessage, now: UnixMillis) -> Result<UnixMillis, Fault> {
    let days = asked.lifetime_days.unwrap_or(node.settings().limits.lifetime_days);
    if !LIFETIME_DAYS.contains(&days) {
        let fault = ErrorCode::DateInvalid.with("field", "lifetime_days").with("value", days);
        return Err(fault
            .with("reason", format!("a message lives {} to {} days", LIFETIME_DAYS.start(), LIFETIME_DAYS.end()))
            .field("lifetime_days"));
    }
    Ok(now.plus_millis(u64::from(days) * DAY_MS))
}

/// What a response must say, and nothing else may.
fn check_answer(asked: &NewMessage, now: UnixMillis) -> Result<(), Fault> {
    if let Some(time) = asked.answer_by.filter(|time| *time <= now) {
        let fault = ErrorCode::DateInvalid.with("field", "answer_by").with("value", ncp_api::time::Time(time));
        return Err(fault.with("reason", "it has passed").field("answer_by"));
    }
    if (asked.kind == Kind::Response) != asked.response_status.is_some() {
        let reason = "a response has a status, and nothing else has one";
        return Err(ErrorCode::RequestMalformed.with("reason", reason).field("response_status"));
    }
    if asked.kind == Kind::Response && asked.to.len() != 1 {
        return Err(ErrorCode::RecipientsInvalid.with("reason", "a response goes to whoever asked, alone").field("to"));
    }
    reasons::check(asked.response_status, asked.reason.as_ref())?;
    if asked.response_status == Some(ResponseStatus::Extension) && asked.answer_by.is_none() {
        return Err(ErrorCode::DateMissing.fault().field("answer_by"));
    }
    Ok(())
}

fn cited(node: &Node, asked: &NewMessage) -> Result<Option<Cited>, Failed> {
    let Some(name) = &asked.in_reply_to else {
        if !asked.kind.must_cite() {
            return Ok(None);
        }
        let reason = format!("a {} names the message it is about", asked.kind);
        let fault = ErrorCode::ReplyTargetInvalid.with("reference", "none").with("reason", reason);
        return Err(fault.field("in_reply_to").into());
    };
    let view = node.reader().view();
    let unknown = || ErrorCode::MessageUnknown.with("message", name).field("in_reply_to");
    let (originator, message) = views::find(node, &view, name)?.ok_or_else(unknown)?;
    let cited = if originator == node.participant() {
        OUT.row(&view, &message)?.map(|row| (row.draft.commitment, row.draft.conversation))
    } else {
        IN.row(&view, &(originator, message))?.map(|row| (row.received.commitment, row.received.conversation))
    };
    let (commitment, conversation) = cited.ok_or_else(unknown)?;
    Ok(Some(Cited { message, commitment, conversation }))
}

fn allowed(node: &Node, recipients: &[ParticipantId], asked: &NewMessage) -> Result<Allowed, Fault> {
    node.settings().rules.judge(recipients, asked.kind, asked.handling).map_err(|denied| {
        let recipient = match denied {
            ncp_policy::Denied::NoRule { recipient } => recipient.to_string(),
            ncp_policy::Denied::NoRecipient => "nobody".to_owned(),
        };
        ErrorCode::DeniedByDefault
            .with("kind", asked.kind)
            .with("handling", ncp_api::text::handling::show(asked.handling))
            .with("recipient", recipient)
    })
}

fn also_sent_through(asked: &NewMessage) -> Result<Vec<Code>, Fault> {
    let channels: BTreeSet<Code> = asked.also_sent_through.iter().cloned().collect();
    if channels.len() > ALSO_SENT_THROUGH_MAX {
        let reason = format!("more than {ALSO_SENT_THROUGH_MAX} other channels");
        return Err(ErrorCode::RequestMalformed.with("reason", reason).field("also_sent_through"));
    }
    Ok(channels.into_iter().collect())
}

fn national_ref(asked: &NewMessage) -> Result<Option<String>, Fault> {
    match &asked.national_ref {
        Some(text) if text.len() > NATIONAL_REF_MAX || text.chars().any(char::is_control) => {
            let reason = format!("a national reference has at most {NATIONAL_REF_MAX} bytes and no control characters");
            Err(ErrorCode::RequestMalformed.with("reason", reason).field("national_ref"))
        }
        Some(_) | None => Ok(asked.national_ref.clone()),
    }
}

fn check_size(parts: &[PlannedPart]) -> Result<(), Fault> {
    if parts.is_empty() {
        return Err(ErrorCode::EmptyMessage.fault());
    }
    if parts.len() > PARTS_MAX {
        let fault = ErrorCode::AttachmentTooMany.with("count", parts.len()).with("limit", PARTS_MAX);
        return Err(fault.field("attachments"));
    }
    let length = parts.iter().fold(0u64, |sum, planned| sum.saturating_add(planned.part.length));
    if length > MESSAGE_MAX {
        return Err(ErrorCode::MessageTooLarge.with("length", length).with("limit", MESSAGE_MAX).field("attachments"));
    }
    Ok(())
}
