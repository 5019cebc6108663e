//! What can be wrong, each by its name.

use core::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub name: Name,
    /// Where, and with which values.
    pub detail: String,
}

impl Finding {
    pub(super) fn new(name: Name, detail: String) -> Self {
        Self { name, detail }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.name.invariant(), self.name, self.detail)
    }
}

/// Names of what can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A file of the data folder cannot be read.
    Unreadable,
    /// A checksum, a length or a field of a group is wrong.
    GroupDamaged,
    /// A group's first sequence is not the one behind the group before it.
    SequenceBroken,
    /// Bytes that are not zero stand where zeros belong.
    TornEnd,
    /// The bytes of an event are none.
    EventUnreadable,
    /// A log does not begin with its opening, begins twice, or is not its keeper's.
    LogMisopened,
    /// No directory entry names the key of a log.
    KeyUnknown,
    /// A signed note is none of that log, or does not verify.
    CheckpointUnsigned,
    /// A signed checkpoint is not the root of that many leaves.
    CheckpointContradicted,
    /// A signed checkpoint states more leaves than there are.
    CheckpointAhead,
    /// A group lacks the checkpoint of a log that the group before it grew, or has one of another.
    CheckpointMissing,
    /// A group's manifest states other heads of the logs than the groups before it made.
    HeadsContradicted,
    /// A directory entry is none.
    EntryUnreadable,
    /// A directory entry that names keys was never admitted to `public`.
    EntryUnadmitted,
    /// A receipt that was shown does not verify by itself.
    ReceiptInvalid,
    /// A receipt that was shown is no longer in the journal.
    ReceiptLost,
    /// The journal says something else where a receipt that was shown has its place.
    ReceiptContradicted,
    /// The text of a receipt that was noted is not in the spool.
    ReceiptUnkept,
    /// One party claims two things about one envelope.
    ClaimsContradict,
    /// A receipt was never noted by the party that it is owed to.
    ReceiptUndelivered,
    /// What a client was told is done is not in the journal.
    CommandLost,
    /// One idempotency key made two messages.
    CommandDoubled,
    /// An accepted envelope has no end.
    NotEnded,
    /// One envelope was accepted twice.
    AcceptedTwice,
    /// An acceptance and its receipt do not stand together.
    AcceptanceUnreceipted,
    /// One message was consigned twice.
    ConsignedTwice,
    /// A consignment and the message that it brought do not stand together.
    ConsignmentAlone,
    /// One message was handed over twice.
    HandedOverTwice,
    /// One envelope was sealed twice, or one message released twice.
    SealedTwice,
    /// A message came from nobody's command.
    Invented,
    /// What arrived is not what was drafted, sealed or accepted.
    Altered,
    /// What a reader sees is not what was written.
    ReadAltered,
    /// An inbox shows a message twice, lacks one, or shows one that never arrived.
    InboxWrong,
    /// Pair numbers repeat or leave a gap.
    NumbersBroken,
    /// A gap was alarmed over a number that was filled.
    GapInvented,
}

impl Name {
    /// The invariant that it breaks.
    #[must_use]
    pub fn invariant(self) -> &'static str {
        match self {
            Self::NotEnded | Self::CommandLost | Self::ReceiptUndelivered => "I1",
            Self::Invented | Self::Altered | Self::ReadAltered => "I2",
            Self::AcceptedTwice
            | Self::ConsignedTwice
            | Self::ConsignmentAlone
            | Self::HandedOverTwice
            | Self::SealedTwice
            | Self::CommandDoubled
            | Self::InboxWrong => "I3",
            Self::ReceiptInvalid
            | Self::ReceiptLost
            | Self::ReceiptContradicted
            | Self::ReceiptUnkept
            | Self::ClaimsContradict
            | Self::AcceptanceUnreceipted => "I4",
            Self::Unreadable
            | Self::GroupDamaged
            | Self::SequenceBroken
            | Self::TornEnd
            | Self::EventUnreadable
            | Self::LogMisopened
            | Self::KeyUnknown
            | Self::CheckpointUnsigned
            | Self::CheckpointContradicted
            | Self::CheckpointAhead
            | Self::CheckpointMissing
            | Self::HeadsContradicted
            | Self::EntryUnreadable
            | Self::EntryUnadmitted => "I5",
            Self::NumbersBroken | Self::GapInvented => "I6",
        }
    }
}
