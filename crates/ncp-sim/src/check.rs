//! The checker: what left each machine, and what every journal says about it.
//!
//! It knows the formats of events and the rules of RFC 6962, and nothing of the daemons' tables but where it asks whether
//! something waits. After each restart and at each quiet point one journal is read from its first event; at the end all
//! of them are held against each other and against what the officers wrote.

use std::collections::{BTreeMap, BTreeSet};

use ncp_protocol::codes::Precedence;
use ncp_protocol::event::{Change, Claim, EnvelopeKey, Event, EvidenceKind, Lane, Outcome, Received};
use ncp_protocol::ids::{Digest, LogName, MessageId, ParticipantId};
use ncp_protocol::keys::sha256;
use ncp_protocol::merkle::{Frontier, leaf_hash};
use ncp_protocol::reject::RejectCode;

use crate::machine::SimReader;
use crate::shell::{Halt, Place, named};
use crate::work::Paper;

/// What left the machines.
#[derive(Debug, Default)]
pub struct History {
    shown: BTreeMap<(Place, LogName, u64), Digest>,
    signed: BTreeMap<(Place, LogName, u64), Digest>,
}

impl History {
    /// A leaf was shown to somebody.
    ///
    /// # Errors
    /// [`Halt::Wrong`] if another leaf was shown at its place before.
    pub fn show(&mut self, place: Place, (log, index, leaf): (LogName, u64, Digest)) -> Result<(), Halt> {
        match self.shown.insert((place, log, index), leaf) {
            Some(before) if before != leaf => {
                Err(Halt::wrong(format_args!("I4: place {place} showed two events at leaf {index} of {log}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A checkpoint was shown to somebody.
    ///
    /// # Errors
    /// [`Halt::Wrong`] if another one of this size was shown before.
    pub fn sign(&mut self, place: Place, (log, size, root): (LogName, u64, Digest)) -> Result<(), Halt> {
        match self.signed.insert((place, log, size), root) {
            Some(before) if before != root => {
                Err(Halt::wrong(format_args!("I5: place {place} signed two roots of {log} at size {size}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// How many leaves and checkpoints were shown.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.shown.len(), self.signed.len())
    }

    /// Reads a journal from its first event, and holds it against what was shown of it and against the rules.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn audit(&self, place: Place, reader: &SimReader) -> Result<Ledger, Halt> {
        let mut ledger = Ledger::default();
        let mut trees: BTreeMap<LogName, Frontier> = BTreeMap::new();
        let mut next = 0;
        loop {
            let events = reader.events(next, 512)?;
            let Some(last) = events.last() else { break };
            next = last.sequence + 1;
            for stored in events {
                let event = Event::decode(&stored.bytes)
                    .map_err(|error| Halt::wrong(format_args!("I5: event {}: {error}", stored.sequence)))?;
                let tree = trees.entry(event.log).or_default();
                let index = tree.size();
                let shown = self.shown.get(&(place, event.log, index));
                if shown.is_some_and(|shown| *shown != sha256(&stored.bytes)) {
                    let log = event.log;
                    return Err(Halt::wrong(format_args!(
                        "I4: place {place} has another event at leaf {index} of {log}"
                    )));
                }
                tree.push(leaf_hash(&stored.bytes), |_, _, _| ());
                let (size, root) = (tree.size(), tree.root());
                let signed = self.signed.get(&(place, event.log, size));
                if signed.is_some_and(|signed| *signed != root) {
                    let log = event.log;
                    return Err(Halt::wrong(format_args!("I5: place {place} signed another root of {log} at {size}")));
                }
                ledger.take(&event, index)?;
            }
        }
        let size = |log| trees.get(&log).map_or(0, Frontier::size);
        let all = (place, LogName::Node, 0)..(place + 1, LogName::Node, 0);
        for (_, log, index) in self.shown.range(all.clone()).map(|(key, _)| *key) {
            if index >= size(log) {
                let has = size(log);
                return Err(Halt::wrong(format_args!(
                    "I4: place {place} showed leaf {index} of {log} and has {has} leaves after a restart"
                )));
            }
        }
        for (_, log, signed) in self.signed.range(all).map(|(key, _)| *key) {
            if signed > size(log) {
                let has = size(log);
                return Err(Halt::wrong(format_args!(
                    "I5: place {place} signed {log} at {signed} and has {has} leaves"
                )));
            }
        }
        Ok(ledger)
    }
}

/// What a journal says.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Events.
    pub events: u64,
    /// Envelopes that the hub accepted.
    pub accepted: BTreeMap<EnvelopeKey, Digest>,
    /// Messages that were received, with the commitment to their content.
    pub received: BTreeMap<(ParticipantId, MessageId), Digest>,
    /// What the keeper of the journal claims itself, with the leaf.
    pub claims: BTreeMap<ClaimKey, u64>,
    /// Leaves of others' logs whose evidence is here.
    pub leaves: BTreeSet<(ParticipantId, u64)>,
    /// Evidence of others.
    pub evidence: BTreeSet<ClaimKey>,
    /// Messages that were released, with their recipients.
    pub released: BTreeMap<MessageId, Vec<ParticipantId>>,
    /// Envelopes that ended by the originator's own word, because the hub never had them.
    pub failed: BTreeSet<(MessageId, ParticipantId)>,
    stated: BTreeSet<(EvidenceKind, EnvelopeKey)>,
    drafts: BTreeMap<MessageId, (Vec<ParticipantId>, Precedence)>,
    numbers: BTreeMap<(ParticipantId, Lane), u64>,
    numbered: BTreeMap<(ParticipantId, Lane, u64), MessageId>,
    gaps: BTreeSet<(ParticipantId, Lane, u64)>,
    filled: BTreeSet<(ParticipantId, Lane, u64)>,
    voided: BTreeSet<(ParticipantId, Lane, u64)>,
}

/// A claim, ordered: kind, envelope, header, outcome's name.
pub type ClaimKey = (EvidenceKind, EnvelopeKey, Digest, String);

fn once<T>(before: Option<T>, otherwise: core::fmt::Arguments<'_>) -> Result<(), Halt> {
    before.map_or(Ok(()), |_| Err(Halt::wrong(format_args!("I3: {otherwise}"))))
}

fn claim_key(claim: &Claim) -> ClaimKey {
    (claim.kind, claim.envelope, claim.header, format!("{:?}", claim.outcome))
}

impl Ledger {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other events say nothing that is checked here")]
    fn take(&mut self, event: &Event, leaf: u64) -> Result<(), Halt> {
        self.events += 1;
        match &event.change {
            Change::EnvelopeAccepted(accepted) => {
                let before = self.accepted.insert(accepted.envelope, accepted.header);
                let envelope = named(&accepted.envelope);
                once(before, format_args!("the hub accepted {envelope} twice"))?;
            }
            Change::MessageReceived(received) => {
                let EnvelopeKey { originator, message, .. } = received.envelope;
                let before = self.received.insert((originator, message), received.commitment);
                let envelope = named(&received.envelope);
                once(before, format_args!("{envelope} was received twice"))?;
                self.number(received);
            }
            Change::Evidence(claim) => self.claim(claim, leaf)?,
            Change::EvidenceReceived { claim, index, .. } => {
                self.evidence.insert(claim_key(claim));
                self.leaves.insert((claim.origin.participant, *index));
            }
            Change::MessageDrafted(draft) => {
                self.drafts.insert(draft.message, (draft.recipients.clone(), draft.precedence));
            }
            Change::MessageReleased { message, sequences, .. } => {
                let Some((recipients, precedence)) = self.drafts.get(message).cloned() else {
                    return Err(Halt::wrong(format_args!("I2: {message} was released and never drafted")));
                };
                for (recipient, sequence) in recipients.iter().zip(sequences) {
                    let last = self.numbers.entry((*recipient, Lane::of(precedence))).or_default();
                    *last += 1;
                    self.numbered.insert((*recipient, Lane::of(precedence), sequence.0), *message);
                    if sequence.0 != *last {
                        return Err(Halt::wrong(format_args!("I6: number {} follows {}", sequence.0, *last - 1)));
                    }
                }
                if self.released.insert(*message, recipients).is_some() {
                    return Err(Halt::wrong(format_args!("I3: {message} was released twice")));
                }
            }
            Change::EnvelopeFailed { envelope, .. } => {
                self.failed.insert((envelope.message, envelope.recipient));
            }
            Change::SequenceGapNoticed { originator, lane, first, last } => {
                self.gaps.extend((first.0..=last.0).map(|number| (*originator, *lane, number)));
            }
            Change::ConflictNoticed { originator, message, .. } => {
                return Err(Halt::wrong(format_args!("I2: a conflict over {message} of {originator}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn number(&mut self, received: &Received) {
        let (originator, lane) = (received.envelope.originator, Lane::of(received.precedence));
        self.filled.insert((originator, lane, received.sequence.0));
        let ranges = received.voided.iter().flat_map(|(first, last)| first.0..=last.0);
        self.voided.extend(ranges.map(|number| (originator, lane, number)));
    }

    fn claim(&mut self, claim: &Claim, leaf: u64) -> Result<(), Halt> {
        let once = match claim.kind {
            EvidenceKind::RelayAcceptance
            | EvidenceKind::ContentConsignment
            | EvidenceKind::ContentHandover
            | EvidenceKind::RelayFailure => true,
            EvidenceKind::ContentConsignmentFailure => claim.outcome != Outcome::Rejected(RejectCode::Duplicate),
        };
        if once && !self.stated.insert((claim.kind, claim.envelope)) {
            let (kind, envelope) = (claim.kind, named(&claim.envelope));
            return Err(Halt::wrong(format_args!("I3: {kind:?} was stated twice about {envelope}")));
        }
        self.claims.insert(claim_key(claim), leaf);
        Ok(())
    }
}

/// Holds all journals against each other and against what the officers wrote, when nothing waits any more.
///
/// # Errors
/// [`Halt::Wrong`], the first contradiction.
pub fn settle(
    names: &[ParticipantId],
    ledgers: &[Ledger],
    papers: &BTreeMap<ParticipantId, &BTreeMap<MessageId, Paper>>,
) -> Result<(), Halt> {
    let Some((hub, nodes)) = ledgers.split_first() else { return Ok(()) };
    let of: BTreeMap<ParticipantId, &Ledger> = names.iter().skip(1).copied().zip(nodes).collect();
    for (name, ledger) in &of {
        invented(*name, ledger, papers)?;
        missed(*name, ledger, &of)?;
        lost(*name, ledger, hub, &of)?;
        for (claim, leaf) in &ledger.claims {
            if !hub.evidence.contains(claim) {
                let (kind, envelope) = (claim.0, named(&claim.1));
                let has: Vec<u64> = hub.leaves.range((*name, 0)..=(*name, u64::MAX)).map(|(_, leaf)| *leaf).collect();
                return Err(Halt::wrong(format_args!(
                    "I1: the hub lacks {kind:?} of {name} about {envelope}, leaf {leaf}; it has {has:?}"
                )));
            }
        }
    }
    for claim in hub.claims.keys().chain(&hub.evidence) {
        let originator = of.get(&claim.1.originator);
        if originator.is_some_and(|ledger| !ledger.evidence.contains(claim)) {
            return Err(Halt::wrong(format_args!("I1: the originator lacks {:?} about {}", claim.0, named(&claim.1))));
        }
    }
    Ok(())
}

/// I2: what was received was written so, by that originator, to this recipient.
fn invented(
    name: ParticipantId,
    ledger: &Ledger,
    papers: &BTreeMap<ParticipantId, &BTreeMap<MessageId, Paper>>,
) -> Result<(), Halt> {
    for ((originator, message), commitment) in &ledger.received {
        let paper = papers.get(originator).and_then(|papers| papers.get(message));
        let written =
            paper.is_some_and(|paper| paper.draft.commitment == *commitment && paper.draft.recipients.contains(&name));
        if !written {
            return Err(Halt::wrong(format_args!(
                "I2: {name} received {message}, which {originator} did not write so"
            )));
        }
    }
    Ok(())
}

/// I6: nobody drops anything here, so no number is missing but one that was recalled, or expired, when the recipient might have had it;
/// and none is filled that its originator called void.
fn missed(name: ParticipantId, ledger: &Ledger, of: &BTreeMap<ParticipantId, &Ledger>) -> Result<(), Halt> {
    let fate = |(originator, lane, number): &(ParticipantId, Lane, u64)| {
        let other = of.get(originator)?;
        let message = other.numbered.get(&(name, *lane, *number));
        let about = |claim: &&ClaimKey| Some(&claim.1.message) == message && claim.1.recipient == name;
        Some((message, other.evidence.iter().filter(about).collect::<Vec<_>>()))
    };
    for (gap, message, fate) in
        ledger.gaps.iter().filter_map(|gap| fate(gap).map(|(message, fate)| (gap, message, fate)))
    {
        if !fate.iter().any(|claim| matches!(claim.3.as_str(), "RecalledAfterOffer" | "ExpiredAfterOffer")) {
            let (originator, _, number) = gap;
            return Err(Halt::wrong(format_args!(
                "I6: {name} misses number {number} of {originator}, {message:?}: {fate:?}"
            )));
        }
    }
    if let Some(both) = ledger.filled.intersection(&ledger.voided).next() {
        let (originator, lane, number) = both;
        return Err(Halt::wrong(format_args!(
            "I6: {name} has {lane:?} number {number} of {originator}, which that called void: {:?}",
            fate(both)
        )));
    }
    Ok(())
}

/// I1 and I3: each released envelope ended, once, and both ends agree how.
fn lost(name: ParticipantId, ledger: &Ledger, hub: &Ledger, of: &BTreeMap<ParticipantId, &Ledger>) -> Result<(), Halt> {
    for (message, recipients) in &ledger.released {
        for recipient in recipients {
            let about = |claim: &&ClaimKey| claim.1.message == *message && claim.1.recipient == *recipient;
            let has = |kind| ledger.evidence.iter().filter(about).any(|claim| claim.0 == kind);
            let consigned = has(EvidenceKind::ContentConsignment);
            let ended = consigned
                || has(EvidenceKind::RelayFailure)
                || has(EvidenceKind::ContentConsignmentFailure)
                || ledger.failed.contains(&(*message, *recipient));
            let received = of.get(recipient).is_some_and(|other| other.received.contains_key(&(name, *message)));
            let short = &message.to_string().get(..8).unwrap_or_default().to_owned();
            if !ended {
                return Err(Halt::wrong(format_args!("I1: {name}/{short}→{recipient} never ended")));
            }
            if received != consigned {
                return Err(Halt::wrong(format_args!(
                    "I1: {name}/{short}→{recipient}: received {received}, R2 at the originator {consigned}"
                )));
            }
            let accepted = hub.accepted.keys().any(|key| key.message == *message && key.recipient == *recipient);
            if received && !accepted {
                return Err(Halt::wrong(format_args!("I2: {name}/{short}→{recipient} was never accepted by the hub")));
            }
        }
    }
    Ok(())
}
