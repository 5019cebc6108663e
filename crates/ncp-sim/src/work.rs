//! What officers do: they draft, approve, open, answer, withdraw, stop and let go; and they ask again when they got no
//! answer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use ncp_node::core::command::{Ask, Done, Judgement, PutUp, Refusal, body_record, content_record};
use ncp_node::core::tables::{HOLD, IN, InRow};
use ncp_node::vault::StoredContent;
use ncp_policy::Rules;
use ncp_protocol::approval::Decision;
use ncp_protocol::body::{BodyDigest, ContentKey};
use ncp_protocol::codes::{Handling, Kind, Precedence, ResponseStatus};
use ncp_protocol::envelope::DraftMessage;
use ncp_protocol::event::{Asked, Draft, HoldScope};
use ncp_protocol::ids::{ConversationId, Digest, MessageId, NetworkId, ParticipantId, Reference, UnixMillis};
use ncp_protocol::keys::{Signature, SigningKey, sha256};
use ncp_protocol::limits::{DAY_MS, PROTOCOL_VERSION};
use ncp_protocol::manifest::{InReplyTo, Manifest, Part};
use ncp_store::bodies::{Begun, Expect, Start, UploadRequest};
use ncp_store::spool::Record;

use crate::chance::Chance;
use crate::hub::Moment;
use crate::machine::SimReader;
use crate::node::{DRAFTER, Node, RELEASER, SUPERVISOR};
use crate::shell::{Halt, Out};

/// A message as its drafter wrote it: what anybody may ever receive of it.
#[derive(Debug, Clone)]
pub struct Paper {
    /// Its row in the journal.
    pub draft: Draft,
    content: Record,
    body: Option<Record>,
}

/// The officers of one node. They outlive their machine and know what they asked.
#[derive(Debug, Default)]
pub struct Office {
    /// Everything that was ever drafted here.
    pub papers: BTreeMap<MessageId, Paper>,
    /// Messages that the node said it has.
    pub taken: BTreeSet<MessageId>,
    requests: u64,
    waiting: BTreeMap<u64, Wish>,
    again: Vec<Wish>,
    to_approve: Vec<MessageId>,
    references: u32,
}

/// What an officer wants.
#[derive(Debug, Clone)]
enum Wish {
    PutUp(MessageId),
    Approve(MessageId),
    Open(ParticipantId, MessageId),
    Withdraw(MessageId),
    Hold(HoldScope),
    Lift(HoldScope),
}

/// What kind of paper is to be written.
struct Order {
    kind: Kind,
    recipients: Vec<ParticipantId>,
    answers: Option<InRow>,
}

/// Who writes, where and when.
pub struct Desk<'a> {
    /// The network.
    pub network: NetworkId,
    /// Whose node.
    pub participant: ParticipantId,
    /// Everybody else.
    pub others: &'a [ParticipantId],
    /// The release rules.
    pub rules: &'a Rules,
}

