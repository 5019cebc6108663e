//! Every limit of the link, and how they relate. The largest frame is the protocol's:
//! [`ncp_protocol::limits::FRAME_MAX`].

use core::time::Duration;

/// Longest TLS handshake, from the accepted or connected socket to an authenticated peer.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a name to resolve, for a TCP connection, and for a proxy's answer, each.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a link may stay silent between two frames.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// The same while a daemon is under stress.
pub const IDLE_TIMEOUT_STRESS: Duration = Duration::from_secs(10);
/// Slowest acceptable peer inside a frame, in bytes per second.
pub const RATE_MIN: u32 = 500;
/// Head start of a frame before [`RATE_MIN`] is asked for.
pub const RATE_GRACE: Duration = Duration::from_secs(10);

/// How much of a frame is allocated ahead of what has arrived.
pub const READ_STEP: usize = 16 << 10;
/// How much a writer gathers before it writes.
pub const WRITE_GATHER: usize = 64 << 10;

/// Most connections of a listener, authenticated or not.
pub const CONNECTIONS_MAX: usize = 512;
/// Most connections whose handshake is not finished.
pub const UNAUTHENTICATED_MAX: usize = 128;
/// How old an unfinished handshake whose peer has said something may grow when another waits for its place.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(3);
/// Most connections of one participant whose handshake is finished; as many again under keys that are not pinned.
pub const CONNECTIONS_PER_PARTICIPANT_MAX: usize = 4;
/// Most unfinished handshakes from one network address; of IPv6, from one network of 64 bits.
pub const UNAUTHENTICATED_PER_ADDRESS_MAX: usize = 32;
/// How often one more peer is turned away for want of a place: while a crowd comes again and again, a silent one of it keeps
/// its place for half a second. The rest of it waits in the kernel, where it costs nobody anything, and so does a peer that
/// comes then: behind a crowd of a thousand, some three seconds.
pub const TURNED_AWAY_INTERVAL: Duration = Duration::from_millis(4);
/// How many are turned away at once.
pub const TURNED_AWAY_AT_ONCE: u32 = 16;
/// Connections that wait in the kernel while a listener is at one of its limits.
pub const BACKLOG: u32 = 1024;

/// Longest name of a host (RFC 1035, section 2.3.4).
pub const HOST_MAX: usize = 253;
/// Most addresses that are tried for one host.
pub const ADDRESSES_MAX: usize = 8;
/// Largest answer of a proxy, status line and fields.
pub const PROXY_RESPONSE_MAX: usize = 8 << 10;
/// Largest PEM file.
pub const PEM_MAX: u64 = 4 << 20;

/// First ceiling of the reconnect delay.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Last ceiling of the reconnect delay.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// How long a link must have lived for the delays to begin anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Most envelopes of credit that one side may hold.
pub const CREDIT_ENVELOPES_MAX: u32 = 1 << 16;
/// Most bytes of credit that one side may hold.
pub const CREDIT_BYTES_MAX: u64 = 1 << 32;
/// Envelopes of a window that its sender keeps for urgent mail, or a quarter of a small one.
pub const KEPT_FOR_URGENT_MAX: u32 = 16;

const _: () = assert!(UNAUTHENTICATED_PER_ADDRESS_MAX < UNAUTHENTICATED_MAX, "one address cannot take every place");
const _: () = assert!(UNAUTHENTICATED_MAX < CONNECTIONS_MAX, "handshakes leave room for links");
const _: () = assert!(CONNECTIONS_MAX > 2 * ncp_protocol::limits::RECIPIENTS_MAX, "every participant can reconnect");
const _: () = assert!(HANDSHAKE_PATIENCE.as_secs() < HANDSHAKE_TIMEOUT.as_secs());
const _: () = assert!(BACKOFF_FIRST.as_millis() < BACKOFF_MAX.as_millis());
const _: () = assert!(CREDIT_BYTES_MAX > ncp_protocol::limits::BODY_MAX, "a whole body fits the credit");
