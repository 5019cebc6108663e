//! How much more the peer may send: envelopes and bytes, counted on both sides of a link.
//!
//! The receiver opens a window, counts what arrives against it, and gives credit back when the events behind it are
//! committed: a peer can never have more in flight than the receiver has agreed to hold. Pure accounting; credit lives
//! as long as its link and starts anew with the next.

use thiserror::Error;

use crate::limits::{CREDIT_BYTES_MAX, CREDIT_ENVELOPES_MAX, KEPT_FOR_URGENT_MAX};

/// An amount of credit, or of what uses it up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Credit {
    /// Envelopes: submissions or deliveries.
    pub envelopes: u32,
    /// Bytes of body chunks.
    pub bytes: u64,
}

impl Credit {
    /// No credit.
    pub const NONE: Self = Self { envelopes: 0, bytes: 0 };
    /// The most that one side may hold.
    pub const MAX: Self = Self { envelopes: CREDIT_ENVELOPES_MAX, bytes: CREDIT_BYTES_MAX };

    /// `self + other`, unless either part passes [`Credit::MAX`].
    fn plus(self, other: Self) -> Option<Self> {
        let sum = Self {
            envelopes: self.envelopes.checked_add(other.envelopes)?,
            bytes: self.bytes.checked_add(other.bytes)?,
        };
        (sum.envelopes <= Self::MAX.envelopes && sum.bytes <= Self::MAX.bytes).then_some(sum)
    }

    /// `self - other`, unless either part falls below zero.
    fn minus(self, other: Self) -> Option<Self> {
        Some(Self {
            envelopes: self.envelopes.checked_sub(other.envelopes)?,
            bytes: self.bytes.checked_sub(other.bytes)?,
        })
    }
}

/// A side did not keep to the credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CreditViolation {
    /// The peer granted more than [`Credit::MAX`] in all.
    #[error("peer granted more credit than a link may carry")]
    Overflow,
    /// The peer sent more than it was granted.
    #[error("peer sent more than its credit allows")]
    Exceeded,
    /// More was committed than had arrived: our bug.
    #[error("more credit returned than was used")]
    Underflow,
}

/// Whether something may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Spend {
    /// It may: its credit is spent.
    Spent,
    /// Not yet: nothing is spent, a grant must come first.
    Wait,
}

/// The sender's side: credit left to use.
///
/// The last envelopes of a window are kept for urgent mail. Credit returns when an envelope is settled, and one with a large
/// body on a slow line may take hours: without them, a window of such would be what urgent mail waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendCredit {
    left: Credit,
    // Of the first grant, which is the window.
    kept: Option<u32>,
}

impl SendCredit {
    /// A link begins without credit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spends `amount` if there is enough of both kinds, else nothing.
    pub fn spend(&mut self, amount: Credit) -> Spend {
        match self.left.minus(amount) {
            Some(left) => {
                self.left = left;
                Spend::Spent
            }
            None => Spend::Wait,
        }
    }

    /// Takes in a grant of the peer.
    ///
    /// # Errors
    /// [`CreditViolation::Overflow`] if the credit left would pass [`Credit::MAX`]; nothing is added.
    pub fn granted(&mut self, grant: Credit) -> Result<(), CreditViolation> {
        self.left = self.left.plus(grant).ok_or(CreditViolation::Overflow)?;
        self.kept = self.kept.or(Some(KEPT_FOR_URGENT_MAX.min(grant.envelopes / 4)));
        Ok(())
    }

    /// Envelopes left for mail that is not urgent.
    #[must_use]
    pub fn left_for_common(&self) -> u32 {
        self.left.envelopes.saturating_sub(self.kept.unwrap_or(0))
    }

    /// What is left.
    #[must_use]
    pub fn left(&self) -> Credit {
        self.left
    }
}

/// The receiver's side. What it holds is always the window: still unused by the peer, in flight to a commit, or
/// committed and waiting to be granted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiveCredit {
    unused: Credit,
    in_flight: Credit,
    returnable: Credit,
}

impl ReceiveCredit {
    /// Opens a window; the first [`ReceiveCredit::take_grant`] hands it to the peer.
    ///
    /// Each part of `window` is held at [`Credit::MAX`].
    #[must_use]
    pub fn new(window: Credit) -> Self {
        let window = Credit {
            envelopes: window.envelopes.min(Credit::MAX.envelopes),
            bytes: window.bytes.min(Credit::MAX.bytes),
        };
        Self { unused: Credit::NONE, in_flight: Credit::NONE, returnable: window }
    }

    /// Something arrived.
    ///
    /// # Errors
    /// [`CreditViolation::Exceeded`] if the peer had no credit for it: the link ends.
    pub fn arrived(&mut self, amount: Credit) -> Result<(), CreditViolation> {
        self.unused = self.unused.minus(amount).ok_or(CreditViolation::Exceeded)?;
        // All three parts sum to the window, so this addition cannot pass the maximum.
        self.in_flight = self.in_flight.plus(amount).ok_or(CreditViolation::Exceeded)?;
        Ok(())
    }

