//! Limits of the link's tasks, and how they relate. Protocol, transport and store have theirs in their own crates.

use core::time::Duration;

use ncp_protocol::limits::{CHUNK_SEALED, FRAME_MAX, HELLO_TIMEOUT_MS, PING_EVERY_MS};
use ncp_transport::credit::Credit;

/// What the hub may have in flight towards this node.
pub(crate) const WINDOW: Credit = Credit { envelopes: 64, bytes: 4 << 20 };
/// Bytes of credit are given back in pieces of at least this much.
pub(crate) const BYTES_PER_GRANT: u64 = WINDOW.bytes / 8;
/// Longest wait for the hub's hello.
pub(crate) const HELLO_TIMEOUT: Duration = Duration::from_millis(HELLO_TIMEOUT_MS);
/// Longest wait for an answer about the directory.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a quiet hub is asked for a sign of life at least.
const PING_EVERY_MAX: Duration = Duration::from_millis(PING_EVERY_MS);
/// How many such questions may stay without an answer before the link is given up.
const PINGS_PER_IDLE: u32 = 5;
/// How often the directory is asked for, whether the hub told of news or not.
pub(crate) const REFRESH_EVERY: Duration = Duration::from_secs(60 * 60);
/// Shortest pause between two looks at the directory that somebody missing a key asked for.
pub(crate) const REFRESH_PAUSE: Duration = Duration::from_secs(5);
/// Pieces of evidence kept for the day when the directory has their key; of more than that the hub is asked again.
pub(crate) const KEYLESS_MAX: usize = 256;
/// How long the end of a link may take in good order.
pub(crate) const BYE_TIMEOUT: Duration = Duration::from_secs(3);
/// Frames of answers that wait for the writer before the link is given up: the hub asks and never reads.
pub(crate) const FRAMES_WAITING_MAX: usize = 1_024;
/// Frames of receipts from the hub that wait to be stored; after a cut each submission may bring one of its own.
pub(crate) const RECEIPT_FRAMES_WAITING: usize = 512;
/// Bytes of frames of receipts that wait to be stored.
pub(crate) const RECEIPT_BYTES_WAITING: usize = 16 << 20;
/// Frames of own receipts that are sent ahead of the hub's acknowledgement.
pub(crate) const RECEIPT_FRAMES_AHEAD: usize = 4;
/// How many receipts of the hub are stored between two notes of their number in the journal. A start has at most so many
/// sent again, beside what came in the last frames.
pub(crate) const RECEIPTS_NOTED_EVERY: u64 = 256;
/// How often the checkpoints that the hub showed of its logs are made durable, if any is new.
pub(crate) const HELD_EVERY: Duration = Duration::from_secs(1);
/// How long the hub's idea of this log may lag behind what is signed and sent.
pub(crate) const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);
/// Rows that one look at the queue takes in.
pub(crate) const QUEUE_PAGE: usize = 256;
/// Envelopes that are sealed between two commits.
pub(crate) const SEALS_PER_BATCH: usize = 32;
/// How often sealing looks again at what could not be sealed.
pub(crate) const SEAL_AGAIN_EVERY: Duration = Duration::from_secs(30);
/// How far back voided numbers are looked for.
pub(crate) const VOIDED_LOOKBACK: u64 = 10_000;
/// Workers that open messages at once; urgent mail has as many of its own.
pub(crate) const WORKERS_MAX: usize = 2;
/// Deliveries kept for the day when they can be judged; the hub keeps them in any case.
pub(crate) const UNJUDGED_MAX: usize = 256;
/// How long a body waits for its next chunk while others have their turn.
pub(crate) const CHUNK_PATIENCE: Duration = Duration::from_secs(300);
/// How many chunks of others may come meanwhile, for each body on its way: the hub gives each its turn more often. What comes
/// ahead of deliveries is counted beside it.
pub(crate) const CHUNKS_OF_OTHERS_MAX: u64 = 8;
/// Bytes that bodies on their way in may come to.
pub(crate) const INCOMING_MAX: u64 = 16 << 30;

/// How often the hub is asked for a sign of life, where it may be silent for so long.
pub(crate) fn ping_every(idle_timeout: Duration) -> Duration {
    (idle_timeout / PINGS_PER_IDLE).min(PING_EVERY_MAX)
}

const _: () = assert!(BYTES_PER_GRANT >= CHUNK_SEALED as u64, "a grant lets at least one chunk through");
const _: () = assert!(WINDOW.bytes >= 8 * CHUNK_SEALED as u64, "several bodies can arrive at once");
const _: () = assert!(RECEIPT_BYTES_WAITING > RECEIPT_FRAMES_AHEAD * FRAME_MAX, "the stream never overflows");
const _: () = assert!(UNJUDGED_MAX >= WINDOW.envelopes as usize);
