//! What was written behind a copier, close together in memory: a map of the same rows takes two to three times as much.
//!
//! Writes one behind the other, integers little-endian: 1 length of the key, 2 length of the value or `REMOVED`, key, value.

use crate::index::{Write, sort_last_stands};
use crate::state::{KEY_MAX, ROW_MAX};

/// Stands for the length of a value where a row is removed.
const REMOVED: u16 = u16::MAX;
const HEAD_LEN: usize = 3;

const _: () = assert!(KEY_MAX <= u8::MAX as usize && ROW_MAX < REMOVED as usize, "lengths of a write fit");

/// Writes in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Late {
    bytes: Vec<u8>,
    // Where each begins.
    starts: Vec<u32>,
}

impl Late {
    /// Bytes of memory that the writes take.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() + self.starts.len() * size_of::<u32>()
    }

    /// Adds a write.
    ///
    /// # Panics
    /// If the row breaks the limits of the index, which lets none in, or after 4 GiB.
    pub(super) fn push(&mut self, (key, value): Write<'_>) {
        assert!(key.len() <= KEY_MAX && value.is_none_or(|value| value.len() <= ROW_MAX), "a row breaks its limits");
        let Ok(start) = u32::try_from(self.bytes.len()) else {
            unreachable!("late writes are bounded far below 4 GiB")
        };
        let value_len = value.map_or(REMOVED, |value| u16::try_from(value.len()).unwrap_or(REMOVED));
        let [low, high] = value_len.to_le_bytes();
        self.starts.push(start);
        self.bytes.extend_from_slice(&[u8::try_from(key.len()).unwrap_or(u8::MAX), low, high]);
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
    }

    /// The writes in key order, of each key the last.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = Write<'_>> {
        let mut starts = self.starts.clone();
        sort_last_stands(&mut starts, |start| self.at(*start).0);
        starts.into_iter().map(|start| self.at(start))
    }

    fn at(&self, start: u32) -> Write<'_> {
        let rest = self.bytes.get(start as usize..).unwrap_or_default();
        let Some((&[key_len, low, high], rest)) = rest.split_first_chunk::<HEAD_LEN>() else {
            unreachable!("a write has a head");
        };
        let (key, rest) = rest.split_at(usize::from(key_len));
        let value = match u16::from_le_bytes([low, high]) {
            REMOVED => None,
            len => rest.get(..usize::from(len)),
        };
        (key, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_key_the_last_write_stands_in_key_order() {
        let mut late = Late::default();
        for (key, value) in
            [(b"b", Some(&b"1"[..])), (b"a", Some(b"")), (b"b", None), (b"c", Some(b"2")), (b"a", Some(b"3"))]
        {
            late.push((key, value));
        }
        let sorted: Vec<_> = late.sorted().collect();
        assert_eq!(sorted, [(&b"a"[..], Some(&b"3"[..])), (b"b", None), (b"c", Some(b"2"))]);
    }

    #[test]
    fn longest_and_shortest_rows_fit() {
        let (key, value) = ([7; KEY_MAX], [8; ROW_MAX]);
        let mut late = Late::default();
        late.push((&key, Some(&value)));
        late.push((&[1], Some(&[])));
        assert_eq!(late.sorted().collect::<Vec<_>>(), [(&[1][..], Some(&[][..])), (&key, Some(&value))]);
        assert_eq!(late.len(), 2 * (HEAD_LEN + size_of::<u32>()) + KEY_MAX + ROW_MAX + 1);
    }
}
