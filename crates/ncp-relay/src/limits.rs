//! Every limit of the relay, and how they relate. Protocol, link and store have theirs in their own crates.
//!
//! Sizes are bytes, times milliseconds unless the type says otherwise. What an operator may choose is in the
//! configuration; these are its defaults and bounds.

use core::time::Duration;

use ncp_protocol::limits::{
    BODY_BUCKET_MIN, BODY_MAX, CHUNK_SEALED, DEDUPLICATION_MS, HELLO_TIMEOUT_MS, LIFETIME_MAX_MS, PING_EVERY_MS,
    RECEIPTS_KEPT_MS, RECEIPTS_PER_FRAME_MAX, RECIPIENTS_MAX, SEALS_MAX,
};
use ncp_store::limits::QUEUE_COMMANDS_PER_SOURCE_MAX;
use ncp_transport::limits::KEPT_FOR_URGENT_MAX;

/// Most envelopes that wait at the hub, over all mailboxes.
pub const WAITING_MAX: u64 = 1_000_000;
/// Most envelopes of one originator that wait at the hub, unless configured.
pub const ORIGINATOR_ENVELOPES: u64 = 100_000;
/// Envelopes of one originator that are taken in a second, unless configured: so few that the others hardly notice a flood on two
/// processors (docs/RELIABILITY.md, greedy peers).
pub const ENVELOPES_PER_SECOND: u64 = 50;
/// A window of an originator's envelopes is what the pace brings in this part of a second.
pub const WINDOWS_PER_SECOND: u32 = 5;
/// Longest that a hello waits for the pace, so that a node does not take the hub for dead.
pub const PACED_HELLO_MAX: Duration = Duration::from_secs(3);
/// Most bytes of bodies of one originator that wait at the hub, unless configured.
pub const ORIGINATOR_BYTES: u64 = 64 << 30;
/// Most envelopes in one mailbox, unless configured.
pub const MAILBOX_ENVELOPES: u64 = 100_000;
/// Most bytes of bodies in one mailbox, unless configured.
pub const MAILBOX_BYTES: u64 = 64 << 30;
/// Most envelopes of one message that the index remembers.
pub const ENVELOPES_PER_MESSAGE_MAX: u64 = RECIPIENTS_MAX as u64 * SEALS_MAX as u64;

/// Most envelopes that one command offers.
pub const OFFER_BATCH_MAX: usize = 32;
/// Envelopes of one originator and precedence that are with one peer and have not ended, whatever its credit says.
pub const OFFERED_OPEN_MAX: usize = 64;
/// Most envelopes that one command lets expire.
pub const EXPIRE_BATCH_MAX: usize = 64;
/// Pieces of evidence that the hub takes from one participant in a day about nothing that waits for them: envelopes that
/// it has forgotten or never saw, or evidence of a kind that it has. What is more waits at its node.
pub const SURPLUS_EVIDENCE_PER_DAY: u32 = 2_000;
/// How often the checkpoints that participants showed of their logs are made durable, if any is new.
pub const HELD_EVERY: Duration = Duration::from_secs(1);
/// Longest text of a piece of evidence that the hub keeps, in bytes: the longest event, the deepest path, and as
/// many signatures as a note may have. Lines of a note may be longer, and say whatever the peer likes.
pub const EVIDENCE_TEXT_MAX: usize = 24 << 10;
/// How long evidence that has to wait does so before it is looked at again.
pub const EVIDENCE_PAUSE: Duration = Duration::from_secs(60);
/// Out of this many deliveries one goes to the lower ranks even while urgent mail waits.
pub const LOWER_RANK_EVERY: u64 = 8;

/// Fewest envelopes that a node may have in flight to the hub, at any pace: one message to all, beside what its node keeps
/// for urgent mail …
pub const WINDOW_MIN: u32 = 96;
/// … and most.
pub const WINDOW_MAX: u32 = 256;
/// Of a burst of envelopes that are not urgent, so many are begun at once, and the others at the pace.
pub const BEGUN_AT_ONCE: u32 = 8;
/// Envelopes that a link reads at once …
pub const READ_AT_ONCE: u32 = 4;
/// … before it reads so many times as fast as the pace …
pub const READ_FASTER: u32 = 8;
/// … or as this one, if that is slower: what else the peer says, and its evidence for others, stands behind them.
pub const READ_PACE_MIN: u32 = 100;
/// Bytes of body chunks that a node may have in flight to the hub.
pub const CREDIT_BYTES: u64 = 4 << 20;
/// Largest body that is kept in memory until its envelope is decided: one chunk.
pub const BODY_INLINE_MAX: u64 = CHUNK_SEALED as u64;
/// Frames that wait to be written to one peer before whoever adds one must wait.
pub const OUTBOUND_FRAMES_MAX: usize = 16;
/// Submissions, chunks and recalls of one peer that wait for the intake: all envelopes of its credit, and the smallest
/// bodies of all of its bytes.
pub const INTAKE_MAX: usize = 2_048;
/// Decisions of one peer that are under way at once.
pub const DECISIONS_MAX: usize = 768;
/// Frames of receipts of one peer that wait.
pub const RECEIPT_FRAMES_OPEN_MAX: usize = 8;
/// Requests of one peer for bodies, or for the directory, that wait.
pub const ASKED_MAX: usize = 256;
/// Out of this many chunks one goes to the body that waits longest even while one of a higher precedence flows.
pub const ANY_RANK_EVERY: u64 = 4;
/// Bodies that one peer may ask for and not have yet.
pub const BODIES_WANTED_MAX: usize = 1_024;
/// Bodies that stay open for one peer while more than one chunk of each is to go: descriptors of a link.
pub const BODIES_OPEN_MAX: usize = 4;
/// Bytes of small bodies that go ahead of one batch of deliveries: more of them would be what urgent mail waits for.
pub const BODIES_AHEAD_MAX: u64 = 128 << 10;
/// Refusals of one peer that wait.
pub const REFUSALS_OPEN_MAX: usize = 256;
/// How often a submission is verified anew because the directory changed meanwhile.
pub const VERIFICATIONS_MAX: usize = 8;
/// How long a delivery waits that the recipient could not take.
pub const REDELIVERY_DELAY: Duration = Duration::from_secs(30);
/// Signature checks that run at once, over all peers.
pub const WORKERS_MAX: usize = 2;
/// Frames of receipts that are sent ahead of the peer's acknowledgement.
pub const RECEIPT_FRAMES_AHEAD: u64 = 4;

