//! When a statement about the directory may be believed: pure rules over what was seen before and what is offered now.
//!
//! The threats are those of the TUF specification, section 1.5: rollback, freeze, mix-and-match, fast-forward, keys
//! below their threshold. A refusal leaves what was believed before in force. What only closes (a suspension) acts on
//! sight of a verified statement; what opens (a member, a key) needs everything [`accept_entry`] asks for.

use std::collections::BTreeMap;

use thiserror::Error;

use super::chain::{Chain, ChainError};
use super::entry::{Fingerprint, SignedEntry};
use super::membership::{Membership, SignedMembership};
use super::timestamp::{Freshness, SignedTimestamp, Timestamp};
use crate::codec::DecodeError;
use crate::codes::Code;
use crate::event::{Change, Event};
use crate::ids::{Digest, LogName, ParticipantId, UnixMillis};
use crate::limits::{CLOCK_SKEW_MAX_MS, PUBLIC_JUMP_MAX, VERSION_JUMP_MAX};
use crate::merkle::{Frontier, leaf_hash};
use crate::root::{QuorumError, TrustedRoot};

/// Why a timestamp statement is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimestampRefusal {
    /// The root of trust has expired; a newer one is needed first.
    #[error("the root of trust has expired")]
    RootExpired,
    /// A statement of another network.
    #[error("of another network")]
    Network,
    /// Too few good signatures.
    #[error("{0}")]
    Quorum(#[from] QuorumError),
    /// From the future, beyond the skew of clocks.
    #[error("issued in the future")]
    Future,
    /// Expired, and its grace is over: somebody shows an old directory.
    #[error("frozen: expired, and its grace is over")]
    Frozen,
    /// Older than one seen before.
    #[error("rolled back")]
    RolledBack,
    /// Further ahead of the last one seen than a true one can be.
    #[error("too far ahead")]
    FastForward,
    /// Another root, or membership, of the same number as one seen before: two directories.
    #[error("contradicts an earlier statement")]
    Contradiction,
}

/// Believes a timestamp statement, given the last one believed.
///
/// # Errors
/// [`TimestampRefusal`].
pub fn accept_timestamp(
    root: &TrustedRoot,
    seen: Option<&Timestamp>,
    signed: &SignedTimestamp,
    now: UnixMillis,
) -> Result<Timestamp, TimestampRefusal> {
    if root.is_expired(now) {
        return Err(TimestampRefusal::RootExpired);
    }
    if signed.unverified().network != root.network() {
        return Err(TimestampRefusal::Network);
    }
    let new = *signed.verify(&root.root().roles.timestamp, &root.network())?;
    if new.issued > now.plus_millis(CLOCK_SKEW_MAX_MS) {
        return Err(TimestampRefusal::Future);
    }
    if new.freshness(now) == Freshness::Stale {
        return Err(TimestampRefusal::Frozen);
    }
    let (version, size) = seen.map_or((0, 0), |seen| (seen.membership_version, seen.public_size));
    if let Some(seen) = seen {
        compare_timestamps(seen, &new)?;
    }
    if new.membership_version - version > VERSION_JUMP_MAX || new.public_size - size > PUBLIC_JUMP_MAX {
        return Err(TimestampRefusal::FastForward);
    }
    Ok(new)
}

/// After this, no number of `new` is below that of `seen`.
fn compare_timestamps(seen: &Timestamp, new: &Timestamp) -> Result<(), TimestampRefusal> {
    if new.issued < seen.issued
        || new.membership_version < seen.membership_version
        || new.public_size < seen.public_size
    {
        return Err(TimestampRefusal::RolledBack);
    }
    let other_membership =
        new.membership_version == seen.membership_version && new.membership_digest != seen.membership_digest;
    let other_public = new.public_size == seen.public_size && new.public_root != seen.public_root;
    if other_membership || other_public { Err(TimestampRefusal::Contradiction) } else { Ok(()) }
}

/// Why a membership statement is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MembershipRefusal {
    /// The root of trust has expired; a newer one is needed first.
    #[error("the root of trust has expired")]
    RootExpired,
    /// A statement of another network.
    #[error("of another network")]
    Network,
    /// Too few good signatures.
    #[error("{0}")]
    Quorum(#[from] QuorumError),
    /// From the future, beyond the skew of clocks.
    #[error("issued in the future")]
    Future,
    /// No longer valid.
    #[error("expired")]
    Expired,
    /// Older than one seen before.
    #[error("rolled back")]
    RolledBack,
    /// Not the one that the timestamp names: parts of two directories are mixed.
    #[error("not the one that the timestamp names")]
    MixAndMatch,
}

