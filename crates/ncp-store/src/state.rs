//! The seam between a daemon's pure core and the store: rows, views, decisions.
//!
//! A core implements [`Core`]: `decide` chooses events for a command against a [`View`] and touches nothing; `apply` folds
//! one event into [`Rows`] and is the only writer of the index, live and in recovery alike. Rows are
//! small (≤ [`ROW_MAX`] bytes), keys sort as bytes. What cannot be read is an error, never an absence: [`Unreadable`]
//! stops the daemon, and the next start rebuilds the index from the journal.

use core::marker::PhantomData;
use core::ops::ControlFlow;
use std::collections::BTreeMap;

use ncp_protocol::codec;
use ncp_protocol::event::Event;
use ncp_protocol::ids::{LogName, MessageId, ParticipantId, UnixMillis};
use ncp_protocol::keys::sha256;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::index::Writes;
use crate::spool::{BodyName, Record, RecordName};

/// Longest value of a row: a row is small, and what is large lies in the spool.
pub const ROW_MAX: usize = 4 << 10;

/// Longest key of a row, with its table byte.
pub const KEY_MAX: usize = 128;

/// First table number that cores may use; the store's own tables stand below.
pub const FIRST_CORE_TABLE: u8 = 32;

/// A row or its table cannot be read, or not be written. Fatal: nothing may be decided on it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// It is not what was written, or the disk failed.
    #[error("the index cannot be read: {0}")]
    Damaged(String),
    /// The disk is full. Nothing is damaged.
    #[error("the disk has no room for the index")]
    NoRoom,
}

/// What a scan calls for each row, with key and value, until it breaks.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Read access to rows as of the newest event that was decided (committer) or synced (readers).
pub trait View {
    /// The row under `key`.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell.
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable>;

    /// Visits rows with `from <= key < to` in order until `visit` breaks.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Unreadable>;
}

/// Writes of one event: `None` removes. The last write to a key stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Rows {
    /// Puts a row.
    ///
    /// # Panics
    /// If key or value is longer than [`KEY_MAX`] or [`ROW_MAX`]: cores bound what they store.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        assert!(key.len() <= KEY_MAX && value.len() <= ROW_MAX, "a core wrote an oversized row");
        self.0.insert(key, Some(value));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    /// The writes, in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// The writes, as an index takes them.
    #[must_use]
    pub fn writes(&self) -> Writes<'_> {
        self.iter().collect()
    }

    /// Whether nothing is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The write to `key`: outer `None` if there is none, inner `None` if it removes.
    #[must_use]
    pub fn written(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.0.get(key).map(Option::as_deref)
    }

    /// The writes with `from <= key < to`, in key order.
    pub fn range<'a>(&'a self, from: &[u8], to: &[u8]) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        use core::ops::Bound::{Excluded, Included};
        let empty = from >= to;
        (!empty)
            .then(|| self.0.range::<[u8], _>((Included(from), Excluded(to))))
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Adds `later`'s writes over these.
    pub fn absorb(&mut self, later: Rows) {
        self.0.extend(later.0);
    }
}

/// An event with its places: in the journal (`sequence`, from 0) and in the log it names (`index`, from 0).
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Position in the journal, over all logs.
    pub sequence: u64,
    /// Leaf index in the event's own log.
    pub index: u64,
    /// The event.
    pub event: &'a Event,
}

/// What a core decided.
#[derive(Debug)]
pub struct Decision<R, E> {
    /// What happened, in order; never split over two groups.
    pub events: Vec<Event>,
    /// Spool records that must be durable with the events.
    pub records: Vec<Record>,
    /// Spool records and bodies that nothing needs after these events: removed after the sync, by the committer alone.
    pub erase: Vec<Erase>,
    /// What the asker is told once the events are durable.
    pub reply: R,
    /// What the shell does once the events are durable. Hints: after a restart they follow from the index.
    pub effects: Vec<E>,
}

impl<R, E> Decision<R, E> {
    /// Nothing happened; only a reply.
    pub fn reply(reply: R) -> Self {
        Self { events: Vec::new(), records: Vec::new(), erase: Vec::new(), reply, effects: Vec::new() }
    }
}

/// Time and chance of one command: a core has neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When the shell made the command.
    pub now: UnixMillis,
    /// 32 random bytes of its own.
    pub seed: [u8; 32],
}

impl Stamp {
    /// The salt of the command's event number `n`.
    #[must_use]
    pub fn salt(&self, n: u64) -> [u8; 16] {
        let mut bytes = self.seed.to_vec();
        bytes.extend_from_slice(&n.to_le_bytes());
        let mut salt = [0; 16];
        for (slot, byte) in salt.iter_mut().zip(sha256(&bytes).0) {
            *slot = byte;
        }
        salt
    }
}

/// Something of the spool that may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Erase {
    /// A record.
    Record(RecordName),
    /// A body.
    Body(BodyName),
}

/// A daemon's pure core.
pub trait Core: Send + Sync + 'static {
    /// What is asked, with time, fresh ids and random bytes as values.
    type Command: Send + 'static;
    /// What the asker is told.
    type Reply: Send + 'static;
    /// What the shell is to do.
    type Effect: Send + 'static;

    /// Chooses the events.
    ///
    /// # Errors
    /// [`Unreadable`] if the view cannot be read: the store stops.
    fn decide(
        &self,
        view: &dyn View,
        command: Self::Command,
    ) -> Result<Decision<Self::Reply, Self::Effect>, Unreadable>;

    /// Folds one event into rows. Frozen per event version; must not depend on anything but view and event.
    ///
    /// # Errors
    /// [`Unreadable`] if the view cannot be read: the store stops.
    fn apply(&self, view: &dyn View, event: Placed<'_>, rows: &mut Rows) -> Result<(), Unreadable>;

    /// Version of `apply`'s row layout: another number rebuilds the index.
    fn schema(&self) -> u32;
}

