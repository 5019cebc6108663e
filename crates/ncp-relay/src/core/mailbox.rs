//! Choosing what a recipient gets next: urgent before priority before routine, originators in turn within a rank, and
//! now and then something of a lower rank, so that no flood of one kind or of one State starves the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::EnvelopeKey;
use ncp_protocol::ids::{MessageId, ParticipantId, SealNumber};
use ncp_store::state::{Unreadable, View};

use super::tables::{ENVELOPES, MAILBOXES, MailboxKey, envelope_key};
use crate::limits::{LOWER_RANK_EVERY, OFFERED_OPEN_MAX};

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
        self.rank < precedence.rank()
    }
}

/// How many envelopes may go to a recipient now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub all: usize,
    /// Before the first that is not urgent may go no more.
    pub common: usize,
}

impl Room {
    /// Room for so many, whatever their precedence.
    #[must_use]
    pub fn any(count: usize) -> Self {
        Self { all: count, common: count }
    }

    fn is_for(self, rank: u8, chosen: usize) -> bool {
        chosen < if rank == Precedence::Urgent.rank() { self.all } else { self.common }
    }
}

/// What a participant gets next of one rank: the first that is due of each originator.
type Heads = BTreeMap<ParticipantId, Waiting>;

/// Where the choosing stands on one link: whose turn it is, and what went out already.
///
/// What one choice reads depends on how many originators have mail here, not on how much: rows of one originator are
/// handed out in the order of their places, so the highest place handed out tells where to go on.
#[derive(Debug, Clone, Default)]
pub struct Turns {
    // The originator served last, per rank.
    last: [Option<ParticipantId>; 3],
    served: u64,
    // The highest place in the journal that was handed out, per rank and originator.
    handed: BTreeMap<(u8, ParticipantId), u64>,
    // What was given back since: below the highest, and to be chosen again.
    again: BTreeSet<(u8, ParticipantId, u64)>,
    // What was chosen and, as far as is known, has not ended: its rank and place.
    out: BTreeMap<EnvelopeKey, (u8, u64)>,
    // Whom the last choice passed over, since enough of that rank is out.
    held_back: BTreeSet<(u8, ParticipantId)>,
    prune_at: usize,
}

impl Turns {
    /// Envelopes for `recipient` as far as there is `room`, in the order in which they should go. Of one originator and
    /// precedence no more than [`OFFERED_OPEN_MAX`] are with it: what it cannot judge stays there without an answer, and
    /// must not be what the mail of others waits for. What was chosen is not chosen again on this link unless
    /// [`Turns::give_back`] lets go of it.
    ///
    /// # Errors
    /// [`Unreadable`] if the view cannot be read.
    pub fn choose(
        &mut self,
        view: &dyn View,
        recipient: ParticipantId,
        room: Room,
    ) -> Result<Vec<Waiting>, Unreadable> {
        if self.out.len() >= self.prune_at.max(PRUNE_MIN) {
            self.forget_ended(view, |_, _| true)?;
            self.prune_at = self.out.len() * 2;
        }
        let chosen = self.take(view, recipient, room)?;
        if !chosen.is_empty() || self.held_back.is_empty() {
            return Ok(chosen);
        }
        // What holds them back may have ended.
        let held_back = core::mem::take(&mut self.held_back);
        self.forget_ended(view, |rank, originator| held_back.contains(&(rank, originator)))?;
        self.take(view, recipient, room)
    }

    fn take(&mut self, view: &dyn View, recipient: ParticipantId, room: Room) -> Result<Vec<Waiting>, Unreadable> {
        self.held_back.clear();
        let mut heads: [Option<Heads>; 3] = [const { None }; 3];
        let mut chosen = Vec::new();
        loop {
            let open = RANKS.map(|rank| room.is_for(rank, chosen.len()));
            let Some(next) = self.next(view, recipient, open, &mut heads)? else { break };
            self.hand_out(&next);
            let originator = next.envelope.originator;
            if let Some(Some(heads)) = heads.get_mut(usize::from(next.rank)) {
                match self.head(view, (recipient, next.rank, originator))? {
                    Some(head) => heads.insert(originator, head),
                    None => heads.remove(&originator),
                };
            }
            chosen.push(next);
        }
        Ok(chosen)
    }

