//! National release rules: what may leave, to whom, of which kind and marking, after how many approvals.
//!
//! Nothing listed, nothing leaves. A rule allows; there is no rule that denies, so the order of rules means nothing and a
//! rule that is left out can only close. Where several rules allow the same, the strictest stands: the one that asks for
//! the most approvals. Each recipient is judged by itself, and the message needs what its strictest recipient needs.
//!
//! Rules are a pure function of what the journal shows: no clock, no file. The digest of their canonical text stands in
//! each message's events, so that an auditor finds the version that allowed it.

use ncp_protocol::codec;
use ncp_protocol::codes::{Code, Handling, Kind};
use ncp_protocol::ids::{Digest, ParticipantId};
use ncp_protocol::keys::sha256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most rules of one node.
pub const RULES_MAX: usize = 256;
/// Most approvals that a rule can ask for.
pub const APPROVALS_MAX: u8 = 2;
/// Longest canonical text of a node's rules, in bytes.
pub const RULES_TEXT_MAX: usize = 256 << 10;

/// To whom a rule applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recipients {
    /// Every participant in the directory.
    All,
    /// These, sorted and unique.
    Listed(Vec<ParticipantId>),
}

impl Recipients {
    fn includes(&self, recipient: &ParticipantId) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.contains(recipient),
        }
    }
}

/// One permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What journal, timeline and denials call it.
    pub name: Code,
    /// To whom.
    pub to: Recipients,
    /// Which kinds, sorted and unique.
    pub kinds: Vec<Kind>,
    /// Which handling codes, sorted and unique.
    pub handling: Vec<Handling>,
    /// How many officers other than the drafter must approve, 0 to [`APPROVALS_MAX`].
    pub approvals: u8,
}

impl Rule {
    fn allows(&self, recipient: &ParticipantId, kind: Kind, handling: Handling) -> bool {
        self.to.includes(recipient) && self.kinds.contains(&kind) && self.handling.contains(&handling)
    }
}

/// Why rules cannot take force.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RulesError {
    /// More than [`RULES_MAX`].
    #[error("more than {RULES_MAX} rules")]
    TooMany,
    /// Two rules of one name: a denial or timeline could not say which.
    #[error("two rules are called {0}")]
    NameTwice(Code),
    /// A rule that can never allow anything is a mistake.
    #[error("rule {0} lists no recipient, kind or handling code")]
    Empty(Code),
    /// More approvals than [`APPROVALS_MAX`].
    #[error("rule {0} asks for more than {APPROVALS_MAX} approvals")]
    Approvals(Code),
    /// The stored text is damaged.
    #[error("the text of the rules cannot be read")]
    Malformed,
}

/// A node's rules, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Checks rules and brings their lists into canonical order.
    ///
    /// # Errors
    /// [`RulesError`] names the first rule that cannot stand.
    pub fn new(mut rules: Vec<Rule>) -> Result<Self, RulesError> {
        if rules.len() > RULES_MAX {
            return Err(RulesError::TooMany);
        }
        for rule in &mut rules {
            rule.kinds.sort();
            rule.kinds.dedup();
            rule.handling.sort();
            rule.handling.dedup();
            if let Recipients::Listed(listed) = &mut rule.to {
                listed.sort();
                listed.dedup();
            }
            let nobody = matches!(&rule.to, Recipients::Listed(listed) if listed.is_empty());
            if nobody || rule.kinds.is_empty() || rule.handling.is_empty() {
                return Err(RulesError::Empty(rule.name.clone()));
            }
            if rule.approvals > APPROVALS_MAX {
                return Err(RulesError::Approvals(rule.name.clone()));
            }
        }
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        for pair in rules.windows(2) {
            if let [a, b] = pair
                && a.name == b.name
            {
                return Err(RulesError::NameTwice(a.name.clone()));
            }
        }
        Ok(Self(rules))
    }

    /// The rules, by name.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// The canonical text that is kept, and whose digest the journal names.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&self.0)
    }

    /// Reads a text back.
    ///
    /// # Errors
    /// [`RulesError`] if it is not the canonical text of rules that can stand.
    pub fn decode(text: &[u8]) -> Result<Self, RulesError> {
        let raw: Vec<Rule> = codec::decode(text, RULES_TEXT_MAX).map_err(|_| RulesError::Malformed)?;
        let rules = Self::new(raw.clone())?;
        if rules.0 == raw { Ok(rules) } else { Err(RulesError::Malformed) }
    }

    /// SHA-256 of the canonical text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(&self.encode())
    }

    /// Judges a message.
    ///
    /// # Errors
    /// [`Denied`] names the first recipient to whom no rule lets it go.
    pub fn judge(&self, recipients: &[ParticipantId], kind: Kind, handling: Handling) -> Result<Allowed, Denied> {
        let mut strictest: Option<&Rule> = None;
        for recipient in recipients {
            let rule = self.strictest(recipient, kind, handling).ok_or(Denied::NoRule { recipient: *recipient })?;
            if strictest.is_none_or(|known| rule.approvals > known.approvals) {
                strictest = Some(rule);
            }
        }
        let rule = strictest.ok_or(Denied::NoRecipient)?;
        Ok(Allowed { rule: rule.name.clone(), approvals: rule.approvals })
    }

    fn strictest(&self, recipient: &ParticipantId, kind: Kind, handling: Handling) -> Option<&Rule> {
        // `max_by_key` keeps the last of equals; rules are sorted by name, so the choice is the same on every machine.
        self.0.iter().filter(|rule| rule.allows(recipient, kind, handling)).max_by_key(|rule| rule.approvals)
    }
}

