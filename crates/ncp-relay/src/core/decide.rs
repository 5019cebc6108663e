//! Choosing events. Nothing here writes; every function reads the view and returns what happened.

mod delivery;
mod directory;
mod ending;
mod evidence;
mod submission;

use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, Outcome};
use ncp_protocol::ids::{Digest, LogName};
use ncp_store::spool::Record;
use ncp_store::state::{Decision, Erase, Unreadable, View};

use super::Relay;
use super::command::{Command, Effect, Reply, Stamp};

/// The decision of the relay's core.
pub(super) type Decided = Result<Decision<Reply, Effect>, Unreadable>;

/// Chooses the events of a command.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub fn decide(relay: &Relay, view: &dyn View, command: Command) -> Decided {
    match command {
        Command::AcceptSubmission(submission) => submission::accept(relay, view, *submission),
        Command::OfferEnvelopes(offer) => delivery::offer(view, offer),
        Command::StoreEvidence(evidence) => evidence::store(view, evidence),
        Command::Recall(recall) => delivery::recall(relay, view, recall),
        Command::ExpireDue(stamp) => delivery::expire(relay, view, stamp),
        Command::AdmitEntry(entry) => directory::admit_entry(view, entry),
        Command::AdmitMembership(membership) => directory::admit_membership(view, membership),
        Command::RecordPublicCheckpoint(checkpoint) => directory::record_public(view, checkpoint),
    }
}

/// A decision in the making: salts follow from the stamp, one per event.
struct Scribe {
    stamp: Stamp,
    actor: Actor,
    events: Vec<Event>,
    records: Vec<Record>,
    erase: Vec<Erase>,
    effects: Vec<Effect>,
}

impl Scribe {
    fn new(stamp: Stamp, actor: Actor) -> Self {
        let (events, records, erase, effects) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { stamp, actor, events, records, erase, effects }
    }

    fn note(&mut self, log: LogName, change: Change) {
        let salt = self.stamp.salt(self.events.len() as u64);
        self.events.push(Event { log, time: self.stamp.now, actor: self.actor.clone(), salt, change });
    }

    fn traffic(&mut self, change: Change) {
        self.note(LogName::Traffic, change);
    }

    fn claim(&mut self, relay: &Relay, kind: EvidenceKind, envelope: EnvelopeKey, header: Digest, outcome: Outcome) {
        let (origin, key) = (relay.traffic, relay.traffic_key);
        self.traffic(Change::Evidence(Claim { origin, key, kind, envelope, header, outcome }));
    }

    fn effect(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    fn done(self, reply: Reply) -> Decision<Reply, Effect> {
        let Self { events, records, erase, effects, .. } = self;
        Decision { events, records, erase, reply, effects }
    }
}
