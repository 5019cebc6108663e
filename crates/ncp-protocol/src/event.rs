//! Events: what a journal says happened. Each is one leaf of the log it names.
//!
//! An event is metadata: ids, digests, codes, an actor's number, a time. It never holds a subject line, a person's name or
//! a digest of plaintext; 16 random bytes keep anyone from guessing a neighbour's leaf. It says an outcome, not an attempt.
//! Variants are append-only and their meaning is frozen: old journals replay for ever. At most
//! [`EVENT_MAX`] bytes.

mod numbers;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Deserializer, Serialize};

use crate::approval::ApprovalCode;
use crate::codec::{DecodeError, Prefix};
use crate::codes::{Code, Handling, Kind, Precedence, ResponseStatus};
use crate::ids::{
    ConversationId, Digest, Epoch, KeyId, LogName, LogOrigin, MessageId, OfficerNumber, PairSequence, ParticipantId,
    Reference, SealNumber, UnixMillis,
};
use crate::keys::{Signature, VerifyingKey};
use crate::limits::EVENT_MAX;
use crate::manifest::sorted_and_unique;
use crate::reject::RejectCode;

const PREFIX: Prefix = Prefix::new(b'E', 1);

/// A change of state that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The log whose leaf this is.
    pub log: LogName,
    /// When the daemon decided it, by its own clock.
    pub time: UnixMillis,
    /// On whose behalf.
    pub actor: Actor,
    /// Random, supplied with the command.
    pub salt: [u8; 16],
    /// What changed.
    pub change: Change,
}

impl Event {
    /// The leaf's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        PREFIX.encode(self)
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are not exactly one event of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let event: Self = PREFIX.decode(bytes, EVENT_MAX)?;
        if event.change.numbers_are_in_range() { Ok(event) } else { Err(DecodeError::Malformed) }
    }
}

/// A list whose order means nothing has one encoding: sorted, each item once.
fn sorted<'de, T: Deserialize<'de> + Ord, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let items = Vec::deserialize(deserializer)?;
    let in_order = sorted_and_unique(&items);
    if in_order { Ok(items) } else { Err(serde::de::Error::custom("not sorted or not unique")) }
}

/// On whose behalf something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// The daemon itself: a timer, a start, a rule.
    Daemon,
    /// An officer of this node, who signed the request.
    Officer {
        /// Number in the officer table.
        number: OfficerNumber,
        /// The officer's signature over [`crate::approval::OfficerRequest`].
        signature: Signature,
        /// SHA-256 of the signed bytes.
        request: Digest,
    },
    /// An application of the national side, by the name of its token.
    Application(Code),
    /// The other end of a link.
    Peer(ParticipantId),
    /// The operator of this machine, through the local API, by user id.
    Operator(u32),
}

