//! What a start finds: where the journal ends, whether its end is torn, what is damaged; and how the end is mended.

use std::io;
use std::path::Path;

use super::group::Header;
use super::read::at;
use super::{FOLDER, Group, JournalError, Position, blocks, segment_path, segments};
use crate::ballast::or_give_up;
use crate::disk::{Disk, DiskFile, NEW, create_afresh, first_nonzero, last_nonzero, read_file, set_aside, with_suffix};
use crate::limits::{BLOCK_LEN, GROUP_LEN_MAX};

/// How the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With a whole group, or none.
    Whole,
    /// With something that may be the one group that was on its way when the machine stopped. Whoever knows what was
    /// durable (the file `signed`, the peers) decides whether it can be that.
    Torn(Position),
    /// Something is wrong that no crash leaves: behind it the journal goes on.
    Damaged(Position),
}

/// What [`scan`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// First sequence that the journal has.
    pub oldest: u64,
    /// Sequence behind the last whole group before any damage.
    pub next: u64,
    /// How it ends.
    pub tail: Tail,
    /// Bytes that are not zero where zeros belong, one position for each stretch: no event is touched, yet the disk decays.
    pub stains: Vec<Position>,
    /// Where the next group goes; `None` before the first segment.
    pub(super) end: Option<Position>,
}

/// Reads the journal from the segment that holds sequence `from` (the oldest, if none does) and calls `visit` for each
/// whole group up to the first damage.
///
/// # Errors
/// [`JournalError::Io`] alone; damage is part of what was found.
pub fn scan<D: Disk>(disk: &D, from: u64, visit: &mut dyn FnMut(Group)) -> Result<Scan, JournalError> {
    let segments = segments(disk)?;
    let oldest = segments.first().copied().unwrap_or(0);
    let start = segments.partition_point(|first| *first <= from).saturating_sub(1);
    let mut found = Scan { oldest, next: oldest, tail: Tail::Whole, stains: Vec::new(), end: None };
    let mut rest = segments.get(start..).unwrap_or_default();
    found.next = rest.first().copied().unwrap_or(oldest);
    while let Some((segment, later)) = rest.split_first() {
        let bytes = read_file(disk, &segment_path(*segment))?;
        let walk = Walk::through(*segment, &bytes, visit);
        found.next = walk.next;
        found.stains.extend(walk.stains);
        let end = Position { segment: *segment, offset: offset(walk.end) };
        found.end = Some(end);
        match later.first() {
            None => found.tail = last_tail(&bytes, end, walk.next, &mut found.stains),
            // Segments get their names only when the one before is full and durable.
            Some(next) if *next != walk.next => {
                found.tail = Tail::Damaged(end);
                break;
            }
            Some(_) => found.stains.extend(stain(&bytes, walk.end, bytes.len(), *segment)),
        }
        rest = later;
    }
    Ok(found)
}

/// A stretch of a closed segment that cannot be read in order. Whole groups behind the damaged one may still be read by
/// their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Where the journal can be read no further.
    pub at: Position,
    /// First sequence that cannot be read.
    pub from: u64,
    /// Sequence at which the journal goes on: the name of the next segment.
    pub until: u64,
}

/// Reads the closed segments before the one with which a [`scan`] from the same sequence begins, and finds what they lack. A
/// segment that the disk cannot read is lost like one that is damaged.
///
/// # Errors
/// If the folder cannot be read.
pub fn gaps<D: Disk>(disk: &D, from: u64) -> io::Result<Vec<Gap>> {
    let segments = segments(disk)?;
    let start = segments.partition_point(|first| *first <= from).saturating_sub(1);
    let mut gaps = Vec::new();
    if let Some(oldest) = segments.first().filter(|oldest| **oldest > 0) {
        gaps.push(Gap { at: Position { segment: 0, offset: 0 }, from: 0, until: *oldest });
    }
    for (segment, until) in segments.iter().zip(segments.iter().skip(1)).take(start) {
        let bytes = read_file(disk, &segment_path(*segment)).unwrap_or_default();
        let walk = Walk::through(*segment, &bytes, &mut |_| {});
        if walk.next != *until {
            let at = Position { segment: *segment, offset: offset(walk.end) };
            gaps.push(Gap { at, from: walk.next.min(*until), until: *until });
        }
    }
    Ok(gaps)
}

/// The whole groups at the front of a segment.
struct Walk {
    // Bytes of whole groups, padded.
    end: usize,
    next: u64,
    stains: Vec<Position>,
}

impl Walk {
    fn through(segment: u64, bytes: &[u8], visit: &mut dyn FnMut(Group)) -> Self {
        let mut walk = Self { end: 0, next: segment, stains: Vec::new() };
        while let Some(group) = walk.group(segment, bytes) {
            let behind = walk.end + group.place.length as usize;
            let next_block = blocks(behind);
            walk.stains.extend(stain(bytes, behind, next_block, segment));
            walk.next = group.place.next();
            walk.end = next_block;
            visit(group);
        }
        walk
    }

    fn group(&self, segment: u64, bytes: &[u8]) -> Option<Group> {
        let position = Position { segment, offset: offset(self.end) };
        at(bytes.get(self.end..)?, position).filter(|group| group.place.first == self.next)
    }
}

