//! Every limit of the store, and how they relate. Bytes and milliseconds unless the name says otherwise.

use core::time::Duration;

use ncp_protocol::limits::{CHUNK_SEALED, EVENT_MAX, NOTE_MAX};

/// Synced groups that the index may lag behind before the committer waits. Each is a layer that every look-up passes.
pub const INDEX_LAG_GROUPS_MAX: usize = 32;
/// How long a group waits for others to be applied with.
pub const APPLY_DELAY: Duration = Duration::from_millis(10);
/// Time between two syncs of the index: a start after a crash replays about as much.
pub const INDEX_PERSIST_EVERY: Duration = Duration::from_secs(5);
/// Memory of the index's cache.
pub const INDEX_CACHE_BYTES: usize = 32 << 20;
/// An index that takes more than this many times its live bytes on disk is built anew at start …
pub const INDEX_BLOAT_FACTOR: u64 = 16;
/// … unless it is smaller than this.
pub const INDEX_BLOAT_BYTES_MIN: u64 = 256 << 20;

/// Closed segments of the journal between two snapshots of the index …
pub const SNAPSHOT_SEGMENTS_MIN: u64 = 1;
/// … and as many more as make the journal grow by this part of a snapshot's length: writing them costs a fixed share of
/// what the journal itself writes, and a rebuild replays about as much as it loads.
pub const SNAPSHOT_SHARE: u64 = 4;
/// Snapshots that are kept.
pub const SNAPSHOTS_KEPT: usize = 2;
/// Bytes of rows that a copy takes at once, while the index waits.
pub const SNAPSHOT_STRETCH_BYTES: usize = 64 << 10;
/// At most so many times as long as a stretch took rests the thread that takes a snapshot: then it takes a fifth of a processor.
pub const SNAPSHOT_RESTS_MAX: u32 = 4;
/// Bytes of a snapshot between two syncs.
pub const SNAPSHOT_SYNC_BYTES: u64 = 1 << 20;
/// Bytes of rows written behind a copy, each as often as it was written, after which it is given up. With a stretch and two
/// buffers the memory it needs.
pub const SNAPSHOT_LATE_BYTES_MAX: usize = 16 << 20;
/// Bytes that a snapshot leaves free on the disk, beside twice its own length.
pub const SNAPSHOT_SPARE_BYTES: u64 = 1 << 30;
/// Longest summary at the head of a snapshot.
pub const SNAPSHOT_SUMMARY_MAX: usize = 32 << 10;
/// Bytes of rows that a load writes to the index at once.
pub const SNAPSHOT_LOAD_BYTES: usize = 1 << 20;

/// Events whose rows one transaction of a rebuild takes …
pub const REPLAY_BATCH_EVENTS: u64 = 4_096;
/// … unless they are longer together, in bytes of the journal. Twice as much is in memory.
pub const REPLAY_BATCH_BYTES: u64 = 2 << 20;

/// Commands that one group takes.
pub const GROUP_COMMANDS_MAX: usize = 512;
/// Bytes of events and records after which a group takes no further command.
pub const GROUP_BYTES_SOFT: usize = 1 << 20;
/// How long a group waits for commands when the one before it took several: the cost of a group is shared …
pub const GATHER_DELAY: Duration = Duration::from_millis(1);
/// … unless that many wait already.
pub const GATHER_COMMANDS: usize = 64;
/// Time after which a group takes no further command.
pub const GROUP_DECIDE_MS: u64 = 20;
/// Most events of one decision.
pub const DECISION_EVENTS_MAX: usize = 256;
/// Most spool records of one decision.
pub const DECISION_RECORDS_MAX: usize = 128;
/// Most names that one decision erases.
pub const DECISION_ERASES_MAX: usize = 256;

/// Bytes that a source may send before the next source has its turn.
pub const QUEUE_QUANTUM_BYTES: usize = 64 << 10;
/// Commands of one source that wait; further ones wait with whoever submits them.
pub const QUEUE_COMMANDS_PER_SOURCE_MAX: usize = 1_024;
/// Least weight of a command in the queue.
pub const QUEUE_WEIGHT_MIN: usize = 256;
/// Effects that wait for the shell before the committer waits for it.
pub const EFFECTS_WAITING_MAX: usize = 8_192;
/// Urgent bytes after which one routine command goes first, if any waits.
pub const URGENT_STREAK_BYTES: usize = 256 << 10;

/// Delay of the file `signed` behind the journal.
pub const SIGNED_DELAY_MS: u64 = 50;

/// Most events that one read of the journal returns.
pub const EVENTS_PER_READ_MAX: usize = 1_024;