    /// Whether the last choice passed somebody over, because so much is with the recipient.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        !self.held_back.is_empty()
    }

    /// Whether this was chosen and, as far as is known, has not ended.
    #[must_use]
    pub fn is_out(&self, envelope: &EnvelopeKey) -> bool {
        self.out.contains_key(envelope)
    }

    /// Lets go of one that the recipient did not take: it is chosen again.
    pub fn give_back(&mut self, envelope: &EnvelopeKey) {
        if let Some((rank, sequence)) = self.out.remove(envelope) {
            self.again.insert((rank, envelope.originator, sequence));
        }
    }

    /// Forgets one that was chosen and may not be offered. It is not chosen again.
    pub fn forget(&mut self, envelope: &EnvelopeKey) {
        self.out.remove(envelope);
    }

    fn hand_out(&mut self, waiting: &Waiting) {
        let Waiting { sequence, envelope, rank } = *waiting;
        self.served += 1;
        self.out.insert(envelope, (rank, sequence));
        self.again.remove(&(rank, envelope.originator, sequence));
        let highest = self.handed.entry((rank, envelope.originator)).or_default();
        *highest = sequence.max(*highest);
        if let Some(last) = self.last.get_mut(usize::from(rank)) {
            *last = Some(envelope.originator);
        }
    }

    /// Forgets what has ended of these ranks and originators.
    fn forget_ended(&mut self, view: &dyn View, of: impl Fn(u8, ParticipantId) -> bool) -> Result<(), Unreadable> {
        let mut ended = Vec::new();
        for (envelope, _) in self.out.iter().filter(|(envelope, (rank, _))| of(*rank, envelope.originator)) {
            if ENVELOPES.row(view, &envelope_key(envelope))?.is_none_or(|row| !row.is_open()) {
                ended.push(*envelope);
            }
        }
        for envelope in ended {
            self.out.remove(&envelope);
        }
        Ok(())
    }

    fn next(
        &mut self,
        view: &dyn View,
        recipient: ParticipantId,
        open: [bool; 3],
        heads: &mut [Option<Heads>; 3],
    ) -> Result<Option<Waiting>, Unreadable> {
        let lower_turn = self.served % LOWER_RANK_EVERY == LOWER_RANK_EVERY - 1;
        let mut ranks = RANKS;
        if lower_turn {
            ranks.reverse();
        }
        for rank in ranks.into_iter().filter(|rank| open.get(usize::from(*rank)) == Some(&true)) {
            let Some(slot) = heads.get_mut(usize::from(rank)) else { continue };
            let heads = match slot {
                Some(heads) => heads,
                None => slot.insert(self.heads(view, recipient, rank)?),
            };
            // The originator after the one served last; the first, if there is none after.
            let last = self.last.get(usize::from(rank)).copied().flatten();
            let after = last.and_then(|last| heads.range((Bound::Excluded(last), Bound::Unbounded)).next());
            if let Some((_, found)) = after.or_else(|| heads.first_key_value()) {
                return Ok(Some(*found));
            }
        }
        Ok(None)
    }

    /// The first that is due of each originator.
    fn heads(&mut self, view: &dyn View, recipient: ParticipantId, rank: u8) -> Result<Heads, Unreadable> {
        let mut heads = Heads::new();
        let mut found = None;
        MAILBOXES.scan(view, &(recipient, rank), first(&mut found))?;
        while let Some((key, _)) = found.take() {
            let originator = key.2;
            if let Some(head) = self.head(view, (recipient, rank, originator))? {
                heads.insert(originator, head);
            }
            let behind = (recipient, rank, originator, u64::MAX);
            MAILBOXES.scan_from(view, &(recipient, rank), &behind, first(&mut found))?;
        }
        Ok(heads)
    }

    /// How many of one originator and rank are out.
    fn count_out(&self, (recipient, rank, originator): (ParticipantId, u8, ParticipantId)) -> usize {
        let from = EnvelopeKey { originator, message: MessageId([0; 16]), recipient, seal: SealNumber(0) };
        let of_originator = self.out.range(from..).take_while(|(envelope, _)| envelope.originator == originator);
        of_originator.filter(|(_, (of, _))| *of == rank).count()
    }

    /// What is due next of one originator: what was given back, then what was not handed out yet.
    fn head(
        &mut self,
        view: &dyn View,
        mailbox: (ParticipantId, u8, ParticipantId),
    ) -> Result<Option<Waiting>, Unreadable> {
        let (recipient, rank, originator) = mailbox;
        if self.count_out(mailbox) >= OFFERED_OPEN_MAX {
            self.held_back.insert((rank, originator));
            return Ok(None);
        }
        let given_back = (rank, originator, 0)..=(rank, originator, u64::MAX);
        while let Some(place) = self.again.range(given_back.clone()).next().copied() {
            if let Some(envelope) = MAILBOXES.row(view, &(recipient, rank, originator, place.2))? {
                return Ok(Some(Waiting { sequence: place.2, envelope, rank }));
            }
            // It has ended meanwhile.
            self.again.remove(&place);
        }
        let start = self.handed.get(&(rank, originator)).map_or(0, |highest| highest.saturating_add(1));
        let mut found = None;
        MAILBOXES.scan_from(view, &mailbox, &(recipient, rank, originator, start), first(&mut found))?;
        Ok(found.map(|((.., sequence), envelope)| Waiting { sequence, envelope, rank }))
    }
}

/// Takes the first row of a scan.
fn first(found: &mut Option<(MailboxKey, EnvelopeKey)>) -> impl FnMut(MailboxKey, EnvelopeKey) -> ControlFlow<()> {
    |key, envelope| {
        *found = Some((key, envelope));
        ControlFlow::Break(())
    }
}
