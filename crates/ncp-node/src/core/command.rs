//! What a node is asked, what it answers, and what its shell does afterwards.
//!
//! A command carries all that the decision needs: time, fresh randomness ([`Stamp`]), and facts that worker threads
//! established (signatures verified, content opened). `decide` checks again what those workers assumed.

use ncp_policy::Rules;
use ncp_protocol::approval::{self, ApprovalCode};
use ncp_protocol::codes::Code;
use ncp_protocol::directory::MembershipClass;
use ncp_protocol::event::{Actor, Claim, Draft, EnvelopeKey, HoldScope, Received, Role};
use ncp_protocol::frame::Cursor;
use ncp_protocol::ids::{
    Digest, KeyId, LogName, LogOrigin, MessageId, OfficerNumber, PairSequence, ParticipantId, SealNumber, UnixMillis,
};
use ncp_protocol::keys::{Signature, VerifyingKey, sha256};
use ncp_protocol::reject::RejectCode;
use ncp_store::spool::{Record, RecordName};
pub use ncp_store::state::Stamp;
use thiserror::Error;

use super::tables::{MessageKey, OutState};

/// A command with its time and chance.
#[derive(Debug)]
pub struct Command {
    /// Time and chance.
    pub stamp: Stamp,
    /// On whose behalf.
    pub actor: Actor,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Debug)]
pub enum Ask {
    /// Take these officers if there are none yet, and these rules if they differ from those in force.
    Begin(Begin),
    /// Put a message up for release.
    PutUp(PutUp),
    /// Replace a message that is not released.
    Edit(PutUp),
    /// Approve or reject a message.
    Judge(Judgement),
    /// Fix the bytes of an envelope.
    Seal(Sealed),
    /// Note another party's evidence.
    NoteEvidence(Noted),
    /// Note that the hub or the recipient refused an envelope for good.
    NoteRefusal {
        /// Which envelope.
        envelope: EnvelopeKey,
        /// Why.
        code: RejectCode,
    },
    /// Note how much of the hub's stream of receipts is stored.
    NoteReceipts(Cursor),
    /// Take a message in.
    Consign(Box<Consigned>),
    /// State that an envelope cannot be taken in.
    RefuseDelivery {
        /// Which envelope.
        envelope: EnvelopeKey,
        /// Its header.
        header: Digest,
        /// Why.
        code: RejectCode,
    },
    /// An officer takes a message and confirms it.
    HandOver {
        /// Which message.
        message: MessageKey,
    },
    /// Ask national services to contribute to the answer.
    Assign {
        /// The request.
        message: MessageKey,
        /// The services.
        services: Vec<Code>,
        /// What they are asked in words, sealed under the storage key: task number, record.
        notes: Vec<(u16, Record)>,
    },
    /// Note a service's contribution.
    Contribute {
        /// The request.
        message: MessageKey,
        /// The task it answers.
        task: u16,
        /// The sealed record that holds it.
        record: Record,
    },
    /// Withdraw a message, or recall what waits at the hub.
    Withdraw {
        /// Which message.
        message: MessageId,
    },
    /// Stop something from leaving.
    SetHold(HoldScope),
    /// Let it leave again.
    LiftHold(HoldScope),
    /// Add an officer, on the word of two supervisors.
    AddOfficer {
        /// The new officer.
        officer: NewOfficer,
        /// The second supervisor; the first is the actor.
        second: OfficerNumber,
    },
    /// Disable an officer.
    DisableOfficer(OfficerNumber),
    /// Note verified directory entries and suspensions.
    AcceptEntries(Vec<EntryNews>),
    /// People compared the fingerprint of a participant's first entry.
    PinEntry {
        /// Whose.
        participant: ParticipantId,
        /// What they compared.
        fingerprint: Digest,
    },
    /// Act on what is due.
    Tick,
}

/// What a node starts with.
#[derive(Debug)]
pub struct Begin {
    /// The first officers, from the configuration.
    pub officers: Vec<NewOfficer>,
    /// The release rules, from the configuration.
    pub rules: Rules,
}

/// An officer to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOfficer {
    /// Number, never given twice.
    pub number: OfficerNumber,
    /// Public key.
    pub key: VerifyingKey,
    /// Unix user.
    pub uid: u32,
    /// What the officer may do.
    pub roles: Vec<Role>,
}

/// A message whose body is sealed and whose content is in the spool's hands.
#[derive(Debug)]
pub struct PutUp {
    /// What the journal will say. `rule`, `rules` and `approvals_needed` are filled by `decide`.
    pub draft: Draft,
    /// Content key, `r` and manifest, sealed under the storage key.
    pub content: Record,
    /// The body, if it is one chunk; a larger one was uploaded before.
    pub body: Option<Record>,
    /// The rules the shell judged it by; `decide` judges again.
    pub rules: Rules,
}

