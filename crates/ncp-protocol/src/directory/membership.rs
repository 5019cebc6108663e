//! The membership statement: who takes part, as what, with which first entry, and who is suspended.
//!
//! The Secretariat's membership role signs it. It adds, classifies and suspends participants and never names a key of
//! theirs but through the fingerprint of their first entry, which people compare.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::entry::Fingerprint;
use crate::codec::Prefix;
use crate::codes::Code;
use crate::ids::{NetworkId, ParticipantId, UnixMillis};
use crate::keys::Purpose;
use crate::limits::{MEMBERS_MAX, MEMBERSHIP_LIFETIME_MAX_MS, MEMBERSHIP_MAX};
use crate::root::{Signed, Statement};

/// What a participant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MembershipClass {
    /// A participating State.
    ParticipatingState,
    /// A Mediterranean Partner for Co-operation.
    MediterraneanPartner,
    /// Another Partner for Co-operation.
    PartnerForCooperation,
    /// The Secretariat, and the hub that it runs.
    Secretariat,
    /// An international organisation.
    Organisation,
}

/// One participant in the statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub participant: ParticipantId,
    /// As what.
    pub class: MembershipClass,
    /// Of the participant's first entry.
    pub fingerprint: Fingerprint,
    /// Why nothing goes to or from it, if so.
    pub suspended: Option<Code>,
}

/// One version of the membership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The network it belongs to.
    pub network: NetworkId,
    /// From 1; each statement adds one.
    pub version: u32,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it no longer holds: at most 90 days later.
    pub expires: UnixMillis,
    /// All participants, sorted by id.
    pub members: Vec<Member>,
}

/// Why a membership statement cannot stand, whoever signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MembershipFault {
    /// Versions count from 1.
    #[error("version 0")]
    Version,
    /// It expires before it begins, or more than 90 days later.
    #[error("validity out of range")]
    Validity,
    /// More than [`MEMBERS_MAX`] members.
    #[error("too many members")]
    TooManyMembers,
    /// The members are not sorted, or one stands twice.
    #[error("members not sorted or not unique")]
    Order,
}

/// A membership statement with its signatures, as it arrived.
pub type SignedMembership = Signed<Membership>;

impl Statement for Membership {
    type Fault = MembershipFault;
    const PREFIX: Prefix = Prefix::new(b'G', 1);
    const SIGNED_PREFIX: Prefix = Prefix::new(b'g', 1);
    const PURPOSE: Purpose = Purpose::Membership;
    const LIMIT: usize = MEMBERSHIP_MAX;

    fn check(&self) -> Result<(), MembershipFault> {
        if self.version == 0 {
            return Err(MembershipFault::Version);
        }
        if !(1..=MEMBERSHIP_LIFETIME_MAX_MS).contains(&self.expires.millis_since(self.issued)) {
            return Err(MembershipFault::Validity);
        }
        if self.members.len() > MEMBERS_MAX {
            return Err(MembershipFault::TooManyMembers);
        }
        let sorted = self.members.is_sorted_by(|a, b| a.participant < b.participant);
        if sorted { Ok(()) } else { Err(MembershipFault::Order) }
    }
}

impl Membership {
    /// What the statement says about a participant.
    #[must_use]
    pub fn member(&self, participant: ParticipantId) -> Option<&Member> {
        let place = self.members.binary_search_by_key(&participant, |member| member.participant).ok()?;
        self.members.get(place)
    }
}
