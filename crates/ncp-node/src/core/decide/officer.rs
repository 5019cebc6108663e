//! Officers and rules: bootstrapped from the configuration, from then on changed in the journal.

use ncp_protocol::event::{Change, Role};
use ncp_protocol::ids::OfficerNumber;
use ncp_store::spool::{Record, RecordKind, RecordName};
use std::ops::ControlFlow;

use super::{Deciding, Stop};
use crate::core::command::{Begin, Done, Effect, NewOfficer, Refusal};
use crate::core::tables::{OFFICER, OfficerRow, RULES, Standing};

/// What of a new officer belongs to the officer of a row: numbers and keys are never used again, an account is one
/// enabled officer's.
pub(crate) fn taken(number: OfficerNumber, row: &OfficerRow, new: &NewOfficer) -> Option<&'static str> {
    if number == new.number {
        return Some("the number");
    }
    if row.key == new.key {
        return Some("the key");
    }
    (row.standing == Standing::Active && row.uid == new.uid).then_some("the account")
}

impl Deciding<'_> {
    /// Officers of the configuration count only while the journal names none: afterwards the sysadmin cannot appoint
    /// himself unseen.
    pub(super) fn begin(&mut self, begin: Begin) -> Result<Done, Stop> {
        if self.officers()?.is_empty() {
            for officer in begin.officers {
                self.push_officer(officer);
            }
        }
        let digest = begin.rules.digest();
        if RULES.row(self.view, &())? != Some(digest) {
            self.push(Change::RulesInForce { rules: digest });
            let name = RecordName { kind: RecordKind::Rules, id: digest };
            self.records.push(Record { name, bytes: begin.rules.encode() });
        }
        Ok(Done::Noted)
    }

    pub(super) fn add_officer(&mut self, officer: NewOfficer, second: OfficerNumber) -> Result<Done, Stop> {
        let first = self.require_officer(Role::Supervisor)?;
        self.officer(second, Role::Supervisor)?;
        if first == second || officer.number == first || officer.number == second {
            return Err(Refusal::SamePerson.into());
        }
        for (number, row) in self.officers()? {
            if taken(number, &row, &officer).is_some() {
                return Err(Refusal::OfficerTaken.into());
            }
        }
        self.push_officer(officer);
        Ok(Done::Noted)
    }

    pub(super) fn disable_officer(&mut self, officer: OfficerNumber) -> Result<Done, Stop> {
        self.require_officer(Role::Supervisor)?;
        let row = OFFICER.row(self.view, &officer.0)?.ok_or(Refusal::UnknownOfficer)?;
        if row.standing == Standing::Disabled {
            return Ok(Done::Noted);
        }
        // A node with fewer than two supervisors, or without a releaser, could never gain another.
        let officers = self.officers()?;
        for (role, needed) in [(Role::Supervisor, 2), (Role::Releaser, 1)] {
            let others = officers.iter().filter(|(number, row)| {
                *number != officer && row.standing == Standing::Active && row.roles.contains(&role)
            });
            if row.roles.contains(&role) && others.count() < needed {
                return Err(Refusal::LastOfficer(role).into());
            }
        }
        self.push(Change::OfficerDisabled { officer });
        self.effects.push(Effect::Announce);
        Ok(Done::Noted)
    }

    fn push_officer(&mut self, officer: NewOfficer) {
        let mut roles = officer.roles;
        roles.sort();
        roles.dedup();
        self.push(Change::OfficerAdded { officer: officer.number, key: officer.key, uid: officer.uid, roles });
    }

    fn officers(&self) -> Result<Vec<(OfficerNumber, OfficerRow)>, Stop> {
        let mut officers = Vec::new();
        OFFICER.scan(self.view, &(), |number, row| {
            officers.push((OfficerNumber(number), row));
            ControlFlow::Continue(())
        })?;
        Ok(officers)
    }
}