impl Office {
    /// An officer does something, or asks again.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn act(
        &mut self,
        desk: &Desk<'_>,
        node: &mut Node,
        context: (Moment, &mut Chance, &mut Out),
    ) -> Result<(), Halt> {
        let (moment, chance, out) = context;
        if let Some(wish) = self.again.pop() {
            self.ask(desk, node, wish, (moment, chance, out));
            return Ok(());
        }
        if let Some(message) = self.to_approve.pop() {
            self.ask(desk, node, Wish::Approve(message), (moment, chance, out));
            return Ok(());
        }
        let Some(reader) = node.machine.reader().cloned() else { return Ok(()) };
        let wish = match chance.below(100) {
            0..55 => self.draft(desk, node, &reader, None, (moment, &mut *chance))?,
            55..75 => unopened(&reader, chance)?.map(|(originator, message)| Wish::Open(originator, message)),
            75..83 => {
                let request = unanswered(&reader, chance)?;
                match request {
                    Some(row) => self.draft(desk, node, &reader, Some(row), (moment, &mut *chance))?,
                    None => None,
                }
            }
            83..91 => {
                let taken: Vec<MessageId> = self.taken.iter().copied().collect();
                let recent = taken.len().saturating_sub(8);
                chance.pick(taken.get(recent..).unwrap_or_default()).map(|message| Wish::Withdraw(*message))
            }
            91..94 => {
                let recipient = chance.pick(desk.others).map(|other| HoldScope::Recipient(*other));
                let scope = if chance.below(2) == 0 { HoldScope::All } else { recipient.unwrap_or(HoldScope::All) };
                Some(Wish::Hold(scope))
            }
            _ => lifted(&reader)?.map(Wish::Lift),
        };
        if let Some(wish) = wish {
            self.ask(desk, node, wish, (moment, chance, out));
        }
        Ok(())
    }

    /// Takes the answers that came.
    ///
    /// # Errors
    /// [`Halt::Wrong`] for an answer that an honest node never gives.
    pub fn hear(&mut self, answers: Vec<(u64, Result<Done, Refusal>)>) -> Result<(), Halt> {
        for (request, reply) in answers {
            let Some(wish) = self.waiting.remove(&request) else { continue };
            match (wish, reply) {
                (Wish::PutUp(message), Ok(Done::Message { message: same, approvals_missing, .. })) => {
                    if same != message {
                        return Err(Halt::wrong(format_args!("I3: {message} was put up as {same}")));
                    }
                    self.taken.insert(message);
                    if approvals_missing > 0 {
                        self.to_approve.push(message);
                    }
                }
                // A retry may come when the time has run out, or a request was answered by another officer.
                (Wish::PutUp(_), Err(Refusal::LifetimeOutOfRange))
                | (Wish::Approve(_), Err(Refusal::WrongState(_) | Refusal::LifetimeOutOfRange))
                | (Wish::Approve(_), Ok(_))
                | (Wish::Withdraw(_) | Wish::Hold(_) | Wish::Open(..), Ok(_))
                | (Wish::Lift(_), Ok(_) | Err(Refusal::UnknownHold)) => {}
                (wish, reply) => return Err(Halt::wrong(format_args!("{wish:?} is answered {reply:?}"))),
            }
        }
        Ok(())
    }

    /// The node has gone down: what was not answered is asked again.
    pub fn lost(&mut self) {
        let waiting = core::mem::take(&mut self.waiting);
        self.again.extend(waiting.into_values());
    }

    /// Nothing is to be stopped any more; what is left to approve is approved.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn wind_up(
        &mut self,
        desk: &Desk<'_>,
        node: &mut Node,
        context: (Moment, &mut Chance, &mut Out),
    ) -> Result<(), Halt> {
        let (moment, chance, out) = context;
        let Some(reader) = node.machine.reader().cloned() else { return Ok(()) };
        if !self.waiting.is_empty() {
            return Ok(());
        }
        let mut wishes = core::mem::take(&mut self.again);
        wishes.extend(core::mem::take(&mut self.to_approve).into_iter().map(Wish::Approve));
        wishes.extend(lifted(&reader)?.map(Wish::Lift));
        for wish in wishes {
            self.ask(desk, node, wish, (moment, &mut *chance, &mut *out));
        }
        Ok(())
    }

    /// Whether anybody waits for an answer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.again.is_empty() && self.to_approve.is_empty()
    }

    fn ask(&mut self, desk: &Desk<'_>, node: &mut Node, wish: Wish, context: (Moment, &mut Chance, &mut Out)) {
        let (officer, ask) = match &wish {
            Wish::PutUp(message) => {
                let Some(paper) = self.papers.get(message) else { return };
                let Paper { draft, content, body } = paper.clone();
                (DRAFTER, Ask::PutUp(PutUp { draft, content, body, rules: desk.rules.clone() }))
            }
            Wish::Approve(message) => (RELEASER, Ask::Judge(judgement(*message, desk.rules))),
            Wish::Open(originator, message) => (DRAFTER, Ask::HandOver { message: (*originator, *message) }),
            Wish::Withdraw(message) => (DRAFTER, Ask::Withdraw { message: *message }),
            Wish::Hold(scope) => (SUPERVISOR, Ask::SetHold(*scope)),
            Wish::Lift(scope) => (SUPERVISOR, Ask::LiftHold(*scope)),
        };
        self.requests += 1;
        self.waiting.insert(self.requests, wish);
        node.request(self.requests, officer, ask, context);
    }

    /// Writes a paper and puts its body where the node's own composer would.
    fn draft(
        &mut self,
        desk: &Desk<'_>,
        node: &Node,
        reader: &SimReader,
        answers: Option<InRow>,
        (moment, chance): (Moment, &mut Chance),
    ) -> Result<Option<Wish>, Halt> {
        let order = match answers {
            Some(row) => {
                let recipients = vec![row.received.envelope.originator];
                Order { kind: Kind::Response, recipients, answers: Some(row) }
            }
            None => {
                let kind = match chance.below(10) {
                    0..6 => Kind::Notice,
                    6..8 => Kind::Request,
                    _ => Kind::Test,
                };
                let mut recipients: Vec<ParticipantId> =
                    desk.others.iter().filter(|_| chance.below(2) == 0).copied().collect();
                recipients.extend(chance.pick(desk.others).filter(|_| recipients.is_empty()));
                recipients.sort();
                Order { kind, recipients, answers: None }
            }
        };
        if order.recipients.is_empty() {
            return Ok(None);
        }
        self.references += 1;
        let length = if chance.below(16) == 0 { chance.between(70_000, 150_000) } else { chance.between(1, 3_000) };
        let part = vec![u8::try_from(chance.below(256)).unwrap_or(0); usize::try_from(length).unwrap_or(1)];
        let manifest = manifest(desk, &order, self.references, &part, chance);
        let message = manifest.message;
        let (frozen, cek) = (DraftMessage::new(manifest, &chance.bytes()), ContentKey::from_bytes(&chance.bytes()));
        let frozen = frozen.map_err(|error| Halt::wrong(format_args!("a draft of the simulator: {error}")))?;
        let (digest, mut chunks) = seal(&frozen, &cek, &part)?;
        let body = if chunks.len() == 1 {
            chunks.pop().map(|bytes| Record { name: body_record(digest.root), bytes })
        } else {
            upload(reader, desk.participant, message, &chunks, moment.wall)?;
            None
        };
        let stored = StoredContent {
            cek,
            r: *frozen.r(),
            manifest: frozen.manifest_bytes().to_vec(),
            national_ref: None,
            tasks: Vec::new(),
        };
        let name = content_record(desk.participant, message, 1);
        let content = node.vault().seal_content_under(chance.bytes(), name, &stored);
        let draft = draft_row(&frozen, digest, moment.wall, chance);
        self.papers.insert(message, Paper { draft, content, body });
        Ok(Some(Wish::PutUp(message)))
    }
}

