//! `apply`: folds one event into rows. The only writer of the index, live and in recovery alike, and frozen: what
//! an event of this version means never changes. What it reads beside event and rows stands in [`meaning`](super::meaning).

mod inbound;
mod message;
mod outbound;

use ncp_protocol::event::{Actor, Change, Role};
use ncp_protocol::ids::{Digest, MessageId, OfficerNumber, ParticipantId};
use ncp_protocol::keys::VerifyingKey;
use ncp_store::state::{Key, Placed, Rows, Table, Unreadable, View};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tables::{
    ENTRY, EntryRow, HOLD, HoldKey, HoldRow, LOG, OFFICER, OfficerRow, RECEIPTS_STORED, RULES, ReceiptsStoredRow,
    Standing, TIMELINE,
};

/// Folds `event` into `rows`; `this_node` is who keeps the journal.
///
/// # Errors
/// [`Unreadable`] if the view cannot be read, or if the journal speaks of something that it never introduced.
pub(super) fn apply(
    this_node: ParticipantId,
    view: &dyn View,
    event: Placed<'_>,
    rows: &mut Rows,
) -> Result<(), Unreadable> {
    Applying { this_node, view, event, rows }.apply()
}

/// One event being folded.
struct Applying<'a> {
    this_node: ParticipantId,
    view: &'a dyn View,
    event: Placed<'a>,
    rows: &'a mut Rows,
}

