//! Layout of a group, little-endian:
//!
//! ```text
//!   8  prefix 'NCP' 'J', version 1
//!   8  first sequence
//!   4  count of events
//!   4  length of the group, from the prefix to the last byte of the last CRC
//!   4  length of notes and manifest
//!   4  CRC-32C of the 28 bytes above
//!   n  in the canonical encoding: notes (signed checkpoints of the logs that the group before grew), manifest
//!   each event: 4 length, then its bytes
//!   4  CRC-32C of everything above
//!   zeros to the next block boundary
//! ```

use ncp_protocol::codec::{self, PREFIX_LEN, Prefix};
use ncp_protocol::limits::EVENT_MAX;

use super::{LogNote, blocks};
use crate::limits::{GROUP_LEN_MAX, GROUP_NOTES_MAX, MANIFEST_MAX, OWN_NOTE_MAX};

const PREFIX: Prefix = Prefix::new(b'J', 1);

/// Bytes of a header, its CRC included.
pub(super) const HEADER_LEN: usize = PREFIX_LEN + 8 + 4 + 4 + 4 + CRC_LEN;
const CRC_LEN: usize = 4;
const NOTES_LEN_MAX: usize = 8 + GROUP_NOTES_MAX * (4 + 8 + OWN_NOTE_MAX) + 8 + MANIFEST_MAX;

/// What stands at the head of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) length: u32,
    notes_len: u32,
}

/// A group ready to be written.
pub(super) struct Encoded {
    pub(super) count: u32,
    pub(super) length: u32,
    pub(super) blocks: Vec<u8>,
}

/// Bytes that a group of these events takes before it is padded to blocks, its notes at their longest.
#[must_use]
pub fn encoded_len(events: &[Vec<u8>]) -> usize {
    HEADER_LEN + NOTES_LEN_MAX + events.iter().map(|event| 4 + event.len()).sum::<usize>() + CRC_LEN
}

/// Encodes a group.
///
/// # Panics
/// If a note or event breaks its limit: whoever made it bounds it.
pub(super) fn encode(first: u64, events: &[Vec<u8>], previous: &[LogNote], manifest: &[u8]) -> Encoded {
    assert!(previous.len() <= GROUP_NOTES_MAX && previous.iter().all(|note| note.note.len() <= OWN_NOTE_MAX));
    assert!(events.iter().all(|event| (1..=EVENT_MAX).contains(&event.len())), "an event breaks its limit");
    assert!(manifest.len() <= MANIFEST_MAX, "a manifest breaks its limit");
    let notes = codec::encode(&(previous, manifest));
    let body: usize = events.iter().map(|event| 4 + event.len()).sum();
    let length = HEADER_LEN + notes.len() + body + CRC_LEN;
    let (count, length) = (narrow(events.len()), narrow(length));
    let mut bytes = Vec::with_capacity(blocks(length as usize));
    bytes.extend_from_slice(&PREFIX.to_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    for field in [count, length, narrow(notes.len())] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    append_crc(&mut bytes);
    bytes.extend_from_slice(&notes);
    for event in events {
        bytes.extend_from_slice(&narrow(event.len()).to_le_bytes());
        bytes.extend_from_slice(event);
    }
    append_crc(&mut bytes);
    bytes.resize(blocks(bytes.len()), 0);
    Encoded { count, length, blocks: bytes }
}

fn narrow(len: usize) -> u32 {
    // Callers bound groups far below 4 GiB; a longer one saturates and is refused as too long.
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn append_crc(bytes: &mut Vec<u8>) {
    let crc = crc32c::crc32c(bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
}

/// Splits off and checks the CRC at the end of `bytes`.
fn strip_crc(bytes: &[u8]) -> Option<&[u8]> {
    let (body, crc) = bytes.split_last_chunk::<CRC_LEN>()?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc)).then_some(body)
}

impl Header {
    /// The header at the front of `bytes`, if one stands there undamaged.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEADER_LEN).filter(|head| head.starts_with(&PREFIX.to_bytes()))?;
        let mut fields = strip_crc(head)?.get(PREFIX_LEN..)?;
        let (first, rest) = fields.split_first_chunk()?;
        fields = rest;
        let header = Self {
            first: u64::from_le_bytes(*first),
            count: take_u32(&mut fields)?,
            length: take_u32(&mut fields)?,
            notes_len: take_u32(&mut fields)?,
        };
        let sane = header.count > 0
            && header.length as usize <= GROUP_LEN_MAX
            && header.notes_len as usize <= NOTES_LEN_MAX
            && header.first.checked_add(u64::from(header.count)).is_some();
        sane.then_some(header)
    }
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*head))
}

/// What stands behind a header.
pub(super) struct Body {
    pub(super) previous: Vec<LogNote>,
    pub(super) manifest: Vec<u8>,
    pub(super) events: Vec<Vec<u8>>,
}

/// The group at the front of `bytes`, if one stands there whole.
pub(super) fn decode(bytes: &[u8]) -> Option<(Header, Body)> {
    let header = Header::read(bytes)?;
    let body = strip_crc(bytes.get(..header.length as usize)?)?.get(HEADER_LEN..)?;
    let (notes, mut rest) = body.split_at_checked(header.notes_len as usize)?;
    let (previous, manifest) = codec::decode(notes, NOTES_LEN_MAX).ok()?;
    let mut events = Vec::new();
    while !rest.is_empty() {
        let len = take_u32(&mut rest)? as usize;
        let (event, behind) = rest.split_at_checked(len).filter(|_| (1..=EVENT_MAX).contains(&len))?;
        events.push(event.to_vec());
        rest = behind;
    }
    (events.len() == header.count as usize).then_some((header, Body { previous, manifest, events }))
}