/// What changed. Order is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// First event of a log, and of each later epoch.
    LogOpened {
        /// Name of the log and its epoch.
        origin: LogOrigin,
        /// The key that signs its checkpoints.
        key: KeyId,
        /// For a restored log: size and root of the last checkpoint that others hold of the epoch before.
        previous: Option<(u64, Digest)>,
    },
    /// This daemon states what became of an envelope: R1, R2, R3 or a negative.
    Evidence(Claim),
    /// Another party's evidence was verified and stored in the spool.
    EvidenceReceived {
        /// What it claims.
        claim: Claim,
        /// Its place in the log that it names.
        index: u64,
        /// When that log's keeper decided it, by the keeper's clock.
        stated: UnixMillis,
        /// The record that holds the proof: SHA-256 of its text.
        record: Digest,
    },
    /// Two contents under one message id were seen; the second was refused.
    ConflictNoticed {
        /// Whose message.
        originator: ParticipantId,
        /// Which message.
        message: MessageId,
        /// Header digest of what was refused.
        header: Digest,
    },

    // The hub.
    /// An envelope waits here for its recipient: stands beside the evidence that says so.
    EnvelopeAccepted(Accepted),
    /// The first byte towards the recipient may leave after this.
    EnvelopeOffered(EnvelopeKey),
    /// A higher seal took the place of a waiting one.
    EnvelopeSuperseded(EnvelopeKey),
    /// The last header over this body has ended; the body is deleted.
    BodyDropped {
        /// Whose message.
        originator: ParticipantId,
        /// Which message.
        message: MessageId,
    },
    /// A directory entry took force.
    EntryAdmitted {
        /// Whose entry.
        participant: ParticipantId,
        /// Its version.
        version: u32,
        /// SHA-256 of the signed entry; the entry itself is a record of the spool.
        entry: Digest,
    },
    /// A membership statement took force.
    MembershipAdmitted {
        /// Its version.
        version: u32,
        /// SHA-256 of the signed statement; the statement itself is a record of the spool.
        membership: Digest,
    },
    /// A participant may no longer send or receive.
    ParticipantSuspended {
        /// Who.
        participant: ParticipantId,
        /// Why, as a code.
        reason: Code,
    },
    /// A suspension ended.
    ParticipantReinstated {
        /// Who.
        participant: ParticipantId,
    },
    /// The log `public` stood here: recorded in `traffic`, so that log order judges keys.
    PublicCheckpointRecorded {
        /// Size of `public`.
        size: u64,
        /// Root at that size.
        root: Digest,
    },

    // The node: officers and rules.
    /// An officer may act from now on.
    OfficerAdded {
        /// Number, never given twice.
        officer: OfficerNumber,
        /// The officer's public key.
        key: VerifyingKey,
        /// The Unix user that is this officer.
        uid: u32,
        /// What the officer may do, sorted.
        #[serde(deserialize_with = "sorted")]
        roles: Vec<Role>,
    },
    /// An officer may no longer act; approvals of messages not yet released are void.
    OfficerDisabled {
        /// Who.
        officer: OfficerNumber,
    },
    /// These release rules hold from now on.
    RulesInForce {
        /// SHA-256 of their canonical text, which is a record of the spool.
        rules: Digest,
    },
    /// Something is stopped from leaving.
    HoldSet {
        /// What is stopped.
        scope: HoldScope,
    },
    /// A hold ended.
    HoldLifted {
        /// What was stopped.
        scope: HoldScope,
    },

    // The node: messages out.
    /// A message waits for release.
    MessageDrafted(Draft),
    /// A draft was replaced; approvals are void.
    MessageEdited(Draft),
    /// An officer signed what was shown.
    MessageApproved(Approval),
    /// An officer refused release; the message goes back to its drafter.
    ReleaseRejected(Approval),
    /// All required approvals stand; each recipient has its pair sequence.
    MessageReleased {
        /// Which message.
        message: MessageId,
        /// The pair sequence of each recipient, in the order of the draft's recipients.
        sequences: Vec<PairSequence>,
        /// The pair epoch of these numbers.
        epoch: Epoch,
    },
    /// An envelope's bytes are fixed and in the spool.
    EnvelopeSealed {
        /// Which envelope; the originator is this node.
        envelope: EnvelopeKey,
        /// SHA-256 of the header.
        header: Digest,
        /// The recipient's sealing key.
        recipient_key: KeyId,
    },
    /// The message was withdrawn before anything of it left.
    MessageWithdrawn {
        /// Which message.
        message: MessageId,
    },
    /// The hub is asked to delete what waits.
    RecallRequested {
        /// Which message.
        message: MessageId,
    },
    /// An envelope ended without the recipient's evidence.
    EnvelopeFailed {
        /// Which envelope; the originator is this node. Seal 0 if it was never sealed.
        envelope: EnvelopeKey,
        /// Why.
        code: RejectCode,
    },

    // The node: messages in.
    /// A message was verified, opened and stored; stands right behind the evidence that says so.
    MessageReceived(Received),
    /// A national service is asked to contribute.
    TaskAssigned {
        /// Who sent the request.
        originator: ParticipantId,
        /// The request.
        message: MessageId,
        /// Number of the task within the request, from 1.
        task: u16,
        /// Which service.
        service: Code,
    },
    /// A service contributed.
    ContributionAdded {
        /// Who sent the request.
        originator: ParticipantId,
        /// The request.
        message: MessageId,
        /// The task it answers.
        task: u16,
        /// The sealed record that holds it: a random name, not a digest of content.
        record: Digest,
    },
    /// A clock ran out, or nearly.
    RequestAlerted {
        /// Who sent the request.
        originator: ParticipantId,
        /// The request.
        message: MessageId,
        /// Whose answer it is about.
        recipient: ParticipantId,
        /// Which clock.
        alert: Alert,
    },
    /// The answer to a request is due at another time.
    DeadlineMoved {
        /// Who sent the request.
        originator: ParticipantId,
        /// The request.
        message: MessageId,
        /// Whose answer it is about.
        recipient: ParticipantId,
        /// When it is due now.
        due: UnixMillis,
        /// Why, as a code.
        reason: Option<Code>,
    },
    /// Content keys of a message are gone, and with them its content.
    ContentErased {
        /// Who sent it.
        originator: ParticipantId,
        /// Which message.
        message: MessageId,
    },
    /// Numbers from an originator are missing beyond the time in which they must come.
    SequenceGapNoticed {
        /// From whom.
        originator: ParticipantId,
        /// Whether the gap is in urgent mail, which has numbers of its own.
        lane: Lane,
        /// First missing number.
        first: PairSequence,
        /// Last missing number.
        last: PairSequence,
    },
    /// A directory entry was accepted at this node.
    EntryAccepted {
        /// Whose entry.
        participant: ParticipantId,
        /// Its version.
        version: u32,
        /// SHA-256 of the signed entry; the entry itself is a record of the spool.
        entry: Digest,
    },
    /// People compared the fingerprint of a participant's first entry; envelopes to and from it may be sealed and opened.
    EntryPinned {
        /// Whose entry.
        participant: ParticipantId,
        /// SHA-256 of the participant's entry of version 0.
        fingerprint: Digest,
    },
    /// The hub's stream of receipts is stored here up to a number, or passed over. Noted now and then: what the hub shows
    /// again behind it is known.
    ReceiptsStored {
        /// Epoch of the stream.
        epoch: Epoch,
        /// Up to here.
        number: u64,
    },
}

