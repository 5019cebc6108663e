//! Every limit of the protocol, and how they relate.
//!
//! Sizes are bytes, times milliseconds unless the name says otherwise. The assertions at the end are checked by the
//! compiler: a limit that breaks a relation does not build.

use core::ops::RangeInclusive;

/// Version of the protocol that headers and manifests name.
pub const PROTOCOL_VERSION: u16 = 1;

/// Shortest participant id.
pub const PARTICIPANT_ID_MIN: usize = 2;
/// Longest participant id.
pub const PARTICIPANT_ID_MAX: usize = 8;
/// First year a reference can name.
pub const YEAR_MIN: u16 = 2000;
/// Last year a reference can name.
pub const YEAR_MAX: u16 = 9999;
/// Largest running number of a reference within a year.
pub const REFERENCE_NUMBER_MAX: u32 = 999_999;

/// Most recipients of one message.
pub const RECIPIENTS_MAX: usize = 80;
/// Most parts of one message.
pub const PARTS_MAX: usize = 64;
/// Largest message: manifest and all parts before padding.
pub const MESSAGE_MAX: u64 = 1 << 30;
/// Most other channels that a message names.
pub const ALSO_SENT_THROUGH_MAX: usize = 16;
/// Largest encoded content manifest.
pub const MANIFEST_MAX: usize = 64 << 10;
/// Longest subject line, in bytes of UTF-8.
pub const SUBJECT_MAX: usize = 512;
/// Longest name of a part, in bytes of UTF-8.
pub const PART_NAME_MAX: usize = 200;
/// Longest media type of a part.
pub const MEDIA_TYPE_MAX: usize = 100;
/// Longest code: kind, form, handling, rule, reason, subject of the catalogue, service.
pub const CODE_MAX: usize = 48;

/// Plaintext of one payload chunk.
pub const CHUNK_PLAIN: usize = 64 << 10;
/// Authentication tag of one payload chunk.
pub const CHUNK_TAG: usize = 16;
/// Sealed payload chunk.
pub const CHUNK_SEALED: usize = CHUNK_PLAIN + CHUNK_TAG;
/// Smallest Padmé bucket of a body's plaintext.
pub const BODY_BUCKET_MIN: u64 = 4 << 10;
/// Largest sealed body that goes ahead of its envelope, unasked: a page or two of text.
pub const BODY_AHEAD_MAX: u64 = (16 << 10) + CHUNK_TAG as u64;
/// Most chunks of one body: the largest message, padded, and one more.
pub const CHUNKS_MAX: u64 = MESSAGE_MAX / CHUNK_PLAIN as u64 * 9 / 8;
/// Largest sealed body.
pub const BODY_MAX: u64 = CHUNKS_MAX * CHUNK_SEALED as u64;

/// Plaintext of a wrap, after padding.
pub const WRAP_PLAIN: usize = 256;
/// X-Wing encapsulation (draft-connolly-cfrg-xwing-kem): ML-KEM-768 ciphertext and X25519 share.
pub const XWING_ENCAPSULATION: usize = 1_120;
/// X-Wing public key.
pub const XWING_PUBLIC_KEY: usize = 1_216;
/// A wrap on the wire: encapsulation, sealed plaintext, tag.
pub const WRAP_LEN: usize = XWING_ENCAPSULATION + WRAP_PLAIN + 16;
/// Most voided ranges in a wrap.
pub const VOIDED_MAX: usize = 8;

/// Largest encoded header, with its prefix.
pub const HEADER_MAX: usize = 512;
/// Largest encoded envelope: prefix, header with its length, signature, wrap.
pub const ENVELOPE_MAX: usize = 8 + 8 + HEADER_MAX + 64 + WRAP_LEN;
/// Largest encoded approval statement.
pub const APPROVAL_MAX: usize = 1 << 10;
/// Largest encoded event, with its prefix.
pub const EVENT_MAX: usize = 4 << 10;
/// Largest encoded directory entry with its signature.
pub const ENTRY_MAX: usize = 16 << 10;
/// Largest root of trust with its signatures.
pub const ROOT_MAX: usize = 32 << 10;
/// Most keys of one role in the root of trust.
pub const ROLE_KEYS_MAX: usize = 20;
/// Most signatures of a statement: those of a role before and after a change of its keys.
pub const STATEMENT_SIGNATURES_MAX: usize = 2 * ROLE_KEYS_MAX;
/// Largest membership statement with its signatures.
pub const MEMBERSHIP_MAX: usize = 40 << 10;
/// Largest timestamp statement with its signatures.
pub const TIMESTAMP_MAX: usize = 8 << 10;
/// Most members of a network.
pub const MEMBERS_MAX: usize = 256;
/// Most sealing keys of a directory entry.
pub const SEALING_KEYS_MAX: usize = 4;
/// Most log keys of a directory entry: one per log and epoch.
pub const LOG_KEYS_MAX: usize = 32;
/// Most TLS pins of a directory entry: the key in use and the next.
pub const TLS_PINS_MAX: usize = 2;
/// How far the version of a membership statement may run ahead of the last one seen. A thief of keys who states the
/// largest version could otherwise lock out every later true statement.
pub const VERSION_JUMP_MAX: u32 = 10_000;
/// How far a timestamp's size of `public` may run ahead of the last one seen, for the same reason.
pub const PUBLIC_JUMP_MAX: u64 = 1 << 24;
/// Largest signed note that is read.
pub const NOTE_MAX: usize = 64 << 10;
/// Most signatures of a note that are looked at.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// Most leaves of a log.
pub const TREE_SIZE_MAX: u64 = 1 << 63;
/// Most hashes in an inclusion or consistency proof: a tree of 2^63 leaves.
pub const PROOF_HASHES_MAX: usize = 63;

