//! Closed sets of codes that stand on the wire, and [`Code`], the form of those that are versioned data.
//!
//! A closed set is an enum: it is matched in full, its variants are only ever appended, and each has one name in
//! kebab-case that commands, logs and documents share. Subjects, forms, services, reasons and rules are data that a
//! catalogue explains, so they travel as a [`Code`] whose characters are checked and whose meaning is not.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::limits::{CODE_MAX, DAY_MS};

/// Why a text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CodeError {
    /// Not one of the names of a closed set.
    #[error("unknown code")]
    Unknown,
    /// Empty or longer than [`CODE_MAX`].
    #[error("wrong length")]
    Length,
    /// Something other than `a-z`, `0-9` and inner hyphens, or a version that is not a plain number from 1.
    #[error("character not allowed")]
    Character,
}

/// Defines a closed set: the enum, its names, the parser and the list of all, which therefore cannot disagree.
macro_rules! closed_set {
    ($(#[$doc:meta])* $set:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $set {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $set {
            /// All of the set, in the order of the wire.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name that people and documents use.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl fmt::Display for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $set {
            type Err = CodeError;

            fn from_str(text: &str) -> Result<Self, CodeError> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(CodeError::Unknown),
                }
            }
        }
    };
}

closed_set! {
    /// What a message is. A recipient that does not know a kind refuses the message for good; what each kind implies
    /// stands in [`Kind::columns`] and nowhere else.
    Kind {
        /// Asks for information.
        Request = "request",
        /// Asks about, or explains, an earlier message.
        Clarification = "clarification",
        /// Answers a request; see [`ResponseStatus`].
        Response = "response",
        /// Spontaneous information.
        Notice = "notice",
        /// A State asks the Secretariat for assistance (Decision 1049: only at its request).
        AssistanceRequest = "assistance-request",
        /// What the Secretariat proposes to do about it.
        AssistanceProposal = "assistance-proposal",
        /// A national best practice for the library.
        BestPractice = "best-practice",
        /// News from the Secretariat, to all or to a group.
        Bulletin = "bulletin",
        /// A bulletin that asks for an answer by a date.
        Call = "call",
        /// How a contact point is reached.
        ContactCard = "contact-card",
        /// Asks a State for its consent.
        ConsentRequest = "consent-request",
        /// Gives or withholds that consent.
        Consent = "consent",
        /// Asks the recipient to delete an earlier message.
        Withdrawal = "withdrawal",
        /// A State's released figures for the Secretariat.
        StatisticsReturn = "statistics-return",
        /// Runs the whole chain of evidence and reaches no person.
        Test = "test",
    }
}

/// One row of the table of kinds in `docs/PROTOCOL.md`, section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindColumns {
    /// It starts the clock of an answer, and the recipient may answer it.
    pub expects_answer: bool,
    /// It names, by id and commitment, the message that it is about.
    pub must_cite: bool,
    /// No other participant than the Secretariat may send it.
    pub from_secretariat_alone: bool,
    /// It stands in an inbox until somebody opens it.
    pub reaches_a_person: bool,
}

impl Kind {
    /// What the kind implies. The cores' `apply` reads this: a row that changes gives old journals another meaning.
    #[must_use]
    pub const fn columns(self) -> KindColumns {
        const PLAIN: KindColumns = KindColumns {
            expects_answer: false,
            must_cite: false,
            from_secretariat_alone: false,
            reaches_a_person: true,
        };
        match self {
            Self::Request | Self::AssistanceRequest | Self::ConsentRequest => {
                KindColumns { expects_answer: true, ..PLAIN }
            }
            Self::Clarification | Self::Response | Self::Consent | Self::Withdrawal => {
                KindColumns { must_cite: true, ..PLAIN }
            }
            Self::AssistanceProposal | Self::Bulletin => KindColumns { from_secretariat_alone: true, ..PLAIN },
            Self::Call => KindColumns { expects_answer: true, from_secretariat_alone: true, ..PLAIN },
            Self::Notice | Self::BestPractice | Self::ContactCard | Self::StatisticsReturn => PLAIN,
            Self::Test => KindColumns { reaches_a_person: false, ..PLAIN },
        }
    }

    /// Whether it starts the clock of an answer.
    #[must_use]
    pub const fn expects_answer(self) -> bool {
        self.columns().expects_answer
    }

    /// Whether it names the message that it is about.
    #[must_use]
    pub const fn must_cite(self) -> bool {
        self.columns().must_cite
    }

    /// Whether no other participant than the Secretariat may send it.
    #[must_use]
    pub const fn from_secretariat_alone(self) -> bool {
        self.columns().from_secretariat_alone
    }

    /// Whether it stands in an inbox until somebody opens it.
    #[must_use]
    pub const fn reaches_a_person(self) -> bool {
        self.columns().reaches_a_person
    }
}

closed_set! {
    /// What a response is.
    ResponseStatus {
        /// The complete answer.
        Final = "final",
        /// A part of the answer; more follows.
        Partial = "partial",
        /// The State declines, with a reason.
        Refusal = "refusal",
        /// The answer comes later: a time and a reason.
        Extension = "extension",
    }
}

closed_set! {
    /// Order of service. Says nothing about secrecy.
    Precedence {
        /// The usual.
        Routine = "routine",
        /// Before routine.
        Priority = "priority",
        /// Before all others; needs an [`UrgentGround`].
        Urgent = "urgent",
    }
}