/// Links of one participant whose keys are not pinned: signed directory data alone.
pub const RESTRICTED_LINKS_MAX: usize = 2;
/// How long a peer may take to say hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_millis(HELLO_TIMEOUT_MS);
/// How often the relay pings a peer at least.
pub const PING_EVERY_MAX: Duration = Duration::from_millis(PING_EVERY_MS);
/// How many pings may stay without an answer before a link is closed.
pub const PINGS_PER_IDLE: u32 = 5;
/// How often the relay tells a peer its newest checkpoint, at most.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// How often the relay looks at a checkpoint that a peer shows on its own account, at most.
pub const CHECKPOINT_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Room that is held for journal and evidence on a full disk, unless configured.
pub const BALLAST: u64 = 64 << 20;
/// How often the relay looks for envelopes that are due to expire.
pub const EXPIRY_EVERY: Duration = Duration::from_secs(1);
/// How long the timestamp statement of the hub is valid.
pub const TIMESTAMP_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the hub states its timestamp anew.
pub const TIMESTAMP_EVERY: Duration = Duration::from_secs(60 * 60);
/// How old the timestamp statement may be that a peer gets, in milliseconds.
pub const TIMESTAMP_FRESH_MS: u64 = 60_000;
/// How long a daemon that stops waits for its links to end.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take after them until what waits is durable.
pub const STORE_STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How old an upload that nobody continues may grow.
pub const UPLOAD_KEPT: Duration = Duration::from_secs(48 * 60 * 60);
/// Most connections at a time, unless configured.
pub const CONNECTIONS: u64 = 512;
/// Free space in bytes below which new work is refused, unless configured.
pub const FREE_MIN: u64 = 1 << 30;
/// How long a link may stay silent, unless configured.
pub const IDLE: Duration = Duration::from_secs(300);
/// Longest configuration file.
pub const CONFIG_MAX: u64 = 1 << 20;
/// Longest body of a request to the local API.
pub const API_BODY_MAX: usize = 1 << 20;

const _: () = assert!(ORIGINATOR_ENVELOPES >= RECIPIENTS_MAX as u64, "one message to all fits the quota");
const _: () = assert!(ORIGINATOR_BYTES >= BODY_MAX && MAILBOX_BYTES >= BODY_MAX, "the largest message fits the quota");
const _: () = assert!(ORIGINATOR_ENVELOPES <= WAITING_MAX && MAILBOX_ENVELOPES <= WAITING_MAX);
const _: () = assert!(DEDUPLICATION_MS > LIFETIME_MAX_MS && DEDUPLICATION_MS >= RECEIPTS_KEPT_MS);
const _: () = assert!(CREDIT_BYTES > 2 * CHUNK_SEALED as u64, "the link never idles for credit");
const _: () = assert!(
    (WINDOW_MIN - KEPT_FOR_URGENT_MAX) as usize >= RECIPIENTS_MAX && WINDOW_MIN <= WINDOW_MAX,
    "one message to all"
);
const _: () = assert!(TIMESTAMP_EVERY.as_secs() * 2 < TIMESTAMP_LIFETIME.as_secs(), "two statements may be missed");
const _: () = assert!(CREDIT_BYTES / BODY_BUCKET_MIN + (WINDOW_MAX as u64) < INTAKE_MAX as u64);
const _: () = assert!(DECISIONS_MAX + RECEIPTS_PER_FRAME_MAX + OFFER_BATCH_MAX < QUEUE_COMMANDS_PER_SOURCE_MAX);
const _: () =
    assert!(crate::core::meaning::FORGET_PER_EVENT_MAX > 3, "more is forgotten than one event makes to be forgotten");
const _: () = assert!(
    PING_EVERY_MAX.as_secs() * PINGS_PER_IDLE as u64 <= IDLE.as_secs(),
    "pings keep a link from falling silent"
);