/// Boundary on which groups, and batches of spool records, start: a torn write never reaches what was synced before it.
pub const BLOCK_LEN: usize = 4 << 10;
/// Length of a journal segment, preallocated.
pub const JOURNAL_SEGMENT_LEN: u32 = 16 << 20;
/// How much of a segment that is made ahead is written between two syncs.
pub const AHEAD_STEP: u32 = 1 << 20;
/// Free space that stays when a segment is made ahead: what the ballast watches over is never touched for it.
pub const AHEAD_ROOM_MIN: u64 = 4 * BALLAST_ROOM_MIN;
/// Longest group on disk.
pub const GROUP_LEN_MAX: usize = 4 << 20;
/// Most notes that a group carries: one for each log that the group before it grew.
pub const GROUP_NOTES_MAX: usize = 4;
/// Longest manifest of a group: the records that it rests on and what it lets go.
pub const MANIFEST_MAX: usize = 64 << 10;
/// Longest note of a log of our own.
pub const OWN_NOTE_MAX: usize = 2 << 10;

/// Longest record in a spool segment: a sealed chunk with room to spare.
pub const RECORD_MAX: usize = 128 << 10;
/// Length of a segment of envelopes and small bodies.
pub const SPOOL_PASSING_SEGMENT_LEN: u32 = 8 << 20;
/// Length of a segment of evidence and entries.
pub const SPOOL_LASTING_SEGMENT_LEN: u32 = 4 << 20;
/// Length of a segment of erasable keys: short, since erasing one copies the living of a whole segment.
pub const SPOOL_ERASABLE_SEGMENT_LEN: u32 = 1 << 20;
/// Bytes of an upload between two syncs.
pub const UPLOAD_SYNC_BYTES: u64 = 4 << 20;
/// Longest file `held`: a note of each log of some hundred parties.
pub const HELD_LEN_MAX: usize = 16 << 20;
/// Length of one of the two slots of the file `signed`.
pub const SIGNED_SLOT_LEN: usize = 16 << 10;

/// Free space below which the ballast is given up: the index and level files grow by less in a second.
pub const BALLAST_ROOM_MIN: u64 = 16 << 20;
/// Free space that a start may need before it lets anything go: a new segment of each kind, the newest of each written
/// anew, and what the index takes.
pub const ROOM_TO_START: u64 = 64 << 20;

/// Losses of single records or groups that a running store keeps in mind.
pub const LOSSES_MAX: usize = 64;

/// How far wall and monotonic clock may drift apart in [`CLOCK_DRIFT_OVER`] before the wall clock is not believed.
pub const CLOCK_STEP_MAX: Duration = Duration::from_secs(60);
/// The time in which a drift counts.
pub const CLOCK_DRIFT_OVER: Duration = Duration::from_secs(60 * 60);

const _: () = assert!(QUEUE_QUANTUM_BYTES >= QUEUE_WEIGHT_MIN, "each turn of a source moves it forward");
const _: () = assert!(EFFECTS_WAITING_MAX >= GROUP_COMMANDS_MAX, "the shell may rest for a group");
const _: () = assert!(URGENT_STREAK_BYTES >= QUEUE_QUANTUM_BYTES, "urgent mail goes first, mostly");
const _: () = assert!(GROUP_BYTES_SOFT >= DECISION_EVENTS_MAX * EVENT_MAX, "a group holds the largest decision");
const _: () = assert!(
    GROUP_LEN_MAX > GROUP_BYTES_SOFT + DECISION_EVENTS_MAX * (EVENT_MAX + 4) + MANIFEST_MAX + (64 << 10),
    "a group fits"
);
const _: () = assert!(
    SNAPSHOT_SUMMARY_MAX > GROUP_NOTES_MAX * (OWN_NOTE_MAX + 16 + 64 * 32 + 256) + 256,
    "a summary holds the edge of every log"
);
const _: () = assert!(SNAPSHOTS_KEPT >= 2, "one that rots leaves another");
const _: () = assert!(JOURNAL_SEGMENT_LEN as usize >= GROUP_LEN_MAX, "a segment holds the longest group");
const _: () = assert!(RECORD_MAX > CHUNK_SEALED + (32 << 10) && RECORD_MAX > NOTE_MAX, "a record holds a chunk");
const _: () = assert!(SPOOL_ERASABLE_SEGMENT_LEN as usize >= 2 * RECORD_MAX, "a segment holds the longest record");
const _: () = assert!(SIGNED_SLOT_LEN > GROUP_NOTES_MAX * (OWN_NOTE_MAX + 16) + 64, "a slot holds all notes");
const _: () = assert!(SIGNED_SLOT_LEN.is_multiple_of(BLOCK_LEN), "slots share no block");