/// Identity of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EnvelopeKey {
    /// Who signed it.
    pub originator: ParticipantId,
    /// Which message.
    pub message: MessageId,
    /// To whom it is sealed.
    pub recipient: ParticipantId,
    /// Which sealing of it.
    pub seal: SealNumber,
}

/// What the hub reads of an envelope that it accepted and needs to serve it: order, time, quota, body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Which envelope.
    pub envelope: EnvelopeKey,
    /// SHA-256 of its header.
    pub header: Digest,
    /// How fast.
    pub precedence: Precedence,
    /// When it expires.
    pub not_after: UnixMillis,
    /// Root of the sealed body.
    pub root: Digest,
    /// Length of the sealed body.
    pub body_length: u64,
    /// Commitment to manifest and parts.
    pub commitment: Digest,
}

/// What a party states about one envelope. Verifiers compare all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The log whose event makes the claim.
    pub origin: LogOrigin,
    /// The key that signs that log's checkpoints.
    pub key: KeyId,
    /// What is claimed.
    pub kind: EvidenceKind,
    /// About which envelope.
    pub envelope: EnvelopeKey,
    /// SHA-256 of the envelope's header.
    pub header: Digest,
    /// How it ended.
    pub outcome: Outcome,
}

/// Kinds of evidence, with the names of ETSI EN 319 522-1, clause 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EvidenceKind {
    /// R1: the hub holds the envelope durably.
    RelayAcceptance,
    /// R2: the recipient's node stored, verified and opened it.
    ContentConsignment,
    /// R3: a service or an officer took it.
    ContentHandover,
    /// Negative, by the hub: rejected, expired or recalled there.
    RelayFailure,
    /// Negative, by the recipient's node: rejected there.
    ContentConsignmentFailure,
}

/// How what a claim speaks of ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// As the kind says.
    Done,
    /// Handover: the taker confirmed.
    Confirmed,
    /// Handover: the taker takes files and never confirms.
    Blind,
    /// Not-after passed while the envelope waited.
    Expired,
    /// Deleted on the originator's wish before it was offered to the recipient.
    Recalled,
    /// Deleted on the originator's wish after it was offered: the recipient's evidence, if it comes, outranks this.
    RecalledAfterOffer,
    /// Refused, for this reason.
    Rejected(RejectCode),
}

/// Roles of an officer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Drafts, reads, assigns, contributes.
    Drafter,
    /// Approves and rejects.
    Releaser,
    /// Sets and lifts holds, adds and disables officers, pins directory entries.
    Supervisor,
}

