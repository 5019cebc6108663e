//! File names of bodies and uploads. A name is parsed back, and any other name in the folder is none.

use ncp_protocol::ids::{MessageId, ParticipantId};

use super::Expect;
use crate::spool::BodyName;

/// What names an upload: the message and what the body must turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stem {
    pub(super) originator: ParticipantId,
    pub(super) message: MessageId,
    pub(super) expect: Expect,
}

impl Stem {
    /// File of the bytes.
    pub(super) fn part(&self) -> String {
        format!("{self}.part")
    }

    /// File that says how far the bytes are synced.
    pub(super) fn note(&self) -> String {
        format!("{self}.note")
    }

    /// Reads a stem back.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (originator, message, rest) = parse_message(text)?;
        let (root, bytes) = rest.split_once('-')?;
        let bytes = bytes.parse().ok()?;
        let expect = match root {
            "any" => Expect::Any { limit: bytes },
            root => Expect::Root { root: root.parse().ok()?, length: bytes },
        };
        let stem = Self { originator, message, expect };
        (stem.to_string() == text).then_some(stem)
    }
}

impl std::fmt::Display for Stem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { originator, message, expect } = self;
        match expect {
            Expect::Root { root, length } => write!(f, "{originator}-{message}-{root}-{length}"),
            Expect::Any { limit } => write!(f, "{originator}-{message}-any-{limit}"),
        }
    }
}

/// File name of a body. It bears the whole root: names are compared, and a part of a digest can be forged.
pub(super) fn body_file(name: &BodyName) -> String {
    format!("{}-{}-{}", name.originator, name.message, name.root)
}

/// Reads a body's file name back.
pub(super) fn parse_body(text: &str) -> Option<BodyName> {
    let (originator, message, root) = parse_message(text)?;
    let name = BodyName { originator, message, root: root.parse().ok()? };
    (body_file(&name) == text).then_some(name)
}

/// Originator, message and what follows behind them.
fn parse_message(text: &str) -> Option<(ParticipantId, MessageId, &str)> {
    const UUID_LEN: usize = 36;
    let (originator, rest) = text.split_once('-')?;
    let (message, rest) = rest.split_at_checked(UUID_LEN)?;
    Some((originator.parse().ok()?, message.parse().ok()?, rest.strip_prefix('-')?))
}