/// An officer's word on a message.
#[derive(Debug)]
pub struct Judgement {
    /// Which message.
    pub message: MessageId,
    /// The revision that was shown.
    pub revision: u32,
    /// Who.
    pub officer: OfficerNumber,
    /// With which key; the signature over the statement was verified under it.
    pub key: KeyId,
    /// Over what was shown.
    pub signature: Signature,
    /// The code that was shown, which the signature covers.
    pub code: ApprovalCode,
    /// Yes or no.
    pub decision: approval::Decision,
    /// The rules in force as the shell knows them; `decide` judges the message by them once more.
    pub rules: Rules,
    /// Why not, in words for the drafter, sealed under the storage key.
    pub note: Option<Record>,
}

/// An envelope whose bytes were made by a worker.
#[derive(Debug)]
pub struct Sealed {
    /// Which envelope.
    pub envelope: EnvelopeKey,
    /// Its header.
    pub header: Digest,
    /// The recipient's key.
    pub recipient_key: KeyId,
    /// The recipient's directory entry that names this key.
    pub entry: Digest,
    /// The number that the wrap seals.
    pub sequence: PairSequence,
    /// Header, signature and wrap.
    pub record: Record,
}

/// Another party's evidence, verified by a worker.
#[derive(Debug)]
pub struct Noted {
    /// What it claims.
    pub claim: Claim,
    /// Its place in the log it names.
    pub index: u64,
    /// When the keeper of that log decided it.
    pub stated: UnixMillis,
    /// The text of the proof.
    pub record: Record,
}

/// A message that a worker verified, opened and checked.
#[derive(Debug)]
pub struct Consigned {
    /// What the journal will say.
    pub received: Received,
    /// Header, signature and wrap.
    pub envelope: Record,
    /// Content key, `r` and manifest, sealed under the storage key.
    pub content: Record,
    /// The body, if it is one chunk.
    pub body: Option<Record>,
    /// The hub's evidence that came with it.
    pub acceptance: Noted,
    /// For an answer: the commitment that the manifest cites.
    pub cites: Option<Digest>,
    /// The originator's class in the membership statement that is believed here, if it names the originator.
    pub originator_class: Option<MembershipClass>,
}

/// News from the directory, verified by the shell.
#[derive(Debug)]
pub enum EntryNews {
    /// A new version of an entry.
    Entry {
        /// Whose.
        participant: ParticipantId,
        /// Which version.
        version: u32,
        /// The signed entry; its name is its digest.
        record: Record,
    },
    /// The Secretariat suspended a participant.
    Suspended {
        /// Whom.
        participant: ParticipantId,
        /// Why.
        reason: Code,
    },
    /// A suspension ended.
    Reinstated {
        /// Whose.
        participant: ParticipantId,
    },
}

/// What the asker is told.
pub type Reply = Result<Done, Refusal>;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Done, or nothing to do.
    Noted,
    /// The message now stands so.
    Message {
        /// Which message.
        message: MessageId,
        /// Its state.
        state: OutState,
        /// Approvals still missing.
        approvals_missing: u8,
    },
    /// This evidence of ours speaks of the envelope.
    Evidence {
        /// The log.
        log: LogName,
        /// Leaf index, if it stood before; a fresh one is the place of the decision's first event.
        earlier: Option<u64>,
    },
    /// Tasks were given, from this number.
    Tasks {
        /// Number of the first.
        first: u16,
    },
    /// What became of a withdrawal.
    Withdrawal(WithdrawalOutcome),
}

/// What became of a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WithdrawalOutcome {
    /// Nothing had left.
    BeforeSubmission,
    /// The hub is asked to delete what waits for these recipients; evidence will say what came of it.
    Recalling(Vec<ParticipantId>),
    /// All recipients have it: a withdrawal message can ask them to delete it.
    AllDelivered,
}

