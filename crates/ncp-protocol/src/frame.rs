//! Frames: what the two ends of a link say to one another. One kind byte each, and a payload.
//!
//! The transport carries length, kind and payload; it asks [`payload_max`] before it allocates. Everything here is the
//! peer's word: decoding bounds it and nothing more. A frame that its direction or the state of the link does not allow
//! is the caller's to refuse. The table below is the only one; a number is never given twice.

mod batch;
mod payload;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use self::payload::Bounded;
pub use self::payload::{
    BodyChunk, BodyWanted, Bye, Checkpoint, Credit, Cursor, Deliver, Entries, EntriesChanged, EntryGet, Hello, Ping,
    Pong, PublicGet, PublicLog, Recall, Receipts, ReceiptsStored, Refused, Restricted, Submit, highest_common,
};
use crate::codec::{self, DecodeError};
use crate::limits::{
    CHUNK_SEALED, ENTRIES_PER_FRAME_MAX, ENTRY_MAX, ENVELOPE_MAX, FRAME_MAX, MEMBERSHIP_MAX, NOTE_MAX, ROOT_MAX,
    ROOTS_PER_FRAME_MAX, TIMESTAMP_MAX,
};

/// Who may send a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The node alone.
    NodeToHub,
    /// The hub alone.
    HubToNode,
    /// Either.
    Both,
}

/// One row of the table of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKind {
    /// The kind byte.
    pub number: u8,
    /// The name, as in PROTOCOL.md.
    pub name: &'static str,
    /// Who may send it.
    pub direction: Direction,
    /// Longest payload in bytes.
    pub payload_max: usize,
    /// What it is for, in one sentence without a full stop.
    pub text: &'static str,
}

/// Why a frame cannot be read. The peer's fault; the link ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameDecodeError {
    /// No frame has this kind byte.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// The payload is not the encoding of its kind, or too long.
    #[error("payload: {0}")]
    Payload(#[from] DecodeError),
    /// A list in the payload is longer or shorter than its kind allows, or not in order.
    #[error("a list is out of bounds or order")]
    Bounds,
}

/// Largest payload: the length field and the kind byte of the transport stand outside.
const PAYLOAD_MAX: usize = FRAME_MAX - 16;
/// Fixed fields of a payload that carries something long.
const FIELDS_MAX: usize = 512;
/// Everything that one answer about the directory can hold.
const ENTRIES_MAX: usize = FIELDS_MAX
    + ROOTS_PER_FRAME_MAX * (ROOT_MAX + 8)
    + MEMBERSHIP_MAX
    + TIMESTAMP_MAX
    + ENTRIES_PER_FRAME_MAX * (ENTRY_MAX + 8);

const _: () = assert!(ENTRIES_MAX <= PAYLOAD_MAX, "a full answer about the directory fits a frame");

macro_rules! frames {
    ($($number:literal $name:ident $direction:ident $limit:expr, $text:literal;)+) => {
        /// A frame of the link. Each variant's documentation is its row in the table.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Frame {
            $(#[doc = $text] $name($name),)+
        }

        impl Frame {
            /// The table of frames, by number.
            pub const TABLE: &'static [FrameKind] = &[
                $(FrameKind {
                    number: $number,
                    name: stringify!($name),
                    direction: Direction::$direction,
                    payload_max: $limit,
                    text: $text,
                },)+
            ];

            /// The kind byte.
            #[must_use]
            pub fn number(&self) -> u8 {
                match self { $(Self::$name(_) => $number,)+ }
            }

            /// The name, for logs.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)+ }
            }

            /// Who may send it.
            #[must_use]
            pub fn direction(&self) -> Direction {
                match self { $(Self::$name(_) => Direction::$direction,)+ }
            }

            /// Kind byte and payload.
            #[must_use]
            pub fn encode(&self) -> (u8, Vec<u8>) {
                match self { $(Self::$name(payload) => ($number, codec::encode(payload)),)+ }
            }

            /// Reads the payload of a kind.
            ///
            /// # Errors
            /// [`FrameDecodeError`].
            pub fn decode(number: u8, payload: &[u8]) -> Result<Self, FrameDecodeError> {
                match number {
                    $($number => decode_payload(payload, $limit).map(Self::$name),)+
                    _ => Err(FrameDecodeError::Kind(number)),
                }
            }
        }

        /// Longest payload of a kind, `None` if there is no such kind.
        #[must_use]
        pub const fn payload_max(number: u8) -> Option<usize> {
            match number { $($number => Some($limit),)+ _ => None }
        }

        $(impl From<$name> for Frame {
            fn from(payload: $name) -> Self {
                Self::$name(payload)
            }
        })+

        $(const _: () = assert!($limit <= PAYLOAD_MAX, "a payload fits a frame");)+
    };
}

frames! {
    1 Hello Both 2 * NOTE_MAX, "who speaks, what it knows and what it can hold; the first frame of each side";
    2 Submit NodeToHub ENVELOPE_MAX, "an envelope to be delivered";
    3 BodyWanted Both FIELDS_MAX, "the receiver of a body asks for its chunks from one on; also after a broken link";
    4 BodyChunk Both CHUNK_SEALED + FIELDS_MAX, "one sealed chunk of a body";
    5 Deliver HubToNode ENVELOPE_MAX + PROOF_MAX, "an envelope with the proof that the hub accepted it";
    6 Receipts Both PAYLOAD_MAX, "evidence from the numbered stream for the other side";
    7 ReceiptsStored Both FIELDS_MAX, "evidence up to this number is stored";
    8 Refused Both FIELDS_MAX, "an envelope was not taken and nothing of it is stored";
    9 Recall NodeToHub FIELDS_MAX, "delete what waits of this message for this recipient";
    10 Credit Both FIELDS_MAX, "so much more may be sent";
    11 PublicGet NodeToHub FIELDS_MAX, "asks for leaves of the log `public`";
    12 PublicLog HubToNode PAYLOAD_MAX, "leaves of the log `public` with a checkpoint that covers them";
    13 EntryGet NodeToHub FIELDS_MAX + 64 * 32, "asks for signed directory data";
    14 Entries HubToNode ENTRIES_MAX, "signed directory data";
    15 EntriesChanged HubToNode TIMESTAMP_MAX + FIELDS_MAX, "the directory changed: the newest timestamp statement";
    16 Checkpoint Both 2 * NOTE_MAX, "newest signed checkpoints of the sender's own logs";
    17 Ping Both FIELDS_MAX, "asks for a sign of life";
    18 Pong Both FIELDS_MAX, "the sign of life";
    19 Bye Both FIELDS_MAX, "the sender closes the link";
    20 Restricted HubToNode FIELDS_MAX, "before the hub's hello: this link carries directory data alone";
}

/// Longest encoding of a proof: event, path, note.
const PROOF_MAX: usize = crate::limits::EVENT_MAX + crate::limits::PROOF_HASHES_MAX * 32 + NOTE_MAX + 64;

fn decode_payload<T: Serialize + DeserializeOwned + Bounded>(
    payload: &[u8],
    limit: usize,
) -> Result<T, FrameDecodeError> {
    let value: T = codec::decode(payload, limit)?;
    if value.is_within_bounds() { Ok(value) } else { Err(FrameDecodeError::Bounds) }
}