/// Believes a membership statement: the one that `timestamp`, which was believed, names.
///
/// # Errors
/// [`MembershipRefusal`].
pub fn accept_membership(
    root: &TrustedRoot,
    timestamp: &Timestamp,
    seen: Option<&Membership>,
    signed: &SignedMembership,
    now: UnixMillis,
) -> Result<Membership, MembershipRefusal> {
    if root.is_expired(now) {
        return Err(MembershipRefusal::RootExpired);
    }
    if signed.unverified().network != root.network() {
        return Err(MembershipRefusal::Network);
    }
    let new = signed.verify(&root.root().roles.membership, &root.network())?;
    if new.issued > now.plus_millis(CLOCK_SKEW_MAX_MS) {
        return Err(MembershipRefusal::Future);
    }
    if now >= new.expires {
        return Err(MembershipRefusal::Expired);
    }
    if seen.is_some_and(|seen| new.version < seen.version) {
        return Err(MembershipRefusal::RolledBack);
    }
    if (new.version, signed.digest()) != (timestamp.membership_version, timestamp.membership_digest) {
        return Err(MembershipRefusal::MixAndMatch);
    }
    Ok(new.clone())
}

/// Why the log `public` cannot have grown so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublicRefusal {
    /// A leaf is no event.
    #[error("a leaf is no event: {0}")]
    Event(#[from] DecodeError),
    /// A leaf belongs to another log.
    #[error("a leaf of another log")]
    Log,
}

/// What a full reading of the log `public` says about entries and suspensions.
#[derive(Debug, Clone, Default)]
pub struct PublicReading {
    frontier: Frontier,
    admitted: BTreeMap<(ParticipantId, u32), Digest>,
    suspended: BTreeMap<ParticipantId, Code>,
}

impl PublicReading {
    /// The reading of the empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next leaf and returns its event. The root says afterwards whether it was the true one.
    ///
    /// # Errors
    /// [`PublicRefusal`]; the reading stays as it was.
    pub fn read(&mut self, leaf: &[u8]) -> Result<Event, PublicRefusal> {
        let event = Event::decode(leaf)?;
        if event.log != LogName::Public {
            return Err(PublicRefusal::Log);
        }
        if let Change::EntryAdmitted { participant, version, entry } = &event.change {
            self.admitted.insert((*participant, *version), *entry);
        } else if let Change::ParticipantSuspended { participant, reason } = &event.change {
            self.suspended.insert(*participant, reason.clone());
        } else if let Change::ParticipantReinstated { participant } = &event.change {
            self.suspended.remove(participant);
        }
        self.frontier.push(leaf_hash(leaf), |_, _, _| {});
        Ok(event)
    }

    /// How many leaves were read.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root of the leaves that were read.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.frontier.root()
    }

    /// The digest that the log admits as this version of a participant's entry; the last one, if there are several.
    #[must_use]
    pub fn admitted(&self, participant: ParticipantId, version: u32) -> Option<&Digest> {
        self.admitted.get(&(participant, version))
    }

    /// Why a participant is suspended, if it is.
    #[must_use]
    pub fn suspended(&self, participant: ParticipantId) -> Option<&Code> {
        self.suspended.get(&participant)
    }
}

/// What the State's own rules say about a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NationalPolicy {
    /// Correspondence is agreed to.
    Agrees,
    /// It is not.
    Denies,
}

/// Everything that decides about an entry.
#[derive(Debug, Clone, Copy)]
pub struct EntryCase<'a> {
    /// The timestamp statement last believed.
    pub timestamp: &'a Timestamp,
    /// The membership statement last believed.
    pub membership: &'a Membership,
    /// The log `public`, read as far as the timestamp states.
    pub public: &'a PublicReading,
    /// What people compared; none if nobody has.
    pub pin: Option<&'a Fingerprint>,
    /// The participant's entries accepted before.
    pub chain: Option<&'a Chain>,
    /// What the State's own rules say.
    pub policy: NationalPolicy,
    /// Present time.
    pub now: UnixMillis,
}