/// Why a node does not do what it is asked. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No rule allows it.
    #[error("no rule allows {kind} with handling {handling} to go to {recipient}")]
    Denied {
        /// To whom.
        recipient: ParticipantId,
        /// Of which kind.
        kind: ncp_protocol::codes::Kind,
        /// With which handling code.
        handling: ncp_protocol::codes::Handling,
    },
    /// The rules changed while the message was prepared.
    #[error("the release rules changed")]
    RulesChanged,
    /// No such message.
    #[error("no such message")]
    UnknownMessage,
    /// No such participant in the directory.
    #[error("{0} is not in the directory")]
    UnknownParticipant(ParticipantId),
    /// Nobody compared the participant's fingerprint yet.
    #[error("the entry of {0} is not pinned")]
    NotPinned(ParticipantId),
    /// The fingerprint is not that of the participant's first entry.
    #[error("the fingerprint is not the one of {0}")]
    FingerprintDiffers(ParticipantId),
    /// The participant is suspended.
    #[error("{0} is suspended")]
    Suspended(ParticipantId),
    /// The message is not in a state that allows it.
    #[error("the message is in state {0:?}")]
    WrongState(OutState),
    /// The message was edited after it was shown.
    #[error("the message was edited since")]
    Edited,
    /// Drafters never approve.
    #[error("the officer drafted this message")]
    DrafterCannotRelease,
    /// The officer approved this revision already.
    #[error("the officer approved it already")]
    ApprovedAlready,
    /// No such officer, or another key.
    #[error("the officer or the key is unknown")]
    UnknownOfficer,
    /// The officer may not act any more.
    #[error("the officer is disabled")]
    OfficerDisabled,
    /// The officer lacks the role.
    #[error("the officer lacks the role {0:?}")]
    RoleMissing(Role),
    /// Number, key or Unix user belong to an officer already.
    #[error("number, key or user belong to another officer")]
    OfficerTaken,
    /// Too few officers with the role would be left: two supervisors, one releaser.
    #[error("too few officers with the role {0:?} would be left")]
    LastOfficer(Role),
    /// Two approvals come from two persons.
    #[error("the second approval is by the same person")]
    SamePerson,
    /// The idempotency key was used for something else.
    #[error("the idempotency key stands for another request")]
    IdempotencyConflict {
        /// What it stands for.
        message: MessageId,
    },
    /// Another message has this reference.
    #[error("the reference is taken")]
    ReferenceTaken,
    /// Not-after has passed, or the lifetime is out of range.
    #[error("not-after has passed or is too far away")]
    LifetimeOutOfRange,
    /// It cites a message that is not here, or another content of it.
    #[error("the message it answers is not here, or has other content")]
    CitationUnknown,
    /// No such task.
    #[error("no such task")]
    UnknownTask,
    /// Nobody asks for contributions to this kind of message, or it was answered.
    #[error("not a request that can be assigned")]
    NotAssignable,
    /// More tasks or contributions than the limit.
    #[error("too many tasks or contributions")]
    TooMany,
    /// The worker's assumption no longer holds: make it again.
    #[error("what the worker assumed has changed")]
    Stale,
    /// The envelope was refused: the peer is told this code.
    #[error("{0}")]
    Rejected(RejectCode),
    /// There is no such hold.
    #[error("no such hold")]
    UnknownHold,
}

/// What the shell does once the events are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Seal this envelope.
    SealEnvelope {
        /// Which message.
        message: MessageId,
        /// To whom.
        recipient: ParticipantId,
    },
    /// Submit this envelope.
    SubmitEnvelope {
        /// Which message.
        message: MessageId,
        /// To whom.
        recipient: ParticipantId,
        /// Which seal.
        seal: SealNumber,
    },
    /// A receipt of ours waits for the hub.
    SendReceipts,
    /// Ask the hub to delete an envelope.
    SendRecall {
        /// Which message.
        message: MessageId,
        /// To whom.
        recipient: ParticipantId,
    },
    /// Holds changed: submission looks again.
    HoldsChanged,
    /// The directory changed: caches read it anew.
    DirectoryChanged,
    /// Something that a person may wait for: the event feed has news.
    Announce,
}

/// What is fixed for the life of a daemon.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// This node's log, as it is open now.
    pub origin: LogOrigin,
    /// The key that signs its checkpoints.
    pub log_key: KeyId,
}

/// Name of the record that holds a message's content at one revision.
#[must_use]
pub fn content_record(originator: ParticipantId, message: MessageId, revision: u32) -> RecordName {
    let mut bytes = b"content".to_vec();
    bytes.extend_from_slice(originator.as_bytes());
    bytes.extend_from_slice(&message.0);
    bytes.extend_from_slice(&revision.to_le_bytes());
    RecordName { kind: ncp_store::spool::RecordKind::Content, id: sha256(&bytes) }
}

/// Name of the record that holds an envelope.
#[must_use]
pub fn envelope_record(header: Digest) -> RecordName {
    RecordName { kind: ncp_store::spool::RecordKind::Envelope, id: header }
}

/// Name of the record that holds a body of one chunk.
#[must_use]
pub fn body_record(root: Digest) -> RecordName {
    RecordName { kind: ncp_store::spool::RecordKind::Body, id: root }
}