/// What a hold stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HoldScope {
    /// Everything.
    All,
    /// Everything to one recipient.
    Recipient(ParticipantId),
    /// Everything of one kind.
    Kind(Kind),
}

/// Urgent mail is numbered by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Lane {
    /// Routine and priority.
    Ordinary,
    /// Urgent.
    Urgent,
}

impl Lane {
    /// The lane of a precedence.
    #[must_use]
    pub fn of(precedence: Precedence) -> Self {
        match precedence {
            Precedence::Routine | Precedence::Priority => Self::Ordinary,
            Precedence::Urgent => Self::Urgent,
        }
    }
}

/// A message that waits for release: all that the hub or an auditor may know, nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Its id.
    pub message: MessageId,
    /// From 1; each edit adds one.
    pub revision: u32,
    /// What people call it.
    pub reference: Reference,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// What it is.
    pub kind: Kind,
    /// For a response: what sort of answer.
    pub response_status: Option<ResponseStatus>,
    /// For a refusal or an extension: why, as a code.
    pub reason: Option<Code>,
    /// How fast.
    pub precedence: Precedence,
    /// What the recipients may do with it.
    pub handling: Handling,
    /// To whom, sorted.
    #[serde(deserialize_with = "sorted")]
    pub recipients: Vec<ParticipantId>,
    /// When it is void.
    pub not_after: UnixMillis,
    /// When the originator expects an answer.
    pub answer_by: Option<UnixMillis>,
    /// Commitment to manifest and parts.
    pub commitment: Digest,
    /// Root of the sealed body.
    pub root: Digest,
    /// Length of the sealed body.
    pub body_length: u64,
    /// The rule that allowed it.
    pub rule: Code,
    /// Digest of the rules in force.
    pub rules: Digest,
    /// The request that made it, so that the same request again makes nothing.
    pub asked: Asked,
    /// How many approvals it needs.
    pub approvals_needed: u8,
}

/// A request to the local API, by two values that only the node can compute: they are keyed, so that they say nothing about
/// what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// MAC over who asked and their idempotency key.
    pub key: Digest,
    /// MAC over what was asked.
    pub request: Digest,
}

/// One officer's signature over what was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Which message.
    pub message: MessageId,
    /// Which revision of it.
    pub revision: u32,
    /// Who signed.
    pub officer: OfficerNumber,
    /// With which key.
    pub key: KeyId,
    /// The short code that was shown, which the statement repeats.
    pub code: ApprovalCode,
    /// Over [`crate::approval::ApprovalStatement`].
    pub signature: Signature,
}

/// A message that arrived: what the recipient's journal says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Which envelope brought it.
    pub envelope: EnvelopeKey,
    /// SHA-256 of its header.
    pub header: Digest,
    /// What the originator calls it.
    pub reference: Reference,
    /// The conversation it belongs to.
    pub conversation: ConversationId,
    /// The message it answers.
    pub in_reply_to: Option<MessageId>,
    /// What it is.
    pub kind: Kind,
    /// For a response: what sort of answer.
    pub response_status: Option<ResponseStatus>,
    /// For a refusal or an extension: why, as a code.
    pub reason: Option<Code>,
    /// How fast.
    pub precedence: Precedence,
    /// What may be done with it.
    pub handling: Handling,
    /// The time that the originator set for an answer or, in an extension, for the answer to come.
    pub answer_by: Option<UnixMillis>,
    /// When an answer is due.
    pub due: Option<UnixMillis>,
    /// Commitment to manifest and parts.
    pub commitment: Digest,
    /// Root of the sealed body.
    pub root: Digest,
    /// Length of the sealed body.
    pub body_length: u64,
    /// Number of the envelope from this originator.
    pub sequence: PairSequence,
    /// Pair epoch of that number.
    pub epoch: Epoch,
    /// Lowest number that the originator still had open.
    pub floor: PairSequence,
    /// Ranges of numbers, ends included, that the originator will not use.
    pub voided: Vec<(PairSequence, PairSequence)>,
}

/// Which clock of a request ran out, or nearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Alert {
    /// Nobody has opened it.
    Unread,
    /// The answer is due soon.
    DueSoon,
    /// The answer is overdue.
    Overdue,
}