/// A key of a typed table: bytes that sort as the key does.
pub trait Key: Sized {
    /// Appends the key's bytes.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads the key from the front of `bytes` and returns the rest; `None` if they are not such a key.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])>;
}

macro_rules! big_endian_keys {
    ($($int:ty),+) => {$(
        impl Key for $int {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
                let (head, rest) = bytes.split_first_chunk()?;
                Some((Self::from_be_bytes(*head), rest))
            }
        }
    )+};
}
big_endian_keys!(u8, u16, u32, u64);

impl<const N: usize> Key for [u8; N] {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        Some((*head, rest))
    }
}

impl Key for () {
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        Some(((), bytes))
    }
}

impl Key for ParticipantId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        Some((Self::from_bytes(*head).ok()?, rest))
    }
}

impl Key for MessageId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        Some((Self(*head), rest))
    }
}

impl Key for LogName {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Node => 0,
            Self::Traffic => 1,
            Self::Public => 2,
        });
    }
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first()?;
        let log = match head {
            0 => Self::Node,
            1 => Self::Traffic,
            2 => Self::Public,
            _ => return None,
        };
        Some((log, rest))
    }
}

macro_rules! tuple_keys {
    ($($name:ident $field:tt),+) => {
        impl<$($name: Key),+> Key for ($($name,)+) {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)+
            }
            fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
                let rest = bytes;
                $(
                    #[expect(non_snake_case, reason = "one name serves as type and value of a tuple field")]
                    let ($name, rest) = $name::read(rest)?;
                )+
                Some((($($name,)+), rest))
            }
        }
    };
}
tuple_keys!(A 0, B 1);
tuple_keys!(A 0, B 1, C 2);
tuple_keys!(A 0, B 1, C 2, D 3);
tuple_keys!(A 0, B 1, C 2, D 3, E 4);

/// A typed table of the index: one number, one type of key, one type of row.
pub struct Table<K, V> {
    number: u8,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Serialize + DeserializeOwned> Table<K, V> {
    /// The table with this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self { number, types: PhantomData }
    }

    fn key(&self, key: &impl Key) -> Vec<u8> {
        // Most keys fit.
        let mut bytes = Vec::with_capacity(40);
        bytes.push(self.number);
        key.write(&mut bytes);
        bytes
    }

    /// The row under `key`.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell or the row is not of this type.
    pub fn row(&self, view: &(impl View + ?Sized), key: &K) -> Result<Option<V>, Unreadable> {
        view.row(&self.key(key))?.map(|bytes| self.decode(&bytes)).transpose()
    }

    /// The row under `key` with what `rows` already writes over the view: for an `apply` that reads what it wrote.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell or the row is not of this type.
    pub fn row_over(&self, view: &(impl View + ?Sized), rows: &Rows, key: &K) -> Result<Option<V>, Unreadable> {
        match rows.written(&self.key(key)) {
            Some(written) => written.map(|bytes| self.decode(bytes)).transpose(),
            None => self.row(view, key),
        }
    }

    /// Writes a row.
    pub fn put(&self, rows: &mut Rows, key: &K, value: &V) {
        rows.put(self.key(key), codec::encode(value));
    }

    /// Removes a row.
    pub fn remove(&self, rows: &mut Rows, key: &K) {
        rows.remove(self.key(key));
    }

    /// Visits rows whose key begins with `prefix`, in order, until `visit` breaks.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell or a row is not of this type.
    pub fn scan(
        &self,
        view: &(impl View + ?Sized),
        prefix: &impl Key,
        visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<(), Unreadable> {
        let from = self.key(prefix);
        let to = successor(&from);
        self.visit(view, &from, &to, visit)
    }

    /// Visits rows whose key begins with `prefix` and is not below `start`, in order, until `visit` breaks.
    ///
    /// # Errors
    /// [`Unreadable`] if the index cannot tell or a row is not of this type.
    pub fn scan_from(
        &self,
        view: &(impl View + ?Sized),
        prefix: &impl Key,
        start: &K,
        visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<(), Unreadable> {
        let to = successor(&self.key(prefix));
        self.visit(view, &self.key(start), &to, visit)
    }

    /// A row as key and value, if it is of this table.
    ///
    /// # Errors
    /// [`Unreadable`] if it is of this table and not of this type.
    pub(crate) fn pair(&self, key: &[u8], value: &[u8]) -> Result<Option<(K, V)>, Unreadable> {
        if key.first() == Some(&self.number) { self.decode_pair(key, value).map(Some) } else { Ok(None) }
    }

    fn visit(
        &self,
        view: &(impl View + ?Sized),
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<(), Unreadable> {
        let mut failed = None;
        view.scan(from, to, &mut |key, value| match self.decode_pair(key, value) {
            Ok((key, value)) => visit(key, value),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn decode_pair(&self, key: &[u8], value: &[u8]) -> Result<(K, V), Unreadable> {
        let key = key
            .split_first()
            .and_then(|(_, rest)| K::read(rest))
            .filter(|(_, rest)| rest.is_empty())
            .ok_or_else(|| Unreadable::Damaged(format!("malformed key in table {}", self.number)))?;
        Ok((key.0, self.decode(value)?))
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, Unreadable> {
        codec::decode(bytes, ROW_MAX)
            .map_err(|error| Unreadable::Damaged(format!("row of table {}: {error}", self.number)))
    }
}

/// The first key that no longer begins with `prefix`.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return end;
        }
        end.pop();
    }
    // Only a prefix of 0xff bytes gets here; table numbers stay below it.
    vec![u8::MAX; KEY_MAX + 1]
}