/// Classifies what lies behind the last whole group of the last segment.
fn last_tail(bytes: &[u8], end: Position, next: u64, stains: &mut Vec<Position>) -> Tail {
    let from = end.offset as usize;
    let header = |place: usize| bytes.get(place..).and_then(Header::read);
    let other_group = header(from).is_some_and(|header| header.first != next);
    // A whole one: 32 bytes of an event that another chose can look like a header, and stand at the start of a block.
    let whole = |place: usize| {
        let position = Position { segment: end.segment, offset: offset(place) };
        bytes.get(place..).and_then(|bytes| at(bytes, position)).is_some_and(|group| group.place.first > next)
    };
    let later_group = (from + BLOCK_LEN..bytes.len()).step_by(BLOCK_LEN).any(whole);
    // Only one group is ever on its way: if a later one was begun, the one here had been durable.
    if other_group || later_group {
        return Tail::Damaged(end);
    }
    let reach = bytes.len().min(from.saturating_add(blocks(GROUP_LEN_MAX)));
    stains.extend(stain(bytes, reach, bytes.len(), end.segment));
    match stain(bytes, from, reach, end.segment) {
        Some(_) => Tail::Torn(end),
        None => Tail::Whole,
    }
}

/// The first byte that is not zero in a stretch that should hold zeros; what lies behind the file's end counts as zero.
fn stain(bytes: &[u8], from: usize, to: usize, segment: u64) -> Option<Position> {
    let place = first_nonzero(bytes.get(from..to.min(bytes.len()))?)?;
    Some(Position { segment, offset: offset(from + place) })
}

fn offset(place: usize) -> u32 {
    // Segments are shorter than 4 GiB; a foreign file that is longer is nowhere whole beyond that.
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Writes every segment that holds events from sequence `from` on to a new file: after an unclean start what calls see
/// may be in memory alone, and no later sync need ever write it. A torn end and stains are copied to `corrupt/` and left
/// out. Returns the scan as it is afterwards.
///
/// Order, for each segment: what is left out to `corrupt/`, synced; `<segment>.new` written and synced; renamed over the
/// segment; the folder synced. A crash leaves the old or the new segment, with the same whole groups, and perhaps a `.new`
/// that is never read.
///
/// # Errors
/// [`JournalError::Damaged`] if the scan found damage, or what was whole is no more; otherwise as the disk has it.
pub fn renew<D: Disk>(disk: &D, scan: &Scan, from: u64) -> Result<Scan, JournalError> {
    if let Tail::Damaged(at) = scan.tail {
        return Err(JournalError::Damaged(at));
    }
    let segments = segments(disk)?;
    let start = segments.partition_point(|first| *first <= from).saturating_sub(1);
    let rest = segments.get(start..).unwrap_or_default();
    for (number, segment) in rest.iter().enumerate() {
        let until = rest.get(number + 1).copied().unwrap_or(scan.next);
        renew_segment(disk, *segment, until)?;
    }
    let oldest_renewed = rest.first().copied().unwrap_or(scan.next);
    let mut renewed = scan.clone();
    renewed.tail = Tail::Whole;
    renewed.stains.retain(|stain| stain.segment < oldest_renewed);
    Ok(renewed)
}

/// Takes the last group, the one that begins with sequence `first`, off the journal, with whatever is torn behind it: it is
/// whole, but something that it rests on is not. What is taken off goes to `corrupt/`. Returns the scan as it is afterwards.
///
/// Order as for [`renew`]. A crash leaves the group in its place or only in `corrupt/`.
///
/// # Errors
/// [`JournalError::Damaged`] if the scan found damage, [`JournalError::Missing`] if no group of the last segment begins
/// with `first`; otherwise as the disk has it.
pub fn cut<D: Disk>(disk: &D, scan: &Scan, first: u64) -> Result<Scan, JournalError> {
    if let Tail::Damaged(at) = scan.tail {
        return Err(JournalError::Damaged(at));
    }
    let end = scan.end.filter(|end| end.segment <= first && first <= scan.next).ok_or(JournalError::Missing(first))?;
    let kept = renew_segment(disk, end.segment, first)?;
    let mut rest = scan.clone();
    (rest.next, rest.tail) = (first, Tail::Whole);
    rest.end = Some(Position { segment: end.segment, offset: offset(kept) });
    rest.stains.retain(|stain| stain.segment < end.segment);
    Ok(rest)
}

/// Rewrites a segment with its groups below sequence `until` alone; returns their bytes.
fn renew_segment<D: Disk>(disk: &D, segment: u64, until: u64) -> Result<usize, JournalError> {
    let path = segment_path(segment);
    let bytes = read_file(disk, &path)?;
    let (mut kept, mut reached) = (Vec::new(), segment);
    let walk = Walk::through(segment, &bytes, &mut |group| {
        let from = group.place.offset as usize;
        if group.place.first < until {
            kept.extend_from_slice(bytes.get(from..from + group.place.length as usize).unwrap_or_default());
            kept.resize(blocks(kept.len()), 0);
            reached = group.place.next();
        }
    });
    if reached < until {
        return Err(JournalError::Damaged(Position { segment, offset: offset(walk.end) }));
    }
    if reached > until {
        return Err(JournalError::Missing(until));
    }
    let stain = walk.stains.first().map_or(kept.len(), |stain| kept.len().min(stain.offset as usize));
    let left_out = bytes.get(stain..).unwrap_or_default();
    if let Some(last) = last_nonzero(left_out) {
        let name = format!("journal-{segment:016x}-{stain}");
        set_aside(disk, &name, left_out.get(..=last).unwrap_or_default())?;
    }
    replace(disk, &path, &kept, bytes.len() as u64)?;
    Ok(kept.len())
}

/// Puts a segment of `capacity` bytes, `clean` and zeros behind it, in place of the one at `path`.
fn replace<D: Disk>(disk: &D, path: &Path, clean: &[u8], capacity: u64) -> io::Result<()> {
    let new = with_suffix(path, NEW);
    let file = create_afresh(disk, &new)?;
    or_give_up(disk, || file.allocate(capacity))?;
    file.write_at(clean, 0)?;
    file.sync_data()?;
    disk.rename(&new, path)?;
    disk.sync_dir(Path::new(FOLDER))
}