/// The message may leave once the approvals stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The rule that asks for the most.
    pub rule: Code,
    /// How many officers other than the drafter must approve.
    pub approvals: u8,
}

/// Why a message may not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Denied {
    /// It is addressed to nobody.
    #[error("it is addressed to nobody")]
    NoRecipient,
    /// No rule lets it go to this recipient.
    #[error("no rule allows it to go to {recipient}")]
    NoRule {
        /// To whom it may not go.
        recipient: ParticipantId,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ParticipantId {
        text.parse().unwrap()
    }

    fn rule(name: &str, to: Recipients, kinds: &[Kind], handling: &[Handling], approvals: u8) -> Rule {
        Rule { name: name.parse().unwrap(), to, kinds: kinds.to_vec(), handling: handling.to_vec(), approvals }
    }

    fn rules() -> Rules {
        Rules::new(vec![
            rule("tests", Recipients::All, &[Kind::Test], &[Handling::H0], 0),
            rule("neighbours", Recipients::Listed(vec![id("XC"), id("XB")]), &[Kind::Request], &[Handling::H0], 1),
            rule("careful", Recipients::Listed(vec![id("XB")]), &[Kind::Request], &[Handling::H0, Handling::H2], 2),
        ])
        .unwrap()
    }

    #[test]
    fn nothing_listed_nothing_leaves() {
        assert!(Rules::default().judge(&[id("XB")], Kind::Test, Handling::H0).is_err());
        let denied = rules().judge(&[id("XB"), id("XD")], Kind::Request, Handling::H0);
        assert_eq!(denied, Err(Denied::NoRule { recipient: id("XD") }));
        assert!(rules().judge(&[id("XC")], Kind::Request, Handling::H2).is_err());
        assert_eq!(rules().judge(&[], Kind::Test, Handling::H0), Err(Denied::NoRecipient));
    }

    #[test]
    fn the_strictest_rule_and_recipient_stand() {
        let allowed = |to: &[&str]| {
            let to: Vec<_> = to.iter().map(|text| id(text)).collect();
            rules().judge(&to, Kind::Request, Handling::H0).map(|allowed| (allowed.rule.to_string(), allowed.approvals))
        };
        assert_eq!(allowed(&["XC"]), Ok(("neighbours".to_owned(), 1)));
        assert_eq!(allowed(&["XB"]), Ok(("careful".to_owned(), 2)));
        assert_eq!(allowed(&["XC", "XB"]), Ok(("careful".to_owned(), 2)));
    }

    #[test]
    fn rules_that_cannot_stand_are_refused() {
        let twice = vec![rules().0[0].clone(), rules().0[0].clone()];
        assert!(matches!(Rules::new(twice), Err(RulesError::NameTwice(_))));
        let empty = vec![rule("none", Recipients::Listed(vec![]), &[Kind::Test], &[Handling::H0], 0)];
        assert!(matches!(Rules::new(empty), Err(RulesError::Empty(_))));
        let many = vec![rule("three", Recipients::All, &[Kind::Test], &[Handling::H0], 3)];
        assert!(matches!(Rules::new(many), Err(RulesError::Approvals(_))));
    }

    #[test]
    fn digest_does_not_depend_on_the_order_in_the_file() {
        let mut turned = rules().0;
        turned.reverse();
        assert_eq!(Rules::new(turned).unwrap().digest(), rules().digest());
        assert_eq!(Rules::decode(&rules().encode()), Ok(rules()));
        assert_eq!(Rules::decode(b"garbage"), Err(RulesError::Malformed));
    }
}
