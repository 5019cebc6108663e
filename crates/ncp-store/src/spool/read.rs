//! Reading records, and walking through segments to find what lies in them.

use std::io;

use thiserror::Error;

use super::record::{HEADER_LEN, Header, padded_len};
use super::{Class, Place, RecordName};
use crate::disk::{Disk, OpenMode, first_nonzero, read_exact_at, read_file};
use crate::limits::RECORD_MAX;

/// Why a record cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("the spool cannot be read")]
    Io(#[from] io::Error),
    /// There is no such segment: the record moved or was erased, or the spool is not whole.
    #[error("segment {0} of the spool is gone")]
    Gone(u32),
    /// What lies there is not this record as it was written.
    #[error("the spool is damaged in segment {} at byte {}", .0.segment, .0.offset)]
    Damaged(Place),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            ReadError::Gone(_) => io::Error::new(io::ErrorKind::NotFound, error),
            ReadError::Damaged(_) => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// A stretch of a segment that is neither a whole record nor zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// First byte.
    pub from: u32,
    /// Byte behind the last.
    pub to: u32,
    /// Whose bytes they are, if the header can be read.
    pub name: Option<RecordName>,
}

/// What [`SpoolReader::scan`] calls for each record: name, place and the CRC-32C of its bytes.
pub(super) type VisitRecord<'a> = dyn FnMut(RecordName, Place, u32) + 'a;

/// Read access to the spool. Clones are independent.
#[derive(Clone)]
pub struct SpoolReader<D: Disk> {
    disk: D,
}

impl<D: Disk> SpoolReader<D> {
    /// A reader of this data folder.
    #[must_use]
    pub fn new(disk: D) -> Self {
        Self { disk }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, name: &RecordName, place: &Place) -> Result<Vec<u8>, ReadError> {
        if place.length as usize > RECORD_MAX {
            return Err(ReadError::Damaged(*place));
        }
        let path = Class::of(name.kind).segment_path(place.segment);
        let file = match self.disk.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Gone(place.segment)),
            file => file?,
        };
        let mut bytes = vec![0; HEADER_LEN + place.length as usize];
        match read_exact_at(&file, &mut bytes, u64::from(place.offset)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ReadError::Damaged(*place)),
            read => read?,
        }
        let header = Header::read(&bytes).filter(|header| header.name == *name && header.place == *place);
        match header.and_then(|header| header.body(&bytes).map(<[u8]>::to_vec)) {
            Some(body) => Ok(body),
            None => Err(ReadError::Damaged(*place)),
        }
    }

    /// Numbers of the segments of a class, ascending. Other names in the folder, such as `.new` of an interrupted copy, are
    /// none of the spool's.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn segments(&self, class: Class) -> io::Result<Vec<u32>> {
        let parse = |name: &str| {
            let number = u32::from_str_radix(name.strip_suffix(".seg")?, 16).ok()?;
            (format!("{number:08x}.seg") == name).then_some(number)
        };
        Ok(self.disk.list(&class.folder())?.iter().filter_map(|name| parse(name)).collect())
    }

    /// Calls `visit` for each whole record of a segment, in order, with the CRC-32C of its bytes; returns what is damaged. One
    /// name may come twice: a record that was copied forward has the same bytes in both places.
    ///
    /// # Errors
    /// As the disk has it.
    pub fn scan(&self, class: Class, segment: u32, visit: &mut VisitRecord<'_>) -> io::Result<Vec<Damage>> {
        let bytes = read_file(&self.disk, &class.segment_path(segment))?;
        Ok(Walk::through(class, segment, &bytes, visit).damage)
    }
}

/// What a segment holds.
pub(super) struct Walk {
    /// Behind the last byte of the last whole record.
    pub(super) end: u32,
    pub(super) damage: Vec<Damage>,
}

impl Walk {
    pub(super) fn through(class: Class, segment: u32, bytes: &[u8], visit: &mut VisitRecord<'_>) -> Self {
        let mut walk = Self { end: 0, damage: Vec::new() };
        let mut at = 0;
        while let Some(zeros) = bytes.get(at..).and_then(first_nonzero) {
            // Between batches lie zeros; a record starts with a byte that is none.
            at = (at + zeros) / HEADER_LEN * HEADER_LEN;
            match piece(class, segment, bytes, at) {
                Piece::Record(Header { name, place, crc }) => {
                    visit(name, place, crc);
                    at = walk.pass_record(bytes, at, place.length as usize);
                }
                Piece::Damaged(name, to) => {
                    walk.note(at, to, name);
                    at = to;
                }
            }
        }
        walk
    }

    /// Notes bytes behind a record that are not zero; returns where the next one may start.
    fn pass_record(&mut self, bytes: &[u8], at: usize, length: usize) -> usize {
        let next = at + padded_len(length);
        let behind = at + HEADER_LEN + length;
        self.end = narrow(next);
        if bytes.get(behind..next.min(bytes.len())).is_some_and(|padding| first_nonzero(padding).is_some()) {
            self.note(behind, next.min(bytes.len()), None);
        }
        next
    }

    fn note(&mut self, from: usize, to: usize, name: Option<RecordName>) {
        let (from, to) = (narrow(from), narrow(to));
        match self.damage.last_mut() {
            Some(last) if last.to == from && last.name.is_none() && name.is_none() => last.to = to,
            _ => self.damage.push(Damage { from, to, name }),
        }
    }
}

enum Piece {
    Record(Header),
    Damaged(Option<RecordName>, usize),
}

/// What starts at `at`, where a byte is not zero.
fn piece(class: Class, segment: u32, bytes: &[u8], at: usize) -> Piece {
    let rest = bytes.get(at..).unwrap_or_default();
    let here = |header: &Header| {
        let Place { segment: number, offset, .. } = header.place;
        (number, offset) == (segment, narrow(at)) && Class::of(header.name.kind) == class
    };
    let Some(header) = Header::read(rest).filter(here) else {
        return Piece::Damaged(None, bytes.len().min(at + HEADER_LEN));
    };
    match header.body(rest) {
        Some(_) => Piece::Record(header),
        None => Piece::Damaged(Some(header.name), bytes.len().min(at + padded_len(header.place.length as usize))),
    }
}

fn narrow(place: usize) -> u32 {
    // Segments are shorter than 4 GiB; in a foreign file that is longer nothing is whole beyond that.
    u32::try_from(place).unwrap_or(u32::MAX)
}
