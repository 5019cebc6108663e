//! A node as its core sees it: rows in a map, a journal in a vector, commands one after the other.

use std::collections::BTreeMap;

use ncp_policy::{Recipients, Rule, Rules};
use ncp_protocol::approval::{ApprovalCode, Decision as Verdict};
use ncp_protocol::codes::{Handling, Kind, Precedence, ResponseStatus};
use ncp_protocol::event::{
    Actor, Asked, Change, Claim, Draft, EnvelopeKey, Event, EvidenceKind, Outcome, Received, Role,
};
use ncp_protocol::ids::{
    ConversationId, Digest, Epoch, LogName, LogOrigin, MessageId, NetworkId, OfficerNumber, PairSequence,
    ParticipantId, Reference, SealNumber, UnixMillis,
};
use ncp_protocol::keys::{KeyError, Signature, SigningKey, VerifyingKey, sha256};
use ncp_protocol::limits::LIFETIME_DEFAULT_MS;
use ncp_store::spool::{Record, RecordKind, RecordName};
use ncp_store::state::{Core as _, Placed, Rows, Unreadable, View};

use crate::core::NodeCore;
use crate::core::command::{
    Ask, Begin, Command, Consigned, Done, Effect, EntryNews, Identity, Judgement, NewOfficer, Noted, PutUp, Refusal,
    Sealed, Stamp, body_record, content_record, envelope_record,
};
use crate::core::tables::{ENVELOPE, EnvelopeRow, OUT, OutRow};

pub(super) const NETWORK: NetworkId = NetworkId(Digest([3; 32]));
/// 2026-11-22T12:00:00Z.
pub(super) const START: UnixMillis = UnixMillis(1_795_348_800_000);

pub(super) fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

pub(super) fn digest(seed: u8) -> Digest {
    Digest([seed; 32])
}

pub(super) fn message(seed: u8) -> MessageId {
    MessageId::from_random([seed; 16])
}

#[derive(Default, Clone, PartialEq, Debug)]
pub(super) struct Map(pub(super) BTreeMap<Vec<u8>, Vec<u8>>);

impl View for Map {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut ncp_store::state::Visit<'_>) -> Result<(), Unreadable> {
        for (key, value) in self.0.range(from.to_vec()..to.to_vec()) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Map {
    fn write(&mut self, rows: &Rows) {
        for (key, value) in rows.iter() {
            match value {
                Some(value) => self.0.insert(key.to_vec(), value.to_vec()),
                None => self.0.remove(key),
            };
        }
    }
}

/// Node XA with officers 1 (drafter), 2 and 3 (releasers), 9 (supervisor and releaser), and rules for each case.
pub(super) struct World {
    pub(super) core: NodeCore,
    pub(super) rows: Map,
    pub(super) journal: Vec<Event>,
    pub(super) now: UnixMillis,
    pub(super) effects: Vec<Effect>,
    commands: u64,
}

pub(super) const DRAFTER: OfficerNumber = OfficerNumber(1);
pub(super) const RELEASER: OfficerNumber = OfficerNumber(2);
pub(super) const SECOND_RELEASER: OfficerNumber = OfficerNumber(3);
pub(super) const SUPERVISOR: OfficerNumber = OfficerNumber(9);

pub(super) fn officer_key(officer: OfficerNumber) -> VerifyingKey {
    SigningKey::from_seed(&[u8::try_from(officer.0).unwrap(); 32]).verifying_key()
}

pub(super) fn officer(number: OfficerNumber) -> Actor {
    Actor::Officer { number, signature: Signature([1; 64]), request: digest(1) }
}

fn new_officer(number: OfficerNumber, roles: &[Role]) -> NewOfficer {
    NewOfficer { number, key: officer_key(number), uid: u32::from(number.0) + 1_000, roles: roles.to_vec() }
}

/// Kind → approvals: notice 0, request 1, response 2 (with H0 or H2), test 0; nothing else may leave.
pub(super) fn rules() -> Rules {
    let rule = |name: &str, kind, handling: &[Handling], approvals| Rule {
        name: name.parse().unwrap(),
        to: Recipients::All,
        kinds: vec![kind],
        handling: handling.to_vec(),
        approvals,
    };
    Rules::new(vec![
        rule("notices", Kind::Notice, &[Handling::H0], 0),
        rule("requests", Kind::Request, &[Handling::H0, Handling::H2], 1),
        rule("responses", Kind::Response, &[Handling::H0], 2),
        rule("tests", Kind::Test, &[Handling::H0], 0),
    ])
    .unwrap()
}

pub(super) fn origin(participant: &str, log: LogName) -> LogOrigin {
    LogOrigin { network: NETWORK, participant: id(participant), log, epoch: Epoch(1) }
}

pub(super) fn log_key() -> ncp_protocol::ids::KeyId {
    SigningKey::from_seed(&[77; 32]).verifying_key().id()
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self::empty();
        world.begin();
        world
    }

