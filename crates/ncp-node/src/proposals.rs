//! Officers that one supervisor proposed and another has to: kept in memory for a day. The journal learns of an officer
//! when the second supervisor sends the same; a restart in between means to propose again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ncp_api::officer::{NewOfficer, OfficerProposal};
use ncp_protocol::ids::{OfficerNumber, UnixMillis};
use ncp_protocol::limits::DAY_MS;

/// Proposals by the number of the officer to be entered.
#[derive(Debug, Default)]
pub struct Proposals(Mutex<BTreeMap<u16, OfficerProposal>>);

impl Proposals {
    /// The supervisor who proposed exactly this, if it was another one; otherwise the proposal is noted as `by`'s.
    pub fn agree(&self, officer: &NewOfficer, by: OfficerNumber, now: UnixMillis) -> Option<OfficerNumber> {
        let mut proposals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        proposals.retain(|_, proposal| now.millis_since(proposal.time) <= DAY_MS);
        let first = proposals.get(&officer.number).filter(|known| known.officer == *officer && known.by != by.0);
        if let Some(first) = first {
            return Some(OfficerNumber(first.by));
        }
        proposals.insert(officer.number, OfficerProposal { officer: officer.clone(), by: by.0, time: now });
        None
    }

    /// The officer was entered.
    pub fn done(&self, number: u16) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// What waits, by number as text.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, OfficerProposal> {
        let proposals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        proposals.iter().map(|(number, proposal)| (number.to_string(), proposal.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use ncp_api::officer::OfficerRole;
    use ncp_protocol::keys::SigningKey;

    use super::*;

    fn officer(seed: u8) -> NewOfficer {
        let key = SigningKey::from_seed(&[seed; 32]).verifying_key();
        NewOfficer { number: 9, uid: 1009, key, roles: vec![OfficerRole::Drafter] }
    }

    #[test]
    fn it_takes_two_supervisors_who_say_the_same() {
        let proposals = Proposals::default();
        let (one, two, now) = (OfficerNumber(1), OfficerNumber(2), UnixMillis(0));
        assert_eq!(proposals.agree(&officer(1), one, now), None);
        assert_eq!(proposals.agree(&officer(1), one, now), None, "the same supervisor twice");
        assert_eq!(proposals.agree(&officer(1), two, now), Some(one));
        assert_eq!(proposals.agree(&officer(2), two, now), None, "another key");
        assert_eq!(proposals.agree(&officer(2), one, UnixMillis(DAY_MS + 1)), None, "too late");
    }
}