impl Applying<'_> {
    fn apply(&mut self) -> Result<(), Unreadable> {
        match &self.event.event.change {
            Change::LogOpened { origin, .. } => LOG.put(self.rows, &(), origin),
            Change::Evidence(claim) => self.own_evidence(claim)?,
            Change::EvidenceReceived { claim, index, stated, record } => {
                self.evidence_received(claim, *index, *stated, *record)?;
            }
            Change::ConflictNoticed { originator, message, .. } => self.remember(*originator, *message),
            Change::OfficerAdded { officer, key, uid, roles } => self.officer_added(*officer, *key, *uid, roles),
            Change::OfficerDisabled { officer } => self.officer_disabled(*officer)?,
            Change::RulesInForce { rules } => RULES.put(self.rows, &(), rules),
            Change::HoldSet { scope } => {
                let row = HoldRow { scope: *scope, since: self.event.event.time, officer: self.acting_officer() };
                HOLD.put(self.rows, &HoldKey::of(*scope), &row);
            }
            Change::HoldLifted { scope } => HOLD.remove(self.rows, &HoldKey::of(*scope)),
            Change::MessageDrafted(draft) => self.drafted(draft)?,
            Change::MessageEdited(draft) => self.edited(draft)?,
            Change::MessageApproved(approval) => self.approved(approval)?,
            Change::ReleaseRejected(approval) => self.release_rejected(approval)?,
            Change::MessageReleased { message, sequences, epoch } => self.released(*message, sequences, *epoch)?,
            Change::EnvelopeSealed { envelope, header, .. } => self.sealed(envelope, *header)?,
            Change::MessageWithdrawn { message } => self.withdrawn(*message)?,
            Change::RecallRequested { message } => self.recall_requested(*message)?,
            Change::EnvelopeFailed { envelope, code } => self.failed(envelope, *code)?,
            Change::MessageReceived(received) => self.received(received)?,
            Change::TaskAssigned { originator, message, task, service } => {
                self.task_assigned((*originator, *message), *task, service)?;
            }
            Change::ContributionAdded { originator, message, task, record } => {
                self.contribution_added((*originator, *message), *task, *record)?;
            }
            Change::RequestAlerted { originator, message, recipient, alert } => {
                self.alerted((*originator, *message), *recipient, *alert)?;
            }
            Change::DeadlineMoved { originator, message, recipient, due, .. } => {
                self.deadline_moved((*originator, *message), *recipient, *due)?;
            }
            Change::ContentErased { originator, message } => self.remember(*originator, *message),
            Change::SequenceGapNoticed { .. } => {}
            Change::EntryAccepted { participant, version, entry } => {
                self.entry_accepted(*participant, *version, *entry)?;
            }
            Change::EntryPinned { participant, fingerprint } => {
                self.entry_changed(*participant, |row| row.pinned = Some(*fingerprint))?;
            }
            Change::ParticipantSuspended { participant, .. } => {
                self.entry_changed(*participant, |row| row.suspended = true)?;
            }
            Change::ParticipantReinstated { participant } => {
                self.entry_changed(*participant, |row| row.suspended = false)?;
            }
            Change::ReceiptsStored { epoch, number } => {
                RECEIPTS_STORED.put(self.rows, &(), &ReceiptsStoredRow { epoch: *epoch, number: *number });
            }
            // Events of the hub: a node's journal never holds them.
            Change::EnvelopeAccepted(_)
            | Change::EnvelopeOffered(_)
            | Change::EnvelopeSuperseded(_)
            | Change::BodyDropped { .. }
            | Change::EntryAdmitted { .. }
            | Change::MembershipAdmitted { .. }
            | Change::PublicCheckpointRecorded { .. } => {
                return Err(Unreadable::Damaged("an event of the hub stands in a node's journal".to_owned()));
            }
        }
        Ok(())
    }

    fn officer_added(&mut self, officer: OfficerNumber, key: VerifyingKey, uid: u32, roles: &[Role]) {
        let row = OfficerRow {
            key,
            uid,
            roles: roles.to_vec(),
            standing: Standing::Active,
            since: self.event.event.time,
            disabled: None,
        };
        OFFICER.put(self.rows, &officer.0, &row);
    }

    fn officer_disabled(&mut self, officer: OfficerNumber) -> Result<(), Unreadable> {
        let row = introduced(self.read(&OFFICER, &officer.0)?, "officer")?;
        OFFICER.put(
            self.rows,
            &officer.0,
            &OfficerRow { standing: Standing::Disabled, disabled: Some(self.event.event.time), ..row },
        );
        Ok(())
    }

    fn entry_accepted(&mut self, participant: ParticipantId, version: u32, entry: Digest) -> Result<(), Unreadable> {
        let known = self.read(&ENTRY, &participant)?;
        let pinned = known.and_then(|row| row.pinned);
        let suspended = known.is_some_and(|row| row.suspended);
        ENTRY.put(self.rows, &participant, &EntryRow { version, entry, pinned, suspended });
        Ok(())
    }

    fn entry_changed(
        &mut self,
        participant: ParticipantId,
        change: impl FnOnce(&mut EntryRow),
    ) -> Result<(), Unreadable> {
        let mut row = introduced(self.read(&ENTRY, &participant)?, "directory entry")?;
        change(&mut row);
        ENTRY.put(self.rows, &participant, &row);
        Ok(())
    }

    /// A row with what this event already wrote.
    fn read<K: Key, V: Serialize + DeserializeOwned>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<V>, Unreadable> {
        table.row_over(self.view, self.rows, key)
    }

    /// Notes that this event speaks of a message: its timeline reads the event again.
    fn remember(&mut self, originator: ParticipantId, message: MessageId) {
        TIMELINE.put(self.rows, &(originator, message, self.event.sequence), &());
    }

    fn acting_officer(&self) -> Option<OfficerNumber> {
        match &self.event.event.actor {
            Actor::Officer { number, .. } => Some(*number),
            Actor::Daemon | Actor::Application(_) | Actor::Peer(_) | Actor::Operator(_) => None,
        }
    }
}

/// What an event speaks of must have been introduced by an earlier one.
fn introduced<T>(row: Option<T>, what: &str) -> Result<T, Unreadable> {
    row.ok_or_else(|| Unreadable::Damaged(format!("the journal speaks of a {what} that it never introduced")))
}