    /// Officers, rules, and two participants whose entries are pinned.
    pub(super) fn begin(&mut self) {
        let officers = vec![
            new_officer(DRAFTER, &[Role::Drafter]),
            new_officer(RELEASER, &[Role::Drafter, Role::Releaser]),
            new_officer(SECOND_RELEASER, &[Role::Releaser]),
            new_officer(SUPERVISOR, &[Role::Releaser, Role::Supervisor]),
        ];
        self.ask(Actor::Daemon, Ask::Begin(Begin { officers, rules: rules() })).unwrap();
        let entry = |participant: &str| EntryNews::Entry {
            participant: id(participant),
            version: 0,
            record: record(RecordKind::Entry, participant.as_bytes()),
        };
        self.ask(Actor::Peer(ParticipantId::HUB), Ask::AcceptEntries(vec![entry("XB"), entry("XC")])).unwrap();
        for participant in ["XB", "XC"] {
            let pin = Ask::PinEntry { participant: id(participant), fingerprint: digest(5) };
            self.ask(officer(SUPERVISOR), pin).unwrap();
        }
        self.effects.clear();
    }

    pub(super) fn empty() -> Self {
        let identity = Identity { origin: origin("XA", LogName::Node), log_key: log_key() };
        Self {
            core: NodeCore::new(identity),
            rows: Map::default(),
            journal: Vec::new(),
            now: START,
            effects: Vec::new(),
            commands: 0,
        }
    }

    pub(super) fn ask(&mut self, actor: Actor, ask: Ask) -> Result<Done, Refusal> {
        self.commands += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.commands.to_le_bytes());
        let command = Command { stamp: Stamp { now: self.now, seed }, actor, ask };
        let decision = self.core.decide(&self.rows, command).unwrap();
        if decision.reply.is_err() {
            assert!(decision.events.is_empty() && decision.records.is_empty(), "a refusal leaves nothing");
        }
        for event in decision.events {
            assert!(event.encode().len() <= ncp_protocol::limits::EVENT_MAX);
            self.apply(event);
        }
        self.effects.extend(decision.effects);
        decision.reply
    }

    pub(super) fn apply(&mut self, event: Event) {
        let sequence = self.journal.len() as u64;
        let mut rows = Rows::default();
        self.core.apply(&self.rows, Placed { sequence, index: sequence, event: &event }, &mut rows).unwrap();
        self.rows.write(&rows);
        self.journal.push(event);
    }

    /// The changes since `from`, by name.
    pub(super) fn changes(&self, from: usize) -> Vec<String> {
        self.journal[from..].iter().map(|event| name(&event.change)).collect()
    }

    pub(super) fn put_up(&mut self, draft: Draft) -> Result<Done, Refusal> {
        let key = draft.message.0[0];
        self.ask(officer(DRAFTER), Ask::PutUp(put_up(draft, key)))
    }

    pub(super) fn judge(&mut self, by: OfficerNumber, draft: &Draft, decision: Verdict) -> Result<Done, Refusal> {
        let judgement = Judgement {
            message: draft.message,
            revision: draft.revision,
            officer: by,
            key: officer_key(by).id(),
            signature: Signature([2; 64]),
            code: code(),
            decision,
            rules: rules(),
            note: None,
        };
        self.ask(officer(by), Ask::Judge(judgement))
    }

    pub(super) fn approve(&mut self, by: OfficerNumber, draft: &Draft) -> Result<Done, Refusal> {
        self.judge(by, draft, Verdict::Approve)
    }

    pub(super) fn out(&self, message: MessageId) -> OutRow {
        OUT.row(&self.rows, &message).unwrap().unwrap()
    }

    pub(super) fn envelope(&self, message: MessageId, recipient: &str) -> EnvelopeRow {
        ENVELOPE.row(&self.rows, &(message, id(recipient))).unwrap().unwrap()
    }

    /// Seals the next seal of an envelope as a worker would.
    pub(super) fn seal(&mut self, message: MessageId, recipient: &str) -> Result<Done, Refusal> {
        let row = self.envelope(message, recipient);
        let seal = SealNumber(row.seal.0 + 1);
        let header = sha256(&[message.0[0], recipient.as_bytes()[1], u8::try_from(seal.0).unwrap()]);
        let sealed = Sealed {
            envelope: EnvelopeKey { originator: id("XA"), message, recipient: id(recipient), seal },
            header,
            recipient_key: log_key(),
            entry: record(RecordKind::Entry, recipient.as_bytes()).name.id,
            sequence: row.sequence,
            record: Record { name: envelope_record(header), bytes: vec![1] },
        };
        self.ask(Actor::Daemon, Ask::Seal(sealed))
    }

    /// The hub or the recipient says what became of an envelope of ours.
    pub(super) fn hear(
        &mut self,
        from: &str,
        kind: EvidenceKind,
        message: MessageId,
        recipient: &str,
        outcome: Outcome,
    ) -> Result<Done, Refusal> {
        let row = self.envelope(message, recipient);
        let envelope = row.key(id("XA"), message, id(recipient));
        let log = if from == "HUB" { LogName::Traffic } else { LogName::Node };
        let claim = Claim {
            origin: origin(from, log),
            key: log_key(),
            kind,
            envelope,
            header: row.header.unwrap_or(digest(0)),
            outcome,
        };
        self.ask(Actor::Peer(ParticipantId::HUB), Ask::NoteEvidence(noted(claim, self.now)))
    }
}