closed_set! {
    /// Why a message is urgent: the closed list of Directive (EU) 2023/977, article 4.
    UrgentGround {
        /// Imminent and serious threat to the public security of a State.
        PublicSecurity = "public-security",
        /// Imminent threat to the life or physical integrity of a person.
        LifeOrLimb = "life-or-limb",
        /// Needed for a decision that may deprive a person of liberty.
        DeprivationOfLiberty = "deprivation-of-liberty",
        /// The information is about to lose its relevance.
        InformationLosesRelevance = "information-loses-relevance",
    }
}

closed_set! {
    /// Restriction that the originator sets. Says nothing about speed.
    Handling {
        /// May be used for the prevention and prosecution of crime.
        H0 = "h0",
        /// Not in judicial proceedings without the originator's permission.
        H1 = "h1",
        /// Not to be passed on without the originator's permission.
        H2 = "h2",
        /// Another restriction, in words.
        H3 = "h3",
    }
}

const HOUR_MS: u64 = 60 * 60 * 1_000;

impl Precedence {
    /// Place in the order of service: lower goes first.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Urgent => 0,
            Self::Priority => 1,
            Self::Routine => 2,
        }
    }

    /// How long an answer may take, in milliseconds from receipt: 7 days, 3 days, 8 hours (Directive (EU) 2023/977,
    /// article 5).
    #[must_use]
    pub const fn answer_time_ms(self) -> u64 {
        match self {
            Self::Routine => 7 * DAY_MS,
            Self::Priority => 3 * DAY_MS,
            Self::Urgent => 8 * HOUR_MS,
        }
    }
}

/// A code that is versioned data: subject, form, service, reason, rule. 1 to [`CODE_MAX`] characters `a-z`, `0-9`,
/// `-`, neither first nor last a hyphen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Code(String);

impl Code {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(text: &str) -> Result<(), CodeError> {
        if text.is_empty() || text.len() > CODE_MAX {
            return Err(CodeError::Length);
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !text.bytes().all(allowed) || text.starts_with('-') || text.ends_with('-') {
            return Err(CodeError::Character);
        }
        Ok(())
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::check(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(text))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The schema of a coded part, with its version: `vehicle/2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Form {
    /// Which schema.
    pub code: Code,
    /// Which version of it, from 1.
    #[serde(deserialize_with = "form_version")]
    pub version: u16,
}

fn form_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    match u16::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("version 0")),
        version => Ok(version),
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.code, self.version)
    }
}

impl FromStr for Form {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let (code, version) = text.split_once('/').ok_or(CodeError::Character)?;
        let form = Self { code: code.parse()?, version: version.parse().map_err(|_| CodeError::Character)? };
        if form.version > 0 && form.to_string() == text { Ok(form) } else { Err(CodeError::Character) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{DecodeError, decode, encode};

    fn check_set<T: FromStr<Err = CodeError> + fmt::Display + fmt::Debug + Serialize + PartialEq>(all: &[T]) {
        for (index, item) in all.iter().enumerate() {
            assert_eq!(item.to_string().parse::<T>().as_ref(), Ok(item));
            assert!(Code::check(&item.to_string()).is_ok(), "{item} is not kebab-case");
            assert_eq!(encode(item), u32::try_from(index).expect("small").to_le_bytes());
        }
        assert!("Unknown".parse::<T>().is_err());
    }

    #[test]
    fn names_parse_back_and_stand_on_the_wire_by_position() {
        check_set(Kind::ALL);
        check_set(ResponseStatus::ALL);
        check_set(Precedence::ALL);
        check_set(UrgentGround::ALL);
        check_set(Handling::ALL);
        assert_eq!(Kind::ALL.len(), 15);
        assert_eq!(Kind::Test.as_str(), "test");
    }

    #[test]
    fn an_unknown_variant_is_malformed() {
        assert_eq!(decode::<Precedence>(&[3, 0, 0, 0], 4), Err(DecodeError::Malformed));
    }

    #[test]
    fn urgent_outranks_priority_outranks_routine() {
        assert!(Precedence::Routine < Precedence::Priority && Precedence::Priority < Precedence::Urgent);
        assert_eq!(Precedence::Urgent.answer_time_ms(), 8 * 3_600_000);
        assert_eq!(Precedence::Routine.answer_time_ms(), 7 * 86_400_000);
    }

    #[test]
    fn code_admits_its_alphabet_alone() {
        for good in ["a", "border-security", "4x4", &"x".repeat(CODE_MAX)] {
            assert_eq!(good.parse::<Code>().map(|code| code.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "A", "a b", "a_b", "-a", "a-", "ä", "a/1", &"x".repeat(CODE_MAX + 1)] {
            assert!(bad.parse::<Code>().is_err(), "{bad}");
            assert_eq!(decode::<Code>(&encode(&bad), 100), Err(DecodeError::Malformed), "{bad}");
        }
    }

    #[test]
    fn form_has_one_text() {
        assert_eq!("vehicle/2".parse::<Form>().map(|form| form.to_string()), Ok("vehicle/2".to_owned()));
        for bad in ["vehicle", "vehicle/", "vehicle/0", "vehicle/02", "vehicle/+2", "vehicle/70000", "/1", "v/1/2"] {
            assert!(bad.parse::<Form>().is_err(), "{bad}");
        }
        let unversioned = Form { code: "vehicle".parse().unwrap(), version: 0 };
        assert_eq!(decode::<Form>(&encode(&unversioned), 100), Err(DecodeError::Malformed));
    }
}