    /// What had arrived is committed, or refused and forgotten: its credit may be granted again.
    ///
    /// # Errors
    /// [`CreditViolation::Underflow`] if less had arrived.
    pub fn committed(&mut self, amount: Credit) -> Result<(), CreditViolation> {
        self.in_flight = self.in_flight.minus(amount).ok_or(CreditViolation::Underflow)?;
        self.returnable = self.returnable.plus(amount).ok_or(CreditViolation::Underflow)?;
        Ok(())
    }

    /// The next grant for the peer, if there is anything to give. What it returns must be sent.
    #[must_use]
    pub fn take_grant(&mut self) -> Option<Credit> {
        if self.returnable == Credit::NONE {
            return None;
        }
        let grant = core::mem::take(&mut self.returnable);
        // Cannot be `None`: the parts sum to the window.
        self.unused = self.unused.plus(grant).unwrap_or(Credit::MAX);
        Some(grant)
    }

    /// What has arrived and is not committed.
    #[must_use]
    pub fn in_flight(&self) -> Credit {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Credit = Credit { envelopes: 4, bytes: 1000 };
    const ONE: Credit = Credit { envelopes: 1, bytes: 300 };

    #[test]
    fn credit_returns_at_commit() {
        let (mut sender, mut receiver) = (SendCredit::new(), ReceiveCredit::new(WINDOW));
        assert_eq!(sender.spend(ONE), Spend::Wait);
        sender.granted(receiver.take_grant().unwrap()).unwrap();
        assert_eq!(receiver.take_grant(), None);
        for _ in 0..3 {
            assert_eq!(sender.spend(ONE), Spend::Spent);
            receiver.arrived(ONE).unwrap();
        }
        // One envelope and 100 bytes are left: not enough bytes, and nothing is taken.
        assert_eq!(sender.spend(ONE), Spend::Wait);
        assert_eq!(sender.left(), Credit { envelopes: 1, bytes: 100 });
        receiver.committed(ONE).unwrap();
        receiver.committed(ONE).unwrap();
        let grant = receiver.take_grant().unwrap();
        assert_eq!(grant, Credit { envelopes: 2, bytes: 600 });
        sender.granted(grant).unwrap();
        assert_eq!(sender.spend(ONE), Spend::Spent);
        assert_eq!(receiver.in_flight(), ONE);
    }

    #[test]
    fn the_last_of_a_window_is_kept_for_urgent_mail() {
        for (window, kept) in [(1, 0), (3, 0), (4, 1), (40, 10), (80, KEPT_FOR_URGENT_MAX), (256, KEPT_FOR_URGENT_MAX)]
        {
            let mut sender = SendCredit::new();
            sender.granted(Credit { envelopes: window, bytes: 0 }).unwrap();
            assert_eq!(sender.left_for_common(), window - kept);
            assert_eq!(
                sender.spend(Credit { envelopes: window, bytes: 0 }),
                Spend::Spent,
                "urgent mail may use it all"
            );
            // A later grant is no window.
            sender.granted(Credit { envelopes: kept, bytes: 0 }).unwrap();
            assert_eq!(sender.left_for_common(), 0);
        }
    }

    #[test]
    fn peer_that_sends_too_much_is_in_violation() {
        let mut receiver = ReceiveCredit::new(WINDOW);
        assert_eq!(receiver.arrived(ONE), Err(CreditViolation::Exceeded), "nothing was granted yet");
        assert_eq!(receiver.take_grant(), Some(WINDOW));
        assert_eq!(receiver.arrived(Credit { envelopes: 5, bytes: 0 }), Err(CreditViolation::Exceeded));
        assert_eq!(receiver.arrived(Credit { envelopes: 0, bytes: 1001 }), Err(CreditViolation::Exceeded));
        assert_eq!(receiver.arrived(WINDOW), Ok(()));
    }

    #[test]
    fn more_committed_than_arrived_is_a_violation() {
        let mut receiver = ReceiveCredit::new(WINDOW);
        assert_eq!(receiver.take_grant(), Some(WINDOW));
        receiver.arrived(ONE).unwrap();
        assert_eq!(receiver.committed(Credit { bytes: 301, ..ONE }), Err(CreditViolation::Underflow));
        assert_eq!(receiver.committed(ONE), Ok(()));
        assert_eq!(receiver.committed(ONE), Err(CreditViolation::Underflow));
    }

    #[test]
    fn grants_beyond_the_maximum_are_a_violation() {
        let mut sender = SendCredit::new();
        sender.granted(Credit::MAX).unwrap();
        assert_eq!(sender.granted(Credit { envelopes: 1, bytes: 0 }), Err(CreditViolation::Overflow));
        assert_eq!(sender.granted(Credit { envelopes: 0, bytes: 1 }), Err(CreditViolation::Overflow));
        let mut fresh = SendCredit::new();
        assert_eq!(fresh.granted(Credit { envelopes: 0, bytes: u64::MAX }), Err(CreditViolation::Overflow));
        assert_eq!(fresh.left(), Credit::NONE);
    }
}