pub(super) fn code() -> ApprovalCode {
    "7K4M".parse().unwrap()
}

pub(super) fn noted(claim: Claim, stated: UnixMillis) -> Noted {
    let bytes = ncp_protocol::codec::encode(&claim);
    Noted { claim, index: 7, stated, record: record(RecordKind::Evidence, &bytes) }
}

pub(super) fn record(kind: RecordKind, bytes: &[u8]) -> Record {
    Record { name: RecordName { kind, id: sha256(bytes) }, bytes: bytes.to_vec() }
}

pub(super) fn draft(seed: u8, kind: Kind, to: &[&str]) -> Draft {
    Draft {
        message: message(seed),
        revision: 1,
        reference: Reference::new(id("XA"), 2026, u32::from(seed)).unwrap(),
        conversation: ConversationId(message(seed)),
        in_reply_to: None,
        kind,
        response_status: None,
        reason: None,
        precedence: Precedence::Routine,
        handling: Handling::H0,
        recipients: to.iter().map(|text| id(text)).collect(),
        not_after: START.plus_millis(LIFETIME_DEFAULT_MS),
        answer_by: None,
        commitment: digest(seed),
        root: digest(seed.wrapping_add(100)),
        body_length: 4_112,
        rule: "unjudged".parse().unwrap(),
        rules: digest(0),
        asked: Asked { key: digest(seed), request: digest(seed) },
        approvals_needed: 0,
    }
}

pub(super) fn put_up(mut draft: Draft, key: u8) -> PutUp {
    draft.asked = Asked { key: digest(key), request: sha256(&draft.commitment.0) };
    let name = content_record(id("XA"), draft.message, draft.revision);
    let body = Record { name: body_record(draft.root), bytes: vec![0; 8] };
    PutUp { content: Record { name, bytes: vec![0; 8] }, body: Some(body), rules: rules(), draft }
}

/// A message from XB as a worker opened it.
pub(super) fn arrival(seed: u8, kind: Kind, sequence: u64) -> Consigned {
    let envelope =
        EnvelopeKey { originator: id("XB"), message: message(seed), recipient: id("XA"), seal: SealNumber(1) };
    let header = digest(seed);
    let claim = Claim {
        origin: origin("HUB", LogName::Traffic),
        key: log_key(),
        kind: EvidenceKind::RelayAcceptance,
        envelope,
        header,
        outcome: Outcome::Done,
    };
    Consigned {
        received: Received {
            envelope,
            header,
            reference: Reference::new(id("XB"), 2026, u32::from(seed)).unwrap(),
            conversation: ConversationId(message(seed)),
            in_reply_to: None,
            kind,
            response_status: (kind == Kind::Response).then_some(ResponseStatus::Final),
            reason: None,
            precedence: Precedence::Routine,
            handling: Handling::H0,
            answer_by: None,
            due: None,
            commitment: digest(seed),
            root: digest(seed),
            body_length: 4_112,
            sequence: PairSequence(sequence),
            epoch: Epoch(1),
            floor: PairSequence(sequence),
            voided: Vec::new(),
        },
        envelope: Record { name: envelope_record(header), bytes: vec![1] },
        content: Record { name: content_record(id("XB"), message(seed), 0), bytes: vec![1] },
        body: Some(Record { name: body_record(digest(seed)), bytes: vec![1] }),
        acceptance: noted(claim, START),
        cites: None,
        originator_class: None,
    }
}

fn name(change: &Change) -> String {
    let text = format!("{change:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    text[..end].to_owned()
}

#[test]
fn weak_officer_key_is_no_key() {
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(VerifyingKey::from_bytes(&identity), Err(KeyError::Weak));
}
