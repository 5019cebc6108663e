//! Choosing what a recipient gets next: urgent before priority before routine, originators in turn within a rank, and
//! now and then something of a lower rank, so that no flood of one kind or of one State starves the rest.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::ids::ParticipantId;
use ncp_store::state::{Unreadable, View};

use super::tables::{ENVELOPES, MAILBOXES, MailboxKey, envelope_key, rank};
use crate::limits::LOWER_RANK_EVERY;

const RANKS: [u8; 3] = [0, 1, 2];
/// Fewer than this are not worth looking through.
const PRUNE_MIN: usize = 64;

/// Something in a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Place in the journal, which names it while it waits.
    pub sequence: u64,
    /// Which envelope.
    pub envelope: EnvelopeKey,
    rank: u8,
}

impl Waiting {
    /// Whether it goes before everything of this precedence.
    #[must_use]
    pub fn precedes(&self, precedence: Precedence) -> bool {
        self.rank < rank(precedence)
    }
}

/// Where the choosing stands on one link: whose turn it is, and what went out already.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    // The originator served last, per rank.
    last: [Option<ParticipantId>; 3],
    served: u64,
    // Place in the journal of what was chosen and, as far as is known, has not ended.
    sent: BTreeMap<u64, EnvelopeKey>,
    prune_at: usize,
}

impl Turns {
    /// At most `max` envelopes for `recipient`, in the order in which they should go. What was chosen is not chosen
    /// again on this link unless [`Turns::give_back`] lets go of it.
    ///
    /// # Errors
    /// [`Unreadable`] if the view cannot be read.
    pub fn choose(
        &mut self,
        view: &dyn View,
        recipient: ParticipantId,
        max: usize,
    ) -> Result<Vec<Waiting>, Unreadable> {
        self.prune(view)?;
        let mut chosen = Vec::new();
        while chosen.len() < max {
            let Some(next) = self.next(view, recipient)? else { break };
            self.sent.insert(next.sequence, next.envelope);
            self.served += 1;
            if let Some(last) = self.last.get_mut(usize::from(next.rank)) {
                *last = Some(next.envelope.originator);
            }
            chosen.push(next);
        }
        Ok(chosen)
    }

    /// Lets go of one that the recipient did not take: it is chosen again.
    pub fn give_back(&mut self, envelope: &EnvelopeKey) {
        self.sent.retain(|_, sent| sent != envelope);
    }

    /// Forgets what has ended, whenever twice as much has gathered as was left the last time.
    fn prune(&mut self, view: &dyn View) -> Result<(), Unreadable> {
        if self.sent.len() < self.prune_at.max(PRUNE_MIN) {
            return Ok(());
        }
        let mut ended = Vec::new();
        for (sequence, envelope) in &self.sent {
            if ENVELOPES.row(view, &envelope_key(envelope))?.is_none_or(|row| !row.is_open()) {
                ended.push(*sequence);
            }
        }
        for sequence in ended {
            self.sent.remove(&sequence);
        }
        self.prune_at = self.sent.len() * 2;
        Ok(())
    }

    fn next(&self, view: &dyn View, recipient: ParticipantId) -> Result<Option<Waiting>, Unreadable> {
        let lower_turn = self.served % LOWER_RANK_EVERY == LOWER_RANK_EVERY - 1;
        let mut ranks = RANKS;
        if lower_turn {
            ranks.reverse();
        }
        for rank in ranks {
            if let Some(found) = self.next_of_rank(view, recipient, rank)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The oldest of the originator after the one served last; of the first, if there is none after.
    fn next_of_rank(&self, view: &dyn View, recipient: ParticipantId, rank: u8) -> Result<Option<Waiting>, Unreadable> {
        let mut first = None;
        if let Some(last) = self.last.get(usize::from(rank)).copied().flatten() {
            let after = (recipient, rank, last, u64::MAX);
            MAILBOXES.scan_from(view, &(recipient, rank), &after, self.first_unsent(&mut first))?;
        }
        if first.is_none() {
            MAILBOXES.scan(view, &(recipient, rank), self.first_unsent(&mut first))?;
        }
        Ok(first)
    }

    fn first_unsent<'a>(
        &'a self,
        first: &'a mut Option<Waiting>,
    ) -> impl FnMut(MailboxKey, EnvelopeKey) -> ControlFlow<()> + 'a {
        |(_, rank, _, sequence), envelope| {
            if self.sent.contains_key(&sequence) {
                return ControlFlow::Continue(());
            }
            *first = Some(Waiting { sequence, envelope, rank });
            ControlFlow::Break(())
        }
    }
}
