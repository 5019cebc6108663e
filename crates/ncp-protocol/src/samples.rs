//! Values that the tests of several modules share.
#![cfg(test)]

use crate::codes::{Handling, Kind};
use crate::ids::{ConversationId, Digest, MessageId, NetworkId, ParticipantId, Reference};
use crate::keys::sha256;
use crate::limits::PROTOCOL_VERSION;
use crate::manifest::{Manifest, Part};

/// The network of the tests.
pub(crate) const NETWORK: NetworkId = NetworkId(Digest([7; 32]));

/// A participant.
pub(crate) fn participant(id: &str) -> ParticipantId {
    id.parse().expect("a participant id")
}

/// A notice from XA with these parts, to XB and XC.
pub(crate) fn manifest(parts: &[&[u8]]) -> Manifest {
    let message = MessageId::from_random([3; 16]);
    Manifest {
        version: PROTOCOL_VERSION,
        network: NETWORK,
        message,
        reference: Reference::new(participant("XA"), 2026, 417).expect("a reference"),
        originator: participant("XA"),
        recipients: vec![participant("XB"), participant("XC")],
        conversation: ConversationId(message),
        in_reply_to: None,
        kind: Kind::Notice,
        response_status: None,
        subject: "Subject".parse().expect("a subject"),
        subject_code: None,
        form: None,
        handling: Handling::H0,
        restriction: None,
        urgent_ground: None,
        answer_by: None,
        also_sent_through: Vec::new(),
        reason: None,
        parts: parts.iter().enumerate().map(|(index, bytes)| part(index, bytes)).collect(),
    }
}

/// Part number `index` with these bytes.
pub(crate) fn part(index: usize, bytes: &[u8]) -> Part {
    Part {
        name: format!("part-{index}").parse().expect("a part name"),
        media_type: "application/octet-stream".parse().expect("a media type"),
        length: bytes.len() as u64,
        sha256: sha256(bytes),
    }
}

/// `len` bytes that differ from their neighbours.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 31 + i / 251) % 256).expect("a byte")).collect()
}
