//! Who plays: invented States, the Secretariat's node, their officers and rules.

use ncp_protocol::directory::MembershipClass;
use ncp_protocol::ids::{OfficerNumber, ParticipantId};

/// An officer of the play.
#[derive(Debug, Clone, Copy)]
pub(super) struct Role {
    /// Number at the node.
    pub(super) number: OfficerNumber,
    /// Roles, as the configuration writes them.
    pub(super) roles: &'static [&'static str],
}

/// A participant of the play.
#[derive(Debug, Clone, Copy)]
pub(super) struct Player {
    /// Its id.
    pub(super) id: &'static str,
    /// As what it takes part.
    pub(super) class: MembershipClass,
    /// Who drafts.
    pub(super) drafter: Role,
    /// Who releases, and compares fingerprints.
    pub(super) releaser: Role,
}

impl Player {
    /// Its id, checked.
    pub(super) fn participant(&self) -> Result<ParticipantId, ncp_protocol::ids::IdError> {
        self.id.parse()
    }
}

const fn player(id: &'static str, class: MembershipClass, drafter: u16, releaser: u16) -> Player {
    Player {
        id,
        class,
        drafter: Role { number: OfficerNumber(drafter), roles: &["drafter", "releaser"] },
        releaser: Role { number: OfficerNumber(releaser), roles: &["drafter", "releaser", "supervisor"] },
    }
}

/// The Secretariat's desk.
pub(super) const SEC: Player = player("SEC", MembershipClass::Secretariat, 1, 2);
/// Asks about a van.
pub(super) const XA: Player = player("XA", MembershipClass::ParticipatingState, 12, 7);
/// Knows about it.
pub(super) const XB: Player = player("XB", MembershipClass::ParticipatingState, 3, 4);
/// Sends while the hub is killed.
pub(super) const XC: Player = player("XC", MembershipClass::ParticipatingState, 21, 22);

/// All of them.
pub(super) const ALL: [Player; 4] = [SEC, XA, XB, XC];

/// What each node may let out. Requests and answers need a second officer; bulletins and notices here do not.
pub(super) const RULES: &str = r#"
[[allow]]
name = "two-officers"
text = "personal data needs a second officer"
to = "all"
kinds = ["request", "response"]
handling = ["H0", "H1", "H2", "H3"]
approvals = 1

[[allow]]
name = "open-news"
text = "open information may go at once"
to = "all"
kinds = ["notice", "bulletin", "test"]
handling = ["H0", "H1", "H2"]
approvals = 0
"#;

/// National services that can be asked.
pub(super) const SERVICES: &str = r#"services = ["border-police", "customs", "migration", "anti-drug"]"#;