fn manifest(desk: &Desk<'_>, order: &Order, number: u32, part: &[u8], chance: &mut Chance) -> Manifest {
    let message = MessageId::from_random(chance.bytes());
    let cited = order.answers.as_ref().map(|row| &row.received);
    let conversation = cited.map_or(ConversationId(message), |received| received.conversation);
    let answered =
        cited.map(|received| InReplyTo { message: received.envelope.message, commitment: received.commitment });
    let reference = Reference::new(desk.participant, 2027, number);
    let (Ok(reference), Ok(subject), Ok(name), Ok(media_type)) =
        (reference, "Simulated".parse(), "part".parse(), "application/octet-stream".parse())
    else {
        panic!("the simulator writes bad names")
    };
    Manifest {
        version: PROTOCOL_VERSION,
        network: desk.network,
        message,
        reference,
        originator: desk.participant,
        recipients: order.recipients.clone(),
        conversation,
        in_reply_to: answered,
        kind: order.kind,
        response_status: (order.kind == Kind::Response).then_some(ResponseStatus::Final),
        subject,
        subject_code: None,
        form: None,
        handling: Handling::H0,
        restriction: None,
        urgent_ground: None,
        answer_by: None,
        also_sent_through: Vec::new(),
        reason: None,
        parts: vec![Part { name, media_type, length: part.len() as u64, sha256: sha256(part) }],
    }
}

