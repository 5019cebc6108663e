//! Reading groups while the journal grows. Whoever reads asks only for what has been synced.

use std::io;

use super::group::{self, HEADER_LEN, Header};
use super::{Group, GroupPlace, JournalError, Position, blocks, segment_path, segments};
use crate::disk::{Disk, DiskFile, OpenMode, read_exact_at};
use crate::limits::GROUP_LEN_MAX;

/// Read access to the journal. Clones are independent.
#[derive(Clone)]
pub struct JournalReader<D: Disk> {
    disk: D,
}

impl<D: Disk> JournalReader<D> {
    /// A reader of this data folder.
    #[must_use]
    pub fn new(disk: D) -> Self {
        Self { disk }
    }

    /// Reads the group that was appended at `place`.
    ///
    /// # Errors
    /// [`JournalError`]; anything but that very group is damage.
    pub fn read(&self, place: &GroupPlace) -> Result<Group, JournalError> {
        let damaged = || JournalError::Damaged(place.position());
        if place.length as usize > GROUP_LEN_MAX {
            return Err(damaged());
        }
        let file = match self.disk.open(&segment_path(place.segment), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(JournalError::Missing(place.first)),
            file => file?,
        };
        let group = read_at(&file, place.position(), place.length)?.ok_or_else(damaged)?;
        if group.place == *place { Ok(group) } else { Err(damaged()) }
    }

    /// Groups in order, from the one that holds sequence `from` to the one that holds `until - 1`.
    #[must_use]
    pub fn groups(&self, from: u64, until: u64) -> Groups<D> {
        Groups { disk: self.disk.clone(), from, until, at: None }
    }
}

/// Iterator over groups; ends after the first error.
pub struct Groups<D: Disk> {
    disk: D,
    // Sequence that comes next; `until` once all is done.
    from: u64,
    until: u64,
    at: Option<At<D::File>>,
}

struct At<F> {
    file: F,
    position: Position,
    // Sequence that must stand at the position.
    first: u64,
}

impl<D: Disk> Iterator for Groups<D> {
    type Item = Result<Group, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.from >= self.until {
            return None;
        }
        let group = self.advance();
        self.from = group.as_ref().map_or(self.until, |group| group.place.next());
        Some(group)
    }
}

impl<D: Disk> Groups<D> {
    fn advance(&mut self) -> Result<Group, JournalError> {
        let mut at = match self.at.take() {
            Some(at) => at,
            None => self.seek()?,
        };
        loop {
            let mut head = [0; HEADER_LEN];
            let read = at.file.read_at(&mut head, u64::from(at.position.offset))?;
            match Header::read(head.get(..read).unwrap_or_default()) {
                Some(header) if header.first == at.first => {
                    let position = at.position;
                    at.first += u64::from(header.count);
                    at.position.offset += u32::try_from(blocks(header.length as usize)).map_err(io::Error::other)?;
                    if at.first <= self.from {
                        continue;
                    }
                    let group = read_at(&at.file, position, header.length)?;
                    self.at = Some(at);
                    return group.ok_or(JournalError::Damaged(position));
                }
                Some(_) => return Err(JournalError::Damaged(at.position)),
                // The end of a segment is known by the next one's name.
                None if at.position.segment != at.first && segments(&self.disk)?.contains(&at.first) => {
                    at = self.open(at.first)?;
                }
                None => return Err(JournalError::Damaged(at.position)),
            }
        }
    }

    fn seek(&self) -> Result<At<D::File>, JournalError> {
        let segments = segments(&self.disk)?;
        let holder = segments.into_iter().rev().find(|first| *first <= self.from);
        self.open(holder.ok_or(JournalError::Missing(self.from))?)
    }

    fn open(&self, segment: u64) -> Result<At<D::File>, JournalError> {
        let file = self.disk.open(&segment_path(segment), OpenMode::Read)?;
        Ok(At { file, position: Position { segment, offset: 0 }, first: segment })
    }
}

/// The whole group of `length` bytes at `position`, `None` if none stands there.
fn read_at(file: &impl DiskFile, position: Position, length: u32) -> Result<Option<Group>, JournalError> {
    let mut bytes = vec![0; length as usize];
    match read_exact_at(file, &mut bytes, u64::from(position.offset)) {
        Ok(()) => Ok(at(&bytes, position).filter(|group| group.place.length == length)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The whole group at the front of `bytes`, which lie at `position`.
pub(super) fn at(bytes: &[u8], position: Position) -> Option<Group> {
    let (header, group::Body { previous, manifest, events }) = group::decode(bytes)?;
    let Position { segment, offset } = position;
    let Header { first, count, length, .. } = header;
    Some(Group { place: GroupPlace { segment, offset, length, first, count }, previous, manifest, events })
}
