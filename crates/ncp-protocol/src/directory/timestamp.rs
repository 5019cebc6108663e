//! The timestamp statement: what the newest membership and the newest `public` checkpoint are.
//!
//! The hub signs one at least daily, online. It keeps an old directory from passing for the present one, and its two
//! parts from being mixed with parts of another time.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::codec::Prefix;
use crate::ids::{Digest, NetworkId, UnixMillis};
use crate::keys::Purpose;
use crate::limits::{TIMESTAMP_GRACE_MS, TIMESTAMP_LIFETIME_MAX_MS, TIMESTAMP_MAX};
use crate::root::{Signed, Statement};

/// What is newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// The network it belongs to.
    pub network: NetworkId,
    /// When it was signed.
    pub issued: UnixMillis,
    /// When it is no longer fresh: at most 24 hours later.
    pub expires: UnixMillis,
    /// Version of the newest membership statement.
    pub membership_version: u32,
    /// [`Signed::digest`] of that statement.
    pub membership_digest: Digest,
    /// Size of the log `public`.
    pub public_size: u64,
    /// Its root at that size.
    pub public_root: Digest,
}

/// Why a timestamp statement cannot stand, whoever signs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimestampFault {
    /// It expires before it begins, or more than 24 hours later.
    #[error("validity out of range")]
    Validity,
}

/// A timestamp statement with its signatures, as it arrived.
pub type SignedTimestamp = Signed<Timestamp>;

impl Statement for Timestamp {
    type Fault = TimestampFault;
    const PREFIX: Prefix = Prefix::new(b'T', 1);
    const SIGNED_PREFIX: Prefix = Prefix::new(b't', 1);
    const PURPOSE: Purpose = Purpose::Timestamp;
    const LIMIT: usize = TIMESTAMP_MAX;

    fn check(&self) -> Result<(), TimestampFault> {
        let in_range = (1..=TIMESTAMP_LIFETIME_MAX_MS).contains(&self.expires.millis_since(self.issued));
        if in_range { Ok(()) } else { Err(TimestampFault::Validity) }
    }
}

/// How far a timestamp statement can still be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// Not expired.
    Fresh,
    /// Expired less than 24 hours ago: warn, go on.
    Grace,
    /// Older: nothing new is sealed; accepting and releasing go on.
    Stale,
}

impl Timestamp {
    /// How far the statement can be relied on at `now`.
    #[must_use]
    pub fn freshness(&self, now: UnixMillis) -> Freshness {
        if now < self.expires {
            Freshness::Fresh
        } else if now < self.expires.plus_millis(TIMESTAMP_GRACE_MS) {
            Freshness::Grace
        } else {
            Freshness::Stale
        }
    }
}
