//! Segments and groups of one journal, from bytes, by `docs/protocol/journal.md` alone.

use std::fs;
use std::path::Path;

use ncp_protocol::codec::{self, Prefix};
use ncp_protocol::ids::{Digest, LogName, MessageId, ParticipantId};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Name};

/// Groups start at multiples of it.
const BLOCK: usize = 4096;
/// Bytes at the head of a group.
const HEAD: usize = 32;
const GROUP: Prefix = Prefix::new(b'J', 1);
const MANIFEST: Prefix = Prefix::new(b'M', 1);
/// Longest list of notes with manifest.
const NOTES_MAX: usize = 128 << 10;

/// A group as it lies on the disk.
#[derive(Debug, Clone)]
pub struct Group {
    /// Sequence of its first event.
    pub first: u64,
    /// Signed checkpoints of the logs that the group before it grew.
    pub notes: Vec<(LogName, String)>,
    /// Logs as the group found them.
    pub heads: Vec<(LogName, u64, Digest)>,
    /// Encoded events.
    pub events: Vec<Vec<u8>>,
    /// Where it lies, for people.
    pub place: String,
}

/// What a group says beside its events.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    heads: Vec<(LogName, u64, Digest)>,
    records: Vec<(RecordName, u32, u32)>,
    erases: Vec<Erase>,
}

/// Kind, as its number, and id of a record of the spool.
type RecordName = (u32, Digest);

#[derive(Debug, Serialize, Deserialize)]
enum Erase {
    Record(RecordName),
    Body((ParticipantId, MessageId, Digest)),
}

/// All groups of a journal up to the first damage, and the number of its segments.
pub fn read(data: &Path, findings: &mut Vec<Finding>) -> (Vec<Group>, usize) {
    let folder = data.join("journal");
    let mut groups = Vec::new();
    let segments = match segments(&folder) {
        Ok(segments) => segments,
        Err(error) => {
            findings.push(Finding::new(Name::Unreadable, format!("{}: {error}", folder.display())));
            return (groups, 0);
        }
    };
    let mut next = 0;
    for (first, name) in &segments {
        let bytes = match fs::read(folder.join(name)) {
            Ok(bytes) => bytes,
            Err(error) => {
                findings.push(Finding::new(Name::Unreadable, format!("{name} of {}: {error}", data.display())));
                break;
            }
        };
        if *first != next {
            let detail = format!("{} begins with {first:#x} instead of {next:#x}", folder.join(name).display());
            findings.push(Finding::new(Name::SequenceBroken, detail));
            break;
        }
        let place = |at: usize| format!("{} at byte {at}", folder.join(name).display());
        match walk(&bytes, next, &mut groups, &place) {
            Ok(behind) => next = behind,
            Err(finding) => {
                findings.push(finding);
                break;
            }
        }
    }
    (groups, segments.len())
}

fn segments(folder: &Path) -> std::io::Result<Vec<(u64, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let first = name.strip_suffix(".seg").filter(|digits| digits.len() == 16);
        if let Some(first) = first.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            found.push((first, name));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the groups of a segment; returns the sequence behind the last.
fn walk(bytes: &[u8], mut next: u64, groups: &mut Vec<Group>, place: &dyn Fn(usize) -> String) -> Result<u64, Finding> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.starts_with(&GROUP.to_bytes())) {
        let damaged = |what: &str| Finding::new(Name::GroupDamaged, format!("{what}, {}", place(at)));
        let (length, group) = group(rest, place(at)).map_err(damaged)?;
        if group.first != next {
            let detail = format!("{} instead of {next}, {}", group.first, place(at));
            return Err(Finding::new(Name::SequenceBroken, detail));
        }
        next += group.events.len() as u64;
        groups.push(group);
        let behind = (at + length).next_multiple_of(BLOCK);
        if !are_zeros(bytes.get(at + length..behind.min(bytes.len())).unwrap_or_default()) {
            return Err(Finding::new(Name::TornEnd, format!("padding, {}", place(at + length))));
        }
        at = behind;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    if are_zeros(rest) { Ok(next) } else { Err(Finding::new(Name::TornEnd, place(at))) }
}

/// The group at the front of `bytes` with its length.
fn group(bytes: &[u8], place: String) -> Result<(usize, Group), &'static str> {
    let head = bytes.get(..HEAD).ok_or("a head is cut off")?;
    if crc32c(&head[..28]) != word(head, 28) {
        return Err("the head's checksum is wrong");
    }
    let first = u64::from_le_bytes(head[8..16].try_into().map_err(|_| "a head is cut off")?);
    let (count, length, notes_len) = (word(head, 16) as usize, word(head, 20) as usize, word(head, 24) as usize);
    let whole = bytes.get(..length).filter(|_| length >= HEAD + 4).ok_or("the length leads out of the segment")?;
    let (body, crc) = whole.split_at(length - 4);
    if crc32c(body) != word(crc, 0) {
        return Err("the group's checksum is wrong");
    }
    let body = body.get(HEAD..).ok_or("the length is too short")?;
    let (notes, mut rest) = body.split_at_checked(notes_len).ok_or("the notes lead out of the group")?;
    let (notes, manifest) =
        codec::decode::<(Vec<(LogName, String)>, Vec<u8>)>(notes, NOTES_MAX).map_err(|_| "notes")?;
    let manifest: Manifest = MANIFEST.decode(&manifest, NOTES_MAX).map_err(|_| "the manifest is none")?;
    let mut events = Vec::with_capacity(count);
    while !rest.is_empty() {
        let length = rest.get(..4).map(|bytes| word(bytes, 0) as usize).ok_or("an event is cut off")?;
        let event = rest.get(4..4 + length).ok_or("an event is cut off")?;
        events.push(event.to_vec());
        rest = &rest[4 + length..];
    }
    if events.len() != count || count == 0 {
        return Err("the number of events is wrong");
    }
    Ok((length, Group { first, notes, heads: manifest.heads, events, place }))
}

/// The little-endian number of four bytes at `at`.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(super) fn are_zeros(bytes: &[u8]) -> bool {
    bytes.chunks(BLOCK).all(|chunk| chunk == &[0; BLOCK][..chunk.len()])
}

/// CRC-32C (Castagnoli): RFC 3720, appendix B.4; reflected polynomial 0x82f63b78.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(u32::MAX, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn checksums_are_the_published_ones() {
        // RFC 3720, appendix B.4, and the customary check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