/// Why an entry is not accepted. The participant is closed for this node alone, or stays at the entry before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EntryRefusal {
    /// Nobody compared fingerprints yet.
    #[error("not pinned")]
    NotPinned,
    /// The membership statement does not name the participant.
    #[error("not a member")]
    NotAMember,
    /// The membership statement has expired.
    #[error("the membership statement has expired")]
    MembershipExpired,
    /// The membership statement names another first entry than the pinned one.
    #[error("membership and pin name different fingerprints")]
    FingerprintDiffers,
    /// The participant is suspended, for this reason.
    #[error("suspended: {0}")]
    Suspended(Code),
    /// The timestamp statement is not fresh, and its grace is over.
    #[error("the timestamp is stale")]
    TimestampStale,
    /// What was read of `public` is not what the timestamp states.
    #[error("the log `public` is not at the timestamp's checkpoint")]
    PublicDiffers,
    /// A lower version than accepted before.
    #[error("version {found} after version {seen}")]
    RolledBack {
        /// The version accepted before.
        seen: u32,
        /// The version offered.
        found: u32,
    },
    /// `public` admits no such version of this entry.
    #[error("not admitted in the log `public`")]
    NotAdmitted,
    /// `public` admits another entry as this version.
    #[error("the log `public` admits another entry")]
    AnotherAdmitted,
    /// The chain does not run to it.
    #[error("chain: {0}")]
    Chain(#[from] ChainError),
    /// National rules do not agree.
    #[error("national policy denies")]
    PolicyDenies,
}

/// Accepts a participant's entry as the newest, and returns the chain that ends in it. The entry accepted before is
/// accepted again.
///
/// # Errors
/// [`EntryRefusal`].
pub fn accept_entry(case: &EntryCase<'_>, signed: &SignedEntry) -> Result<Chain, EntryRefusal> {
    let entry = signed.unverified();
    let pin = case.pin.ok_or(EntryRefusal::NotPinned)?;
    check_participant(case, entry.participant, pin)?;
    if case.timestamp.freshness(case.now) == Freshness::Stale {
        return Err(EntryRefusal::TimestampStale);
    }
    if (case.public.size(), case.public.root()) != (case.timestamp.public_size, case.timestamp.public_root) {
        return Err(EntryRefusal::PublicDiffers);
    }
    match case.public.admitted(entry.participant, entry.version) {
        None => return Err(EntryRefusal::NotAdmitted),
        Some(digest) if *digest != signed.digest() => return Err(EntryRefusal::AnotherAdmitted),
        Some(_) => {}
    }
    match case.chain {
        None => Ok(Chain::first(&case.membership.network, pin, signed)?),
        Some(chain) if chain.digest() == signed.digest() => Ok(chain.clone()),
        Some(chain) if entry.version < chain.entry().version => {
            Err(EntryRefusal::RolledBack { seen: chain.entry().version, found: entry.version })
        }
        Some(chain) => Ok(chain.next(signed)?),
    }
}

fn check_participant(case: &EntryCase<'_>, participant: ParticipantId, pin: &Fingerprint) -> Result<(), EntryRefusal> {
    let member = case.membership.member(participant).ok_or(EntryRefusal::NotAMember)?;
    if let Some(reason) = member.suspended.as_ref().or_else(|| case.public.suspended(participant)) {
        return Err(EntryRefusal::Suspended(reason.clone()));
    }
    if case.now >= case.membership.expires {
        return Err(EntryRefusal::MembershipExpired);
    }
    if member.fingerprint != *pin || case.chain.is_some_and(|chain| chain.fingerprint() != *pin) {
        return Err(EntryRefusal::FingerprintDiffers);
    }
    match case.policy {
        NationalPolicy::Agrees => Ok(()),
        NationalPolicy::Denies => Err(EntryRefusal::PolicyDenies),
    }
}

/// What an event of `public` means to the participant that watches for entries about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfWatch {
    /// Not an entry of ours.
    Unrelated,
    /// An entry that we signed.
    Ours,
    /// An entry in our name that we did not sign: critical; stop receiving under that key.
    Foreign,
}

/// Compares an event of `public` with the digests of the entries that `participant` itself signed.
#[must_use]
pub fn watch_self(participant: ParticipantId, signed_by_us: &[Digest], event: &Event) -> SelfWatch {
    if let Change::EntryAdmitted { participant: named, entry, .. } = &event.change
        && *named == participant
    {
        return if signed_by_us.contains(entry) { SelfWatch::Ours } else { SelfWatch::Foreign };
    }
    SelfWatch::Unrelated
}
