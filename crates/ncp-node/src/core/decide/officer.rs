//! Officers and rules: bootstrapped from the configuration, from then on changed in the journal.

use ncp_protocol::event::{Change, Role};
use ncp_protocol::ids::OfficerNumber;
use ncp_store::spool::{Record, RecordKind, RecordName};
use std::ops::ControlFlow;

use super::{Deciding, Stop};
use crate::core::command::{Begin, Done, Effect, NewOfficer, Refusal};
use crate::core::tables::{OFFICER, OfficerRow, RULES, Standing};

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
            let active = row.standing == Standing::Active;
            if number == officer.number || row.key == officer.key || (active && row.uid == officer.uid) {
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
        // A node whose last supervisor is gone could never gain another.
        if row.roles.contains(&Role::Supervisor) {
            let others = self.officers()?.into_iter().any(|(number, row)| {
                number != officer && row.standing == Standing::Active && row.roles.contains(&Role::Supervisor)
            });
            if !others {
                return Err(Refusal::LastOfficer.into());
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
