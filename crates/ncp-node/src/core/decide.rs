//! `decide`: chooses the events of a command against a view and touches nothing.
//!
//! Each command has one function, in the module of what it is about. A refusal leaves no event behind; what cannot be
//! read stops the daemon.

mod directory;
mod inbound;
mod message;
mod officer;
mod outbound;
mod release;
mod tick;

pub(crate) use officer::taken;

use ncp_protocol::event::{Actor, Change, Claim, EnvelopeKey, Event, EvidenceKind, HoldScope, Outcome, Role};
use ncp_protocol::ids::{Digest, LogName, OfficerNumber, ParticipantId, UnixMillis};
use ncp_store::spool::Record;
use ncp_store::state::{Decision, Erase, Unreadable, View};

use super::command::{Ask, Command, Done, Effect, Identity, Refusal, Reply, Stamp};
use super::tables::{ENTRY, EntryRow, HOLD, HoldKey, OFFICER, OfficerRow, Standing};

/// Why a decision ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The asker is refused; nothing happens.
    Refused(Refusal),
    /// The view cannot be read.
    Unreadable(Unreadable),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Unreadable> for Stop {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error)
    }
}

/// Decides one command.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read.
pub(super) fn decide(
    identity: &Identity,
    view: &dyn View,
    command: Command,
) -> Result<Decision<Reply, Effect>, Unreadable> {
    let Command { stamp, actor, ask } = command;
    let mut deciding = Deciding {
        identity,
        view,
        stamp,
        actor,
        events: Vec::new(),
        records: Vec::new(),
        erase: Vec::new(),
        effects: Vec::new(),
    };
    match deciding.answer(ask) {
        Ok(done) => Ok(Decision {
            events: deciding.events,
            records: deciding.records,
            erase: deciding.erase,
            reply: Ok(done),
            effects: deciding.effects,
        }),
        Err(Stop::Refused(refusal)) => Ok(Decision::reply(Err(refusal))),
        Err(Stop::Unreadable(error)) => Err(error),
    }
}

/// A decision being made.
struct Deciding<'a> {
    identity: &'a Identity,
    view: &'a dyn View,
    stamp: Stamp,
    actor: Actor,
    events: Vec<Event>,
    records: Vec<Record>,
    erase: Vec<Erase>,
    effects: Vec<Effect>,
}

impl Deciding<'_> {
    fn answer(&mut self, ask: Ask) -> Result<Done, Stop> {
        match ask {
            Ask::Begin(begin) => self.begin(begin),
            Ask::PutUp(put_up) => self.put_up(put_up),
            Ask::Edit(put_up) => self.edit(put_up),
            Ask::Judge(judgement) => self.judge(judgement),
            Ask::Seal(sealed) => self.seal(sealed),
            Ask::NoteEvidence(noted) => self.note_evidence(noted),
            Ask::NoteRefusal { envelope, code } => self.note_refusal(envelope, code),
            Ask::NoteReceipts(cursor) => self.note_receipts(cursor),
            Ask::Consign(consigned) => self.consign(*consigned),
            Ask::RefuseDelivery { envelope, header, code } => self.refuse_delivery(envelope, header, code),
            Ask::HandOver { message } => self.hand_over(message),
            Ask::Assign { message, services, notes } => self.assign(message, services, notes),
            Ask::Contribute { message, task, record } => self.contribute(message, task, record),
            Ask::Withdraw { message } => self.withdraw(message),
            Ask::SetHold(scope) => self.set_hold(scope),
            Ask::LiftHold(scope) => self.lift_hold(scope),
            Ask::AddOfficer { officer, second } => self.add_officer(officer, second),
            Ask::DisableOfficer(officer) => self.disable_officer(officer),
            Ask::AcceptEntries(news) => self.accept_entries(news),
            Ask::PinEntry { participant, fingerprint } => self.pin_entry(participant, fingerprint),
            Ask::Tick => self.tick(),
        }
    }

    fn this_node(&self) -> ParticipantId {
        self.identity.origin.participant
    }

    fn now(&self) -> UnixMillis {
        self.stamp.now
    }

    fn push(&mut self, change: Change) {
        self.events.push(Event {
            log: LogName::Node,
            time: self.stamp.now,
            actor: self.actor.clone(),
            salt: self.stamp.salt(self.events.len() as u64),
            change,
        });
    }

    /// States an outcome in this node's own log; the hub is to hear of it.
    fn push_claim(&mut self, kind: EvidenceKind, envelope: EnvelopeKey, header: Digest, outcome: Outcome) {
        self.push(Change::Evidence(Claim {
            origin: self.identity.origin,
            key: self.identity.log_key,
            kind,
            envelope,
            header,
            outcome,
        }));
        self.effects.push(Effect::SendReceipts);
    }

    /// The officer, who must be active and have the role.
    fn officer(&self, number: OfficerNumber, role: Role) -> Result<OfficerRow, Stop> {
        let row = OFFICER.row(self.view, &number.0)?.ok_or(Refusal::UnknownOfficer)?;
        match row.standing {
            Standing::Disabled => Err(Refusal::OfficerDisabled.into()),
            Standing::Active if !row.roles.contains(&role) => Err(Refusal::RoleMissing(role).into()),
            Standing::Active => Ok(row),
        }
    }

    /// The actor, if an officer: must be active and have the role. Others act within the scope that the shell checked.
    fn acting_officer(&self, role: Role) -> Result<Option<OfficerNumber>, Stop> {
        match &self.actor {
            Actor::Officer { number, .. } => self.officer(*number, role).map(|_| Some(*number)),
            Actor::Daemon | Actor::Application(_) | Actor::Peer(_) | Actor::Operator(_) => Ok(None),
        }
    }

    /// The actor must be an officer with the role.
    fn require_officer(&self, role: Role) -> Result<OfficerNumber, Stop> {
        self.acting_officer(role)?.ok_or_else(|| Refusal::RoleMissing(role).into())
    }

    /// The entry of a participant that people pinned and nobody suspended.
    fn open_entry(&self, participant: ParticipantId) -> Result<EntryRow, Stop> {
        let row = ENTRY.row(self.view, &participant)?.ok_or(Refusal::UnknownParticipant(participant))?;
        if row.suspended {
            return Err(Refusal::Suspended(participant).into());
        }
        if row.pinned.is_none() {
            return Err(Refusal::NotPinned(participant).into());
        }
        Ok(row)
    }

    fn set_hold(&mut self, scope: HoldScope) -> Result<Done, Stop> {
        self.acting_officer(Role::Supervisor)?;
        if HOLD.row(self.view, &HoldKey::of(scope))?.is_none() {
            self.push(Change::HoldSet { scope });
            self.effects.push(Effect::HoldsChanged);
        }
        Ok(Done::Noted)
    }

    fn lift_hold(&mut self, scope: HoldScope) -> Result<Done, Stop> {
        self.require_officer(Role::Supervisor)?;
        if HOLD.row(self.view, &HoldKey::of(scope))?.is_none() {
            return Err(Refusal::UnknownHold.into());
        }
        self.push(Change::HoldLifted { scope });
        self.effects.push(Effect::HoldsChanged);
        Ok(Done::Noted)
    }
}
