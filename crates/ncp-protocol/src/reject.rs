//! Every reason for which protocol or quota says no: one table of number, name, permanence and text.
//!
//! Numbers are reserved for ever and never reused. A test holds this table against `docs/PROTOCOL.md`. A peer learns
//! that a signature or decryption failed, not why.
//!
//! A refusal must always be readable: a number that is not in the table is [`RejectCode::Unknown`], which keeps it, encodes to it
//! again, and has the permanence of its range (`docs/adr/0004`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whether the same bytes may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permanence {
    /// Never: the peer gives up at once, with evidence.
    Permanent,
    /// Perhaps: the peer tries again, later.
    Transient,
}

impl Permanence {
    /// What a number stands for that the table lacks: 80 to 99 are about resources, which may be free later.
    fn of_range(number: u16) -> Self {
        if (80..100).contains(&number) { Self::Transient } else { Self::Permanent }
    }
}

/// The number of a code that the table lacks; made by [`RejectCode::from_number`] alone, so never that of a known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownNumber(u16);

macro_rules! reject_codes {
    ($($number:literal $name:ident $permanence:ident $text:literal;)+) => {
        /// Why protocol or quota refuses something. The variant's documentation is the text that people read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum RejectCode {
            $(#[doc = $text] $name,)+
            /// A later version's code.
            Unknown(UnknownNumber),
        }

        impl RejectCode {
            /// All codes of the table, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(Self::$name => $number,)+ Self::Unknown(UnknownNumber(number)) => number }
            }

            /// The code with this number; 0 is none.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    0 => None,
                    _ => Some(Self::Unknown(UnknownNumber(number))),
                }
            }

            /// The name in documents and logs.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ Self::Unknown(_) => "Unknown" }
            }

            /// Whether trying again can help.
            #[must_use]
            pub fn permanence(self) -> Permanence {
                match self {
                    $(Self::$name => Permanence::$permanence,)+
                    Self::Unknown(UnknownNumber(number)) => Permanence::of_range(number),
                }
            }

            /// What it means, in one sentence without a full stop.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Unknown(_) => "a reason that this version does not know",
                }
            }
        }
    };
}

reject_codes! {
    // 1–19: the link.
    1 FrameTooLong Permanent "the frame is longer than the limit";
    2 FrameMalformed Permanent "the frame cannot be decoded";
    3 FrameUnexpected Permanent "the frame does not belong to this state of the link";
    4 VersionUnsupported Permanent "no protocol version in common";
    5 SuiteUnsupported Permanent "the cryptographic suite is unknown or below the floor";
    6 NetworkMismatch Permanent "the bytes belong to another network";
    7 CreditExceeded Permanent "the peer sent more than its credit";
    8 PeerSuperseded Transient "the same participant opened a newer link";
    9 PeerUnknown Permanent "no directory entry admits this participant";
    10 PinMismatch Permanent "the certificate's key is not the one that the directory pins";
    11 RateExceeded Transient "the peer is faster than its quota allows";
    12 ShuttingDown Transient "the daemon is stopping";
    // 20–39: the envelope.
    20 HeaderMalformed Permanent "the header cannot be decoded";
    21 SignatureInvalid Permanent "the signature does not verify";
    22 OriginatorMismatch Permanent "the link's peer is not the originator";
    23 OriginatorKeyUnknown Permanent "the directory does not know the originator's key";
    24 RecipientUnknown Permanent "no directory entry admits the recipient";
    25 RecipientKeyUnknown Permanent "the envelope is sealed to a key that the recipient does not have";
    26 SelfAddressed Permanent "originator and recipient are the same";
    27 CreatedInFuture Permanent "the envelope was created in the future";
    28 LifetimeOutOfRange Permanent "the lifetime is shorter or longer than allowed";
    29 Expired Permanent "not-after has passed";
    30 WrapMismatch Permanent "the wrap is not the one that the header names";
    31 RecipientSuspended Permanent "the recipient is suspended";
    32 OriginatorSuspended Permanent "the originator is suspended";
    33 ConflictingContent Permanent "this message id already stands for other content";
    34 SealSuperseded Permanent "a higher seal of this envelope is here already";
    // 40–59: the body.
    40 BodyTooLarge Permanent "the body is larger than the limit";
    41 BodyMissing Transient "the body has not arrived completely";
    42 BodyRootMismatch Permanent "the body's chunks do not have the root that the header names";
    43 BodyLengthMismatch Permanent "the body has another length than the header says";
    44 ChunkOutOfOrder Permanent "a chunk does not follow the last one";
    // 60–79: opening at the recipient.
    60 WrapUnopened Permanent "the wrap cannot be opened";
    61 BodyUnopened Permanent "the body cannot be opened";
    62 CommitmentMismatch Permanent "the content does not open the commitment in the header";
    63 ManifestInvalid Permanent "the content manifest is not valid";
    64 ManifestMismatch Permanent "manifest and header name different things";
    65 PartMismatch Permanent "a part is not what the manifest says";
    66 Duplicate Permanent "this message was consigned before";
    // 80–99: resources.
    80 QuotaExceeded Transient "the quota of this participant is used up";
    81 StoreFull Transient "the store refuses new work until space is free";
    82 MailboxFull Transient "the recipient's mailbox is full";
    83 Maintenance Transient "the daemon is in maintenance";
    // 100–119: directory and evidence.
    100 EntryInvalid Permanent "the directory entry is not valid";
    101 EntryVersionOld Permanent "a newer version of this entry is known";
    102 EvidenceInvalid Permanent "the evidence does not verify";
    103 EvidenceUnrelated Permanent "the evidence does not belong to an envelope of this peer";
    104 CheckpointInconsistent Permanent "the checkpoint contradicts one that was seen before";
    // 120–139: recall and expiry, as outcomes.
    120 Recalled Permanent "the originator recalled the envelope";
    121 NotWaiting Permanent "nothing of this envelope waits here";
}

impl core::fmt::Display for RejectCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}: {}", self.number(), self.name(), self.text())
    }
}

impl Serialize for RejectCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.number().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RejectCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u16::deserialize(deserializer)?;
        Self::from_number(number).ok_or_else(|| serde::de::Error::custom("no reject code"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn numbers_rise_and_lead_back_to_their_code() {
        for pair in RejectCode::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{pair:?}");
        }
        for &code in RejectCode::ALL {
            assert_eq!(RejectCode::from_number(code.number()), Some(code));
        }
        assert_eq!(RejectCode::from_number(0), None);
    }

    #[test]
    fn unknown_number_is_kept_and_judged_by_its_range() {
        for (number, permanence) in
            [(84, Permanence::Transient), (67, Permanence::Permanent), (999, Permanence::Permanent)]
        {
            let bytes = codec::encode(&number);
            let code: RejectCode = codec::decode(&bytes, 2).expect("readable");
            assert_eq!((code.number(), code.permanence(), code.name()), (number, permanence, "Unknown"));
            assert_eq!(codec::encode(&code), bytes);
        }
        assert!(codec::decode::<RejectCode>(&[0, 0], 2).is_err());
    }
}