/// Largest frame on the link, without its length field.
pub const FRAME_MAX: usize = 256 << 10;
/// Most receipts in one frame.
pub const RECEIPTS_PER_FRAME_MAX: usize = 32;
/// Most leaves of `public` in one frame.
pub const PUBLIC_EVENTS_PER_FRAME_MAX: usize = 512;
/// Most digests of directory entries that one frame asks for.
pub const DIGESTS_PER_FRAME_MAX: usize = 64;
/// Most directory entries in one frame.
pub const ENTRIES_PER_FRAME_MAX: usize = 8;
/// Most roots of trust in one frame.
pub const ROOTS_PER_FRAME_MAX: usize = 2;
/// Most protocol versions, or suites, that a hello names.
pub const HELLO_VERSIONS_MAX: usize = 16;

/// Shortest lifetime of a message.
pub const LIFETIME_MIN_MS: u64 = 60 * 1_000;
/// Days that people may choose for a message to live.
pub const LIFETIME_DAYS: RangeInclusive<u16> = 1..=30;
/// Days that a message lives if nobody chooses.
pub const LIFETIME_DEFAULT_DAYS: u16 = 5;
/// Lifetime if none is named.
pub const LIFETIME_DEFAULT_MS: u64 = LIFETIME_DEFAULT_DAYS as u64 * DAY_MS;
/// Longest lifetime.
pub const LIFETIME_MAX_MS: u64 = *LIFETIME_DAYS.end() as u64 * DAY_MS;
/// How often one recipient's envelope of a message is sealed at most, at both ends: a directory that changes faster is not one
/// to follow. Nodes replay their journals by this number.
pub const SEALS_MAX: u32 = 16;
/// How long either side of a link waits for the other's hello.
pub const HELLO_TIMEOUT_MS: u64 = 10_000;
/// How often either side of a quiet link asks for a sign of life.
pub const PING_EVERY_MS: u64 = 60_000;
/// How far two clocks may differ.
pub const CLOCK_SKEW_MAX_MS: u64 = 10 * 60 * 1_000;
/// How long the rows live that recognise a message id again.
pub const DEDUPLICATION_MS: u64 = 31 * DAY_MS;
/// How long a sealing key may be used to seal.
pub const SEAL_PERIOD_MAX_MS: u64 = 90 * DAY_MS;
/// How long a sealing key stays able to open after the last seal under it.
pub const OPEN_AFTER_SEAL_MS: u64 = LIFETIME_MAX_MS + 2 * DAY_MS;
/// How long receipts can be fetched again.
pub const RECEIPTS_KEPT_MS: u64 = 30 * DAY_MS;
/// Longest validity of a root of trust: 12 months.
pub const ROOT_LIFETIME_MAX_MS: u64 = 366 * DAY_MS;
/// Longest validity of a membership statement.
pub const MEMBERSHIP_LIFETIME_MAX_MS: u64 = 90 * DAY_MS;
/// Longest validity of a timestamp statement.
pub const TIMESTAMP_LIFETIME_MAX_MS: u64 = DAY_MS;
/// How long sealing goes on under a timestamp that has expired.
pub const TIMESTAMP_GRACE_MS: u64 = DAY_MS;
/// A day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

const _: () = assert!(DEDUPLICATION_MS > LIFETIME_MAX_MS + CLOCK_SKEW_MAX_MS, "a replay outlives its row");
const _: () = assert!(OPEN_AFTER_SEAL_MS >= LIFETIME_MAX_MS + 2 * DAY_MS, "waiting mail outlives its key");
const _: () = assert!(LIFETIME_MIN_MS < LIFETIME_DEFAULT_MS && LIFETIME_DEFAULT_MS <= LIFETIME_MAX_MS);
const _: () = assert!(FRAME_MAX > CHUNK_SEALED + 1024, "a chunk fits a frame");
const _: () = assert!(FRAME_MAX > HEADER_MAX + WRAP_LEN + EVENT_MAX + 8 * 1024, "a delivery with R1 fits a frame");
const _: () = assert!(FRAME_MAX > RECEIPTS_PER_FRAME_MAX * (EVENT_MAX / 2 + 4 * 1024), "receipts fit a frame");
const _: () = assert!(RECIPIENTS_MAX * (PARTICIPANT_ID_MAX + 8) + 1024 <= EVENT_MAX, "a release names all recipients");
const _: () = assert!(CHUNKS_MAX * CHUNK_PLAIN as u64 > MESSAGE_MAX + MESSAGE_MAX * 12 / 100, "padding fits");
const _: () = assert!(MANIFEST_MAX > PARTS_MAX * (PART_NAME_MAX + MEDIA_TYPE_MAX + 64) + RECIPIENTS_MAX * 8 + 2048);
const _: () = assert!(MEMBERSHIP_MAX > MEMBERS_MAX * (64 + CODE_MAX) + STATEMENT_SIGNATURES_MAX * 96 + 256);
const _: () = assert!(TIMESTAMP_MAX > STATEMENT_SIGNATURES_MAX * 96 + 256);
const _: () = assert!(ROOT_MAX > 3 * ROLE_KEYS_MAX * 32 + STATEMENT_SIGNATURES_MAX * 96 + 256);
const _: () = assert!(ENTRY_MAX > SEALING_KEYS_MAX * (XWING_PUBLIC_KEY + 32) + LOG_KEYS_MAX * 64 + 1024);
const _: () = assert!(APPROVAL_MAX > RECIPIENTS_MAX * PARTICIPANT_ID_MAX + 256, "an approval names all recipients");
