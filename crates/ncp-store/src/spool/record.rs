//! Layout of a record, little-endian:
//!
//! ```text
//!   8  prefix 'NCP' 'P', version 1
//!   4  number of the segment
//!   4  offset in it
//!  36  name, in the canonical encoding: kind (4), id (32)
//!   4  length of the bytes
//!   4  CRC-32C of the bytes
//!   4  CRC-32C of the 60 bytes above
//!   n  bytes
//!   zeros to the next multiple of 64
//! ```
//!
//! Segment and offset bind a header to its place: bytes that someone sent and that look like a record are none.

use ncp_protocol::codec::{self, Prefix};

use super::{Place, Record, RecordName};
use crate::limits::RECORD_MAX;

const PREFIX: Prefix = Prefix::new(b'P', 1);
const NAME_LEN: usize = 36;
const CRC_LEN: usize = 4;

/// Bytes of a header; records start at multiples of it.
pub(super) const HEADER_LEN: usize = 64;

/// What stands at the head of a record.
pub(super) struct Header {
    pub(super) name: RecordName,
    pub(super) place: Place,
    pub(super) crc: u32,
}

/// Bytes that a record of `len` bytes takes.
pub(super) fn padded_len(len: usize) -> usize {
    HEADER_LEN + len.next_multiple_of(HEADER_LEN)
}

/// The record with header and padding, for `place`.
pub(super) fn encode(record: &Record, place: Place) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(padded_len(record.bytes.len()));
    bytes.extend_from_slice(&PREFIX.to_bytes());
    bytes.extend_from_slice(&place.segment.to_le_bytes());
    bytes.extend_from_slice(&place.offset.to_le_bytes());
    bytes.extend_from_slice(&codec::encode(&record.name));
    bytes.extend_from_slice(&place.length.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&record.bytes).to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend_from_slice(&record.bytes);
    bytes.resize(padded_len(record.bytes.len()), 0);
    bytes
}

impl Header {
    /// The header at the front of `bytes`, if one stands there undamaged.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEADER_LEN).filter(|head| head.starts_with(&PREFIX.to_bytes()))?;
        let (fields, crc) = head.split_last_chunk::<CRC_LEN>()?;
        if crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
            return None;
        }
        let fields = fields.get(PREFIX.to_bytes().len()..)?;
        let (segment, fields) = fields.split_first_chunk()?;
        let (offset, fields) = fields.split_first_chunk()?;
        let (name, fields) = fields.split_at_checked(NAME_LEN)?;
        let (length, fields) = fields.split_first_chunk()?;
        let (crc, _) = fields.split_first_chunk()?;
        let length = u32::from_le_bytes(*length);
        if length as usize > RECORD_MAX {
            return None;
        }
        let place = Place { segment: u32::from_le_bytes(*segment), offset: u32::from_le_bytes(*offset), length };
        Some(Self { name: codec::decode(name, NAME_LEN).ok()?, place, crc: u32::from_le_bytes(*crc) })
    }

    /// The record's bytes behind the header that `bytes` starts with, if they are undamaged.
    pub(super) fn body<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let body = bytes.get(HEADER_LEN..HEADER_LEN + self.place.length as usize)?;
        (crc32c::crc32c(body) == self.crc).then_some(body)
    }
}
