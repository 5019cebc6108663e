//! Events: what a journal says happened. Each is one leaf of the log it names.
//!
//! An event is metadata: ids, digests, codes, an actor's number, a time. It never holds a subject line, a person's name or
//! a digest of plaintext; 16 random bytes keep anyone from guessing a neighbour's leaf. It says an outcome, not an attempt.
//! Variants are append-only and their meaning is frozen: old journals replay for ever. At most
//! [`EVENT_MAX`] bytes.

mod claim;
mod message;
mod numbers;

#[cfg(test)]
mod tests;

pub use self::claim::{Accepted, Claim, EnvelopeKey, EvidenceKind, Outcome};
pub use self::message::{Approval, Asked, Draft, Lane, Received};

use serde::{Deserialize, Deserializer, Serialize};

use crate::codec::{DecodeError, Prefix};
use crate::codes::{Code, Kind};
use crate::ids::{
    Digest, Epoch, KeyId, LogName, LogOrigin, MessageId, OfficerNumber, PairSequence, ParticipantId, UnixMillis,
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