fn draft_row(frozen: &DraftMessage, body: BodyDigest, now: UnixMillis, chance: &mut Chance) -> Draft {
    let manifest = frozen.manifest();
    // One in five has little time: it expires if the hub or its recipient is away.
    let lifetime = if chance.below(5) == 0 { chance.between(61_000, 600_000) } else { 5 * DAY_MS };
    let precedence = if chance.below(3) == 0 { Precedence::Priority } else { Precedence::Routine };
    let Ok(rule) = "unjudged".parse() else { panic!("not a code") };
    Draft {
        message: manifest.message,
        revision: 1,
        reference: manifest.reference,
        conversation: manifest.conversation,
        in_reply_to: manifest.in_reply_to.map(|cited| cited.message),
        kind: manifest.kind,
        response_status: manifest.response_status,
        reason: None,
        precedence,
        handling: manifest.handling,
        recipients: manifest.recipients.clone(),
        not_after: now.plus_millis(lifetime),
        answer_by: None,
        commitment: frozen.commitment(),
        root: body.root,
        body_length: body.length,
        rule,
        rules: Digest([0; 32]),
        asked: Asked { key: sha256(&manifest.message.0), request: frozen.commitment() },
        approvals_needed: 0,
    }
}

fn seal(frozen: &DraftMessage, cek: &ContentKey, part: &[u8]) -> Result<(BodyDigest, Vec<Vec<u8>>), Halt> {
    let mut chunks = Vec::new();
    let mut out = |_, bytes| chunks.push(bytes);
    let failed = |error| Halt::wrong(format_args!("a body of the simulator: {error}"));
    let mut sealer = frozen.seal_body(cek, &mut out).map_err(failed)?;
    sealer.update(part, &mut out).map_err(failed)?;
    let digest = sealer.finish(&mut out).map_err(failed)?;
    Ok((digest, chunks))
}

/// A body of several chunks lies on the disk before its event.
fn upload(
    reader: &SimReader,
    originator: ParticipantId,
    message: MessageId,
    chunks: &[Vec<u8>],
    now: UnixMillis,
) -> Result<(), Halt> {
    let limit = 1 << 20;
    let expect = Expect::Any { limit };
    let request =
        UploadRequest { peer: originator, originator, message, expect, start: Start::Afresh, now, quota: 1 << 30 };
    match reader.uploads().upload(&request)? {
        Begun::Complete(_) => Ok(()),
        Begun::Upload(mut upload) => {
            for chunk in chunks {
                upload.append(chunk)?;
            }
            upload.finish()?;
            Ok(())
        }
    }
}

fn judgement(message: MessageId, rules: &Rules) -> Judgement {
    let Ok(code) = "7K4M".parse() else { panic!("not an approval code") };
    let key = SigningKey::from_seed(&[u8::try_from(RELEASER.0).unwrap_or(0); 32]).verifying_key().id();
    Judgement {
        message,
        revision: 1,
        officer: RELEASER,
        key,
        signature: Signature([2; 64]),
        code,
        decision: Decision::Approve,
        rules: rules.clone(),
        note: None,
    }
}

fn unopened(reader: &SimReader, chance: &mut Chance) -> Result<Option<(ParticipantId, MessageId)>, Halt> {
    let mut unopened = Vec::new();
    IN.scan(&reader.view(), &(), |key, row| {
        if row.handover.is_none() {
            unopened.push(key);
        }
        ControlFlow::Continue(())
    })?;
    Ok(chance.pick(&unopened).copied())
}

fn unanswered(reader: &SimReader, chance: &mut Chance) -> Result<Option<InRow>, Halt> {
    let mut requests = Vec::new();
    IN.scan(&reader.view(), &(), |_, row| {
        if row.received.kind == Kind::Request && row.handover.is_some() && row.answer.is_none() {
            requests.push(row);
        }
        ControlFlow::Continue(())
    })?;
    Ok(chance.pick(&requests).cloned())
}

/// A hold that stands.
fn lifted(reader: &SimReader) -> Result<Option<HoldScope>, Halt> {
    let mut found = None;
    HOLD.scan(&reader.view(), &(), |_, row| {
        found = Some(row.scope);
        ControlFlow::Break(())
    })?;
    Ok(found)
}
